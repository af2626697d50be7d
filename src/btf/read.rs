//! A `.BTF` section that is read, types one at a time.
//!
//! In: the bytes of a section of either byte order, whole or split (a module's types, which go on where those of its base end). Out: types by id, decoded when they are asked
//! for, with names borrowed from the bytes. Reading a section walks over its types once and allocates a few bytes for each; whatever the bytes are, it ends with a value or an error.

use super::{MAGIC, Member, SecVar, Type, TypeId, VOID, kind};
use crate::bytes::Reader;
use crate::target::Endian;
use std::sync::Arc;

/// How many modifiers, or levels of arrays, are followed.
const MAX_DEPTH: usize = 32;

/// Why bytes are not BTF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The magic number is another.
    #[error("it does not begin with the magic number of BTF")]
    NotBtf,
    /// It ends too early, or an offset points past its end.
    #[error("{0} is cut short, or lies outside of the file or section")]
    Truncated(&'static str),
    /// A number has a value that it cannot have.
    #[error("{what} has the value {value}, which means nothing")]
    Invalid {
        /// The number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// There is no such type.
    #[error("there is no type {0}")]
    NoType(u32),
    /// A string is outside of its table, has no end, or is not UTF-8.
    #[error("there is no string at offset {0}")]
    NoString(u32),
    /// A type that contains itself, or is nested beyond reason.
    #[error("type {0} is nested too deeply")]
    TooDeep(u32),
    /// A type that has no size has been asked for it.
    #[error("type {0} has no size, or too large a one")]
    NoSize(u32),
}

/// The types of a section, with those of its base.
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    /// The byte order of the section.
    pub endian: Endian,
    types: &'a [u8],
    strings: &'a [u8],
    base: Option<Arc<Btf<'a>>>,
    /// Where each of the section's own types begins in `types`.
    offsets: Vec<u32>,
    /// In bytes.
    pointer_size: u32,
}

impl<'a> Btf<'a> {
    /// Reads a section that stands for itself.
    pub fn parse(data: &'a [u8]) -> Result<Btf<'a>, BtfError> {
        Btf::read(data, None)
    }

    /// Reads a section whose types and strings go on where those of `base` end.
    pub fn split(data: &'a [u8], base: Arc<Btf<'a>>) -> Result<Btf<'a>, BtfError> {
        Btf::read(data, Some(base))
    }

    fn read(data: &'a [u8], base: Option<Arc<Btf<'a>>>) -> Result<Btf<'a>, BtfError> {
        let endian = byte_order(data)?;
        let mut reader = Reader::new(endian, data);
        let mut read = || {
            reader.take(4)?; // magic, version, flags
            Some([reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?])
        };
        let [header, type_off, type_len, string_off, string_len] =
            read().ok_or(BtfError::Truncated("the header of .BTF"))?;
        let piece = |offset: u32, len: u32, what| {
            let start = (header as usize).checked_add(offset as usize);
            let piece = start.and_then(|start| data.get(start..)?.get(..len as usize));
            piece.ok_or(BtfError::Truncated(what))
        };
        let strings = piece(string_off, string_len, "the strings of .BTF")?;
        let types = piece(type_off, type_len, "the types of .BTF")?;
        let offsets = offsets(types, endian)?;
        let pointer_size = base.as_ref().map_or(8, |base| base.pointer_size);
        Ok(Btf { endian, types, strings, base, offsets, pointer_size })
    }

    /// The size of a pointer in bytes: 8, or what [`Btf::set_pointer_size`] says.
    pub fn pointer_size(&self) -> u32 {
        self.pointer_size
    }

    /// Says what the size of a pointer is: BTF does not.
    pub fn set_pointer_size(&mut self, bytes: u32) {
        self.pointer_size = bytes;
    }

    /// The id of the first type of its own: 1, unless it is split.
    pub fn first(&self) -> TypeId {
        TypeId(self.base.as_ref().map_or(1, |base| base.end().0))
    }

    /// One past the last id.
    pub fn end(&self) -> TypeId {
        TypeId(self.first().0.saturating_add(u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)))
    }

    /// The ids of its own types.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<'a> {
        (self.first().0..self.end().0).map(TypeId)
    }

    /// The type of that id, also of the base.
    pub fn get(&self, id: TypeId) -> Result<Type<&'a str>, BtfError> {
        if id == VOID {
            return Ok(Type::Void);
        }
        if let Some(base) = &self.base
            && id < self.first()
        {
            return base.get(id);
        }
        let index = (id.0 - self.first().0) as usize;
        let offset = *self.offsets.get(index).ok_or(BtfError::NoType(id.0))?;
        let bytes = self.types.get(offset as usize..).unwrap_or_default();
        let mut reader = Reader::new(self.endian, bytes);
        read_type(self, &mut reader)
    }

    /// The string at an offset, also of the base.
    pub fn string(&self, offset: u32) -> Result<&'a str, BtfError> {
        let none = BtfError::NoString(offset);
        let mut own = offset;
        if let Some(base) = &self.base {
            let start = base.strings_end();
            if offset < start {
                return base.string(offset);
            }
            own -= start;
        }
        let rest = self.strings.get(own as usize..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == 0);
        let bytes = len.and_then(|len| rest.get(..len));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(none)
    }

    fn strings_end(&self) -> u32 {
        let own = u32::try_from(self.strings.len()).unwrap_or(u32::MAX);
        self.base.as_ref().map_or(0, |base| base.strings_end()).saturating_add(own)
    }

    /// Its own types, not those of its base, whose name is one of `names` when what follows `___` is left out (see [`super::essential`]): for each name, in the order of ids.
    /// Types that cannot be decoded are passed over.
    pub fn find(&self, names: &[&str]) -> Vec<Vec<TypeId>> {
        let mut found = vec![Vec::new(); names.len()];
        for id in self.ids() {
            let Ok(ty) = self.get(id) else { continue };
            let name = super::essential(ty.name());
            for (wanted, found) in names.iter().zip(&mut found) {
                if !name.is_empty() && name == *wanted {
                    found.push(id);
                }
            }
        }
        found
    }

    /// What is behind typedefs, qualifiers and type tags.
    pub fn strip(&self, id: TypeId) -> Result<TypeId, BtfError> {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            match self.get(at)? {
                Type::Typedef { ty, .. } | Type::Modifier { ty, .. } | Type::TypeTag { ty, .. } => {
                    at = ty;
                }
                _ => return Ok(at),
            }
        }
        Err(BtfError::TooDeep(id.0))
    }

    /// The size of a type in bytes.
    pub fn size(&self, id: TypeId) -> Result<u32, BtfError> {
        let none = BtfError::NoSize(id.0);
        let (mut at, mut count) = (id, 1_u32);
        for _ in 0..MAX_DEPTH {
            let size = match self.get(self.strip(at)?)? {
                Type::Int { bytes, .. } => bytes,
                Type::Ptr(_) => self.pointer_size,
                Type::Composite { size, .. }
                | Type::Enum { size, .. }
                | Type::DataSec { size, .. }
                | Type::Float { size, .. } => size,
                Type::Array { elem, len, .. } => {
                    count = count.checked_mul(len).ok_or(none.clone())?;
                    at = elem;
                    continue;
                }
                Type::Var { ty, .. } | Type::DeclTag { ty, .. } => {
                    at = ty;
                    continue;
                }
                Type::Void
                | Type::Fwd { .. }
                | Type::Func { .. }
                | Type::FuncProto { .. }
                | Type::Typedef { .. }
                | Type::Modifier { .. }
                | Type::TypeTag { .. } => return Err(none),
            };
            return count.checked_mul(size).ok_or(none);
        }
        Err(BtfError::TooDeep(id.0))
    }
}

/// The byte order in which a section begins with BTF's magic number.
pub(crate) fn byte_order(data: &[u8]) -> Result<Endian, BtfError> {
    let magic = data.first_chunk().ok_or(BtfError::NotBtf)?;
    match (u16::from_le_bytes(*magic), u16::from_be_bytes(*magic)) {
        (MAGIC, _) => Ok(Endian::Little),
        (_, MAGIC) => Ok(Endian::Big),
        _ => Err(BtfError::NotBtf),
    }
}

/// Where each type begins.
fn offsets(types: &[u8], endian: Endian) -> Result<Vec<u32>, BtfError> {
    let mut reader = Reader::new(endian, types);
    let mut offsets = Vec::new();
    let mut at = 0_u32;
    while !reader.is_empty() {
        let mut read = || Some([reader.u32()?, reader.u32()?, reader.u32()?]);
        let [_, info, _] = read().ok_or(BtfError::Truncated("a type"))?;
        let rest = words_after(info)? * 4;
        reader.take(rest as usize).ok_or(BtfError::Truncated("a type"))?;
        offsets.push(at);
        at = at.saturating_add(12).saturating_add(rest);
    }
    Ok(offsets)
}

/// How many words follow the three that every type begins with.
fn words_after(info: u32) -> Result<u32, BtfError> {
    let (kind, vlen) = (info >> 24 & 0x1f, info & 0xffff);
    Ok(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 1,
        kind::ARRAY => 3,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 3 * vlen,
        kind::ENUM | kind::FUNC_PROTO => 2 * vlen,
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        _ => return Err(BtfError::Invalid { what: "the kind of a type", value: kind.into() }),
    })
}

fn read_type<'a>(btf: &Btf<'a>, reader: &mut Reader<'a>) -> Result<Type<&'a str>, BtfError> {
    let mut read = || Some([reader.u32()?, reader.u32()?, reader.u32()?]);
    let [name, info, word] = read().ok_or(BtfError::Truncated("a type"))?;
    let name = btf.string(name)?;
    // Bits 24 to 28 are the kind, bit 31 the flag.
    let (kind, flag, vlen) = (info >> 24 & 0x1f, info >> 31 == 1, info & 0xffff);
    let mut rest = Rest { btf, reader, vlen };
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
        _ => return Err(BtfError::Invalid { what: "the kind of a type", value: kind.into() }),
    })
}

/// A 32-bit enumerator, extended to 64 bits.
fn extend(value: u32, signed: bool) -> u64 {
    if signed { i64::from(value.cast_signed()).cast_unsigned() } else { value.into() }
}

/// What follows the common part of a type.
struct Rest<'r, 'a> {
    btf: &'r Btf<'a>,
    reader: &'r mut Reader<'a>,
    vlen: u32,
}

impl<'a> Rest<'_, 'a> {
    fn word(&mut self) -> Result<u32, BtfError> {
        self.reader.u32().ok_or(BtfError::Truncated("a type"))
    }

    fn name(&mut self) -> Result<&'a str, BtfError> {
        let offset = self.word()?;
        self.btf.string(offset)
    }

    /// A composite type's members: of a type with bitfields the upper 8 bits of an offset are a width.
    fn member(&mut self, bitfields: bool) -> Result<Member<&'a str>, BtfError> {
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
        mut item: impl FnMut(&mut Self) -> Result<T, BtfError>,
    ) -> Result<Vec<T>, BtfError> {
        let count = self.vlen as usize;
        let mut ahead = *self.reader;
        ahead.take(count * words * 4).ok_or(BtfError::Truncated("a type"))?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }
}
