//! ubpfc: a compiler for `.ub` tracing scripts over user-ized kernel structs.

pub mod diag;
pub mod ir;
pub mod isa;
pub mod object;
pub mod sema;
pub mod source;
pub mod syntax;
pub mod target;
pub mod uapi;
