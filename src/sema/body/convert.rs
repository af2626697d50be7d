//! Conversions: those that need no word, and casts.

use super::super::fold;
use super::super::hir::{BinOp, ClassLevel, Expr, ExprKind};
use super::super::join::{self, Slot};
use super::super::types::{IntTy, Pointee, Ty};
use super::{Body, error, int, ops};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;
use std::sync::Arc;

/// Why a value does not become one of another type without a word.
enum Refusal {
    /// Values would be lost.
    Narrow,
    /// It means something else.
    Type,
}

impl Body<'_, '_> {
    /// What an expression tells of a map's key or value.
    pub(super) fn slot(e: &Expr) -> Slot {
        match fold::constant(e) {
            Some(value) if matches!(e.ty, Ty::Int(_)) => Slot::constant(value),
            _ => Slot::of(e.ty.clone()),
        }
    }

    /// Brings a value to a type without a word, where joining has shown that the type holds it.
    pub(super) fn implicit(&mut self, e: Expr, to: &Ty) -> Expr {
        let span = e.span;
        self.convert(e, to).unwrap_or_else(|(_, _)| error(span))
    }

    /// Brings a value to the type that `place`, such as "`$x`", has since `declared`.
    pub(super) fn assignable(
        &mut self,
        e: Expr,
        to: &Ty,
        place: &str,
        declared: Option<Span>,
    ) -> Expr {
        let (e, refusal) = match self.convert(e, to) {
            Ok(e) => return e,
            Err(refused) => refused,
        };
        let (found, expected) = (self.show(&e.ty), self.show(to));
        let mut diagnostic = match refusal {
            Refusal::Type => Diagnostic::new(
                Code::E0221,
                e.span,
                format!("{place} is `{expected}` and cannot hold `{found}`"),
            ),
            Refusal::Narrow if fold::constant(&e).is_some() => Diagnostic::new(
                Code::E0222,
                e.span,
                format!("{} does not fit {place}, which is `{expected}`", Self::number(&e)),
            ),
            Refusal::Narrow => Diagnostic::new(
                Code::E0222,
                e.span,
                format!("{place} is `{expected}`, into which not every `{found}` fits"),
            ),
        }
        .label(format!("expected `{expected}`, found `{found}`"));
        if let Some(declared) = declared {
            diagnostic =
                diagnostic.secondary(declared, format!("{place} is `{expected}` since here"));
        }
        let text = ops::parenthesized(self.pass.sources.text(e.span));
        if let (Ty::Int(_), Ty::Int(_) | Ty::Enum(_) | Ty::Ptr(_)) = (to, &e.ty) {
            diagnostic = diagnostic.write(e.span, format!("({expected}){text}"));
        }
        if (to, &e.ty).0 == &Ty::Bool && e.ty.is_scalar() {
            diagnostic = diagnostic.write(e.span, format!("{text} != 0"));
        }
        self.fail(diagnostic)
    }

    fn number(e: &Expr) -> String {
        fold::constant(e).map_or_else(String::new, |value| format!("`{value}`"))
    }

    fn convert(&mut self, e: Expr, to: &Ty) -> Result<Expr, (Expr, Refusal)> {
        if e.ty == *to || e.ty == Ty::Error || *to == Ty::Error {
            return Ok(Expr { ty: to.clone(), ..e });
        }
        match (&e.ty, to) {
            (Ty::Int(from), Ty::Int(target)) => {
                let from = *from;
                Self::convert_int(e, from, *target)
            }
            (Ty::Bool, Ty::Int(_)) => Ok(retype(e, to)),
            (Ty::Enum(id), Ty::Int(target)) if self.hir().enums[*id].kernel.is_none() => {
                let from = self.hir().enums[*id].repr;
                Self::convert_int(e, from, *target)
            }
            (Ty::Int(_), Ty::Bool) => match fold::constant(&e) {
                Some(0 | 1) => Ok(Expr { ty: Ty::Bool, ..e }),
                _ => Err((e, Refusal::Type)),
            },
            (Ty::Int(_), Ty::Ptr(_)) if fold::constant(&e) == Some(0) => {
                Ok(Expr { ty: to.clone(), ..e })
            }
            (Ty::Str(from), Ty::Str(target)) if from <= target => Ok(retype(e, to)),
            (Ty::Str(_), Ty::Str(_)) => Err((e, Refusal::Narrow)),
            (Ty::Tuple(from), Ty::Tuple(target)) if from.len() == target.len() => {
                let target = Arc::clone(target);
                self.convert_tuple(e, &target)
            }
            _ => Err((e, Refusal::Type)),
        }
    }

    /// Values are kept; between types of equal width the bits are, as in C.
    fn convert_int(e: Expr, from: IntTy, to: IntTy) -> Result<Expr, (Expr, Refusal)> {
        if let (ExprKind::Int(_), Some(value)) = (&e.kind, fold::constant(&e)) {
            let same_bits = to.bits == 64;
            if !same_bits && !join::fits(value, to) {
                return Err((e, Refusal::Narrow));
            }
            return Ok(Expr { ty: Ty::Int(to), ..e });
        }
        let (low, high) = fold::range(&e);
        let fits = join::fits(low, to) && join::fits(high, to);
        if fits || to.bits >= from.bits {
            return Ok(retype(e, &Ty::Int(to)));
        }
        Err((e, Refusal::Narrow))
    }

    /// A tuple, part by part: of one that is written out, or of a variable.
    fn convert_tuple(&mut self, e: Expr, to: &Arc<[Ty]>) -> Result<Expr, (Expr, Refusal)> {
        let span = e.span;
        let parts: Vec<Expr> = match (e.kind, e.ty) {
            (ExprKind::Aggregate(parts), _) => parts,
            (ExprKind::Local(id), Ty::Tuple(types)) => {
                let local =
                    || Expr { kind: ExprKind::Local(id), ty: Ty::Tuple(Arc::clone(&types)), span };
                let member = |(i, ty): (u32, &Ty)| Expr {
                    kind: ExprKind::Member(Box::new(local()), i),
                    ty: ty.clone(),
                    span,
                };
                (0..).zip(types.iter()).map(member).collect()
            }
            (kind, ty) => return Err((Expr { kind, ty, span }, Refusal::Type)),
        };
        let mut converted = Vec::new();
        for (part, ty) in parts.into_iter().zip(to.iter()) {
            converted.push(self.convert(part, ty)?);
        }
        Ok(Expr { kind: ExprKind::Aggregate(converted), ty: Ty::Tuple(Arc::clone(to)), span })
    }

    /// `(type)value`
    pub(super) fn cast(&mut self, ty: &ast::TypeExpr, inner: &ast::Expr, span: Span) -> Expr {
        let to = self.resolve(ty);
        let e = self.expr(inner);
        if e.ty == Ty::Error || to == Ty::Error {
            return Expr { ty: to, ..error(span) };
        }
        match (&e.ty, &to) {
            (from, to) if from == to => Expr { span, ..e },
            (from, Ty::Int(to)) if from.is_scalar() => cast_int(e, *to, span),
            (from, Ty::Bool) if from.is_scalar() => {
                ops::build(BinOp::Ne, e, int(0, Ty::S64, span), Ty::Bool, span)
            }
            (Ty::Int(_), Ty::Enum(id)) if self.hir().enums[*id].kernel.is_none() => {
                let repr = self.hir().enums[*id].repr;
                Expr { ty: to.clone(), ..cast_int(e, repr, span) }
            }
            (Ty::Ptr(from), Ty::Ptr(Pointee::Mirror(id))) => {
                self.use_mirror(*id, span);
                if !matches!(from, Pointee::Mirror(_) | Pointee::Kernel(_)) {
                    return self.refuse_cast(&e, &to, ty.span);
                }
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: to, span }
            }
            (Ty::Int(_), Ty::Ptr(Pointee::Mirror(id))) => {
                self.use_mirror(*id, span);
                let name = self.hir().mirrors[*id].name.clone();
                self.raw_fetch(span, &format!("the cast of a number to `struct {name} *`"));
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: to, span }
            }
            (
                Ty::Int(_) | Ty::Ptr(_),
                Ty::Ptr(Pointee::UserStr | Pointee::User(_) | Pointee::Kernel(_)),
            ) => {
                if let Ty::Ptr(Pointee::Kernel(name)) = &to {
                    self.lower_class(ClassLevel::NotAbi, span, || {
                        format!("`{name}` is a kernel type that no mirror describes")
                    });
                }
                Expr { kind: ExprKind::Convert(Box::new(e)), ty: to, span }
            }
            (Ty::Str(a), Ty::Str(b)) if a <= b => Expr { span, ..retype(e, &to) },
            _ => self.refuse_cast(&e, &to, ty.span),
        }
    }

    fn refuse_cast(&mut self, e: &Expr, to: &Ty, ty_span: Span) -> Expr {
        let (found, target) = (self.show(&e.ty), self.show(to));
        self.fail(
            Diagnostic::new(Code::E0224, e.span, format!("`{found}` cannot be cast to `{target}`"))
                .label(format!("this is `{found}`"))
                .secondary(ty_span, format!("cast to `{target}`")),
        )
    }

    /// The type that is written.
    pub(super) fn resolve(&mut self, ty: &ast::TypeExpr) -> Ty {
        super::super::typeexpr::resolve(self.pass.decls, ty, &mut self.pass.diags)
    }
}

/// The same value under another type that holds it; where it is in memory, its own type still says how it is read.
pub(super) fn retype(e: Expr, to: &Ty) -> Expr {
    let span = e.span;
    match e.kind {
        ExprKind::Int(_) | ExprKind::Str(_) => Expr { ty: to.clone(), ..e },
        _ => Expr { kind: ExprKind::Convert(Box::new(e)), ty: to.clone(), span },
    }
}

fn cast_int(e: Expr, to: IntTy, span: Span) -> Expr {
    if let ExprKind::Int(value) = e.kind {
        return int(fold::convert(value, to), Ty::Int(to), span);
    }
    Expr { kind: ExprKind::Convert(Box::new(e)), ty: Ty::Int(to), span }
}
