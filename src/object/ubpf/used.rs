//! Which fields of which mirrors the programs read, and which arguments of their events.

use crate::ir::reloc::ArgRead;
use crate::sema::hir::{Expr, ExprKind, Hir, MapRef, MirrorId, Program, Stmt, StmtKind};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeMap, BTreeSet};

/// What is read or asked for.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Fields by mirror.
    pub(super) fields: BTreeMap<MirrorId, BTreeSet<u32>>,
    args: IndexSet<ArgRead, FxBuildHasher>,
}

impl Used {
    /// What all programs use.
    pub(super) fn of(hir: &Hir) -> Used {
        let mut used = Used::default();
        for program in &hir.programs {
            used.stmts(hir, &program.body);
        }
        used
    }

    /// The arguments that a program reads, each once, in the order of its text.
    pub(super) fn args(hir: &Hir, program: &Program) -> Vec<ArgRead> {
        let mut used = Used::default();
        used.stmts(hir, &program.body);
        used.args.into_iter().collect()
    }

    fn stmts(&mut self, hir: &Hir, stmts: &[Stmt]) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::Assign(_, value) | StmtKind::Expr(value) => self.expr(hir, value),
                StmtKind::MapSet(entry, value) | StmtKind::MapAdd(entry, value) => {
                    self.entry(hir, entry);
                    self.expr(hir, value);
                }
                StmtKind::Aggregate(entry, value) => {
                    self.entry(hir, entry);
                    self.exprs(hir, value.as_slice());
                }
                StmtKind::Delete(entry) => self.entry(hir, entry),
                StmtKind::If { cond, then, otherwise } => {
                    self.expr(hir, cond);
                    self.stmts(hir, then);
                    self.stmts(hir, otherwise);
                }
                StmtKind::For { var: _, start, end, limit: _, body } => {
                    self.expr(hir, start);
                    self.expr(hir, end);
                    self.stmts(hir, body);
                }
                StmtKind::Break | StmtKind::Continue => {}
                StmtKind::Return(value) => self.exprs(hir, value.as_slice()),
                StmtKind::Output(_, args) => self.exprs(hir, args),
            }
        }
    }

    fn entry(&mut self, hir: &Hir, entry: &MapRef) {
        self.exprs(hir, &entry.key);
    }

    fn exprs(&mut self, hir: &Hir, exprs: &[Expr]) {
        for expr in exprs {
            self.expr(hir, expr);
        }
    }

    fn expr(&mut self, hir: &Hir, expr: &Expr) {
        match &expr.kind {
            ExprKind::Field { base, mirror, field } => {
                self.fields.entry(*mirror).or_default().insert(*field);
                self.expr(hir, base);
            }
            ExprKind::HasField { mirror, field } => {
                self.fields.entry(*mirror).or_default().insert(*field);
            }
            ExprKind::Load { base, mirror } => {
                self.fields
                    .entry(*mirror)
                    .or_default()
                    .extend((0..).take(hir.mirrors[*mirror].fields.len()));
                self.expr(hir, base);
            }
            ExprKind::Member(value, _)
            | ExprKind::Unary(_, value)
            | ExprKind::Convert(value)
            | ExprKind::ReadStr { addr: value, user: _ }
            | ExprKind::Fetch { addr: value, width: _ }
            | ExprKind::Packet { offset: value, width: _ } => self.expr(hir, value),
            ExprKind::Index(left, right)
            | ExprKind::Binary(_, left, right)
            | ExprKind::MemEq { left, right, negate: _ }
            | ExprKind::LogAnd(left, right)
            | ExprKind::LogOr(left, right) => {
                self.expr(hir, left);
                self.expr(hir, right);
            }
            ExprKind::Cond(cond, then, otherwise) => {
                self.expr(hir, cond);
                self.expr(hir, then);
                self.expr(hir, otherwise);
            }
            ExprKind::MapGet(entry) | ExprKind::HasKey(entry) => self.entry(hir, entry),
            ExprKind::MapStep { entry, delta: _, postfix: _ } => self.entry(hir, entry),
            ExprKind::Aggregate(parts) => self.exprs(hir, parts),
            ExprKind::Arg(arg) => {
                self.args.insert(ArgRead::of(hir, arg, &expr.ty));
            }
            ExprKind::Error
            | ExprKind::Int(_)
            | ExprKind::Str(_)
            | ExprKind::Enumerator(..)
            | ExprKind::Param(_)
            | ExprKind::Local(_)
            | ExprKind::LocalStep { .. }
            | ExprKind::Builtin(_)
            | ExprKind::Skb(..)
            | ExprKind::Len(_) => {}
        }
    }
}
