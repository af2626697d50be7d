//! The script's types in BTF, so that whoever reads a map or a record knows what is in it.
//!
//! In: types of the HIR. Out: ids of types with the same layout and the script's names. Integers are typedefs such as `u32`; names that begin with `ubpf_` are
//! the compiler's own.

use crate::btf::{Builder, Member, Type, TypeId, VOID, encoding, kind};
use crate::sema::hir::{Agg, EnumId, EnumeratorValue, Hir, Map, MapValue, Output};
use crate::sema::layout::{self, Fields};
use crate::sema::types::{IntTy, Pointee, Ty};
use smol_str::{SmolStr, format_smolstr};

/// The name of an integer type in the script.
pub fn int_name(int: IntTy) -> SmolStr {
    format_smolstr!("{}{}", if int.signed { 's' } else { 'u' }, int.bits)
}

/// The name of the struct that holds an aggregation's state.
pub fn agg_name(agg: &Agg) -> &'static str {
    match agg {
        Agg::Count => "ubpf_count",
        Agg::Sum { signed: false } => "ubpf_sum_u64",
        Agg::Sum { signed: true } => "ubpf_sum_s64",
        Agg::Min { signed: false } => "ubpf_min_u64",
        Agg::Min { signed: true } => "ubpf_min_s64",
        Agg::Max { signed: false } => "ubpf_max_u64",
        Agg::Max { signed: true } => "ubpf_max_s64",
        Agg::Avg { signed: false } => "ubpf_avg_u64",
        Agg::Avg { signed: true } => "ubpf_avg_s64",
        Agg::Stats { signed: false } => "ubpf_stats_u64",
        Agg::Stats { signed: true } => "ubpf_stats_s64",
        Agg::Hist => "ubpf_hist",
        Agg::Lhist { .. } => "ubpf_lhist",
    }
}

/// The type in BTF of a value of the script.
pub fn declare(hir: &Hir, ty: &Ty, btf: &mut Builder) -> TypeId {
    match ty {
        Ty::Error | Ty::Void => VOID,
        Ty::Bool => {
            let bool = btf.int_of("_Bool", 1, encoding::BOOL);
            btf.typedef("bool", bool)
        }
        Ty::Int(int) => typedef(*int, btf),
        Ty::Enum(id) => enumeration(hir, *id, btf),
        Ty::Str(len) => {
            let char = char(btf);
            btf.array(char, *len)
        }
        Ty::Array(elem, len) => {
            let elem = declare(hir, elem, btf);
            btf.array(elem, *len)
        }
        Ty::Tuple(parts) => tuple(hir, "", parts, btf),
        Ty::Struct(id) => {
            let data = &hir.structs[*id];
            let members = data.fields.iter().map(|field| (&field.name, &field.ty, field.offset));
            composite(hir, &data.name, data.size, members, btf)
        }
        Ty::Mirror(id) => {
            let mirror = &hir.mirrors[*id];
            let members = mirror.fields.iter().map(|field| (&field.name, &field.ty, field.offset));
            composite(hir, &mirror.name, mirror.size, members, btf)
        }
        Ty::Ptr(pointee) => {
            let to = pointed_to(hir, pointee, btf);
            btf.ptr(to)
        }
    }
}

fn typedef(int: IntTy, btf: &mut Builder) -> TypeId {
    let base = btf.int(int);
    btf.typedef(int_name(int), base)
}

fn char(btf: &mut Builder) -> TypeId {
    btf.int_of("char", 1, encoding::SIGNED)
}

/// A kernel struct is only declared: what is in it differs from kernel to kernel.
fn pointed_to(hir: &Hir, pointee: &Pointee, btf: &mut Builder) -> TypeId {
    match pointee {
        Pointee::Mirror(id) => forward(&hir.mirrors[*id].kernel, btf),
        Pointee::Kernel(name) => forward(name, btf),
        Pointee::UserStr => char(btf),
        Pointee::User(ty) => declare(hir, ty, btf),
    }
}

fn forward(name: &SmolStr, btf: &mut Builder) -> TypeId {
    btf.add(Type::Fwd { union: false, name: name.clone() })
}

/// An enum whose numbers are the same everywhere is an enum; one that mirrors a kernel's is a typedef of its integer, since its numbers are the target's.
fn enumeration(hir: &Hir, id: EnumId, btf: &mut Builder) -> TypeId {
    let data = &hir.enums[id];
    let values = data.enumerators.iter().map(|enumerator| match enumerator.value {
        EnumeratorValue::Const(value) => Some((enumerator.name.clone(), value)),
        EnumeratorValue::Kernel { .. } => None,
    });
    let Some(values) = values.collect() else {
        let base = btf.int(data.repr);
        return btf.typedef(data.name.clone(), base);
    };
    let (size, signed) = (data.repr.size(), data.repr.signed);
    btf.add(Type::Enum { name: data.name.clone(), size, signed, wide: size == 8, values })
}

/// A struct whose members are called `_0`, `_1` and so on.
fn tuple(hir: &Hir, name: &str, parts: &[Ty], btf: &mut Builder) -> TypeId {
    let Fields { offsets, size, .. } = layout::fields(hir, parts);
    let names: Vec<SmolStr> = (0..parts.len()).map(|i| format_smolstr!("_{i}")).collect();
    let members =
        names.iter().zip(parts).zip(offsets).map(|((name, ty), offset)| (name, ty, offset));
    composite(hir, name, size, members, btf)
}

fn composite<'a>(
    hir: &Hir,
    name: &str,
    size: u32,
    members: impl Iterator<Item = (&'a SmolStr, &'a Ty, u32)>,
    btf: &mut Builder,
) -> TypeId {
    let members = members.map(|(name, ty, offset)| member(name, declare(hir, ty, btf), offset));
    let members = members.collect();
    btf.composite(name, size, members)
}

/// A member that is no bitfield, at an offset in bytes.
pub fn member(name: &str, ty: TypeId, offset: u32) -> Member {
    Member { name: name.into(), ty, bit_offset: offset.saturating_mul(8), bit_width: 0 }
}

/// The type of a map's key; a key of several parts is a struct `ubpf_key_MAP`.
pub fn map_key(hir: &Hir, map: &Map, btf: &mut Builder) -> TypeId {
    match layout::map_key(map) {
        Ty::Tuple(parts) => tuple(hir, &format!("ubpf_key_{}", map.name), &parts, btf),
        key => declare(hir, &key, btf),
    }
}

/// The type of a map's value; an aggregation's state is a struct such as `ubpf_avg_s64`.
pub fn map_value(hir: &Hir, map: &Map, btf: &mut Builder) -> TypeId {
    match &map.value {
        MapValue::Plain(ty) => declare(hir, &layout::stored(ty), btf),
        MapValue::Agg(agg) => {
            let fields = layout::agg_fields(agg);
            let size = u32::try_from(fields.len() * 8).unwrap_or(u32::MAX);
            let members = (0..).step_by(8).zip(fields);
            let members =
                members.map(|(offset, (name, int))| member(name, typedef(int, btf), offset));
            let members = members.collect();
            btf.composite(agg_name(agg), size, members)
        }
    }
}

/// The name of the struct of a record in the ring buffer, by the index of its output.
pub fn record_name(index: usize) -> SmolStr {
    format_smolstr!("ubpf_record_{index}")
}

/// The struct of a record in the ring buffer: `id`, `zero`, and its arguments `_0`, `_1` and so on.
pub fn record(hir: &Hir, index: usize, output: &Output, btf: &mut Builder) -> TypeId {
    let layout = layout::record(hir, &output.args);
    let u32 = typedef(IntTy::U32, btf);
    let mut members = vec![member("id", u32, 0), member("zero", u32, 4)];
    for (i, (ty, offset)) in output.args.iter().zip(layout.offsets).enumerate() {
        let name = format_smolstr!("_{i}");
        members.push(member(&name, declare(hir, ty, btf), offset));
    }
    btf.composite(record_name(index), layout.size, members)
}

/// A constant of that type.
pub fn constant(ty: TypeId, btf: &mut Builder) -> TypeId {
    btf.add(Type::Modifier { kind: kind::CONST, ty })
}
