//! `ubpfc inspect prog.o`: what is in an object, ours or another compiler's.

mod code;
mod human;
mod names;
mod report;

use super::Exit;
use super::files::{print_json, print_text, read_object};
use crate::object::read::Object;
use anyhow::Result;
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
pub(super) fn run(args: &Args) -> Result<Exit> {
    let name = args.object.display().to_string();
    let bytes = match read_object(&args.object) {
        Ok(bytes) => bytes,
        Err((exit, why)) => {
            eprintln!("ubpfc: {why}");
            return Ok(exit);
        }
    };
    let report = Object::parse(&bytes)
        .and_then(|object| report::report(name.clone(), &object, args.disassemble));
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("ubpfc: {name}: {error}");
            return Ok(Exit::Input);
        }
    };
    if args.json {
        print_json(&report)?;
    } else {
        print_text(&human::text(&report))?;
    }
    Ok(Exit::Done)
}
