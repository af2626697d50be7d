//! Kernel images that can be booted: which kind, and where in it the packed kernel is.
//!
//! In: the bytes of a file. Out: what the file is, and how to get at the kernel inside. Every architecture wraps it in its own way; where the header says where it is, that is believed, otherwise
//! streams are looked for by their first bytes.

use crate::bytes::Reader;
use crate::target::Endian;
use std::ops::Range;

/// An image.
#[derive(Debug)]
pub(super) struct Image {
    /// What it is, for messages.
    pub(super) name: &'static str,
    /// Where the kernel is in it.
    pub(super) payload: Payload,
    /// Where the text that begins with the release is.
    pub(super) release: Option<usize>,
}

/// Where the kernel is in an image.
#[derive(Debug)]
pub(super) enum Payload {
    /// A compressed stream at this place.
    Stream(Range<usize>),
    /// A compressed stream somewhere.
    Somewhere,
    /// It is not compressed, or it may be that only a part of it is: memory as it is laid out, without a table of sections.
    Flat,
}

/// How one architecture's images are told, and what they are made of.
type Recognise = fn(&[u8]) -> Option<Image>;

const IMAGES: &[Recognise] = &[x86, zboot, arm64_or_riscv, arm, s390];

impl Image {
    /// The image that a file is.
    pub(super) fn of(file: &[u8]) -> Option<Image> {
        IMAGES.iter().find_map(|recognise| recognise(file))
    }
}

fn word(file: &[u8], at: usize) -> Option<usize> {
    Reader::new(Endian::Little, file.get(at..)?).u32().map(|word| word as usize)
}

fn half(file: &[u8], at: usize) -> Option<usize> {
    Reader::new(Endian::Little, file.get(at..)?).u16().map(usize::from)
}

fn has(file: &[u8], at: usize, magic: &[u8]) -> bool {
    file.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// The setup header of x86 (`Documentation/arch/x86/boot.rst`): since protocol 2.08 it says where the payload is.
fn x86(file: &[u8]) -> Option<Image> {
    if !has(file, 0x202, b"HdrS") {
        return None;
    }
    let sectors = match *file.get(0x1f1)? {
        0 => 4, // as it always was
        sectors => usize::from(sectors),
    };
    let known = half(file, 0x206)? >= 0x208;
    let payload = if known {
        let start = ((sectors + 1) * 512).saturating_add(word(file, 0x248)?);
        Payload::Stream(start..start.saturating_add(word(file, 0x24c)?))
    } else {
        Payload::Somewhere
    };
    let release = half(file, 0x20e)?.checked_add(0x200).filter(|at| *at > 0x200);
    Some(Image { name: "bzImage", payload, release })
}

/// A compressed kernel that EFI can start (`drivers/firmware/efi/libstub/zboot-header.S`): arm64, riscv64, loongarch.
fn zboot(file: &[u8]) -> Option<Image> {
    if !(file.starts_with(b"MZ") && has(file, 4, b"zimg")) {
        return None;
    }
    let start = word(file, 8)?;
    let payload = Payload::Stream(start..start.saturating_add(word(file, 12)?));
    Some(Image { name: "EFI zboot image", payload, release: None })
}

/// `Documentation/arch/arm64/booting.rst` and `Documentation/arch/riscv/boot-image-header.rst`: the kernel itself, behind a header of 64 bytes.
fn arm64_or_riscv(file: &[u8]) -> Option<Image> {
    let name = match file.get(0x38..0x3c)? {
        b"ARM\x64" => "arm64 Image",
        b"RSC\x05" => "riscv Image",
        _ => return None,
    };
    Some(Image { name, payload: Payload::Flat, release: None })
}

/// `arch/arm/boot/compressed/head.S`: a magic number in the byte order of the kernel.
fn arm(file: &[u8]) -> Option<Image> {
    let zimage =
        has(file, 0x24, &[0x18, 0x28, 0x6f, 0x01]) || has(file, 0x24, &[0x01, 0x6f, 0x28, 0x18]);
    zimage.then_some(Image { name: "arm zImage", payload: Payload::Somewhere, release: None })
}

/// `arch/s390/boot/head.S`: a kernel that is started at 64 KiB says so behind it.
fn s390(file: &[u8]) -> Option<Image> {
    let image = has(file, 0x10008, b"S390EP");
    image.then_some(Image { name: "s390 bzImage", payload: Payload::Somewhere, release: None })
}
