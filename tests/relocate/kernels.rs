//! The kernels that answers are compared on: those of `testdata/kernels`, and those of the folder that `UBPFC_KERNELS` names.

#![expect(clippy::disallowed_methods, reason = "the environment names more kernels")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use ubpfc::btf::{Btf, Type};
use ubpfc::kernel::Target;
use ubpfc::target::Endian;

/// A kernel's types.
pub(crate) struct Kernel {
    /// The file's name without its endings: `x86_64-6.1.0-50-amd64`.
    pub(crate) name: String,
    /// A `.BTF` section.
    pub(crate) bytes: Vec<u8>,
}

impl Kernel {
    /// Its types, with the size of a pointer that it has.
    pub(crate) fn btf(&self) -> Btf<'_> {
        let mut btf = Btf::parse(&self.bytes).unwrap();
        btf.set_pointer_size(self.pointer_size());
        btf
    }

    /// Its byte order.
    pub(crate) fn endian(&self) -> Endian {
        self.btf().endian
    }

    /// The size of its pointers: that of `long`.
    fn pointer_size(&self) -> u32 {
        let btf = Btf::parse(&self.bytes).unwrap();
        let long = btf.ids().find_map(|id| match btf.get(id) {
            Ok(Type::Int { name: "long unsigned int" | "unsigned long", bytes, .. }) => Some(bytes),
            _ => None,
        });
        long.unwrap_or(8)
    }

    /// As a target.
    pub(crate) fn target(&self) -> Target<'_> {
        Target { image: Arc::new(self.btf()), modules: Vec::new() }
    }

    /// In a file, as loaders want it.
    pub(crate) fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.bytes).unwrap();
        file
    }
}

/// The files, by name: first the project's own, then those of the environment.
fn files() -> BTreeMap<String, PathBuf> {
    let more = std::env::var_os("UBPFC_KERNELS").map(PathBuf::from);
    let folders = [Some(super::support::package("testdata/kernels")), more];
    let entries = folders.into_iter().flatten().filter_map(|folder| std::fs::read_dir(folder).ok());
    let paths = entries.flatten().map(|entry| entry.unwrap().path());
    let named = paths.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".btf.xz")?.to_owned();
        // One of these files is split: it belongs to another.
        (!name.contains("--")).then_some((name, path))
    });
    named.collect()
}

fn read(name: &str, path: &PathBuf) -> Kernel {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    liblzma::read::XzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    Kernel { name: name.to_owned(), bytes }
}

/// What an unoptimised build looks at, which is slow: an old one and a new one, one with pointers of 4 bytes, a big-endian one.
const FEW: &[&str] = &["aarch64-5.10.0", "i386-6.1", "s390x-6.12", "x86_64-7.3.4+deb13-cloud"];

/// Every kernel, one after the other, or a few; with `UBPFC_KERNEL` only those whose name contains it.
pub(crate) fn all() -> impl Iterator<Item = Kernel> {
    let wanted = std::env::var("UBPFC_KERNEL").unwrap_or_default();
    let few = cfg!(debug_assertions) && std::env::var_os("UBPFC_KERNELS").is_none();
    let asked = move |name: &str| {
        name.contains(&wanted) && (!few || FEW.iter().any(|part| name.starts_with(part)))
    };
    let files = files().into_iter().filter(move |(name, _)| asked(name));
    files.map(|(name, path)| read(&name, &path))
}

/// The kernel whose name contains that.
pub(crate) fn named(part: &str) -> Option<Kernel> {
    files().iter().find(|(name, _)| name.contains(part)).map(|(name, path)| read(name, path))
}
