//! The back end against a direct interpreter of the IR: what is compiled for any version computes the same.

#[path = "backend/build.rs"]
mod build;
#[path = "backend/eval.rs"]
mod eval;
#[path = "backend/machine.rs"]
mod machine;
#[path = "backend/random.rs"]
mod random;

use build::Build;
use proptest::prelude::*;
use ubpfc::ir::{Func, Module};
use ubpfc::isa::code::{Function, Insn};
use ubpfc::lower::compile;
use ubpfc::sema::hir::Hir;
use ubpfc::target::{Cpu, Endian, Target};

const CPUS: [Cpu; 4] = [Cpu::V1, Cpu::V2, Cpu::V3, Cpu::V4];

fn compile_one(func: &Func, cpu: Cpu) -> Function {
    let build = Build { func: func.clone(), ..Build::new() };
    compile_module(build.module(), cpu)
}

fn compile_module(module: Module, cpu: Cpu) -> Function {
    let target = Target { endian: Endian::Little, cpu };
    let code = compile(module, &Hir::default(), target).expect("it is within the limits");
    code.programs.into_iter().next().expect("one program")
}

fn show(insns: &[Insn]) -> String {
    let line = |(i, insn): (usize, &Insn)| {
        let Insn { code, dst, src, off, imm } = insn;
        format!("{i:4}: {code:02x} r{dst} r{src} {off} {imm}\n")
    };
    insns.iter().enumerate().map(line).collect()
}

fn check(func: &Func) -> Result<(), TestCaseError> {
    let Some(expected) = eval::eval(func) else { return Ok(()) };
    for cpu in CPUS {
        let function = compile_one(func, cpu);
        let insns = machine::relocate(&function);
        let got = machine::run(&insns, function.frame_bytes);
        prop_assert_eq!(got, Ok(expected), "{:?}\n{}\n{}", cpu, func, show(&insns));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { ..ProptestConfig::default() })]

    #[test]
    fn compiled_functions_compute_what_the_ir_says(data in prop::collection::vec(any::<u32>(), 0..600)) {
        check(&random::func(&data, true))?;
    }
}
#[test]
fn zz_stats() {
    let mut seed = 88172645463325252u64;
    let (mut none, mut spilled, mut slots, mut ops) = (0, 0, 0, 0);
    for _ in 0..500 {
        let data: Vec<u32> = (0..600)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 16) as u32
            })
            .collect();
        let f = random::func(&data, true);
        ops += f.blocks.iter().map(|(_, b)| b.insts.len()).sum::<usize>();
        if eval::eval(&f).is_none() {
            none += 1;
            continue;
        }
        let c = compile_one(&f, Cpu::V3);
        slots += c.insns.len();
        if c.frame_bytes > 32 {
            spilled += 1;
        }
    }
    eprintln!("none {none} spilled {spilled} slots {slots} ops {ops}");
}
