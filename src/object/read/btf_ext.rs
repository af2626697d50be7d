//! The records of a `.BTF.ext` section, by the code section that they are about.

use super::super::btf_ext::{CoreKind, CoreRecord, FuncInfo, LineInfo, SectionInfo};
use super::{ReadError, slice};
use crate::btf::TypeId;
use crate::btf::{Btf, byte_order};
use crate::bytes::Reader;
use crate::target::Endian;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// Instructions from here on come from a source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// In bytes from the start of the section.
    pub insn_off: u32,
    /// The file's name; empty if it is not UTF-8.
    pub file: &'a str,
    /// The line's text; empty if it is not UTF-8.
    pub text: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 where it is not known.
    pub col: u32,
}

/// A loader fills this instruction in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core<'a> {
    /// In bytes from the start of the section.
    pub insn_off: u32,
    /// The local type.
    pub root: TypeId,
    /// The way into it: numbers with colons between them.
    pub access: &'a str,
    /// What is asked.
    pub kind: CoreKind,
    /// Its number among the records of all sections, in the order of the file.
    pub order: usize,
}

/// The records of one code section, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionExt<'a> {
    /// Functions.
    pub funcs: Vec<FuncInfo>,
    /// Lines.
    pub lines: Vec<Line<'a>>,
    /// What is filled in.
    pub core: Vec<Core<'a>>,
}

/// The records of every code section, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ext<'a> {
    /// In the order of their first records.
    pub sections: IndexMap<&'a str, SectionExt<'a>, FxBuildHasher>,
}

impl<'a> Ext<'a> {
    /// Reads a section, whose strings are in `types`.
    pub fn parse(data: &'a [u8], types: &Btf<'a>) -> Result<Ext<'a>, ReadError> {
        let (endian, [funcs, lines, core]) = parts(data)?;
        let mut ext = Ext::default();
        each(funcs, endian, |name, [insn_off, func]| {
            ext.section(types, name)?.funcs.push(FuncInfo { insn_off, func: TypeId(func) });
            Ok(())
        })?;
        each(lines, endian, |name, [insn_off, file, text, place]| {
            // Sources of other compilers need not be UTF-8.
            let [file, text] = [file, text].map(|offset| types.string(offset).unwrap_or_default());
            let (line, col) = (place >> 10, place & 0x3ff);
            ext.section(types, name)?.lines.push(Line { insn_off, file, text, line, col });
            Ok(())
        })?;
        let mut order = 0;
        each(core, endian, |name, [insn_off, root, access, kind]| {
            let (kind, root) = (core_kind(kind)?, TypeId(root));
            let access = types.string(access)?;
            ext.section(types, name)?.core.push(Core { insn_off, root, access, kind, order });
            order += 1;
            Ok(())
        })?;
        Ok(ext)
    }

    fn section(&mut self, types: &Btf<'a>, name: u32) -> Result<&mut SectionExt<'a>, ReadError> {
        Ok(self.sections.entry(types.string(name)?).or_default())
    }
}

/// Reads the records of each section with their strings as they are: offsets into those of `.BTF`. The sections are in the order of their first records.
pub fn raw(data: &[u8]) -> Result<Vec<SectionInfo>, ReadError> {
    let (endian, [funcs, lines, core]) = parts(data)?;
    let mut sections = RawSections::default();
    each(funcs, endian, |name, [insn_off, func]| {
        section(&mut sections, name).funcs.push(FuncInfo { insn_off, func: TypeId(func) });
        Ok(())
    })?;
    each(lines, endian, |name, [insn_off, file, text, place]| {
        let (line, col) = (place >> 10, place & 0x3ff);
        section(&mut sections, name).lines.push(LineInfo { insn_off, file, text, line, col });
        Ok(())
    })?;
    each(core, endian, |name, [insn_off, root, access, kind]| {
        let kind = core_kind(kind)?;
        section(&mut sections, name).core.push(CoreRecord {
            insn_off,
            root: TypeId(root),
            access,
            kind,
        });
        Ok(())
    })?;
    Ok(sections.into_values().collect())
}

type RawSections = IndexMap<u32, SectionInfo, FxBuildHasher>;

fn section(sections: &mut RawSections, name: u32) -> &mut SectionInfo {
    sections.entry(name).or_insert_with(|| SectionInfo { name, ..SectionInfo::default() })
}

fn core_kind(kind: u32) -> Result<CoreKind, ReadError> {
    let what = "the kind of a CO-RE record";
    CoreKind::from_number(kind).ok_or(ReadError::Invalid { what, value: kind.into() })
}

/// The byte order of a section and its parts: functions, lines, CO-RE records.
fn parts(data: &[u8]) -> Result<(Endian, [&[u8]; 3]), ReadError> {
    let endian = byte_order(data)?;
    let mut reader = Reader::new(endian, data);
    let mut read = || {
        reader.take(4)?; // magic, version, flags
        let header = reader.u32()?;
        let parts = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        // A header of 24 bytes has no part for CO-RE.
        let core = if header >= 32 { [reader.u32()?, reader.u32()?] } else { [0, 0] };
        Some((header, [[parts[0], parts[1]], [parts[2], parts[3]], core]))
    };
    let (header, places) = read().ok_or(ReadError::Truncated("the header of .BTF.ext"))?;
    let mut parts = [&[][..]; 3];
    for (part, [offset, len]) in parts.iter_mut().zip(places) {
        let offset = u64::from(header) + u64::from(offset);
        *part = slice(data, offset, len.into(), "a part of .BTF.ext")?;
    }
    Ok((endian, parts))
}

/// Reads one part: the size of its records, then groups of them by section. What a record has beyond the known words is passed over.
fn each<const WORDS: usize>(
    data: &[u8],
    endian: Endian,
    mut record: impl FnMut(u32, [u32; WORDS]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if data.is_empty() {
        return Ok(());
    }
    let cut = || ReadError::Truncated("a part of .BTF.ext");
    let mut reader = Reader::new(endian, data);
    let size = reader.u32().ok_or_else(cut)?;
    let tail = (size as usize).checked_sub(WORDS * 4);
    let what = "the size of a record in .BTF.ext";
    let tail = tail.ok_or(ReadError::Invalid { what, value: size.into() })?;
    while !reader.is_empty() {
        let (name, count) = reader.u32().zip(reader.u32()).ok_or_else(cut)?;
        for _ in 0..count {
            let mut words = [0; WORDS];
            for word in &mut words {
                *word = reader.u32().ok_or_else(cut)?;
            }
            reader.take(tail).ok_or_else(cut)?;
            record(name, words)?;
        }
    }
    Ok(())
}
