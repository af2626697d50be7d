//! `ubpfc uapi …`: the library of mirrors and user tracepoints, and what it promises.

mod diff;
mod lock;
mod open;

use super::Exit;
use clap::Subcommand;

/// Arguments of `uapi`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what changes between two libraries, and fail where a promise is broken.
    Diff(diff::Args),
    /// Write what a library promises, a line each.
    Lock(lock::Args),
}

/// Runs one of the subcommands.
pub(super) fn run(args: &Args) -> Exit {
    match &args.command {
        Command::Diff(args) => diff::run(args),
        Command::Lock(args) => lock::run(args),
    }
}
