//! Code without what cannot run.
//!
//! In: code, and which ways it can go. Out: the code without instructions that cannot run, without jumps that go one way only or to the next instruction, and without answers that nothing
//! reads any more. No function becomes empty; a poisoned one stays as it is, for the verifier to point at what is wrong; a function that nothing enters stays as it is, but gives nothing if it asks what has no answer.

use super::apply::ApplyError;
use super::edit::{At, Code, Edge, Function, Section, Slot, is_indirect, jump_distance};
use super::reach::{Reach, Ways};
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use std::collections::{BTreeMap, BTreeSet};

/// Removes what cannot run. `missing` are the instructions without an answer, `answers` those that questions have been answered in.
pub(super) fn prune(
    code: &mut Code,
    reach: &Reach,
    missing: &BTreeSet<At>,
    answers: &BTreeSet<At>,
) -> Result<(), ApplyError> {
    let mut edits: BTreeMap<At, Vec<Insn>> = BTreeMap::new();
    for (index, section) in &mut code.sections {
        if section.slots.iter().any(|slot| is_indirect(slot.insn)) {
            continue;
        }
        for function in section.functions.clone() {
            let at = |slot| At { section: *index, slot };
            let asks = |slot| missing.contains(&at(slot));
            if function.slots.clone().any(|slot| asks(slot) && reach.runs(at(slot))) {
                continue;
            }
            let pruned = if reach.is_entered(at(function.slots.start)) {
                decide(section, &function, |slot| reach.ways(at(slot)));
                let answers = |slot| answers.contains(&at(slot));
                entered(section, &function, |slot| reach.runs(at(slot)), answers)
            } else if function.slots.clone().any(asks) {
                nothing(section, &function)
            } else {
                continue;
            };
            edits.extend(pruned.into_iter().map(|(slot, insns)| (at(slot), insns)));
        }
    }
    code.replace(&edits)
}

/// The slots that instructions of a function begin at.
fn starts(section: &Section, function: &Function) -> Vec<usize> {
    function.slots.clone().filter(|slot| !section.slots[*slot].second).collect()
}

/// `r0 = 0; exit`: the code of a function that nothing enters.
fn nothing(section: &Section, function: &Function) -> Vec<(usize, Vec<Insn>)> {
    let zero = Insn { code: op::ALU64 | op::MOV | op::K, ..Insn::default() };
    let exit = Insn { code: op::JMP | op::EXIT, ..Insn::default() };
    let starts = starts(section, function).into_iter();
    let first = function.slots.start;
    starts.map(|slot| (slot, if slot == first { vec![zero, exit] } else { Vec::new() })).collect()
}

/// Makes every conditional jump that goes one way only an unconditional one.
fn decide(section: &mut Section, function: &Function, ways: impl Fn(usize) -> Ways) {
    for slot in function.slots.clone() {
        let ways = ways(slot);
        let here = &mut section.slots[slot];
        let conditional = is_comparison(here.insn) && matches!(here.edge, Some(Edge::Jump(_)));
        if conditional && ways.runs && ways.jumps != ways.falls {
            here.insn = Insn { code: op::JMP | op::JA, ..Insn::default() };
            if ways.falls {
                here.edge = Some(Edge::Jump(slot + 1));
            }
        }
    }
}

/// Whether it is a jump on a comparison.
fn is_comparison(insn: Insn) -> bool {
    let operation = insn.code & op::OP_MASK;
    jump_distance(insn).is_some() && !matches!(operation, op::JA | op::JCOND)
}

/// What goes from a function that is entered.
fn entered(
    section: &Section,
    function: &Function,
    runs: impl Fn(usize) -> bool,
    answers: impl Fn(usize) -> bool,
) -> Vec<(usize, Vec<Insn>)> {
    let graph = Graph { starts: starts(section, function), section };
    let mut gone: Vec<bool> = graph.starts.iter().map(|slot| !runs(*slot)).collect();
    graph.remove_idle_jumps(&mut gone);
    if graph.remove_unread(&mut gone, answers) {
        graph.remove_idle_jumps(&mut gone);
    }
    if gone.iter().all(|gone| *gone) {
        return Vec::new();
    }
    let removed = graph.starts.iter().zip(gone).filter(|(_, gone)| *gone);
    removed.map(|(slot, _)| (*slot, Vec::new())).collect()
}

/// The instructions of a function, which are numbered in ascending order.
struct Graph<'a> {
    section: &'a Section,
    /// The slots that they begin at.
    starts: Vec<usize>,
}

/// How often liveness is looked at again before it is left.
const MAX_SWEEPS: usize = 64;

impl Graph<'_> {
    fn slot(&self, index: usize) -> Slot {
        self.section.slots[self.starts[index]]
    }

    /// The instruction that one jumps to.
    fn target(&self, index: usize) -> Option<usize> {
        match self.slot(index).edge {
            Some(Edge::Jump(to)) => Some(self.starts.partition_point(|start| *start < to)),
            Some(Edge::Function { .. }) | None => None,
        }
    }

    /// Removes jumps over nothing. Those inside of what another jumps over come first.
    fn remove_idle_jumps(&self, gone: &mut [bool]) {
        let mut next_kept = None;
        for index in (0..self.starts.len()).rev() {
            if gone[index] {
                continue;
            }
            let insn = self.slot(index).insn;
            let is_pure = is_comparison(insn) || insn.code & op::OP_MASK == op::JA;
            let target = self.target(index).filter(|to| is_pure && *to > index);
            if target.zip(next_kept).is_some_and(|(to, next)| to <= next) {
                gone[index] = true;
            } else {
                next_kept = Some(index);
            }
        }
    }

    /// Removes answers that nothing reads; says whether there were any.
    fn remove_unread(&self, gone: &mut [bool], answers: impl Fn(usize) -> bool) -> bool {
        let Some(read_later) = self.read_later(gone) else { return false };
        let mut any = false;
        for (index, live) in read_later.into_iter().enumerate() {
            let insn = self.slot(index).insn;
            let is_number = insn.is_wide()
                || matches!(insn.code & op::CLASS_MASK, op::ALU | op::ALU64)
                    && insn.code & (op::OP_MASK | op::SRC_MASK) == op::MOV | op::K;
            if !gone[index]
                && is_number
                && answers(self.starts[index])
                && live & register(insn.dst) == 0
            {
                gone[index] = true;
                any = true;
            }
        }
        any
    }

    /// For each instruction the registers that may be read after it; none where that takes too long to find out.
    fn read_later(&self, gone: &[bool]) -> Option<Vec<u16>> {
        let count = self.starts.len();
        let mut before = vec![0_u16; count + 1];
        let mut after = vec![0_u16; count];
        for _ in 0..MAX_SWEEPS {
            let mut same = true;
            for index in (0..count).rev() {
                let insn = self.slot(index).insn;
                let mut live = if ends_here(insn) && !gone[index] { 0 } else { before[index + 1] };
                if let Some(to) = self.target(index).filter(|_| !gone[index]) {
                    live |= before[to];
                }
                after[index] = live;
                if !gone[index] {
                    let (reads, writes) = effect(insn);
                    live = live & !writes | reads;
                }
                same &= before[index] == live;
                before[index] = live;
            }
            if same {
                return Some(after);
            }
        }
        None
    }
}

/// Whether the next instruction never follows.
fn ends_here(insn: Insn) -> bool {
    match insn.code & op::CLASS_MASK {
        op::JMP => matches!(insn.code & op::OP_MASK, op::JA | op::EXIT),
        op::JMP32 => insn.code & op::OP_MASK == op::JA,
        _ => false,
    }
}

/// A register as a set of them.
fn register(number: u8) -> u16 {
    1 << (number & 15)
}

/// The registers that an instruction may read, and those that it surely overwrites.
fn effect(insn: Insn) -> (u16, u16) {
    let (dst, src) = (register(insn.dst), register(insn.src));
    let from_register = insn.code & op::SRC_MASK == op::X;
    let operand = if from_register { src } else { 0 };
    match insn.code & op::CLASS_MASK {
        op::ALU | op::ALU64 if insn.code & op::OP_MASK == op::MOV => (operand, dst),
        op::ALU | op::ALU64 => (dst | operand, dst),
        op::LD if insn.is_wide() => (0, dst),
        // Loads from packets take the context in r6.
        op::LD => (register(6) | src, 0),
        op::LDX => (src, dst),
        op::ST => (dst, 0),
        op::STX => (dst | src | register(0), 0),
        op::JMP if insn.code == op::JMP | op::CALL => (0b11_1110, 0b11_1111),
        op::JMP if insn.code == op::JMP | op::EXIT => (register(0), 0),
        op::JMP if insn.code & op::OP_MASK == op::CALL => (u16::MAX, 0),
        _ => (dst | operand, 0),
    }
}
