//! Joining: the one type that holds the values of several uses.
//!
//! In: types of uses, in any order. Out: their join, or nothing where they have none. Invariant: joining is associative and commutative, so that what a
//! map holds does not depend on the order in which a script mentions it.

use super::types::{IntTy, Ty};
use std::sync::Arc;

/// The integer type that both operands of an operator are brought to: the wider one; `u64` if either is; where the signs differ, a signed type that holds
/// both.
pub fn int(a: IntTy, b: IntTy) -> IntTy {
    if a == b {
        return a;
    }
    if a == IntTy::U64 || b == IntTy::U64 {
        return IntTy::U64;
    }
    if a.signed == b.signed {
        return if a.bits >= b.bits { a } else { b };
    }
    let (signed, unsigned) = if a.signed { (a, b) } else { (b, a) };
    let bits = signed.bits.max(unsigned.bits.saturating_mul(2)).min(64);
    IntTy { bits, signed: true }
}

/// The type that holds values of both.
pub fn ty(a: &Ty, b: &Ty) -> Option<Ty> {
    match (a, b) {
        (Ty::Error, other) | (other, Ty::Error) => Some(other.clone()),
        (a, b) if a == b => Some(a.clone()),
        (Ty::Int(a), Ty::Int(b)) => Some(Ty::Int(int(*a, *b))),
        (Ty::Int(a), Ty::Bool) | (Ty::Bool, Ty::Int(a)) => Some(Ty::Int(*a)),
        (Ty::Str(a), Ty::Str(b)) => Some(Ty::Str(*a.max(b))),
        (Ty::Tuple(a), Ty::Tuple(b)) if a.len() == b.len() => {
            let parts: Option<Vec<Ty>> = a.iter().zip(b.iter()).map(|(a, b)| ty(a, b)).collect();
            Some(Ty::Tuple(Arc::from(parts?)))
        }
        _ => None,
    }
}

/// What is known of one part of a key or of a value: the join of the types of its uses, and the range of its constants, which adapt to the other uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// [`Ty::Error`] while only constants are known, or nothing.
    ty: Ty,
    /// The least and the greatest constant.
    consts: Option<(i128, i128)>,
}

impl Slot {
    /// A use of a type.
    pub fn of(ty: Ty) -> Slot {
        Slot { ty, consts: None }
    }

    /// A use of a constant integer.
    pub fn constant(value: i128) -> Slot {
        Slot { ty: Ty::Error, consts: Some((value, value)) }
    }

    /// Both uses, if one type holds them.
    pub fn join(&self, other: &Slot) -> Option<Slot> {
        let ty = ty(&self.ty, &other.ty)?;
        let consts = match (self.consts, other.consts) {
            (None, c) | (c, None) => c,
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        };
        let null = consts == Some((0, 0));
        match ty {
            Ty::Int(_) | Ty::Bool | Ty::Error => {}
            Ty::Ptr(_) if null || consts.is_none() => {}
            _ if consts.is_none() => {}
            _ => return None,
        }
        Some(Slot { ty, consts })
    }

    /// The type that holds every use; [`Ty::Error`] where nothing is known.
    pub fn resolved(&self) -> Ty {
        let Some((low, high)) = self.consts else { return self.ty.clone() };
        let needed = if high > i128::from(i64::MAX) { IntTy::U64 } else { IntTy::S64 };
        match self.ty {
            Ty::Error => Ty::Int(needed),
            Ty::Int(int) if fits(low, int) && fits(high, int) => Ty::Int(int),
            Ty::Int(int) => Ty::Int(self::int(int, needed)),
            Ty::Bool if low < 0 || high > 1 => Ty::Int(needed),
            ref other => other.clone(),
        }
    }
}

/// Whether a value is one of the type's.
pub fn fits(value: i128, int: IntTy) -> bool {
    let (low, high) = bounds(int);
    (low..=high).contains(&value)
}

/// The least and the greatest value of a type.
pub fn bounds(int: IntTy) -> (i128, i128) {
    let magnitude = 1i128 << (int.bits - u8::from(int.signed));
    (if int.signed { -magnitude } else { 0 }, magnitude - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_that_differ_meet_in_a_type_that_holds_both() {
        assert_eq!(int(IntTy::U32, IntTy::S32), IntTy::S64);
        assert_eq!(int(IntTy::U8, IntTy::S32), IntTy::S32);
        assert_eq!(int(IntTy::U64, IntTy::S64), IntTy::U64);
    }

    #[test]
    fn constants_adapt_to_the_other_uses_in_any_order() {
        let narrow = Slot::of(Ty::Int(IntTy::S32));
        let one = Slot::constant(1);
        assert_eq!(one.join(&narrow).map(|s| s.resolved()), Some(Ty::Int(IntTy::S32)));
        assert_eq!(narrow.join(&one).map(|s| s.resolved()), Some(Ty::Int(IntTy::S32)));
        let huge = Slot::constant(1 << 40);
        assert_eq!(narrow.join(&huge).map(|s| s.resolved()), Some(Ty::Int(IntTy::S64)));
        assert_eq!(Slot::of(Ty::Str(16)).join(&one), None);
    }
}
