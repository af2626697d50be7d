//! Common subexpressions: an operation that a dominating one has already done is that one.
//!
//! The dominator tree is walked with a table of what is known; leaving a block forgets what it added. Nothing moves.

use super::Renames;
use crate::ir::cfg::{Cfg, Dominators};
use crate::ir::{BlockId, Func, Op, ValueId};
use rustc_hash::FxHashMap;

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let dominators = Dominators::new(cfg);
    let mut renames = Renames::new(func);
    let mut known: FxHashMap<Op, ValueId> = FxHashMap::default();
    let mut added: Vec<Op> = Vec::new();
    // The blocks that the walk is below, and how much was known before each.
    let mut open: Vec<(BlockId, usize)> = Vec::new();
    for block in dominators.walk() {
        while let Some((_, mark)) = open.pop_if(|(above, _)| !dominators.dominates(*above, block)) {
            added.drain(mark..).for_each(|op| {
                known.remove(&op);
            });
        }
        open.push((block, added.len()));
        for inst in &mut func.blocks[block].insts {
            inst.op.each_use_mut(|v| *v = renames.get(*v));
            let Some(result) = inst.result.filter(|_| inst.op.is_repeatable()) else { continue };
            if let Some(value) = known.get(&inst.op) {
                renames.set(result, *value);
            } else {
                known.insert(inst.op.clone(), result);
                added.push(inst.op.clone());
            }
        }
    }
    let found = !renames.is_empty();
    if found {
        // What is left of the repeated operations has no uses, and goes with the dead code.
        renames.apply(func);
        forget(func, &mut renames);
    }
    found
}

/// Removes the repeated operations, calls included.
fn forget(func: &mut Func, renames: &mut Renames) {
    for (_, block) in func.blocks.iter_mut() {
        block.insts.retain(|inst| inst.result.is_none_or(|r| renames.get(r) == r));
    }
}
