//! `inspect`, `relocate` and `btf` as a user meets them: reports and refusals as snapshots beside their objects, the documented JSON, exit statuses, and files that are no objects or kernels.
//!
//! The objects of `testdata/cli` were made by clang from the C files beside them; those of our own are compiled here.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use support::cli::{BIG_ENDIAN, Folder, NEW, OLD, THIRTY_TWO_BITS, status, text};
use support::package;

fn folder() -> Folder {
    let dir = Folder::new();
    dir.compile("runqlat", include_str!("../examples/runqlat.ub"), &[]);
    dir.compile("typo", TYPO, &[]);
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

#[test]
fn objects_are_shown() {
    let dir = folder();
    dir.snapshot("inspect-clang", &["inspect", "clang.o", "-d"]);
    dir.snapshot("inspect-runqlat", &["inspect", "runqlat.o"]);
    dir.snapshot("inspect-private", &["inspect", "typo.o"]);
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
        dir.snapshot(name, &["relocate", object, "--kernel", kernel_file]);
    }
}

#[test]
fn what_a_kernel_lacks_is_told_with_the_line_that_asks() {
    let dir = folder();
    dir.snapshot("lacks-c", &["relocate", "lacks.o", "-k", NEW, "-o", "out.o"]);
    dir.snapshot("lacks-script", &["relocate", "typo.o", "-k", OLD, "-o", "out.o"]);
    dir.snapshot("lacks-byte-order", &["relocate", "clang.o", "-k", BIG_ENDIAN, "-o", "out.o"]);
    let short = ["relocate", "lacks.o", "-k", NEW, "-o", "out.o", "--message-format", "short"];
    dir.snapshot("lacks-short", &short);
    assert!(!dir.path("out.o").exists(), "a refusal leaves no file");
}

#[test]
fn libbpfs_policy_leaves_what_the_kernel_refuses() {
    let dir = folder();
    let args = ["relocate", "lacks.o", "-k", NEW, "--policy", "libbpf", "-v", "-o", "out.o"];
    dir.snapshot("lacks-libbpf", &args);
    let shown = text(&dir.run(&["inspect", "-d", "out.o"]).stdout);
    assert!(shown.contains("call poison#195896080"), "{shown}");
}

#[test]
fn a_relocated_object_asks_nothing_and_is_the_same_every_time() {
    let dir = folder();
    for name in ["a.o", "b.o"] {
        let output = dir.run(&["relocate", "runqlat.o", "-k", OLD, "-o", name]);
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
    let read = |name: &str| fs::read(dir.path(name)).expect("it was written");
    assert_eq!(read("a.o"), read("b.o"));
    let piped = dir.run(&["relocate", "runqlat.o", "-k", OLD, "-o", "-"]);
    assert_eq!(piped.stdout, read("a.o"));
    let shown = dir.run(&["inspect", "a.o", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("it is JSON");
    assert_eq!(shown["relocations"], Value::Array(Vec::new()));
    // It says what it is, which is right for no other kernel.
    dir.snapshot("inspect-relocated", &["inspect", "a.o"]);
    let again = dir.run(&["relocate", "a.o", "-k", OLD, "-o", "b.o"]);
    assert_eq!(status(&again), 0, "{}", text(&again.stderr));
    assert_eq!(read("a.o"), read("b.o"));
    dir.snapshot("relocated-already", &["relocate", "a.o", "-k", NEW, "-o", "c.o"]);
    assert!(!dir.path("c.o").exists());
}

/// The members that a table of `docs/commands.md` names, after a line that begins with `heading`.
fn documented(heading: &str) -> BTreeSet<String> {
    let docs = fs::read_to_string(package("docs/commands.md"));
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

#[test]
fn the_json_of_relocate_is_what_the_documentation_says() {
    let dir = folder();
    let fine = dir.json(&["relocate", "clang.o", "-k", OLD, "--json"], 0);
    let written = dir.json(&["relocate", "clang.o", "-k", OLD, "--json", "-o", "out.o"], 0);
    let refused = dir.json(&["relocate", "lacks.o", "-k", NEW, "--json"], 3);
    let other = dir.json(&["relocate", "clang.o", "-k", BIG_ENDIAN, "--json"], 3);
    let ours = dir.json(&["relocate", "runqlat.o", "-k", OLD, "--json"], 0);
    assert_eq!(ours["programs"].as_array().map(Vec::len), Some(3));
    for document in [&fine, &written, &refused, &other, &ours] {
        assert_eq!(keys(document), documented("### relocate --json"));
        assert_eq!(document["version"], 1);
        assert_eq!(keys(&document["kernel"]), ["form", "name", "release"].map(String::from).into());
        for program in document["programs"].as_array().expect("it is a list") {
            assert_eq!(keys(program), documented("**Program**"));
        }
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
        let document = dir.json(&["inspect", object, "--json", "-d"], 0);
        assert_eq!(keys(&document), documented("### inspect --json"));
        for function in document["functions"].as_array().expect("it is a list") {
            assert!(!function["code"].as_array().expect("it is a list").is_empty());
        }
    }
}

#[test]
fn the_few_types_that_objects_need_give_the_kernels_answers() {
    let dir = folder();
    let args = ["btf", OLD, "--for", "clang.o", "runqlat.o", "-o", "min.btf"];
    let made = dir.run(&args);
    assert_eq!(status(&made), 0, "{}", text(&made.stderr));
    let size = fs::metadata(dir.path("min.btf")).expect("it was written").len();
    assert!(size < 2000, "{size} bytes");
    for object in ["clang.o", "runqlat.o"] {
        let values = |types: &str| {
            let document = dir.json(&["relocate", object, "-k", types, "--json"], 0);
            let accesses = document["accesses"].as_array().expect("it is a list").clone();
            accesses.iter().map(|access| access["value"].clone()).collect::<Vec<Value>>()
        };
        assert_eq!(values(OLD), values("min.btf"));
    }
    let shown = text(&dir.run(&["btf", "min.btf"]).stdout);
    assert!(shown.contains("BTF, ") && shown.contains("--for"), "{shown}");
}

#[test]
fn files_at_fault_have_their_status_and_say_what_would_do() {
    let dir = folder();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(dir.path(name), bytes).expect("it can be written");
    };
    write("empty", b"");
    write("text", b"not an object");
    write("noise", b"not \xff an object");
    let object = fs::read(dir.path("clang.o")).expect("it is there");
    write("cut.o", &object[..object.len() / 2]);
    write("broken.gz", b"\x1f\x8b\x08\x00garbage");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["inspect", "text"], 1, "a script is compiled first"),
        (&["inspect", "noise"], 1, "not an ELF file"),
        (&["inspect", "empty"], 1, "not an ELF file"),
        (&["inspect", "cut.o"], 1, "cut.o"),
        (&["inspect", "."], 2, "folder"),
        (&["inspect", "missing.o"], 2, "missing.o"),
        (&["inspect"], 2, "FILE.o"),
        (&["relocate", "text"], 1, "a script is compiled first"),
        (&["relocate", "noise"], 1, "E0609"),
        (&["relocate", "missing.o"], 2, "missing.o"),
        (&["relocate", "clang.o", "-k", "missing"], 2, "E0701"),
        (&["relocate", "clang.o", "-k", "."], 2, "folder"),
        (&["relocate", "clang.o", "-k", "empty"], 2, "E0702"),
        (&["relocate", "clang.o", "-k", "text"], 2, "give"),
        (&["relocate", "clang.o", "-k", "broken.gz"], 2, "unpack"),
        (&["relocate", "clang.o", "-k", OLD, "-o", "no/such/out.o"], 2, "no/such/out.o"),
        (&["relocate", "clang.o", "-k", OLD, "-o", "clang.o"], 2, "itself"),
        (&["relocate", "clang.o", "-k", OLD, "-o", "-", "--json"], 2, "standard output"),
        (&["btf", "text"], 2, "E0702"),
        (&["btf", "text", "-o", "min.btf"], 2, "--for"),
    ];
    for (args, expected, said) in cases {
        let output = dir.run(args);
        assert_eq!(status(&output), *expected, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(fs::read(dir.path("clang.o")).expect("it is there"), object);
}

#[test]
fn objects_that_are_cut_or_changed_are_no_crash() {
    let dir = folder();
    let object = fs::read(dir.path("clang.o")).expect("it is there");
    let file = dir.path("x.o");
    for at in (0..object.len()).step_by(487) {
        let mut changed = object.clone();
        changed[at] ^= 0xff;
        for bytes in [&object[..at], &changed] {
            fs::write(&file, bytes).expect("it can be written");
            for args in [&["inspect", "x.o", "-d"][..], &["relocate", "x.o", "-k", OLD]] {
                let output = dir.run(args);
                assert!(matches!(status(&output), 0..=3), "{at}: {}", text(&output.stderr));
            }
        }
    }
}
