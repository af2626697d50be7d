//! Names of what is in an object's BTF: types in C, and the paths of CO-RE records.

use crate::btf::{Btf, Type, TypeId, VOID, kind};
use crate::object::btf_ext::CoreKind;
use crate::object::read::Core;
use std::fmt::Write;

/// Types are followed this far; what is nested deeper is shown as `…`.
const MAX_DEPTH: usize = 8;

/// A type in C: `struct task_struct *`, `u32[4]`.
pub(super) fn type_name(types: &Btf<'_>, id: TypeId) -> String {
    nested(types, id, MAX_DEPTH)
}

fn nested(types: &Btf<'_>, id: TypeId, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return "…".into() };
    let Ok(ty) = types.get(id) else { return format!("broken type {}", id.0) };
    let tagged = |keyword: &str, name: &str| match name {
        "" => format!("{keyword} {{…}}"),
        name => format!("{keyword} {name}"),
    };
    match ty {
        Type::Void => "void".into(),
        Type::Ptr(to) => match nested(types, to, depth) {
            pointer if pointer.ends_with('*') => format!("{pointer}*"),
            other => format!("{other} *"),
        },
        // Dimensions are written from the outside in.
        Type::Array { elem, len, .. } => {
            let elem = nested(types, elem, depth);
            let (elem, inner) = elem.find('[').map_or((&*elem, ""), |at| elem.split_at(at));
            format!("{elem}[{len}]{inner}")
        }
        Type::Composite { union: true, name, .. } | Type::Fwd { union: true, name } => {
            tagged("union", name)
        }
        Type::Composite { name, .. } | Type::Fwd { name, .. } => tagged("struct", name),
        Type::Enum { name, .. } => tagged("enum", name),
        Type::Modifier { kind: kind::CONST, ty } => format!("const {}", nested(types, ty, depth)),
        Type::Modifier { ty, .. } | Type::TypeTag { ty, .. } | Type::DeclTag { ty, .. } => {
            nested(types, ty, depth)
        }
        Type::FuncProto { ret, params } => {
            let params = params.iter().map(|(_, ty)| nested(types, *ty, depth));
            let params = params.collect::<Vec<_>>().join(", ");
            format!("{} ({params})", nested(types, ret, depth))
        }
        Type::Int { name, .. }
        | Type::Typedef { name, .. }
        | Type::Func { name, .. }
        | Type::Var { name, .. }
        | Type::DataSec { name, .. }
        | Type::Float { name, .. } => name.to_owned(),
    }
}

/// What a record is about: `struct task_struct.pid`, `enum pid_type.PIDTYPE_PID`, `struct task_struct`. A path that leads nowhere is shown as the record has it.
pub(super) fn path(types: &Btf<'_>, core: &Core<'_>) -> String {
    let root = type_name(types, core.root);
    let steps = match core.kind {
        CoreKind::LocalTypeId
        | CoreKind::TargetTypeId
        | CoreKind::TypeExists
        | CoreKind::TypeSize
        | CoreKind::TypeMatches => return root,
        CoreKind::EnumvalExists | CoreKind::EnumvalValue => enumerator(types, core),
        CoreKind::ByteOff
        | CoreKind::ByteSize
        | CoreKind::FieldExists
        | CoreKind::Signed
        | CoreKind::LshiftU64
        | CoreKind::RshiftU64 => members(types, core),
    };
    match steps {
        Some(steps) => root + &steps,
        None => format!("{root} (malformed access {:?})", core.access),
    }
}

fn enumerator(types: &Btf<'_>, core: &Core<'_>) -> Option<String> {
    let Type::Enum { values, .. } = types.get(types.strip(core.root).ok()?).ok()? else {
        return None;
    };
    let (name, _) = values.get(core.access.parse::<usize>().ok()?)?;
    Some(format!(".{name}"))
}

fn members(types: &Btf<'_>, core: &Core<'_>) -> Option<String> {
    let mut indices = core.access.split(':').map(|index| index.parse::<usize>().ok());
    let mut out = String::new();
    if let index @ 1.. = indices.next()?? {
        let _ = write!(out, "[{index}]");
    }
    let mut at = core.root;
    for index in indices {
        let index = index?;
        match types.get(types.strip(at).ok()?).ok()? {
            Type::Composite { members, .. } => {
                let member = members.get(index)?;
                if !member.name.is_empty() {
                    let _ = write!(out, ".{}", member.name);
                }
                at = member.ty;
            }
            Type::Array { elem, .. } => {
                let _ = write!(out, "[{index}]");
                at = elem;
            }
            _ => return None,
        }
    }
    (at != VOID).then_some(out)
}
