//! Where values lie in memory: the C layout of types, map keys and records.
//!
//! In: a type and the HIR whose declarations it names. Out: sizes, alignments and offsets in bytes, the same on every target. Invariant: what
//! programs write and what the object's BTF says both come from here. Sizes that overflow saturate; no value that big can be made.

use super::hir::{Agg, Hir, Map, MapValue, Output};
use super::types::Ty;

/// How much memory a value takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In bytes, tail padding included.
    pub size: u32,
    /// In bytes.
    pub align: u32,
}

/// Values laid out one after the other, as in a C struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Where each begins.
    pub offsets: Vec<u32>,
    /// Of the whole.
    pub layout: Layout,
}

/// The bytes before the arguments of a record in the ring buffer.
pub const RECORD_HEADER: u32 = 8;

impl Layout {
    const EMPTY: Layout = Layout { size: 0, align: 1 };

    const fn scalar(size: u32) -> Layout {
        Layout { size, align: size }
    }
}

/// The layout of a type.
pub fn of(hir: &Hir, ty: &Ty) -> Layout {
    match ty {
        Ty::Error | Ty::Void => Layout::EMPTY,
        Ty::Bool => Layout::scalar(1),
        Ty::Int(int) => Layout::scalar(int.size()),
        Ty::Enum(id) => Layout::scalar(hir.enums[*id].repr.size()),
        Ty::Ptr(_) => Layout::scalar(8),
        Ty::Str(len) => Layout { size: *len, align: 1 },
        Ty::Array(element, len) => {
            let element = of(hir, element);
            Layout { size: element.size.saturating_mul(*len), align: element.align }
        }
        Ty::Tuple(parts) => fields(hir, parts.iter()).layout,
        Ty::Struct(id) => Layout { size: hir.structs[*id].size, align: hir.structs[*id].align },
        Ty::Mirror(id) => Layout { size: hir.mirrors[*id].size, align: hir.mirrors[*id].align },
    }
}

/// The layout of values one after the other.
pub fn fields<'t>(hir: &Hir, types: impl IntoIterator<Item = &'t Ty>) -> Fields {
    let mut offsets = Vec::new();
    let mut whole = Layout::EMPTY;
    for ty in types {
        let part = of(hir, ty);
        let offset = align_up(whole.size, part.align);
        offsets.push(offset);
        whole.size = offset.saturating_add(part.size);
        whole.align = whole.align.max(part.align);
    }
    whole.size = align_up(whole.size, whole.align);
    Fields { offsets, layout: whole }
}

/// The layout of a map's key: its parts, then a histogram's bucket; of a map without a key, the index 0.
pub fn key(hir: &Hir, map: &Map) -> Fields {
    const INDEX: Ty = Ty::U32;
    let bucket = matches!(map.value, MapValue::Agg(Agg::Hist | Agg::Lhist { .. }));
    let index = (bucket || map.key.is_empty()).then_some(&INDEX);
    fields(hir, map.key.iter().chain(index))
}

/// The layout of a map's value.
pub fn value(hir: &Hir, map: &Map) -> Layout {
    match &map.value {
        MapValue::Plain(ty) => of(hir, ty),
        MapValue::Agg(Agg::Count | Agg::Sum { .. } | Agg::Hist | Agg::Lhist { .. }) => {
            Layout::scalar(8)
        }
        MapValue::Agg(Agg::Min { .. } | Agg::Max { .. } | Agg::Avg { .. } | Agg::Stats { .. }) => {
            Layout { size: 16, align: 8 }
        }
    }
}

/// The layout of a record: offsets count from its start, the header included.
pub fn record(hir: &Hir, output: &Output) -> Fields {
    let mut fields = fields(hir, &output.args);
    for offset in &mut fields.offsets {
        *offset = offset.saturating_add(RECORD_HEADER);
    }
    fields.layout.size = fields.layout.size.saturating_add(RECORD_HEADER);
    fields.layout.align = 8;
    fields
}

fn align_up(offset: u32, align: u32) -> u32 {
    offset.checked_next_multiple_of(align).unwrap_or(u32::MAX)
}
