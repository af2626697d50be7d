//! Whether a relocated object is sound. Whatever it finds is a bug of this program.

use super::super::Policy;
use super::super::edit::{At, Code};
use super::super::reach::Reach;
use super::{ApplyError, is_optional};
use crate::object::read::Object;
use std::collections::BTreeSet;

/// Reads the object again: it has no questions, and by the strict policy all its code hangs together and nothing that can run is poisoned.
pub(super) fn verify(bytes: &[u8], policy: Policy) -> Result<(), ApplyError> {
    check(bytes, policy).map_err(|error| match error {
        ApplyError::Bug(_) => error,
        other => ApplyError::Bug(other.to_string()),
    })
}

fn check(bytes: &[u8], policy: Policy) -> Result<(), ApplyError> {
    let object = Object::parse(bytes)?;
    if let Some(types) = object.types()?
        && let Some(ext) = object.ext(&types)?
        && let Some((name, _)) = ext.sections.iter().find(|(_, section)| !section.core.is_empty())
    {
        return Err(ApplyError::Bug(format!("{name} has CO-RE records still")));
    }
    object.ubpf()?;
    if policy == Policy::Libbpf {
        return Ok(());
    }
    object.functions()?;
    let code = Code::read(&object)?;
    let reach = Reach::of(&code, &object, &BTreeSet::new())?;
    match poisoned(&code, &reach) {
        Some(At { section, slot }) => Err(ApplyError::Bug(format!(
            "slot {slot} of section {section} is poisoned and can run"
        ))),
        None => Ok(()),
    }
}

/// A poisoned instruction that can run, in a program that need be able to.
pub(super) fn poisoned(code: &Code, reach: &Reach) -> Option<At> {
    let is_needed = |at: At| {
        let section = code.sections.get(&at.section);
        reach.runs(at) && !section.is_some_and(|section| is_optional(&section.name))
    };
    let mut instructions = code.instructions();
    instructions.find(|(at, insn)| insn.is_poison() && is_needed(*at)).map(|(at, _)| at)
}
