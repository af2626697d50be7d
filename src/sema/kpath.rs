//! Kernel value expressions: what stands behind `=` in a mirror's field → [`KExpr`].
//!
//! In: an alternative as written, the mirrored struct, and the field's type. Out: paths over members by name, and arithmetic on what they lead to. Invariant:
//! a mirror is a pure function of one struct: names are the kernel's members, or constants and enumerators; nothing else. Offsets come from the
//! target; types, which choose the instructions, from a cast on the path, the width after `:`, a `kernel struct` declaration, or the field's type, in that order.

mod leaf;
pub mod numbers;
mod place;
pub mod show;

use super::decls::{Decls, ValueDecl};
use super::hir::{
    Alternative, BinOp, ConstValue, EnumeratorValue, Guard, KExpr, KExprKind, KLeaf, KPath, KThen,
    UnOp,
};
use super::types::{IntTy, Ty};
use super::{arith, consteval, fold, typeexpr, unbuilt};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{Origin, Sources, Span};
use crate::syntax::ast::{
    self, BinaryOp, Expr, ExprKind, Ident, Name, TypeExpr, TypeExprKind, UnaryOp,
};
use leaf::KnownLeaf;
use place::Place;
pub(super) use place::same_type;

/// The field that alternatives are for.
#[derive(Debug)]
pub struct Field<'a> {
    /// The kernel struct that its mirror mirrors.
    pub kernel: &'a Name,
    /// Its type.
    pub ty: &'a Ty,
    /// The width after `:`, which says that the kernel has a bitfield there.
    pub bits: Option<u8>,
    /// Whether the target may lack it.
    pub optional: bool,
    /// Where it is declared.
    pub span: Span,
}

/// The value of the kernel's member of that name.
pub fn member(
    decls: &Decls,
    sources: &Sources,
    field: &Field<'_>,
    name: &Ident,
    diags: &mut Diags,
) -> Option<Alternative> {
    let mut lower = Lower { decls, sources, field, asked: field.optional, diags };
    let place = lower.root(&name.name, name.span);
    let value = lower.read(place, Want::Field)?;
    let value = lower.finish(value);
    Some(Alternative { span: value.span, value, guards: Vec::new() })
}

/// One alternative; `last` says that no other follows.
pub fn alternative(
    decls: &Decls,
    sources: &Sources,
    field: &Field<'_>,
    written: &ast::Alternative,
    last: bool,
    diags: &mut Diags,
) -> Option<Alternative> {
    let asked = field.optional || !last;
    let mut lower = Lower { decls, sources, field, asked, diags };
    let e = &written.value;
    let value = match field.ty {
        Ty::Int(_) | Ty::Bool | Ty::Enum(_) => lower.value(e, Want::Field),
        _ => lower.place(e).and_then(|place| lower.read(place, Want::Field)),
    };
    let mut guards = Vec::new();
    if let Some(guard) = &written.guard {
        lower.guard(guard, &mut guards)?;
        if !asked {
            let last = "this is the last alternative of a field that every target has";
            lower.diags.push(
                Diagnostic::new(Code::E0330, guard.span, last)
                    .label("it is taken where nothing else is, so that it needs no guard")
                    .help("leave the guard out, or mark the field as optional with `?` after its name"),
            );
            return None;
        }
    }
    let value = lower.finish(value?);
    Some(Alternative { value, guards, span: written.span })
}

/// What a path's value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// It is the field's value.
    Field,
    /// It is an operand; where nothing says what the kernel keeps there, it is taken for this.
    Number(IntTy),
}

struct Lower<'a> {
    decls: &'a Decls,
    sources: &'a Sources,
    field: &'a Field<'a>,
    /// Whether the target is asked if the alternative applies.
    asked: bool,
    diags: &'a mut Diags,
}

impl Lower<'_> {
    /// A field's value from a whole alternative: a bool is 0 or 1, whatever the kernel keeps.
    fn finish(&self, value: KExpr) -> KExpr {
        if *self.field.ty == Ty::Bool { is_not_zero(value) } else { value }
    }

    /// The value of an expression of scalars.
    fn value(&mut self, e: &Expr, want: Want) -> Option<KExpr> {
        let span = e.span;
        match &e.kind {
            ExprKind::Int(value) | ExprKind::Duration(value) => {
                Some(number(*value, consteval::literal_type(*value), span))
            }
            ExprKind::Bool(value) => Some(number(u64::from(*value), IntTy::S64, span)),
            ExprKind::Name(name) if self.constant(name).is_some() => {
                self.named_constant(name, span)
            }
            ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Index { .. } => {
                let place = self.place(e)?;
                self.read(place, want)
            }
            ExprKind::Call { callee, .. } if callee.name == place::CONTAINER_OF => {
                let place = self.place(e)?;
                self.read(place, want)
            }
            ExprKind::Cast(_, operand) if self.is_path(operand) => {
                let place = self.place(e)?;
                self.read(place, want)
            }
            ExprKind::Cast(ty, operand) => self.convert(ty, operand, span),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, span),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, span),
            ExprKind::Call { callee, args } => self.call(callee, args, span),
            ExprKind::SizeofType(_) | ExprKind::Offsetof(..) => {
                let (ty, value) = consteval::eval(self.decls, e, self.diags)?;
                self.const_value(&ty, &value, span)
            }
            ExprKind::Ternary(..) => self.unbuilt("`?:` in a mirror", span),
            ExprKind::Error => None,
            ExprKind::Str(_)
            | ExprKind::Local(_)
            | ExprKind::Map { .. }
            | ExprKind::StructLit(..)
            | ExprKind::Tuple(_)
            | ExprKind::Step { .. }
            | ExprKind::SizeofExpr(_)
            | ExprKind::Type(_)
            | ExprKind::Block(..) => self.refuse(span, "this is not the kernel's"),
        }
    }

    fn refuse<T>(&mut self, span: Span, label: &str) -> Option<T> {
        self.diags.push(
            Diagnostic::new(Code::E0304, span, "a mirror cannot compute this")
                .label(label)
                .note("a mirror is a pure function of one kernel struct: members by path, constants, and arithmetic on these"),
        );
        None
    }

    fn unbuilt<T>(&mut self, construct: &str, span: Span) -> Option<T> {
        self.diags.push(unbuilt::unbuilt(construct, span));
        None
    }

    /// The operand of an operator, and the type in which it takes part.
    fn operand(&mut self, e: &Expr) -> Option<(KExpr, IntTy)> {
        // What the field holds is the best guess for what its parts hold.
        let likely = match self.field.ty {
            Ty::Int(int) => *int,
            Ty::Enum(id) => self.decls.hir.enums[*id].repr,
            _ => IntTy::U32,
        };
        let value = self.value(e, Want::Number(likely))?;
        let int = match &value.ty {
            Ty::Int(int) => *int,
            _ => IntTy::S64,
        };
        Some((value, int))
    }

    // Names

    /// What a bare name stands for, where it is no member. The library's mirrors do not see what scripts declare.
    fn constant(&self, name: &Name) -> Option<&ValueDecl> {
        let found = self.decls.values.get(name)?;
        let hir = &self.decls.hir;
        let declared = match found {
            ValueDecl::Const { span, .. } => *span,
            ValueDecl::Param(id) => hir.params[*id].span,
            ValueDecl::Enumerator(id, _) => hir.enums[*id].span,
            ValueDecl::Error => return Some(found),
        };
        let origin = |span: Span| self.sources.file(span.file).origin;
        (origin(declared) == Origin::Uapi || origin(self.field.span) == Origin::User)
            .then_some(found)
    }

    fn named_constant(&mut self, name: &Name, span: Span) -> Option<KExpr> {
        match self.constant(name)?.clone() {
            ValueDecl::Const { ty, value, .. } => self.const_value(&ty, &value, span),
            ValueDecl::Param(_) => {
                self.refuse(span, "a parameter of the script is not the kernel's")
            }
            ValueDecl::Error => None,
            ValueDecl::Enumerator(id, index) => {
                let decl = &self.decls.hir.enums[id];
                match decl.enumerators.get(index as usize).map(|e| &e.value)? {
                    EnumeratorValue::Const(value) => Some(number(*value, IntTy::S64, span)),
                    EnumeratorValue::Kernel { names, .. } => {
                        let (enum_name, names) = (decl.kernel.clone()?, names.clone());
                        Some(KExpr {
                            kind: KExprKind::Enumerator { enum_name, names },
                            ty: Ty::S64,
                            span,
                        })
                    }
                }
            }
        }
    }

    fn const_value(&mut self, ty: &Ty, value: &ConstValue, span: Span) -> Option<KExpr> {
        match (ty, value) {
            (Ty::Int(int), ConstValue::Int(value)) => Some(number(*value, *int, span)),
            (_, ConstValue::Int(value)) => Some(number(*value, IntTy::S64, span)),
            (_, ConstValue::Str(_)) => self.refuse(span, "expected a number"),
        }
    }

    /// Whether an expression is a path, which a cast says the type of; a cast of anything else converts.
    fn is_path(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Name(name) => self.constant(name).is_none(),
            // `(u64)(struct sock *)sk` is an address.
            ExprKind::Field { .. }
            | ExprKind::Index { .. }
            | ExprKind::Cast(TypeExpr { kind: TypeExprKind::Ptr(_), .. }, _) => true,
            ExprKind::Call { callee, .. } => callee.name == place::CONTAINER_OF,
            _ => false,
        }
    }

    // Operators

    fn convert(&mut self, ty: &TypeExpr, operand: &Expr, span: Span) -> Option<KExpr> {
        let to = typeexpr::resolve_kernel(self.decls, ty, self.diags);
        let (value, _) = self.operand(operand)?;
        match to {
            Ty::Int(int) => Some(match value.kind {
                KExprKind::Const(value) => number(fold::convert(value, int), int, span),
                _ => {
                    KExpr { kind: KExprKind::Convert(int, Box::new(value)), ty: Ty::Int(int), span }
                }
            }),
            Ty::Bool => Some(KExpr { span, ..is_not_zero(value) }),
            Ty::Error => None,
            other => {
                let shown = super::show::ty(&self.decls.hir, &other);
                self.refuse(span, &format!("a number does not become `{shown}`"))
            }
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, span: Span) -> Option<KExpr> {
        let op = match op {
            UnaryOp::Neg => UnOp::Neg,
            UnaryOp::Not => UnOp::LogNot,
            UnaryOp::BitNot => UnOp::Not,
            UnaryOp::Deref => return self.unbuilt("dereferencing with `*` in a mirror", span),
            UnaryOp::AddrOf => return self.refuse(span, "an address is no number"),
        };
        let (value, int) = self.operand(operand)?;
        let ty = if op == UnOp::Not { arith::widened(int) } else { IntTy::S64 };
        Some(match value.kind {
            KExprKind::Const(value) => number(fold::unary(op, value), ty, span),
            _ => KExpr { kind: KExprKind::Unary(op, Box::new(value)), ty: Ty::Int(ty), span },
        })
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Option<KExpr> {
        let (left, right) = (self.operand(left), self.operand(right));
        let ((left, lt), (right, rt)) = (left?, right?);
        let Some(meaning) = arith::meaning(op, lt, rt) else {
            // Reading has no effect, so that both sides may be evaluated.
            let op = if op == BinaryOp::LogAnd { BinOp::And } else { BinOp::Or };
            return Some(apply(op, is_not_zero(left), is_not_zero(right), IntTy::S64, span));
        };
        let (left, right) = if meaning.swap { (right, left) } else { (left, right) };
        Some(apply(meaning.op, left, right, meaning.result.unwrap_or(IntTy::S64), span))
    }

    fn call(&mut self, callee: &Ident, args: &[Expr], span: Span) -> Option<KExpr> {
        match (callee.name.as_str(), args) {
            ("bit", [word, index]) => {
                let (word, index) = (self.operand(word), self.operand(index));
                let ((word, _), (index, _)) = (word?, index?);
                let shifted = apply(BinOp::ShrU, word, index, IntTy::S64, span);
                Some(apply(BinOp::And, shifted, number(1, IntTy::S64, span), IntTy::S64, span))
            }
            ("bit", _) => {
                self.refuse(span, "`bit` takes a word and the number of a bit: `bit(flags, 3)`")
            }
            ("ntohs" | "ntohl" | "ntohll", [value]) => {
                let bits = match callee.name.as_str() {
                    "ntohs" => 16,
                    "ntohl" => 32,
                    _ => 64,
                };
                let value = Box::new(self.value(value, Want::Number(IntTy { bits, signed: false }))?);
                let ty = if bits == 64 { Ty::U64 } else { Ty::S64 };
                Some(KExpr { kind: KExprKind::FromNetwork(bits, value), ty, span })
            }
            ("has", _) => self.refuse(
                callee.span,
                "what the target must have stands behind the value: `di if has(r15) else bx`",
            ),
            _ => self.refuse(
                callee.span,
                "the functions of mirrors are `bit(word, n)`, `ntohs`, `ntohl`, `ntohll` and `container_of`",
            ),
        }
    }

    // Guards

    /// What stands after `if`.
    fn guard(&mut self, e: &Expr, list: &mut Vec<Guard>) -> Option<()> {
        match &e.kind {
            ExprKind::Binary(BinaryOp::LogAnd, left, right) => {
                let (left, right) = (self.guard(left, list), self.guard(right, list));
                left.and(right)
            }
            ExprKind::Unary(UnaryOp::Not, operand) => self.has(operand, true, list),
            _ => self.has(e, false, list),
        }
    }

    /// `has(path)`
    fn has(&mut self, e: &Expr, absent: bool, list: &mut Vec<Guard>) -> Option<()> {
        let path = match &e.kind {
            ExprKind::Call { callee, args } if callee.name == "has" && args.len() == 1 => {
                args.first()?
            }
            ExprKind::Error => return None,
            _ => {
                self.diags.push(
                    Diagnostic::new(Code::E0331, e.span, "a guard only says what the target has")
                        .label("expected `has(path)` or `!has(path)`, and `&&` between several"),
                );
                return None;
            }
        };
        let place = self.place(path)?;
        if place.whole().is_some() {
            return self.refuse(path.span, "expected a path to a member");
        }
        let leaf = match self.known_leaf(&place)? {
            KnownLeaf::Bits(width, word) => KLeaf::Bits { width, word },
            KnownLeaf::Enum(name, int) if place.is_stated() => KLeaf::Number(int, name),
            KnownLeaf::Ptr(to) if place.is_stated() => KLeaf::Ptr(to),
            KnownLeaf::Int(int) if place.is_stated() => KLeaf::Int(int),
            _ => KLeaf::Any,
        };
        let span = place.span;
        list.push(Guard { path: KPath { hops: place.finish(KThen::Leaf), leaf, span }, absent });
        Some(())
    }

    // Reading

    /// The value that a path leads to.
    fn read(&mut self, place: Place, want: Want) -> Option<KExpr> {
        let span = place.span;
        let known = self.known_leaf(&place)?;
        let stated = place.is_stated();
        let (leaf, ty) = self.leaf(&place, known, want)?;
        let leaf = match leaf {
            // Who casts to an integer says that there is one.
            KLeaf::Int(int) if self.asked && !stated => KLeaf::Number(int, Name::default()),
            KLeaf::Enum(name, int) if self.asked => KLeaf::Number(int, name),
            leaf => leaf,
        };
        let hops = place.finish(KThen::Leaf);
        let leaf = match hops.last() {
            Some(last) => self.decls.numbers.corrected(leaf, last),
            None => leaf,
        };
        Some(KExpr { kind: KExprKind::Path(KPath { hops, leaf, span }), ty, span })
    }
}

fn number(value: u64, int: IntTy, span: Span) -> KExpr {
    KExpr { kind: KExprKind::Const(value), ty: Ty::Int(int), span }
}

/// Whether a value is 0 or 1 already.
fn is_truth(value: &KExpr) -> bool {
    match &value.kind {
        KExprKind::Const(value) => *value <= 1,
        KExprKind::Unary(op, _) => *op == UnOp::LogNot,
        KExprKind::Binary(BinOp::And, left, right) => is_truth(left) || is_truth(right),
        KExprKind::Binary(BinOp::Or | BinOp::Xor, left, right) => is_truth(left) && is_truth(right),
        KExprKind::Binary(op, ..) => {
            matches!(op, BinOp::Eq | BinOp::Ne | BinOp::LtU | BinOp::LeU | BinOp::LtS | BinOp::LeS)
        }
        // Whatever it is taken for, the kernel may have more of it.
        KExprKind::Path(_)
        | KExprKind::Enumerator { .. }
        | KExprKind::Convert(..)
        | KExprKind::FromNetwork(..) => false,
    }
}

fn is_not_zero(value: KExpr) -> KExpr {
    if is_truth(&value) {
        return value;
    }
    let span = value.span;
    apply(BinOp::Ne, value, number(0, IntTy::S64, span), IntTy::S64, span)
}

/// An operator; of constants, its result.
fn apply(op: BinOp, left: KExpr, right: KExpr, ty: IntTy, span: Span) -> KExpr {
    if let (KExprKind::Const(a), KExprKind::Const(b)) = (&left.kind, &right.kind) {
        return number(fold::binary(op, *a, *b), ty, span);
    }
    KExpr { kind: KExprKind::Binary(op, Box::new(left), Box::new(right)), ty: Ty::Int(ty), span }
}
