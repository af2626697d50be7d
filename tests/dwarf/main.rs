//! Types out of DWARF.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a test runs compilers, reads what they make, and says what they cannot do"
)]

mod build;
mod compilers;
mod hostile;
mod relocated;
#[path = "../support/mod.rs"]
mod support;
mod units;
mod vmlinux;
