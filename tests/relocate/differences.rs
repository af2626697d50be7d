//! libbpf's answers and ours, on many kernels: the same instruction for the same question, or a reason why not.

use super::compare::{Comparison, Difference, Outcome, compare};
use super::kernels::{self, Kernel};
use super::subject::{self, Form, Question};
use super::support::require;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use ubpfc::btf::{Btf, Type, TypeId};
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::relocate::Policy;
use ubpfc::target::Endian;

/// The structs that tools of tracing read.
pub(crate) const STRUCTS: &[&str] = &[
    "task_struct",
    "cred",
    "nsproxy",
    "ns_common",
    "mnt_namespace",
    "mm_struct",
    "signal_struct",
    "fs_struct",
    "path",
    "dentry",
    "qstr",
    "mount",
    "vfsmount",
    "inode",
    "super_block",
    "file",
    "kiocb",
    "request",
    "request_queue",
    "gendisk",
    "block_device",
    "bio",
    "sock",
    "sock_common",
    "inet_sock",
    "tcp_sock",
    "sk_buff",
    "net",
    "cfs_rq",
    "rq",
    "irqaction",
    "oom_control",
    "mem_cgroup",
    "cgroup_subsys_state",
    "cgroup",
    "kernfs_node",
    "kmem_cache",
    "module",
    "linux_binprm",
    "iov_iter",
];

/// The kernel whose types are the local ones.
pub(crate) const LOCAL: &str = "x86_64-6.1.0-50-cloud-amd64";

/// Questions about the members of [`STRUCTS`] and of what is in them.
pub(crate) fn members(btf: &Btf<'_>) -> Vec<Question> {
    let roots = STRUCTS.iter().filter_map(|wanted| {
        btf.ids().find(|id| {
            let ty = btf.get(*id);
            matches!(ty, Ok(Type::Composite { union: false, name, .. }) if name == *wanted)
        })
    });
    roots.flat_map(|root| subject::about_members(btf, root, 1)).collect()
}

/// Questions about every enumerator of every named enum.
fn enumerators(btf: &Btf<'_>) -> Vec<Question> {
    let enums = btf
        .ids()
        .filter(|id| matches!(btf.get(*id), Ok(Type::Enum { name, .. }) if !name.is_empty()));
    enums.flat_map(|root| subject::about_enumerators(btf, root)).collect()
}

/// Questions about every seventh type of those that have a name and a kind that records can be about.
fn types(btf: &Btf<'_>) -> Vec<Question> {
    let asked = |id: &TypeId| {
        let ty = btf.get(*id).unwrap();
        let kind = matches!(
            ty,
            Type::Int { .. }
                | Type::Composite { .. }
                | Type::Enum { .. }
                | Type::Fwd { .. }
                | Type::Typedef { .. }
                | Type::Float { .. }
        );
        kind && !ty.name().is_empty()
    };
    btf.ids().filter(asked).step_by(7).flat_map(|root| subject::about_type(btf, root)).collect()
}

/// A difference and what is needed to judge it.
struct Case<'c> {
    target: &'c Kernel,
    one: &'c Difference,
    /// What is asked, computed anew on the target's own struct of that name, where it has such a path.
    truth: &'c Truth,
}

/// Questions about the target's own types by path, kind and form.
type Truth = BTreeMap<String, Question>;

fn key(question: &Question) -> String {
    let Question { path, kind, form, .. } = question;
    let form = match form {
        Form::Load(_) => "load",
        Form::Store(_) => "store",
        Form::Mov | Form::Wide | Form::Raw(_) => "",
    };
    format!("{path} {} {form}", kind.name())
}

impl Case<'_> {
    fn kind(&self, kind: CoreKind) -> bool {
        self.one.question.kind == kind
    }

    /// A load or store of a field.
    fn accesses(&self) -> bool {
        matches!(self.one.question.form, Form::Load(_) | Form::Store(_))
    }

    fn truth(&self) -> Option<&Question> {
        self.truth.get(&key(&self.one.question))
    }

    /// Whether ours is what the target's own struct gives.
    fn is_true(&self) -> bool {
        let given = |question: &Question| Outcome::Answered(question.insns());
        self.truth().is_some_and(|question| given(question) == self.one.ours)
    }

    fn theirs_answered(&self) -> bool {
        matches!(self.one.theirs, Outcome::Answered(_))
    }

    fn ours_answered(&self) -> bool {
        matches!(self.one.ours, Outcome::Answered(_))
    }

    /// The values in both answers, where both are numbers.
    fn values(&self) -> Option<(u64, u64)> {
        let value = |outcome: &Outcome| match outcome {
            Outcome::Answered(insns) => match insns.as_slice() {
                [low, high] => Some(u64::from(high.imm as u32) << 32 | u64::from(low.imm as u32)),
                [only] => Some(u64::from(only.imm as u32)),
                _ => None,
            },
            Outcome::Missing | Outcome::Refused => None,
        };
        Some((value(&self.one.theirs)?, value(&self.one.ours)?))
    }
}

/// Why an answer may differ: with this policy (any, if there is none), by this rule or fault, in this case. The last column decides by the question and by the types, not by what ours says of it.
type Reason = (Option<Policy>, &'static str, fn(&Case<'_>) -> bool);

const REASONS: &[Reason] = &[
    (
        None,
        "the bits of a bitfield are counted in the byte order of the target, not of the host",
        |case| {
            let big = case.target.endian() == Endian::Big && case.kind(CoreKind::LshiftU64);
            big && case.theirs_answered() && case.is_true()
        },
    ),
    (Some(Policy::Strict), "a load of another width or sign is converted", |case| {
        let load = matches!(case.one.question.form, Form::Load(_));
        load && case.one.theirs == Outcome::Missing
            && case.ours_answered()
            && case.truth().is_some()
    }),
    (
        Some(Policy::Strict),
        "mask and shift of a bitfield that is accessed at once are in the code, and the target has it at other bits",
        |case| {
            let unit = case.one.question.unit;
            let moved = unit.is_some() && case.truth().is_none_or(|truth| truth.unit != unit);
            case.accesses() && moved && case.theirs_answered() && case.one.ours == Outcome::Missing
        },
    ),
    (
        Some(Policy::Strict),
        "twins that disagree leave a question without an answer, and do exist (fault 4)",
        |case| case.one.theirs == Outcome::Refused && case.one.said.contains("ambiguity"),
    ),
    (
        Some(Policy::Strict),
        "`short` of a kernel that clang compiled is `short int` of gcc (fault 2)",
        |case| {
            let target = case.target.btf();
            let by_clang = ["short", "unsigned short"].iter().all(|name| {
                let ids = target.find(&[name]).concat();
                ids.iter().any(|id| matches!(target.get(*id), Ok(Type::Int { .. })))
            });
            case.kind(CoreKind::TypeMatches) && by_clang && case.values() == Some((0, 1))
        },
    ),
    (Some(Policy::Strict), "what is wider than a register has no shifts (fault 6)", |case| {
        let shift = case.kind(CoreKind::LshiftU64) || case.kind(CoreKind::RshiftU64);
        let wrapped = |outcome: &Outcome| match outcome {
            Outcome::Answered(insns) => insns.iter().any(|insn| !(0..64).contains(&insn.imm)),
            Outcome::Missing | Outcome::Refused => false,
        };
        shift && wrapped(&case.one.theirs) && case.one.ours == Outcome::Missing
    }),
    (
        Some(Policy::Strict),
        "an unsigned enumerator from 2^31 on is not taken for negative (fault 1)",
        |case| {
            let negative = |(theirs, ours)| theirs == ours | 0xffff_ffff << 32;
            // Of a local one libbpf wants the instruction to hold the negative number.
            let local = case.one.question.value >> 31 == 1 && case.one.theirs == Outcome::Refused;
            case.kind(CoreKind::EnumvalValue)
                && (case.values().is_some_and(negative) || local && case.is_true())
        },
    ),
];

/// Why an answer differs, where that is known.
fn reason(policy: Policy, case: &Case<'_>) -> Option<&'static str> {
    let applies = |(of, _, when): &&Reason| of.is_none_or(|of| of == policy) && when(case);
    REASONS.iter().find(applies).map(|(_, why, _)| *why)
}

/// One of so many questions: an unoptimised build is slow and asks fewer.
pub(crate) fn sampled(
    questions: Vec<Question>,
    optimised: usize,
    unoptimised: usize,
) -> Vec<Question> {
    let step = if cfg!(debug_assertions) { unoptimised } else { optimised };
    questions.into_iter().step_by(step).collect()
}

/// Compares on every kernel and prints the table; what differs must have a reason.
fn compare_all(what: &str, ask: fn(&Btf<'_>) -> Vec<Question>) {
    let local = kernels::named(LOCAL).expect("its types are among the test data");
    let questions = |endian| -> Vec<Question> {
        let types = subject::in_order(&local.bytes, endian);
        sampled(ask(&Btf::parse(&types).unwrap()), 1, 37)
    };
    let (little, big) = (questions(Endian::Little), questions(Endian::Big));
    assert!(!little.is_empty() && little.len() == big.len());
    let mut table = String::new();
    let mut wrong = String::new();
    for target in kernels::all() {
        let questions = if target.endian() == Endian::Little { &little } else { &big };
        let own = ask(&target.btf()).into_iter().map(|question| (key(&question), question));
        // Of twins the first one counts.
        let truth: Truth = own.rev().collect();
        let policies = [Policy::Libbpf, Policy::Strict];
        let comparisons = compare(&local, &target, questions, policies);
        for (policy, comparison) in policies.into_iter().zip(comparisons) {
            let Comparison { answered, missing, refused, differences } = comparison;
            let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
            let mut differ = Vec::new();
            for one in &differences {
                match reason(policy, &Case { target: &target, one, truth: &truth }) {
                    Some(why) => *explained.entry(why).or_default() += 1,
                    None => differ.push(one),
                }
            }
            let _ = writeln!(
                table,
                "{what:12} {policy:7?} {:42} {answered:8} {missing:8} {refused:8} {:9} {:7}",
                target.name,
                explained.values().sum::<usize>(),
                differ.len()
            );
            for (why, count) in explained {
                let _ = writeln!(table, "    {count} {why}");
            }
            for one in differ.iter().take(3) {
                let _ = writeln!(
                    wrong,
                    "{}, {policy:?}, one of {}: {one:?}",
                    target.name,
                    differ.len()
                );
            }
        }
    }
    eprintln!(
        "what         policy  kernel                                     answered  missing  refused explained  differ\n{table}"
    );
    assert!(wrong.is_empty(), "{wrong}");
}

macro_rules! comparisons {
    ($($name:ident: $ask:ident;)*) => {
        $(#[test]
        fn $name() {
            if require("root") {
                compare_all(stringify!($ask), $ask);
            }
        })*
    };
}

comparisons! {
    members_as_libbpf: members;
    enumerators_as_libbpf: enumerators;
    types_as_libbpf: types;
}
