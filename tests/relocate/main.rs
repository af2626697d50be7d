//! Relocation against other implementations of it: libbpf, aya-obj, the `btf` crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are cut as instructions cut them")]
#![allow(clippy::print_stderr, reason = "tables of kernels and checks are worth seeing")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![allow(clippy::cast_possible_wrap, reason = "as above")]
#![allow(clippy::cast_sign_loss, reason = "as above")]

#[path = "../support/mod.rs"]
mod support;

mod agreed;
mod aya;
mod compare;
mod crate_btf;
mod differences;
mod kernels;
#[allow(dead_code, reason = "other tests relocate one object at a time")]
mod libbpf;
mod notation;
mod odd;
mod programs;
mod prototypes;
mod subject;
