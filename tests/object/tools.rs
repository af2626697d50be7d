//! What stock tools make of the objects.

use super::fixture::{self, Script};
use super::support::require;
use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::target::Endian;

/// A script's object in a file of its own.
fn object_file(script: &Script, endian: Endian) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prog.o");
    std::fs::write(&path, script.write(endian)).unwrap();
    (dir, path)
}

/// What a tool says on both streams; it must succeed.
fn output_of(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Whether bpftool loads the script's programs, and its log. Nothing stays pinned.
fn load(script: &Script, name: &str) -> (bool, String) {
    let (_dir, path) = object_file(script, Endian::Little);
    let pins = format!("/sys/fs/bpf/ubpfc-{name}-{}", std::process::id());
    let output =
        Command::new("bpftool").args(["-d", "prog", "loadall"]).arg(&path).arg(&pins).output();
    let _ = std::fs::remove_dir_all(&pins);
    let output = output.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn libbpf_loads_every_program_and_relocates_every_question() {
    if !require("bpftool") || !require("root") {
        return;
    }
    let script = fixture::script();
    let (loaded, log) = load(&script, "all");
    assert!(loaded, "{log}");
    assert!(!log.contains("skipping"), "libbpf does not know a section:\n{log}");
    let patched = |line: &str| line.contains(": patched insn");
    // One enumerator and one field are missing: the enumerator's load has two slots.
    let poisoned = log.lines().filter(|line| line.contains("substituting insn")).count();
    assert_eq!(poisoned, 3);
    assert_eq!(log.lines().filter(|line| patched(line)).count(), script.core_relocs() - 2);
    for answer in [
        "struct task_struct___user.no_such_field (0:1 @ offset 8)",
        "relo #1: patched insn #4 (ALU/ALU64) imm 1 -> 0",
        "enum pid_type::PIDTYPE_TGID = 1",
        "relo #14: patched insn #21 (LDIMM64) imm64 0 -> 1",
        "typedef btf_trace_sched_switch___user2",
        "relo #18: patched insn #28 (ALU/ALU64) imm 1 -> 0",
        "relo #19: patched insn #29 (ALU/ALU64) imm 56 -> ",
    ] {
        assert!(log.contains(answer), "{answer} is not in\n{log}");
    }
}

#[test]
fn the_verifier_quotes_the_script() {
    if !require("bpftool") || !require("root") {
        return;
    }
    let mut script = fixture::script();
    // Reading r9, which nothing has written.
    script.code.programs[1].insns[0].src = 9;
    let (loaded, log) = load(&script, "bad");
    assert!(!loaded, "{log}");
    assert!(
        log.contains("; tracepoint:sched:sched_switch { @hits = hist(1); } @ fixture.ub:7"),
        "{log}"
    );
    assert!(log.contains("R9 !read_ok"), "{log}");
}

#[test]
fn bpftool_prints_the_types() {
    if !require("bpftool") {
        return;
    }
    for endian in [Endian::Little, Endian::Big] {
        let (_dir, path) = object_file(&fixture::script(), endian);
        let text = output_of("bpftool", &["btf", "dump", "file"], &path);
        for expected in [
            "STRUCT 'task_struct___user' size=56 vlen=7",
            "'in_iowait' type_id=8 bits_offset=384 bitfield_size=1",
            "STRUCT 'ubpf_record_0' size=24 vlen=3",
            "STRUCT 'ubpf_key_hits' size=20 vlen=2",
            "STRUCT 'ubpf_avg_s64' size=16 vlen=2",
            "(VAR 'min_us')",
            "FUNC 'visit' type_id=63 linkage=static",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}

#[test]
fn llvm_disassembles_both_byte_orders() {
    if !require("llvm-objdump") {
        return;
    }
    for endian in [Endian::Little, Endian::Big] {
        let (_dir, path) = object_file(&fixture::script(), endian);
        let text = output_of("llvm-objdump", &["-d", "-r"], &path);
        for expected in [
            "<sched_switch_2>:",
            "r7 = *(u64 *)(r6 + 16)",
            "R_BPF_64_64\tubpf_ring",
            "R_BPF_64_64\t.text",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}

#[test]
fn readelf_finds_nothing_wrong() {
    if !require("readelf") {
        return;
    }
    for endian in [Endian::Little, Endian::Big] {
        let (_dir, path) = object_file(&fixture::script(), endian);
        let text = output_of("readelf", &["-a", "-W"], &path);
        assert!(text.contains("tp_btf/sched_switch") && text.contains("FUNC    LOCAL"), "{text}");
        let complaint = |line: &&str| line.starts_with("readelf: ");
        assert_eq!(text.lines().find(complaint), None);
    }
}

#[test]
fn aya_reads_programs_maps_and_relocations() {
    let object = aya_obj::Object::parse(&fixture::script().write(Endian::Little)).unwrap();
    let mut programs: Vec<&str> = object.programs.keys().map(String::as_str).collect();
    programs.sort_unstable();
    assert_eq!(programs, ["begin", "interval", "sched_switch", "sched_switch_2"]);
    let mut maps: Vec<&str> = object.maps.keys().map(String::as_str).collect();
    maps.sort_unstable();
    assert_eq!(maps, [".rodata", "hits", "n", "start", "ubpf_ring"]);
    assert!(object.has_btf_relocations());
    let hits = &object.maps["hits"];
    assert_eq!(
        (hits.map_type(), hits.key_size(), hits.value_size(), hits.max_entries()),
        (5, 20, 8, 1024)
    );
}

#[test]
fn aya_relocates_maps_calls_and_fields() {
    if !require("btf") {
        return;
    }
    let kernel = "/sys/kernel/btf/vmlinux";
    let bytes = fixture::script().write(Endian::Little);
    let ours = ubpfc::object::read::Object::parse(&bytes).unwrap();
    let text = ours.sections.iter().position(|section| section.name == ".text").unwrap();
    let mut object = aya_obj::Object::parse(&bytes).unwrap();
    let btf = aya_obj::btf::Btf::parse_file(kernel, object::Endianness::Little).unwrap();
    object.relocate_btf(&btf).unwrap();
    let maps = object.maps.clone();
    let fds = (10..).zip(&maps).map(|(fd, (name, map))| (name.as_str(), fd, map));
    object.relocate_maps(fds, &[text].into_iter().collect()).unwrap();
    object.relocate_calls(&[text].into_iter().collect()).unwrap();
}

#[test]
fn aya_loads_the_programs() {
    if !require("root") {
        return;
    }
    let kernel = aya::Btf::from_sys_fs().unwrap();
    let bytes = fixture::script().write(Endian::Little);
    let mut object = aya::EbpfLoader::new().btf(Some(&kernel)).load(&bytes).unwrap();
    for name in ["sched_switch", "sched_switch_2"] {
        let program = object.program_mut(name).unwrap();
        let program: &mut aya::programs::BtfTracePoint = program.try_into().unwrap();
        program.load("sched_switch", &kernel).unwrap();
    }
    let program = object.program_mut("begin").unwrap();
    let program: &mut aya::programs::RawTracePoint = program.try_into().unwrap();
    program.load().unwrap();
    let program = object.program_mut("interval").unwrap();
    let program: &mut aya::programs::PerfEvent = program.try_into().unwrap();
    program.load().unwrap();
}

#[test]
fn the_crate_btf_reads_the_types() {
    let bytes = fixture::script().write(Endian::Little);
    let object = ubpfc::object::read::Object::parse(&bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("types.btf");
    std::fs::write(&path, object.section(".BTF").unwrap().data).unwrap();
    let types = btf::btf::Btf::from_file(&path).unwrap();
    let task = types.get_type_by_name("task_struct___user").unwrap();
    let bitfield = r#"name: Some("in_iowait"), type_id: 8, offset: 384, bits: Some(1)"#;
    assert!(format!("{task:?}").contains(bitfield), "{task:?}");
}
