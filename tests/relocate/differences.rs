//! libbpf's answers and ours, on many kernels: the same instruction for the same question, or a reason why not.

#![expect(clippy::print_stderr, reason = "the table of kernels and checks is worth seeing")]

use super::compare::{Comparison, compare};
use super::kernels::{self, Kernel};
use super::subject::{self, Question};
use super::support::require;
use std::collections::BTreeMap;
use ubpfc::btf::{Btf, Type, TypeId};
use ubpfc::relocate::Policy;

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
const LOCAL: &str = "x86_64-6.1.0-50-amd64";

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

/// Questions about every enumerator of every seventh named enum.
fn enumerators(btf: &Btf<'_>) -> Vec<Question> {
    let enums = btf
        .ids()
        .filter(|id| matches!(btf.get(*id), Ok(Type::Enum { name, .. }) if !name.is_empty()));
    enums.step_by(7).flat_map(|root| subject::about_enumerators(btf, root)).collect()
}

/// Questions about every fiftieth type of those that have a name and a kind that records can be about.
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
    btf.ids().filter(asked).step_by(50).flat_map(|root| subject::about_type(btf, root)).collect()
}

/// Compares on every kernel, prints the table, and gives what differs.
fn table(ask: fn(&Btf<'_>) -> Vec<Question>, policy: Policy) -> Vec<(String, Comparison)> {
    let Some(local) = kernels::named(LOCAL) else {
        eprintln!("skipped: there is no kernel {LOCAL}");
        return Vec::new();
    };
    // An unoptimised build is slow: it asks some of every kind.
    let step = if cfg!(debug_assertions) { 37 } else { 1 };
    let questions: Vec<_> = ask(&local.btf()).into_iter().step_by(step).collect();
    assert!(!questions.is_empty());
    eprintln!(
        "{:40} {:>9} {:>9} {:>9} {:>9}",
        "kernel", "answered", "missing", "refused", "differ"
    );
    let row = |target: Kernel| {
        let comparison = compare(&local, &target, &questions, policy);
        let Comparison { answered, missing, refused, differences } = &comparison;
        eprintln!(
            "{:40} {answered:9} {missing:9} {refused:9} {:9}",
            target.name,
            differences.len()
        );
        (target.name, comparison)
    };
    kernels::all().map(row).collect()
}

/// Says what differs and is not explained; there must be nothing.
fn nothing_differs(table: &[(String, Comparison)]) {
    let mut shown: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (kernel, comparison) in table {
        for difference in &comparison.differences {
            let key =
                format!("{kernel} {:?} {:?}", difference.question.kind, difference.question.form);
            let entry = shown.entry(key).or_insert_with(|| (0, format!("{difference:#?}")));
            entry.0 += 1;
        }
    }
    for (key, (count, first)) in &shown {
        eprintln!("{key}: {count} times, first {first}");
    }
    assert!(shown.is_empty());
}

macro_rules! comparisons {
    ($($name:ident: $ask:ident, $policy:ident;)*) => {
        $(#[test]
        fn $name() {
            if require("root") {
                nothing_differs(&table($ask, Policy::$policy));
            }
        })*
    };
}

comparisons! {
    members_as_libbpf: members, Libbpf;
    enumerators_as_libbpf: enumerators, Libbpf;
    types_as_libbpf: types, Libbpf;
    members_strictly: members, Strict;
    enumerators_strictly: enumerators, Strict;
    types_strictly: types, Strict;
}
