//! The plan of an object for a kernel: every record's question, answered.

use super::record::{self, Records};
use super::{Plan, Policy, RelocateError};
use crate::btf::{Type, essential, kind};
use crate::kernel::Target;
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use std::collections::BTreeSet;

/// See [`super::wanted`].
pub(super) fn wanted<'o>(object: &Object<'o>) -> Result<Vec<(u32, &'o str)>, RelocateError> {
    let Some(Records { types, list }) = record::records(object)? else { return Ok(Vec::new()) };
    let roots: BTreeSet<_> = list
        .iter()
        .filter(|record| record.core.kind != CoreKind::LocalTypeId)
        .map(|record| record.core.root)
        .collect();
    let key = |root| types.get(root).ok().map(|ty| (root_kind(&ty), essential(ty.name())));
    let keys: BTreeSet<_> = roots.into_iter().filter_map(key).collect();
    Ok(keys.into_iter().filter(|(_, name)| !name.is_empty()).collect())
}

/// The kind of a type, by number; both forms of enums are one kind.
pub(super) fn root_kind(ty: &Type<&str>) -> u32 {
    match ty {
        Type::Void => 0,
        Type::Int { .. } => kind::INT,
        Type::Ptr(_) => kind::PTR,
        Type::Array { .. } => kind::ARRAY,
        Type::Composite { union: false, .. } => kind::STRUCT,
        Type::Composite { union: true, .. } => kind::UNION,
        Type::Enum { .. } => kind::ENUM,
        Type::Fwd { .. } => kind::FWD,
        Type::Typedef { .. } => kind::TYPEDEF,
        Type::Modifier { kind, .. } => *kind,
        Type::Func { .. } => kind::FUNC,
        Type::FuncProto { .. } => kind::FUNC_PROTO,
        Type::Var { .. } => kind::VAR,
        Type::DataSec { .. } => kind::DATASEC,
        Type::Float { .. } => kind::FLOAT,
        Type::DeclTag { .. } => kind::DECL_TAG,
        Type::TypeTag { .. } => kind::TYPE_TAG,
    }
}

/// See [`super::plan`].
pub(super) fn plan(
    object: &Object<'_>,
    _target: &Target<'_>,
    _policy: Policy,
) -> Result<Plan, RelocateError> {
    let Some(_records) = record::records(object)? else { return Ok(Plan::default()) };
    Err(RelocateError::Object("records cannot be answered yet".into()))
}
