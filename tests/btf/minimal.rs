//! libbpf makes the same instructions of an object with the minimal BTF of a kernel as with all of it.

use super::{libbpf, support};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::kernels::{self, KernelTypes};
use support::pipeline::Script;
use ubpfc::btf::{Btf, Builder, Member, Type, TypeId};
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Policy};
use ubpfc::target::{Cpu, Endian};

/// Objects by name: the examples, and what clang makes of the programs that `benches` measures.
fn objects(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut objects = Vec::new();
    let mut add = |name: String, bytes: &[u8]| {
        let path = dir.join(format!("{name}.o"));
        std::fs::write(&path, bytes).unwrap();
        objects.push((name, path));
    };
    for path in files("examples", "ub") {
        let text = std::fs::read_to_string(&path).unwrap();
        let script = Script::new(&text).unwrap();
        let code = script.code(Cpu::V3).unwrap();
        add(name(&path), &script.object(&code, Cpu::V3));
    }
    if support::require("clang") {
        for path in files("benches/programs", "bpf.c") {
            let out = dir.join("clang.o");
            let mut clang = Command::new("clang");
            clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3"]);
            clang.args(["-I/usr/include/x86_64-linux-gnu", "-c", "-o"]).arg(&out).arg(&path);
            support::run(&mut clang);
            add(name(&path), &std::fs::read(&out).unwrap());
        }
    }
    objects
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(support::package(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.to_str().unwrap().ends_with(&format!(".{ending}"))).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn target(kernel: &KernelTypes) -> Target<'_> {
    let mut image = Btf::parse(kernel.btf()).unwrap();
    image.set_pointer_size(kernel.pointer_size());
    Target { image: Arc::new(image), modules: Vec::new() }
}

/// libbpf is linked for this machine; it refuses the programs of another byte order, and types of it take a way of their own.
fn comparable() -> impl Iterator<Item = &'static KernelTypes> {
    kernels::all().iter().filter(|kernel| !kernel.name.starts_with("s390x"))
}

#[test]
fn libbpf_answers_alike_from_the_minimal_types() {
    let dir = tempfile::tempdir().unwrap();
    let objects = objects(dir.path());
    let [whole, small] = ["whole.btf", "small.btf"].map(|name| dir.path().join(name));
    let (mut answered, mut all) = (0, 0);
    for kernel in comparable() {
        std::fs::write(&whole, kernel.btf()).unwrap();
        for (name, path) in &objects {
            let bytes = std::fs::read(path).unwrap();
            let object = Object::parse(&bytes).unwrap();
            let minimal = relocate::minimal(&[&object], &target(kernel), true).unwrap();
            std::fs::write(&small, &minimal).unwrap();
            let [expected, found] = [&whole, &small].map(|types| libbpf::relocate(path, types));
            let context = format!("{name} on {}: {} bytes", kernel.name, minimal.len());
            assert_eq!(found.refused(), expected.refused(), "{context}: {}", found.log);
            assert!(!expected.programs.is_empty(), "{context}");
            all += 1;
            answered += usize::from(!expected.refused());
            assert_eq!(found.programs, expected.programs, "{context}");
        }
    }
    assert!(answered * 4 > all * 3, "libbpf refuses most of it: {answered} of {all}");
}

#[test]
fn one_file_serves_several_objects_and_is_smaller_than_what_bpftool_makes() {
    if !support::require_all(&["bpftool", "clang"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Objects of our own have the types of tracepoints kept as well, of which bpftool knows nothing.
    let objects: Vec<_> =
        objects(dir.path()).into_iter().filter(|(name, _)| name.contains(".bpf.c")).collect();
    // For kernels before 5.10 bpftool's can be the smaller one: it leaves out types that no record matches, which are kept here, since a type that does not match is not the same as none.
    for kernel in ["aarch64-5.10.0-32-arm64", "x86_64-6.1.0-50-cloud-amd64"].map(kernels::named) {
        let whole = dir.path().join("whole.btf");
        std::fs::write(&whole, kernel.btf()).unwrap();
        let bytes: Vec<_> = objects.iter().map(|(_, path)| std::fs::read(path).unwrap()).collect();
        let parsed: Vec<_> = bytes.iter().map(|bytes| Object::parse(bytes).unwrap()).collect();
        let all: Vec<_> = parsed.iter().collect();
        let minimal = relocate::minimal(&all, &target(kernel), true).unwrap();
        assert_eq!(minimal, relocate::minimal(&all, &target(kernel), true).unwrap());
        let theirs = dir.path().join("theirs.btf");
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["gen", "min_core_btf"]).arg(&whole).arg(&theirs);
        bpftool.args(objects.iter().map(|(_, path)| path));
        support::run(&mut bpftool);
        let theirs = std::fs::metadata(&theirs).unwrap().len();
        assert!(minimal.len() as u64 <= theirs, "{}: {} {theirs}", kernel.name, minimal.len());
        // bpftool reads it.
        let small = dir.path().join("small.btf");
        std::fs::write(&small, &minimal).unwrap();
        let dump = support::run(Command::new("bpftool").args(["btf", "dump", "file"]).arg(&small));
        assert!(dump.contains("STRUCT 'task_struct'"), "{dump}");
    }
}

/// `struct outer { long first; struct elem { int first, z, a; } x[…]; }` with an array of these dimensions.
fn with_array(dimensions: &[u32]) -> Vec<u8> {
    let mut builder = Builder::default();
    let int = builder.int_of("int", 4, ubpfc::btf::encoding::SIGNED);
    let long = builder.int_of("long int", 8, ubpfc::btf::encoding::SIGNED);
    let member = |name: &str, ty: TypeId, bytes: u32| Member {
        name: name.into(),
        ty,
        bit_offset: bytes * 8,
        bit_width: 0,
    };
    let members = vec![member("first", int, 0), member("z", int, 4), member("a", int, 8)];
    let elem = Type::Composite { union: false, name: "elem".into(), size: 12, members };
    let mut ty = builder.add(elem);
    for len in dimensions.iter().rev() {
        ty = builder.add(Type::Array { elem: ty, index: int, len: *len });
    }
    let members = vec![member("first", long, 0), member("x", ty, 8)];
    let size = 8 + 12 * dimensions.iter().product::<u32>();
    builder.add(Type::Composite { union: false, name: "outer".into(), size, members });
    builder.bytes(Endian::Little)
}

/// An object with all its questions answered.
fn relocated(object: &[u8], types: &[u8]) -> Vec<u8> {
    let target = Target { image: Arc::new(Btf::parse(types).unwrap()), modules: Vec::new() };
    let parsed = Object::parse(object).unwrap();
    let plan = relocate::plan(&parsed, &target, Policy::Strict).unwrap();
    relocate::apply(object, &parsed, &plan, Policy::Strict).unwrap().bytes
}

#[test]
fn members_behind_arrays_are_kept_whatever_their_dimensions() {
    if !support::require("clang") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [source, out] = ["a.c", "a.o"].map(|name| dir.path().join(name));
    let cases: [(_, _, &[&[u32]]); 3] = [
        ("[6]", "[5]", &[&[6], &[2, 3], &[1, 2, 3]]),
        ("[2][3]", "[1][2]", &[&[6], &[2, 3]]),
        ("[1][2][3]", "[0][1][2]", &[&[6], &[1, 2, 3]]),
    ];
    for (dimensions, element, kernels) in cases {
        let text = format!(
            "struct elem {{ int z, a; }}; struct outer {{ struct elem x{dimensions}; }};
            __attribute__((section(\"raw_tp/a\"), used)) int prog(struct outer *o) {{
                return *__builtin_preserve_access_index(&o->x{element}.a);
            }}"
        );
        std::fs::write(&source, text).unwrap();
        let mut clang = Command::new("clang");
        clang.args(["-O2", "-g", "-target", "bpf", "-c", "-o"]).arg(&out).arg(&source);
        support::run(&mut clang);
        let object = std::fs::read(&out).unwrap();
        for kernel in kernels {
            let whole = with_array(kernel);
            let image = Arc::new(Btf::parse(&whole).unwrap());
            let target = Target { image, modules: Vec::new() };
            let parsed = Object::parse(&object).unwrap();
            let minimal = relocate::minimal(&[&parsed], &target, true).unwrap();
            assert!(minimal.len() < whole.len(), "{dimensions} of {kernel:?}");
            let [expected, found] = [&whole, &minimal].map(|types| relocated(&object, types));
            assert_eq!(found, expected, "{dimensions} of {kernel:?}");
        }
    }
}
