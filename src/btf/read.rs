//! A `.BTF` section that is read, types one at a time.
//!
//! In: the bytes of a section of either byte order, whole or split (a module's types, which go on where those of its base end). Out: types by id, decoded when they are asked
//! for, with names borrowed from the bytes. Reading a section walks over its types once and remembers where each begins, in four bytes; nothing else is indexed. Whatever the bytes are, it ends with a value or
//! an error, in time and memory proportional to them.

use super::decode::{Members, Raw, decode};
use super::find::Wanted;
use super::section::{Info, Section, known, word};
use super::{Type, TypeId, VOID, kind};
use crate::bytes::Reader;
use crate::target::Endian;
use std::sync::{Arc, OnceLock};

/// How many modifiers, or levels of arrays, are followed.
const MAX_DEPTH: usize = 32;

/// The longest string that is read, so that many references to a long one do no harm. Names that the kernel takes have at most 511 bytes (`v6.12 kernel/bpf/btf.c: __btf_name_valid`).
pub(super) const MAX_STRING: usize = 4096;

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
    /// A type of a kind that is not known here.
    #[error("type {id} is of kind {kind}, which this program does not know")]
    UnknownKind {
        /// The type.
        id: u32,
        /// The number of its kind.
        kind: u32,
    },
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
    section: Section<'a>,
    /// Where each of the section's own types begins.
    offsets: Vec<u32>,
    base: Option<Arc<Btf<'a>>>,
    /// In bytes, once it is known.
    pointer_size: OnceLock<u32>,
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
        let section = Section::parse(data)?;
        let first = base.as_ref().map_or(1, |base| base.end().0);
        let (endian, offsets) = (section.endian, section.offsets(first)?);
        let pointer_size = OnceLock::new();
        Ok(Btf { endian, section, offsets, base, pointer_size })
    }

    /// The size of a pointer in bytes: what [`Btf::set_pointer_size`] says, otherwise what the types show (see [`super::pointer`]).
    pub fn pointer_size(&self) -> u32 {
        let size = || {
            self.base
                .as_ref()
                .map_or_else(|| super::pointer::size(self), |base| base.pointer_size())
        };
        *self.pointer_size.get_or_init(size)
    }

    /// Says what the size of a pointer is: BTF does not.
    pub fn set_pointer_size(&mut self, bytes: u32) {
        self.pointer_size = OnceLock::from(bytes);
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
        if id == VOID { Ok(Type::Void) } else { decode(self.raw(id)?) }
    }

    /// The number of the kind of a type, one of [`kind`] or another; 0 for `void`.
    pub fn kind(&self, id: TypeId) -> Result<u32, BtfError> {
        if id == VOID { Ok(0) } else { Ok(self.raw(id)?.info.kind()) }
    }

    /// The name of a type, empty where it has none. The rest of the type is not looked at.
    pub fn name(&self, id: TypeId) -> Result<&'a str, BtfError> {
        if id == VOID {
            return Ok("");
        }
        let raw = self.raw(id)?;
        raw.btf.string(raw.name)
    }

    /// The members of a struct or union, decoded one at a time; none of other types. Of large structs mostly one member is wanted.
    pub fn members(&self, id: TypeId) -> Result<Members<'_, 'a>, BtfError> {
        if id == VOID { Ok(Members::default()) } else { Ok(Members::of(self.raw(id)?)) }
    }

    /// A type other than `void` before its items are decoded.
    pub(super) fn raw(&self, id: TypeId) -> Result<Raw<'_, 'a>, BtfError> {
        let (mut btf, none) = (self, BtfError::NoType(id.0));
        while let Some(base) = btf.base.as_deref().filter(|_| id < btf.first()) {
            btf = base;
        }
        let index = id.0.checked_sub(btf.first().0).ok_or(none.clone())?;
        let offset = *btf.offsets.get(index as usize).ok_or(none)?;
        let bytes = btf.section.types.get(offset as usize..).unwrap_or_default();
        let mut rest = Reader::new(btf.endian, bytes);
        let mut read = || Some([rest.u32()?, rest.u32()?, rest.u32()?]);
        let [name, info, word] = read().ok_or(BtfError::Truncated("a type"))?;
        Ok(Raw { btf, id, name, info: Info(info), word, rest })
    }

    /// The string at an offset, also of the base.
    pub fn string(&self, offset: u32) -> Result<&'a str, BtfError> {
        if offset == 0 {
            return Ok("");
        }
        let rest = self.tail(offset);
        let longest = rest.get(..MAX_STRING).unwrap_or(rest);
        let bytes = memchr::memchr(0, longest).and_then(|len| rest.get(..len));
        let string = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        string.ok_or(BtfError::NoString(offset))
    }

    /// The strings of the section, or of its base, from an offset on; nothing where there are none.
    fn tail(&self, offset: u32) -> &'a [u8] {
        let mut btf = self;
        loop {
            let base = btf.base.as_deref();
            match (offset.checked_sub(base.map_or(0, Btf::strings_end)), base) {
                (Some(own), _) => return btf.section.strings.get(own as usize..).unwrap_or(&[]),
                (None, Some(base)) => btf = base,
                (None, None) => return &[],
            }
        }
    }

    fn strings_end(&self) -> u32 {
        let own = u32::try_from(self.section.strings.len()).unwrap_or(u32::MAX);
        self.base.as_deref().map_or(0, Btf::strings_end).saturating_add(own)
    }

    /// Its own types, not those of its base, whose name is one of `names` when what follows `___` is left out (see [`super::essential`]): for each name, in the order of ids.
    /// Types of unknown kinds are passed over. No type is decoded, and no name is read but those that begin as a wanted one does.
    pub fn find(&self, names: &[&str]) -> Vec<Vec<TypeId>> {
        let mut found = vec![Vec::new(); names.len()];
        let wanted = Wanted::new(names);
        let start = self.base.as_deref().map_or(0, Btf::strings_end);
        for (id, head) in self.heads() {
            let Some(name) = word(self.endian, head, 0).filter(|name| *name != 0) else { continue };
            let tail = match name.checked_sub(start) {
                Some(own) => self.section.strings.get(own as usize..).unwrap_or(&[]),
                None => self.tail(name),
            };
            if wanted.may_have(tail) {
                let known = self.kind(id).is_ok_and(known);
                wanted.named(tail, |index| found[index].extend(known.then_some(id)));
            }
        }
        found
    }

    /// Its own types with the bytes that begin with them.
    fn heads(&self) -> impl Iterator<Item = (TypeId, &'a [u8])> {
        let types = self.section.types;
        let at = |offset: &u32| types.get(*offset as usize..).unwrap_or(&[]);
        self.ids().zip(self.offsets.iter().map(at))
    }

    /// Its own types of a kind.
    pub(super) fn of_kind(&self, kind: u32) -> impl Iterator<Item = TypeId> {
        let info = |head| word(self.endian, head, 4).map(Info);
        let mut heads = self.heads();
        std::iter::from_fn(move || {
            let of = heads.find(|(_, head)| info(head).is_some_and(|info| info.kind() == kind));
            of.map(|(id, _)| id)
        })
    }

    /// What is behind typedefs, qualifiers and type tags.
    pub fn strip(&self, id: TypeId) -> Result<TypeId, BtfError> {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            if at == VOID {
                return Ok(at);
            }
            let raw = self.raw(at)?;
            if !is_modifier(raw.info.kind()) {
                return Ok(at);
            }
            at = TypeId(raw.word);
        }
        Err(BtfError::TooDeep(id.0))
    }

    /// The size of a type in bytes.
    pub fn size(&self, id: TypeId) -> Result<u32, BtfError> {
        let none = BtfError::NoSize(id.0);
        let (mut at, mut count) = (id, 1_u32);
        for _ in 0..MAX_DEPTH {
            at = self.strip(at)?;
            if at == VOID {
                return Err(none);
            }
            let mut raw = self.raw(at)?;
            let size = match raw.info.kind() {
                kind::INT
                | kind::STRUCT
                | kind::UNION
                | kind::ENUM
                | kind::ENUM64
                | kind::DATASEC
                | kind::FLOAT => raw.word,
                kind::PTR => self.pointer_size(),
                kind::ARRAY => {
                    let mut words = || Some([raw.rest.u32()?, raw.rest.u32()?, raw.rest.u32()?]);
                    let [elem, _index, len] = words().ok_or(BtfError::Truncated("a type"))?;
                    count = count.checked_mul(len).ok_or(none.clone())?;
                    at = TypeId(elem);
                    continue;
                }
                kind::VAR | kind::DECL_TAG => {
                    at = TypeId(raw.word);
                    continue;
                }
                _ => return Err(none),
            };
            return count.checked_mul(size).ok_or(none);
        }
        Err(BtfError::TooDeep(id.0))
    }
}

/// Whether a type of that kind is another with a property more, or under another name.
fn is_modifier(kind: u32) -> bool {
    use kind::{CONST, RESTRICT, TYPE_TAG, TYPEDEF, VOLATILE};
    matches!(kind, TYPEDEF | CONST | VOLATILE | RESTRICT | TYPE_TAG)
}
