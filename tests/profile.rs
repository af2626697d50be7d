//! `profile`: a program that runs at the clock of every processor sees which thread it interrupted.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

mod support;

use serde::Deserialize;
use std::process::Command;
use support::pipeline::Script;
use support::{package, require_all, run};
use ubpfc::target::Cpu;

#[derive(Debug, Deserialize)]
struct Seen {
    entries: u64,
    count: u64,
    own: u64,
}

#[test]
fn the_current_thread_is_read_at_every_tick() {
    if !require_all(&["root", "cc", "btf"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = r#"import "task"; profile:ms:1 / curtask.pid != 0 / { @seen[(u64)curtask.tgid] = count(); }"#;
    let script = Script::new(text).unwrap();
    let object = folder.path().join("profile.o");
    std::fs::write(&object, script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3)).unwrap();
    let exe = folder.path().join("profile");
    let source = package("tests/loader/profile.c");
    run(Command::new("cc").args(["-O1", "-o"]).arg(&exe).arg(source).arg("-lbpf"));
    let output = Command::new(&exe).arg(&object).arg("1000000").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let seen: Seen = serde_json::from_slice(&output.stdout).unwrap();
    // It was busy for 300 ms; on a machine that is busy otherwise it had a part of them.
    assert!(seen.own >= 10 && seen.count >= seen.own && seen.entries >= 1, "{seen:?}");
}
