//! Entries: what one says about itself.
//!
//! In: an entry's bytes and its abbreviation. Out: the attributes that types are made of, and where its children or the next entry are.

use super::DwarfError;
use super::abbrev::{Abbreviation, Attribute};
use super::form::{Cursor, Encoding, Link, Text, Value, read};
use super::unit::Open;
use gimli::constants as dw;

/// Where a member is in what holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Location {
    /// It is not said, as in unions: at the start.
    #[default]
    Start,
    /// In bytes.
    At(u64),
    /// It is said in a way that is not known here.
    Unknown,
}

/// An entry. What it does not say is `None`, 0 or `false`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Die<'a> {
    pub tag: u16,
    /// Its offset in its unit.
    pub at: usize,
    /// Whether children follow.
    pub children: bool,
    /// One past its attributes.
    pub end: usize,
    /// The next entry on its level, by its own word.
    pub sibling: Option<u64>,
    pub name: Option<Text<'a>>,
    pub ty: Option<Link>,
    pub byte_size: Option<u64>,
    pub bit_size: Option<u64>,
    /// Of a bitfield, in the old encoding: from the most significant bit of its storage unit.
    pub bit_offset: Option<i64>,
    /// Of a bitfield, in the new encoding: from the start of what holds it.
    pub data_bit_offset: Option<u64>,
    pub location: Location,
    /// `DW_ATE_…`
    pub encoding: Option<u64>,
    pub declaration: bool,
    pub external: bool,
    pub count: Option<u64>,
    pub upper: Option<i64>,
    pub lower: Option<i64>,
    pub constant: Option<Value<'a>>,
    /// Of a declaration: the type unit that has the definition.
    pub signature: Option<Link>,
    /// The entry that this one completes.
    pub origin: Option<Link>,
    pub language: Option<u64>,
    pub string_offsets: Option<u64>,
    pub folder: Option<Text<'a>>,
    pub split_name: Option<Text<'a>>,
    pub split_id: Option<u64>,
}

impl<'a> Die<'a> {
    /// Reads the attributes of the entry at `at` in the place of those of another one: entries are too large to be moved about a million times. The cursor is behind the code.
    pub(super) fn fill(
        &mut self,
        cursor: &mut Cursor<'a>,
        at: usize,
        abbreviation: &Abbreviation,
        attributes: &[Attribute],
        encoding: Encoding,
    ) -> Option<()> {
        let Abbreviation { tag, children, .. } = *abbreviation;
        *self = Die { tag, at, children, ..Die::default() };
        for Attribute { at, form, constant } in attributes {
            let value = read(cursor, *form, *constant, encoding)?;
            self.set(dw::DwAt(*at), value, encoding);
        }
        self.end = cursor.at;
        Some(())
    }

    fn set(&mut self, at: dw::DwAt, value: Value<'a>, encoding: Encoding) {
        let text = if let Value::Text(text) = value { Some(text) } else { None };
        let link = if let Value::Link(link) = value { Some(link) } else { None };
        match at {
            dw::DW_AT_sibling => {
                self.sibling = if let Some(Link::Unit(at)) = link { Some(at) } else { None };
            }
            dw::DW_AT_name => self.name = text,
            dw::DW_AT_type => self.ty = link,
            dw::DW_AT_byte_size => self.byte_size = value.unsigned(),
            dw::DW_AT_bit_size => self.bit_size = value.unsigned(),
            dw::DW_AT_bit_offset => self.bit_offset = value.signed(),
            dw::DW_AT_data_bit_offset => self.data_bit_offset = value.unsigned(),
            dw::DW_AT_data_member_location => {
                self.location = location(value, encoding).map_or(Location::Unknown, Location::At);
            }
            dw::DW_AT_encoding => self.encoding = value.unsigned(),
            dw::DW_AT_declaration => self.declaration = value == Value::Flag(true),
            dw::DW_AT_external => self.external = value == Value::Flag(true),
            dw::DW_AT_count => self.count = value.unsigned(),
            dw::DW_AT_upper_bound => self.upper = value.signed(),
            dw::DW_AT_lower_bound => self.lower = value.signed(),
            dw::DW_AT_const_value => self.constant = Some(value),
            dw::DW_AT_signature => self.signature = link,
            dw::DW_AT_abstract_origin | dw::DW_AT_specification => self.origin = link,
            dw::DW_AT_language => self.language = value.unsigned(),
            dw::DW_AT_str_offsets_base => self.string_offsets = value.unsigned(),
            dw::DW_AT_comp_dir => self.folder = text,
            dw::DW_AT_dwo_name | dw::DW_AT_GNU_dwo_name => self.split_name = text,
            dw::DW_AT_GNU_dwo_id => self.split_id = value.unsigned(),
            _ => {}
        }
    }

    /// How many bytes behind the start of what holds it a member is.
    pub(super) fn offset(&self, open: &Open<'a>) -> Result<u64, DwarfError> {
        match self.location {
            Location::Start => Ok(0),
            Location::At(bytes) => Ok(bytes),
            Location::Unknown => {
                Err(open.broken(self.at, "its place is an expression that is not known"))
            }
        }
    }

    /// Where the next entry on its level is.
    pub(super) fn next(&self, open: &Open<'a>) -> Result<usize, DwarfError> {
        if !self.children {
            return Ok(self.end);
        }
        match self.sibling.and_then(|at| usize::try_from(at).ok()) {
            // One that points backwards would have a list without end.
            Some(at) if at >= self.end && at <= open.bytes.len() => Ok(at),
            Some(_) => Err(open.broken(self.at, "the next entry is not behind it")),
            None => past_children(open, self.end),
        }
    }

    /// Its children, each with its place in the unit.
    pub(super) fn children(
        &self,
        open: &Open<'a>,
        mut each: impl FnMut(&Die<'a>) -> Result<(), DwarfError>,
    ) -> Result<(), DwarfError> {
        if !self.children {
            return Ok(());
        }
        let (mut at, mut child, mut count) = (self.end, Die::default(), 0);
        while open.fill(at, &mut child)? {
            each(&child)?;
            at = child.next(open)?;
            count += 1;
        }
        open.spend(self.at, count)
    }
}

/// Longer lists of children are counted when they are passed over.
const LONG: usize = 64;

/// One past the end of the list of children that begins at `at`.
pub(super) fn past_children(open: &Open<'_>, mut at: usize) -> Result<usize, DwarfError> {
    let (mut depth, mut count) = (1_usize, 0);
    let start = at;
    while depth > 0 {
        count += 1;
        match open.die(at)? {
            None => {
                depth -= 1;
                at += 1;
            }
            Some(die) if die.children && die.sibling.is_none() => {
                depth += 1;
                at = die.end;
            }
            Some(die) => at = die.next(open)?,
        }
    }
    // Lists of the usual length are read once for each entry that has them.
    if count > LONG {
        open.spend(start, count)?;
    }
    Ok(at)
}

/// Where a member is: a number, or (DWARF 2 and 3) an expression that adds one to the address of what it is in. None if it is another expression.
fn location(value: Value<'_>, encoding: Encoding) -> Option<u64> {
    let Value::Block(block) = value else { return value.unsigned() };
    let mut cursor = Cursor { data: block, at: 0, big: encoding.big };
    let operation = dw::DwOp(cursor.u8()?);
    let number = match operation {
        dw::DW_OP_plus_uconst | dw::DW_OP_constu => cursor.uleb(),
        dw::DW_OP_const1u => cursor.u8().map(u64::from),
        dw::DW_OP_const2u => cursor.u16().map(u64::from),
        dw::DW_OP_const4u => cursor.u32().map(u64::from),
        _ => None,
    }?;
    // A number that was pushed is still to be added; some compilers leave that out.
    let rest = block.get(cursor.at..)?;
    let added = operation != dw::DW_OP_plus_uconst && *rest == [dw::DW_OP_plus.0];
    (rest.is_empty() || added).then_some(number)
}
