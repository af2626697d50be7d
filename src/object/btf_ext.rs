//! `.BTF.ext`: which function an instruction begins, which source line it comes from, and what a loader fills in.
//!
//! In: records for each code section, by ascending offset. Out: the bytes of the section. Every record refers to types and strings of the `.BTF` beside it.

use crate::btf::{MAGIC, TypeId};
use crate::bytes::Writer;
use crate::target::Endian;

/// The size of the header.
pub const HEADER: u32 = 32;

macro_rules! core_kinds {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// What a CO-RE record asks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CoreKind { $(#[doc = concat!("`", $text, "`")] $name = $number,)* }

        impl CoreKind {
            /// Every kind by number.
            pub const ALL: &'static [CoreKind] = &[$(CoreKind::$name),*];

            /// Its name, as libbpf writes it.
            pub fn name(self) -> &'static str {
                match self { $(CoreKind::$name => $text),* }
            }
        }
    };
}

// include/uapi/linux/bpf.h: enum bpf_core_relo_kind; names as in tools/lib/bpf/relo_core.c: core_relo_kind_str
core_kinds! {
    ByteOff = 0, "byte_off";
    ByteSize = 1, "byte_sz";
    FieldExists = 2, "field_exists";
    Signed = 3, "signed";
    LshiftU64 = 4, "lshift_u64";
    RshiftU64 = 5, "rshift_u64";
    LocalTypeId = 6, "local_type_id";
    TargetTypeId = 7, "target_type_id";
    TypeExists = 8, "type_exists";
    TypeSize = 9, "type_size";
    EnumvalExists = 10, "enumval_exists";
    EnumvalValue = 11, "enumval_value";
    TypeMatches = 12, "type_matches";
}

impl CoreKind {
    /// The kind of that number.
    pub fn from_number(number: u32) -> Option<CoreKind> {
        CoreKind::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// A function begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// In bytes from the start of the section.
    pub insn_off: u32,
    /// The `FUNC`.
    pub func: TypeId,
}

/// Instructions from here on come from a source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// In bytes from the start of the section.
    pub insn_off: u32,
    /// The file's name, an offset into the strings.
    pub file: u32,
    /// The line's text, an offset into the strings.
    pub text: u32,
    /// The line, from 1; 22 bits.
    pub line: u32,
    /// The column, from 1; 10 bits.
    pub col: u32,
}

/// A loader fills this instruction in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRecord {
    /// In bytes from the start of the section.
    pub insn_off: u32,
    /// The local type.
    pub root: TypeId,
    /// The way into it, an offset into the strings.
    pub access: u32,
    /// What is asked.
    pub kind: CoreKind,
}

/// The records of one code section.
#[derive(Clone, Debug, Default)]
pub struct SectionInfo {
    /// The section's name, an offset into the strings.
    pub name: u32,
    /// Functions.
    pub funcs: Vec<FuncInfo>,
    /// Lines.
    pub lines: Vec<LineInfo>,
    /// What is filled in.
    pub core: Vec<CoreRecord>,
}

/// The greatest line and column that a record can hold.
const MAX_LINE: u32 = (1 << 22) - 1;
const MAX_COL: u32 = (1 << 10) - 1;

/// The bytes of the section.
pub fn encode(sections: &[SectionInfo], endian: Endian) -> Vec<u8> {
    let parts = [
        part(endian, sections, |info| {
            info.funcs.iter().map(|func| [func.insn_off, func.func.0]).collect()
        }),
        part(endian, sections, |info| info.lines.iter().map(line_words).collect()),
        part(endian, sections, |info| {
            let words =
                |core: &CoreRecord| [core.insn_off, core.root.0, core.access, core.kind as u32];
            info.core.iter().map(words).collect()
        }),
    ];
    let mut out = Writer::new(endian);
    out.u16(MAGIC);
    out.bytes.extend([1, 0]); // version, flags
    out.u32(HEADER);
    let mut offset = 0;
    for part in &parts {
        out.u32(offset);
        out.u32(part.len32());
        offset += part.len32();
    }
    out.bytes.extend(parts.into_iter().flat_map(|part| part.bytes));
    out.bytes
}

fn line_words(line: &LineInfo) -> [u32; 4] {
    let place = line.line.min(MAX_LINE) << 10 | line.col.min(MAX_COL);
    [line.insn_off, line.file, line.text, place]
}

/// The record size, then for each section that has records its name, their number, and they themselves. A part without records is empty.
fn part<const WORDS: usize>(
    endian: Endian,
    sections: &[SectionInfo],
    records: impl Fn(&SectionInfo) -> Vec<[u32; WORDS]>,
) -> Writer {
    let mut out = Writer::new(endian);
    for section in sections {
        let records = records(section);
        let Ok(count @ 1..) = u32::try_from(records.len()) else { continue };
        if out.bytes.is_empty() {
            out.u32(u32::try_from(WORDS * 4).unwrap_or(u32::MAX));
        }
        out.u32(section.name);
        out.u32(count);
        out.words(records.as_flattened());
    }
    out
}
