//! What tests need beside the library: tools and rights that a machine may lack, a reference evaluator, an interpreter of machine code, kernels made of text.
//!
//! A test asks for tools and rights with [`require`] and returns where they are missing. It says so; with `UBPFC_REQUIRE=bpftool,root` in the environment it fails instead.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(clippy::disallowed_methods, reason = "the environment says what may not be skipped")]

pub mod cli;
pub mod eval;
pub mod generate;
pub mod image;
pub mod kernel;
pub mod kernel_files;
pub mod kernels;
pub mod legalize;
mod link;
pub mod objects;
pub mod pipeline;
pub mod relocate;
pub mod state;
pub mod vm;

use std::path::PathBuf;
use std::process::Command;

/// Whether the machine has `what`: the right `root`, the kernel's own types `btf`, or a program of that name.
///
/// # Panics
/// When it has not and `UBPFC_REQUIRE` names it.
pub(crate) fn require(what: &str) -> bool {
    let there = match what {
        "root" => std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
            status.lines().any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
        }),
        "btf" => std::path::Path::new("/sys/kernel/btf/vmlinux").exists(),
        program => Command::new(program).arg("--version").output().is_ok(),
    };
    let demanded = std::env::var("UBPFC_REQUIRE").unwrap_or_default();
    assert!(
        there || !demanded.split(',').any(|name| name == what),
        "{what} is required but missing"
    );
    if !there {
        eprintln!("skipped: this test needs {what}");
    }
    there
}

/// Whether the machine has all of them.
pub fn require_all(needs: &[&str]) -> bool {
    needs.iter().all(|need| require(need))
}

/// Runs a command; gives standard output and error in one text.
///
/// # Panics
/// With all it printed, unless it succeeds.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text =
        [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    text
}

/// A file of the package.
pub fn package(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}
