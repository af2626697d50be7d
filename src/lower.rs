//! Lowering: HIR → IR → machine code.

pub mod build;
