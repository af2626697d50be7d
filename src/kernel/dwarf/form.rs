//! Numbers and forms: how the values of attributes are written.
//!
//! In: bytes of a unit and a form. Out: a value, or how many bytes to pass over. Everything is `None` where the bytes end too early or the form is not known. The forms are those of DWARF 5 (section 7.5.6) and GNU's
//! of split and supplementary files.

use gimli::constants as dw;

/// How a unit writes addresses and offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub big: bool,
    /// Of the unit.
    pub version: u16,
    /// The size of an address.
    pub address: u8,
    /// The size of an offset into another section: 4 or 8.
    pub offset: u8,
}

/// The bytes of the longest number: with 64 bits it has 10, but may be padded.
const MAX_LEB: u32 = 24;

/// A place in bytes that are read front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub data: &'a [u8],
    pub at: usize,
    pub big: bool,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.array()?;
        Some(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        let bytes = self.array()?;
        Some(if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A number of 1, 2, 3, 4 or 8 bytes.
    #[inline]
    pub(super) fn sized(&mut self, bytes: u8) -> Option<u64> {
        match bytes {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            4 => self.u32().map(u64::from),
            8 => self.u64(),
            3 => {
                let [a, b, c] = self.array()?;
                let bytes = if self.big { [0, a, b, c] } else { [0, c, b, a] };
                Some(u32::from_be_bytes(bytes).into())
            }
            _ => None,
        }
    }

    /// A number in LEB128. Bits beyond the 64th are lost; none has more than [`MAX_LEB`] bytes.
    #[inline]
    pub(super) fn uleb(&mut self) -> Option<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(first.into());
        }
        let (mut value, mut shift) = (u64::from(first & 0x7f), 7_u32);
        loop {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
            if shift > 7 * MAX_LEB {
                return None;
            }
        }
    }

    /// A signed number in LEB128.
    pub(super) fn sleb(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0_i64, 0_u32);
        loop {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if shift > 7 * MAX_LEB {
                return None;
            }
            if byte < 0x80 {
                if byte & 0x40 != 0 {
                    value |= (-1_i64).checked_shl(shift).unwrap_or(0);
                }
                return Some(value);
            }
        }
    }

    pub(super) fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(len).ok()?)?;
        let taken = self.data.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A string up to its NUL.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let rest = self.data.get(self.at..)?;
        let len = memchr::memchr(0, rest)?;
        self.at += len + 1;
        rest.get(..len)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.data.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*bytes)
    }
}

/// A string, or where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    Inline(&'a [u8]),
    /// In `.debug_str`.
    Strings(u64),
    /// In `.debug_line_str`.
    LineStrings(u64),
    /// By its number in the unit's part of `.debug_str_offsets`.
    Index(u64),
    /// In `.debug_str` of the supplementary file.
    Supplementary(u64),
}

/// Another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// By its offset in the unit.
    Unit(u64),
    /// By its offset in `.debug_info`.
    Section(u64),
    /// By its offset in `.debug_info` of the supplementary file.
    Supplementary(u64),
    /// The type of the type unit of that signature.
    Signature(u64),
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number of so many bytes, whose sign is not written.
    Data(u64, u8),
    Unsigned(u64),
    Signed(i64),
    Flag(bool),
    Text(Text<'a>),
    Link(Link),
    Block(&'a [u8]),
    /// Anything that no type depends on.
    Other,
}

impl Value<'_> {
    /// A number that cannot be negative; of a wide one the lower half.
    pub(super) fn unsigned(self) -> Option<u64> {
        match self {
            Value::Data(value, _) | Value::Unsigned(value) => Some(value),
            Value::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// A number that may be negative. The sign of one of fixed size is not written; compilers write what is negative in 4 or 8 bytes, and 255 in one.
    pub(super) fn signed(self) -> Option<i64> {
        match self {
            Value::Data(value, 4) => {
                u32::try_from(value).ok().map(|value| value.cast_signed().into())
            }
            Value::Data(value, _) => Some(value.cast_signed()),
            Value::Unsigned(value) => i64::try_from(value).ok(),
            Value::Signed(value) => Some(value),
            _ => None,
        }
    }
}

/// How many bytes a value of that form takes, where it is always the same.
pub(super) fn fixed_size(form: u16, encoding: Encoding) -> Option<u8> {
    Some(match dw::DwForm(form) {
        dw::DW_FORM_flag_present | dw::DW_FORM_implicit_const => 0,
        dw::DW_FORM_data1
        | dw::DW_FORM_flag
        | dw::DW_FORM_ref1
        | dw::DW_FORM_strx1
        | dw::DW_FORM_addrx1 => 1,
        dw::DW_FORM_data2 | dw::DW_FORM_ref2 | dw::DW_FORM_strx2 | dw::DW_FORM_addrx2 => 2,
        dw::DW_FORM_strx3 | dw::DW_FORM_addrx3 => 3,
        dw::DW_FORM_data4
        | dw::DW_FORM_ref4
        | dw::DW_FORM_ref_sup4
        | dw::DW_FORM_strx4
        | dw::DW_FORM_addrx4 => 4,
        dw::DW_FORM_data8 | dw::DW_FORM_ref8 | dw::DW_FORM_ref_sup8 | dw::DW_FORM_ref_sig8 => 8,
        dw::DW_FORM_data16 => 16,
        dw::DW_FORM_addr => encoding.address,
        // In DWARF 2 it was the size of an address.
        dw::DW_FORM_ref_addr if encoding.version <= 2 => encoding.address,
        dw::DW_FORM_ref_addr
        | dw::DW_FORM_strp
        | dw::DW_FORM_line_strp
        | dw::DW_FORM_sec_offset
        | dw::DW_FORM_strp_sup
        | dw::DW_FORM_GNU_ref_alt
        | dw::DW_FORM_GNU_strp_alt => encoding.offset,
        _ => return None,
    })
}

/// Reads a value; `constant` is the one that the abbreviation has (`DW_FORM_implicit_const`).
pub(super) fn read<'a>(
    cursor: &mut Cursor<'a>,
    form: u16,
    constant: i64,
    encoding: Encoding,
) -> Option<Value<'a>> {
    let offset = encoding.offset;
    let size = fixed_size(form, encoding).unwrap_or(0);
    Some(match dw::DwForm(form) {
        dw::DW_FORM_data1 | dw::DW_FORM_data2 | dw::DW_FORM_data4 | dw::DW_FORM_data8 => {
            Value::Data(cursor.sized(size)?, size)
        }
        dw::DW_FORM_sec_offset => Value::Unsigned(cursor.sized(size)?),
        dw::DW_FORM_sdata => Value::Signed(cursor.sleb()?),
        dw::DW_FORM_udata => Value::Unsigned(cursor.uleb()?),
        dw::DW_FORM_implicit_const => Value::Signed(constant),
        dw::DW_FORM_flag => Value::Flag(cursor.u8()? != 0),
        dw::DW_FORM_flag_present => Value::Flag(true),
        dw::DW_FORM_string => Value::Text(Text::Inline(cursor.string()?)),
        dw::DW_FORM_strp => Value::Text(Text::Strings(cursor.sized(offset)?)),
        dw::DW_FORM_line_strp => Value::Text(Text::LineStrings(cursor.sized(offset)?)),
        dw::DW_FORM_strp_sup | dw::DW_FORM_GNU_strp_alt => {
            Value::Text(Text::Supplementary(cursor.sized(offset)?))
        }
        dw::DW_FORM_strx | dw::DW_FORM_GNU_str_index => Value::Text(Text::Index(cursor.uleb()?)),
        dw::DW_FORM_strx1 | dw::DW_FORM_strx2 | dw::DW_FORM_strx3 | dw::DW_FORM_strx4 => {
            Value::Text(Text::Index(cursor.sized(size)?))
        }
        dw::DW_FORM_ref1 | dw::DW_FORM_ref2 | dw::DW_FORM_ref4 | dw::DW_FORM_ref8 => {
            Value::Link(Link::Unit(cursor.sized(size)?))
        }
        dw::DW_FORM_ref_udata => Value::Link(Link::Unit(cursor.uleb()?)),
        dw::DW_FORM_ref_addr => Value::Link(Link::Section(cursor.sized(size)?)),
        dw::DW_FORM_ref_sup4 | dw::DW_FORM_ref_sup8 | dw::DW_FORM_GNU_ref_alt => {
            Value::Link(Link::Supplementary(cursor.sized(size)?))
        }
        dw::DW_FORM_ref_sig8 => Value::Link(Link::Signature(cursor.u64()?)),
        dw::DW_FORM_block1 => block(cursor, 1)?,
        dw::DW_FORM_block2 => block(cursor, 2)?,
        dw::DW_FORM_block4 => block(cursor, 4)?,
        dw::DW_FORM_block | dw::DW_FORM_exprloc => {
            let len = cursor.uleb()?;
            Value::Block(cursor.take(len)?)
        }
        // The form is written before the value. It cannot be this one again, which would nest without end.
        dw::DW_FORM_indirect => {
            let form = u16::try_from(cursor.uleb()?).ok()?;
            if form == dw::DW_FORM_indirect.0 || form == dw::DW_FORM_implicit_const.0 {
                return None;
            }
            return read(cursor, form, 0, encoding);
        }
        dw::DW_FORM_addrx
        | dw::DW_FORM_GNU_addr_index
        | dw::DW_FORM_loclistx
        | dw::DW_FORM_rnglistx => {
            cursor.uleb()?;
            Value::Other
        }
        _ => {
            let size = fixed_size(form, encoding)?;
            cursor.take(size.into())?;
            Value::Other
        }
    })
}

/// Bytes behind their number.
fn block<'a>(cursor: &mut Cursor<'a>, bytes: u8) -> Option<Value<'a>> {
    let len = cursor.sized(bytes)?;
    cursor.take(len).map(Value::Block)
}
