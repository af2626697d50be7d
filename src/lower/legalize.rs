//! Operations that the target lacks, written in those it has: signed division before v4, and by what might be -1.
//!
//! In: a function. Out: the same with `DivS` and `RemS` only where the target has them. Nothing branches: signs are taken off and put back by
//! `(x ^ s) - s`, where `s` is 0 or -1, which also gives what the IR wants for 0 and for the least number.

use super::demand;
use crate::ir::cfg::{Cfg, ix};
use crate::ir::{BinOp, Func, Inst, Op, ValueId};
use crate::source::Span;
use crate::target::{Cpu, Target};

/// Rewrites a function for a target. Returns whether anything changed.
pub(super) fn legalize(func: &mut Func, target: Target) -> bool {
    let cfg = Cfg::new(func);
    let consts = consts(func, &cfg);
    let mut changed = false;
    for block in &cfg.order {
        let insts = std::mem::take(&mut func.blocks[*block].insts);
        let span = func.blocks[*block].term_span;
        let mut out = Builder { func, insts: Vec::with_capacity(insts.len()), span };
        for inst in insts {
            let (Op::Bin(op @ (BinOp::DivS | BinOp::RemS), a, b), Some(result)) =
                (&inst.op, inst.result)
            else {
                out.insts.push(inst);
                continue;
            };
            let (op, a, b) = (*op, *a, *b);
            out.span = inst.span;
            if let Some(shift) = power_of_two(consts[ix(b)]) {
                out.by_power_of_two(result, op, a, shift);
            } else if target.cpu >= Cpu::V4 && is_harmless(consts[ix(b)]) {
                out.insts.push(inst);
                continue;
            } else {
                out.divide(result, op, a, b, consts[ix(b)]);
            }
            changed = true;
        }
        let insts = out.insts;
        func.blocks[*block].insts = insts;
    }
    changed
}

fn consts(func: &Func, cfg: &Cfg) -> Vec<Option<u64>> {
    let defs = demand::defs(func, cfg);
    func.values.iter().map(|(id, _)| demand::number(&defs, id)).collect()
}

/// The logarithm of a divisor that is a power of two, at least 2, and positive as a signed number.
fn power_of_two(number: Option<u64>) -> Option<u32> {
    let number = number.filter(|n| n.is_power_of_two())?;
    Some(number.trailing_zeros()).filter(|log| (1..63).contains(log))
}

/// Whether the target's own signed division may be trusted with a divisor. The least number by -1 faults on x86 in kernels from 6.6 until they were mended by
/// "bpf: Fix a sdiv overflow issue" (6.12 and stable releases): a divisor that might be -1 is not left to them.
fn is_harmless(divisor: Option<u64>) -> bool {
    divisor.is_some_and(|n| n != u64::MAX)
}

fn unsigned(op: BinOp) -> BinOp {
    if op == BinOp::DivS { BinOp::DivU } else { BinOp::RemU }
}

struct Builder<'a> {
    func: &'a mut Func,
    insts: Vec<Inst>,
    span: Span,
}

impl Builder<'_> {
    fn push(&mut self, op: Op) -> ValueId {
        let span = self.span;
        let value = self.func.values.alloc(crate::ir::Value { span });
        self.insts.push(Inst { result: Some(value), op, span });
        value
    }

    fn bin(&mut self, op: BinOp, a: ValueId, b: ValueId) -> ValueId {
        self.push(Op::Bin(op, a, b))
    }

    fn number(&mut self, number: u64) -> ValueId {
        self.push(Op::Const(number))
    }

    fn last(&mut self, result: ValueId, op: BinOp, a: ValueId, b: ValueId) {
        let span = self.span;
        self.insts.push(Inst { result: Some(result), op: Op::Bin(op, a, b), span });
    }

    /// -1 for a negative number, otherwise 0.
    fn sign(&mut self, value: ValueId) -> ValueId {
        let all = self.number(63);
        self.bin(BinOp::ShrS, value, all)
    }

    /// The number, negated where the sign is -1.
    fn with_sign(&mut self, value: ValueId, sign: ValueId) -> ValueId {
        let flipped = self.bin(BinOp::Xor, value, sign);
        self.bin(BinOp::Sub, flipped, sign)
    }

    fn by_power_of_two(&mut self, result: ValueId, op: BinOp, a: ValueId, shift: u32) {
        // Shifts round down and division towards 0: a negative number is first raised by the divisor less 1.
        let sign = self.sign(a);
        let rest = self.number(u64::from(64 - shift));
        let bias = self.bin(BinOp::ShrU, sign, rest);
        let raised = self.bin(BinOp::Add, a, bias);
        if op == BinOp::DivS {
            let shift = self.number(u64::from(shift));
            self.last(result, BinOp::ShrS, raised, shift);
        } else {
            let mask = self.number((1 << shift) - 1);
            let low = self.bin(BinOp::And, raised, mask);
            self.last(result, BinOp::Sub, low, bias);
        }
    }

    fn divide(&mut self, result: ValueId, op: BinOp, a: ValueId, b: ValueId, by: Option<u64>) {
        let sign_a = self.sign(a);
        let abs_a = self.with_sign(a, sign_a);
        let (abs_b, sign_b) = if let Some(number) = by.map(u64::cast_signed) {
            let abs = self.number(number.unsigned_abs());
            (abs, (number < 0).then(|| self.number(u64::MAX)))
        } else {
            let sign = self.sign(b);
            (self.with_sign(b, sign), Some(sign))
        };
        let value = self.bin(unsigned(op), abs_a, abs_b);
        // The remainder has the sign of the left operand.
        let sign = match sign_b.filter(|_| op == BinOp::DivS) {
            Some(sign_b) => self.bin(BinOp::Xor, sign_a, sign_b),
            None => sign_a,
        };
        let flipped = self.bin(BinOp::Xor, value, sign);
        self.last(result, BinOp::Sub, flipped, sign);
    }
}
