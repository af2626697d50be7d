//! What known kernels have at the ends of paths, and what a number is best taken for in view of that.
//!
//! In: a table of numbers in known kernels, the number that a path's end is declared as, and what it is read for. Out: the [`KLeaf`] whose instructions libbpf and aya patch rightly
//! for every kernel of the table: the declared one if it will do, otherwise the one that all have, otherwise the one that asks for size, sign and place. It decides instructions only: values are the target's.

use super::super::hir::{KHop, KLeaf, KStep};
use super::super::types::IntTy;

/// What is kept at the ends of paths, in every kernel that has them: lines such as `task_struct.__state u32` or `sock.sk_type u16,u32:16`, sorted by their paths, which have no indices. A path is there if it ends in an integer
/// or bool in every known kernel that has it; where nothing is known, the table is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers(pub &'static str);

/// A number in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    int: IntTy,
    /// Of a bitfield.
    width: Option<u8>,
}

impl Numbers {
    /// Every kind of number that known kernels have there; none if that is not known.
    fn of(self, hop: &KHop) -> Vec<Number> {
        let mut path = hop.root.to_string();
        for step in &hop.steps {
            if let KStep::Member(name) = step {
                path.push('.');
                path.push_str(name);
            }
        }
        let numbers = self.line(&path).unwrap_or_default().split(',');
        numbers.map(Number::parse).collect::<Option<_>>().unwrap_or_default()
    }

    /// What stands behind a path.
    fn line(self, path: &str) -> Option<&'static str> {
        let mut rest = self.0;
        while !rest.is_empty() {
            let half = rest.floor_char_boundary(rest.len() / 2);
            let start = rest[..half].rfind('\n').map_or(0, |at| at + 1);
            let end = rest[start..].find('\n').map_or(rest.len(), |at| start + at + 1);
            let (found, numbers) = rest[start..end].trim_end().split_once(' ')?;
            match found.cmp(path) {
                std::cmp::Ordering::Equal => return Some(numbers),
                std::cmp::Ordering::Less => rest = &rest[end..],
                std::cmp::Ordering::Greater => rest = &rest[..start],
            }
        }
        None
    }

    /// What the end of a path is taken for, which is declared as `leaf`; `field` is the type that it is converted to, unless it is an operand.
    pub(super) fn corrected(self, leaf: KLeaf, hop: &KHop, field: Option<IntTy>) -> KLeaf {
        let (KLeaf::Int(local) | KLeaf::Number(local, _)) = &leaf else { return leaf };
        // Of elements, loaders tell nothing but the size.
        if matches!(hop.steps.last(), None | Some(KStep::Index(_))) {
            return leaf;
        }
        let local = *local;
        let known = self.of(hop);
        if known.iter().all(|number| number.arrives(local, field)) {
            return leaf;
        }
        match (leaf, &known[..]) {
            (KLeaf::Int(_), [Number { int, width: None }]) => KLeaf::Int(*int),
            (KLeaf::Number(_, name), [Number { int, width: None }]) => KLeaf::Number(*int, name),
            (KLeaf::Int(_), [Number { int, width: Some(width) }]) => {
                KLeaf::Bits { width: *width, word: *int }
            }
            (KLeaf::Int(word), _) => KLeaf::Bits { width: word.bits, word },
            // The form that asks for everything is that of an integer, and this may be an enum.
            (leaf, _) => leaf,
        }
    }
}

impl Number {
    fn parse(text: &str) -> Option<Number> {
        let (int, width) = match text.split_once(':') {
            Some((int, width)) => (int, Some(width.parse().ok()?)),
            None => (text, None),
        };
        let bits = int.get(1..)?.parse().ok()?;
        Some(Number { int: IntTy { bits, signed: int.starts_with('s') }, width })
    }

    /// Whether one load that is made for `local` gives this number under libbpf and aya: they widen and narrow loads of unsigned numbers, and answer whether a number is signed that
    /// is to become wider.
    fn arrives(self, local: IntTy, field: Option<IntTy>) -> bool {
        if self.width.is_some() {
            return false;
        }
        if self.int.bits == local.bits {
            return field.is_some() || local.bits == 64 || self.int.signed == local.signed;
        }
        let asked = field.is_some_and(|field| field.bits > local.bits);
        !self.int.signed && (!local.signed || asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Numbers = Numbers("a.b s32\na.b.c u16,u64\na.c s16,u8\nb.a u32:3\n");

    #[test]
    fn every_line_of_a_table_is_found_and_nothing_else() {
        let found = |path| TABLE.line(path);
        assert_eq!(found("a.b"), Some("s32"));
        assert_eq!(found("a.b.c"), Some("u16,u64"));
        assert_eq!(found("a.c"), Some("s16,u8"));
        assert_eq!(found("b.a"), Some("u32:3"));
        for absent in ["", "a", "a.a", "a.b.d", "a.d", "b.a.c", "c"] {
            assert_eq!(found(absent), None, "{absent}");
        }
        assert_eq!(Numbers::default().line("a.b"), None);
    }
}
