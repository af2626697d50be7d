//! The frame: where slots and spilled registers lie.
//!
//! In: a function and the number of its spilled registers. Out: by slot, its offset from the frame pointer (r10), and the bytes used in all. Slots that are never in use
//! at once share bytes: a slot is in use from the first instruction on some way that names it, or an address computed from it, to the last. A slot whose address goes
//! where this cannot be followed (memory, a block's parameter) is in use always.

use crate::ir::cfg::{Cfg, ix};
use crate::ir::{BinOp, BlockId, Func, Op, SlotId, ValueId};

/// A frame.
#[derive(Debug)]
pub(super) struct Frame {
    /// By slot: the offset of its first byte from the frame pointer.
    pub(super) offsets: Vec<i32>,
    /// How many bytes are used, a multiple of 8.
    pub(super) bytes: u32,
}

/// How much work finding the slots in use may be, in bits of sets; beyond that none share.
const MAX_BITS: usize = 1 << 26;
/// How many slots in use at once are looked at in pairs; they would not fit anyway.
const MAX_AT_ONCE: usize = 1 << 10;

/// Lays out a frame.
pub(super) fn layout(func: &Func, cfg: &Cfg, spills: u32) -> Frame {
    let apart = Conflicts::new(func, cfg);
    let mut order = used_slots(func, cfg);
    let key = |id: &SlotId| (func.slots[*id].align, func.slots[*id].size);
    order.sort_by_key(|id| (std::cmp::Reverse(key(id)), id.into_raw()));
    let spill_bytes = spills.saturating_mul(8);
    let mut placed: Vec<(u32, u32, SlotId)> = Vec::new();
    let mut bytes = spill_bytes;
    let mut offsets = vec![0; func.slots.len()];
    for id in order {
        let slot = &func.slots[id];
        let align = slot.align.max(1);
        let mut taken: Vec<(u32, u32)> = placed
            .iter()
            .filter(|(_, _, other)| apart.conflict(id, *other))
            .map(|(from, to, _)| (*from, *to))
            .collect();
        taken.sort_unstable();
        // Counted downwards from the frame pointer: the slot's first byte is at its end.
        let end_for = |start: u32| start.saturating_add(slot.size).next_multiple_of(align);
        let mut end = end_for(spill_bytes);
        for (from, to) in taken {
            if from < end && end - slot.size < to {
                end = end_for(to);
            }
        }
        placed.push((end - slot.size, end, id));
        bytes = bytes.max(end);
        offsets[ix(id)] = i32::try_from(end).map_or(i32::MIN, |e| -e);
    }
    Frame { offsets, bytes: bytes.next_multiple_of(8) }
}

/// The slots that anything names.
pub(super) fn used_slots(func: &Func, cfg: &Cfg) -> Vec<SlotId> {
    let insts = cfg.order.iter().flat_map(|b| &func.blocks[*b].insts);
    let mut used: Vec<SlotId> = insts
        .filter_map(|inst| match inst.op {
            Op::SlotAddr(slot, _) => Some(slot),
            _ => None,
        })
        .collect();
    used.sort_unstable_by_key(|id| id.into_raw());
    used.dedup();
    used
}

/// Which slots are in use at once.
struct Conflicts {
    count: usize,
    /// By pair; `None` where all are taken to be.
    pairs: Option<Vec<bool>>,
}

impl Conflicts {
    fn conflict(&self, a: SlotId, b: SlotId) -> bool {
        self.pairs.as_ref().is_none_or(|p| p[ix(a) * self.count + ix(b)])
    }

    fn new(func: &Func, cfg: &Cfg) -> Conflicts {
        let count = func.slots.len();
        let blocks = func.blocks.len();
        if count.saturating_mul(blocks.max(count)) > MAX_BITS {
            return Conflicts { count, pairs: None };
        }
        let uses = Uses::new(func, cfg);
        let mut pairs = vec![false; count * count];
        for slot in (0..count).filter(|s| uses.escaped[*s]) {
            for other in 0..count {
                pairs[slot * count + other] = true;
                pairs[other * count + slot] = true;
            }
        }
        let (reached, needed) = uses.spread(func, cfg);
        for block in &cfg.order {
            let b = ix(*block);
            let mut lives: Vec<(usize, usize, usize)> = Vec::new();
            for slot in 0..count {
                let (before, after) = (reached[b][slot], needed[b][slot]);
                let own = uses.of_block(b, slot);
                if (before && after) || own.is_some() {
                    let start = if before { 0 } else { own.map_or(0, |o| o.0) };
                    let end = if after { usize::MAX } else { own.map_or(usize::MAX, |o| o.1) };
                    lives.push((start, end, slot));
                }
            }
            if lives.len() > MAX_AT_ONCE {
                return Conflicts { count, pairs: None };
            }
            for (i, (start, end, slot)) in lives.iter().enumerate() {
                for (_, _, other) in lives[..i].iter().filter(|o| o.0 <= *end && *start <= o.1) {
                    pairs[slot * count + other] = true;
                    pairs[other * count + slot] = true;
                }
            }
        }
        Conflicts { count, pairs: Some(pairs) }
    }
}

/// Where slots are named.
struct Uses {
    /// By slot: whether its address goes where it cannot be followed.
    escaped: Vec<bool>,
    /// By block: the first and last place of each slot that is used there.
    places: Vec<Vec<(usize, usize, usize)>>,
}

impl Uses {
    fn new(func: &Func, cfg: &Cfg) -> Uses {
        let mut uses = Uses {
            escaped: vec![false; func.slots.len()],
            places: vec![Vec::new(); func.blocks.len()],
        };
        let mut slot_of: Vec<Option<SlotId>> = vec![None; func.values.len()];
        for block in &cfg.order {
            for (at, inst) in func.blocks[*block].insts.iter().enumerate() {
                inst.op.each_use(|v| uses.note(*block, at, slot_of[ix(v)]));
                let derived = match &inst.op {
                    // An address as such is made where it is used.
                    Op::SlotAddr(slot, _) => Some(*slot),
                    Op::Bin(BinOp::Add | BinOp::Sub, a, b) => {
                        let (a, b) = (slot_of[ix(*a)], slot_of[ix(*b)]);
                        if a.is_some() && b.is_some() {
                            uses.escape(a);
                            uses.escape(b);
                        }
                        a.or(b)
                    }
                    Op::Load { .. } | Op::Call(..) | Op::Cmp(_) => None,
                    Op::Store { value, .. } | Op::AtomicAdd { value, .. } => {
                        uses.escape(slot_of[ix(*value)]);
                        None
                    }
                    op => {
                        op.each_use(|v| uses.escape(slot_of[ix(v)]));
                        None
                    }
                };
                if let Some(result) = inst.result {
                    slot_of[ix(result)] = derived;
                }
            }
            let term = &func.blocks[*block].term;
            term.each_use(|v: ValueId| uses.note(*block, usize::MAX, slot_of[ix(v)]));
            for target in term.targets() {
                target.args.iter().for_each(|v| uses.escape(slot_of[ix(*v)]));
            }
        }
        uses
    }

    fn escape(&mut self, slot: Option<SlotId>) {
        if let Some(slot) = slot {
            self.escaped[ix(slot)] = true;
        }
    }

    fn note(&mut self, block: BlockId, at: usize, slot: Option<SlotId>) {
        let Some(slot) = slot.map(ix) else { return };
        let places = &mut self.places[ix(block)];
        match places.iter_mut().rev().find(|p| p.2 == slot) {
            Some(place) => place.1 = at,
            None => places.push((at, at, slot)),
        }
    }

    fn of_block(&self, block: usize, slot: usize) -> Option<(usize, usize)> {
        self.places[block].iter().find(|p| p.2 == slot).map(|p| (p.0, p.1))
    }

    /// By block and slot: whether it may have been used on the way to the block's start, and whether it may be used after the block's end.
    fn spread(&self, func: &Func, cfg: &Cfg) -> (Vec<Vec<bool>>, Vec<Vec<bool>>) {
        let empty = vec![vec![false; func.slots.len()]; func.blocks.len()];
        let (mut reached, mut needed) = (empty.clone(), empty);
        for block in &cfg.order {
            for (_, _, slot) in &self.places[ix(*block)] {
                let succs = |b: BlockId| func.blocks[b].term.successors().collect();
                flow(*slot, *block, &mut reached, succs);
                flow(*slot, *block, &mut needed, |b| cfg.preds(b).to_vec());
            }
        }
        (reached, needed)
    }
}

/// Marks a slot in all blocks that can be got to from a block by at least one step.
fn flow(
    slot: usize,
    from: BlockId,
    marks: &mut [Vec<bool>],
    next: impl Fn(BlockId) -> Vec<BlockId>,
) {
    let mut todo = next(from);
    while let Some(block) = todo.pop() {
        if !std::mem::replace(&mut marks[ix(block)][slot], true) {
            todo.extend(next(block));
        }
    }
}
