//! Objects and kernels that do not go together: each diagnostic of relocation, as snapshots in `testdata/cli`. The objects are clang's, changed where they must be broken.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::cli::{Folder, OLD, status, text};
use ubpfc::btf::{Builder, Member, TypeId, encoding};
use ubpfc::isa::opcode::JMP;
use ubpfc::object::read::Object;
use ubpfc::target::Endian;

/// A kernel in which `task_struct` has `pid` at these bytes: one type for each.
fn kernel(places: &[u32]) -> Vec<u8> {
    let mut btf = Builder::default();
    let int = btf.int_of("int", 4, encoding::SIGNED);
    btf.int_of("long unsigned int", 8, 0);
    for place in places {
        let pid = Member { name: "pid".into(), ty: int, bit_offset: place * 8, bit_width: 0 };
        btf.composite("task_struct", place + 8, vec![pid]);
    }
    let _: TypeId = int;
    btf.bytes(Endian::Little)
}

/// Where a section is in the bytes of an object.
fn place_of(bytes: &[u8], section: &str) -> usize {
    let object = Object::parse(bytes).unwrap();
    object.section(section).unwrap().data.as_ptr() as usize - bytes.as_ptr() as usize
}

/// The object with a word of its first CO-RE record changed: the place in the code, the type, the path, or the kind.
fn with_record(bytes: &[u8], word: usize, change: impl Fn(u32) -> u32) -> Vec<u8> {
    let start = place_of(bytes, ".BTF.ext");
    let read = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    // The header and the offset of its records, their size, the section's name and number.
    let first = start + (read(start + 4) + read(start + 24)) as usize + 12;
    let mut changed = bytes.to_vec();
    let at = first + word * 4;
    changed[at..at + 4].copy_from_slice(&change(read(at)).to_le_bytes());
    changed
}

#[test]
fn types_that_disagree() {
    let folder = Folder::new();
    folder.write("twins", kernel(&[24, 48]));
    folder.compile("pid", PID, &[]);
    folder.snapshot("refused-E0604", &["relocate", "pid.o", "-k", "twins", "--policy", "libbpf"]);
    folder.snapshot("refused-twins", &["relocate", "pid.o", "-k", "twins"]);
}

const PID: &str = "\
struct task_struct_user { int pid; };
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next);
tracepoint user:sw(struct task_struct_user *prev) = tracepoint sched:sched_switch;
user:sw {
    @x = args.prev.pid;
}
";

#[test]
fn answers_that_do_not_fit() {
    let folder = Folder::new();
    folder.write("large", kernel(&[40_000]));
    folder.compile("pid", PID, &[]);
    folder.snapshot("refused-E0607", &["relocate", "pid.o", "-k", "large", "--policy", "libbpf"]);
    let output = folder.run(&["relocate", "pid.o", "-k", "large"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn a_number_of_another_size_that_is_read_with_a_constant_size() {
    let folder = Folder::new();
    folder.write("kernel", kernel(&[24]));
    folder.snapshot("warned-W1007", &["relocate", "size.o", "-k", "kernel", "-o", "out.o"]);
}

#[test]
fn files_in_the_wrong_place() {
    let folder = Folder::new();
    folder.write("kernel", kernel(&[24]));
    folder.write("module", kernel(&[24]));
    folder.compile("pid", PID, &[]);
    folder.write("pid.ub", PID);
    let (overwritten, an_object) =
        ("is one of the files that are read", "is an object, not a script");
    let cases: &[(&[&str], &str)] = &[
        (&["relocate", "pid.o", "-k", "kernel", "-o", "kernel"], overwritten),
        (&["relocate", "pid.o", "-k", "kernel", "-m", "module", "-o", "module"], overwritten),
        (&["relocate", "pid.o", "-k", "pid.o"], "a BPF object, not a kernel"),
        (
            &["relocate", "kernel", "-k", "pid.o"],
            "is BTF, the types of a kernel: give it with `--kernel`",
        ),
        (&["relocate", "pid.ub", "-k", "kernel"], "a script is compiled first"),
        (&["pid.o", "-o", "other.o"], an_object),
        (&["pid.o"], an_object),
        (
            &["relocat", "pid.o"],
            "no command `relocat`, nor a file of that name; did you mean `relocate`?",
        ),
        (&["lint"], "the commands are build, inspect, atlas, btf, check, relocate, uapi"),
    ];
    for (args, expected) in cases {
        let output = folder.run(args);
        assert_ne!(status(&output), 0, "{args:?}");
        let told = text(&output.stderr);
        assert!(told.contains(expected), "{args:?}: {told}");
    }
    assert_eq!(folder.read("kernel"), kernel(&[24]));
    assert_eq!(folder.read("module"), kernel(&[24]));
}

#[test]
fn records_that_are_malformed() {
    let folder = Folder::new();
    let object = folder.read("clang.o");
    folder.write("path.o", with_record(&object, 2, |_| 0));
    folder.snapshot("refused-E0606", &["relocate", "path.o", "-k", OLD]);
    folder.write("type.o", with_record(&object, 1, |_| 99_999));
    folder.write("place.o", with_record(&object, 0, |offset| offset + 4));
    for name in ["path.o", "type.o", "place.o"] {
        let output = folder.run(&["relocate", name, "-k", OLD, "-o", "out.o"]);
        assert_eq!(status(&output), 1, "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("E0606"), "{name}: {}", text(&output.stderr));
        assert!(!folder.path("out.o").exists());
    }
    folder.write("kind.o", with_record(&object, 3, |_| 77));
    let output = folder.run(&["relocate", "kind.o", "-k", OLD]);
    assert_eq!(status(&output), 1);
    assert!(text(&output.stderr).contains("E0609"), "{}", text(&output.stderr));
}

#[test]
fn instructions_that_are_not_what_their_records_say() {
    let folder = Folder::new();
    folder.write("moved.o", with_record(&folder.read("clang.o"), 0, |offset| offset + 8));
    folder.snapshot("refused-E0608", &["relocate", "moved.o", "-k", OLD]);
}

#[test]
fn code_that_cannot_be_written_anew() {
    let folder = Folder::new();
    let mut object = folder.read("clang.o");
    let (section, jump) = {
        let parsed = Object::parse(&object).unwrap();
        let functions = parsed.functions().unwrap();
        let jumps = functions.iter().find_map(|function| {
            // A conditional jump: the lowest bits of its class, and neither call nor exit.
            let insns = function.insns();
            let slot = insns.iter().position(|insn| insn.code & 7 == JMP && insn.code < 0x80)?;
            let at = usize::try_from(function.symbol.offset).unwrap() + slot * 8;
            Some((function.section.to_owned(), at))
        });
        jumps.unwrap()
    };
    let at = place_of(&object, &section) + jump;
    object[at + 2..at + 4].copy_from_slice(&i16::MAX.to_le_bytes());
    folder.write("jump.o", object);
    folder.snapshot("refused-E0611", &["relocate", "jump.o", "-k", OLD]);
}
