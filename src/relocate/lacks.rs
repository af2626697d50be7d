//! What a kernel lacks that no record asks about: helper functions, kinds of maps, types of programs, ways to attach them, and instructions.
//!
//! In: a relocated object, in which nothing is left that cannot run, and the target's types. Out: the object with older helpers where the target has those alone, and what it uses that the target
//! has not. What there is, the kernel's own enums say; of a target that does not show them whole nothing is said. No enum tells of instructions and of the longest program: they are told by a helper
//! that came in the same release.

use super::{Place, record};
use crate::btf::{Btf, Type, TypeId, kind};
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::isa::{helpers, opcode as op};
use crate::kernel::Target;
use crate::object::read::{Function, Object, ReadError, maps};
use crate::object::rewrite::rewrite;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The enums that say which helpers, kinds of maps, types of programs and ways to attach a kernel has (v6.12 include/uapi/linux/bpf.h); and one that every kernel has, and no object asks about
/// (include/linux/kernel.h: `system_states`): where it is there and types of programs are not, the kernel has no programs.
pub(super) const ENUMS: [&str; 5] =
    ["bpf_func_id", "bpf_map_type", "bpf_prog_type", "bpf_attach_type", WITNESS];

/// See [`ENUMS`].
const WITNESS: &str = "system_states";

/// Helpers, and older ones that do the same: `bpf_probe_read_{user,kernel}{,_str}` were one pair before 5.5. libbpf does this where it loads.
const OLDER: [(i32, i32); 4] = [(112, 4), (113, 4), (114, 45), (115, 45)];

/// Sections of programs, by their beginning up to a `/`, `.` or `+`: the type that loaders give the program, and how it is attached where the kernel wants to know that when it loads.
/// (v6.12 tools/lib/bpf/libbpf.c: `section_defs`; include/uapi/linux/bpf.h: `bpf_prog_type`, `bpf_attach_type`.)
const SECTIONS: [(&str, Numbered, Option<Numbered>); 18] = [
    ("socket", ("SOCKET_FILTER", 1), None),
    ("kprobe", ("KPROBE", 2), None),
    ("kretprobe", ("KPROBE", 2), None),
    ("uprobe", ("KPROBE", 2), None),
    ("uretprobe", ("KPROBE", 2), None),
    ("tracepoint", ("TRACEPOINT", 5), None),
    ("tp", ("TRACEPOINT", 5), None),
    ("xdp", ("XDP", 6), None),
    ("perf_event", ("PERF_EVENT", 7), None),
    ("raw_tracepoint", ("RAW_TRACEPOINT", 17), None),
    ("raw_tp", ("RAW_TRACEPOINT", 17), None),
    ("tp_btf", ("TRACING", 26), Some(("BPF_TRACE_RAW_TP", 23))),
    ("fentry", ("TRACING", 26), Some(("BPF_TRACE_FENTRY", 24))),
    ("fexit", ("TRACING", 26), Some(("BPF_TRACE_FEXIT", 25))),
    ("fmod_ret", ("TRACING", 26), Some(("BPF_MODIFY_RETURN", 26))),
    ("iter", ("TRACING", 26), Some(("BPF_TRACE_ITER", 28))),
    ("lsm", ("LSM", 29), Some(("BPF_LSM_MAC", 27))),
    ("syscall", ("SYSCALL", 31), None),
];

/// An enumerator: its name in messages, and its number.
type Numbered = (&'static str, u64);

/// Instructions that came late: what they are, whether one is such, and the number of a helper of the same release.
type Late = (&'static str, fn(Insn) -> bool, u64);

const LATE: [Late; 2] = [
    // v5.1: 092ed0968bb6 "bpf: verifier support JMP32"; d83525ca62cf "bpf: introduce bpf_spin_lock".
    ("32-bit jumps", is_jump_32, 93),
    // v5.12: 5ffa25502b5a "bpf: Add instructions for atomic_[cmp]xchg"; 34b2021cc616 "bpf: Add BPF-helper for MTU checking".
    ("atomic operations other than a plain addition", is_late_atomic, 163),
];

/// Kernels take this many instructions; newer ones as many as they can verify, which nobody knows before
/// (v5.2: c04c0d2b968a "bpf: increase complexity limit and maximum program size").
const OLD_LENGTH: usize = 4096;
/// A helper of that release (6ac99e8f23d4 "bpf: Introduce bpf sk local storage").
const LONG_SINCE: u64 = 107;

fn is_jump_32(insn: Insn) -> bool {
    insn.code & op::CLASS_MASK == op::JMP32
}

fn is_late_atomic(insn: Insn) -> bool {
    let atomic = insn.code & (op::CLASS_MASK | op::MODE_MASK) == op::STX | op::ATOMIC;
    atomic && insn.imm != op::ATOMIC_ADD
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lacking {
    /// A helper function.
    Helper,
    /// A kind of maps.
    MapType,
    /// A type of programs.
    ProgramType,
    /// A way to attach programs.
    AttachType,
    /// Instructions.
    Instructions,
    /// The room for a program of that length.
    Length,
    /// The room on the stack, which is the same in every kernel.
    Stack,
}

/// An object that fits a kernel as far as it can.
pub(super) struct Fitted {
    pub(super) bytes: Vec<u8>,
    pub(super) lacks: Vec<Lack>,
}

/// What a target has of what no record asks about: the values of each of [`ENUMS`], which count without gaps; none if the target does not have the enum, or not whole.
#[derive(Debug)]
pub(super) struct Offer {
    there: [Option<BTreeSet<u64>>; ENUMS.len()],
    /// Whether it is known to have no programs at all.
    none: bool,
}

/// What becomes of a call of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// The target has it, or does not tell.
    There,
    /// It has this one, which does the same.
    Older(i32),
    /// It has none.
    Lacks,
}

impl Offer {
    /// What a target has.
    pub(super) fn of(target: &Target<'_>) -> Offer {
        let found = target.image.find_of(&[kind::ENUM, kind::ENUM64], &ENUMS);
        let none = matches!(&found[..], [.., types, _, witness] if types.is_empty() && !witness.is_empty());
        let mut values = found.iter().map(|ids| values(&target.image, ids));
        Offer { there: [(); ENUMS.len()].map(|()| values.next().flatten()), none }
    }

    /// Whether the target is known not to have a number of that one of [`ENUMS`].
    fn lacks(&self, which: usize, number: u64) -> bool {
        let there = self.there.get(which).and_then(Option::as_ref);
        there.is_some_and(|there| !there.contains(&number))
    }

    fn lacks_helper(&self, helper: i32) -> bool {
        self.lacks(0, helper.cast_unsigned().into())
    }

    /// What becomes of a call of that helper.
    pub(super) fn call(&self, helper: i32) -> Called {
        if !self.lacks_helper(helper) {
            return Called::There;
        }
        let older = OLDER.iter().find(|(new, old)| *new == helper && !self.lacks_helper(*old));
        older.map_or(Called::Lacks, |(_, old)| Called::Older(*old))
    }

    /// What the target lacks for the programs of a section.
    pub(super) fn section(&self, section: &str) -> Option<(Lacking, String)> {
        let (prog, attach) = kind_of(section)?;
        if self.none || self.lacks(2, prog.1) {
            return Some((Lacking::ProgramType, prog.0.to_ascii_lowercase()));
        }
        let (name, _) = attach.filter(|(_, number)| self.lacks(3, *number))?;
        Some((Lacking::AttachType, name.to_owned()))
    }

    /// The kinds of maps that an object has and the target has not.
    pub(super) fn maps(&self, types: &Btf<'_>) -> Vec<Lack> {
        let missing = maps(types).into_iter().filter(|map| self.lacks(1, map.map_type.into()));
        let lack = |map: crate::object::read::MapDef<'_>| {
            let (name, user) = (map.kind(), map.name.to_owned());
            Lack { kind: Lacking::MapType, name, user, at: None }
        };
        missing.map(lack).collect()
    }

    /// The instructions that the target lacks.
    pub(super) fn instructions(&self, insn: Insn) -> Option<&'static str> {
        let late = LATE.iter().find(|(_, is_such, since)| is_such(insn) && self.lacks(0, *since));
        late.map(|(name, ..)| *name)
    }

    /// Whether the target takes no program of that many instructions.
    pub(super) fn too_long(&self, insns: usize) -> bool {
        insns > OLD_LENGTH && self.lacks(0, LONG_SINCE)
    }
}

/// What a helper is called.
pub(super) fn helper_name(helper: i32) -> String {
    helpers::name(helper.cast_unsigned().into()).unwrap_or_else(|| format!("helper {helper}"))
}

/// The type of the programs of a section, and how they are attached.
fn kind_of(section: &str) -> Option<(Numbered, Option<Numbered>)> {
    let section = section.trim_start_matches('?');
    let first = section.split(['/', '.', '+']).next().unwrap_or(section);
    let found = SECTIONS.iter().find(|(prefix, ..)| *prefix == first);
    found.map(|(_, prog, attach)| (*prog, *attach))
}

/// Fits a relocated object to a kernel's helpers, and says what it lacks.
pub(super) fn fit(bytes: Vec<u8>, target: &Target<'_>) -> Result<Fitted, ReadError> {
    let object = Object::parse(&bytes)?;
    let offer = Offer::of(target);
    let types = object.types()?;
    let mut lacks = types.map(|types| offer.maps(&types)).unwrap_or_default();
    let mut changed: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for function in object.functions()? {
        let user = function.symbol.name;
        let lack = |kind, name| Lack { kind, name, user: user.to_owned(), at: None };
        if let Some((kind, name)) = offer.section(function.section) {
            lacks.push(lack(kind, name));
        }
        let insns = function.insns();
        if offer.too_long(insns.len()) {
            lacks.push(lack(Lacking::Length, format!("{} instructions", insns.len())));
        }
        for (slot, insn) in whole(&insns) {
            let (kind, key, name) = if let Some(name) = offer.instructions(insn) {
                (Lacking::Instructions, i32::try_from(name.len()).unwrap_or(0), name.to_owned())
            } else if !is_helper_call(insn) {
                continue;
            } else {
                match offer.call(insn.imm) {
                    Called::There => continue,
                    Called::Older(old) => {
                        let data = changed.entry(function.symbol.section);
                        let section = object.sections.get(function.symbol.section);
                        let old_data = || section.map_or(Vec::new(), |s| s.data.to_vec());
                        replace(
                            data.or_insert_with(old_data),
                            &function,
                            slot,
                            Insn { imm: old, ..insn },
                        );
                        continue;
                    }
                    Called::Lacks => (Lacking::Helper, insn.imm, helper_name(insn.imm)),
                }
            };
            // Of several in one function the first stands for all.
            if told.len() < MAX_TOLD && told.insert((kind, key, user)) {
                let at = record::line_at(&object, user, slot);
                lacks.push(Lack { at, ..lack(kind, name) });
            }
        }
    }
    let bytes = if changed.is_empty() { bytes } else { rewrite(&bytes, &changed)? };
    Ok(Fitted { bytes, lacks })
}

/// Puts an instruction into a slot of a function, in the bytes of its section.
fn replace(data: &mut [u8], function: &Function<'_>, slot: usize, insn: Insn) {
    let at = usize::try_from(function.symbol.offset).unwrap_or(usize::MAX);
    let place = at.saturating_add(slot * SLOT)..at.saturating_add((slot + 1) * SLOT);
    if let Some(bytes) = data.get_mut(place) {
        bytes.copy_from_slice(&insn.encode(function.endian));
    }
}

/// The enums without which types that were taken from the target would not tell what it lacks of what an object, or what it has set aside, uses.
pub(super) fn telling(
    object: &Object<'_>,
    types: &Btf<'_>,
    target: &Target<'_>,
) -> Result<Vec<&'static str>, ReadError> {
    let mut used: [BTreeSet<u64>; ENUMS.len()] = Default::default();
    used[1].extend(maps(types).into_iter().map(|map| u64::from(map.map_type)));
    for function in object.functions()? {
        let insns = function.insns();
        for (_, insn) in whole(&insns) {
            if is_helper_call(insn) {
                used[0].insert(insn.imm.cast_unsigned().into());
            }
            let late = LATE.iter().filter(|(_, is_such, _)| is_such(insn));
            used[0].extend(late.map(|(.., since)| *since));
        }
        used[0].extend((insns.len() > OLD_LENGTH).then_some(LONG_SINCE));
        if let Some((prog, attach)) = kind_of(function.section) {
            used[2].insert(prog.1);
            used[3].extend(attach.map(|(_, number)| number));
        }
    }
    let offer = Offer::of(target);
    let lacks = used.iter().enumerate().map(|(which, used)| {
        let witness = offer.none && ENUMS.get(which) == Some(&WITNESS);
        witness || used.iter().any(|number| offer.lacks(which, *number))
    });
    Ok(ENUMS.into_iter().zip(lacks).filter_map(|(name, lacks)| lacks.then_some(name)).collect())
}

/// Every instruction with its slot, without the second halves of wide ones.
fn whole(insns: &[Insn]) -> impl Iterator<Item = (usize, Insn)> {
    let mut second = false;
    insns.iter().copied().enumerate().filter(move |(_, insn)| {
        let is_second = std::mem::take(&mut second);
        second = !is_second && insn.is_wide();
        !is_second
    })
}

/// Whether it calls a helper of the kernel.
pub(super) fn is_helper_call(insn: Insn) -> bool {
    insn.code == op::JMP | op::CALL && insn.src == 0 && !insn.is_poison()
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
