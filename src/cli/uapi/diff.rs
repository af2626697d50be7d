//! `ubpfc uapi diff OLD NEW`: what a change of the library breaks, and what it adds.

use super::open;
use crate::cli::Exit;
use crate::cli::files::{print_json, print_text, shown};
use crate::cli::messages::{FormatArg, Stop};
use crate::cli::text::{bold, clean, plural};
use crate::library::{self, Change, Diff, Library, Lock};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Arguments of `uapi diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What was promised: a lock, or the folder of a library
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What is to be promised: likewise [default: the library in ubpfc]
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'d> {
    version: u32,
    old: &'d str,
    new: &'d str,
    #[serde(flatten)]
    diff: &'d Diff,
}

/// Compares two libraries.
pub(super) fn run(args: &Args) -> Exit {
    compare(args).unwrap_or_else(|stop| stop.say(args.message_format))
}

fn compare(args: &Args) -> Result<Exit, Stop> {
    let old = open::promises(&args.old)?;
    let (new, new_name) = match &args.new {
        Some(path) => (open::promises(path)?, shown(path)),
        None => (Lock::of(&Library::embedded()), "the library in ubpfc".to_owned()),
    };
    let diff = library::diff(&old, &new);
    if args.json {
        let old = &shown(&args.old);
        print_json(&Document { version: 1, old, new: &new_name, diff: &diff })?;
    } else {
        print_text(&text(&diff))?;
    }
    Ok(if diff.breaks.is_empty() { Exit::Done } else { Exit::Input })
}

fn text(diff: &Diff) -> String {
    let mut text = String::new();
    if !diff.breaks.is_empty() {
        let _ = writeln!(text, "{}", bold("breaks"));
    }
    for broken in &diff.breaks {
        let (name, change) = (clean(&broken.name), clean(&broken.change));
        let _ = writeln!(text, "  {} {change}:\n      {}", bold(&name), broken.why);
    }
    let mut section = |title: &str, changes: &[Change]| {
        if !changes.is_empty() {
            let _ = writeln!(text, "{}", bold(title));
        }
        for change in changes {
            let _ = writeln!(text, "  {} {}", bold(&clean(&change.name)), clean(&change.change));
        }
    };
    section("adds", &diff.adds);
    section("is worded otherwise: read whether it means the same", &diff.rewords);
    let breaks = plural(diff.breaks.len(), "broken promise");
    let adds = plural(diff.adds.len(), "addition");
    let rewords = plural(diff.rewords.len(), "new wording");
    let _ = writeln!(text, "{breaks}, {adds}, {rewords}");
    text
}
