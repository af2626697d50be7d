//! Where a target's types come from: its BTF, its DWARF, compressed kernel images, modules, tracefs.
//!
//! Every source answers with BTF: the bytes of the file itself, or BTF that is made of its DWARF for the names that are asked for. What reads types afterwards knows one form. Sources hold no policy:
//! they say what is there. No length, offset or index in a file is trusted.

mod companions;
pub mod dwarf;
mod elf;
mod file;
mod image;
mod load;
mod open;
mod places;
mod rebase;
mod release;
mod section;
mod tracefs;
mod unpack;

pub use file::FileBytes;
pub use load::Wanted;
pub use places::Places;
pub use section::{BtfSource, Part};

use crate::btf::{Btf, BtfError};
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

/// A source of types: one kernel image or one module.
pub trait Source: Debug + Send + Sync {
    /// BTF that has every definition of every type whose essential name (without its flavor) is among `names`, and everything that these are made of; it may have more.
    fn types(&self, names: &[&str]) -> Result<SourceTypes<'_>, KernelError>;

    /// What the types are read from.
    fn form(&self) -> Form;

    /// The [`fnv1a`](crate::bytes::fnv1a) hash of the BTF that the kernel itself has, by which it is known wherever its types are read from; none where it has none.
    fn identity(&self) -> Option<u64> {
        None
    }
}

/// What types are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// BTF, which a kernel can also show to loaders.
    Btf,
    /// DWARF: the kernel itself may know nothing of its types.
    Dwarf,
    /// Descriptions of tracepoint records.
    Tracefs,
}

/// The answer of a [`Source`].
#[derive(Clone, Debug)]
pub struct SourceTypes<'a> {
    /// The bytes of a `.BTF` section.
    pub btf: Cow<'a, [u8]>,
    /// Whether its types and strings go on where those of the kernel image end.
    pub split: bool,
    /// If they go on where those of this BTF end instead: just enough of an image to tell which of its types are meant (`.BTF.base`).
    pub base: Option<&'a [u8]>,
    /// The size of a pointer in bytes, where the file says it.
    pub pointer_size: Option<u32>,
}

/// A kernel: the image and its modules.
#[derive(Debug)]
pub struct Kernel {
    /// What to call it in messages: the path, or `running`.
    pub name: String,
    /// Its release, where the file says it.
    pub release: Option<String>,
    /// The image.
    pub image: Box<dyn Source>,
    /// The modules by name; asked only for what the image has not.
    pub modules: Vec<(String, Box<dyn Source>)>,
}

impl Kernel {
    /// What tells it from other kernels: the identity of its image.
    pub fn identity(&self) -> Option<u64> {
        self.image.identity()
    }
}

/// Why types cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is of no kind that holds types.
    #[error("{path}: {why}")]
    NoTypes {
        /// The file.
        path: String,
        /// What it is, and what would do.
        why: String,
    },
    /// The types are broken.
    #[error("{path}: the types cannot be read: {error}")]
    Btf {
        /// The file.
        path: String,
        /// Why.
        error: BtfError,
    },
}

/// Types of a kernel that have been asked for, as bytes: what [`Kernel::load`] gives and [`Loaded::target`] reads.
#[derive(Debug)]
pub struct Loaded<'a> {
    /// What messages call the kernel.
    pub name: &'a str,
    /// Of the image.
    pub image: SourceTypes<'a>,
    /// Of the modules that have what the image has not, by name.
    pub modules: Vec<(&'a str, SourceTypes<'a>)>,
    /// Modules that have been passed over, and why.
    pub warnings: Vec<String>,
}

/// Types of a kernel, ready to be looked at: what a plan is made for.
#[derive(Debug)]
pub struct Target<'a> {
    /// Of the image.
    pub image: Arc<Btf<'a>>,
    /// Of modules, by name.
    pub modules: Vec<(&'a str, Btf<'a>)>,
}
