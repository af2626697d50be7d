//! `ubpfc btf K --for prog.o -o min.btf`: the few types of a kernel that objects ask about.

use super::files::{note, print_text, read_object, same_file, shown, write_product, write_stdout};
use super::kernel::{Opened, open};
use super::messages::{Findings, FormatArg, Stop};
use super::relocate::{known, passed_over, stopped};
use super::text::{bold, clean, plural};
use super::{Exit, inspect};
use crate::diag::Code;
use crate::kernel::Form;
use crate::object::read::Object;
use crate::relocate;
use crate::target::Endian;
use anyhow::anyhow;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Arguments of `btf`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kernel: `running`, or a file with its types (BTF, vmlinux, vmlinuz, also packed), or a name out of the atlas
    #[arg(value_name = "KERNEL")]
    kernel: PathBuf,
    /// A module of the kernel, where types of modules are asked for; may be repeated
    #[arg(short, long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// The kernel shows no BTF to loaders, though the file has types: `relocate` will be told
    #[arg(long)]
    no_btf: bool,
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

impl Args {
    fn open(&self) -> Result<Opened, Stop> {
        open(&self.kernel, &self.module, None)
    }
}

/// Writes the types that objects need.
pub(super) fn run(args: &Args) -> Exit {
    let done = if args.objects.is_empty() { describe(args) } else { minimal(args) };
    done.map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

/// Says what a kernel's types come from.
fn describe(args: &Args) -> Result<(), Stop> {
    let Opened { kernel, .. } = args.open()?;
    let release = kernel.release.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
    let name = bold(&clean(&kernel.name));
    let form = match kernel.image.form() {
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
            format!("BTF, {types}, {bytes}, {endian}-endian, pointers of {pointer} bytes")
        }
        Form::Dwarf => "DWARF, from which BTF is made for what is asked for".into(),
        Form::Tracefs => "descriptions of tracepoint records, which hold no types".into(),
    };
    let modules = match kernel.modules.len() {
        0 => String::new(),
        count => format!("; {}", plural(count, "module")),
    };
    let help = "for the few of them that objects need: --for prog.o -o min.btf";
    let out = format!("{name}{}: {form}{modules}\n{help}\n", clean(&release));
    print_text(&out)?;
    Ok(())
}

/// Writes the types that objects need.
fn minimal(args: &Args) -> Result<(), Stop> {
    let destination = args.output.as_deref().filter(|path| *path != Path::new("-"));
    if destination.is_none() && std::io::stdout().is_terminal() {
        Err(anyhow!("types are not for a terminal; write them to a file with `-o FILE`"))?;
    }
    let inputs = || args.objects.iter().chain([&args.kernel]);
    if destination.is_some_and(|output| inputs().any(|input| same_file(output, input))) {
        Err(anyhow!("`-o` is one of the files that are read"))?;
    }
    let read = |path: &PathBuf| Ok((shown(path), read_object(path)?));
    let files: Vec<(String, Vec<u8>)> =
        args.objects.iter().map(read).collect::<Result<_, Stop>>()?;
    let parse = |(name, bytes)| Ok((name, inspect::parse_object(name, bytes)?));
    let objects = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let objects: Vec<(&str, Object<'_>)> = objects.map(parse).collect::<Result<_, Stop>>()?;

    let mut needs = Vec::new();
    for (name, object) in &objects {
        let of_object = relocate::needs(object);
        needs.extend(of_object.map_err(|error| stopped(name, "the kernel", &error))?);
    }
    let Opened { kernel, atlas } = args.open()?;
    if let Some(atlas) = atlas {
        for (name, bytes) in &files {
            known(atlas, name, bytes, &kernel.name)?;
        }
    }
    let loaded = relocate::load(&kernel, &needs)?;
    passed_over(&kernel.name, &loaded.warnings, args.message_format);
    let target = loaded.target()?;
    let all: Vec<&Object<'_>> = objects.iter().map(|(_, object)| object).collect();
    let shows_btf = relocate::shows_btf(&kernel) && !args.no_btf;
    let bytes = relocate::minimal(&all, &target, shows_btf).map_err(|error| {
        let findings = Findings::about(&kernel.name, Code::E0703, error.to_string());
        Stop::new(Exit::Usage, findings)
    })?;
    match destination {
        None => write_stdout(&bytes)?,
        Some(path) => {
            write_product(path, &bytes)?;
            let (path, from) = (path.display().to_string(), clean(&kernel.name));
            let bytes = plural(bytes.len(), "byte");
            note(&format!("{}: {bytes} of the types of {from}\n", clean(&path)));
        }
    }
    Ok(())
}
