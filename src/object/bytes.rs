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
        values.iter().for_each(|value| self.u32(*value));
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

/// The string at an offset of a table, up to its NUL; `None` outside or where it is not UTF-8.
pub fn string_at(table: &[u8], offset: u32) -> Option<&str> {
    let tail = table.get(offset as usize..)?;
    let end = tail.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(tail.get(..end)?).ok()
}
