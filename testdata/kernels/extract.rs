//! Writes the whole BTF of a kernel's file: `cargo run --example kernel-btf FILE OUT`. For `make.sh`.

#![allow(clippy::disallowed_methods, reason = "it writes a file")]

use std::path::Path;
use ubpfc::kernel::Kernel;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, out] = &arguments[..] else { anyhow::bail!("usage: kernel-btf FILE OUT") };
    let kernel = Kernel::open(Path::new(file), &[])?;
    std::fs::write(out, &kernel.image.types(&[])?.btf)?;
    Ok(println!("{}", kernel.release.as_deref().unwrap_or("-")))
}
