//! Questions about one target, answered by libbpf and by ours: where the answers are the same, and where they differ.
//!
//! Questions share an object, as in real programs, where one may rule out candidates for another. A question for which the object is refused has one of its own, behind those about the same type
//! that precede it.

use super::kernels::Kernel;
use super::libbpf::{self, Answer};
use super::subject::{self, PROGRAM, Question};
use std::collections::BTreeSet;
use std::path::Path;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::{CALL, JMP};
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Edit, Plan, Policy, RelocateError};

/// A call of a helper that no kernel has: what libbpf leaves where it has no answer.
pub(crate) const POISON: Insn = Insn { code: JMP | CALL, dst: 0, src: 0, off: 0, imm: 195_896_080 };

/// How one question was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With these instructions.
    Answered(Vec<Insn>),
    /// There is no answer: libbpf poisons, ours says why.
    Missing,
    /// The object is refused for it.
    Refused,
}

/// A question to which the answers differ.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) question: Question,
    pub(crate) theirs: Outcome,
    pub(crate) ours: Outcome,
    /// What each said about it.
    pub(crate) said: String,
}

/// What came of the questions.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Answered, with the same instructions.
    pub(crate) answered: usize,
    /// Both have no answer.
    pub(crate) missing: usize,
    /// Both refuse.
    pub(crate) refused: usize,
    pub(crate) differences: Vec<Difference>,
}

impl Comparison {
    fn count(&mut self, question: &Question, theirs: &Outcome, (ours, said): (Outcome, String)) {
        if *theirs == ours {
            match ours {
                Outcome::Answered(_) => self.answered += 1,
                Outcome::Missing => self.missing += 1,
                Outcome::Refused => self.refused += 1,
            }
        } else {
            let (question, theirs) = (question.clone(), theirs.clone());
            self.differences.push(Difference { question, theirs, ours, said });
        }
    }

    fn add(&mut self, other: Comparison) {
        self.answered += other.answered;
        self.missing += other.missing;
        self.refused += other.refused;
        self.differences.extend(other.differences);
    }
}

/// How many questions an object asks at most, unless more are about one type.
const TOGETHER: usize = 4096;

/// Asks both, ours by each of these policies. The questions about one type must stand together.
pub(crate) fn compare<const N: usize>(
    local: &Kernel,
    target: &Kernel,
    questions: &[Question],
    policies: [Policy; N],
) -> [Comparison; N] {
    let local = &*subject::in_order(&local.bytes, target.endian());
    let (file, types) = (target.file(), target.target());
    let mut comparisons = policies.map(|_| Comparison::default());
    let mut together = Vec::new();
    let mut about: Vec<&[Question]> = questions.chunk_by(|a, b| a.root == b.root).collect();
    about.push(&[]);
    for same in about {
        if !together.is_empty() && (same.is_empty() || together.len() + same.len() > TOGETHER) {
            let questions = &std::mem::take(&mut together);
            let places = subject::places(questions);
            let asker = Asker { local, target: &types, file: file.path(), questions, places };
            for (comparison, more) in comparisons.iter_mut().zip(asker.compare(policies)) {
                comparison.add(more);
            }
        }
        together.extend_from_slice(same);
    }
    comparisons
}

/// Asks questions of one object.
struct Asker<'q> {
    local: &'q [u8],
    target: &'q Target<'q>,
    file: &'q Path,
    questions: &'q [Question],
    /// The slot of each.
    places: Vec<usize>,
}

impl Asker<'_> {
    fn compare<const N: usize>(&self, policies: [Policy; N]) -> [Comparison; N] {
        let mut asked: BTreeSet<usize> = (0..self.questions.len()).collect();
        // Ours says first for which ones it would refuse the object: that spares many objects.
        let mut alone = self.refused(asked.clone());
        asked.retain(|number| !alone.contains(number));
        let mut theirs = self.theirs(&asked);
        while let Some(record) = theirs.failed_record() {
            let number = *asked.iter().nth(record).unwrap();
            assert!(asked.remove(&number) && alone.insert(number), "refused twice");
            theirs = self.theirs(&asked);
        }
        assert!(!theirs.refused(), "{}", theirs.log);
        let mut comparisons = policies.map(|policy| {
            let plan = self.ours(&asked, policy);
            let mut comparison = Comparison::default();
            for (record, number) in asked.iter().enumerate() {
                let ours = match &plan {
                    Ok(plan) => our_outcome(plan, record),
                    Err(error) => (Outcome::Refused, error.to_string()),
                };
                let theirs = self.their_outcome(&theirs, *number);
                comparison.count(&self.questions[*number], &theirs, ours);
            }
            comparison
        });
        for number in alone {
            let question = &self.questions[number];
            let before = asked.range(..number).rev().copied();
            let mut asked: BTreeSet<usize> =
                before.take_while(|n| self.questions[*n].root == question.root).collect();
            asked.insert(number);
            let record = asked.len() - 1;
            let answer = self.theirs(&asked);
            let theirs = match answer.failed_record() {
                None if !answer.refused() => self.their_outcome(&answer, number),
                failed => {
                    assert_eq!(failed, Some(record), "{}", answer.log);
                    Outcome::Refused
                }
            };
            for (comparison, policy) in comparisons.iter_mut().zip(policies) {
                let (ours, said) = match self.ours(&asked, policy) {
                    Ok(plan) => our_outcome(&plan, record),
                    Err(error) => (Outcome::Refused, error.to_string()),
                };
                comparison.count(question, &theirs, (ours, said + &answer.log));
            }
        }
        comparisons
    }

    fn object(&self, asked: &BTreeSet<usize>) -> Vec<u8> {
        subject::object(self.local, self.questions, |number| asked.contains(&number))
    }

    fn theirs(&self, asked: &BTreeSet<usize>) -> Answer {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.object(asked)).unwrap();
        libbpf::relocate(file.path(), self.file)
    }

    fn ours(&self, asked: &BTreeSet<usize>, policy: Policy) -> Result<Plan, RelocateError> {
        relocate::plan(&Object::parse(&self.object(asked)).unwrap(), self.target, policy)
    }

    /// The questions for which ours refuses an object by libbpf's policy.
    fn refused(&self, mut asked: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut refused = BTreeSet::new();
        while let Err(error) = self.ours(&asked, Policy::Libbpf) {
            let number = match named(&error) {
                Named::Record(record) => *asked.iter().nth(record).unwrap(),
                Named::Slot(slot) => self.places.binary_search(&slot).unwrap(),
            };
            assert!(asked.remove(&number), "{error}");
            refused.insert(number);
        }
        refused
    }

    fn their_outcome(&self, answer: &Answer, number: usize) -> Outcome {
        let code = &answer.programs[PROGRAM][self.places[number]..];
        let code = &code[..self.questions[number].slots()];
        if code.iter().all(|insn| *insn == POISON) {
            Outcome::Missing
        } else {
            Outcome::Answered(code.to_vec())
        }
    }
}

/// What an error names.
enum Named {
    /// The number of a record in its section.
    Record(usize),
    /// A slot of the program.
    Slot(usize),
}

fn named(error: &RelocateError) -> Named {
    match error {
        RelocateError::Record { place, .. } | RelocateError::TooBig { place, .. } => {
            let (_, number) = place.split_once("record ").unwrap();
            Named::Record(number.split(' ').next().unwrap().parse().unwrap())
        }
        RelocateError::Ambiguous { insn, .. }
        | RelocateError::Instruction { insn, .. }
        | RelocateError::Range { insn, .. } => Named::Slot(*insn),
        error => panic!("{error}"),
    }
}

fn our_outcome(plan: &Plan, record: usize) -> (Outcome, String) {
    let fixup = &plan.fixups[record];
    match &fixup.edit {
        Edit::Replace(insns) => (Outcome::Answered(insns.clone()), format!("{:?}", fixup.access)),
        Edit::Missing(missing) => (Outcome::Missing, missing.why.clone()),
    }
}
