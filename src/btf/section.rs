//! The outside of a `.BTF` section: its header, and where each type begins.
//!
//! In: bytes. Out: the pieces that the header points to, and the places of the types. Types of kinds that are not known here are passed over where the section's own table of kinds says how long they are;
//! where none does, there is no telling where the next type begins, and reading ends with an error.

use super::{BtfError, MAGIC, kind};
use crate::bytes::Reader;
use crate::target::Endian;

/// What every type begins with: name, info, and a size or a type, each a word.
const HEAD: u32 = 12;
/// Kinds have 7 bits since 7.1, 5 before; the others were 0.
const KINDS: usize = 128;

/// How many bytes follow the head of a type of each known kind, and how many each of its items has (`include/uapi/linux/btf.h`).
const SIZES: [(u32, u32, u32); 19] = [
    (kind::INT, 4, 0),
    (kind::PTR, 0, 0),
    (kind::ARRAY, 12, 0),
    (kind::STRUCT, 0, 12),
    (kind::UNION, 0, 12),
    (kind::ENUM, 0, 8),
    (kind::FWD, 0, 0),
    (kind::TYPEDEF, 0, 0),
    (kind::VOLATILE, 0, 0),
    (kind::CONST, 0, 0),
    (kind::RESTRICT, 0, 0),
    (kind::FUNC, 0, 0),
    (kind::FUNC_PROTO, 0, 8),
    (kind::VAR, 4, 0),
    (kind::DATASEC, 0, 12),
    (kind::FLOAT, 0, 0),
    (kind::DECL_TAG, 4, 0),
    (kind::TYPE_TAG, 0, 0),
    (kind::ENUM64, 0, 12),
];

/// The kinds of types that are a head and nothing else, a bit for each.
const HEAD_ALONE: u64 = {
    let (mut kinds, mut at) = (0, 0);
    while at < SIZES.len() {
        if let (kind, 0, 0) = SIZES[at] {
            kinds |= 1 << kind;
        }
        at += 1;
    }
    kinds
};

/// Whether types of that kind are a head and nothing else, as two of three are. Where the next one begins does not depend on what the table of kinds says of them, so that the processor need not wait for that.
fn is_head_alone(kind: u32) -> bool {
    HEAD_ALONE.checked_shr(kind).is_some_and(|kinds| kinds & 1 == 1)
}

/// Whether types of that kind are understood here.
pub(super) fn known(kind: u32) -> bool {
    SIZES.iter().any(|(known, ..)| *known == kind)
}

/// The second word of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info(pub(super) u32);

impl Info {
    /// One of [`kind`], or another.
    pub(super) fn kind(self) -> u32 {
        self.0 >> 24 & 0x7f
    }

    /// How many items it has. 24 bits since 7.1, 16 before; the others were 0.
    pub(super) fn vlen(self) -> u32 {
        self.0 & 0x00ff_ffff
    }

    /// What it means depends on the kind.
    pub(super) fn flag(self) -> bool {
        self.0 >> 31 == 1
    }
}

/// The pieces of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub(super) endian: Endian,
    pub(super) types: &'a [u8],
    pub(super) strings: &'a [u8],
    /// The table of kinds, four bytes for each; empty if there is none.
    layout: &'a [u8],
}

impl<'a> Section<'a> {
    /// Reads the header.
    pub(super) fn parse(data: &'a [u8]) -> Result<Section<'a>, BtfError> {
        let endian = byte_order(data)?;
        let mut reader = Reader::new(endian, data);
        let mut read = || {
            let (_magic, version, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
            let len = reader.u32()?;
            let types = [reader.u32()?, reader.u32()?];
            let strings = [reader.u32()?, reader.u32()?];
            // The table of kinds is there since 7.1.
            let layout = if len >= 32 { [reader.u32()?, reader.u32()?] } else { [0, 0] };
            Some((version, flags, len, types, strings, layout))
        };
        let header = read().ok_or(BtfError::Truncated("the header of .BTF"))?;
        let (version, flags, len, types, strings, layout) = header;
        let invalid = |what, value: u32| Err(BtfError::Invalid { what, value: value.into() });
        if version != 1 {
            return invalid("the version of .BTF", version.into());
        }
        if flags != 0 {
            return invalid("the flags of .BTF", flags.into());
        }
        if len < super::HEADER {
            return invalid("the length of the header of .BTF", len);
        }
        let piece = |[offset, size]: [u32; 2], what| {
            let start = (len as usize).checked_add(offset as usize);
            let piece = start.and_then(|start| data.get(start..)?.get(..size as usize));
            piece.ok_or(BtfError::Truncated(what))
        };
        Ok(Section {
            endian,
            types: piece(types, "the types of .BTF")?,
            strings: piece(strings, "the strings of .BTF")?,
            layout: piece(layout, "the table of kinds of .BTF")?,
        })
    }

    /// Where each type begins, the first of which has the id `first`.
    pub(super) fn offsets(&self, first: u32) -> Result<Vec<u32>, BtfError> {
        let sizes = self.sizes()?;
        // Types of kernels have 22 to 27 bytes each.
        let mut offsets = Vec::with_capacity(self.types.len() / 20);
        let mut at = 0_usize;
        while let Some(head) = self.types.get(at..).filter(|rest| !rest.is_empty()) {
            let cut = BtfError::Truncated("a type");
            let info = Info(word(self.endian, head, 4).ok_or(cut.clone())?);
            offsets.push(u32::try_from(at).map_err(|_| cut.clone())?);
            if is_head_alone(info.kind()) {
                at += HEAD as usize;
            } else {
                let [own, each] = sizes.get(info.kind() as usize).copied().unwrap_or_default();
                if own == 0 {
                    let before = u32::try_from(offsets.len() - 1).unwrap_or(u32::MAX);
                    let id = before.saturating_add(first);
                    return Err(BtfError::UnknownKind { id, kind: info.kind() });
                }
                at += own as usize + each as usize * info.vlen() as usize;
            }
            if at > self.types.len() {
                return Err(cut);
            }
        }
        Ok(offsets)
    }

    /// For each kind the bytes of a type without items, head included, and of an item; zeros for a kind of which nothing is known.
    fn sizes(&self) -> Result<[[u32; 2]; KINDS], BtfError> {
        let mut sizes = [[0; 2]; KINDS];
        for (slot, entry) in sizes.iter_mut().zip(self.layout.chunks_exact(4)).skip(1) {
            // The last two bytes are flags, of which there are none yet.
            if let [own, each, ..] = *entry {
                *slot = [HEAD + u32::from(own), u32::from(each)];
            }
        }
        for (kind, own, each) in SIZES {
            let known = [HEAD + own, each];
            let Some(slot) = sizes.get_mut(kind as usize) else { continue };
            if *slot != [0; 2] && *slot != known {
                let what = "the table of kinds of .BTF: the length of kind";
                return Err(BtfError::Invalid { what, value: kind.into() });
            }
            *slot = known;
        }
        Ok(sizes)
    }
}

/// The byte order in which a section begins with BTF's magic number.
pub(crate) fn byte_order(data: &[u8]) -> Result<Endian, BtfError> {
    let magic = data.first_chunk().ok_or(BtfError::NotBtf)?;
    match (u16::from_le_bytes(*magic), u16::from_be_bytes(*magic)) {
        (MAGIC, _) => Ok(Endian::Little),
        (_, MAGIC) => Ok(Endian::Big),
        _ => Err(BtfError::NotBtf),
    }
}

/// The word at an offset.
pub(super) fn word(endian: Endian, bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(match endian {
        Endian::Little => u32::from_le_bytes(bytes),
        Endian::Big => u32::from_be_bytes(bytes),
    })
}
