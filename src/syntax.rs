//! Syntax: text → tokens → syntax tree.

pub mod ast;
