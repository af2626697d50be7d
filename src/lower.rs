//! Lowering: HIR → IR → passes → registers → instructions.

mod backend;
mod build;
mod demand;
mod emit;
mod frame;
mod legalize;
mod machine;
mod passes;
mod regalloc;
mod select;

pub use backend::{compile, optimize};
pub use build::build;
