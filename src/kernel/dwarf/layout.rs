//! Layouts: whether definitions in different units are the same.
//!
//! In: a type. Out: a number that is equal for types that are equal, with everything that they hold by value: names, sizes, places and widths of members, encodings, enumerators. What a pointer points to does not count.
//! A definition that a thousand units have is so read in full for each unit, but made into types only once.

use super::DwarfError;
use super::die::Die;
use super::form::{Text, Value};
use super::scan::Key;
use super::unit::{Open, Place, Session};
use gimli::constants as dw;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Types are nested by value no deeper than this; what is nested deeper contains itself.
pub(super) const MAX_DEPTH: usize = 256;

/// Numbers of layouts.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// None while it is computed.
    known: FxHashMap<Place, Option<u64>>,
}

/// Adds a number to a hash. Product and fold as in wyhash: each bit of either changes half of all bits.
fn mix(hash: u64, value: u64) -> u64 {
    let product =
        u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xd1b5_4a32_d192_ed03);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
    let [low, high] = [product as u64, (product >> 64) as u64];
    low ^ high ^ value.rotate_left(23)
}

fn mix_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    hash = mix(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = mix(hash, word);
    }
    hash
}

/// Adds a name. In a linked file equal strings are at one offset, so the offset will do; of names that are written in two ways, two types are made, and found to be equal later.
fn mix_name<'a>(hash: u64, open: &Open<'a>, die: &Die<'a>) -> Result<u64, DwarfError> {
    match die.name {
        None => Ok(mix(hash, u64::MAX)),
        Some(Text::Strings(offset)) if open.sections.linked => Ok(mix(hash, offset)),
        Some(_) => Ok(mix_bytes(hash, open.name(die)?)),
    }
}

/// Adds a number that may not be there.
fn mix_option(hash: u64, value: Option<u64>) -> u64 {
    value.map_or_else(|| mix(hash, u64::MAX - 1), |value| mix(hash, value))
}

/// What a definition is told apart by.
pub(super) fn key(
    session: &mut Session<'_, '_>,
    layouts: &mut Layouts,
    place: Place,
    die: &Die<'_>,
    name: u32,
) -> Result<Key, DwarfError> {
    let layout = if distinct(session, place, die)? {
        u64::from(place.unit) << 32 | u64::from(place.die)
    } else {
        layouts.of(session, place, 0)?
    };
    Ok(Key { name, tag: die.tag, layout })
}

/// Whether a definition cannot be told from another by its layout: a function, and what stands for a pointer or a function, since layouts leave out what is behind them.
fn distinct(
    session: &mut Session<'_, '_>,
    mut place: Place,
    die: &Die<'_>,
) -> Result<bool, DwarfError> {
    let (mut tag, mut link) = (die.tag, die.ty);
    for _ in 0..MAX_DEPTH {
        match dw::DwTag(tag) {
            dw::DW_TAG_subprogram | dw::DW_TAG_subroutine_type | dw::DW_TAG_pointer_type => {
                return Ok(true);
            }
            dw::DW_TAG_typedef
            | dw::DW_TAG_const_type
            | dw::DW_TAG_volatile_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_array_type => {}
            _ => return Ok(false),
        }
        let Some(to) = link else { return Ok(false) };
        place = session.follow(place, to)?;
        let (_, die) = session.entry(place)?;
        (tag, link) = (die.tag, die.ty);
    }
    Ok(false)
}

impl Layouts {
    /// Forgets what is known of the types of units.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The number of a type's layout.
    pub(super) fn of(
        &mut self,
        session: &mut Session<'_, '_>,
        place: Place,
        depth: usize,
    ) -> Result<u64, DwarfError> {
        match self.known.get(&place) {
            Some(Some(hash)) => return Ok(*hash),
            None if depth < MAX_DEPTH => {}
            _ => {
                let open = session.open(place.unit)?;
                return Err(open.broken(place.die as usize, "it contains itself"));
            }
        }
        self.known.insert(place, None);
        let (open, die) = session.entry(place)?;
        let hash = self.compute(session, place.unit, &open, &die, depth)?;
        self.known.insert(place, Some(hash));
        Ok(hash)
    }

    /// The layout of what an entry's `DW_AT_type` says; nothing is `void`.
    fn target(
        &mut self,
        session: &mut Session<'_, '_>,
        from: Place,
        die: &Die<'_>,
        depth: usize,
    ) -> Result<u64, DwarfError> {
        let Some(link) = die.ty else { return Ok(0) };
        let place = session.follow(from, link)?;
        self.of(session, place, depth + 1)
    }

    fn compute<'a>(
        &mut self,
        session: &mut Session<'_, 'a>,
        unit: u32,
        open: &Rc<Open<'a>>,
        die: &Die<'a>,
        depth: usize,
    ) -> Result<u64, DwarfError> {
        let place = Place { unit, die: u32::try_from(die.at).unwrap_or(u32::MAX) };
        if let Some(link) = die.signature {
            let definition = session.follow(place, link)?;
            return self.of(session, definition, depth + 1);
        }
        let mut hash = mix(0, die.tag.into());
        match dw::DwTag(die.tag) {
            dw::DW_TAG_pointer_type
            | dw::DW_TAG_reference_type
            | dw::DW_TAG_rvalue_reference_type
            | dw::DW_TAG_ptr_to_member_type
            | dw::DW_TAG_subroutine_type
            | dw::DW_TAG_unspecified_type => Ok(hash),
            dw::DW_TAG_structure_type | dw::DW_TAG_class_type | dw::DW_TAG_union_type => {
                hash = mix_name(hash, open, die)?;
                hash = mix(mix_option(hash, die.byte_size), die.declaration.into());
                die.children(open, |member| {
                    if member.tag != dw::DW_TAG_member.0 {
                        return Ok(());
                    }
                    hash = mix_name(hash, open, member)?;
                    hash = mix(hash, member.offset(open)?);
                    if member.bit_size.is_some() {
                        hash = mix_option(hash, member.bit_size);
                        hash = mix_option(hash, member.data_bit_offset);
                        hash = mix_option(hash, member.bit_offset.map(i64::cast_unsigned));
                        hash = mix_option(hash, member.byte_size);
                    }
                    hash = mix(hash, self.target(session, place, member, depth)?);
                    Ok(())
                })?;
                Ok(hash)
            }
            dw::DW_TAG_enumeration_type => {
                hash = mix_name(hash, open, die)?;
                hash = mix_option(hash, die.byte_size);
                hash = mix_option(hash, die.encoding);
                die.children(open, |value| {
                    hash = mix_name(hash, open, value)?;
                    let number = match value.constant {
                        Some(Value::Signed(number)) => Some(number.cast_unsigned()),
                        other => other.and_then(Value::unsigned),
                    };
                    hash = mix_option(hash, number);
                    Ok(())
                })?;
                Ok(mix(hash, self.target(session, place, die, depth)?))
            }
            dw::DW_TAG_array_type => {
                die.children(open, |dimension| {
                    hash = mix_option(hash, super::make::length(dimension));
                    Ok(())
                })?;
                Ok(mix(hash, self.target(session, place, die, depth)?))
            }
            _ => {
                hash = mix_name(hash, open, die)?;
                hash = mix_option(hash, die.byte_size);
                hash = mix_option(hash, die.encoding);
                Ok(mix(hash, self.target(session, place, die, depth)?))
            }
        }
    }
}
