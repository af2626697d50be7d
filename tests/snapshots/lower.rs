//! The IR of scripts, as the builder makes it and the passes leave it: snapshots beside their inputs.

use super::{analyze, shown, snapshots};
use ubpfc::ir::{print, verify};
use ubpfc::lower;
use ubpfc::target::{Cpu, Endian, Target};

/// The optimised IR; what is built is valid for every target and compiles for every instruction set.
fn ir(name: &str, text: &str) -> String {
    let (sources, hir, diags) = analyze(name, text);
    assert!(!diags.has_errors(), "{}", shown(&sources, &diags));
    let mut printed = String::new();
    for endian in [Endian::Big, Endian::Little] {
        for cpu in [Cpu::V1, Cpu::V2, Cpu::V4, Cpu::V3] {
            let target = Target { endian, cpu };
            let mut module = lower::build(&hir, target).unwrap();
            let checked = verify::verify_module(&module);
            checked.unwrap_or_else(|e| panic!("{e}\n{}", print::print(&module)));
            lower::optimize(&mut module);
            printed = print::print(&module);
            lower::emit(module, &hir, target).unwrap();
        }
    }
    printed
}

#[test]
fn scripts_become_ir() {
    snapshots("ir/*.ub", "ir", ir);
}
