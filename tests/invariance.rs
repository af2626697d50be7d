//! One object sees the same on every kernel that it is relocated to: in rbpf, over memory laid out as real kernels lay it out, against the evaluator and against each other.

#![expect(clippy::disallowed_methods, reason = "scripts are read from files")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "tables are for whoever looks at them")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use support::eval::{self, Input};
use support::image::KernelImage;
use support::kernels::{self, KernelTypes};
use support::pipeline::Script;
use support::state::{Env, State};
use support::{package, vm};
use ubpfc::btf::{Btf, kind};
use ubpfc::kernel::Kernel;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::{Field, Type};
use ubpfc::relocate::{self, Options};
use ubpfc::sema::hir::{Attach, EventKind, Program};
use ubpfc::target::{Cpu, Endian};

/// What a kernel is unless every one is asked for: as different as they come.
const SAMPLE: [&str; 7] = [
    "x86_64-5.10.0-46-amd64",
    "x86_64-6.1.0-50-cloud-amd64",
    "x86_64-6.18.15+deb13-amd64",
    "x86_64-7.3.4+deb13-cloud-amd64",
    "aarch64-5.10.0-32-arm64",
    "armv7-6.1.0-50-armmp-from-dwarf",
    "i386-6.1.0-50-686-pae-from-dwarf",
];

/// Scripts that read what kernels have: the examples, and one that reads all that moves.
fn scripts() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = ["examples", "testdata/exec"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(package(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ub"))
        .collect();
    paths.push(package("tests/kernels.ub"));
    paths.sort();
    let read =
        |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    paths.into_iter().map(read).collect()
}

/// The kernels: with `UBPFC_KERNELS` every one that has tracepoints with names.
fn targets() -> Vec<&'static KernelTypes> {
    if std::env::var_os("UBPFC_KERNELS").is_none() {
        return SAMPLE.iter().map(|name| kernels::named(name)).collect();
    }
    kernels::all().iter().collect()
}

/// One state of the world, in the memory of a kernel.
struct World {
    image: KernelImage,
    /// Pointers and numbers that events pass, by the names that kernels give them.
    passed: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(types: &Btf<'_>, needs: &[(u32, String)]) -> World {
        let composites = [kind::STRUCT, kind::UNION, kind::ENUM];
        let mut names: BTreeSet<&str> = needs
            .iter()
            .filter(|(kind, _)| composites.contains(kind))
            .map(|(_, name)| name.as_str())
            .collect();
        // What a path leads through without a question of its own, and what is made in any case.
        names.extend(["task_struct", "mm_struct", "pid", "css_set", "cgroup", "kernfs_node"]);
        names.extend(["signal_struct", "cred", "pt_regs", "upid"]);
        let mut image = KernelImage::of(types, &names);
        let init = thread(&mut image, 1, "init", [0, 0], 0);
        let parent = thread(&mut image, 700, "parent", [init, 0], 0);
        let mm = mm(&mut image);
        let prev = thread(&mut image, 4711, "worker/0:1", [parent, mm], 0);
        let next = thread(&mut image, 4712, "next", [parent, 0], 2);
        let regs = registers(&mut image);
        let passed = [
            ("preempt", 0),
            ("prev", prev),
            ("next", next),
            ("prev_state", 0),
            ("p", next),
            ("parent", prev),
            ("child", next),
            ("old_pid", 4711),
            ("bprm", 0),
            ("group_dead", 1),
            ("regs", regs),
            ("id", 39),
            ("ret", 7),
        ];
        World { image, passed: passed.into() }
    }

    /// What a run of a program at an event is given.
    fn input(&self, event: &str, step: u64) -> Option<Input<'_>> {
        let (event, names) = if event.is_empty() {
            ("", &[][..])
        } else {
            let (event, names) = self.image.events.get_key_value(event)?;
            (event.as_str(), names.as_slice())
        };
        let args = names.iter().map(|name| self.passed.get(name.as_str()).copied());
        let args = args.collect::<Option<Vec<u64>>>()?;
        let nsecs = 1_000_000_007 + step * 1_300_000;
        let env = Env { task: self.passed["prev"], nsecs, ..Env::default() };
        Some(Input { image: &self.image, event, args, env, params: BTreeMap::new() })
    }
}

/// A thread: its parent and memory are pointers to others, or null.
fn thread(
    image: &mut KernelImage,
    pid: u64,
    comm: &str,
    [parent, mm]: [u64; 2],
    state: u64,
) -> u64 {
    let signal = image.object("signal_struct");
    let oom = if pid == 4711 { -17_i64 } else { 300 };
    image.set(signal, "signal_struct", "oom_score_adj", oom.cast_unsigned());
    let cred = image.object("cred");
    image.set(cred, "cred", "uid.val", 1000);
    let task = image.object("task_struct");
    let link = image.object_and("pid", 256);
    image.set(link, "pid", "level", 0);
    image.set(link, "pid", "numbers[0].nr", pid);
    let node = image.object("kernfs_node");
    image.set(node, "kernfs_node", "id", 0x1234_5678_9abc);
    let cgroup = image.object("cgroup");
    image.set(cgroup, "cgroup", "kn", node);
    let set = image.object("css_set");
    image.set(set, "css_set", "dfl_cgrp", cgroup);
    for (name, value) in [
        ("pid", pid),
        ("tgid", pid),
        ("prio", 120),
        ("static_prio", 121),
        ("state", state),
        ("__state", state),
        ("flags", 0x0040_0040),
        ("cpu", 3),
        ("thread_info.cpu", 3),
        ("thread_info.status", 0),
        ("thread_info.flags", 0),
        ("start_boottime", 123_456_789_012),
        ("real_start_time", 123_456_789_012),
        ("real_parent", parent),
        ("group_leader", if pid == 4711 { parent } else { task }),
        ("exit_code", 0x0700),
        ("in_iowait", 1),
        ("sched_reset_on_fork", 1),
        ("utime", 987_654_321_098),
        ("stime", 5_000_000_000),
        ("cgroups", set),
        ("thread_pid", link),
        ("mm", mm),
        ("se.on_rq", 1),
        ("se.sum_exec_runtime", 77_000_000_001),
        ("on_cpu", 1),
        ("signal", signal),
        ("cred", cred),
        ("nvcsw", 4_000_000_000),
    ] {
        image.set(task, "task_struct", name, value);
    }
    image.set_text(task, "task_struct", "comm", &format!("{comm}\0"));
    task
}

fn mm(image: &mut KernelImage) -> u64 {
    let mm = image.object("mm_struct");
    for (name, value) in [
        ("total_vm", 0x8000_0001),
        ("locked_vm", 12),
        ("locked_vm.counter", 12),
        ("map_count", 65),
        ("brk", 0x7fff_f000),
    ] {
        image.set(mm, "mm_struct", name, value);
    }
    mm
}

/// Registers on entry to a system call, as `x86_64` and `arm64` have them.
fn registers(image: &mut KernelImage) -> u64 {
    let regs = image.object("pt_regs");
    for name in ["orig_ax", "syscallno"] {
        image.set(regs, "pt_regs", name, 39);
    }
    for (i, name) in ["di", "si", "dx", "r10", "r8", "r9"].iter().enumerate() {
        image.set(regs, "pt_regs", name, 100 + i as u64);
        image.set(regs, "pt_regs", &format!("regs[{i}]"), 100 + i as u64);
    }
    image.set(regs, "pt_regs", "orig_x0", 100);
    regs
}

/// What a run of an object over a kernel left behind, or why it could not be.
struct Seen {
    kernel: String,
    state: State,
}

/// Relocates a script's object to a kernel in both forms, runs every program twice in the order of the script, and compares with the evaluator.
fn seen(name: &str, script: &Script, kernel: &KernelTypes, told: &mut String) -> Option<Seen> {
    let cpu = Cpu::V3;
    let code = script.code(cpu).unwrap_or_else(|told| panic!("{name}: {told}"));
    let object = script.object(&code, cpu);
    let mut types = Btf::parse(kernel.btf()).unwrap();
    types.set_pointer_size(kernel.pointer_size());
    if types.endian == Endian::Big {
        return None;
    }
    let needs = relocate::needs(&Object::parse(&object).unwrap()).unwrap();
    let world = World::new(&types, &needs);
    let target = Kernel::open(&kernel.path, &[]).unwrap();
    let mut expected = None;
    for shows_btf in [true, false] {
        let form = if shows_btf { "tp_btf" } else { "raw_tp" };
        let here = format!("{name} on {} as {form}", kernel.name);
        let options = Options { no_btf: !shows_btf, ..Options::default() };
        let relocated = match relocate::relocate(&object, &target, options).result {
            Ok(relocated) => relocated,
            Err(why) => {
                let _ = writeln!(told, "{here}: {why}");
                return None;
            }
        };
        let object = Object::parse(&relocated).unwrap();
        let (mut state, mut evaluated) = (State::new(&script.hir), State::new(&script.hir));
        let programs = script.hir.programs.iter().enumerate();
        for (step, (index, program)) in programs.clone().chain(programs).enumerate() {
            let event = match &program.attach {
                Attach::Event(event) => event.name.as_str(),
                _ => "",
            };
            let Some(input) = world.input(event, step as u64) else {
                let _ = writeln!(told, "{here}: {event} {NOT_PASSED}");
                return None;
            };
            eval::run(&script.hir, index, &input, &mut evaluated);
            vm::run_object(&script.hir, &object, &program.name, &input, &mut state)
                .unwrap_or_else(|e| panic!("{here}, {}: {e}", program.name));
            end_texts(&object, &mut state);
            assert_eq!(state, evaluated, "{here}, {}", program.name);
        }
        expected = Some(state);
    }
    expected.map(|state| Seen { kernel: kernel.name.clone(), state })
}

/// Clears what is behind the end of texts in records: whoever reads them stops there, so they are handed over as the kernel has them.
fn end_texts(object: &Object<'_>, state: &mut State) {
    let outputs = object.ubpf().unwrap().unwrap().outputs;
    for record in &mut state.records {
        let output = &outputs[u32::from_le_bytes(record[..4].try_into().unwrap()) as usize];
        end_texts_of(&output.args, record);
    }
}

fn end_texts_of(fields: &[Field], bytes: &mut [u8]) {
    for field in fields {
        let bytes = &mut bytes[field.offset as usize..];
        match &field.ty {
            Type::Str { size } => {
                let text = &mut bytes[..*size as usize];
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                text[end..].fill(0);
            }
            Type::Struct { fields, .. } => end_texts_of(fields, bytes),
            _ => {}
        }
    }
}

/// What is told of events with arguments that the images have nothing for.
const NOT_PASSED: &str = "has other arguments";

#[test]
fn an_object_sees_the_same_on_every_kernel() {
    let (mut told, mut ran) = (String::new(), 0);
    for (name, text) in scripts() {
        let script = Script::new(&text).unwrap_or_else(|told| panic!("{name}: {told}"));
        let mut events = script.hir.programs.iter().flat_map(Program::events);
        if events.any(|event| event.kind != EventKind::Tracepoint) {
            // Images have no registers of functions; `tests/functions.rs` runs programs at these.
            eprintln!("{name}: at functions");
            continue;
        }
        // What reads nothing of the kernel is run for what becomes of its code.
        let all = targets();
        let kernels = if name.contains("testdata/exec") { &all[..4] } else { &all[..] };
        let start = told.len();
        let seen: Vec<Seen> =
            kernels.iter().filter_map(|k| seen(&name, &script, k, &mut told)).collect();
        if seen.is_empty() && told[start..].lines().all(|line| line.ends_with(NOT_PASSED)) {
            continue;
        }
        ran += 1;
        // One number means different calls on different architectures.
        let known = |one: &&Seen| !text.contains("syscall:") || one.kernel.starts_with("x86_64");
        for one in seen.iter().filter(known) {
            assert_eq!(one.state, seen[0].state, "{name}: {} and {}", one.kernel, seen[0].kernel);
        }
        eprintln!("{name}: {} kernels", seen.len());
        assert!(seen.len() >= 4, "{name} ran on {} kernels:\n{told}", seen.len());
    }
    eprint!("{told}");
    assert!(ran >= 20, "{ran} scripts ran");
}
