//! The plan of an object for a kernel: every record's question, answered.

use super::candidates::{self, Candidate};
use super::compat::Pair;
use super::convert::Loads;
use super::fail::{Fail, Work};
use super::field::{self, Mismatch};
use super::patch::{self, Answers, Patched, Refused};
use super::record::{self, Record, Records};
use super::spec::{self, Path, Spec};
use super::value::Field;
use super::{Access, Action, Edit, Fixup, Missing, Plan, Policy, RelocateError};
use super::{matches, reason, report};
use crate::btf::{Btf, Type, TypeId, essential};
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use crate::kernel::Target;
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use crate::target::Endian;
use std::collections::{BTreeMap, BTreeSet};

/// See [`super::wanted`].
pub(super) fn wanted<'o>(object: &Object<'o>) -> Result<Vec<(u32, &'o str)>, RelocateError> {
    let Some(Records { types, list }) = record::records(object)? else { return Ok(Vec::new()) };
    let roots: BTreeSet<_> = list
        .iter()
        .filter(|record| record.core.kind != CoreKind::LocalTypeId)
        .map(|record| record.core.root)
        .collect();
    let keys: BTreeSet<_> =
        roots.into_iter().filter_map(|root| candidates::key(&types, root).ok()).collect();
    Ok(keys.into_iter().filter(|(_, name)| !name.is_empty()).collect())
}

/// See [`super::plan`].
pub(super) fn plan(
    object: &Object<'_>,
    target: &Target<'_>,
    policy: Policy,
) -> Result<Plan, RelocateError> {
    let Some(Records { types, list }) = record::records(object)? else {
        return Ok(Plan::default());
    };
    let endian = target.image.endian;
    if policy == Policy::Strict && !list.is_empty() && endian != object.endian {
        let [object, target] = [object.endian, endian].map(order);
        return Err(RelocateError::ByteOrder { object, target });
    }
    let loads = Loads { endian, v4: record::uses_v4(object) };
    let mut planner = Planner::new(&types, &list, target, policy, loads)?;
    if policy == Policy::Strict {
        planner.narrow(&list)?;
    }
    let fixups = list.iter().map(|record| planner.fixup(record)).collect::<Result<_, _>>()?;
    Ok(Plan { fixups, target: None })
}

fn order(endian: Endian) -> &'static str {
    match endian {
        Endian::Little => "little",
        Endian::Big => "big",
    }
}

/// What a candidate of a root weighs beside what is looked at in it.
const CANDIDATE: usize = 32;

/// What is known while records are answered.
struct Planner<'p, 'o, 't> {
    types: &'p Btf<'o>,
    policy: Policy,
    loads: Loads,
    /// The candidates of each root that are left.
    candidates: BTreeMap<TypeId, Vec<Candidate<'p, 't>>>,
    /// Instructions as the records before left them.
    patched: BTreeMap<(usize, usize), (Insn, Option<Insn>)>,
    /// How much may still be looked at.
    work: Work,
}

/// What a candidate has.
pub(super) struct Match<'p, 't> {
    pub(super) candidate: Candidate<'p, 't>,
    pub(super) path: Option<Path<'t>>,
    pub(super) field: Option<Field>,
    pub(super) value: u64,
}

/// A record's question: what it is about locally.
struct Question<'o> {
    spec: Spec<'o>,
    /// Of a field, unless only its existence is asked.
    field: Option<Field>,
    value: u64,
    /// Whether the instruction must hold the local answer.
    checked: bool,
}

impl<'p, 'o, 't> Planner<'p, 'o, 't> {
    fn new(
        types: &'p Btf<'o>,
        list: &[Record<'o>],
        target: &'p Target<'t>,
        policy: Policy,
        loads: Loads,
    ) -> Result<Planner<'p, 'o, 't>, RelocateError> {
        let searched = list.iter().filter(|record| record.core.kind != CoreKind::LocalTypeId);
        let roots: BTreeMap<TypeId, (&Record<'o>, (u32, &str))> = searched
            .filter_map(|record| {
                let root = record.core.root;
                Some((root, (record, candidates::key(types, root).ok()?)))
            })
            .filter(|(_, (_, (_, name)))| !name.is_empty())
            .collect();
        let found = candidates::find(roots.values().map(|(_, key)| *key), target);
        let work = Work::default();
        let mut candidates = BTreeMap::new();
        for (root, (record, key)) in roots {
            let of = found.get(&key).cloned().unwrap_or_default();
            // Each takes room, too.
            work.spend(of.len() * CANDIDATE).map_err(|fail| fail.at(record))?;
            candidates.insert(root, of);
        }
        Ok(Planner { types, policy, loads, candidates, patched: BTreeMap::new(), work })
    }

    /// Leaves of each root's candidates those that have whatever any of them has, if there are such: records that only some of several types of one name can answer say
    /// which of them is meant, in whatever order they stand.
    fn narrow(&mut self, list: &[Record<'o>]) -> Result<(), RelocateError> {
        let mut left: BTreeMap<TypeId, Vec<Candidate<'_, '_>>> = BTreeMap::new();
        for record in list {
            let root = record.core.root;
            let all = self.candidates.get(&root).map_or(&[][..], Vec::as_slice);
            if all.len() < 2 {
                continue;
            }
            let Ok(question) = self.question(record) else { continue };
            let has = |candidate: &Candidate<'p, 't>| {
                matches!(self.matched(record, &question, *candidate), Ok(Ok(_)))
            };
            if all.iter().any(has) {
                left.entry(root).or_insert_with(|| all.to_vec()).retain(has);
            }
            self.work.check().map_err(|fail| fail.at(record))?;
        }
        left.retain(|_, candidates| !candidates.is_empty());
        self.candidates.extend(left);
        Ok(())
    }

    /// What a record asks, and its answer on the local types.
    fn question(&self, record: &Record<'o>) -> Result<Question<'o>, Fail> {
        let kind = record.core.kind;
        let spec = Spec::parse(self.types, &record.core, self.policy)?;
        let (mut field, mut checked) = (None, true);
        let value = match (&spec, kind) {
            (_, CoreKind::LocalTypeId | CoreKind::TargetTypeId) => {
                checked = false;
                record.core.root.0.into()
            }
            (Spec::Type, CoreKind::TypeSize) => self.types.size(record.core.root)?.into(),
            (Spec::Enumerator { value, .. }, CoreKind::EnumvalValue) => *value,
            (Spec::Type | Spec::Enumerator { .. }, _) | (_, CoreKind::FieldExists) => 1,
            (Spec::Field(path), kind) => {
                let local = Field::of(self.types, path)?;
                field = Some(local);
                checked =
                    !local.is_bitfield() || matches!(kind, CoreKind::Signed | CoreKind::RshiftU64);
                local.answer(kind, self.types.endian, self.policy)?
            }
        };
        Ok(Question { spec, field, value, checked })
    }

    /// What a candidate has of what is asked.
    fn matched(
        &self,
        record: &Record<'o>,
        question: &Question<'o>,
        candidate: Candidate<'p, 't>,
    ) -> Result<Result<Match<'p, 't>, Mismatch>, Fail> {
        let result = self.matched_or_failed(record, question, candidate);
        match (self.policy, result) {
            (Policy::Strict, Err(fail)) => {
                Ok(Err(Mismatch { matched: String::new(), why: fail.why(), level: None }))
            }
            (_, result) => result,
        }
    }

    fn matched_or_failed(
        &self,
        record: &Record<'o>,
        question: &Question<'o>,
        candidate: Candidate<'p, 't>,
    ) -> Result<Result<Match<'p, 't>, Mismatch>, Fail> {
        let (kind, root) = (record.core.kind, record.core.root);
        let Candidate { types, id, .. } = candidate;
        let pair = Pair { local: self.types, target: types, policy: self.policy, work: &self.work };
        self.work.spend(1)?;
        let whole = |value| Match { candidate, path: None, field: None, value };
        match &question.spec {
            Spec::Type => {
                let fits = match kind {
                    CoreKind::TypeMatches => matches::matches(pair, root, id)?,
                    _ => pair.types(root, id)?,
                };
                if !fits {
                    return Ok(Err(reason::other_type(pair, root, id)));
                }
                Ok(Ok(whole(match kind {
                    CoreKind::TypeSize => types.size(id)?.into(),
                    CoreKind::TargetTypeId => id.0.into(),
                    _ => 1,
                })))
            }
            Spec::Enumerator { name, .. } => {
                let id = types.strip(id)?;
                let ty = types.get(id)?;
                let index = match &ty {
                    Type::Enum { values, .. } => {
                        values.iter().position(|(other, _)| essential(other) == *name)
                    }
                    _ => None,
                };
                let Some(index) = index else {
                    return Ok(Err(reason::no_enumerator(types, id, name)));
                };
                let value = spec::enum_value(&ty, index, self.policy).unwrap_or_default();
                Ok(Ok(whole(if kind == CoreKind::EnumvalValue { value } else { 1 })))
            }
            Spec::Field(path) => {
                let path = match field::find(pair, path, id)? {
                    Ok(path) => path,
                    Err(mismatch) => return Ok(Err(mismatch)),
                };
                let (mut field, mut value) = (None, 1);
                if kind != CoreKind::FieldExists {
                    let found = Field::of(types, &path)?;
                    value = found.answer(kind, self.loads.endian, self.policy)?;
                    field = Some(found);
                }
                Ok(Ok(Match { candidate, path: Some(path), field, value }))
            }
        }
    }

    /// Answers a record.
    fn fixup(&mut self, record: &Record<'o>) -> Result<Fixup, RelocateError> {
        let at = |fail: Fail| fail.at(record);
        let (kind, root) = (record.core.kind, record.core.root);
        let question = self.question(record).map_err(at)?;
        let mut access = report::access(self.types, record, &question.spec, question.field);
        access.local_value = Some(question.value);
        if kind == CoreKind::LocalTypeId {
            access.value = Some(question.value);
            let patched = self.patch(record, &question, question.value, None)?;
            return Ok(self.done(record, access, patched));
        }
        let name = self.types.name(root).unwrap_or_default();
        if name.is_empty() {
            let spelled = reason::spell(self.types, root);
            let why = format!("its type is {spelled}, which has no name to search for");
            return Err(at(Fail::invalid(why)));
        }
        let candidates = self.candidates.get(&root).cloned().unwrap_or_default();
        let (mut found, mut tried) = (Vec::new(), Vec::new());
        for candidate in candidates {
            match self.matched(record, &question, candidate).map_err(at)? {
                Ok(matched) => found.push(matched),
                Err(mismatch) => report::try_in_vain(&mut tried, candidate, mismatch),
            }
            self.work.check().map_err(at)?;
        }
        let Some(first) = found.first() else {
            return self.absent(record, &question, access, &tried);
        };
        report::found(&mut access, first.candidate, &question.spec, first.path.as_ref());
        report::field(&mut access, first.field);
        access.value = Some(first.value);
        let given = matches!(record.code.0.code & op::CLASS_MASK, op::ALU | op::ALU64 | op::LD);
        let numbers =
            question.field.zip(first.field).filter(|_| given && kind == CoreKind::ByteOff);
        access.sized = numbers.is_some_and(|(local, target)| local.resized_number(&target));
        let patched = match self.policy {
            Policy::Libbpf => {
                let offset = |m: &Match<'_, '_>| m.path.as_ref().map(|path| path.bit_offset);
                let agree = |m| offset(m) == offset(first) && m.value == first.value;
                if !found.iter().all(agree) {
                    let Access { function, insn, local, .. } = access;
                    let candidates = report::answers(&found);
                    let at = record.at.clone().map(Box::new);
                    return Err(RelocateError::Ambiguous { function, insn, local, candidates, at });
                }
                self.patch(record, &question, first.value, first.field)?
            }
            Policy::Strict => {
                let patched: Vec<Patched> = found
                    .iter()
                    .map(|m| self.patch(record, &question, m.value, m.field))
                    .collect::<Result<_, _>>()?;
                match patched.split_first() {
                    Some((first, rest)) if rest.iter().all(|other| other == first) => first.clone(),
                    _ => {
                        let why = format!(
                            "the target has several types of that name, which disagree: {}",
                            report::answers(&found)
                        );
                        access.value = None;
                        return Ok(self.missing(record, access, Missing::because(why)));
                    }
                }
            }
        };
        let left = found.iter().map(|m| m.candidate).collect();
        self.candidates.insert(root, left);
        Ok(self.done(record, access, patched))
    }

    /// No candidate has what is asked: that is the answer, or there is none.
    fn absent(
        &mut self,
        record: &Record<'o>,
        question: &Question<'o>,
        mut access: Access,
        tried: &[(Candidate<'p, 't>, Mismatch)],
    ) -> Result<Fixup, RelocateError> {
        match record.core.kind {
            CoreKind::FieldExists
            | CoreKind::TargetTypeId
            | CoreKind::TypeExists
            | CoreKind::TypeSize
            | CoreKind::TypeMatches
            | CoreKind::EnumvalExists => {
                access.value = Some(0);
                access.absent = Some(report::missing(self.types, record.core.root, tried).why);
                let patched = self.patch(record, question, 0, None)?;
                Ok(self.done(record, access, patched))
            }
            CoreKind::ByteOff
            | CoreKind::ByteSize
            | CoreKind::Signed
            | CoreKind::LshiftU64
            | CoreKind::RshiftU64
            | CoreKind::LocalTypeId
            | CoreKind::EnumvalValue => {
                let missing = report::missing(self.types, record.core.root, tried);
                Ok(self.missing(record, access, missing))
            }
        }
    }

    /// The instruction with an answer in it.
    fn patch(
        &self,
        record: &Record<'_>,
        question: &Question<'_>,
        value: u64,
        field: Option<Field>,
    ) -> Result<Patched, RelocateError> {
        let key = (record.section, record.slot);
        let code = match self.policy {
            Policy::Libbpf => self.patched.get(&key).copied().unwrap_or(record.code),
            Policy::Strict => record.code,
        };
        let answers = Answers {
            kind: record.core.kind,
            local: question.value,
            target: value,
            fields: question.field.zip(field),
            checked: question.checked,
        };
        let (function, insn) = (record.function.to_owned(), record.insn);
        let at = record.at.clone().map(Box::new);
        match patch::patch(code, &answers, self.loads, self.policy) {
            Ok(patched) => Ok(patched),
            Err(Refused::Instruction(why)) => {
                Err(RelocateError::Instruction { function, insn, why, at })
            }
            Err(Refused::Range) if self.policy == Policy::Strict => Ok(Patched::Unfit(format!(
                "the answer is {value}, which does not fit the instruction"
            ))),
            Err(Refused::Range) => {
                let local = report::local(self.types, record.core.root, &question.spec);
                Err(RelocateError::Range { function, insn, local, value, at })
            }
        }
    }

    fn done(&mut self, record: &Record<'_>, mut access: Access, patched: Patched) -> Fixup {
        match patched {
            Patched::By(code, action) => {
                if let Some(first) = code.first() {
                    let second = if first.is_wide() { code.get(1).copied() } else { record.code.1 };
                    self.patched.insert((record.section, record.slot), (*first, second));
                }
                access.action = action;
                let (section, slot) = (record.section, record.slot);
                Fixup { section, slot, edit: Edit::Replace(code), access }
            }
            Patched::Unfit(why) => self.missing(record, access, Missing::because(why)),
        }
    }

    fn missing(&mut self, record: &Record<'_>, mut access: Access, missing: Missing) -> Fixup {
        self.patched.insert((record.section, record.slot), (Insn::poison(), record.code.1));
        access.action = Action::Missing;
        let (section, slot) = (record.section, record.slot);
        Fixup { section, slot, edit: Edit::Missing(missing), access }
    }
}
