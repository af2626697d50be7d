//! Small pieces of code: what is edited, what is found to run, and what is left of it.

use crate::fixture::*;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::*;
use ubpfc::object::read::Object;
use ubpfc::relocate::{Action, ApplyError, Edit, Policy};

fn strict(functions: &[Function], edits: &[(&str, usize, Edit)]) -> Vec<Insn> {
    code_of(&edited(functions, edits, Policy::Strict).unwrap().bytes, "program")
}

/// The code of a single program after edits.
fn left(insns: Vec<Insn>, edits: &[(usize, Edit)]) -> Vec<Insn> {
    let edits: Vec<_> = edits.iter().map(|(at, edit)| ("program", *at, edit.clone())).collect();
    strict(&[program(insns)], &edits)
}

#[test]
fn jumps_go_where_they_went_when_instructions_come_and_go() {
    let [wide_low, wide_high] = wide(2, 7);
    let code = vec![
        load_context(0, 0),
        jeq(0, 1, 3), // over the wide load and the load
        wide_low,
        wide_high,
        load_context(2, 8),
        jeq(0, 2, -5), // back to the first jump
        jeq(0, 3, -6),
        exit(),
    ];
    let shift = insn(ALU64 | LSH | K, 2, 0, 0, 32);
    let longer = Edit::Replace(vec![load_context(2, 8), shift, shift]);
    let shorter = Edit::Replace(vec![mov(2, 7)]);
    let after = left(code, &[(4, longer), (2, shorter)]);
    let expected = [
        load_context(0, 0),
        jeq(0, 1, 4),
        load_context(2, 8),
        shift,
        shift,
        jeq(0, 2, -5),
        jeq(0, 3, -6),
        exit(),
    ];
    // The number that nothing reads is gone.
    assert_eq!(after, [&expected[..1], &[jeq(0, 1, 3)], &expected[2..]].concat());
}

#[test]
fn calls_and_addresses_of_functions_follow_them() {
    let to_callback = |imm| insn(LDIMM64, 2, PSEUDO_FUNC, 0, imm);
    let call_of = |imm| insn(JMP | CALL, 0, PSEUDO_CALL, 0, imm);
    let functions = [
        Function {
            refers: vec![(0, "program"), (3, "callback")],
            ..program(vec![
                mov(1, 3),
                call_of(4),
                to_callback(0),
                insn(0, 0, 0, 0, 0),
                mov(0, 0),
                exit(),
            ])
        },
        Function { name: "twin", ..program(vec![mov(0, 4), exit()]) },
        Function { section: ".text", name: "first", ..program(vec![mov(0, 1), exit()]) },
        Function { section: ".text", name: "callback", ..program(vec![mov(0, 2), exit()]) },
    ];
    let functions = functions.map(|mut function| {
        if function.name == "program" {
            function.refers = vec![(2, "callback")];
        }
        function
    });
    let grow = |value| Edit::Replace(vec![mov(0, value), mov(0, value), mov(0, value)]);
    let edits = [("program", 0, grow(1)), ("first", 0, grow(1)), ("twin", 0, grow(4))];
    let applied = edited(&functions, &edits, Policy::Strict).unwrap();
    let code = code_of(&applied.bytes, "program");
    // From the call to its twin, which begins right after the program.
    let call = code.iter().position(|insn| insn.src == PSEUDO_CALL && insn.code == JMP | CALL);
    let call = call.unwrap();
    assert_eq!(usize::try_from(code[call].imm).unwrap(), code.len() - call - 1);
    // Against the symbol of the function, which has moved.
    let object = Object::parse(&applied.bytes).unwrap();
    let relocations = object.relocations("raw_tp").unwrap();
    let [callback] = relocations[..] else { panic!("{relocations:?}") };
    assert_eq!((callback.symbol.name, callback.symbol.offset), ("callback", 4 * 8));
    let wide = &code[usize::try_from(callback.offset).unwrap() / 8];
    assert!(wide.is_wide() && wide.imm == 0, "{wide:?}");
}

#[test]
fn alternatives_that_the_target_lacks_are_removed() {
    let code = |exists| {
        vec![mov(2, exists), jeq(2, 0, 2), load_context(0, 8), ja(1), load_context(0, 16), exit()]
    };
    let answer = |exists| (0, Edit::Replace(vec![mov(2, exists)]));
    let there = left(code(1), &[answer(1), (4, missing())]);
    assert_eq!(there, [load_context(0, 8), exit()]);
    let absent = left(code(1), &[answer(0), (2, missing())]);
    assert_eq!(absent, [load_context(0, 16), exit()]);
    let unread_only = left(vec![mov(2, 1), mov(0, 0), exit()], &[answer(1)]);
    assert_eq!(unread_only, [mov(0, 0), exit()]);
    let read = vec![mov(2, 5), insn(ALU64 | MOV | X, 0, 2, 0, 0), exit()];
    assert_eq!(left(read.clone(), &[answer(5)]), read);
}

#[test]
fn constants_are_followed_through_arithmetic_the_stack_and_equality() {
    let guarded = |guard: &[Insn]| {
        // What the guard finds out in r2 decides whether the missing load runs.
        let code = [guard, &[mov(0, 0), jeq(2, 0, 1), load_context(0, 8), exit()]].concat();
        let at = guard.len() + 2;
        edited(&[program(code)], &[("program", at, missing())], Policy::Strict).is_ok()
    };
    let store = |off| insn(STX | MEM | DW, 10, 3, off, 0);
    let fetch = |off| insn(LDX | MEM | DW, 2, 10, off, 0);
    let copy = |dst, src| insn(ALU64 | MOV | X, dst, src, 0, 0);
    let [low, high] = wide(2, 1 << 40);
    assert!(guarded(&[mov(2, 0)]));
    assert!(!guarded(&[mov(2, 1)]));
    assert!(!guarded(&[load_context(2, 0)]));
    assert!(guarded(&[low, high, insn(ALU | MOV | X, 2, 2, 0, 0)]), "32-bit moves cut");
    assert!(guarded(&[mov(3, 0), store(-8), fetch(-8)]));
    assert!(!guarded(&[mov(3, 0), store(-8), fetch(-16)]));
    assert!(!guarded(&[mov(3, 0), store(-8), insn(ST | MEM | B, 10, 0, -5, 1), fetch(-8)]));
    // A call may write through a copy of the frame pointer, if there is one, and takes r0 to r5.
    assert!(guarded(&[mov(3, 0), store(-8), call(5), fetch(-8)]));
    assert!(!guarded(&[mov(3, 0), store(-8), copy(1, 10), call(5), fetch(-8)]));
    assert!(!guarded(&[mov(2, 0), call(5)]));
    assert!(guarded(&[mov(6, 0), call(5), copy(2, 6)]));
    // Where two ways meet, what differs is not known.
    assert!(!guarded(&[load_context(3, 0), mov(2, 0), jeq(3, 0, 1), mov(2, 1)]));
    assert!(guarded(&[load_context(3, 0), mov(2, 0), jeq(3, 0, 1), mov(2, 0)]));
    // What is equal to 0 is 0.
    assert!(guarded(&[load_context(2, 0), jeq(2, 0, 2), mov(0, 0), exit()]));
    // So it is on that way alone.
    let jne = |register, imm, off| insn(JMP | JNE | K, register, 0, off, imm);
    assert!(!guarded(&[load_context(2, 0), jne(2, 0, 2), mov(0, 0), exit()]));
    assert!(guarded(&[load_context(2, 0), jne(2, 0, 1), ja(2), mov(0, 0), exit()]));
    // In a loop, what changes is not known.
    assert!(!guarded(&[
        mov(2, 0),
        insn(ALU64 | ADD | K, 2, 0, 0, 1),
        insn(JMP | JLT | K, 2, 0, -2, 9)
    ]));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let code = vec![load_context(2, 0), load_context(3, 8), mov(0, 0), exit()];
    let second = vec![load_context(0, 0), exit()];
    let functions = [program(code), Function { name: "twin", ..program(second) }];
    let edits = [("program", 0, missing()), ("twin", 0, missing())];
    let Err(ApplyError::Missing(all)) = edited(&functions, &edits, Policy::Strict) else {
        panic!("it cannot run");
    };
    let places: Vec<_> = all.iter().map(|one| one.access.function.as_str()).collect();
    assert_eq!(places, ["program", "twin"]);
    let applied = edited(&functions, &edits, Policy::Libbpf).unwrap();
    let code = code_of(&applied.bytes, "program");
    assert_eq!(code.len(), 4);
    assert_eq!(code[0], call(POISON));
    assert!(applied.accesses.iter().all(|access| access.action == Action::Poisoned));
}

#[test]
fn what_lacks_behind_an_unanswered_question_is_told_too() {
    let code = vec![load_context(0, 0), load_context(0, 8), exit()];
    let edits = [("program", 0, missing()), ("program", 1, missing())];
    let Err(ApplyError::Missing(all)) = edited(&[program(code)], &edits, Policy::Strict) else {
        panic!("it cannot run");
    };
    assert_eq!(all.len(), 2);
}

#[test]
fn functions_that_nothing_enters_need_no_answers() {
    let call_of = |imm| insn(JMP | CALL, 0, PSEUDO_CALL, 0, imm);
    let functions = [
        Function {
            refers: vec![(2, "helper")],
            ..program(vec![mov(2, 1), jeq(2, 0, 1), call_of(-1), mov(0, 0), exit()])
        },
        Function { section: ".text", name: "helper", ..program(vec![load_context(0, 8), exit()]) },
    ];
    let answer = |exists| ("program", 0, Edit::Replace(vec![mov(2, exists)]));
    let absent = [answer(0), ("helper", 0, missing())];
    let applied = edited(&functions, &absent, Policy::Strict).unwrap();
    assert_eq!(code_of(&applied.bytes, "program"), [mov(0, 0), exit()]);
    assert_eq!(code_of(&applied.bytes, "helper"), [mov(0, 0), exit()]);
    assert_eq!(applied.accesses[1].action, Action::Unreachable);
    let there = [answer(1), ("helper", 0, missing())];
    assert!(matches!(edited(&functions, &there, Policy::Strict), Err(ApplyError::Missing(_))));
}

#[test]
fn optional_programs_are_left_to_whoever_enables_them() {
    let functions = [Function { section: "?raw_tp", ..program(vec![load_context(0, 8), exit()]) }];
    let applied = edited(&functions, &[("program", 0, missing())], Policy::Strict).unwrap();
    assert_eq!(code_of(&applied.bytes, "program"), [call(POISON), exit()]);
    assert_eq!(applied.accesses[0].action, Action::Poisoned);
}

#[test]
fn code_that_cannot_be_edited_is_refused_with_its_place() {
    let [low, high] = wide(0, 1);
    let refused = |insns: Vec<Insn>| {
        let error = edited(&[program(insns)], &[], Policy::Strict).unwrap_err();
        error.to_string()
    };
    let inside = refused(vec![mov(0, 0), ja(1), low, high, exit()]);
    assert_eq!(inside, "program, instruction 1: it jumps into the middle of an instruction");
    let outside = refused(vec![mov(0, 0), ja(7), exit()]);
    assert_eq!(outside, "program, instruction 1: it jumps out of its section");
    let half = refused(vec![mov(0, 0), low]);
    assert_eq!(half, "program, instruction 1: the second half of an instruction is missing");
    let call_of = insn(JMP | CALL, 0, PSEUDO_CALL, 0, 0);
    let nowhere = refused(vec![mov(0, 0), call_of, exit()]);
    assert_eq!(nowhere, "program, instruction 1: it refers to a place where no function begins");
}

#[test]
fn what_another_relocation_has_poisoned_is_refused() {
    let error = edited(&[program(vec![call(POISON), exit()])], &[], Policy::Strict).unwrap_err();
    let expected = "program, instruction 0: it is poisoned already, by another relocation";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_jump_that_becomes_too_long_is_refused() {
    let mut code = vec![load_context(0, 0), jeq(0, 1, 32_000)];
    code.resize(32_002, load_context(2, 0));
    code.extend([mov(0, 0), exit()]);
    let longer = Edit::Replace(vec![load_context(2, 0); 1000]);
    let functions = [program(code)];
    let error = edited(&functions, &[("program", 5, longer)], Policy::Strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        "program, instruction 1: it jumps farther than an instruction can"
    );
}
