//! Which programs run on which kernels.
//!
//! In: objects, read once, and kernels that are opened one after the other. Out: for every kernel and file what becomes of each program. Kernels are independent of each other, and looked at in
//! parallel; the answer does not depend on that.

use crate::atlas::{Atlas, Entry};
use crate::kernel::{Form, Kernel, KernelError};
use crate::object::ubpf::{Class, EventKind, Ubpf};
use crate::relocate::examine::{About, Covers};
use crate::relocate::{
    Asked, Examination, Foreign, Options, Refusal, RelocateError, Subject, examine,
    examine_excerpt, foreign,
};
use rayon::prelude::*;
use std::path::PathBuf;

/// A file that is checked: its objects for machines of either byte order, or the one that there is.
#[derive(Debug)]
pub struct File<'o> {
    /// What to call it.
    pub name: String,
    /// At least one; all have the same programs.
    pub objects: Vec<Subject<'o>>,
}

/// Where a kernel is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In files.
    File {
        /// What to call it.
        name: String,
        /// `running`, or its file.
        path: PathBuf,
        /// Files of its modules.
        modules: Vec<PathBuf>,
    },
    /// In an atlas, which is that of the files' [`Subject`]s.
    Atlas(&'static Atlas<'static>, Entry),
}

impl Place {
    /// What to call it.
    pub fn name(&self) -> &str {
        match self {
            Place::File { name, .. } => name,
            Place::Atlas(_, entry) => &entry.name,
        }
    }

    /// The architecture that its name begins with; the whole name where it does not say one.
    fn arch(&self) -> String {
        match self {
            Place::Atlas(_, entry) => entry.arch.clone(),
            Place::File { name, .. } => name.split('-').next().unwrap_or(name).to_owned(),
        }
    }

    fn open(&self) -> Result<Kernel, KernelError> {
        match self {
            Place::File { path, modules, .. } => Kernel::open(path, modules),
            Place::Atlas(atlas, entry) => atlas.open(entry).map_err(|error| KernelError::NoTypes {
                path: entry.name.clone(),
                why: error.to_string(),
            }),
        }
    }
}

impl Covers for Atlas<'_> {
    fn question(&self, asked: &Asked) -> bool {
        self.covers(asked)
    }

    fn event(&self, kind: EventKind, name: &str) -> bool {
        self.covers_event(kind, name)
    }
}

/// A kernel, and what becomes of the programs there.
#[derive(Debug)]
pub struct Row {
    /// What to call it.
    pub name: String,
    /// The architecture, as far as its name says it.
    pub arch: String,
    /// Its release, where its file says it.
    pub release: Option<String>,
    /// What becomes of each file, in the order of the files; why nothing is known, where the kernel cannot be read.
    pub result: Result<Vec<Cell>, KernelError>,
}

/// What becomes of a file's programs on a kernel: of each, or why of all.
#[derive(Debug)]
pub struct Cell {
    /// What the kernel's types are read from.
    pub form: Form,
    /// Programs that depend on a kernel which may be another.
    pub foreign: Option<Foreign>,
    /// The programs.
    pub result: Result<Examination, Refusal>,
}

/// Looks at every file on every kernel.
pub fn check(files: &[File<'_>], kernels: &[Place], options: Options) -> Vec<Row> {
    kernels.par_iter().map(|place| row(files, place, options)).collect()
}

fn row(files: &[File<'_>], place: &Place, options: Options) -> Row {
    let (name, arch) = (place.name().to_owned(), place.arch());
    let kernel = match place.open() {
        Ok(kernel) => kernel,
        Err(error) => return Row { name, arch, release: None, result: Err(error) },
    };
    let release = kernel.release.clone();
    let mut cells = Vec::new();
    for file in files {
        match on(file, &kernel, place, options) {
            Err(Refusal::Kernel(error)) => return Row { name, arch, release, result: Err(error) },
            result => {
                let foreign = file
                    .objects
                    .first()
                    .and_then(|subject| foreign(subject.object(), subject.ubpf()?, &kernel));
                cells.push(Cell { form: kernel.image.form(), foreign, result });
            }
        }
    }
    Row { name, arch, release, result: Ok(cells) }
}

/// What becomes of the object of the kernel's byte order; of the last one, if there is none.
fn on(
    file: &File<'_>,
    kernel: &Kernel,
    place: &Place,
    options: Options,
) -> Result<Examination, Refusal> {
    let examine = match place {
        Place::File { .. } => examine,
        Place::Atlas(..) => examine_excerpt,
    };
    let mut tried = file.objects.iter().map(|object| examine(object, kernel, options)).peekable();
    while let Some(result) = tried.next() {
        let other = matches!(&result, Err(Refusal::Plan(RelocateError::ByteOrder { .. })));
        if !other || tried.peek().is_none() {
            return result;
        }
    }
    let why = "it has no object".to_owned();
    Err(Refusal::Plan(RelocateError::Object(why)))
}

impl File<'_> {
    /// Its programs.
    pub fn programs(&self) -> &[About] {
        self.objects.first().map_or(&[], Subject::programs)
    }

    /// What one of our own says of itself.
    pub fn ubpf(&self) -> Option<&Ubpf> {
        self.objects.first().and_then(Subject::ubpf)
    }

    /// The lowest class of its programs; none of another compiler's object.
    pub fn class(&self) -> Option<Class> {
        self.programs().iter().map(|about| about.class).max().flatten()
    }
}
