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
    /// By block: the blocks that go to it, once for each way.
    preds: Vec<Vec<BlockId>>,
    /// By block: its nearest dominator; of the entry itself.
    idom: Vec<Option<BlockId>>,
    /// By block: where a walk of the dominator tree enters and leaves it.
    walk: Vec<(u32, u32)>,
}

impl Cfg {
    /// The graph of a function.
    pub fn new(func: &Func) -> Cfg {
        let count = func.blocks.len();
        let mut order = postorder(func);
        order.reverse();
        let mut position = vec![None; count];
        let mut preds = vec![Vec::new(); count];
        for (i, block) in (0..).zip(&order) {
            position[ix(*block)] = Some(i);
            for succ in func.blocks[*block].term.successors() {
                preds[ix(succ)].push(*block);
            }
        }
        let mut cfg = Cfg { order, position, preds, idom: Vec::new(), walk: Vec::new() };
        cfg.find_dominators(func.entry, count);
        cfg.walk_dominators(count);
        cfg
    }

    /// Whether anything reaches a block.
    pub fn is_reachable(&self, block: BlockId) -> bool {
        self.position[ix(block)].is_some()
    }

    /// The blocks that go to a block, once for each way.
    pub fn preds(&self, block: BlockId) -> &[BlockId] {
        &self.preds[ix(block)]
    }

    /// The nearest block, other than itself, that every way to a block goes through.
    pub fn idom(&self, block: BlockId) -> Option<BlockId> {
        self.idom[ix(block)].filter(|dom| *dom != block)
    }

    /// Whether every way to `b` goes through `a`, which is so for `a` itself.
    pub fn dominates(&self, a: BlockId, b: BlockId) -> bool {
        let ((a_in, a_out), (b_in, b_out)) = (self.walk[ix(a)], self.walk[ix(b)]);
        self.is_reachable(a) && self.is_reachable(b) && a_in <= b_in && b_out <= a_out
    }

    /// By block: in how many loops it is.
    pub fn loop_depths(&self) -> Vec<u32> {
        let mut depth = vec![0; self.position.len()];
        let mut seen_for = vec![None; self.position.len()];
        for header in &self.order {
            let latches = self.preds(*header).iter().filter(|p| self.dominates(*header, **p));
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

    /// The dominators by iteration to a fixed point, as Cooper, Harvey and Kennedy have it.
    fn find_dominators(&mut self, entry: BlockId, count: usize) {
        let mut idom = vec![None; count];
        idom[ix(entry)] = Some(entry);
        let mut changed = true;
        while changed {
            changed = false;
            for block in self.order.iter().skip(1) {
                let known = self.preds[ix(*block)].iter().filter(|p| idom[ix(**p)].is_some());
                let new = known.copied().reduce(|a, b| self.meet(&idom, a, b));
                if new != idom[ix(*block)] {
                    idom[ix(*block)] = new;
                    changed = true;
                }
            }
        }
        self.idom = idom;
    }

    fn meet(&self, idom: &[Option<BlockId>], mut a: BlockId, mut b: BlockId) -> BlockId {
        while a != b {
            let later = if self.position[ix(a)] > self.position[ix(b)] { &mut a } else { &mut b };
            *later = idom[ix(*later)].expect("a block that was met has a dominator");
        }
        a
    }

    fn walk_dominators(&mut self, count: usize) {
        let mut children = vec![Vec::new(); count];
        for block in self.order.iter().skip(1) {
            if let Some(dom) = self.idom(*block) {
                children[ix(dom)].push(*block);
            }
        }
        self.walk = vec![(0, 0); count];
        let Some(entry) = self.order.first() else { return };
        let mut clock = 0;
        let mut stack = vec![(*entry, false)];
        while let Some((block, leaving)) = stack.pop() {
            clock += 1;
            if leaving {
                self.walk[ix(block)].1 = clock;
            } else {
                self.walk[ix(block)].0 = clock;
                stack.push((block, true));
                stack.extend(children[ix(block)].iter().map(|c| (*c, false)));
            }
        }
    }
}

/// The blocks that can be reached, each after those it goes to. The way of a condition that holds is walked first, and so ends up behind the other.
fn postorder(func: &Func) -> Vec<BlockId> {
    let mut seen = vec![false; func.blocks.len()];
    let mut order = Vec::with_capacity(func.blocks.len());
    let mut stack = vec![(func.entry, 0)];
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
    order
}
