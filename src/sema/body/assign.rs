//! Assignments: variables, members of struct variables, `++` and `--`.

use super::super::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind};
use super::super::types::{Pointee, Ty};
use super::super::unbuilt;
use super::{Body, error};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, BinaryOp, Ident};

impl Body<'_, '_> {
    pub(super) fn assign(
        &mut self,
        target: &ast::Expr,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        match &target.kind {
            ast::ExprKind::Local(name) => {
                let name = Ident { name: name.clone(), span: target.span };
                self.assign_local(&name, op, value, span, out);
            }
            ast::ExprKind::Map { name, key } => {
                self.assign_map((name, key.as_deref(), target.span), op, value, span, out);
            }
            ast::ExprKind::Field { base, name, .. } => {
                self.assign_field(base, name, op, value, span, out);
            }
            ast::ExprKind::Error => {
                let _ = self.value(value);
            }
            _ => {
                let _ = self.value(value);
                self.not_assignable(target);
            }
        }
    }

    pub(super) fn not_assignable(&mut self, target: &ast::Expr) {
        let text = self.pass.sources.text(target.span);
        self.report(
            Diagnostic::new(Code::E0232, target.span, format!("`{text}` cannot be assigned to"))
                .label("expected a variable `$x` or a map `@m[key]`"),
        );
    }

    pub(super) fn assign_local(
        &mut self,
        name: &Ident,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let value = self.value(value);
        let Some(id) = self.vars.find(&name.name) else {
            if op.is_some() {
                self.unknown_local(&name.name, name.span);
                return;
            }
            let id = self.new_local(name, value.ty.clone(), true);
            self.vars.assigned.insert(id);
            out.push(Stmt { kind: StmtKind::Assign(id, value), span });
            return;
        };
        if self.is_counter(id, name.span) {
            return;
        }
        let value = match op {
            None => value,
            Some(op) => {
                let old = self.expr_local(name);
                let ty = old.ty.clone();
                let new = self.combine(op, old, value, span);
                Self::cut(new, &ty)
            }
        };
        if !self.vars.facts(id).typed {
            self.vars.facts_mut(id).typed = true;
            self.locals[id].ty = value.ty.clone();
        }
        let (ty, declared) = (self.locals[id].ty.clone(), self.locals[id].span);
        let value = self.assignable(value, &ty, &format!("`${}`", name.name), Some(declared));
        self.vars.assigned.insert(id);
        out.push(Stmt { kind: StmtKind::Assign(id, value), span });
    }

    /// The old value in a compound assignment, which does not count as a use of the variable.
    pub(super) fn expr_local(&mut self, name: &Ident) -> Expr {
        let read = self.vars.find(&name.name).map(|id| (id, self.vars.facts(id).read));
        let kind = ast::ExprKind::Local(name.name.clone());
        let old = self.expr(&ast::Expr { kind, span: name.span });
        if let Some((id, read)) = read {
            self.vars.facts_mut(id).read = read;
        }
        old
    }

    /// The result of a compound assignment, cut to the variable's type as in C.
    pub(super) fn cut(e: Expr, to: &Ty) -> Expr {
        match (&e.ty, to) {
            (Ty::Int(from), Ty::Int(target)) if from != target => {
                let span = e.span;
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: to.clone(), span }
            }
            _ => e,
        }
    }

    pub(super) fn is_counter(&mut self, id: LocalId, span: Span) -> bool {
        if !self.vars.facts(id).counter {
            return false;
        }
        let (name, declared) = (self.locals[id].name.clone(), self.locals[id].span);
        self.report(
            Diagnostic::new(
                Code::E0232,
                span,
                format!("`${name}` counts the rounds of a loop and cannot be changed"),
            )
            .secondary(declared, "the loop counts here")
            .note("the verifier must see that every loop ends"),
        );
        true
    }

    pub(super) fn assign_field(
        &mut self,
        base: &ast::Expr,
        name: &Ident,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        if matches!(&base.kind, ast::ExprKind::Map { .. }) {
            let _ = self.value(value);
            self.report(unbuilt::unbuilt(
                "assigning one member of a map's value",
                base.span.to(name.span),
            ));
            return;
        }
        let read_only = |what: String| {
            Diagnostic::new(
                Code::E0320,
                base.span.to(name.span),
                format!("{what} cannot be written"),
            )
            .label("read-only")
            .note("what a probe is given belongs to the kernel, and mirrors only show it")
        };
        if matches!(&base.kind, ast::ExprKind::Name(n) if n == "args") {
            let _ = self.value(value);
            self.report(read_only(format!("`args.{}`", name.name)));
            return;
        }
        let target = self.value(base);
        match (&target.kind, &target.ty) {
            (_, Ty::Error) => {
                let _ = self.value(value);
            }
            (_, Ty::Ptr(Pointee::Mirror(_) | Pointee::Kernel(_))) => {
                let _ = self.value(value);
                self.report(read_only(format!("`{}`", name.name)));
            }
            (ExprKind::Local(local), Ty::Struct(id)) => {
                let (local, id) = (*local, *id);
                let value = self.value(value);
                let stmt = self.assign_member(
                    local,
                    id,
                    name,
                    |body, old| match op {
                        None => value,
                        Some(op) => {
                            let ty = old.ty.clone();
                            let new = body.combine(op, old, value, span);
                            Self::cut(new, &ty)
                        }
                    },
                    span,
                );
                out.extend(stmt);
            }
            _ => {
                let _ = self.value(value);
                let whole = ast::Expr { kind: ast::ExprKind::Error, span: base.span.to(name.span) };
                self.not_assignable(&whole);
            }
        }
    }

    pub(super) fn step_statement(
        &mut self,
        target: &ast::Expr,
        delta: i8,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        match &target.kind {
            ast::ExprKind::Map { name, key } => {
                self.step_map((name, key.as_deref(), target.span), delta, span, out);
            }
            ast::ExprKind::Local(_) | ast::ExprKind::Field { .. } => {
                let one = ast::Expr { kind: ast::ExprKind::Int(1), span };
                let op = if delta < 0 { BinaryOp::Sub } else { BinaryOp::Add };
                self.assign(target, Some(op), &one, span, out);
            }
            ast::ExprKind::Error => {}
            _ => self.not_assignable(target),
        }
    }

    /// `$x++` and its like as a value.
    pub(super) fn step(
        &mut self,
        target: &ast::Expr,
        delta: i8,
        postfix: bool,
        span: Span,
    ) -> Expr {
        let name = match &target.kind {
            ast::ExprKind::Map { name, key } => {
                let target = (name, key.as_deref(), target.span);
                return self.step_map_value(target, delta, postfix, span);
            }
            ast::ExprKind::Local(name) => name,
            ast::ExprKind::Error => return error(span),
            _ => {
                self.not_assignable(target);
                return error(span);
            }
        };
        let old = self.expr(target);
        let Some(local) = self.vars.find(name) else { return error(span) };
        if old.ty == Ty::Error || self.is_counter(local, target.span) {
            return error(span);
        }
        if !matches!(old.ty, Ty::Int(_)) {
            let found = self.show(&old.ty);
            return self.fail(
                Diagnostic::new(
                    Code::E0220,
                    target.span,
                    format!("`++` and `--` work on integers, not on `{found}`"),
                )
                .label(format!("expected an integer, found `{found}`")),
            );
        }
        Expr { kind: ExprKind::LocalStep { local, delta, postfix }, ty: old.ty, span }
    }
}
