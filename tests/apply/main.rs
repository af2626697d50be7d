//! Plans carried out: code that is edited runs as before, what cannot run goes, and the kernel takes the result.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]
#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

#[path = "../support/mod.rs"]
mod support;

mod code;
mod fixture;
mod hostile;
mod random;
mod real;
