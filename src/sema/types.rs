//! Types of values, and their C layout.
//!
//! Every value in the HIR has one of these. Sizes are in bytes; layout is that of C on a 64-bit machine, the same on every
//! target, since maps and records are read by programs that know only the object's BTF.

use super::hir::{EnumId, MirrorId, StructId};
use smol_str::SmolStr;
use std::sync::Arc;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    /// Stands for a type that a diagnostic was given for: compatible with everything.
    Error,
    /// No value: what an action such as `printf` gives.
    Void,
    /// 0 or 1, one byte in memory.
    Bool,
    /// An integer.
    Int(IntTy),
    /// An enum of the script, or a mirrored one; 4 or 8 bytes as its integer type says.
    Enum(EnumId),
    /// `char[N]`: text of at most N bytes, filled up with NULs.
    Str(u32),
    /// An array of `len` elements.
    Array(Arc<Ty>, u32),
    /// `(a, b)`: laid out as a C struct.
    Tuple(Arc<[Ty]>),
    /// A struct that the script declares.
    Struct(StructId),
    /// A mirror's value as a whole, as `emit *p` writes it: laid out as the C struct of its declaration.
    Mirror(MirrorId),
    /// A pointer, 8 bytes.
    Ptr(Pointee),
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntTy {
    /// 8, 16, 32 or 64.
    pub bits: u8,
    /// Whether it is signed.
    pub signed: bool,
}

impl IntTy {
    /// `u8`
    pub const U8: IntTy = IntTy { bits: 8, signed: false };
    /// `u16`
    pub const U16: IntTy = IntTy { bits: 16, signed: false };
    /// `u32`
    pub const U32: IntTy = IntTy { bits: 32, signed: false };
    /// `u64`
    pub const U64: IntTy = IntTy { bits: 64, signed: false };
    /// `s32`
    pub const S32: IntTy = IntTy { bits: 32, signed: true };
    /// `s64`
    pub const S64: IntTy = IntTy { bits: 64, signed: true };

    /// C's name for it.
    pub fn c_name(self) -> &'static str {
        match (self.bits, self.signed) {
            (8, false) => "unsigned char",
            (8, true) => "signed char",
            (16, false) => "unsigned short",
            (16, true) => "short",
            (32, false) => "unsigned int",
            (32, true) => "int",
            (_, false) => "unsigned long long",
            (_, true) => "long long",
        }
    }

    /// In bytes.
    pub fn size(self) -> u32 {
        u32::from(self.bits) / 8
    }
}

/// What a pointer points to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pointee {
    /// A kernel struct, seen through a mirror.
    Mirror(MirrorId),
    /// A kernel object that no mirror describes: can be compared and used as a key, not read.
    Kernel(SmolStr),
    /// Text in user memory.
    UserStr,
    /// User memory of some type.
    User(Arc<Ty>),
}

impl Ty {
    /// `u64`
    pub const U64: Ty = Ty::Int(IntTy::U64);
    /// `s64`
    pub const S64: Ty = Ty::Int(IntTy::S64);
    /// `u32`
    pub const U32: Ty = Ty::Int(IntTy::U32);

    /// Whether a value of it fits a register: integers, bools, enums, pointers.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Ty::Bool | Ty::Int(_) | Ty::Enum(_) | Ty::Ptr(_) | Ty::Error)
    }
}
