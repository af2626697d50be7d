//! Helpers and kinds of maps that a kernel has not: told where its own enums say so, and older helpers taken where they do the same.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::borrow::Cow;
use std::process::Command;
use support::pipeline::Script;
use ubpfc::btf::{Builder, Member, Type, encoding};
use ubpfc::kernel::{Form, Kernel, KernelError, Source, SourceTypes};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Lacking, Options, Policy};
use ubpfc::target::{Cpu, Endian};

const SCRIPT: &str = "
struct task_struct_user { int pid; };
begin {
    $p = curtask;
    @last[$p.pid] = 1;
    printf(\"%d\\n\", $p.pid);
}
";

#[derive(Debug)]
struct Made(Vec<u8>);

impl Source for Made {
    fn types(&self, _: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let btf = Cow::Borrowed(self.0.as_slice());
        Ok(SourceTypes { btf, split: false, base: None, pointer_size: Some(8) })
    }

    fn form(&self) -> Form {
        Form::Btf
    }
}

/// A kernel with such [`types`].
fn kernel(helpers: &[u64], map_types: &[u64]) -> Kernel {
    let image = Box::new(Made(types(helpers, map_types)));
    Kernel { name: "made".into(), release: None, image, modules: Vec::new() }
}

/// The types of a kernel whose enums of helpers and of kinds of maps have these values, and the end that they have in a kernel.
fn types(helpers: &[u64], map_types: &[u64]) -> Vec<u8> {
    let mut btf = Builder::default();
    let int = btf.int_of("int", 4, encoding::SIGNED);
    let pid = Member { name: "pid".into(), ty: int, bit_offset: 64, bit_width: 0 };
    btf.composite("task_struct", 32, vec![pid]);
    for (name, values) in [("bpf_func_id", helpers), ("bpf_map_type", map_types)] {
        let mut values: Vec<_> =
            values.iter().map(|value| (format!("{name}_{value}").into(), *value)).collect();
        let end = values.last().map_or(0, |last| last.1 + 1);
        values.push(("__MAX".into(), end));
        btf.add(Type::Enum { name: name.into(), size: 4, signed: false, wide: false, values });
    }
    btf.bytes(Endian::Little)
}

/// The numbers of the helpers that the object calls after relocation, and what the kernel lacks: kind, name, line.
fn fitted(kernel: &Kernel, policy: Policy) -> (Vec<i32>, Vec<(Lacking, String, u32)>) {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let bytes = script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3);
    let done = relocate::relocate(&bytes, kernel, Options { policy, ..Options::default() });
    let relocated = done.result.unwrap();
    let object = Object::parse(&relocated).unwrap();
    let functions = object.functions().unwrap();
    let insns = functions.iter().flat_map(ubpfc::object::read::Function::insns);
    let calls = insns.filter(|insn| insn.code == 0x85).map(|insn| insn.imm).collect();
    let line = |lack: &relocate::Lack| lack.at.as_ref().map_or(0, |at| at.line);
    let lacks = done.told.lacks.iter().map(|lack| (lack.kind, lack.name.clone(), line(lack)));
    (calls, lacks.collect())
}

fn to(last: u64) -> Vec<u64> {
    (0..=last).collect()
}

#[test]
fn what_an_old_kernel_lacks_is_told_and_older_helpers_are_taken() {
    let (calls, lacks) = fitted(&kernel(&to(110), &to(26)), Policy::Strict);
    assert!(calls.contains(&4) && !calls.contains(&113), "{calls:?}");
    let ring = |lack: &&(Lacking, String, u32)| lack.1.starts_with("bpf_ringbuf_");
    assert!(lacks.iter().any(|lack| *lack == (Lacking::MapType, "ringbuf".into(), 0)), "{lacks:?}");
    assert!(lacks.iter().filter(ring).count() > 0, "{lacks:?}");
    assert!(lacks.iter().filter(ring).all(|l| l.0 == Lacking::Helper && l.2 == 6), "{lacks:?}");
    assert!(lacks.iter().all(|lack| !lack.1.contains("probe_read")), "{lacks:?}");
}

#[test]
fn what_is_there_is_neither_told_nor_replaced() {
    let (calls, lacks) = fitted(&kernel(&to(150), &to(30)), Policy::Strict);
    assert!(calls.contains(&113) && !calls.contains(&4), "{calls:?}");
    assert!(lacks.is_empty(), "{lacks:?}");
}

/// Types that were made for one object have a few enumerators of the enum alone.
#[test]
fn enums_that_are_not_whole_say_nothing() {
    let (calls, lacks) = fitted(&kernel(&[1, 4, 35], &[1]), Policy::Strict);
    assert!(calls.contains(&113), "{calls:?}");
    assert!(lacks.is_empty(), "{lacks:?}");
}

#[test]
fn libbpf_replaces_helpers_itself() {
    let (calls, lacks) = fitted(&kernel(&to(110), &to(26)), Policy::Libbpf);
    assert!(calls.contains(&113), "{calls:?}");
    assert!(lacks.is_empty(), "{lacks:?}");
}

#[test]
fn the_command_line_shows_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("kernel.btf"), types(&to(110), &to(26))).unwrap();
    std::fs::write(file("test.ub"), SCRIPT).unwrap();
    let ubpfc = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
        command.args(args).current_dir(folder.path()).env("NO_COLOR", "1");
        support::run(&mut command)
    };
    ubpfc(&["test.ub", "-o", "test.o"]);
    let told = ubpfc(&["relocate", "test.o", "--kernel", "kernel.btf", "-o", "out.o"]);
    let warning = "warning[W1006]: kernel.btf has no helper `bpf_ringbuf_output`";
    let reserve = warning.replace("output", "reserve");
    assert!(told.contains(warning) || told.contains(&reserve), "{told}");
    assert!(told.contains("6 │     printf("), "{told}");
    assert!(told.contains("kernel.btf has no maps of the kind `ringbuf`"), "{told}");
}

/// Where neither is there, there is nothing to take.
#[test]
fn a_helper_without_an_older_one_is_told() {
    let (calls, lacks) = fitted(&kernel(&to(3), &to(30)), Policy::Strict);
    assert!(calls.contains(&113), "{calls:?}");
    assert!(lacks.iter().any(|lack| lack.1 == "bpf_probe_read_kernel"), "{lacks:?}");
}

#[test]
fn the_minimal_types_of_a_kernel_tell_what_all_of_them_tell() {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let bytes = script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3);
    let object = Object::parse(&bytes).unwrap();
    for (helpers, map_types) in [(110, 26), (110, 30), (150, 26), (150, 30), (3, 30)] {
        let whole = kernel(&to(helpers), &to(map_types));
        let loaded = relocate::load(&whole, &relocate::needs(&object).unwrap()).unwrap();
        let target = loaded.target().unwrap();
        let few = relocate::minimal(&[&object], &target, true).unwrap();
        let tells = few.windows(11).any(|name| name == b"bpf_func_id");
        assert_eq!(tells, helpers < 150, "nothing is kept that says nothing");
        let image = Box::new(Made(few));
        let few = Kernel { name: "made".into(), release: None, image, modules: Vec::new() };
        let [all, few] =
            [&whole, &few].map(|kernel| relocate::relocate(&bytes, kernel, Options::default()));
        assert_eq!(all.result.unwrap(), few.result.unwrap());
        assert_eq!(all.told.lacks, few.told.lacks);
    }
}
