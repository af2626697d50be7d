//! Meaning: syntax tree → typed HIR.

pub mod decls;
pub mod hir;
pub mod layout;
pub mod types;
