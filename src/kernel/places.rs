//! Where a system keeps files of its kernels.
//!
//! In: a root folder, that of the system unless a test says otherwise. Out: the running kernel's release, and the places where its types, its modules and files with debugging information may be.

#![expect(clippy::disallowed_methods, reason = "small files of the system are looked for here")]

use flate2::Crc;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows its own types, and those of its modules.
const SYSFS: &str = "sys/kernel/btf";

/// Where an image of the running kernel may be; `*` stands for its release. Those that are read fastest come first: with BTF, not packed, with DWARF only.
const IMAGES: &[&str] = &[
    "boot/vmlinux-*",
    "lib/modules/*/vmlinux",
    "lib/modules/*/build/vmlinux",
    "boot/vmlinuz-*",
    "lib/modules/*/vmlinuz",
    "usr/lib/debug/boot/vmlinux-*",
    "usr/lib/debug/boot/vmlinux-*.debug",
    "usr/lib/debug/lib/modules/*/vmlinux",
    "usr/lib/debug/lib/modules/*/vmlinux.debug",
];

/// Where modules of the running kernel may be. Those with debugging information come first.
const MODULES: &[&str] = &["usr/lib/debug/lib/modules/*", "lib/modules/*"];

/// How deep modules are below these folders (`kernel/drivers/net/ethernet/intel/…`).
const DEPTH: usize = 12;

/// A system's folders.
#[derive(Clone, Debug)]
pub struct Places {
    /// What all other paths are below.
    pub root: PathBuf,
    /// Where files with debugging information are, by build id or as they are in the system.
    pub debug: Vec<PathBuf>,
}

impl Default for Places {
    fn default() -> Places {
        Places::below(Path::new("/"))
    }
}

impl Places {
    /// The folders of a system whose root is there.
    pub fn below(root: &Path) -> Places {
        Places { root: root.to_owned(), debug: vec![root.join("usr/lib/debug")] }
    }

    /// The release of the running kernel, as `uname -r` prints it.
    pub(super) fn release(&self) -> Option<String> {
        let text = fs::read_to_string(self.root.join("proc/sys/kernel/osrelease")).ok()?;
        Some(text.trim().to_owned()).filter(|release| !release.is_empty() && !release.contains('/'))
    }

    /// The types that the kernel shows of itself.
    pub fn sysfs_image(&self) -> PathBuf {
        self.root.join(SYSFS).join("vmlinux")
    }

    /// The types that the kernel shows of its modules, by name.
    pub(super) fn sysfs_modules(&self) -> Vec<PathBuf> {
        let mut modules = entries(&self.root.join(SYSFS));
        modules.retain(|path| path.file_name().is_some_and(|name| name != "vmlinux"));
        modules
    }

    /// Where an image of the kernel of that release may be.
    pub(super) fn images(&self, release: &str) -> Vec<PathBuf> {
        IMAGES.iter().map(|place| self.root.join(place.replace('*', release))).collect()
    }

    /// The file of a module of the kernel of that release.
    pub(super) fn module(&self, release: &str, name: &str) -> Option<PathBuf> {
        let folders = MODULES.iter().map(|place| self.root.join(place.replace('*', release)));
        folders.into_iter().find_map(|folder| {
            find(&folder, DEPTH, &|path| {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                file.contains(".ko") && module_name(path) == name
            })
        })
    }

    /// Where the file with the debugging information of another may be.
    pub(super) fn debug_files(
        &self,
        file: &Path,
        build_id: Option<&[u8]>,
        link: Option<&str>,
    ) -> Vec<PathBuf> {
        let mut places = Vec::new();
        if let Some((first, rest)) = build_id.and_then(<[u8]>::split_first) {
            let mut below = format!(".build-id/{first:02x}/");
            for byte in rest {
                let _ = write!(below, "{byte:02x}");
            }
            below.push_str(".debug");
            places.extend(self.debug.iter().map(|root| root.join(&below)));
        }
        if let Some(link) = link {
            let folder = file.parent().unwrap_or(Path::new(""));
            places.push(folder.join(link));
            places.push(folder.join(".debug").join(link));
            let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            let below = whole.strip_prefix(&self.root).unwrap_or(&whole);
            let below = below.strip_prefix("/").unwrap_or(below);
            places.extend(self.debug.iter().map(|root| root.join(below).join(link)));
        }
        places
    }
}

/// A module's name: that of its file up to the first point, as the kernel spells it.
pub(super) fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(".ko")
        .next()
        .unwrap_or_default()
        .split(".btf")
        .next()
        .unwrap_or_default()
        .replace('-', "_")
}

/// What is in a folder, in the order of names.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The first file below a folder that is wanted; links are not followed.
fn find(folder: &Path, depth: usize, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir() && !path.is_symlink());
    let here = files.into_iter().find(|path| wanted(path));
    here.or_else(|| {
        let depth = depth.checked_sub(1)?;
        folders.iter().find_map(|folder| find(folder, depth, wanted))
    })
}

/// The checksum that `.gnu_debuglink` has of the file it names.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
