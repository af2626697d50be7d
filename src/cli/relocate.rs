//! `ubpfc relocate prog.o --kernel K -o out.o`: an object for one kernel, with nothing left to ask.

mod faults;
mod kernel;
mod report;

use self::report::{Report, Row, Status, Totals};
use super::Exit;
use super::files::{note, print_json, print_text, read_object, same_file, shown, write_product};
use super::inspect;
use super::messages::{Findings, FormatArg, Stop};
use crate::diag::Code;
use crate::kernel::Kernel;
use crate::object::read::Object;
use crate::relocate::{self, Edit, Plan, Policy, RelocateError};
use anyhow::anyhow;
use clap::ValueEnum;
use std::path::PathBuf;

pub(super) use kernel::KernelArgs;

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
    if let Some(output) = &args.output
        && same_file(output, &args.object)
    {
        Err(anyhow!("`-o {}` is the object itself", output.display()))?;
    }
    let bytes = read_object(&args.object)?;
    let name = shown(&args.object);
    let object = inspect::parse_object(&name, &bytes)?;
    let (policy, policy_name) = args.policy.policy();

    let stopped = |kernel: &str, error: &RelocateError| stopped(&name, &object, kernel, error);
    let wanted = relocate::wanted(&object).map_err(|error| stopped("the kernel", &error))?;
    let kernel = Kernel::open(&args.kernel.kernel, &args.kernel.module)?;
    let loaded = kernel.load(&wanted)?;
    let mut report = Report::new(&name, &kernel, policy_name, loaded.warnings.clone());
    let title = report.kernel.title();
    let target = loaded.target()?;
    let plan = match relocate::plan(&object, &target, policy) {
        Ok(plan) => plan,
        Err(error) => {
            report.error = Some(error.to_string());
            report.print(args)?;
            return Err(stopped(&title, &error));
        }
    };
    report.accesses = plan.fixups.iter().map(Row::from).collect();
    report.totals = Totals::of(&report.accesses);
    report.print(args)?;
    Ok(Exit::Done)
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

/// What to say about an error that stops the plan, and the status that it ends with.
fn stopped(name: &str, object: &Object<'_>, kernel: &str, error: &RelocateError) -> Stop {
    let (exit, at) = match error {
        RelocateError::Object(_) | RelocateError::Record { .. } | RelocateError::TooBig { .. } => {
            (Exit::Input, None)
        }
        RelocateError::Instruction { function, insn, .. } => {
            (Exit::Input, inspect::line_at(object, function, *insn))
        }
        RelocateError::ByteOrder { .. } | RelocateError::Ambiguous { .. } => (Exit::Kernel, None),
        RelocateError::Range { function, insn, .. } => {
            (Exit::Kernel, inspect::line_at(object, function, *insn))
        }
    };
    Stop::new(exit, faults::stopped(name, kernel, error, at.as_ref()))
}
