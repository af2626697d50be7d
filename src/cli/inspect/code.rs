//! Functions of an object: where they are, what they come from, and their instructions as text.

use crate::btf::{Btf, Type};
use crate::isa::code::Insn;
use crate::isa::opcode::{CALL, JMP, PSEUDO_CALL, PSEUDO_FUNC};
use crate::isa::print::instructions;
use crate::object::elf::symbol_type;
use crate::object::read::{Ext, Function, Line, Object, ReadError, Relocation, Symbol};
use crate::relocate::{Asked, Place};
use serde::Serialize;
use std::collections::BTreeMap;

/// An instruction.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// Its slot in the function.
    pub(super) slot: usize,
    /// As the kernel's verifier writes it.
    pub(super) text: String,
    /// What a loader fills in, or what is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remark: Option<String>,
    /// Where the source line that it comes from begins: not repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Place>,
}

/// What an object's code refers to, by place: looked up for every instruction, so none of it is searched from end to end.
pub(super) struct Code<'o, 'a> {
    pub(super) object: &'o Object<'a>,
    /// Of what is set aside: the object around it, which has what is not defined here.
    outer: Option<&'o Code<'o, 'a>>,
    asked: BTreeMap<(&'o str, &'o str, usize), &'o Asked>,
    functions: BTreeMap<(&'a str, u64), &'a str>,
    variables: BTreeMap<(&'a str, u64), &'a str>,
    /// Symbols, and sections as such, by name.
    named: BTreeMap<&'a str, Symbol<'a>>,
}

/// The same for one section: lines and relocations, each by ascending offset.
pub(super) struct Section<'o, 'a> {
    code: &'o Code<'o, 'a>,
    lines: Vec<Line<'a>>,
    relocations: Vec<Relocation<'a>>,
}

impl<'o, 'a> Code<'o, 'a> {
    pub(super) fn new(
        object: &'o Object<'a>,
        types: Option<&Btf<'a>>,
        asked: &'o [Asked],
    ) -> Result<Code<'o, 'a>, ReadError> {
        let functions = object.functions()?.into_iter();
        let functions = functions.map(|f| ((f.section, f.symbol.offset), f.symbol.name)).collect();
        let mut variables = BTreeMap::new();
        if let Some(types) = types {
            let sections = types.ids().filter_map(|id| match types.get(id) {
                Ok(Type::DataSec { name, vars, .. }) => Some((name, vars)),
                _ => None,
            });
            for (section, vars) in sections {
                let named = vars.iter().filter_map(|var| {
                    Some(((section, u64::from(var.offset)), types.get(var.var).ok()?.name()))
                });
                variables.extend(named);
            }
        }
        let asked = asked
            .iter()
            .map(|asked| ((&*asked.section, &*asked.function, asked.insn), asked))
            .collect();
        let sections = object.sections.iter().enumerate().map(|(section, found)| {
            let (name, kind) = (found.name, symbol_type::SECTION);
            (name, Symbol { name, kind, global: false, section, offset: 0, size: 0 })
        });
        let symbols = object.symbols.iter().map(|symbol| (symbol.name, *symbol));
        let named = sections.chain(symbols).filter(|(name, _)| !name.is_empty()).collect();
        Ok(Code { object, outer: None, asked, functions, variables, named })
    }

    /// The same, set aside in an object.
    pub(super) fn inside(self, outer: &'o Code<'o, 'a>) -> Code<'o, 'a> {
        Code { outer: Some(outer), ..self }
    }

    pub(super) fn is_aside(&self) -> bool {
        self.outer.is_some()
    }

    /// Where a symbol is defined: what is set aside refers to symbols and sections of the object around it by name.
    fn defining(&'o self, symbol: Symbol<'a>) -> (&'o Code<'o, 'a>, Symbol<'a>) {
        let Some(outer) = self.outer.filter(|_| symbol.section == 0) else { return (self, symbol) };
        match outer.named.get(symbol.name) {
            Some(defined) => (outer, *defined),
            None => (self, symbol),
        }
    }

    pub(super) fn section(
        &'o self,
        name: &str,
        ext: Option<&Ext<'a>>,
    ) -> Result<Section<'o, 'a>, ReadError> {
        let records = ext.and_then(|ext| ext.sections.get(name)).cloned().unwrap_or_default();
        let mut section = Section {
            code: self,
            lines: records.lines,
            relocations: self.object.relocations(name)?,
        };
        // Line 0 stands for code that comes from no line.
        section.lines.retain(|line| line.line != 0);
        section.lines.sort_by_key(|line| line.insn_off);
        section.relocations.sort_by_key(|relocation| relocation.offset);
        Ok(section)
    }
}

impl<'a> Section<'_, 'a> {
    /// The source line that an instruction of the function comes from.
    pub(super) fn line_at(&self, function: &Function<'_>, offset: u64) -> Option<Place> {
        let after = self.lines.partition_point(|line| u64::from(line.insn_off) <= offset);
        let line = self.lines.get(after.checked_sub(1)?)?;
        (u64::from(line.insn_off) >= function.symbol.offset).then(|| place(line))
    }

    /// The instructions of a function.
    pub(super) fn listing(&self, function: &Function<'_>) -> Vec<Listed> {
        let insns = function.insns();
        let mut last = None;
        let texts = instructions(&insns).map(|(slot, text)| {
            let offset = function.symbol.offset.saturating_add(slot as u64 * 8);
            let insn = insns.get(slot).copied().unwrap_or_default();
            let at = self.lines.binary_search_by_key(&offset, |line| line.insn_off.into());
            let at = at.ok().and_then(|index| self.lines.get(index));
            let at = at.filter(|at| last.replace((at.file, at.line)) != Some((at.file, at.line)));
            let remark = self.remark(function, slot, offset, insn);
            Listed { slot, text, remark, at: at.map(place) }
        });
        texts.collect()
    }

    /// What is filled into the instruction at a byte of the section, or what it calls.
    fn remark(
        &self,
        function: &Function<'_>,
        slot: usize,
        offset: u64,
        insn: Insn,
    ) -> Option<String> {
        let at = self.relocations.partition_point(|relocation| relocation.offset < offset);
        let relocation = self.relocations.get(at).filter(|found| found.offset == offset);
        let linked = match relocation {
            Some(relocation) => Some(self.linked(relocation, insn)),
            None if calls(insn) => {
                let target = offset.saturating_add_signed((i64::from(insn.imm) + 1) * 8);
                let name = self.code.functions.get(&(function.section, target));
                name.map(|name| format!("function {name}"))
            }
            None => None,
        };
        let asked = self.code.asked.get(&(function.section, function.symbol.name, slot));
        let asked = asked.map(|asked| format!("{} {}", asked.local, asked.kind.name()));
        linked.or(asked)
    }

    /// What a relocation puts into an instruction.
    fn linked(&self, relocation: &Relocation<'a>, insn: Insn) -> String {
        let (code, symbol) = self.code.defining(relocation.symbol);
        let Code { object, functions, variables, .. } = code;
        let section = object.sections.get(symbol.section).map_or("", |section| section.name);
        let imm = i64::from(insn.imm);
        if calls(insn) || insn.src == PSEUDO_FUNC {
            // A call has the distance in slots from the next instruction, an address has it in bytes.
            let distance = if calls(insn) { (imm + 1) * 8 } else { imm };
            let target = symbol.offset.saturating_add_signed(distance);
            let name = functions.get(&(section, target)).copied().unwrap_or(symbol.name);
            return format!("function {name}");
        }
        if symbol.kind == symbol_type::SECTION {
            let offset = symbol.offset.saturating_add_signed(imm);
            return match variables.get(&(section, offset)) {
                Some(variable) => format!("variable {variable}"),
                None => format!("{section}+{offset}"),
            };
        }
        match (section, symbol.kind) {
            (".maps" | "maps", _) => format!("map {}", symbol.name),
            ("", _) => format!("external {}", symbol.name),
            (_, symbol_type::FUNC) => format!("function {}", symbol.name),
            _ => format!("variable {}", symbol.name),
        }
    }
}

fn place(line: &Line<'_>) -> Place {
    let (file, text) = (line.file.to_owned(), line.text.trim_end().to_owned());
    Place { file, line: line.line, col: line.col, text }
}

fn calls(insn: Insn) -> bool {
    insn.code == JMP | CALL && insn.src == PSEUDO_CALL
}
