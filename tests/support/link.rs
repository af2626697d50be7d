//! A small linker, for tests: what a loader fills into the code of an object that has no question left.

use super::relocate::{CALLBACK_BASE, MAP_BASE, RING};
use super::vm::Linked;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode as op;
use ubpfc::object::read::{Function, Object};
use ubpfc::sema::hir::Hir;

const TEXT: &str = ".text";
const SLOT: u64 = 8;

/// A program with every address filled in. `rodata` is the address that constants have been put at.
pub(super) fn linked(
    hir: &Hir,
    object: &Object<'_>,
    section: &str,
    name: &str,
    frame: u32,
    rodata: u64,
) -> Result<Linked, String> {
    let functions = object.functions().map_err(|e| e.to_string())?;
    let mut callbacks: Vec<Function<'_>> =
        functions.iter().filter(|f| f.section == TEXT).copied().collect();
    callbacks.sort_by_key(|f| f.symbol.offset);
    let program = functions.iter().find(|f| f.section == section && f.symbol.name == name);
    let program = program.ok_or_else(|| format!("{section} has no {name}"))?;
    let fill = |function: &Function<'_>| fill(hir, object, function, &callbacks, rodata);
    Ok(Linked {
        insns: fill(program)?,
        callbacks: callbacks.iter().map(fill).collect::<Result<_, _>>()?,
        frame,
    })
}

fn fill(
    hir: &Hir,
    object: &Object<'_>,
    function: &Function<'_>,
    callbacks: &[Function<'_>],
    rodata: u64,
) -> Result<Vec<Insn>, String> {
    let mut insns = function.insns();
    let ring = object.ubpf().unwrap().unwrap().ring.map(|ring| ring.name);
    for relocation in object.relocations(function.section).map_err(|e| e.to_string())? {
        let Some(offset) = relocation.offset.checked_sub(function.symbol.offset) else { continue };
        let at = usize::try_from(offset / SLOT).unwrap();
        let Some(insn) = insns.get(at).copied() else { continue };
        let symbol = relocation.symbol;
        let home = object.sections.get(symbol.section).map_or("", |s| s.name);
        let addend = u64::from(insn.imm.cast_unsigned());
        let value = match home {
            ".maps" if ring.as_deref() == Some(symbol.name) => RING,
            ".maps" => {
                let map = hir.maps.iter().position(|(_, m)| m.name == symbol.name);
                MAP_BASE + map.ok_or_else(|| format!("no map {}", symbol.name))? as u64
            }
            ".rodata" => rodata + symbol.offset + addend,
            TEXT => {
                let start = symbol.offset + addend;
                let index = callbacks.iter().position(|c| c.symbol.offset == start);
                CALLBACK_BASE + index.ok_or("a callback is nowhere")? as u64
            }
            other => return Err(format!("{} in {other} is nothing known", symbol.name)),
        };
        if insn.code != op::LDIMM64 {
            return Err(format!("slot {at} is no 64-bit immediate load"));
        }
        let bytes = value.to_le_bytes();
        insns[at].src = 0;
        insns[at].imm = i32::from_le_bytes(bytes[..4].try_into().unwrap());
        insns[at + 1].imm = i32::from_le_bytes(bytes[4..].try_into().unwrap());
    }
    Ok(insns)
}
