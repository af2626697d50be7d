//! The IR: a program as a control-flow graph of 64-bit virtual registers in SSA form.
//!
//! **Values.** A value is defined once, by an instruction or as a block's parameter, and holds 64 bits. Jumps pass arguments to the parameters of
//! the block they go to (there are no phi instructions).
//!
//! **Memory.** Addresses are values. A [`Load`](Op::Load) extends what it reads to 64 bits; a [`Store`](Op::Store) cuts. Stack memory is named by slots, whose place in
//! the frame is decided last.
//!
//! **Relocation.** What depends on the target kernel is part of an instruction: an offset that is [`Off::Core`], or a number that is [`Op::Core`]. No pass may
//! look inside such a number, nor assume two of different [`CoreReloc`]s equal.
//!
//! Invariants, checked by `verify` whenever a pass changed something: every use is dominated by its definition; arguments match parameters in number; every id is in range; a call has the
//! number of arguments of its helper; slot accesses stay inside their slot.

pub mod cfg;
pub mod helper;
pub mod print;
pub mod reloc;
pub mod verify;
mod visit;

use crate::sema::hir::{Arg, ArgPlace, Event, EventKind, Hir, MapId, Program, PrototypeId};
use crate::source::Span;
pub use helper::Helper;
use la_arena::{Arena, Idx};
pub use print::print;
use reloc::{AccessId, ArgId, CoreReloc};
use smol_str::SmolStr;

/// A handle of a value.
pub type ValueId = Idx<Value>;
/// A handle of a block.
pub type BlockId = Idx<Block>;
/// A handle of a stack slot.
pub type SlotId = Idx<Slot>;

/// A program before register allocation.
#[derive(Clone, Debug)]
pub struct Func {
    /// Its symbol.
    pub name: SmolStr,
    /// Every value.
    pub values: Arena<Value>,
    /// Every block; those that nothing reaches are ignored.
    pub blocks: Arena<Block>,
    /// Every stack slot.
    pub slots: Arena<Slot>,
    /// Where it starts; this block has no parameters and nothing jumps to it.
    pub entry: BlockId,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// The source it comes from.
    pub span: Span,
}

/// A piece of stack memory.
#[derive(Clone, Debug)]
pub struct Slot {
    /// In bytes.
    pub size: u32,
    /// In bytes, at most 8.
    pub align: u32,
    /// What it is for, as a frame table says it: "key of @start", "$name".
    pub purpose: String,
    /// The source it comes from.
    pub span: Span,
}

/// A basic block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The values that jumps pass to it.
    pub params: Vec<ValueId>,
    /// Its instructions in order.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub term: Term,
    /// The source that the end comes from.
    pub term_span: Span,
}

/// An instruction.
#[derive(Clone, Debug)]
pub struct Inst {
    /// What it defines, if anything.
    pub result: Option<ValueId>,
    /// What it does.
    pub op: Op,
    /// The source it comes from.
    pub span: Span,
}

/// Operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A number.
    Const(u64),
    /// A number that the loader fills in.
    Core(CoreReloc),
    /// The context pointer: the program's, or in a callback the one that its caller handed to the helper.
    Ctx,
    /// The address of a byte of a stack slot.
    SlotAddr(SlotId, u32),
    /// A map, as helpers take it.
    MapAddr(MapTarget),
    /// The address of a byte of `.rodata`.
    Rodata(u32),
    /// The address of another function of the object, as `bpf_for_each_map_elem` takes it: the index in [`Module::callbacks`].
    Callback(u32),
    /// Arithmetic.
    Bin(BinOp, ValueId, ValueId),
    /// The two's complement.
    Neg(ValueId),
    /// The low `bits` (8, 16, 32) of a value, extended to 64.
    Ext {
        /// The value.
        value: ValueId,
        /// How many bits are kept.
        bits: u8,
        /// Whether the top one is the sign.
        signed: bool,
    },
    /// The low `bits` (16, 32, 64) of a value in the other byte order, zero-extended.
    Bswap {
        /// The value.
        value: ValueId,
        /// How many bits are swapped.
        bits: u8,
    },
    /// 1 if the comparison holds, otherwise 0.
    Cmp(Cond),
    /// Reads memory.
    Load {
        /// How much.
        width: Width,
        /// Whether it is sign-extended.
        signed: bool,
        /// The address.
        addr: ValueId,
        /// What is added to it.
        off: Off,
        /// What memory it is.
        space: Space,
    },
    /// Writes memory.
    Store {
        /// How much.
        width: Width,
        /// The address.
        addr: ValueId,
        /// What is added to it.
        off: i16,
        /// What is written; cut to the width.
        value: ValueId,
        /// What memory it is.
        space: Space,
    },
    /// Adds to memory atomically; `W` or `D` only.
    AtomicAdd {
        /// How much.
        width: Width,
        /// The address.
        addr: ValueId,
        /// What is added to it.
        off: i16,
        /// What is added to the memory.
        value: ValueId,
    },
    /// Calls a helper. Memory that it is handed addresses of may be read and written.
    Call(Helper, Vec<ValueId>),
}

/// How an access is addressed beyond its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Off {
    /// By this many bytes.
    Bytes(i16),
    /// By the target's byte offset of that field; a loader may also correct the width.
    Core(AccessId),
    /// By eight bytes for each argument of the kernel's event before this one, whose index in the known prototypes it is; a relocator may correct it.
    Arg(ArgId, u16),
}

/// What kind of memory an access touches: it decides what may be reordered or merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// The context: never changes.
    Ctx,
    /// The frame.
    Stack,
    /// Kernel structs: read only, faults read as 0; equal reads may be merged.
    Kernel,
    /// Map values and ring buffer records.
    Shared,
    /// `.rodata`: never changes.
    Rodata,
}

/// A map as an instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapTarget {
    /// A map of the script.
    Map(MapId),
    /// The ring buffer of all output.
    Ring,
}

/// How many bytes an access touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// 1
    B,
    /// 2
    H,
    /// 4
    W,
    /// 8
    D,
}

impl Width {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Width::B => 1,
            Width::H => 2,
            Width::W => 4,
            Width::D => 8,
        }
    }

    /// The width of that many bytes.
    pub fn from_bytes(bytes: u32) -> Option<Width> {
        match bytes {
            1 => Some(Width::B),
            2 => Some(Width::H),
            4 => Some(Width::W),
            8 => Some(Width::D),
            _ => None,
        }
    }
}

/// Arithmetic on 64 bits, as BPF does it: by 0, division gives 0 and remainder the left operand; shift counts are taken modulo 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// Unsigned `/`
    DivU,
    /// Signed `/`, towards 0
    DivS,
    /// Unsigned `%`
    RemU,
    /// Signed `%`
    RemS,
    /// `<<`
    Shl,
    /// Logical `>>`
    ShrU,
    /// Arithmetic `>>`
    ShrS,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cond {
    /// How.
    pub op: CmpOp,
    /// The left operand.
    pub a: ValueId,
    /// The right operand.
    pub b: ValueId,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned less.
    LtU,
    /// Unsigned less or equal.
    LeU,
    /// Unsigned greater.
    GtU,
    /// Unsigned greater or equal.
    GeU,
    /// Signed less.
    LtS,
    /// Signed less or equal.
    LeS,
    /// Signed greater.
    GtS,
    /// Signed greater or equal.
    GeS,
    /// They have a bit in common.
    Test,
}

/// A jump with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to.
    pub block: BlockId,
    /// One for each of its parameters.
    pub args: Vec<ValueId>,
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// Goes on elsewhere.
    Jump(Target),
    /// Goes one of two ways.
    Branch {
        /// What decides.
        cond: Cond,
        /// Where to if it holds.
        then: Target,
        /// Where to if it does not.
        otherwise: Target,
    },
    /// Ends the program with this value.
    Return(ValueId),
}

/// All of a script's programs in IR.
#[derive(Debug)]
pub struct Module {
    /// One for each program of the HIR, in its order.
    pub funcs: Vec<Func>,
    /// Other forms of the programs, which are set aside for targets that the first ones are not for.
    pub others: Vec<(Form, Func)>,
    /// Functions that helpers call back; what they do is the same for all forms.
    pub callbacks: Vec<Func>,
    /// What the programs ask about the target.
    pub accesses: reloc::Accesses,
    /// What the programs read of their events' arguments.
    pub args: reloc::Args,
    /// Constants and parameters.
    pub rodata: Rodata,
}

/// What a program is compiled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The index of the program in the HIR.
    pub program: usize,
    /// What it is attached to.
    pub event: Event,
    /// Whether the kernel knows the types of its arguments (`tp_btf`, `fentry`, `fexit`), so that it reads what they point to directly. Otherwise (`raw_tp`, `kprobe`, `kretprobe`) all kernel
    /// memory is read by `bpf_probe_read_kernel`, and the kernel needs no BTF.
    pub typed: bool,
    /// The prototype of the function that it is for; none at a tracepoint, whose prototype programs ask for.
    pub prototype: Option<PrototypeId>,
}

impl Form {
    /// Where it may find an argument: in one place, unless it asks for the prototype.
    pub fn places<'a>(&'a self, arg: &'a Arg) -> impl Iterator<Item = &'a ArgPlace> {
        arg.places_in(&self.event).filter(|place| {
            self.prototype.is_none_or(|prototype| place.prototypes.contains(&prototype))
        })
    }

    /// The forms of a program in the order of preference: the first is what stock loaders see. None of a program without an event. Prototypes of a function cannot be told apart by a program:
    /// for each there is a form.
    pub fn of(hir: &Hir, program: &Program, index: usize) -> Vec<Form> {
        let mut forms = Vec::new();
        for event in program.events() {
            let mut add = |typed, prototype| {
                forms.push(Form { program: index, event: event.clone(), typed, prototype });
            };
            if event.kind == EventKind::Tracepoint {
                add(true, None);
                add(false, None);
                continue;
            }
            let known = hir.prototypes.iter().filter(|(_, prototype)| prototype.is_of(event));
            known.for_each(|(id, _)| add(!event.kind.is_probe(), Some(id)));
        }
        forms
    }
}

/// The read-only data of an object.
#[derive(Clone, Debug, Default)]
pub struct Rodata {
    /// The bytes, in the target's byte order.
    pub bytes: Vec<u8>,
    /// The variables in it, by offset: parameters under their names.
    pub vars: Vec<RodataVar>,
}

/// A variable in `.rodata`.
#[derive(Clone, Debug)]
pub struct RodataVar {
    /// Its name.
    pub name: SmolStr,
    /// Its type.
    pub ty: crate::sema::types::Ty,
    /// In bytes.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}
