//! Known conditions: what a branch has decided is not asked again where only one of its ways leads.
//!
//! The dominator tree is walked with a table of what holds; leaving a block forgets what it added. The question must be about the same values, so that the
//! kernel's verifier has learnt the same from the branch before.

use crate::ir::cfg::{Cfg, Dominators};
use crate::ir::{BlockId, CmpOp, Cond, Func, Op, Term, ValueId};
use rustc_hash::FxHashMap;

/// What a condition is about: equal conditions, and opposite ones, have the same key.
type Key = (CmpOp, ValueId, Right);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Right {
    Number(u64),
    Value(ValueId),
}

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let mut numbers: FxHashMap<ValueId, u64> = FxHashMap::default();
    for inst in cfg.order.iter().flat_map(|block| &func.blocks[*block].insts) {
        if let (Some(result), Op::Const(number)) = (inst.result, &inst.op) {
            numbers.insert(result, *number);
        }
    }
    let dominators = Dominators::new(cfg);
    let mut known: FxHashMap<Key, bool> = FxHashMap::default();
    let mut changed = false;
    // The blocks above, with what each added.
    let mut open: Vec<(BlockId, Key)> = Vec::new();
    for block in dominators.walk() {
        while let Some((_, key)) = open.pop_if(|(above, _)| !dominators.dominates(*above, block)) {
            known.remove(&key);
        }
        if let Some((cond, holds)) = entered_by(func, cfg, block) {
            let (key, opposite) = key(&cond, &numbers);
            if known.insert(key, holds != opposite).is_none() {
                open.push((block, key));
            }
        }
        let decide = |cond: &Cond| {
            let (key, opposite) = key(cond, &numbers);
            known.get(&key).map(|holds| *holds != opposite)
        };
        for inst in &mut func.blocks[block].insts {
            if let Op::Cmp(cond) = &inst.op
                && let Some(holds) = decide(cond)
            {
                inst.op = Op::Const(u64::from(holds));
                changed = true;
            }
        }
        let term = &mut func.blocks[block].term;
        if let Term::Branch { cond, then, otherwise } = term
            && let Some(holds) = decide(cond)
        {
            *term = Term::Jump(if holds { then } else { otherwise }.clone());
            changed = true;
        }
    }
    changed
}

/// The condition that decides whether a block is entered, and whether it holds there.
fn entered_by(func: &Func, cfg: &Cfg, block: BlockId) -> Option<(Cond, bool)> {
    let [pred] = cfg.preds(block) else { return None };
    match &func.blocks[*pred].term {
        Term::Branch { cond, then, .. } => Some((*cond, then.block == block)),
        Term::Jump(_) | Term::Return(_) => None,
    }
}

/// The key of a condition, and whether the condition is the opposite of what the key stands for.
fn key(cond: &Cond, numbers: &FxHashMap<ValueId, u64>) -> (Key, bool) {
    let (op, opposite) = match cond.op {
        CmpOp::Ne | CmpOp::GeU | CmpOp::GtU | CmpOp::GeS | CmpOp::GtS => {
            (cond.op.negated().unwrap_or(cond.op), true)
        }
        CmpOp::Eq | CmpOp::LtU | CmpOp::LeU | CmpOp::LtS | CmpOp::LeS | CmpOp::Test => {
            (cond.op, false)
        }
    };
    let right = numbers.get(&cond.b).map_or(Right::Value(cond.b), |n| Right::Number(*n));
    ((op, cond.a, right), opposite)
}
