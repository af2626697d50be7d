//! A `.BTF` section under construction, each type once.
//!
//! In: types. Out: the bytes of a section in either byte order. Equal types get equal ids, so the order in which types are first asked for decides the bytes. Types that refer to themselves
//! are written in two steps: an id is reserved, and filled in when what the type refers to has ids.

use super::{HEADER, MAGIC, Member, SecVar, Type, TypeId, encoding, kind};
use crate::bytes::{Strings, Writer};
use crate::sema::types::IntTy;
use crate::target::Endian;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// The types and strings of a `.BTF` section under construction.
#[derive(Debug, Default)]
pub struct Builder {
    /// By id, from 1. A reserved one is `Void` until it is filled in.
    types: Vec<Type>,
    ids: FxHashMap<Type, TypeId>,
    strings: Strings,
}

impl Builder {
    /// The id of a type, which is added if it is new.
    pub fn add(&mut self, ty: Type) -> TypeId {
        if let Some(id) = self.ids.get(&ty) {
            return *id;
        }
        let id = self.push(ty.clone());
        self.ids.insert(ty, id);
        id
    }

    /// An id for a type that is yet to come, for types that refer to themselves. [`Builder::fill`] must follow.
    pub fn reserve(&mut self) -> TypeId {
        self.push(Type::Void)
    }

    /// Says which type a reserved id stands for. It is a type of its own, even if there is an equal one.
    ///
    /// # Panics
    ///
    /// If the id was not reserved, or has been filled in.
    pub fn fill(&mut self, reserved: TypeId, ty: Type) {
        let slot = self.types.get_mut((reserved.0 as usize).wrapping_sub(1));
        let slot = slot.filter(|slot| **slot == Type::Void);
        *slot.expect("only what was reserved is filled in, and once") = ty;
    }

    fn push(&mut self, ty: Type) -> TypeId {
        self.types.push(ty);
        TypeId(u32::try_from(self.types.len()).unwrap_or(u32::MAX))
    }

    /// The offset of a string, as `.BTF.ext` refers to it.
    pub fn string(&mut self, string: &str) -> u32 {
        self.strings.add(string)
    }

    /// An integer under C's name for it.
    pub fn int(&mut self, int: IntTy) -> TypeId {
        let encoding = if int.signed { encoding::SIGNED } else { 0 };
        self.int_of(int.c_name(), int.size(), encoding)
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
            debug_assert_ne!(*ty, Type::Void, "what is reserved is filled in");
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

/// What every type begins with; the size or type follows from the kind.
fn head(out: &mut Writer, name: u32, kind: u32, flag: bool, vlen: usize, size_or_type: u32) {
    let vlen = u32::try_from(vlen).unwrap_or(u32::MAX).min(0x00ff_ffff);
    out.words(&[name, u32::from(flag) << 31 | kind << 24 | vlen, size_or_type]);
}

/// Appends one type: `name, info, size or type`, then what the kind has.
fn encode(ty: &Type, out: &mut Writer, strings: &mut Strings) {
    match ty {
        Type::Void => {}
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
