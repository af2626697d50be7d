//! An object's CO-RE records, each with the function, instruction and source line that it is about.
//!
//! In: an object. Out: its records in the order of the file. A record whose section or slot belongs to no function is left out: linkers leave such records behind when
//! they drop a weak function, and libbpf passes over them too (`bpf_object__relocate_core`).

use super::{Place, RelocateError};
use crate::btf::Btf;
use crate::bytes::Reader;
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::object::read::{Core, Line, Object, ReadError, SectionExt};
use crate::target::Endian;
use std::collections::BTreeMap;

/// The records of an object and the types that they are about.
#[derive(Debug)]
pub(super) struct Records<'o> {
    /// The object's own types.
    pub(super) types: Btf<'o>,
    /// In the order of the file.
    pub(super) list: Vec<Record<'o>>,
}

/// A record.
#[derive(Debug)]
pub(super) struct Record<'o> {
    /// Its number among those of its section.
    pub(super) number: usize,
    /// The index of its section.
    pub(super) section: usize,
    /// The section's name.
    pub(super) section_name: &'o str,
    /// The slot in the section.
    pub(super) slot: usize,
    /// The function.
    pub(super) function: &'o str,
    /// The slot in the function.
    pub(super) insn: usize,
    /// The instruction and the one after it in the function.
    pub(super) code: (Insn, Option<Insn>),
    /// What is asked.
    pub(super) core: Core<'o>,
    /// The source line.
    pub(super) at: Option<Place>,
}

impl Record<'_> {
    /// The record, for messages.
    pub(super) fn place(&self) -> String {
        place(self.section_name, self.number)
    }
}

fn place(section: &str, number: usize) -> String {
    format!(".BTF.ext, record {number} of section {section}")
}

/// A function's place in its section, in slots.
struct Span<'o> {
    start: usize,
    end: usize,
    name: &'o str,
}

/// Every record that belongs to a function; `None` if the object has no types.
pub(super) fn records<'o>(object: &Object<'o>) -> Result<Option<Records<'o>>, RelocateError> {
    let Some(types) = object.types()? else { return Ok(None) };
    let list = of_part(object, &types)?;
    Ok(Some(Records { types, list }))
}

/// The same of an object, or of what it has set aside, whose types are `types`.
pub(super) fn of_part<'o>(
    object: &Object<'o>,
    types: &Btf<'o>,
) -> Result<Vec<Record<'o>>, RelocateError> {
    let Some(ext) = object.ext(types)? else { return Ok(Vec::new()) };
    let functions = functions(object)?;
    let mut list = Vec::new();
    for (name, records) in &ext.sections {
        let mut known = object.sections.iter().enumerate();
        let section = known.find(|(i, s)| s.name == *name && functions.contains_key(i));
        let Some((section, data)) = section else { continue };
        let spans = functions.get(&section).map_or(&[][..], Vec::as_slice);
        let lines = Lines::new(records);
        for (number, core) in records.core.iter().enumerate() {
            let offset = core.insn_off as usize;
            if !offset.is_multiple_of(SLOT) {
                let why = format!("it is about byte {offset}, where no instruction begins");
                let (place, at) = (place(name, number), lines.at(core.insn_off, 0).map(Box::new));
                return Err(RelocateError::Record { place, at, why });
            }
            let slot = offset / SLOT;
            let before = spans.partition_point(|span| span.start <= slot);
            let Some(span) = before.checked_sub(1).and_then(|i| spans.get(i)) else { continue };
            let Some(code) = code(data.data, slot, span.end, object.endian) else { continue };
            list.push(Record {
                number,
                section,
                section_name: name,
                slot,
                function: span.name,
                insn: slot - span.start,
                code,
                core: *core,
                at: lines.at(core.insn_off, span.start * SLOT),
            });
        }
    }
    list.sort_by_key(|record| record.core.order);
    Ok(list)
}

/// The functions of each section, by where they begin.
fn functions<'o>(object: &Object<'o>) -> Result<BTreeMap<usize, Vec<Span<'o>>>, ReadError> {
    let mut functions: BTreeMap<usize, Vec<Span<'o>>> = BTreeMap::new();
    for function in object.functions()? {
        let symbol = function.symbol;
        let Ok(start) = usize::try_from(symbol.offset) else { continue };
        let (start, len) = (start / SLOT, function.code.len() / SLOT);
        let span = Span { start, end: start.saturating_add(len), name: symbol.name };
        functions.entry(symbol.section).or_default().push(span);
    }
    for spans in functions.values_mut() {
        spans.sort_by_key(|span| span.start);
    }
    Ok(functions)
}

/// The source line of an instruction, if the object says it.
pub(super) fn line_at(object: &Object<'_>, function: &str, insn: usize) -> Option<Place> {
    let (types, functions) = (object.types().ok()??, object.functions().ok()?);
    let ext = object.ext(&types).ok()??;
    let function = functions.iter().find(|found| found.symbol.name == function)?;
    let start = usize::try_from(function.symbol.offset).ok()?;
    let offset = u32::try_from(start.checked_add(insn.checked_mul(SLOT)?)?).ok()?;
    Lines::new(ext.sections.get(function.section)?).at(offset, start)
}

/// A place with the text of its line, if the object has it.
pub(super) fn quoted(object: &Object<'_>, mut place: Place) -> Place {
    let text = || {
        let types = object.types().ok()??;
        let ext = object.ext(&types).ok()??;
        let mut lines = ext.sections.values().flat_map(|section| &section.lines);
        let found = lines.find(|line| line.line == place.line && line.file == place.file)?;
        Some(found.text.trim_end().to_owned())
    };
    place.text = text().unwrap_or_default();
    place
}

/// The instruction in a slot, and the one after it if both lie before `end`.
fn code(data: &[u8], slot: usize, end: usize, endian: Endian) -> Option<(Insn, Option<Insn>)> {
    let insn = |slot: usize| {
        let bytes = data.get(slot.checked_mul(SLOT)?..)?.first_chunk()?;
        (slot < end).then(|| Insn::decode(*bytes, endian))
    };
    Some((insn(slot)?, insn(slot + 1)))
}

/// The source lines of a section, ascending.
struct Lines<'r, 'o> {
    sorted: Vec<&'r Line<'o>>,
}

impl<'r, 'o> Lines<'r, 'o> {
    fn new(records: &'r SectionExt<'o>) -> Lines<'r, 'o> {
        // Line 0 stands for code that comes from no line.
        let mut sorted: Vec<&Line<'_>> =
            records.lines.iter().filter(|line| line.line != 0).collect();
        sorted.sort_by_key(|line| line.insn_off);
        Lines { sorted }
    }

    /// The line of an instruction of the function that begins at byte `start`.
    fn at(&self, insn_off: u32, start: usize) -> Option<Place> {
        let next = self.sorted.partition_point(|line| line.insn_off <= insn_off);
        let line = self.sorted.get(next.checked_sub(1)?)?;
        if (line.insn_off as usize) < start {
            return None;
        }
        let (file, text) = (line.file.to_owned(), line.text.trim_end().to_owned());
        Some(Place { file, line: line.line, col: line.col, text })
    }
}

/// Whether the object uses instructions that only version 4 of the instruction set has.
pub(super) fn uses_v4(object: &Object<'_>) -> bool {
    use crate::isa::opcode as op;
    let v4 = |insn: &Insn| {
        let (class, operation) = (insn.code & op::CLASS_MASK, insn.code & op::OP_MASK);
        match class {
            op::LDX => insn.code & op::MODE_MASK == op::MEMSX,
            // Sign-extending moves, signed division, unconditional byte swaps.
            op::ALU | op::ALU64 => match operation {
                op::MOV | op::DIV | op::MOD => insn.off != 0,
                op::END => class == op::ALU64,
                _ => false,
            },
            op::JMP32 => operation == op::JA,
            _ => false,
        }
    };
    let code = object
        .sections
        .iter()
        .filter(|section| section.flags & crate::object::elf::section_flags::EXECINSTR != 0);
    code.into_iter().any(|section| {
        let mut reader = Reader::new(object.endian, section.data);
        let mut wide = false;
        std::iter::from_fn(|| reader.take(SLOT)?.first_chunk().copied()).any(|bytes| {
            let insn = Insn::decode(bytes, object.endian);
            let second = wide;
            wide = !second && insn.is_wide();
            !second && v4(&insn)
        })
    })
}
