//! Mirrors and what they stand on: kernel paths and their leaves.

use super::{BinOp, UnOp};
use crate::sema::types::{IntTy, Ty};
use crate::source::Span;
use smol_str::SmolStr;

/// A mirror of a kernel struct.
#[derive(Debug)]
pub struct Mirror {
    /// Its name, such as `task_struct_user`.
    pub name: SmolStr,
    /// The kernel struct, such as `task_struct`.
    pub kernel: SmolStr,
    /// Its fields in order.
    pub fields: Vec<MirrorField>,
    /// Of the C struct that holds a value of it, in bytes.
    pub size: u32,
    /// In bytes.
    pub align: u32,
    /// Whether it belongs to the locked library.
    pub locked: bool,
    /// The declaration.
    pub span: Span,
}

/// A field of a mirror.
#[derive(Debug)]
pub struct MirrorField {
    /// Its name.
    pub name: SmolStr,
    /// Its type, which is the ABI.
    pub ty: Ty,
    /// In bytes from the start of the C struct that holds a mirror's value.
    pub offset: u32,
    /// Whether the target may lack it; it then reads 0.
    pub optional: bool,
    /// Where the value comes from: the first alternative that applies in the target. At least one.
    pub alternatives: Vec<Alternative>,
    /// The doc comment.
    pub doc: Option<String>,
    /// The declaration.
    pub span: Span,
}

/// One way to a field's value. It applies where the target has everything that the value names, and the guards hold.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The value.
    pub value: KExpr,
    /// What else is asked of the target. The last alternative of a field that is not optional has none.
    pub guards: Vec<Guard>,
    /// Where it is written.
    pub span: Span,
}

/// What the target must have or lack.
#[derive(Clone, Debug)]
pub struct Guard {
    /// What is looked for; nothing is read.
    pub path: KPath,
    /// Whether the target must lack it.
    pub absent: bool,
}

/// A value expression over kernel paths: 64-bit arithmetic as in programs. It applies where every path and enumerator in it exists.
#[derive(Clone, Debug)]
pub struct KExpr {
    /// What it is.
    pub kind: KExprKind,
    /// How its value takes part in arithmetic: of an arithmetic expression its [`Ty::Int`]; of a path its leaf's type, to which the value is not converted.
    pub ty: Ty,
    /// Where it is written.
    pub span: Span,
}

/// The kinds of [`KExpr`].
#[derive(Clone, Debug)]
pub enum KExprKind {
    /// What a path leads to.
    Path(KPath),
    /// A number.
    Const(u64),
    /// The target's value of the first of these enumerators of a kernel enum that it has.
    Enumerator {
        /// The kernel enum.
        enum_name: SmolStr,
        /// The enumerators; at least one.
        names: Vec<SmolStr>,
    },
    /// An operator.
    Unary(UnOp, Box<KExpr>),
    /// An operator.
    Binary(BinOp, Box<KExpr>, Box<KExpr>),
    /// The value, cut to this type and extended again.
    Convert(IntTy, Box<KExpr>),
    /// The number that the low bits (16, 32 or 64 of them) of the value are in network byte order.
    FromNetwork(u8, Box<KExpr>),
}

/// A path from a kernel object to a value in it or reached from it: `thread_pid->numbers[thread_pid->level].nr`.
#[derive(Clone, Debug)]
pub struct KPath {
    /// The ways from object to object; at least one. Each but the last ends in a pointer or an array that the next goes on from.
    pub hops: Vec<KHop>,
    /// What the last hop leads to.
    pub leaf: KLeaf,
    /// Where it is written.
    pub span: Span,
}

/// One CO-RE access: from the start of a kernel struct to a member in it, through embedded structs and constant indices.
#[derive(Clone, Debug)]
pub struct KHop {
    /// How the pointer that it begins with leads to that struct.
    pub entry: KEntry,
    /// The kernel struct at whose start it begins.
    pub root: SmolStr,
    /// The way; the first step is a member. Without steps, which only the last hop may be, it leads to the struct itself.
    pub steps: Vec<KStep>,
    /// How to go on to the next hop; `Leaf` in the last one and only there.
    pub then: KThen,
    /// Where it is written.
    pub span: Span,
}

/// How a pointer leads to the struct at whose start a hop begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KEntry {
    /// It points to it, and the kernel's own types say so.
    Typed,
    /// It points to it, whatever the kernel's own types say: a cast.
    Cast,
    /// It points to a member of it: `container_of`.
    Member {
        /// The struct that the member is of.
        of: SmolStr,
        /// The way to the member.
        steps: Vec<KStep>,
        /// What the member is taken for.
        leaf: KLeaf,
    },
}

/// A step inside one kernel object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KStep {
    /// A member, found through anonymous structs and unions.
    Member(SmolStr),
    /// An array element.
    Index(u32),
}

/// What follows a hop.
#[derive(Clone, Debug)]
pub enum KThen {
    /// Nothing.
    Leaf,
    /// What it leads to is a pointer: load it, the next hop starts there.
    Deref,
    /// What it leads to is an array of structs `elem`: the next hop starts at the element of that index, by the target's
    /// element size. The index is not bounded: it is read from the kernel itself, and a bad address reads as 0.
    Element {
        /// The kernel struct that the elements are.
        elem: SmolStr,
        /// Which element.
        index: Box<KExpr>,
    },
}

/// What the kernel keeps at the end of a path, as far as is known at compile time. It chooses the instructions that stock loaders patch, and says nothing about the value: that is what the
/// target has there, by value, or there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KLeaf {
    /// An integer or bool.
    Int(IntTy),
    /// An integer or bool, or an enum of that name, or of any if there is none: the target says which.
    Number(IntTy, SmolStr),
    /// A bitfield of this declared width in a word of that type.
    Bits {
        /// In bits.
        width: u8,
        /// The type it is declared with.
        word: IntTy,
    },
    /// An enum of that name, kept as that type.
    Enum(SmolStr, IntTy),
    /// A pointer; with the kernel struct it points to, where that is known.
    Ptr(Option<SmolStr>),
    /// `len` bytes of text.
    Chars(u32),
    /// An array of integers, of which the first `len` are wanted.
    Ints(IntTy, u32),
    /// An embedded struct: the path's value is its address.
    Struct(SmolStr),
    /// Anything: it is not read.
    Any,
}

impl KLeaf {
    /// What it may be in the target: one of these.
    pub fn kinds(&self) -> Vec<KLeaf> {
        match self {
            KLeaf::Number(int, name) => vec![KLeaf::Int(*int), KLeaf::Enum(name.clone(), *int)],
            KLeaf::Any => vec![
                KLeaf::Int(IntTy::U64),
                KLeaf::Enum(SmolStr::default(), IntTy::U32),
                KLeaf::Ptr(None),
                KLeaf::Struct(SmolStr::default()),
                KLeaf::Ints(IntTy::U8, 1),
            ],
            leaf => vec![leaf.clone()],
        }
    }
}
