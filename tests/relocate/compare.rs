//! One object for one target, by libbpf and by ours: where the answers are the same, and where they differ.

use super::kernels::Kernel;
use super::libbpf::{self, Answer};
use super::subject::{self, PROGRAM, Question};
use std::collections::BTreeSet;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::{CALL, JMP};
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

/// What came of an object and a target.
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
    fn count(&mut self, question: &Question, theirs: Outcome, ours: Outcome, said: String) {
        if theirs == ours {
            match ours {
                Outcome::Answered(_) => self.answered += 1,
                Outcome::Missing => self.missing += 1,
                Outcome::Refused => self.refused += 1,
            }
        } else {
            self.differences.push(Difference { question: question.clone(), theirs, ours, said });
        }
    }
}

/// Asks both. What one of them refuses is counted, left out, and both are asked again.
pub(crate) fn compare(
    local: &Kernel,
    target: &Kernel,
    questions: &[Question],
    policy: Policy,
) -> Comparison {
    let places = subject::places(questions);
    let target_file = target.file();
    let types = target.target();
    let mut comparison = Comparison::default();
    let mut left_out = BTreeSet::new();
    loop {
        let asked: Vec<usize> =
            (0..questions.len()).filter(|number| !left_out.contains(number)).collect();
        let object = subject::object(&local.bytes, questions, |n| !left_out.contains(&n));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &object).unwrap();
        let theirs = libbpf::relocate(file.path(), target_file.path());
        let known = theirs.error == 0 || theirs.failed_record().is_some();
        assert!(known, "{}: {}", target.name, theirs.log);
        let plan_of = |n: usize| {
            let object = subject::object(&local.bytes, questions, |number| {
                number < n && !left_out.contains(&number)
            });
            relocate::plan(&Object::parse(&object).unwrap(), &types, policy)
        };
        let ours = relocate::plan(&Object::parse(&object).unwrap(), &types, policy);
        let refused = match (theirs.failed_record(), &ours) {
            (None, Ok(plan)) => {
                for (record, number) in asked.into_iter().enumerate() {
                    let (question, place) = (&questions[number], places[number]);
                    let theirs = their_outcome(&theirs, place, question.slots());
                    let (ours, said) = our_outcome(plan, record);
                    comparison.count(question, theirs, ours, said);
                }
                return comparison;
            }
            (Some(record), Err(error)) => {
                let number = asked[record];
                let same = plan_of(number).is_ok() && plan_of(number + 1).is_err();
                let ours = if same { Outcome::Refused } else { Outcome::Missing };
                let said = if same {
                    error.to_string()
                } else {
                    format!("not refused; elsewhere {error}")
                };
                comparison.count(&questions[number], Outcome::Refused, ours, said + &theirs.log);
                number
            }
            (Some(record), Ok(plan)) => {
                let number = asked[record];
                let (ours, said) = our_outcome(plan, record);
                comparison.count(&questions[number], Outcome::Refused, ours, said + &theirs.log);
                number
            }
            (None, Err(error)) => {
                let number = first_refused(questions.len(), plan_of);
                let theirs = their_outcome(&theirs, places[number], questions[number].slots());
                comparison.count(&questions[number], theirs, Outcome::Refused, error.to_string());
                number
            }
        };
        assert!(left_out.insert(refused), "{}: refused twice", target.name);
    }
}

/// The question for which ours refuses an object: the first with which it does.
fn first_refused(count: usize, plan_of: impl Fn(usize) -> Result<Plan, RelocateError>) -> usize {
    let (mut good, mut bad) = (0, count);
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if plan_of(middle).is_ok() { good = middle } else { bad = middle }
    }
    good
}

fn their_outcome(answer: &Answer, place: usize, slots: usize) -> Outcome {
    let code = answer.programs[PROGRAM][place..place + slots].to_vec();
    if code.iter().all(|insn| *insn == POISON) { Outcome::Missing } else { Outcome::Answered(code) }
}

fn our_outcome(plan: &Plan, record: usize) -> (Outcome, String) {
    let fixup = &plan.fixups[record];
    match &fixup.edit {
        Edit::Replace(insns) => (Outcome::Answered(insns.clone()), format!("{:?}", fixup.access)),
        Edit::Missing(missing) => (Outcome::Missing, missing.why.clone()),
    }
}
