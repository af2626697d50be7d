//! Common subexpressions: an operation that a dominating one has already done is that one.
//!
//! The dominator tree is walked with a table of what is known; leaving a block forgets what it added. Nothing moves.

use super::Renames;
use crate::ir::cfg::{Cfg, ix};
use crate::ir::{BlockId, Func, Op, ValueId};
use rustc_hash::FxHashMap;

pub(super) fn run(func: &mut Func) -> bool {
    let cfg = Cfg::new(func);
    let mut children: Vec<Vec<BlockId>> = vec![Vec::new(); func.blocks.len()];
    for block in &cfg.order {
        if let Some(dom) = cfg.idom(*block) {
            children[ix(dom)].push(*block);
        }
    }
    let mut renames = Renames::new(func);
    let mut known: FxHashMap<Op, ValueId> = FxHashMap::default();
    let mut added: Vec<Op> = Vec::new();
    let mut stack = vec![(func.entry, None)];
    while let Some((block, leaving)) = stack.pop() {
        if let Some(mark) = leaving {
            added.drain(mark..).for_each(|op| {
                known.remove(&op);
            });
            continue;
        }
        stack.push((block, Some(added.len())));
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
        stack.extend(children[ix(block)].iter().rev().map(|c| (*c, None)));
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
