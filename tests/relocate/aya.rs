//! aya-obj as another opinion: what it makes of the questions that libbpf is asked, and how it differs from libbpf's policy.
//!
//! It checks no value, so that its instructions hold a mark at first: where relocation ends with an error, the first mark is the question that it ended with. Where it differs, the cause must be one that is known.

use super::compare::{Outcome, POISON};
use super::differences::{LOCAL, members, sampled};
use super::kernels::{self, Kernel};
use super::subject::{self, Form, Question};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use ubpfc::isa::code::Insn;
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Edit, Policy};
use ubpfc::target::Endian;

/// No offset of a field, no size.
const MARK: u64 = 0x5a5b;

const PANIC: &str = "a panic";

/// What aya makes of each question. Panics of it count as refusals.
fn theirs(
    local: &[u8],
    target: &aya_obj::btf::Btf,
    questions: &[Question],
) -> Vec<(Outcome, String)> {
    let marked = |question: &Question| Question { value: MARK, ..question.clone() };
    let marked: Vec<Question> = questions.iter().map(marked).collect();
    let mut outcomes = Vec::new();
    while outcomes.len() < marked.len() {
        let rest = &marked[outcomes.len()..];
        let bytes = subject::object(local, rest, |_| true);
        let mut object = aya_obj::Object::parse(&bytes).unwrap();
        let relocate = std::panic::AssertUnwindSafe(|| object.relocate_btf(target));
        let error = match std::panic::catch_unwind(relocate) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:?}")),
            Err(_) => Some(PANIC.to_owned()),
        };
        let code: Vec<Insn> = object
            .functions
            .values()
            .next()
            .unwrap()
            .instructions
            .iter()
            .copied()
            .map(insn)
            .collect();
        let places = subject::places(rest);
        let slots = |n: usize| &code[places[n]..][..rest[n].slots()];
        let mark = || (0..rest.len()).find(|n| slots(*n) == rest[*n].insns()).unwrap_or(rest.len());
        let done = match error.as_deref() {
            None => rest.len(),
            // The offset is written before the sizes are compared.
            Some(PANIC) => mark() - 1,
            Some(error) => failed(error).unwrap_or_else(mark),
        };
        for n in 0..done {
            let poisoned = slots(n).iter().all(|insn| *insn == POISON);
            let outcome =
                if poisoned { Outcome::Missing } else { Outcome::Answered(slots(n).to_vec()) };
            outcomes.push((outcome, String::new()));
        }
        outcomes.extend(error.map(|error| (Outcome::Refused, error)));
    }
    outcomes
}

/// What ours makes of them by libbpf's policy.
fn ours(local: &Kernel, questions: &[Question], target: &Target<'_>) -> Vec<Outcome> {
    let bytes = subject::object(&local.bytes, questions, |_| true);
    let plan = relocate::plan(&Object::parse(&bytes).unwrap(), target, Policy::Libbpf).unwrap();
    let outcome = |fixup: relocate::Fixup| match fixup.edit {
        Edit::Replace(code) => Outcome::Answered(code),
        Edit::Missing(_) => Outcome::Missing,
    };
    plan.fixups.into_iter().map(outcome).collect()
}

fn insn(insn: aya_obj::generated::bpf_insn) -> Insn {
    Insn { code: insn.code, dst: insn.dst_reg(), src: insn.src_reg(), off: insn.off, imm: insn.imm }
}

/// The record that an error names.
fn failed(error: &str) -> Option<usize> {
    let (_, number) = error.split_once("relocation_number: ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A question that aya answers otherwise than libbpf's policy here.
#[derive(Debug)]
struct Difference<'q> {
    question: &'q Question,
    theirs: Outcome,
    ours: Outcome,
    /// What ours would be if pointers had 8 bytes.
    with_wide_pointers: Outcome,
    said: String,
}

/// What aya is known to do otherwise, and when that is the cause.
type Fault = (&'static str, fn(&Kernel, &Difference<'_>) -> bool);

const FAULTS: &[Fault] = &[
    ("elements of arrays are refused, or not found", |_, d| {
        d.question.path.contains('[') && !matches!(d.theirs, Outcome::Answered(_))
    }),
    ("a bitfield on one side only ends in a panic", |_, d| {
        d.ours == Outcome::Missing && d.said == PANIC
    }),
    (
        "a load of another size is an error, where libbpf leaves a call that the verifier refuses",
        |_, d| {
            matches!(d.question.form, Form::Load(_) | Form::Store(_))
                && (&d.theirs, &d.ours) == (&Outcome::Refused, &Outcome::Missing)
        },
    ),
    ("pointers have 8 bytes", |target, d| {
        target.btf().pointer_size() == 4 && d.theirs == d.with_wide_pointers
    }),
    ("candidates that other records rule out are kept", |_, d| {
        d.theirs == Outcome::Refused && d.said.contains("ConflictingCandidates")
    }),
];

#[test]
fn members_as_aya() {
    let local = kernels::named(LOCAL).expect("its types are among the test data");
    let questions: Vec<Question> = sampled(members(&local.btf()), 7, 370);
    let mut table = String::new();
    let mut wrong = String::new();
    for target in kernels::all().filter(|kernel| kernel.endian() == Endian::Little) {
        let ours = ours(&local, &questions, &target.target());
        let mut wide = target.btf();
        wide.set_pointer_size(8);
        let wide = Target { image: Arc::new(wide), modules: Vec::new() };
        let with_wide_pointers = self::ours(&local, &questions, &wide);
        let types = aya_obj::btf::Btf::parse(&target.bytes, object::Endianness::Little).unwrap();
        let (mut same, mut faults, mut unknown) = (0, BTreeMap::<&str, usize>::new(), 0);
        let theirs = theirs(&local.bytes, &types, &questions);
        let ours = ours.into_iter().zip(with_wide_pointers);
        for ((question, (ours, with_wide_pointers)), (theirs, said)) in
            questions.iter().zip(ours).zip(theirs)
        {
            if ours == theirs {
                same += 1;
                continue;
            }
            let difference = Difference { question, theirs, ours, with_wide_pointers, said };
            if let Some((why, _)) = FAULTS.iter().find(|(_, when)| when(&target, &difference)) {
                *faults.entry(why).or_default() += 1;
                continue;
            }
            unknown += 1;
            if unknown <= 3 {
                let _ = writeln!(wrong, "{}: {difference:#?}", target.name);
            }
        }
        let known: usize = faults.values().sum();
        let _ = writeln!(
            table,
            "aya          {:50} {same:8} {known:9} {unknown:7}  {faults:?}",
            target.name
        );
    }
    eprintln!("{:63}     same explained  differ\n{table}", "");
    assert!(wrong.is_empty(), "{wrong}");
}
