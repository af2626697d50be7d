//! Objects written from hand-made machine code: what stock tools and our own reader find in them.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

mod fixture;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::require;
use ubpfc::target::Endian;

/// The fixture's object in a file of its own.
fn object_file(endian: Endian) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prog.o");
    std::fs::write(&path, fixture::script().write(endian)).unwrap();
    (dir, path)
}

/// What a tool says, standard output and error one after the other; it must succeed.
fn output_of(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

#[test]
fn libbpf_loads_every_program() {
    if !require("bpftool") || !require("root") {
        return;
    }
    let (_dir, path) = object_file(Endian::Little);
    let pins = format!("/sys/fs/bpf/ubpfc-object-{}", std::process::id());
    let load =
        Command::new("bpftool").args(["-d", "prog", "loadall"]).arg(&path).arg(&pins).output();
    let _ = std::fs::remove_dir_all(&pins);
    let load = load.unwrap();
    let log = String::from_utf8_lossy(&load.stderr);
    assert!(load.status.success(), "{log}");
}
