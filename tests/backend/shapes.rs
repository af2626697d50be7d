//! The code for shapes that programs are made of: how many slots it takes.

use super::build::Build;
use ubpfc::ir::reloc::{AccessId, CoreReloc, FieldQuestion};
use ubpfc::ir::{
    BinOp, BlockId, CmpOp, Cond, Helper, MapTarget, Off, Op, Space, Target, Term, ValueId, Width,
};
use ubpfc::isa::code::Function;
use ubpfc::lower::compile;
use ubpfc::sema::hir::{Hir, PrototypeId};
use ubpfc::target;

fn compile_one(build: Build) -> Function {
    let code = compile(build.module(), &Hir::default(), target::Target::default());
    code.expect("it is within the limits").programs.remove(0)
}

fn kernel(build: &mut Build, addr: ValueId, access: u32, signed: bool) -> ValueId {
    let off = Off::Core(AccessId(access));
    build.op(Op::Load { width: Width::W, signed, addr, off, space: Space::Kernel })
}

/// Ends a block by a comparison with a number.
fn goes_to(b: &mut Build, cond: (CmpOp, ValueId, u64), then: Target, otherwise: Target) {
    let (op, a, number) = cond;
    let number = b.number(number);
    b.end(Term::Branch { cond: Cond { op, a, b: number }, then, otherwise });
}

fn to(block: BlockId, args: &[ValueId]) -> Target {
    Target { block, args: args.to_vec() }
}

/// Four fields of two structs in a ring buffer record, as signed numbers.
fn switch() -> Build {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let prev = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let next = b.load(Width::D, false, Space::Ctx, ctx, 16);
    let ring = b.op(Op::MapAddr(MapTarget::Ring));
    let (size, zero) = (b.number(16), b.number(0));
    let record = b.call(Helper::RingbufReserve, &[ring, size, zero]);
    let (full, _) = b.block(0);
    let (send, _) = b.block(0);
    b.branch(CmpOp::Eq, record, zero, full, send);
    b.at = send;
    for (i, (task, access)) in [(prev, 0), (prev, 1), (next, 0), (next, 1)].into_iter().enumerate()
    {
        let value = kernel(&mut b, task, access, true);
        b.store(Width::W, Space::Shared, record, 4 * i as i16, value);
    }
    b.effect(Op::Call(Helper::RingbufSubmit, vec![record, zero]));
    let zero2 = b.number(0);
    b.ret(zero2);
    b.at = full;
    let zero = b.number(0);
    b.ret(zero);
    b
}

#[test]
fn a_record_of_four_loads_takes_as_many_slots_as_clang_needs() {
    let function = compile_one(switch());
    assert_eq!(function.insns.len(), 21);
}

/// The bucket of a number in a histogram by powers of two, as lowering writes it.
fn log2() -> Build {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let number = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let (done, bucket) = b.block(1);
    let (positive, _) = b.block(0);
    let one = b.number(1);
    goes_to(&mut b, (CmpOp::Eq, number, 0), to(done, &[one]), to(positive, &[]));
    b.at = positive;
    let (mut rest, mut n) = (number, b.number(2));
    for bits in [32, 16, 8, 4, 2, 1] {
        let (large, _) = b.block(0);
        let (next, merged) = b.block(2);
        let shifts = b.number(bits);
        if bits == 32 {
            let upper = b.bin(BinOp::ShrU, rest, shifts);
            goes_to(&mut b, (CmpOp::Eq, upper, 0), to(next, &[rest, n]), to(large, &[]));
            b.at = large;
            let more = b.bin(BinOp::Add, n, shifts);
            b.jump(next, &[upper, more]);
        } else {
            let most = (1 << bits) - 1;
            goes_to(&mut b, (CmpOp::GtU, rest, most), to(large, &[]), to(next, &[rest, n]));
            b.at = large;
            let shifted = b.bin(BinOp::ShrU, rest, shifts);
            let more = b.bin(BinOp::Add, n, shifts);
            b.jump(next, &[shifted, more]);
        }
        b.at = next;
        (rest, n) = (merged[0], merged[1]);
    }
    b.jump(done, &[n]);
    b.at = done;
    b.ret(bucket[0]);
    b
}

#[test]
fn a_histogram_bucket_takes_three_slots_a_step() {
    let function = compile_one(log2());
    assert!(function.insns.len() <= 26, "{}", super::show(&function.insns));
}

/// A field under two names, read as text says: `state = __state else state`, added to a map's entry.
fn alternatives() -> Build {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let task = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let (first, _) = b.block(0);
    let (second, _) = b.block(0);
    let (done, state) = b.block(1);
    let exists = b.op(Op::Core(CoreReloc::Field(AccessId(0), FieldQuestion::Exists)));
    goes_to(&mut b, (CmpOp::Ne, exists, 0), to(first, &[]), to(second, &[]));
    for (block, access) in [(first, 0), (second, 1)] {
        b.at = block;
        let value = kernel(&mut b, task, access, false);
        b.jump(done, &[value]);
    }
    b.at = done;
    let key = b.slot(4, 4, "key of @x");
    let addr = b.op(Op::SlotAddr(key, 0));
    b.store(Width::W, Space::Stack, addr, 0, state[0]);
    let (map, one) = (b.op(Op::MapAddr(MapTarget::Ring)), b.number(1));
    let entry = b.call(Helper::MapLookup, &[map, addr]);
    let (add, _) = b.block(0);
    let (new, _) = b.block(0);
    let (end, _) = b.block(0);
    goes_to(&mut b, (CmpOp::Eq, entry, 0), to(new, &[]), to(add, &[]));
    b.at = add;
    let old = b.load(Width::D, false, Space::Shared, entry, 0);
    let sum = b.bin(BinOp::Add, old, one);
    b.store(Width::D, Space::Shared, entry, 0, sum);
    b.jump(end, &[]);
    b.at = new;
    let value = b.slot(8, 8, "first value");
    let place = b.op(Op::SlotAddr(value, 0));
    b.store(Width::D, Space::Stack, place, 0, one);
    let zero = b.number(0);
    b.effect(Op::Call(Helper::MapUpdate, vec![map, addr, place, zero]));
    b.jump(end, &[]);
    b.at = end;
    let zero = b.number(0);
    b.ret(zero);
    b
}

#[test]
fn a_counter_under_a_field_with_alternatives() {
    let function = compile_one(alternatives());
    assert!(function.insns.len() <= 30);
}

/// The loader's numbers are patched into arithmetic, not loaded first; an enumerator takes 64 bits.
#[test]
fn answers_of_the_loader_are_immediates() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let word = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let mut value = word;
    for (op, question) in [
        (BinOp::Add, FieldQuestion::ByteOffset),
        (BinOp::Shl, FieldQuestion::LshiftU64),
        (BinOp::ShrS, FieldQuestion::RshiftU64),
    ] {
        let answer = b.op(Op::Core(CoreReloc::Field(AccessId(0), question)));
        value = b.bin(op, value, answer);
    }
    let (enum_name, name) = ("drop_reason".into(), "NO_SOCKET".into());
    let enumerator = b.op(Op::Core(CoreReloc::EnumValue { enum_name, name }));
    let both = b.bin(BinOp::Xor, value, enumerator);
    b.ret(both);
    let function = compile_one(b);
    let at: Vec<u32> = function.relocs.iter().map(|r| r.insn.0).collect();
    let text = super::show(&function.insns);
    assert_eq!(function.insns.len(), 8, "{text}");
    // The load, three patched operations, and the enumerator's two slots before the last one.
    assert_eq!(at, [1, 2, 3, 4], "{text}");
}

/// Extensions that nobody looks at are left out, and a signed field is compared in 32 bits.
#[test]
fn extensions_cost_nothing_where_nobody_looks() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let task = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let pid = kernel(&mut b, task, 0, true);
    let (yes, _) = b.block(0);
    let (no, _) = b.block(0);
    goes_to(&mut b, (CmpOp::GtS, pid, 100), to(yes, &[]), to(no, &[]));
    for (block, result) in [(yes, 1), (no, 0)] {
        b.at = block;
        let number = b.number(result);
        b.ret(number);
    }
    let function = compile_one(b);
    let text = super::show(&function.insns);
    assert!(text.contains("if w1 s"), "{text}");
    assert!(function.insns.len() <= 7, "{text}");
}

/// A branch that an earlier one has decided is none, and 0 is set before the null check that asks for it.
#[test]
fn a_chain_of_fields_asks_once_for_each_pointer() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let task = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let mut sum = b.number(0);
    for access in [0, 1] {
        let (valid, _) = b.block(0);
        let (done, field) = b.block(1);
        let zero = b.number(0);
        goes_to(&mut b, (CmpOp::Eq, task, 0), to(done, &[zero]), to(valid, &[]));
        b.at = valid;
        let value = kernel(&mut b, task, access, false);
        b.jump(done, &[value]);
        b.at = done;
        sum = b.bin(BinOp::Add, sum, field[0]);
    }
    let (end, _) = b.block(0);
    let (more, _) = b.block(0);
    goes_to(&mut b, (CmpOp::Eq, task, 0), to(end, &[]), to(more, &[]));
    b.at = more;
    let (again, _) = b.block(0);
    goes_to(&mut b, (CmpOp::Ne, task, 0), to(again, &[]), to(end, &[]));
    b.at = again;
    let one = b.number(1);
    sum = b.bin(BinOp::Add, sum, one);
    b.ret(sum);
    b.at = end;
    let zero = b.number(0);
    b.ret(zero);
    let function = compile_one(b);
    let text = super::show(&function.insns);
    assert_eq!(text.matches("if ").count(), 3, "{text}");
    assert!(function.insns.len() <= 14, "{text}");
}

/// Two arguments that are needed after a call are read before it, so that the context is not kept.
#[test]
fn arguments_are_read_before_the_context_is_lost() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    let time = b.call(Helper::KtimeGetNs, &[]);
    let first = b.load(Width::D, false, Space::Ctx, ctx, 0);
    let second = b.load(Width::D, false, Space::Ctx, ctx, 8);
    let sum = b.bin(BinOp::Add, first, second);
    let all = b.bin(BinOp::Add, time, sum);
    b.ret(all);
    let function = compile_one(b);
    let text = super::show(&function.insns);
    assert!(function.insns.len() <= 6, "{text}");
}

/// What only some prototypes hand over is read behind the question which one it is.
#[test]
fn arguments_are_not_read_before_the_question_about_the_prototype() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    b.effect(Op::Call(Helper::KtimeGetNs, Vec::new()));
    let (has, _) = b.block(0);
    let (has_not, _) = b.block(0);
    let prototype = PrototypeId::from_raw(la_arena::RawIdx::from_u32(0));
    let asked = b.op(Op::Core(CoreReloc::Prototype(prototype)));
    goes_to(&mut b, (CmpOp::Ne, asked, 0), to(has, &[]), to(has_not, &[]));
    b.at = has;
    let value = b.load(Width::D, false, Space::Ctx, ctx, 8);
    b.ret(value);
    b.at = has_not;
    let zero = b.number(0);
    b.ret(zero);
    let function = compile_one(b);
    let text = super::show(&function.insns);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}: {text}"));
    assert!(at("if ") < at("+8)"), "{text}");
}

/// Stack that nothing reads is not written.
#[test]
fn what_nothing_reads_is_not_written() {
    let mut b = Build::new();
    let slot = b.slot(16, 8, "a key");
    let addr = b.op(Op::SlotAddr(slot, 0));
    let time = b.call(Helper::KtimeGetNs, &[]);
    b.store(Width::D, Space::Stack, addr, 0, time);
    b.store(Width::D, Space::Stack, addr, 8, time);
    let zero = b.number(0);
    b.ret(zero);
    let function = compile_one(b);
    assert_eq!(function.insns.len(), 3, "{}", super::show(&function.insns));
}
