//! Writes the BTF of a kernel's file: `cargo run --example kernel-btf FILE OUT [NAME…]`. For `make.sh`. Of a file with DWARF alone, only the types of those names.

#![allow(clippy::disallowed_methods, reason = "it writes a file")]
#![allow(clippy::print_stdout, reason = "it prints the release")]

use std::path::Path;
use ubpfc::kernel::Kernel;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, out, names @ ..] = &arguments[..] else {
        anyhow::bail!("usage: kernel-btf FILE OUT [NAME…]")
    };
    let kernel = Kernel::open(Path::new(file), &[])?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    std::fs::write(out, &kernel.image.types(&names)?.btf)?;
    println!("{}", kernel.release.as_deref().unwrap_or("-"));
    Ok(())
}
