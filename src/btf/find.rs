//! Names that are looked for among all names of a section, most of which are others.
//!
//! In: the wanted names, then strings as they stand in a section: each the start of what follows it. Out: which of the wanted names a string is, what follows `___` left out. What a string costs does not depend on how
//! many names are wanted: most are told to be others by how they begin, the rest by one binary search.

use super::essential;
use super::read::MAX_STRING;

/// The wanted names.
pub(crate) struct Wanted<'n> {
    /// Sorted.
    names: Vec<Name<'n>>,
    /// Which bytes at the beginning of a string all names have, up to four.
    mask: u32,
    /// Bits for how the names begin, by a hash.
    beginnings: Box<[u64; 1024]>,
}

struct Name<'n> {
    bytes: &'n [u8],
    /// Its places among the wanted.
    indices: Vec<usize>,
}

impl<'n> Wanted<'n> {
    /// An empty name is never found. One that has a flavor itself is found only with another after it: `a___b` is what `a___b___c` is without its own, and `a___b` is `a`.
    pub(crate) fn new(names: &[&'n str]) -> Wanted<'n> {
        let wanted = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        let mut sorted: Vec<(&[u8], usize)> =
            wanted.map(|(index, name)| (name.as_bytes(), index)).collect();
        sorted.sort_unstable();
        let shortest = sorted.iter().map(|(bytes, _)| bytes.len()).min().unwrap_or(0);
        let mask = match shortest {
            0 => 0,
            len => u32::MAX >> (32 - 8 * len.min(4)),
        };
        let mut beginnings = Box::new([0; 1024]);
        let mut names = Vec::<Name>::with_capacity(sorted.len());
        for (bytes, index) in sorted {
            if let Some(same) = names.last_mut().filter(|last| last.bytes == bytes) {
                same.indices.push(index);
                continue;
            }
            let (word, bit) = place(bytes, mask);
            beginnings[word] |= bit;
            names.push(Name { bytes, indices: vec![index] });
        }
        Wanted { names, mask, beginnings }
    }

    /// Whether a string that begins so may be one of them; if not, it is none.
    pub(crate) fn may_have(&self, string: &[u8]) -> bool {
        let (word, bit) = place(string, self.mask);
        self.beginnings[word] & bit != 0
    }

    /// Tells the places of what the string at the beginning of `string` is, which ends at its first NUL: of its name without a flavor.
    pub(crate) fn named(&self, string: &[u8], is: impl FnMut(usize)) {
        let longest = string.get(..MAX_STRING).unwrap_or(string);
        let whole = memchr::memchr(0, longest).and_then(|len| string.get(..len));
        let Some(whole) = whole.and_then(|whole| str::from_utf8(whole).ok()) else { return };
        let name = essential(whole).as_bytes();
        let found = self.names.binary_search_by(|wanted| wanted.bytes.cmp(name));
        let found = found.ok().and_then(|at| self.names.get(at));
        found.into_iter().flat_map(|name| &name.indices).copied().for_each(is);
    }
}

/// The word and bit for the beginning of a string.
fn place(string: &[u8], mask: u32) -> (usize, u64) {
    let padded = || {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(string).for_each(|(to, byte)| *to = *byte);
        bytes
    };
    let bytes = string.first_chunk().copied().unwrap_or_else(padded);
    // The upper 16 bits of a product depend on all bits of its factors (Fibonacci hashing).
    let hash = (u32::from_le_bytes(bytes) & mask).wrapping_mul(0x9e37_79b9) >> 16;
    ((hash >> 6) as usize, 1 << (hash & 63))
}
