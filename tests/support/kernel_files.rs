//! Files of kernels, made on the spot: ELF files of either class and byte order, packed streams, images that boot.

use std::io::{Read, Write};
use ubpfc::btf::{Builder, Member, Type, encoding};
use ubpfc::target::Endian;

/// BTF with a `struct task_struct` of that size, and `unsigned long` as large as a pointer.
pub fn types(endian: Endian, pointer: u32, size: u32) -> Vec<u8> {
    let mut builder = Builder::default();
    let int = builder.int_of("int", 4, encoding::SIGNED);
    builder.int_of("long unsigned int", pointer, 0);
    let pid = Member { name: "pid".into(), ty: int, bit_offset: 64, bit_width: 0 };
    builder.composite("task_struct", size, vec![pid]);
    builder.add(Type::Fwd { union: false, name: "sock".into() });
    builder.bytes(endian)
}

/// A section of an ELF file: name, flags, bytes.
pub type Section<'a> = (&'a str, u64, &'a [u8]);

/// An ELF file with these sections.
pub fn elf(wide: bool, endian: Endian, sections: &[Section<'_>]) -> Vec<u8> {
    let big = endian == Endian::Big;
    let put = |out: &mut Vec<u8>, value: u64, len: usize| {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[8 - len..].to_vec();
        if !big {
            bytes.reverse();
        }
        out.extend(bytes);
    };
    let word = if wide { 8 } else { 4 };
    let mut names = vec![0];
    let mut content = Vec::new();
    let mut headers = vec![[0_u64; 5]]; // name, kind, flags, offset, size
    let header_size = if wide { 64 } else { 52 };
    for (name, flags, data) in sections.iter().copied().chain([(".shstrtab", 0, &[][..])]) {
        let at = names.len() as u64;
        names.extend(name.bytes().chain([0]));
        let data = if name == ".shstrtab" { names.clone() } else { data.to_vec() };
        let offset = header_size + content.len();
        headers.push([at, 1, flags, offset as u64, data.len() as u64]);
        content.extend(data);
        content.resize(content.len().next_multiple_of(8), 0);
    }
    let mut out = b"\x7fELF".to_vec();
    out.extend([if wide { 2 } else { 1 }, if big { 2 } else { 1 }, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    put(&mut out, 2, 2); // ET_EXEC
    put(&mut out, 62, 2);
    put(&mut out, 1, 4);
    put(&mut out, 0, word);
    put(&mut out, 0, word);
    put(&mut out, (header_size + content.len()) as u64, word);
    put(&mut out, 0, 4);
    for half in [header_size, 0, 0, 6 * word + 16, headers.len(), headers.len() - 1] {
        put(&mut out, half as u64, 2);
    }
    out.extend(content);
    for [name, kind, flags, offset, size] in headers {
        put(&mut out, name, 4);
        put(&mut out, kind, 4);
        for value in [flags, 0, offset, size] {
            put(&mut out, value, word);
        }
        put(&mut out, 0, 8);
        put(&mut out, 0, word);
        put(&mut out, 0, word);
    }
    out
}

/// Packs bytes.
pub type Packer = fn(&[u8]) -> Vec<u8>;

/// The names of formats, and how to pack bytes in them.
pub const PACKERS: &[(&str, Packer)] = &[
    ("gzip", gzip),
    ("xz", xz),
    ("lzma", lzma),
    ("bzip2", bzip2),
    ("zstd", zstd),
    ("lz4", lz4_blocks),
    ("lz4", lz4_frame),
];

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// As kernels of x86 are packed: with the filter for its branches.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    let mut filters = Filters::new();
    filters.x86().lzma2(&LzmaOptions::new_preset(6).unwrap());
    let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new_stream(bytes, stream).read_to_end(&mut packed).unwrap();
    packed
}

pub fn lzma(bytes: &[u8]) -> Vec<u8> {
    use liblzma::stream::{LzmaOptions, Stream};
    let stream = Stream::new_lzma_encoder(&LzmaOptions::new_preset(6).unwrap()).unwrap();
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new_stream(bytes, stream).read_to_end(&mut packed).unwrap();
    packed
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut packer = bzip2::read::BzEncoder::new(bytes, bzip2::Compression::best());
    packer.read_to_end(&mut packed).unwrap();
    packed
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// As kernels are packed: blocks of 8 MiB, each behind its length.
pub fn lz4_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x02\x21\x4c\x18".to_vec();
    for block in bytes.chunks(8 << 20) {
        let block = lz4_flex::block::compress(block);
        packed.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        packed.extend(block);
    }
    packed
}

pub fn lz4_frame(bytes: &[u8]) -> Vec<u8> {
    let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn put32(file: &mut [u8], at: usize, value: usize) {
    file[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap().to_le_bytes());
}

/// What the build of an x86 kernel makes of a packed vmlinux: setup code that says where it is, and behind it the length of what is packed.
pub fn bz_image(release: &str, packed: &[u8], unpacked: usize) -> Vec<u8> {
    let mut file = vec![0; 5 * 512];
    file[0x1f1] = 4;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    file[0x20e..0x210].copy_from_slice(&0x300_u16.to_le_bytes());
    file[0x500..0x500 + release.len()].copy_from_slice(release.as_bytes());
    file[0x500 + release.len()] = b' ';
    put32(&mut file, 0x248, 64);
    put32(&mut file, 0x24c, packed.len() + 4);
    file.extend([0x90; 64]);
    file.extend(packed);
    file.extend(u32::try_from(unpacked).unwrap().to_le_bytes());
    file.extend([0; 300]);
    file
}

/// A kernel that EFI unpacks.
pub fn zboot(packed: &[u8]) -> Vec<u8> {
    let mut file = b"MZ\0\0zimg".to_vec();
    file.resize(512, 0);
    put32(&mut file, 8, 512);
    put32(&mut file, 12, packed.len());
    file.extend(packed);
    file
}

/// The memory of an arm64 kernel.
pub fn arm64_image(release: &str, btf: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x1000];
    file[..2].copy_from_slice(b"MZ");
    file[0x38..0x3c].copy_from_slice(b"ARM\x64");
    file.extend(b"\x9f\xeb\x01\0 looks like types and is none\0");
    file.extend(format!("Linux version {release} (builder)\n\0").bytes());
    file.extend(btf);
    file.extend([0; 100]);
    file
}

/// A kernel of 32-bit arm that unpacks itself.
pub fn arm_zimage(packed: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x800];
    put32(&mut file, 0x24, 0x016f_2818);
    file.extend(b"\x1f\x8b\x08\0 looks like a stream and is none");
    file.extend(packed);
    file.extend([1, 2, 3, 4]);
    file
}
