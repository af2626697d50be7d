//! Meaning: syntax tree → typed HIR.

pub mod hir;
pub mod types;
