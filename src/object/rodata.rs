//! `.rodata`: constants and parameters. Parameters are variables in BTF and symbols, so that a stock loader can set them.

use super::elf::{File, Section, Symbol, SymbolIdx, section_flags, section_type, symbol_type};
use super::types;
use crate::btf::{Builder, SecVar, Type};
use crate::ir::Rodata;
use crate::sema::hir::Hir;

/// Adds the section, unless it would be empty; gives the section's symbol.
pub(super) fn add(
    hir: &Hir,
    rodata: &Rodata,
    btf: &mut Builder,
    file: &mut File,
) -> Option<SymbolIdx> {
    if rodata.bytes.is_empty() {
        return None;
    }
    let section = file.section(Section {
        name: ".rodata".into(),
        kind: section_type::PROGBITS,
        flags: section_flags::ALLOC,
        align: 8,
        data: rodata.bytes.clone(),
        relocs: Vec::new(),
    });
    let whole = file.symbol(Symbol {
        name: String::new(),
        kind: symbol_type::SECTION,
        global: false,
        section: Some(section),
        offset: 0,
        size: 0,
    });
    let mut vars = Vec::new();
    for var in &rodata.vars {
        let ty = types::declare(hir, &var.ty, btf);
        let ty = types::constant(ty, btf);
        let id = btf.add(Type::Var { name: var.name.clone(), ty, linkage: 1 });
        vars.push(SecVar { var: id, offset: var.offset, size: var.size });
        file.symbol(Symbol {
            name: var.name.to_string(),
            kind: symbol_type::OBJECT,
            global: true,
            section: Some(section),
            offset: var.offset.into(),
            size: var.size.into(),
        });
    }
    if !vars.is_empty() {
        vars.sort_by_key(|var| var.offset);
        let size = u32::try_from(rodata.bytes.len()).unwrap_or(u32::MAX);
        btf.add(Type::DataSec { name: ".rodata".into(), size, vars });
    }
    Some(whole)
}
