//! The instruction set: what lowering produces and the object writer stores.

pub mod code;
pub mod encode;
pub mod helpers;
pub mod opcode;
pub mod print;
