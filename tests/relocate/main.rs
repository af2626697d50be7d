//! Relocation against other implementations of it: libbpf, aya-obj, the `btf` crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are cut as instructions cut them")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![allow(clippy::cast_possible_wrap, reason = "as above")]

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod differences;
mod kernels;
mod libbpf;
mod notation;
mod odd;
mod programs;
mod prototypes;
mod subject;
