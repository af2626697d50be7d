//! Objects read back: our own, and any other BPF object.
//!
//! In: the bytes of a relocatable ELF file for BPF, of either byte order. Out: its sections, symbols, functions, maps, types, records and, of our own, the `.ubpf`
//! section, all borrowed from the bytes. No length, offset or index in the file is trusted: whatever the bytes are, reading ends with a value or a [`ReadError`], in
//! memory proportional to the file.

mod btf_ext;
mod maps;

pub use btf_ext::{Core, Ext, Line, SectionExt, raw};
pub use maps::{MapDef, maps};

use super::UBPF_SECTION;
use super::elf::{MACHINE, RELOCATABLE, section_flags, section_type, symbol_type};
use super::ubpf::{Ubpf, VERSION};
use crate::btf::{Btf, BtfError};
use crate::bytes::{Reader, StringTable};
use crate::isa::code::Insn;
use crate::isa::encode;
use crate::target::Endian;
use serde::Deserialize;

/// Why bytes are not an object.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something else.
    #[error("not an ELF file")]
    NotElf,
    /// An ELF file of another kind.
    #[error("not a 64-bit relocatable ELF file for BPF")]
    NotBpf,
    /// It ends too early, or an offset points past its end.
    #[error("{0} is cut short, or lies outside of its file or section")]
    Truncated(&'static str),
    /// A number has a value that it cannot have.
    #[error("{what} has the value {value}, which means nothing")]
    Invalid {
        /// The number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A string is outside of its table, has no end, or is not UTF-8.
    #[error("{0} is not a string")]
    NotString(&'static str),
    /// The section `.BTF` or `.BTF.ext` is at fault.
    #[error("the type information is broken: {0}")]
    Btf(#[from] BtfError),
    /// The `.ubpf` section is of a version that this program does not know.
    #[error("the section .ubpf has version {0}; this program reads version {VERSION}")]
    Version(u32),
    /// The `.ubpf` section is not what the schema says.
    #[error("the section .ubpf is malformed")]
    Json(#[from] serde_json::Error),
}

/// Sections that say something of the others.
const NOTES: [&str; 3] = [".BTF", ".BTF.ext", UBPF_SECTION];
/// The longest name of a section or symbol.
const MAX_NAME: usize = 1024;
/// How often the functions of an object may have its bytes, by several names.
const MAX_NAMES: usize = 4;

/// A section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// Its name.
    pub name: &'a str,
    /// One of [`section_type`].
    pub kind: u32,
    /// Of [`section_flags`].
    pub flags: u64,
    /// Its bytes.
    pub data: &'a [u8],
    /// A section that belongs to it, by kind.
    pub link: u32,
    /// Of relocations: the section that they are for.
    pub info: u32,
}

impl Section<'_> {
    /// Whether it is code: what else is marked so is none.
    pub fn is_code(&self) -> bool {
        self.kind == section_type::PROGBITS
            && self.flags & section_flags::EXECINSTR != 0
            && !NOTES.contains(&self.name)
    }
}

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// One of [`symbol_type`], or another.
    pub kind: u8,
    /// Whether other objects see it.
    pub global: bool,
    /// The index of its section; 0 where there is none.
    pub section: usize,
    /// In bytes from the start of the section.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
}

/// A place that a loader puts an address in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation<'a> {
    /// In bytes from the start of the section.
    pub offset: u64,
    /// The type of the relocation.
    pub kind: u32,
    /// What it refers to.
    pub symbol: Symbol<'a>,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its symbol.
    pub symbol: Symbol<'a>,
    /// The name of its section.
    pub section: &'a str,
    /// Its bytes.
    pub code: &'a [u8],
    /// Their byte order.
    pub endian: Endian,
}

impl Function<'_> {
    /// Its slots.
    pub fn insns(&self) -> Vec<Insn> {
        encode::decode(self.code, self.endian)
    }
}

/// An object.
#[derive(Debug)]
pub struct Object<'a> {
    /// Its byte order.
    pub endian: Endian,
    /// Its sections by index; the first is empty.
    pub sections: Vec<Section<'a>>,
    /// Its symbols by index; the first is empty.
    pub symbols: Vec<Symbol<'a>>,
}

impl<'a> Object<'a> {
    /// Reads headers, sections and symbols.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, ReadError> {
        let ident = bytes.get(..16).ok_or(ReadError::NotElf)?;
        let (magic, rest) = ident.split_at(4);
        if magic != b"\x7fELF" {
            return Err(ReadError::NotElf);
        }
        let endian = match rest {
            [2, 1, 1, ..] => Endian::Little,
            [2, 2, 1, ..] => Endian::Big,
            _ => return Err(ReadError::NotBpf),
        };
        let sections = sections(bytes, endian)?;
        let symbols = symbols(&sections, endian)?;
        Ok(Object { endian, sections, symbols })
    }

    /// The first section of that name.
    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Every function that a symbol names, in the order of the symbols. A symbol that lies outside of its section is an error.
    pub fn functions(&self) -> Result<Vec<Function<'a>>, ReadError> {
        let mut functions = Vec::new();
        let code = self.sections.iter().filter(|section| section.is_code());
        let mut left = code.fold(0, |all, section| all + section.data.len()) * MAX_NAMES;
        for symbol in &self.symbols {
            let Some(section) = self.sections.get(symbol.section) else { continue };
            if symbol.kind != symbol_type::FUNC || !section.is_code() {
                continue;
            }
            let code = slice(section.data, symbol.offset, symbol.size, "a function")?;
            let what = "the size of a function that overlaps others";
            let left_over = left.checked_sub(code.len());
            left = left_over.ok_or(ReadError::Invalid { what, value: symbol.size })?;
            let (section, endian) = (section.name, self.endian);
            functions.push(Function { symbol: *symbol, section, code, endian });
        }
        Ok(functions)
    }

    /// The relocations of the sections of that name, in the order of the file.
    pub fn relocations(&self, name: &str) -> Result<Vec<Relocation<'a>>, ReadError> {
        let mut relocations = Vec::new();
        let tables = self.sections.iter().filter(|table| {
            let of = self.sections.get(table.info as usize);
            table.kind == section_type::REL && of.is_some_and(|of| of.name == name)
        });
        for table in tables {
            relocations.extend(self.relocations_in(table)?);
        }
        Ok(relocations)
    }

    /// The relocations in a table of them.
    pub fn relocations_in(&self, table: &Section<'a>) -> Result<Vec<Relocation<'a>>, ReadError> {
        let mut relocations = Vec::new();
        let mut reader = Reader::new(self.endian, table.data);
        while !reader.is_empty() {
            let entry = reader.u64().zip(reader.u64());
            let (offset, info) = entry.ok_or(ReadError::Truncated("a relocation"))?;
            let what = "the symbol of a relocation";
            let index = info >> 32;
            let symbol = usize::try_from(index).ok().and_then(|index| self.symbols.get(index));
            let symbol = *symbol.ok_or(ReadError::Invalid { what, value: index })?;
            let kind = u32::try_from(info & 0xffff_ffff).unwrap_or(u32::MAX);
            relocations.push(Relocation { offset, kind, symbol });
        }
        Ok(relocations)
    }

    /// The types in `.BTF`.
    pub fn types(&self) -> Result<Option<Btf<'a>>, ReadError> {
        Ok(self.section(".BTF").map(|section| Btf::parse(section.data)).transpose()?)
    }

    /// The records in `.BTF.ext`, whose strings are in `types`.
    pub fn ext(&self, types: &Btf<'a>) -> Result<Option<Ext<'a>>, ReadError> {
        self.section(".BTF.ext").map(|section| Ext::parse(section.data, types)).transpose()
    }

    /// Our own section; `None` in another compiler's object.
    pub fn ubpf(&self) -> Result<Option<Ubpf>, ReadError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Some(section) = self.section(UBPF_SECTION) else { return Ok(None) };
        let Head { version } = serde_json::from_slice(section.data)?;
        if version != VERSION {
            return Err(ReadError::Version(version));
        }
        Ok(Some(serde_json::from_slice(section.data)?))
    }
}

/// A piece of `bytes`.
fn slice<'a>(
    bytes: &'a [u8],
    offset: u64,
    size: u64,
    what: &'static str,
) -> Result<&'a [u8], ReadError> {
    let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
    let piece = range.and_then(|(offset, size)| bytes.get(offset..)?.get(..size));
    piece.ok_or(ReadError::Truncated(what))
}

/// A section header whose name is not looked up yet.
struct Header {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Option<Header> {
        let (name, kind, flags) = (reader.u32()?, reader.u32()?, reader.u64()?);
        let (_address, offset, size) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (link, info) = (reader.u32()?, reader.u32()?);
        let (_align, _entry_size) = (reader.u64()?, reader.u64()?);
        Some(Header { name, kind, flags, offset, size, link, info })
    }
}

/// What the file header says about sections: the offset of the headers, their number, and the section that holds their names.
fn file_header(bytes: &[u8], endian: Endian) -> Result<(u64, u16, u16), ReadError> {
    let mut reader = Reader::new(endian, bytes);
    let mut read = || {
        reader.take(16)?;
        let (kind, machine) = (reader.u16()?, reader.u16()?);
        reader.take(20)?; // version, entry, program headers
        let table = reader.u64()?;
        reader.take(10)?; // flags, sizes and numbers of other headers
        let (size, count, names) = (reader.u16()?, reader.u16()?, reader.u16()?);
        Some((kind, machine, table, size, count, names))
    };
    let (kind, machine, table, size, count, names) =
        read().ok_or(ReadError::Truncated("the file header"))?;
    if kind != RELOCATABLE || machine != MACHINE {
        return Err(ReadError::NotBpf);
    }
    if size != 64 {
        return Err(ReadError::Invalid { what: "the size of section headers", value: size.into() });
    }
    Ok((table, count, names))
}

/// A name, none of which is very long: very many could be the ends of one.
fn name<'a>(
    names: &StringTable<'a>,
    offset: u32,
    what: &'static str,
) -> Result<&'a str, ReadError> {
    let name = names.get(offset).ok_or(ReadError::NotString(what))?;
    if name.len() > MAX_NAME {
        return Err(ReadError::Invalid { what, value: name.len() as u64 });
    }
    Ok(name)
}

fn sections(bytes: &[u8], endian: Endian) -> Result<Vec<Section<'_>>, ReadError> {
    let (table, count, own_names) = file_header(bytes, endian)?;
    let table = slice(bytes, table, u64::from(count) * 64, "the table of sections")?;
    let mut reader = Reader::new(endian, table);
    let headers: Vec<Header> = std::iter::from_fn(|| Header::read(&mut reader)).collect();
    let names = headers.get(usize::from(own_names));
    let names = names.ok_or(ReadError::Truncated("the table of section names"))?;
    expect_strings(names.kind)?;
    let names = slice(bytes, names.offset, names.size, "the table of section names")?;
    let names = StringTable::new(names);
    let section = |header: &Header| -> Result<Section<'_>, ReadError> {
        let name = name(&names, header.name, "a section's name")?;
        let data = match header.kind {
            section_type::NULL | section_type::NOBITS => &[],
            _ => slice(bytes, header.offset, header.size, "a section")?,
        };
        let Header { kind, flags, link, info, .. } = *header;
        Ok(Section { name, kind, flags, data, link, info })
    };
    let sections: Vec<Section<'_>> = headers.iter().map(section).collect::<Result<_, _>>()?;
    // Sections that shared their bytes could be more together than there is memory.
    let total = sections.iter().fold(0, |total, section| total + section.data.len());
    if total > bytes.len() {
        let what = "the size of all sections together";
        return Err(ReadError::Invalid { what, value: total as u64 });
    }
    // What is written anew is no table that others are read by.
    for (index, section) in sections.iter().enumerate() {
        let kinds = [section_type::PROGBITS, section_type::STRTAB];
        if NOTES.contains(&section.name)
            && (!kinds.contains(&section.kind) || index == usize::from(own_names))
        {
            let what = "the type of a section .BTF, .BTF.ext or .ubpf";
            return Err(ReadError::Invalid { what, value: section.kind.into() });
        }
    }
    Ok(sections)
}

/// That names are in a table of strings.
fn expect_strings(kind: u32) -> Result<(), ReadError> {
    let what = "the type of a table of names";
    if kind == section_type::STRTAB {
        Ok(())
    } else {
        Err(ReadError::Invalid { what, value: kind.into() })
    }
}

fn symbols<'a>(sections: &[Section<'a>], endian: Endian) -> Result<Vec<Symbol<'a>>, ReadError> {
    let Some(table) = sections.iter().find(|section| section.kind == section_type::SYMTAB) else {
        return Ok(Vec::new());
    };
    let names = match sections.get(table.link as usize) {
        Some(names) if NOTES.contains(&names.name) => &[],
        Some(names) => {
            expect_strings(names.kind)?;
            names.data
        }
        None => &[],
    };
    let names = StringTable::new(names);
    let mut reader = Reader::new(endian, table.data);
    let mut symbols = Vec::new();
    while !reader.is_empty() {
        let mut read = || {
            let (name, info, _other) = (reader.u32()?, reader.u8()?, reader.u8()?);
            let (section, offset, size) = (reader.u16()?, reader.u64()?, reader.u64()?);
            Some((name, info, section, offset, size))
        };
        let (name, info, section, offset, size) = read().ok_or(ReadError::Truncated("a symbol"))?;
        let name = self::name(&names, name, "a symbol's name")?;
        let (kind, global) = (info & 15, info >> 4 != 0);
        symbols.push(Symbol { name, kind, global, section: section.into(), offset, size });
    }
    Ok(symbols)
}
