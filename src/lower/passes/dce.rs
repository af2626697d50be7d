//! Dead code: instructions whose value nothing uses and that do nothing else, what is written to stack that nothing reads, and whatever nothing reaches.

use crate::ir::cfg::{Cfg, ix};
use crate::ir::{Func, Inst, Op, SlotId, ValueId};
use rustc_hash::FxHashMap;

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let mut changed = remove_stores(func, cfg);
    let mut live = vec![false; func.values.len()];
    let mut todo: Vec<ValueId> = Vec::new();
    let mut sources: Vec<Vec<ValueId>> = vec![Vec::new(); func.values.len()];
    for block in cfg.order.iter().map(|b| &func.blocks[*b]) {
        for inst in &block.insts {
            match inst.result.filter(|_| inst.op.is_removable()) {
                Some(result) => inst.op.each_use(|v| sources[ix(result)].push(v)),
                None => inst.op.each_use(|v| todo.push(v)),
            }
        }
        match &block.term {
            crate::ir::Term::Jump(_) => {}
            crate::ir::Term::Branch { cond, .. } => todo.extend([cond.a, cond.b]),
            crate::ir::Term::Return(value) => todo.push(*value),
        }
        for target in block.term.targets() {
            for (param, arg) in func.blocks[target.block].params.iter().zip(&target.args) {
                sources[ix(*param)].push(*arg);
            }
        }
    }
    while let Some(value) = todo.pop() {
        if !std::mem::replace(&mut live[ix(value)], true) {
            todo.extend(&sources[ix(value)]);
        }
    }
    changed |= remove_params(func, &live);
    for (id, block) in func.blocks.iter_mut() {
        let before = block.insts.len();
        if cfg.is_reachable(id) {
            block
                .insts
                .retain(|inst| !inst.op.is_removable() || inst.result.is_some_and(|r| live[ix(r)]));
        } else {
            block.insts.clear();
        }
        for inst in &mut block.insts {
            // A call whose result nobody wants gives none.
            if matches!(inst.op, Op::Call(..)) && inst.result.is_some_and(|r| !live[ix(r)]) {
                inst.result = None;
                changed = true;
            }
        }
        changed |= block.insts.len() != before;
    }
    changed
}

/// Removes what is written to slots whose addresses are used for nothing else.
fn remove_stores(func: &mut Func, cfg: &Cfg) -> bool {
    let mut slot_of: FxHashMap<ValueId, SlotId> = FxHashMap::default();
    let mut read = vec![false; func.slots.len()];
    for block in cfg.order.iter().map(|b| &func.blocks[*b]) {
        for inst in &block.insts {
            if let (Some(result), Op::SlotAddr(slot, _)) = (inst.result, &inst.op) {
                slot_of.insert(result, *slot);
            }
            let mut note = |v: ValueId| slot_of.get(&v).iter().for_each(|s| read[ix(**s)] = true);
            match &inst.op {
                Op::Store { value, .. } => note(*value),
                op => op.each_use(note),
            }
        }
        block.term.each_use(|v| slot_of.get(&v).iter().for_each(|s| read[ix(**s)] = true));
    }
    let is_dead = |inst: &Inst| match &inst.op {
        Op::Store { addr, .. } => slot_of.get(addr).is_some_and(|slot| !read[ix(*slot)]),
        _ => false,
    };
    let mut changed = false;
    for id in &cfg.order {
        let insts = &mut func.blocks[*id].insts;
        let before = insts.len();
        insts.retain(|inst| !is_dead(inst));
        changed |= insts.len() != before;
    }
    changed
}

/// Removes parameters that nothing uses, with their arguments.
fn remove_params(func: &mut Func, live: &[bool]) -> bool {
    let keeps: Vec<Vec<bool>> = (func.blocks.values())
        .map(|block| block.params.iter().map(|p| live[ix(*p)]).collect())
        .collect();
    let mut changed = false;
    for (id, block) in func.blocks.iter_mut() {
        retain(&mut block.params, &keeps[ix(id)]);
        for target in block.term.targets_mut() {
            changed |= retain(&mut target.args, &keeps[ix(target.block)]);
        }
    }
    changed
}

fn retain(list: &mut Vec<ValueId>, keep: &[bool]) -> bool {
    let before = list.len();
    let mut keep = keep.iter();
    list.retain(|_| keep.next().copied().unwrap_or(true));
    list.len() != before
}
