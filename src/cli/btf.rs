//! `ubpfc btf K --for prog.o -o min.btf`: the few types of a kernel that objects ask about.

use super::files::{print_text, read_object, same_file, shown, write_product, write_stdout};
use super::messages::{FormatArg, Stop};
use super::relocate::stopped;
use super::text::{bold, clean, plural};
use super::{Exit, inspect};
use crate::kernel::{Form, Kernel};
use crate::relocate;
use crate::target::Endian;
use anyhow::anyhow;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Arguments of `btf`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kernel: `running`, or a file with its types: BTF, vmlinux, vmlinuz, also packed
    #[arg(value_name = "KERNEL")]
    kernel: PathBuf,
    /// A module of the kernel, where types of modules are asked for; may be repeated
    #[arg(short, long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// Objects whose questions the types are to answer; without them, only say what the kernel's types come from
    #[arg(long = "for", value_name = "FILE.o", num_args = 1..)]
    objects: Vec<PathBuf>,
    /// Where to write the types; `-` is standard output [default: standard output]
    #[arg(short, long, value_name = "FILE", requires = "objects")]
    output: Option<PathBuf>,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// Writes the types that objects need.
pub(super) fn run(args: &Args) -> Exit {
    let done = if args.objects.is_empty() { describe(args) } else { minimal(args) };
    done.map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

/// Says what a kernel's types come from.
fn describe(args: &Args) -> Result<(), Stop> {
    let kernel = Kernel::open(&args.kernel, &args.module)?;
    let release = kernel.release.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
    let mut out = format!("{}{}", bold(&clean(&kernel.name)), clean(&release));
    match kernel.image.form() {
        Form::Btf => {
            let loaded = kernel.load(&[])?;
            let target = loaded.target()?;
            let bytes = plural(loaded.image.btf.len(), "byte");
            let types = plural(target.image.ids().count(), "type");
            let endian = match target.image.endian {
                Endian::Little => "little",
                Endian::Big => "big",
            };
            let pointer = target.image.pointer_size();
            out +=
                &format!(": BTF, {types}, {bytes}, {endian}-endian, pointers of {pointer} bytes");
        }
        Form::Dwarf => out += ": DWARF, from which BTF is made for what is asked for",
        Form::Tracefs => {
            out += ": descriptions of tracepoint records, which have no types of the kernel"
        }
    }
    if !kernel.modules.is_empty() {
        out += &format!("; {}", plural(kernel.modules.len(), "module"));
    }
    out += "\nfor the few of them that objects need: --for prog.o -o min.btf\n";
    print_text(&out)?;
    Ok(())
}
