//! The debug sections of an ELF file, unpacked and relocated.
//!
//! In: the bytes of a file of any machine, 32 or 64 bits, either byte order. Out: the sections that types are read from; borrowed where they can be read as they are. Relocations are applied to
//! relocatable files alone: a linked kernel may have kept those that were applied when it was linked (`--emit-relocs`), and once is enough.

use super::super::elf::{self as elf_file, Elf};
use super::super::unpack;
use super::DwarfError;
use super::effort::Effort;
use gimli::RunTimeEndian;
use object::read::{File, Object, ObjectSection, ObjectSymbol, RelocationTarget, Section};
use object::{
    Architecture, CompressionFormat, ObjectKind, RelocationFlags, RelocationKind, SectionIndex, elf,
};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// No section has a name as long as this.
const MAX_NAME: usize = 4096;

/// So many relocations may be for a section beside one for each of its bytes.
const MAX_RELOCATIONS: usize = 1024;

/// The sections of one file. Those that are not there are empty.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    /// The byte order.
    pub endian: RunTimeEndian,
    /// The size of a pointer in bytes.
    pub pointer_size: u32,
    /// Whether equal strings of `.debug_str` have been made one.
    pub linked: bool,
    pub info: Cow<'a, [u8]>,
    pub types: Cow<'a, [u8]>,
    pub abbrev: Cow<'a, [u8]>,
    pub strings: Cow<'a, [u8]>,
    pub line_strings: Cow<'a, [u8]>,
    pub string_offsets: Cow<'a, [u8]>,
    pub unit_index: Cow<'a, [u8]>,
    pub type_index: Cow<'a, [u8]>,
    /// Name and build id of the supplementary file.
    pub supplementary: Option<(Vec<u8>, Vec<u8>)>,
    /// How much may still be read of its entries and abbreviations.
    pub effort: Effort,
}

impl<'a> Sections<'a> {
    /// Reads the sections whose names end in `suffix`: nothing, or `.dwo`.
    pub(super) fn read(bytes: &'a [u8], suffix: &str) -> Result<Sections<'a>, DwarfError> {
        let file = File::parse(bytes).map_err(broken)?;
        check_names(bytes)?;
        let big = file.endianness() == object::Endianness::Big;
        let relocatable = file.kind() == ObjectKind::Relocatable;
        let section = |name: &str, relocatable| section(bytes, &file, name, relocatable);
        let get = |name: &str| section(&format!("{name}{suffix}"), relocatable);
        let alt = file.gnu_debugaltlink().map_err(broken)?;
        Ok(Sections {
            endian: if big { RunTimeEndian::Big } else { RunTimeEndian::Little },
            pointer_size: if file.is_64() { 8 } else { 4 },
            linked: !relocatable,
            info: get(".debug_info")?,
            types: get(".debug_types")?,
            abbrev: get(".debug_abbrev")?,
            strings: get(".debug_str")?,
            line_strings: section(".debug_line_str", relocatable)?,
            string_offsets: get(".debug_str_offsets")?,
            unit_index: section(".debug_cu_index", false)?,
            type_index: section(".debug_tu_index", false)?,
            supplementary: alt.map(|(name, id)| (name.to_vec(), id.to_vec())),
            effort: Effort::default(),
        }
        .with_effort())
    }

    /// How much may be read of them: every entry many times over, in whatever order.
    fn with_effort(mut self) -> Sections<'a> {
        let bytes = self.info.len() + self.types.len() + self.abbrev.len();
        self.effort = Effort::for_bytes(bytes);
        self
    }
}

/// That no section has a name that takes long to read, which is done for each section and each name that is looked for.
fn check_names(bytes: &[u8]) -> Result<(), DwarfError> {
    let elf = Elf::parse(bytes).map(|elf| elf.sections);
    let long = |section: &elf_file::Section<'_>| section.name.len() >= MAX_NAME;
    match elf {
        Some(sections) if !sections.iter().any(long) => Ok(()),
        Some(_) => Err(DwarfError::Elf("the name of a section has no end".to_owned())),
        None => Err(DwarfError::Elf("its headers are broken".to_owned())),
    }
}

/// All sections of that name, one behind the other: type units are in sections of their own before they are linked.
fn section<'a>(
    bytes: &[u8],
    file: &File<'a>,
    name: &str,
    relocatable: bool,
) -> Result<Cow<'a, [u8]>, DwarfError> {
    let mut pieces = Vec::new();
    for section in file.sections() {
        if is_named(&section, name) {
            pieces.push(section);
        }
    }
    let [first, rest @ ..] = pieces.as_slice() else { return Ok(Cow::Borrowed(&[])) };
    // Sections that shared their bytes could be more together than there is memory.
    let packed = pieces.iter().filter_map(ObjectSection::file_range);
    let packed = packed.fold(0_u64, |all, (_, size)| all.saturating_add(size));
    if packed > bytes.len() as u64 {
        return Err(DwarfError::Elf(format!("sections {name} share their bytes")));
    }
    let mut all = unpacked(first)?;
    let mut places = FxHashMap::default();
    places.insert(first.index(), 0_u64);
    for piece in rest {
        places.insert(piece.index(), all.len() as u64);
        all.to_mut().extend_from_slice(&unpacked(piece)?);
    }
    if relocatable {
        for piece in &pieces {
            let start = places.get(&piece.index()).copied().unwrap_or_default();
            relocate(file, piece, &mut all, start, &places)?;
        }
    }
    Ok(all)
}

/// Whether a section has that name, or the one that GNU's older packed sections have (`.zdebug_info`).
fn is_named(section: &Section<'_, '_>, name: &str) -> bool {
    let own = section.name_bytes().unwrap_or_default();
    let packed = own.strip_prefix(b".z").zip(name.as_bytes().strip_prefix(b"."));
    own == name.as_bytes() || packed.is_some_and(|(own, name)| own == name)
}

/// A section's bytes as they were before they were packed.
fn unpacked<'a>(section: &Section<'a, '_>) -> Result<Cow<'a, [u8]>, DwarfError> {
    let packed = section.compressed_data().map_err(broken)?;
    let fault = || DwarfError::Compressed(section.name().unwrap_or_default().to_owned());
    let unpacked = match packed.format {
        CompressionFormat::None => return Ok(Cow::Borrowed(packed.data)),
        CompressionFormat::Zlib => unpack::zlib(packed.data),
        CompressionFormat::Zstandard => unpack::zstd(packed.data),
        _ => return Err(fault()),
    };
    let right = unpacked.ok().filter(|bytes| bytes.len() as u64 == packed.uncompressed_size);
    right.map(Cow::Owned).ok_or_else(fault)
}

/// Writes into `bytes`, from `start` on, what the relocations of a section of a relocatable file say: where in other debug sections something is. Addresses of code and data are left alone.
fn relocate(
    file: &File<'_>,
    section: &Section<'_, '_>,
    bytes: &mut Cow<'_, [u8]>,
    start: u64,
    places: &FxHashMap<SectionIndex, u64>,
) -> Result<(), DwarfError> {
    let big = file.endianness() == object::Endianness::Big;
    // Tables of relocations that shared their bytes could have any number of them.
    let mut left = bytes.len() + MAX_RELOCATIONS;
    for (offset, relocation) in section.relocations() {
        left = left.checked_sub(1).ok_or_else(|| {
            DwarfError::Elf("it has more relocations than bytes to relocate".to_owned())
        })?;
        let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
        let Ok(symbol) = file.symbol_by_index(symbol) else { continue };
        let Some(target) = symbol.section_index() else { continue };
        // Sections that are loaded hold code and data: no type depends on their addresses.
        let loaded = file.section_by_index(target).is_ok_and(|section| is_loaded(&section));
        if loaded {
            continue;
        }
        let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
        let how = how(file.architecture(), relocation.kind(), r_type);
        let how = how.ok_or(DwarfError::Relocation { kind: r_type })?;
        let width = match how {
            How::Set => usize::from(relocation.size() / 8),
            How::Add(width) | How::Subtract(width) => width,
        };
        let at = start.checked_add(offset).and_then(|at| usize::try_from(at).ok());
        let range = at.and_then(|at| Some(at..at.checked_add(width)?));
        let place = range.and_then(|range| bytes.to_mut().get_mut(range));
        let outside = || DwarfError::Elf("a relocation is outside of its section".to_owned());
        let place = place.ok_or_else(outside)?;
        let base = places.get(&target).copied().unwrap_or_default();
        let mut value = base.wrapping_add(symbol.address());
        value = value.wrapping_add(relocation.addend().cast_unsigned());
        let old = number(place, big);
        let new = match how {
            How::Set if relocation.has_implicit_addend() => value.wrapping_add(old),
            How::Set => value,
            How::Add(_) => old.wrapping_add(value),
            How::Subtract(_) => old.wrapping_sub(value),
        };
        put(place, new, big);
    }
    Ok(())
}

/// What a relocation does with the value of its symbol.
#[derive(Clone, Copy)]
enum How {
    Set,
    /// To a number of so many bytes.
    Add(usize),
    /// From a number of so many bytes.
    Subtract(usize),
}

/// RISC-V has differences of labels (the length of a unit) computed by pairs of relocations: `R_RISCV_ADD8` (33) to `ADD64`, `R_RISCV_SUB8` (37) to `SUB64`.
fn how(machine: Architecture, kind: RelocationKind, number: u32) -> Option<How> {
    let riscv = matches!(machine, Architecture::Riscv32 | Architecture::Riscv64);
    match (kind, number) {
        (RelocationKind::Absolute, _) => Some(How::Set),
        (_, elf::R_RISCV_ADD8..=elf::R_RISCV_ADD64) if riscv => {
            Some(How::Add(1 << (number - elf::R_RISCV_ADD8)))
        }
        (_, elf::R_RISCV_SUB8..=elf::R_RISCV_SUB64) if riscv => {
            Some(How::Subtract(1 << (number - elf::R_RISCV_SUB8)))
        }
        _ => None,
    }
}

fn is_loaded(section: &Section<'_, '_>) -> bool {
    match section.flags() {
        object::SectionFlags::Elf { sh_flags, .. } => sh_flags & u64::from(elf::SHF_ALLOC) != 0,
        _ => false,
    }
}

fn number(bytes: &[u8], big: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
}

fn put(bytes: &mut [u8], value: u64, big: bool) {
    let mut rest = value;
    let mut step = |byte: &mut u8| {
        *byte = rest.to_le_bytes()[0];
        rest >>= 8;
    };
    if big {
        bytes.iter_mut().rev().for_each(&mut step);
    } else {
        bytes.iter_mut().for_each(&mut step);
    }
}

fn broken(error: object::Error) -> DwarfError {
    DwarfError::Elf(error.to_string())
}
