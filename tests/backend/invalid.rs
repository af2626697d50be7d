//! The verifier of the IR: each broken invariant is named.

use super::build::Build;
use ubpfc::ir::verify::{Env, verify};
use ubpfc::ir::{BinOp, BlockId, CmpOp, Helper, Op, Space, ValueId, Width};

fn error(build: &Build) -> String {
    let env = Env { accesses: 2, args: 0, callbacks: 0, rodata: 8 };
    verify(&build.func, &env).expect_err("it is invalid").to_string()
}

fn value(number: u32) -> ValueId {
    ValueId::from_raw(la_arena::RawIdx::from_u32(number))
}

#[test]
fn a_use_needs_a_definition_before_it() {
    let mut b = Build::new();
    let one = b.number(1);
    b.ret(one);
    b.func.blocks[b.at].insts.clear();
    assert!(error(&b).contains("v0 is not defined"), "{}", error(&b));

    let mut b = Build::new();
    let one = b.number(1);
    let two = b.bin(BinOp::Add, one, one);
    b.ret(two);
    b.func.blocks[b.at].insts.swap(0, 1);
    assert!(error(&b).contains("v0 is used where it is not defined"), "{}", error(&b));
}

#[test]
fn a_use_needs_a_definition_on_every_way() {
    let mut b = Build::new();
    let zero = b.number(0);
    let (then, _) = b.block(0);
    let (join, _) = b.block(0);
    b.branch(CmpOp::Eq, zero, zero, then, join);
    b.at = then;
    let one = b.number(1);
    b.jump(join, &[]);
    b.at = join;
    b.ret(one);
    assert!(error(&b).contains("b2: v1 is used where it is not defined"), "{}", error(&b));
}

#[test]
fn ids_are_in_range() {
    let mut b = Build::new();
    b.ret(value(7));
    assert!(error(&b).contains("v7 is not defined"), "{}", error(&b));
    b.jump(BlockId::from_raw(la_arena::RawIdx::from_u32(9)), &[]);
    assert!(error(&b).contains("b9, which does not exist"), "{}", error(&b));
}

#[test]
fn jumps_and_calls_have_their_arguments() {
    let mut b = Build::new();
    let (join, _) = b.block(1);
    b.jump(join, &[]);
    assert!(error(&b).contains("takes 1 arguments, not 0"), "{}", error(&b));

    let mut b = Build::new();
    let zero = b.call(Helper::MapLookup, &[]);
    b.ret(zero);
    assert!(error(&b).contains("bpf_map_lookup_elem takes 2 arguments"), "{}", error(&b));
}

#[test]
fn accesses_stay_inside_their_slot() {
    let mut b = Build::new();
    let slot = b.slot(4, 4, "test");
    let addr = b.op(Op::SlotAddr(slot, 0));
    let wide = b.load(Width::D, false, Space::Stack, addr, 0);
    b.ret(wide);
    assert!(error(&b).contains("the access leaves the slot"), "{}", error(&b));
}

#[test]
fn kernel_memory_is_not_written() {
    let mut b = Build::new();
    let ctx = b.op(Op::Ctx);
    b.store(Width::D, Space::Kernel, ctx, 0, ctx);
    b.ret(ctx);
    assert!(error(&b).contains("read-only"), "{}", error(&b));
}
