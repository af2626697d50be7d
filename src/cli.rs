//! The command line: the only part, with the runner and the editor server to come, that reads files and prints.
//!
//! Exit status: 0 done; 1 the input is at fault; 2 the command line or a file; 3 it cannot be relocated to the kernel; 4 the kernel refused;
//! 101 a bug. The product goes to standard output or `-o`, all else to standard error.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module is the face of the program"
)]

mod atlas;
mod btf;
mod build;
mod check;
mod files;
mod inspect;
mod kernel;
mod messages;
mod relocate;
mod text;
mod uapi;

pub use inspect::inspected;

use clap::{CommandFactory, Parser, Subcommand};
use std::path::Path;

/// Compiles tracing scripts over user-ized kernel structs into eBPF objects that run on any kernel.
#[derive(Debug, Parser)]
#[command(
    name = "ubpfc",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    build: build::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile a script into an object (what `ubpfc FILE.ub` does as well).
    Build(build::Args),
    /// Show what is in an object: programs, maps, questions to the kernel, instructions.
    Inspect(inspect::Args),
    /// Make an atlas of kernels, or list the kernels of one.
    Atlas(atlas::Args),
    /// Write the few types of a kernel that objects need, for loaders on kernels without BTF.
    Btf(btf::Args),
    /// Say on which kernels scripts and objects run, and why not on others.
    Check(check::Args),
    /// Answer an object's questions for one kernel, or say what that kernel has not.
    Relocate(relocate::Args),
    /// Browse the library of mirrors and user tracepoints, and keep its promises.
    Uapi(uapi::Args),
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Input = 1,
    Usage = 2,
    Kernel = 3,
    Bug = 101,
}

/// Runs the command that the arguments ask for and ends the process.
pub fn main() -> ! {
    std::panic::set_hook(Box::new(|info| {
        eprintln!("ubpfc: internal error: {info}");
        eprintln!(
            "This is a bug in ubpfc, not in your input. Please report it with the script or object that shows it."
        );
        std::process::exit(Exit::Bug as i32);
    }));
    if let Some(why) = std::env::args().nth(1).and_then(|first| unknown_command(&first)) {
        eprintln!("ubpfc: {why}");
        std::process::exit(Exit::Usage as i32);
    }
    let cli = Cli::parse();
    let exit = match cli.command {
        Some(Command::Build(args)) => build::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Atlas(args)) => atlas::run(&args),
        Some(Command::Btf(args)) => btf::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Relocate(args)) => relocate::run(&args),
        Some(Command::Uapi(args)) => uapi::run(&args),
        None => build::run(&cli.build),
    };
    std::process::exit(exit as i32)
}

/// What to say where the first word is neither a command nor a file, and looks like no file's name.
fn unknown_command(first: &str) -> Option<String> {
    let commands = Cli::command();
    let names: Vec<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
    let file = first.starts_with('-') || first.contains(['.', '/']) || Path::new(first).exists();
    if file || first == "help" || names.contains(&first) {
        return None;
    }
    let near = names.iter().map(|name| (strsim::jaro_winkler(name, first), name));
    let near = near.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let what_then = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("the commands are {}", names.join(", ")),
    };
    Some(format!("there is no command `{first}`, nor a file of that name; {what_then}"))
}
