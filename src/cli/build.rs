//! `ubpfc FILE.ub -o prog.o`: compile.

use super::Exit;
use super::files::{FileImporter, read_script, same_file, write_product, write_stdout};
use super::messages::{FormatArg, Stop};
use crate::driver::{self, Emit, Options, Summary};
use crate::kernel::Kernel;
use crate::object::ubpf;
use crate::relocate;
use crate::sema::Numbers;
use crate::sema::hir::ClassLevel;
use crate::sema::imports::Library;
use crate::source::{Origin, Sources};
use crate::target::{Cpu, Endian, Target};
use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The script, or `-` for standard input
    #[arg(value_name = "FILE.ub", required = true)]
    script: Option<PathBuf>,
    /// Where to write the product; `-` is standard output [default: FILE.o, and standard output for text]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to make
    #[arg(long, value_enum, default_value = "obj")]
    emit: EmitArg,
    /// The byte order of the machines it will run on
    #[arg(long, value_enum, default_value = "bpfel")]
    target: TargetArg,
    /// The newest instructions to use
    #[arg(long, value_enum, default_value = "v3")]
    cpu: CpuArg,
    /// Refuse programs that depend on one kernel's layout, or on mirrors that are not in the library
    #[arg(long)]
    require_abi: bool,
    /// The kernel whose layouts the script knows, for programs that are not abi: `running`, or a file with its types
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<PathBuf>,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
    /// Look for imports in this folder too
    #[arg(short = 'I', value_name = "FOLDER")]
    import: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EmitArg {
    /// The tokens
    Tokens,
    /// The syntax tree
    Ast,
    /// The typed tree
    Hir,
    /// The intermediate representation
    Ir,
    /// The instructions with source lines and relocations
    Asm,
    /// Every question to the target kernel
    Relocs,
    /// The object
    Obj,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TargetArg {
    /// Little-endian
    Bpfel,
    /// Big-endian
    Bpfeb,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CpuArg {
    V1,
    V2,
    V3,
    V4,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            emit: match self.emit {
                EmitArg::Tokens => Emit::Tokens,
                EmitArg::Ast => Emit::Ast,
                EmitArg::Hir => Emit::Hir,
                EmitArg::Ir => Emit::Ir,
                EmitArg::Asm => Emit::Asm,
                EmitArg::Relocs => Emit::Relocs,
                EmitArg::Obj => Emit::Obj,
            },
            target: Target {
                endian: match self.target {
                    TargetArg::Bpfel => Endian::Little,
                    TargetArg::Bpfeb => Endian::Big,
                },
                cpu: match self.cpu {
                    CpuArg::V1 => Cpu::V1,
                    CpuArg::V2 => Cpu::V2,
                    CpuArg::V3 => Cpu::V3,
                    CpuArg::V4 => Cpu::V4,
                },
            },
            require_abi: self.require_abi,
            numbers: Numbers::EMBEDDED,
        }
    }

    /// Where the product goes; `None` is standard output.
    fn destination(&self, script: &Path, options: Options) -> anyhow::Result<Option<PathBuf>> {
        match &self.output {
            Some(path) if path == Path::new("-") => Ok(None),
            Some(path) => Ok(Some(path.clone())),
            None if options.emit != Emit::Obj => Ok(None),
            None if script == Path::new("-") => {
                bail!("a script from standard input needs `-o FILE`")
            }
            None => Ok(script.with_extension("o").file_name().map(PathBuf::from)),
        }
    }
}

/// Compiles one script.
pub(super) fn run(args: &Args) -> Exit {
    build(args).unwrap_or_else(|stop| stop.say(args.message_format))
}

fn build(args: &Args) -> Result<Exit, Stop> {
    let Some(script) = &args.script else {
        return Err(
            anyhow!("name a script, such as `ubpfc examples/runqlat.ub -o runqlat.o`").into()
        );
    };
    let options = args.options();
    let destination = args.destination(script, options)?;
    if destination.is_none() && options.emit == Emit::Obj && std::io::stdout().is_terminal() {
        Err(anyhow!("an object is not for a terminal; write it to a file with `-o FILE`"))?;
    }
    let text = read_script(script)?;
    if destination.as_ref().is_some_and(|d| same_file(d, script)) {
        Err(anyhow!("`-o {}` is the script itself", script.display()))?;
    }

    let mut sources = Sources::new();
    let name =
        if script == Path::new("-") { "<stdin>".into() } else { script.display().to_string() };
    let root = sources.add(name, text, Origin::User);
    let mut importer = FileImporter { folders: args.import.clone(), library: Library };
    let (output, diags) = driver::compile(&mut sources, root, &mut importer, options);
    args.message_format.report(&sources, &diags);

    let Some(mut output) = output else { return Ok(Exit::Input) };
    if let (Some(kernel), Some(summary)) = (&args.kernel, output.summary) {
        let kernel = Kernel::open(kernel, &[])?;
        if summary.class == ClassLevel::NotAbi {
            let compiled_for = relocate::compiled_for(&kernel);
            output.bytes = ubpf::stamp(&output.bytes, compiled_for)
                .context("a bug of ubpfc: its own object cannot be read")?;
        }
    }
    match &destination {
        None => write_stdout(&output.bytes)?,
        Some(path) => write_product(path, &output.bytes)?,
    }
    if let (Some(summary), Some(path)) = (output.summary, &destination)
        && std::io::stderr().is_terminal()
    {
        eprintln!("{}", describe(path, summary));
    }
    Ok(Exit::Done)
}

/// One line on what was made: `runqlat.o: 3 programs, abi, 97 instructions, 9 relocations`.
fn describe(path: &Path, summary: Summary) -> String {
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    [
        format!("{}: {}", path.display(), plural(summary.programs, "program")),
        summary.class.as_str().to_owned(),
        plural(summary.insns, "instruction"),
        plural(summary.relocs, "relocation"),
    ]
    .join(", ")
}
