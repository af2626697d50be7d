//! Meaning: syntax tree → typed HIR.

pub mod arith;
pub mod consteval;
pub mod decls;
pub mod fold;
pub mod hir;
pub mod imports;
pub mod join;
pub mod kpath;
pub mod layout;
pub mod show;
pub mod suggest;
pub mod syscalls;
pub mod typeexpr;
pub mod types;
pub mod unbuilt;
