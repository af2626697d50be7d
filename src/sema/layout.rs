//! The C layout of types: size, alignment, and the offsets of members.
//!
//! In: types, and the declarations they name. Out: bytes, as a C compiler for a 64-bit machine lays them out. Invariant: no type is larger
//! than [`MAX_SIZE`].

use super::hir::Hir;
use super::types::Ty;

/// The largest type, in bytes: what an instruction's offset can reach, and far more than a BPF program can hold at once.
pub const MAX_SIZE: u32 = 1 << 15;

/// How much room a type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In bytes, padding at the end included.
    pub size: u32,
    /// In bytes, a power of two.
    pub align: u32,
}

/// The layout of a type. What has no value takes no room.
pub fn of(hir: &Hir, ty: &Ty) -> Layout {
    let (size, align) = match ty {
        Ty::Error | Ty::Void => (0, 1),
        Ty::Bool => (1, 1),
        Ty::Int(int) => (int.size(), int.size()),
        Ty::Enum(id) => (hir.enums[*id].repr.size(), hir.enums[*id].repr.size()),
        Ty::Str(len) => (*len, 1),
        Ty::Array(elem, len) => {
            let elem = of(hir, elem);
            (elem.size.saturating_mul(*len), elem.align)
        }
        Ty::Tuple(parts) => {
            let mut packer = Packer::default();
            for part in parts.iter() {
                packer.push(of(hir, part));
            }
            return packer.finish();
        }
        Ty::Struct(id) => (hir.structs[*id].size, hir.structs[*id].align),
        Ty::Mirror(id) => (hir.mirrors[*id].size, hir.mirrors[*id].align),
        Ty::Ptr(_) => (8, 8),
    };
    Layout { size, align }
}

/// Lays out members one after the other.
#[derive(Debug)]
pub struct Packer {
    end: u32,
    align: u32,
}

impl Default for Packer {
    fn default() -> Packer {
        Packer { end: 0, align: 1 }
    }
}

impl Packer {
    /// The offset of the next member. Sizes beyond 4 GiB stay there.
    pub fn push(&mut self, member: Layout) -> u32 {
        let offset = round_up(self.end, member.align);
        self.end = offset.saturating_add(member.size);
        self.align = self.align.max(member.align);
        offset
    }

    /// The layout of the whole.
    pub fn finish(self) -> Layout {
        Layout { size: round_up(self.end, self.align), align: self.align }
    }
}

fn round_up(value: u32, align: u32) -> u32 {
    value.checked_next_multiple_of(align).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::types::IntTy;
    use std::sync::Arc;

    #[test]
    fn tuples_are_laid_out_as_c_structs() {
        let hir = Hir::default();
        let tuple = |parts: &[Ty]| of(&hir, &Ty::Tuple(Arc::from(parts)));
        let byte = Ty::Int(IntTy::U8);
        assert_eq!(tuple(&[byte.clone(), Ty::U64, byte.clone()]), Layout { size: 24, align: 8 });
        assert_eq!(tuple(&[Ty::Str(5), Ty::U32]), Layout { size: 12, align: 4 });
        assert_eq!(tuple(&[byte.clone(), byte]), Layout { size: 2, align: 1 });
    }
}
