//! The names that are wanted, and where they are in string tables.
//!
//! An entry refers to its name by its offset in a table. The table is searched once; whether an entry is wanted is then a question about a number.

use crate::btf::essential;
use memchr::memmem;
use rustc_hash::FxHashMap;

/// What follows a wanted name as its flavor is not longer than this; a bound for hostile tables.
const MAX_FLAVOR: usize = 256;

/// The names.
#[derive(Debug)]
pub(super) struct Wanted<'n> {
    index: FxHashMap<&'n str, u32>,
    /// By their last byte.
    by_end: Vec<Vec<(&'n [u8], u32)>>,
}

impl<'n> Wanted<'n> {
    /// Wants these, by their numbers in the list.
    pub(super) fn new(names: &[&'n str]) -> Wanted<'n> {
        let mut wanted = Wanted { index: FxHashMap::default(), by_end: vec![Vec::new(); 256] };
        for (number, name) in (0_u32..).zip(names) {
            let Some(last) = name.as_bytes().last() else { continue };
            if wanted.index.insert(name, number).is_none()
                && let Some(list) = wanted.by_end.get_mut(usize::from(*last))
            {
                list.push((name.as_bytes(), number));
            }
        }
        wanted
    }

    /// The number of the wanted name that this one is when its flavor is left out.
    pub(super) fn of(&self, name: &[u8]) -> Option<u32> {
        let name = std::str::from_utf8(name).ok()?;
        self.index.get(essential(name)).copied()
    }

    /// Those that `text` ends with.
    fn ends_of(&self, text: &[u8]) -> impl Iterator<Item = (&'n [u8], u32)> {
        let list = text.last().and_then(|last| self.by_end.get(usize::from(*last)));
        let list = list.map_or(&[][..], Vec::as_slice).iter().copied();
        list.filter(move |(name, _)| text.ends_with(name))
    }
}

/// The offsets of wanted names in a table.
#[derive(Debug)]
pub(super) struct Offsets {
    /// A bit for each remainder that an offset of one has: most offsets are none, and this says so fastest.
    filter: [u64; 64],
    offsets: FxHashMap<u64, u32>,
}

impl Offsets {
    /// Searches a table. A name may also be the end of another string: linkers store `bar` within `foobar`.
    pub(super) fn find(table: &[u8], wanted: &Wanted<'_>) -> Offsets {
        let mut found = Offsets { filter: [0; 64], offsets: FxHashMap::default() };
        for end in memchr::memchr_iter(0, table) {
            let text = table.get(..end).unwrap_or_default();
            for (name, number) in wanted.ends_of(text) {
                found.add(end - name.len(), number);
            }
        }
        for flavor in memmem::find_iter(table, "___") {
            let (text, rest) = table.split_at_checked(flavor).unwrap_or_default();
            for (name, number) in wanted.ends_of(text) {
                let rest = rest.get(..MAX_FLAVOR).unwrap_or(rest);
                let start = flavor - name.len();
                let len = memchr::memchr(0, rest);
                let whole = len.and_then(|len| table.get(start..flavor + len));
                if whole.and_then(|whole| wanted.of(whole)) == Some(number) {
                    found.add(start, number);
                }
            }
        }
        found
    }

    fn add(&mut self, offset: usize, number: u32) {
        let offset = offset as u64;
        if let Some(word) = self.filter.get_mut(offset as usize / 64 % 64) {
            *word |= 1 << (offset % 64);
        }
        self.offsets.insert(offset, number);
    }

    /// The number of the name at an offset.
    #[inline]
    pub(super) fn get(&self, offset: u64) -> Option<u32> {
        let word = self.filter.get(offset as usize / 64 % 64)?;
        if word >> (offset % 64) & 1 == 0 {
            return None;
        }
        self.offsets.get(&offset).copied()
    }
}
