//! What a path ends in, and whether that converts by value to what is wanted.
//!
//! In: a place, and what its value is for. Out: the [`KLeaf`] and the type of its value. Invariant: what cannot be converted by value is an error that
//! names both types.

use super::super::hir::KLeaf;
use super::super::show;
use super::super::typeexpr::{is_scalar_name, typedef};
use super::super::types::{IntTy, Pointee, Ty};
use super::place::{Place, written};
use super::{Lower, Want};
use crate::diag::{Code, Diagnostic};
use crate::syntax::ast::{Name, TypeExpr, TypeExprKind};

/// What the kernel is known to keep at a place.
#[derive(Debug)]
pub(super) enum KnownLeaf {
    Unknown,
    Int(IntTy),
    Bits(u8, IntTy),
    Enum(Name, IntTy),
    /// A pointer, and the struct it points to.
    Ptr(Option<Name>),
    /// Text, and its length.
    Chars(Option<u32>),
    Ints(IntTy, Option<u32>),
    Struct(Name),
    /// Something that no value is made of.
    Other,
}

/// The integer that a scalar type is kept as.
fn scalar(ty: &TypeExpr) -> Option<IntTy> {
    match &ty.kind {
        TypeExprKind::Int { bits, signed, .. } => Some(IntTy { bits: *bits, signed: *signed }),
        TypeExprKind::Char | TypeExprKind::Bool => Some(IntTy::U8),
        TypeExprKind::Enum(_) => Some(IntTy::U32),
        TypeExprKind::Name(name) => typedef(name),
        _ => None,
    }
}

impl Lower<'_> {
    /// What is known of a place; nothing where its declaration is broken.
    pub(super) fn known_leaf(&mut self, place: &Place) -> Option<KnownLeaf> {
        self.not_an_element(place)?;
        if let Some(root) = place.whole() {
            return Some(KnownLeaf::Struct(root.clone()));
        }
        let Some(known) = &place.known else { return Some(KnownLeaf::Unknown) };
        if let Some(int) = scalar(&known.ty) {
            return Some(match (known.bits, &known.ty.kind) {
                (Some(width), _) => KnownLeaf::Bits(width, int),
                (None, TypeExprKind::Enum(name)) => KnownLeaf::Enum(name.name.clone(), int),
                (None, _) => KnownLeaf::Int(int),
            });
        }
        Some(match &known.ty.kind {
            TypeExprKind::Error => return None,
            TypeExprKind::Ptr(target) => match &target.kind {
                TypeExprKind::Struct(name) => KnownLeaf::Ptr(Some(name.name.clone())),
                _ => KnownLeaf::Ptr(None),
            },
            TypeExprKind::Array(elem, _) => match (&elem.kind, scalar(elem)) {
                (TypeExprKind::Char, _) => KnownLeaf::Chars(self.array_len(place)),
                (_, Some(int)) => KnownLeaf::Ints(int, self.array_len(place)),
                (_, None) => KnownLeaf::Other,
            },
            TypeExprKind::Struct(name) => KnownLeaf::Struct(name.name.clone()),
            // A typedef that only the kernel knows.
            TypeExprKind::Name(_) => KnownLeaf::Unknown,
            _ => KnownLeaf::Other,
        })
    }

    /// The leaf that gives what is wanted, and the type of its value.
    pub(super) fn leaf(
        &mut self,
        place: &Place,
        known: KnownLeaf,
        want: Want,
    ) -> Option<(KLeaf, Ty)> {
        let found = match want {
            // Operands have 64 bits, and so do addresses.
            Want::Number(_) if matches!(known, KnownLeaf::Ptr(_)) => Some(KLeaf::Ptr(None)),
            Want::Number(likely) => number_leaf(&known, likely, None),
            Want::Field => match self.field.ty {
                Ty::Error => return None,
                Ty::Int(int) => self.field_number(place, &known, *int),
                Ty::Bool if self.field.bits.is_some() => {
                    self.field_number(place, &known, IntTy::U32)
                }
                Ty::Bool => self.field_number(place, &known, IntTy::U8),
                Ty::Enum(id) => self.field_number(place, &known, self.decls.hir.enums[*id].repr),
                Ty::Str(len) => text_leaf(&known, *len),
                Ty::Array(elem, len) => match **elem {
                    Ty::Int(int) => array_leaf(&known, int, *len),
                    Ty::Bool => array_leaf(&known, IntTy::U8, *len),
                    _ => None,
                },
                Ty::Ptr(Pointee::Mirror(id)) => {
                    let kernel = self.decls.hir.mirrors[*id].kernel.clone();
                    pointer_leaf(known, Some(kernel))
                }
                Ty::Ptr(Pointee::Kernel(name)) if is_scalar_name(name) => pointer_leaf(known, None),
                Ty::Ptr(Pointee::Kernel(name)) => pointer_leaf(known, Some(name.clone())),
                Ty::Ptr(Pointee::UserStr | Pointee::User(_))
                | Ty::Void
                | Ty::Tuple(_)
                | Ty::Struct(_)
                | Ty::Mirror(_) => None,
            },
        };
        let Some(leaf) = found else { return self.no_conversion(place, want) };
        let ty = self.leaf_type(&leaf, want);
        Some((leaf, ty))
    }

    /// The field's width says what its own leaf is, unless a cast does.
    fn field_number(&self, place: &Place, known: &KnownLeaf, likely: IntTy) -> Option<KLeaf> {
        let stated = place.known.as_ref().is_some_and(|k| k.stated);
        number_leaf(known, likely, self.field.bits.filter(|_| !stated))
    }

    fn leaf_type(&self, leaf: &KLeaf, want: Want) -> Ty {
        match leaf {
            KLeaf::Int(int)
            | KLeaf::Number(int, _)
            | KLeaf::Bits { word: int, .. }
            | KLeaf::Enum(_, int) => Ty::Int(*int),
            KLeaf::Ptr(_) if matches!(want, Want::Field) && matches!(self.field.ty, Ty::Ptr(_)) => {
                self.field.ty.clone()
            }
            KLeaf::Ptr(_) => Ty::U64,
            KLeaf::Chars(len) => Ty::Str(*len),
            KLeaf::Ints(int, len) => Ty::Array(std::sync::Arc::new(Ty::Int(*int)), *len),
            KLeaf::Struct(_) => self.field.ty.clone(),
            KLeaf::Any => Ty::Void,
        }
    }

    fn no_conversion<T>(&mut self, place: &Place, want: Want) -> Option<T> {
        let path = self.sources.text(place.span);
        let found = match (place.whole(), &place.known) {
            (Some(root), _) => format!("struct {root}"),
            (None, Some(known)) => written(&known.ty),
            (None, None) => "?".to_owned(),
        };
        let wanted = match want {
            Want::Field => show::ty(&self.decls.hir, self.field.ty),
            Want::Number(_) => "a number".to_owned(),
        };
        let mut diagnostic = Diagnostic::new(
            Code::E0302,
            place.span,
            format!(
                "`{path}` is `{found}` in the kernel, which does not become {}",
                quoted(&wanted)
            ),
        )
        .label(format!("expected what converts by value to {}", quoted(&wanted)));
        if want == Want::Field {
            diagnostic =
                diagnostic.secondary(self.field.span, format!("the field is {}", quoted(&wanted)));
        }
        self.diags.push(diagnostic);
        None
    }
}

fn quoted(wanted: &str) -> String {
    if wanted == "a number" { wanted.to_owned() } else { format!("`{wanted}`") }
}

fn number_leaf(known: &KnownLeaf, likely: IntTy, width: Option<u8>) -> Option<KLeaf> {
    match (known, width) {
        (KnownLeaf::Bits(width, word), _) => Some(KLeaf::Bits { width: *width, word: *word }),
        (KnownLeaf::Int(word) | KnownLeaf::Enum(_, word), Some(width)) if width <= word.bits => {
            Some(KLeaf::Bits { width, word: *word })
        }
        (KnownLeaf::Unknown, Some(width)) => Some(KLeaf::Bits { width, word: likely }),
        (KnownLeaf::Int(int), None) => Some(KLeaf::Int(*int)),
        (KnownLeaf::Enum(name, int), None) => Some(KLeaf::Enum(name.clone(), *int)),
        (KnownLeaf::Unknown, None) => Some(KLeaf::Int(likely)),
        // An address is a number of 64 bits, and of no fewer.
        (KnownLeaf::Ptr(_), None) if likely.bits == 64 => Some(KLeaf::Ptr(None)),
        _ => None,
    }
}

fn text_leaf(known: &KnownLeaf, len: u32) -> Option<KLeaf> {
    match known {
        KnownLeaf::Unknown | KnownLeaf::Chars(None) => Some(KLeaf::Chars(len)),
        KnownLeaf::Chars(Some(kernel)) => Some(KLeaf::Chars(*kernel)),
        // The text that it points to.
        KnownLeaf::Ptr(None) => Some(KLeaf::Ptr(None)),
        _ => None,
    }
}

fn array_leaf(known: &KnownLeaf, elem: IntTy, len: u32) -> Option<KLeaf> {
    match known {
        KnownLeaf::Unknown => Some(KLeaf::Ints(elem, len)),
        KnownLeaf::Ints(kernel, None) => Some(KLeaf::Ints(*kernel, len)),
        KnownLeaf::Ints(kernel, Some(kernel_len)) if len <= *kernel_len => {
            Some(KLeaf::Ints(*kernel, len))
        }
        _ => None,
    }
}

/// A pointer to the struct that is wanted; where that is embedded, its address.
fn pointer_leaf(known: KnownLeaf, wanted: Option<Name>) -> Option<KLeaf> {
    match (known, wanted) {
        (KnownLeaf::Unknown, wanted) => Some(KLeaf::Ptr(wanted)),
        (KnownLeaf::Ptr(Some(found)), Some(wanted)) if found != wanted => None,
        (KnownLeaf::Ptr(found), wanted) => Some(KLeaf::Ptr(wanted.or(found))),
        (KnownLeaf::Struct(found), Some(wanted)) if found == wanted => Some(KLeaf::Struct(found)),
        _ => None,
    }
}
