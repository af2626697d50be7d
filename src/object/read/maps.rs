//! BTF-defined maps.

use crate::btf::{Btf, Type, TypeId};

/// A map, as its variable in `.maps` defines it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type in the kernel's ABI.
    pub map_type: u32,
    /// The most entries.
    pub max_entries: u32,
    /// What a key is.
    pub key: Option<TypeId>,
    /// What a value is.
    pub value: Option<TypeId>,
    /// In bytes.
    pub key_size: u32,
    /// In bytes.
    pub value_size: u32,
}

// include/uapi/linux/bpf.h: enum bpf_map_type
const MAP_TYPES: &[&str] = &[
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "percpu_hash",
    "percpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "percpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
    "insn_array",
];

impl MapDef<'_> {
    /// What kind of map it is, as bpftool spells it.
    pub fn kind(&self) -> String {
        let known = MAP_TYPES.get(self.map_type as usize);
        known.map_or_else(|| format!("type {}", self.map_type), |name| (*name).to_owned())
    }
}

/// The maps that the section `.maps` defines, in its order. What is not a definition is left out.
pub fn maps<'a>(types: &Btf<'a>) -> Vec<MapDef<'a>> {
    let sections = types.ids().filter_map(|id| match types.get(id) {
        Ok(Type::DataSec { name: ".maps", vars, .. }) => Some(vars),
        _ => None,
    });
    sections.flatten().filter_map(|var| map(types, var.var)).collect()
}

fn map<'a>(types: &Btf<'a>, var: TypeId) -> Option<MapDef<'a>> {
    let Type::Var { name, ty, .. } = types.get(var).ok()? else { return None };
    let Type::Composite { members, .. } = types.get(types.strip(ty).ok()?).ok()? else {
        return None;
    };
    let mut map = MapDef { name, ..MapDef::default() };
    for member in members {
        let Ok(Type::Ptr(to)) = types.get(member.ty) else { continue };
        let number = match types.get(to) {
            Ok(Type::Array { len, .. }) => len,
            _ => 0,
        };
        match member.name {
            "type" => map.map_type = number,
            "max_entries" => map.max_entries = number,
            "key_size" => map.key_size = number,
            "value_size" => map.value_size = number,
            "key" => (map.key, map.key_size) = (Some(to), types.size(to).ok()?),
            "value" => (map.value, map.value_size) = (Some(to), types.size(to).ok()?),
            _ => {}
        }
    }
    Some(map)
}
