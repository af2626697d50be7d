//! A file whose types are BTF already: a raw one, a section of an ELF file, a part of a kernel's memory.

use super::{FileBytes, Form, KernelError, Source, SourceTypes};
use crate::btf;
use crate::bytes::{Reader, fnv1a};
use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;

/// BTF that stands in a file.
#[derive(Debug)]
pub struct BtfSource {
    /// Its bytes.
    pub btf: Part,
    /// What it goes on from, if it has that with it (`.BTF.base`).
    pub base: Option<Part>,
    /// The size of a pointer in bytes, where the file says it.
    pub pointer_size: Option<u32>,
}

/// A part of a file.
#[derive(Debug)]
pub struct Part {
    file: FileBytes,
    range: Range<usize>,
}

impl Part {
    /// Those bytes of the file; none that it does not have. Of a file that has been read or unpacked they are copied, so that the rest need not be kept.
    pub fn of(file: &FileBytes, range: Range<usize>) -> Part {
        if file.is_mapped() || range.len() == file.len() {
            return Part { file: file.clone(), range };
        }
        file.get(range).unwrap_or_default().to_vec().into()
    }

    fn bytes(&self) -> &[u8] {
        self.file.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Part {
    fn from(bytes: Vec<u8>) -> Part {
        Part { range: 0..bytes.len(), file: bytes.into() }
    }
}

impl BtfSource {
    /// BTF alone.
    pub fn new(btf: Part) -> BtfSource {
        BtfSource { btf, base: None, pointer_size: None }
    }

    /// A file that is nothing but BTF.
    pub fn raw(file: &FileBytes) -> BtfSource {
        BtfSource::new(Part::of(file, 0..file.len()))
    }
}

impl Source for BtfSource {
    fn types(&self, _: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let btf = self.btf.bytes();
        Ok(SourceTypes {
            btf: Cow::Borrowed(btf),
            base: self.base.as_ref().map(Part::bytes),
            split: is_split(btf),
            pointer_size: self.pointer_size,
        })
    }

    fn form(&self) -> Form {
        Form::Btf
    }

    fn identity(&self) -> Option<u64> {
        Some(fnv1a(self.btf.bytes()))
    }
}

/// The types that the running kernel shows of one of its modules: read when they are asked for.
#[derive(Debug)]
pub(super) struct LoadedModule {
    pub(super) path: PathBuf,
    pub(super) read: OnceLock<BtfSource>,
}

impl Source for LoadedModule {
    fn types(&self, names: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        if let Some(source) = self.read.get() {
            return source.types(names);
        }
        let source = BtfSource::raw(&FileBytes::open(&self.path)?);
        self.read.get_or_init(|| source).types(names)
    }

    fn form(&self) -> Form {
        Form::Btf
    }
}

/// Whether types and strings go on where others end. Strings that stand for themselves begin with the empty one; those of a module begin with a name, since the empty one is the image's.
pub(super) fn is_split(btf: &[u8]) -> bool {
    strings(btf).is_some_and(|strings| strings.first() != Some(&0))
}

/// The strings of BTF.
fn strings(btf: &[u8]) -> Option<&[u8]> {
    let (_, strings) = extent(btf)?;
    btf.get(strings)
}

/// Where types and strings are, counted from the start of the header.
pub(super) fn extent(btf: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let endian = btf::byte_order(btf).ok()?;
    let mut reader = Reader::new(endian, btf);
    reader.take(4)?; // magic, version, flags
    let mut word = || reader.u32().map(|word| word as usize);
    let header = word()?;
    let mut part = || {
        let start = header.checked_add(word()?)?;
        Some(start..start.checked_add(word()?)?)
    };
    Some((part()?, part()?))
}

/// The BTF in a kernel's memory as it is laid out, where no table says where it is: the largest piece that has a header, types, and behind them strings that begin and end as strings do.
pub(super) fn search(memory: &[u8]) -> Option<Range<usize>> {
    let magics = [&b"\x9f\xeb\x01\0"[..], &b"\xeb\x9f\x01\0"[..]];
    let starts = magics.into_iter().flat_map(|magic| memchr::memmem::find_iter(memory, magic));
    let piece = |start: usize| {
        let rest = memory.get(start..)?;
        let (types, strings) = extent(rest)?;
        let text = rest.get(strings.clone())?;
        let whole = text.len() > 1 && text.first() == Some(&0) && text.last() == Some(&0);
        (whole && types.start >= 24 && types.start < types.end && types.end <= strings.start)
            .then_some(start..start + strings.end)
    };
    starts.filter_map(piece).max_by_key(Range::len)
}
