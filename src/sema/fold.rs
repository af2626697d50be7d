//! What is known of an integer expression at compile time: its value if it is constant, otherwise its range.

use super::hir::{BinOp, Builtin, Expr, ExprKind, UnOp};
use super::join::bounds;
use super::types::{IntTy, Ty};

/// The value of a constant integer, read as its type says.
pub fn constant(e: &Expr) -> Option<i128> {
    let ExprKind::Int(value) = e.kind else { return None };
    Some(match e.ty {
        // Enumerators are held in 64 bits with their sign.
        Ty::Int(IntTy { signed: true, .. }) | Ty::Enum(_) => i128::from(value.cast_signed()),
        _ => i128::from(value),
    })
}

/// An operator on two constants, exactly as programs do it.
pub fn binary(op: BinOp, a: u64, b: u64) -> u64 {
    let (sa, sb) = (a.cast_signed(), b.cast_signed());
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::DivU => a.checked_div(b).unwrap_or(0),
        BinOp::DivS if b == 0 => 0,
        BinOp::DivS => sa.wrapping_div(sb).cast_unsigned(),
        BinOp::RemU => a.checked_rem(b).unwrap_or(a),
        BinOp::RemS if b == 0 => a,
        BinOp::RemS => sa.wrapping_rem(sb).cast_unsigned(),
        BinOp::Shl => a << (b & 63),
        BinOp::ShrU => a >> (b & 63),
        BinOp::ShrS => (sa >> (b & 63)).cast_unsigned(),
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Eq => u64::from(a == b),
        BinOp::Ne => u64::from(a != b),
        BinOp::LtU => u64::from(a < b),
        BinOp::LeU => u64::from(a <= b),
        BinOp::LtS => u64::from(sa < sb),
        BinOp::LeS => u64::from(sa <= sb),
    }
}

/// An operator on a constant, exactly as programs do it.
pub fn unary(op: UnOp, a: u64) -> u64 {
    match op {
        UnOp::Neg => a.wrapping_neg(),
        UnOp::Not => !a,
        UnOp::LogNot => u64::from(a == 0),
    }
}

/// A value cut to an integer type and extended again.
pub fn convert(value: u64, to: IntTy) -> u64 {
    let shift = 64 - u32::from(to.bits);
    if to.signed {
        ((value << shift).cast_signed() >> shift).cast_unsigned()
    } else {
        (value << shift) >> shift
    }
}

/// The least and the greatest value an integer expression can have.
pub fn range(e: &Expr) -> (i128, i128) {
    let whole = match &e.ty {
        Ty::Bool => (0, 1),
        Ty::Int(int) => bounds(*int),
        _ => bounds(IntTy::U64),
    };
    let (low, high) = match &e.kind {
        ExprKind::Int(_) => constant(e).map_or(whole, |v| (v, v)),
        ExprKind::Builtin(Builtin::Pid | Builtin::Tid) => (0, (1 << 31) - 1),
        ExprKind::Convert(inner) => range(inner),
        ExprKind::Cond(_, a, b) => union(range(a), range(b)),
        ExprKind::Binary(op, a, b) => binary_range(*op, range(a), range(b)).unwrap_or(whole),
        _ => whole,
    };
    // What goes beyond the type wraps, and may then be anything.
    if low < whole.0 || high > whole.1 { whole } else { (low, high) }
}

fn union(a: (i128, i128), b: (i128, i128)) -> (i128, i128) {
    (a.0.min(b.0), a.1.max(b.1))
}

fn binary_range(op: BinOp, a: (i128, i128), b: (i128, i128)) -> Option<(i128, i128)> {
    let not_negative = a.0 >= 0 && b.0 >= 0;
    match op {
        BinOp::Add => Some((a.0 + b.0, a.1 + b.1)),
        BinOp::Sub => Some((a.0 - b.1, a.1 - b.0)),
        BinOp::And if b.0 >= 0 => Some((0, if a.0 >= 0 { a.1.min(b.1) } else { b.1 })),
        BinOp::And if a.0 >= 0 => Some((0, a.1)),
        BinOp::RemU | BinOp::RemS if a.0 >= 0 && b.0 > 0 => Some((0, a.1.min(b.1 - 1))),
        BinOp::DivU | BinOp::DivS if a.0 >= 0 && b.0 > 0 => Some((a.0 / b.1, a.1 / b.0)),
        BinOp::ShrU | BinOp::ShrS if not_negative && b.0 == b.1 && b.1 < 64 => {
            Some((a.0 >> b.0, a.1 >> b.0))
        }
        BinOp::Mul if not_negative => Some((a.0.checked_mul(b.0)?, a.1.checked_mul(b.1)?)),
        BinOp::Eq | BinOp::Ne | BinOp::LtU | BinOp::LeU | BinOp::LtS | BinOp::LeS => Some((0, 1)),
        _ => None,
    }
}
