//! The C layout of values: sizes, alignments and offsets.
//!
//! In: a type of a finished HIR. Out: bytes, as a C compiler for a 64-bit machine lays them out. Maps, ring buffer records, stack slots and BTF all
//! take their numbers from here.

use super::hir::{Agg, Hir, Map, MapValue};
use super::types::{IntTy, Ty};

/// The largest type that a script may declare, in bytes: what an instruction's offset can reach, and far more than a BPF program can hold at once.
pub const MAX_SIZE: u32 = 1 << 15;

/// How much room a type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In bytes, padding at the end included.
    pub size: u32,
    /// In bytes, a power of two.
    pub align: u32,
}

/// The layout of a type; [`Ty::Error`] and [`Ty::Void`] take no room.
pub fn of(hir: &Hir, ty: &Ty) -> Layout {
    let natural = |size: u32| Layout { size, align: size };
    match ty {
        Ty::Error | Ty::Void => Layout { size: 0, align: 1 },
        Ty::Bool => natural(1),
        Ty::Int(int) => natural(int.size()),
        Ty::Enum(id) => natural(hir.enums[*id].repr.size()),
        Ty::Ptr(_) => natural(8),
        Ty::Str(size) => Layout { size: *size, align: 1 },
        Ty::Array(elem, len) => {
            let elem = of(hir, elem);
            Layout { size: elem.size.saturating_mul(*len), ..elem }
        }
        Ty::Tuple(parts) => {
            let mut packer = Packer::default();
            for part in parts.iter() {
                packer.push(of(hir, part));
            }
            packer.finish()
        }
        Ty::Struct(id) => Layout { size: hir.structs[*id].size, align: hir.structs[*id].align },
        Ty::Mirror(id) => Layout { size: hir.mirrors[*id].size, align: hir.mirrors[*id].align },
    }
}

/// Size and alignment of a type in bytes.
pub fn size_align(hir: &Hir, ty: &Ty) -> (u32, u32) {
    let Layout { size, align } = of(hir, ty);
    (size, align)
}

/// Lays out the members of a C struct one after the other.
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
        let offset = align_up(self.end, member.align);
        self.end = offset.saturating_add(member.size);
        self.align = self.align.max(member.align);
        offset
    }

    /// The layout of the whole.
    pub fn finish(self) -> Layout {
        Layout { size: align_up(self.end, self.align), align: self.align }
    }
}

/// The least multiple of `align`, a power of two, from `offset` on; the greatest there is if that would be too large.
pub fn align_up(offset: u32, align: u32) -> u32 {
    offset.checked_next_multiple_of(align.max(1)).unwrap_or(!(align.max(1) - 1))
}

/// Where the members of a C struct are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// In bytes from the start of the struct, one for each member.
    pub offsets: Vec<u32>,
    /// Of the struct in bytes, tail padding included.
    pub size: u32,
    /// Of the struct in bytes, at least 1.
    pub align: u32,
}

/// The layout of a C struct with members of these types.
pub fn fields(hir: &Hir, types: &[Ty]) -> Fields {
    place(types.iter().map(|ty| of(hir, ty)))
}

/// The layout of a C struct with members of these layouts.
pub fn place(members: impl IntoIterator<Item = Layout>) -> Fields {
    let mut packer = Packer::default();
    let offsets = members.into_iter().map(|member| packer.push(member)).collect();
    let Layout { size, align } = packer.finish();
    Fields { offsets, size, align }
}

/// What the kernel takes for the key of a map: the index of an array for a map without a key, the key itself if it has one part, otherwise a tuple of its
/// parts; in a histogram the bucket is the last part.
pub fn map_key(map: &Map) -> Ty {
    let mut parts = map.key.clone();
    if let MapValue::Agg(Agg::Hist | Agg::Lhist { .. }) = map.value {
        parts.push(Ty::U32);
    }
    match parts.len() {
        0 => Ty::U32,
        1 => parts.swap_remove(0),
        _ => Ty::Tuple(parts.into()),
    }
}

/// A member of an aggregation's state.
pub type AggField = (&'static str, IntTy);

/// The members of an aggregation's state, in order; each is 64 bits wide.
pub fn agg_fields(agg: &Agg) -> Vec<AggField> {
    let number = |signed: bool| if signed { IntTy::S64 } else { IntTy::U64 };
    match agg {
        Agg::Count | Agg::Hist | Agg::Lhist { .. } => vec![("count", IntTy::U64)],
        Agg::Sum { signed } => vec![("sum", number(*signed))],
        Agg::Min { signed } | Agg::Max { signed } => {
            vec![("value", number(*signed)), ("seen", IntTy::U64)]
        }
        Agg::Avg { signed } | Agg::Stats { signed } => {
            vec![("total", number(*signed)), ("count", IntTy::U64)]
        }
    }
}

/// The type that a map keeps a plain value as: integers in 64 bits, everything else as it is.
pub fn stored(ty: &Ty) -> Ty {
    match ty {
        Ty::Int(int) => Ty::Int(IntTy { bits: 64, signed: int.signed }),
        _ => ty.clone(),
    }
}

/// The size of a map's value in bytes.
pub fn map_value_size(hir: &Hir, map: &Map) -> u32 {
    match &map.value {
        MapValue::Plain(ty) => of(hir, &stored(ty)).size,
        MapValue::Agg(agg) => u32::try_from(agg_fields(agg).len() * 8).unwrap_or(u32::MAX),
    }
}

/// The size of the header of every ring buffer record: `u32` id of the output, `u32` zero.
pub const RECORD_HEADER: u32 = 8;

/// The layout of a ring buffer record's arguments, whose offsets count from the start of the record.
pub fn record(hir: &Hir, args: &[Ty]) -> Fields {
    let header = Layout { size: RECORD_HEADER, align: RECORD_HEADER };
    let mut layout = place([header].into_iter().chain(args.iter().map(|ty| of(hir, ty))));
    layout.offsets.remove(0);
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_padded_as_in_c() {
        let members = [(1, 1), (8, 8), (2, 2), (16, 1)];
        let layout = place(members.map(|(size, align)| Layout { size, align }));
        assert_eq!(layout, Fields { offsets: vec![0, 8, 16, 18], size: 40, align: 8 });
    }

    #[test]
    fn records_begin_with_a_header() {
        let layout = record(&Hir::default(), &[Ty::Bool, Ty::U64]);
        assert_eq!((layout.offsets, layout.size), (vec![8, 16], 24));
    }

    #[test]
    fn sizes_saturate() {
        assert_eq!(align_up(u32::MAX, 8), 0xffff_fff8);
        assert_eq!(of(&Hir::default(), &Ty::Array(Ty::U64.into(), u32::MAX)).size, u32::MAX);
    }
}
