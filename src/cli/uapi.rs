//! `ubpfc uapi …`: the library of mirrors and user tracepoints, and what it promises.

mod diff;
mod header;
mod list;
mod lock;
mod open;
mod resolve;
mod show;

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
    /// List files, mirrors, tracepoints, enums and constants.
    List(list::Args),
    /// Show what something is, where it comes from, and what kernels have of it.
    Show(show::Args),
    /// Write the mirrors in C: structs that decode emitted ones, and functions for BPF programs.
    Header(header::Args),
    /// Say what changes between two libraries, and fail where a promise is broken.
    Diff(diff::Args),
    /// Write what a library promises, a line each.
    Lock(lock::Args),
}

/// Runs one of the subcommands.
pub(super) fn run(args: &Args) -> Exit {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Header(args) => header::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Lock(args) => lock::run(args),
    }
}
