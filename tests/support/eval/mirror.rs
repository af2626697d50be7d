//! What mirrors have: fields from their alternatives, along paths through the kernel's own structs.

use super::super::image::{KTy, Place};
use super::super::state::{members, size_align};
use super::{Machine, Value, binary, cut, fill, flag, scalar_ty, text, unary, zero};
use ubpfc::sema::hir::*;
use ubpfc::sema::types::Ty;

impl Machine<'_> {
    pub(super) fn whole(&self, base: u64, id: MirrorId) -> Vec<u8> {
        let types = self.types(&Ty::Mirror(id));
        let (offsets, size, _) = members(self.hir, &types);
        let mut bytes = vec![0; size];
        for (i, (ty, offset)) in types.iter().zip(offsets).enumerate() {
            let part = match self.field(base, id, u32::try_from(i).unwrap()) {
                Value::Mem(part) => part,
                Value::Int(n) => n.to_le_bytes()[..size_align(self.hir, ty).0].to_vec(),
            };
            bytes[offset..offset + part.len()].copy_from_slice(&part);
        }
        bytes
    }

    pub(super) fn field(&self, base: u64, mirror: MirrorId, field: u32) -> Value {
        let field = &self.hir.mirrors[mirror].fields[field as usize];
        let chosen = field.alternatives.iter().find(|k| self.is_taken(k, &field.ty));
        let Some(Alternative { value: chosen, .. }) = chosen else {
            assert!(field.optional, "the image has no {}, which is not optional", field.name);
            return zero(self.hir, &field.ty);
        };
        if let (KExprKind::Path(path), false) = (&chosen.kind, field.ty.is_scalar()) {
            return Value::Mem(self.array(base, path, &field.ty));
        }
        let value = self.kexpr(base, chosen);
        Value::Int(match field.ty {
            Ty::Bool => flag(value != 0),
            ref ty => cut(value, scalar_ty(self.hir, ty)),
        })
    }

    /// Whether the target has everything an alternative names, and its guards hold.
    pub(super) fn is_taken(&self, alternative: &Alternative, ty: &Ty) -> bool {
        alternative.guards.iter().all(|guard| guard.absent != self.leads(&guard.path, &Ty::Void))
            && self.applies(&alternative.value, ty)
    }

    /// Whether the target has everything an expression names, of kinds that convert.
    fn applies(&self, expr: &KExpr, ty: &Ty) -> bool {
        let image = self.input.image;
        match &expr.kind {
            KExprKind::Const(_) => true,
            KExprKind::Enumerator { enum_name, names } => {
                names.iter().any(|name| image.enumerator(enum_name, name).is_some())
            }
            KExprKind::Unary(_, x) | KExprKind::Convert(_, x) | KExprKind::FromNetwork(_, x) => {
                self.applies(x, &Ty::U64)
            }
            KExprKind::Binary(_, a, b) => self.applies(a, &Ty::U64) && self.applies(b, &Ty::U64),
            KExprKind::Path(path) => self.leads(path, ty),
        }
    }

    /// Whether the target has all of a path, and at its end what converts to `ty`.
    fn leads(&self, path: &KPath, ty: &Ty) -> bool {
        let image = self.input.image;
        path.hops.iter().all(|hop| {
            if let KEntry::Member { of, steps, .. } = &hop.entry
                && image.find(of, steps).is_none()
            {
                return false;
            }
            if hop.steps.is_empty() {
                return true;
            }
            let Some(place) = image.find(&hop.root, &hop.steps) else { return false };
            match &hop.then {
                KThen::Deref => place.ty == KTy::Ptr,
                KThen::Element { index, .. } => {
                    matches!(place.ty, KTy::Array(..)) && self.applies(index, &Ty::U64)
                }
                KThen::Leaf => converts(&path.leaf, &place.ty, ty),
            }
        })
    }

    fn kexpr(&self, base: u64, expr: &KExpr) -> u64 {
        match &expr.kind {
            KExprKind::Const(n) => *n,
            KExprKind::Enumerator { enum_name, names } => {
                let found = names.iter().find_map(|n| self.input.image.enumerator(enum_name, n));
                found.expect("it applies").cast_unsigned()
            }
            // Images are little-endian.
            KExprKind::FromNetwork(16, x) => self.kexpr(base, x).swap_bytes() >> 48,
            KExprKind::FromNetwork(32, x) => self.kexpr(base, x).swap_bytes() >> 32,
            KExprKind::FromNetwork(_, x) => self.kexpr(base, x).swap_bytes(),
            KExprKind::Unary(op, x) => unary(*op, self.kexpr(base, x)),
            KExprKind::Binary(op, a, b) => binary(*op, self.kexpr(base, a), self.kexpr(base, b)),
            KExprKind::Convert(ty, x) => cut(self.kexpr(base, x), *ty),
            KExprKind::Path(path) => {
                let Some((object, place)) = self.walk(base, path) else { return 0 };
                let Some(place) = place else { return object };
                match path.leaf {
                    KLeaf::Struct(_) => object.wrapping_add((place.bit / 8).into()),
                    _ => self.input.image.value(object, &place),
                }
            }
        }
    }

    /// The object that a path's last hop starts in, and what it leads to there, if not to all of it; nothing where an index is outside.
    fn walk(&self, base: u64, path: &KPath) -> Option<(u64, Option<Place>)> {
        let image = self.input.image;
        let mut object = base;
        for hop in &path.hops {
            if let KEntry::Member { of, steps, .. } = &hop.entry {
                if object == 0 {
                    return None;
                }
                let member = image.find(of, steps).expect("it applies");
                object = object.wrapping_sub((member.bit / 8).into());
            }
            if hop.steps.is_empty() {
                return Some((object, None));
            }
            let place = image.find(&hop.root, &hop.steps).expect("it applies");
            match &hop.then {
                KThen::Leaf => return Some((object, Some(place))),
                KThen::Deref => object = image.value(object, &place),
                KThen::Element { elem, index } => {
                    let index = self.kexpr(base, index);
                    let KTy::Array(_, len) = place.ty else { panic!("it applies") };
                    if len != 0 && index >= len.into() {
                        return None;
                    }
                    let stride = u64::from(image.struct_size(elem).expect("it applies"));
                    object = object
                        .wrapping_add((place.bit / 8).into())
                        .wrapping_add(stride.wrapping_mul(index));
                }
            }
        }
        unreachable!("the last hop is a leaf")
    }

    /// A string or array that a path leads to.
    fn array(&self, base: u64, path: &KPath, ty: &Ty) -> Vec<u8> {
        let Some((object, Some(place))) = self.walk(base, path) else {
            return zero(self.hir, ty).mem();
        };
        if place.ty == KTy::Ptr {
            let address = self.input.image.value(object, &place);
            let Ty::Str(size) = ty else { panic!("it applies") };
            let bytes = (0..u64::from(*size))
                .map_while(|i| self.input.image.read(address.wrapping_add(i), 1).map(|b| b[0]));
            let mut bytes: Vec<u8> = bytes.collect();
            // A helper ends what it reads with a NUL.
            bytes.truncate(*size as usize - 1);
            return fill(text(&bytes), *size as usize);
        }
        let KTy::Array(elem, len) = &place.ty else { panic!("it applies") };
        let stride = self.input.image.size(elem);
        let at = |i: u32| Place { bit: place.bit + i * stride * 8, width: 0, ty: KTy::clone(elem) };
        match ty {
            Ty::Str(size) => {
                let bytes: Vec<u8> = (0..*len.min(size))
                    .map(|i| self.input.image.value(object, &at(i)).to_le_bytes()[0])
                    .collect();
                fill(text(&bytes), *size as usize)
            }
            Ty::Array(elem_ty, size) => (0..*size)
                .flat_map(|i| {
                    let value = self.input.image.value(object, &at(i));
                    value.to_le_bytes()[..size_align(self.hir, elem_ty).0].to_vec()
                })
                .collect(),
            _ => panic!("a field of this type is no array: {ty:?}"),
        }
    }
}

/// Whether what the kernel has converts by value to what the field is.
fn converts(leaf: &KLeaf, kernel: &KTy, field: &Ty) -> bool {
    match (leaf, kernel) {
        (KLeaf::Any, _)
        | (KLeaf::Int(_) | KLeaf::Number(..) | KLeaf::Bits { .. }, KTy::Int { .. })
        | (KLeaf::Enum(..) | KLeaf::Number(..), KTy::Enum(_))
        | (KLeaf::Ptr(_), KTy::Ptr)
        | (KLeaf::Struct(_), KTy::Struct(_)) => true,
        (KLeaf::Chars(_), KTy::Array(elem, _)) => matches!(**elem, KTy::Int { bytes: 1, .. }),
        (KLeaf::Ints(..), KTy::Array(elem, len)) => {
            let Ty::Array(_, wanted) = field else { return true };
            wanted <= len && matches!(**elem, KTy::Int { .. })
        }
        _ => false,
    }
}
