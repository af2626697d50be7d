//! The size of a target's pointers, where the file that its types come from does not say it.
//!
//! In: types. Out: the size of `long`, as libbpf has it; of types without `long`, the distance of two pointers that follow each other in a struct; otherwise 8. (libbpf then takes the size of a pointer in its own process:
//! `tools/lib/bpf/btf.c: determine_ptr_size`.)

use super::read::Btf;
use super::{Type, TypeId, kind};

/// The size of a pointer in bytes.
pub(super) fn size(types: &Btf<'_>) -> u32 {
    let long = || types.of_kind(kind::INT).find_map(|id| long(types, id));
    let apart = || types.of_kind(kind::STRUCT).find_map(|id| apart(types, id));
    long().or_else(apart).unwrap_or(8)
}

/// The size of an integer that C calls `long`, in whatever order.
fn long(types: &Btf<'_>, id: TypeId) -> Option<u32> {
    let size = types.raw(id).ok()?.word;
    let mut words: Vec<&str> = types.name(id).ok()?.split(' ').collect();
    words.sort_unstable();
    let spelled =
        [&["long"][..], &["int", "long"], &["long", "unsigned"], &["int", "long", "unsigned"]];
    (matches!(size, 4 | 8) && spelled.contains(&&words[..])).then_some(size)
}

/// How far apart two pointers are that follow each other in a struct.
fn apart(types: &Btf<'_>, id: TypeId) -> Option<u32> {
    let Type::Composite { members, .. } = types.get(id).ok()? else { return None };
    let pointer =
        |ty| types.strip(ty).and_then(|ty| types.kind(ty)).is_ok_and(|kind| kind == kind::PTR);
    members.array_windows().find_map(|[first, second]| {
        let bits = second.bit_offset.checked_sub(first.bit_offset)?;
        let both = pointer(first.ty) && pointer(second.ty);
        (both && matches!(bits, 32 | 64)).then_some(bits / 8)
    })
}
