//! Types out of DWARF.

#![allow(clippy::disallowed_methods, reason = "a test runs compilers and reads what they make")]

mod build;
mod compilers;
mod hostile;
mod units;
mod vmlinux;
