//! Constant folding and algebra: each operation becomes the cheapest one that gives the same.
//!
//! In: a function. Out: the same with numbers computed, numbers on the right, strength reduced and addresses folded into accesses. An operation
//! looks through another only where that has no other use: a bounds check may hang on the other, and the kernel's verifier would not see the connection.

mod bytes;
mod rules;

use super::super::demand::{self, Range};
use super::Renames;
use crate::ir::cfg::{Cfg, ix};
use crate::ir::{BlockId, Cond, Func, Inst, Op, Term, Value, ValueId};
use crate::source::Span;

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let mut pass = Simplify::new(func, cfg);
    for block in &cfg.order {
        pass.block(*block);
    }
    let Simplify { mut renames, changed, .. } = pass;
    if changed {
        renames.apply(func);
    }
    changed
}

/// What an operation can be replaced by.
enum Better {
    Value(ValueId),
    Op(Op),
}

/// An operation may be improved this many times in one pass.
const MAX_STEPS: u32 = 16;

struct Simplify<'a> {
    func: &'a mut Func,
    /// By value: what defines it, as improved so far; `None` for parameters.
    ops: Vec<Option<Op>>,
    ranges: Vec<Range>,
    uses: Vec<u32>,
    renames: Renames,
    out: Vec<Inst>,
    span: Span,
    changed: bool,
}

impl<'a> Simplify<'a> {
    fn new(func: &'a mut Func, cfg: &Cfg) -> Simplify<'a> {
        Simplify {
            ops: vec![None; func.values.len()],
            ranges: demand::ranges(func, cfg),
            renames: Renames::new(func),
            span: func.blocks[func.entry].term_span,
            out: Vec::new(),
            changed: false,
            uses: demand::uses(func, cfg),
            func,
        }
    }

    fn block(&mut self, id: BlockId) {
        for mut inst in std::mem::take(&mut self.func.blocks[id].insts) {
            self.span = inst.span;
            inst.op.each_use_mut(|v| *v = self.renames.get(*v));
            self.inst(inst);
        }
        self.span = self.func.blocks[id].term_span;
        let mut term = self.func.blocks[id].term.clone();
        term.each_use_mut(|v| *v = self.renames.get(*v));
        for _ in 0..MAX_STEPS {
            let Some(better) = self.better_term(&term) else { break };
            term = better;
            self.changed = true;
        }
        self.func.blocks[id].term = term;
        self.func.blocks[id].insts = std::mem::take(&mut self.out);
    }

    fn inst(&mut self, mut inst: Inst) {
        for _ in 0..MAX_STEPS {
            match self.better(&inst.op) {
                Some(Better::Value(value)) => {
                    self.changed = true;
                    if let Some(result) = inst.result {
                        self.renames.set(result, value);
                    }
                    return;
                }
                Some(Better::Op(op)) => {
                    self.changed = true;
                    op.each_use(|v| self.uses[ix(v)] += 1);
                    inst.op = op;
                }
                None => break,
            }
        }
        if let Some(result) = inst.result {
            self.ranges[ix(result)] = demand::range(&inst.op, &self.ranges);
            self.ops[ix(result)] = Some(inst.op.clone());
        }
        self.out.push(inst);
    }

    /// A number as a value.
    fn number(&mut self, number: u64) -> ValueId {
        self.insert(Op::Const(number))
    }

    /// A value of an operation that is put before the one that is looked at.
    fn insert(&mut self, op: Op) -> ValueId {
        let value = self.func.values.alloc(Value { span: self.span });
        op.each_use(|v| self.uses[ix(v)] += 1);
        self.ranges.push(demand::range(&op, &self.ranges));
        self.ops.push(Some(op.clone()));
        self.uses.push(0);
        self.out.push(Inst { result: Some(value), op, span: self.span });
        value
    }

    fn op(&self, value: ValueId) -> Option<&Op> {
        self.ops[ix(value)].as_ref()
    }

    fn known(&self, value: ValueId) -> Option<u64> {
        match self.op(value)? {
            Op::Const(number) => Some(*number),
            _ => None,
        }
    }

    /// The operation that defines a value which nothing else uses.
    fn only_for_this(&self, value: ValueId) -> Option<&Op> {
        self.op(value).filter(|_| self.uses[ix(value)] <= 1)
    }

    fn better_term(&mut self, term: &Term) -> Option<Term> {
        let Term::Branch { cond, then, otherwise } = term else { return None };
        if let Some(cond) = self.better_cond(cond) {
            let (then, otherwise) = (then.clone(), otherwise.clone());
            return Some(Term::Branch { cond, then, otherwise });
        }
        let cond = self.bit_test(cond)?;
        // A test has no opposite: the ways are swapped.
        let swap = matches!(term, Term::Branch { cond, .. } if cond.op == crate::ir::CmpOp::Eq);
        let (mut then, mut otherwise) = (then.clone(), otherwise.clone());
        if swap {
            std::mem::swap(&mut then, &mut otherwise);
        }
        Some(Term::Branch { cond, then, otherwise })
    }

    /// The test of bits that a comparison of masked bits with 0 comes down to, or its opposite.
    fn bit_test(&self, cond: &Cond) -> Option<Cond> {
        use crate::ir::{BinOp, CmpOp};
        if !matches!(cond.op, CmpOp::Eq | CmpOp::Ne) || self.known(cond.b)? != 0 {
            return None;
        }
        match self.only_for_this(cond.a)? {
            Op::Bin(BinOp::And, a, b) => {
                let mask = self.known(*b)?.cast_signed();
                i32::try_from(mask).ok()?;
                Some(Cond { op: CmpOp::Test, a: *a, b: *b })
            }
            _ => None,
        }
    }
}
