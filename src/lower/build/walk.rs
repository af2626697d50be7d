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
        for expr in exprs_of(stmt) {
            each(expr, &mut |expr| {
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
    each(expr, &mut |expr| found |= matches!(expr.kind, ExprKind::Local(id) if id == local));
    found
}

/// Whether an expression changes a variable or a map, or may end the program.
pub(super) fn has_effect(expr: &Expr) -> bool {
    let mut found = false;
    each(expr, &mut |expr| {
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

/// The expressions of a statement, those of statements in it left out.
fn exprs_of(stmt: &Stmt) -> Vec<&Expr> {
    match &stmt.kind {
        StmtKind::Assign(_, value) | StmtKind::Expr(value) => vec![value],
        StmtKind::MapSet(entry, value) | StmtKind::MapAdd(entry, value) => {
            entry.key.iter().chain([value]).collect()
        }
        StmtKind::Aggregate(entry, value) => entry.key.iter().chain(value).collect(),
        StmtKind::Delete(entry) => entry.key.iter().collect(),
        StmtKind::If { cond, .. } => vec![cond],
        StmtKind::For { start, end, .. } => vec![start, end],
        StmtKind::Return(value) => value.iter().collect(),
        StmtKind::Break | StmtKind::Continue => Vec::new(),
        StmtKind::Output(_, args) => args.iter().collect(),
    }
}

/// Calls `visit` for an expression and every expression in it.
fn each<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Expr)) {
    visit(expr);
    match &expr.kind {
        ExprKind::Error
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Enumerator(..)
        | ExprKind::Param(_)
        | ExprKind::Local(_)
        | ExprKind::Arg(_)
        | ExprKind::Builtin(_)
        | ExprKind::Skb(..)
        | ExprKind::HasField { .. }
        | ExprKind::Len(_)
        | ExprKind::LocalStep { .. } => {}
        ExprKind::Field { base: inner, .. }
        | ExprKind::Load { base: inner, .. }
        | ExprKind::Member(inner, _)
        | ExprKind::Unary(_, inner)
        | ExprKind::Convert(inner)
        | ExprKind::ReadStr { addr: inner, .. }
        | ExprKind::Fetch { addr: inner, .. }
        | ExprKind::Packet { offset: inner, .. } => each(inner, visit),
        ExprKind::Index(left, right)
        | ExprKind::Binary(_, left, right)
        | ExprKind::MemEq { left, right, .. }
        | ExprKind::LogAnd(left, right)
        | ExprKind::LogOr(left, right) => {
            each(left, visit);
            each(right, visit);
        }
        ExprKind::Cond(cond, then, otherwise) => {
            each(cond, visit);
            each(then, visit);
            each(otherwise, visit);
        }
        ExprKind::MapGet(entry) | ExprKind::HasKey(entry) => {
            entry.key.iter().for_each(|part| each(part, visit));
        }
        ExprKind::MapStep { entry, .. } => entry.key.iter().for_each(|part| each(part, visit)),
        ExprKind::Aggregate(parts) => parts.iter().for_each(|part| each(part, visit)),
    }
}

/// The arguments that statements read.
pub(super) fn args<'h>(stmts: &'h [Stmt], found: &mut Vec<&'h Arg>) {
    for stmt in stmts {
        for expr in exprs_of(stmt) {
            each(expr, &mut |expr| {
                if let ExprKind::Arg(arg) = &expr.kind {
                    found.push(arg);
                }
            });
        }
        match &stmt.kind {
            StmtKind::If { then, otherwise, .. } => {
                args(then, found);
                args(otherwise, found);
            }
            StmtKind::For { body, .. } => args(body, found),
            _ => {}
        }
    }
}
