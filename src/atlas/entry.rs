//! What an atlas says of a kernel, beside its types.

use super::numbers::{Bytes, text, unsigned};
use crate::target::Endian;
use std::cmp::Ordering;

/// A kernel of an atlas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called: architecture and release, such as `x86_64-6.12.117+deb12-amd64`.
    pub name: String,
    /// The architecture: what the name begins with, up to a dash.
    pub arch: String,
    /// The release, as `uname -r` prints it.
    pub release: Option<String>,
    /// The byte order.
    pub endian: Endian,
    /// The size of a pointer in bytes.
    pub pointer_size: u32,
    /// Whether it shows its types to loaders.
    pub shows_btf: bool,
    /// Its [identity](crate::kernel::Source::identity): the hash of its whole BTF; none where it has none.
    pub identity: Option<u64>,
}

const BIG: u8 = 1;
const WIDE: u8 = 2;
const SHOWS: u8 = 4;
const RELEASE: u8 = 8;
const IDENTITY: u8 = 16;

impl Entry {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        out.push(
            bit(self.endian == Endian::Big, BIG)
                | bit(self.pointer_size == 8, WIDE)
                | bit(self.shows_btf, SHOWS)
                | bit(self.release.is_some(), RELEASE)
                | bit(self.identity.is_some(), IDENTITY),
        );
        text(out, &self.name);
        unsigned(out, self.arch.len() as u64);
        if let Some(release) = &self.release {
            text(out, release);
        }
        if let Some(identity) = self.identity {
            out.extend(identity.to_le_bytes());
        }
    }

    pub(super) fn read(from: &mut Bytes<'_>) -> Option<Entry> {
        let flags = from.byte()?;
        (flags < IDENTITY << 1).then_some(())?;
        let is = |bit: u8| flags & bit != 0;
        let name = from.text()?.to_owned();
        let arch = name.get(..from.usize()?)?.to_owned();
        let release = if is(RELEASE) { Some(from.text()?.to_owned()) } else { None };
        let identity = if is(IDENTITY) {
            Some(u64::from_le_bytes(from.take(8)?.try_into().ok()?))
        } else {
            None
        };
        Some(Entry {
            name,
            arch,
            release,
            endian: if is(BIG) { Endian::Big } else { Endian::Little },
            pointer_size: if is(WIDE) { 8 } else { 4 },
            shows_btf: is(SHOWS),
            identity,
        })
    }

    /// The order of an atlas: by architecture, then as releases follow each other, `5.10` before `6.1` before `6.12`.
    pub(super) fn order(&self, other: &Entry) -> Ordering {
        let by_arch = self.arch.cmp(&other.arch);
        let by_release = || natural(&self.name, &other.name);
        by_arch.then_with(by_release).then_with(|| self.name.cmp(&other.name))
    }
}

/// Compares texts, and the numbers in them as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match (digits(a), digits(b)) {
            (0, _) | (_, 0) => match (a.split_first(), b.split_first()) {
                (Some((first, rest)), Some((other, others))) if first == other => {
                    (a, b) = (rest, others);
                }
                (first, other) => return first.map(|f| f.0).cmp(&other.map(|o| o.0)),
            },
            (len, other) => {
                let (number, rest) = a.split_at(len);
                let (other, others) = b.split_at(other);
                let plain = |digits: &'_ [u8]| {
                    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
                    digits.len() - zeros
                };
                let tail = |digits: &[u8]| digits[digits.len() - plain(digits)..].to_vec();
                let order = plain(number).cmp(&plain(other));
                let order = order.then_with(|| tail(number).cmp(&tail(other)));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (rest, others);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_follow_each_other_by_their_numbers() {
        let mut releases = ["x-6.12.9", "x-6.1.0", "x-5.10", "x-6.12.10+a", "x-6.12", "x-06.2"];
        releases.sort_by(|a, b| natural(a, b));
        let sorted = ["x-5.10", "x-6.1.0", "x-06.2", "x-6.12", "x-6.12.9", "x-6.12.10+a"];
        assert_eq!(releases, sorted);
    }
}
