//! The names of integer types: one table for the lexer, which tells them from names, and the parser, which reads them.

use super::ast::TypeExprKind;

/// Integer types in one word: name, bits, signed.
pub(super) const INT_NAMES: &[(&str, u8, bool)] = &[
    ("__s16", 16, true),
    ("__s32", 32, true),
    ("__s64", 64, true),
    ("__s8", 8, true),
    ("__u16", 16, false),
    ("__u32", 32, false),
    ("__u64", 64, false),
    ("__u8", 8, false),
    ("int16", 16, true),
    ("int16_t", 16, true),
    ("int32", 32, true),
    ("int32_t", 32, true),
    ("int64", 64, true),
    ("int64_t", 64, true),
    ("int8", 8, true),
    ("int8_t", 8, true),
    ("s16", 16, true),
    ("s32", 32, true),
    ("s64", 64, true),
    ("s8", 8, true),
    ("size_t", 64, false),
    ("ssize_t", 64, true),
    ("u16", 16, false),
    ("u32", 32, false),
    ("u64", 64, false),
    ("u8", 8, false),
    ("uint16", 16, false),
    ("uint16_t", 16, false),
    ("uint32", 32, false),
    ("uint32_t", 32, false),
    ("uint64", 64, false),
    ("uint64_t", 64, false),
    ("uint8", 8, false),
    ("uint8_t", 8, false),
    ("uintptr_t", 64, false),
];

/// Those of them that are a `long` in C.
const LONG_NAMES: &[&str] = &["size_t", "ssize_t", "uintptr_t"];

/// The integer type of that name.
pub(super) fn int_name(name: &str) -> Option<TypeExprKind> {
    let at = INT_NAMES.binary_search_by(|(n, ..)| (*n).cmp(name)).ok()?;
    let long = LONG_NAMES.contains(&name);
    INT_NAMES.get(at).map(|&(_, bits, signed)| TypeExprKind::Int { bits, signed, long })
}

/// The type that C's words make in any order: `unsigned long int`, `char`. `None` where they make none.
pub(super) fn c_int<'a>(words: impl Iterator<Item = &'a str>) -> Option<TypeExprKind> {
    let (mut signed, mut unsigned, mut short, mut long, mut int, mut char) = (0, 0, 0, 0, 0, 0);
    for word in words {
        let count = match word {
            "signed" => &mut signed,
            "unsigned" => &mut unsigned,
            "short" => &mut short,
            "long" => &mut long,
            "int" => &mut int,
            "char" => &mut char,
            _ => return None,
        };
        *count += 1;
    }
    let bits = match (short, long, int, char) {
        (0, 0, 0, 1) if signed + unsigned == 0 => return Some(TypeExprKind::Char),
        (0, 0, 0, 1) => 8,
        (1, 0, 0 | 1, 0) => 16,
        (0, 0, 0 | 1, 0) => 32,
        (0, 1 | 2, 0 | 1, 0) => 64,
        _ => return None,
    };
    let (signed, once) = (unsigned == 0, signed + unsigned <= 1);
    once.then_some(TypeExprKind::Int { bits, signed, long: long == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(INT_NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn c_words_make_types_in_any_order() {
        let is = |text: &str, bits, signed| match c_int(text.split(' ')) {
            Some(TypeExprKind::Int { bits: b, signed: s, .. }) => (b, s) == (bits, signed),
            _ => false,
        };
        assert!(is("unsigned long long", 64, false));
        assert!(is("long int", 64, true));
        assert!(is("int long unsigned", 64, false));
        assert!(is("signed char", 8, true));
        assert!(is("short", 16, true));
        assert!(is("unsigned", 32, false));
        assert!(matches!(c_int(["char"].into_iter()), Some(TypeExprKind::Char)));
        assert!(c_int(["long", "long", "long"].into_iter()).is_none());
        assert!(c_int(["signed", "unsigned"].into_iter()).is_none());
        assert!(c_int(["short", "char"].into_iter()).is_none());
    }
}
