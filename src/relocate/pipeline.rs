//! Relocation from end to end: the parts of this module, put together.
//!
//! ```text
//! bytes → what it asks → the kernel's types → choose → bring in → plan → apply → bytes
//! ```
//!
//! In: an object and a kernel. Out: the object for that kernel, or why there is none, and with either what there is to tell. The kernel reads its files; apart from that it is pure.

use super::choose::{self, ChooseError, Chosen};
use super::lacks::{self, Lack};
use super::{Access, Action, Brought, Edit, Missing, Plan, Policy, Sought, Unresolved, record};
use super::{ApplyError, BringError, Place, RelocateError, apply, bring_in, plan, wanted};
use super::{Foreign, foreign};
use crate::kernel::{Form, Kernel, KernelError, Loaded, Target};
use crate::object::btf_ext::CoreKind;
use crate::object::read::{Object, ReadError};
use crate::object::ubpf::{RelocatedFor, Ubpf};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How to relocate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whose rules count. By libbpf's, no form of a program is chosen: the object is taken as stock loaders see it.
    pub policy: Policy,
    /// Whether the kernel shows no BTF to loaders, whatever its types are read from: it then takes only forms of programs that need none.
    pub no_btf: bool,
}

/// What became of an object.
#[derive(Debug)]
pub struct Relocation {
    /// The object for the kernel, or why there is none.
    pub result: Result<Vec<u8>, Refusal>,
    /// What is to be told, as far as it came.
    pub told: Told,
}

/// What there is to tell of a relocation.
#[derive(Debug, Default)]
pub struct Told {
    /// Modules that have been passed over, and why.
    pub warnings: Vec<String>,
    /// What the object uses and the kernel lacks, beside types; by libbpf's policy it is not looked for.
    pub lacks: Vec<Lack>,
    /// Numbers that the program finds by their offset, and whose size it does not ask for though it is another in the kernel.
    pub sizes: Vec<Access>,
    /// Programs that depend on a kernel, and may not have been compiled against this one.
    pub foreign: Option<Foreign>,
    /// The forms of an ubpfc object's programs.
    pub programs: Vec<Chosen>,
    /// Every question with its answer, in the order of the object.
    pub answers: Vec<Answer>,
}

/// A question of an object, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was asked and done.
    #[serde(flatten)]
    pub access: Access,
    /// Why there is no answer.
    pub reason: Option<Missing>,
}

/// Why an object cannot be relocated.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The object cannot be read.
    #[error(transparent)]
    Object(#[from] ReadError),
    /// It has been relocated for another kernel, and has the answers of that one.
    #[error("it is relocated already, for {}", .0.name)]
    Relocated(RelocatedFor),
    /// The kernel's types cannot be had.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The kernel has no event for a program.
    #[error(transparent)]
    Events(#[from] ChooseError),
    /// The forms that were chosen cannot be brought in.
    #[error(transparent)]
    Forms(#[from] BringError),
    /// The questions cannot be answered.
    #[error(transparent)]
    Plan(#[from] RelocateError),
    /// The answers cannot be carried out.
    #[error("{error}")]
    Apply {
        /// Why.
        #[source]
        error: ApplyError,
        /// The source line of the code that is at fault.
        at: Option<Place>,
    },
}

/// Relocates an object to a kernel.
pub fn relocate(bytes: &[u8], kernel: &Kernel, options: Options) -> Relocation {
    let mut told = Told::default();
    let result = told.relocate(bytes, kernel, options);
    Relocation { result, told }
}

/// Everything that an object of either kind asks a kernel for, kinds and names as of [`super::wanted`]; of kind 0 what is of use only if the kernel's image has it.
pub fn needs(object: &Object<'_>) -> Result<Vec<(u32, String)>, RelocateError> {
    let mut needs: Vec<_> =
        wanted(object)?.into_iter().map(|(kind, name)| (kind, name.to_owned())).collect();
    if let Some(ubpf) = chosen_from(object)? {
        needs.extend(choose::wanted(object, &ubpf)?);
    }
    needs.extend(lacks::ENUMS.map(|name| (0, name.to_owned())));
    needs.sort();
    needs.dedup();
    Ok(needs)
}

/// What an object says of its programs, if there is something to choose.
pub(super) fn chosen_from(object: &Object<'_>) -> Result<Option<Ubpf>, ReadError> {
    let chooses = |ubpf: &Ubpf| {
        ubpf.target.is_none() && ubpf.programs.iter().any(|program| !program.forms.is_empty())
    };
    Ok(object.ubpf()?.filter(chooses))
}

/// What a kernel is called in an object that was relocated for it: its file without the folder, since the same input gives the same object wherever it is.
pub(super) fn recorded(kernel: &Kernel) -> RelocatedFor {
    let file = Path::new(&kernel.name).file_name().unwrap_or_default();
    RelocatedFor { name: file.to_string_lossy().into_owned(), release: kernel.release.clone() }
}

/// Loads the types that are needed.
pub fn load<'k>(kernel: &'k Kernel, needs: &[(u32, String)]) -> Result<Loaded<'k>, KernelError> {
    let names: Vec<(u32, &str)> = needs.iter().map(|(kind, name)| (*kind, &**name)).collect();
    kernel.load(&names)
}

impl Told {
    fn relocate(
        &mut self,
        bytes: &[u8],
        kernel: &Kernel,
        options: Options,
    ) -> Result<Vec<u8>, Refusal> {
        let object = Object::parse(bytes)?;
        if let Some(ubpf) = object.ubpf()? {
            self.foreign = foreign(&object, &ubpf, kernel);
            if let Some(before) = ubpf.target.filter(|before| *before != recorded(kernel)) {
                return Err(Refusal::Relocated(before));
            }
        }
        let loaded = load(kernel, &needs(&object)?)?;
        self.warnings.clone_from(&loaded.warnings);
        let target = loaded.target()?;

        let mut brought = Brought { bytes: Cow::Borrowed(bytes), answered: Vec::new() };
        if options.policy == Policy::Strict
            && let Some(ubpf) = chosen_from(&object)?
        {
            let choice = choose::choose(&ubpf, &target, shows_btf(kernel) && !options.no_btf);
            let choice = choice.map_err(|error| with_lines(error, &object))?;
            self.programs.clone_from(&choice.programs);
            brought = bring_in(bytes, &choice)?;
        }
        let object = Object::parse(&brought.bytes)?;
        let mut plan = plan(&object, &target, options.policy)?;
        plan.target = Some(recorded(kernel));
        let applied = apply(&brought.bytes, &object, &plan, options.policy).map_err(|error| {
            let error = helped(error, &target);
            self.answers = unanswered(&plan, &brought.answered, &error, &object);
            unapplied(error, &object)
        })?;
        self.answers = answers(&plan, applied.accesses, &brought.answered, &object);
        if options.policy == Policy::Libbpf {
            return Ok(applied.bytes);
        }
        self.sizes = sizes(&self.answers);
        let fitted = lacks::fit(applied.bytes, &target)?;
        self.lacks = fitted.lacks;
        Ok(fitted.bytes)
    }
}

/// Whether a kernel shows loaders its types: not, as far as is known, where they had to be read from elsewhere.
pub fn shows_btf(kernel: &Kernel) -> bool {
    kernel.image.form() == Form::Btf
}

/// The text of the lines that an error of choosing is about.
fn with_lines(mut error: ChooseError, object: &Object<'_>) -> ChooseError {
    for lost in &mut error.programs {
        lost.at = lost.at.take().map(|at| record::quoted(object, at));
    }
    error
}

/// For how many missing names near ones are looked for: each time all names of the kernel are compared, and nobody reads more.
const MAX_HELPED: usize = 64;

/// The same error, with names that are near to those that are missing.
fn helped(mut error: ApplyError, target: &Target<'_>) -> ApplyError {
    let ApplyError::Missing(unresolved) = &mut error else { return error };
    let mut known: BTreeMap<Sought, Vec<String>> = BTreeMap::new();
    for Unresolved { missing, .. } in unresolved {
        let Some(sought) = missing.sought.clone() else { continue };
        if let Some(near) = known.get(&sought) {
            missing.near.clone_from(near);
        } else if known.len() < MAX_HELPED {
            missing.suggest(target);
            known.insert(sought, missing.near.clone());
        }
    }
    error
}

/// An error of applying, with the line that it is about.
pub(super) fn unapplied(error: ApplyError, object: &Object<'_>) -> Refusal {
    let at = match &error {
        ApplyError::Code { function, insn, .. } => record::line_at(object, function, *insn),
        ApplyError::Missing(_)
        | ApplyError::TwoSections(_)
        | ApplyError::Object(_)
        | ApplyError::Bug(_) => None,
    };
    Refusal::Apply { error, at }
}

/// Accesses that are right only where the size is asked for as well, and is not.
fn sizes(answers: &[Answer]) -> Vec<Access> {
    let place =
        |access: &Access| (access.section.clone(), access.function.clone(), access.local.clone());
    let of = |kind| answers.iter().map(|answer| &answer.access).filter(move |a| a.kind == kind);
    let asked: BTreeSet<_> = of(CoreKind::ByteSize).map(place).collect();
    let sized = of(CoreKind::ByteOff).filter(|access| access.sized);
    sized.filter(|access| !asked.contains(&place(access))).cloned().collect()
}

/// The answers of a plan that was carried out, with those that bringing in gave.
fn answers(
    plan: &Plan,
    accesses: Vec<Access>,
    answered: &[Access],
    object: &Object<'_>,
) -> Vec<Answer> {
    let reasons = plan.fixups.iter().map(|fixup| match &fixup.edit {
        Edit::Missing(missing) => Some(missing.clone()),
        Edit::Replace(_) => None,
    });
    let planned = accesses.into_iter().zip(reasons);
    let mut answers: Vec<Answer> =
        planned.map(|(access, reason)| Answer { access, reason }).collect();
    if answered.is_empty() {
        return answers;
    }
    answers.extend(answered.iter().map(|access| Answer { access: access.clone(), reason: None }));
    let functions = object.functions().unwrap_or_default();
    let places: BTreeMap<(&str, &str), (usize, u64)> = functions
        .iter()
        .map(|f| ((f.section, f.symbol.name), (f.symbol.section, f.symbol.offset)))
        .collect();
    answers.sort_by_key(|Answer { access, .. }| {
        (places.get(&(&*access.section, &*access.function)).copied(), access.insn)
    });
    answers
}

/// The answers of a plan that cannot be carried out. Where that is for what is missing, all else that is missing cannot run.
fn unanswered(
    plan: &Plan,
    answered: &[Access],
    error: &ApplyError,
    object: &Object<'_>,
) -> Vec<Answer> {
    let accesses = plan.fixups.iter().map(|fixup| fixup.access.clone()).collect();
    let mut answers = answers(plan, accesses, answered, object);
    let ApplyError::Missing(unresolved) = error else { return answers };
    let place = |access: &Access| {
        (access.section.clone(), access.function.clone(), access.insn, access.kind)
    };
    let runs: BTreeMap<_, &Missing> =
        unresolved.iter().map(|one: &Unresolved| (place(&one.access), &one.missing)).collect();
    for answer in answers.iter_mut().filter(|answer| answer.reason.is_some()) {
        let run = runs.get(&place(&answer.access));
        answer.access.action = if run.is_some() { Action::Missing } else { Action::Unreachable };
        if let Some(missing) = run {
            answer.reason = Some((*missing).clone());
        }
    }
    answers
}
