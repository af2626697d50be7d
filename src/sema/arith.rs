//! Operators on integers: which form is meant, and what type comes out.
//!
//! In: an operator as written, and the types of its operands. Out: the HIR's operator, which knows its sign, and the result's type.
//! Invariant: 64-bit arithmetic; `u64` only where an operand is `u64`, and never from a subtraction.

use super::hir::BinOp;
use super::join;
use super::types::IntTy;
use crate::syntax::ast::BinaryOp;

/// The type in which an operand takes part in arithmetic.
pub fn widened(int: IntTy) -> IntTy {
    if int == IntTy::U64 { IntTy::U64 } else { IntTy::S64 }
}

/// What an operator means on operands of these types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The operator.
    pub op: BinOp,
    /// Whether the operands change places: `a > b` is `b < a`.
    pub swap: bool,
    /// The result's type; of a comparison it is a bool.
    pub result: Option<IntTy>,
}

/// What `op` means; nothing for `&&` and `||`, which are no operators on two values.
pub fn meaning(op: BinaryOp, left: IntTy, right: IntTy) -> Option<Meaning> {
    let (left, right) = (widened(left), widened(right));
    let both = join::int(left, right);
    let signed = if op == BinaryOp::Shr { left.signed } else { both.signed };
    let pick = |unsigned, s| if signed { s } else { unsigned };
    let (op, swap, result) = match op {
        BinaryOp::Add => (BinOp::Add, false, Some(both)),
        BinaryOp::Sub => (BinOp::Sub, false, Some(IntTy::S64)),
        BinaryOp::Mul => (BinOp::Mul, false, Some(both)),
        BinaryOp::Div => (pick(BinOp::DivU, BinOp::DivS), false, Some(both)),
        BinaryOp::Rem => (pick(BinOp::RemU, BinOp::RemS), false, Some(both)),
        BinaryOp::Shl => (BinOp::Shl, false, Some(left)),
        BinaryOp::Shr => (pick(BinOp::ShrU, BinOp::ShrS), false, Some(left)),
        BinaryOp::And => (BinOp::And, false, Some(both)),
        BinaryOp::Or => (BinOp::Or, false, Some(both)),
        BinaryOp::Xor => (BinOp::Xor, false, Some(both)),
        BinaryOp::Eq => (BinOp::Eq, false, None),
        BinaryOp::Ne => (BinOp::Ne, false, None),
        BinaryOp::Lt => (pick(BinOp::LtU, BinOp::LtS), false, None),
        BinaryOp::Gt => (pick(BinOp::LtU, BinOp::LtS), true, None),
        BinaryOp::Le => (pick(BinOp::LeU, BinOp::LeS), false, None),
        BinaryOp::Ge => (pick(BinOp::LeU, BinOp::LeS), true, None),
        BinaryOp::LogAnd | BinaryOp::LogOr => return None,
    };
    Some(Meaning { op, swap, result })
}
