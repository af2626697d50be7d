//! BTF, the kernel's type format: its types, written by [`Builder`] and read by [`Btf`].
//!
//! Types refer to each other by [`TypeId`]. Format: the kernel's `Documentation/bpf/btf.rst`.

mod decode;
mod find;
mod pointer;
mod read;
mod section;
mod write;

pub use decode::Members;
pub(crate) use find::Wanted;
pub use read::{Btf, BtfError};
pub(crate) use section::byte_order;
pub use write::Builder;

use smol_str::SmolStr;

/// The number of a type; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// `void`
pub const VOID: TypeId = TypeId(0);
/// `.BTF` and `.BTF.ext` begin with this number.
pub const MAGIC: u16 = 0xeb9f;
/// The size of the header of `.BTF`.
pub const HEADER: u32 = 24;

/// Encodings of an integer.
pub mod encoding {
    /// Signed.
    pub const SIGNED: u8 = 1;
    /// A character.
    pub const CHAR: u8 = 2;
    /// A truth value.
    pub const BOOL: u8 = 4;
}

/// The numbers of the kinds.
#[expect(missing_docs, reason = "they are the format's own names")]
pub mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// A type. Names are empty where there is none; types that are written own them, types that are read borrow them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type<Name = SmolStr> {
    /// `void`, which is never written.
    Void,
    /// An integer.
    Int {
        /// Its name.
        name: Name,
        /// Its size.
        bytes: u32,
        /// How many bits count.
        bits: u8,
        /// The first of them, in bits.
        bit_offset: u8,
        /// One of [`encoding`], or 0.
        encoding: u8,
    },
    /// A pointer.
    Ptr(TypeId),
    /// An array.
    Array {
        /// What its elements are.
        elem: TypeId,
        /// What its index is.
        index: TypeId,
        /// How many elements; 0 for a flexible one.
        len: u32,
    },
    /// A struct or union.
    Composite {
        /// Which of them.
        union: bool,
        /// Its name.
        name: Name,
        /// In bytes.
        size: u32,
        /// Its members in order.
        members: Vec<Member<Name>>,
    },
    /// An enum.
    Enum {
        /// Its name.
        name: Name,
        /// In bytes.
        size: u32,
        /// Whether its values are signed.
        signed: bool,
        /// Whether it is kept with 64-bit values (`ENUM64`).
        wide: bool,
        /// Names and values, extended to 64 bits.
        values: Vec<(Name, u64)>,
    },
    /// A struct or union that is only declared.
    Fwd {
        /// Which of them.
        union: bool,
        /// Its name.
        name: Name,
    },
    /// A typedef.
    Typedef {
        /// Its name.
        name: Name,
        /// What it stands for.
        ty: TypeId,
    },
    /// `const`, `volatile` or `restrict`.
    Modifier {
        /// Which of them, by number.
        kind: u32,
        /// Of what.
        ty: TypeId,
    },
    /// A function.
    Func {
        /// Its name.
        name: Name,
        /// Its prototype.
        proto: TypeId,
        /// Whether other objects see it.
        global: bool,
    },
    /// A function's prototype.
    FuncProto {
        /// What it returns.
        ret: TypeId,
        /// Names and types; a last one without both stands for `...`.
        params: Vec<(Name, TypeId)>,
    },
    /// A variable.
    Var {
        /// Its name.
        name: Name,
        /// Its type.
        ty: TypeId,
        /// 0 static, 1 global, 2 external.
        linkage: u32,
    },
    /// A section of variables.
    DataSec {
        /// Its name.
        name: Name,
        /// In bytes.
        size: u32,
        /// The variables by offset.
        vars: Vec<SecVar>,
    },
    /// A floating-point number.
    Float {
        /// Its name.
        name: Name,
        /// In bytes.
        size: u32,
    },
    /// An attribute of a declaration.
    DeclTag {
        /// The attribute.
        name: Name,
        /// The declaration.
        ty: TypeId,
        /// Which member or argument, or -1.
        component: i32,
    },
    /// An attribute of a type.
    TypeTag {
        /// The attribute.
        name: Name,
        /// The type.
        ty: TypeId,
    },
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member<Name = SmolStr> {
    /// Its name; empty for an anonymous one.
    pub name: Name,
    /// Its type.
    pub ty: TypeId,
    /// In bits; of a bitfield on big endian it counts from the most significant bit.
    pub bit_offset: u32,
    /// The width of a bitfield, otherwise 0.
    pub bit_width: u8,
}

/// A variable's place in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecVar {
    /// The variable.
    pub var: TypeId,
    /// In bytes.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

impl<'a> Type<&'a str> {
    /// Its name; empty where it has none.
    pub fn name(&self) -> &'a str {
        match self {
            Type::Int { name, .. }
            | Type::Composite { name, .. }
            | Type::Enum { name, .. }
            | Type::Fwd { name, .. }
            | Type::Typedef { name, .. }
            | Type::Func { name, .. }
            | Type::Var { name, .. }
            | Type::DataSec { name, .. }
            | Type::Float { name, .. }
            | Type::DeclTag { name, .. }
            | Type::TypeTag { name, .. } => name,
            Type::Void
            | Type::Ptr(_)
            | Type::Array { .. }
            | Type::Modifier { .. }
            | Type::FuncProto { .. } => "",
        }
    }
}

/// A name without its flavor: what precedes the last `___` that has a character other than `_` on both sides, or the whole name
/// (libbpf's `bpf_core_essential_name_len`).
pub fn essential(name: &str) -> &str {
    let bytes = name.as_bytes();
    let flavor = bytes.windows(5).rposition(|w| w[0] != b'_' && &w[1..4] == b"___" && w[4] != b'_');
    // The cut is behind one whole byte that is not `_`, hence perhaps inside of a character; then it is none.
    flavor.and_then(|at| name.get(..=at)).unwrap_or(name)
}
