//! What a program can see and change outside the kernel's structs: the same for the evaluator and for machine code.

use std::collections::BTreeMap;
use ubpfc::sema::hir::{Agg, Hir, Map, MapKind, MapValue};
use ubpfc::sema::types::Ty;

/// What builtins answer during one run.
#[derive(Clone, Debug)]
pub struct Env {
    /// The process in the high half, the thread in the low one.
    pub pid_tgid: u64,
    /// The group in the high half, the user in the low one.
    pub uid_gid: u64,
    /// The current thread's name.
    pub comm: [u8; 16],
    /// The clock.
    pub nsecs: u64,
    /// The processor.
    pub cpu: u32,
    /// The cgroup.
    pub cgroup: u64,
    /// Every random number.
    pub rand: u32,
    /// The current thread's `task_struct`.
    pub task: u64,
    /// The packet, and where its network header is.
    pub packet: (Vec<u8>, usize),
}

impl Default for Env {
    fn default() -> Env {
        let mut comm = [0; 16];
        comm[..6].copy_from_slice(b"tester");
        Env {
            pid_tgid: 0x1267_0000_1268,
            uid_gid: 0x0064_0000_03e8,
            comm,
            nsecs: 1_000_000_007,
            cpu: 0,
            cgroup: 0x1_0000_0001,
            rand: 0xdead_beef,
            task: 0,
            packet: (Vec::new(), 0),
        }
    }
}

/// The contents of one map: keys and values as bytes.
pub type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// All that programs leave behind. A map that is an array has only the elements that are not all zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By the HIR's maps.
    pub maps: Vec<Contents>,
    /// Ring buffer records, header included.
    pub records: Vec<Vec<u8>>,
}

impl State {
    /// Nothing in any map.
    pub fn new(hir: &Hir) -> State {
        State { maps: vec![Contents::new(); hir.maps.len()], records: Vec::new() }
    }

    /// Leaves out the elements of arrays that are all zero: an array has them whether they were written or not.
    pub fn settle(&mut self, hir: &Hir) {
        for (contents, (_, map)) in self.maps.iter_mut().zip(hir.maps.iter()) {
            if is_array(map) {
                contents.retain(|_, value| value.iter().any(|b| *b != 0));
            }
        }
    }
}

/// Size and alignment of a type as C has it. Written apart from the compiler's own, so that the two check each other.
pub fn size_align(hir: &Hir, ty: &Ty) -> (usize, usize) {
    match ty {
        Ty::Bool => (1, 1),
        Ty::Int(int) => (usize::from(int.bits) / 8, usize::from(int.bits) / 8),
        Ty::Enum(id) => size_align(hir, &Ty::Int(hir.enums[*id].repr)),
        Ty::Str(len) => (*len as usize, 1),
        Ty::Array(elem, len) => {
            let (size, align) = size_align(hir, elem);
            (size * *len as usize, align)
        }
        Ty::Tuple(parts) => {
            let (_, size, align) = members(hir, parts);
            (size, align)
        }
        Ty::Struct(id) => {
            let parts: Vec<Ty> = hir.structs[*id].fields.iter().map(|f| f.ty.clone()).collect();
            let (_, size, align) = members(hir, &parts);
            (size, align)
        }
        Ty::Mirror(id) => {
            let parts: Vec<Ty> = hir.mirrors[*id].fields.iter().map(|f| f.ty.clone()).collect();
            let (_, size, align) = members(hir, &parts);
            (size, align)
        }
        Ty::Ptr(_) => (8, 8),
        Ty::Error | Ty::Void => panic!("no value has this type: {ty:?}"),
    }
}

/// Offsets of the members of a C struct, its size and alignment.
pub fn members(hir: &Hir, parts: &[Ty]) -> (Vec<usize>, usize, usize) {
    let (mut offsets, mut end, mut max) = (Vec::new(), 0_usize, 1);
    for part in parts {
        let (size, align) = size_align(hir, part);
        let at = end.next_multiple_of(align);
        offsets.push(at);
        (end, max) = (at + size, max.max(align));
    }
    (offsets, end.next_multiple_of(max), max)
}

/// Whether every index of a map is an element from the start.
pub fn is_array(map: &Map) -> bool {
    matches!(map.kind, MapKind::Array | MapKind::PerCpuArray)
}

/// The size of a map's key and value in bytes.
pub fn entry_size(hir: &Hir, map: &Map) -> (usize, usize) {
    let value = match &map.value {
        MapValue::Plain(Ty::Int(_))
        | MapValue::Agg(Agg::Count | Agg::Sum { .. } | Agg::Hist | Agg::Lhist { .. }) => 8,
        MapValue::Plain(ty) => size_align(hir, ty).0,
        MapValue::Agg(Agg::Min { .. } | Agg::Max { .. } | Agg::Avg { .. } | Agg::Stats { .. }) => {
            16
        }
    };
    (members(hir, &key_types(map)).1, value)
}

/// The parts of a key as it is in memory: the bucket last in a histogram, an index where there is no other part.
pub fn key_types(map: &Map) -> Vec<Ty> {
    let mut parts = map.key.clone();
    if parts.is_empty() || matches!(map.value, MapValue::Agg(Agg::Hist | Agg::Lhist { .. })) {
        parts.push(Ty::U32);
    }
    parts
}
