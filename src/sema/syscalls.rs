//! System calls by name: numbers on each architecture, and arguments.
//!
//! In: a name as user space knows it (`openat`, `fstat`). Out: a row of `uapi/syscalls.tsv`, which `uapi/syscalls.py` writes. Invariant: the table is sorted by
//! name, and nothing of it is read before it is asked for.

use super::typeexpr::typedef;
use super::types::{IntTy, Pointee, Ty};
use std::cmp::Ordering;
use std::sync::Arc;

/// The architectures, in the order of the table's columns.
pub const ARCHITECTURES: [Architecture; 7] = [
    Architecture { name: "x86_64", marker: "r15" },
    Architecture { name: "arm64", marker: "orig_x0" },
    Architecture { name: "i386", marker: "gs" },
    Architecture { name: "arm", marker: "r0" },
    Architecture { name: "ppc64", marker: "softe" },
    Architecture { name: "riscv64", marker: "orig_a0" },
    Architecture { name: "s390x", marker: "orig_gpr2" },
];

/// An architecture whose system calls are known.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// The field of the library's mirror of the registers that it alone has.
    pub marker: &'static str,
}

/// Name, number on each architecture (`-` where it has none, or takes other arguments), arguments in C; tabs between.
const TABLE: &str = include_str!("../../uapi/syscalls.tsv");

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Syscall {
    /// Its name.
    pub name: &'static str,
    /// Its number on each of [`ARCHITECTURES`], where it is there.
    pub numbers: [Option<u32>; ARCHITECTURES.len()],
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
    let mut numbers = [None; ARCHITECTURES.len()];
    for number in &mut numbers {
        *number = columns.next()?.parse().ok();
    }
    let args = columns
        .next()?
        .split(", ")
        .filter(|arg| !arg.is_empty())
        .map(argument)
        .collect::<Option<_>>()?;
    Some(Syscall { name, numbers, args })
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
            assert!(found.numbers.iter().any(Option::is_some), "{row}");
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
        assert_eq!(openat.numbers, [257, 56, 295, 322, 286, 56, 288].map(Some));
        let s32 = Ty::Int(IntTy::S32);
        let mode = Ty::Int(IntTy::U16);
        let filename = Ty::Ptr(Pointee::UserStr);
        assert_eq!(
            openat.args,
            [("dfd", s32.clone()), ("filename", filename), ("flags", s32), ("mode", mode)]
        );
        assert_eq!(find("open").unwrap().numbers[1], None);
        assert_eq!(find("fcntl").unwrap().numbers[1], Some(25));
        assert_eq!(find("cachestat").unwrap().numbers, [Some(451); 7]);
        // Two registers each for the offset and the length, on machines of 32 bits.
        let wide = [Some(17), Some(67), None, None, Some(179), Some(67), Some(180)];
        assert_eq!(find("pread64").unwrap().numbers, wide);
        let argv = find("execve").unwrap().args.into_iter().nth(1);
        assert_eq!(argv, Some(("argv", user(Ty::Ptr(Pointee::UserStr)))));
    }
}
