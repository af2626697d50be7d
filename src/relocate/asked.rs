//! What an object asks, before there is a kernel to ask: the code that stock loaders see, and what is set aside.

use super::bring::aside_object;
use super::reason::spell;
use super::record::{self, Record, Records};
use super::spec::Spec;
use super::{Asked, Policy, RelocateError, candidates, report};
use crate::btf::Btf;
use crate::object::read::Object;

/// See [`super::asked`].
pub(super) fn asked(object: &Object<'_>) -> Result<Vec<Asked>, RelocateError> {
    let Some(Records { types, list }) = record::records(object)? else { return Ok(Vec::new()) };
    Ok(list.iter().map(|record| question(&types, record)).collect())
}

/// See [`super::asked_aside`].
pub(super) fn asked_aside(object: &Object<'_>) -> Result<Vec<Asked>, RelocateError> {
    let types = object.types()?;
    let Some((types, aside)) = types.zip(aside_object(object)?) else {
        return Ok(Vec::new());
    };
    let list = record::of_part(&aside, &types)?;
    Ok(list.iter().map(|record| question(&types, record)).collect())
}

fn question(types: &Btf<'_>, record: &Record<'_>) -> Asked {
    let root = record.core.root;
    let local = match Spec::parse(types, &record.core, Policy::default()) {
        Ok(spec) => report::local(types, root, &spec),
        Err(fail) => format!("{} (broken: {})", spell(types, root), fail.why()),
    };
    Asked {
        function: record.function.to_owned(),
        section: record.section_name.to_owned(),
        insn: record.insn,
        at: record.at.clone(),
        kind: record.core.kind,
        root_kind: candidates::root_kind(types, root).unwrap_or(0),
        root: spell(types, root),
        local,
    }
}
