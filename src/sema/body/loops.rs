//! Loops: every one has a limit that its bounds show.

use super::super::fold;
use super::super::hir::{Expr, Stmt, StmtKind};
use super::super::types::{IntTy, Ty};
use super::Body;
use super::convert::retype;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

/// The most rounds of a loop.
const MAX_ROUNDS: i128 = 1 << 16;

impl Body<'_, '_> {
    pub(super) fn for_range(
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
        let ty = Self::slot(&start).join(&Self::slot(&end)).map_or(Ty::Error, |s| s.resolved());
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

    pub(super) fn bound(&mut self, e: &ast::Expr) -> Expr {
        let bound = self.value(e);
        if matches!(bound.ty, Ty::Int(_) | Ty::Error) {
            return bound;
        }
        if let Ty::Bool = bound.ty {
            return retype(bound, &Ty::Int(IntTy::U8));
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
    pub(super) fn rounds(&mut self, start: &Expr, end: &Expr) -> Option<u32> {
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
}
