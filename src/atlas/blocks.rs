//! The file of an atlas: a header, and blocks that are each compressed and summed up for themselves.
//!
//! ```text
//! "ubpfatls"  version u32
//! block: packed size u32, size u32, CRC-32 of the size and of what is packed u32, what is packed (LZ4)
//! …
//! ```
//!
//! Numbers are little-endian. The first block is the index, the second the names of all types, the third a pattern; then comes one for each kernel, in the order of the index. Nothing follows the last.
//!
//! Kernels are much alike. The pattern is the types of one of them; LZ4 packs those of every kernel as if they came behind it.

use super::AtlasError;
use crate::bytes::{Reader, Writer};
use crate::target::Endian;
use lz4_flex::block;

/// What the file begins with.
pub(super) const MAGIC: &[u8; 8] = b"ubpfatls";
/// What this program reads and writes.
pub(super) const VERSION: u32 = 1;
/// The largest block: with everything that a kernel's types can say a hundred times over.
const MAX_SIZE: usize = 16 << 20;
/// LZ4 makes no more than 255 bytes of one.
const MAX_RATIO: usize = 255;

/// A block as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    size: u32,
    sum: u32,
    packed: &'a [u8],
}

/// The blocks of a file.
pub(super) fn read(file: &[u8]) -> Result<Vec<Block<'_>>, AtlasError> {
    let mut reader = Reader::new(Endian::Little, file);
    if reader.take(MAGIC.len()) != Some(MAGIC) {
        return Err(AtlasError::NotAtlas);
    }
    let version = reader.u32().ok_or(AtlasError::Broken("it is cut short"))?;
    if version != VERSION {
        return Err(AtlasError::Version(version));
    }
    let mut blocks = Vec::new();
    while !reader.is_empty() {
        let mut block = || {
            let (packed, size, sum) = (reader.u32()?, reader.u32()?, reader.u32()?);
            Some(Block { size, sum, packed: reader.take(packed as usize)? })
        };
        blocks.push(block().ok_or(AtlasError::Broken("a block is cut short"))?);
    }
    Ok(blocks)
}

/// A file of these blocks, and of those of kernels behind their pattern.
pub(super) fn write(before: [&[u8]; 2], pattern: &[u8], kernels: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Writer::new(Endian::Little);
    out.bytes.extend(MAGIC);
    out.u32(VERSION);
    let alone = before.into_iter().chain([pattern]).map(|bytes| (bytes, &[][..]));
    let kernels = kernels.iter().map(|bytes| (&bytes[..], pattern));
    for (bytes, pattern) in alone.chain(kernels) {
        let packed = block::compress_with_dict(bytes, pattern);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        out.words(&[len(&packed), len(bytes), sum(len(bytes), &packed)]);
        out.bytes.extend(packed);
    }
    out.bytes
}

impl Block<'_> {
    /// How much of the file it takes.
    pub(super) fn packed(&self) -> usize {
        self.packed.len()
    }

    /// What is in it; `pattern` is what it was packed behind.
    pub(super) fn unpack(&self, pattern: &[u8]) -> Result<Vec<u8>, AtlasError> {
        if sum(self.size, self.packed) != self.sum {
            return Err(AtlasError::Broken("the sum of a block is another than it should be"));
        }
        let size = self.size as usize;
        if size > MAX_SIZE || size > self.packed.len().saturating_mul(MAX_RATIO) {
            return Err(AtlasError::Broken("a block says that it is larger than it can be"));
        }
        let mut bytes = vec![0; size];
        match block::decompress_into_with_dict(self.packed, &mut bytes, pattern) {
            Ok(len) if len == size => Ok(bytes),
            _ => Err(AtlasError::Broken("a block cannot be unpacked")),
        }
    }
}

fn sum(size: u32, packed: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(&size.to_le_bytes());
    sum.update(packed);
    sum.sum()
}
