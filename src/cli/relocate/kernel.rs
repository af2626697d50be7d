//! The kernel that a command is about.

use crate::cli::Exit;
use crate::cli::messages::{Findings, Stop};
use crate::diag::Code;
use crate::kernel::KernelError;
use std::path::PathBuf;

/// The arguments that name a kernel.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KernelArgs {
    /// The kernel: `running`, or a file with its types: BTF, vmlinux, vmlinuz, also packed
    #[arg(short, long, value_name = "KERNEL", default_value = "running")]
    pub(in crate::cli) kernel: PathBuf,
    /// A module of the kernel, where types of modules are asked for; may be repeated
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) module: Vec<PathBuf>,
    /// The kernel shows no BTF to loaders, though the file has types: take the forms of programs that need none
    #[arg(long)]
    pub(in crate::cli) no_btf: bool,
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Stop {
        let (path, code, why) = match &error {
            KernelError::Io { path, error } => {
                (path, Code::E0701, format!("{path} cannot be read: {error}"))
            }
            KernelError::NoTypes { path, why } => (path, Code::E0702, format!("{path}: {why}")),
            KernelError::Btf { path, error } => {
                (path, Code::E0703, format!("the types in {path} are broken: {error}"))
            }
        };
        Stop::new(Exit::Usage, Findings::about(path, code, why))
    }
}
