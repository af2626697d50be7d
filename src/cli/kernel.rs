//! The kernel that a command is about: a file, the running one, or one out of the atlas.

use super::Exit;
use super::files::read_atlas;
use super::messages::{Findings, Stop};
use super::text::plural;
use crate::atlas::{Atlas, AtlasError, NotFound};
use crate::diag::{Code, Diagnostic};
use crate::kernel::{Kernel, KernelError};
use std::path::{Path, PathBuf};

/// How many names are listed.
const MAX_LISTED: usize = 8;

/// The arguments that name a kernel.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KernelArgs {
    /// The kernel: `running`, or a file with its types (BTF, vmlinux, vmlinuz, also packed), or a name out of the atlas
    #[arg(short, long, value_name = "KERNEL", default_value = "running")]
    pub(in crate::cli) kernel: PathBuf,
    /// A module of the kernel, where types of modules are asked for; may be repeated
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) module: Vec<PathBuf>,
    /// The kernel shows no BTF to loaders, though the file has types: take the forms of programs that need none
    #[arg(long)]
    pub(in crate::cli) no_btf: bool,
    /// The atlas in which names of kernels are looked up, instead of the one in this program
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) atlas: Option<PathBuf>,
}

impl KernelArgs {
    /// Opens the kernel.
    pub(in crate::cli) fn open(&self) -> Result<Opened, Stop> {
        open(&self.kernel, &self.module, self.atlas.as_deref())
    }
}

/// A kernel that has been opened.
#[derive(Debug)]
pub(in crate::cli) struct Opened {
    pub(in crate::cli) kernel: Kernel,
    /// The atlas that it is out of: what that does not cover is not known.
    pub(in crate::cli) atlas: Option<&'static Atlas<'static>>,
}

/// Opens a kernel. What is there as a file is a file; what could be one no other way than by its name is looked up in the atlas.
pub(in crate::cli) fn open(
    spec: &Path,
    modules: &[PathBuf],
    atlas: Option<&Path>,
) -> Result<Opened, Stop> {
    let name = spec.to_str().filter(|name| !name.contains('/') && *name != "running");
    let Some(name) = name.filter(|_| !spec.exists()) else {
        let kernel = Kernel::open(spec, modules)?;
        return Ok(Opened { kernel, atlas: None });
    };
    let atlas = self::atlas(atlas)?;
    match atlas.find(name) {
        Ok(_) if !modules.is_empty() => {
            let message =
                format!("the atlas has no modules; with `--module`, give a file of {name}");
            Err(anyhow::anyhow!(message).into())
        }
        Ok(entry) => {
            let kernel = atlas.open(entry).map_err(|error| unreadable(name, &error))?;
            Ok(Opened { kernel, atlas: Some(atlas) })
        }
        Err(not_found) => Err(unnamed(name, not_found)),
    }
}

/// The atlas in a file, or the one that is embedded.
pub(in crate::cli) fn atlas(file: Option<&Path>) -> Result<&'static Atlas<'static>, Stop> {
    let Some(path) = file else {
        return Atlas::embedded().map_err(|error| unreadable("the embedded atlas", &error));
    };
    // It is there until the process ends.
    let bytes = Box::leak(read_atlas(path)?.into_boxed_slice());
    let atlas = Atlas::parse(bytes);
    let atlas = atlas.map_err(|error| unreadable(&path.display().to_string(), &error))?;
    Ok(Box::leak(Box::new(atlas)))
}

fn unreadable(file: &str, error: &AtlasError) -> Stop {
    Stop::new(Exit::Usage, Findings::about(file, Code::E0706, format!("{file}: {error}")))
}

/// What to say about a name that no kernel has, or several.
fn unnamed(name: &str, not_found: NotFound<'_>) -> Stop {
    let listed = |names: &[&str]| {
        let shown: Vec<String> =
            names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
        let more = names.len().saturating_sub(MAX_LISTED);
        let more =
            if more == 0 { String::new() } else { format!(" and {}", plural(more, "other")) };
        format!("{}{more}", shown.join(", "))
    };
    let (code, message, help) = match not_found {
        NotFound::Several(names) => {
            let message = format!("`{name}` may be any of {} kernels of the atlas", names.len());
            (Code::E0705, message, format!("say which: {}", listed(&names)))
        }
        NotFound::None(near) => {
            let message = format!(
                "{name} cannot be read: there is no such file, nor a kernel of that name in the atlas"
            );
            let list = "`ubpfc atlas show` lists the names that it has";
            let help = match &near[..] {
                [] => list.to_owned(),
                near => format!("did you mean {}? {list}", listed(near)),
            };
            (Code::E0701, message, help)
        }
    };
    let mut findings = Findings::default();
    let span = findings.whole(name);
    findings.diags.push(Diagnostic::new(code, span, message).help(help));
    Stop::new(Exit::Usage, findings)
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
