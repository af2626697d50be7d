//! libbpf's answers and ours, on many kernels: the same instruction for the same question, or a reason why not.

#![expect(clippy::print_stderr, reason = "the table of kernels and checks is worth seeing")]

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
const STRUCTS: &[&str] = &[
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
const LOCAL: &str = "x86_64-6.1.0-50-cloud-amd64";

/// Questions about the members of [`STRUCTS`] and of what is in them.
fn members(btf: &Btf<'_>) -> Vec<Question> {
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

/// Why an answer may differ: the policy (any, if there is none), what it is about, and when.
type Reason = (Option<Policy>, &'static str, fn(&Kernel, &Difference) -> bool);

const REASONS: &[Reason] = &[
    (
        None,
        "libbpf counts the bits of a bitfield in the byte order of its host",
        |target, difference| {
            target.endian() == Endian::Big && difference.question.kind == CoreKind::LshiftU64
        },
    ),
    (Some(Policy::Strict), "a load of another width or sign is converted", |_, difference| {
        let load = matches!(difference.question.form, Form::Load(_));
        load && difference.theirs == Outcome::Missing
            && matches!(difference.ours, Outcome::Answered(_))
    }),
    (
        Some(Policy::Strict),
        "mask and shift of a bitfield that is loaded at once are in the code",
        |_, difference| {
            let load = matches!(difference.question.form, Form::Load(_));
            load && difference.ours == Outcome::Missing && difference.said.contains("bitfield")
        },
    ),
];

/// Why an answer differs, where that is known.
fn reason(policy: Policy, target: &Kernel, difference: &Difference) -> Option<&'static str> {
    let applies =
        |(of, _, when): &&Reason| of.is_none_or(|of| of == policy) && when(target, difference);
    REASONS.iter().find(applies).map(|(_, why, _)| *why)
}

/// Compares on every kernel and prints the table; what differs must have a reason.
fn compare_all(what: &str, ask: fn(&Btf<'_>) -> Vec<Question>) {
    let local = kernels::named(LOCAL).expect("its types are among the test data");
    // An unoptimised build is slow: it asks some of every kind.
    let step = if cfg!(debug_assertions) { 37 } else { 1 };
    let questions = |endian| -> Vec<Question> {
        let types = subject::in_order(&local.bytes, endian);
        ask(&Btf::parse(&types).unwrap()).into_iter().step_by(step).collect()
    };
    let (little, big) = (questions(Endian::Little), questions(Endian::Big));
    assert!(!little.is_empty() && little.len() == big.len());
    let mut table = String::new();
    let mut wrong = String::new();
    for target in kernels::all() {
        let questions = if target.endian() == Endian::Little { &little } else { &big };
        let policies = [Policy::Libbpf, Policy::Strict];
        let comparisons = compare(&local, &target, questions, policies);
        for (policy, comparison) in policies.into_iter().zip(comparisons) {
            let Comparison { answered, missing, refused, differences } = comparison;
            let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
            let mut differ = Vec::new();
            for one in &differences {
                match reason(policy, &target, one) {
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
                    "{}, {policy:?}, one of {}: {one:#?}",
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
