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
    ("`?:` in a mirror", "write alternatives with `else`"),
    ("`container_of` of a `container_of`", "give the first one a field of its own"),
    ("dereferencing with `*` in a mirror", "name a member with `->`"),
    ("indexing a pointer in a mirror", ""),
    ("an index that is not constant, into an array of anything but structs", ""),
    ("a pointer to a union in a mirror", ""),
    ("a struct as a mirror's field", "mirror it with a pointer: `struct name_user *field`"),
    ("a bitfield in a script's own struct", "use a member of its own and a mask"),
    ("an anonymous struct in a script's own struct", "give it a name"),
    // Programs
    ("`while`", "write a loop with bounds: `for $i : 0..10 { … }`"),
    ("`unroll`", "write a loop with bounds: `for $i : 0..10 { … }`"),
    ("`for` over a map", "leave it to who reads the map, as `print(@map)` does"),
    ("reading memory through `*`", "read kernel structs through mirrors, and user text by `str`"),
    ("an argument of the command line", "declare a parameter: `param name: u64 = 0;`"),
];

/// Functions and variables of bpftrace and of the language that the compiler does not know yet, and what to write instead.
const BUILTINS: &[(&str, &str)] = &[
    ("arg0", "arguments have names: `args.NAME`"),
    ("arg1", "arguments have names: `args.NAME`"),
    ("arg2", "arguments have names: `args.NAME`"),
    ("arg3", "arguments have names: `args.NAME`"),
    ("arg4", "arguments have names: `args.NAME`"),
    ("arg5", "arguments have names: `args.NAME`"),
    ("arg6", "arguments have names: `args.NAME`"),
    ("arg7", "arguments have names: `args.NAME`"),
    ("arg8", "arguments have names: `args.NAME`"),
    ("arg9", "arguments have names: `args.NAME`"),
    ("args_ptr", ""),
    ("bswap", ""),
    ("buf", ""),
    ("cat", ""),
    ("cgroup_path", ""),
    ("cgroupid", "`cgroup` is the current thread's"),
    ("container_of", ""),
    ("cpid", ""),
    ("errorf", ""),
    ("fail", ""),
    ("fd", ""),
    ("func", ""),
    ("getopt", ""),
    ("is_array", ""),
    ("is_err", ""),
    ("is_ptr", ""),
    ("is_str", ""),
    ("jiffies", "`nsecs` is the time"),
    ("join", "print its parts by `str`"),
    ("kaddr", ""),
    ("kptr", ""),
    ("kstack", ""),
    ("ksym", ""),
    ("macaddr", ""),
    ("ntop", ""),
    ("numaid", ""),
    ("offsetof", ""),
    ("override", ""),
    ("path", ""),
    ("percpu_kaddr", ""),
    ("ppid", "`curtask.parent.tgid` is it, with `import \"task\";`"),
    ("pton", ""),
    ("probe", ""),
    ("reg", ""),
    ("retval", "after a system call it is `args.ret`"),
    ("signal", ""),
    ("sizeof", ""),
    ("skboutput", ""),
    ("socket_cookie", ""),
    ("strcap", ""),
    ("strcontains", "`==` compares whole texts"),
    ("strerror", ""),
    ("strftime", ""),
    ("strncmp", "`==` compares whole texts"),
    ("strstr", ""),
    ("system", ""),
    ("tseries", ""),
    ("uaddr", ""),
    ("uptr", ""),
    ("usermode", ""),
    ("username", "`uid` is the number"),
    ("ustack", ""),
    ("usym", ""),
    ("warnf", ""),
];

/// "X is not supported yet", with what the table knows to do instead.
pub fn unbuilt(construct: &str, span: Span) -> Diagnostic {
    with_advice(construct, advice(CONSTRUCTS, construct).unwrap_or_default(), span)
}

/// The diagnostic for a function or variable that is known by name only.
pub fn builtin(name: &str, span: Span) -> Option<Diagnostic> {
    advice(BUILTINS, name).map(|instead| with_advice(&format!("`{name}`"), instead, span))
}

fn advice(table: &[(&str, &'static str)], wanted: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == wanted).map(|(_, instead)| *instead)
}

fn with_advice(construct: &str, instead: &str, span: Span) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::E0190, span, format!("{construct} is not supported yet"));
    if instead.is_empty() { diagnostic } else { diagnostic.help(instead) }
}
