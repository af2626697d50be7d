//! The units of all files, and the ways from an entry to another.
//!
//! In: sections. Out: every unit by number, in the order of the files; places of entries ([`Place`]); names. A unit's abbreviations are read when it is opened, and forgotten with the [`Session`].

use super::DwarfError;
use super::abbrev::Abbreviations;
use super::die::Die;
use super::elf::Sections;
use super::form::{Cursor, Encoding, Link, Text};
use gimli::{DebugInfo, DebugTypes, EndianSlice, RunTimeEndian, UnitHeader, UnitType};
use rustc_hash::FxHashMap;
use std::ops::Range;
use std::rc::Rc;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// An entry: its unit, and its offset in it. Their order is that of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub unit: u32,
    pub die: u32,
}

/// The header of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// The number of its file.
    pub file: u32,
    /// Whether it is in `.debug_types`.
    in_types: bool,
    /// Where it begins in its section.
    pub start: usize,
    /// One past its end.
    end: usize,
    /// Where its first entry is, from its start.
    pub root: u32,
    pub encoding: Encoding,
    abbreviations: u64,
    /// Where its part of `.debug_str_offsets` begins, unless its first entry says otherwise.
    string_offsets: u64,
    /// The signature of its type, and the type's offset.
    signature: Option<(u64, u32)>,
    /// What its skeleton must have, too.
    pub split_id: Option<u64>,
    /// Whether it only stands for a unit in another file.
    pub skeleton: bool,
}

/// What a file has.
#[derive(Debug)]
pub(super) struct FileOf<'a> {
    pub sections: &'a Sections<'a>,
    /// Its units of `.debug_info`, by number.
    info: Range<u32>,
    /// The number of its supplementary file.
    supplementary: Option<u32>,
}

/// All files.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub files: Vec<FileOf<'a>>,
    pub units: Vec<Unit>,
    signatures: FxHashMap<u64, u32>,
}

impl<'a> World<'a> {
    /// Finds the units of `sections`; the last of them is the supplementary file of the others, if `supplementary`. `read` is told which bytes have been read.
    pub(super) fn new(
        sections: &'a [Sections<'a>],
        supplementary: bool,
        read: &dyn Fn(&[u8]),
    ) -> Result<World<'a>, DwarfError> {
        let last = sections.len().saturating_sub(1);
        let mut world =
            World { files: Vec::new(), units: Vec::new(), signatures: FxHashMap::default() };
        for (file, sections) in sections.iter().enumerate() {
            let number = number(file)?;
            let first = self::number(world.units.len())?;
            if sections.unit_index.is_empty() {
                world.units.extend(units(number, sections, read)?);
            } else {
                world.units.extend(super::split::packaged(number, sections)?);
            }
            let all = first..self::number(world.units.len())?;
            let in_info = world.units.iter().skip(first as usize).filter(|unit| !unit.in_types);
            let info = first..first + self::number(in_info.count())?;
            let other = supplementary && file != last;
            let supplementary = if other { Some(self::number(last)?) } else { None };
            world.files.push(FileOf { sections, info, supplementary });
            for index in all {
                let signature = world.units.get(index as usize).and_then(|unit| unit.signature);
                if let Some((signature, _)) = signature {
                    world.signatures.entry(signature).or_insert(index);
                }
            }
        }
        Ok(world)
    }

    /// A unit's bytes.
    pub(super) fn bytes(&self, unit: &Unit) -> &'a [u8] {
        let sections = self.files.get(unit.file as usize).map(|file| file.sections);
        let section =
            sections.map_or(
                &[][..],
                |sections| {
                    if unit.in_types { &sections.types } else { &sections.info }
                },
            );
        section.get(unit.start..unit.end).unwrap_or_default()
    }

    /// The entry that another one refers to; none if that is not there.
    fn follow(&self, from: Place, link: Link) -> Option<Place> {
        let unit = self.units.get(from.unit as usize)?;
        let file = self.files.get(unit.file as usize)?;
        match link {
            Link::Unit(die) => Some(Place { unit: from.unit, die: u32::try_from(die).ok()? }),
            Link::Section(offset) => self.at(file, offset),
            Link::Supplementary(offset) => {
                self.at(self.files.get(file.supplementary? as usize)?, offset)
            }
            Link::Signature(signature) => {
                let unit = *self.signatures.get(&signature)?;
                let (_, die) = self.units.get(unit as usize)?.signature?;
                Some(Place { unit, die })
            }
        }
    }

    /// The entry at an offset of `.debug_info`.
    fn at(&self, file: &FileOf<'_>, offset: u64) -> Option<Place> {
        let offset = usize::try_from(offset).ok()?;
        let units = self.units.get(file.info.start as usize..file.info.end as usize)?;
        let next = units.partition_point(|unit| unit.start <= offset);
        let index = next.checked_sub(1)?;
        let unit = units.get(index)?;
        let die = u32::try_from(offset - unit.start).ok()?;
        Some(Place { unit: file.info.start + u32::try_from(index).ok()?, die })
    }
}

/// A number of files or units; there are never so many that it does not fit.
fn number(count: usize) -> Result<u32, DwarfError> {
    u32::try_from(count).map_err(|_| DwarfError::Unit(gimli::Error::UnsupportedOffset))
}

/// Headers lie far apart, and each brings the pages around it with it: after so many bytes these are given back.
const GIVE_BACK: usize = 4 << 20;

/// The units of a file, those of `.debug_info` first.
fn units(
    file: u32,
    sections: &Sections<'_>,
    read: &dyn Fn(&[u8]),
) -> Result<Vec<Unit>, DwarfError> {
    let mut units = Vec::new();
    let mut given_back = 0;
    let mut headers = DebugInfo::new(&sections.info, sections.endian).units();
    while let Some(header) = headers.next().map_err(DwarfError::Unit)? {
        let unit = Unit::of(file, sections, &header)?;
        if unit.end > given_back + GIVE_BACK {
            read(sections.info.get(given_back..unit.start).unwrap_or_default());
            given_back = unit.start;
        }
        units.push(unit);
    }
    let mut headers = DebugTypes::new(&sections.types, sections.endian).units();
    while let Some(header) = headers.next().map_err(DwarfError::Unit)? {
        units.push(Unit::of(file, sections, &header)?);
    }
    Ok(units)
}

impl Unit {
    pub(super) fn of(
        file: u32,
        sections: &Sections<'_>,
        header: &UnitHeader<Slice<'_>>,
    ) -> Result<Unit, DwarfError> {
        let too_large = |_| DwarfError::Unit(gimli::Error::UnsupportedOffset);
        let start = header.offset().0;
        let len = header.length_including_self();
        u32::try_from(len).map_err(too_large)?;
        let root = u32::try_from(header.root_offset().0).map_err(too_large)?;
        let (mut signature, mut split_id, mut skeleton) = (None, None, false);
        match header.type_() {
            UnitType::Type { type_signature, type_offset }
            | UnitType::SplitType { type_signature, type_offset } => {
                let offset = u32::try_from(type_offset.0).map_err(too_large)?;
                signature = Some((type_signature.0, offset));
            }
            UnitType::Skeleton(id) => (split_id, skeleton) = (Some(id.0), true),
            UnitType::SplitCompilation(id) => split_id = Some(id.0),
            UnitType::Compilation | UnitType::Partial => {}
        }
        let in_types = header.section() == gimli::SectionId::DebugTypes;
        let offset = header.format().word_size();
        // In a split file without an index a part of `.debug_str_offsets` begins behind its header (DWARF 5, section 7.26).
        let string_offsets = match (header.version(), offset) {
            (..5, _) => 0,
            (_, 4) => 8,
            (_, _) => 16,
        };
        let encoding = Encoding {
            big: sections.endian == RunTimeEndian::Big,
            version: header.version(),
            address: header.address_size(),
            offset,
        };
        let abbreviations = header.debug_abbrev_offset().0 as u64;
        let end = start + len;
        Ok(Unit {
            file,
            in_types,
            start,
            end,
            root,
            encoding,
            abbreviations,
            string_offsets,
            signature,
            split_id,
            skeleton,
        })
    }

    /// The unit, if its section had so many bytes more before it.
    pub(super) fn moved(mut self, bytes: usize) -> Unit {
        self.start += bytes;
        self.end += bytes;
        self
    }

    /// What units of a file are sorted by: its section, and where it begins.
    pub(super) fn order(&self) -> (bool, usize) {
        (self.in_types, self.start)
    }

    /// Whether it begins where another one has not ended.
    pub(super) fn is_within(&self, other: &Unit) -> bool {
        self.in_types == other.in_types && self.start < other.end
    }

    /// Where its abbreviations are in `.debug_abbrev`.
    pub(super) fn abbreviations(&self) -> u64 {
        self.abbreviations
    }

    /// Moves what it has in other sections to where its part of them begins: units of a package count from there.
    pub(super) fn based_at(mut self, abbreviations: u64, string_offsets: u64) -> Unit {
        self.abbreviations = self.abbreviations.saturating_add(abbreviations);
        self.string_offsets = self.string_offsets.saturating_add(string_offsets);
        self
    }
}

/// A unit that is read.
#[derive(Debug)]
pub(super) struct Open<'a> {
    pub unit: Unit,
    pub bytes: &'a [u8],
    pub abbreviations: Rc<Abbreviations>,
    pub sections: &'a Sections<'a>,
    /// The number of its supplementary file.
    pub supplementary_file: Option<u32>,
    supplementary: Option<&'a Sections<'a>>,
    string_offsets: u64,
    /// `DW_AT_language`
    pub language: u64,
}

impl<'a> Open<'a> {
    /// What is wrong with an entry of it.
    pub(super) fn broken(&self, at: usize, what: &'static str) -> DwarfError {
        DwarfError::Entry { unit: self.unit.start as u64, at: at as u64, what }
    }

    /// Accounts for entries that have been read.
    pub(super) fn spend(&self, at: usize, entries: usize) -> Result<(), DwarfError> {
        let spent = self.sections.effort.spend(entries);
        spent.ok_or_else(|| self.broken(at, "too much of it is read again and again"))
    }

    pub(super) fn cursor(&self, at: usize) -> Cursor<'a> {
        Cursor { data: self.bytes, at, big: self.unit.encoding.big }
    }

    /// The entry at an offset; none where a list of entries ends.
    pub(super) fn die(&self, at: usize) -> Result<Option<Die<'a>>, DwarfError> {
        let mut die = Die::default();
        Ok(self.fill(at, &mut die)?.then_some(die))
    }

    /// Reads the entry at an offset into the place of another one; whether there is one.
    #[inline]
    pub(super) fn fill(&self, at: usize, die: &mut Die<'a>) -> Result<bool, DwarfError> {
        let mut cursor = self.cursor(at);
        let short = || self.broken(at, "it is cut short, or has an unknown form");
        let code = cursor.uleb().ok_or_else(short)?;
        if code == 0 {
            return Ok(false);
        }
        let abbreviation = self.abbreviations.get(code);
        let abbreviation = abbreviation.ok_or_else(|| self.broken(at, "it has no abbreviation"))?;
        let attributes = self.abbreviations.attributes(abbreviation);
        die.fill(&mut cursor, at, abbreviation, attributes, self.unit.encoding)
            .ok_or_else(short)?;
        Ok(true)
    }

    /// Where the offset of a string in `.debug_str` is, if it is there.
    pub(super) fn indexed(&self, index: u64) -> Option<u64> {
        let size = self.unit.encoding.offset;
        let at = index.checked_mul(size.into())?.checked_add(self.string_offsets)?;
        let data = &self.sections.string_offsets;
        let at = usize::try_from(at).ok()?;
        Cursor { data, at, big: self.unit.encoding.big }.sized(size)
    }

    /// A string.
    pub(super) fn text(&self, text: Text<'a>) -> Option<&'a [u8]> {
        let (table, offset) = match text {
            Text::Inline(text) => return Some(text),
            Text::Strings(offset) => (&self.sections.strings, offset),
            Text::LineStrings(offset) => (&self.sections.line_strings, offset),
            Text::Index(index) => (&self.sections.strings, self.indexed(index)?),
            Text::Supplementary(offset) => (&self.supplementary?.strings, offset),
        };
        let table = table.get(usize::try_from(offset).ok()?..)?;
        let table = table.get(..=MAX_NAME).unwrap_or(table);
        Cursor { data: table, at: 0, big: false }.string()
    }

    /// The name of an entry; empty if it has none.
    pub(super) fn name(&self, die: &Die<'a>) -> Result<&'a [u8], DwarfError> {
        let Some(name) = die.name else { return Ok(b"") };
        let name = self.text(name).filter(|name| name.len() <= MAX_NAME);
        name.ok_or_else(|| self.broken(die.at, "its name is not there, or too long"))
    }
}

/// Units that are open, for one thread.
#[derive(Debug)]
pub(super) struct Session<'w, 'a> {
    pub world: &'w World<'a>,
    open: FxHashMap<u32, Rc<Open<'a>>>,
    /// By file, offset and encoding: type units share them.
    abbreviations: FxHashMap<(u32, u64, u8, u8), Rc<Abbreviations>>,
    /// How many abbreviations and attributes are in them.
    kept: usize,
}

/// No name of a type is longer: very many could be those of one long string. BTF has names of up to 511 bytes.
const MAX_NAME: usize = 1023;

/// So many units are kept open at most.
const MAX_OPEN: usize = 64;
/// Longer entries are counted when they are referred to.
const LONG_ENTRY: usize = 256;
/// So many abbreviations and attributes are kept at most: those of a few dozen units.
const MAX_KEPT: usize = 1 << 16;

impl<'w, 'a> Session<'w, 'a> {
    pub(super) fn new(world: &'w World<'a>) -> Session<'w, 'a> {
        Session { world, open: FxHashMap::default(), abbreviations: FxHashMap::default(), kept: 0 }
    }

    /// A unit, open.
    pub(super) fn open(&mut self, number: u32) -> Result<Rc<Open<'a>>, DwarfError> {
        if let Some(open) = self.open.get(&number) {
            return Ok(Rc::clone(open));
        }
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        let opened = Rc::new(self.read(number)?);
        self.open.insert(number, Rc::clone(&opened));
        Ok(opened)
    }

    fn read(&mut self, number: u32) -> Result<Open<'a>, DwarfError> {
        let unit = self.world.units.get(number as usize);
        let file = unit.and_then(|unit| self.world.files.get(unit.file as usize));
        let (Some(unit), Some(file)) = (unit, file) else {
            return Err(DwarfError::Unit(gimli::Error::OffsetOutOfBounds(0)));
        };
        let Unit { encoding, abbreviations: start, .. } = *unit;
        let key =
            (unit.file, start, encoding.address, encoding.offset | u8::from(encoding.version <= 2));
        let abbreviations = if let Some(abbreviations) = self.abbreviations.get(&key) {
            Rc::clone(abbreviations)
        } else {
            let read = Abbreviations::parse(&file.sections.abbrev, start, encoding);
            let read = read.filter(|read| file.sections.effort.spend(read.weight()).is_some());
            let broken = DwarfError::Entry {
                unit: unit.start as u64,
                at: 0,
                what: "its abbreviations cannot be read",
            };
            let read = Rc::new(read.ok_or(broken)?);
            self.kept += read.weight();
            if self.kept > MAX_KEPT {
                self.kept = read.weight();
                self.abbreviations.clear();
            }
            self.abbreviations.insert(key, Rc::clone(&read));
            read
        };
        let other = file.supplementary.and_then(|file| self.world.files.get(file as usize));
        let mut open = Open {
            unit: *unit,
            bytes: self.world.bytes(unit),
            abbreviations,
            sections: file.sections,
            supplementary_file: file.supplementary,
            supplementary: other.map(|file| file.sections),
            string_offsets: unit.string_offsets,
            language: 0,
        };
        if let Some(root) = open.die(unit.root as usize)? {
            open.string_offsets = root.string_offsets.unwrap_or(unit.string_offsets);
            open.language = root.language.unwrap_or(0);
        }
        Ok(open)
    }

    /// The entry at a place.
    pub(super) fn entry(&mut self, place: Place) -> Result<(Rc<Open<'a>>, Die<'a>), DwarfError> {
        let open = self.open(place.unit)?;
        let at = place.die as usize;
        let die = open.die(at)?.ok_or_else(|| open.broken(at, "it is no type"))?;
        // Any number of references may lead into one long entry.
        if die.end.saturating_sub(at) > LONG_ENTRY {
            open.spend(at, (die.end - at) / 16)?;
        }
        Ok((open, die))
    }

    /// The entry that another one refers to.
    pub(super) fn follow(&self, from: Place, link: Link) -> Result<Place, DwarfError> {
        let unit = self.world.units.get(from.unit as usize);
        self.world.follow(from, link).ok_or(DwarfError::Entry {
            unit: unit.map_or(0, |unit| unit.start as u64),
            at: from.die.into(),
            what: "it refers to an entry that is not there",
        })
    }
}
