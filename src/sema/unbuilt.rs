//! What the language has and this compiler has not yet: one table, and the diagnostics made of it.
//!
//! Invariant: a construct that parses and is in no other table is in this one, so that it gives an error that names it, never a silent
//! difference.

use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// Constructs, and what to write instead; empty where there is nothing.
const CONSTRUCTS: &[(&str, &str)] = &[
    // Items
    ("`fn`", "write the body where it is used"),
    ("`union`", "declare a struct with the members that are used"),
    // Mirrors
    ("`container_of` in a mirror", ""),
    ("`?:` in a mirror", "write alternatives with `else`"),
    (
        "`has` in a mirror",
        "alternatives apply where the target has what they name: write `a else b`",
    ),
    (
        "a cast to a mirror in a mirror",
        "give the field a mirror's pointer type and go on from there in the script",
    ),
    ("taking an address in a mirror", ""),
    ("dereferencing with `*` in a mirror", "name a member with `->`"),
    ("indexing a pointer in a mirror", ""),
    ("an index that is not constant, into an array of anything but structs", ""),
    ("a pointer to a union in a mirror", ""),
    (
        "an enumerator with alternatives inside an expression",
        "write one enumerator, and alternatives of the field with `else`",
    ),
    ("a struct as a mirror's field", "mirror it with a pointer: `struct name_user *field`"),
    ("a bitfield in a script's own struct", "use a member of its own and a mask"),
    ("an anonymous struct in a script's own struct", "give it a name"),
    // User tracepoints
    (
        "a user tracepoint on a function",
        "bind it to a kernel tracepoint: `= tracepoint category:event`",
    ),
    ("a user tracepoint with several events", "bind it to one event"),
];

/// Functions and variables of bpftrace and of the language that the compiler does not know yet.
const BUILTINS: &[&str] = &[
    "arg0",
    "arg1",
    "arg2",
    "arg3",
    "arg4",
    "arg5",
    "arg6",
    "arg7",
    "arg8",
    "arg9",
    "args_ptr",
    "bswap",
    "buf",
    "cat",
    "cgroup_path",
    "cgroupid",
    "container_of",
    "cpid",
    "errorf",
    "fail",
    "fd",
    "func",
    "getopt",
    "is_array",
    "is_err",
    "is_ptr",
    "is_str",
    "jiffies",
    "join",
    "kaddr",
    "kptr",
    "kstack",
    "ksym",
    "macaddr",
    "nsec",
    "ntop",
    "numaid",
    "offsetof",
    "override",
    "path",
    "percpu_kaddr",
    "ppid",
    "pton",
    "probe",
    "reg",
    "retval",
    "signal",
    "sizeof",
    "skboutput",
    "socket_cookie",
    "strcap",
    "strcontains",
    "strerror",
    "strftime",
    "strncmp",
    "strstr",
    "system",
    "tseries",
    "uaddr",
    "uptr",
    "usermode",
    "username",
    "ustack",
    "usym",
    "warnf",
];

/// "X is not supported yet", with what the table knows to do instead.
pub fn unbuilt(construct: &str, span: Span) -> Diagnostic {
    let instead =
        CONSTRUCTS.iter().find(|(name, _)| *name == construct).map_or("", |(_, instead)| *instead);
    let diagnostic =
        Diagnostic::new(Code::E0190, span, format!("{construct} is not supported yet"));
    if instead.is_empty() { diagnostic } else { diagnostic.help(instead) }
}

/// The diagnostic for a function or variable that is known by name only.
pub fn builtin(name: &str, span: Span) -> Option<Diagnostic> {
    BUILTINS.contains(&name).then(|| unbuilt(&format!("`{name}`"), span))
}
