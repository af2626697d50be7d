//! Aggregations: `@map[key] = count()` and its like.

use super::super::builtins::{self, AggKind, Call, What};
use super::super::fold;
use super::super::hir::{Expr, ExprKind, Stmt, StmtKind};
use super::super::join::Slot;
use super::super::maps::{AggShape, ValueSlot};
use super::super::types::Ty;
use super::Body;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

/// The most buckets an `lhist` may have.
const MAX_LHIST_BUCKETS: i128 = 1024;

impl Body<'_, '_> {
    /// The aggregation that an expression calls, if it does.
    pub(super) fn aggregation(e: &ast::Expr) -> Option<(AggKind, &Ident, &[ast::Expr])> {
        let ast::ExprKind::Call { callee, args } = &e.kind else { return None };
        match builtins::find(&callee.name)?.what {
            What::Call(Call::Agg(kind), ..) => Some((kind, callee, args)),
            _ => None,
        }
    }

    /// `@map[key] = count()` and its like.
    pub(super) fn aggregate(
        &mut self,
        target: (&Ident, Option<&[ast::Expr]>, Span),
        kind: AggKind,
        (callee, args): (&Ident, &[ast::Expr]),
        call_span: Span,
        out: &mut Vec<Stmt>,
    ) {
        if !self.check_arity(callee, args, call_span) {
            return;
        }
        let (name, key, target_span) = target;
        let value = args.first().map(|a| self.value(a));
        let bounds = match kind {
            AggKind::Lhist => match self.lhist_bounds(args, call_span) {
                Some(bounds) => Some(bounds),
                None => return,
            },
            _ => None,
        };
        let Some(entry) = self.entry(name, key, target_span) else { return };
        let slot = match &value {
            None => Slot::constant(0),
            Some(value) => match &value.ty {
                Ty::Int(_) | Ty::Bool => Self::slot(value),
                Ty::Error if self.pass.inferring => Self::slot(value),
                Ty::Error => return,
                Ty::Enum(id) => Slot::of(Ty::Int(self.hir().enums[*id].repr)),
                _ => {
                    let found = self.show(&value.ty);
                    self.report(
                        Diagnostic::new(
                            Code::E0227,
                            value.span,
                            format!("`{}` is fed integers, not `{found}`", callee.name),
                        )
                        .label(format!("expected an integer, found `{found}`")),
                    );
                    return;
                }
            },
        };
        let shape = AggShape { kind, bounds };
        let Some(ty) = self.set_value(entry.map, ValueSlot::Agg(shape, slot), target_span) else {
            return;
        };
        let value = value.map(|v| match v.ty {
            Ty::Enum(_) => Expr { span: v.span, ty, kind: ExprKind::Convert(Box::new(v)) },
            _ => self.implicit(v, &ty),
        });
        out.push(Stmt { kind: StmtKind::Aggregate(entry, value), span: target_span.to(call_span) });
    }

    fn lhist_bounds(&mut self, args: &[ast::Expr], span: Span) -> Option<(i64, i64, u64)> {
        let mut numbers = Vec::new();
        for arg in args.iter().skip(1) {
            let value = self.value(arg);
            let number = fold::constant(&value).and_then(|v| i64::try_from(v).ok());
            let Some(number) = number else {
                if value.ty != Ty::Error {
                    self.report(
                        Diagnostic::new(
                            Code::E0231,
                            arg.span,
                            "the bounds of `lhist` are constants",
                        )
                        .label("expected a constant"),
                    );
                }
                return None;
            };
            numbers.push(number);
        }
        let [min, max, step] = numbers.as_slice() else { return None };
        let width = i128::from(*max) - i128::from(*min);
        let faulty = if *step <= 0 {
            Some("its step is not positive".to_owned())
        } else if width <= 0 {
            Some("its upper end is not above its lower end".to_owned())
        } else if width / i128::from(*step) > MAX_LHIST_BUCKETS {
            Some(format!("it would have more than {MAX_LHIST_BUCKETS} buckets"))
        } else {
            None
        };
        if let Some(why) = faulty {
            self.report(
                Diagnostic::new(
                    Code::E0429,
                    span,
                    format!("this `lhist` has no sensible buckets: {why}"),
                )
                .help("it is used as `lhist(n, min, max, step)`"),
            );
            return None;
        }
        Some((*min, *max, step.unsigned_abs()))
    }
}
