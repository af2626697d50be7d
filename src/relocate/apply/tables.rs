//! Symbols and relocations after code has moved.
//!
//! In: the object, where each slot of its code is now, and where each record of `.BTF.ext` is now. Out: the bytes of the tables that are different.

use super::super::edit::{Code, Section};
use crate::bytes::Reader;
use crate::bytes::Writer;
use crate::object::elf::section_type;
use crate::object::read::Object;
use crate::target::Endian;
use std::collections::BTreeMap;

/// The bytes of every symbol table and relocation table, by the index of its section. `records` says where the records of `.BTF.ext` were and are.
pub(super) fn follow(
    object: &Object<'_>,
    code: Option<&Code>,
    records: &BTreeMap<u64, u64>,
) -> BTreeMap<usize, Vec<u8>> {
    let mut tables = BTreeMap::new();
    let moved = |section: usize| code.and_then(|code| code.sections.get(&section));
    for (index, table) in object.sections.iter().enumerate() {
        let of = table.info as usize;
        let data = match table.kind {
            section_type::SYMTAB => symbols(table.data, object.endian, moved),
            section_type::REL
                if object.sections.get(of).is_some_and(|of| of.name == ".BTF.ext") =>
            {
                relocations(table.data, object.endian, |offset| records.get(&offset).copied())
            }
            section_type::REL => match moved(of) {
                Some(section) => relocations(table.data, object.endian, |offset| {
                    let slot =
                        usize::try_from(offset / 8).ok().filter(|at| !section.is_gone(*at))?;
                    Some(*section.moved.get(slot)? as u64 * 8 + offset % 8)
                }),
                None => continue,
            },
            _ => continue,
        };
        if data != table.data {
            tables.insert(index, data);
        }
    }
    tables
}

/// A symbol table: symbols in code move with it, and are as long as what is left of what they name.
fn symbols<'a>(
    data: &[u8],
    endian: Endian,
    moved: impl Fn(usize) -> Option<&'a Section>,
) -> Vec<u8> {
    let mut reader = Reader::new(endian, data);
    let mut out = Writer::new(endian);
    while let Some(head) = reader.take(6) {
        out.bytes.extend_from_slice(head);
        let (Some(index), Some(value), Some(size)) = (reader.u16(), reader.u64(), reader.u64())
        else {
            break;
        };
        let section = moved(index.into());
        let place = |bytes: u64| {
            let slot = usize::try_from(bytes / 8).ok()?;
            Some(*section?.moved.get(slot)? as u64 * 8 + bytes % 8)
        };
        let end = value.checked_add(size).and_then(place);
        let (value, size) = match place(value).zip(end) {
            Some((start, end)) => (start, end - start.min(end)),
            None => (value, size),
        };
        out.u16(index);
        out.u64(value);
        out.u64(size);
    }
    out.bytes
}

/// A relocation table whose places have moved, without those that are gone.
fn relocations(data: &[u8], endian: Endian, moved: impl Fn(u64) -> Option<u64>) -> Vec<u8> {
    let mut reader = Reader::new(endian, data);
    let mut out = Writer::new(endian);
    while let (Some(offset), Some(info)) = (reader.u64(), reader.u64()) {
        if let Some(offset) = moved(offset) {
            out.u64(offset);
            out.u64(info);
        }
    }
    out.bytes
}
