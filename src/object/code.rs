//! Code sections: functions one after the other, with everything that `.BTF.ext` and relocations say about them.
//!
//! Programs are in sections under libbpf's names; those of one section follow each other in it. Callbacks are in `.text`. What is set aside is laid out in the same way, in an object of its own.
//! Invariant: an instruction that a loader fills in holds the answer for the local type, since loaders check it.

use super::ObjectError;
use super::btf_ext::{CoreRecord, FuncInfo, LineInfo, SectionInfo};
use super::elf::{
    File, Section, SectionIdx, Symbol, SymbolIdx, section_flags, section_type, symbol_type,
};
use super::flavor::{Flavors, Question};
use crate::btf::{Builder, Type, TypeId, VOID};
use crate::ir::MapTarget;
use crate::isa::code::{Code, Function, Insn, Reloc, RelocKind};
use crate::isa::encode::SLOT;
use crate::isa::opcode::{ALU, ALU64, CLASS_MASK, K, LDIMM64, LDX, SRC_MASK, ST, STX};
use crate::sema::hir::{Attach, Event, EventKind, Hir};
use crate::sema::types::IntTy;
use crate::source::{Sources, Span};
use crate::target::Target;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::borrow::Cow;

/// The longest piece of a source line that is quoted, in bytes.
const MAX_QUOTE: usize = 256;

/// The section of callbacks.
const TEXT: &str = ".text";

/// The section that tells loaders how to load and attach a program.
pub fn section_name(attach: &Attach) -> Cow<'static, str> {
    match attach {
        Attach::Event(event) => event_section(event, true).into(),
        Attach::Once(_) => "raw_tp".into(),
        Attach::Interval(_) | Attach::Profile(_) => "perf_event".into(),
        Attach::SocketFilter => "socket".into(),
    }
}

/// The section of a program at a kernel event; of a raw tracepoint, the types of whose arguments the kernel knows or not.
pub(super) fn event_section(event: &Event, typed: bool) -> String {
    let prefix = match event.kind {
        EventKind::Tracepoint if typed => "tp_btf",
        EventKind::Tracepoint => "raw_tp",
        function => function.word(),
    };
    format!("{prefix}/{}", event.name)
}

/// What relocations refer to outside the code.
#[derive(Default)]
pub(super) struct Symbols {
    /// The maps.
    pub(super) maps: IndexMap<MapTarget, SymbolIdx, FxBuildHasher>,
    /// The section `.rodata`.
    pub(super) rodata: Option<SymbolIdx>,
    /// The section `.text`.
    pub(super) text: Option<SymbolIdx>,
}

/// Where the functions are.
pub(super) struct Plan<'a> {
    sections: IndexMap<Cow<'static, str>, Vec<Placed<'a>>, FxBuildHasher>,
}

#[derive(Clone, Copy)]
struct Placed<'a> {
    function: &'a Function,
    is_program: bool,
    /// In bytes from the start of the section.
    offset: u32,
}

/// A code section in the file: the section, and for `.text` its symbol.
pub(super) struct Added {
    section: SectionIdx,
    symbol: SymbolIdx,
}

fn bytes_of(function: &Function) -> u32 {
    u32::try_from(function.insns.len() * SLOT).unwrap_or(u32::MAX)
}

impl<'a> Plan<'a> {
    /// Gives every function that stock loaders see its place.
    pub(super) fn new(hir: &Hir, code: &'a Code) -> Plan<'a> {
        let callbacks = code.callbacks.iter().map(|function| (TEXT.into(), function, false));
        let programs = hir.programs.iter().zip(&code.programs);
        let programs = programs.filter(|(hir, _)| !hir.optional);
        let programs = programs.map(|(hir, function)| (section_name(&hir.attach), function, true));
        Plan::of(callbacks.chain(programs))
    }

    /// Gives every program that is set aside its place: of optional ones all forms, of others all but the first.
    pub(super) fn aside(hir: &Hir, code: &'a Code) -> Plan<'a> {
        let programs = hir.programs.iter().zip(&code.programs);
        let optional = programs.filter(|(hir, _)| hir.optional);
        let optional = optional.map(|(hir, function)| (section_name(&hir.attach), function, true));
        let others = code.others.iter().map(|(form, function)| {
            (event_section(&form.event, form.typed).into(), function, true)
        });
        Plan::of(optional.chain(others))
    }

    fn of(functions: impl Iterator<Item = (Cow<'static, str>, &'a Function, bool)>) -> Plan<'a> {
        let mut plan = Plan { sections: IndexMap::default() };
        for (section, function, is_program) in functions {
            let placed: &mut Vec<Placed<'_>> = plan.sections.entry(section).or_default();
            let offset = placed.last().map_or(0, |last| last.offset + bytes_of(last.function));
            placed.push(Placed { function, is_program, offset });
        }
        plan
    }

    /// Whether there is no function.
    pub(super) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The symbol of `.text`, if there are callbacks.
    pub(super) fn text(&self, added: &[Added]) -> Option<SymbolIdx> {
        self.sections.get_index_of(TEXT).map(|index| added[index].symbol)
    }

    /// What the functions refer to outside of code, by names alone: what is set aside finds maps, constants and callbacks in the object that it belongs to.
    pub(super) fn undefined(&self, hir: &Hir, file: &mut File) -> Symbols {
        let mut symbols = Symbols::default();
        let mut add = |name: &str| file.undefined(name);
        let functions = self.sections.values().flatten().map(|placed| placed.function);
        for reloc in functions.flat_map(|function| &function.relocs) {
            match &reloc.kind {
                RelocKind::Map(map) => {
                    let symbol = symbols.maps.entry(*map);
                    symbol.or_insert_with(|| add(&super::maps::name(hir, *map)));
                }
                RelocKind::Rodata(_) => {
                    symbols.rodata.get_or_insert_with(|| add(".rodata"));
                }
                RelocKind::Callback(_) => {
                    symbols.text.get_or_insert_with(|| add(TEXT));
                }
                RelocKind::Core(_) | RelocKind::Arg(_) => {}
            }
        }
        symbols
    }

    /// Adds the sections and the symbols of the functions.
    pub(super) fn add_sections(&self, file: &mut File) -> Vec<Added> {
        let add = |(name, functions): (&Cow<'static, str>, &Vec<Placed<'_>>)| {
            let section = file.section(Section {
                name: name.to_string(),
                kind: section_type::PROGBITS,
                flags: section_flags::ALLOC | section_flags::EXECINSTR,
                align: 8,
                data: Vec::new(),
                relocs: Vec::new(),
            });
            let symbol = file.symbol(Symbol {
                name: String::new(),
                kind: symbol_type::SECTION,
                global: false,
                section: Some(section),
                offset: 0,
                size: 0,
            });
            for placed in functions {
                file.symbol(Symbol {
                    name: placed.function.name.to_string(),
                    kind: symbol_type::FUNC,
                    global: placed.is_program,
                    section: Some(section),
                    offset: placed.offset.into(),
                    size: bytes_of(placed.function).into(),
                });
            }
            Added { section, symbol }
        };
        self.sections.iter().map(add).collect()
    }

    /// Fills the sections.
    #[expect(clippy::too_many_arguments, reason = "it is where all parts of an object meet")]
    pub(super) fn emit(
        &self,
        added: &[Added],
        callbacks: &[u32],
        flavors: &Flavors,
        symbols: &Symbols,
        sources: &Sources,
        target: Target,
        btf: &mut Builder,
        file: &mut File,
    ) -> Result<Vec<SectionInfo>, ObjectError> {
        let mut infos = Vec::new();
        for ((name, functions), added) in self.sections.iter().zip(added) {
            let mut info = SectionInfo { name: btf.string(name), ..SectionInfo::default() };
            let mut bytes = Vec::new();
            for placed in functions {
                let func = declare_function(placed, btf);
                info.funcs.push(FuncInfo { insn_off: placed.offset, func });
                quote_lines(placed, sources, btf, &mut info.lines)?;
                let mut insns = with_local_answers(placed.function, flavors)?;
                for reloc in &placed.function.relocs {
                    let insn_off = placed.offset + reloc.insn.0 * 8;
                    let symbol = match &reloc.kind {
                        RelocKind::Core(core) => {
                            let question = flavors.question(core);
                            let access = btf.string(&question.access);
                            let (root, kind) = (question.root, question.kind);
                            info.core.push(CoreRecord { insn_off, root, access, kind });
                            continue;
                        }
                        RelocKind::Arg(_) => continue,
                        RelocKind::Map(map) => symbols.maps.get(map).copied(),
                        RelocKind::Rodata(offset) => {
                            address(&mut insns, placed.function, reloc, *offset)?;
                            symbols.rodata
                        }
                        RelocKind::Callback(index) => {
                            let offset = callbacks.get(*index as usize).copied();
                            address(&mut insns, placed.function, reloc, offset.unwrap_or(0))?;
                            symbols.text.filter(|_| offset.is_some())
                        }
                    };
                    let symbol = symbol.ok_or_else(|| not_relocatable(placed.function, reloc))?;
                    file.relocate(added.section, insn_off.into(), symbol);
                }
                bytes.extend(insns.iter().flat_map(|insn| insn.encode(target.endian)));
            }
            file.fill(added.section, bytes);
            infos.push(info);
        }
        Ok(infos)
    }
}

/// The offsets of callbacks in `.text`.
pub(super) fn callbacks(code: &Code) -> Vec<u32> {
    let mut next = 0;
    let offset = |function| {
        let this = next;
        next += bytes_of(function);
        this
    };
    code.callbacks.iter().map(offset).collect()
}

/// The function's type: `int NAME(void *ctx)` of a program, that of `bpf_for_each_map_elem`'s callbacks otherwise.
fn declare_function(placed: &Placed<'_>, btf: &mut Builder) -> TypeId {
    let pointer = btf.ptr(VOID);
    let (names, ret): (&[&'static str], _) = if placed.is_program {
        (&["ctx"], IntTy::S32)
    } else {
        (&["map", "key", "value", "ctx"], IntTy::S64)
    };
    let params = names.iter().map(|name| ((*name).into(), pointer)).collect();
    let ret = btf.int(ret);
    let proto = btf.add(Type::FuncProto { ret, params });
    let name = placed.function.name.clone();
    btf.add(Type::Func { name, proto, global: placed.is_program })
}

/// One record where the line or column changes; of several for one instruction the last, since the kernel refuses more.
fn quote_lines(
    placed: &Placed<'_>,
    sources: &Sources,
    btf: &mut Builder,
    out: &mut Vec<LineInfo>,
) -> Result<(), ObjectError> {
    let function = placed.function;
    if function.lines.first().is_none_or(|(insn, _)| insn.0 != 0) {
        return Err(ObjectError::NoLines { function: function.name.clone() });
    }
    let mut last = None;
    for (insn, span) in &function.lines {
        let quoted = quote(*span, sources, btf);
        if last.replace(quoted) != Some(quoted) {
            let (insn_off, (file, text, line, col)) = (placed.offset + insn.0 * 8, quoted);
            out.pop_if(|last| last.insn_off == insn_off);
            out.push(LineInfo { insn_off, file, text, line, col });
        }
    }
    Ok(())
}

/// The file, the text, the line and the column of a span.
fn quote(span: Span, sources: &Sources, btf: &mut Builder) -> (u32, u32, u32, u32) {
    let file = sources.file(span.file);
    let place = file.line_col(span.start);
    let text = file.line(place.line);
    let text = &text[..text.floor_char_boundary(MAX_QUOTE)];
    (btf.string(&file.name), btf.string(text), place.line, place.col)
}

fn not_relocatable(function: &Function, reloc: &Reloc) -> ObjectError {
    let insn = reloc.insn.0;
    let opcode = function.insns.get(insn as usize).map_or(0, |insn| insn.code);
    ObjectError::NotRelocatable { function: function.name.clone(), insn, opcode }
}

/// The two slots of a 64-bit immediate load.
fn wide(insns: &mut [Insn], at: usize) -> Option<&mut [Insn]> {
    let slots = insns.get_mut(at..at.checked_add(2)?)?;
    (slots[0].code == LDIMM64).then_some(slots)
}

/// Puts an offset in a section into a 64-bit immediate load, as loaders expect it beside the section's symbol.
fn address(
    insns: &mut [Insn],
    function: &Function,
    reloc: &Reloc,
    offset: u32,
) -> Result<(), ObjectError> {
    let slots = wide(insns, reloc.insn.0 as usize);
    let slots = slots.ok_or_else(|| not_relocatable(function, reloc))?;
    slots[0].imm = offset.cast_signed();
    Ok(())
}

/// The instructions with every question's local answer, as loaders check them.
pub(super) fn with_local_answers(
    function: &Function,
    flavors: &Flavors,
) -> Result<Vec<Insn>, ObjectError> {
    let mut insns = function.insns.clone();
    for reloc in &function.relocs {
        if let RelocKind::Core(core) = &reloc.kind {
            fill_in(&mut insns, function, reloc, flavors.question(core))?;
        }
    }
    Ok(insns)
}

/// Puts the local answer where the loader will put the target's.
fn fill_in(
    insns: &mut [Insn],
    function: &Function,
    reloc: &Reloc,
    question: &Question,
) -> Result<(), ObjectError> {
    let at = reloc.insn.0 as usize;
    let value = question.local;
    let too_large = || ObjectError::ValueTooLarge {
        function: function.name.clone(),
        insn: reloc.insn.0,
        path: question.path.clone(),
        value,
    };
    if let Some(slots) = wide(insns, at) {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a value")]
        let halves = [value as u32, (value >> 32) as u32];
        slots[0].imm = halves[0].cast_signed();
        slots[1].imm = halves[1].cast_signed();
        return Ok(());
    }
    let insn = insns.get_mut(at).ok_or_else(|| not_relocatable(function, reloc))?;
    match insn.code & CLASS_MASK {
        LDX | ST | STX => insn.off = i16::try_from(value).map_err(|_| too_large())?,
        ALU | ALU64 if insn.code & SRC_MASK == K => {
            insn.imm = i32::try_from(value).map_err(|_| too_large())?;
        }
        _ => return Err(not_relocatable(function, reloc)),
    }
    Ok(())
}
