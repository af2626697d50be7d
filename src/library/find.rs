//! Finding: what a name stands for in a library.

use super::{Constant, Enum, Enumerator, Field, File, Library, Mirror, Tracepoint};
use crate::sema::suggest::nearest;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Item<'l> {
    /// A file: `task`.
    File(&'l File),
    /// A mirror: `task_struct_user`.
    Mirror(&'l Mirror),
    /// A field of a mirror: `task_struct_user.pid`.
    Field(&'l Mirror, &'l Field),
    /// An enum.
    Enum(&'l Enum),
    /// An enumerator of an enum.
    Enumerator(&'l Enum, &'l Enumerator),
    /// A constant.
    Constant(&'l Constant),
    /// A user tracepoint: `user:sched_switch`.
    Tracepoint(&'l Tracepoint),
}

impl Item<'_> {
    /// The name, as a script or `import` has it.
    pub fn name(&self) -> String {
        match self {
            Item::File(file) => file.name.clone(),
            Item::Mirror(mirror) => mirror.name.clone(),
            Item::Field(mirror, field) => format!("{}.{}", mirror.name, field.name),
            Item::Enum(of) => of.name.clone(),
            Item::Enumerator(_, enumerator) => enumerator.name.clone(),
            Item::Constant(constant) => constant.name.clone(),
            Item::Tracepoint(tracepoint) => format!("user:{}", tracepoint.name),
        }
    }

    /// What it is.
    pub fn doc(&self) -> Option<&str> {
        match self {
            Item::File(file) => file.doc.as_deref(),
            Item::Mirror(mirror) => mirror.doc.as_deref(),
            Item::Field(_, field) => field.doc.as_deref(),
            Item::Enum(of) => of.doc.as_deref(),
            Item::Enumerator(_, enumerator) => enumerator.doc.as_deref(),
            Item::Constant(constant) => constant.doc.as_deref(),
            Item::Tracepoint(tracepoint) => tracepoint.doc.as_deref(),
        }
    }

    /// The file that declares it.
    pub fn file(&self) -> &str {
        match self {
            Item::File(File { name, .. }) => name,
            Item::Mirror(Mirror { file, .. })
            | Item::Field(Mirror { file, .. }, _)
            | Item::Enum(Enum { file, .. })
            | Item::Enumerator(Enum { file, .. }, _)
            | Item::Constant(Constant { file, .. })
            | Item::Tracepoint(Tracepoint { file, .. }) => file,
        }
    }
}

impl Library {
    /// Everything that has a name: what a file declares after the file, and the parts of a whole after it.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.files.iter().flat_map(|file| {
            let of = move |name: &str| name == file.name;
            let mirrors = self.mirrors.iter().filter(move |mirror| of(&mirror.file));
            let mirrors = mirrors.flat_map(|mirror| {
                let fields = mirror.fields.iter().map(move |field| Item::Field(mirror, field));
                std::iter::once(Item::Mirror(mirror)).chain(fields)
            });
            let enums = self.enums.iter().filter(move |e| of(&e.file)).flat_map(|e| {
                let enumerators = e.enumerators.iter().map(move |one| Item::Enumerator(e, one));
                std::iter::once(Item::Enum(e)).chain(enumerators)
            });
            let constants = self.constants.iter().filter(move |c| of(&c.file));
            let tracepoints = self.tracepoints.iter().filter(move |t| of(&t.file));
            std::iter::once(Item::File(file))
                .chain(tracepoints.map(Item::Tracepoint))
                .chain(mirrors)
                .chain(enums)
                .chain(constants.map(Item::Constant))
        })
    }

    /// What a name stands for; a kernel struct's for the first of its mirrors.
    ///
    /// # Errors
    /// Where the library has not this name: one that is near, if there is one.
    pub fn find(&self, name: &str) -> Result<Item<'_>, Option<String>> {
        let mirror_of = || self.mirrors.iter().find(|mirror| mirror.kernel == name);
        let found = self.items().find(|item| item.name() == name);
        found.or_else(|| mirror_of().map(Item::Mirror)).ok_or_else(|| {
            let names: Vec<String> = self.items().map(|item| item.name()).collect();
            nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
        })
    }

    /// The library with nothing but what an item asks kernels about; all files are there, so that it still compiles.
    #[must_use]
    pub fn only(&self, item: &Item<'_>) -> Library {
        let mut only = Library { files: self.files.clone(), ..Library::default() };
        match item {
            Item::Mirror(mirror) => only.mirrors.push((*mirror).clone()),
            Item::Field(mirror, field) => {
                let fields = vec![(*field).clone()];
                only.mirrors.push(Mirror { fields, ..(*mirror).clone() });
            }
            Item::Enum(of) => only.enums.push((*of).clone()),
            Item::Enumerator(of, enumerator) => {
                let enumerators = vec![(*enumerator).clone()];
                only.enums.push(Enum { enumerators, ..(*of).clone() });
            }
            Item::Tracepoint(tracepoint) => only.tracepoints.push((*tracepoint).clone()),
            Item::File(_) | Item::Constant(_) => {}
        }
        only
    }
}
