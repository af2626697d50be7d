//! Fields that are declared otherwise than every known kernel has them: with what known kernels agree about, libbpf's relocation gives their values, and without it does not; ours does, or refuses.

use super::libbpf;
use super::programs::{differences, relocated};
use super::support::cli::{NEW, OLD};
use super::support::eval::Input;
use super::support::image::KernelImage;
use super::support::kernels::{self, KernelTypes};
use super::support::pipeline::Script;
use super::support::relocate::POISON;
use super::support::state::{Env, State};
use super::support::{require, vm};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use ubpfc::btf::Btf;
use ubpfc::driver;
use ubpfc::kernel::{Kernel, Target};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Options, Policy};
use ubpfc::sema::{Numbers, imports};
use ubpfc::source::{Origin, Sources};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Right,
    Wrong,
    Refused,
}
use Fate::{Refused, Right, Wrong};

/// A field, its value, and what becomes of it by libbpf's relocation and by ours while nothing is known.
const FIELDS: [(&str, i64, [Fate; 2]); 16] = [
    ("s64 f = pid", -7, [Refused, Right]),
    ("u64 f = pid", -7, [Refused, Right]),
    ("s64 f = exit_code", -5, [Refused, Right]),
    ("long f = prio", 120, [Refused, Right]),
    ("s16 f = static_prio", -3, [Refused, Right]),
    ("u8 f = static_prio", 253, [Refused, Right]),
    ("bool f = exit_code", 1, [Refused, Right]),
    ("s64 f = (long)signal->oom_score_adj", -17, [Refused, Right]),
    ("s64 f? = (s64)pid", -7, [Refused, Right]),
    ("u64 f = flags", 0x8000_0040, [Right, Right]),
    ("s64 f = flags", 0x8000_0040, [Refused, Right]),
    ("u8 f = flags", 0x40, [Right, Right]),
    // As operands: with all of their bits, and their own sign.
    ("s64 f = pid + 1", -6, [Refused, Right]),
    ("s64 f = (u32)exit_code + 1", -4, [Wrong, Right]),
    ("s64 f = (int)flags + 1", 0x8000_0041, [Wrong, Refused]),
    ("s64 f = (u32)exit_code >> 1", -3, [Wrong, Right]),
];

fn script(field: &str) -> String {
    format!(
        "import \"sched\";
         kernel struct task_struct {{ struct signal_struct *signal; }};
         struct thread_user mirrors task_struct {{ {field}; }};
         tracepoint user:switch(struct thread_user *prev) = tracepoint sched:sched_switch;
         user:switch {{ emit ((s64)args.prev.f); }}"
    )
}

fn compiled(text: &str, numbers: Numbers) -> Vec<u8> {
    let mut sources = Sources::new();
    let root = sources.add("test.ub", text, Origin::User);
    let options = driver::Options { numbers, ..driver::Options::default() };
    let (output, _) = driver::compile(&mut sources, root, &mut imports::Library, options);
    output.unwrap_or_else(|| panic!("{text}")).bytes
}

/// A kernel with a thread that has these values.
struct World {
    image: KernelImage,
    prev: u64,
}

impl World {
    fn new(types: &Btf<'_>) -> World {
        let names = BTreeSet::from(["task_struct", "signal_struct"]);
        let mut image = KernelImage::of(types, &names);
        let signal = image.object("signal_struct");
        image.set(signal, "signal_struct", "oom_score_adj", (-17_i64).cast_unsigned());
        let prev = image.object("task_struct");
        for (name, value) in [
            ("pid", -7),
            ("exit_code", -5),
            ("prio", 120),
            ("static_prio", -3),
            ("flags", 0x8000_0040),
            ("signal", signal.cast_signed()),
        ] {
            image.set(prev, "task_struct", name, value.cast_unsigned());
        }
        World { image, prev }
    }

    /// What the field is when the event comes to pass; nothing where a poisoned instruction is in the way, which the kernel refuses.
    fn value(&self, text: &str, object: &[u8]) -> Option<i64> {
        let script = Script::new(text).unwrap();
        let args = self.image.events["sched_switch"].iter();
        let args = args.map(|name| if name == "prev" { self.prev } else { 0 }).collect();
        let (env, params) = (Env::default(), BTreeMap::new());
        let input = Input { image: &self.image, event: "sched_switch", args, env, params };
        let mut state = State::new(&script.hir);
        let object = Object::parse(object).unwrap();
        let name = &script.hir.programs[0].name;
        if let Err(told) = vm::run_object(&script.hir, &object, name, &input, &mut state) {
            assert!(told.contains(&format!("{POISON:#x}")), "{text}: {told}");
            return None;
        }
        let [record] = &state.records[..] else { panic!("{text}: {:?}", state.records) };
        Some(i64::from_le_bytes(record.last_chunk().copied().unwrap()))
    }

    fn fate(&self, text: &str, object: Option<&[u8]>, expected: i64) -> Fate {
        match object.and_then(|object| self.value(text, object)) {
            None => Refused,
            Some(value) if value == expected => Right,
            Some(_) => Wrong,
        }
    }
}

/// What becomes of each field by libbpf's relocation and by ours.
fn fates(kernel: &KernelTypes, numbers: Numbers) -> Vec<[Fate; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let (btf, texts) = (folder.path().join("btf"), FIELDS.map(|(field, ..)| script(field)));
    std::fs::write(&btf, kernel.btf()).unwrap();
    let objects = texts.each_ref().map(|text| compiled(text, numbers));
    let paths: Vec<_> = (0..objects.len()).map(|i| folder.path().join(format!("{i}.o"))).collect();
    for (path, object) in paths.iter().zip(&objects) {
        std::fs::write(path, object).unwrap();
    }
    let paths: Vec<&Path> = paths.iter().map(|path| &**path).collect();
    let types = Btf::parse(kernel.btf()).unwrap();
    let world = World::new(&types);
    let target = Target { image: types.into(), modules: Vec::new() };
    let opened = Kernel::open(&kernel.path, &[]).unwrap();
    let answers = libbpf::relocate_all(&paths, &btf);
    let mut all = Vec::new();
    for (at, ((field, value, _), answer)) in FIELDS.iter().zip(answers).enumerate() {
        // What runs is ours, by libbpf's policy; it is libbpf's own.
        let theirs = relocated(&objects[at], &target, Policy::Libbpf).ok();
        assert_eq!(theirs.is_none(), answer.refused(), "{field}: {}", answer.log);
        if let Some(theirs) = &theirs {
            assert_eq!(differences(theirs, &answer), "", "{field}");
        }
        let ours = relocate::relocate(&objects[at], &opened, Options::default()).result.ok();
        all.push([theirs, ours].map(|object| world.fate(&texts[at], object.as_deref(), *value)));
    }
    all
}

#[test]
fn what_known_kernels_agree_about_is_read_rightly_whatever_it_is_declared_as() {
    if !require("root") {
        return;
    }
    for kernel in [OLD, NEW].map(kernels::named) {
        let (before, after) = (fates(kernel, Numbers::default()), fates(kernel, Numbers::EMBEDDED));
        for (at, (field, _, expected)) in FIELDS.iter().enumerate() {
            let here = format!("{field} on {}", kernel.name);
            eprintln!("{here}: {:?}, and then {:?}", before[at], after[at]);
            assert_eq!(before[at], *expected, "{here}: while nothing is known");
            assert_eq!(after[at], [Right, Right], "{here}");
        }
    }
}
