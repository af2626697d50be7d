//! The types of one kernel, packed: those of a `.BTF` section, with names in a table that all kernels share.
//!
//! BTF is words of 32 bits, most of them small or near to one before. Here each is a number of as many bytes as it needs (LEB128): a name is its place in the shared table, a type the distance from the type that
//! refers to it, an offset the distance from the member before. [`LAYOUT`] says which word is what; packing and unpacking are the same walk. What an object asks for is a small part of what the library does: only that, and what it is made of, becomes BTF, which is read as warily as any other.

use super::numbers::{Bytes, signed, unsigned};

use crate::btf::{HEADER, MAGIC, Wanted, kind};
use crate::bytes::{Reader, Strings, Writer};
use crate::target::Endian;
use rustc_hash::FxHashMap;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// A number.
    Plain,
    /// A name, by its offset among the strings.
    Name,
    /// A type, by its id.
    Type,
    /// A number that ascends from item to item.
    Ascending,
}

/// What follows a type's name and kind: its third word, its further words, and those of each of its items. `items` says whether the number of items means something.
struct Shape {
    kind: u32,
    third: Word,
    own: &'static [Word],
    items: bool,
    each: &'static [Word],
}

impl Shape {
    /// What each of the words behind the second is, of a type of that many items.
    fn words(&'static self, vlen: u32) -> impl Iterator<Item = Word> {
        let items = if self.each.is_empty() { 0 } else { vlen as usize };
        let items = std::iter::repeat_n(self.each, items).flatten();
        std::iter::once(&self.third).chain(self.own).chain(items).copied()
    }
}

const fn shape(kind: u32, third: Word) -> Shape {
    Shape { kind, third, own: &[], items: false, each: &[] }
}

/// Every kind that is written (`Documentation/bpf/btf.rst`), by its number.
const LAYOUT: [Shape; 19] = {
    use Word::{Ascending, Name, Plain, Type};
    const MEMBERS: &[Word] = &[Name, Type, Ascending];
    [
        Shape { own: &[Plain], ..shape(kind::INT, Plain) },
        shape(kind::PTR, Type),
        Shape { own: &[Type, Type, Plain], ..shape(kind::ARRAY, Plain) },
        Shape { items: true, each: MEMBERS, ..shape(kind::STRUCT, Plain) },
        Shape { items: true, each: MEMBERS, ..shape(kind::UNION, Plain) },
        Shape { items: true, each: &[Name, Ascending], ..shape(kind::ENUM, Plain) },
        shape(kind::FWD, Plain),
        shape(kind::TYPEDEF, Type),
        shape(kind::VOLATILE, Type),
        shape(kind::CONST, Type),
        shape(kind::RESTRICT, Type),
        // Its number of items is how it is linked.
        Shape { items: true, ..shape(kind::FUNC, Type) },
        Shape { items: true, each: &[Name, Type], ..shape(kind::FUNC_PROTO, Type) },
        Shape { own: &[Plain], ..shape(kind::VAR, Type) },
        Shape { items: true, each: &[Type, Plain, Plain], ..shape(kind::DATASEC, Plain) },
        shape(kind::FLOAT, Plain),
        Shape { own: &[Plain], ..shape(kind::DECL_TAG, Type) },
        shape(kind::TYPE_TAG, Type),
        Shape { items: true, each: &[Name, Ascending, Plain], ..shape(kind::ENUM64, Plain) },
    ]
};

fn layout(kind: u32) -> Option<&'static Shape> {
    LAYOUT.get((kind as usize).checked_sub(1)?).filter(|shape| shape.kind == kind)
}

/// A type's kind in its first byte; the highest bit is the flag.
const KIND: u8 = 0x1f;
const FLAG: u8 = 0x80;
const FLAG_SHIFT: u32 = 31;
/// The number of items, in the second word.
const MAX_ITEMS: u32 = 0x00ff_ffff;

/// Packs the types of a `.BTF` section that [`crate::btf::Builder`] wrote. None if it is another.
pub(super) fn pack(btf: &[u8], endian: Endian, names: &mut Strings) -> Option<Vec<u8>> {
    let mut header = Reader::new(endian, btf);
    header.take(8)?;
    let [start, len, strings] = [header.u32()?, header.u32()?, header.u32()?];
    let body = btf.get(HEADER as usize..)?;
    let strings = body.get(strings as usize..)?;
    let mut words = Reader::new(endian, body.get(start as usize..)?.get(..len as usize)?);
    let mut name = |offset: u32| {
        let tail = strings.get(offset as usize..)?;
        let end = memchr::memchr(0, tail)?;
        Some(names.add(str::from_utf8(tail.get(..end)?).ok()?))
    };
    let mut out = Vec::new();
    let mut id = 0_u32;
    while !words.is_empty() {
        id += 1;
        let [own_name, info, third] = [words.u32()?, words.u32()?, words.u32()?];
        let (kind, vlen) = (info >> 24 & 0x7f, info & 0x00ff_ffff);
        let shape = layout(kind)?;
        out.push(u8::try_from(kind).ok()? | if info >> FLAG_SHIFT == 1 { FLAG } else { 0 });
        unsigned(&mut out, name(own_name)?.into());
        if shape.items {
            unsigned(&mut out, vlen.into());
        }
        let mut before = 0;
        let mut put = |word: Word, value: u32| {
            match word {
                Word::Plain => unsigned(&mut out, value.into()),
                Word::Name => unsigned(&mut out, name(value)?.into()),
                Word::Type if value == 0 => unsigned(&mut out, 0),
                // Zero is `void`; no type refers to itself alone.
                Word::Type => signed(&mut out, id.wrapping_sub(value).cast_signed()),
                Word::Ascending => {
                    signed(&mut out, value.wrapping_sub(before).cast_signed());
                    before = value;
                }
            }
            Some(())
        };
        put(shape.third, third)?;
        for word in shape.own {
            put(*word, words.u32()?)?;
        }
        for _ in 0..if shape.each.is_empty() { 0 } else { vlen } {
            for word in shape.each {
                put(*word, words.u32()?)?;
            }
        }
    }
    Some(out)
}

/// The types of one kernel, unpacked.
#[derive(Debug)]
pub(super) struct Types {
    /// The words of all types, one type after the other.
    words: Vec<u32>,
    /// Where each type begins.
    starts: Vec<usize>,
}

/// How much of a type an excerpt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// Nothing.
    None,
    /// It is only pointed to: of a struct or union name and size, without members.
    Outside,
    /// All of it.
    Whole,
}

/// The words before the items: name, what it is, and a third.
const HEAD: usize = 3;

impl Types {
    /// What [`pack`] made. None if it is broken.
    pub(super) fn unpack(packed: &[u8]) -> Option<Types> {
        // A word takes at least one byte.
        let (mut words, mut starts) = (Vec::with_capacity(packed.len()), Vec::new());
        let mut from = Bytes::new(packed);
        let mut id = 0_u32;
        while !from.is_empty() {
            id = id.checked_add(1)?;
            let head = from.byte()?;
            let kind = u32::from(head & KIND);
            let shape = layout(kind)?;
            let name = from.u32()?;
            let vlen = if shape.items { from.u32()? } else { 0 };
            if vlen > MAX_ITEMS || head & !(KIND | FLAG) != 0 {
                return None;
            }
            starts.push(words.len());
            words.extend([name, u32::from(head & FLAG != 0) << FLAG_SHIFT | kind << 24 | vlen]);
            let mut before = 0_u32;
            for word in shape.words(vlen) {
                words.push(match word {
                    Word::Plain | Word::Name => from.u32()?,
                    Word::Type => match from.i32()? {
                        0 => 0,
                        distance => id.wrapping_sub(distance.cast_unsigned()),
                    },
                    Word::Ascending => {
                        before = before.wrapping_add(from.i32()?.cast_unsigned());
                        before
                    }
                });
            }
        }
        Some(Types { words, starts })
    }

    /// A `.BTF` section of the types that are called so, without their flavor, and of what these are made of; of all types if no name is given. None if a type or a name is not there that is referred to.
    pub(super) fn section(
        &self,
        endian: Endian,
        strings: &[u8],
        names: &[&str],
    ) -> Option<Vec<u8>> {
        let depths = self.depths(strings, names)?;
        let mut ids = vec![0_u32; self.starts.len()];
        let mut last = 0;
        for (id, _) in ids.iter_mut().zip(&depths).filter(|(_, depth)| **depth > Depth::None) {
            last += 1;
            *id = last;
        }
        let mut types = Writer::new(endian);
        let mut used = Used { strings, bytes: vec![0], offsets: FxHashMap::default() };
        for (index, depth) in depths.iter().enumerate().filter(|(_, d)| **d > Depth::None) {
            let (shape, words) = self.get(index)?;
            let [name, mut info, ..] = *words else { return None };
            let mut rest = words.get(2..)?;
            if *depth == Depth::Outside && is_composite(shape.kind) {
                info &= !MAX_ITEMS;
                rest = words.get(2..HEAD)?;
            }
            types.words(&[used.name(name)?, info]);
            for (word, value) in shape.words(info & MAX_ITEMS).zip(rest) {
                types.u32(match word {
                    Word::Plain | Word::Ascending => *value,
                    Word::Name => used.name(*value)?,
                    Word::Type if *value == 0 => 0,
                    Word::Type => *ids.get(*value as usize - 1)?,
                });
            }
        }
        let (types_len, strings_len) = (types.len32(), u32::try_from(used.bytes.len()).ok()?);
        let mut out = Writer::new(endian);
        out.bytes.reserve(HEADER as usize + types.bytes.len() + used.bytes.len());
        out.u16(MAGIC);
        out.bytes.extend([1, 0]); // version, flags
        out.words(&[HEADER, 0, types_len, types_len, strings_len]);
        out.bytes.extend(types.bytes);
        out.bytes.extend(used.bytes);
        Some(out.bytes)
    }

    /// How much an excerpt has of each type.
    fn depths(&self, strings: &[u8], names: &[&str]) -> Option<Vec<Depth>> {
        if names.is_empty() {
            return Some(vec![Depth::Whole; self.starts.len()]);
        }
        let mut depths = vec![Depth::None; self.starts.len()];
        let wanted = Wanted::new(names);
        let mut todo = Vec::new();
        for (index, start) in self.starts.iter().enumerate() {
            let tail = strings.get(*self.words.get(*start)? as usize..)?;
            if wanted.may_have(tail) {
                wanted.named(tail, |_| todo.push((index, Depth::Whole)));
            }
        }
        while let Some((index, depth)) = todo.pop() {
            let known = depths.get_mut(index)?;
            if *known >= depth {
                continue;
            }
            *known = depth;
            let (shape, words) = self.get(index)?;
            if depth == Depth::Outside && is_composite(shape.kind) {
                continue;
            }
            // What is behind a pointer is no part of what points to it.
            let depth = if shape.kind == kind::PTR { Depth::Outside } else { depth };
            let info = *words.get(1)?;
            for (word, value) in shape.words(info & MAX_ITEMS).zip(words.get(2..)?) {
                if word == Word::Type && *value != 0 {
                    todo.push((*value as usize - 1, depth));
                }
            }
        }
        Some(depths)
    }

    /// A type's words.
    fn get(&self, index: usize) -> Option<(&'static Shape, &[u32])> {
        let words = self.words.get(*self.starts.get(index)?..)?;
        Some((layout(words.get(1)? >> 24 & u32::from(KIND))?, words))
    }
}

fn is_composite(of: u32) -> bool {
    matches!(of, kind::STRUCT | kind::UNION)
}

/// The names that an excerpt uses.
struct Used<'s> {
    strings: &'s [u8],
    bytes: Vec<u8>,
    offsets: FxHashMap<u32, u32>,
}

impl Used<'_> {
    /// The place of a name, which is put there if it is new.
    fn name(&mut self, offset: u32) -> Option<u32> {
        if offset == 0 {
            return Some(0);
        }
        if let Some(known) = self.offsets.get(&offset) {
            return Some(*known);
        }
        let tail = self.strings.get(offset as usize..)?;
        let name = tail.get(..=memchr::memchr(0, tail)?)?;
        let place = u32::try_from(self.bytes.len()).ok()?;
        self.bytes.extend(name);
        self.offsets.insert(offset, place);
        // Each name of the table is there once, unless some are ends of others.
        (self.bytes.len() <= self.strings.len()).then_some(place)
    }
}
