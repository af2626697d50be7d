//! Libraries and locks: the embedded ones, and those of files and folders.

use crate::cli::Exit;
use crate::cli::files::{self, read_script};
use crate::cli::messages::{Findings, Stop};
use crate::library::{Library, Lock};
use crate::sema::imports::{self, Found, Importer};
use crate::source::{FileId, Origin, Sources};
use anyhow::anyhow;
use std::path::{Path, PathBuf};

/// The library of a folder, or the embedded one; with what finds its files.
pub(super) fn library(folder: Option<&Path>) -> Result<(Library, Box<dyn Importer>), Stop> {
    let Some(folder) = folder else {
        return Ok((Library::embedded(), Box::new(imports::Library)));
    };
    let names = names(folder)?;
    if names.is_empty() {
        Err(anyhow!("{} has no `.ub` file", folder.display()))?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut importer = Folder(folder.to_owned());
    let mut sources = Sources::new();
    let (library, diags) = Library::read(&mut sources, &names, &mut importer);
    if diags.has_errors() {
        return Err(Stop::new(Exit::Input, Findings { sources, diags }));
    }
    Ok((library, Box::new(importer)))
}

/// The names of the `.ub` files in a folder, sorted.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = |error| anyhow!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "ub")
            && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What a lock, or the library in a folder, promises.
pub(super) fn promises(path: &Path) -> Result<Lock, Stop> {
    if path.is_dir() {
        return Ok(Lock::of(&library(Some(path))?.0));
    }
    lock(path)
}

/// What a lock says.
pub(super) fn lock(path: &Path) -> Result<Lock, Stop> {
    let mut sources = Sources::new();
    let file = sources.add(files::shown(path), read_script(path)?, Origin::User);
    Lock::parse(&sources, file).map_err(|diags| Stop::new(Exit::Input, Findings { sources, diags }))
}

/// Finds the files of a folder, which promise what a library does, and no others.
struct Folder(PathBuf);

impl Importer for Folder {
    fn find(&mut self, path: &str, _: FileId, _: &Sources) -> Result<Found, String> {
        let file = self.0.join(format!("{path}.ub"));
        if path.contains(['/', '\\']) || !file.is_file() {
            return Err(format!("{} has no such file", self.0.display()));
        }
        let text = read_script(&file).map_err(|(_, why)| why)?;
        Ok(Found { name: file.display().to_string(), text, origin: Origin::Uapi })
    }
}
