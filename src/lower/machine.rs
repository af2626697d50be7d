//! The machine form of a function: BPF instructions over as many registers as it takes.
//!
//! [`select`](super::select) makes it, with fixed registers only where calls, the context and the result need them;
//! [`regalloc`](super::regalloc) leaves fixed registers only; [`emission`](super::emission) writes it down. Invariant: between blocks no
//! fixed register is live but for the context at the entry.

use crate::ir::reloc::{AccessId, ArgId, CoreReloc};
use crate::ir::{CmpOp, Helper, MapTarget, SlotId};
use crate::source::Span;

/// A register: of the machine below [`Reg::FIXED`], otherwise virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reg(pub(super) u32);

impl Reg {
    /// How many registers of the machine can hold values: r0 to r9.
    pub(super) const FIXED: u32 = 10;
    /// The result of a call or of the program.
    pub(super) const RESULT: Reg = Reg(0);
    /// The registers that a call does not keep: r0 to r5.
    pub(super) const CLOBBERED: u32 = 6;

    /// The register of a call's argument, from 0.
    pub(super) fn arg(index: u32) -> Reg {
        Reg(index + 1)
    }

    pub(super) fn is_fixed(self) -> bool {
        self.0 < Reg::FIXED
    }

    pub(super) fn ix(self) -> usize {
        self.0 as usize
    }
}

/// A right operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operand {
    Reg(Reg),
    Imm(i32),
    /// An immediate that a loader fills in.
    Core(CoreReloc),
}

/// What an instruction can make out of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Made {
    Number(u64),
    Core(CoreReloc),
    Slot(SlotId, u32),
    Map(MapTarget),
    Rodata(u32),
    Callback(u32),
}

/// What an access starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    Reg(Reg),
    Slot(SlotId),
    /// The place of a spilled register.
    Spill(u32),
}

/// What is added to a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Disp {
    Bytes(i32),
    Core(AccessId),
    Arg(ArgId, u16),
}

/// A comparison of 64 bits, or of the low 32.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) op: CmpOp,
    pub(super) wide: bool,
    pub(super) a: Reg,
    pub(super) b: Operand,
}

/// An instruction; sizes and operations are numbers of [`opcode`](crate::isa::opcode).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inst {
    Copy {
        dst: Reg,
        src: Reg,
    },
    Make {
        dst: Reg,
        what: Made,
    },
    /// `dst op= src`
    Alu {
        op: u8,
        wide: bool,
        signed: bool,
        dst: Reg,
        src: Operand,
    },
    /// `dst = -dst`
    Neg {
        dst: Reg,
    },
    /// The low bits of `src`, extended; signed only where the machine has it, unsigned of 32 bits only.
    Extend {
        dst: Reg,
        src: Reg,
        bits: u8,
        signed: bool,
    },
    /// The low bits of `dst`, swapped.
    Swap {
        dst: Reg,
        bits: u8,
    },
    Load {
        size: u8,
        signed: bool,
        dst: Reg,
        base: Base,
        disp: Disp,
    },
    Store {
        size: u8,
        base: Base,
        disp: i32,
        src: Operand,
    },
    AtomicAdd {
        size: u8,
        base: Base,
        disp: i32,
        src: Reg,
    },
    Call {
        helper: Helper,
    },
    /// Sets `dst` to a number unless the test holds.
    SetUnless {
        test: Test,
        dst: Reg,
        imm: i32,
    },
}

/// How a block ends; blocks are named by index.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Jump(usize),
    Branch {
        test: Test,
        then: usize,
        otherwise: usize,
    },
    /// With what is in r0.
    Return,
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) insts: Vec<(Inst, Span)>,
    pub(super) term: Term,
    pub(super) term_span: Span,
    /// In how many loops it is.
    pub(super) depth: u32,
}

/// A function; it starts with block 0.
#[derive(Clone, Debug)]
pub(super) struct MachineFunc {
    pub(super) blocks: Vec<Block>,
    /// The first of the blocks that only one way of one branch goes to; they are the last.
    pub(super) first_edge: usize,
    /// How many registers there are, the fixed ones included.
    pub(super) regs: u32,
    /// How many 8-byte places for spilled registers there are.
    pub(super) spills: u32,
}

impl MachineFunc {
    pub(super) fn fresh(&mut self) -> Reg {
        self.regs += 1;
        Reg(self.regs - 1)
    }
}

/// The same walk over shared and over mutable registers: `$f` gets each with whether it is read and whether it is written.
macro_rules! each_reg {
    ($inst:expr, $f:ident) => {
        match $inst {
            Inst::Copy { dst, src } | Inst::Extend { dst, src, .. } => {
                $f(src, true, false);
                $f(dst, false, true);
            }
            Inst::Make { dst, .. } => $f(dst, false, true),
            Inst::Alu { dst, src, .. } => {
                if let Operand::Reg(src) = src {
                    $f(src, true, false);
                }
                $f(dst, true, true);
            }
            Inst::Neg { dst } | Inst::Swap { dst, .. } => $f(dst, true, true),
            Inst::Load { dst, base, .. } => {
                if let Base::Reg(base) = base {
                    $f(base, true, false);
                }
                $f(dst, false, true);
            }
            Inst::Store { base, src, .. } => {
                if let Base::Reg(base) = base {
                    $f(base, true, false);
                }
                if let Operand::Reg(src) = src {
                    $f(src, true, false);
                }
            }
            Inst::AtomicAdd { base, src, .. } => {
                if let Base::Reg(base) = base {
                    $f(base, true, false);
                }
                $f(src, true, false);
            }
            Inst::Call { .. } => {}
            Inst::SetUnless { test: Test { a, b, .. }, dst, .. } => {
                $f(a, true, false);
                if let Operand::Reg(b) = b {
                    $f(b, true, false);
                }
                $f(dst, true, true);
            }
        }
    };
}

impl Inst {
    /// Calls `f` with every register that is named, whether it is read, and whether it is written.
    pub(super) fn each_named(&self, mut f: impl FnMut(Reg, bool, bool)) {
        let mut f = |r: &Reg, reads, writes| f(*r, reads, writes);
        each_reg!(self, f);
    }

    /// Likewise, to be changed.
    pub(super) fn each_named_mut(&mut self, mut f: impl FnMut(&mut Reg, bool, bool)) {
        each_reg!(self, f);
    }

    /// Calls `f` with every register that is read.
    pub(super) fn each_use(&self, mut f: impl FnMut(Reg)) {
        self.each_named(|r, reads, _| {
            if reads {
                f(r);
            }
        });
        if let Inst::Call { helper } = self {
            (0..).take(helper.arity()).map(Reg::arg).for_each(f);
        }
    }

    /// Calls `f` with every register that is written.
    pub(super) fn each_def(&self, mut f: impl FnMut(Reg)) {
        self.each_named(|r, _, writes| {
            if writes {
                f(r);
            }
        });
        if let Inst::Call { .. } = self {
            (0..Reg::CLOBBERED).map(Reg).for_each(f);
        }
    }
}

impl Test {
    pub(super) fn each_use(&self, mut f: impl FnMut(Reg)) {
        f(self.a);
        if let Operand::Reg(b) = self.b {
            f(b);
        }
    }

    pub(super) fn each_use_mut(&mut self, mut f: impl FnMut(&mut Reg)) {
        f(&mut self.a);
        if let Operand::Reg(b) = &mut self.b {
            f(b);
        }
    }
}

impl Term {
    pub(super) fn each_use(&self, mut f: impl FnMut(Reg)) {
        match self {
            Term::Jump(_) => {}
            Term::Branch { test, .. } => test.each_use(f),
            Term::Return => f(Reg::RESULT),
        }
    }

    pub(super) fn successors(&self) -> impl Iterator<Item = usize> + use<> {
        let (a, b) = match self {
            Term::Jump(to) => (Some(*to), None),
            Term::Branch { then, otherwise, .. } => (Some(*then), Some(*otherwise)),
            Term::Return => (None, None),
        };
        a.into_iter().chain(b)
    }

    pub(super) fn successors_mut(&mut self) -> impl Iterator<Item = &mut usize> {
        let (a, b) = match self {
            Term::Jump(to) => (Some(to), None),
            Term::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Term::Return => (None, None),
        };
        a.into_iter().chain(b)
    }
}
