//! Objects of hand-written code, and plans for them.

use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::*;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::elf::{
    self, Section, SectionIdx, Symbol, section_flags, section_type, symbol_type,
};
use ubpfc::object::read::Object;
use ubpfc::relocate::{
    Access, Action, Applied, ApplyError, Edit, Fixup, Missing, Plan, Policy, apply,
};
use ubpfc::target::Endian;

/// A function: its section and name, its code, and the slots that refer to a function by a relocation, with that function's name.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    pub(crate) insns: Vec<Insn>,
    pub(crate) refers: Vec<(usize, &'static str)>,
}

pub(crate) fn program(insns: Vec<Insn>) -> Function {
    Function { section: "raw_tp", name: "program", insns, refers: Vec::new() }
}

pub(crate) fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

pub(crate) fn mov(dst: u8, imm: i32) -> Insn {
    insn(ALU64 | MOV | K, dst, 0, 0, imm)
}

pub(crate) fn exit() -> Insn {
    insn(JMP | EXIT, 0, 0, 0, 0)
}

pub(crate) fn ja(off: i16) -> Insn {
    insn(JMP | JA, 0, 0, off, 0)
}

pub(crate) fn jeq(dst: u8, imm: i32, off: i16) -> Insn {
    insn(JMP | JEQ | K, dst, 0, off, imm)
}

pub(crate) fn call(helper: i32) -> Insn {
    insn(JMP | CALL, 0, 0, 0, helper)
}

pub(crate) fn load_context(dst: u8, off: i16) -> Insn {
    insn(LDX | MEM | DW, dst, 1, off, 0)
}

pub(crate) fn wide(dst: u8, value: u64) -> [Insn; 2] {
    let [low, high] =
        [value, value >> 32].map(|half| u32::try_from(half & 0xffff_ffff).unwrap().cast_signed());
    [insn(LDIMM64, dst, 0, 0, low), insn(0, 0, 0, 0, high)]
}

/// An object of functions, each section's one after the other.
pub(crate) fn object(functions: &[Function], endian: Endian) -> Vec<u8> {
    let mut file = elf::File::default();
    let mut sections: Vec<(&str, SectionIdx, Vec<u8>)> = Vec::new();
    let mut symbols = Vec::new();
    let mut starts = Vec::new();
    for function in functions {
        if !sections.iter().any(|(name, ..)| *name == function.section) {
            let index = file.section(Section {
                name: function.section.into(),
                kind: section_type::PROGBITS,
                flags: section_flags::ALLOC | section_flags::EXECINSTR,
                align: 8,
                ..Section::default()
            });
            sections.push((function.section, index, Vec::new()));
        }
        let (_, index, bytes) = sections.iter_mut().find(|(n, ..)| *n == function.section).unwrap();
        let offset = bytes.len() as u64;
        bytes.extend(function.insns.iter().flat_map(|insn| insn.encode(endian)));
        let symbol = file.symbol(Symbol {
            name: function.name.into(),
            kind: symbol_type::FUNC,
            global: true,
            section: Some(*index),
            offset,
            size: bytes.len() as u64 - offset,
        });
        symbols.push((function.name, symbol));
        starts.push((*index, offset));
    }
    for (function, (index, offset)) in functions.iter().zip(starts) {
        for (slot, name) in &function.refers {
            let (_, symbol) = symbols.iter().find(|(n, _)| n == name).unwrap();
            file.relocate(index, offset + *slot as u64 * 8, *symbol);
        }
    }
    for (_, index, bytes) in sections {
        file.fill(index, bytes);
    }
    file.bytes(endian)
}

/// A fixup of a function's slot.
pub(crate) fn fixup(object: &Object<'_>, function: &str, slot: usize, edit: Edit) -> Fixup {
    let symbol = object.symbols.iter().find(|symbol| symbol.name == function).unwrap();
    let access = Access {
        function: function.into(),
        section: object.sections[symbol.section].name.into(),
        insn: slot,
        at: None,
        kind: CoreKind::ByteOff,
        absent: None,
        local: "struct s.f".into(),
        target: None,
        target_id: None,
        module: None,
        local_value: None,
        local_size: None,
        sized: false,
        value: None,
        bit_offset: None,
        size: None,
        bits: None,
        signed: None,
        action: if matches!(edit, Edit::Missing(_)) { Action::Missing } else { Action::Patched },
    };
    let slot = slot + usize::try_from(symbol.offset).unwrap() / 8;
    Fixup { section: symbol.section, slot, edit, access }
}

pub(crate) fn missing() -> Edit {
    Edit::Missing(Missing::because("no f"))
}

/// Carries out edits of functions' slots, which gives the same code in both byte orders.
pub(crate) fn edited(
    functions: &[Function],
    edits: &[(&str, usize, Edit)],
    policy: Policy,
) -> Result<Applied, ApplyError> {
    let [little, big] = [Endian::Little, Endian::Big].map(|endian| {
        let bytes = object(functions, endian);
        let object = Object::parse(&bytes).unwrap();
        let fixup =
            |(name, slot, edit): &(&str, usize, Edit)| fixup(&object, name, *slot, edit.clone());
        let plan = Plan { fixups: edits.iter().map(fixup).collect(), ..Plan::default() };
        apply(&bytes, &object, &plan, policy)
    });
    assert_eq!(little.is_ok(), big.is_ok());
    if let (Ok(little), Ok(big)) = (&little, &big) {
        for function in functions {
            let [little, big] = [little, big].map(|it| code_of(&it.bytes, function.name));
            assert_eq!(little, big);
        }
    }
    little
}

/// The code of a function.
pub(crate) fn code_of(object: &[u8], name: &str) -> Vec<Insn> {
    let object = Object::parse(object).unwrap();
    let functions = object.functions().unwrap();
    functions.iter().find(|function| function.symbol.name == name).unwrap().insns()
}
