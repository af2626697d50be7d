//! Types out of entries.
//!
//! In: the definitions of the wanted names. Out: their types, with everything that they hold by value. A struct or union that is only pointed to, and is not wanted itself, has its name and size and no members.

use super::DwarfError;
use super::die::Die;
use super::form::{Link, Value};
use super::graph::{Graph, MAX_ITEMS};
use super::layout::{Layouts, MAX_DEPTH, key};
use super::names::Wanted;
use super::scan::{Definitions, Key};
use super::unit::{Open, Place, Session, World};
use crate::btf::{Member, Type, TypeId, VOID, encoding, kind};
use gimli::constants as dw;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Structs and unions (`true`) by name: where one is defined.
pub(super) type Elsewhere = BTreeMap<(String, bool), Place>;

/// What has been made.
pub(super) struct Made {
    pub graph: Graph,
    /// Structs and unions that were declared and that [`Elsewhere`] does not have.
    pub undefined: BTreeSet<String>,
}

/// Makes the types of all definitions.
pub(super) fn make(
    world: &World<'_>,
    wanted: &Wanted<'_>,
    definitions: &Definitions,
    elsewhere: &Elsewhere,
) -> Result<Made, DwarfError> {
    let mut maker = Maker {
        session: Session::new(world),
        layouts: Layouts::default(),
        wanted,
        elsewhere,
        graph: Graph::default(),
        slots: FxHashMap::default(),
        declared: FxHashMap::default(),
        made: FxHashMap::default(),
        by_layout: FxHashMap::default(),
        undefined: BTreeSet::default(),
        compared: false,
    };
    let pointer = world.files.first().map_or(8, |file| file.sections.pointer_size);
    // Loaders that are given types without their ELF file guess the size of a pointer from this one.
    maker.graph.add(int("long unsigned int".into(), pointer, 0));
    let mut order: Vec<(Place, Key)> = definitions.iter().map(|(key, at)| (*at, *key)).collect();
    order.sort_unstable();
    for (_, key) in &order {
        let slot = maker.graph.reserve();
        maker.slots.insert(*key, slot);
        if let Some(union) = composite(key.tag) {
            maker.declared.entry((key.name, union)).or_insert(slot);
        }
    }
    // What is behind pointers is compared in typedefs and prototypes alone: these first, so that they ask for what is declared.
    let (structs, others): (Vec<_>, Vec<_>) =
        order.into_iter().partition(|(_, key)| composite(key.tag).is_some());
    for (compared, list) in [(true, others), (false, structs)] {
        maker.compared = compared;
        for (place, key) in list {
            let (open, die) = maker.session.entry(place)?;
            let ty = maker.build(place, &open, &die, Depth::Full, 0)?;
            if let Some(slot) = maker.slots.get(&key) {
                maker.graph.set(*slot, ty);
            }
        }
    }
    Ok(Made { graph: maker.graph, undefined: maker.undefined })
}

/// How much of a type is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Depth {
    Full,
    /// It is behind a pointer: no members.
    Shallow,
}

struct Maker<'s, 'w, 'a> {
    session: Session<'w, 'a>,
    layouts: Layouts,
    wanted: &'s Wanted<'s>,
    elsewhere: &'s Elsewhere,
    graph: Graph,
    /// The places of wanted types.
    slots: FxHashMap<Key, TypeId>,
    /// What a declaration of a wanted struct or union stands for: the first definition.
    declared: FxHashMap<(u32, bool), TypeId>,
    /// None while it is made.
    made: FxHashMap<(Place, Depth), Option<TypeId>>,
    /// Structs and unions that are held by value: one for all units.
    by_layout: FxHashMap<u64, TypeId>,
    undefined: BTreeSet<String>,
    compared: bool,
}

/// Whether an entry of that tag is a struct (`false`) or a union (`true`).
pub(super) fn composite(tag: u16) -> Option<bool> {
    match dw::DwTag(tag) {
        dw::DW_TAG_structure_type | dw::DW_TAG_class_type => Some(false),
        dw::DW_TAG_union_type => Some(true),
        _ => None,
    }
}

/// How many elements a dimension of an array has; 0 where it is not said, or is known only at run time.
pub(super) fn length(dimension: &Die<'_>) -> Option<u64> {
    if dimension.tag != dw::DW_TAG_subrange_type.0 {
        return None;
    }
    let upper = dimension.upper.map(|upper| {
        let len =
            upper.checked_sub(dimension.lower.unwrap_or(0)).and_then(|len| len.checked_add(1));
        len.and_then(|len| u64::try_from(len).ok()).unwrap_or(0)
    });
    Some(dimension.count.or(upper).unwrap_or(0))
}

fn int(name: SmolStr, bytes: u32, encoding: u8) -> Type {
    let bits = bytes.checked_mul(8).and_then(|bits| u8::try_from(bits).ok()).unwrap_or(u8::MAX);
    Type::Int { name, bytes, bits, bit_offset: 0, encoding }
}

impl<'a> Maker<'_, '_, 'a> {
    /// The type of what an entry refers to; nothing is `void`.
    fn target(
        &mut self,
        from: Place,
        link: Option<Link>,
        depth: Depth,
        level: usize,
    ) -> Result<TypeId, DwarfError> {
        let Some(link) = link else { return Ok(VOID) };
        let place = self.session.follow(from, link)?;
        self.id(place, depth, level + 1)
    }

    /// The id of a type.
    fn id(&mut self, place: Place, depth: Depth, level: usize) -> Result<TypeId, DwarfError> {
        let (open, die) = self.session.entry(place)?;
        if let Some(link) = die.signature {
            return self.target(place, Some(link), depth, level);
        }
        let name = open.name(&die)?;
        if let Some(id) = self.wanted_id(place, &die, name)? {
            return Ok(id);
        }
        match self.made.get(&(place, depth)) {
            Some(Some(id)) => return Ok(*id),
            None if level < MAX_DEPTH => {}
            _ => return Err(open.broken(die.at, "it contains itself")),
        }
        self.made.insert((place, depth), None);
        let held = composite(die.tag).is_some() && depth == Depth::Full;
        let layout = if held { Some(self.layouts.of(&mut self.session, place, 0)?) } else { None };
        let id = match layout.and_then(|layout| self.by_layout.get(&layout)) {
            Some(id) => *id,
            None => match self.build(place, &open, &die, depth, level)? {
                Type::Void => VOID,
                ty => self.graph.add(ty),
            },
        };
        if let Some(layout) = layout {
            self.by_layout.insert(layout, id);
        }
        self.made.insert((place, depth), Some(id));
        Ok(id)
    }

    /// The id of a type that is wanted itself.
    fn wanted_id(
        &mut self,
        place: Place,
        die: &Die<'a>,
        name: &[u8],
    ) -> Result<Option<TypeId>, DwarfError> {
        let Some(name) = self.wanted.of(name) else { return Ok(None) };
        if let (true, Some(union)) = (die.declaration, composite(die.tag)) {
            return Ok(self.declared.get(&(name, union)).copied());
        }
        let key = key(&mut self.session, &mut self.layouts, place, die, name)?;
        Ok(self.slots.get(&key).copied())
    }

    /// A type.
    fn build(
        &mut self,
        place: Place,
        open: &Open<'a>,
        die: &Die<'a>,
        depth: Depth,
        level: usize,
    ) -> Result<Type, DwarfError> {
        let name = SmolStr::from(String::from_utf8_lossy(open.name(die)?));
        let modifier = |kind, ty| Type::Modifier { kind, ty };
        Ok(match dw::DwTag(die.tag) {
            dw::DW_TAG_base_type => base(name, size(open, die)?, die.encoding.unwrap_or(0)),
            dw::DW_TAG_unspecified_type => Type::Void,
            dw::DW_TAG_pointer_type
            | dw::DW_TAG_reference_type
            | dw::DW_TAG_rvalue_reference_type
            | dw::DW_TAG_ptr_to_member_type => {
                Type::Ptr(self.target(place, die.ty, Depth::Shallow, level)?)
            }
            dw::DW_TAG_const_type => {
                modifier(kind::CONST, self.target(place, die.ty, depth, level)?)
            }
            dw::DW_TAG_volatile_type => {
                modifier(kind::VOLATILE, self.target(place, die.ty, depth, level)?)
            }
            dw::DW_TAG_restrict_type => {
                modifier(kind::RESTRICT, self.target(place, die.ty, depth, level)?)
            }
            dw::DW_TAG_typedef => {
                Type::Typedef { name, ty: self.target(place, die.ty, depth, level)? }
            }
            dw::DW_TAG_structure_type | dw::DW_TAG_class_type | dw::DW_TAG_union_type => {
                self.composite(place, open, die, name, depth, level)?
            }
            dw::DW_TAG_enumeration_type => self.enumeration(place, open, die, name)?,
            dw::DW_TAG_array_type => self.array(place, open, die, depth, level)?,
            dw::DW_TAG_subroutine_type => self.prototype(place, open, die, level)?,
            dw::DW_TAG_subprogram => {
                let proto = self.prototype(place, open, die, level)?;
                let proto = self.graph.add(proto);
                Type::Func { name, proto, global: die.external }
            }
            // `_Atomic` and the like change nothing of a layout; BTF has no word for them.
            _ if die.ty.is_some() => {
                return match self.target(place, die.ty, depth, level)? {
                    VOID => Ok(Type::Void),
                    ty => Ok(Type::Modifier { kind: kind::VOLATILE, ty }),
                };
            }
            _ => return Err(open.broken(die.at, "it is no type")),
        })
    }

    fn composite(
        &mut self,
        place: Place,
        open: &Open<'a>,
        die: &Die<'a>,
        name: SmolStr,
        depth: Depth,
        level: usize,
    ) -> Result<Type, DwarfError> {
        let union = composite(die.tag).unwrap_or(false);
        if die.declaration {
            return self.declaration(name, union);
        }
        let size = size(open, die)?;
        let mut members = Vec::new();
        if depth == Depth::Full {
            die.children(open, |member| {
                // A member that is only declared is static: it is not in the struct.
                if member.tag == dw::DW_TAG_member.0 && !member.declaration {
                    members.extend(self.member(place.unit, open, member, level)?);
                }
                Ok(())
            })?;
        }
        // Where some members are bitfields, BTF has 24 bits for an offset: what is beyond cannot be said, and is left out.
        if members.iter().any(|member: &Member| member.bit_width != 0) {
            members.retain(|member| member.bit_offset <= 0x00ff_ffff);
        }
        members.truncate(MAX_ITEMS);
        Ok(Type::Composite { union, name, size, members })
    }

    /// A struct or union that is only declared: the definition is in another unit, or nowhere.
    fn declaration(&mut self, name: SmolStr, union: bool) -> Result<Type, DwarfError> {
        let key = (String::from(name.as_str()), union);
        if let Some(place) = self.elsewhere.get(&key) {
            let (open, die) = self.session.entry(*place)?;
            let size = size(&open, &die)?;
            return Ok(Type::Composite { union, name, size, members: Vec::new() });
        }
        if self.compared {
            self.undefined.insert(key.0);
        }
        Ok(Type::Fwd { union, name })
    }

    /// A member; none if BTF cannot say where it is.
    fn member(
        &mut self,
        unit: u32,
        open: &Open<'a>,
        member: &Die<'a>,
        level: usize,
    ) -> Result<Option<Member>, DwarfError> {
        let far = || open.broken(member.at, "it is too far");
        let place = Place { unit, die: u32::try_from(member.at).map_err(|_| far())? };
        let name = SmolStr::from(String::from_utf8_lossy(open.name(member)?));
        let ty = self.target(place, member.ty, Depth::Full, level)?;
        let bytes = member.offset(open)?;
        let start = i64::try_from(bytes).ok().and_then(|bytes| bytes.checked_mul(8));
        let start = start.ok_or_else(far)?;
        let width = member.bit_size.unwrap_or(0);
        let bits = match (width, member.data_bit_offset, member.bit_offset) {
            (0, None, _) | (_, None, None) => Some(start),
            // Counted from the start, on big endian from the most significant bit: as in BTF.
            (_, Some(offset), _) => {
                i64::try_from(offset).ok().and_then(|offset| start.checked_add(offset))
            }
            // Counted from the most significant bit of a storage unit: on little endian that is its end.
            (_, None, Some(offset)) if open.unit.encoding.big => start.checked_add(offset),
            (width, None, Some(offset)) => {
                let unit = match member.byte_size {
                    Some(size) => size,
                    None => self.storage(place, member)?,
                };
                let unit = i64::try_from(unit).ok().and_then(|unit| unit.checked_mul(8));
                let width = i64::try_from(width).map_err(|_| far())?;
                let end = unit.and_then(|unit| start.checked_add(unit)?.checked_sub(width));
                end.and_then(|end| end.checked_sub(offset))
            }
        };
        let bits = bits.and_then(|bits| u32::try_from(bits).ok());
        let place = bits.zip(u8::try_from(width).ok());
        Ok(place.map(|(bit_offset, bit_width)| Member { name, ty, bit_offset, bit_width }))
    }

    /// The size of the integer that a bitfield is declared as.
    fn storage(&mut self, mut place: Place, member: &Die<'a>) -> Result<u64, DwarfError> {
        let mut link = member.ty;
        for _ in 0..MAX_DEPTH {
            let Some(to) = link else { break };
            place = self.session.follow(place, to)?;
            let (_, die) = self.session.entry(place)?;
            if let Some(size) = die.byte_size {
                return Ok(size);
            }
            link = die.ty;
        }
        let open = self.session.open(place.unit)?;
        Err(open.broken(member.at, "the size of its storage unit is not known"))
    }

    fn enumeration(
        &mut self,
        place: Place,
        open: &Open<'a>,
        die: &Die<'a>,
        name: SmolStr,
    ) -> Result<Type, DwarfError> {
        let (mut own, mut bytes) = (die.encoding, die.byte_size);
        let (mut at, mut link) = (place, die.ty);
        // The type beneath it says what it does not say itself.
        for _ in 0..MAX_DEPTH {
            let Some(to) = link.filter(|_| own.is_none() || bytes.is_none()) else { break };
            at = self.session.follow(at, to)?;
            let (_, beneath) = self.session.entry(at)?;
            (own, bytes) = (own.or(beneath.encoding), bytes.or(beneath.byte_size));
            link = beneath.ty;
        }
        let size = bytes.unwrap_or(4).min(8);
        let mut list = Vec::new();
        die.children(open, |value| {
            if let Some(constant) = value.constant {
                let name = SmolStr::from(String::from_utf8_lossy(open.name(value)?));
                list.push((name, constant));
            }
            Ok(())
        })?;
        let negative = |(_, value): &(SmolStr, Value<'_>)| matches!(value, Value::Signed(..0));
        let signed = match own.map(ate) {
            Some(dw::DW_ATE_signed | dw::DW_ATE_signed_char) => true,
            Some(dw::DW_ATE_unsigned | dw::DW_ATE_unsigned_char | dw::DW_ATE_boolean) => false,
            _ => list.iter().any(negative),
        };
        let unused = 64 - u32::try_from(size).unwrap_or(8).clamp(1, 8) * 8;
        let value = |(name, value): (SmolStr, Value<'_>)| {
            let raw = match value {
                Value::Signed(value) => value.cast_unsigned(),
                other => other.unsigned()?,
            };
            let high = raw << unused;
            let extended = if signed {
                (high.cast_signed() >> unused).cast_unsigned()
            } else {
                high >> unused
            };
            Some((name, extended))
        };
        let values = list.into_iter().filter_map(value).take(MAX_ITEMS).collect();
        let (wide, size) = (size > 4, u32::try_from(size).unwrap_or(8));
        Ok(Type::Enum { name, size, signed, wide, values })
    }

    /// An array of arrays where it has several dimensions.
    fn array(
        &mut self,
        place: Place,
        open: &Open<'a>,
        die: &Die<'a>,
        depth: Depth,
        level: usize,
    ) -> Result<Type, DwarfError> {
        let mut lengths = Vec::new();
        die.children(open, |dimension| {
            lengths.extend(length(dimension));
            Ok(())
        })?;
        let long = |_| open.broken(die.at, "it has too many elements");
        let mut ty = self.target(place, die.ty, depth, level)?;
        let index = self.graph.add(int("__ARRAY_SIZE_TYPE__".into(), 4, 0));
        let outer = lengths.first().copied().unwrap_or(0);
        for length in lengths.iter().skip(1).rev() {
            let len = u32::try_from(*length).map_err(long)?;
            ty = self.graph.add(Type::Array { elem: ty, index, len });
        }
        Ok(Type::Array { elem: ty, index, len: u32::try_from(outer).map_err(long)? })
    }

    fn prototype(
        &mut self,
        place: Place,
        open: &Open<'a>,
        die: &Die<'a>,
        level: usize,
    ) -> Result<Type, DwarfError> {
        let ret = self.target(place, die.ty, Depth::Shallow, level)?;
        let mut params = Vec::new();
        die.children(open, |param| {
            match dw::DwTag(param.tag) {
                dw::DW_TAG_formal_parameter => {
                    let name = SmolStr::from(String::from_utf8_lossy(open.name(param)?));
                    params.push((name, self.target(place, param.ty, Depth::Shallow, level)?));
                }
                dw::DW_TAG_unspecified_parameters => params.push(("".into(), VOID)),
                _ => {}
            }
            Ok(())
        })?;
        params.truncate(MAX_ITEMS);
        Ok(Type::FuncProto { ret, params })
    }
}

/// A size in bytes; 0 where none is said.
fn size(open: &Open<'_>, die: &Die<'_>) -> Result<u32, DwarfError> {
    let bytes = die.byte_size.or(die.bit_size.map(|bits| bits.div_ceil(8))).unwrap_or(0);
    u32::try_from(bytes).map_err(|_| open.broken(die.at, "it is too large"))
}

fn ate(number: u64) -> dw::DwAte {
    dw::DwAte(u8::try_from(number).unwrap_or(0))
}

/// A base type, with the encoding that pahole gives it: characters are integers.
fn base(name: SmolStr, size: u32, number: u64) -> Type {
    match ate(number) {
        dw::DW_ATE_float
        | dw::DW_ATE_complex_float
        | dw::DW_ATE_imaginary_float
        | dw::DW_ATE_decimal_float => Type::Float { name, size },
        dw::DW_ATE_boolean => int(name, size, encoding::BOOL),
        dw::DW_ATE_signed | dw::DW_ATE_signed_char | dw::DW_ATE_signed_fixed => {
            int(name, size, encoding::SIGNED)
        }
        _ => int(name, size, 0),
    }
}
