//! Words for types, paths and failures, and names that are near to one that is missing.

use super::compat::Pair;
use super::field::Mismatch;
use super::spec::{Path, Step};
use super::value::{Field, Scalar};
use crate::btf::{Btf, Member, Type, TypeId, essential, kind};
use std::fmt::Write as _;

/// How deep types are spelled and embedded structs searched.
const MAX_DEPTH: u32 = 8;
/// How many names are compared with a missing one, and how many are offered.
const MAX_NAMES: usize = 1 << 13;
const MAX_NEAR: usize = 4;

/// A type as C spells it: `struct task_struct *`, `unsigned int[4]`.
pub fn spell(types: &Btf<'_>, id: TypeId) -> String {
    spell_within(types, id, MAX_DEPTH)
}

fn spell_within(types: &Btf<'_>, id: TypeId, depth: u32) -> String {
    let Some(below) = depth.checked_sub(1) else { return "…".into() };
    let broken = |_| "a broken type".into();
    let named = |keyword| types.name(id).map_or_else(broken, |name| named(keyword, name));
    match types.kind(id) {
        // What is in them is not read: many are large.
        Ok(kind::STRUCT) => named("struct"),
        Ok(kind::UNION) => named("union"),
        Ok(kind::ENUM | kind::ENUM64) => named("enum"),
        Ok(_) => types.get(id).map_or_else(broken, |ty| spell_type(types, &ty, below)),
        Err(error) => broken(error),
    }
}

fn named(keyword: &str, name: &str) -> String {
    if name.is_empty() { format!("an anonymous {keyword}") } else { format!("{keyword} {name}") }
}

fn spell_type(types: &Btf<'_>, ty: &Type<&str>, depth: u32) -> String {
    match *ty {
        Type::Void => "void".into(),
        Type::Int { name, .. }
        | Type::Composite { name, .. }
        | Type::Enum { name, .. }
        | Type::Float { name, .. }
        | Type::Typedef { name, .. }
        | Type::Func { name, .. }
        | Type::Var { name, .. }
        | Type::DataSec { name, .. } => name.into(),
        Type::Fwd { union: false, name } => named("struct", name),
        Type::Fwd { union: true, name } => named("union", name),
        Type::Ptr(to) => {
            let to = spell_within(types, to, depth);
            if to.ends_with('*') { format!("{to}*") } else { format!("{to} *") }
        }
        Type::Array { elem, len, .. } => {
            let elem = spell_within(types, elem, depth);
            let (base, dims) = elem.split_once('[').map_or((&*elem, ""), |(base, _)| {
                (base, elem.get(base.len()..).unwrap_or_default())
            });
            if len == 0 { format!("{base}[]{dims}") } else { format!("{base}[{len}]{dims}") }
        }
        Type::Modifier { ty, .. } | Type::TypeTag { ty, .. } | Type::DeclTag { ty, .. } => {
            spell_within(types, ty, depth)
        }
        Type::FuncProto { .. } => "a function".into(),
    }
}

/// A path as C spells it: `se.avg[2]`. Without the root it is empty where no step was made.
pub(super) fn spell_path(path: &Path<'_>, root: &str) -> String {
    let mut text = root.to_owned();
    for (i, step) in path.steps.iter().enumerate() {
        match step {
            Step::Index { index: 0, .. } if i == 0 => {}
            Step::Index { index, .. } => {
                let _ = write!(text, "[{index}]");
            }
            Step::Member { name, .. } if text.is_empty() => text.push_str(name),
            Step::Member { name, .. } => {
                let _ = write!(text, ".{name}");
            }
        }
    }
    text
}

/// A look at the members of structs, at so many of them at most: types may hold each other in more ways than can be counted.
struct Look<'p, 'a> {
    types: &'p Btf<'a>,
    left: usize,
}

impl<'a> Look<'_, 'a> {
    /// The members of a struct or union, those of anonymous ones in it included.
    fn members(&mut self, id: TypeId) -> Vec<Member<&'a str>> {
        let mut found = Vec::new();
        self.collect(id, MAX_DEPTH, &mut found);
        found
    }

    fn collect(&mut self, id: TypeId, depth: u32, found: &mut Vec<Member<&'a str>>) {
        let Some(below) = depth.checked_sub(1).filter(|_| self.left > 0) else { return };
        let members = self.types.strip(id).and_then(|id| self.types.members(id));
        for member in members.into_iter().flatten().flatten() {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return;
            }
            if member.name.is_empty() {
                self.collect(member.ty, below, found);
            } else {
                found.push(member);
            }
        }
    }
}

/// Members of a struct that are near to a name that it has not: similar ones, and the same name in a struct that is embedded in it.
fn near_members(types: &Btf<'_>, id: TypeId, name: &str) -> Vec<String> {
    let mut look = Look { types, left: MAX_NAMES };
    let members = look.members(id);
    let mut near = nearest(name, members.iter().map(|member| member.name));
    for member in &members {
        if near.len() >= MAX_NEAR {
            break;
        }
        if look.members(member.ty).iter().any(|inner| inner.name == name) {
            near.push(format!("{}.{name}", member.name));
        }
    }
    near
}

/// The names that are nearest, the nearest first.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let score = |other: &str| {
        let (bare, other_bare) = (bare(name), bare(other));
        let similar = strsim::normalized_damerau_levenshtein(bare, other_bare);
        // A longer name around the same words: `i_atime` and `i_atime_sec`.
        let within = bare.len() >= 4
            && (other_bare.contains(bare) || other_bare.len() >= 4 && bare.contains(other_bare));
        if within { similar.max(0.75) } else { similar }
    };
    let mut scored: Vec<(f64, &str)> = Vec::new();
    for other in names.filter(|other| !other.is_empty() && *other != name).take(MAX_NAMES) {
        let score = score(other);
        if score >= 0.7 {
            scored.push((score, other));
        }
    }
    scored.sort_by(|(a, name_a), (b, name_b)| b.total_cmp(a).then_with(|| name_a.cmp(name_b)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(MAX_NEAR).map(|(_, name)| name.to_owned()).collect()
}

/// A name without underscores around it.
fn bare(name: &str) -> &str {
    name.trim_matches('_')
}

/// Names of types of a kind that are near to a name: one pass over all types.
pub(super) fn near_types(types: &Btf<'_>, kind: u32, name: &str) -> Vec<String> {
    let close = |other: &str| other.len().abs_diff(name.len()) <= name.len() / 2 + 1;
    let names = types.ids().filter_map(|id| {
        let (of, name) = super::candidates::key(types, id).ok()?;
        (of == kind).then_some(name)
    });
    // Only those that share their beginning or end can be many; the rest is cut by length.
    let first = bare(name).get(..1).unwrap_or_default();
    let last = bare(name).get(bare(name).len().saturating_sub(2)..).unwrap_or_default();
    nearest(
        name,
        names.filter(|other| {
            close(other) && (bare(other).starts_with(first) || bare(other).ends_with(last))
        }),
    )
}

/// Why a load of the one is none of the other.
pub(super) fn sizes(local: &Field, target: &Field) -> String {
    let spell = |field: &Field| {
        let what = match field.scalar {
            Scalar::Int(_) | Scalar::Enum { .. } if field.scalar.signed() => "a signed number",
            Scalar::Int(_) | Scalar::Enum { .. } => "an unsigned number",
            Scalar::Ptr => "a pointer",
            Scalar::Float => "a floating-point number",
            Scalar::Other => "a struct or array",
        };
        match field.bits {
            Some(bits) => {
                let from = field.bit_offset.wrapping_sub(field.offset.wrapping_mul(8));
                format!("{what} of {bits} bits from bit {from} of {} bytes", field.size)
            }
            None if field.load != field.size => {
                format!("{what} of {} bytes in elements of {}", field.size, field.load)
            }
            None => format!("{what} of {} bytes", field.size),
        }
    };
    format!(
        "it is {} in the target, where the program takes it for {}",
        spell(target),
        spell(local)
    )
}

/// A type of the right name and kind that does not stand for the local one.
pub(super) fn other_type(pair: Pair<'_, '_, '_>, local: TypeId, target: TypeId) -> Mismatch {
    let stands_for = |types: &Btf<'_>, id| {
        let ty = types.get(id);
        match ty {
            Ok(Type::Typedef { ty, .. }) => spell(types, ty),
            _ => spell(types, id),
        }
    };
    let why = format!(
        "it is `{}`, which does not match the program's `{}`",
        stands_for(pair.target, target),
        stands_for(pair.local, local)
    );
    Mismatch { matched: String::new(), why, level: None }
}

/// An enum without an enumerator.
pub(super) fn no_enumerator(types: &Btf<'_>, id: TypeId, name: &str) -> Mismatch {
    let why = format!("{} has no enumerator \"{name}\"", spell(types, id));
    Mismatch { matched: String::new(), why, level: Some((id, name.to_owned())) }
}

/// Members or enumerators that are near to a name that a type has not.
pub(super) fn near(types: &Btf<'_>, id: TypeId, name: &str) -> Vec<String> {
    match types.get(id) {
        Ok(Type::Enum { values, .. }) => nearest(name, values.iter().map(|(name, _)| *name)),
        _ => near_members(types, id, name),
    }
}

/// What a root is searched for as: its kind and its name without its flavor.
pub(super) fn wanted_name(types: &Btf<'_>, root: TypeId) -> String {
    let Ok(ty) = types.get(root) else { return spell(types, root) };
    let name = essential(ty.name());
    match ty {
        Type::Composite { union: false, .. } => format!("struct {name}"),
        Type::Composite { union: true, .. } => format!("union {name}"),
        Type::Enum { .. } => format!("enum {name}"),
        Type::Fwd { .. } => format!("declaration of {name} without a definition"),
        Type::Typedef { .. } => format!("typedef {name}"),
        Type::Func { .. } => format!("function {name}"),
        Type::Var { .. } => format!("variable {name}"),
        _ => format!("type {name}"),
    }
}
