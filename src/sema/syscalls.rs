//! System calls by name: numbers on each architecture, and arguments.
//!
//! In: a name as user space knows it (`openat`, `fstat`). Out: a row of `uapi/syscalls.tsv`, which `uapi/syscalls.py` writes. Invariant: the table is sorted by
//! name, and nothing of it is read before it is asked for.

use super::typeexpr::typedef;
use super::types::{IntTy, Pointee, Ty};
use std::cmp::Ordering;
use std::sync::Arc;

/// Name, number on `x86_64`, number on arm64 (`-` where it has none), arguments in C; tabs between.
const TABLE: &str = include_str!("../../uapi/syscalls.tsv");

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Syscall {
    /// Its name.
    pub name: &'static str,
    /// Its number on `x86_64`, where it is there.
    pub x86_64: Option<u32>,
    /// Its number on arm64, where it is there.
    pub arm64: Option<u32>,
    /// Names and types of its arguments.
    pub args: Vec<(&'static str, Ty)>,
}

/// The system call of that name.
pub fn find(name: &str) -> Option<Syscall> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = TABLE.get(low..middle)?.rfind('\n').map_or(low, |at| low + at + 1);
        let end = TABLE.get(middle..high)?.find('\n').map_or(high, |at| middle + at);
        let row = TABLE.get(start..end)?;
        match row.split('\t').next()?.cmp(name) {
            Ordering::Equal => return parse(row),
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
        }
    }
    None
}

/// All names, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter_map(|row| row.split('\t').next())
}

fn parse(row: &'static str) -> Option<Syscall> {
    let mut columns = row.split('\t');
    let name = columns.next()?;
    let x86_64 = columns.next()?.parse().ok();
    let arm64 = columns.next()?.parse().ok();
    let args = columns
        .next()?
        .split(", ")
        .filter(|arg| !arg.is_empty())
        .map(argument)
        .collect::<Option<_>>()?;
    Some(Syscall { name, x86_64, arm64, args })
}

/// `const char *filename`
fn argument(text: &'static str) -> Option<(&'static str, Ty)> {
    let name_at = text.rfind([' ', '*'])? + 1;
    let (ty, name) = text.split_at_checked(name_at)?;
    let stars = ty.matches('*').count();
    let base =
        ty.trim_end_matches(['*', ' ']).trim_end_matches(" *const").trim_start_matches("const ");
    let ty = match (base, stars) {
        ("char", 1) => Ty::Ptr(Pointee::UserStr),
        ("char", 2) => user(Ty::Ptr(Pointee::UserStr)),
        // Typedefs of pointers.
        ("cap_user_header_t" | "cap_user_data_t", 0) => user(Ty::Void),
        (base, 0) => Ty::Int(integer(base)?),
        (base, 1) => user(integer(base).map_or(Ty::Void, Ty::Int)),
        (_, _) => user(user(Ty::Void)),
    };
    Some((name, ty))
}

fn user(target: Ty) -> Ty {
    Ty::Ptr(Pointee::User(Arc::new(target)))
}

/// C's names of integers, as far as the table has them.
fn integer(name: &str) -> Option<IntTy> {
    let (bits, signed) = match name {
        "unsigned char" => (8, false),
        "int" | "__s32" => (32, true),
        "unsigned int" | "unsigned" | "u32" | "__u32" => (32, false),
        "long" => (64, true),
        "unsigned long" | "size_t" | "u64" | "__u64" => (64, false),
        _ if name.starts_with("enum ") => (32, false),
        _ => return typedef(name),
    };
    Some(IntTy { bits, signed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for row in TABLE.lines() {
            let name = row.split('\t').next().unwrap();
            let found = find(name).unwrap_or_else(|| panic!("{row}"));
            assert_eq!(found.name, name);
            assert!(found.args.len() <= 6, "{row}");
            assert!(found.x86_64.is_some() || found.arm64.is_some(), "{row}");
        }
        assert!(names().is_sorted());
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for name in ["", "opena", "openat3", "zzz", "_", "\n"] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_and_arguments_are_those_of_the_kernel() {
        let openat = find("openat").unwrap();
        assert_eq!((openat.x86_64, openat.arm64), (Some(257), Some(56)));
        let s32 = Ty::Int(IntTy::S32);
        let mode = Ty::Int(IntTy::U16);
        let filename = Ty::Ptr(Pointee::UserStr);
        assert_eq!(
            openat.args,
            [("dfd", s32.clone()), ("filename", filename), ("flags", s32), ("mode", mode)]
        );
        assert_eq!(find("open").unwrap().arm64, None);
        assert_eq!(find("fcntl").unwrap().arm64, Some(25));
        assert_eq!(find("cachestat").unwrap().arm64, Some(451));
        let argv = find("execve").unwrap().args.into_iter().nth(1);
        assert_eq!(argv, Some(("argv", user(Ty::Ptr(Pointee::UserStr)))));
    }
}
