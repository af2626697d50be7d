//! The HIR: a script with every name looked up and every type decided.
//!
//! It is what lowering compiles and what a reference evaluator can run, so its meaning is given here.
//!
//! **Values.** A scalar is 64 bits wide in a register: integers are sign- or zero-extended from their type, so that equal
//! values are equal registers. Arithmetic is on 64 bits and wraps. Strings, arrays, tuples, structs and whole mirrors live
//! in memory, in the layout of [`Ty`]; a string is filled up with NULs after its text, so that equal texts are equal bytes.
//!
//! **Kernel reads.** The only expressions that read kernel structs are [`ExprKind::Field`] (and [`ExprKind::Load`] of a whole
//! mirror): a mirror field with its alternatives, tried in order against what the target *has*. A null or bad pointer on the way reads as 0.
//! What a path gives is the target's value, of the target's own width and sign, whatever the path is taken for; a field converts it to its declared type as C does, an operand is all of it.
//!
//! Invariant: where `analyze` gave no error, no [`Ty::Error`] and no [`ExprKind::Error`] is left, every id is in range, and lowering cannot fail
//! but for the limits of BPF.

mod event;
mod kernel;
mod walk;

pub use event::{Event, EventKind, KParamTy, Prototype, PrototypeKind, PrototypeParam, RETVAL};
pub use kernel::{
    Alternative, Guard, KEntry, KExpr, KExprKind, KHop, KLeaf, KPath, KStep, KThen, Mirror,
    MirrorField,
};

use super::skb;
use super::types::{IntTy, Ty};
use crate::source::Span;
use la_arena::{Arena, Idx};
use smol_str::SmolStr;

/// A handle of a [`Mirror`].
pub type MirrorId = Idx<Mirror>;
/// A handle of a [`Struct`].
pub type StructId = Idx<Struct>;
/// A handle of an [`Enum`].
pub type EnumId = Idx<Enum>;
/// A handle of a [`Map`].
pub type MapId = Idx<Map>;
/// A handle of a [`Param`].
pub type ParamId = Idx<Param>;
/// A handle of an [`Output`].
pub type OutputId = Idx<Output>;
/// A handle of a [`Prototype`].
pub type PrototypeId = Idx<Prototype>;
/// A handle of a [`Local`] of one program.
pub type LocalId = Idx<Local>;

/// A whole script.
#[derive(Debug, Default)]
pub struct Hir {
    /// Structs of the script's own.
    pub structs: Arena<Struct>,
    /// Enums, mirrored or not.
    pub enums: Arena<Enum>,
    /// Mirrors that are declared in the script or imported.
    pub mirrors: Arena<Mirror>,
    /// Maps in the order of their first mention.
    pub maps: Arena<Map>,
    /// Parameters in the order of declaration.
    pub params: Arena<Param>,
    /// Kinds of records that the programs write to the ring buffer, in the order of the source.
    pub outputs: Arena<Output>,
    /// The known prototypes of the events that the script uses.
    pub prototypes: Arena<Prototype>,
    /// One program for each probe spec, in the order of the source.
    pub programs: Vec<Program>,
    /// The size of the ring buffer in bytes, a power of two.
    pub ring_bytes: u32,
}

/// A struct of the script's own.
#[derive(Debug)]
pub struct Struct {
    /// Its name.
    pub name: SmolStr,
    /// Its members in order.
    pub fields: Vec<StructField>,
    /// In bytes, tail padding included.
    pub size: u32,
    /// In bytes.
    pub align: u32,
    /// The declaration.
    pub span: Span,
}

/// A member of a [`Struct`].
#[derive(Debug)]
pub struct StructField {
    /// Its name.
    pub name: SmolStr,
    /// Its type.
    pub ty: Ty,
    /// In bytes from the start of the struct.
    pub offset: u32,
}

/// An enum.
#[derive(Debug)]
pub struct Enum {
    /// Its name.
    pub name: SmolStr,
    /// How a value is held in memory.
    pub repr: IntTy,
    /// The kernel enum it mirrors, if it does.
    pub kernel: Option<SmolStr>,
    /// Its enumerators in order.
    pub enumerators: Vec<Enumerator>,
    /// The declaration.
    pub span: Span,
}

/// An enumerator.
#[derive(Debug)]
pub struct Enumerator {
    /// Its name.
    pub name: SmolStr,
    /// What it stands for.
    pub value: EnumeratorValue,
}

/// What an enumerator stands for.
#[derive(Clone, Debug)]
pub enum EnumeratorValue {
    /// A number that is the same everywhere.
    Const(u64),
    /// The target's number for the first of these kernel enumerators that it has.
    Kernel {
        /// The kernel's names, tried in order.
        names: Vec<SmolStr>,
        /// Whether the target may lack all of them: the value is then -1, which no kernel value equals.
        optional: bool,
    },
}

/// A map.
#[derive(Debug)]
pub struct Map {
    /// Its name without the `@`; in the object an anonymous map `@` is called `anon`.
    pub name: SmolStr,
    /// How it is kept.
    pub kind: MapKind,
    /// The most entries it can have.
    pub max_entries: u32,
    /// The parts of the key; empty for a map without a key, which is kept at index 0 of an array. In memory a key of several parts is laid out as a
    /// tuple; in a histogram the bucket (`u32`) comes after these.
    pub key: Vec<Ty>,
    /// What an entry holds.
    pub value: MapValue,
    /// Its declaration or first mention.
    pub span: Span,
}

/// Kinds of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash,
    /// `BPF_MAP_TYPE_LRU_HASH`
    LruHash,
    /// `BPF_MAP_TYPE_PERCPU_HASH`
    PerCpuHash,
    /// `BPF_MAP_TYPE_ARRAY`
    Array,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray,
}

/// What an entry of a map holds.
#[derive(Clone, Debug, PartialEq)]
pub enum MapValue {
    /// A value of a type; integers are kept in 64 bits.
    Plain(Ty),
    /// The state of an aggregation, per CPU.
    Agg(Agg),
}

/// Aggregations; every counter is 64 bits wide.
#[derive(Clone, Debug, PartialEq)]
pub enum Agg {
    /// `count()`: `{ u64 count; }`
    Count,
    /// `sum(x)`: `{ s64|u64 sum; }`
    Sum {
        /// Whether it sums signed numbers.
        signed: bool,
    },
    /// `min(x)`: `{ s64|u64 value; u64 seen; }`
    Min {
        /// Whether it compares signed numbers.
        signed: bool,
    },
    /// `max(x)`: as `min`.
    Max {
        /// Whether it compares signed numbers.
        signed: bool,
    },
    /// `avg(x)`: `{ s64|u64 total; u64 count; }`
    Avg {
        /// Whether it sums signed numbers.
        signed: bool,
    },
    /// `stats(x)`: `{ s64|u64 total; u64 count; }`
    Stats {
        /// Whether it sums signed numbers.
        signed: bool,
    },
    /// `hist(x)`: an entry for each key and bucket, `{ u64 count; }`. Bucket 0 counts negative numbers, 1 zeros, `i + 2` numbers from 2^i to below 2^(i+1).
    Hist,
    /// `lhist(x, min, max, step)`: likewise. Bucket 0 counts numbers below `min`, `i + 1` those from `min + i * step`, the last those from `max` on.
    Lhist {
        /// The lower end.
        min: i64,
        /// The upper end, exclusive.
        max: i64,
        /// The width of a bucket.
        step: u64,
    },
}

/// How many buckets a `hist` has.
pub const HIST_BUCKETS: u32 = 66;

/// A named option that the loader can set.
#[derive(Debug)]
pub struct Param {
    /// Its name.
    pub name: SmolStr,
    /// Its type: a scalar or a string.
    pub ty: Ty,
    /// Its value unless the loader sets another.
    pub default: ConstValue,
    /// The doc comment.
    pub doc: Option<String>,
    /// The declaration.
    pub span: Span,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstValue {
    /// A scalar, extended to 64 bits.
    Int(u64),
    /// Text.
    Str(SmolStr),
}

/// A kind of record in the ring buffer: 8 bytes of header (`u32` id, the output's index; `u32` zero), then the arguments laid out as a C struct.
#[derive(Debug)]
pub struct Output {
    /// What it is for.
    pub kind: OutputKind,
    /// The types of the arguments.
    pub args: Vec<Ty>,
    /// Where it is written.
    pub span: Span,
}

/// What a record is for.
#[derive(Clone, Debug)]
pub enum OutputKind {
    /// Print the format with the arguments.
    Printf(SmolStr),
    /// Print the one argument.
    Print,
    /// Print a map.
    PrintMap(MapId),
    /// Remove all entries of a map.
    Clear(MapId),
    /// Set all entries of a map to zero.
    Zero(MapId),
    /// Print the time with a `strftime` format.
    Time(SmolStr),
    /// A typed record for user space: the one argument.
    Emit,
    /// End.
    Exit,
}

/// One BPF program: a probe spec with its body.
#[derive(Debug)]
pub struct Program {
    /// Its symbol, unique in the object and a C identifier, such as `user_sched_switch`.
    pub name: SmolStr,
    /// Where it is attached.
    pub attach: Attach,
    /// Events to attach it to where the target lacks the one that `attach` names, in the order in which they are tried.
    pub others: Vec<Event>,
    /// Whether a target without any of its events may do without it.
    pub optional: bool,
    /// Its ABI class.
    pub class: Class,
    /// The variables.
    pub locals: Arena<Local>,
    /// The body; a predicate is an `If` around it.
    pub body: Vec<Stmt>,
    /// What it gives where it ends without a word: of a socket filter how many bytes of the packet are accepted, otherwise 0.
    pub result: u32,
    /// The probe spec.
    pub span: Span,
}

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A kernel event.
    Event(Event),
    /// A raw tracepoint program without an event, run once by the runner: `begin` and `end`, section `raw_tp`.
    Once(Once),
    /// A `perf_event` program that the runner opens on one processor: `interval`, in nanoseconds.
    Interval(u64),
    /// A `perf_event` program that the runner opens on every processor: `profile`, in nanoseconds.
    Profile(u64),
    /// A socket filter, which an application attaches: section `socket`.
    SocketFilter,
}

impl Program {
    /// The kernel events that it can be attached to, in the order in which they are tried.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        let first = match &self.attach {
            Attach::Event(event) => Some(event),
            Attach::Once(_) | Attach::Interval(_) | Attach::Profile(_) | Attach::SocketFilter => {
                None
            }
        };
        first.into_iter().chain(&self.others)
    }
}

/// When a program without an event runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// Before all probes are attached.
    Begin,
    /// After all are detached.
    End,
}

/// What a program promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How portable it is.
    pub level: ClassLevel,
    /// What lowered it, unless it is `Abi`.
    pub culprit: Option<Culprit>,
}

/// Levels of portability, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassLevel {
    /// It depends on this kernel's layout.
    NotAbi,
    /// Portable, but nobody's promise.
    Private,
    /// Nothing but the locked library.
    Abi,
}

impl ClassLevel {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            ClassLevel::NotAbi => "not abi",
            ClassLevel::Private => "private",
            ClassLevel::Abi => "abi",
        }
    }
}

/// What lowered a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The expression or declaration.
    pub span: Span,
    /// Why, as a clause: "`fetch_u32` reads raw kernel memory".
    pub why: String,
}

/// A variable.
#[derive(Debug)]
pub struct Local {
    /// Its name without the `$`.
    pub name: SmolStr,
    /// Its type.
    pub ty: Ty,
    /// Its first assignment.
    pub span: Span,
}

/// A statement.
#[derive(Debug)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Where it is written.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Debug)]
pub enum StmtKind {
    /// Gives a variable a value, which already has the variable's type.
    Assign(LocalId, Expr),
    /// Sets a map entry; the value already has the map's type.
    MapSet(MapRef, Expr),
    /// Adds to a map entry's integer, atomically unless the map is per CPU; a missing entry counts as 0.
    MapAdd(MapRef, Expr),
    /// Feeds an aggregation.
    Aggregate(MapRef, Option<Expr>),
    /// Removes an entry.
    Delete(MapRef),
    /// An expression for its effect.
    Expr(Expr),
    /// Runs `then` if the condition, a scalar, is not 0.
    If {
        /// The condition.
        cond: Expr,
        /// If it is not 0.
        then: Vec<Stmt>,
        /// If it is 0.
        otherwise: Vec<Stmt>,
    },
    /// Runs the body with the variable from `start` to below `end`, compared as the variable's type says; both are evaluated once. At most `limit` rounds,
    /// which `end` is known to keep.
    For {
        /// The variable.
        var: LocalId,
        /// The first value.
        start: Expr,
        /// The value after the last.
        end: Expr,
        /// How many rounds there are at most.
        limit: u32,
        /// The body.
        body: Vec<Stmt>,
    },
    /// Leaves the innermost loop.
    Break,
    /// Goes on with the next round of the innermost loop.
    Continue,
    /// Ends the program; a socket filter with how many bytes of the packet are accepted, a `u32`.
    Return(Option<Expr>),
    /// Writes a record to the ring buffer, or drops it when that is full.
    Output(OutputId, Vec<Expr>),
}

/// A map entry.
#[derive(Debug)]
pub struct MapRef {
    /// The map.
    pub map: MapId,
    /// The parts of the key, which already have the map's key types.
    pub key: Vec<Expr>,
    /// Where it is written.
    pub span: Span,
}

/// An expression.
#[derive(Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Ty,
    /// Where it is written.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Debug)]
pub enum ExprKind {
    /// Stands for something that a diagnostic was given for.
    Error,
    /// A scalar, extended to 64 bits.
    Int(u64),
    /// Text; the type says how long the filled-up string is.
    Str(SmolStr),
    /// A mirrored enumerator: the target's value. The index is into [`Enum::enumerators`].
    Enumerator(EnumId, u32),
    /// A parameter.
    Param(ParamId),
    /// A variable.
    Local(LocalId),
    /// An argument of the probe.
    Arg(Arg),
    /// A builtin value.
    Builtin(Builtin),
    /// A field of a mirror. `base` is a pointer to it.
    Field {
        /// The pointer.
        base: Box<Expr>,
        /// The mirror.
        mirror: MirrorId,
        /// The index into [`Mirror::fields`].
        field: u32,
    },
    /// 1 where the target has the field (any alternative applies), otherwise 0.
    HasField {
        /// The mirror.
        mirror: MirrorId,
        /// The index into [`Mirror::fields`].
        field: u32,
    },
    /// The whole mirror that `base` points to, of type [`Ty::Mirror`].
    Load {
        /// The pointer.
        base: Box<Expr>,
        /// The mirror.
        mirror: MirrorId,
    },
    /// A member of a struct or tuple value, by index.
    Member(Box<Expr>, u32),
    /// An element of an array value or a byte of a string; an index outside reads 0.
    Index(Box<Expr>, Box<Expr>),
    /// An operator.
    Unary(UnOp, Box<Expr>),
    /// An operator; both operands are scalars.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// Whether two values in memory (strings, tuples, structs) are equal byte by byte; `negate` asks for the opposite. Strings of different length are compared
    /// as texts.
    MemEq {
        /// One.
        left: Box<Expr>,
        /// The other.
        right: Box<Expr>,
        /// Whether they differ.
        negate: bool,
    },
    /// 1 if both are not 0; the right one is evaluated only if needed.
    LogAnd(Box<Expr>, Box<Expr>),
    /// 1 if either is not 0; the right one is evaluated only if needed.
    LogOr(Box<Expr>, Box<Expr>),
    /// `cond ? then : otherwise`; only one is evaluated.
    Cond(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A scalar, cut to the expression's type and extended again; from a string to a longer one, filled up.
    Convert(Box<Expr>),
    /// A map entry's value; a missing entry reads as zeros.
    MapGet(MapRef),
    /// 1 if the map has the entry, otherwise 0.
    HasKey(MapRef),
    /// How many entries a map has.
    Len(MapId),
    /// A map entry's integer, changed by a constant, as `@x++` gives it.
    MapStep {
        /// The entry.
        entry: Box<MapRef>,
        /// What is added.
        delta: i8,
        /// Whether the value is the one before.
        postfix: bool,
    },
    /// A variable changed by a constant, as `$i++` gives it.
    LocalStep {
        /// The variable.
        local: LocalId,
        /// What is added.
        delta: i8,
        /// Whether the value is the one before.
        postfix: bool,
    },
    /// Text at an address, at most as long as the type says, the last byte being NUL; an unreadable address reads as empty.
    ReadStr {
        /// The address.
        addr: Box<Expr>,
        /// Whether it is in user memory.
        user: bool,
    },
    /// An integer at a raw kernel address; an unreadable one reads as 0.
    Fetch {
        /// The address.
        addr: Box<Expr>,
        /// How it is held there.
        width: IntTy,
    },
    /// A tuple, or a struct in the order of its members.
    Aggregate(Vec<Expr>),
    /// A field of the packet's `struct __sk_buff`.
    Skb(&'static skb::Field, SkbRead),
    /// An integer in the packet, in network byte order there. A packet that has it not ends the program with its [`result`](Program::result).
    Packet {
        /// Where, in bytes: from the start of what the socket sees, from [`skb::NET_OFF`] on from the network header, from [`skb::LL_OFF`] on from the
        /// link layer's.
        offset: Box<Expr>,
        /// How wide it is: `u8`, `u16` or `u32`.
        width: IntTy,
    },
}

/// How a field of `struct __sk_buff` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkbRead {
    /// As the kernel shows it.
    Plain,
    /// 16 bits in network byte order, as a number.
    Host,
    /// As the kernel shows it; 0 ends the program as a load from outside the packet does.
    OrEnd,
}

/// An argument of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Where it is in the kernel's prototypes of the event: prototypes in which it has the same place are one entry. With one entry nothing is left to decide in
    /// the program; otherwise the target's prototype decides. Where the program has several events, each has its own entries.
    pub places: Vec<ArgPlace>,
    /// What kernels call it, tried in order.
    pub names: Vec<SmolStr>,
    /// Whether it may be null and must be checked before use.
    pub nullable: bool,
}

impl Arg {
    /// Its places in the prototypes of an event.
    pub fn places_in<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a ArgPlace> {
        self.places.iter().filter(move |place| place.event == *event)
    }
}

/// A place of an argument in one or more prototypes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgPlace {
    /// The event.
    pub event: Event,
    /// The prototypes of it, ascending.
    pub prototypes: Vec<PrototypeId>,
    /// The index of the argument, from 0; where there is none the argument reads as 0.
    pub index: Option<u32>,
}

/// Builtin values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Builtin {
    /// The process id (tgid), as user space counts it.
    Pid,
    /// The thread id.
    Tid,
    /// The user id.
    Uid,
    /// The group id.
    Gid,
    /// The name of the current thread, `char[16]`.
    Comm,
    /// Nanoseconds since boot, sleep included, as a task's start time is counted.
    Nsecs,
    /// Nanoseconds since the script was started.
    Elapsed,
    /// The processor's number.
    Cpu,
    /// The current thread: a pointer to `task_struct_user` where that is imported.
    Curtask,
    /// The current thread's cgroup id.
    Cgroup,
    /// A random `u32`.
    Rand,
}

/// Operators on one 64-bit value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnOp {
    /// The two's complement.
    Neg,
    /// All bits flipped.
    Not,
    /// 1 if it is 0, otherwise 0.
    LogNot,
}

/// Operators on two 64-bit values. Comparisons give 0 or 1. Shift counts are taken modulo 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    /// Wrapping.
    Add,
    /// Wrapping.
    Sub,
    /// Wrapping.
    Mul,
    /// Unsigned; by 0 gives 0.
    DivU,
    /// Signed, towards 0; by 0 gives 0; the least number by -1 gives itself.
    DivS,
    /// Unsigned; by 0 gives the left operand.
    RemU,
    /// Signed, with the sign of the left operand; by 0 gives the left operand.
    RemS,
    /// Left shift.
    Shl,
    /// Logical right shift.
    ShrU,
    /// Arithmetic right shift.
    ShrS,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned less.
    LtU,
    /// Unsigned less or equal.
    LeU,
    /// Signed less.
    LtS,
    /// Signed less or equal.
    LeS,
}
