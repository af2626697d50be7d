//! A small relocator over machine code, for tests: what a loader would patch in for a given kernel.

use super::eval::Input;
use super::image::{KTy, KernelImage};
use ubpfc::ir::MapTarget;
use ubpfc::ir::reloc::{Accesses, CoreReloc, FieldQuestion, LocalTy};
use ubpfc::isa::code::{Code, Function, Insn, RelocKind};
use ubpfc::isa::opcode as op;
use ubpfc::sema::hir::Hir;

/// The handle of the map at index 0 in the HIR; the others follow.
pub const MAP_BASE: u64 = 0x6d00_0000_0000;
/// The handle of the ring buffer.
pub const RING: u64 = 0x7200_0000_0000;
/// The handle of the callback at index 0; the others follow.
pub const CALLBACK_BASE: u64 = 0x6300_0000_0000;
/// What a loader calls in place of an instruction that has no answer.
pub const POISON: i32 = 0x0bad_2310;

/// The function's slots with everything filled in. `rodata` is the address that constants have been put at.
pub fn relocate(
    hir: &Hir,
    code: &Code,
    function: &Function,
    input: &Input,
    rodata: u64,
) -> Vec<Insn> {
    let mut insns = function.insns.clone();
    for reloc in &function.relocs {
        let at = reloc.insn.0 as usize;
        match &reloc.kind {
            RelocKind::Map(MapTarget::Ring) => wide(&mut insns, at, RING),
            RelocKind::Map(MapTarget::Map(id)) => {
                let index =
                    hir.maps.iter().position(|(m, _)| m == *id).expect("a map of this script");
                wide(&mut insns, at, MAP_BASE + index as u64);
            }
            RelocKind::Rodata(offset) => wide(&mut insns, at, rodata + u64::from(*offset)),
            RelocKind::Callback(index) => wide(&mut insns, at, CALLBACK_BASE + u64::from(*index)),
            RelocKind::Arg(_) => {}
            RelocKind::Core(question) => core(hir, code, &mut insns, at, question, input),
        }
    }
    insns
}

fn wide(insns: &mut [Insn], at: usize, value: u64) {
    assert_eq!(insns[at].code, op::LDIMM64, "slot {at} is no 64-bit immediate load");
    let bytes = value.to_le_bytes();
    let (low, high) = bytes.split_at(4);
    insns[at].src = 0;
    insns[at].imm = i32::from_le_bytes(low.try_into().expect("four"));
    insns[at + 1].imm = i32::from_le_bytes(high.try_into().expect("four"));
}

fn core(
    hir: &Hir,
    code: &Code,
    insns: &mut [Insn],
    at: usize,
    question: &CoreReloc,
    input: &Input,
) {
    let answer = answer(hir, &code.accesses, question, input);
    let insn = &mut insns[at];
    let class = insn.code & op::CLASS_MASK;
    let Some(value) = answer else { return poison(insns, at) };
    match class {
        op::LD => wide(insns, at, value.cast_unsigned()),
        op::ALU | op::ALU64 => {
            insn.imm = i32::try_from(value).expect("an answer fits an immediate");
        }
        op::LDX | op::ST | op::STX => {
            let CoreReloc::Field(access, FieldQuestion::ByteOffset) = question else {
                panic!("only an offset is patched into a load: {question:?}");
            };
            match resized(
                *insn,
                &code.accesses.get(*access).leaf,
                size_of(input.image, &code.accesses, *access),
            ) {
                Some(code) => {
                    *insn = Insn { code, off: i16::try_from(value).expect("a near field"), ..*insn }
                }
                None => poison(insns, at),
            }
        }
        _ => panic!("a loader cannot patch opcode {:#x} at slot {at}", insn.code),
    }
}

fn poison(insns: &mut [Insn], at: usize) {
    let bad = Insn { code: op::JMP | op::CALL, dst: 0, src: 0, off: 0, imm: POISON };
    if insns[at].code == op::LDIMM64 {
        insns[at + 1] = bad;
    }
    insns[at] = bad;
}

/// The answer for the image's kernel; `None` where a loader would poison the instruction.
fn answer(hir: &Hir, accesses: &Accesses, question: &CoreReloc, input: &Input) -> Option<i64> {
    let image = input.image;
    match question {
        CoreReloc::Field(id, question) => field(image, accesses, *id, *question),
        CoreReloc::StructSize(name) => Some(i64::from(image.struct_size(name).unwrap_or(0))),
        CoreReloc::Prototype(id) => {
            let prototype = &hir.prototypes[*id];
            let target = image.events.get(prototype.name.as_str());
            // Loaders compare the number of parameters and their kinds; events of an image differ in number.
            Some(i64::from(target.is_some_and(|t| t.len() == prototype.params.len())))
        }
        CoreReloc::EnumValue { enum_name, name } => image.enumerator(enum_name, name),
        CoreReloc::EnumExists { enum_name, name } => {
            Some(i64::from(image.enumerator(enum_name, name).is_some()))
        }
    }
}

type AccessId = ubpfc::ir::reloc::AccessId;

fn field(
    image: &KernelImage,
    accesses: &Accesses,
    id: AccessId,
    question: FieldQuestion,
) -> Option<i64> {
    let access = accesses.get(id);
    let place = image
        .find(&access.root, &access.steps)
        .filter(|p| KernelImage::compatible(&access.leaf, &p.ty));
    if question == FieldQuestion::Exists {
        return Some(i64::from(place.is_some()));
    }
    let place = place?;
    let (offset, size) = image.unit(&place);
    let width = if place.width == 0 { size * 8 } else { place.width };
    Some(i64::from(match question {
        FieldQuestion::Exists => unreachable!("answered above"),
        FieldQuestion::ByteOffset => offset,
        FieldQuestion::ByteSize => size,
        FieldQuestion::Signed => u32::from(matches!(place.ty, KTy::Int { signed: true, .. })),
        FieldQuestion::LshiftU64 => 64 - (place.bit + width - offset * 8),
        FieldQuestion::RshiftU64 => 64 - width,
    }))
}

fn size_of(image: &KernelImage, accesses: &Accesses, id: AccessId) -> (u32, bool) {
    let access = accesses.get(id);
    let place = image.find(&access.root, &access.steps).expect("it was found just now");
    let plain = matches!(place.ty, KTy::Int { signed: false, .. } | KTy::Ptr) && place.width == 0;
    (image.size(&place.ty), plain)
}

/// The opcode of a load of a field whose size the kernel has changed: only plain unsigned fields and pointers are resized.
fn resized(insn: Insn, local: &LocalTy, (size, plain): (u32, bool)) -> Option<u8> {
    let (local_size, local_plain) = match local {
        LocalTy::Int(int) => (int.size(), !int.signed),
        LocalTy::Enum(_, int) => (int.size(), false),
        LocalTy::Ptr => (8, true),
        LocalTy::Wanted(number, _) => return resized(insn, number, (size, plain)),
        LocalTy::Bits { .. } | LocalTy::Array(..) | LocalTy::Struct => return Some(insn.code),
    };
    if local_size == size {
        return Some(insn.code);
    }
    let width = match size {
        1 => op::B,
        2 => op::H,
        4 => op::W,
        8 => op::DW,
        _ => return None,
    };
    (plain && local_plain).then_some(insn.code & !op::SIZE_MASK | width)
}
