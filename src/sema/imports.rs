//! Imports: a script and everything it imports, each file parsed once.
//!
//! In: the script's file, and an [`Importer`] that finds the text behind a path. Out: the parsed files, imported ones before those that
//! import them, and diagnostics. Invariant: no file is there twice, and no chain of imports leads back to its start.

use super::suggest::nearest;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, MAX_FILE_BYTES, Origin, Sources, Span};
use crate::syntax::ast::{File, ItemKind, StrLit};
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

/// Which file of the library a file needs without saying so, if any.
pub type Implied = fn(&File) -> Option<&'static str>;

/// Parses `root` and everything it imports.
pub fn load(
    sources: &mut Sources,
    root: FileId,
    importer: &mut dyn Importer,
    implied: Implied,
) -> (Vec<LoadedFile>, Diags) {
    let mut loader = Loader {
        sources,
        importer,
        implied,
        seen: IndexMap::default(),
        files: Vec::new(),
        diags: Diags::new(),
    };
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
    implied: Implied,
    /// Files by name, in the order in which they were met.
    seen: IndexMap<String, State, FxBuildHasher>,
    files: Vec<LoadedFile>,
    diags: Diags,
}

impl Loader<'_> {
    fn file(&mut self, file: FileId, name: &str, depth: usize) {
        let (parsed, diags) = syntax::parse(self.sources, file);
        self.diags.extend(diags);
        if let Some(path) = (self.implied)(&parsed.file) {
            let path = StrLit { value: path.into(), span: Span::new(file, 0, 0) };
            self.import(&path, file, depth);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by name; a path is the file's name.
    struct Files(Vec<(String, String)>);

    impl Importer for Files {
        fn find(&mut self, path: &str, _: FileId, _: &Sources) -> Result<Found, String> {
            let file = self.0.iter().find(|(name, _)| name == path);
            let (name, text) = file.ok_or("there is no such file")?.clone();
            Ok(Found { name, text, origin: Origin::User })
        }
    }

    fn load_all(files: &[(&str, &str)]) -> (Vec<String>, Vec<(Code, String)>) {
        let owned = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let mut files = Files(owned.collect());
        let mut sources = Sources::new();
        let (name, text) = files.0[0].clone();
        let root = sources.add(name, text, Origin::User);
        let (loaded, diags) = load(&mut sources, root, &mut files, |_| None);
        let names = loaded.iter().map(|f| sources.file(f.file).name.clone()).collect();
        (names, diags.sorted().iter().map(|d| (d.code, d.message.clone())).collect())
    }

    #[test]
    fn imported_files_come_first_and_once() {
        let (names, diags) = load_all(&[
            ("root", "import \"a\"; import \"b\";"),
            ("a", "import \"b\"; const A = 1;"),
            ("b", "const B = 1;"),
        ]);
        assert_eq!(names, ["b", "a", "root"]);
        assert_eq!(diags, []);
    }

    #[test]
    fn circles_are_told_once() {
        let (names, diags) = load_all(&[
            ("root", "import \"a\";"),
            ("a", "import \"b\";"),
            ("b", "import \"a\"; const B = 1;"),
        ]);
        assert_eq!(names, ["b", "a", "root"]);
        assert_eq!(diags, [(Code::E0104, "`a` is imported by a file that it imports".to_owned())]);
        let (_, diags) = load_all(&[("root", "import \"root\"; const R = 1;")]);
        assert_eq!(diags, [(Code::E0104, "`root` imports itself".to_owned())]);
    }

    #[test]
    fn depth_and_number_are_limited() {
        let chain: Vec<(String, String)> = (0..50)
            .map(|i| (format!("f{i}"), format!("import \"f{}\"; const C{i} = 1;", i + 1)))
            .collect();
        let chain: Vec<(&str, &str)> =
            chain.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let (names, diags) = load_all(&chain);
        assert_eq!(names.len(), MAX_DEPTH + 1);
        assert_eq!(
            diags,
            [(Code::E0105, format!("imports are nested more than {MAX_DEPTH} deep"))]
        );
        let many: Vec<String> = (0..MAX_FILES + 5).map(|i| format!("import \"f{i}\";")).collect();
        let mut files = vec![("root".to_owned(), many.concat())];
        files.extend((0..MAX_FILES + 5).map(|i| (format!("f{i}"), "const C = 1;".to_owned())));
        let files: Vec<(&str, &str)> =
            files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let (names, diags) = load_all(&files);
        assert_eq!(names.len(), MAX_FILES);
        assert!(diags.iter().all(|(code, _)| *code == Code::E0105) && !diags.is_empty());
    }
}
