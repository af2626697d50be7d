//! A distilled base (`.BTF.base`): what a module that is built apart from its kernel says of the types of the kernel that it refers to, in place of their ids, which change with every build.
//!
//! In: the distilled types (integers, floats, enums and declarations as they are; structs and unions without members, of which only name and size are known) and the real base. Out: which types of
//! the base they are. The rules are those of the kernel when it loads the module (`v6.12 tools/lib/bpf/btf_relocate.c: btf_relocate_map_distilled_base`): names are equal, sizes are equal except
//! where only pointers lead to a struct and the base has one of that name. A type that is not found is an error: the kernel refuses the module's types then.

use super::read::{Btf, BtfError};
use super::{Type, TypeId, VOID, essential};
use std::sync::Arc;

/// The distilled base of a module, with the types of the real base that it stands for.
#[derive(Debug)]
pub(super) struct Distilled<'a> {
    pub(super) types: Arc<Btf<'a>>,
    /// For each distilled type its id in the base.
    ids: Vec<TypeId>,
}

impl<'a> Distilled<'a> {
    /// `module` is the module on its distilled base.
    pub(super) fn new(
        types: Arc<Btf<'a>>,
        module: &Btf<'a>,
        base: &Btf<'a>,
    ) -> Result<Distilled<'a>, BtfError> {
        let embedded = embedded(module);
        let decoded: Vec<Type<&str>> =
            types.ids().map(|id| types.get(id)).collect::<Result<_, _>>()?;
        let names: Vec<&str> = decoded.iter().map(|ty| essential(ty.name())).collect();
        let mut ids = vec![VOID];
        for ((id, ty), found) in types.ids().zip(&decoded).zip(base.find(&names)) {
            let embedded = embedded.get(id.0 as usize).is_some_and(|embedded| *embedded);
            ids.push(matching(ty, embedded, base, &found)?);
        }
        Ok(Distilled { types, ids })
    }

    /// The id that a number in the module means. The module's own types begin at `first`.
    pub(super) fn type_id(&self, number: u32, first: TypeId) -> Result<TypeId, BtfError> {
        if let Some(id) = self.ids.get(number as usize) {
            return Ok(*id);
        }
        let own = number - u32::try_from(self.ids.len()).unwrap_or(number);
        first.0.checked_add(own).map(TypeId).ok_or(BtfError::NoType(number))
    }
}

/// By id, which types of its base a module has structs of, not only pointers to.
fn embedded(module: &Btf<'_>) -> Vec<bool> {
    let mut embedded = vec![false; module.first().0 as usize];
    for id in module.ids() {
        let Ok(Type::Composite { members, .. }) = module.get(id) else { continue };
        for member in members {
            let Ok(mut at) = module.strip(member.ty) else { continue };
            // Arrays of arrays are not nested deeper than this; see `Btf::size`.
            for _ in 0..32 {
                let Ok(Type::Array { elem, .. }) = module.get(at) else { break };
                let Ok(elem) = module.strip(elem) else { break };
                at = elem;
            }
            if let Some(embedded) = embedded.get_mut(at.0 as usize) {
                *embedded = true;
            }
        }
    }
    embedded
}

/// The one of the types of that name that a distilled type stands for.
fn matching(
    ty: &Type<&str>,
    embedded: bool,
    base: &Btf<'_>,
    found: &[TypeId],
) -> Result<TypeId, BtfError> {
    let mut named: Vec<(TypeId, Type<&str>)> = found
        .iter()
        .filter_map(|id| Some((*id, base.get(*id).ok()?)))
        .filter(|(_, other)| other.name() == ty.name() && alike(ty, other))
        .collect();
    if matches!(ty, Type::Fwd { .. }) {
        // A definition is better than a declaration, and one declaration is as good as another.
        let defined = named.iter().any(|(_, other)| matches!(other, Type::Composite { .. }));
        named.retain(|(_, other)| matches!(other, Type::Composite { .. }) == defined);
        named.truncate(if defined { named.len() } else { 1 });
    }
    let several = named.len() > 1;
    let sized = matches!(ty, Type::Composite { .. }) && (embedded || several);
    let mut fitting = named.iter().filter(|(_, other)| !sized || size(other) == size(ty));
    match (fitting.next(), fitting.count()) {
        (Some((id, _)), 0) => Ok(*id),
        (first, more) => {
            let found = more + usize::from(first.is_some());
            let size = size(ty).map(|size| format!(" of {size} bytes")).unwrap_or_default();
            Err(BtfError::Distilled { name: format!("{}{size}", ty.name()), found })
        }
    }
}

/// Whether a type of the base may be what a distilled type of its name stands for, whatever its size if it is a struct.
fn alike(distilled: &Type<&str>, other: &Type<&str>) -> bool {
    match (distilled, other) {
        (Type::Int { bytes, encoding, .. }, Type::Int { bytes: size, encoding: other, .. }) => {
            (bytes, encoding) == (size, other)
        }
        (Type::Enum { size, .. }, Type::Enum { size: other, .. })
        | (Type::Float { size, .. }, Type::Float { size: other, .. }) => size == other,
        (Type::Composite { union, .. }, Type::Composite { union: other, .. })
        | (
            Type::Fwd { union, .. },
            Type::Fwd { union: other, .. } | Type::Composite { union: other, .. },
        ) => union == other,
        _ => false,
    }
}

fn size(ty: &Type<&str>) -> Option<u32> {
    match ty {
        Type::Int { bytes: size, .. }
        | Type::Enum { size, .. }
        | Type::Float { size, .. }
        | Type::Composite { size, .. } => Some(*size),
        _ => None,
    }
}
