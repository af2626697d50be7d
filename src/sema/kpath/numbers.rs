//! The integers that all known kernels have at the ends of paths, which are what these are best taken for.
//!
//! In: a table of them, and what a path's end is declared as. Out: the [`KLeaf`] whose instructions loaders patch rightly for every known kernel. It chooses instructions only: values are the target's.

use super::super::hir::{KHop, KLeaf, KStep};
use super::super::types::IntTy;
use std::cmp::Ordering;

/// Lines such as `task_struct.__state u32`, sorted as bytes are by their paths, which have no indices: every known kernel that has the path has that integer at its end, and no bitfield. Where nothing is known, the table is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers(pub &'static str);

impl Numbers {
    /// What the kernels of the atlas agree about: made by `ubpfc atlas numbers`.
    pub const EMBEDDED: Numbers = Numbers(include_str!("../../../uapi/kernels.numbers"));

    /// What the end of a path is taken for that is declared as `leaf`.
    pub(super) fn corrected(self, leaf: KLeaf, last: &KHop) -> KLeaf {
        match leaf {
            KLeaf::Int(int) => KLeaf::Int(self.at(last).unwrap_or(int)),
            KLeaf::Number(int, name) => KLeaf::Number(self.at(last).unwrap_or(int), name),
            leaf => leaf,
        }
    }

    /// The integer at the end of a hop.
    fn at(self, hop: &KHop) -> Option<IntTy> {
        let mut path = hop.root.to_string();
        for step in &hop.steps {
            if let KStep::Member(name) = step {
                path.push('.');
                path.push_str(name);
            }
        }
        let number = self.line(&path)?;
        Some(IntTy { bits: number.get(1..)?.parse().ok()?, signed: number.starts_with('s') })
    }

    /// What stands behind a path.
    fn line(self, path: &str) -> Option<&'static str> {
        let mut rest = self.0;
        while !rest.is_empty() {
            let half = rest.floor_char_boundary(rest.len() / 2);
            let start = rest[..half].rfind('\n').map_or(0, |at| at + 1);
            let end = rest[start..].find('\n').map_or(rest.len(), |at| start + at + 1);
            let (found, number) = rest[start..end].trim_end().split_once(' ')?;
            match found.cmp(path) {
                Ordering::Equal => return Some(number),
                Ordering::Less => rest = &rest[end..],
                Ordering::Greater => rest = &rest[..start],
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_table_is_found_and_nothing_else() {
        let table = Numbers("a.b s32\na.b.c u16\na.b_c u64\na.c s16\nb.a u8\n");
        for line in table.0.lines() {
            let (path, number) = line.split_once(' ').unwrap();
            assert_eq!(table.line(path), Some(number), "{path}");
        }
        for absent in ["", "a", "a.a", "a.b.d", "a.d", "b.a.c", "c"] {
            assert_eq!(table.line(absent), None, "{absent}");
        }
        assert_eq!(Numbers::default().line("a.b"), None);
    }
}
