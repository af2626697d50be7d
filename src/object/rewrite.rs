//! An object written again with other bytes in some of its sections.
//!
//! In: the bytes of an object that [`Object::parse`](super::read::Object::parse) takes, and new bytes for sections by index. Out: the bytes of the same object: the same sections at
//! the same indices, with the same names, types, flags and links. Where no section changes its size, everything else stays byte for byte; otherwise the sections follow one another
//! in their old order, and the table of sections comes last. The result is no larger than what the sections hold: those that overlap are refused.

use super::elf::section_type;
use super::read::ReadError;
use crate::bytes::{Reader, Writer};
use crate::target::Endian;
use std::collections::BTreeMap;

const FILE_HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
/// No file needs its sections farther apart; the alignment of addresses is a section header's matter.
const MAX_ALIGN: u64 = 16;

/// Where a section is in the file.
#[derive(Clone, Copy)]
struct Place {
    kind: u32,
    offset: u64,
    size: u64,
    align: u64,
}

/// The object with other bytes in the sections of `changed`, which are none of those without bytes in the file.
pub fn rewrite(bytes: &[u8], changed: &BTreeMap<usize, Vec<u8>>) -> Result<Vec<u8>, ReadError> {
    let cut = || ReadError::Truncated("the file header");
    let header = bytes.get(..FILE_HEADER).ok_or_else(cut)?;
    let endian = if header.get(5) == Some(&2) { Endian::Big } else { Endian::Little };
    let table =
        section_table(bytes, endian).ok_or(ReadError::Truncated("the table of sections"))?;
    let places: Option<Vec<Place>> =
        table.chunks_exact(SECTION_HEADER).map(|header| place(header, endian)).collect();
    let places = places.ok_or(ReadError::Truncated("the table of sections"))?;
    let fits = |(index, data): (&usize, &Vec<u8>)| {
        places.get(*index).is_some_and(|place| place.size == data.len() as u64)
    };
    if changed.iter().all(fits) {
        return in_place(bytes, &places, changed);
    }
    lay_out(bytes, table, &places, changed, endian)
}

/// The headers of all sections.
fn section_table(bytes: &[u8], endian: Endian) -> Option<&[u8]> {
    let mut reader = Reader::new(endian, bytes);
    reader.take(40)?;
    let table = usize::try_from(reader.u64()?).ok()?;
    reader.take(12)?;
    let count = usize::from(reader.u16()?);
    bytes.get(table..)?.get(..count * SECTION_HEADER)
}

fn place(header: &[u8], endian: Endian) -> Option<Place> {
    let mut reader = Reader::new(endian, header);
    reader.take(4)?;
    let kind = reader.u32()?;
    reader.take(16)?;
    let (offset, size) = (reader.u64()?, reader.u64()?);
    reader.take(8)?;
    Some(Place { kind, offset, size, align: reader.u64()? })
}

impl Place {
    /// Whether the file has bytes of it.
    fn is_stored(&self) -> bool {
        !matches!(self.kind, section_type::NULL | section_type::NOBITS)
    }

    fn of(self, bytes: &[u8]) -> Result<&[u8], ReadError> {
        let range = usize::try_from(self.offset).ok().zip(usize::try_from(self.size).ok());
        let piece = range.and_then(|(offset, size)| bytes.get(offset..)?.get(..size));
        piece.ok_or(ReadError::Truncated("a section"))
    }
}

/// The file with bytes exchanged for as many others.
fn in_place(
    bytes: &[u8],
    places: &[Place],
    changed: &BTreeMap<usize, Vec<u8>>,
) -> Result<Vec<u8>, ReadError> {
    let mut out = bytes.to_vec();
    for (index, data) in changed {
        let at = places.get(*index).and_then(|place| usize::try_from(place.offset).ok());
        let old = at.and_then(|at| out.get_mut(at..)?.get_mut(..data.len()));
        old.ok_or(ReadError::Truncated("a section"))?.copy_from_slice(data);
    }
    Ok(out)
}

/// The file with its sections in new places.
fn lay_out(
    bytes: &[u8],
    table: &[u8],
    places: &[Place],
    changed: &BTreeMap<usize, Vec<u8>>,
    endian: Endian,
) -> Result<Vec<u8>, ReadError> {
    let stored = places.iter().filter(|place| place.is_stored());
    let total = stored.fold(0_u64, |total, place| total.saturating_add(place.size));
    if total > bytes.len() as u64 {
        let what = "the size of all sections together";
        return Err(ReadError::Invalid { what, value: total });
    }
    let mut order: Vec<(usize, Place)> = places.iter().copied().enumerate().collect();
    order.retain(|(_, place)| place.kind != section_type::NULL);
    order.sort_by_key(|(index, place)| (place.offset, *index));

    let mut out = Writer::new(endian);
    out.bytes.extend_from_slice(bytes.get(..FILE_HEADER).unwrap_or_default());
    let mut table = table.to_vec();
    for (index, place) in order {
        out.align(usize::try_from(place.align.min(MAX_ALIGN)).unwrap_or(1));
        let (offset, mut size) = (out.bytes.len() as u64, place.size);
        if place.is_stored() {
            let data = changed.get(&index).map_or_else(|| place.of(bytes), |data| Ok(data))?;
            out.bytes.extend_from_slice(data);
            size = data.len() as u64;
        }
        let words = [endian.bytes_u64(offset), endian.bytes_u64(size)];
        let header = table.get_mut(index * SECTION_HEADER + 24..).unwrap_or_default();
        for (to, from) in header.iter_mut().zip(words.as_flattened()) {
            *to = *from;
        }
    }
    out.align(8);
    let words = [endian.bytes_u64(0), endian.bytes_u64(out.bytes.len() as u64)];
    // Program headers, which mean nothing in a relocatable file, are left out.
    for (to, from) in out.bytes.iter_mut().skip(32).zip(words.as_flattened()) {
        *to = *from;
    }
    for byte in out.bytes.iter_mut().skip(56).take(2) {
        *byte = 0;
    }
    out.bytes.append(&mut table);
    Ok(out.bytes)
}
