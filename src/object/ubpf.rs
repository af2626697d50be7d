//! The section `.ubpf`: what ubpfc's own tools want to know of an object and BTF cannot say.
//!
//! In: the HIR and what became of it. Out: JSON, whose shape is the types of this module; `docs/object-format.md` describes it for readers of other languages. A reader
//! takes any [`Ubpf::version`] that it knows and ignores fields that it does not.

mod describe;
mod used;

use super::UBPF_SECTION;
use super::read::{Object, ReadError};
use super::rewrite::rewrite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use describe::describe;

/// The version of the schema. It changes when a reader of the old one would go wrong.
pub const VERSION: u32 = 1;

/// The whole section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ubpf {
    /// [`VERSION`]
    pub version: u32,
    /// The compiler and its version: `ubpfc 0.1.0`.
    pub compiler: String,
    /// The programs in the order of the script.
    pub programs: Vec<Program>,
    /// The mirrors that the programs read, with the fields that they read.
    pub mirrors: Vec<Mirror>,
    /// The kernel events that programs are bound to, with the prototypes that the compiler knows of them.
    pub events: Vec<Event>,
    /// The maps of the script.
    pub maps: Vec<Map>,
    /// The ring buffer of all output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Ring>,
    /// The kinds of records in the ring buffer; a record begins with the index of its kind in this list.
    pub outputs: Vec<Output>,
    /// The parameters in `.rodata`.
    pub params: Vec<Param>,
    /// The CO-RE questions of the code that stock loaders see, in the order of its instructions.
    pub relocs: Vec<Reloc>,
    /// The files that the object was compiled from.
    pub sources: Vec<Source>,
    /// What programs of class `not_abi` were compiled against, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled_for: Option<CompiledFor>,
    /// What the object was relocated for; absent in one that was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<RelocatedFor>,
}

impl Ubpf {
    /// The section's text: JSON on one line, with a line end.
    #[expect(clippy::missing_panics_doc, reason = "the types of the schema can always be written")]
    pub fn text(&self) -> String {
        let mut json = serde_json::to_string(self)
            .expect("the types of the schema have string keys and no fallible serializer");
        json.push('\n');
        json
    }
}

/// The same object, which says what its programs were compiled against.
pub fn stamp(bytes: &[u8], kernel: CompiledFor) -> Result<Vec<u8>, ReadError> {
    let object = Object::parse(bytes)?;
    let index = object.sections.iter().position(|section| section.name == UBPF_SECTION);
    let Some((index, mut ubpf)) = index.zip(object.ubpf()?) else { return Ok(bytes.to_vec()) };
    ubpf.compiled_for = Some(kernel);
    rewrite(bytes, &BTreeMap::from([(index, ubpf.text().into_bytes())]))
}

/// A kernel that an object was relocated for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelocatedFor {
    /// What it was called: a path, or `running`.
    pub name: String,
    /// Its release, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// A kernel that an object was compiled against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompiledFor {
    /// What it was called: a file without its folder, or `running`.
    pub name: String,
    /// Its release, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The 64-bit FNV-1a hash of its image's BTF, 16 hexadecimal digits; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub btf: Option<String>,
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's name, as in [`Ubpf::sources`].
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In bytes, from 1.
    pub col: u32,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its symbol.
    pub name: String,
    /// The section it is in.
    pub section: String,
    /// Its probe spec as the script has it.
    pub spec: String,
    /// Where that is.
    pub at: Place,
    /// When it runs.
    pub attach: Attach,
    /// What it promises.
    pub class: Class,
    /// What lowered the class, unless it is `abi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<Culprit>,
    /// How many instruction slots it has.
    pub insns: usize,
    /// How many bytes of stack it uses.
    pub frame: u32,
    /// Whether a target that has none of its events may do without it. Stock loaders do not see such a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What it wants to know of its event's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
    /// The forms that it is there in, in the order of preference; none if it has no event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<Form>,
}

/// An argument of a kernel event that a program reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arg {
    /// What kernels call it, tried in order.
    pub names: Vec<String>,
    /// What it must be: any integer or enum for an integer; for a pointer to a struct, one to a struct or union of that name; any pointer for another.
    #[serde(rename = "type")]
    pub ty: KernelType,
    /// Whether the event may lack it: it then reads 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it is a signed C `long` in all known prototypes, of which the program wants 64 bits: where the target's has 32, the program extends it by its sign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long: bool,
}

/// A form of a program: one of them is brought in for a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its section: of the object, or of the one in `.ubpf.alt`.
    pub section: String,
    /// The kind of event that it is for.
    #[serde(default)]
    pub kind: EventKind,
    /// The event's name.
    pub event: String,
    /// Whether the target must show its own BTF.
    pub btf: bool,
    /// Whether it is in `.ubpf.alt`.
    pub aside: bool,
    /// How many instruction slots it has.
    pub insns: usize,
    /// How many bytes of stack it uses.
    pub frame: u32,
    /// At a function: for each of [`Program::args`] its index among the function's arguments, after which the result follows, that the form is compiled for; null where the function lacks it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Option<u32>>,
    /// The instructions that read arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ArgRead>,
}

/// An instruction that reads an argument: an eight-byte load whose offset is eight times the argument's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgRead {
    /// The slot in the program.
    pub insn: u32,
    /// The index into [`Program::args`].
    pub arg: usize,
}

/// When a program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// At this raw tracepoint.
    Tracepoint(String),
    /// At the entry of this function, with arguments.
    Fentry(String),
    /// At the return of this function, with arguments and result.
    Fexit(String),
    /// At the entry of this function, with registers.
    Kprobe(String),
    /// At the return of this function, with registers.
    Kretprobe(String),
    /// Once, before all probes are attached.
    Begin,
    /// Once, after all are detached.
    End,
    /// Every so many nanoseconds, on one processor.
    Interval(u64),
    /// Every so many nanoseconds, on every processor.
    Profile(u64),
    /// For the packets of a socket.
    SocketFilter,
}

impl Attach {
    /// At an event.
    pub fn of(kind: EventKind, name: impl Into<String>) -> Attach {
        let attach = match kind {
            EventKind::Tracepoint => Attach::Tracepoint,
            EventKind::Fentry => Attach::Fentry,
            EventKind::Fexit => Attach::Fexit,
            EventKind::Kprobe => Attach::Kprobe,
            EventKind::Kretprobe => Attach::Kretprobe,
        };
        attach(name.into())
    }
}

/// The kinds of kernel events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A raw tracepoint.
    #[default]
    Tracepoint,
    /// The entry of a function.
    Fentry,
    /// The return of a function.
    Fexit,
    /// The entry of a function, by a breakpoint.
    Kprobe,
    /// The return of a function, likewise.
    Kretprobe,
}

impl EventKind {
    /// The word for it in scripts, where it is about a function.
    pub fn function_word(self) -> Option<&'static str> {
        match self {
            EventKind::Tracepoint => None,
            EventKind::Fentry => Some("fentry"),
            EventKind::Fexit => Some("fexit"),
            EventKind::Kprobe => Some("kprobe"),
            EventKind::Kretprobe => Some("kretprobe"),
        }
    }
}

/// What a program promises, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing but the locked library.
    Abi,
    /// Portable, but nobody's promise.
    Private,
    /// It depends on this kernel's layout.
    NotAbi,
}

/// What lowered a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Where.
    pub at: Place,
    /// The expression or declaration.
    pub text: String,
    /// Why, as a clause.
    pub why: String,
}

/// A mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// The kernel struct.
    pub kernel: String,
    /// Whether it belongs to the locked library.
    pub locked: bool,
    /// Where it is declared.
    pub at: Place,
    /// The fields that programs read.
    pub fields: Vec<MirrorField>,
}

/// A field of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorField {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Whether the target may lack it.
    pub optional: bool,
    /// The expressions that give it, in the order in which they are tried, as the mirror has them.
    pub alternatives: Vec<String>,
    /// Where it is declared.
    pub at: Place,
}

/// A kernel event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind of event.
    #[serde(default)]
    pub kind: EventKind,
    /// The tracepoint without its category, or the function.
    pub name: String,
    /// Its known prototypes.
    pub prototypes: Vec<Prototype>,
}

impl Event {
    /// Whether a form is for it.
    pub fn is_of(&self, form: &Form) -> bool {
        (self.kind, &self.name) == (form.kind, &form.event)
    }
}

/// A form of an event that kernels are known to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    /// The typedef in the object's BTF by which programs ask whether the target has this one; none where no program asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typedef: Option<String>,
    /// The arguments; of a tracepoint, without the leading `void *`.
    pub args: Vec<PrototypeArg>,
    /// What a function returns; absent of a tracepoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ret: Option<KernelType>,
}

/// An argument of a [`Prototype`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrototypeArg {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: KernelType,
}

/// A kernel type, as far as prototypes are told apart by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelType {
    /// Nothing, only behind a pointer.
    Void,
    /// A function, only behind a pointer.
    Func,
    /// An integer or bool.
    Int {
        /// In bytes.
        size: u32,
        /// Whether it is signed.
        signed: bool,
        /// Whether it is a C `long`, which has the size of the target's pointers.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        long: bool,
    },
    /// An enum of that name.
    Enum(String),
    /// A struct of that name.
    Struct(String),
    /// A union of that name.
    Union(String),
    /// A pointer.
    Ptr(Box<KernelType>),
}

impl std::fmt::Display for KernelType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KernelType::Void => f.write_str("void"),
            KernelType::Func => f.write_str("function"),
            KernelType::Int { size, signed, .. } => {
                write!(f, "{}{}", if *signed { 's' } else { 'u' }, size * 8)
            }
            KernelType::Enum(name) => write!(f, "enum {name}"),
            KernelType::Struct(name) => write!(f, "struct {name}"),
            KernelType::Union(name) => write!(f, "union {name}"),
            KernelType::Ptr(to) if matches!(**to, KernelType::Ptr(_)) => write!(f, "{to}*"),
            KernelType::Ptr(to) => write!(f, "{to} *"),
        }
    }
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Its name, in the script with an `@` before it.
    pub name: String,
    /// `hash`, `lruhash`, `percpuhash`, `array` or `percpuarray`.
    pub kind: String,
    /// The most entries.
    pub max_entries: u32,
    /// The parts of the key; none for a map without a key, whose entry is at index 0. A histogram's bucket is not among them: it is a `u32` after them.
    pub key: Vec<Field>,
    /// The bytes of a key, bucket and padding included.
    pub key_size: u32,
    /// Where a histogram's bucket is in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_offset: Option<u32>,
    /// What an entry holds.
    pub value: MapValue,
    /// The bytes of a value.
    pub value_size: u32,
    /// Where it is declared, or first mentioned.
    pub at: Place,
}

/// What an entry of a map holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapValue {
    /// A value.
    Plain(Type),
    /// A counter.
    Count,
    /// A sum.
    Sum {
        /// Whether it is signed.
        signed: bool,
    },
    /// The least number.
    Min {
        /// Whether it is signed.
        signed: bool,
    },
    /// The greatest number.
    Max {
        /// Whether it is signed.
        signed: bool,
    },
    /// A total and a count.
    Avg {
        /// Whether the total is signed.
        signed: bool,
    },
    /// A total and a count, both to be printed.
    Stats {
        /// Whether the total is signed.
        signed: bool,
    },
    /// A bucket of a histogram by powers of two.
    Hist,
    /// A bucket of a linear histogram.
    Lhist {
        /// The lower end.
        min: i64,
        /// The upper end, exclusive.
        max: i64,
        /// The width of a bucket.
        step: u64,
    },
}

/// A part of a struct in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name; empty where the script gives none.
    pub name: String,
    /// In bytes from the start of the struct.
    pub offset: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
}

/// A type in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Type {
    /// One byte, 0 or 1.
    Bool,
    /// An integer.
    Int {
        /// In bytes.
        size: u32,
        /// Whether it is signed.
        signed: bool,
    },
    /// An enum.
    Enum {
        /// Its name.
        name: String,
        /// In bytes.
        size: u32,
        /// Whether it is signed.
        signed: bool,
        /// Enumerators whose number is the same everywhere.
        values: BTreeMap<String, u64>,
    },
    /// Text, filled up with NULs.
    Str {
        /// In bytes.
        size: u32,
    },
    /// An array.
    Array {
        /// What its elements are.
        elem: Box<Type>,
        /// How many.
        len: u32,
    },
    /// A struct, tuple or whole mirror.
    Struct {
        /// Its name; empty for a tuple.
        name: String,
        /// In bytes.
        size: u32,
        /// Its members.
        fields: Vec<Field>,
    },
    /// A pointer of 8 bytes.
    Ptr {
        /// What it points to, as the script has it.
        to: String,
    },
    /// Nothing.
    Void,
}

/// The ring buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// The map's name.
    pub name: String,
    /// In bytes.
    pub bytes: u32,
}

/// A kind of record in the ring buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What it is for.
    pub action: Action,
    /// The bytes of a record, header included.
    pub size: u32,
    /// The arguments; offsets count from the start of the record.
    pub args: Vec<Field>,
    /// Where it is written.
    pub at: Place,
}

/// What a record is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Print this format with the arguments.
    Printf(String),
    /// Print the one argument.
    Print,
    /// Print the map of this name.
    PrintMap(String),
    /// Remove all entries of the map of this name.
    Clear(String),
    /// Set all entries of the map of this name to zero.
    Zero(String),
    /// Print the time in this `strftime` format.
    Time(String),
    /// Hand over the one argument; in BTF the record is the struct of this name.
    Emit(String),
    /// End.
    Exit,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// In bytes from the start of `.rodata`; absent where no program reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u32>,
    /// Its value unless a loader sets another.
    pub default: Constant,
    /// The doc comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// Where it is declared.
    pub at: Place,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constant {
    /// A number, extended to 64 bits.
    Int(u64),
    /// Text.
    Str(String),
}

/// A CO-RE question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloc {
    /// The symbol of the function.
    pub function: String,
    /// The slot in the function.
    pub insn: u32,
    /// What is asked, as libbpf names it.
    pub question: String,
    /// What it is asked about, in the local type's names.
    pub path: String,
    /// The line of the script.
    pub at: Place,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the library in the compiler.
    pub library: bool,
    /// In bytes.
    pub size: usize,
    /// The FNV-1a hash of its text, 64 bits in hexadecimal.
    pub fnv1a: String,
}
