//! The types of one kernel, packed: those of a `.BTF` section, with names in a table that all kernels share.
//!
//! BTF is words of 32 bits, most of them small or near to one before. Here each is a number of as many bytes as it needs (LEB128): a name is its place in the shared table, a type the distance from the type that
//! refers to it, an offset the distance from the member before. [`LAYOUT`] says which word is what; packing and unpacking are the same walk. What is unpacked is BTF as any other, and read as warily.

use super::numbers::{Bytes, signed, unsigned};

use crate::btf::{HEADER, MAGIC, kind};
use crate::bytes::{Reader, Strings, Writer};
use crate::target::Endian;

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

/// A `.BTF` section of what [`pack`] made, with `strings` as its strings. None if it is broken.
pub(super) fn unpack(packed: &[u8], endian: Endian, strings: &[u8]) -> Option<Vec<u8>> {
    // A word takes at least one byte, a head of three words at least three.
    let mut types = Writer::new(endian);
    types.bytes.reserve(packed.len().saturating_mul(3));
    let mut from = Bytes::new(packed);
    let mut id = 0_u32;
    while !from.is_empty() {
        id = id.checked_add(1)?;
        let head = from.byte()?;
        let kind = u32::from(head & KIND);
        let shape = layout(kind)?;
        let name = from.u32()?;
        let vlen = if shape.items { from.u32()? } else { 0 };
        if vlen > 0x00ff_ffff || head & !(KIND | FLAG) != 0 {
            return None;
        }
        types.words(&[name, u32::from(head & FLAG != 0) << FLAG_SHIFT | kind << 24 | vlen]);
        let mut before = 0_u32;
        let mut get = |word: Word| {
            let value = match word {
                Word::Plain | Word::Name => from.u32()?,
                Word::Type => match from.i32()? {
                    0 => 0,
                    distance => id.wrapping_sub(distance.cast_unsigned()),
                },
                Word::Ascending => {
                    before = before.wrapping_add(from.i32()?.cast_unsigned());
                    before
                }
            };
            types.u32(value);
            Some(())
        };
        get(shape.third)?;
        for word in shape.own {
            get(*word)?;
        }
        for _ in 0..if shape.each.is_empty() { 0 } else { vlen } {
            for word in shape.each {
                get(*word)?;
            }
        }
    }
    let (types_len, strings_len) = (types.len32(), u32::try_from(strings.len()).ok()?);
    let mut out = Writer::new(endian);
    out.bytes.reserve(HEADER as usize + types.bytes.len() + strings.len());
    out.u16(MAGIC);
    out.bytes.extend([1, 0]); // version, flags
    out.words(&[HEADER, 0, types_len, types_len, strings_len]);
    out.bytes.extend(types.bytes);
    out.bytes.extend(strings);
    Some(out.bytes)
}
