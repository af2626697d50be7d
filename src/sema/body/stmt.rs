//! Statements: blocks and their variables, assignments, branches, loops.

use super::super::builtins::{self, AggKind, Call, What};
use super::super::fold;
use super::super::hir::{Expr, ExprKind, Local, LocalId, Stmt, StmtKind};
use super::super::types::{IntTy, Pointee, Ty};
use super::super::unbuilt;
use super::{Body, VarFacts, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, BinaryOp, Ident};

/// The most rounds of a loop.
const MAX_ROUNDS: i128 = 1 << 16;

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
    fn leave(&mut self) {
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
                self.report(unbuilt::unbuilt("`for` over a map", map.span));
            }
            ast::StmtKind::While { cond, .. } => {
                self.report(unbuilt::unbuilt("`while`", cond.span));
            }
            ast::StmtKind::Unroll { count, .. } => {
                self.report(unbuilt::unbuilt("`unroll`", count.span));
            }
            ast::StmtKind::Break => self.jump(StmtKind::Break, "break", span, out),
            ast::StmtKind::Continue => self.jump(StmtKind::Continue, "continue", span, out),
            ast::StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.report(
                        Diagnostic::new(Code::E0240, value.span, "a probe returns no value")
                            .label("nobody takes it")
                            .write(span, "return"),
                    );
                }
                out.push(Stmt { kind: StmtKind::Return, span });
                self.unreachable = true;
            }
            ast::StmtKind::Emit(value) => self.emit(value, span, out),
            ast::StmtKind::Block(block) => out.append(&mut self.block(block)),
            ast::StmtKind::Error => {}
        }
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

    fn new_local(&mut self, name: &Ident, ty: Ty, typed: bool) -> LocalId {
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

    fn assign(
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

    fn not_assignable(&mut self, target: &ast::Expr) {
        let text = self.pass.sources.text(target.span);
        self.report(
            Diagnostic::new(Code::E0232, target.span, format!("`{text}` cannot be assigned to"))
                .label("expected a variable `$x` or a map `@m[key]`"),
        );
    }

    fn assign_local(
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
                self.cut(new, &ty)
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
    fn expr_local(&mut self, name: &Ident) -> Expr {
        let read = self.vars.find(&name.name).map(|id| (id, self.vars.facts(id).read));
        let kind = ast::ExprKind::Local(name.name.clone());
        let old = self.expr(&ast::Expr { kind, span: name.span });
        if let Some((id, read)) = read {
            self.vars.facts_mut(id).read = read;
        }
        old
    }

    /// The result of a compound assignment, cut to the variable's type as in C.
    fn cut(&mut self, e: Expr, to: &Ty) -> Expr {
        match (&e.ty, to) {
            (Ty::Int(from), Ty::Int(target)) if from != target => {
                let span = e.span;
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: to.clone(), span }
            }
            _ => e,
        }
    }

    fn is_counter(&mut self, id: LocalId, span: Span) -> bool {
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

    fn assign_field(
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
                            body.cut(new, &ty)
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

    /// An expression for its effect.
    fn effect(&mut self, e: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        match &e.kind {
            ast::ExprKind::Call { callee, args } => {
                if self.action(callee, args, e.span, out) {
                    return;
                }
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

    fn step_statement(&mut self, target: &ast::Expr, delta: i8, span: Span, out: &mut Vec<Stmt>) {
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

    fn for_range(
        &mut self,
        var: &Ident,
        start: &ast::Expr,
        end: &ast::Expr,
        block: &ast::Block,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let start = self.bound(start);
        let end = self.bound(end);
        let ty = self.slot(&start).join(&self.slot(&end)).map_or(Ty::Error, |s| s.resolved());
        let limit = self.rounds(&start, &end);
        self.vars.enter();
        let id = self.new_local(var, ty.clone(), true);
        self.vars.facts_mut(id).counter = true;
        self.vars.assigned.insert(id);
        let (assigned, unreachable) = (self.vars.assigned.clone(), self.unreachable);
        self.loops += 1;
        let body = self.block(block);
        self.loops -= 1;
        self.vars.assigned = assigned;
        self.unreachable = unreachable;
        self.leave();
        let Some(limit) = limit else { return };
        let start = self.implicit(start, &ty);
        let end = self.implicit(end, &ty);
        out.push(Stmt { kind: StmtKind::For { var: id, start, end, limit, body }, span });
    }

    fn bound(&mut self, e: &ast::Expr) -> Expr {
        let bound = self.value(e);
        if matches!(bound.ty, Ty::Int(_) | Ty::Error) {
            return bound;
        }
        if let Ty::Bool = bound.ty {
            return int_of_bool(bound);
        }
        let found = self.show(&bound.ty);
        self.fail(
            Diagnostic::new(
                Code::E0227,
                bound.span,
                format!("a loop counts integers, not `{found}`"),
            )
            .label(format!("expected an integer, found `{found}`")),
        )
    }

    /// The most rounds a loop can have, as far as its bounds say.
    fn rounds(&mut self, start: &Expr, end: &Expr) -> Option<u32> {
        if start.ty == Ty::Error || end.ty == Ty::Error {
            return None;
        }
        let (low, _) = fold::range(start);
        let (_, high) = fold::range(end);
        let rounds = high - low;
        if rounds <= MAX_ROUNDS {
            return Some(u32::try_from(rounds.max(0)).unwrap_or(0));
        }
        if fold::constant(start).is_some() && fold::constant(end).is_some() {
            let text = format!("this loop has {rounds} rounds");
            let span = start.span.to(end.span);
            let diagnostic = Diagnostic::new(Code::E0520, span, text)
                .label(format!("at most {MAX_ROUNDS} are allowed"))
                .note("a program must end in time: the kernel's processor waits for it");
            self.report(diagnostic);
            return None;
        }
        let open = if fold::constant(end).is_some() { start } else { end };
        let found = self.show(&open.ty);
        let text = super::ops::parenthesized(self.pass.sources.text(open.span));
        let range_of = matches!(open.ty, Ty::Int(IntTy { bits: 64, .. }));
        let what = if range_of {
            "has no limit".to_owned()
        } else {
            format!("may go through every `{found}`")
        };
        self.report(
            Diagnostic::new(Code::E0520, open.span, format!("this loop {what}"))
                .label(format!("at most {MAX_ROUNDS} rounds must be plain from the bounds"))
                .note("the verifier must see that every loop ends")
                .help(format!("limit it: `{text} & 0xff`, `{text} % 100`, or a narrower type such as `(u8){text}`")),
        );
        None
    }

    /// The aggregation that an expression calls, if it does.
    pub(super) fn aggregation<'e>(
        &self,
        e: &'e ast::Expr,
    ) -> Option<(AggKind, &'e Ident, &'e [ast::Expr])> {
        let ast::ExprKind::Call { callee, args } = &e.kind else { return None };
        match builtins::find(&callee.name)?.what {
            What::Call(Call::Agg(kind), ..) => Some((kind, callee, args)),
            _ => None,
        }
    }

    /// The whole body, within its predicate.
    pub(in super::super) fn run(&mut self, probe: &ast::Probe) -> Vec<Stmt> {
        let Some(predicate) = &probe.predicate else { return self.block(&probe.body) };
        let cond = self.condition(predicate);
        let then = self.block(&probe.body);
        let span = predicate.span;
        vec![Stmt { kind: StmtKind::If { cond, then, otherwise: Vec::new() }, span }]
    }
}

fn int_of_bool(e: Expr) -> Expr {
    match e.kind {
        ExprKind::Int(value) => int(value, Ty::S64, e.span),
        _ => Expr { ty: Ty::Int(IntTy::U8), ..e },
    }
}
