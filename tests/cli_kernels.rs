//! Programs that are not abi and the kernel they were compiled against: stamped by `build --kernel`, shown by `inspect`, compared by `relocate`.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]

mod support;

use support::cli::{Folder, NEW, OLD, status, text};

const RAW: &str = "\
import \"task\";
interval:s:1 { @x = fetch_u64(0xffffffff81000000); @p = (struct task_struct_user *)@x; }
interval:s:2 { @y = @p.pid; }
interval:s:3 { @z = curtask.pid; }
";

fn folder() -> Folder {
    let dir = Folder::new();
    dir.compile("stamped", RAW, &["--kernel", OLD]);
    dir.compile("plain", RAW, &[]);
    dir
}

#[test]
fn inspect_shows_the_kernel_and_what_depends_on_it() {
    let dir = folder();
    dir.snapshot("inspect-not-abi", &["inspect", "stamped.o"]);
    dir.snapshot("inspect-not-abi-unstamped", &["inspect", "plain.o"]);
    let shown = dir.json(&["inspect", "stamped.o", "--json"], 0);
    assert_eq!(shown["compiled_for"]["name"], OLD);
    let hash = shown["compiled_for"]["btf"].as_str().unwrap();
    assert!(hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
    assert!(dir.json(&["inspect", "plain.o", "--json"], 0)["compiled_for"].is_null());
}

#[test]
fn relocate_warns_of_another_kernel_and_refuses_it_if_told_to() {
    let dir = folder();
    dir.snapshot("foreign", &["relocate", "stamped.o", "-k", NEW, "-o", "out.o"]);
    dir.snapshot(
        "foreign-strict",
        &["relocate", "stamped.o", "-k", NEW, "-o", "strict.o", "--strict-kernel"],
    );
    assert!(dir.path("out.o").exists() && !dir.path("strict.o").exists());
    let told = dir.json(&["relocate", "stamped.o", "-k", NEW, "--strict-kernel", "--json"], 3);
    assert_eq!(told["status"], "refused");
    // What was relocated still says what it was compiled against.
    let shown = dir.json(&["inspect", "out.o", "--json"], 0);
    assert_eq!(
        (&shown["compiled_for"]["name"], &shown["relocated_for"]["name"]),
        (&OLD.into(), &NEW.into())
    );
}

#[test]
fn the_same_kernel_is_known_by_its_types_under_any_name() {
    let dir = folder();
    std::fs::copy(dir.path(OLD), dir.path("renamed")).unwrap();
    for kernel in [OLD, "renamed"] {
        let output = dir.run(&["relocate", "stamped.o", "-k", kernel, "--strict-kernel"]);
        assert_eq!((status(&output), text(&output.stderr)), (0, String::new()), "{kernel}");
    }
}

#[test]
fn an_object_that_does_not_say_it_is_taken_unless_that_is_demanded() {
    let dir = folder();
    let output = dir.run(&["relocate", "plain.o", "-k", NEW]);
    assert_eq!((status(&output), text(&output.stderr)), (0, String::new()));
    let output = dir.run(&[
        "relocate",
        "plain.o",
        "-k",
        NEW,
        "--strict-kernel",
        "--message-format",
        "short",
    ]);
    assert_eq!(status(&output), 3);
    assert_eq!(text(&output.stderr).matches("E0340").count(), 2, "{}", text(&output.stderr));
}

#[test]
fn a_kernel_leaves_no_mark_on_what_is_abi() {
    let dir = Folder::new();
    let script = "import \"task\"; interval:s:1 { @x = curtask.pid; }";
    dir.compile("with", script, &[]);
    let without = dir.read("with.o");
    dir.compile("with", script, &["--kernel", OLD]);
    assert!(dir.read("with.o") == without);
    assert!(dir.json(&["inspect", "with.o", "--json"], 0)["compiled_for"].is_null());
    let output = dir.run(&["relocate", "with.o", "-k", NEW, "--strict-kernel"]);
    assert_eq!((status(&output), text(&output.stderr)), (0, String::new()));
}
