//! The command `ubpfc`.

fn main() {}
