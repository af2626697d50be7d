//! Statements: blocks and their variables, assignments, branches, loops.

use super::super::hir::{Local, LocalId, Stmt, StmtKind};
use super::super::types::Ty;
use super::super::unbuilt;
use super::{Body, VarFacts};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

impl Body<'_, '_> {
    /// The statements of a block, in a scope of their own.
    pub(super) fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        self.vars.enter();
        let mut out = Vec::new();
        let mut told = self.unreachable;
        for stmt in &block.stmts {
            if self.unreachable && !told {
                told = true;
                self.report(
                    Diagnostic::new(Code::W1004, stmt.span, "this is never reached")
                        .label("what stands before it always leaves"),
                );
            }
            self.stmt(stmt, &mut out);
        }
        self.leave();
        out
    }

    /// Ends a scope and tells of the variables in it that nothing reads.
    pub(super) fn leave(&mut self) {
        for id in self.vars.leave(&self.locals) {
            let local = &self.locals[id];
            let facts = self.vars.facts(id);
            if facts.read || facts.counter || local.name.starts_with('_') || local.ty == Ty::Error {
                continue;
            }
            let text = format!("`${}` is never read", local.name);
            let diagnostic = Diagnostic::new(Code::W1003, local.span, text)
                .label("assigned here")
                .help("remove it, or begin its name with `_`");
            self.report(diagnostic);
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt, out: &mut Vec<Stmt>) {
        let span = stmt.span;
        match &stmt.kind {
            ast::StmtKind::Let { name, ty, init } => {
                self.declare(name, ty.as_ref(), init.as_ref(), span, out);
            }
            ast::StmtKind::Assign { target, op, value } => {
                self.assign(target, *op, value, span, out);
            }
            ast::StmtKind::Expr(e) => self.effect(e, span, out),
            ast::StmtKind::If { cond, then, otherwise } => {
                self.branch(cond, then, otherwise.as_ref(), span, out);
            }
            ast::StmtKind::ForRange { var, start, end, body } => {
                self.for_range(var, start, end, body, span, out);
            }
            ast::StmtKind::ForMap { map, .. } => {
                self.unbuilt("`for` over a map", map.span, span);
            }
            ast::StmtKind::While { cond, .. } => {
                self.unbuilt("`while`", cond.span, span);
            }
            ast::StmtKind::Unroll { count, .. } => {
                self.unbuilt("`unroll`", count.span, span);
            }
            ast::StmtKind::Break => self.jump(StmtKind::Break, "break", span, out),
            ast::StmtKind::Continue => self.jump(StmtKind::Continue, "continue", span, out),
            ast::StmtKind::Return(value) => self.ret(value.as_ref(), span, out),
            ast::StmtKind::Emit(value) => self.emit(value, span, out),
            ast::StmtKind::Block(block) => out.append(&mut self.block(block)),
            ast::StmtKind::Error => self.pass.left_out.add(self.pass.sources, span),
        }
    }

    fn unbuilt(&mut self, construct: &str, at: Span, stmt: Span) {
        self.report(unbuilt::unbuilt(construct, at));
        self.pass.left_out.add(self.pass.sources, stmt);
    }

    fn jump(&mut self, kind: StmtKind, word: &str, span: Span, out: &mut Vec<Stmt>) {
        if self.loops == 0 {
            self.report(
                Diagnostic::new(Code::E0241, span, format!("`{word}` outside of a loop"))
                    .help("`return` leaves the probe"),
            );
            return;
        }
        out.push(Stmt { kind, span });
        self.unreachable = true;
    }

    fn declare(
        &mut self,
        name: &Ident,
        ty: Option<&ast::TypeExpr>,
        init: Option<&ast::Expr>,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let value = init.map(|e| self.value(e));
        let ty = ty.map(|ty| self.resolve_value_type(ty));
        if let Some(earlier) = self.vars.in_this_block(&name.name) {
            let earlier = self.locals[earlier].span;
            self.report(
                Diagnostic::new(
                    Code::E0129,
                    name.span,
                    format!("`${}` is declared twice in one block", name.name),
                )
                .secondary(earlier, "declared here first")
                .help("assign to it without `let`, or choose another name"),
            );
            return;
        }
        let place = format!("`${}`", name.name);
        let value = match (&ty, value) {
            (Some(ty), Some(value)) => Some(self.assignable(value, ty, &place, Some(name.span))),
            (_, value) => value,
        };
        let known = ty.or_else(|| value.as_ref().map(|v| v.ty.clone()));
        let typed = known.is_some();
        let id = self.new_local(name, known.unwrap_or(Ty::Error), typed);
        if let Some(value) = value {
            self.vars.assigned.insert(id);
            out.push(Stmt { kind: StmtKind::Assign(id, value), span });
        }
    }

    pub(super) fn new_local(&mut self, name: &Ident, ty: Ty, typed: bool) -> LocalId {
        let id = self.locals.alloc(Local { name: name.name.clone(), ty, span: name.span });
        self.vars.add(name.name.clone(), id, VarFacts { typed, ..VarFacts::default() });
        id
    }

    /// A type that a variable can have.
    fn resolve_value_type(&mut self, ty: &ast::TypeExpr) -> Ty {
        let resolved = self.resolve(ty);
        if !matches!(resolved, Ty::Mirror(_) | Ty::Void) {
            return resolved;
        }
        let name = self.show(&resolved);
        let diagnostic =
            Diagnostic::new(Code::E0230, ty.span, format!("a variable cannot hold `{name}`"));
        self.report(match resolved {
            Ty::Mirror(_) => diagnostic
                .label("a mirror is seen through a pointer")
                .write(ty.span, format!("{name} *")),
            _ => diagnostic,
        });
        Ty::Error
    }

    /// An expression for its effect.
    fn effect(&mut self, e: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        match &e.kind {
            ast::ExprKind::Call { callee, args } if self.action(callee, args, e.span, out) => {
                return;
            }
            ast::ExprKind::Step { target, delta, .. } => {
                return self.step_statement(target, *delta, span, out);
            }
            _ => {}
        }
        let value = self.expr(e);
        if value.ty != Ty::Error || self.pass.inferring {
            out.push(Stmt { kind: StmtKind::Expr(value), span });
        }
    }

    fn branch(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Block,
        otherwise: Option<&ast::Block>,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let cond = self.condition(cond);
        let before = (self.vars.assigned.clone(), self.unreachable);
        let then = self.block(then);
        let after_then = std::mem::replace(&mut self.vars.assigned, before.0);
        let then_leaves = std::mem::replace(&mut self.unreachable, before.1);
        let otherwise = otherwise.map(|b| self.block(b)).unwrap_or_default();
        let otherwise_leaves = self.unreachable;
        if otherwise_leaves {
            self.vars.assigned = after_then;
        } else if !then_leaves {
            self.vars.assigned.retain(|id| after_then.contains(id));
        }
        self.unreachable = then_leaves && otherwise_leaves;
        out.push(Stmt { kind: StmtKind::If { cond, then, otherwise }, span });
    }

    /// The whole body, within its predicate.
    pub(in super::super) fn run(&mut self, probe: &ast::Probe) -> Vec<Stmt> {
        let Some(predicate) = &probe.predicate else {
            let body = self.block(&probe.body);
            self.check_verdict(None, probe.body.span);
            return body;
        };
        let cond = self.condition(predicate);
        let then = self.block(&probe.body);
        self.check_verdict(Some(predicate.span), probe.body.span);
        let span = predicate.span;
        vec![Stmt { kind: StmtKind::If { cond, then, otherwise: Vec::new() }, span }]
    }
}
