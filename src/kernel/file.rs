//! The bytes of a file: mapped where the file can be mapped, otherwise read.
//!
//! In: a path. Out: its bytes, which are not copied where the system can lend them: a vmlinux with DWARF has hundreds of megabytes, of which few are looked at.

#![expect(unsafe_code, reason = "mapping a file is unsafe")]
#![expect(clippy::disallowed_methods, reason = "kernel files are opened here, and only here")]

use super::KernelError;
use memmap2::{Mmap, MmapOptions, UncheckedAdvice};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// How many bytes are read of a file that cannot be mapped, and how many a compressed one may have when it is unpacked. A kernel with BTF has up to about 100 MB.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// The bytes of a file, shared by who holds them.
#[derive(Clone, Debug)]
pub struct FileBytes(Arc<Bytes>);

#[derive(Debug)]
enum Bytes {
    /// Mapped into memory.
    Mapped(Mmap),
    /// Read, or unpacked.
    Owned(Vec<u8>),
}

impl FileBytes {
    /// Maps the file, or reads it: pipes cannot be mapped, nor can `/sys/kernel/btf` before Linux 6.16.
    pub fn open(path: &Path) -> Result<FileBytes, KernelError> {
        let failed = |error| KernelError::Io { path: path.display().to_string(), error };
        let file = File::open(path).map_err(failed)?;
        let known = file.metadata().map_err(failed)?;
        if known.is_dir() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        if let Some(mapped) = FileBytes::mapped(&file, &known) {
            return Ok(mapped);
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if read as u64 > MAX_BYTES {
            return Err(failed(ErrorKind::FileTooLarge.into()));
        }
        Ok(bytes.into())
    }

    /// Maps the file; none if it cannot be mapped.
    pub fn map(path: &Path) -> Option<FileBytes> {
        let file = File::open(path).ok()?;
        let known = file.metadata().ok()?;
        FileBytes::mapped(&file, &known)
    }

    fn mapped(file: &File, known: &Metadata) -> Option<FileBytes> {
        // Files of procfs and tracefs say that they are empty.
        if !known.is_file() || known.len() == 0 {
            return None;
        }
        // SAFETY: The bytes are only read. Who shortens a file while it is mapped ends the process that reads it with a signal, but nobody rewrites a kernel's file in place: packages and
        // builds put a new file in its stead, and the kernel's own files do not change.
        // A private mapping: `/sys/kernel/btf/vmlinux` has no other (v6.18 kernel/bpf/sysfs_btf.c: btf_sysfs_vmlinux_mmap).
        let map = unsafe { MmapOptions::new().map_copy_read_only(file) };
        Some(FileBytes(Arc::new(Bytes::Mapped(map.ok()?))))
    }

    /// Whether the bytes are the file's own, and not a copy.
    pub fn is_mapped(&self) -> bool {
        matches!(&*self.0, Bytes::Mapped(_))
    }

    /// Says that this part will hardly be read again, so that the system can have its memory back. Reading it nevertheless costs time and nothing else.
    pub fn done_with(&self, part: &[u8]) {
        let Bytes::Mapped(map) = &*self.0 else { return };
        let Some(start) = part.as_ptr().addr().checked_sub(map.as_ptr().addr()) else { return };
        if start + part.len() <= map.len() {
            // SAFETY: The pages are those of a file and have never been written to: what is dropped is read from the file again when it is touched.
            let _ =
                unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, part.len()) };
        }
    }
}

impl From<Vec<u8>> for FileBytes {
    fn from(bytes: Vec<u8>) -> FileBytes {
        FileBytes(Arc::new(Bytes::Owned(bytes)))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
