//! Dead code: instructions whose value nothing uses and that do nothing else, and whatever nothing reaches.

use crate::ir::cfg::{Cfg, ix};
use crate::ir::{Func, Op, ValueId};

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
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
    let mut changed = remove_params(func, &live);
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
