//! An object's code as slots with edges between them, so that slots can come and go.
//!
//! In: the code sections, symbols and relocations of an object. Out: the same code after replacements, with every jump, call and reference to a function still going where it went,
//! and for every old slot its new place. A reference to a slot that is gone goes to the next one that is left.

use super::apply::ApplyError;
use crate::isa::code::Insn;
use crate::isa::encode::{self, SLOT};
use crate::isa::opcode as op;
use crate::object::elf::section_type;
use crate::object::read::{Object, Relocation, Symbol};
use crate::target::Endian;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::Range;

/// The relocations of a section by slot.
type Relocations<'a> = FxHashMap<usize, Relocation<'a>>;

/// A slot of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The index of the section in the object.
    pub section: usize,
    /// The slot.
    pub slot: usize,
}

/// Where an instruction leads beside the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It jumps to this slot of its section.
    Jump(usize),
    /// It calls the function that begins there, or takes its address. With a relocation, the instruction counts from the symbol's slot (`base`), otherwise from itself.
    Function {
        /// The function's first slot.
        to: At,
        /// The slot of the symbol that the relocation refers to.
        base: Option<usize>,
    },
}

/// A slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The instruction; its distance counts only where there is no edge.
    pub insn: Insn,
    /// Where it leads.
    pub edge: Option<Edge>,
    /// Whether it is the second half of a 64-bit immediate load.
    pub second: bool,
    /// Whether a loader puts an address into it.
    pub relocated: bool,
}

/// A function of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: Range<usize>,
    /// Its slots in the section as it was.
    pub was: Range<usize>,
}

/// The code of a section.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Its functions in ascending order; none overlaps another.
    pub functions: Vec<Function>,
    /// For each slot of the section as it was, and for its end, where it is now.
    pub moved: Vec<usize>,
}

/// All code of an object.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// By the index of the section in the object.
    pub sections: BTreeMap<usize, Section>,
}

impl Section {
    /// The function that a slot belongs to.
    pub fn function_at(&self, slot: usize) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.slots.start <= slot);
        let function = self.functions.get(after.checked_sub(1)?)?;
        function.slots.contains(&slot).then_some(function)
    }

    /// The function that begins at a slot.
    pub fn function_from(&self, slot: usize) -> Option<&Function> {
        self.function_at(slot).filter(|function| function.slots.start == slot)
    }

    /// Where messages say that a slot is: the function, and the slot in it.
    pub fn place(&self, slot: usize) -> (String, usize) {
        self.function_at(slot).map_or_else(
            || (self.name.clone(), slot),
            |function| (function.name.clone(), slot - function.slots.start),
        )
    }

    /// What is wrong with the instruction at a slot.
    pub fn error(&self, slot: usize, why: impl Into<String>) -> ApplyError {
        let (function, insn) = self.place(slot);
        ApplyError::Code { function, insn, why: why.into() }
    }

    /// How many slots the instruction at `slot` has: two for a 64-bit immediate load.
    pub fn width(&self, slot: usize) -> usize {
        1 + usize::from(self.slots.get(slot + 1).is_some_and(|next| next.second))
    }
}

/// Whether an instruction jumps, and how far: by its offset, or by its immediate (`gotol`, cpu v4).
pub fn jump_distance(insn: Insn) -> Option<i64> {
    let operation = insn.code & op::OP_MASK;
    match insn.code & op::CLASS_MASK {
        op::JMP | op::JMP32 if matches!(operation, op::CALL | op::EXIT) => None,
        op::JMP if operation == op::JA && insn.code & op::SRC_MASK == op::X => None,
        op::JMP32 if operation == op::JA => Some(insn.imm.into()),
        op::JMP | op::JMP32 => Some(insn.off.into()),
        _ => None,
    }
}

/// Whether it jumps to an address in a register (`gotox`, kernel 6.19).
pub fn is_indirect(insn: Insn) -> bool {
    insn.code == op::JMP | op::JA | op::X
}

impl Code {
    /// Reads the code sections of an object.
    pub fn read(object: &Object<'_>) -> Result<Code, ApplyError> {
        let mut code = Code::default();
        for (index, section) in object.sections.iter().enumerate() {
            if section.is_code() && !section.data.is_empty() {
                let section = Section { name: section.name.to_owned(), ..Section::default() };
                code.sections.insert(index, section);
            }
        }
        for function in object.functions()? {
            if let Some(section) = code.sections.get_mut(&function.symbol.section) {
                section.add_function(&function.symbol)?;
            }
        }
        for (index, section) in &mut code.sections {
            let data = object.sections.get(*index).map_or(&[][..], |section| section.data);
            section.read(data, object.endian)?;
        }
        let mut relocations: BTreeMap<usize, Relocations<'_>> = BTreeMap::new();
        for table in object.sections.iter().filter(|table| table.kind == section_type::REL) {
            let of = table.info as usize;
            if code.sections.contains_key(&of) {
                let slots = object.relocations_in(table)?.into_iter().map(|relocation| {
                    let slot = usize::try_from(relocation.offset / SLOT as u64);
                    (slot.unwrap_or(usize::MAX), relocation)
                });
                relocations.entry(of).or_default().extend(slots);
            }
        }
        let none = Relocations::default();
        let indices: Vec<usize> = code.sections.keys().copied().collect();
        for index in indices {
            code.connect(relocations.get(&index).unwrap_or(&none), index)?;
        }
        Ok(code)
    }

    /// Finds the edges of a section.
    fn connect(&mut self, relocations: &Relocations<'_>, index: usize) -> Result<(), ApplyError> {
        let Some(section) = self.sections.get(&index) else { return Ok(()) };
        let mut edges = Vec::new();
        for (at, slot) in section.slots.iter().enumerate().filter(|(_, slot)| !slot.second) {
            let relocation = relocations.get(&at);
            if let Some(lead) = leads(At { section: index, slot: at }, slot.insn, relocation)
                && let Some(edge) = self.checked(section, at, &lead)?
            {
                edges.push((at, edge));
            }
        }
        let Some(section) = self.sections.get_mut(&index) else { return Ok(()) };
        for (at, edge) in edges {
            section.slots[at].edge = Some(edge);
        }
        for (at, slot) in section.slots.iter_mut().enumerate() {
            slot.relocated = relocations.contains_key(&at);
        }
        Ok(())
    }

    /// An edge that leads where it may: a jump to an instruction of its function, a call to the start of a function. Code outside of functions, which a linker has left over,
    /// may be broken.
    fn checked(
        &self,
        section: &Section,
        at: usize,
        lead: &Lead,
    ) -> Result<Option<Edge>, ApplyError> {
        let own = section.function_at(at);
        let wrong = |why| if own.is_some() { Err(section.error(at, why)) } else { Ok(None) };
        match *lead {
            Lead::Jump(to) => {
                let to = usize::try_from(to).ok().filter(|to| *to < section.slots.len());
                let Some(to) = to else { return wrong("it jumps out of its section") };
                if own.is_some_and(|own| !own.slots.contains(&to)) {
                    return wrong("it jumps out of its function");
                }
                if section.slots[to].second {
                    return wrong("it jumps into the middle of an instruction");
                }
                Ok(Some(Edge::Jump(to)))
            }
            Lead::Function { section: target, to, base } => {
                let Some(there) = self.sections.get(&target) else { return Ok(None) };
                let slot = usize::try_from(to).ok();
                let Some(slot) = slot.filter(|slot| there.function_from(*slot).is_some()) else {
                    return wrong("it refers to a place where no function begins");
                };
                Ok(Some(Edge::Function { to: At { section: target, slot }, base }))
            }
        }
    }

    /// Puts other instructions in the place of those at the given slots; what is more than there was is inserted, what is less removed. Jumps in new
    /// instructions count from themselves and stay among them.
    pub fn replace(&mut self, edits: &BTreeMap<At, Vec<Insn>>) -> Result<(), ApplyError> {
        let mut moves: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        for (index, section) in &mut self.sections {
            let from = At { section: *index, slot: 0 };
            let to = At { section: *index, slot: usize::MAX };
            let edits: Vec<(usize, &Vec<Insn>)> =
                edits.range(from..=to).map(|(at, new)| (at.slot, new)).collect();
            if !edits.is_empty() {
                moves.insert(*index, section.splice(&edits)?);
            }
        }
        let moved = |at: At| match moves.get(&at.section) {
            Some(to) => At { slot: to.get(at.slot).copied().unwrap_or(at.slot), ..at },
            None => at,
        };
        for (index, section) in &mut self.sections {
            for slot in &mut section.slots {
                if let Some(Edge::Function { to, base }) = &mut slot.edge {
                    let symbol = base.map(|slot| moved(At { section: to.section, slot }).slot);
                    (*to, *base) = (moved(*to), symbol);
                }
            }
            for function in &mut section.functions {
                let end = |slot| moved(At { section: *index, slot }).slot;
                function.slots = end(function.slots.start)..end(function.slots.end);
            }
        }
        Ok(())
    }

    /// Where a slot of the object as it was is now.
    pub fn now(&self, was: At) -> At {
        let moved = self.sections.get(&was.section).and_then(|section| section.moved.get(was.slot));
        At { slot: moved.copied().unwrap_or(was.slot), ..was }
    }

    /// Every instruction, without the second halves of wide ones.
    pub fn instructions(&self) -> impl Iterator<Item = (At, Insn)> {
        self.sections.iter().flat_map(|(index, section)| {
            let slots = section.slots.iter().enumerate().filter(|(_, slot)| !slot.second);
            slots.map(|(slot, one)| (At { section: *index, slot }, one.insn))
        })
    }

    /// The instructions of a section, with the distances that its edges have now.
    pub fn insns(&self, index: usize) -> Result<Vec<Insn>, ApplyError> {
        let Some(section) = self.sections.get(&index) else { return Ok(Vec::new()) };
        let mut insns = Vec::with_capacity(section.slots.len());
        for (at, slot) in section.slots.iter().enumerate() {
            let far = || section.error(at, "it jumps farther than an instruction can");
            insns.push(match slot.edge {
                None => slot.insn,
                Some(edge) => with_distance(slot.insn, at, edge).ok_or_else(far)?,
            });
        }
        Ok(insns)
    }
}

/// The instruction with the distance that takes it from `at` along `edge`; none if it cannot hold it.
fn with_distance(insn: Insn, at: usize, edge: Edge) -> Option<Insn> {
    let from = |base: usize, to: usize| Some(i64::try_from(to).ok()? - i64::try_from(base).ok()?);
    Some(match edge {
        Edge::Jump(to) => {
            let distance = from(at + 1, to)?;
            if insn.code == op::JMP32 | op::JA {
                Insn { imm: i32::try_from(distance).ok()?, ..insn }
            } else {
                Insn { off: i16::try_from(distance).ok()?, ..insn }
            }
        }
        Edge::Function { to, base: Some(base) } if insn.is_wide() => {
            let bytes = from(base, to.slot)?.checked_mul(8)?;
            Insn { imm: i32::try_from(bytes).ok()?, ..insn }
        }
        Edge::Function { to, base } => {
            let distance = from(base.unwrap_or(at) + 1, to.slot)?;
            Insn { imm: i32::try_from(distance).ok()?, ..insn }
        }
    })
}

impl Section {
    fn add_function(&mut self, symbol: &Symbol<'_>) -> Result<(), ApplyError> {
        let Symbol { name, offset, size, .. } = symbol;
        let bounds = slots_of(*offset).zip(offset.checked_add(*size).and_then(slots_of));
        let Some((start, end)) = bounds else {
            let why = format!("the function {name} does not begin and end with a slot");
            return Err(self.error(0, why));
        };
        if start < end {
            let function =
                Function { name: (*name).to_owned(), slots: start..end, was: start..end };
            self.functions.push(function);
        }
        Ok(())
    }

    /// Reads the slots, once all functions are there.
    fn read(&mut self, data: &[u8], endian: Endian) -> Result<(), ApplyError> {
        let whole = data.len() / SLOT;
        if data.len() != whole * SLOT {
            return Err(self.error(whole, "the section ends with a part of a slot"));
        }
        self.functions.sort_by_key(|function| (function.slots.start, function.slots.end));
        // Several names of one function.
        self.functions.dedup_by(|next, first| next.slots == first.slots);
        for pair in self.functions.windows(2) {
            if let [first, next] = pair
                && next.slots.start < first.slots.end
            {
                let why = format!("the function {} overlaps {}", next.name, first.name);
                return Err(self.error(next.slots.start, why));
            }
        }
        let mut second = false;
        for insn in encode::decode(data, endian) {
            let at = self.slots.len();
            if second && self.function_from(at).is_some() {
                return Err(self.error(at, "a function begins in the middle of an instruction"));
            }
            self.slots.push(Slot { insn, edge: None, second, relocated: false });
            second = insn.is_wide() && !second;
        }
        let halved = |end: usize| self.slots.get(end).map_or(second, |slot| slot.second);
        let ends = self.functions.iter().map(|function| function.slots.end);
        if let Some(end) = ends.chain([self.slots.len()]).find(|end| halved(*end)) {
            return Err(self.error(end - 1, "the second half of an instruction is missing"));
        }
        self.moved = (0..=self.slots.len()).collect();
        Ok(())
    }

    /// Whether what was at a slot of the section as it was is gone.
    pub fn is_gone(&self, was: usize) -> bool {
        match (self.moved.get(was), self.moved.get(was + 1)) {
            (Some(here), Some(next)) => here == next,
            _ => true,
        }
    }

    /// Where what is at a slot now was.
    pub fn was(&self, now: usize) -> usize {
        self.moved.partition_point(|moved| *moved <= now).saturating_sub(1)
    }

    /// Where a note about a slot of the section as it was belongs now; nowhere when the rest of its function is gone.
    pub fn carried(&self, was: usize) -> Option<usize> {
        let to = *self.moved.get(was)?;
        let after = self.functions.partition_point(|function| function.was.start <= was);
        let own = after.checked_sub(1).and_then(|index| self.functions.get(index));
        let own = own.filter(|function| function.was.contains(&was));
        let end = own.map_or(self.slots.len(), |function| function.slots.end);
        (to < end).then_some(to)
    }

    /// Puts other instructions in; gives for every slot, and for the end, where it is now.
    fn splice(&mut self, edits: &[(usize, &Vec<Insn>)]) -> Result<Vec<usize>, ApplyError> {
        let len = self.slots.len();
        let mut to = vec![0; len + 1];
        let mut slots = Vec::with_capacity(len);
        let mut old = Vec::new();
        let mut edits = edits.iter().peekable();
        let mut at = 0;
        while at < len {
            let (start, width) = (slots.len(), self.width(at));
            if let Some((_, new)) = edits.next_if(|(slot, _)| *slot == at) {
                slots.extend(self.fresh(at, start, new)?);
            } else {
                old.extend(start..start + width);
                slots.extend_from_slice(&self.slots[at..at + width]);
            }
            // The second half follows the first where there still is one.
            for (half, to) in to[at..at + width].iter_mut().enumerate() {
                *to = (start + half).min(slots.len());
            }
            at += width;
        }
        if let Some((slot, _)) = edits.next() {
            return Err(self.error(*slot, "no instruction begins there"));
        }
        to[len] = slots.len();
        for slot in old {
            if let Some(Edge::Jump(target)) = &mut slots[slot].edge {
                *target = to[*target];
            }
        }
        self.slots = slots;
        for place in &mut self.moved {
            *place = to[*place];
        }
        Ok(to)
    }

    /// New instructions that begin at `start` in the place of the one that was at `at`.
    fn fresh(&self, at: usize, start: usize, new: &[Insn]) -> Result<Vec<Slot>, ApplyError> {
        if new.len() != self.width(at) && self.slots.iter().any(|slot| is_indirect(slot.insn)) {
            return Err(self
                .error(at, "it cannot change its length: the section has jumps through a table"));
        }
        let mut slots = Vec::new();
        let mut second = false;
        for (index, insn) in new.iter().enumerate() {
            let distance = jump_distance(*insn).filter(|_| !second);
            let target = distance.map(|distance| {
                let target = i64::try_from(index + 1).ok()?.checked_add(distance)?;
                usize::try_from(target).ok().filter(|target| *target <= new.len())
            });
            let edge = match target {
                None => None,
                Some(Some(target)) => Some(Edge::Jump(start + target)),
                Some(None) => return Err(self.error(at, "its replacement jumps away")),
            };
            slots.push(Slot { insn: *insn, edge, second, relocated: false });
            second = insn.is_wide() && !second;
        }
        if second {
            return Err(self.error(at, "its replacement ends with half an instruction"));
        }
        Ok(slots)
    }
}

/// Where an instruction says that it leads, before it is known whether that is anywhere.
enum Lead {
    Jump(i64),
    Function { section: usize, to: i64, base: Option<usize> },
}

/// Where an instruction leads. Relocations count as libbpf counts them (v1.5 src/libbpf.c: `bpf_object__reloc_code`): from the symbol, for calls in slots and one before the
/// target, for addresses in bytes.
fn leads(at: At, insn: Insn, relocation: Option<&Relocation<'_>>) -> Option<Lead> {
    let here = i64::try_from(at.slot).ok()? + 1;
    let imm = i64::from(insn.imm);
    let is_call = insn.code == op::JMP | op::CALL && insn.src == op::PSEUDO_CALL;
    if !is_call && !insn.is_wide() {
        return Some(Lead::Jump(here + jump_distance(insn)?));
    }
    let Some(Relocation { symbol, .. }) = relocation else {
        let refers = is_call || insn.src == op::PSEUDO_FUNC;
        let to = here + imm;
        return refers.then_some(Lead::Function { section: at.section, to, base: None });
    };
    let base = usize::try_from(symbol.offset / SLOT as u64).ok()?;
    let to = if is_call {
        i64::try_from(base).ok()? + imm + 1
    } else {
        let bytes = i64::try_from(symbol.offset).ok()?.checked_add(imm)?;
        if bytes % 8 == 0 { bytes / 8 } else { -1 }
    };
    Some(Lead::Function { section: symbol.section, to, base: Some(base) })
}

/// An offset in bytes as one in slots.
fn slots_of(bytes: u64) -> Option<usize> {
    let slot = SLOT as u64;
    bytes.is_multiple_of(slot).then(|| usize::try_from(bytes / slot).ok())?
}
