//! The back end against a direct interpreter of the IR: what is compiled for any version computes the same.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a machine cuts numbers"
)]

mod build;
mod eval;
mod invalid;
mod kernel;
mod limits;
mod machine;
mod random;
mod shapes;
#[path = "../support/mod.rs"]
mod support;

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
    let texts = ubpfc::isa::print::instructions(insns);
    texts.map(|(at, text)| format!("{at:4}: {text}\n")).collect::<Vec<_>>().concat()
}

/// One that any kernel runs: it fetches nothing and calls nothing.
fn check_elsewhere(func: &Func) -> Result<(), TestCaseError> {
    let expected = eval::eval(func).ok_or_else(|| TestCaseError::reject("it runs for too long"))?;
    for cpu in CPUS {
        let insns = machine::relocate(&compile_one(func, cpu));
        if let Some(got) = kernel::run_in_rbpf(&insns) {
            prop_assert_eq!(got, expected, "rbpf, {:?}\n{}\n{}", cpu, func, show(&insns));
        }
        if let Some(got) = kernel::run_in_kernel(&insns) {
            let got = got.map_err(|log| TestCaseError::fail(format!("{log}\n{}", show(&insns))))?;
            prop_assert_eq!(got, expected as u32, "{:?}\n{}\n{}", cpu, func, show(&insns));
        }
    }
    Ok(())
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
    #[test]
    fn compiled_functions_compute_what_the_ir_says(data in prop::collection::vec(any::<u32>(), 0..600)) {
        check(&random::func(&data, true))?;
    }

    #[test]
    fn the_kernel_and_rbpf_agree(data in prop::collection::vec(any::<u32>(), 0..400)) {
        check_elsewhere(&random::func(&data, false))?;
    }
}
