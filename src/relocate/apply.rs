//! A plan carried out: the object written again with the answers in its code.
//!
//! In: an object and a plan for it. Out: the object for one target, without questions, and what was done about each. By the strict policy code that cannot run on the target is removed,
//! and a question without an answer in code that can run is an error; by libbpf's, each instruction is patched where it is and nothing moves. What is written is read again and
//! verified: a result that is not sound is never returned.

mod records;
mod tables;
mod verify;

pub(super) use records::by_name;

use super::edit::{At, Code};
use super::prune::prune;
use super::reach::Reach;
use super::{Access, Action, Edit, Fixup, Missing, Plan, Policy};
use crate::isa::code::Insn;
use crate::isa::encode::SLOT;
use crate::object::UBPF_SECTION;
use crate::object::read::{Object, ReadError};
use crate::object::rewrite::rewrite;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An object for one target.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The bytes of the object.
    pub bytes: Vec<u8>,
    /// What was done, for each record in the order of the file.
    pub accesses: Vec<Access>,
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unresolved {
    /// The question.
    pub access: Access,
    /// Why there is no answer.
    pub missing: Missing,
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Code that can run asks what the target has no answer for: everything that it lacks.
    #[error("the target lacks what the object needs: {}", list(.0))]
    Missing(Vec<Unresolved>),
    /// The code is not such that it can be edited.
    #[error("{function}, instruction {insn}: {why}")]
    Code {
        /// The function; the section, where the instruction is in none.
        function: String,
        /// The slot in it.
        insn: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Records name the section of their code, and more than one has that name.
    #[error("there are several code sections named {0}")]
    TwoSections(String),
    /// The object cannot be read.
    #[error(transparent)]
    Object(#[from] ReadError),
    /// The result is not sound: a bug of this program.
    #[error("relocation made an object that is broken (a bug of ubpfc): {0}")]
    Bug(String),
}

fn list(unresolved: &[Unresolved]) -> String {
    let reasons = unresolved.iter().map(|one| one.missing.why.as_str());
    reasons.collect::<Vec<_>>().join("; ")
}

/// Carries out `plan`, which was made for this object, whose bytes are `bytes`.
pub fn apply(
    bytes: &[u8],
    object: &Object<'_>,
    plan: &Plan,
    policy: Policy,
) -> Result<Applied, ApplyError> {
    let (done, accesses) = match policy {
        Policy::Strict => strict(object, plan)?,
        Policy::Libbpf => in_place(object, plan)?,
    };
    let mut changed = done.sections;
    let types = object.types()?;
    if let Some(types) = &types {
        // What is broken in the object is not what is broken in the result.
        object.ext(types)?;
    }
    let mut records = BTreeMap::new();
    let ext = object.sections.iter().enumerate().find(|(_, section)| section.name == ".BTF.ext");
    if let (Some((index, section)), Some(types)) = (ext, &types) {
        let ext = records::follow(section.data, object.endian, types, done.code.as_ref())?;
        records = ext.moved;
        changed.insert(index, ext.data);
    }
    changed.append(&mut tables::follow(object, done.code.as_ref(), &records));
    if let Some((index, text)) = describe(object, plan, done.code.as_ref())? {
        changed.insert(index, text.into_bytes());
    }
    let bytes = rewrite(bytes, &changed)?;
    verify::verify(&bytes, policy)?;
    Ok(Applied { bytes, accesses })
}

/// Code with answers.
struct Done {
    /// New bytes by the index of the section.
    sections: BTreeMap<usize, Vec<u8>>,
    /// Where everything is now, if anything has moved.
    code: Option<Code>,
}

/// Patches each instruction where it is.
fn in_place(object: &Object<'_>, plan: &Plan) -> Result<(Done, Vec<Access>), ApplyError> {
    let mut sections: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut accesses = Vec::new();
    for fixup in &plan.fixups {
        let mut access = fixup.access.clone();
        let bug = |what: &str| {
            let place = format!("{}, instruction {}", access.function, access.insn);
            ApplyError::Bug(format!("{place}: {what}"))
        };
        let section = object.sections.get(fixup.section).ok_or_else(|| bug("no such section"))?;
        let data = sections.entry(fixup.section).or_insert_with(|| section.data.to_vec());
        let at = fixup.slot.checked_mul(SLOT);
        let rest = at.and_then(|at| data.get_mut(at..)).unwrap_or_default();
        let (slots, _) = rest.as_chunks_mut::<SLOT>();
        let first = slots.first().ok_or_else(|| bug("no such instruction"))?;
        let wide = Insn::decode(*first, object.endian).is_wide() && slots.len() > 1;
        let width = 1 + usize::from(wide);
        let insns = match &fixup.edit {
            Edit::Replace(insns) => insns.clone(),
            Edit::Missing(_) => {
                access.action = Action::Poisoned;
                vec![Insn::poison(); width]
            }
        };
        if insns.len() != width {
            return Err(bug("libbpf's policy keeps the number of instructions"));
        }
        for (slot, insn) in slots.iter_mut().zip(insns) {
            *slot = insn.encode(object.endian);
        }
        accesses.push(access);
    }
    Ok((Done { sections, code: None }, accesses))
}

/// Whether a loader leaves the programs of a section alone unless it is told otherwise: they need not be able to run.
pub(super) fn is_optional(section: &str) -> bool {
    section.starts_with('?')
}

/// Code with a plan's answers in it, before anything is removed.
pub(super) struct Settled {
    /// The code.
    pub(super) code: Code,
    /// What of it can run.
    pub(super) reach: Reach,
    /// The instructions that have no answer, which nothing comes after.
    stops: BTreeSet<At>,
}

/// A question without an answer in code that must not need it.
pub(super) struct Open<'p> {
    /// Where it is in the settled code.
    pub(super) at: At,
    /// The question.
    pub(super) fixup: &'p Fixup,
    /// Why there is no answer.
    pub(super) missing: &'p Missing,
}

/// Where a record was.
fn place(fixup: &Fixup) -> At {
    At { section: fixup.section, slot: fixup.slot }
}

/// Puts a plan's answers into the code of the object that it is for, and finds out what can run then.
pub(super) fn settle(
    mut code: Code,
    object: &Object<'_>,
    plan: &Plan,
) -> Result<Settled, ApplyError> {
    let missing = plan.fixups.iter().filter(|fixup| matches!(fixup.edit, Edit::Missing(_)));
    let missing: BTreeSet<At> = missing.map(place).collect();
    let edits = plan.fixups.iter().filter(|fixup| !missing.contains(&place(fixup)));
    let edits = edits.filter_map(|fixup| match &fixup.edit {
        Edit::Replace(insns) => Some((place(fixup), insns.clone())),
        Edit::Missing(_) => None,
    });
    code.replace(&edits.collect())?;
    let stops: BTreeSet<At> = missing.iter().map(|at| code.now(*at)).collect();
    let reach = Reach::of(&code, object, &stops)?;
    if let Some(at) = verify::poisoned(&code, &reach)
        && let Some(section) = code.sections.get(&at.section)
    {
        return Err(section.error(at.slot, "it is poisoned already, by another relocation"));
    }
    Ok(Settled { code, reach, stops })
}

impl Settled {
    /// Every question without an answer in code that a loader takes without being told to.
    pub(super) fn open<'p>(&self, plan: &'p Plan) -> Vec<Open<'p>> {
        let missing = plan.fixups.iter().filter_map(|fixup| match &fixup.edit {
            Edit::Missing(missing) => {
                let at = self.code.now(place(fixup));
                let section = self.code.sections.get(&fixup.section)?;
                (!is_optional(&section.name)).then_some(Open { at, fixup, missing })
            }
            Edit::Replace(_) => None,
        });
        missing.collect()
    }

    /// What could run if every question had an answer: who mends one that can run wants to know of all that is left to mend after it.
    pub(super) fn beyond(&self, object: &Object<'_>) -> Result<Reach, ApplyError> {
        Reach::of(&self.code, object, &BTreeSet::new())
    }

    /// Every question without an answer that can run where it must not, and what comes after one of them.
    fn unresolved(&self, object: &Object<'_>, plan: &Plan) -> Result<Vec<Unresolved>, ApplyError> {
        let open = self.open(plan);
        if !open.iter().any(|open| self.reach.runs(open.at)) {
            return Ok(Vec::new());
        }
        let beyond = self.beyond(object)?;
        let runs = open.iter().filter(|open| self.reach.runs(open.at) || beyond.runs(open.at));
        Ok(runs.map(Unresolved::from).collect())
    }
}

impl From<&Open<'_>> for Unresolved {
    fn from(open: &Open<'_>) -> Unresolved {
        Unresolved { access: open.fixup.access.clone(), missing: open.missing.clone() }
    }
}

/// Edits the code, and removes what cannot run.
fn strict(object: &Object<'_>, plan: &Plan) -> Result<(Done, Vec<Access>), ApplyError> {
    let settled = settle(Code::read(object)?, object, plan)?;
    let unresolved = settled.unresolved(object, plan)?;
    if !unresolved.is_empty() {
        return Err(ApplyError::Missing(unresolved));
    }
    let Settled { mut code, reach, stops } = settled;
    let mut accesses = Vec::new();
    let mut poisoned = BTreeMap::new();
    for fixup in &plan.fixups {
        let mut access = fixup.access.clone();
        if let Edit::Missing(_) = &fixup.edit {
            let here = code.now(place(fixup));
            let section = code.sections.get(&fixup.section);
            access.action = if reach.runs(here) {
                let width = section.map_or(1, |section| section.width(here.slot));
                poisoned.insert(here, vec![Insn::poison(); width]);
                Action::Poisoned
            } else {
                Action::Unreachable
            };
        }
        accesses.push(access);
    }
    code.replace(&poisoned)?;
    let answers = plan.fixups.iter().map(|fixup| code.now(place(fixup))).collect();
    prune(&mut code, &reach, &stops, &answers)?;

    let mut sections = BTreeMap::new();
    for index in code.sections.keys() {
        let insns = code.insns(*index)?;
        let data = insns.iter().flat_map(|insn| insn.encode(object.endian)).collect();
        sections.insert(*index, data);
    }
    Ok((Done { sections, code: Some(code) }, accesses))
}

/// The section `.ubpf` of an object of our own: no question is left, functions have other lengths, and it says what for.
fn describe(
    object: &Object<'_>,
    plan: &Plan,
    code: Option<&Code>,
) -> Result<Option<(usize, String)>, ApplyError> {
    let index = object.sections.iter().position(|section| section.name == UBPF_SECTION);
    let Some((index, mut ubpf)) = index.zip(object.ubpf()?) else { return Ok(None) };
    ubpf.relocs.clear();
    ubpf.target.clone_from(&plan.target);
    let sections = code.into_iter().flat_map(|code| code.sections.values());
    let lengths: BTreeMap<(&str, &str), usize> = sections
        .flat_map(|section| section.functions.iter().map(move |function| (section, function)))
        .map(|(section, function)| ((&*section.name, &*function.name), function.slots.len()))
        .collect();
    for program in &mut ubpf.programs {
        if let Some(len) = lengths.get(&(&*program.section, &*program.name)) {
            program.insns = *len;
        }
    }
    Ok(Some((index, ubpf.text())))
}
