//! A file whose types are BTF already: a raw one, or a section of an ELF file.

use super::{FileBytes, Form, KernelError, Source, SourceTypes};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// BTF that stands in a file.
#[derive(Debug)]
pub struct BtfSource {
    /// The file.
    pub file: Arc<FileBytes>,
    /// Where in it the BTF is.
    pub range: Range<usize>,
    /// Whether its types go on where those of the kernel image end.
    pub split: bool,
    /// The size of a pointer in bytes, where the file says it.
    pub pointer_size: Option<u32>,
}

impl BtfSource {
    /// A file that is nothing but BTF.
    pub fn raw(file: FileBytes, split: bool) -> BtfSource {
        let range = 0..file.len();
        BtfSource { file: Arc::new(file), range, split, pointer_size: None }
    }
}

impl Source for BtfSource {
    fn types(&self, _: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        Ok(SourceTypes {
            btf: Cow::Borrowed(self.file.get(self.range.clone()).unwrap_or_default()),
            split: self.split,
            pointer_size: self.pointer_size,
        })
    }

    fn form(&self) -> Form {
        Form::Btf
    }
}
