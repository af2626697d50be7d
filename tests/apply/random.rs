//! Random code with random insertions and deletions gives what it gave.

use crate::fixture::*;
use proptest::prelude::*;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::*;
use ubpfc::relocate::{ApplyError, Edit, Policy};
use ubpfc::target::Endian;

/// How many numbers the context has.
const CONTEXT: i16 = 4;

/// What `insns` return for a context of numbers.
fn result(insns: &[Insn], context: &[u64]) -> u64 {
    let bytes: Vec<u8> = insns.iter().flat_map(|insn| insn.encode(Endian::Little)).collect();
    let mut memory: Vec<u8> = context.iter().flat_map(|word| word.to_le_bytes()).collect();
    let vm = rbpf::EbpfVmRaw::new(Some(&bytes)).unwrap();
    vm.execute_program(&mut memory).unwrap()
}

/// One instruction that rbpf executes as the kernel does. Jumps go forward, over at most as many slots as the number says; they are cut to the code's length later.
fn step() -> impl Strategy<Value = Vec<Insn>> {
    let register = || prop_oneof![Just(0_u8), 2..=9_u8];
    let small = || prop_oneof![0..4_i32, Just(0x1234_5678)];
    let operation = prop::sample::select(vec![ADD, SUB, MUL, OR, AND, XOR, MOV]);
    let comparison = prop::sample::select(vec![JEQ, JNE, JGT, JGE, JLT, JLE, JSET]);
    let class = prop::sample::select(vec![ALU, ALU64]);
    let source = || prop::sample::select(vec![K, X]);
    let operand = move || (source(), register(), register(), small());
    let slot = || (1..=4_i16).prop_map(|slot| slot * -8);
    let with = |code: u8, (source, dst, src, imm): (u8, u8, u8, i32), off| {
        let (src, imm) = if source == X { (src, 0) } else { (0, imm) };
        insn(code | source, dst, src, off, imm)
    };
    prop_oneof![
        4 => (class, operation, operand()).prop_map(move |(c, o, w)| vec![with(c | o, w, 0)]),
        3 => (comparison, operand(), 0..6_i16).prop_map(move |(o, w, off)| vec![with(JMP | o, w, off)]),
        1 => (0..6_i16).prop_map(|off| vec![ja(off)]),
        2 => (register(), small()).prop_map(|(dst, imm)| vec![mov(dst, imm)]),
        1 => (register(), any::<u64>()).prop_map(|(dst, value)| wide(dst, value).to_vec()),
        1 => (register(), 0..CONTEXT).prop_map(|(dst, word)| vec![load_context(dst, word * 8)]),
        1 => (register(), slot()).prop_map(|(src, off)| vec![insn(STX | MEM | DW, 10, src, off, 0)]),
        1 => (slot(), small()).prop_map(|(off, imm)| vec![insn(ST | MEM | DW, 10, 0, off, imm)]),
        1 => (slot(), small()).prop_map(|(off, imm)| vec![insn(ST | MEM | B, 10, 0, off + 3, imm)]),
        1 => (register(), slot()).prop_map(|(dst, off)| vec![insn(LDX | MEM | DW, dst, 10, off, 0)]),
    ]
}

/// A program that begins with registers of which half are known, and a known stack, and returns what all of them make.
fn code() -> impl Strategy<Value = Vec<Insn>> {
    prop::collection::vec(step(), 1..40).prop_map(|steps| {
        let mut insns: Vec<Insn> =
            (2..6).map(|word| load_context(word, i16::from(word - 2) * 8)).collect();
        insns.extend((6..10).map(|register| mov(register, 0)));
        insns.push(mov(0, 1));
        insns.extend((1..=4).map(|slot| insn(ST | MEM | DW, 10, 0, slot * -8, 0)));
        let first = insns.len();
        // Where each step begins, and where all end.
        let mut starts = vec![first];
        for step in &steps {
            starts.push(starts.last().unwrap() + step.len());
        }
        for (index, step) in steps.into_iter().enumerate() {
            insns.extend(step.into_iter().map(|insn| {
                let jumps = insn.code & CLASS_MASK == JMP;
                let over = usize::try_from(insn.off).unwrap_or(0);
                let to = starts[(index + 1 + over).min(starts.len() - 1)];
                let off =
                    if jumps { i16::try_from(to - starts[index] - 1).unwrap() } else { insn.off };
                Insn { off, ..insn }
            }));
        }
        insns.extend((2..10).map(|register| insn(ALU64 | XOR | X, 0, register, 0, 0)));
        insns.push(exit());
        insns
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Instructions that do nothing may be inserted anywhere, what cannot run may be removed, and the result stays.
    #[test]
    fn edited_code_gives_what_it_gave(
        insns in code(),
        inserted in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 0..8),
        lacking in any::<prop::sample::Index>(),
        context in prop::collection::vec(prop_oneof![0..4_u64, any::<u64>()], usize::try_from(CONTEXT).unwrap()),
    ) {
        let expected = result(&insns, &context);
        let mut starts = Vec::new();
        let mut second = false;
        for (slot, insn) in insns.iter().enumerate() {
            if !second && insn.code & CLASS_MASK != JMP {
                starts.push(slot);
            }
            second = insn.is_wide() && !second;
        }
        let mut edits = Vec::new();
        for (index, count) in inserted {
            let slot = *index.get(&starts);
            let mut new = insns[slot..=slot + usize::from(insns[slot].is_wide())].to_vec();
            new.extend(vec![insn(ALU64 | MOV | X, 9, 9, 0, 0); count]);
            edits.push(("program", slot, Edit::Replace(new)));
        }
        let functions = [program(insns.clone())];
        let applied = edited(&functions, &edits, Policy::Strict).unwrap();
        let after = code_of(&applied.bytes, "program");
        prop_assert_eq!(result(&after, &context), expected);

        // What the analysis says cannot run does not: another instruction in its place changes nothing.
        let slot = *lacking.get(&starts);
        match edited(&functions, &[("program", slot, missing())], Policy::Strict) {
            Ok(applied) => {
                let after = code_of(&applied.bytes, "program");
                prop_assert_eq!(result(&after, &context), expected);
            }
            Err(ApplyError::Missing(all)) => prop_assert_eq!(all.len(), 1),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }
}
