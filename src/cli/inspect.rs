//! `ubpfc inspect prog.o`: what is in an object, ours or another compiler's.

mod code;
mod human;
mod report;

use super::Exit;
use super::files::{print_json, print_text, read_object, shown};
use super::messages::{Findings, FormatArg, Stop};
use crate::diag;
use crate::object::read::Object;
use std::path::PathBuf;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The object, or `-` for standard input
    #[arg(value_name = "FILE.o")]
    object: PathBuf,
    /// Print the instructions too, with source lines and what is filled in
    #[arg(short, long)]
    disassemble: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Prints what is in an object.
pub(super) fn run(args: &Args) -> Exit {
    inspect(args).map_or_else(|stop| stop.say(FormatArg::Human), |()| Exit::Done)
}

fn inspect(args: &Args) -> Result<(), Stop> {
    let bytes = read_object(&args.object)?;
    let name = shown(&args.object);
    let object = parse_object(&name, &bytes)?;
    let report = report::report(name.clone(), &object, args.disassemble);
    let report = report.map_err(|error| unreadable(&name, &error))?;
    if args.json {
        print_json(&report)?;
    } else {
        print_text(&human::text(&report))?;
    }
    Ok(())
}

/// What `inspect --disassemble` says of an object, as text.
pub fn inspected(name: &str, object: &Object<'_>) -> anyhow::Result<String> {
    Ok(human::text(&report::report(name.to_owned(), object, true)?))
}

/// The object in a file.
pub(super) fn parse_object<'a>(name: &str, bytes: &'a [u8]) -> Result<Object<'a>, Stop> {
    Object::parse(bytes).map_err(|error| unreadable(name, &error))
}

/// What to say about an object that cannot be read.
pub(super) fn unreadable(name: &str, error: &dyn std::fmt::Display) -> Stop {
    Stop::new(Exit::Input, Findings::about(name, diag::Code::E0609, format!("{name}: {error}")))
}
