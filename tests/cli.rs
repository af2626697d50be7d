//! The command as a user meets it: exit statuses, streams, files, and input that is hostile.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test reads and writes files, and says what it skipped"
)]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const GOOD: &str = "begin { @x = 1; }\n";

fn ubpfc(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
    command.current_dir(dir).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder_with(script: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder can be made");
    fs::write(dir.path().join("x.ub"), script).expect("it can be written");
    dir
}

/// Compiles `script` in a folder of its own, which must hold nothing new unless the compilation worked.
fn compile(script: &[u8]) -> Output {
    let dir = folder_with(script);
    let started = Instant::now();
    let output = ubpfc(dir.path(), &["x.ub", "-o", "x.o"]).output().expect("it starts");
    assert!(started.elapsed() < Duration::from_mins(1), "it hangs");
    let made: Vec<_> = fs::read_dir(dir.path())
        .expect("it is there")
        .map(|e| e.expect("listed").file_name())
        .collect();
    assert_eq!(made.len(), if output.status.success() { 2 } else { 1 }, "{made:?}");
    output
}

/// Compiles a faulty script: status 1, nothing on stdout, and exactly `count` diagnostics, which hold `text`.
fn refused(script: impl AsRef<[u8]>, count: usize, text: &str) {
    let output = compile(script.as_ref());
    let said = stderr(&output);
    assert_eq!(status(&output), 1, "{said:.2000}");
    assert!(output.stdout.is_empty());
    assert!(said.contains(text), "no `{text}` in: {said:.2000}");
    let errors =
        said.lines().filter(|l| l.starts_with("error") || l.starts_with("ubpfc: ")).count();
    assert_eq!(errors, count, "{said:.4000}");
    assert!(said.len() < 20_000, "{} bytes of diagnostics", said.len());
}

#[test]
fn success_prints_nothing_and_writes_the_object() {
    let dir = folder_with(GOOD.as_bytes());
    let output = ubpfc(dir.path(), &["x.ub", "-o", "y.o"]).output().expect("it starts");
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let object = fs::read(dir.path().join("y.o")).expect("it was written");
    assert_eq!(&object[..4], b"\x7fELF");
    let again = ubpfc(dir.path(), &["build", "x.ub", "-o", "z.o"]).output().expect("it starts");
    assert_eq!(status(&again), 0);
    assert_eq!(
        object,
        fs::read(dir.path().join("z.o")).expect("it was written"),
        "the same input gives the same bytes"
    );
}

#[test]
fn the_object_goes_beside_the_caller_unless_told_otherwise() {
    let dir = folder_with(GOOD.as_bytes());
    assert_eq!(status(&ubpfc(dir.path(), &["x.ub"]).output().expect("it starts")), 0);
    assert!(dir.path().join("x.o").exists());
    let piped = ubpfc(dir.path(), &["x.ub", "-o", "-"]).output().expect("it starts");
    assert_eq!(piped.stdout, fs::read(dir.path().join("x.o")).expect("it was written"));
}

#[test]
fn standard_input_is_a_script() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let mut child =
        ubpfc(dir.path(), &["-", "-o", "x.o"]).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("it is piped").write_all(GOOD.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let nowhere = ubpfc(dir.path(), &["-"]).output().expect("it starts");
    assert_eq!(status(&nowhere), 2);
    assert!(stderr(&nowhere).contains("-o FILE"));
}

#[test]
fn every_stage_can_be_seen() {
    let dir =
        folder_with(b"import \"sched\";\nuser:sched_switch { @n[args.prev.pid] = count(); }\n");
    let seen = [
        ("tokens", "import"),
        ("ast", "sched_switch"),
        ("hir", "sched_switch"),
        ("ir", "task_struct"),
        ("asm", "bpf_map_lookup_elem"),
        ("relocs", "task_struct"),
    ];
    for (stage, text) in seen {
        let output = ubpfc(dir.path(), &["x.ub", "--emit", stage]).output().expect("it starts");
        assert_eq!(status(&output), 0, "{stage}: {}", stderr(&output));
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.contains(text), "{stage}: no `{text}` in {out}");
    }
}

#[test]
fn diagnostics_come_in_three_formats() {
    let dir = folder_with(b"begin { @x = $y; }\n");
    let run = |format: &str| {
        let output =
            ubpfc(dir.path(), &["x.ub", "--message-format", format]).output().expect("it starts");
        assert_eq!(status(&output), 1);
        stderr(&output)
    };
    assert!(run("human").contains("x.ub:1:14"), "{}", run("human"));
    assert!(run("short").starts_with("x.ub:1:14: error[E"), "{}", run("short"));
    let json: serde_json::Value = serde_json::from_str(run("json").trim()).expect("it is JSON");
    assert_eq!(json["severity"], "error");
    assert_eq!(json["primary"]["line"], 1);
    assert_eq!(json["primary"]["column"], 14);
}

#[test]
fn files_that_cannot_be_had_are_status_2() {
    let dir = folder_with(GOOD.as_bytes());
    let cases: &[(&[&str], &str)] = &[
        (&["missing.ub", "-o", "x.o"], "missing.ub"),
        (&[".", "-o", "x.o"], "folder"),
        (&["x.ub", "-o", "no/such/x.o"], "no/such/x.o"),
        (&["x.ub", "-o", "."], "folder"),
        (&["x.ub", "-o", "/dev/full"], "/dev/full"),
        (&["x.ub", "--emit", "nonsense"], "nonsense"),
        (&[], "FILE.ub"),
    ];
    for (args, text) in cases {
        let output = ubpfc(dir.path(), args).output().expect("it starts");
        assert_eq!(status(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(text), "{args:?}: {}", stderr(&output));
        assert_eq!(
            fs::read_dir(dir.path()).expect("it is there").count(),
            1,
            "{args:?} left something behind"
        );
    }
}

#[test]
fn the_script_is_never_overwritten_and_a_link_stays_a_link() {
    let dir = folder_with(GOOD.as_bytes());
    let itself = ubpfc(dir.path(), &["x.ub", "-o", "./x.ub"]).output().expect("it starts");
    assert_eq!(status(&itself), 2, "{}", stderr(&itself));
    assert_eq!(fs::read(dir.path().join("x.ub")).expect("it is there"), GOOD.as_bytes());
    fs::write(dir.path().join("real.o"), "old").expect("it can be written");
    std::os::unix::fs::symlink("real.o", dir.path().join("link.o")).expect("it can be made");
    assert_eq!(
        status(&ubpfc(dir.path(), &["x.ub", "-o", "link.o"]).output().expect("it starts")),
        0
    );
    assert_eq!(&fs::read(dir.path().join("real.o")).expect("it is there")[..4], b"\x7fELF");
    assert!(dir.path().join("link.o").is_symlink());
}

#[test]
fn a_full_disk_leaves_the_old_object() {
    if !support::require("root") {
        return;
    }
    let dir = folder_with(GOOD.as_bytes());
    let script = format!(
        "mount -t tmpfs -o size=8k none {0} && cp {1} {0}/s.ub && echo old > {0}/x.o && \
         dd if=/dev/zero of={0}/fill bs=1k 2>/dev/null; {2} {0}/s.ub -o {0}/x.o; code=$?; ls -A {0}; cat {0}/x.o; exit $code",
        tempfile::tempdir_in(dir.path()).expect("a folder can be made").keep().display(),
        dir.path().join("x.ub").display(),
        env!("CARGO_BIN_EXE_ubpfc"),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .expect("unshare is there");
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fill\ns.ub\nx.o\nold\n");
}

#[test]
fn five_mistakes_give_five_diagnostics() {
    let script = "import \"sched\"\nbegin { $a = ; @x = 1; }\nstruct s { int 5; u32 b; };\nbegin { if { } }\nbegin { @y = (1; }\n";
    refused(script, 5, "error[E00");
}

#[test]
fn hostile_text_is_one_clear_diagnostic() {
    refused(b"begin { @x = 1; } // \xff\xfe\n", 1, "UTF-8");
    refused("", 1, "probe");
    refused("// nothing but a comment\n", 1, "probe");
    refused("begin { @x = 1\0; }", 1, "NUL");
    refused("begin { printf(\"no end); }\n", 1, "string");
    refused("begin { } /* no end", 1, "comment");
    refused("begin { @x = 18446744073709551616; }", 1, "too large");
    refused(
        format!("begin {{ @x = {}1{}; }}", "(".repeat(100_000), ")".repeat(100_000)),
        1,
        "deep",
    );
    refused(format!("begin {{ @x = {}1; }}", "-".repeat(100_000)), 1, "deep");
    refused(format!("begin {{ {} {} }}", "if 1 { ".repeat(50_000), "}".repeat(50_000)), 1, "deep");
}

#[test]
fn a_long_line_is_read_in_reasonable_time() {
    let line = "@x = 1; ".repeat((10 << 20) / 8);
    let output = compile(format!("begin {{ {line} }}").as_bytes());
    let said = stderr(&output);
    assert!(said.len() < 20_000, "{} bytes of diagnostics", said.len());
    assert_eq!(status(&output), 1, "{said:.500}");
    refused(format!("begin {{ $a = 1; @x = {} }}", "$a + ".repeat(2 << 20)), 1, "deep");
    refused(format!("begin {{ @x = {}; }}", "x".repeat(10 << 20)), 1, "error");
}

#[test]
fn scripts_that_make_no_sense_are_refused_once() {
    refused("import \"./x.ub\"; begin { @x = 1; }", 1, "import");
    refused("struct a_user { struct a_user x; }; begin { @x = 1; }", 1, "a_user");
    refused("struct s { struct s inner; }; begin { @x = 1; }", 1, "itself");
    refused("struct task_struct_user { }; begin { @x = 1; }", 1, "no members");
    refused("struct task_struct_user { int pid; int pid; }; begin { @x = 1; }", 1, "pid");
    refused("struct task_struct_user { pid_q pid; }; begin { @x = 1; }", 1, "pid_q");
    refused("import \"sched\";\nuser:sched_switch { args.prev.pid = 1; }", 1, "read-only");
    refused("import \"no_such_area\"; begin { @x = 1; }", 1, "no_such_area");
    refused(
        format!("{} {{ @x = 1; }}", vec!["begin"; 1100].join(", ")),
        1,
        "more than 1024 programs",
    );
}

#[test]
fn imports_that_go_round_are_refused() {
    let dir = folder_with(b"import \"./a.ub\"; begin { @x = 1; }");
    fs::write(dir.path().join("a.ub"), "import \"./b.ub\";").expect("it can be written");
    fs::write(dir.path().join("b.ub"), "import \"./a.ub\";").expect("it can be written");
    let output = ubpfc(dir.path(), &["x.ub", "-o", "x.o"]).output().expect("it starts");
    assert_eq!(status(&output), 1);
    assert_eq!(stderr(&output).matches("error[").count(), 1, "{}", stderr(&output));
}

#[test]
fn folders_of_imports_can_be_added() {
    let dir = folder_with(b"import \"mine\"; begin { @x = MINE; }");
    fs::create_dir(dir.path().join("lib")).expect("it can be made");
    fs::write(dir.path().join("lib/mine.ub"), "const MINE = 7;").expect("it can be written");
    assert_eq!(status(&ubpfc(dir.path(), &["x.ub", "-o", "x.o"]).output().expect("it starts")), 1);
    let found = ubpfc(dir.path(), &["x.ub", "-o", "x.o", "-I", "lib"]).output().expect("it starts");
    assert_eq!(status(&found), 0, "{}", stderr(&found));
}

#[test]
fn abi_can_be_demanded() {
    let private = "struct task_struct_user { int pid; };\n\
                   kernel tracepoint sched_wakeup(struct task_struct *p);\n\
                   tracepoint user:wake(struct task_struct_user *p) = tracepoint sched:sched_wakeup;\n\
                   user:wake { @x = args.p.pid; }\n";
    let dir = folder_with(private.as_bytes());
    assert_eq!(status(&ubpfc(dir.path(), &["x.ub", "-o", "x.o"]).output().expect("it starts")), 0);
    let refused =
        ubpfc(dir.path(), &["x.ub", "-o", "y.o", "--require-abi"]).output().expect("it starts");
    assert_eq!(status(&refused), 1);
    assert!(stderr(&refused).contains("private"), "{}", stderr(&refused));
    let stable = folder_with(b"import \"sched\";\nuser:sched_wakeup { @x = args.p.pid; }\n");
    let accepted =
        ubpfc(stable.path(), &["x.ub", "-o", "x.o", "--require-abi"]).output().expect("it starts");
    assert_eq!(status(&accepted), 0, "{}", stderr(&accepted));
}
