//! Which functions a program gets to, and how much stack it takes on the way.
//!
//! In: code, and what of it can run. Out: the functions that a program calls or hands to the kernel as callbacks, and the bytes of all frames that can be there at once.

use super::edit::{At, Code, Edge};
use super::reach::Reach;
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use std::collections::{BTreeMap, BTreeSet};

/// The bytes of stack of a program and of all that it calls (v6.12 include/linux/filter.h: `MAX_BPF_STACK`; kernel/bpf/verifier.c: `check_max_stack_depth_subprog`).
pub(super) const MAX_STACK: u32 = 512;
/// How deep calls go (`MAX_CALL_FRAMES` of v6.12 `include/linux/bpf_verifier.h`).
const MAX_FRAMES: u32 = 8;
/// Frames are rounded up to this: newer kernels with a JIT round less, and no kernel more.
const GRANULE: u32 = 16;
/// The frame pointer.
const FRAME: u8 = 10;

/// The functions that a call, or a reference to a callback, that can run leads to from one.
fn callees(code: &Code, reach: &Reach, at: At) -> Vec<At> {
    let Some(section) = code.sections.get(&at.section) else { return Vec::new() };
    let Some(function) = section.function_from(at.slot) else { return Vec::new() };
    let runs = function.slots.clone().filter(|slot| reach.runs(At { slot: *slot, ..at }));
    let edges = runs.filter_map(|slot| match section.slots.get(slot)?.edge {
        Some(Edge::Function { to, .. }) => Some(to),
        _ => None,
    });
    edges.collect()
}

/// The functions that a program gets to, itself included, by where they begin.
pub(super) fn reached(code: &Code, reach: &Reach, start: At) -> BTreeSet<At> {
    let (mut found, mut todo) = (BTreeSet::new(), vec![start]);
    while let Some(at) = todo.pop() {
        if found.insert(at) {
            todo.extend(callees(code, reach, at));
        }
    }
    found
}

/// The stack of functions and of what they call.
pub(super) struct Frames<'c> {
    code: &'c Code,
    reach: &'c Reach,
    known: BTreeMap<(At, u32), u32>,
}

impl<'c> Frames<'c> {
    pub(super) fn new(code: &'c Code, reach: &'c Reach) -> Frames<'c> {
        Frames { code, reach, known: BTreeMap::new() }
    }

    /// The bytes of all frames that can be there at once when that function runs.
    pub(super) fn depth(&mut self, start: At) -> u32 {
        self.below(start, MAX_FRAMES)
    }

    fn below(&mut self, at: At, frames: u32) -> u32 {
        let Some(frames) = frames.checked_sub(1) else { return 0 };
        if let Some(known) = self.known.get(&(at, frames)) {
            return *known;
        }
        let callees: BTreeSet<At> = callees(self.code, self.reach, at).into_iter().collect();
        let deepest = callees.into_iter().map(|callee| self.below(callee, frames)).max();
        let own = self.frame(at);
        // Where nothing is called, the frame is as large as it is.
        let depth = match deepest {
            None => own,
            Some(deepest) => {
                own.next_multiple_of(GRANULE).saturating_add(deepest.next_multiple_of(GRANULE))
            }
        };
        self.known.insert((at, frames), depth);
        depth
    }

    /// The bytes of a frame, as far as the function gets at them by a constant distance from the frame pointer.
    fn frame(&self, at: At) -> u32 {
        let Some(section) = self.code.sections.get(&at.section) else { return 0 };
        let Some(function) = section.function_from(at.slot) else { return 0 };
        let mut deepest = 0;
        // Registers that are copies of the frame pointer.
        let mut copies: u16 = 1 << FRAME;
        for slot in function.slots.clone() {
            let one = section.slots[slot];
            if one.second || !self.reach.runs(At { slot, ..at }) {
                continue;
            }
            let Insn { code, dst, src, off, imm } = one.insn;
            let is_copy = |register: u8| copies & 1 << (register & 15) != 0;
            let distance = match code & op::CLASS_MASK {
                op::LDX if src == FRAME => i32::from(off),
                op::ST | op::STX if dst == FRAME => i32::from(off),
                op::ALU64
                    if code & (op::OP_MASK | op::SRC_MASK) == op::ADD | op::K && is_copy(dst) =>
                {
                    imm
                }
                _ => 0,
            };
            deepest = deepest.max(distance.saturating_neg());
            let class = code & op::CLASS_MASK;
            if matches!(class, op::ALU | op::ALU64 | op::LDX | op::LD) && dst != FRAME {
                copies &= !(1 << (dst & 15));
                let copied = code == op::ALU64 | op::MOV | op::X && src == FRAME && off == 0;
                copies |= u16::from(copied) << (dst & 15);
            }
        }
        u32::try_from(deepest).unwrap_or(0)
    }
}
