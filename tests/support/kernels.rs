//! The types of real kernels: those of `testdata/kernels`, and those of the folder that `UBPFC_KERNELS` names.
//!
//! A kernel is unpacked when its bytes are first asked for, and kept.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

/// A kernel, or a module of one.
#[derive(Debug)]
pub struct KernelTypes {
    /// The name of the file without extensions: `x86_64-6.1.0-50-cloud-amd64`; of a module `KERNEL--MODULE`.
    pub name: String,
    /// The packed file.
    pub path: PathBuf,
    bytes: OnceLock<Vec<u8>>,
}

impl KernelTypes {
    /// The bytes of its BTF.
    ///
    /// # Panics
    /// Where the file cannot be unpacked.
    pub fn btf(&self) -> &[u8] {
        self.bytes.get_or_init(|| {
            let file = std::fs::File::open(&self.path).unwrap();
            let mut bytes = Vec::new();
            let mut stream = liblzma::read::XzDecoder::new(file);
            std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
            bytes
        })
    }

    /// The size of its pointers.
    pub fn pointer_size(&self) -> u32 {
        if self.name.starts_with("i386") || self.name.starts_with("armv7") { 4 } else { 8 }
    }

    /// The kernel and the module, if it is one.
    pub fn module(&self) -> Option<(&str, &str)> {
        self.name.split_once("--")
    }
}

static ALL: LazyLock<(Vec<KernelTypes>, Vec<KernelTypes>)> = LazyLock::new(|| {
    let mut folders = vec![super::package("testdata/kernels")];
    if let Some(more) = std::env::var_os("UBPFC_KERNELS") {
        folders.extend([PathBuf::from(&more), Path::new(&more).join("modules")]);
    }
    let mut found: Vec<KernelTypes> = Vec::new();
    for folder in folders {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".btf.xz") else { continue };
            if !found.iter().any(|kernel| kernel.name == name) {
                found.push(KernelTypes { name: name.to_owned(), path, bytes: OnceLock::new() });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.into_iter().partition(|kernel| kernel.module().is_none())
});

/// Every kernel, in the order of names.
pub fn all() -> &'static [KernelTypes] {
    &ALL.0
}

/// Every module, in the order of names.
pub fn modules() -> &'static [KernelTypes] {
    &ALL.1
}

/// The kernel or module of that name.
///
/// # Panics
/// Where there is none.
pub fn named(name: &str) -> &'static KernelTypes {
    let mut both = all().iter().chain(modules());
    both.find(|kernel| kernel.name == name).unwrap_or_else(|| panic!("no kernel {name}"))
}
