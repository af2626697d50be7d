//! Lowering: HIR → IR → passes → registers → instructions.

mod backend;
mod build;
mod demand;
mod emission;
mod frame;
mod hoist;
mod legalize;
mod machine;
mod passes;
mod regalloc;
mod select;

pub use backend::{compile, emit, optimize};
pub use build::build;
