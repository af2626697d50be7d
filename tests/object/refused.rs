//! Machine code that no loader would take is refused, not written.

use super::fixture::{self, Script, field};
use ubpfc::ir::reloc::{CoreReloc, FieldQuestion, LocalTy};
use ubpfc::isa::code::{InsnIdx, Reloc, RelocKind};
use ubpfc::object::{ObjectError, write};
use ubpfc::sema::types::IntTy;
use ubpfc::target::Target;

/// The error for the fixture with a question about another member at slot 2, a load.
fn asked(path: &[&str], question: FieldQuestion) -> ObjectError {
    refused(|script| {
        let access = field(&mut script.code.accesses, "page", path, LocalTy::Int(IntTy::U64));
        let kind = RelocKind::Core(CoreReloc::Field(access, question));
        script.code.programs[0].relocs[0] = Reloc { insn: InsnIdx(2), kind };
    })
}

fn refused(change: impl FnOnce(&mut Script)) -> ObjectError {
    let mut script = fixture::script();
    change(&mut script);
    write(&script.hir, &script.code, &script.sources, Target::default()).unwrap_err()
}

#[test]
fn an_offset_beyond_an_instruction() {
    let error = asked(&["numbers", "5000"], FieldQuestion::ByteOffset);
    let said = "sched_switch: instruction 2 cannot hold 40000, the local value of page___user.numbers[5000]";
    assert_eq!(error.to_string(), said);
}

#[test]
fn the_sign_of_an_array_element() {
    let error = asked(&["numbers", "1"], FieldQuestion::Signed);
    assert_eq!(
        error.to_string(),
        "signed cannot be asked of the array element page___user.numbers[1]"
    );
}

#[test]
fn a_path_of_more_steps_than_loaders_take() {
    let error = asked(&["m"; 64], FieldQuestion::Exists);
    assert_eq!(error, ObjectError::PathTooLong { root: "page".into(), limit: 63 });
}

#[test]
fn a_local_type_too_large_for_its_offsets() {
    let error = asked(&["numbers", "4294967295"], FieldQuestion::Exists);
    assert_eq!(error, ObjectError::FlavorTooLarge { name: "page___user".into() });
}

#[test]
fn a_relocation_of_an_instruction_that_cannot_hold_it() {
    let error = refused(|script| script.code.programs[0].relocs[0].insn = InsnIdx(5));
    assert_eq!(error.to_string(), "sched_switch: instruction 5 (opcode 0x15) cannot be relocated");
    let error = refused(|script| script.code.programs[1].relocs[1].insn = InsnIdx(4));
    assert_eq!(
        error.to_string(),
        "sched_switch_2: instruction 4 (opcode 0x79) cannot be relocated"
    );
    let error = refused(|script| script.code.programs[1].relocs[3].kind = RelocKind::Callback(7));
    assert!(matches!(error, ObjectError::NotRelocatable { insn: 7, .. }), "{error}");
}

#[test]
fn a_function_without_a_source_line() {
    let error = refused(|script| script.code.callbacks[0].lines.clear());
    assert_eq!(error, ObjectError::NoLines { function: "visit_first".into() });
}
