//! A relocatable ELF file for BPF.
//!
//! In: sections with their bytes, symbols, and relocations. Out: the file's bytes: header, sections in the order given, symbol table, string table, section headers. Local symbols
//! come before global ones, as ELF demands. Format: System V ABI, ELF-64.

use crate::bytes::{Strings, Writer};
use crate::target::Endian;

/// What a section is: its type in the header.
#[expect(missing_docs, reason = "they are the format's own names")]
pub mod section_type {
    pub const NULL: u32 = 0;
    pub const PROGBITS: u32 = 1;
    pub const SYMTAB: u32 = 2;
    pub const STRTAB: u32 = 3;
    pub const NOBITS: u32 = 8;
    pub const REL: u32 = 9;
}

/// What a section is for: its flags in the header.
#[expect(missing_docs, reason = "they are the format's own names")]
pub mod section_flags {
    pub const WRITE: u64 = 1;
    pub const ALLOC: u64 = 2;
    pub const EXECINSTR: u64 = 4;
    pub const INFO_LINK: u64 = 0x40;
}

/// What a symbol stands for.
#[expect(missing_docs, reason = "they are the format's own names")]
pub mod symbol_type {
    pub const NONE: u8 = 0;
    pub const OBJECT: u8 = 1;
    pub const FUNC: u8 = 2;
    pub const SECTION: u8 = 3;
}

/// The machine of BPF objects, `EM_BPF`.
pub const MACHINE: u16 = 247;
/// The type of relocatable objects, `ET_REL`.
pub const RELOCATABLE: u16 = 1;
/// The relocation of a 64-bit immediate load, `R_BPF_64_64`.
pub const R_BPF_64_64: u32 = 1;

const HEADER_SIZE: usize = 64;
const SECTION_HEADER_SIZE: u16 = 64;
const SYMBOL_SIZE: usize = 24;
const REL_SIZE: u64 = 16;

/// The index of a section as it was added; in the file it is one more, since the first header is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectionIdx(usize);

/// The index of a symbol as it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymbolIdx(usize);

/// A section.
#[derive(Debug, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// One of [`section_type`].
    pub kind: u32,
    /// Of [`section_flags`].
    pub flags: u64,
    /// In bytes.
    pub align: u64,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Where a loader puts addresses in it: offsets in bytes, ascending.
    pub relocs: Vec<(u64, SymbolIdx)>,
}

/// A symbol.
#[derive(Debug)]
pub struct Symbol {
    /// Its name; empty for a section's.
    pub name: String,
    /// One of [`symbol_type`].
    pub kind: u8,
    /// Whether other objects see it.
    pub global: bool,
    /// Where it is; nothing where another file defines it.
    pub section: Option<SectionIdx>,
    /// In bytes from the start of the section.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
}

/// A file under construction.
#[derive(Debug, Default)]
pub struct File {
    sections: Vec<Section>,
    symbols: Vec<Symbol>,
}

/// A section header's fields beside name and flags.
struct Header {
    name: u32,
    kind: u32,
    flags: u64,
    data: Vec<u8>,
    link: u32,
    info: u32,
    align: u64,
    entry_size: u64,
}

impl File {
    /// Adds a section.
    pub fn section(&mut self, section: Section) -> SectionIdx {
        self.sections.push(section);
        SectionIdx(self.sections.len() - 1)
    }

    /// Adds a symbol.
    pub fn symbol(&mut self, symbol: Symbol) -> SymbolIdx {
        self.symbols.push(symbol);
        SymbolIdx(self.symbols.len() - 1)
    }

    /// Adds a symbol that another file defines.
    pub fn undefined(&mut self, name: &str) -> SymbolIdx {
        let (name, kind) = (name.into(), symbol_type::NONE);
        self.symbol(Symbol { name, kind, global: true, section: None, offset: 0, size: 0 })
    }

    /// Gives a section its bytes.
    ///
    /// # Panics
    /// When the section is not from this file.
    pub fn fill(&mut self, section: SectionIdx, data: Vec<u8>) {
        self.sections[section.0].data = data;
    }

    /// Adds a relocation to a section.
    ///
    /// # Panics
    /// When the section is not from this file.
    pub fn relocate(&mut self, section: SectionIdx, offset: u64, symbol: SymbolIdx) {
        self.sections[section.0].relocs.push((offset, symbol));
    }

    /// The bytes of the file.
    pub fn bytes(self, endian: Endian) -> Vec<u8> {
        let mut strings = Strings::default();
        let order = self.symbol_order();
        let symtab = index32(self.sections.len() + 1);
        let mut headers = Vec::new();
        let mut relocations = Vec::new();
        for (index, section) in (1..).zip(&self.sections) {
            if !section.relocs.is_empty() {
                let name = strings.add(&format!(".rel{}", section.name));
                relocations.push(Header {
                    name,
                    kind: section_type::REL,
                    flags: section_flags::INFO_LINK,
                    data: rel_table(section, &order, endian),
                    link: symtab,
                    info: index,
                    align: 8,
                    entry_size: REL_SIZE,
                });
            }
        }
        let symbols = self.symbol_table(&order, &mut strings, endian);
        let locals = self.symbols.iter().filter(|symbol| !symbol.global).count();
        for section in self.sections {
            headers.push(Header {
                name: strings.add(&section.name),
                kind: section.kind,
                flags: section.flags,
                data: section.data,
                link: 0,
                info: 0,
                align: section.align,
                entry_size: 0,
            });
        }
        let strtab = symtab + 1 + index32(relocations.len());
        headers.push(Header {
            name: strings.add(".symtab"),
            kind: section_type::SYMTAB,
            flags: 0,
            data: symbols,
            link: strtab,
            info: index32(locals + 1),
            align: 8,
            entry_size: SYMBOL_SIZE as u64,
        });
        headers.append(&mut relocations);
        let name = strings.add(".strtab");
        let data = strings.bytes();
        let kind = section_type::STRTAB;
        headers.push(Header {
            name,
            kind,
            flags: 0,
            data,
            link: 0,
            info: 0,
            align: 1,
            entry_size: 0,
        });
        assemble(&headers, strtab, endian)
    }

    /// Where in the symbol table each symbol is: local ones first, after the empty one.
    fn symbol_order(&self) -> Vec<u32> {
        let locals = self.symbols.iter().filter(|symbol| !symbol.global).count();
        let (mut next_local, mut next_global) = (1, index32(locals + 1));
        let place = |symbol: &Symbol| {
            let next = if symbol.global { &mut next_global } else { &mut next_local };
            *next += 1;
            *next - 1
        };
        self.symbols.iter().map(place).collect()
    }

    fn symbol_table(&self, order: &[u32], strings: &mut Strings, endian: Endian) -> Vec<u8> {
        let mut sorted: Vec<(u32, &Symbol)> = order.iter().copied().zip(&self.symbols).collect();
        sorted.sort_by_key(|(place, _)| *place);
        let mut out = Writer::new(endian);
        out.bytes.resize(SYMBOL_SIZE, 0);
        for (_, symbol) in sorted {
            out.u32(strings.add(&symbol.name));
            out.bytes.extend([u8::from(symbol.global) << 4 | symbol.kind, 0]);
            let section = symbol.section.map_or(0, |section| section.0 + 1);
            out.u16(u16::try_from(section).unwrap_or(u16::MAX));
            out.u64(symbol.offset);
            out.u64(symbol.size);
        }
        out.bytes
    }
}

/// An index in a file; there are far fewer than 2^32 of anything that has one.
fn index32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn rel_table(section: &Section, order: &[u32], endian: Endian) -> Vec<u8> {
    let mut out = Writer::new(endian);
    for (offset, symbol) in &section.relocs {
        out.u64(*offset);
        out.u64(u64::from(order[symbol.0]) << 32 | u64::from(R_BPF_64_64));
    }
    out.bytes
}

/// Puts the sections one after the other, between the file's header and the section headers.
fn assemble(sections: &[Header], strtab: u32, endian: Endian) -> Vec<u8> {
    let mut out = Writer::new(endian);
    out.bytes.resize(HEADER_SIZE, 0);
    let mut table = Writer::new(endian);
    table.bytes.resize(usize::from(SECTION_HEADER_SIZE), 0);
    for section in sections {
        out.align(usize::try_from(section.align).unwrap_or(1));
        table.u32(section.name);
        table.u32(section.kind);
        table.u64(section.flags);
        table.u64(0); // address
        table.u64(out.bytes.len() as u64);
        table.u64(section.data.len() as u64);
        table.u32(section.link);
        table.u32(section.info);
        table.u64(section.align);
        table.u64(section.entry_size);
        out.bytes.extend_from_slice(&section.data);
    }
    out.align(8);
    let header = file_header(out.bytes.len() as u64, sections.len() + 1, strtab, endian);
    out.bytes.splice(..HEADER_SIZE, header);
    out.bytes.extend(table.bytes);
    out.bytes
}

fn file_header(table: u64, sections: usize, strtab: u32, endian: Endian) -> Vec<u8> {
    let mut out = Writer::new(endian);
    let data = match endian {
        Endian::Little => 1,
        Endian::Big => 2,
    };
    out.bytes.extend(*b"\x7fELF");
    out.bytes.extend([2, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // 64 bits, byte order, version, ABI
    out.u16(RELOCATABLE);
    out.u16(MACHINE);
    out.u32(1); // version
    out.u64(0); // entry
    out.u64(0); // program headers
    out.u64(table);
    out.u32(0); // flags
    out.u16(u16::try_from(HEADER_SIZE).unwrap_or(0));
    out.u32(0); // program headers: size and number
    out.u16(SECTION_HEADER_SIZE);
    out.u16(u16::try_from(sections).unwrap_or(u16::MAX));
    out.u16(u16::try_from(strtab).unwrap_or(u16::MAX));
    out.bytes
}
