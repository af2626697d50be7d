//! What bytes from outside go through. Each target takes any bytes: it must end, without a panic, within the [`limits`].
//!
//! Targets that read two files have the length of the first in the first four bytes, little-endian ([`join`]).

pub mod limits;
pub mod mutate;
pub mod seeds;

use std::path::Path;
use std::sync::Arc;
use ubpfc::btf::{Btf, kind};
use ubpfc::kernel::dwarf::{self, Bytes, Companions};
use ubpfc::kernel::{Kernel, Places, Target};
use ubpfc::object::read::{self, Object};
use ubpfc::relocate::{self, ApplyError, Policy};

/// A target.
pub struct Fuzz {
    /// Its name, also that of the folder of its seeds.
    pub name: &'static str,
    /// Whether its input is two files.
    pub pair: bool,
    /// What it does with bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Fuzz] = &[
    Fuzz { name: "btf", pair: true, run: btf },
    Fuzz { name: "dwarf", pair: true, run: dwarf },
    Fuzz { name: "elf", pair: true, run: elf },
    Fuzz { name: "image", pair: false, run: image },
    Fuzz { name: "object", pair: false, run: object },
    Fuzz { name: "relocate", pair: true, run: relocate },
];

/// Two files as one input.
pub fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let len = u32::try_from(first.len()).unwrap_or(u32::MAX);
    [&len.to_le_bytes(), first, second].concat()
}

/// One input as two files.
pub fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<4>() else { return (&[], &[]) };
    rest.split_at((u32::from_le_bytes(*len) as usize).min(rest.len()))
}

/// What is asked of kernels: names that the seeds have.
pub const NAMES: &[&str] = &[
    "task_struct",
    "list_head",
    "pid_t",
    "reason",
    "sched_switch",
    "inner",
    "outer",
    "bits",
    "int",
    "on_switch",
];

/// The same with every kind that can be asked for.
fn wanted() -> Vec<(u32, &'static str)> {
    let kinds = [kind::STRUCT, kind::UNION, kind::ENUM, kind::TYPEDEF, kind::INT, kind::FUNC];
    NAMES.iter().flat_map(|name| kinds.map(|kind| (kind, *name))).collect()
}

/// A `.BTF` section, and one that goes on where it ends: every type, its name, size, and what is behind it.
pub fn btf(data: &[u8]) {
    let (base, module) = split(data);
    let Ok(base) = Btf::parse(base) else { return };
    let base = Arc::new(base);
    look(&base);
    if let Ok(module) = Btf::split(module, Arc::clone(&base)) {
        look(&module);
    }
}

fn look(btf: &Btf<'_>) {
    btf.pointer_size();
    for id in btf.ids() {
        let _ = (btf.get(id), btf.name(id), btf.kind(id), btf.size(id), btf.strip(id));
        let _ = relocate::spell(btf, id);
    }
    for ids in btf.find(NAMES) {
        assert!(ids.iter().all(|id| btf.name(*id).is_ok_and(|name| !name.is_empty())));
    }
}

/// The second file of an input, wherever it is looked for.
#[derive(Debug)]
struct Second(Vec<u8>);

impl Companions for Second {
    fn split(&self, _: &str, _: &str) -> Option<Bytes> {
        Some(Box::new(self.0.clone()))
    }

    fn package(&self) -> Option<Bytes> {
        self.0.starts_with(b"\x7fELF").then(|| Box::new(self.0.clone()) as Bytes)
    }

    fn supplementary(&self, _: &str, _: &[u8]) -> Option<Bytes> {
        Some(Box::new(self.0.clone()))
    }
}

/// An ELF file with DWARF, and the one file that it refers to.
pub fn dwarf(data: &[u8]) {
    let (main, second) = split(data);
    if let Ok(types) = dwarf::types(main, &Second(second.to_owned()), NAMES) {
        look(&Btf::parse(&types.btf).expect("what is made can be read"));
    }
}

/// A system without files.
fn nowhere() -> Places {
    Places::below(Path::new("/nonexistent"))
}

fn open(data: &[u8]) -> Option<Kernel> {
    Kernel::from_bytes(&nowhere(), Path::new("/nonexistent/file"), data.to_owned()).ok()
}

/// A kernel as an ELF file or BTF, and a module of it.
pub fn elf(data: &[u8]) {
    let (image, module) = split(data);
    let Some(mut kernel) = open(image) else { return };
    kernel.modules.extend(open(module).map(|module| ("module".to_owned(), module.image)));
    load(&kernel);
}

fn load(kernel: &Kernel) {
    let Ok(loaded) = kernel.load(&wanted()) else { return };
    let Ok(target) = loaded.target() else { return };
    look(&target.image);
    target.modules.iter().for_each(|(_, types)| look(types));
}

/// A kernel image, packed in any way, or the description of a tracepoint.
pub fn image(data: &[u8]) {
    if let Some(kernel) = open(data) {
        load(&kernel);
    }
}

/// An object: all that can be read of it, and all that is said about it.
pub fn object(data: &[u8]) {
    let Ok(object) = Object::parse(data) else { return };
    let _ = object.functions();
    for section in &object.sections {
        let _ = object.relocations(section.name);
    }
    let ubpf = object.ubpf();
    if let Ok(Some(types)) = object.types() {
        look(&types);
        let _ = object.ext(&types);
        let _ = read::maps(&types);
    }
    let _ = (relocate::wanted(&object), relocate::asked(&object));
    if let Ok(Some(ubpf)) = &ubpf {
        let _ = relocate::choose::wanted(&object, ubpf);
    }
    let _ = ubpfc::cli::inspected("object", &object);
}

/// An object, and the types of a target: what is chosen is brought in, everything is relocated by both policies, and the results are read again.
pub fn relocate(data: &[u8]) {
    let (bytes, types) = split(data);
    let (Ok(object), Ok(types)) = (Object::parse(bytes), Btf::parse(types)) else { return };
    let target = Target { image: types.into(), modules: Vec::new() };
    if let Ok(Some(ubpf)) = object.ubpf() {
        for shows_btf in [true, false] {
            let Ok(choice) = relocate::choose(&ubpf, &target, shows_btf) else { continue };
            let Ok(brought) = relocate::bring_in(bytes, &choice) else { continue };
            let object = Object::parse(&brought.bytes).expect("what is brought in can be read");
            for_target(&brought.bytes, &object, &target);
        }
    }
    for_target(bytes, &object, &target);
    if let Ok(minimal) = relocate::minimal(&[&object], &target, true) {
        look(&Btf::parse(&minimal).expect("what is made can be read"));
    }
}

fn for_target(bytes: &[u8], object: &Object<'_>, target: &Target<'_>) {
    for policy in [Policy::Strict, Policy::Libbpf] {
        let Ok(plan) = relocate::plan(object, target, policy) else { continue };
        match relocate::apply(bytes, object, &plan, policy) {
            Ok(applied) => drop(Object::parse(&applied.bytes).expect("a result can be read")),
            Err(ApplyError::Bug(why)) => panic!("{why}"),
            Err(ApplyError::Missing(mut lacks)) => {
                lacks.iter_mut().for_each(|one| one.missing.suggest(target));
            }
            Err(_) => {}
        }
    }
}
