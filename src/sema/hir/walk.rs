//! Walks over the HIR.

use super::{Expr, ExprKind, Stmt, StmtKind};

impl Stmt {
    /// The expressions of a statement, those of statements in it left out.
    pub fn exprs(&self) -> Vec<&Expr> {
        match &self.kind {
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

    /// The statements in it.
    pub fn nested(&self) -> impl Iterator<Item = &Stmt> {
        let (first, second): (&[Stmt], &[Stmt]) = match &self.kind {
            StmtKind::If { then, otherwise, .. } => (then, otherwise),
            StmtKind::For { body, .. } => (body, &[]),
            _ => (&[], &[]),
        };
        first.iter().chain(second)
    }
}

impl Expr {
    /// Calls `visit` for this expression and every expression in it.
    pub fn each<'e>(&'e self, visit: &mut impl FnMut(&'e Expr)) {
        visit(self);
        match &self.kind {
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
            | ExprKind::Packet { offset: inner, .. } => inner.each(visit),
            ExprKind::Index(left, right)
            | ExprKind::Binary(_, left, right)
            | ExprKind::MemEq { left, right, .. }
            | ExprKind::LogAnd(left, right)
            | ExprKind::LogOr(left, right) => {
                left.each(visit);
                right.each(visit);
            }
            ExprKind::Cond(cond, then, otherwise) => {
                cond.each(visit);
                then.each(visit);
                otherwise.each(visit);
            }
            ExprKind::MapGet(entry) | ExprKind::HasKey(entry) => {
                entry.key.iter().for_each(|part| part.each(visit));
            }
            ExprKind::MapStep { entry, .. } => entry.key.iter().for_each(|part| part.each(visit)),
            ExprKind::Aggregate(parts) => parts.iter().for_each(|part| part.each(visit)),
        }
    }
}
