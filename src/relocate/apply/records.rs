//! `.BTF.ext` after code has moved: functions and lines follow their instructions, CO-RE records are gone.
//!
//! In: the section as it was, and where each slot is now. Out: the section, and where each of its records is now, for the relocations that some compilers write for it. Words that
//! this program does not know stay in their records.

use super::super::edit::{Code, Section};
use super::ApplyError;
use crate::btf::Btf;
use crate::bytes::{Reader, Writer};
use crate::object::read::ReadError;
use crate::target::Endian;
use std::collections::BTreeMap;

/// With a part for CO-RE.
const HEADER: usize = 32;

/// The section again.
pub(super) struct Records {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Where each record was, and where it is now, in bytes.
    pub moved: BTreeMap<u64, u64>,
}

/// A part of the section: what its records are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Functions,
    Lines,
    Core,
}

/// Moves the records of `data` along with `code`; where there is none, nothing has moved.
pub(super) fn follow(
    data: &[u8],
    endian: Endian,
    types: &Btf<'_>,
    code: Option<&Code>,
) -> Result<Records, ApplyError> {
    let cut = || ReadError::Truncated("the header of .BTF.ext");
    let mut reader = Reader::new(endian, data);
    let mut read = || {
        reader.take(4)?;
        let header = reader.u32()?;
        let mut parts = Vec::new();
        for part in [Part::Functions, Part::Lines, Part::Core] {
            if part != Part::Core || header as usize >= HEADER {
                parts.push((part, reader.u32()?, reader.u32()?));
            }
        }
        Some((header as usize, parts))
    };
    let (header, parts) = read().ok_or_else(cut)?;
    let mut follower = Follower {
        endian,
        sections: by_name(code)?,
        types,
        start: header.min(HEADER),
        body: Writer::new(endian),
        moved: BTreeMap::new(),
    };
    let mut out = Writer::new(endian);
    out.bytes.extend_from_slice(data.get(..4).ok_or_else(cut)?);
    out.u32(u32::try_from(header.min(HEADER)).map_err(|_| cut())?);
    for (part, offset, len) in parts {
        let start = header + offset as usize;
        let piece = data.get(start..).and_then(|rest| rest.get(..len as usize));
        let piece = piece.ok_or(ReadError::Truncated("a part of .BTF.ext"))?;
        let before = follower.body.len32();
        if part != Part::Core {
            let done = follower.part(part, start, piece);
            done.ok_or(ReadError::Truncated("a part of .BTF.ext"))?;
        }
        out.u32(before);
        out.u32(follower.body.len32() - before);
    }
    out.bytes.append(&mut follower.body.bytes);
    Ok(Records { data: out.bytes, moved: follower.moved })
}

/// The code sections by name. Records name their section, so that no two may have one name.
pub(in super::super) fn by_name(
    code: Option<&Code>,
) -> Result<BTreeMap<&str, &Section>, ApplyError> {
    let mut sections = BTreeMap::new();
    for section in code.into_iter().flat_map(|code| code.sections.values()) {
        if sections.insert(section.name.as_str(), section).is_some() {
            return Err(ApplyError::TwoSections(section.name.clone()));
        }
    }
    Ok(sections)
}

struct Follower<'a> {
    endian: Endian,
    sections: BTreeMap<&'a str, &'a Section>,
    types: &'a Btf<'a>,
    /// Where the parts begin in the new section.
    start: usize,
    body: Writer,
    moved: BTreeMap<u64, u64>,
}

/// A record: where it was in the section, the instruction that it is about, and its other bytes.
struct Record<'a> {
    was: usize,
    insn_off: u32,
    rest: &'a [u8],
}

impl Follower<'_> {
    /// Moves one part, which begins at `start` in the old section; none where it is cut short.
    fn part(&mut self, part: Part, start: usize, data: &[u8]) -> Option<()> {
        if data.is_empty() {
            return Some(());
        }
        let mut reader = Reader::new(self.endian, data);
        let size = reader.u32()?;
        let rest = (size as usize).checked_sub(4)?;
        let mut at = start + 4;
        let mut is_empty = true;
        while !reader.is_empty() {
            let (name, count) = (reader.u32()?, reader.u32()?);
            at += 8;
            let mut records = Vec::new();
            for _ in 0..count {
                let insn_off = reader.u32()?;
                records.push(Record { was: at, insn_off, rest: reader.take(rest)? });
                at += size as usize;
            }
            let section = self.types.string(name).ok().and_then(|name| self.sections.get(name));
            if let Some(section) = section {
                records = carry(section, part, records);
            }
            if records.is_empty() {
                continue;
            }
            if std::mem::take(&mut is_empty) {
                self.body.u32(size);
            }
            self.body.u32(name);
            self.body.u32(u32::try_from(records.len()).ok()?);
            for record in records {
                let now = self.start + self.body.bytes.len();
                self.moved.insert(record.was as u64, now as u64);
                self.body.u32(record.insn_off);
                self.body.bytes.extend_from_slice(record.rest);
            }
        }
        Some(())
    }
}

/// The records of a section at their instructions' new places. Of several lines that come to be at one instruction, the last is its own.
fn carry<'a>(section: &Section, part: Part, records: Vec<Record<'a>>) -> Vec<Record<'a>> {
    let mut carried: Vec<Record<'a>> = Vec::new();
    for record in records {
        let slot = section.carried(record.insn_off as usize / 8);
        let Some(insn_off) = slot.and_then(|slot| u32::try_from(slot * 8).ok()) else { continue };
        let insn_off = insn_off + record.insn_off % 8;
        if part == Part::Lines {
            carried.pop_if(|last| last.insn_off == insn_off);
        }
        carried.push(Record { insn_off, ..record });
    }
    carried
}
