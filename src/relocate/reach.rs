//! Which slots of an object's code can run.
//!
//! In: code whose questions are answered, and the instructions that nothing comes after. Out: for each slot whether it can run, and for each conditional jump which ways it can go. Constants
//! are followed through registers and whole 8-byte slots of the stack, from immediate moves through arithmetic and comparisons; everything else is unknown. Where it says that a slot does
//! not run, no run of a program gets there. The work is linear in the code: at a place where ways meet, what is known only ever becomes less.

use super::apply::ApplyError;
use super::constant::{arithmetic, comparison};
use super::edit::{At, Code, Edge, Function, Section, is_indirect, jump_distance};
use crate::btf::Type;
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use crate::object::elf::{section_flags, section_type, symbol_type};
use crate::object::read::Object;
use crate::target::Endian;
use std::collections::{BTreeMap, BTreeSet};

/// The frame pointer.
const FRAME: u8 = 10;
/// The bytes of a frame (v6.12 include/linux/filter.h: `MAX_BPF_STACK`).
const STACK: i16 = 512;
/// The stack of longer functions is not followed: what is known at every place where ways meet would take much memory.
const MAX_FOLLOWED: usize = 1 << 16;

/// What can happen at a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// It can run.
    pub runs: bool,
    /// Of a jump: it can be taken.
    pub jumps: bool,
    /// The next instruction can follow.
    pub falls: bool,
}

/// What can happen at every slot of an object's code.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    sections: BTreeMap<usize, Vec<Ways>>,
    entered: BTreeSet<At>,
}

impl Reach {
    /// Finds out what can run, if no instruction at `stops` is ever passed.
    pub fn of(code: &Code, object: &Object<'_>, stops: &BTreeSet<At>) -> Result<Reach, ApplyError> {
        let mut reach = Reach::default();
        for (index, section) in &code.sections {
            reach.sections.insert(*index, vec![Ways::default(); section.slots.len()]);
        }
        let mut todo: Vec<At> = entries(code, object)?;
        while let Some(at) = todo.pop() {
            if !reach.entered.insert(at) {
                continue;
            }
            let Some(section) = code.sections.get(&at.section) else { continue };
            let Some(function) = section.function_from(at.slot) else { continue };
            let Some(ways) = reach.sections.get_mut(&at.section) else { continue };
            let stop = |slot| stops.contains(&At { slot, ..at });
            let walk = Walk { section, function, stop: &stop, endian: object.endian };
            walk.all(ways);
            for slot in function.slots.clone() {
                if let Some(Edge::Function { to, .. }) = section.slots[slot].edge
                    && ways[slot].runs
                {
                    todo.push(to);
                }
            }
        }
        Ok(reach)
    }

    /// Whether a slot can run.
    pub fn runs(&self, at: At) -> bool {
        self.ways(at).runs
    }

    /// What can happen at a slot.
    pub fn ways(&self, at: At) -> Ways {
        let section = self.sections.get(&at.section);
        section.and_then(|ways| ways.get(at.slot)).copied().unwrap_or_default()
    }

    /// Whether a function that begins there can be entered.
    pub fn is_entered(&self, at: At) -> bool {
        self.entered.contains(&at)
    }
}

/// The functions that the kernel enters: programs, which are all functions outside of `.text`, and those that data or an attribute refers to.
fn entries(code: &Code, object: &Object<'_>) -> Result<Vec<At>, ApplyError> {
    let mut entries = Vec::new();
    let functions = |index: usize, wanted: &dyn Fn(&Function) -> bool| {
        let section = code.sections.get(&index);
        let functions = section.into_iter().flat_map(|section| &section.functions);
        let wanted = functions.filter(|function| wanted(function));
        wanted.map(|f| At { section: index, slot: f.slots.start }).collect::<Vec<At>>()
    };
    let callbacks = exception_callbacks(object)?;
    for (index, section) in &code.sections {
        let is_program = section.name != ".text";
        let wanted = |f: &Function| is_program || callbacks.contains(f.name.as_str());
        entries.append(&mut functions(*index, &wanted));
    }
    let mut whole = BTreeSet::new();
    for table in object.sections.iter().filter(|table| table.kind == section_type::REL) {
        let of = object.sections.get(table.info as usize);
        let is_data =
            |flags| flags & section_flags::ALLOC != 0 && flags & section_flags::EXECINSTR == 0;
        if !of.is_some_and(|of| is_data(of.flags)) {
            continue;
        }
        for relocation in object.relocations_in(table)? {
            let symbol = relocation.symbol;
            if symbol.kind == symbol_type::FUNC {
                let slot = usize::try_from(symbol.offset / 8).unwrap_or(usize::MAX);
                entries.extend(code.sections.get(&symbol.section).and_then(|section| {
                    let now = *section.moved.get(slot)?;
                    Some(At { section: symbol.section, slot: now })
                }));
            } else {
                // Which function it is stands in the data.
                whole.insert(symbol.section);
            }
        }
    }
    for section in whole {
        entries.append(&mut functions(section, &|_| true));
    }
    Ok(entries)
}

/// The functions that a program names as what runs when it throws.
fn exception_callbacks(object: &Object<'_>) -> Result<BTreeSet<String>, ApplyError> {
    let mut names = BTreeSet::new();
    if let Some(types) = object.types()? {
        for id in types.ids() {
            if let Ok(Type::DeclTag { name, .. }) = types.get(id) {
                names.extend(name.strip_prefix("exception_callback:").map(str::to_owned));
            }
        }
    }
    Ok(names)
}

/// What is known before an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    registers: [Option<u64>; 11],
    /// Whole slots of the stack by their offset from the frame pointer, ascending, none overlapping another.
    stack: Vec<(i16, u64)>,
}

impl State {
    fn register(&self, number: u8) -> Option<u64> {
        self.registers.get(usize::from(number)).copied().flatten()
    }

    fn set(&mut self, number: u8, value: Option<u64>) {
        if let Some(register) = self.registers.get_mut(usize::from(number)) {
            *register = value;
        }
    }

    /// Forgets what `bytes` bytes of the stack were.
    fn forget(&mut self, at: i16, bytes: i32) {
        let at = i32::from(at);
        self.stack.retain(|(slot, _)| i32::from(*slot) + 8 <= at || at + bytes <= i32::from(*slot));
    }

    /// Keeps what the other knows too; says whether that is less than before.
    fn meet(&mut self, other: &State) -> bool {
        let mut less = false;
        for (mine, other) in self.registers.iter_mut().zip(&other.registers) {
            if mine.is_some() && mine != other {
                *mine = None;
                less = true;
            }
        }
        let before = self.stack.len();
        self.stack.retain(|slot| other.stack.binary_search(slot).is_ok());
        less || self.stack.len() < before
    }
}

/// A way through one function.
struct Walk<'a> {
    section: &'a Section,
    function: &'a Function,
    stop: &'a dyn Fn(usize) -> bool,
    endian: Endian,
}

/// How the stack can be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// It is not followed.
    Ignored,
    /// By the function's own accesses alone: no copy of the frame pointer exists.
    Private,
    /// Also through copies of the frame pointer: by calls and by every store.
    Shared,
}

impl Walk<'_> {
    /// Follows every way from the first slot on.
    fn all(&self, ways: &mut [Ways]) {
        let slots = self.function.slots.clone();
        if slots.clone().any(|at| is_indirect(self.section.slots[at].insn)) {
            // Where a jump through a table goes is not known.
            for at in slots {
                ways[at] = Ways { runs: true, jumps: true, falls: true };
            }
            return;
        }
        let frame = self.frame();
        let meets = self.meeting_points();
        let mut known: BTreeMap<usize, State> = BTreeMap::new();
        known.insert(slots.start, State::default());
        let mut todo = BTreeSet::from([slots.start]);
        while let Some(start) = todo.pop_first() {
            let mut state = known.get(&start).cloned();
            let mut at = start;
            while let Some(mut leaving) = state.take() {
                let arrivals = self.step(at, &mut leaving, frame, ways);
                let next = at + self.section.width(at);
                for (to, refined) in arrivals {
                    if !slots.contains(&to) {
                        continue;
                    }
                    // What is known on one way is not known on the other.
                    let mut arriving = leaving.clone();
                    if let Some((register, value)) = refined {
                        arriving.set(register, Some(value));
                    }
                    if to == next && !meets.contains(&to) {
                        state = Some(arriving);
                        continue;
                    }
                    let changed = match known.get_mut(&to) {
                        Some(before) => before.meet(&arriving),
                        None => known.insert(to, arriving).is_none(),
                    };
                    if changed {
                        todo.insert(to);
                    }
                }
                at = next;
            }
        }
    }

    fn insns(&self) -> impl Iterator<Item = (usize, Insn)> {
        let slots = self.function.slots.clone();
        let slots = slots.filter_map(|at| Some((at, self.section.slots.get(at)?)));
        slots.filter(|(_, slot)| !slot.second).map(|(at, slot)| (at, slot.insn))
    }

    fn meeting_points(&self) -> BTreeSet<usize> {
        self.insns()
            .filter_map(|(at, _)| match self.section.slots[at].edge {
                Some(Edge::Jump(to)) => Some(to),
                _ => None,
            })
            .collect()
    }

    /// Whether the frame pointer is ever used but as the base of an access.
    fn frame(&self) -> Frame {
        if self.function.slots.len() > MAX_FOLLOWED {
            return Frame::Ignored;
        }
        let copies = |insn: Insn| match insn.code & op::CLASS_MASK {
            op::ALU | op::ALU64 => insn.code & op::SRC_MASK == op::X && insn.src == FRAME,
            op::STX => insn.src == FRAME,
            op::LDX | op::ST | op::JMP | op::JMP32 | op::LD => false,
            _ => true,
        };
        if self.insns().any(|(_, insn)| copies(insn)) { Frame::Shared } else { Frame::Private }
    }

    /// Takes one instruction: changes what is known, and gives where it can lead, with a register whose value is known there.
    fn step(
        &self,
        at: usize,
        state: &mut State,
        frame: Frame,
        ways: &mut [Ways],
    ) -> Vec<(usize, Option<(u8, u64)>)> {
        let slot = self.section.slots[at];
        let next = at + self.section.width(at);
        for ways in &mut ways[at..next] {
            ways.runs = true;
        }
        if (self.stop)(at) {
            return Vec::new();
        }
        let insn = slot.insn;
        if insn.code == op::JMP | op::EXIT {
            return Vec::new();
        }
        let jump = jump_distance(insn).and(slot.edge);
        if let Some(Edge::Jump(to)) = jump {
            return Walk::branch(insn, state, (to, next), &mut ways[at]);
        }
        ways[at].falls = true;
        self.straight(at, state, frame);
        vec![(next, None)]
    }

    /// The ways that a jump can go.
    fn branch(
        insn: Insn,
        state: &State,
        (to, next): (usize, usize),
        ways: &mut Ways,
    ) -> Vec<(usize, Option<(u8, u64)>)> {
        let operation = insn.code & op::OP_MASK;
        let decided = if operation == op::JA {
            Some(true)
        } else {
            comparison(insn, state.register(insn.dst), state.register(insn.src))
        };
        // What is equal to a number is that number.
        let from_immediate = insn.code & (op::CLASS_MASK | op::SRC_MASK) == op::JMP | op::K;
        let number = (insn.dst, i64::from(insn.imm).cast_unsigned());
        let number = (from_immediate && insn.dst < FRAME).then_some(number);
        let mut arrivals = Vec::new();
        if decided != Some(true) {
            ways.falls = true;
            arrivals.push((next, number.filter(|_| operation == op::JNE)));
        }
        if decided != Some(false) {
            ways.jumps = true;
            arrivals.push((to, number.filter(|_| operation == op::JEQ)));
        }
        arrivals
    }

    /// What an instruction that does not jump changes.
    fn straight(&self, at: usize, state: &mut State, frame: Frame) {
        let slot = self.section.slots[at];
        let insn = slot.insn;
        let Insn { code, dst, src, off, imm } = insn;
        match code & op::CLASS_MASK {
            op::ALU | op::ALU64 => {
                let value = arithmetic(insn, state.register(dst), state.register(src), self.endian);
                state.set(dst, value);
            }
            op::LD if insn.is_wide() => {
                let high = self.section.slots.get(at + 1).map(|second| second.insn.imm);
                let known = src == 0 && !slot.relocated;
                let value = high.filter(|_| known).map(|high| {
                    u64::from(high.cast_unsigned()) << 32 | u64::from(imm.cast_unsigned())
                });
                state.set(dst, value);
            }
            op::LD | op::JMP | op::JMP32 => {
                // A call, or a load from a packet, which is one in disguise.
                (0..=5).for_each(|register| state.set(register, None));
                if frame == Frame::Shared {
                    state.stack.clear();
                }
            }
            op::LDX => {
                let whole = code == op::LDX | op::MEM | op::DW && src == FRAME;
                let held = state.stack.iter().find(|(slot, _)| whole && *slot == off);
                let value = held.map(|(_, value)| *value);
                state.set(dst, value);
            }
            _ => Walk::store(insn, state, frame),
        }
    }

    fn store(insn: Insn, state: &mut State, frame: Frame) {
        let Insn { code, dst, src, off, imm } = insn;
        let atomic = code & op::CLASS_MASK == op::STX && code & op::MODE_MASK == op::ATOMIC;
        if atomic {
            // It may load: into its source, its destination, or what is compared.
            for register in [0, src, dst] {
                state.set(register, None);
            }
        }
        if dst != FRAME {
            if frame == Frame::Shared {
                state.stack.clear();
            }
            return;
        }
        state.forget(off, 8);
        let whole = code & op::SIZE_MASK == op::DW && code & op::MODE_MASK == op::MEM;
        if atomic
            || !whole
            || frame == Frame::Ignored
            || off % 8 != 0
            || !(-STACK..=-8).contains(&off)
        {
            return;
        }
        let stored = match code & op::CLASS_MASK {
            op::ST => Some(i64::from(imm).cast_unsigned()),
            _ => state.register(src),
        };
        if let Some(value) = stored {
            let at = state.stack.partition_point(|(slot, _)| *slot < off);
            state.stack.insert(at, (off, value));
        }
    }
}
