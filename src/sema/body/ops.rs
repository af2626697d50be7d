//! Operators: which types they take, which signed or unsigned form is meant, and what they give.

use super::super::hir::{BinOp, Expr, ExprKind, UnOp};
use super::super::types::{IntTy, Ty};
use super::super::{arith, fold, join, show};
use super::{Body, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, BinaryOp, UnaryOp};

impl Body<'_, '_> {
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        left: &ast::Expr,
        right: &ast::Expr,
        span: Span,
    ) -> Expr {
        if matches!(op, BinaryOp::LogAnd | BinaryOp::LogOr) {
            return self.logical(op, left, right, span);
        }
        let left = self.expr(left);
        let right = self.expr(right);
        self.combine(op, left, right, span)
    }

    fn logical(&mut self, op: BinaryOp, left: &ast::Expr, right: &ast::Expr, span: Span) -> Expr {
        let left = self.condition(left);
        let right = self.condition(right);
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = if op == BinaryOp::LogAnd {
            ExprKind::LogAnd(left, right)
        } else {
            ExprKind::LogOr(left, right)
        };
        Expr { kind, ty: Ty::Bool, span }
    }

    /// An operator on two values.
    pub(super) fn combine(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        if left.ty == Ty::Error || right.ty == Ty::Error {
            return self.combine_unknown(op, &left, &right, span);
        }
        if let Some(refused) = self.mirrored_enum_operand(op, &left, &right, span) {
            return refused;
        }
        if op.is_comparison() {
            self.compare(op, left, right, span)
        } else {
            self.arith(op, left, right, span)
        }
    }

    /// While types are being looked for, what is known of one operand tells something of the result.
    fn combine_unknown(&self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Expr {
        let known = if left.ty == Ty::Error { right } else { left };
        let ty = match known.ty {
            _ if !self.pass.inferring => Ty::Error,
            _ if op.is_comparison() => Ty::Bool,
            // The left side alone says what a shift is.
            _ if matches!(op, BinaryOp::Shl | BinaryOp::Shr) && left.ty == Ty::Error => Ty::S64,
            Ty::Int(_) | Ty::Bool => arith::meaning(op, widened(&known.ty), widened(&known.ty))
                .and_then(|m| m.result)
                .map_or(Ty::Error, Ty::Int),
            _ => Ty::Error,
        };
        Expr { ty, ..error(span) }
    }

    fn arith(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        for side in [&left, &right] {
            if let Some(refused) = self.refuse_in_arithmetic(op, side) {
                return refused;
            }
        }
        let meaning = arith::meaning(op, widened(&left.ty), widened(&right.ty));
        match meaning.and_then(|m| Some((m.op, m.result?))) {
            Some((op, ty)) => build(op, left, right, Ty::Int(ty), span),
            None => error(span),
        }
    }

    fn refuse_in_arithmetic(&mut self, op: BinaryOp, side: &Expr) -> Option<Expr> {
        let found = self.show(&side.ty);
        let diagnostic = Diagnostic::new(
            Code::E0220,
            side.span,
            format!("`{}` works on integers, not on `{found}`", op.as_str()),
        )
        .label(format!("expected an integer, found `{found}`"));
        let text = self.pass.sources.text(side.span);
        let diagnostic = match side.ty {
            Ty::Int(_) | Ty::Bool | Ty::Enum(_) | Ty::Error => return None,
            Ty::Ptr(_) => diagnostic
                .note("a pointer into the kernel is compared, used as a key, or read through; its number means nothing elsewhere")
                .write(side.span, format!("(u64){}", parenthesized(text))),
            _ => diagnostic,
        };
        Some(self.fail(diagnostic))
    }

    fn compare(&mut self, op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        let comparable = match (&left.ty, &right.ty) {
            (Ty::Int(_) | Ty::Bool | Ty::Enum(_), Ty::Int(_) | Ty::Bool | Ty::Enum(_)) => {
                self.check_signs(&left, &right);
                self.check_byte_order(&left, &right);
                true
            }
            (Ty::Ptr(a), Ty::Ptr(b)) => equality && a == b,
            (Ty::Ptr(_), Ty::Int(_)) => equality && fold::constant(&right) == Some(0),
            (Ty::Int(_), Ty::Ptr(_)) => equality && fold::constant(&left) == Some(0),
            (Ty::Str(_), Ty::Str(_)) => {
                if equality {
                    return mem_eq(op, left, right, span);
                }
                false
            }
            (a @ (Ty::Tuple(_) | Ty::Struct(_) | Ty::Array(..)), b) if equality && a == b => {
                return mem_eq(op, left, right, span);
            }
            _ => false,
        };
        if !comparable {
            return self.refuse_comparison(op, &left, &right, span);
        }
        let both = comparison_type(&left, &right);
        let Some(meaning) = arith::meaning(op, both, both) else { return error(span) };
        let (left, right) = if meaning.swap { (right, left) } else { (left, right) };
        build(meaning.op, left, right, Ty::Bool, span)
    }

    fn refuse_comparison(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Expr {
        let (l, r) = (self.show(&left.ty), self.show(&right.ty));
        let text = match (&left.ty, &right.ty) {
            (a, b) if a == b || matches!((a, b), (Ty::Str(_), Ty::Str(_))) => {
                format!("`{}` does not order values of `{l}`", op.as_str())
            }
            _ => format!("`{l}` and `{r}` cannot be compared"),
        };
        let mut diagnostic = Diagnostic::new(Code::E0221, span, text)
            .secondary(left.span, format!("this is `{l}`"))
            .secondary(right.span, format!("this is `{r}`"));
        if matches!((&left.ty, &right.ty), (Ty::Ptr(_), _) | (_, Ty::Ptr(_))) {
            diagnostic = diagnostic.help(
                "pointers compare with `==` and `!=`, with pointers of the same type and with 0",
            );
        } else if matches!(left.ty, Ty::Str(_)) && matches!(right.ty, Ty::Str(_)) {
            diagnostic = diagnostic.help("text compares with `==` and `!=`");
        }
        self.fail(diagnostic)
    }

    /// W1001: comparing `u64` with a signed value turns negative numbers into huge ones.
    fn check_signs(&mut self, left: &Expr, right: &Expr) {
        let (l, r) = (value_type(&left.ty), value_type(&right.ty));
        let (signed, unsigned) = match (l.signed, r.signed) {
            (true, false) if r == IntTy::U64 => (left, right),
            (false, true) if l == IntTy::U64 => (right, left),
            _ => return,
        };
        if fold::range(signed).0 >= 0 || comparison_type(left, right).signed {
            return;
        }
        let (s, u) = (self.show(&signed.ty), self.show(&unsigned.ty));
        let text = self.pass.sources.text(signed.span);
        let cast = format!("(u64){}", parenthesized(text));
        let span = left.span.to(right.span);
        let diagnostic = Diagnostic::new(
            Code::W1001,
            span,
            format!("comparing `{s}` with `{u}` takes negative numbers for huge ones"),
        )
        .secondary(signed.span, format!("this is `{s}`"))
        .secondary(unsigned.span, format!("this is `{u}`"))
        .note("where one side is `u64`, both are compared as `u64`, as in C")
        .write(signed.span, cast);
        self.report(diagnostic);
    }

    /// A mirrored enum has another number on every kernel: it compares with its own enumerators only.
    fn mirrored_enum_operand(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) -> Option<Expr> {
        let mirrored = |e: &Expr| match e.ty {
            Ty::Enum(id) if self.hir().enums[id].kernel.is_some() => Some(id),
            _ => None,
        };
        let (side, other, id) = match (mirrored(left), mirrored(right)) {
            (None, None) => return None,
            (Some(id), _) => (left, right, id),
            (None, Some(id)) => (right, left, id),
        };
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
        if equality && left.ty == right.ty {
            return None;
        }
        let decl = &self.hir().enums[id];
        let names: Vec<&str> = decl.enumerators.iter().map(|e| e.name.as_str()).collect();
        let ty = self.show(&side.ty);
        let numbers = "its numbers differ between kernels, which is why it is mirrored";
        let diagnostic = if op.is_comparison() {
            let found = self.show(&other.ty);
            let mut diagnostic = Diagnostic::new(
                Code::E0228,
                other.span,
                format!("`{ty}` is compared with `{found}`"),
            )
            .label(format!("expected one of its enumerators, found `{found}`"))
            .secondary(side.span, format!("this is `{ty}`"))
            .secondary(self.head(decl.span), "declared here")
            .note(numbers)
            .help(format!("compare it with {}", show::list(names.iter().copied(), 8)));
            for name in names.iter().take(4) {
                diagnostic = diagnostic.write(other.span, *name);
            }
            diagnostic
        } else {
            let text = self.pass.sources.text(side.span);
            Diagnostic::new(
                Code::E0220,
                side.span,
                format!("`{}` works on integers, not on `{ty}`", op.as_str()),
            )
            .note(numbers)
            .write(side.span, format!("(u64){}", parenthesized(text)))
        };
        let mut refused = self.fail(diagnostic);
        refused.span = span;
        Some(refused)
    }

    pub(super) fn unary(&mut self, op: UnaryOp, inner: &ast::Expr, span: Span) -> Expr {
        match op {
            UnaryOp::Deref => return self.deref_outside_emit(inner, span),
            UnaryOp::AddrOf => {
                let _ = self.expr(inner);
                return self.fail(
                    Diagnostic::new(Code::E0220, span, "`&` takes the address of nothing here")
                        .label("values of a script have no address")
                        .help("pointers come from probe arguments and mirror fields"),
                );
            }
            UnaryOp::Not => {
                let inner = self.condition(inner);
                return build_unary(UnOp::LogNot, inner, Ty::Bool, span);
            }
            UnaryOp::Neg | UnaryOp::BitNot => {}
        }
        let inner = self.expr(inner);
        let (form, name) = match op {
            UnaryOp::Neg => (UnOp::Neg, BinaryOp::Sub),
            _ => (UnOp::Not, BinaryOp::Xor),
        };
        if inner.ty == Ty::Error {
            return error(span);
        }
        if let Some(refused) = self.refuse_in_arithmetic(name, &inner) {
            return refused;
        }
        let ty = match widened(&inner.ty) {
            IntTy::U64 if form == UnOp::Not => IntTy::U64,
            _ => IntTy::S64,
        };
        build_unary(form, inner, Ty::Int(ty), span)
    }

    pub(super) fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Expr,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Expr {
        let cond = self.condition(cond);
        let then = self.value(then);
        let otherwise = self.value(otherwise);
        let slot = Self::slot(&then).join(&Self::slot(&otherwise));
        let ty = slot.map(|s| s.resolved());
        let Some(ty) = ty else {
            let (t, o) = (self.show(&then.ty), self.show(&otherwise.ty));
            let diagnostic =
                Diagnostic::new(Code::E0221, span, "the two values of `?:` have different types")
                    .secondary(then.span, format!("this is `{t}`"))
                    .secondary(otherwise.span, format!("this is `{o}`"));
            return self.fail(diagnostic);
        };
        let lost = then.ty == Ty::Error || otherwise.ty == Ty::Error || cond.ty == Ty::Error;
        if lost && !self.pass.inferring {
            return error(span);
        }
        let then = self.implicit(then, &ty);
        let otherwise = self.implicit(otherwise, &ty);
        let kind = ExprKind::Cond(Box::new(cond), Box::new(then), Box::new(otherwise));
        Expr { kind, ty, span }
    }

    /// A scalar that is tested against 0.
    pub(super) fn condition(&mut self, e: &ast::Expr) -> Expr {
        let cond = self.expr(e);
        if cond.ty.is_scalar() {
            return cond;
        }
        let found = self.show(&cond.ty);
        let mut diagnostic =
            Diagnostic::new(Code::E0223, cond.span, format!("a condition cannot be `{found}`"))
                .label(format!("expected a number, bool or pointer, found `{found}`"));
        if matches!(cond.ty, Ty::Str(_)) {
            let text = self.pass.sources.text(cond.span);
            diagnostic = diagnostic.write(cond.span, format!("{} != \"\"", parenthesized(text)));
        }
        self.fail(diagnostic)
    }
}

fn mem_eq(op: BinaryOp, left: Expr, right: Expr, span: Span) -> Expr {
    let (left, right) = (Box::new(left), Box::new(right));
    Expr { kind: ExprKind::MemEq { left, right, negate: op == BinaryOp::Ne }, ty: Ty::Bool, span }
}

/// A binary operation, done at once where both operands are known.
pub(super) fn build(op: BinOp, left: Expr, right: Expr, ty: Ty, span: Span) -> Expr {
    if let (ExprKind::Int(a), ExprKind::Int(b)) = (&left.kind, &right.kind) {
        return int(fold::binary(op, *a, *b), ty, span);
    }
    Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), ty, span }
}

fn build_unary(op: UnOp, inner: Expr, ty: Ty, span: Span) -> Expr {
    if let ExprKind::Int(value) = inner.kind {
        return int(fold::unary(op, value), ty, span);
    }
    Expr { kind: ExprKind::Unary(op, Box::new(inner)), ty, span }
}

/// The integer type of a scalar.
fn value_type(ty: &Ty) -> IntTy {
    match ty {
        Ty::Int(int) => *int,
        Ty::Bool => IntTy::U8,
        _ => IntTy::U64,
    }
}

/// What a scalar is in arithmetic: 64 bits, `s64` unless it is `u64` already.
fn widened(ty: &Ty) -> IntTy {
    match ty {
        Ty::Int(IntTy::U64) | Ty::Ptr(_) => IntTy::U64,
        _ => IntTy::S64,
    }
}

/// What both sides of a comparison are taken for: a constant that fits the other side's type is of that type.
fn comparison_type(left: &Expr, right: &Expr) -> IntTy {
    let (l, r) = (widened(&left.ty), widened(&right.ty));
    let adapts = |e: &Expr, other| fold::constant(e).is_some_and(|v| join::fits(v, other));
    match (adapts(left, r), adapts(right, l)) {
        (true, false) => r,
        (false, true) => l,
        _ => join::int(l, r),
    }
}

/// The text of an expression, in parentheses unless it is a single word or path.
pub(super) fn parenthesized(text: &str) -> String {
    let simple = |c: char| c.is_alphanumeric() || "_.$@".contains(c);
    let wrapped = text.starts_with('(') && text.ends_with(')') && text.matches('(').count() == 1;
    if wrapped || text.chars().all(simple) { text.to_owned() } else { format!("({text})") }
}
