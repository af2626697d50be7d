//! Whole objects, of this compiler and of clang: relocated by libbpf's policy they have libbpf's code on every kernel, and relocated strictly they load where there are no types.

use super::kernels;
use super::libbpf;
use super::support::kernel::{load, takes};
use super::support::{package, require, require_all, run};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::btf::Btf;
use ubpfc::isa::code::Insn;
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, ApplyError, Policy, RelocateError};
use ubpfc::target::Endian;

/// An object in a folder of its own.
struct Subject {
    name: String,
    path: PathBuf,
    /// Whether it is loaded where there are no types.
    raw: bool,
}

/// How clang reads the kernel: with plain loads from BTF-typed tracepoints, or with helpers from raw ones.
const CLANG_FORMS: [(&str, &[&str]); 2] = [("direct", &["-DDIRECT"]), ("raw", &[])];

/// Files of a folder that end so, by name.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(package(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has {ending}");
    files
}

fn ours(folder: &Path) -> Vec<Subject> {
    let scripts = [files("examples", ".ub"), files("benches/programs", ".ub")].concat();
    let compile = |script: PathBuf| {
        let name = script.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = folder.join(format!("{name}.ub.o"));
        run(Command::new(env!("CARGO_BIN_EXE_ubpfc")).arg(&script).arg("-o").arg(&path));
        Subject { name: format!("{name}.ub"), path, raw: false }
    };
    scripts.into_iter().map(compile).collect()
}

/// Objects of clang, if there is one.
fn theirs(folder: &Path) -> Vec<Subject> {
    if !require("clang") {
        return Vec::new();
    }
    let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let mut subjects = Vec::new();
    let sources = [files("benches/programs", ".bpf.c"), files("tests/relocate", ".bpf.c")].concat();
    for source in sources {
        for (form, flags) in CLANG_FORMS {
            let name = format!("{}.{form}", source.file_stem().unwrap().to_str().unwrap());
            let path = folder.join(format!("{name}.o"));
            let mut clang = Command::new("clang");
            clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-c", &headers]).args(flags);
            run(clang.arg(&source).arg("-o").arg(&path));
            subjects.push(Subject { name, path, raw: form == "raw" });
        }
    }
    subjects
}

/// Relocates an object; the error is in words.
pub(super) fn relocated(
    bytes: &[u8],
    target: &Target<'_>,
    policy: Policy,
) -> Result<Vec<u8>, Refusal> {
    let object = Object::parse(bytes).unwrap();
    let plan = relocate::plan(&object, target, policy).map_err(Refusal::Plan)?;
    let applied = relocate::apply(bytes, &object, &plan, policy).map_err(Refusal::Apply)?;
    Ok(applied.bytes)
}

#[derive(Debug)]
#[expect(dead_code, reason = "it is shown where a test fails")]
pub(super) enum Refusal {
    Plan(RelocateError),
    Apply(ApplyError),
}

/// The slots of a program that a loader fills in with what is no answer to a question: maps, constants, functions.
fn filled_in(object: &Object<'_>, section: &str, start: u64, code: &[Insn]) -> BTreeSet<usize> {
    let mut slots = BTreeSet::new();
    for relocation in object.relocations(section).unwrap() {
        let Some(offset) = relocation.offset.checked_sub(start) else { continue };
        let slot = usize::try_from(offset / 8).unwrap();
        slots.insert(slot);
        if code.get(slot).is_some_and(|insn| insn.is_wide()) {
            slots.insert(slot + 1);
        }
    }
    slots
}

/// What differs between an object that was relocated here and the programs of libbpf.
pub(super) fn differences(ours: &[u8], theirs: &libbpf::Answer) -> String {
    let object = Object::parse(ours).unwrap();
    let mut told = String::new();
    let mut compared = 0;
    for function in object.functions().unwrap() {
        let Some(their_code) = theirs.programs.get(function.symbol.name) else { continue };
        let code = function.insns();
        let skipped = filled_in(&object, function.section, function.symbol.offset, &code);
        compared += 1;
        for (slot, insn) in code.iter().enumerate() {
            if !skipped.contains(&slot) && their_code.get(slot) != Some(insn) {
                let their = their_code.get(slot);
                let _ = writeln!(told, "{} {slot}: {insn:?}, {their:?}", function.symbol.name);
            }
        }
    }
    if compared == 0 {
        told.push_str("no program has been compared");
    }
    told
}

fn same_code(subjects: &[Subject]) {
    let mut wrong = String::new();
    for kernel in kernels::all().filter(|kernel| kernel.endian() == Endian::Little) {
        let (file, target) = (kernel.file(), kernel.target());
        let paths: Vec<&Path> = subjects.iter().map(|subject| &*subject.path).collect();
        for (subject, theirs) in subjects.iter().zip(libbpf::relocate_all(&paths, file.path())) {
            let bytes = std::fs::read(&subject.path).unwrap();
            let told = match relocated(&bytes, &target, Policy::Libbpf) {
                Ok(_) if theirs.refused() => format!("libbpf refuses: {}", theirs.log),
                Ok(ours) => differences(&ours, &theirs),
                Err(Refusal::Plan(_)) if theirs.refused() => String::new(),
                Err(refusal) => format!("{refusal:?}, where libbpf says: {}", theirs.log),
            };
            if !told.is_empty() {
                let _ = writeln!(wrong, "{} on {}:\n{told}", subject.name, kernel.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn our_objects_have_libbpfs_code() {
    if require("root") {
        let folder = tempfile::tempdir().unwrap();
        same_code(&ours(folder.path()));
    }
}

#[test]
fn clangs_objects_have_libbpfs_code() {
    if require("root") {
        let folder = tempfile::tempdir().unwrap();
        same_code(&theirs(folder.path()));
    }
}

/// Relocates for the running kernel, strictly and as libbpf, and loads.
fn loads(subjects: &[Subject], hidden: bool) {
    let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let target = Target { image: Btf::parse(&bytes).unwrap().into(), modules: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for subject in subjects {
        let object = std::fs::read(&subject.path).unwrap();
        if !takes(&subject.name, &object) {
            continue;
        }
        for policy in [Policy::Strict, Policy::Libbpf] {
            let told = match relocated(&object, &target, policy) {
                Ok(bytes) => {
                    let path = folder.path().join("relocated.o");
                    std::fs::write(&path, bytes).unwrap();
                    load(&path, hidden).err()
                }
                Err(refusal) => Some(format!("{refusal:?}")),
            };
            if let Some(told) = told {
                let _ = writeln!(wrong, "{} by {policy:?}:\n{told}", subject.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn relocated_objects_load() {
    if require_all(&["root", "btf", "bpftool"]) {
        let folder = tempfile::tempdir().unwrap();
        loads(&ours(folder.path()), false);
        loads(&theirs(folder.path()), false);
    }
}

#[test]
fn relocated_objects_load_where_there_are_no_types() {
    if require_all(&["root", "btf", "bpftool"]) {
        let folder = tempfile::tempdir().unwrap();
        let mut subjects = theirs(folder.path());
        subjects.retain(|subject| subject.raw);
        loads(&subjects, true);
    }
}
