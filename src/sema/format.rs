//! The formats of `printf`: their conversions, in C's notation.
//!
//! In: a format with its escapes resolved. Out: its conversions in order, or the first that there is not.

/// A conversion, such as `%-16s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// As it is written.
    pub text: String,
    /// The letter at its end.
    pub letter: char,
    /// How many conversions before it are written the same.
    pub nth: usize,
}

/// A conversion that there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// As it is written.
    pub text: String,
    /// How many conversions before it are written the same.
    pub nth: usize,
}

const LETTERS: &str = "diuxXocsp";
/// What C, Rust and bpftrace users write, and what is meant.
const MEANT: [(char, char); 8] = [
    ('D', 'd'),
    ('U', 'u'),
    ('S', 's'),
    ('P', 'p'),
    ('b', 'x'),
    ('f', 'd'),
    ('g', 'd'),
    ('r', 's'),
];

impl Fault {
    /// What was probably meant.
    pub fn meant(&self) -> Option<String> {
        let last = self.text.chars().next_back()?;
        let (_, meant) = MEANT.iter().find(|(letter, _)| *letter == last)?;
        let head = self.text.strip_suffix(last)?;
        Some(format!("{head}{meant}"))
    }
}

/// The conversions of a format; `%%` is none.
pub fn parse(format: &str) -> Result<Vec<Conversion>, Fault> {
    let mut found: Vec<Conversion> = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let spec = &rest[at..];
        let len = length(spec);
        let text = &spec[..len];
        rest = &spec[len..];
        if text == "%%" {
            continue;
        }
        let nth = found.iter().filter(|c| c.text == text).count();
        let letter = text.chars().next_back().unwrap_or('%');
        if !LETTERS.contains(letter) {
            return Err(Fault { text: text.to_owned(), nth });
        }
        found.push(Conversion { text: text.to_owned(), letter, nth });
    }
    Ok(found)
}

/// The bytes of the conversion at the start: `%`, flags, width, precision, length, letter.
fn length(spec: &str) -> usize {
    let mut chars = spec.char_indices().skip(1).peekable();
    let mut skip = |set: &str| {
        while chars.next_if(|(_, c)| set.contains(*c)).is_some() {}
    };
    skip("-+ #0'");
    skip("0123456789");
    skip(".");
    skip("0123456789");
    skip("hlzjt");
    chars.next().map_or(spec.len(), |(at, c)| at + c.len_utf8())
}

/// Where the `nth` occurrence of a conversion begins in the text of a literal.
pub fn find_nth(literal: &str, piece: &str, nth: usize) -> Option<usize> {
    let mut at = 0;
    let mut seen = 0;
    while let Some(next) = literal[at..].find('%') {
        let start = at + next;
        let len = length(&literal[start..]);
        if &literal[start..start + len] == piece {
            if seen == nth {
                return Some(start);
            }
            seen += 1;
        }
        at = start + len;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_widths_and_lengths_belong_to_the_conversion() {
        let texts = |format: &str| -> Vec<String> {
            parse(format).unwrap().into_iter().map(|c| c.text).collect()
        };
        assert_eq!(texts("%-16s|%05d|%llu|%#x|%.3s\n"), ["%-16s", "%05d", "%llu", "%#x", "%.3s"]);
        assert_eq!(texts("100%% é%d"), ["%d"]);
    }

    #[test]
    fn an_unknown_or_unfinished_conversion_is_a_fault() {
        assert_eq!(parse("%d %y").unwrap_err().text, "%y");
        assert_eq!(parse("%").unwrap_err().text, "%");
        assert_eq!(parse("%5").unwrap_err().text, "%5");
        assert_eq!(parse("%é").unwrap_err().text, "%é");
        assert_eq!(parse("%S").unwrap_err().meant().as_deref(), Some("%s"));
    }

    #[test]
    fn a_conversion_is_found_in_the_literal() {
        assert_eq!(find_nth("\"%d %d\\n\"", "%d", 1), Some(4));
        assert_eq!(find_nth("\"%%d %d\"", "%d", 0), Some(5));
    }
}
