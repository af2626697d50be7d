//! Forms of programs that are set aside: which of them is brought in for a kernel, and that it does what the others do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![allow(clippy::print_stderr, reason = "tables are for whoever looks at them")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "relocate/kernels.rs"]
mod kernels;
mod support;

use std::path::Path;
use std::process::Command;
use support::kernel::{Dump, attached};
use support::pipeline::Script;
use support::{package, require_all, run};
use ubpfc::btf::{Builder, Type, TypeId, VOID};
use ubpfc::kernel::{Kernel, Target};
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::Ubpf;
use ubpfc::relocate::choose::{self, Choice, ChooseError};
use ubpfc::relocate::{self, Policy};
use ubpfc::target::Cpu;

fn compile(text: &str) -> Vec<u8> {
    let script = Script::new(text).unwrap_or_else(|told| panic!("{told}"));
    script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3)
}

fn examples() -> Vec<(String, Vec<u8>)> {
    let mut examples: Vec<_> = std::fs::read_dir(package("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ub"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, compile(&std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    examples.sort();
    examples
}

fn ubpf(object: &[u8]) -> Ubpf {
    Object::parse(object).unwrap().ubpf().unwrap().unwrap()
}

fn chosen(object: &[u8], target: &Target<'_>, btf: bool) -> Result<Choice, ChooseError> {
    relocate::choose(&ubpf(object), target, btf)
}

/// The sections of what is chosen: `tp_btf/sched_switch`.
fn sections(choice: &Choice) -> Vec<&str> {
    let taken = |c: &'_ choose::Chosen| c.taken.is_some();
    choice
        .programs
        .iter()
        .filter(|c| taken(c))
        .map(|c| &*c.taken.as_ref().unwrap().section)
        .collect()
}

/// The object with its chosen forms, and all its questions answered.
fn relocated(object: &[u8], choice: &Choice, target: &Target<'_>) -> Vec<u8> {
    let brought = relocate::bring_in(object, choice).unwrap();
    let object = Object::parse(&brought).unwrap();
    let plan = relocate::plan(&object, target, Policy::Strict).unwrap();
    relocate::apply(&brought, &object, &plan, Policy::Strict).unwrap().bytes
}

#[test]
fn every_example_has_a_form_for_every_kernel() {
    for kernel in kernels::all() {
        let target = kernel.target();
        let handlers = !target.image.find(&["btf_trace_sched_switch"])[0].is_empty();
        let mut row = Vec::new();
        for (name, object) in examples() {
            if object_is_of(&object, &target) {
                for btf in [true, false] {
                    let choice = chosen(&object, &target, btf)
                        .unwrap_or_else(|e| panic!("{}: {name}: {e}", kernel.name));
                    let kind = if btf && handlers { "tp_btf/" } else { "raw_tp/" };
                    let sections = sections(&choice);
                    assert!(
                        sections.iter().all(|s| s.starts_with(kind)),
                        "{}: {name}: {sections:?}",
                        kernel.name
                    );
                    let sure = choice.programs.iter().all(|c| c.taken.as_ref().unwrap().certain);
                    assert!(sure || !handlers, "{}: {name}", kernel.name);
                    row.push(format!("{name} {}{}", &kind[..6], if sure { "" } else { "?" }));
                    check_object(&relocate::bring_in(&object, &choice).unwrap(), &sections);
                }
            }
        }
        eprintln!("{:50} {}", kernel.name, row.join("  "));
    }
}

fn object_is_of(object: &[u8], target: &Target<'_>) -> bool {
    Object::parse(object).unwrap().endian == target.image.endian
}

/// What was brought in is an object as any other, whose `.ubpf` says what is in it.
fn check_object(bytes: &[u8], sections: &[&str]) {
    let object = Object::parse(bytes).unwrap();
    assert!(object.section(".ubpf.alt").is_none());
    let ubpf = object.ubpf().unwrap().unwrap();
    let functions = object.functions().unwrap();
    let types = object.types().unwrap().unwrap();
    let ext = object.ext(&types).unwrap().unwrap();
    let at_events = ubpf.programs.iter().filter(|program| !program.forms.is_empty());
    assert!(at_events.clone().map(|program| program.section.as_str()).eq(sections.iter().copied()));
    for program in at_events {
        let function = functions
            .iter()
            .find(|f| f.symbol.name == program.name && f.section == program.section)
            .unwrap();
        assert_eq!(function.code.len() / 8, program.insns);
        assert_eq!(program.forms.len(), 1);
        assert!(!program.forms[0].aside);
        let infos = &ext.sections[program.section.as_str()];
        let start = u32::try_from(function.symbol.offset).unwrap();
        assert!(infos.funcs.iter().any(|info| info.insn_off == start));
        assert!(infos.lines.iter().any(|line| line.insn_off == start));
    }
    for reloc in &ubpf.relocs {
        assert!(functions.iter().any(|f| f.symbol.name == reloc.function));
    }
}
