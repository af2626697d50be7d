//! The integers that the kernels of an atlas agree about: one line for each path at whose end they all have the same.

use super::{Atlas, AtlasError};
use crate::btf::{Btf, Type, TypeId, encoding, essential};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How questions about a member of a struct or union begin.
const ROOTS: [&str; 2] = ["struct ", "union "];
/// How deep anonymous structs are followed.
const MAX_DEPTH: u32 = 32;

/// An integer that fills its bytes: how many, and whether it is signed.
type Shape = (u32, bool);

impl Atlas<'_> {
    /// A line for each path that was asked about and ends in the same integer in every kernel that has it, such as `task_struct.__state u32`: size and sign alike, and a bitfield nowhere. Sorted.
    pub fn leaves(&self) -> Result<String, AtlasError> {
        let broken = AtlasError::Broken("the types of a kernel cannot be read");
        let asked = self.asked().iter().filter_map(|question| {
            let text = ROOTS.iter().find_map(|root| question.strip_prefix(root))?;
            text.split_once(" .")
        });
        let asked: Vec<(&str, &str)> = asked.collect();
        // What is found at each path; nothing where kernels disagree, or have no such integer.
        let mut found: BTreeMap<(&str, &str), Option<Shape>> = BTreeMap::new();
        for entry in self.kernels() {
            let kernel = self.open(entry)?;
            let types = kernel.image.types(&[]).map_err(|_| broken.clone())?;
            let btf = Btf::parse(&types.btf).map_err(|_| broken.clone())?;
            let mut roots: BTreeMap<&str, Vec<TypeId>> = BTreeMap::new();
            for id in btf.ids() {
                if let Ok(Type::Composite { name, .. }) = btf.get(id) {
                    roots.entry(essential(name)).or_default().push(id);
                }
            }
            for (root, path) in &asked {
                for id in roots.get(root).into_iter().flatten() {
                    let Some((end, bits)) = end(&btf, *id, path) else { continue };
                    let shape = shape(&btf, end).filter(|_| bits == 0);
                    let agreed = found.entry((root, path)).or_insert(shape);
                    *agreed = agreed.filter(|_| *agreed == shape);
                }
            }
        }
        let mut text = String::new();
        for ((root, path), shape) in found {
            let Some((bytes, signed)) = shape else { continue };
            let sign = if signed { 's' } else { 'u' };
            let _ = writeln!(text, "{root}.{path} {sign}{}", bytes * 8);
        }
        Ok(text)
    }
}

/// The type at the end of a path, and its width if it is a bitfield; nothing where the struct lacks it.
fn end(btf: &Btf<'_>, root: TypeId, path: &str) -> Option<(TypeId, u8)> {
    path.split('.').try_fold((root, 0), |(mut at, _), name| {
        // Questions have no indices.
        while let Ok(Type::Array { elem, .. }) = btf.get(btf.strip(at).ok()?) {
            at = elem;
        }
        member(btf, btf.strip(at).ok()?, name, MAX_DEPTH)
    })
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

/// The integer or bool that a type is.
fn shape(btf: &Btf<'_>, ty: TypeId) -> Option<Shape> {
    let Ok(Type::Int { bytes, bits, encoding, .. }) = btf.get(btf.strip(ty).ok()?) else {
        return None;
    };
    let whole = matches!(bytes, 1 | 2 | 4 | 8) && u32::from(bits) == bytes * 8;
    whole.then_some((bytes, encoding & encoding::SIGNED != 0))
}
