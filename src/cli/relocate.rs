//! `ubpfc relocate prog.o --kernel K -o out.o`: an object for one kernel, with nothing left to ask.

mod advice;
mod faults;
mod kernel;
mod report;

use self::report::{Report, Row, Status};
use super::Exit;
use super::files::{
    note, print_json, print_text, read_object, same_file, shown, write_product, write_stdout,
};
use super::inspect;
use super::messages::{Findings, FormatArg, Stop};
use crate::diag::Code;
use crate::kernel::Kernel;
use crate::object::read::Object;
use crate::relocate::{self, ApplyError, Policy, RelocateError};
use anyhow::anyhow;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

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
    check(args)?;
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
    passed_over(&title, &loaded.warnings, args.message_format);
    let mut plan = relocate::plan(&object, &target, policy).map_err(|error| {
        report.refused(args, Some(error.to_string()));
        stopped(&title, &error)
    })?;
    plan.target = Some(report.kernel.recorded());
    report.tell(Row::of_plan(&plan));
    let applied = relocate::apply(&bytes, &object, &plan, policy).map_err(|mut error| {
        if let ApplyError::Missing(unresolved) = &mut error {
            for one in &mut *unresolved {
                one.missing.suggest(&target);
            }
            report.tell(Row::of_failure(&plan, unresolved));
        }
        report.refused(args, error_without_access(&error));
        unapplied(&name, &object, &title, &error)
    })?;
    report.tell(Row::of_result(&plan, applied.accesses));
    match args.output.as_deref() {
        None => {}
        Some(path) if path == Path::new("-") => write_stdout(&applied.bytes)?,
        Some(path) => write_product(path, &applied.bytes)?,
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
    if to_stdout && args.json {
        Err(anyhow!("`-o -` and `--json` both write to standard output; name a file after `-o`"))?;
    }
    if to_stdout && std::io::stdout().is_terminal() {
        Err(anyhow!("an object is not for a terminal; write it to a file with `-o FILE`"))?;
    }
    Ok(())
}

/// Warns of modules that cannot be read.
pub(super) fn passed_over(kernel: &str, warnings: &[String], format: FormatArg) {
    for warning in warnings {
        let findings = Findings::about(kernel, Code::W1005, warning.clone());
        format.report(&findings.sources, &findings.diags);
    }
}

impl Report {
    /// Prints the report of a refusal; that it cannot be printed is not worth more than the refusal.
    fn refused(&mut self, args: &Args, error: Option<String>) {
        (self.status, self.error) = (Status::Refused, error);
        if let Err(stop) = self.print(args) {
            stop.say(args.message_format);
        }
    }

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
pub(super) fn stopped(
    name: &str,
    object: &Object<'_>,
    kernel: &str,
    error: &RelocateError,
) -> Stop {
    let (exit, at) = match error {
        RelocateError::Object(_) | RelocateError::Record { .. } | RelocateError::TooBig { .. } => {
            (Exit::Input, None)
        }
        RelocateError::Target(_) => (Exit::Usage, None),
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

/// Why a plan cannot be carried out, unless single accesses say it.
fn error_without_access(error: &ApplyError) -> Option<String> {
    match error {
        ApplyError::Missing(_) => None,
        ApplyError::Code { .. }
        | ApplyError::TwoSections(_)
        | ApplyError::Object(_)
        | ApplyError::Bug(_) => Some(error.to_string()),
    }
}

/// What to say about a plan that cannot be carried out, and the status that it ends with.
fn unapplied(name: &str, object: &Object<'_>, kernel: &str, error: &ApplyError) -> Stop {
    match error {
        ApplyError::Missing(unresolved) => {
            let ubpf = object.ubpf().ok().flatten();
            Stop::new(Exit::Kernel, faults::missing(name, kernel, unresolved, ubpf.as_ref()))
        }
        ApplyError::Code { function, insn, .. } => {
            let at = inspect::line_at(object, function, *insn);
            Stop::new(Exit::Input, faults::broken_code(name, error, at.as_ref()))
        }
        ApplyError::TwoSections(_) | ApplyError::Object(_) => {
            Stop::new(Exit::Input, faults::broken_code(name, error, None))
        }
        ApplyError::Bug(_) => Stop::new(Exit::Bug, faults::broken_code(name, error, None)),
    }
}
