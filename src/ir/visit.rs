//! Which values an instruction or a block's end uses, and what an operation does besides giving its value.

use super::{BlockId, CmpOp, Cond, Helper, Op, Space, Target, Term, ValueId};

/// The same walk over shared and over mutable operands: `$op` decides which.
macro_rules! each_operand {
    ($op:expr, $f:ident) => {
        match $op {
            Op::Const(_)
            | Op::Core(_)
            | Op::Ctx
            | Op::SlotAddr(..)
            | Op::MapAddr(_)
            | Op::Rodata(_)
            | Op::Callback(_) => {}
            Op::Bin(_, a, b) => {
                $f(a);
                $f(b);
            }
            Op::Neg(value) | Op::Ext { value, .. } | Op::Bswap { value, .. } => $f(value),
            Op::Cmp(Cond { a, b, .. }) => {
                $f(a);
                $f(b);
            }
            Op::Load { addr, .. } => $f(addr),
            Op::Store { addr, value, .. } | Op::AtomicAdd { addr, value, .. } => {
                $f(addr);
                $f(value);
            }
            Op::Call(_, args) => {
                for arg in args {
                    $f(arg);
                }
            }
        }
    };
}

impl Op {
    /// Calls `f` with every operand in order.
    pub fn each_use(&self, mut f: impl FnMut(ValueId)) {
        let mut f = |v: &ValueId| f(*v);
        each_operand!(self, f);
    }

    /// Calls `f` with every operand in order, to be changed.
    pub fn each_use_mut(&mut self, mut f: impl FnMut(&mut ValueId)) {
        each_operand!(self, f);
    }

    /// Whether leaving it out, when nothing uses its value, changes nothing.
    pub fn is_removable(&self) -> bool {
        match self {
            Op::Store { .. } | Op::AtomicAdd { .. } => false,
            Op::Call(helper, _) => helper.is_pure(),
            _ => true,
        }
    }

    /// Whether the same operation on the same operands gives the same value wherever in the program it stands, so that the second one may be left out.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Op::Load { space: Space::Stack | Space::Shared, .. } => false,
            op => op.is_removable(),
        }
    }

    /// Whether it needs no operand and costs no more than a move, or about that: such values are made where they are used and never kept.
    pub fn is_rematerializable(&self) -> bool {
        matches!(
            self,
            Op::Const(_)
                | Op::Core(_)
                | Op::SlotAddr(..)
                | Op::MapAddr(_)
                | Op::Rodata(_)
                | Op::Callback(_)
        )
    }
}

impl Term {
    /// Calls `f` with every operand in order.
    pub fn each_use(&self, mut f: impl FnMut(ValueId)) {
        match self {
            Term::Jump(target) => target.args.iter().for_each(|v| f(*v)),
            Term::Branch { cond, then, otherwise } => {
                f(cond.a);
                f(cond.b);
                then.args.iter().chain(&otherwise.args).for_each(|v| f(*v));
            }
            Term::Return(value) => f(*value),
        }
    }

    /// Calls `f` with every operand in order, to be changed.
    pub fn each_use_mut(&mut self, mut f: impl FnMut(&mut ValueId)) {
        match self {
            Term::Jump(target) => target.args.iter_mut().for_each(f),
            Term::Branch { cond, then, otherwise } => {
                f(&mut cond.a);
                f(&mut cond.b);
                then.args.iter_mut().chain(&mut otherwise.args).for_each(f);
            }
            Term::Return(value) => f(value),
        }
    }

    /// Where it may go, the way of a condition that holds first.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let (first, second) = match self {
            Term::Jump(target) => (Some(target), None),
            Term::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Term::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Where it may go, to be changed.
    pub fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        let (first, second) = match self {
            Term::Jump(target) => (Some(target), None),
            Term::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Term::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The blocks it may go to.
    pub fn successors(&self) -> impl Iterator<Item = BlockId> {
        self.targets().map(|t| t.block)
    }
}

impl Helper {
    /// Whether every call in one run of a program gives the same and does nothing else.
    pub fn is_pure(self) -> bool {
        matches!(
            self,
            Helper::GetSmpProcessorId
                | Helper::GetCurrentPidTgid
                | Helper::GetCurrentUidGid
                | Helper::GetCurrentTask
                | Helper::GetCurrentCgroupId
        )
    }
}

impl CmpOp {
    /// The comparison that holds where this one does not; [`CmpOp::Test`] has none.
    pub fn negated(self) -> Option<CmpOp> {
        Some(match self {
            CmpOp::Eq => CmpOp::Ne,
            CmpOp::Ne => CmpOp::Eq,
            CmpOp::LtU => CmpOp::GeU,
            CmpOp::GeU => CmpOp::LtU,
            CmpOp::LeU => CmpOp::GtU,
            CmpOp::GtU => CmpOp::LeU,
            CmpOp::LtS => CmpOp::GeS,
            CmpOp::GeS => CmpOp::LtS,
            CmpOp::LeS => CmpOp::GtS,
            CmpOp::GtS => CmpOp::LeS,
            CmpOp::Test => return None,
        })
    }

    /// The comparison that holds with the operands swapped.
    #[must_use]
    pub fn swapped(self) -> CmpOp {
        match self {
            CmpOp::Eq | CmpOp::Ne | CmpOp::Test => self,
            CmpOp::LtU => CmpOp::GtU,
            CmpOp::GtU => CmpOp::LtU,
            CmpOp::LeU => CmpOp::GeU,
            CmpOp::GeU => CmpOp::LeU,
            CmpOp::LtS => CmpOp::GtS,
            CmpOp::GtS => CmpOp::LtS,
            CmpOp::LeS => CmpOp::GeS,
            CmpOp::GeS => CmpOp::LeS,
        }
    }

    /// Whether it holds for two numbers.
    pub fn holds(self, a: u64, b: u64) -> bool {
        let (sa, sb) = (a.cast_signed(), b.cast_signed());
        match self {
            CmpOp::Eq => a == b,
            CmpOp::Ne => a != b,
            CmpOp::LtU => a < b,
            CmpOp::LeU => a <= b,
            CmpOp::GtU => a > b,
            CmpOp::GeU => a >= b,
            CmpOp::LtS => sa < sb,
            CmpOp::LeS => sa <= sb,
            CmpOp::GtS => sa > sb,
            CmpOp::GeS => sa >= sb,
            CmpOp::Test => a & b != 0,
        }
    }

    /// Whether it is about the order of signed numbers.
    pub fn is_signed(self) -> bool {
        matches!(self, CmpOp::LtS | CmpOp::LeS | CmpOp::GtS | CmpOp::GeS)
    }
}

impl super::BinOp {
    /// What it gives for two numbers.
    pub fn apply(self, a: u64, b: u64) -> u64 {
        use super::BinOp::{Add, And, DivS, DivU, Mul, Or, RemS, RemU, Shl, ShrS, ShrU, Sub, Xor};
        let (sa, sb) = (a.cast_signed(), b.cast_signed());
        let count = b & 63;
        match self {
            Add => a.wrapping_add(b),
            Sub => a.wrapping_sub(b),
            Mul => a.wrapping_mul(b),
            DivU => a.checked_div(b).unwrap_or(0),
            DivS if b == 0 => 0,
            DivS => sa.wrapping_div(sb).cast_unsigned(),
            RemU => a.checked_rem(b).unwrap_or(a),
            RemS if b == 0 => a,
            RemS => sa.wrapping_rem(sb).cast_unsigned(),
            Shl => a << count,
            ShrU => a >> count,
            ShrS => (sa >> count).cast_unsigned(),
            And => a & b,
            Or => a | b,
            Xor => a ^ b,
        }
    }

    /// Whether the operands may be swapped.
    pub fn commutes(self) -> bool {
        use super::BinOp::{Add, And, Mul, Or, Xor};
        matches!(self, Add | Mul | And | Or | Xor)
    }
}
