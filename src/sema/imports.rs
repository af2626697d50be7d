//! Imports: a script and everything it imports, each file parsed once.
//!
//! In: the script's file, and an [`Importer`] that finds the text behind a path. Out: the parsed files, imported ones before those that
//! import them, and diagnostics. Invariant: no file is there twice, and no chain of imports leads back to its start.

use super::suggest::nearest;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, MAX_FILE_BYTES, Origin, Sources, Span};
use crate::syntax::ast::{ItemKind, StrLit};
use crate::syntax::{self, Parsed};
use crate::uapi;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// How deep imports may be nested.
const MAX_DEPTH: usize = 32;
/// How many files one compilation may have.
const MAX_FILES: usize = 512;

/// Finds imported files. The stages of the compiler do no I/O: what reads folders is given to them as one of these.
pub trait Importer {
    /// The file behind `path`, as `import "path";` in the file `importing` means it; otherwise why there is none, as a clause.
    fn find(&mut self, path: &str, importing: FileId, sources: &Sources) -> Result<Found, String>;
}

/// An imported file's text.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name to show, which is also the file's identity: two paths that lead to one file give one name.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Finds the library's files, and no others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Library;

impl Importer for Library {
    fn find(&mut self, path: &str, _: FileId, _: &Sources) -> Result<Found, String> {
        let text = uapi::text(path).ok_or("the library has no such file")?;
        Ok(Found { name: format!("uapi/{path}.ub"), text: text.to_owned(), origin: Origin::Uapi })
    }
}

/// A file of a compilation, parsed.
#[derive(Debug)]
pub struct LoadedFile {
    /// The file.
    pub file: FileId,
    /// Its tree and comments.
    pub parsed: Parsed,
}

/// Parses `root` and everything it imports, and the library's files named in `extra`, which the script needs without saying so.
pub fn load(
    sources: &mut Sources,
    root: FileId,
    importer: &mut dyn Importer,
    extra: &[&str],
) -> (Vec<LoadedFile>, Diags) {
    let mut loader = Loader {
        sources,
        importer,
        seen: IndexMap::default(),
        files: Vec::new(),
        diags: Diags::new(),
    };
    for path in extra {
        let path = StrLit { value: (*path).into(), span: Span::new(root, 0, 0) };
        loader.import(&path, root, 0);
    }
    let name = loader.sources.file(root).name.clone();
    loader.seen.insert(name.clone(), State::Open);
    loader.file(root, &name, 0);
    (loader.files, loader.diags)
}

/// How far a file has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its imports are being loaded.
    Open,
    /// It is in the list.
    Done,
}

struct Loader<'a> {
    sources: &'a mut Sources,
    importer: &'a mut dyn Importer,
    /// Files by name, in the order in which they were met.
    seen: IndexMap<String, State, FxBuildHasher>,
    files: Vec<LoadedFile>,
    diags: Diags,
}

impl Loader<'_> {
    fn file(&mut self, file: FileId, name: &str, depth: usize) {
        let (parsed, diags) = syntax::parse(self.sources, file);
        self.diags.extend(diags);
        let imports = parsed.file.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Import(path) => Some(path),
            _ => None,
        });
        for path in imports {
            self.import(path, file, depth);
        }
        self.files.push(LoadedFile { file, parsed });
        if let Some(state) = self.seen.get_mut(name) {
            *state = State::Done;
        }
    }

    fn import(&mut self, path: &StrLit, importing: FileId, depth: usize) {
        let found = match self.importer.find(&path.value, importing, self.sources) {
            Ok(found) => found,
            Err(why) => return self.diags.push(not_found(path, &why)),
        };
        match self.seen.get(&found.name) {
            Some(State::Done) => return,
            Some(State::Open) => return self.diags.push(self.cycle(path, &found.name)),
            None => {}
        }
        if let Some(problem) = self.limit(&found, depth) {
            return self.diags.push(Diagnostic::new(Code::E0105, path.span, problem));
        }
        let file = self.sources.add(found.name.clone(), found.text, found.origin);
        self.seen.insert(found.name.clone(), State::Open);
        self.file(file, &found.name, depth + 1);
    }

    fn limit(&self, found: &Found, depth: usize) -> Option<String> {
        if depth >= MAX_DEPTH {
            return Some(format!("imports are nested more than {MAX_DEPTH} deep"));
        }
        if self.seen.len() >= MAX_FILES {
            return Some(format!("a script can have at most {MAX_FILES} files"));
        }
        let bytes = found.text.len();
        (bytes > MAX_FILE_BYTES).then(|| {
            format!("`{}` has {bytes} bytes; at most {MAX_FILE_BYTES} are read", found.name)
        })
    }

    /// The chain of files from `name` back to itself.
    fn cycle(&self, path: &StrLit, name: &str) -> Diagnostic {
        let open = self
            .seen
            .iter()
            .filter(|(_, state)| **state == State::Open)
            .map(|(name, _)| name.as_str());
        let mut chain: Vec<&str> = open.skip_while(|open| *open != name).collect();
        let message = if chain.len() == 1 {
            format!("`{name}` imports itself")
        } else {
            format!("`{name}` is imported by a file that it imports")
        };
        chain.push(name);
        Diagnostic::new(Code::E0104, path.span, message)
            .label("this import leads back")
            .note(format!("the chain is {}", chain.join(" → ")))
            .help("move what both need into a file of its own")
    }
}

fn not_found(path: &StrLit, why: &str) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::E0103, path.span, format!("cannot import `{}`: {why}", path.value));
    let is_file = path.value.contains('/') || path.value.contains('.');
    if let Some(near) = nearest(&path.value, uapi::names()) {
        return diagnostic.fix(format!("did you mean `{near}`?"), path.span, format!("\"{near}\""));
    }
    if is_file {
        return diagnostic;
    }
    let names: Vec<&str> = uapi::names().collect();
    diagnostic
        .note(format!("the library has {}", names.join(", ")))
        .help("a file of your own is imported by a path that begins with `./`, or found in a folder given by `-I`")
}
