//! The code for shapes that programs are made of: how many slots it takes.

use super::build::Build;
use ubpfc::ir::reloc::{AccessId, CoreReloc, FieldQuestion};
use ubpfc::ir::{
    BinOp, CmpOp, Cond, Func, Helper, MapTarget, Off, Op, Space, Target, Term, ValueId, Width,
};
use ubpfc::isa::code::Function;
use ubpfc::lower::compile;
use ubpfc::sema::hir::{Hir, MapId};
use ubpfc::target;

fn compile_one(build: Build) -> Function {
    let code = compile(build.module(), &Hir::default(), target::Target::default());
    code.expect("it is within the limits").programs.remove(0)
}

fn kernel(build: &mut Build, addr: ValueId, access: u32, signed: bool) -> ValueId {
    let off = Off::Core(AccessId(access));
    build.op(Op::Load { width: Width::W, signed, addr, off, space: Space::Kernel })
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
    for i in &function.insns {
        eprintln!("{i:?}");
    }
    assert_eq!(function.insns.len(), 21);
}
