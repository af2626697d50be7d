//! Objects on the kernel of this machine: stock tools read and load them, and what they count is what a known workload makes.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::kernel::{Dump, Entry, attached};
use support::{package, require_all, run};

/// The object of an example, in a folder of its own.
fn compile(script: &Path) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let object = dir.path().join("prog.o");
    run(Command::new(env!("CARGO_BIN_EXE_ubpfc")).arg(script).arg("-o").arg(&object));
    (dir, object)
}

fn examples() -> Vec<PathBuf> {
    scripts("examples")
}

fn scripts(folder: &str) -> Vec<PathBuf> {
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(package(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ub"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 6, "{folder} has scripts");
    scripts
}

#[test]
fn bpftool_loads_every_example_and_the_log_quotes_it() {
    if !require_all(&["root", "bpftool"]) {
        return;
    }
    for script in examples() {
        let (_dir, object) = compile(&script);
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        if !support::kernel::takes(&name, &std::fs::read(&object).unwrap()) {
            continue;
        }
        let pins = format!("/sys/fs/bpf/ubpfc-real-{name}-{}", std::process::id());
        let output = Command::new("bpftool")
            .args(["-d", "prog", "loadall"])
            .arg(&object)
            .arg(&pins)
            .output()
            .unwrap();
        let _ = std::fs::remove_dir_all(&pins);
        let log = [output.stdout, output.stderr]
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .concat();
        assert!(output.status.success(), "{name}:\n{log}");
        let text = std::fs::read_to_string(&script).unwrap();
        let quoted = log.lines().filter_map(|l| l.trim_start().strip_prefix("; ")).any(|quote| {
            let quote = quote.split(" @ ").next().unwrap_or(quote).trim();
            quote.len() > 8 && text.lines().any(|line| line.trim() == quote)
        });
        assert!(quoted, "{name}: the verifier quotes no line of the script:\n{log}");
    }
}

#[test]
fn stock_tools_read_every_example() {
    if !require_all(&["llvm-objdump", "bpftool"]) {
        return;
    }
    for script in examples() {
        let (_dir, object) = compile(&script);
        let code = run(Command::new("llvm-objdump").arg("-d").arg(&object));
        assert!(code.contains("exit"), "{}: {code}", script.display());
        // Before LLVM 17 it knows no stores of immediates, and before LLVM 19 no tests of bits.
        let unknown = code.lines().filter(|l| l.contains("<unknown>"));
        let strange: Vec<&str> = unknown.filter(|l| !is_late(l)).collect();
        assert!(strange.is_empty(), "{}: {strange:?}", script.display());
        let types = run(Command::new("bpftool").args(["btf", "dump", "file"]).arg(&object));
        assert!(types.contains("STRUCT"), "{}: {types}", script.display());
    }
}

/// Whether a line of a disassembly, `13: 7a 0a e8 ff …`, is of class `ST`, or `JSET` of class `JMP` or `JMP32`.
fn is_late(line: &str) -> bool {
    let opcode = line.split_once(':').and_then(|(_, bytes)| bytes.split_whitespace().next());
    let is_late = |o: u8| o & 7 == 2 || (o & 0xf0 == 0x40 && matches!(o & 7, 5 | 6));
    opcode.and_then(|o| u8::from_str_radix(o, 16).ok()).is_some_and(is_late)
}

#[test]
fn aya_relocates_and_loads_every_example() {
    if !require_all(&["root"]) {
        return;
    }
    let kernel = aya::Btf::from_sys_fs().unwrap();
    for script in examples() {
        let (_dir, object) = compile(&script);
        let name = script.display().to_string();
        if !support::kernel::takes(&name, &std::fs::read(&object).unwrap()) {
            continue;
        }
        let mut ebpf = aya::EbpfLoader::new()
            .btf(Some(&kernel))
            .load_file(&object)
            .unwrap_or_else(|e| panic!("{}: {e:?}", script.display()));
        for (name, program) in ebpf.programs_mut() {
            let result = match program {
                aya::programs::Program::BtfTracePoint(p) => {
                    let event = name.to_owned();
                    let event = event.trim_start_matches("user_").to_owned();
                    let event =
                        if event.starts_with("syscall") { "sys_enter".into() } else { event };
                    p.load(&event, &kernel)
                }
                aya::programs::Program::RawTracePoint(p) => p.load(),
                aya::programs::Program::PerfEvent(p) => p.load(),
                aya::programs::Program::SocketFilter(p) => p.load(),
                other => panic!("{name}: {other:?}"),
            };
            result.unwrap_or_else(|e| panic!("{} {name}: {e:?}", script.display()));
        }
    }
}

/// Two threads that hand a byte to each other through pipes; gives their ids. Each hand-over is a wake-up and a switch.
fn ping_pong(rounds: usize) -> [u32; 2] {
    let (mut there, mut from) = std::io::pipe().map(|(r, w)| (w, r)).unwrap();
    let (mut back, mut to) = std::io::pipe().map(|(r, w)| (w, r)).unwrap();
    let other = std::thread::spawn(move || {
        let mut byte = [0];
        for _ in 0..rounds {
            from.read_exact(&mut byte).unwrap();
            back.write_all(&byte).unwrap();
        }
        thread_id()
    });
    let first = std::thread::spawn(move || {
        let mut byte = [7];
        for _ in 0..rounds {
            there.write_all(&byte).unwrap();
            to.read_exact(&mut byte).unwrap();
        }
        thread_id()
    });
    [first.join().unwrap(), other.join().unwrap()]
}

fn thread_id() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_string_lossy().parse().unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn total(values: &[Vec<u8>]) -> u64 {
    values.iter().map(|v| u64::from_le_bytes(v[..8].try_into().unwrap())).sum()
}

#[test]
fn switches_are_seen_with_their_threads() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    let (_dir, object) = compile(&package("examples/switch.ub"));
    let mut threads = [0; 2];
    let dump = attached(&object, || threads = ping_pong(300));
    assert!(!dump.records.is_empty(), "no record");
    for record in &dump.records {
        assert_eq!(record.len(), 24, "8 bytes of header and four ints");
    }
    for thread in threads {
        let leaving = dump.records.iter().filter(|r| u32_at(r, 8) == thread);
        let coming = dump.records.iter().filter(|r| u32_at(r, 16) == thread);
        // A normal thread has priority 120, and the kernel lends none of these another.
        assert!(leaving.clone().count() > 100, "{thread} left {} times", leaving.count());
        assert!(coming.clone().count() > 100, "{thread} came {} times", coming.count());
        assert!(leaving.clone().all(|r| (100..140).contains(&u32_at(r, 12))), "priorities");
        assert!(coming.clone().all(|r| (100..140).contains(&u32_at(r, 20))), "priorities");
    }
}

#[test]
fn waiting_times_fill_a_histogram() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    let (_dir, object) = compile(&package("examples/runqlat.ub"));
    let dump = attached(&object, || {
        ping_pong(500);
    });
    let buckets = map(&dump, "usecs");
    let waits: u64 = buckets.iter().map(|(_, values)| total(values)).sum();
    assert!(waits >= 500, "{waits} waits for 1000 hand-overs: {buckets:?}");
    // Bucket 40 is half a million seconds: what is there was not measured.
    let sane = buckets.iter().filter(|(_, v)| total(v) > 0).all(|(key, _)| u32_at(key, 0) < 40);
    assert!(sane, "{buckets:?}");
}

/// A map of a dump by its name in the script.
fn map<'a>(dump: &'a Dump, name: &str) -> &'a [Entry] {
    dump.maps.get(name).unwrap_or_else(|| panic!("no map {name}: {:?}", dump.maps.keys()))
}

/// System calls by process, of the names that `syscount.ub` counts.
fn calls_by_process(dump: &Dump) -> BTreeMap<u32, u64> {
    let mut calls = BTreeMap::new();
    for (key, values) in map(dump, "calls") {
        *calls.entry(u32_at(key, 0)).or_default() += total(values);
    }
    calls
}

/// A program that makes `calls` system calls and nothing else, beyond what it takes to start and end: by `syscall`, or by the 32-bit entry.
fn caller(dir: &Path, name: &str, instruction: &str, getpid: u32, calls: u32) -> PathBuf {
    let source = dir.join(format!("{name}.S"));
    let text = format!(
        ".globl _start\n_start:\n\tmov ${calls}, %r12d\n1:\tmov ${getpid}, %eax\n\t{instruction}\n\tdec %r12d\n\tjnz 1b\n\
         \tmov $60, %eax\n\txor %edi, %edi\n\tsyscall\n.section .note.GNU-stack,\"\",@progbits\n"
    );
    std::fs::write(&source, text).unwrap();
    let exe = dir.join(name);
    run(Command::new("cc").args(["-nostdlib", "-static", "-no-pie", "-o"]).arg(&exe).arg(&source));
    exe
}

/// Runs a program and gives its process id.
fn run_to_end(exe: &Path) -> u32 {
    let mut child = Command::new(exe).spawn().unwrap();
    let id = child.id();
    assert!(child.wait().unwrap().success());
    id
}

/// What `syscount.ub` counts, and the calls of the 32-bit entry too.
const EVERY_CALL: &str = "
kernel tracepoint sys_enter(struct pt_regs *regs, long id);
tracepoint user:every_call(s64 id) = tracepoint raw_syscalls:sys_enter;
user:every_call { @calls[pid, comm] = count(); }
";

#[test]
#[cfg(target_arch = "x86_64")]
fn system_calls_are_counted_but_not_those_of_the_32_bit_entry() {
    const CALLS: u32 = 1000;
    if !require_all(&["root", "cc"]) {
        return;
    }
    let (dir, object) = compile(&package("examples/syscount.ub"));
    let raw = dir.path().join("raw.ub");
    std::fs::write(&raw, EVERY_CALL).unwrap();
    let (_raw_dir, raw) = compile(&raw);
    let native = caller(dir.path(), "native", "syscall", 39, CALLS);
    let compat = caller(dir.path(), "compat", "int $0x80", 20, CALLS);
    let mut ids = [0; 2];
    let dump = attached(&object, || ids = [run_to_end(&native), run_to_end(&compat)]);
    let calls = calls_by_process(&dump);
    let [native, compat] = ids.map(|id| calls.get(&id).copied().unwrap_or(0));
    // Starting and ending takes some calls more, before and after the program itself.
    assert!(
        (u64::from(CALLS)..u64::from(CALLS) + 200).contains(&native),
        "{native} calls by `syscall`"
    );
    assert!(compat < 200, "{compat} calls, though those by `int $0x80` are not to be counted");
    // The kernel does tell of them: it is the script that leaves them out.
    let mut id = 0;
    let dump = attached(&raw, || id = run_to_end(&dir.path().join("compat")));
    let told = calls_by_process(&dump).get(&id).copied().unwrap_or(0);
    assert!(told >= u64::from(CALLS), "the kernel tells of {told} calls by `int $0x80`");
}

#[test]
fn every_script_of_the_comparison_attaches() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    for script in scripts("benches/programs") {
        let (_dir, object) = compile(&script);
        let dump = attached(&object, || ());
        assert!(dump.programs.values().all(|attached| *attached), "{}: {dump:?}", script.display());
    }
}
