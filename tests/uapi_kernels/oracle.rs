//! The library's questions, answered by libbpf and by ours: record by record the same instructions, or a reason why not.

use super::answers::{opened, survey};
use super::libbpf;
use super::support::kernels;
use super::support::require;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::{CALL, CLASS_MASK, JMP, LDX};
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Cause, Edit, Fixup, Policy};
use ubpfc::target::Endian;

/// A call of a helper that no kernel has: what libbpf leaves where it has no answer.
const POISON: Insn = Insn { code: JMP | CALL, dst: 0, src: 0, off: 0, imm: 195_896_080 };

/// How an answer of ours compares to libbpf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Compared {
    /// The same instructions.
    Equal,
    /// Neither has one.
    Missing,
    /// By our policy a load of another width or sign is converted, where libbpf gives up.
    Converted,
    /// By our policy a number whose sign or width the program takes for another is refused.
    Unfit,
    /// The bits of a bitfield are counted in the byte order of the target, where libbpf counts in that of the host.
    ByteOrder,
}

/// How they compare; none if they differ for no known reason.
fn compared(
    fixup: &Fixup,
    theirs: &[Insn],
    was: Insn,
    policy: Policy,
    endian: Endian,
) -> Option<Compared> {
    let poisoned = theirs.iter().all(|insn| *insn == POISON);
    match &fixup.edit {
        Edit::Missing(_) if poisoned => Some(Compared::Missing),
        Edit::Missing(missing) => {
            (policy == Policy::Strict && missing.cause == Cause::Unfit).then_some(Compared::Unfit)
        }
        Edit::Replace(ours) if *ours == theirs => Some(Compared::Equal),
        Edit::Replace(_) if poisoned => {
            let load = was.code & CLASS_MASK == LDX && fixup.access.kind == CoreKind::ByteOff;
            let other =
                fixup.access.size != fixup.access.local_size || fixup.access.signed.is_some();
            (load && other && policy == Policy::Strict).then_some(Compared::Converted)
        }
        Edit::Replace(_) => {
            let shift = fixup.access.kind == CoreKind::LshiftU64 && endian == Endian::Big;
            // From the other end of the same unit: the two leave the same width.
            let (bits, size) = (fixup.access.bits, fixup.access.size?);
            let width = bits.map_or(size * 8, u32::from);
            let turned = |value: u64| 128 - u64::from(size) * 8 - u64::from(width) - value;
            (shift && fixup.access.value.map(turned) == value(theirs))
                .then_some(Compared::ByteOrder)
        }
    }
}

/// The number that instructions hold.
fn value(insns: &[Insn]) -> Option<u64> {
    match insns {
        [low, high] => {
            Some(u64::from(high.imm.cast_unsigned()) << 32 | u64::from(low.imm.cast_unsigned()))
        }
        [only] => Some(u64::from(only.imm.cast_unsigned())),
        _ => None,
    }
}

#[test]
fn every_question_is_answered_as_libbpf_answers_it() {
    if !require("root") {
        return;
    }
    let mut wrong = String::new();
    let mut all: BTreeMap<(&str, Compared), usize> = BTreeMap::new();
    let folder = tempfile::tempdir().unwrap();
    let (object_file, types_file) = (folder.path().join("survey.o"), folder.path().join("types"));
    for types in kernels::all() {
        let kernel = opened(types);
        let loaded = kernel.load(&[]).unwrap();
        let endian = loaded.target().unwrap().image.endian;
        let bytes = survey(endian);
        let object = Object::parse(bytes).unwrap();
        let functions = object.functions().unwrap();
        let own: BTreeMap<&str, Vec<Insn>> =
            functions.iter().map(|own| (own.symbol.name, own.insns())).collect();
        std::fs::write(&object_file, bytes).unwrap();
        std::fs::write(&types_file, types.btf()).unwrap();
        let theirs = libbpf::relocate(&object_file, &types_file);
        if theirs.refused() {
            let _ = writeln!(wrong, "{}: libbpf refuses: {}", types.name, theirs.log);
            continue;
        }
        let loaded = relocate::load(&kernel, &relocate::needs(&object).unwrap()).unwrap();
        let target = loaded.target().unwrap();
        for (name, policy) in [("libbpf", Policy::Libbpf), ("strict", Policy::Strict)] {
            let plan = relocate::plan(&object, &target, policy).unwrap();
            let mut differ = 0;
            for fixup in &plan.fixups {
                let function = &fixup.access.function;
                let at = fixup.access.insn;
                let code = theirs.programs.get(function).unwrap_or_else(|| panic!("no {function}"));
                let was = own[&**function][at];
                let slots = if was.is_wide() { 2 } else { 1 };
                let their = &code[at..at + slots];
                if let Some(how) = compared(fixup, their, was, policy, endian) {
                    *all.entry((name, how)).or_default() += 1;
                } else {
                    differ += 1;
                    if differ < 4 {
                        let _ = writeln!(
                            wrong,
                            "{} {name}: {their:?}\n  and ours {fixup:?}",
                            types.name
                        );
                    }
                }
            }
        }
    }
    for ((policy, how), count) in &all {
        eprintln!("{policy:7} {how:?}: {count}");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(all.get(&("libbpf", Compared::Equal)).is_some_and(|n| *n > 1000));
}
