//! The library on real kernels: every question that it may ask is answered as libbpf answers it, what kernels lack is written down, every alternative is some kernel's, and conversions keep values.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "tables of kernels are worth seeing")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "other tests relocate one object at a time")]
#[path = "../relocate/libbpf.rs"]
mod libbpf;

mod absent;
mod alternatives;
mod answers;
mod oracle;
mod table;
