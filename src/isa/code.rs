//! Machine code with its relocations: what lowering gives and the object writer takes.

use crate::ir::reloc::{Accesses, ArgId, Args, CoreReloc};
use crate::ir::{Form, MapTarget, Rodata};
use crate::source::Span;
use smol_str::SmolStr;

/// One 8-byte slot; a 64-bit immediate load takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    /// The opcode.
    pub code: u8,
    /// The destination register.
    pub dst: u8,
    /// The source register, or what a 64-bit immediate stands for.
    pub src: u8,
    /// The offset of an access or jump.
    pub off: i16,
    /// The immediate operand.
    pub imm: i32,
}

/// The index of a slot in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InsnIdx(pub u32);

/// A script's machine code.
#[derive(Debug)]
pub struct Code {
    /// The programs, in the order of the HIR's.
    pub programs: Vec<Function>,
    /// Other forms of them, which are set aside.
    pub others: Vec<(Form, Function)>,
    /// Functions that helpers call back, in the order of the IR's.
    pub callbacks: Vec<Function>,
    /// What the relocations ask about.
    pub accesses: Accesses,
    /// What the programs read of their events' arguments.
    pub args: Args,
    /// Constants and parameters.
    pub rodata: Rodata,
}

impl Code {
    /// The programs in their first forms, then the callbacks.
    pub fn first_forms(&self) -> impl Iterator<Item = &Function> {
        self.programs.iter().chain(&self.callbacks)
    }

    /// Every function: the first forms, then what is set aside.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.first_forms().chain(self.others.iter().map(|(_, function)| function))
    }
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its symbol.
    pub name: SmolStr,
    /// Its slots.
    pub insns: Vec<Insn>,
    /// What is filled in later, by slot, ascending; at most one for a slot.
    pub relocs: Vec<Reloc>,
    /// The source of the slots from here to the next entry, ascending; the first is slot 0.
    pub lines: Vec<(InsnIdx, Span)>,
    /// The bytes of stack it uses.
    pub frame_bytes: u32,
}

impl Function {
    /// The source of a slot.
    pub fn span_of(&self, insn: InsnIdx) -> Option<Span> {
        let next = self.lines.partition_point(|(first, _)| *first <= insn);
        self.lines.get(next.checked_sub(1)?).map(|(_, span)| *span)
    }
}

/// Something that is filled in later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// The slot; of a 64-bit immediate load its first.
    pub insn: InsnIdx,
    /// With what.
    pub kind: RelocKind,
}

/// What is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelocKind {
    /// A map, in a 64-bit immediate load.
    Map(MapTarget),
    /// The address of a byte of `.rodata`, in a 64-bit immediate load.
    Rodata(u32),
    /// The address of a function: the index in [`Code::callbacks`].
    Callback(u32),
    /// The place of an event's argument: the instruction holds that in the known prototypes, and a relocator may correct it.
    Arg(ArgId),
    /// An answer about the target. The instruction holds 0 until the object writer knows the local value.
    Core(CoreReloc),
}
