//! `ubpfc uapi lock`: what a library promises, as text.

use super::open;
use crate::cli::Exit;
use crate::cli::files::{shown, write_product, write_stdout};
use crate::cli::messages::{Findings, FormatArg, Stop};
use crate::cli::text::plural;
use crate::diag::{Code, Diagnostic};
use crate::library::{Lock, diff};
use std::path::{Path, PathBuf};

/// Arguments of `uapi lock`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the library [default: the one in ubpfc]
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The lock to write; one that is there is only replaced where no promise of it is broken [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write it although it breaks promises of the one that is there
    #[arg(long)]
    allow_breaks: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// Writes a lock.
pub(super) fn run(args: &Args) -> Exit {
    write(args).map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

fn write(args: &Args) -> Result<(), Stop> {
    let (library, _) = open::library(args.folder.as_deref())?;
    let lock = Lock::of(&library);
    let text = lock.text();
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => write_stdout(text.as_bytes())?,
        Some(path) => {
            if path.is_file() && !args.allow_breaks {
                keeps(path, &lock)?;
            }
            write_product(path, text.as_bytes())?;
        }
    }
    Ok(())
}

/// Refuses a lock that breaks promises of the one in a file.
fn keeps(path: &Path, new: &Lock) -> Result<(), Stop> {
    let breaks = diff(&open::lock(path)?, new).breaks;
    if breaks.is_empty() {
        return Ok(());
    }
    let name = shown(path);
    let mut findings = Findings::default();
    let span = findings.whole(&name);
    let count = plural(breaks.len(), "promise");
    let mut diagnostic =
        Diagnostic::new(Code::E0352, span, format!("the library breaks {count} of {name}")).help(
            "promise it again, beside what is new; where nobody has been promised it yet, `--allow-breaks` writes the lock",
        );
    for broken in breaks {
        let (name, change, why) = (broken.name, broken.change, broken.why);
        diagnostic = diagnostic.note(format!("`{name}` {change}: {why}"));
    }
    findings.diags.push(diagnostic);
    Err(Stop::new(Exit::Input, findings))
}
