//! Control flow: known branches become jumps, jumps go where they end up, straight lines become one block, equal returns one.

use super::super::demand::{self, Defs};
use crate::ir::cfg::{Cfg, Dominators, ix};
use crate::ir::{BinOp, Block, BlockId, CmpOp, Cond, Func, Inst, Op, Target, Term, Value, ValueId};
use rustc_hash::FxHashMap;

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let mut new = None;
    for step in [known_branches, thread, branch_early, share_returns, merge] {
        if step(func, new.as_ref().unwrap_or(cfg)) {
            new = Some(Cfg::new(func));
        }
    }
    new.is_some()
}

/// Branches on numbers become jumps, and those on a comparison's value branch on the comparison.
fn known_branches(func: &mut Func, cfg: &Cfg) -> bool {
    let mut new: Vec<(BlockId, Term)> = Vec::new();
    let defs = demand::defs(func, cfg);
    for id in &cfg.order {
        let Term::Branch { cond, then, otherwise } = &func.blocks[*id].term else { continue };
        if let Some(holds) = decide(cond, &defs) {
            new.push((*id, Term::Jump(if holds { then } else { otherwise }.clone())));
        } else if then == otherwise {
            new.push((*id, Term::Jump(then.clone())));
        } else if let Some((cond, negated)) = comparison(cond, &defs) {
            let (mut then, mut otherwise) = (then.clone(), otherwise.clone());
            if negated {
                std::mem::swap(&mut then, &mut otherwise);
            }
            new.push((*id, Term::Branch { cond, then, otherwise }));
        }
    }
    let changed = !new.is_empty();
    for (id, term) in new {
        func.blocks[id].term = term;
    }
    changed
}

/// Whether a condition holds, if that is known.
pub(super) fn decide(cond: &Cond, defs: &Defs) -> Option<bool> {
    if cond.a == cond.b && cond.op != CmpOp::Test {
        return Some(cond.op.holds(0, 0));
    }
    match (demand::number(defs, cond.a), demand::number(defs, cond.b)) {
        (Some(a), Some(b)) => Some(cond.op.holds(a, b)),
        (None, Some(0)) if matches!(cond.op, CmpOp::LtU | CmpOp::Test) => Some(false),
        (None, Some(0)) if cond.op == CmpOp::GeU => Some(true),
        _ => None,
    }
}

/// The comparison that a branch on whether one is 0 comes down to, and whether it is the opposite.
fn comparison(cond: &Cond, defs: &Defs) -> Option<(Cond, bool)> {
    let Op::Cmp(inner) = defs[ix(cond.a)]?.op else { return None };
    match (cond.op, demand::number(defs, cond.b)?) {
        (CmpOp::Ne | CmpOp::GtU | CmpOp::GtS, 0) | (CmpOp::Eq | CmpOp::GeU | CmpOp::GeS, 1) => {
            Some((inner, false))
        }
        (CmpOp::Eq | CmpOp::LeU | CmpOp::LeS, 0) | (CmpOp::Ne | CmpOp::LtU | CmpOp::LtS, 1) => {
            Some((inner, true))
        }
        _ => None,
    }
}

/// Sends jumps past blocks that do nothing but decide what the jump's arguments, or the branch that it is a way of, already say.
fn thread(func: &mut Func, cfg: &Cfg) -> bool {
    let users = outside_users(func, cfg);
    let dominators = Dominators::new(cfg);
    let mut new: Vec<(BlockId, usize, Target)> = Vec::new();
    let defs = demand::defs(func, cfg);
    for id in &cfg.order {
        let term = &func.blocks[*id].term;
        for (way, target) in term.targets().enumerate() {
            let taken = match term {
                Term::Branch { cond, .. } => Some((*cond, way == 0)),
                Term::Jump(_) | Term::Return(_) => None,
            };
            let mut to = target.clone();
            // A ring of empty blocks ends the walk.
            for _ in 0..MAX_THREAD {
                match next(func, cfg, &dominators, &defs, &users, &to, taken) {
                    Some(next) if next.block != to.block => to = next,
                    _ => break,
                }
            }
            if to != *target {
                new.push((*id, way, to));
            }
        }
    }
    let changed = !new.is_empty();
    for (id, way, to) in new {
        if let Some(target) = func.blocks[id].term.targets_mut().nth(way) {
            *target = to;
        }
    }
    changed
}

/// How many blocks one jump is sent past at a time.
const MAX_THREAD: u32 = 64;

/// By block: the other blocks that use a value which it defines.
fn outside_users(func: &Func, cfg: &Cfg) -> Vec<Vec<BlockId>> {
    let mut home = vec![None; func.values.len()];
    for id in &cfg.order {
        let block = &func.blocks[*id];
        let results = block.insts.iter().filter_map(|i| i.result);
        block.params.iter().copied().chain(results).for_each(|v| home[ix(v)] = Some(*id));
    }
    let mut users: Vec<Vec<BlockId>> = vec![Vec::new(); func.blocks.len()];
    for id in &cfg.order {
        let block = &func.blocks[*id];
        let mut note = |v: ValueId| {
            if let Some(def) = home[ix(v)].filter(|def| def != id)
                && users[ix(def)].last() != Some(id)
            {
                users[ix(def)].push(*id);
            }
        };
        block.insts.iter().for_each(|i| i.op.each_use(&mut note));
        block.term.each_use(&mut note);
    }
    users
}

/// Where a jump to a block that only decides goes on to.
fn next(
    func: &Func,
    cfg: &Cfg,
    dominators: &Dominators<'_>,
    defs: &Defs,
    users: &[Vec<BlockId>],
    to: &Target,
    taken: Option<(Cond, bool)>,
) -> Option<Target> {
    let block = &func.blocks[to.block];
    if !only_numbers(block) || to.block == func.entry {
        return None;
    }
    let (target, other) = match &block.term {
        Term::Jump(target) => (target, None),
        Term::Branch { cond, then, otherwise } => {
            let a = handed(block, to, cond.a);
            let cond = Cond { op: cond.op, a, b: handed(block, to, cond.b) };
            let told = taken.and_then(|(told, holds)| (told == cond).then_some(holds));
            if decide(&cond, defs).or(told)? {
                (then, Some(otherwise))
            } else {
                (otherwise, Some(then))
            }
        }
        Term::Return(_) => return None,
    };
    // What the block defines must not be missed: its users are reached by the other way only, which stays.
    let stays = |user: &BlockId| {
        other.is_some_and(|o| {
            o.block != target.block
                && cfg.preds(o.block).len() == 1
                && dominators.dominates(o.block, *user)
        })
    };
    if !users[ix(to.block)].iter().all(stays) {
        return None;
    }
    let args: Vec<ValueId> = target.args.iter().map(|v| handed(block, to, *v)).collect();
    // What the block defines itself is not defined where the jump comes from.
    let own = |v: &ValueId| block.insts.iter().any(|inst| inst.result == Some(*v));
    (!args.iter().any(own)).then_some(Target { block: target.block, args })
}

fn only_numbers(block: &Block) -> bool {
    block.insts.iter().all(|inst| matches!(inst.op, Op::Const(_)))
}

/// What a value of a block is when it is entered by a jump.
fn handed(block: &Block, by: &Target, value: ValueId) -> ValueId {
    let index = block.params.iter().position(|p| *p == value);
    index.and_then(|i| by.args.get(i)).copied().unwrap_or(value)
}

/// Branches at once where a jump hands a comparison, or some bits, to a block that only branches on it: the value itself is then not needed.
fn branch_early(func: &mut Func, cfg: &Cfg) -> bool {
    let users = outside_users(func, cfg);
    let uses = demand::uses(func, cfg);
    let mut found: Vec<(BlockId, BlockId)> = Vec::new();
    let defs = demand::defs(func, cfg);
    for id in &cfg.order {
        let Term::Jump(to) = &func.blocks[*id].term else { continue };
        let block = &func.blocks[to.block];
        let Term::Branch { cond, .. } = &block.term else { continue };
        let decided = handed(block, to, cond.a);
        let op = defs[ix(decided)].map(|inst| &inst.op);
        let fuses = matches!(op, Some(Op::Cmp(_) | Op::Bin(BinOp::And, ..)));
        let is_only_decision = fuses && decided != cond.a && uses[ix(decided)] == 1;
        if is_only_decision
            && only_numbers(block)
            && users[ix(to.block)].is_empty()
            && to.block != *id
        {
            found.push((*id, to.block));
        }
    }
    for (from, through) in &found {
        copy_end(func, *from, *through);
    }
    !found.is_empty()
}

/// Ends a block that jumps to another as that one ends.
fn copy_end(func: &mut Func, from: BlockId, through: BlockId) {
    let Term::Jump(to) = func.blocks[from].term.clone() else { return };
    let block = func.blocks[through].clone();
    let mut own: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    for inst in &block.insts {
        let value = func.values.alloc(Value { span: inst.span });
        own.extend(inst.result.map(|result| (result, value)));
        func.blocks[from].insts.push(Inst { result: Some(value), ..inst.clone() });
    }
    let mut term = block.term.clone();
    term.each_use_mut(|v| *v = own.get(v).copied().unwrap_or_else(|| handed(&block, &to, *v)));
    func.blocks[from].term = term;
}

/// Makes one block for each number that is returned: going there is shorter than loading it again.
fn share_returns(func: &mut Func, cfg: &Cfg) -> bool {
    let defs = demand::defs(func, cfg);
    let mut by_number: FxHashMap<u64, Vec<BlockId>> = FxHashMap::default();
    let mut numbers = Vec::new();
    for id in &cfg.order {
        if let Term::Return(value) = func.blocks[*id].term
            && let Some(number) = demand::number(&defs, value)
        {
            let blocks = by_number.entry(number).or_default();
            if blocks.is_empty() {
                numbers.push(number);
            }
            blocks.push(*id);
        }
    }
    let mut changed = false;
    for number in numbers {
        let blocks = &by_number[&number];
        if blocks.len() < 2 {
            continue;
        }
        let term_span = func.blocks[blocks[0]].term_span;
        let value = func.values.alloc(Value { span: term_span });
        let inst = Inst { result: Some(value), op: Op::Const(number), span: term_span };
        let shared = func.blocks.alloc(Block {
            params: Vec::new(),
            insts: vec![inst],
            term: Term::Return(value),
            term_span,
        });
        for id in blocks {
            func.blocks[*id].term = Term::Jump(Target { block: shared, args: Vec::new() });
        }
        changed = true;
    }
    changed
}

/// Joins a block with the only one that jumps to it.
fn merge(func: &mut Func, cfg: &Cfg) -> bool {
    let mut renames = super::Renames::new(func);
    let mut changed = false;
    for id in &cfg.order {
        // A block that was joined with an earlier one is empty by now and ends in itself.
        while let Term::Jump(target) = &func.blocks[*id].term {
            let next = target.block;
            if cfg.preds(next).len() != 1 || next == *id || next == func.entry {
                break;
            }
            let args = target.args.clone();
            let end = Term::Jump(Target { block: next, args: Vec::new() });
            let params = std::mem::take(&mut func.blocks[next].params);
            for (param, arg) in params.into_iter().zip(args) {
                let arg = renames.get(arg);
                renames.set(param, arg);
            }
            let insts = std::mem::take(&mut func.blocks[next].insts);
            let term_span = func.blocks[next].term_span;
            let term = std::mem::replace(&mut func.blocks[next].term, end);
            let block = &mut func.blocks[*id];
            block.insts.extend(insts);
            (block.term, block.term_span) = (term, term_span);
            changed = true;
        }
    }
    if changed {
        renames.apply(func);
    }
    changed
}
