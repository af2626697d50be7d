//! The IR of scripts, as the builder makes it and the passes leave it: snapshots beside their inputs.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their inputs, and fail by panicking"
)]

use ubpfc::diag::{Format, render};
use ubpfc::ir::{print, verify};
use ubpfc::sema::imports::Library;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::{Cpu, Endian, Target};
use ubpfc::{lower, sema};

/// The optimised IR; what is built is valid for every target and compiles for every instruction set.
fn ir(name: &str, text: &str) -> String {
    let mut sources = Sources::new();
    let root = sources.add(name, text, Origin::User);
    let (hir, diags) = sema::analyze(&mut sources, root, &mut Library);
    let shown = render(&sources, &diags, Format::Human { colour: false });
    assert!(!diags.has_errors(), "{shown}");
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

/// Compares what `print` makes of every file with `NAME.KIND.snap` beside it.
fn snapshots(glob: &str, kind: &str, print: impl Fn(&str, &str) -> String) {
    insta::glob!("../testdata", glob, |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_input_file();
        settings.remove_snapshot_suffix();
        let printed = print(name, &text);
        settings.bind(|| insta::assert_snapshot!(format!("{name}.{kind}"), printed));
    });
}

#[test]
fn scripts_become_ir() {
    snapshots("ir/*.ub", "ir", ir);
}

#[test]
fn limits_of_bpf_are_told() {
    snapshots("limits/*.ub", "diag", |name, text| {
        let mut sources = Sources::new();
        let root = sources.add(name, text, Origin::User);
        let (hir, diags) = sema::analyze(&mut sources, root, &mut Library);
        assert!(!diags.has_errors(), "{name}");
        let diags = lower::build(&hir, Target::default()).unwrap_err();
        let shown = render(&sources, &diags, Format::Human { colour: false });
        assert!(shown.contains(name.split('-').next().unwrap()), "{shown}");
        shown
    });
}
