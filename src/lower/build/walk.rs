//! Walks over the HIR: what a piece of it changes or reads.

use crate::sema::hir::{Arg, Expr, ExprKind, LocalId, SkbRead, Stmt, StmtKind};
use std::collections::BTreeSet;

/// The variables that statements give values to.
pub(super) fn assigned(stmts: &[Stmt], found: &mut BTreeSet<LocalId>) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Assign(local, _) => {
                found.insert(*local);
            }
            StmtKind::If { then, otherwise, .. } => {
                assigned(then, found);
                assigned(otherwise, found);
            }
            StmtKind::For { var, body, .. } => {
                found.insert(*var);
                assigned(body, found);
            }
            StmtKind::MapSet(..)
            | StmtKind::MapAdd(..)
            | StmtKind::Aggregate(..)
            | StmtKind::Delete(_)
            | StmtKind::Expr(_)
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Return(_)
            | StmtKind::Output(..) => {}
        }
        for expr in stmt.exprs() {
            expr.each(&mut |expr| {
                if let ExprKind::LocalStep { local, .. } = expr.kind {
                    found.insert(local);
                }
            });
        }
    }
}

/// Whether an expression reads a variable.
pub(super) fn reads(expr: &Expr, local: LocalId) -> bool {
    let mut found = false;
    expr.each(&mut |expr| found |= matches!(expr.kind, ExprKind::Local(id) if id == local));
    found
}

/// Whether an expression changes a variable or a map, or may end the program.
pub(super) fn has_effect(expr: &Expr) -> bool {
    let mut found = false;
    expr.each(&mut |expr| {
        found |= matches!(
            expr.kind,
            ExprKind::LocalStep { .. }
                | ExprKind::MapStep { .. }
                | ExprKind::Packet { .. }
                | ExprKind::Skb(_, SkbRead::OrEnd)
        );
    });
    found
}

/// The arguments that statements read.
pub(super) fn args<'h>(stmts: impl IntoIterator<Item = &'h Stmt>, found: &mut Vec<&'h Arg>) {
    for stmt in stmts {
        for expr in stmt.exprs() {
            expr.each(&mut |expr| {
                if let ExprKind::Arg(arg) = &expr.kind {
                    found.push(arg);
                }
            });
        }
        args(stmt.nested().collect::<Vec<_>>(), found);
    }
}
