//! `.maps`: the script's maps and the ring buffer, as BTF-defined maps.
//!
//! A map is a variable of a struct whose members say everything by their types: `type` and `max_entries` point to arrays of as many elements as the number is, `key` and `value` to the
//! key's and value's type. The section's bytes are zeros.

use super::elf::{File, Section, Symbol, SymbolIdx, section_flags, section_type, symbol_type};
use super::types;
use crate::btf::{Builder, Member, SecVar, Type, TypeId};
use crate::ir::MapTarget;
use crate::isa::code::{Code, RelocKind};
use crate::sema::hir::{Hir, MapKind};
use crate::sema::types::IntTy;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smol_str::{SmolStr, format_smolstr};

/// `BPF_MAP_TYPE_RINGBUF`
pub(super) const RINGBUF: u32 = 27;

/// The number of a kind of map in the kernel's ABI.
pub(super) fn map_type(kind: MapKind) -> u32 {
    // include/uapi/linux/bpf.h: enum bpf_map_type
    match kind {
        MapKind::Hash => 1,
        MapKind::Array => 2,
        MapKind::PerCpuHash => 5,
        MapKind::PerCpuArray => 6,
        MapKind::LruHash => 9,
    }
}

/// The name of the ring buffer: `ubpf_ring`, or the like where the script has a map of that name.
pub fn ring_name(hir: &Hir) -> SmolStr {
    let mut name = SmolStr::new_static("ubpf_ring");
    while hir.maps.iter().any(|(_, map)| map.name == name) {
        name = format_smolstr!("{name}_");
    }
    name
}

/// The name of a map's symbol.
pub(super) fn name(hir: &Hir, map: MapTarget) -> SmolStr {
    match map {
        MapTarget::Map(id) => hir.maps[id].name.clone(),
        MapTarget::Ring => ring_name(hir),
    }
}

/// Whether the object has a ring buffer.
pub(super) fn has_ring(hir: &Hir, code: &Code) -> bool {
    let ring = RelocKind::Map(MapTarget::Ring);
    let mut relocs = code.functions().flat_map(|function| &function.relocs);
    !hir.outputs.is_empty() || relocs.any(|reloc| reloc.kind == ring)
}

/// Adds the section, unless there is no map; gives the maps' symbols.
pub(super) fn add(
    hir: &Hir,
    code: &Code,
    btf: &mut Builder,
    file: &mut File,
) -> IndexMap<MapTarget, SymbolIdx, FxBuildHasher> {
    let mut maps = Vec::new();
    for (id, map) in hir.maps.iter() {
        let key = types::map_key(hir, map, btf);
        let value = types::map_value(hir, map, btf);
        let numbers = (map_type(map.kind), map.max_entries);
        let definition = definition(numbers, Some((key, value)), btf);
        maps.push((MapTarget::Map(id), map.name.clone(), definition));
    }
    if has_ring(hir, code) {
        let definition = definition((RINGBUF, hir.ring_bytes), None, btf);
        maps.push((MapTarget::Ring, ring_name(hir), definition));
    }
    if maps.is_empty() {
        return IndexMap::default();
    }
    let (mut vars, mut size) = (Vec::new(), 0);
    for (_, name, (ty, bytes)) in &maps {
        let var = btf.add(Type::Var { name: name.clone(), ty: *ty, linkage: 1 });
        vars.push(SecVar { var, offset: size, size: *bytes });
        size += bytes;
    }
    let section = file.section(Section {
        name: ".maps".into(),
        kind: section_type::PROGBITS,
        flags: section_flags::ALLOC | section_flags::WRITE,
        align: 8,
        data: vec![0; size as usize],
        relocs: Vec::new(),
    });
    let symbols = maps.into_iter().zip(&vars).map(|((target, name, _), var)| {
        let (offset, size) = (var.offset.into(), var.size.into());
        let (name, kind) = (name.to_string(), symbol_type::OBJECT);
        (
            target,
            file.symbol(Symbol { name, kind, global: true, section: Some(section), offset, size }),
        )
    });
    let symbols = symbols.collect();
    btf.add(Type::DataSec { name: ".maps".into(), size, vars });
    symbols
}

/// The struct that defines a map, and its size.
fn definition(
    (map_type, max_entries): (u32, u32),
    contents: Option<(TypeId, TypeId)>,
    btf: &mut Builder,
) -> (TypeId, u32) {
    let mut fields = vec![("type", number(map_type, btf))];
    if let Some((key, value)) = contents {
        fields.extend([("key", btf.ptr(key)), ("value", btf.ptr(value))]);
    }
    fields.push(("max_entries", number(max_entries, btf)));
    let members = (0..).step_by(8).zip(fields);
    let members: Vec<Member> =
        members.map(|(offset, (name, ty))| types::member(name, ty, offset)).collect();
    let size = u32::try_from(members.len() * 8).unwrap_or(u32::MAX);
    (btf.composite("", size, members), size)
}

/// A number as a type: a pointer to an array of that many elements. They have one byte, since the kernel refuses arrays beyond 4 GiB.
fn number(value: u32, btf: &mut Builder) -> TypeId {
    let byte = btf.int(IntTy::U8);
    let array = btf.array(byte, value);
    btf.ptr(array)
}
