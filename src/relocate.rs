//! Relocation: an object's questions to a kernel, answered from that kernel's types and written into its code.
//!
//! ```text
//! object + target types → choose → bring in → plan → apply → object without questions
//! ```
//!
//! [`relocate`] is that line as one function. [`choose`] and [`bring_in`] are for ubpfc's own objects, which have several forms of a program: what comes of them is an object as any other. [`plan`] is pure: it answers every CO-RE record, by libbpf's rules, with new instructions or with the reason why there are none. [`apply`] edits the code,
//! finds out which parts of it can run, refuses what can run and has no answer, and writes the object anew. `docs/relocation.md` has the rules.

pub mod apply;
mod asked;
mod bring;
mod calls;
mod candidates;
pub mod choose;
mod compat;
mod constant;
mod convert;
pub mod edit;
mod events;
pub mod examine;
mod fail;
mod field;
mod functions;
mod identity;
mod lacks;
mod matches;
mod minimal;
mod patch;
mod pipeline;
mod plan;
mod prune;
pub mod reach;
mod reason;
mod record;
mod report;
mod spec;
mod value;

pub use apply::{Applied, ApplyError, Unresolved, apply};
pub use bring::{BringError, Brought, aside_object, bring_in};
pub use choose::choose;
pub use examine::{Examination, Fate, Subject, examine, examine_excerpt};
pub use identity::{Dependent, Foreign, Kinship, compiled_for, foreign};
pub use lacks::{Lack, Lacking};
pub use pipeline::{Answer, Options, Refusal, Relocation, Told, load, needs, relocate, shows_btf};
pub use reason::spell;

use crate::btf::{BtfError, TypeId};
use crate::isa::code::Insn;
use crate::kernel::Target;
use crate::object::btf_ext::CoreKind;
use crate::object::read::{Object, ReadError};
use crate::object::ubpf::RelocatedFor;
use serde::Serialize;

/// Whose rules count where libbpf's are not the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// What has no answer and can run is an error; widths and signs are corrected by value; what cannot run is removed.
    #[default]
    Strict,
    /// As libbpf does, instruction by instruction: what has no answer becomes a call of helper 195896080.
    Libbpf,
}

/// What relocation does to an object's code.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// One for each record, in the order of the file. Where several are about one slot (which hardly passes their checks), the last one has the code.
    pub fixups: Vec<Fixup>,
    /// What the target is called, to be recorded in an object of our own; it changes nothing else.
    pub target: Option<RelocatedFor>,
}

/// What is done for one record.
#[derive(Clone, Debug)]
pub struct Fixup {
    /// The index of the code section in the object.
    pub section: usize,
    /// The slot in the section.
    pub slot: usize,
    /// The new code, or why there is none.
    pub edit: Edit,
    /// What is to be told about it.
    pub access: Access,
}

/// The new code of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The instruction (both slots of a 64-bit immediate load) is replaced by these; what is more than it had is inserted. As it was: the record needs no change.
    Replace(Vec<Insn>),
    /// There is no answer: an error where the instruction can run.
    Missing(Missing),
}

/// Why a record has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What it is that lacks.
    pub cause: Cause,
    /// In words: `struct task_struct has no member "prio2"`.
    pub why: String,
    /// Every candidate that was tried; none if the target has no type of that name.
    pub tried: Vec<Tried>,
    /// Names that are near to the one that was searched for; only after [`Missing::suggest`].
    pub near: Vec<String>,
    /// The name that was searched for in vain.
    #[serde(skip)]
    pub sought: Option<Sought>,
}

/// A name that a target has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sought {
    /// Of a type: its kind and its name, as [`wanted`] gives them.
    Type(u32, String),
    /// Of a member or enumerator.
    Within {
        /// The module in whose types the search ended; none for the image.
        module: Option<String>,
        /// The struct, union or enum there.
        id: TypeId,
        /// The name.
        name: String,
    },
}

/// What lacks where there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The target has no type of that name.
    NoType,
    /// It has no such member on the way.
    NoField,
    /// Its enum has no such enumerator.
    NoEnumerator,
    /// What has that name is of another type.
    OtherType,
    /// It is there, and the instruction cannot take it.
    Unfit,
}

impl Missing {
    /// A reason that needs no more than words.
    pub fn because(why: impl Into<String>) -> Missing {
        let (cause, why) = (Cause::Unfit, why.into());
        Missing { cause, why, tried: Vec::new(), near: Vec::new(), sought: None }
    }

    /// Adds names that are near to the one that the target has not. It looks at many names, so it is for what is told in the end.
    pub fn suggest(&mut self, target: &Target<'_>) {
        let modules = target.modules.iter().map(|(name, types)| (Some(*name), types));
        for (name, types) in std::iter::once((None, &*target.image)).chain(modules) {
            let near = match &self.sought {
                None => return,
                Some(Sought::Type(kind, name)) => reason::near_types(types, *kind, name),
                Some(Sought::Within { module, .. }) if module.as_deref() != name => continue,
                Some(Sought::Within { id, name, .. }) => reason::near(types, *id, name),
            };
            if !near.is_empty() {
                self.near = near;
                return;
            }
        }
    }
}

/// A candidate that did not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The type: `struct task_struct`.
    pub name: String,
    /// Its id in its BTF.
    pub id: u32,
    /// The module that it is in; none for the image.
    pub module: Option<String>,
    /// In bytes, where it has a size.
    pub size: Option<u32>,
    /// The part of the path that it has: `se.avg`.
    pub matched: String,
    /// Why it ended there.
    pub why: String,
}

/// What is told about a record, in `--json` and in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The program or function.
    pub function: String,
    /// The name of its section.
    pub section: String,
    /// The slot in the function, as it was.
    pub insn: usize,
    /// The source line, where the object says it.
    pub at: Option<Place>,
    /// What is asked.
    #[serde(serialize_with = "kind_name")]
    pub kind: CoreKind,
    /// The local path: `struct task_struct___user.pid`.
    pub local: String,
    /// The target's: `struct task_struct.pid`. None where there is no answer.
    pub target: Option<String>,
    /// The id of the candidate in its BTF.
    pub target_id: Option<u32>,
    /// The module whose BTF that is; none for the image.
    pub module: Option<String>,
    /// The answer on the local type.
    pub local_value: Option<u64>,
    /// The answer on the target.
    pub value: Option<u64>,
    /// Of a field: where it is in the target, in bits from the start of the root type.
    pub bit_offset: Option<u32>,
    /// Of a field: in bytes; of a bitfield its load unit.
    pub size: Option<u32>,
    /// The same of the local type.
    pub local_size: Option<u32>,
    /// Whether only the offset of a number is given, whose size is another in the target: code that reads it with a constant size reads wrongly.
    #[serde(skip)]
    pub sized: bool,
    /// Of a bitfield: its width in bits.
    pub bits: Option<u8>,
    /// Of a field: whether it is signed.
    pub signed: Option<bool>,
    /// Of a question that is answered by "it is not there": why not.
    #[serde(skip)]
    pub absent: Option<String>,
    /// What was done.
    pub action: Action,
}

/// What was done about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The answer is the local one already.
    Same,
    /// The answer was written into the instruction.
    Patched,
    /// The load has another width.
    Resized,
    /// The load is followed, or replaced, by instructions that convert the value.
    Converted,
    /// There is no answer, and the instruction cannot run: it was removed, or left to the verifier.
    Unreachable,
    /// There is no answer: the instruction was replaced by a call that the verifier refuses where it can run.
    Poisoned,
    /// There is no answer.
    Missing,
}

/// A source line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in bytes; 0 where it is not known.
    pub col: u32,
    /// The line's text, as far as the object has it, with the blanks before it.
    pub text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn kind_name<S: serde::Serializer>(kind: &CoreKind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.name())
}

/// Why an object cannot be relocated at all, whatever the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelocateError {
    /// The object cannot be read.
    #[error("{0}")]
    Object(String),
    /// The kernel's types cannot be read.
    #[error("the kernel's types are broken: {0}")]
    Target(#[source] BtfError),
    /// The object and the kernel are of different byte orders.
    #[error("the object is {object}-endian, the kernel is {target}-endian")]
    ByteOrder {
        /// Of the object.
        object: &'static str,
        /// Of the kernel.
        target: &'static str,
    },
    /// The path of a record, or a type on its way, is too deep, or a bitfield cannot be loaded (libbpf: `E2BIG`).
    #[error("{place}: {why}")]
    TooBig {
        /// The record.
        place: String,
        /// The source line.
        at: Option<Box<Place>>,
        /// What is too big.
        why: String,
    },
    /// A record is malformed, or asks for what cannot be (libbpf: `EINVAL`).
    #[error("{place}: {why}")]
    Record {
        /// The record: `.BTF.ext record 3 of section tp_btf/sched_switch`.
        place: String,
        /// The source line.
        at: Option<Box<Place>>,
        /// What is wrong with it.
        why: String,
    },
    /// Several candidates give different answers.
    #[error(
        "{function}, instruction {insn}: {local}: the target has several types of that name, which disagree: {candidates}"
    )]
    Ambiguous {
        /// The function.
        function: String,
        /// The slot.
        insn: usize,
        /// The local path.
        local: String,
        /// The candidates with their answers.
        candidates: String,
        /// The source line.
        at: Option<Box<Place>>,
    },
    /// The instruction is not what the record says.
    #[error("{function}, instruction {insn}: {why}")]
    Instruction {
        /// The function.
        function: String,
        /// The slot.
        insn: usize,
        /// What is wrong with it.
        why: String,
        /// The source line.
        at: Option<Box<Place>>,
    },
    /// The answer does not fit the instruction (libbpf: `ERANGE`, or silently cut).
    #[error(
        "{function}, instruction {insn}: {local} is {value}, which does not fit the instruction"
    )]
    Range {
        /// The function.
        function: String,
        /// The slot.
        insn: usize,
        /// The local path.
        local: String,
        /// The answer.
        value: u64,
        /// The source line.
        at: Option<Box<Place>>,
    },
}

impl From<ReadError> for RelocateError {
    fn from(error: ReadError) -> RelocateError {
        RelocateError::Object(error.to_string())
    }
}

impl RelocateError {
    /// The source line that it is about, where the object says it.
    pub fn at(&self) -> Option<&Place> {
        match self {
            RelocateError::TooBig { at, .. }
            | RelocateError::Record { at, .. }
            | RelocateError::Ambiguous { at, .. }
            | RelocateError::Instruction { at, .. }
            | RelocateError::Range { at, .. } => at.as_deref(),
            RelocateError::Object(_)
            | RelocateError::Target(_)
            | RelocateError::ByteOrder { .. } => None,
        }
    }
}

/// What an object asks a kernel for: the kind of the type (a number of [`crate::btf::kind`], `ENUM64` as `ENUM`) and its name without its flavor, each once, sorted.
/// A kernel's types need to hold every type of these, and all that they are made of.
pub fn wanted<'o>(object: &Object<'o>) -> Result<Vec<(u32, &'o str)>, RelocateError> {
    plan::wanted(object)
}

/// A question of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The program or function.
    pub function: String,
    /// The name of its section.
    pub section: String,
    /// The slot in the function.
    pub insn: usize,
    /// The source line, where the object says it.
    pub at: Option<Place>,
    /// What is asked.
    #[serde(serialize_with = "kind_name")]
    pub kind: CoreKind,
    /// The kind of the local type, a number of [`crate::btf::kind`], `ENUM64` as `ENUM`.
    #[serde(skip)]
    pub root_kind: u32,
    /// The local type: `struct task_struct___user`.
    pub root: String,
    /// The path in it: `struct task_struct___user.pid`. Of a record that is broken, what is wrong with it.
    pub local: String,
}

/// What an object asks whatever kernel it is relocated to: its records in the order of the file.
pub fn asked(object: &Object<'_>) -> Result<Vec<Asked>, RelocateError> {
    asked::asked(object)
}

/// The same of the programs that an ubpfc object has set aside.
pub fn asked_aside(object: &Object<'_>) -> Result<Vec<Asked>, RelocateError> {
    asked::asked_aside(object)
}

/// The types of a kernel that the objects' records and forms are about, and no more of them than what decides the answers: a `.BTF` section in the kernel's byte order, which loaders take
/// for that of a kernel which has none. If the kernel does not show BTF itself, that is noted in it for objects that depend on it. Equal input gives equal bytes.
pub fn minimal(
    objects: &[&Object<'_>],
    target: &Target<'_>,
    shows_btf: bool,
) -> Result<Vec<u8>, RelocateError> {
    minimal::minimal(objects, target, shows_btf, &[])
}

/// The same with the enums of these names as a whole.
pub fn minimal_with(
    objects: &[&Object<'_>],
    target: &Target<'_>,
    shows_btf: bool,
    enums: &[&str],
) -> Result<Vec<u8>, RelocateError> {
    minimal::minimal(objects, target, shows_btf, enums)
}

/// Answers every CO-RE record of an object from a kernel's types.
pub fn plan(
    object: &Object<'_>,
    target: &Target<'_>,
    policy: Policy,
) -> Result<Plan, RelocateError> {
    plan::plan(object, target, policy)
}
