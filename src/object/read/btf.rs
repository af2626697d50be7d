//! The types of a `.BTF` section.

use super::super::btf::{MAGIC, Member, SecVar, Type, TypeId, kind};
use super::super::bytes::{Reader, StringTable};
use super::{ReadError, slice};
use crate::target::Endian;

/// How many modifiers, or levels of arrays, are followed.
const MAX_DEPTH: usize = 32;

/// Types by id, and the strings that they and `.BTF.ext` refer to.
#[derive(Debug)]
pub struct Types<'a> {
    /// The byte order of the section.
    pub endian: Endian,
    by_id: Vec<Type<&'a str>>,
    strings: StringTable<'a>,
}

impl<'a> Types<'a> {
    /// Reads a section; its magic number tells the byte order.
    pub fn parse(data: &'a [u8]) -> Result<Types<'a>, ReadError> {
        let endian = byte_order(data, ".BTF")?;
        let mut reader = Reader::new(endian, data);
        let mut read = || {
            reader.take(4)?; // magic, version, flags
            Some([reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?])
        };
        let [header, type_off, type_len, string_off, string_len] =
            read().ok_or(ReadError::Truncated("the header of .BTF"))?;
        let piece = |offset: u32, len: u32, what| {
            slice(data, u64::from(header) + u64::from(offset), len.into(), what)
        };
        let strings = StringTable::new(piece(string_off, string_len, "the strings of .BTF")?);
        let mut reader = Reader::new(endian, piece(type_off, type_len, "the types of .BTF")?);
        let mut types = Vec::new();
        while !reader.is_empty() {
            types.push(read_type(&mut reader, &strings)?);
        }
        Ok(Types { endian, by_id: types, strings })
    }

    /// The type; `None` for `void` and ids that there are not.
    pub fn get(&self, id: TypeId) -> Option<&Type<&'a str>> {
        self.by_id.get((id.0 as usize).checked_sub(1)?)
    }

    /// Every type with its id.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &Type<&'a str>)> {
        (1..).map(TypeId).zip(&self.by_id)
    }

    /// The string at an offset.
    pub fn string(&self, offset: u32) -> Option<&'a str> {
        self.strings.get(offset)
    }

    /// What is behind typedefs, qualifiers and type tags; `None` where there are too many of them.
    pub fn strip(&self, mut id: TypeId) -> Option<TypeId> {
        for _ in 0..MAX_DEPTH {
            match self.get(id) {
                Some(
                    Type::Typedef { ty, .. } | Type::Modifier { ty, .. } | Type::TypeTag { ty, .. },
                ) => {
                    id = *ty;
                }
                _ => return Some(id),
            }
        }
        None
    }

    /// The size of a type in bytes; `None` where it has none.
    pub fn size(&self, id: TypeId) -> Option<u32> {
        let (mut id, mut count) = (id, 1_u32);
        for _ in 0..MAX_DEPTH {
            let size = match self.get(self.strip(id)?)? {
                Type::Int { bytes, .. } => *bytes,
                Type::Ptr(_) => 8,
                Type::Composite { size, .. }
                | Type::Enum { size, .. }
                | Type::DataSec { size, .. }
                | Type::Float { size, .. } => *size,
                Type::Array { elem, len, .. } => {
                    count = count.checked_mul(*len)?;
                    id = *elem;
                    continue;
                }
                Type::Var { ty, .. } => {
                    id = *ty;
                    continue;
                }
                Type::Fwd { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::DeclTag { .. }
                | Type::Typedef { .. }
                | Type::Modifier { .. }
                | Type::TypeTag { .. } => return None,
            };
            return count.checked_mul(size);
        }
        None
    }

    /// The first type of that name that is not a forward declaration.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        let named = |ty: &Type<&'a str>| !matches!(ty, Type::Fwd { .. }) && type_name(ty) == name;
        self.iter().find(|(_, ty)| named(ty)).map(|(id, _)| id)
    }
}

/// The name of a type; empty where it has none.
pub(super) fn type_name<'a>(ty: &Type<&'a str>) -> &'a str {
    match ty {
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
        Type::Ptr(_) | Type::Array { .. } | Type::Modifier { .. } | Type::FuncProto { .. } => "",
    }
}

/// The byte order in which a section begins with BTF's magic number.
pub(super) fn byte_order(data: &[u8], what: &'static str) -> Result<Endian, ReadError> {
    let magic = data.first_chunk().ok_or(ReadError::Truncated(what))?;
    match (u16::from_le_bytes(*magic), u16::from_be_bytes(*magic)) {
        (MAGIC, _) => Ok(Endian::Little),
        (_, MAGIC) => Ok(Endian::Big),
        (value, _) => {
            Err(ReadError::Invalid { what: "the magic number of BTF", value: value.into() })
        }
    }
}

fn read_type<'a>(
    reader: &mut Reader<'a>,
    strings: &StringTable<'a>,
) -> Result<Type<&'a str>, ReadError> {
    let mut read = || Some([reader.u32()?, reader.u32()?, reader.u32()?]);
    let [name, info, word] = read().ok_or(ReadError::Truncated("a type"))?;
    let name = strings.get(name).ok_or(ReadError::NotString("a type's name"))?;
    // Bits 24 to 28 are the kind, bit 31 the flag.
    let (kind, flag, vlen) = (info >> 24 & 0x1f, info >> 31 == 1, info & 0xffff);
    let mut rest = Rest { reader, strings, vlen };
    let ty = TypeId(word);
    Ok(match kind {
        kind::INT => {
            let [encoding, offset, _, bits] = rest.word()?.to_be_bytes();
            Type::Int { name, bytes: word, bits, bit_offset: offset, encoding: encoding & 15 }
        }
        kind::PTR => Type::Ptr(ty),
        kind::ARRAY => Type::Array {
            elem: TypeId(rest.word()?),
            index: TypeId(rest.word()?),
            len: rest.word()?,
        },
        kind::STRUCT | kind::UNION => {
            let members = rest.list(3, |rest| rest.member(flag))?;
            Type::Composite { union: kind == kind::UNION, name, size: word, members }
        }
        kind::ENUM => {
            let values = rest.list(2, |rest| Ok((rest.name()?, extend(rest.word()?, flag))))?;
            Type::Enum { name, size: word, signed: flag, wide: false, values }
        }
        kind::ENUM64 => {
            let values = rest.list(3, |rest| {
                let (name, low, high) = (rest.name()?, rest.word()?, rest.word()?);
                Ok((name, u64::from(high) << 32 | u64::from(low)))
            })?;
            Type::Enum { name, size: word, signed: flag, wide: true, values }
        }
        kind::FWD => Type::Fwd { union: flag, name },
        kind::TYPEDEF => Type::Typedef { name, ty },
        kind::VOLATILE | kind::CONST | kind::RESTRICT => Type::Modifier { kind, ty },
        kind::FUNC => Type::Func { name, proto: ty, global: vlen == 1 },
        kind::FUNC_PROTO => {
            let params = rest.list(2, |rest| Ok((rest.name()?, TypeId(rest.word()?))))?;
            Type::FuncProto { ret: ty, params }
        }
        kind::VAR => Type::Var { name, ty, linkage: rest.word()? },
        kind::DATASEC => {
            let vars = rest.list(3, |rest| {
                let (var, offset, size) = (TypeId(rest.word()?), rest.word()?, rest.word()?);
                Ok(SecVar { var, offset, size })
            })?;
            Type::DataSec { name, size: word, vars }
        }
        kind::FLOAT => Type::Float { name, size: word },
        kind::DECL_TAG => Type::DeclTag { name, ty, component: rest.word()?.cast_signed() },
        kind::TYPE_TAG => Type::TypeTag { name, ty },
        _ => return Err(ReadError::Invalid { what: "the kind of a type", value: kind.into() }),
    })
}

/// A 32-bit enumerator, extended to 64 bits.
fn extend(value: u32, signed: bool) -> u64 {
    if signed { i64::from(value.cast_signed()).cast_unsigned() } else { value.into() }
}

/// What follows the common part of a type.
struct Rest<'r, 'a> {
    reader: &'r mut Reader<'a>,
    strings: &'r StringTable<'a>,
    vlen: u32,
}

impl<'a> Rest<'_, 'a> {
    fn word(&mut self) -> Result<u32, ReadError> {
        self.reader.u32().ok_or(ReadError::Truncated("a type"))
    }

    fn name(&mut self) -> Result<&'a str, ReadError> {
        let offset = self.word()?;
        self.strings.get(offset).ok_or(ReadError::NotString("the name of a member"))
    }

    /// A composite type's members: of a type with bitfields the upper 8 bits of an offset are a width.
    fn member(&mut self, bitfields: bool) -> Result<Member<&'a str>, ReadError> {
        let (name, ty, offset) = (self.name()?, TypeId(self.word()?), self.word()?);
        let [width, ..] = offset.to_be_bytes();
        Ok(if bitfields {
            Member { name, ty, bit_offset: offset & 0x00ff_ffff, bit_width: width }
        } else {
            Member { name, ty, bit_offset: offset, bit_width: 0 }
        })
    }

    /// As many items as the type says, of so many words each; nothing is allocated for what is not there.
    fn list<T>(
        &mut self,
        words: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, ReadError> {
        let count = self.vlen as usize;
        let mut ahead = *self.reader;
        ahead.take(count * words * 4).ok_or(ReadError::Truncated("a type"))?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }
}
