//! Files: scripts and imports in, objects out.

use super::Exit;
use crate::btf;
use crate::sema::imports::{Found, Importer, Library};
use crate::source::{FileId, MAX_FILE_BYTES, Origin, Sources};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Why a file cannot be had: the status to exit with, and what to say.
pub(super) type Unreadable = (Exit, String);

/// The largest object that is read, in bytes.
const MAX_OBJECT_BYTES: usize = 64 << 20;

/// The text of a script; `-` is standard input.
pub(super) fn read_script(path: &Path) -> Result<String, Unreadable> {
    let name = shown(path);
    text(read(path, MAX_FILE_BYTES, "a script")?, &name)
}

/// The bytes of an atlas.
pub(super) fn read_atlas(path: &Path) -> Result<Vec<u8>, Unreadable> {
    read(path, MAX_OBJECT_BYTES, "an atlas")
}

/// The bytes of an object; `-` is standard input.
pub(super) fn read_object(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let bytes = read(path, MAX_OBJECT_BYTES, "an object")?;
    let text = || !bytes.is_empty() && str::from_utf8(&bytes).is_ok();
    let mistaken = if btf::byte_order(&bytes).is_ok() {
        "is BTF, the types of a kernel: give it with `--kernel`"
    } else if text() {
        "is text, not an object; a script is compiled first: `ubpfc FILE.ub -o prog.o`"
    } else {
        return Ok(bytes);
    };
    Err((Exit::Input, format!("{} {mistaken}", shown(path))))
}

/// The bytes of an object, or the text of a script, whichever the file is; `-` is standard input.
pub(super) fn read_any(path: &Path) -> Result<Result<Vec<u8>, String>, Unreadable> {
    let bytes = read(path, MAX_OBJECT_BYTES, "a script or an object")?;
    let name = shown(path);
    if bytes.starts_with(b"\x7fELF") {
        return Ok(Ok(bytes));
    }
    if btf::byte_order(&bytes).is_ok() {
        let why = "is BTF, the types of a kernel: give it with `--kernel`";
        return Err((Exit::Input, format!("{name} {why}")));
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err((Exit::Input, format!("{name} is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    text(bytes, &name).map(Err)
}

/// What to call a file that is read.
pub(super) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

/// The bytes of a file that is not larger than `limit`.
fn read(path: &Path, limit: usize, wanted: &str) -> Result<Vec<u8>, Unreadable> {
    let name = shown(path);
    let unreadable = |e: std::io::Error| (Exit::Usage, format!("cannot read {name}: {e}"));
    let mut bytes = Vec::new();
    let mut read_from =
        |reader: &mut dyn Read| reader.take(limit as u64 + 1).read_to_end(&mut bytes);
    if path == Path::new("-") {
        read_from(&mut std::io::stdin()).map_err(unreadable)?;
    } else {
        let mut file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err((Exit::Usage, format!("{name} is a folder; name {wanted}")));
        }
        read_from(&mut file).map_err(unreadable)?;
    }
    if bytes.len() > limit {
        return Err((Exit::Input, format!("{name} is larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>, name: &str) -> Result<String, Unreadable> {
    if bytes.starts_with(b"\x7fELF") {
        let what = "is an object, not a script: `ubpfc inspect` and `ubpfc relocate` take it";
        return Err((Exit::Input, format!("{name} {what}")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = String::from_utf8_lossy(&e.as_bytes()[..valid]).lines().count().max(1);
        (Exit::Input, format!("{name} is not UTF-8: byte {valid}, line {line}; save it as UTF-8"))
    })
}

/// Imports from the embedded library, from beside the importing file (`"./x.ub"`), and from `-I` folders.
pub(super) struct FileImporter {
    /// The `-I` folders in order.
    pub(super) folders: Vec<PathBuf>,
    /// The library.
    pub(super) library: Library,
}

impl Importer for FileImporter {
    fn find(&mut self, path: &str, importing: FileId, sources: &Sources) -> Result<Found, String> {
        if path.starts_with("./") || path.starts_with("../") {
            let beside = Path::new(&sources.file(importing).name)
                .parent()
                .unwrap_or(Path::new(""))
                .join(path);
            return read_import(&beside);
        }
        let not_there = match self.library.find(path, importing, sources) {
            Ok(found) => return Ok(found),
            Err(why) => why,
        };
        let file_name = if Path::new(path).extension().is_some_and(|e| e == "ub") {
            path.to_owned()
        } else {
            format!("{path}.ub")
        };
        let in_folders = self.folders.iter().map(|folder| folder.join(&file_name));
        in_folders
            .into_iter()
            .find(|candidate| candidate.is_file())
            .map_or(Err(not_there), |f| read_import(&f))
    }
}

fn read_import(path: &Path) -> Result<Found, String> {
    let text = read_script(path).map_err(|(_, why)| why)?;
    let clean: PathBuf = path.components().collect();
    Ok(Found { name: clean.display().to_string(), text, origin: Origin::User })
}

/// Whether two paths lead to one file that is there.
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Writes a product whole or not at all: into a new file beside it, which then takes its name. A link stays a link; a path that is no regular file is
/// written to.
pub(super) fn write_product(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        if path.is_dir() {
            bail!("{}: it is a folder", failed());
        }
        let mut file = OpenOptions::new().write(true).open(path).with_context(failed)?;
        return file.write_all(bytes).with_context(failed);
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().with_context(failed)?);
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What went wrong is reported; that the rest could not be removed either would only hide it.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(failed)
}

/// Writes to standard output.
pub(super) fn write_stdout(bytes: &[u8]) -> Result<()> {
    write_all(std::io::stdout().lock(), bytes)
}

/// Writes text with ANSI sequences to standard output, which are taken out where they are not wanted.
pub(super) fn print_text(text: &str) -> Result<()> {
    write_all(anstream::AutoStream::auto(std::io::stdout().lock()), text.as_bytes())
}

/// Writes text with ANSI sequences to standard error. That nobody reads it is no reason to fail.
pub(super) fn note(text: &str) {
    let _ = anstream::AutoStream::auto(std::io::stderr().lock()).write_all(text.as_bytes());
}

/// Writes a JSON document to standard output.
pub(super) fn print_json(document: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    write_stdout(text.as_bytes())
}

/// A reader that has gone away is no error.
fn write_all(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}
