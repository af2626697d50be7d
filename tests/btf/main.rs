//! The reader of BTF against other readers and against broken files, and the minimal BTF against libbpf.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests write files for other programs")]

#[path = "../relocate/libbpf.rs"]
#[allow(dead_code, reason = "not everything that libbpf says is looked at")]
mod libbpf;
#[path = "../support/mod.rs"]
mod support;

mod broken;
mod dump;
mod made;
mod minimal;
