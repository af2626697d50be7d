//! How a local type says what a program wants of a number: a typedef of the number's type, by its name alone. `u16___u64` is a 16-bit number of which all 64 bits are used.
//!
//! The number's own type chooses the instructions that loaders patch. Where the target has another one, the value may have more bits than that, or a sign
//! that it has not; only a relocator that knows how much of the value is used can tell whether such a load gives it.

/// What stands between the two.
const SEPARATOR: &str = "___u";

/// The name of the typedef.
pub(crate) fn name(number: &str, bits: u8) -> String {
    format!("{number}{SEPARATOR}{bits}")
}

/// How many bits a typedef of that name wants.
pub(crate) fn bits(name: &str) -> Option<u32> {
    let (_, bits) = name.rsplit_once(SEPARATOR)?;
    ["8", "16", "32", "64"].contains(&bits).then(|| bits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_of() {
        assert_eq!(bits(&name("u16", 64)), Some(64));
        for other in ["u16", "u16___u", "u16___u7", "task_struct___user", "a___u064"] {
            assert_eq!(bits(other), None, "{other}");
        }
    }
}
