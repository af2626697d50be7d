//! Compressed streams, unpacked.
//!
//! In: bytes that begin with a stream; what follows it does not matter (kernel images have padding and a length there). Out: what was packed. Memory is bounded by the size of the input: no kernel, and no
//! type information, packs better than [`BEST_RATIO`] to 1, so a stream that goes on beyond that is refused, whatever it claims.

#![expect(clippy::unnecessary_wraps, reason = "the readers of all formats have one type")]

use super::file::MAX_BYTES;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use liblzma::read::XzDecoder;
use ruzstd::decoding::StreamingDecoder;
use std::cell::Cell;
use std::io::{Error, Read};

/// vmlinux with DWARF packs about 6 to 1, BTF 5 to 1.
const BEST_RATIO: u64 = 64;
/// What small inputs may grow by beside that.
const SMALL: u64 = 1 << 20;
/// The most that an xz or lzma stream may use for its dictionary and tables. Kernel builds use 128 MiB dictionaries at most (`scripts/xz_wrap.sh`, v6.12).
const LZMA_MEMORY: u64 = 192 << 20;
/// The size of a block of the older format of lz4, which kernel builds use (`lib/decompress_unlz4.c`: `LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE`).
const LZ4_BLOCK: usize = 8 << 20;

/// A format of compressed streams.
#[derive(Debug)]
pub(super) struct Format {
    /// What it is called.
    pub(super) name: &'static str,
    /// What a stream begins with.
    pub(super) magic: &'static [u8],
    /// What can be said of the bytes behind the magic, so that it is not found by chance.
    plausible: fn(&[u8]) -> bool,
    /// Reads the stream; none if there is no way to.
    open: Option<Opener>,
}

/// A reader of what is packed.
type Opener = fn(&[u8]) -> Result<Box<dyn Read + '_>, Error>;

/// The formats that kernel images are packed with (`init/Kconfig`: `KERNEL_*`), and that single files are.
pub(super) const FORMATS: &[Format] = &[
    Format { name: "gzip", magic: b"\x1f\x8b\x08", plausible: gzip_header, open: Some(gzip) },
    Format { name: "xz", magic: b"\xfd7zXZ\0", plausible: any, open: Some(xz) },
    Format { name: "zstd", magic: b"\x28\xb5\x2f\xfd", plausible: any, open: Some(zstd_frame) },
    Format { name: "lz4", magic: b"\x02\x21\x4c\x18", plausible: any, open: Some(lz4_blocks) },
    Format { name: "lz4", magic: b"\x04\x22\x4d\x18", plausible: any, open: Some(lz4_frame) },
    Format { name: "bzip2", magic: b"BZh", plausible: bzip2_header, open: Some(bzip2) },
    Format { name: "lzma", magic: b"\x5d\0\0", plausible: lzma_header, open: Some(lzma) },
    Format { name: "lzo", magic: b"\x89LZO\0\r\n\x1a\n", plausible: any, open: None },
];

impl Format {
    /// The format of a stream.
    pub(super) fn of(bytes: &[u8]) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.begins(bytes))
    }

    fn begins(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(self.magic) && (self.plausible)(bytes)
    }

    /// The first places in `bytes` at which a stream may begin, in order.
    pub(super) fn places(bytes: &[u8], most: usize) -> Vec<(usize, &'static Format)> {
        let of = |format: &'static Format| {
            let found = memchr::memmem::find_iter(bytes, format.magic);
            let begins = |at: &usize| bytes.get(*at..).is_some_and(|rest| format.begins(rest));
            found.filter(begins).take(most).map(move |at| (at, format))
        };
        let mut places: Vec<_> = FORMATS.iter().flat_map(of).collect();
        places.sort_by_key(|(at, _)| *at);
        places.truncate(most);
        places
    }

    /// What is packed in a stream of this format, or why it cannot be had.
    pub(super) fn unpack(&self, stream: &[u8], room: &Room) -> Result<Vec<u8>, String> {
        let open = self.open.ok_or("this program cannot unpack that format")?;
        let unpacked = read(open, stream, room.0.get());
        // What was of no use has been unpacked, too.
        let len = unpacked.as_ref().map_or(SMALL, |bytes| bytes.len() as u64);
        room.0.set(room.0.get().saturating_sub(len));
        unpacked
    }
}

/// How much may be unpacked of a file, in all its streams and all that is in them.
#[derive(Debug)]
pub(super) struct Room(Cell<u64>);

impl Room {
    /// For a file of so many bytes.
    pub(super) fn for_bytes(bytes: usize) -> Room {
        let room = (bytes as u64).saturating_mul(BEST_RATIO).saturating_add(32 * SMALL);
        Room(Cell::new(room.min(2 * MAX_BYTES)))
    }
}

/// What is packed in a zlib stream, as in sections of ELF files.
pub(super) fn zlib(stream: &[u8]) -> Result<Vec<u8>, String> {
    read(|stream| Ok(Box::new(ZlibDecoder::new(stream))), stream, MAX_BYTES)
}

/// What is packed in a zstd stream.
pub(super) fn zstd(stream: &[u8]) -> Result<Vec<u8>, String> {
    read(zstd_frame, stream, MAX_BYTES)
}

fn read(open: Opener, stream: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let limit = (stream.len() as u64).saturating_mul(BEST_RATIO).saturating_add(SMALL);
    let limit = limit.min(MAX_BYTES).min(most);
    let mut unpacked = Vec::new();
    let read = open(stream).and_then(|stream| stream.take(limit + 1).read_to_end(&mut unpacked));
    match read {
        Ok(read) if read as u64 > limit => Err(format!("it has more than {limit} bytes unpacked")),
        Ok(_) => Ok(unpacked),
        Err(error) => Err(format!("the stream is broken: {error}")),
    }
}

fn any(_: &[u8]) -> bool {
    true
}

/// The flags have only five bits (RFC 1952, 2.3.1).
fn gzip_header(stream: &[u8]) -> bool {
    stream.get(3).is_some_and(|flags| flags & 0xe0 == 0)
}

/// A level, and the magic number of a block.
fn bzip2_header(stream: &[u8]) -> bool {
    stream.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
        && stream.get(4..10) == Some(b"\x31\x41\x59\x26\x53\x59")
}

/// After a dictionary size with two zeros comes the size of what is packed, or -1.
fn lzma_header(stream: &[u8]) -> bool {
    let size = stream.get(5..13).and_then(|size| size.try_into().ok()).map(u64::from_le_bytes);
    size.is_some_and(|size| size == u64::MAX || (1..=MAX_BYTES).contains(&size))
}

fn gzip(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    Ok(Box::new(GzDecoder::new(stream)))
}

fn xz(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    let decoder = liblzma::stream::Stream::new_stream_decoder(LZMA_MEMORY, 0)?;
    Ok(Box::new(XzDecoder::new_stream(stream, decoder)))
}

fn lzma(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    let decoder = liblzma::stream::Stream::new_lzma_decoder(LZMA_MEMORY)?;
    Ok(Box::new(XzDecoder::new_stream(stream, decoder)))
}

fn bzip2(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    Ok(Box::new(bzip2::bufread::BzDecoder::new(stream)))
}

fn lz4_frame(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    Ok(Box::new(lz4_flex::frame::FrameDecoder::new(stream)))
}

fn zstd_frame(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    Ok(Box::new(StreamingDecoder::new(stream).map_err(Error::other)?))
}

fn lz4_blocks(stream: &[u8]) -> Result<Box<dyn Read + '_>, Error> {
    let rest = stream.get(4..).unwrap_or_default();
    Ok(Box::new(Lz4Blocks { rest, block: Vec::new(), len: 0, at: 0 }))
}

/// A stream in the older format of lz4: blocks, each behind its length. It ends where no block is: at the end, or at a kernel image's length.
struct Lz4Blocks<'a> {
    rest: &'a [u8],
    /// Room for a block: made once, since there may be very many small ones.
    block: Vec<u8>,
    len: usize,
    at: usize,
}

impl Lz4Blocks<'_> {
    /// Unpacks the next block; an empty one at the end.
    fn advance(&mut self) -> Result<(), Error> {
        self.at = 0;
        let block = self.rest.split_first_chunk().and_then(|(len, rest)| {
            let len = u32::from_le_bytes(*len) as usize;
            rest.split_at_checked(len).filter(|_| len > 0)
        });
        let Some((packed, rest)) = block else {
            self.len = 0;
            return Ok(());
        };
        self.rest = rest;
        self.block.resize(LZ4_BLOCK, 0);
        self.len =
            lz4_flex::block::decompress_into(packed, &mut self.block).map_err(Error::other)?;
        Ok(())
    }
}

impl Read for Lz4Blocks<'_> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        if self.at == self.len {
            self.advance()?;
        }
        let len = self.block.get(self.at..self.len).unwrap_or_default().read(to)?;
        self.at += len;
        Ok(len)
    }
}
