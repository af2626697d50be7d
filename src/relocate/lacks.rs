//! What a kernel lacks that no record asks about: helper functions and kinds of maps.
//!
//! In: a relocated object, in which nothing is left that cannot run, and the target's types. Out: the object with older helpers where the target has those alone, and what it uses that the target
//! has not. What there is, the kernel's own enums say; of a target that does not show them whole nothing is said.

use super::{Place, record};
use crate::btf::{Btf, Type, TypeId, kind};
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::isa::{helpers, opcode as op};
use crate::kernel::Target;
use crate::object::read::{Object, ReadError, maps};
use crate::object::rewrite::rewrite;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The enums that say which helpers and kinds of maps a kernel has (v6.12 include/uapi/linux/bpf.h).
pub(super) const ENUMS: [&str; 2] = ["bpf_func_id", "bpf_map_type"];

/// Helpers, and older ones that do the same: `bpf_probe_read_{user,kernel}{,_str}` were one pair before 5.5. libbpf does this where it loads.
const OLDER: [(i32, i32); 4] = [(112, 4), (113, 4), (114, 45), (115, 45)];

/// How many calls of helpers that lack are told of: for each the lines of the object are read.
const MAX_TOLD: usize = 64;

/// What a relocated object uses and a kernel has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// What it is.
    pub kind: Lacking,
    /// Its name: `bpf_ringbuf_output`, `ringbuf`.
    pub name: String,
    /// The program or function that calls it, or the map.
    pub user: String,
    /// The source line, where the object says it.
    pub at: Option<Place>,
}

/// What kind of thing lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacking {
    /// A helper function.
    Helper,
    /// A kind of maps.
    MapType,
}

/// An object that fits a kernel as far as it can.
pub(super) struct Fitted {
    pub(super) bytes: Vec<u8>,
    pub(super) lacks: Vec<Lack>,
}

/// Fits a relocated object to a kernel's helpers, and says what it lacks.
pub(super) fn fit(bytes: Vec<u8>, target: &Target<'_>) -> Result<Fitted, ReadError> {
    let object = Object::parse(&bytes)?;
    let mut lacks = Vec::new();
    let [helpers, map_types] = there(target);
    if let (Some(there), Some(types)) = (map_types, object.types()?) {
        let missing = maps(&types).into_iter().filter(|map| !there.contains(&map.map_type.into()));
        lacks.extend(missing.map(|map| {
            let (name, user) = (map.kind(), map.name.to_owned());
            Lack { kind: Lacking::MapType, name, user, at: None }
        }));
    }
    let Some(there) = helpers else { return Ok(Fitted { bytes, lacks }) };
    let has = |helper: i32| there.contains(&helper.cast_unsigned().into());
    let mut changed: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for function in object.functions()? {
        for (slot, insn) in calls(&function.insns()) {
            if has(insn.imm) {
                continue;
            }
            let older = OLDER.iter().find(|(new, old)| *new == insn.imm && has(*old));
            if let Some((_, old)) = older {
                let index = function.symbol.section;
                let data = object.sections.get(index).map_or(&[][..], |section| section.data);
                let data = changed.entry(index).or_insert_with(|| data.to_vec());
                let at = usize::try_from(function.symbol.offset).unwrap_or(usize::MAX);
                let place = at.saturating_add(slot * SLOT)..at.saturating_add((slot + 1) * SLOT);
                if let Some(bytes) = data.get_mut(place) {
                    bytes.copy_from_slice(&Insn { imm: *old, ..insn }.encode(object.endian));
                }
                continue;
            }
            // Of several calls in one function the first stands for all.
            if told.len() >= MAX_TOLD || !told.insert((insn.imm, function.symbol.name)) {
                continue;
            }
            let name = helpers::name(insn.imm.cast_unsigned().into());
            let name = name.unwrap_or_else(|| format!("helper {}", insn.imm));
            let user = function.symbol.name.to_owned();
            let at = record::line_at(&object, &user, slot);
            lacks.push(Lack { kind: Lacking::Helper, name, user, at });
        }
    }
    let bytes = if changed.is_empty() { bytes } else { rewrite(&bytes, &changed)? };
    Ok(Fitted { bytes, lacks })
}

/// The enums without which types that were taken from the target would not tell what it lacks of what an object, or what it has set aside, uses.
pub(super) fn telling(
    object: &Object<'_>,
    types: &Btf<'_>,
    target: &Target<'_>,
) -> Result<Vec<&'static str>, ReadError> {
    let mut helpers = BTreeSet::new();
    for function in object.functions()? {
        let called = calls(&function.insns()).into_iter();
        helpers.extend(called.map(|(_, insn)| u64::from(insn.imm.cast_unsigned())));
    }
    let map_types = maps(types).into_iter().map(|map| map.map_type.into()).collect();
    let used = [helpers, map_types].into_iter().zip(there(target));
    let lacks = used.map(|(used, there)| there.is_some_and(|there| !used.is_subset(&there)));
    Ok(ENUMS.into_iter().zip(lacks).filter_map(|(name, lacks)| lacks.then_some(name)).collect())
}

/// The calls of helpers, with their slots.
fn calls(insns: &[Insn]) -> Vec<(usize, Insn)> {
    let mut calls = Vec::new();
    let mut slots = insns.iter().copied().enumerate();
    while let Some((slot, insn)) = slots.next() {
        if insn.code == op::LDIMM64 {
            slots.next();
        } else if insn.code == op::JMP | op::CALL && insn.src == 0 && !insn.is_poison() {
            calls.push((slot, insn));
        }
    }
    calls
}

/// The values of each of [`ENUMS`], which count without gaps; none if the target does not have it, or not whole.
fn there(target: &Target<'_>) -> [Option<BTreeSet<u64>>; 2] {
    let found = target.image.find_of(&[kind::ENUM, kind::ENUM64], &ENUMS);
    let mut values = found.into_iter().map(|ids| values(&target.image, &ids));
    [(); 2].map(|()| values.next().flatten())
}

fn values(types: &Btf<'_>, ids: &[TypeId]) -> Option<BTreeSet<u64>> {
    let enums = ids.iter().filter_map(|id| match types.get(*id) {
        Ok(Type::Enum { values, .. }) => Some(values),
        _ => None,
    });
    // The last enumerator is the number of all others: `__BPF_FUNC_MAX_ID`, and in newer kernels `__MAX_BPF_MAP_TYPE`.
    let named = enums.flatten().filter(|(name, _)| !name.starts_with("__"));
    let values: BTreeSet<u64> = named.map(|(_, value)| value).collect();
    let whole = values.len() > 1 && values.iter().copied().eq(0..values.len() as u64);
    whole.then_some(values)
}
