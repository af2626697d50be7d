//! What to do about what a kernel has not.

use super::faults::listed;
use crate::object::ubpf::{MirrorField, Ubpf};
use crate::relocate::Cause;

/// What to do where the kernel is a folder of tracefs.
pub(super) const TRACEFS: &str = "tracefs describes nothing but the records of tracepoints; give the kernel's BTF or its vmlinux";

/// What to do where something lacks, in a script of ours or in C.
pub(super) fn help(cause: Cause, script: bool, near: &[&String]) -> String {
    let advice = advice(cause, script);
    if near.is_empty() {
        return advice.into();
    }
    let near = near.iter().map(|name| format!("`{name}`"));
    format!("did you mean {}? otherwise, {advice}", listed(near, "or"))
}

fn advice(cause: Cause, script: bool) -> &'static str {
    match (cause, script) {
        (Cause::NoType, _) => {
            "if a module of the kernel has it, name the module's file: `--module FILE`"
        }
        (Cause::NoField | Cause::NoEnumerator, true) => {
            "give the mirror an alternative that this kernel has, or make it optional and ask with `has(…)`"
        }
        (Cause::OtherType | Cause::Unfit, true) => {
            "give the mirror an alternative that fits this kernel"
        }
        (Cause::NoField, false) => {
            "if the program is to run on this kernel too, read it only where `bpf_core_field_exists(…)` says that it is there"
        }
        (Cause::NoEnumerator, false) => {
            "if the program is to run on this kernel too, use it only where `bpf_core_enum_value_exists(…)` says that it is there"
        }
        (Cause::OtherType | Cause::Unfit, false) => {
            "declare it as this kernel has it in another flavor, such as `struct NAME___2`, and read the one that `bpf_core_field_exists(…)` says is there"
        }
    }
}

/// Which field of a mirror reads a kernel path such as `task_struct.real_start_time`, and what else it would take.
pub(super) fn mirror(ubpf: &Ubpf, path: &str) -> Option<String> {
    let (kernel, rest) = path.split_once('.')?;
    let reads = |field: &&MirrorField| {
        field.alternatives.iter().any(|alternative| names(alternative, rest))
    };
    let mut mirrors = ubpf.mirrors.iter().filter(|mirror| mirror.kernel == kernel);
    let (mirror, field) =
        mirrors.find_map(|mirror| Some((mirror, mirror.fields.iter().find(reads)?)))?;
    let at = format!("{}:{}", field.at.file, field.at.line);
    let tried = field.alternatives.iter().map(|alternative| format!("`{alternative}`"));
    let tried = listed(tried, "or else");
    Some(format!("`{}` of mirror `{}` ({at}) is {tried}", field.name, mirror.name))
}

/// Whether an expression names a path, and not only one that contains it.
fn names(expression: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    expression.match_indices(path).any(|(at, _)| {
        let before = expression.get(..at).and_then(|before| before.chars().next_back());
        let after = expression.get(at + path.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(|c| part(c) || c == '.') && !after.is_some_and(part)
    })
}
