//! The limits of BPF are diagnostics, and large functions take no time to speak of.

use super::build::Build;
use super::{compile_one, eval, machine};
use ubpfc::diag::{Code, Diags};
use ubpfc::ir::{BinOp, CmpOp, Func, Helper, Op, Space, ValueId, Width};
use ubpfc::lower::compile;
use ubpfc::sema::hir::Hir;
use ubpfc::target::{Cpu, Endian, Target};

fn try_compile(func: &Func, cpu: Cpu) -> Result<usize, Diags> {
    let build = Build { func: func.clone(), ..Build::new() };
    let target = Target { endian: Endian::Little, cpu };
    compile(build.module(), &Hir::default(), target).map(|code| code.programs[0].insns.len())
}

fn refused(func: &Func, cpu: Cpu) -> (Code, String) {
    let diags = try_compile(func, cpu).expect_err("it is beyond a limit");
    let first = diags.sorted().first().map(|d| (d.code, format!("{} {:?}", d.message, d.notes)));
    first.expect("there is a diagnostic")
}

/// A number that no pass knows.
fn unknown(b: &mut Build) -> ValueId {
    b.call(Helper::KtimeGetNs, &[])
}

/// Many unknown numbers that are all needed at the end.
fn pressure(count: usize) -> Func {
    let mut b = Build::new();
    let values: Vec<ValueId> = (0..count).map(|_| unknown(&mut b)).collect();
    let mut sum = b.number(0);
    for value in values {
        sum = b.bin(BinOp::Xor, sum, value);
        let three = b.number(3);
        sum = b.bin(BinOp::Mul, sum, three);
    }
    b.ret(sum);
    b.func
}

#[test]
fn as_many_values_as_the_frame_holds_are_spilled() {
    let func = pressure(66);
    let expected = eval::eval(&func).expect("it ends");
    for cpu in super::CPUS {
        let function = compile_one(&func, cpu);
        let got = machine::run(&machine::relocate(&function), function.frame_bytes);
        assert_eq!(got, Ok(expected));
        assert!(function.frame_bytes >= 8 * 60, "{} bytes", function.frame_bytes);
    }
}

#[test]
fn more_values_than_the_frame_holds_are_refused() {
    let (code, text) = refused(&pressure(80), Cpu::V3);
    assert_eq!(code, Code::E0501);
    assert!(text.contains("values that found no register"), "{text}");
    assert_eq!(refused(&pressure(1000), Cpu::V3).0, Code::E0503);
    assert_eq!(refused(&pressure(100_000), Cpu::V3).0, Code::E0503);
}

/// Slots of 300 bytes that are handed to a helper, each after the other or both at once.
fn slots(at_once: bool) -> Func {
    let mut b = Build::new();
    let size = b.number(300);
    let from = unknown(&mut b);
    let places: Vec<ValueId> = (0..2)
        .map(|i| {
            let slot = b.slot(300, 8, ["the first text", "the second text"][i]);
            b.op(Op::SlotAddr(slot, 0))
        })
        .collect();
    for place in &places {
        b.call(Helper::ProbeReadKernel, &[*place, size, from]);
        if !at_once {
            b.load(Width::D, false, Space::Stack, *place, 0);
        }
    }
    let mut sum = b.number(0);
    if at_once {
        for place in &places {
            let value = b.load(Width::D, false, Space::Stack, *place, 8);
            sum = b.bin(BinOp::Add, sum, value);
        }
    }
    b.ret(sum);
    b.func
}

#[test]
fn slots_share_bytes_where_they_can() {
    assert_eq!(compile_one(&slots(false), Cpu::V3).frame_bytes, 304);
    let (code, text) = refused(&slots(true), Cpu::V3);
    assert_eq!(code, Code::E0501);
    assert!(text.contains("needs 608 bytes of stack of 512"), "{text}");
    assert!(text.contains("300 bytes  the first text"), "{text}");
}

/// A branch over many instructions.
fn long(count: usize) -> Func {
    let mut b = Build::new();
    let mut sum = unknown(&mut b);
    let first = sum;
    let (far, _) = b.block(0);
    let (near, _) = b.block(0);
    let zero = b.number(0);
    b.branch(CmpOp::LtS, sum, zero, far, near);
    b.at = near;
    for i in 0..count {
        let more = unknown(&mut b);
        let op = if i % 2 == 0 { BinOp::Add } else { BinOp::Xor };
        sum = b.bin(op, sum, more);
    }
    b.ret(sum);
    b.at = far;
    b.ret(first);
    b.func
}

#[test]
fn jumps_that_are_too_far_are_refused_or_made_long() {
    let func = long(20_000);
    assert_eq!(refused(&func, Cpu::V3).0, Code::E0502);
    let expected = eval::eval(&func).expect("it ends");
    let function = compile_one(&func, Cpu::V4);
    let got = machine::run(&machine::relocate(&function), function.frame_bytes);
    assert_eq!(got, Ok(expected));
}

#[test]
fn a_hundred_thousand_values_are_compiled() {
    assert!(try_compile(&long(50_000), Cpu::V4).is_ok());
}

/// Many blocks, one after the other, each with a value that goes on.
#[test]
fn many_blocks_are_compiled() {
    let mut b = Build::new();
    let mut sum = unknown(&mut b);
    for i in 0..3000 {
        let (then, _) = b.block(0);
        let (join, merged) = b.block(1);
        let limit = b.number(i);
        let end = ubpfc::ir::Target { block: join, args: vec![sum] };
        let go = ubpfc::ir::Target { block: then, args: Vec::new() };
        let cond = ubpfc::ir::Cond { op: CmpOp::GtU, a: sum, b: limit };
        b.end(ubpfc::ir::Term::Branch { cond, then: go, otherwise: end });
        b.at = then;
        let more = unknown(&mut b);
        let new = b.bin(BinOp::Add, sum, more);
        b.jump(join, &[new]);
        b.at = join;
        sum = merged[0];
    }
    b.ret(sum);
    let expected = eval::eval(&b.func).expect("it ends");
    let function = compile_one(&b.func, Cpu::V3);
    let got = machine::run(&machine::relocate(&function), function.frame_bytes);
    assert_eq!(got, Ok(expected));
}
