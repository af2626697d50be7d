//! What bytes from outside go through. Each target takes any bytes: it must end, without a panic, in bounded memory.

use std::path::Path;
use ubpfc::btf::{self, Btf};
use ubpfc::kernel::{Kernel, Target};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Policy};

/// A target: its name, and what it does with bytes.
pub type Fuzz = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Fuzz] =
    &[("btf", btf), ("object", object), ("kernel", kernel), ("relocate", relocate)];

/// What is asked of kernels: types of real ones, and those of the seeds.
const NAMES: &[&str] = &["task_struct", "list_head", "s", "t", "e", "file", "pid_t"];

/// A `.BTF` section: every type, its name, size, and what is behind it.
pub fn btf(data: &[u8]) {
    let Ok(btf) = Btf::parse(data) else { return };
    for id in btf.ids() {
        let _ = (btf.get(id), btf.size(id), btf.strip(id));
    }
    let _ = btf.find(NAMES);
}

/// An object: all that can be read of it.
pub fn object(data: &[u8]) {
    let Ok(object) = Object::parse(data) else { return };
    let _ = object.functions();
    for section in &object.sections {
        let _ = object.relocations(section.name);
    }
    let _ = object.ubpf();
    if let Ok(Some(types)) = object.types() {
        let _ = object.ext(&types);
    }
    let _ = relocate::wanted(&object);
}

/// A kernel file of any kind: BTF, ELF with BTF or DWARF, packed images.
pub fn kernel(data: &[u8]) {
    let file = tempfile::NamedTempFile::new_in(memory()).expect("there is room for a file");
    std::fs::write(file.path(), data).expect("there is room for a file");
    let Ok(kernel) = Kernel::open(file.path(), &[]) else { return };
    let kinds = [btf::kind::STRUCT, btf::kind::UNION, btf::kind::ENUM, btf::kind::TYPEDEF];
    let wanted: Vec<_> =
        NAMES.iter().flat_map(|name| kinds.map(|kind| (kind, *name))).collect();
    let Ok(loaded) = kernel.load(&wanted) else { return };
    let _ = loaded.target();
}

/// A folder in memory, where there is one.
fn memory() -> &'static Path {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared } else { Path::new(".") }
}

/// An object and the `.BTF` section of a target behind it, with the length of the object in the first four bytes: relocated by both policies.
pub fn relocate(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<4>() else { return };
    let len = (u32::from_le_bytes(*len) as usize).min(rest.len());
    let (bytes, types) = rest.split_at(len);
    let (Ok(object), Ok(types)) = (Object::parse(bytes), Btf::parse(types)) else { return };
    let target = Target { image: types.into(), modules: Vec::new() };
    for policy in [Policy::Strict, Policy::Libbpf] {
        if let Ok(plan) = relocate::plan(&object, &target, policy) {
            let _ = relocate::apply(bytes, &object, &plan, policy);
        }
    }
}
