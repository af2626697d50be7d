//! Whether a kernel is the one that an object's programs of class **not abi** were compiled against.
//!
//! In: what an object says of itself, and a kernel. Out: what there is to tell where the kernel is another, or where nobody knows. Such programs read raw kernel memory: that
//! every question of theirs has an answer says nothing about what they find there.

use super::{Place, record};
use crate::kernel::Kernel;
use crate::object::read::Object;
use crate::object::ubpf::{Class, CompiledFor, Program, Ubpf};
use std::path::Path;

/// How a kernel stands to the one that an object was compiled against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// It is another one.
    Other,
    /// Either of them says too little.
    Unknown,
    /// The object does not say which one that was.
    Untold,
}

/// Programs of class **not abi** at a kernel that they may not have been compiled against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Why they may not.
    pub kinship: Kinship,
    /// The kernel that they were compiled against, if the object says it.
    pub compiled_for: Option<CompiledFor>,
    /// The programs.
    pub programs: Vec<Dependent>,
}

/// A program that depends on the kernel it was compiled against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// Its name.
    pub name: String,
    /// Where it depends on the kernel, and why, as a clause.
    pub culprit: Option<(Place, String)>,
}

/// A kernel as objects that are compiled against it call it: its file without the folder, since the same input gives the same object wherever it is.
pub fn compiled_for(kernel: &Kernel) -> CompiledFor {
    let file = Path::new(&kernel.name).file_name().unwrap_or_default();
    CompiledFor {
        name: file.to_string_lossy().into_owned(),
        release: kernel.release.clone(),
        btf: kernel.identity().map(|hash| format!("{hash:016x}")),
    }
}

/// What there is to tell of an object's programs of class **not abi**; nothing where it has none, or where the kernel is theirs.
pub fn foreign(object: &Object<'_>, ubpf: &Ubpf, kernel: &Kernel) -> Option<Foreign> {
    let depends = ubpf.programs.iter().filter(|program| program.class == Class::NotAbi);
    let programs: Vec<_> = depends.map(|program| dependent(object, program)).collect();
    if programs.is_empty() {
        return None;
    }
    let kinship = match &ubpf.compiled_for {
        Some(compiled_for) => kinship(compiled_for, kernel)?,
        None => Kinship::Untold,
    };
    Some(Foreign { kinship, compiled_for: ubpf.compiled_for.clone(), programs })
}

/// How a kernel stands to another; nothing where it is the same one. Its types tell, and where one has none, its release.
fn kinship(compiled_for: &CompiledFor, kernel: &Kernel) -> Option<Kinship> {
    let btf = |hash: &String| Some((hash.clone(), format!("{:016x}", kernel.identity()?)));
    let release = |ours: &String| Some((ours.clone(), kernel.release.clone()?));
    let btf = compiled_for.btf.as_ref().and_then(btf);
    match btf.or_else(|| compiled_for.release.as_ref().and_then(release)) {
        Some((ours, theirs)) => (ours != theirs).then_some(Kinship::Other),
        None => Some(Kinship::Unknown),
    }
}

fn dependent(object: &Object<'_>, program: &Program) -> Dependent {
    let culprit = program.culprit.as_ref().map(|culprit| {
        let (file, line, col) = (culprit.at.file.clone(), culprit.at.line, culprit.at.col);
        let at = Place { file, line, col, text: String::new() };
        (record::quoted(object, at), culprit.why.clone())
    });
    Dependent { name: program.name.clone(), culprit }
}
