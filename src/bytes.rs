//! Numbers in either byte order, written to a growing buffer and read, with bounds checked, from a slice.

use crate::target::Endian;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// A buffer that numbers of one byte order are appended to.
#[derive(Debug)]
pub struct Writer {
    endian: Endian,
    /// What has been written.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    pub fn new(endian: Endian) -> Writer {
        Writer { endian, bytes: Vec::new() }
    }

    /// Appends a number.
    pub fn u16(&mut self, value: u16) {
        match self.endian {
            Endian::Little => self.bytes.extend(value.to_le_bytes()),
            Endian::Big => self.bytes.extend(value.to_be_bytes()),
        }
    }

    /// Appends a number.
    pub fn u32(&mut self, value: u32) {
        match self.endian {
            Endian::Little => self.bytes.extend(value.to_le_bytes()),
            Endian::Big => self.bytes.extend(value.to_be_bytes()),
        }
    }

    /// Appends a number.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend(self.endian.bytes_u64(value));
    }

    /// Appends numbers.
    pub fn words(&mut self, values: &[u32]) {
        for value in values {
            self.u32(*value);
        }
    }

    /// Appends zeros up to a multiple of `align`.
    pub fn align(&mut self, align: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(align.max(1)), 0);
    }

    /// How many bytes have been written, for formats whose offsets have 32 bits; the largest such number if there are more.
    pub fn len32(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// A slice that numbers of one byte order are taken from, front to back. Every method gives `None` where too few bytes are left.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    endian: Endian,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(endian: Endian, bytes: &'a [u8]) -> Reader<'a> {
        Reader { endian, rest: bytes }
    }

    /// Takes bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes a number.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a number.
    pub fn u16(&mut self) -> Option<u16> {
        let bytes = self.array()?;
        Some(match self.endian {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        })
    }

    /// Takes a number.
    pub fn u32(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(match self.endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        })
    }

    /// Takes a number.
    pub fn u64(&mut self) -> Option<u64> {
        let bytes = self.array()?;
        Some(match self.endian {
            Endian::Little => u64::from_le_bytes(bytes),
            Endian::Big => u64::from_be_bytes(bytes),
        })
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// A table of NUL-terminated strings, each once, by offset; the empty one is at 0.
#[derive(Debug)]
pub struct Strings {
    offsets: IndexMap<String, u32, FxBuildHasher>,
    len: u32,
}

impl Default for Strings {
    fn default() -> Strings {
        let mut strings = Strings { offsets: IndexMap::default(), len: 0 };
        strings.add("");
        strings
    }
}

impl Strings {
    /// The offset of a string, which is added if it is new. What follows a NUL in it is left out.
    pub fn add(&mut self, string: &str) -> u32 {
        let string = string.split('\0').next().unwrap_or_default();
        if let Some(offset) = self.offsets.get(string) {
            return *offset;
        }
        let offset = self.len;
        let size = u32::try_from(string.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.len = self.len.saturating_add(size);
        self.offsets.insert(string.to_owned(), offset);
        offset
    }

    /// The table.
    pub fn bytes(&self) -> Vec<u8> {
        self.offsets.keys().flat_map(|string| string.bytes().chain([0])).collect()
    }
}

/// A table of NUL-terminated strings that is read. Looking a string up takes no time in its length, so that many references to a long string do no harm.
#[derive(Debug)]
pub struct StringTable<'a> {
    bytes: &'a [u8],
    /// The strings that are not empty, each with its offset. Those that are not UTF-8, or have no NUL, are left out.
    strings: Vec<(u32, &'a str)>,
}

impl<'a> StringTable<'a> {
    /// Finds the strings in `bytes`.
    pub fn new(bytes: &'a [u8]) -> StringTable<'a> {
        let mut strings = Vec::new();
        let mut offset = 0;
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            let string = piece.strip_suffix(&[0]).filter(|string| !string.is_empty());
            let string = string.and_then(|string| std::str::from_utf8(string).ok());
            if let (Some(string), Ok(offset)) = (string, u32::try_from(offset)) {
                strings.push((offset, string));
            }
            offset += piece.len();
        }
        StringTable { bytes, strings }
    }

    /// The string from an offset up to the next NUL, or a tail of one; `None` outside of the table and where it is not UTF-8.
    pub fn get(&self, offset: u32) -> Option<&'a str> {
        if *self.bytes.get(offset as usize)? == 0 {
            return Some("");
        }
        let next = self.strings.partition_point(|(start, _)| *start <= offset);
        let (start, string) = self.strings.get(next.checked_sub(1)?)?;
        string.get((offset - start) as usize..)
    }
}

/// The 64-bit FNV-1a hash (<http://www.isthe.com/chongo/tech/comp/fnv/>): it tells files apart that nobody made to look alike.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_stored_once_and_found_again() {
        let mut strings = Strings::default();
        let offsets = ["", "pid", "tgid", "pid", "a\0b"].map(|string| strings.add(string));
        assert_eq!(offsets, [0, 1, 5, 1, 10]);
        let bytes = strings.bytes();
        assert_eq!(bytes, b"\0pid\0tgid\0a\0");
        let table = StringTable::new(&bytes);
        let found = [0, 1, 2, 4, 5, 10, 11, 12, u32::MAX].map(|offset| table.get(offset));
        let expected = ["", "pid", "id", "", "tgid", "a", ""].map(Some);
        assert_eq!(found, [&expected[..], &[None, None]].concat()[..]);
    }

    #[test]
    fn what_is_not_a_string_is_not_found() {
        let table = StringTable::new(b"\0ok\0\xff\xfe\0\xc3\xa9\0open");
        let found = [1, 4, 5, 7, 8, 10, 11].map(|offset| table.get(offset));
        assert_eq!(found, [Some("ok"), None, None, Some("\u{e9}"), None, None, None]);
    }

    #[test]
    fn numbers_survive_in_both_byte_orders() {
        for endian in [Endian::Little, Endian::Big] {
            let mut writer = Writer::new(endian);
            writer.u16(0x1234);
            writer.align(4);
            writer.u32(0x5678_9abc);
            writer.u64(42);
            let mut reader = Reader::new(endian, &writer.bytes);
            assert_eq!((reader.u16(), reader.u16()), (Some(0x1234), Some(0)));
            assert_eq!((reader.u32(), reader.u64()), (Some(0x5678_9abc), Some(42)));
            assert_eq!((reader.u8(), reader.is_empty()), (None, true));
        }
    }
}
