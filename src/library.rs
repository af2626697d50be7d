//! The library as a value: what a set of `.ub` files promises to programs.
//!
//! In: the files' names and a way to find them; by default those embedded in the compiler. Out: a [`Library`], in the order of the files, with everything decided that does not
//! depend on a kernel. Invariant: it is made from what [`sema`](crate::sema) collects; the text of the files is only quoted.

mod diff;
mod find;
mod header;
pub mod lock;
mod read;
mod survey;

pub use diff::{Break, Change, Diff, diff};
pub use find::Item;
pub use lock::Lock;
pub use survey::{About, Question};

use crate::sema::hir;
use crate::sema::types::IntTy;
use serde::{Serialize, Serializer};
use std::fmt;

/// What a set of files offers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Library {
    /// The files, in the order in which they were named.
    pub files: Vec<File>,
    /// The mirrors.
    pub mirrors: Vec<Mirror>,
    /// The enums.
    pub enums: Vec<Enum>,
    /// The constants.
    pub constants: Vec<Constant>,
    /// The user tracepoints.
    pub tracepoints: Vec<Tracepoint>,
}

/// A file.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// What `import` calls it.
    pub name: String,
    /// The comment that it opens with.
    pub doc: Option<String>,
}

/// A mirror of a kernel struct.
#[derive(Clone, Debug, Serialize)]
pub struct Mirror {
    /// Its name: `task_struct_user`.
    pub name: String,
    /// The kernel struct: `task_struct`.
    pub kernel: String,
    /// The file that declares it.
    pub file: String,
    /// What it is.
    pub doc: Option<String>,
    /// Of the C struct that holds a value of it, in bytes.
    pub size: u32,
    /// In bytes.
    pub align: u32,
    /// Its fields in order.
    pub fields: Vec<Field>,
}

/// A field of a mirror.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// In bytes from the start of the C struct.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
    /// Whether a kernel may lack it.
    pub optional: bool,
    /// What it is.
    pub doc: Option<String>,
    /// Where its value comes from, in the order in which kernels are asked; at least one.
    pub alternatives: Vec<Alternative>,
}

/// A place that a field's value may come from.
#[derive(Clone, Debug, Serialize)]
pub struct Alternative {
    /// As it is written, with single blanks.
    pub text: String,
    /// The comment behind it: since when, and why.
    pub note: Option<String>,
    /// What it means.
    #[serde(skip)]
    pub value: hir::Alternative,
}

/// An enum.
#[derive(Clone, Debug, Serialize)]
pub struct Enum {
    /// Its name.
    pub name: String,
    /// The kernel enum that it mirrors, if it does.
    pub kernel: Option<String>,
    /// The file that declares it.
    pub file: String,
    /// What it is.
    pub doc: Option<String>,
    /// How a value is held.
    #[serde(rename = "type")]
    pub repr: Type,
    /// Its enumerators in order.
    pub enumerators: Vec<Enumerator>,
}

/// An enumerator.
#[derive(Clone, Debug, Serialize)]
pub struct Enumerator {
    /// Its name.
    pub name: String,
    /// What it is.
    pub doc: Option<String>,
    /// Its number, where that is the same everywhere.
    pub value: Option<i128>,
    /// The kernel's enumerators that give its number, in the order in which kernels are asked.
    pub sources: Vec<String>,
    /// Whether a kernel may lack it.
    pub optional: bool,
}

/// A constant.
#[derive(Clone, Debug, Serialize)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// The file that declares it.
    pub file: String,
    /// Its value: a number, or a text in quotes.
    pub value: String,
    /// What it is.
    pub doc: Option<String>,
}

/// A user tracepoint.
#[derive(Clone, Debug, Serialize)]
pub struct Tracepoint {
    /// Its name after `user:`.
    pub name: String,
    /// The file that declares it.
    pub file: String,
    /// What happens there.
    pub doc: Option<String>,
    /// Its arguments in order.
    pub args: Vec<Argument>,
    /// The kernel's events, in the order in which they are tried: `tracepoint sched:sched_switch`.
    pub sources: Vec<String>,
}

/// An argument of a user tracepoint.
#[derive(Clone, Debug, Serialize)]
pub struct Argument {
    /// Its name after `args.`.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Whether it may be null or missing.
    pub optional: bool,
    /// What kernels call it, in the order in which they are asked.
    pub names: Vec<String>,
}

/// The type of a field or argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// 0 or 1, one byte.
    Bool,
    /// An integer.
    Int(IntTy),
    /// An enum of that name, held as that integer.
    Enum(String, IntTy),
    /// Text of at most so many bytes.
    Chars(u32),
    /// An array of so many bools or integers.
    Array(Box<Type>, u32),
    /// A pointer to a kernel struct, seen through the mirror of that name.
    Mirror(String),
    /// A pointer to a kernel object without a mirror.
    Kernel(String),
}

impl Type {
    /// Whether a value of it fits a register.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Type::Chars(_) | Type::Array(..))
    }
}

/// As it is written in C with the names of this language: `u32`, `char[16]`, `struct task_struct_user *`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int(int) => write!(f, "{}", crate::sema::show::int(*int)),
            Type::Enum(name, _) => write!(f, "enum {name}"),
            Type::Chars(len) => write!(f, "char[{len}]"),
            Type::Array(element, len) => write!(f, "{element}[{len}]"),
            Type::Mirror(name) | Type::Kernel(name) => write!(f, "struct {name} *"),
        }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
