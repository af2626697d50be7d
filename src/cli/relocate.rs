//! `ubpfc relocate prog.o --kernel K -o out.o`: an object for one kernel, with nothing left to ask.

mod advice;
pub(super) mod faults;
mod report;

use self::report::Report;
use super::Exit;
use super::files::{
    note, print_json, print_text, read_object, same_file, shown, write_product, write_stdout,
};
use super::inspect;
use super::kernel::{KernelArgs, Opened};
use super::messages::{Findings, FormatArg, Stop};
use crate::atlas::Atlas;
use crate::diag::Code;
use crate::kernel::Form;
use crate::object::read::Object;
use crate::object::ubpf::Ubpf;
use crate::relocate::{self, ApplyError, Foreign, Kinship, Policy, Refusal, RelocateError};
use anyhow::anyhow;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

pub(super) use report::without_flavor;

/// Arguments of `relocate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The object, or `-` for standard input
    #[arg(value_name = "FILE.o")]
    object: PathBuf,
    #[command(flatten)]
    kernel: KernelArgs,
    /// Where to write the relocated object; without it, only say what would be done
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to do about what the kernel has not
    #[arg(long, value_enum, default_value = "strict")]
    policy: PolicyArg,
    /// Refuse programs that are not abi and were compiled against another kernel
    #[arg(long)]
    strict_kernel: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Print the table of all accesses even with `-o`
    #[arg(short, long)]
    verbose: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PolicyArg {
    /// Refuse it where it can run, remove what cannot run
    Strict,
    /// As libbpf does: leave an instruction that the kernel refuses
    Libbpf,
}

impl PolicyArg {
    fn policy(self) -> (Policy, &'static str) {
        match self {
            PolicyArg::Strict => (Policy::Strict, "strict"),
            PolicyArg::Libbpf => (Policy::Libbpf, "libbpf"),
        }
    }
}

/// Relocates one object to one kernel.
pub(super) fn run(args: &Args) -> Exit {
    relocate(args).unwrap_or_else(|stop| stop.say(args.message_format))
}

fn relocate(args: &Args) -> Result<Exit, Stop> {
    check(args)?;
    let bytes = read_object(&args.object)?;
    let name = shown(&args.object);
    let (policy, policy_name) = args.policy.policy();
    // What is wrong with the object is told before a kernel is looked for.
    inspect::parse_object(&name, &bytes)?;
    let Opened { kernel, atlas } = args.kernel.open()?;
    if let Some(atlas) = atlas {
        known(atlas, &name, &bytes, &kernel.name)?;
    }
    let options = relocate::Options { policy, no_btf: args.kernel.no_btf };
    let relocate::Relocation { result, told } = relocate::relocate(&bytes, &kernel, options);

    let mut report = Report::new(&name, &kernel, policy_name, told);
    let title = report.kernel.title();
    passed_over(&title, &report.warnings, args.message_format);
    let relocated = match result {
        Ok(relocated) => relocated,
        Err(refusal) => {
            report.refuse(&refusal);
            // That the report cannot be printed is not worth more than the refusal.
            if let Err(stop) = report.print(args) {
                stop.say(args.message_format);
            }
            let ubpf = Object::parse(&bytes).ok().and_then(|object| object.ubpf().ok().flatten());
            return Err(refused(&name, ubpf.as_ref(), &title, report.kernel.form, refusal));
        }
    };
    let told = |foreign: &Foreign| args.strict_kernel || foreign.kinship != Kinship::Untold;
    if let Some(foreign) = report.foreign.take().filter(told) {
        let findings = faults::foreign(&name, &title, &foreign, args.strict_kernel);
        if args.strict_kernel {
            report.refuse_foreign();
            report.print(args)?;
            return Err(Stop::new(Exit::Kernel, findings));
        }
        args.message_format.report(&findings.sources, &findings.diags);
    }
    let lacking = faults::lacking(&name, &title, &report.lacks);
    args.message_format.report(&lacking.sources, &lacking.diags);
    let sizes = faults::sizes(&name, &title, &report.sizes);
    args.message_format.report(&sizes.sources, &sizes.diags);
    match args.output.as_deref() {
        None => {}
        Some(path) if path == Path::new("-") => write_stdout(&relocated)?,
        Some(path) => write_product(path, &relocated)?,
    }
    report.written(args.output.as_deref());
    report.print(args)?;
    Ok(Exit::Done)
}

/// What the command line cannot mean.
fn check(args: &Args) -> Result<(), Stop> {
    let Some(output) = &args.output else { return Ok(()) };
    let to_stdout = output == Path::new("-");
    if same_file(output, &args.object) {
        Err(anyhow!("`-o {}` is the object itself", output.display()))?;
    }
    let read = std::iter::once(&args.kernel.kernel).chain(&args.kernel.module);
    if read.into_iter().any(|file| same_file(output, file)) {
        Err(anyhow!("`-o {}` is one of the files that are read", output.display()))?;
    }
    if to_stdout && args.json {
        Err(anyhow!("`-o -` and `--json` both write to standard output; name a file after `-o`"))?;
    }
    if to_stdout && std::io::stdout().is_terminal() {
        Err(anyhow!("an object is not for a terminal; write it to a file with `-o FILE`"))?;
    }
    Ok(())
}

/// An object asks a kernel of an atlas nothing but what the atlas was asked.
pub(super) fn known(atlas: &Atlas<'_>, name: &str, bytes: &[u8], kernel: &str) -> Result<(), Stop> {
    let object = inspect::parse_object(name, bytes)?;
    let unknown = atlas.unknown(&object).map_err(|error| stopped(name, kernel, &error))?;
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Stop::new(Exit::Kernel, faults::unknown(name, kernel, &unknown)))
}

/// Warns of modules that cannot be read.
pub(super) fn passed_over(kernel: &str, warnings: &[String], format: FormatArg) {
    for warning in warnings {
        let findings = Findings::about(kernel, Code::W1005, warning.clone());
        format.report(&findings.sources, &findings.diags);
    }
}

impl Report {
    /// The report where the command line wants it: the document or the table on standard output; beside an object, a line or the table on standard error.
    fn print(&self, args: &Args) -> Result<(), Stop> {
        if args.json {
            print_json(self)?;
        } else if args.output.is_none() {
            print_text(&self.table())?;
        } else if args.verbose {
            note(&self.table());
        } else {
            note(&format!("{}\n", self.summary()));
        }
        Ok(())
    }
}

/// What to say about an object that cannot be relocated, and the status that it ends with.
pub(super) fn refused(
    name: &str,
    ubpf: Option<&Ubpf>,
    kernel: &str,
    form: Form,
    refusal: Refusal,
) -> Stop {
    match refusal {
        Refusal::Kernel(error) => error.into(),
        Refusal::Plan(error) => stopped(name, kernel, &error),
        Refusal::Object(error) => inspect::unreadable(name, &error),
        Refusal::Forms(error) => inspect::unreadable(name, &error),
        Refusal::Relocated(target) => {
            Stop::new(Exit::Input, faults::relocated(name, kernel, &target))
        }
        Refusal::Events(error) => {
            Stop::new(Exit::Kernel, faults::no_event(name, kernel, &error.programs))
        }
        Refusal::Apply { error, at } => match &error {
            ApplyError::Missing(unresolved) => {
                Stop::new(Exit::Kernel, faults::missing(name, kernel, form, unresolved, ubpf))
            }
            ApplyError::Code { .. } | ApplyError::TwoSections(_) | ApplyError::Object(_) => {
                Stop::new(Exit::Input, faults::broken_code(name, &error, at.as_ref()))
            }
            ApplyError::Bug(_) => Stop::new(Exit::Bug, faults::broken_code(name, &error, None)),
        },
    }
}

/// What to say about an error that stops the plan, and the status that it ends with.
pub(super) fn stopped(name: &str, kernel: &str, error: &RelocateError) -> Stop {
    let exit = match error {
        RelocateError::Object(_)
        | RelocateError::Record { .. }
        | RelocateError::TooBig { .. }
        | RelocateError::Instruction { .. } => Exit::Input,
        RelocateError::Target(_) => Exit::Usage,
        RelocateError::ByteOrder { .. }
        | RelocateError::Ambiguous { .. }
        | RelocateError::Range { .. } => Exit::Kernel,
    };
    Stop::new(exit, faults::stopped(name, kernel, error))
}
