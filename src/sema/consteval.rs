//! Constant expressions: `const` and `param` values, array lengths, enumerators, settings.
//!
//! In: an expression and the declarations. Out: its type and value, computed exactly as programs compute. Invariant: a value is within its
//! type, extended to 64 bits.

use super::decls::{Decls, TypeDecl, ValueDecl};
use super::hir::{ConstValue, EnumeratorValue, UnOp};
use super::suggest::nearest;
use super::types::{IntTy, Ty};
use super::{arith, fold, join, layout, show, typeexpr, unbuilt};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::Span;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Ident, Name, TypeExpr, TypeExprKind, UnaryOp};

/// The type and value of a constant expression; nothing where a diagnostic says why.
pub fn eval(decls: &Decls, e: &Expr, diags: &mut Diags) -> Option<(Ty, ConstValue)> {
    Evaluator { decls, diags }.eval(e)
}

/// The value of a constant expression that is to be of type `ty`; `place`, such as "`N`", is what it is for.
pub fn eval_as(
    decls: &Decls,
    e: &Expr,
    ty: &Ty,
    place: &str,
    diags: &mut Diags,
) -> Option<ConstValue> {
    let (found, value) = eval(decls, e, diags)?;
    let problem = match (ty, &value) {
        (Ty::Error, _) => return None,
        (Ty::Str(len), ConstValue::Str(text)) if text.len() <= *len as usize => return Some(value),
        (Ty::Str(len), ConstValue::Str(text)) => {
            format!("the text has {} bytes; {place} holds {len}", text.len())
        }
        (Ty::Int(to), ConstValue::Int(number)) if int_of(&found).is_some() => {
            let number = signed_value(&found, *number);
            if join::fits(number, *to) {
                return Some(value);
            }
            format!("{number} does not fit {place}, which is `{}`", show::int(*to))
        }
        (Ty::Bool, ConstValue::Int(number)) if *number <= 1 => return Some(value),
        (Ty::Enum(_), _) if found == *ty => return Some(value),
        _ => {
            let (expected, found) = (show::ty(&decls.hir, ty), show::ty(&decls.hir, &found));
            format!("{place} is `{expected}` and cannot hold `{found}`")
        }
    };
    diags.push(Diagnostic::new(Code::E0205, e.span, problem));
    None
}

/// A constant integer, read as its type says.
pub fn signed_value(ty: &Ty, value: u64) -> i128 {
    match ty {
        // Enumerators are held in 64 bits with their sign.
        Ty::Int(IntTy { signed: true, .. }) | Ty::Enum(_) => i128::from(value.cast_signed()),
        _ => i128::from(value),
    }
}

/// The integer type as which a value takes part in arithmetic.
fn int_of(ty: &Ty) -> Option<IntTy> {
    match ty {
        Ty::Int(int) => Some(*int),
        Ty::Bool | Ty::Enum(_) => Some(IntTy::S64),
        _ => None,
    }
}

/// The type of a literal: `s64`, unless it is too large for that.
pub fn literal_type(value: u64) -> IntTy {
    if i64::try_from(value).is_ok() { IntTy::S64 } else { IntTy::U64 }
}

struct Evaluator<'a> {
    decls: &'a Decls,
    diags: &'a mut Diags,
}

type Value = (Ty, ConstValue);

fn int(ty: IntTy, value: u64) -> Value {
    (Ty::Int(ty), ConstValue::Int(value))
}

fn boolean(value: u64) -> Value {
    (Ty::Bool, ConstValue::Int(value))
}

impl Evaluator<'_> {
    fn eval(&mut self, e: &Expr) -> Option<Value> {
        match &e.kind {
            ExprKind::Int(value) | ExprKind::Duration(value) => {
                Some(int(literal_type(*value), *value))
            }
            ExprKind::Bool(value) => Some(boolean(u64::from(*value))),
            ExprKind::Str(text) => {
                let len = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
                Some((Ty::Str(len), ConstValue::Str(text.clone())))
            }
            ExprKind::Name(name) => self.name(name, e.span),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, e.span),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, e.span),
            ExprKind::Ternary(cond, then, otherwise) => {
                let (_, cond) = self.number(cond)?;
                // Both are checked, so that the one not taken has no mistakes either.
                let (then, otherwise) = (self.eval(then), self.eval(otherwise));
                let ((then_ty, then), (other_ty, other)) = (then?, otherwise?);
                let ty = match (&then_ty, &other_ty) {
                    (Ty::Int(a), Ty::Int(b)) => Ty::Int(join::int(*a, *b)),
                    _ if cond == 0 => other_ty,
                    _ => then_ty,
                };
                Some((ty, if cond == 0 { other } else { then }))
            }
            ExprKind::Cast(ty, operand) => self.cast(ty, operand, e.span),
            ExprKind::SizeofType(ty) => {
                let ty = typeexpr::resolve(self.decls, ty, self.diags);
                let size = layout::of(&self.decls.hir, &ty).size;
                (ty != Ty::Error).then(|| int(IntTy::S64, u64::from(size)))
            }
            ExprKind::Offsetof(ty, path) => self.offsetof(ty, path, e.span),
            ExprKind::Error => None,
            ExprKind::Call { callee, .. } => self.not_constant(
                e.span,
                &format!("`{}` is computed when a program runs", callee.name),
            ),
            ExprKind::Local(_)
            | ExprKind::Map { .. }
            | ExprKind::Field { .. }
            | ExprKind::Index { .. }
            | ExprKind::StructLit(..)
            | ExprKind::Tuple(_)
            | ExprKind::Step { .. }
            | ExprKind::SizeofExpr(_)
            | ExprKind::Type(_)
            | ExprKind::Block(..) => {
                self.not_constant(e.span, "this is computed when a program runs")
            }
        }
    }

    fn not_constant<T>(&mut self, span: Span, why: &str) -> Option<T> {
        self.diags.push(
            Diagnostic::new(Code::E0204, span, "the value must be known when the script is compiled")
                .label(why)
                .help("constants are numbers, text, `const`s, enumerators, `sizeof`, `offsetof`, and operators on these"),
        );
        None
    }

    fn name(&mut self, name: &Name, span: Span) -> Option<Value> {
        match self.decls.values.get(name) {
            Some(ValueDecl::Const { ty, value, .. }) => Some((ty.clone(), value.clone())),
            Some(ValueDecl::Enumerator(id, index)) => {
                let decl = &self.decls.hir.enums[*id];
                match decl.enumerators.get(*index as usize).map(|e| &e.value) {
                    Some(EnumeratorValue::Const(value)) => {
                        Some((Ty::Enum(*id), ConstValue::Int(*value)))
                    }
                    _ => self.not_constant(
                        span,
                        "the kernel that the program is loaded into gives its number",
                    ),
                }
            }
            Some(ValueDecl::Param(_)) => {
                self.not_constant(span, "a parameter is set when the program is loaded")
            }
            Some(ValueDecl::Error) => None,
            None => {
                let mut diagnostic =
                    Diagnostic::new(Code::E0107, span, format!("unknown constant `{name}`"));
                if let Some(near) = nearest(name, self.decls.values.keys().map(Name::as_str)) {
                    diagnostic = diagnostic.fix(format!("did you mean `{near}`?"), span, near);
                }
                self.diags.push(diagnostic);
                None
            }
        }
    }

    /// A value that an operator works on.
    fn number(&mut self, e: &Expr) -> Option<(IntTy, u64)> {
        let (ty, value) = self.eval(e)?;
        if let (Some(int), ConstValue::Int(value)) = (int_of(&ty), value) {
            return Some((int, value));
        }
        let found = show::ty(&self.decls.hir, &ty);
        self.diags.push(
            Diagnostic::new(Code::E0205, e.span, "operators work on numbers")
                .label(format!("expected a number, found `{found}`")),
        );
        None
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, span: Span) -> Option<Value> {
        let (ty, value) = match op {
            UnaryOp::Deref | UnaryOp::AddrOf => {
                return self.not_constant(span, "this needs an address");
            }
            UnaryOp::Neg | UnaryOp::Not | UnaryOp::BitNot => self.number(operand)?,
        };
        Some(match op {
            UnaryOp::Not => boolean(fold::unary(UnOp::LogNot, value)),
            UnaryOp::BitNot => int(arith::widened(ty), fold::unary(UnOp::Not, value)),
            UnaryOp::Neg | UnaryOp::Deref | UnaryOp::AddrOf => {
                int(IntTy::S64, fold::unary(UnOp::Neg, value))
            }
        })
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Option<Value> {
        let (left, right) = (self.number(left), self.number(right));
        let ((mut lt, lv), (mut rt, rv)) = (left?, right?);
        if op.is_comparison() {
            // A constant that fits the other side's type is of that type, as in programs.
            let fits = |value, own, other| join::fits(signed_value(&Ty::Int(own), value), other);
            match (fits(lv, lt, rt), fits(rv, rt, lt)) {
                (true, false) => lt = rt,
                (false, true) => rt = lt,
                _ => {}
            }
        }
        let Some(meaning) = arith::meaning(op, lt, rt) else {
            let holds =
                if op == BinaryOp::LogAnd { lv != 0 && rv != 0 } else { lv != 0 || rv != 0 };
            return Some(boolean(u64::from(holds)));
        };
        if matches!(op, BinaryOp::Div | BinaryOp::Rem) && rv == 0 {
            self.diags.push(Diagnostic::new(Code::E0205, span, "division by zero in a constant"));
            return None;
        }
        let (a, b) = if meaning.swap { (rv, lv) } else { (lv, rv) };
        let value = fold::binary(meaning.op, a, b);
        Some(meaning.result.map_or_else(|| boolean(value), |ty| int(ty, value)))
    }

    fn cast(&mut self, ty: &TypeExpr, operand: &Expr, span: Span) -> Option<Value> {
        let to = typeexpr::resolve(self.decls, ty, self.diags);
        let value = self.number(operand);
        let value = value?.1;
        match to {
            Ty::Int(int) => Some((to, ConstValue::Int(fold::convert(value, int)))),
            Ty::Bool => Some(boolean(u64::from(value != 0))),
            Ty::Enum(id) if self.decls.hir.enums[id].kernel.is_none() => {
                let repr = self.decls.hir.enums[id].repr;
                Some((to, ConstValue::Int(fold::convert(value, repr))))
            }
            Ty::Error => None,
            _ => self.not_constant(span, "a constant is a number or a text"),
        }
    }

    fn offsetof(&mut self, ty: &TypeExpr, path: &[Ident], span: Span) -> Option<Value> {
        if let TypeExprKind::Struct(name) = &ty.kind
            && matches!(self.decls.types.get(&name.name), None | Some(TypeDecl::Kernel))
        {
            self.diags.push(unbuilt::unbuilt("`offsetof` of a kernel struct", span));
            return None;
        }
        let mut at = typeexpr::resolve(self.decls, ty, self.diags);
        let mut offset = 0u64;
        for name in path {
            if at == Ty::Error {
                return None;
            }
            let Some((member, ty)) = self.member(&at, name) else {
                let message =
                    format!("`{}` has no member `{}`", show::ty(&self.decls.hir, &at), name.name);
                self.diags.push(Diagnostic::new(Code::E0305, name.span, message));
                return None;
            };
            offset += u64::from(member);
            at = ty;
        }
        Some(int(IntTy::S64, offset))
    }

    /// Offset and type of a member.
    fn member(&self, of: &Ty, name: &Ident) -> Option<(u32, Ty)> {
        let hir = &self.decls.hir;
        match of {
            Ty::Struct(id) => {
                let field = hir.structs[*id].fields.iter().find(|f| f.name == name.name)?;
                Some((field.offset, field.ty.clone()))
            }
            Ty::Mirror(id) => {
                let field = hir.mirrors[*id].fields.iter().find(|f| f.name == name.name)?;
                Some((field.offset, field.ty.clone()))
            }
            _ => None,
        }
    }
}
