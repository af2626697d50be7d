//! What is told about a record: local and target paths, the answers, and what was tried in vain.

use super::candidates::{self, Candidate};
use super::field::Mismatch;
use super::plan::Match;
use super::reason::{self, spell, spell_path};
use super::record::Record;
use super::spec::{Path, Spec};
use super::value::Field;
use super::{Access, Action, Cause, Missing, Sought, Tried};
use crate::btf::{Btf, TypeId, kind};
use crate::object::btf_ext::CoreKind;
use std::fmt::Write as _;

/// How many candidates are listed.
const MAX_LISTED: usize = 8;

/// The local path: `struct task_struct___user.pid`, `enum reason___user::NONE`.
pub(super) fn local(types: &Btf<'_>, root: TypeId, spec: &Spec<'_>) -> String {
    let root = spell(types, root);
    match spec {
        Spec::Type => root,
        Spec::Enumerator { name, .. } => format!("{root}::{name}"),
        Spec::Field(path) => spell_path(path, &root),
    }
}

/// What can be told before the target is known.
pub(super) fn access(
    types: &Btf<'_>,
    record: &Record<'_>,
    spec: &Spec<'_>,
    field: Option<Field>,
) -> Access {
    Access {
        function: record.function.to_owned(),
        section: record.section_name.to_owned(),
        insn: record.insn,
        at: record.at.clone(),
        local_size: field.map(|field| field.size),
        ..Access::of(record.core.kind, local(types, record.core.root, spec))
    }
}

impl Access {
    /// A question of which nothing is told yet.
    pub(super) fn of(kind: CoreKind, local: String) -> Access {
        Access {
            function: String::new(),
            section: String::new(),
            insn: 0,
            at: None,
            kind,
            local,
            target: None,
            target_id: None,
            module: None,
            local_value: None,
            value: None,
            bit_offset: None,
            size: None,
            local_size: None,
            sized: false,
            bits: None,
            signed: None,
            absent: None,
            action: Action::Missing,
        }
    }
}

/// Tells which candidate was found, and where in it.
pub(super) fn found(
    access: &mut Access,
    candidate: Candidate<'_, '_>,
    spec: &Spec<'_>,
    path: Option<&Path<'_>>,
) {
    let root = spell(candidate.types, candidate.id);
    access.target = Some(match (path, spec) {
        (Some(path), _) => spell_path(path, &root),
        (None, Spec::Enumerator { name, .. }) => format!("{root}::{name}"),
        (None, _) => root,
    });
    access.target_id = Some(candidate.id.0);
    access.module = candidate.module.map(str::to_owned);
    access.bit_offset = path.map(|path| path.bit_offset);
}

/// Tells how the field lies in the target.
pub(super) fn field(access: &mut Access, field: Option<Field>) {
    access.size = field.map(|field| field.size);
    access.bits = field.and_then(|field| field.bits);
    access.signed = field.map(|field| field.scalar.signed());
}

/// Candidates that disagree, with their answers.
pub(super) fn answers(found: &[Match<'_, '_>]) -> String {
    let mut text = String::new();
    for (i, Match { candidate, path, field, value }) in found.iter().take(MAX_LISTED).enumerate() {
        let separator = if i == 0 { "" } else { "; " };
        let Tried { name, id, module, size, .. } = tried(*candidate, None);
        let _ = write!(text, "{separator}{name} (type {id}");
        let _ = module.map(|module| write!(text, " of module {module}"));
        let _ = size.map(|size| write!(text, ", {size} bytes"));
        let _ = write!(text, ") says {value}");
        if let (Some(path), None) = (path, field) {
            let _ = write!(text, " at bit {}", path.bit_offset);
        }
        if let Some(field) = field {
            let _ =
                write!(text, " for a field of {} bytes at bit {}", field.size, field.bit_offset);
        }
    }
    if let Some(more @ 1..) = found.len().checked_sub(MAX_LISTED) {
        let _ = write!(text, "; and {more} more");
    }
    text
}

fn tried(candidate: Candidate<'_, '_>, mismatch: Option<&Mismatch>) -> Tried {
    let Candidate { types, module, id } = candidate;
    Tried {
        name: spell(types, id),
        id: id.0,
        module: module.map(str::to_owned),
        size: types.size(id).ok(),
        matched: mismatch.map(|m| m.matched.clone()).unwrap_or_default(),
        why: mismatch.map(|m| m.why.clone()).unwrap_or_default(),
    }
}

/// Takes note of a candidate that does not match. Of many alike, and of very many, the first are enough.
pub(super) fn try_in_vain<'p, 't>(
    tried: &mut Vec<(Candidate<'p, 't>, Mismatch)>,
    candidate: Candidate<'p, 't>,
    mismatch: Mismatch,
) {
    let size = |candidate: &Candidate<'_, '_>| candidate.types.size(candidate.id).ok();
    let alike = |(other, why): &(Candidate<'_, '_>, Mismatch)| {
        why.why == mismatch.why
            && why.matched == mismatch.matched
            && size(other) == size(&candidate)
    };
    if tried.len() < MAX_LISTED && !tried.iter().any(alike) {
        tried.push((candidate, mismatch));
    }
}

/// Why there is no answer.
pub(super) fn missing(
    types: &Btf<'_>,
    root: TypeId,
    candidates: &[(Candidate<'_, '_>, Mismatch)],
) -> Missing {
    let Some((first, mismatch)) = candidates.first() else {
        let why = format!("the target has no {}", reason::wanted_name(types, root));
        let key = candidates::key(types, root).ok();
        let sought = key.map(|(kind, name)| Sought::Type(kind, name.to_owned()));
        return Missing { cause: Cause::NoType, sought, ..Missing::because(why) };
    };
    // Of many copies of one type one is enough.
    let mut listed: Vec<Tried> = Vec::new();
    for (candidate, mismatch) in candidates {
        let tried = tried(*candidate, Some(mismatch));
        let same = |other: &Tried| {
            (&other.size, &other.matched, &other.why) == (&tried.size, &tried.matched, &tried.why)
        };
        if listed.len() < MAX_LISTED && !listed.iter().any(same) {
            listed.push(tried);
        }
    }
    let level = mismatch.level.as_ref();
    let cause = match level.map(|(id, _)| candidates::root_kind(first.types, *id)) {
        None => Cause::OtherType,
        Some(Ok(kind::ENUM)) => Cause::NoEnumerator,
        Some(_) => Cause::NoField,
    };
    let module = || first.module.map(str::to_owned);
    let sought =
        level.map(|(id, name)| Sought::Within { module: module(), id: *id, name: name.clone() });
    Missing { cause, why: mismatch.why.clone(), tried: listed, near: Vec::new(), sought }
}
