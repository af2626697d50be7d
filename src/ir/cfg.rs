//! The control-flow graph of a function: order, predecessors, dominators, loops.
//!
//! In: a [`Func`]. Out: answers that stay true until a block's end changes. Blocks that nothing reaches are not part of it. Nothing here recurses,
//! so that the depth of a graph does not matter.

use super::{BlockId, Func};
use la_arena::Idx;

/// The place of an id in a table by ids.
pub fn ix<T>(id: Idx<T>) -> usize {
    id.into_raw().into_u32() as usize
}

/// The graph.
#[derive(Debug)]
pub struct Cfg {
    /// The blocks that can be reached, each before those it dominates (reverse postorder).
    pub order: Vec<BlockId>,
    /// By block: where it is in `order`; `None` where nothing reaches it.
    position: Vec<Option<u32>>,
    /// The blocks that go to a block, once for each way: those of all blocks, one block after the other.
    preds: Vec<BlockId>,
    /// By block: where its predecessors begin in `preds`, and last, where those of the last one end.
    first_pred: Vec<usize>,
}

impl Cfg {
    /// The graph of a function.
    pub fn new(func: &Func) -> Cfg {
        let count = func.blocks.len();
        let order = reverse_postorder(func);
        let mut position = vec![None; count];
        // Counted by block, then summed up to where each block's end, then filled from there down.
        let mut first_pred = vec![0; count + 1];
        for (i, block) in (0..).zip(&order) {
            position[ix(*block)] = Some(i);
            func.blocks[*block].term.successors().for_each(|succ| first_pred[ix(succ)] += 1);
        }
        let mut total = 0;
        for first in &mut first_pred {
            total += *first;
            *first = total;
        }
        let mut preds = vec![func.entry; total];
        for block in order.iter().rev() {
            for succ in func.blocks[*block].term.successors() {
                first_pred[ix(succ)] -= 1;
                preds[first_pred[ix(succ)]] = *block;
            }
        }
        Cfg { order, position, preds, first_pred }
    }

    /// Whether anything reaches a block.
    pub fn is_reachable(&self, block: BlockId) -> bool {
        self.position[ix(block)].is_some()
    }

    /// The blocks that go to a block, once for each way.
    pub fn preds(&self, block: BlockId) -> &[BlockId] {
        &self.preds[self.first_pred[ix(block)]..self.first_pred[ix(block) + 1]]
    }

    /// Where a block is in `order`.
    fn place(&self, block: BlockId) -> Option<usize> {
        self.position[ix(block)].map(|at| at as usize)
    }

    /// By block: in how many loops it is.
    pub fn loop_depths(&self) -> Vec<u32> {
        let dominators = Dominators::new(self);
        let mut depth = vec![0; self.position.len()];
        let mut seen_for = vec![None; self.position.len()];
        for header in &self.order {
            let latches = self.preds(*header).iter().filter(|p| dominators.dominates(*header, **p));
            let mut todo: Vec<BlockId> = latches.copied().collect();
            if todo.is_empty() {
                continue;
            }
            seen_for[ix(*header)] = Some(*header);
            depth[ix(*header)] += 1;
            while let Some(block) = todo.pop() {
                if seen_for[ix(block)] != Some(*header) {
                    seen_for[ix(block)] = Some(*header);
                    depth[ix(block)] += 1;
                    todo.extend(self.preds(block));
                }
            }
        }
        depth
    }
}

/// Which blocks every way to a block goes through. By place in the graph's order, so that dominators come first.
#[derive(Debug)]
pub struct Dominators<'a> {
    cfg: &'a Cfg,
    /// Where a walk of the dominator tree, each block before those it dominates, comes by.
    enter: Vec<usize>,
    /// How many blocks it dominates.
    size: Vec<usize>,
}

impl<'a> Dominators<'a> {
    /// The dominators of a graph.
    pub fn new(cfg: &'a Cfg) -> Dominators<'a> {
        let idom = nearest(cfg);
        let mut size = vec![1; idom.len()];
        for at in (1..idom.len()).rev() {
            size[idom[at]] += size[at];
        }
        let mut enter = vec![0; idom.len()];
        // Where the next block below each comes by.
        let mut next = vec![1; idom.len()];
        for at in 1..idom.len() {
            enter[at] = next[idom[at]];
            next[at] = enter[at] + 1;
            next[idom[at]] += size[at];
        }
        Dominators { cfg, enter, size }
    }

    /// Whether every way to `b` goes through `a`, which is so for `a` itself.
    pub fn dominates(&self, a: BlockId, b: BlockId) -> bool {
        let (Some(a), Some(b)) = (self.cfg.place(a), self.cfg.place(b)) else { return false };
        (self.enter[a]..self.enter[a] + self.size[a]).contains(&self.enter[b])
    }

    /// The blocks of the graph, each before those it dominates, and those right after it.
    pub fn walk(&self) -> Vec<BlockId> {
        let mut walk = self.cfg.order.clone();
        for (at, block) in self.enter.iter().zip(&self.cfg.order) {
            walk[*at] = *block;
        }
        walk
    }
}

/// The nearest dominators by iteration to a fixed point, as Cooper, Harvey and Kennedy have it.
fn nearest(cfg: &Cfg) -> Vec<usize> {
    const UNKNOWN: usize = usize::MAX;
    let mut idom = vec![UNKNOWN; cfg.order.len()];
    idom[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for (at, block) in cfg.order.iter().enumerate().skip(1) {
            let known = cfg.preds(*block).iter().filter_map(|p| cfg.place(*p));
            let known = known.filter(|p| idom[*p] != UNKNOWN);
            let new = known.reduce(|a, b| meet(&idom, a, b)).unwrap_or(UNKNOWN);
            changed |= std::mem::replace(&mut idom[at], new) != new;
        }
    }
    idom
}

/// The nearest block that dominates both.
fn meet(idom: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        if a > b {
            a = idom[a];
        } else {
            b = idom[b];
        }
    }
    a
}

/// The blocks that can be reached, each before those it goes to, loops apart. The way of a condition that holds is walked first, and so ends up behind
/// the other.
fn reverse_postorder(func: &Func) -> Vec<BlockId> {
    let count = func.blocks.len();
    let (mut order, mut stack) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut seen = vec![false; count];
    stack.push((func.entry, 0));
    seen[ix(func.entry)] = true;
    while let Some((block, next)) = stack.pop() {
        match func.blocks[block].term.successors().nth(next) {
            Some(succ) => {
                stack.push((block, next + 1));
                if !std::mem::replace(&mut seen[ix(succ)], true) {
                    stack.push((succ, 0));
                }
            }
            None => order.push(block),
        }
    }
    order.reverse();
    order
}
