//! Literals: the values of numbers, durations, characters and strings.
//!
//! In: the text of one token. Out: its value, or what is wrong with it as words for a diagnostic.

use smol_str::SmolStr;

/// A number's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// `42`
    Int(u64),
    /// `100ms`, in nanoseconds.
    Duration(u64),
}

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// It is 2^64 or more.
    TooLarge,
    /// It has no digits, or other characters than its base has.
    Malformed,
}

/// Units of time and their length in nanoseconds.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// C's suffixes, which change nothing: every literal has 64 bits.
const SUFFIXES: &[&str] = &["u", "l", "ul", "lu", "ll", "ull", "llu"];

/// The value of `42`, `0x2a`, `0b101`, `0o52`, `052`, `1e6`, `1_000`, `10ul` or `100ms`.
pub(super) fn number(text: &str) -> Result<Number, NumberError> {
    let (base, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..]),
        [b'0', b'b' | b'B', ..] => (2, &text[2..]),
        [b'0', b'o' | b'O', ..] => (8, &text[2..]),
        [b'0', b'0'..=b'9' | b'_', ..] => (8, &text[1..]),
        _ => (10, text),
    };
    let split = digits.find(|c: char| c != '_' && !c.is_digit(base)).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(split);
    if !digits.contains(|c: char| c.is_digit(base)) {
        return Err(NumberError::Malformed);
    }
    let value = digits.chars().filter_map(|c| c.to_digit(base)).try_fold(0_u64, |value, digit| {
        value.checked_mul(u64::from(base))?.checked_add(u64::from(digit))
    });
    let value = value.ok_or(NumberError::TooLarge)?;
    let lower = suffix.to_ascii_lowercase();
    if suffix.is_empty() || SUFFIXES.contains(&lower.as_str()) {
        return Ok(Number::Int(value));
    }
    if base != 10 {
        return Err(NumberError::Malformed);
    }
    if let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == suffix) {
        return value.checked_mul(*unit).map(Number::Duration).ok_or(NumberError::TooLarge);
    }
    let exponent = lower
        .strip_prefix('e')
        .and_then(|e| e.parse::<u32>().ok())
        .ok_or(NumberError::Malformed)?;
    let scale = 10_u64.checked_pow(exponent).ok_or(NumberError::TooLarge)?;
    value.checked_mul(scale).map(Number::Int).ok_or(NumberError::TooLarge)
}

/// The value of a character literal, quotes included: one byte.
pub(super) fn character(text: &str) -> Option<u64> {
    let value = unescape(inside(text)).ok()?;
    match value.as_bytes() {
        [byte] => Some(u64::from(*byte)),
        _ => None,
    }
}

/// The value of a string literal, quotes included; or the range of the first escape in it that does not exist.
pub(super) fn string(text: &str) -> Result<SmolStr, std::ops::Range<usize>> {
    unescape(inside(text)).map_err(|r| r.start + 1..r.end + 1)
}

/// The text between the quotes; the closing one may be missing.
fn inside(text: &str) -> &str {
    let quote = text.chars().next().unwrap_or('"');
    let text = text.strip_prefix(quote).unwrap_or(text);
    text.strip_suffix(quote).unwrap_or(text)
}

fn unescape(text: &str) -> Result<SmolStr, std::ops::Range<usize>> {
    if !text.contains('\\') {
        return Ok(SmolStr::new(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (mut end, escape) = chars.next().map_or((at + 1, ' '), |(i, c)| (i + c.len_utf8(), c));
        let mut code = |base: u32, first: u32, most: usize| {
            let mut value = first;
            for _ in 0..most {
                let Some((i, digit)) = chars.next_if(|(_, c)| c.is_digit(base)) else { break };
                value = value * base + digit.to_digit(base).unwrap_or(0);
                end = i + 1;
            }
            value
        };
        let value = match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            'e' => '\x1b',
            '\\' | '\'' | '"' | '?' => escape,
            // A byte that is not ASCII has no place in text, which is UTF-8.
            'x' => char::from_u32(code(16, 0, 2))
                .filter(|c| end > at + 2 && c.is_ascii())
                .ok_or(at..end)?,
            '0'..='7' => {
                let value = code(8, escape.to_digit(8).unwrap_or(0), 2);
                char::from_u32(value).filter(char::is_ascii).ok_or(at..end)?
            }
            _ => return Err(at..end),
        };
        out.push(value);
    }
    Ok(SmolStr::new(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_spelling() {
        for (text, value) in [
            ("0", 0),
            ("42", 42),
            ("0x2A", 42),
            ("0b101", 5),
            ("052", 42),
            ("0o52", 42),
            ("1_000", 1000),
            ("1e6", 1_000_000),
            ("10ULL", 10),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(Number::Int(value)), "{text}");
        }
        for (text, value) in
            [("100ms", 100_000_000), ("5s", 5_000_000_000), ("1m", 60_000_000_000), ("7ns", 7)]
        {
            assert_eq!(number(text), Ok(Number::Duration(value)), "{text}");
        }
        for text in ["18446744073709551616", "1e20", "99999999999h"] {
            assert_eq!(number(text), Err(NumberError::TooLarge), "{text}");
        }
        for text in ["0x", "08", "1abc", "0x1ms", "1e", "0xfz"] {
            assert_eq!(number(text), Err(NumberError::Malformed), "{text}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(string(r#""a\tb\x41\101\\""#).as_deref(), Ok("a\tbAA\\"));
        assert_eq!(string(r#""a\qb""#), Err(2..4));
        assert_eq!(string(r#""\xff""#), Err(1..5));
        assert_eq!(string(r#""\x""#), Err(1..3));
        assert_eq!(character("'a'"), Some(97));
        assert_eq!(character(r"'\n'"), Some(10));
        assert_eq!(character("'ab'"), None);
        assert_eq!(character("''"), None);
    }
}
