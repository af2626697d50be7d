//! What kind of file a kernel is given as: told by what is in it, never by its name.

use super::elf::Elf;
use super::{BtfSource, FileBytes, Kernel, KernelError, Source, elf};
use crate::btf;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The running kernel's types.
const RUNNING: &str = "/sys/kernel/btf/vmlinux";

impl Kernel {
    /// Opens a kernel: `running`, or a file that has its types. `modules` are files of its modules.
    pub fn open(spec: &Path, modules: &[PathBuf]) -> Result<Kernel, KernelError> {
        let path = if spec == "running" { Path::new(RUNNING) } else { spec };
        let image = source(path, FileBytes::open(path)?, false)?;
        let mut opened = Vec::new();
        for module in modules {
            let source = source(module, FileBytes::open(module)?, true)?;
            opened.push((module_name(module), source));
        }
        Ok(Kernel { name: spec.display().to_string(), release: None, image, modules: opened })
    }
}

/// A module's name: that of its file up to the first point, as the kernel spells it.
fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

/// The types of a file.
fn source(path: &Path, file: FileBytes, split: bool) -> Result<Box<dyn Source>, KernelError> {
    if btf::byte_order(&file).is_ok() {
        return Ok(Box::new(BtfSource::raw(file, split)));
    }
    let none =
        |why: &str| KernelError::NoTypes { path: path.display().to_string(), why: why.to_owned() };
    if !file.starts_with(elf::MAGIC) {
        return Err(none("neither BTF nor an ELF file"));
    }
    let (range, pointer_size) = {
        let elf = Elf::parse(&file).ok_or_else(|| none("an ELF file whose headers are broken"))?;
        let btf = elf.section(".BTF").ok_or_else(|| none("an ELF file without types"))?;
        (btf.offset..btf.offset + btf.data.len(), elf.address_size)
    };
    let pointer_size = Some(pointer_size);
    Ok(Box::new(BtfSource { file: Arc::new(file), range, split, pointer_size }))
}
