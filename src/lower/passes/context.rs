//! What a program reads from its context, read when it starts: the context then need not be kept over calls.
//!
//! In: a function. Out: another that does the same, where that can be shorter. Whether it is depends on how many registers there are left for what was read,
//! so this is no pass: the back end tries both. Invariant: nothing is read that the kernel might not hand over, so reads stay behind questions about prototypes.

use super::Renames;
use crate::ir::cfg::{Cfg, Dominators, ix};
use crate::ir::reloc::CoreReloc;
use crate::ir::{BlockId, Func, Inst, Off, Op, Space, Value, ValueId};
use crate::lower::demand::{self, Defs};

/// The function with its context read first.
pub(in crate::lower) fn read_first(func: &Func, cfg: &Cfg) -> Option<Func> {
    let defs = demand::defs(func, cfg);
    let asks = |inst: &Inst| matches!(inst.op, Op::Core(CoreReloc::Prototype(_)));
    let questions: Vec<BlockId> =
        cfg.order.iter().copied().filter(|id| func.blocks[*id].insts.iter().any(asks)).collect();
    let dominators = Dominators::new(cfg);
    let mut reads: Vec<(ValueId, Op)> = Vec::new();
    // Whether anything is read that is not read first as it is.
    let (mut after_call, mut late) = (false, false);
    for id in &cfg.order {
        after_call |= *id != func.entry;
        for inst in &func.blocks[*id].insts {
            after_call |= matches!(inst.op, Op::Call(..));
            if let Some(result) = inst.result
                && reads_context(&inst.op, &defs)
            {
                if questions.iter().any(|question| dominators.dominates(*question, *id)) {
                    return None;
                }
                late |= after_call;
                reads.push((result, inst.op.clone()));
            }
        }
    }
    late.then(|| move_up(func, reads))
}

fn reads_context(op: &Op, defs: &Defs) -> bool {
    match op {
        Op::Load { addr, off: Off::Arg(..) | Off::Bytes(_), space: Space::Ctx, .. } => {
            defs[ix(*addr)].is_some_and(|inst| inst.op == Op::Ctx)
        }
        _ => false,
    }
}

fn move_up(func: &Func, reads: Vec<(ValueId, Op)>) -> Func {
    let mut func = func.clone();
    let mut renames = Renames::new(&func);
    let entry = func.entry;
    let span = func.blocks[entry].insts.first().map_or(func.blocks[entry].term_span, |i| i.span);
    let ctx = func.values.alloc(Value { span });
    let mut first = vec![Inst { result: Some(ctx), op: Op::Ctx, span }];
    for (result, mut op) in reads {
        op.each_use_mut(|addr| *addr = ctx);
        let known = first.iter().find(|inst| inst.op == op).and_then(|inst| inst.result);
        let value = known.unwrap_or_else(|| func.values.alloc(Value { span }));
        if known.is_none() {
            first.push(Inst { result: Some(value), op, span });
        }
        renames.set(result, value);
    }
    for (_, block) in func.blocks.iter_mut() {
        block.insts.retain(|inst| inst.result.is_none_or(|r| renames.get(r) == r));
    }
    func.blocks[entry].insts.splice(0..0, first);
    renames.apply(&mut func);
    func
}
