//! BTF, the kernel's type format: its types, and a section of them, each type once.
//!
//! In: types that refer to each other by [`TypeId`]. Out: the bytes of a `.BTF` section in either byte order. Equal types get equal ids, so the order in
//! which types are first asked for decides the bytes. Format: the kernel's `Documentation/bpf/btf.rst`.

use super::bytes::{Strings, Writer};
use crate::sema::types::IntTy;
use crate::target::Endian;
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
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

/// The types and strings of a `.BTF` section under construction.
#[derive(Debug, Default)]
pub struct Btf {
    types: IndexSet<Type, FxBuildHasher>,
    strings: Strings,
}

impl Btf {
    /// The id of a type, which is added if it is new.
    pub fn add(&mut self, ty: Type) -> TypeId {
        let (index, _) = self.types.insert_full(ty);
        TypeId(u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1)))
    }

    /// The offset of a string, as `.BTF.ext` refers to it.
    pub fn string(&mut self, string: &str) -> u32 {
        self.strings.add(string)
    }

    /// An integer under C's name for it.
    pub fn int(&mut self, int: IntTy) -> TypeId {
        let encoding = if int.signed { encoding::SIGNED } else { 0 };
        self.int_of(c_name(int), int.size(), encoding)
    }

    /// An integer type of the given name.
    pub fn int_of(&mut self, name: &str, bytes: u32, encoding: u8) -> TypeId {
        let bits = u8::try_from(bytes * 8).unwrap_or(128);
        self.add(Type::Int { name: name.into(), bytes, bits, bit_offset: 0, encoding })
    }

    /// An array.
    pub fn array(&mut self, elem: TypeId, len: u32) -> TypeId {
        let index = self.int_of("__ARRAY_SIZE_TYPE__", 4, 0);
        self.add(Type::Array { elem, index, len })
    }

    /// A pointer.
    pub fn ptr(&mut self, ty: TypeId) -> TypeId {
        self.add(Type::Ptr(ty))
    }

    /// A typedef.
    pub fn typedef(&mut self, name: impl Into<SmolStr>, ty: TypeId) -> TypeId {
        self.add(Type::Typedef { name: name.into(), ty })
    }

    /// A struct.
    pub fn composite(
        &mut self,
        name: impl Into<SmolStr>,
        size: u32,
        members: Vec<Member>,
    ) -> TypeId {
        self.add(Type::Composite { union: false, name: name.into(), size, members })
    }

    /// The bytes of the section.
    pub fn bytes(mut self, endian: Endian) -> Vec<u8> {
        let mut types = Writer::new(endian);
        for ty in &self.types {
            encode(ty, &mut types, &mut self.strings);
        }
        let strings = self.strings.bytes();
        let mut out = Writer::new(endian);
        out.u16(MAGIC);
        out.bytes.extend([1, 0]); // version, flags
        let lengths = [types.len32(), u32::try_from(strings.len()).unwrap_or(u32::MAX)];
        out.words(&[HEADER, 0, lengths[0], lengths[0], lengths[1]]);
        out.bytes.extend(types.bytes);
        out.bytes.extend(strings);
        out.bytes
    }
}

/// C's name for an integer type.
fn c_name(int: IntTy) -> &'static str {
    match (int.bits, int.signed) {
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

/// What every type begins with; the size or type follows from the kind.
fn head(out: &mut Writer, name: u32, kind: u32, flag: bool, vlen: usize, size_or_type: u32) {
    let vlen = u32::try_from(vlen).unwrap_or(u32::MAX).min(0xffff);
    out.words(&[name, u32::from(flag) << 31 | kind << 24 | vlen, size_or_type]);
}

/// Appends one type: `name, info, size or type`, then what the kind has.
fn encode(ty: &Type, out: &mut Writer, strings: &mut Strings) {
    match ty {
        Type::Int { name, bytes, bits, bit_offset, encoding } => {
            head(out, strings.add(name), kind::INT, false, 0, *bytes);
            let [bits, offset, encoding] = [*bits, *bit_offset, *encoding].map(u32::from);
            out.u32(encoding << 24 | offset << 16 | bits);
        }
        Type::Ptr(to) => head(out, 0, kind::PTR, false, 0, to.0),
        Type::Array { elem, index, len } => {
            head(out, 0, kind::ARRAY, false, 0, 0);
            out.words(&[elem.0, index.0, *len]);
        }
        Type::Composite { union, name, size, members } => {
            let kind = if *union { kind::UNION } else { kind::STRUCT };
            let bitfields = members.iter().any(|member| member.bit_width != 0);
            head(out, strings.add(name), kind, bitfields, members.len(), *size);
            for Member { name, ty, bit_offset, bit_width } in members {
                let offset = u32::from(*bit_width) << 24 | bit_offset;
                out.words(&[strings.add(name), ty.0, offset]);
            }
        }
        Type::Enum { name, size, signed, wide, values } => {
            let kind = if *wide { kind::ENUM64 } else { kind::ENUM };
            head(out, strings.add(name), kind, *signed, values.len(), *size);
            for (name, value) in values {
                out.u32(strings.add(name));
                #[expect(clippy::cast_possible_truncation, reason = "the halves of a value")]
                let [low, high] = [*value as u32, (*value >> 32) as u32];
                out.u32(low);
                if *wide {
                    out.u32(high);
                }
            }
        }
        Type::Fwd { union, name } => head(out, strings.add(name), kind::FWD, *union, 0, 0),
        Type::Typedef { name, ty } => head(out, strings.add(name), kind::TYPEDEF, false, 0, ty.0),
        Type::Modifier { kind, ty } => head(out, 0, *kind, false, 0, ty.0),
        Type::Func { name, proto, global } => {
            head(out, strings.add(name), kind::FUNC, false, usize::from(*global), proto.0);
        }
        Type::FuncProto { ret, params } => {
            head(out, 0, kind::FUNC_PROTO, false, params.len(), ret.0);
            for (name, ty) in params {
                out.words(&[strings.add(name), ty.0]);
            }
        }
        Type::Var { name, ty, linkage } => {
            head(out, strings.add(name), kind::VAR, false, 0, ty.0);
            out.u32(*linkage);
        }
        Type::DataSec { name, size, vars } => {
            head(out, strings.add(name), kind::DATASEC, false, vars.len(), *size);
            for SecVar { var, offset, size } in vars {
                out.words(&[var.0, *offset, *size]);
            }
        }
        Type::Float { name, size } => head(out, strings.add(name), kind::FLOAT, false, 0, *size),
        Type::DeclTag { name, ty, component } => {
            head(out, strings.add(name), kind::DECL_TAG, false, 0, ty.0);
            out.u32(component.cast_unsigned());
        }
        Type::TypeTag { name, ty } => head(out, strings.add(name), kind::TYPE_TAG, false, 0, ty.0),
    }
}
