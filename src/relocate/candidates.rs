//! The types of a target that may stand for the roots of an object's records.
//!
//! In: roots and a target. Out: for each root every type of its kind and essential name, in the order of ids: the image's, or where it has none the modules'. Rules:
//! libbpf's `bpf_core_find_cands`.

use crate::btf::{Btf, BtfError, TypeId, essential, kind};
use crate::kernel::Target;
use std::collections::BTreeMap;

/// A type of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'p, 't> {
    /// The types that it is among.
    pub(super) types: &'p Btf<'t>,
    /// The module that they are of; none for the image.
    pub(super) module: Option<&'p str>,
    /// Its id in them.
    pub(super) id: TypeId,
}

/// What a type is searched for by: its kind and its essential name.
pub(super) fn key<'a>(types: &Btf<'a>, id: TypeId) -> Result<(u32, &'a str), BtfError> {
    Ok((root_kind(types, id)?, essential(types.name(id)?)))
}

/// The kind of a type, by number; both forms of enums are one kind.
pub(super) fn root_kind(types: &Btf<'_>, id: TypeId) -> Result<u32, BtfError> {
    Ok(match types.kind(id)? {
        kind::ENUM64 => kind::ENUM,
        other => other,
    })
}

/// The candidates of each root, by what is asked for: the kind and the essential name.
pub(super) fn find<'p, 't, 'n>(
    roots: impl Iterator<Item = (u32, &'n str)>,
    target: &'p Target<'t>,
) -> BTreeMap<(u32, &'n str), Vec<Candidate<'p, 't>>> {
    let mut found: BTreeMap<(u32, &str), Vec<Candidate<'_, '_>>> =
        roots.map(|root| (root, Vec::new())).collect();
    add(&mut found, &target.image, None);
    let missing: Vec<(u32, &str)> =
        found.iter().filter(|(_, list)| list.is_empty()).map(|(root, _)| *root).collect();
    if missing.is_empty() {
        return found;
    }
    let mut elsewhere = missing.into_iter().map(|root| (root, Vec::new())).collect();
    for (name, types) in &target.modules {
        add(&mut elsewhere, types, Some(name));
    }
    found.extend(elsewhere);
    found
}

/// Adds the candidates of one source.
fn add<'p, 't, 'n>(
    found: &mut BTreeMap<(u32, &'n str), Vec<Candidate<'p, 't>>>,
    types: &'p Btf<'t>,
    module: Option<&'p str>,
) {
    let mut names: Vec<&'n str> = found.keys().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    for (name, ids) in names.iter().zip(types.find(&names)) {
        for id in ids {
            let Ok(kind) = root_kind(types, id) else { continue };
            if let Some(list) = found.get_mut(&(kind, *name)) {
                list.push(Candidate { types, module, id });
            }
        }
    }
}
