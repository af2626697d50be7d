//! What the kernels of an atlas have at the ends of the paths that it was asked about, as far as it is numbers.

use super::{Atlas, AtlasError};
use crate::btf::{Btf, Type, TypeId, encoding, essential};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How questions about a member of a struct or union begin.
const ROOTS: [&str; 2] = ["struct ", "union "];
/// How deep anonymous structs are followed.
const MAX_DEPTH: u32 = 32;

impl Atlas<'_> {
    /// A line for each path that ends in an integer or bool in every kernel that has it: `task_struct.__state u32`, of bitfields `task_struct.in_iowait u32:1`, all kinds of numbers that kernels
    /// have there with commas between them. Sorted.
    pub fn leaves(&self) -> Result<String, AtlasError> {
        let broken = AtlasError::Broken("the types of a kernel cannot be read");
        let mut found: BTreeMap<String, BTreeSet<Option<String>>> = BTreeMap::new();
        for entry in self.kernels() {
            let kernel = self.open(entry)?;
            let types = kernel.image.types(&[]).map_err(|_| broken.clone())?;
            let mut btf = Btf::parse(&types.btf).map_err(|_| broken.clone())?;
            btf.set_pointer_size(entry.pointer_size);
            let mut roots: BTreeMap<&str, Vec<TypeId>> = BTreeMap::new();
            for id in btf.ids() {
                if let Ok(Type::Composite { name, .. }) = btf.get(id) {
                    roots.entry(essential(name)).or_default().push(id);
                }
            }
            for question in self.asked() {
                let Some(text) = ROOTS.iter().find_map(|root| question.strip_prefix(root)) else {
                    continue;
                };
                let Some((root, path)) = text.split_once(" .") else { continue };
                for id in roots.get(root).into_iter().flatten() {
                    if let Some(number) = end(&btf, *id, path) {
                        found.entry(format!("{root}.{path}")).or_default().insert(number);
                    }
                }
            }
        }
        let mut text = String::new();
        for (path, numbers) in found {
            if let Some(numbers) = numbers.into_iter().collect::<Option<Vec<_>>>() {
                let _ = writeln!(text, "{path} {}", numbers.join(","));
            }
        }
        Ok(text)
    }
}

/// The number at the end of a path: none of it where there is something else, nothing where the struct lacks it.
fn end(btf: &Btf<'_>, root: TypeId, path: &str) -> Option<Option<String>> {
    let (mut at, mut width) = (root, 0);
    for name in path.split('.') {
        while let Ok(Type::Array { elem, .. }) = btf.get(btf.strip(at).ok()?) {
            at = elem;
        }
        (at, width) = member(btf, btf.strip(at).ok()?, name, MAX_DEPTH)?;
    }
    let Ok(Type::Int { bytes, bits, encoding, .. }) = btf.get(btf.strip(at).ok()?) else {
        return Some(None);
    };
    let sign = if encoding & encoding::SIGNED == 0 { 'u' } else { 's' };
    let width = match (width, u32::from(bits) == bytes * 8) {
        (0, true) => return Some(Some(format!("{sign}{}", bytes * 8))),
        (0, false) => bits,
        (width, _) => width,
    };
    Some(Some(format!("{sign}{}:{width}", bytes * 8)))
}

/// A member by name, also in anonymous structs and unions: its type, and its width if it is a bitfield.
fn member(btf: &Btf<'_>, of: TypeId, name: &str, depth: u32) -> Option<(TypeId, u8)> {
    let Ok(Type::Composite { members, .. }) = btf.get(of) else { return None };
    let depth = depth.checked_sub(1)?;
    members.iter().find_map(|found| match found.name {
        "" => member(btf, btf.strip(found.ty).ok()?, name, depth),
        own => (own == name).then_some((found.ty, found.bit_width)),
    })
}
