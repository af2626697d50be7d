//! Types, decoded one at a time from where the section has them.

use super::read::{Btf, BtfError};
use super::section::Info;
use super::{Member, SecVar, Type, TypeId, kind};
use crate::bytes::Reader;

/// A type whose items are not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'r, 'a> {
    /// The section that it is in, which its ids and strings belong to.
    pub(super) btf: &'r Btf<'a>,
    pub(super) id: TypeId,
    /// The offset of its name.
    pub(super) name: u32,
    pub(super) info: Info,
    /// Its size, or the type that it refers to, as the section has it.
    pub(super) word: u32,
    /// What follows.
    pub(super) rest: Reader<'a>,
}

/// The whole type.
pub(super) fn decode<'a>(raw: Raw<'_, 'a>) -> Result<Type<&'a str>, BtfError> {
    let Raw { btf, id, word, .. } = raw;
    let (kind, flag, vlen) = (raw.info.kind(), raw.info.flag(), raw.info.vlen());
    let name = btf.string(raw.name)?;
    let mut rest = Rest { btf, reader: raw.rest, vlen };
    let ty = TypeId(word);
    Ok(match kind {
        kind::INT => {
            let [encoding, offset, _, bits] = rest.word()?.to_be_bytes();
            Type::Int { name, bytes: word, bits, bit_offset: offset, encoding: encoding & 15 }
        }
        kind::PTR => Type::Ptr(ty),
        kind::ARRAY => {
            Type::Array { elem: rest.type_id()?, index: rest.type_id()?, len: rest.word()? }
        }
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
            let params = rest.list(2, |rest| Ok((rest.name()?, rest.type_id()?)))?;
            Type::FuncProto { ret: ty, params }
        }
        kind::VAR => Type::Var { name, ty, linkage: rest.word()? },
        kind::DATASEC => {
            let vars = rest.list(3, |rest| {
                let (var, offset, size) = (rest.type_id()?, rest.word()?, rest.word()?);
                Ok(SecVar { var, offset, size })
            })?;
            Type::DataSec { name, size: word, vars }
        }
        kind::FLOAT => Type::Float { name, size: word },
        kind::DECL_TAG => Type::DeclTag { name, ty, component: rest.word()?.cast_signed() },
        kind::TYPE_TAG => Type::TypeTag { name, ty },
        _ => return Err(BtfError::UnknownKind { id: id.0, kind }),
    })
}

/// The members of a struct or union, see [`Btf::members`].
#[derive(Clone, Debug, Default)]
pub struct Members<'r, 'a> {
    rest: Option<Rest<'r, 'a>>,
    bitfields: bool,
}

impl<'r, 'a> Members<'r, 'a> {
    pub(super) fn of(raw: Raw<'r, 'a>) -> Members<'r, 'a> {
        let Raw { btf, info, rest: reader, .. } = raw;
        let composite = matches!(info.kind(), kind::STRUCT | kind::UNION);
        let rest = composite.then(|| Rest { btf, reader, vlen: info.vlen() });
        Members { rest, bitfields: info.flag() }
    }
}

impl<'a> Iterator for Members<'_, 'a> {
    type Item = Result<Member<&'a str>, BtfError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.nth(0)
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        let rest = self.rest.as_mut()?;
        let left = u32::try_from(n).ok().and_then(|n| rest.vlen.checked_sub(n));
        let left = left.and_then(|left| left.checked_sub(1));
        let Some(left) = left else {
            self.rest = None;
            return None;
        };
        rest.vlen = left;
        let member = rest.reader.take(n * MEMBER).ok_or(BtfError::Truncated("a type"));
        let member = member.and_then(|_| rest.member(self.bitfields));
        if member.is_err() {
            self.rest = None;
        }
        Some(member)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.as_ref().map_or(0, |rest| rest.vlen as usize);
        (0, Some(left))
    }
}

/// The bytes of a member.
const MEMBER: usize = 12;

/// A 32-bit enumerator, extended to 64 bits.
fn extend(value: u32, signed: bool) -> u64 {
    if signed { i64::from(value.cast_signed()).cast_unsigned() } else { value.into() }
}

/// What follows the common part of a type.
#[derive(Clone, Debug)]
struct Rest<'r, 'a> {
    btf: &'r Btf<'a>,
    reader: Reader<'a>,
    vlen: u32,
}

impl<'a> Rest<'_, 'a> {
    fn word(&mut self) -> Result<u32, BtfError> {
        self.reader.u32().ok_or(BtfError::Truncated("a type"))
    }

    fn type_id(&mut self) -> Result<TypeId, BtfError> {
        self.word().map(TypeId)
    }

    fn name(&mut self) -> Result<&'a str, BtfError> {
        let offset = self.word()?;
        self.btf.string(offset)
    }

    /// A member of a composite type: of one with bitfields (`kind_flag`) the upper 8 bits of an offset are a width. Older ones say what bits a member has by its type, an [`Type::Int`] of fewer bits than
    /// its bytes have.
    fn member(&mut self, bitfields: bool) -> Result<Member<&'a str>, BtfError> {
        let (name, ty, offset) = (self.name()?, self.type_id()?, self.word()?);
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
        let mut ahead = self.reader;
        ahead.take(count * words * 4).ok_or(BtfError::Truncated("a type"))?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }
}
