//! What tests need beside the library: tools and rights that a machine may lack.
//!
//! A test asks for them with [`require`] and returns where they are missing. It says so; with `UBPFC_REQUIRE=bpftool,root` in the environment it fails instead.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(clippy::disallowed_methods, reason = "the environment says what may not be skipped")]

use std::process::Command;

/// Whether the machine has `what`: the right `root`, or a program of that name.
///
/// # Panics
/// When it has not and `UBPFC_REQUIRE` names it.
pub fn require(what: &str) -> bool {
    let there = match what {
        "root" => std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
            status.lines().any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
        }),
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
