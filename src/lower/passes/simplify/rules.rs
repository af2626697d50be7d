//! The rules, by operation.

use super::{Better, Simplify};
use crate::ir::cfg::ix;
use crate::ir::{BinOp, CmpOp, Cond, Off, Op, ValueId, Width};

const ALL: u64 = u64::MAX;
const LOW_32: u64 = 0xffff_ffff;

impl Simplify<'_> {
    /// A better way to compute what an operation gives.
    pub(super) fn better(&mut self, op: &Op) -> Option<Better> {
        if let Op::Bin(BinOp::Or, ..) | Op::Ext { signed: false, .. } = op
            && let Some(swap) = self.as_swap(op)
        {
            return Some(Better::Op(swap));
        }
        match op {
            Op::Bin(op, a, b) => self.better_bin(*op, *a, *b),
            Op::Neg(value) => match self.op(*value)? {
                Op::Const(number) => Some(Better::Op(Op::Const(number.wrapping_neg()))),
                Op::Neg(inner) => Some(Better::Value(*inner)),
                _ => None,
            },
            Op::Ext { value, bits, signed } => self.better_ext(*value, *bits, *signed),
            Op::Bswap { value, bits } => {
                let number = self.known(*value)?.swap_bytes() >> (64 - bits);
                Some(Better::Op(Op::Const(number)))
            }
            Op::Cmp(cond) => self.better_cmp(cond),
            Op::Load { width, signed, addr, off: Off::Bytes(off), space } => {
                let (addr, off) = self.better_address(*addr, *off, *width)?;
                let off = Off::Bytes(off);
                let (width, signed, space) = (*width, *signed, *space);
                Some(Better::Op(Op::Load { width, signed, addr, off, space }))
            }
            Op::Store { width, addr, off, value, space } => {
                let (addr, off) = self.better_address(*addr, *off, *width)?;
                let (width, value, space) = (*width, *value, *space);
                Some(Better::Op(Op::Store { width, addr, off, value, space }))
            }
            Op::AtomicAdd { width, addr, off, value } => {
                let (addr, off) = self.better_address(*addr, *off, *width)?;
                Some(Better::Op(Op::AtomicAdd { width: *width, addr, off, value: *value }))
            }
            Op::Load { off: Off::Core(_) | Off::Arg(..), .. }
            | Op::Const(_)
            | Op::Core(_)
            | Op::Ctx
            | Op::SlotAddr(..)
            | Op::MapAddr(_)
            | Op::Rodata(_)
            | Op::Callback(_)
            | Op::Call(..) => None,
        }
    }

    /// Takes a number that was added to an address into the access. What would leave a stack slot is behind a check that fails, and stays as it is until
    /// that is known.
    fn better_address(&mut self, addr: ValueId, off: i16, width: Width) -> Option<(ValueId, i16)> {
        let Op::Bin(BinOp::Add, base, by) = *self.op(addr)? else { return None };
        let by = i16::try_from(self.known(by)?.cast_signed()).ok()?;
        let off = off.checked_add(by)?;
        if let Some(&Op::SlotAddr(slot, start)) = self.op(base) {
            let start = i64::from(start) + i64::from(off);
            let end = start + i64::from(width.bytes());
            if start < 0 || end > i64::from(self.func.slots[slot].size) {
                return None;
            }
        }
        Some((base, off))
    }

    fn better_ext(&mut self, value: ValueId, bits: u8, signed: bool) -> Option<Better> {
        if let Some(number) = self.known(value) {
            let up = 64 - u32::from(bits);
            let number = number << up;
            let number =
                if signed { (number.cast_signed() >> up).cast_unsigned() } else { number >> up };
            return Some(Better::Op(Op::Const(number)));
        }
        if self.ranges[ix(value)].fits(bits, signed) {
            return Some(Better::Value(value));
        }
        match *self.only_for_this(value)? {
            Op::Ext { value, bits: inner, .. } if bits <= inner => {
                Some(Better::Op(Op::Ext { value, bits, signed }))
            }
            _ => None,
        }
    }

    fn better_cmp(&mut self, cond: &Cond) -> Option<Better> {
        if let Some(holds) = self.decide(cond) {
            return Some(Better::Op(Op::Const(u64::from(holds))));
        }
        if let Some(cond) = self.better_cond(cond) {
            return Some(Better::Op(Op::Cmp(cond)));
        }
        let is_bool = self.ranges[ix(cond.a)].unsigned <= 1;
        match (cond.op, self.known(cond.b)?) {
            (CmpOp::Ne, 0) if is_bool => Some(Better::Value(cond.a)),
            (CmpOp::Eq, 0) if is_bool => match self.op(cond.a)? {
                Op::Cmp(inner) if let Some(op) = inner.op.negated() => {
                    Some(Better::Op(Op::Cmp(Cond { op, ..*inner })))
                }
                _ => {
                    let one = self.number(1);
                    Some(Better::Op(Op::Bin(BinOp::Xor, cond.a, one)))
                }
            },
            (CmpOp::Ne, 0) => self.bit_test(cond).map(|cond| Better::Op(Op::Cmp(cond))),
            _ => None,
        }
    }

    fn decide(&self, cond: &Cond) -> Option<bool> {
        if cond.a == cond.b && cond.op != CmpOp::Test {
            return Some(cond.op.holds(0, 0));
        }
        Some(cond.op.holds(self.known(cond.a)?, self.known(cond.b)?))
    }

    /// The same condition with its number on the right, and as a comparison with 0 where it is one.
    pub(super) fn better_cond(&mut self, cond: &Cond) -> Option<Cond> {
        if self.known(cond.a).is_some() && self.known(cond.b).is_none() {
            return Some(Cond { op: cond.op.swapped(), a: cond.b, b: cond.a });
        }
        match (cond.op, self.known(cond.b)?) {
            (CmpOp::Test, mask) => {
                let (a, mask) = self.unshifted(cond.a, mask)?;
                Some(Cond { op: CmpOp::Test, a, b: self.number(mask) })
            }
            (CmpOp::GtU, 0) => Some(Cond { op: CmpOp::Ne, ..*cond }),
            (CmpOp::LeU, 0) => Some(Cond { op: CmpOp::Eq, ..*cond }),
            (op @ (CmpOp::LtU | CmpOp::GeU), 1) => {
                let op = if op == CmpOp::LtU { CmpOp::Eq } else { CmpOp::Ne };
                Some(Cond { op, a: cond.a, b: self.number(0) })
            }
            _ => None,
        }
    }

    /// The value before it was shifted right, and the bits of it that some bits of it are afterwards, if a test of them needs no register.
    fn unshifted(&self, value: ValueId, mask: u64) -> Option<(ValueId, u64)> {
        let Op::Bin(BinOp::ShrU, whole, by) = *self.only_for_this(value)? else { return None };
        let by = u32::try_from(self.known(by)?).ok().filter(|by| *by < 64)?;
        let fits = by < mask.leading_zeros() && i32::try_from(mask << by).is_ok();
        fits.then(|| (whole, mask << by))
    }

    fn better_bin(&mut self, op: BinOp, a: ValueId, b: ValueId) -> Option<Better> {
        match (self.known(a), self.known(b)) {
            (Some(a), Some(b)) => return Some(Better::Op(Op::Const(op.apply(a, b)))),
            (Some(_), None) if op.commutes() => return Some(Better::Op(Op::Bin(op, b, a))),
            (Some(0), None) if op == BinOp::Sub => return Some(Better::Op(Op::Neg(b))),
            (None, Some(number)) => return self.by_number(op, a, b, number),
            _ => {}
        }
        if a == b {
            return match op {
                BinOp::Sub | BinOp::Xor => Some(Better::Op(Op::Const(0))),
                BinOp::And | BinOp::Or => Some(Better::Value(a)),
                _ => None,
            };
        }
        self.unsigned_form(op, a, b)
    }

    /// Signed operations on numbers that are not negative.
    fn unsigned_form(&mut self, op: BinOp, a: ValueId, b: ValueId) -> Option<Better> {
        let nonnegative = |v: ValueId| self.ranges[ix(v)].unsigned < 64;
        let op = match op {
            BinOp::ShrS if nonnegative(a) => BinOp::ShrU,
            BinOp::DivS if nonnegative(a) && nonnegative(b) => BinOp::DivU,
            BinOp::RemS if nonnegative(a) && nonnegative(b) => BinOp::RemU,
            _ => return None,
        };
        Some(Better::Op(Op::Bin(op, a, b)))
    }

    /// An operation whose right operand is a number.
    fn by_number(&mut self, op: BinOp, a: ValueId, b: ValueId, number: u64) -> Option<Better> {
        use BinOp::{Add, And, DivS, DivU, Mul, Or, RemS, RemU, Shl, ShrS, ShrU, Sub, Xor};
        let value = Some(Better::Value(a));
        let constant = |n| Some(Better::Op(Op::Const(n)));
        let log = number.is_power_of_two().then(|| u64::from(number.trailing_zeros()));
        match (op, number) {
            (Add | Sub | Or | Xor | RemU | RemS | Shl | ShrU | ShrS, 0)
            | (Mul | DivU | DivS, 1) => value,
            (And, _) if (self.all_ones(a) & !number) == 0 => value,
            (Mul | DivU | DivS | And, 0) | (RemU | RemS, 1) | (RemS, ALL) => constant(0),
            (Or, ALL) => constant(ALL),
            (Mul | DivS, ALL) => Some(Better::Op(Op::Neg(a))),
            (Shl | ShrU | ShrS, 64..) => Some(self.with_number(op, a, number & 63)),
            (Sub, _) => Some(self.with_number(Add, a, number.wrapping_neg())),
            (Mul, _) if let Some(log) = log => Some(self.with_number(Shl, a, log)),
            (DivU, _) if let Some(log) = log => Some(self.with_number(ShrU, a, log)),
            (RemU, _) if log.is_some() => Some(self.with_number(And, a, number - 1)),
            (And, LOW_32) => Some(Better::Op(Op::Ext { value: a, bits: 32, signed: false })),
            _ => self.unsigned_form(op, a, b).or_else(|| self.joined(op, a, number)),
        }
    }

    /// The bits that a value may have.
    fn all_ones(&self, value: ValueId) -> u64 {
        match self.ranges[ix(value)].unsigned {
            0 => 0,
            bits => ALL >> (64 - bits),
        }
    }

    fn with_number(&mut self, op: BinOp, a: ValueId, number: u64) -> Better {
        let number = self.number(number);
        Better::Op(Op::Bin(op, a, number))
    }

    /// Joins an operation with the same one before it.
    fn joined(&mut self, op: BinOp, a: ValueId, number: u64) -> Option<Better> {
        if let (BinOp::Add, Op::SlotAddr(slot, at)) = (op, self.op(a)?) {
            let at = u64::from(*at).wrapping_add(number);
            let inside = at < u64::from(self.func.slots[*slot].size);
            let at = u32::try_from(at).ok().filter(|_| inside)?;
            return Some(Better::Op(Op::SlotAddr(*slot, at)));
        }
        let Op::Bin(inner, value, by) = *self.only_for_this(a)? else { return None };
        let first = self.known(by)?;
        if inner != op {
            return None;
        }
        let both = match op {
            BinOp::Add => first.wrapping_add(number),
            BinOp::Mul => first.wrapping_mul(number),
            BinOp::And => first & number,
            BinOp::Or => first | number,
            BinOp::Xor => first ^ number,
            BinOp::Shl | BinOp::ShrU | BinOp::ShrS => {
                let sum = (first & 63) + number;
                match op {
                    BinOp::ShrS => sum.min(63),
                    _ if sum > 63 => return Some(Better::Op(Op::Const(0))),
                    _ => sum,
                }
            }
            BinOp::Sub | BinOp::DivU | BinOp::DivS | BinOp::RemU | BinOp::RemS => return None,
        };
        Some(self.with_number(op, value, both))
    }
}
