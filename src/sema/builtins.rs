//! The builtins: one table that gives each its name, how it is used, and what it does.
//!
//! Type checking, suggestions and the reference derive from it. Names that bpftrace has and this compiler has not are in the table of what is
//! not built.

use super::hir::Builtin;
use super::types::{IntTy, Ty};

/// A name that the language gives.
#[derive(Debug)]
pub struct Info {
    /// The name.
    pub name: &'static str,
    /// What it is.
    pub what: What,
    /// How it is written: `hist(n)`.
    pub usage: &'static str,
    /// What it gives or does, as a sentence.
    pub doc: &'static str,
}

/// What a builtin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A value.
    Value(Builtin),
    /// A function or action, with the least and the greatest number of arguments.
    Call(Call, usize, usize),
}

/// The functions and actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// An aggregation: what `@m[key] = …` is given.
    Agg(AggKind),
    /// `printf(format, …)`
    Printf,
    /// `print(@m)`, `print(value)`
    Print,
    /// `exit()`
    Exit,
    /// `time([format])`
    Time,
    /// `clear(@m)`
    Clear,
    /// `zero(@m)`
    Zero,
    /// `delete(@m, key…)`
    Delete,
    /// `has_key(@m, key…)`
    HasKey,
    /// `len(@m)`
    Len,
    /// `str(ptr[, size])`
    Str,
    /// `kstr(ptr[, size])`
    Kstr,
    /// `fetch_u32(addr)` and its like
    Fetch(IntTy),
    /// `has(ptr.field)`
    Has,
    /// `load_u16(offset)` and its like
    Packet(IntTy),
}

/// The aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggKind {
    /// `count()`
    Count,
    /// `sum(n)`
    Sum,
    /// `min(n)`
    Min,
    /// `max(n)`
    Max,
    /// `avg(n)`
    Avg,
    /// `stats(n)`
    Stats,
    /// `hist(n)`
    Hist,
    /// `lhist(n, min, max, step)`
    Lhist,
}

const fn value(name: &'static str, builtin: Builtin, doc: &'static str) -> Info {
    Info { name, what: What::Value(builtin), usage: name, doc }
}

const fn call(usage: &'static str, name_len: usize, what: What, doc: &'static str) -> Info {
    let (name, _) = usage.split_at(name_len);
    Info { name, what, usage, doc }
}

macro_rules! calls {
    ($($name:ident $args:literal, $what:expr, $min:literal..=$max:expr, $doc:literal;)*) => {
        [$(call(concat!(stringify!($name), $args), stringify!($name).len(), What::Call($what, $min, $max), $doc)),*]
    };
}

/// The values.
pub static VALUES: [Info; 11] = [
    value("pid", Builtin::Pid, "The process id of the current thread."),
    value("tid", Builtin::Tid, "The thread id of the current thread."),
    value("uid", Builtin::Uid, "The user id of the current thread."),
    value("gid", Builtin::Gid, "The group id of the current thread."),
    value("comm", Builtin::Comm, "The name of the current thread."),
    value("nsecs", Builtin::Nsecs, "Nanoseconds since boot, sleep included."),
    value("elapsed", Builtin::Elapsed, "Nanoseconds since the script was started."),
    value("cpu", Builtin::Cpu, "The number of the processor."),
    value("curtask", Builtin::Curtask, "The current thread, seen through `task_struct_user`."),
    value("cgroup", Builtin::Cgroup, "The cgroup id of the current thread."),
    value("rand", Builtin::Rand, "A random number of 32 bits."),
];

/// The functions and actions.
pub static CALLS: [Info; 29] = calls! {
    count "()", Call::Agg(AggKind::Count), 0..=0, "Counts how often it is reached.";
    sum "(n)", Call::Agg(AggKind::Sum), 1..=1, "Sums `n`.";
    min "(n)", Call::Agg(AggKind::Min), 1..=1, "Keeps the least `n`.";
    max "(n)", Call::Agg(AggKind::Max), 1..=1, "Keeps the greatest `n`.";
    avg "(n)", Call::Agg(AggKind::Avg), 1..=1, "Keeps the average of `n`.";
    stats "(n)", Call::Agg(AggKind::Stats), 1..=1, "Keeps count, average and sum of `n`.";
    hist "(n)", Call::Agg(AggKind::Hist), 1..=1, "Counts `n` in buckets that are powers of two.";
    lhist "(n, min, max, step)", Call::Agg(AggKind::Lhist), 4..=4, "Counts `n` in buckets of equal width.";
    printf "(format, …)", Call::Printf, 1..=usize::MAX, "Prints text.";
    print "(value)", Call::Print, 1..=1, "Prints a value or a map.";
    exit "()", Call::Exit, 0..=0, "Ends the script.";
    time "([format])", Call::Time, 0..=1, "Prints the time of day.";
    clear "(@map)", Call::Clear, 1..=1, "Removes all entries of a map.";
    zero "(@map)", Call::Zero, 1..=1, "Sets all entries of a map to zero.";
    delete "(@map, key)", Call::Delete, 1..=usize::MAX, "Removes an entry of a map.";
    has_key "(@map, key)", Call::HasKey, 1..=usize::MAX, "Whether a map has an entry.";
    len "(@map)", Call::Len, 1..=1, "How many entries a map has.";
    str "(ptr[, size])", Call::Str, 1..=2, "The text that a pointer leads to; in user memory unless the pointer is a kernel one.";
    kstr "(ptr[, size])", Call::Kstr, 1..=2, "The text at a kernel address.";
    fetch_u8 "(addr)", Call::Fetch(IntTy::U8), 1..=1, "A byte of raw kernel memory.";
    fetch_u16 "(addr)", Call::Fetch(IntTy::U16), 1..=1, "16 bits of raw kernel memory.";
    fetch_u32 "(addr)", Call::Fetch(IntTy::U32), 1..=1, "32 bits of raw kernel memory.";
    fetch_u64 "(addr)", Call::Fetch(IntTy::U64), 1..=1, "64 bits of raw kernel memory.";
    fetch_ptr "(addr)", Call::Fetch(IntTy::U64), 1..=1, "An address in raw kernel memory.";
    load "(offset)", Call::Packet(IntTy::U32), 1..=1, "As `load_u32`: 32 bits of the packet, or one of classic BPF's ancillary loads.";
    load_u8 "(offset)", Call::Packet(IntTy::U8), 1..=1, "A byte of the packet.";
    load_u16 "(offset)", Call::Packet(IntTy::U16), 1..=1, "16 bits of the packet, from network byte order.";
    load_u32 "(offset)", Call::Packet(IntTy::U32), 1..=1, "32 bits of the packet, from network byte order.";
    has "(ptr.field)", Call::Has, 1..=1, "Whether the target has a field of a mirror.";
};

/// Every builtin.
pub fn all() -> impl Iterator<Item = &'static Info> {
    VALUES.iter().chain(&CALLS)
}

/// The builtin value or function of that name.
pub fn find(name: &str) -> Option<&'static Info> {
    all().find(|info| info.name == name)
}

/// The type of a builtin value; of `curtask`, which depends on what is imported, nothing.
pub fn ty(builtin: Builtin) -> Option<Ty> {
    Some(match builtin {
        Builtin::Pid
        | Builtin::Tid
        | Builtin::Uid
        | Builtin::Gid
        | Builtin::Cpu
        | Builtin::Rand => Ty::U32,
        Builtin::Nsecs | Builtin::Elapsed | Builtin::Cgroup => Ty::U64,
        Builtin::Comm => Ty::Str(16),
        Builtin::Curtask => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_begin_their_usage() {
        for info in all() {
            assert!(info.usage.starts_with(info.name), "{info:?}");
            assert_eq!(all().filter(|other| other.name == info.name).count(), 1, "{info:?}");
        }
    }
}
