//! Bytes put together in the other order, by shifts and masks, are one swap.
//!
//! A value is looked at as eight bytes, each of which is 0 or a byte of one other value.

use super::Simplify;
use crate::ir::cfg::ix;
use crate::ir::{BinOp, Op, ValueId};

/// How many operations deep the parts of a value are looked for: enough for all eight bytes.
const MAX_DEPTH: u32 = 6;

/// Where a byte of a value comes from, the lowest first: the value and the number of its byte, or nowhere if it is 0.
type Bytes = [Option<(ValueId, usize)>; 8];

impl Simplify<'_> {
    /// The swap that an operation comes down to.
    pub(super) fn as_swap(&self, op: &Op) -> Option<Op> {
        let bytes = self.bytes_of_op(op, MAX_DEPTH)?;
        let (value, _) = bytes[0]?;
        let len = bytes.iter().take_while(|byte| byte.is_some()).count();
        let bits = u8::try_from(8 * len).ok()?;
        let swapped = (0..8).map(|i| (i < len).then(|| (value, len - 1 - i)));
        let is_swap = matches!(bits, 16 | 32 | 64) && swapped.eq(bytes);
        is_swap.then_some(Op::Bswap { value, bits })
    }

    fn bytes(&self, value: ValueId, depth: u32) -> Bytes {
        let parts = self.op(value).and_then(|op| self.bytes_of_op(op, depth.checked_sub(1)?));
        parts.unwrap_or_else(|| {
            let len = usize::from(self.ranges[ix(value)].unsigned.div_ceil(8));
            std::array::from_fn(|i| (i < len).then_some((value, i)))
        })
    }

    /// The bytes of what an operation gives, if it only moves bytes.
    fn bytes_of_op(&self, op: &Op, depth: u32) -> Option<Bytes> {
        match op {
            Op::Bin(BinOp::Or, a, b) => {
                let (a, b) = (self.bytes(*a, depth), self.bytes(*b, depth));
                let apart = a.iter().zip(&b).all(|(a, b)| a.is_none() || b.is_none());
                apart.then(|| std::array::from_fn(|i| a[i].or(b[i])))
            }
            Op::Bin(BinOp::And, a, b) => {
                let mask = self.known(*b)?.to_le_bytes();
                let a = self.bytes(*a, depth);
                let whole = a.iter().zip(mask).all(|(a, m)| a.is_none() || m == 0 || m == 0xff);
                whole.then(|| std::array::from_fn(|i| a[i].filter(|_| mask[i] != 0)))
            }
            Op::Bin(op @ (BinOp::Shl | BinOp::ShrU), a, b) => {
                let by = self.known(*b).filter(|by| by % 8 == 0 && *by < 64)?;
                let by = usize::try_from(by / 8).ok()?;
                let a = self.bytes(*a, depth);
                let from = |i: usize| {
                    if *op == BinOp::Shl { i.checked_sub(by) } else { i.checked_add(by) }
                };
                Some(std::array::from_fn(|i| a.get(from(i)?).copied().flatten()))
            }
            Op::Ext { value, bits, signed: false } => {
                let a = self.bytes(*value, depth);
                Some(std::array::from_fn(|i| a[i].filter(|_| i < usize::from(bits / 8))))
            }
            _ => None,
        }
    }
}
