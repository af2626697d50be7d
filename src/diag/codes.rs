//! The codes: one table, from which names, titles and severities derive.
//!
//! E00 syntax, E01 names, E02 types, E03 mirrors and ABI, E04 probes, maps and output, E05 limits of BPF, E06 relocation,
//! E07 kernel types, E08 load and attach, W1 warnings. A code is never given another meaning.

use super::Severity;

macro_rules! codes {
    ($($code:ident $title:literal)*) => {
        /// A stable code such as `E0301`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $code,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// As it is printed: `E0301`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }
        }
    };
}

codes! {
    // E00 syntax
    E0001 "unexpected token"
    E0002 "character that means nothing"
    E0003 "string or character literal that is never closed"
    E0004 "comment that is never closed"
    E0005 "number out of range or malformed"
    E0006 "escape sequence or character literal that does not exist"
    E0007 "bracket that does not match"
    E0008 "nested too deeply"
    E0009 "missing semicolon"
    E0010 "assignment in a condition"
    E0011 "assignment to something that is not a variable"
    E0012 "words that make no integer type"
    E0013 "member without a type or a name"
    E0014 "file without any declaration or probe"
    E0015 "file with too many tokens"
    // E01 names
    // E02 types
    // E03 mirrors and ABI
    E0399 "program below the demanded ABI class"
    // E04 probes, maps, output
    // E05 limits of BPF
    E0501 "stack too small"
    E0502 "program too long"
    E0503 "too many values at once"
    E0504 "map key too large"
    E0505 "record too large"
    // W1 warnings
}

impl Code {
    /// Whether findings of this code refuse the input.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// The code of that name, in either case.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.as_str().eq_ignore_ascii_case(name))
    }
}
