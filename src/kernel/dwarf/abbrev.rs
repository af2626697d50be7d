//! Abbreviations: what entries of a unit look like.
//!
//! In: a table of `.debug_abbrev` and how its unit writes offsets. Out: for each code the tag and the attributes, and, where that can be told beforehand, where in an entry its name is and how to pass over it: most entries of a file are passed over, and
//! decoding their attributes would be most of the work.

use super::form::{Cursor, Encoding, fixed_size};
use gimli::constants as dw;
use rustc_hash::FxHashMap;

/// An attribute: `DW_AT_…`, its form, and its value where that is the same in all entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub at: u16,
    pub form: u16,
    pub constant: i64,
}

/// A kind of entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abbreviation {
    pub tag: u16,
    pub children: bool,
    first: u32,
    len: u32,
    pub quick: Option<Quick>,
}

/// How to pass over an entry whose size, or whose way to the next, is at a place known beforehand. Offsets count from the end of the code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quick {
    /// Where the offset of its name in `.debug_str` is, if it is an entry that can be wanted.
    pub name: Option<u16>,
    pub next: Next,
}

/// Where the next entry on the same level is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// So many bytes on.
    Behind(u16),
    /// There is a reference to it (`DW_FORM_ref4`) so many bytes on.
    Sibling(u16),
}

/// No entry has more attributes: those without a value take no room in it.
pub(super) const MAX_ATTRIBUTES: usize = 256;

/// The abbreviations of a unit.
#[derive(Debug, Default)]
pub(super) struct Abbreviations {
    /// By code, from 1.
    dense: Vec<Abbreviation>,
    /// Those whose codes are not in order.
    sparse: FxHashMap<u64, Abbreviation>,
    attributes: Vec<Attribute>,
}

/// Tags of what can be asked for by name.
pub(super) fn can_be_wanted(tag: u16) -> bool {
    matches!(
        dw::DwTag(tag),
        dw::DW_TAG_structure_type
            | dw::DW_TAG_class_type
            | dw::DW_TAG_union_type
            | dw::DW_TAG_enumeration_type
            | dw::DW_TAG_typedef
            | dw::DW_TAG_base_type
            | dw::DW_TAG_subprogram
    )
}

impl Abbreviations {
    /// Reads the table that begins at `start`.
    pub(super) fn parse(section: &[u8], start: u64, encoding: Encoding) -> Option<Abbreviations> {
        let start = usize::try_from(start).ok()?;
        let mut cursor = Cursor { data: section, at: start, big: encoding.big };
        let mut all = Abbreviations::default();
        loop {
            let code = match cursor.uleb() {
                Some(0) | None => return Some(all),
                Some(code) => code,
            };
            let abbreviation = all.read(&mut cursor, encoding)?;
            if code == all.dense.len() as u64 + 1 {
                all.dense.push(abbreviation);
            } else if code <= all.dense.len() as u64
                || all.sparse.insert(code, abbreviation).is_some()
            {
                return None;
            }
        }
    }

    fn read(&mut self, cursor: &mut Cursor<'_>, encoding: Encoding) -> Option<Abbreviation> {
        let tag = u16::try_from(cursor.uleb()?).ok()?;
        let children = cursor.u8()? != 0;
        let first = self.attributes.len();
        loop {
            let at = u16::try_from(cursor.uleb()?).ok()?;
            let form = u16::try_from(cursor.uleb()?).ok()?;
            let own = form == dw::DW_FORM_implicit_const.0;
            let constant = if own { cursor.sleb()? } else { 0 };
            if (at, form) == (0, 0) {
                break;
            }
            if self.attributes.len() - first == MAX_ATTRIBUTES {
                return None;
            }
            self.attributes.push(Attribute { at, form, constant });
        }
        let attributes = self.attributes.get(first..)?;
        let quick = quick(tag, children, attributes, encoding);
        let (first, len) = (u32::try_from(first).ok()?, u32::try_from(attributes.len()).ok()?);
        Some(Abbreviation { tag, children, first, len, quick })
    }

    /// How many abbreviations and attributes there are.
    pub(super) fn weight(&self) -> usize {
        self.dense.len() + self.sparse.len() + self.attributes.len()
    }

    /// The abbreviation of that code.
    #[inline]
    pub(super) fn get(&self, code: u64) -> Option<&Abbreviation> {
        let index = usize::try_from(code.checked_sub(1)?).ok()?;
        self.dense.get(index).or_else(|| self.sparse.get(&code))
    }

    /// The attributes of its entries, in their order.
    #[inline]
    pub(super) fn attributes(&self, of: &Abbreviation) -> &[Attribute] {
        let attributes = self.attributes.get(of.first as usize..).unwrap_or_default();
        attributes.get(..of.len as usize).unwrap_or_default()
    }
}

/// Where to look for the name and for the next entry, if what precedes both has a fixed size.
fn quick(tag: u16, children: bool, attributes: &[Attribute], encoding: Encoding) -> Option<Quick> {
    let wanted = can_be_wanted(tag);
    let (mut at, mut name, mut sibling) = (0_u16, None, None);
    let mut whole = true;
    for attribute in attributes {
        let Some(size) = fixed_size(attribute.form, encoding) else {
            whole = false;
            break;
        };
        match (dw::DwAt(attribute.at), dw::DwForm(attribute.form)) {
            (dw::DW_AT_name, dw::DW_FORM_strp) if encoding.offset == 4 => name = Some(at),
            (dw::DW_AT_name, _) if wanted => return None,
            (dw::DW_AT_sibling, dw::DW_FORM_ref4) => sibling = Some(at),
            _ => {}
        }
        at = at.checked_add(size.into())?;
    }
    let named = attributes.iter().any(|attribute| attribute.at == dw::DW_AT_name.0);
    if wanted && named && name.is_none() {
        return None;
    }
    let next = match sibling {
        Some(sibling) if children => Next::Sibling(sibling),
        _ if whole && !children => Next::Behind(at),
        _ => return None,
    };
    Some(Quick { name: name.filter(|_| wanted), next })
}
