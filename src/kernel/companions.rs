//! Files that debugging information refers to, found beside the file that refers to them and where the system keeps them.

use super::dwarf::{Bytes, Companions};
use super::{FileBytes, Places};
use std::path::{Path, PathBuf};

/// The companions of one file.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) places: Places,
    pub(super) path: PathBuf,
    pub(super) file: FileBytes,
}

impl Beside {
    /// The folder that the file is in.
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// The first of these files that is there. A file says which, so it must be one that can be mapped: what procfs and the like show would have to be read, without end perhaps.
fn first(paths: impl IntoIterator<Item = PathBuf>) -> Option<Bytes> {
    let path = paths.into_iter().find(|path| path.is_file())?;
    Some(Box::new(FileBytes::map(&path)?))
}

impl Companions for Beside {
    fn split(&self, folder: &str, name: &str) -> Option<Bytes> {
        // Where the build put it, or, if the files have been moved since, where they are now.
        let name = Path::new(name);
        let file = name.file_name()?;
        let built = Path::new(folder).join(name);
        first([built, self.folder().join(name), self.folder().join(file)])
    }

    fn package(&self) -> Option<Bytes> {
        let mut name = self.path.file_name()?.to_owned();
        name.push(".dwp");
        first([self.folder().join(name), self.path.with_extension("dwp")])
    }

    fn supplementary(&self, name: &str, build_id: &[u8]) -> Option<Bytes> {
        let mut places = self.places.debug_files(&self.path, Some(build_id), None);
        places.insert(0, self.folder().join(name));
        first(places)
    }

    fn done_with(&self, part: &[u8]) {
        self.file.done_with(part);
    }
}
