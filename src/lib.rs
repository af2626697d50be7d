//! ubpfc: a compiler for `.ub` tracing scripts over user-ized kernel structs.

pub mod atlas;
pub mod btf;
pub mod bytes;
pub mod check;
pub mod cli;
pub mod diag;
pub mod driver;
pub mod ir;
pub mod isa;
pub mod kernel;
pub mod library;
pub mod lower;
pub mod object;
pub mod registers;
pub mod relocate;
pub mod sema;
pub mod source;
pub mod syntax;
pub mod target;
pub mod uapi;
