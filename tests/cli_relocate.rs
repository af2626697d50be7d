//! `inspect`, `relocate` and `btf` as a user meets them: reports and refusals as snapshots beside their objects, the documented JSON, exit statuses, and files that are no objects or kernels.
//!
//! The objects of `testdata/cli` were made by clang from the C files beside them; those of our own are compiled here.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Kernels of `testdata/kernels` that differ in what the objects here ask about.
const OLD: &str = "x86_64-5.10.0-46-amd64.btf.xz";
const NEW: &str = "x86_64-6.18.15+deb13-amd64.btf.xz";
const THIRTY_TWO_BITS: &str = "i386-6.1.0-50-686-pae-from-dwarf.btf.xz";
const BIG_ENDIAN: &str = "s390x-6.12.107+deb13-s390x.btf.xz";

/// A folder with the objects, and links to the kernels, so that what is printed names no path of this machine.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for object in ["clang.o", "lacks.o"] {
        fs::copy(package.join("testdata/cli").join(object), dir.path().join(object))
            .expect("it can be copied");
    }
    for kernel in [OLD, NEW, THIRTY_TWO_BITS, BIG_ENDIAN] {
        let file = package.join("testdata/kernels").join(kernel);
        let link = dir.path().join(kernel.trim_end_matches(".btf.xz"));
        std::os::unix::fs::symlink(file, link).expect("it can be made");
    }
    let scripts = [("runqlat", include_str!("../examples/runqlat.ub")), ("typo", TYPO)];
    for (name, script) in scripts {
        fs::write(dir.path().join(format!("{name}.ub")), script).expect("it can be written");
        let output = ubpfc(&dir, &[&format!("{name}.ub")]);
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    }
    dir
}

const TYPO: &str = "\
struct task_struct_user {
    s32 pid;
    s32 priority = prio2 else static_prioo;
};
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next);
tracepoint user:sw(struct task_struct_user *prev) = tracepoint sched:sched_switch;
user:sw {
    @x = args.prev.pid + args.prev.priority;
}
";

fn ubpfc(dir: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
    command.current_dir(dir.path()).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command.output().expect("it starts")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn kernel(file: &str) -> &str {
    file.trim_end_matches(".btf.xz")
}

/// Everything that a command says, as a snapshot in `testdata/cli`.
fn snapshot(name: &str, dir: &TempDir, args: &[&str]) {
    let output = ubpfc(dir, args);
    let shown = format!(
        "$ ubpfc {}\n{}{}status {}\n",
        args.join(" "),
        text(&output.stdout),
        text(&output.stderr),
        status(&output)
    );
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../testdata/cli");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn objects_are_shown() {
    let dir = folder();
    snapshot("inspect-clang", &dir, &["inspect", "clang.o", "-d"]);
    snapshot("inspect-runqlat", &dir, &["inspect", "runqlat.o"]);
    snapshot("inspect-private", &dir, &["inspect", "typo.o"]);
}

#[test]
fn every_access_is_told() {
    let dir = folder();
    for (name, object, kernel_file) in [
        ("relocate-clang-old", "clang.o", OLD),
        ("relocate-clang-32", "clang.o", THIRTY_TWO_BITS),
        ("relocate-runqlat-old", "runqlat.o", OLD),
        ("relocate-runqlat-new", "runqlat.o", NEW),
    ] {
        snapshot(name, &dir, &["relocate", object, "--kernel", kernel(kernel_file)]);
    }
}

#[test]
fn what_a_kernel_lacks_is_told_with_the_line_that_asks() {
    let dir = folder();
    snapshot("lacks-c", &dir, &["relocate", "lacks.o", "-k", kernel(NEW), "-o", "out.o"]);
    snapshot("lacks-script", &dir, &["relocate", "typo.o", "-k", kernel(OLD), "-o", "out.o"]);
    snapshot(
        "lacks-byte-order",
        &dir,
        &["relocate", "clang.o", "-k", kernel(BIG_ENDIAN), "-o", "out.o"],
    );
    let short =
        ["relocate", "lacks.o", "-k", kernel(NEW), "-o", "out.o", "--message-format", "short"];
    snapshot("lacks-short", &dir, &short);
    assert!(!dir.path().join("out.o").exists(), "a refusal leaves no file");
}

#[test]
fn libbpfs_policy_leaves_what_the_kernel_refuses() {
    let dir = folder();
    let args =
        ["relocate", "lacks.o", "-k", kernel(NEW), "--policy", "libbpf", "-v", "-o", "out.o"];
    snapshot("lacks-libbpf", &dir, &args);
    let shown = text(&ubpfc(&dir, &["inspect", "-d", "out.o"]).stdout);
    assert!(shown.contains("call poison#195896080"), "{shown}");
}

#[test]
fn a_relocated_object_asks_nothing_and_is_the_same_every_time() {
    let dir = folder();
    for name in ["a.o", "b.o"] {
        let output = ubpfc(&dir, &["relocate", "runqlat.o", "-k", kernel(OLD), "-o", name]);
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
    let read = |name: &str| fs::read(dir.path().join(name)).expect("it was written");
    assert_eq!(read("a.o"), read("b.o"));
    let piped = ubpfc(&dir, &["relocate", "runqlat.o", "-k", kernel(OLD), "-o", "-"]);
    assert_eq!(piped.stdout, read("a.o"));
    let shown = ubpfc(&dir, &["inspect", "a.o", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("it is JSON");
    assert_eq!(shown["relocations"], Value::Array(Vec::new()));
    let again = ubpfc(&dir, &["relocate", "a.o", "-k", kernel(NEW)]);
    assert_eq!(status(&again), 0, "{}", text(&again.stderr));
}

/// The members that a table of `docs/commands.md` names, after a line that begins with `heading`.
fn documented(heading: &str) -> BTreeSet<String> {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md"));
    let docs = docs.expect("it is there");
    let rest = docs.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let table =
        rest.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let first_cells = table.filter_map(|line| line.split('|').nth(1));
    first_cells
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_end_matches('*').trim_matches('`').to_owned())
        .filter(|name| !name.is_empty() && !name.starts_with('-') && name != "member")
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("it is an object").keys().cloned().collect()
}

fn json(dir: &TempDir, args: &[&str], expected: i32) -> Value {
    let output = ubpfc(dir, args);
    assert_eq!(status(&output), expected, "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it is one JSON document")
}

#[test]
fn the_json_of_relocate_is_what_the_documentation_says() {
    let dir = folder();
    let fine = json(&dir, &["relocate", "clang.o", "-k", kernel(OLD), "--json"], 0);
    let written =
        json(&dir, &["relocate", "clang.o", "-k", kernel(OLD), "--json", "-o", "out.o"], 0);
    let refused = json(&dir, &["relocate", "lacks.o", "-k", kernel(NEW), "--json"], 3);
    let other = json(&dir, &["relocate", "clang.o", "-k", kernel(BIG_ENDIAN), "--json"], 3);
    for document in [&fine, &written, &refused, &other] {
        assert_eq!(keys(document), documented("### relocate --json"));
        assert_eq!(document["version"], 1);
        assert_eq!(keys(&document["kernel"]), ["form", "name", "release"].map(String::from).into());
        for access in document["accesses"].as_array().expect("it is a list") {
            assert_eq!(keys(access), documented("**Access**"));
        }
        let total: u64 = document["totals"]
            .as_object()
            .expect("it is an object")
            .values()
            .map(|count| count.as_u64().expect("it is a number"))
            .sum();
        let records = document["accesses"].as_array().expect("it is a list").len();
        assert_eq!(usize::try_from(total), Ok(records));
    }
    assert_eq!(
        [&fine["status"], &written["status"], &refused["status"]],
        ["possible", "written", "refused"]
    );
    assert_eq!((&fine["output"], &written["output"]), (&Value::Null, &Value::from("out.o")));
    assert!(other["error"].as_str().expect("it is a text").contains("endian"));
    let missing = refused["accesses"].as_array().expect("it is a list").iter();
    let missing: Vec<&Value> = missing.filter(|access| access["action"] == "missing").collect();
    let causes: BTreeSet<&str> = missing
        .iter()
        .map(|access| access["reason"]["cause"].as_str().expect("it is a text"))
        .collect();
    assert_eq!(causes, ["no_enumerator", "no_field", "no_type", "other_type"].into());
}

#[test]
fn the_json_of_inspect_is_what_the_documentation_says() {
    let dir = folder();
    for object in ["clang.o", "runqlat.o"] {
        let document = json(&dir, &["inspect", object, "--json", "-d"], 0);
        assert_eq!(keys(&document), documented("### inspect --json"));
        for function in document["functions"].as_array().expect("it is a list") {
            assert!(!function["code"].as_array().expect("it is a list").is_empty());
        }
    }
}

#[test]
fn the_few_types_that_objects_need_give_the_kernels_answers() {
    let dir = folder();
    let args = ["btf", kernel(OLD), "--for", "clang.o", "runqlat.o", "-o", "min.btf"];
    let made = ubpfc(&dir, &args);
    assert_eq!(status(&made), 0, "{}", text(&made.stderr));
    let size = fs::metadata(dir.path().join("min.btf")).expect("it was written").len();
    assert!(size < 2000, "{size} bytes");
    for object in ["clang.o", "runqlat.o"] {
        let values = |types: &str| {
            let document = json(&dir, &["relocate", object, "-k", types, "--json"], 0);
            let accesses = document["accesses"].as_array().expect("it is a list").clone();
            accesses.iter().map(|access| access["value"].clone()).collect::<Vec<Value>>()
        };
        assert_eq!(values(kernel(OLD)), values("min.btf"));
    }
    let shown = text(&ubpfc(&dir, &["btf", "min.btf"]).stdout);
    assert!(shown.contains("BTF, ") && shown.contains("--for"), "{shown}");
}

#[test]
fn files_at_fault_have_their_status_and_say_what_would_do() {
    let dir = folder();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(dir.path().join(name), bytes).expect("it can be written");
    };
    write("empty", b"");
    write("text", b"not an object");
    let object = fs::read(dir.path().join("clang.o")).expect("it is there");
    write("cut.o", &object[..object.len() / 2]);
    write("broken.gz", b"\x1f\x8b\x08\x00garbage");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["inspect", "text"], 1, "not an ELF file"),
        (&["inspect", "empty"], 1, "not an ELF file"),
        (&["inspect", "cut.o"], 1, "cut.o"),
        (&["inspect", "."], 2, "folder"),
        (&["inspect", "missing.o"], 2, "missing.o"),
        (&["inspect"], 2, "FILE.o"),
        (&["relocate", "text"], 1, "E0609"),
        (&["relocate", "missing.o"], 2, "missing.o"),
        (&["relocate", "clang.o", "-k", "missing"], 2, "E0701"),
        (&["relocate", "clang.o", "-k", "."], 2, "folder"),
        (&["relocate", "clang.o", "-k", "empty"], 2, "E0702"),
        (&["relocate", "clang.o", "-k", "text"], 2, "give"),
        (&["relocate", "clang.o", "-k", "broken.gz"], 2, "unpack"),
        (&["relocate", "clang.o", "-k", kernel(OLD), "-o", "no/such/out.o"], 2, "no/such/out.o"),
        (&["relocate", "clang.o", "-k", kernel(OLD), "-o", "clang.o"], 2, "itself"),
        (&["relocate", "clang.o", "-k", kernel(OLD), "-o", "-", "--json"], 2, "standard output"),
        (&["btf", "text"], 2, "E0702"),
        (&["btf", "text", "-o", "min.btf"], 2, "--for"),
    ];
    for (args, expected, said) in cases {
        let output = ubpfc(&dir, args);
        assert_eq!(status(&output), *expected, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(fs::read(dir.path().join("clang.o")).expect("it is there"), object);
}

#[test]
fn objects_that_are_cut_or_changed_are_no_crash() {
    let dir = folder();
    let object = fs::read(dir.path().join("clang.o")).expect("it is there");
    let file: PathBuf = dir.path().join("x.o");
    for at in (0..object.len()).step_by(487) {
        let mut changed = object.clone();
        changed[at] ^= 0xff;
        for bytes in [&object[..at], &changed] {
            fs::write(&file, bytes).expect("it can be written");
            for args in [&["inspect", "x.o", "-d"][..], &["relocate", "x.o", "-k", kernel(OLD)]] {
                let output = ubpfc(&dir, args);
                assert!(matches!(status(&output), 0..=3), "{at}: {}", text(&output.stderr));
            }
        }
    }
}
