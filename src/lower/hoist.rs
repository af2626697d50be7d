//! Numbers that one way of a branch sets are set before the branch, where the other way does not mind: the way then needs no block, and no jump
//! around the other.

use super::machine::{Block, Inst, MachineFunc, Made, Reg, Term};
use super::regalloc::{TooComplex, live_out};
use crate::source::Span;

/// How far into a block it is looked whether it minds.
const MAX_LOOK: usize = 64;

/// Rewrites the branches of a function.
pub(super) fn hoist(func: &mut MachineFunc) -> Result<(), TooComplex> {
    let branches = |block: &Block| matches!(block.term, Term::Branch { .. });
    if !func.blocks.iter().any(branches) {
        return Ok(());
    }
    let live_out = live_out(func)?;
    let mut preds = vec![Vec::new(); func.blocks.len()];
    for (b, block) in func.blocks.iter().enumerate() {
        block.term.successors().for_each(|succ| preds[succ].push(b));
    }
    for b in 0..func.blocks.len() {
        let Term::Branch { then, otherwise, .. } = func.blocks[b].term else { continue };
        let ways = [(then, otherwise), (otherwise, then)];
        if let Some((way, set)) = ways.into_iter().find_map(|(way, other)| {
            let set = settable(func, &live_out, b, way, other);
            (!set.is_empty()).then_some((way, set))
        }) {
            let is_set = |inst: &Inst| matches!(inst, Inst::Make { dst, .. } if set.contains(dst));
            let insts = std::mem::take(&mut func.blocks[way].insts);
            let (mut early, rest): (Vec<_>, _) =
                insts.into_iter().partition(|(inst, _)| is_set(inst));
            early.retain(|(inst, _)| !is_done(func, &preds, b, inst));
            func.blocks[way].insts = rest;
            func.blocks[b].insts.extend(early);
        }
    }
    Ok(())
}

/// The registers that one way sets to numbers, and that may as well be set before the branch.
fn settable(
    func: &MachineFunc,
    live_out: &[Vec<Reg>],
    from: usize,
    way: usize,
    other: usize,
) -> Vec<Reg> {
    if !is_edge(func, from, way) {
        return Vec::new();
    }
    let edge = &func.blocks[way];
    let mut read = Vec::new();
    edge.insts.iter().for_each(|(inst, _)| inst.each_use(|r| read.push(r)));
    func.blocks[from].term.each_use(|r| read.push(r));
    let set = edge.insts.iter().filter_map(|(inst, _)| match inst {
        Inst::Make { dst, what: Made::Number(n) } if i32::try_from(n.cast_signed()).is_ok() => {
            Some(*dst)
        }
        _ => None,
    });
    set.filter(|r| !read.contains(r) && !minds(&func.blocks[other], &live_out[other], *r)).collect()
}

/// Whether nothing but the one branch goes to a block. Selection puts such blocks behind all others.
fn is_edge(func: &MachineFunc, from: usize, way: usize) -> bool {
    way >= func.first_edge && way != from && matches!(func.blocks[way].term, Term::Jump(_))
}

/// Whether a block needs what a register holds at its start, or would get it from a copy that could otherwise be none.
fn minds(block: &Block, live_out: &[Reg], reg: Reg) -> bool {
    for (at, (inst, _)) in block.insts.iter().enumerate().take(MAX_LOOK) {
        let mut reads = false;
        inst.each_use(|r| reads |= r == reg);
        if reads || writes(inst, reg) {
            return reads || !is_new(&block.insts[..at], inst);
        }
    }
    let mut used = block.insts.len() > MAX_LOOK;
    block.term.each_use(|r| used |= r == reg);
    used || live_out.binary_search(&reg).is_ok()
}

/// Whether what a register gets from an instruction comes into being in the block: a copy of it can still be none, since nothing lives before it.
fn is_new(before: &[(Inst, Span)], inst: &Inst) -> bool {
    let mut inst = inst;
    let mut before = before.iter().map(|(inst, _)| inst).rev();
    loop {
        let from = match inst {
            Inst::Copy { src, .. } => *src,
            // These go on with what the register held.
            Inst::Alu { dst, .. }
            | Inst::Neg { dst }
            | Inst::Swap { dst, .. }
            | Inst::SetUnless { dst, .. } => *dst,
            Inst::Make { .. } | Inst::Extend { .. } | Inst::Load { .. } | Inst::Call { .. } => {
                return true;
            }
            Inst::Store { .. } | Inst::AtomicAdd { .. } => return false,
        };
        match before.find(|inst| writes(inst, from)) {
            Some(def) => inst = def,
            None => return false,
        }
    }
}

fn writes(inst: &Inst, reg: Reg) -> bool {
    let mut writes = false;
    inst.each_def(|r| writes |= r == reg);
    writes
}

/// Whether an instruction at the end of a block would only repeat what was done on the only way there.
fn is_done(func: &MachineFunc, preds: &[Vec<usize>], block: usize, inst: &Inst) -> bool {
    let Inst::Make { dst, .. } = inst else { return false };
    let mut at = block;
    for _ in 0..MAX_LOOK {
        // A register that is kept over a call is dearer than a number.
        let ends = |i: &&Inst| writes(i, *dst) || matches!(i, Inst::Call { .. });
        let last = func.blocks[at].insts.iter().map(|(inst, _)| inst).rev().find(ends);
        match (last, preds[at].as_slice()) {
            (Some(last), _) => return last == inst,
            (None, [pred]) => at = *pred,
            (None, _) => return false,
        }
    }
    false
}
