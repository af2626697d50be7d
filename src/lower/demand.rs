//! What is known of values' ranges, and how many of their low bits anything looks at.
//!
//! In: a function. Out: by value, a [`Range`] that it keeps to and a number of bits whose change nobody would notice above. Selection leaves out
//! extensions that nobody looks at, and compares 32 bits where that decides the same.

use crate::ir::cfg::{Cfg, ix};
use crate::ir::{BinOp, CmpOp, Cond, Func, Inst, Op, Term, ValueId};

/// Where a value lies: it is below 2^`unsigned`, and -2^(`signed`-1) to below 2^(`signed`-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) unsigned: u8,
    pub(super) signed: u8,
}

impl Range {
    const ANY: Range = Range { unsigned: 64, signed: 64 };

    fn below(bits: u8) -> Range {
        Range { unsigned: bits, signed: (bits + 1).min(64) }
    }

    fn signed(bits: u8) -> Range {
        Range { unsigned: 64, signed: bits }
    }

    /// Whether all of it are numbers of so many bits.
    pub(super) fn fits(self, bits: u8, signed: bool) -> bool {
        if signed { self.signed <= bits } else { self.unsigned <= bits }
    }

    /// Of a number.
    pub(super) fn of(number: u64) -> Range {
        let bits = |n: u64| u8::try_from(64 - n.leading_zeros()).expect("at most 64");
        let signed = number.cast_signed();
        let magnitude = (signed ^ (signed >> 63)).cast_unsigned();
        Range { unsigned: bits(number), signed: bits(magnitude) + 1 }
    }
}

/// The instruction that defines each value; `None` for parameters.
pub(super) type Defs<'a> = Vec<Option<&'a Inst>>;

/// The definitions in the blocks of a graph.
pub(super) fn defs<'a>(func: &'a Func, cfg: &Cfg) -> Defs<'a> {
    let mut defs = vec![None; func.values.len()];
    for inst in cfg.order.iter().flat_map(|b| &func.blocks[*b].insts) {
        if let Some(result) = inst.result {
            defs[ix(result)] = Some(inst);
        }
    }
    defs
}

/// By value: how often it is used.
pub(super) fn uses(func: &Func, cfg: &Cfg) -> Vec<u32> {
    let mut uses = vec![0; func.values.len()];
    for block in cfg.order.iter().map(|b| &func.blocks[*b]) {
        block.insts.iter().for_each(|i| i.op.each_use(|v| uses[ix(v)] += 1));
        block.term.each_use(|v| uses[ix(v)] += 1);
    }
    uses
}

/// The number that a value is, if it is one.
pub(super) fn number(defs: &Defs, value: ValueId) -> Option<u64> {
    match defs[ix(value)]?.op {
        Op::Const(number) => Some(number),
        _ => None,
    }
}

/// The ranges of all values.
pub(super) fn ranges(func: &Func, cfg: &Cfg) -> Vec<Range> {
    let mut ranges = vec![Range::ANY; func.values.len()];
    for inst in cfg.order.iter().flat_map(|b| &func.blocks[*b].insts) {
        if let Some(result) = inst.result {
            ranges[ix(result)] = range(&inst.op, &ranges);
        }
    }
    ranges
}

/// The range of what an operation gives, by those of its operands.
pub(super) fn range(op: &Op, known: &[Range]) -> Range {
    let of = |v: &ValueId| known[ix(*v)];
    match op {
        Op::Const(number) => Range::of(*number),
        Op::Load { width, signed, .. } => {
            let bits = u8::try_from(width.bytes() * 8).expect("at most 64");
            if *signed { Range::signed(bits) } else { Range::below(bits) }
        }
        Op::Ext { value, bits, signed: true } if of(value).signed <= *bits => of(value),
        Op::Ext { bits, signed: true, .. } => Range::signed(*bits),
        Op::Ext { value, bits, .. } => Range::below(of(value).unsigned.min(*bits)),
        Op::Bswap { bits, .. } => Range::below(*bits),
        Op::Cmp(_) => Range::below(1),
        Op::Bin(BinOp::And, a, b) => Range::below(of(a).unsigned.min(of(b).unsigned)),
        Op::Bin(BinOp::Or | BinOp::Xor, a, b) => {
            let unsigned = of(a).unsigned.max(of(b).unsigned);
            let signed = of(a).signed.max(of(b).signed);
            Range { unsigned, signed: signed.min(Range::below(unsigned).signed) }
        }
        // Division is left out: the kernel's verifier knows nothing of its result, and a mask after it may be there for its sake.
        Op::Bin(BinOp::ShrU, a, _) => Range::below(of(a).unsigned),
        Op::Bin(BinOp::ShrS, a, _) => of(a),
        _ => Range::ANY,
    }
}

/// How many low bits of each value anything looks at. `narrow` says whether 32 bits can be compared.
pub(super) fn demands(func: &Func, cfg: &Cfg, ranges: &[Range], narrow: bool) -> Vec<u8> {
    let mut params = vec![None; func.values.len()];
    for block in &cfg.order {
        for (i, param) in func.blocks[*block].params.iter().enumerate() {
            params[ix(*param)] = Some((*block, i));
        }
    }
    let defs = defs(func, cfg);
    let mut demands = Demands { bits: vec![0; func.values.len()], todo: Vec::new() };
    for block in cfg.order.iter().map(|b| &func.blocks[*b]) {
        for inst in block.insts.iter().filter(|i| !i.op.is_removable()) {
            demands.operands(&inst.op, 64, &defs, ranges, narrow);
        }
        match &block.term {
            Term::Jump(_) => {}
            Term::Branch { cond, .. } => demands.test(cond, ranges, narrow),
            Term::Return(value) => demands.raise(*value, 64),
        }
    }
    while let Some(value) = demands.todo.pop() {
        let bits = demands.bits[ix(value)];
        if let Some(inst) = defs[ix(value)] {
            demands.operands(&inst.op, bits, &defs, ranges, narrow);
        } else if let Some((block, i)) = params[ix(value)] {
            for pred in cfg.preds(block) {
                for target in func.blocks[*pred].term.targets().filter(|t| t.block == block) {
                    demands.raise(target.args[i], bits);
                }
            }
        }
    }
    demands.bits
}

/// How a comparison is decided by the low 32 bits, if it is.
pub(super) fn narrow_test(cond: &Cond, ranges: &[Range]) -> Option<CmpOp> {
    let (a, b) = (ranges[ix(cond.a)], ranges[ix(cond.b)]);
    if a.unsigned <= 32 && b.unsigned <= 32 {
        Some(match cond.op {
            CmpOp::LtS => CmpOp::LtU,
            CmpOp::LeS => CmpOp::LeU,
            CmpOp::GtS => CmpOp::GtU,
            CmpOp::GeS => CmpOp::GeU,
            op => op,
        })
    } else if a.signed <= 32 && b.signed <= 32 {
        // Sign extension keeps the unsigned order, too.
        Some(cond.op)
    } else {
        None
    }
}

struct Demands {
    bits: Vec<u8>,
    todo: Vec<ValueId>,
}

impl Demands {
    fn raise(&mut self, value: ValueId, bits: u8) {
        // Few steps, so that a value is looked at a few times at most.
        let bits = [0, 8, 16, 32, 64].into_iter().find(|step| bits <= *step).unwrap_or(64);
        if self.bits[ix(value)] < bits {
            self.bits[ix(value)] = bits;
            self.todo.push(value);
        }
    }

    fn test(&mut self, cond: &Cond, ranges: &[Range], narrow: bool) {
        let bits = if narrow && narrow_test(cond, ranges).is_some() { 32 } else { 64 };
        self.raise(cond.a, bits);
        self.raise(cond.b, bits);
    }

    /// What an operation looks at when `bits` of its value are.
    fn operands(&mut self, op: &Op, bits: u8, defs: &Defs, ranges: &[Range], narrow: bool) {
        match op {
            Op::Bin(BinOp::And, a, b) => {
                let mask = number(defs, *b).map_or(64, |n| Range::of(n).unsigned);
                self.raise(*a, bits.min(mask));
                self.raise(*b, bits);
            }
            Op::Bin(op, a, b) if low_bits_decide(*op) => {
                self.raise(*a, bits);
                self.raise(*b, bits);
            }
            Op::Bin(BinOp::Shl, a, b) => {
                self.raise(*a, bits);
                self.raise(*b, 8);
            }
            Op::Bin(BinOp::ShrU | BinOp::ShrS, a, b) => {
                self.raise(*a, 64);
                self.raise(*b, 8);
            }
            Op::Neg(value) => self.raise(*value, bits),
            Op::Ext { value, bits: kept, .. } => self.raise(*value, bits.min(*kept)),
            Op::Bswap { value, bits: swapped } => self.raise(*value, *swapped),
            Op::Cmp(cond) => self.test(cond, ranges, narrow),
            Op::Store { width, addr, value, .. } | Op::AtomicAdd { width, addr, value, .. } => {
                self.raise(*addr, 64);
                self.raise(*value, u8::try_from(width.bytes() * 8).expect("at most 64"));
            }
            op => op.each_use(|v| self.raise(v, 64)),
        }
    }
}

/// Whether the low bits of the result depend on the same low bits of the operands only.
pub(super) fn low_bits_decide(op: BinOp) -> bool {
    matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor)
}
