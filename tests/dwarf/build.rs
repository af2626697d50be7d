//! C files, compiled on the spot.

use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::kernel::dwarf::{Bytes, Companions};

/// A folder with what a compiler made.
pub(crate) struct Built {
    pub(crate) folder: tempfile::TempDir,
}

impl Built {
    pub(crate) fn new() -> Built {
        Built { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs a command in the folder; whether it succeeded.
    pub(crate) fn run(&self, command: &str) -> bool {
        let mut words = command.split_whitespace();
        let mut run = Command::new(words.next().unwrap());
        let output = run.args(words).current_dir(self.folder.path()).output();
        output.is_ok_and(|output| output.status.success())
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The files of the folder, for what refers to them.
    pub(crate) fn files(&self) -> Folder {
        Folder(self.folder.path().to_owned())
    }
}

/// Split files and packages in a folder.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Companions for Folder {
    fn split(&self, folder: &str, name: &str) -> Option<Bytes> {
        let bytes = std::fs::read(self.0.join(Path::new(folder).join(name))).ok()?;
        Some(Box::new(bytes))
    }

    fn package(&self) -> Option<Bytes> {
        let bytes = std::fs::read(self.0.join("all.dwp")).ok()?;
        Some(Box::new(bytes))
    }
}
