//! Machine code does what the HIR says.

mod support;

#[test]
fn harness_compiles() {}
