//! The sections of an ELF file of any class, byte order and machine.
//!
//! In: the bytes of the file. Out: its header and its sections, borrowed; of a vmlinux only the pages of its header, its section headers and their names are touched. A file that is malformed, or
//! cut short behind what is asked for, gives what can be read of it.

use super::unpack;
use crate::bytes::Reader;
use crate::target::Endian;
use std::borrow::Cow;
use std::ops::Range;

/// An ELF file begins with this.
pub(super) const MAGIC: &[u8] = b"\x7fELF";
/// `SHT_NOBITS`: a section without bytes in the file.
const NOBITS: u32 = 8;
/// `SHF_COMPRESSED`
const COMPRESSED: u64 = 0x800;
/// `NT_GNU_BUILD_ID`
const BUILD_ID: u32 = 3;
/// Sections that only files with DWARF have; the second is how they were once compressed.
const DWARF: &[&str] = &[".debug_info", ".zdebug_info"];
/// Longer names of sections are cut: very many could be the ends of one that is very long.
const LONGEST: usize = 4096;
/// `SHN_XINDEX`: the number is in the first section header.
const ELSEWHERE: u16 = 0xffff;

/// An ELF file.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    /// Its byte order.
    pub(super) endian: Endian,
    /// The machine that its code is for (`e_machine`).
    pub(super) machine: u16,
    /// The size of an address in bytes.
    pub(super) address_size: u32,
    /// Its sections by index.
    pub(super) sections: Vec<Section<'a>>,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    /// Its name.
    pub(super) name: &'a [u8],
    /// Whether its bytes are compressed.
    pub(super) compressed: bool,
    /// Where its bytes begin in the file.
    offset: usize,
    /// Its bytes; none where the file does not have them.
    pub(super) data: &'a [u8],
}

/// A section header, of either class.
struct Header {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl<'a> Elf<'a> {
    /// Reads headers; none where it is no ELF file, or its headers are broken.
    pub(super) fn parse(file: &'a [u8]) -> Option<Elf<'a>> {
        let (ident, rest) = file.split_at_checked(16)?;
        if !ident.starts_with(MAGIC) {
            return None;
        }
        let wide = *ident.get(4)? == 2;
        let endian = if *ident.get(5)? == 2 { Endian::Big } else { Endian::Little };
        let word = |reader: &mut Reader<'a>| word(reader, wide);
        let mut reader = Reader::new(endian, rest);
        reader.take(2)?; // type
        let machine = reader.u16()?;
        reader.take(4)?; // version
        word(&mut reader)?; // entry
        word(&mut reader)?; // program headers
        let table = usize::try_from(word(&mut reader)?).ok()?;
        reader.take(10)?; // flags, sizes, program headers
        let (size, count, names) = (reader.u16()?, reader.u16()?, reader.u16()?);
        // Headers that overlapped would be more than the file has room for.
        let size = usize::from(size).max(if wide { 64 } else { 40 });
        let header = |index: usize| {
            let at = index.checked_mul(size)?.checked_add(table)?;
            section_header(&mut Reader::new(endian, file.get(at..)?), wide)
        };
        let first = header(0);
        // Of more than 65279 sections the first header has the number.
        let count = match (count, &first) {
            (0, Some(first)) => usize::try_from(first.size).ok()?,
            _ => count.into(),
        };
        let names = match (names, &first) {
            (ELSEWHERE, Some(first)) => first.link as usize,
            _ => names.into(),
        };
        let bytes = |header: &Header| {
            let offset = usize::try_from(header.offset).ok()?;
            let size = usize::try_from(header.size).ok()?;
            file.get(offset..)?.get(..size).filter(|_| header.kind != NOBITS)
        };
        let names = header(names).as_ref().and_then(bytes).unwrap_or_default();
        let mut sections = Vec::new();
        // It ends with the last header that the file has, whatever the count is.
        for header in (0..count).map_while(header) {
            let name = names.get(header.name as usize..).unwrap_or_default();
            let name = name.get(..LONGEST).unwrap_or(name);
            let len = memchr::memchr(0, name).unwrap_or(name.len());
            sections.push(Section {
                name: &name[..len],
                compressed: header.flags & COMPRESSED != 0,
                offset: usize::try_from(header.offset).unwrap_or(usize::MAX),
                data: bytes(&header).unwrap_or_default(),
            });
        }
        Some(Elf { endian, machine, address_size: if wide { 8 } else { 4 }, sections })
    }

    /// The first section of that name that has bytes.
    pub(super) fn section(&self, name: &str) -> Option<Section<'a>> {
        let named = |section: &&Section| section.name == name.as_bytes();
        self.sections.iter().filter(named).find(|section| !section.data.is_empty()).copied()
    }
}

/// The file that has the debugging information of another.
#[derive(Debug)]
pub(super) struct DebugLink<'a> {
    /// Its name, without a folder.
    pub(super) name: &'a str,
    /// Of its bytes, as gzip computes it.
    pub(super) checksum: u32,
}

impl<'a> Elf<'a> {
    /// Whether there is DWARF in it.
    pub(super) fn has_dwarf(&self) -> bool {
        DWARF.iter().any(|name| self.section(name).is_some())
    }

    /// What `.gnu_debuglink` names: a name, zeros up to a multiple of 4, a checksum.
    pub(super) fn debug_link(&self) -> Option<DebugLink<'a>> {
        let data = self.section(".gnu_debuglink")?.data;
        let (name, sum) = data.split_at_checked(data.len().checked_sub(4)?)?;
        let name = str::from_utf8(name).ok()?.trim_end_matches('\0');
        let checksum = Reader::new(self.endian, sum).u32()?;
        let plain = !name.is_empty() && !name.contains(['/', '\0']);
        plain.then_some(DebugLink { name, checksum })
    }

    /// The build id; a vmlinux has it among its other notes.
    pub(super) fn build_id(&self) -> Option<&'a [u8]> {
        let notes = [".note.gnu.build-id", ".notes"].iter().find_map(|name| self.section(name))?;
        let mut reader = Reader::new(self.endian, notes.data);
        loop {
            let (name, len, kind) = (reader.u32()?, reader.u32()?, reader.u32()?);
            let name = reader.take((name as usize).checked_next_multiple_of(4)?)?;
            let note = reader.take((len as usize).checked_next_multiple_of(4)?)?;
            if name == b"GNU\0" && kind == BUILD_ID {
                return note.get(..len as usize).filter(|id| id.len() > 1);
            }
        }
    }
}

impl<'a> Section<'a> {
    /// Where its bytes are in the file.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.data.len()
    }

    /// Its bytes, unpacked if they are compressed, or why they cannot be had.
    pub(super) fn contents(&self, elf: &Elf<'_>) -> Result<Cow<'a, [u8]>, String> {
        if !self.compressed {
            return Ok(Cow::Borrowed(self.data));
        }
        let name = String::from_utf8_lossy(self.name);
        let mut reader = Reader::new(elf.endian, self.data);
        let kind = reader.u32();
        // Behind the kind: (in the wide class) nothing, the size unpacked, the alignment.
        let header = if elf.address_size == 8 { 24 } else { 12 };
        let stream = self.data.get(header..).unwrap_or_default();
        let unpacked = match kind {
            Some(1) => unpack::zlib(stream),
            Some(2) => unpack::zstd(stream),
            _ => Err("its compression is unknown".to_owned()),
        };
        unpacked
            .map(Cow::Owned)
            .map_err(|why| format!("the section {name} is compressed, and {why}"))
    }
}

/// A number that has as many bytes as an address.
fn word(reader: &mut Reader<'_>, wide: bool) -> Option<u64> {
    if wide { reader.u64() } else { reader.u32().map(u64::from) }
}

fn section_header(reader: &mut Reader<'_>, wide: bool) -> Option<Header> {
    let (name, kind, flags) = (reader.u32()?, reader.u32()?, word(reader, wide)?);
    word(reader, wide)?; // address
    let (offset, size) = (word(reader, wide)?, word(reader, wide)?);
    Some(Header { name, kind, flags, offset, size, link: reader.u32()? })
}
