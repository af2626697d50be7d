//! Debug information that is spread over several files: split units (`.dwo`, or all of them in a `.dwp`), and the supplementary file.
//!
//! In: a file's sections, and where its companions are. Out: their bytes, and the units of a package. Every split unit that is referred to must be there, since a definition could be in it.

use super::abbrev::MAX_ATTRIBUTES;
use super::elf::Sections;
use super::form::Cursor;
use super::unit::{Session, Unit, World};
use super::{Bytes, Companions, DwarfError};
use gimli::{DebugCuIndex, DebugInfo, DebugInfoOffset, DebugTuIndex, DebugTypes, IndexSectionId};
use gimli::{EndianSlice, RunTimeEndian, UnitIndex, constants as dw};
use std::collections::{BTreeMap, BTreeSet};

/// The other files.
#[derive(Default)]
pub(super) struct Others {
    /// Those with split units.
    pub split: Vec<Bytes>,
    pub supplementary: Option<Bytes>,
    /// The ids that split units must have, by the names of their files.
    ids: BTreeMap<u64, String>,
}

impl std::fmt::Debug for Others {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Others").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// Gets the files that a file refers to.
pub(super) fn fetch<'a>(
    main: &'a Sections<'a>,
    file: &[u8],
    companions: &dyn Companions,
    read: &dyn Fn(&[u8]),
) -> Result<Others, DwarfError> {
    let mut others = Others::default();
    if let Some((name, id)) = &main.supplementary {
        let name = String::from_utf8_lossy(name).into_owned();
        let found = companions.supplementary(&name, id);
        others.supplementary = Some(found.ok_or(DwarfError::Companion(name))?);
    }
    let alone = std::slice::from_ref(main);
    let world = World::new(alone, false, read)?;
    let mut session = Session::new(&world);
    let mut files = BTreeSet::new();
    for (number, unit) in (0_u32..).zip(&world.units) {
        if !stands_for_another(main, unit) {
            continue;
        }
        let open = session.open(number)?;
        let Some(root) = open.die(open.unit.root as usize)? else { continue };
        let Some(name) = root.split_name else { continue };
        let text = |text| {
            let text = open.text(text).map(|text| String::from_utf8_lossy(text).into_owned());
            text.ok_or_else(|| open.broken(root.at, "the name of its split file is not there"))
        };
        let folder = root.folder.map(text).transpose()?.unwrap_or_default();
        let name = text(name)?;
        if let Some(id) = unit.split_id.or(root.split_id) {
            others.ids.insert(id, name.clone());
        }
        files.insert((folder, name));
    }
    if files.is_empty() {
        return Ok(others);
    }
    // Units may also be split within a file (`-gsplit-dwarf=single`).
    if !Sections::read(file, ".dwo")?.info.is_empty() {
        others.split.push(Box::new(file.to_vec()));
    } else if let Some(package) = companions.package() {
        others.split.push(package);
    } else {
        for (folder, name) in files {
            let found = companions.split(&folder, &name);
            others.split.push(found.ok_or(DwarfError::Companion(name))?);
        }
    }
    Ok(others)
}

/// Whether a unit only refers to one in a split file. Before DWARF 5 only an attribute says so, and a look at the first abbreviation is enough to tell that it is not there.
fn stands_for_another(main: &Sections<'_>, unit: &Unit) -> bool {
    if unit.encoding.version >= 5 {
        return unit.skeleton;
    }
    let start = usize::try_from(unit.abbreviations()).unwrap_or(usize::MAX);
    let mut cursor = Cursor { data: &main.abbrev, at: start, big: unit.encoding.big };
    let mut read = || {
        let (_code, _tag, _children) = (cursor.uleb()?, cursor.uleb()?, cursor.u8()?);
        for count in 1.. {
            let (at, form) = (cursor.uleb()?, cursor.uleb()?);
            if count > MAX_ATTRIBUTES {
                return Some(false);
            }
            if at == u64::from(dw::DW_AT_GNU_dwo_name.0) {
                return Some(true);
            }
            if (at, form) == (0, 0) {
                return Some(false);
            }
        }
        None
    };
    read().unwrap_or(false)
}

impl Others {
    /// Whether every unit that was referred to is there.
    pub(super) fn check(&self, world: &World<'_>) -> Result<(), DwarfError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let mut session = Session::new(world);
        let mut there = BTreeSet::new();
        for (number, unit) in (0_u32..).zip(&world.units).filter(|(_, unit)| unit.file > 0) {
            let id = match unit.split_id {
                Some(id) => Some(id),
                None if unit.encoding.version >= 5 => None,
                None => {
                    let open = session.open(number)?;
                    open.die(open.unit.root as usize)?.and_then(|root| root.split_id)
                }
            };
            there.extend(id);
        }
        let lost = self.ids.iter().find(|(id, _)| !there.contains(id));
        lost.map_or(Ok(()), |(_, name)| Err(DwarfError::Stale(name.clone())))
    }
}

/// The units of a package, by its indices; those of `.debug_info` first.
pub(super) fn packaged(file: u32, sections: &Sections<'_>) -> Result<Vec<Unit>, DwarfError> {
    let Sections { endian, .. } = *sections;
    let units =
        DebugCuIndex::new(&sections.unit_index, endian).index().map_err(DwarfError::Unit)?;
    let types =
        DebugTuIndex::new(&sections.type_index, endian).index().map_err(DwarfError::Unit)?;
    let mut all = indexed(file, sections, &units)?;
    all.extend(indexed(file, sections, &types)?);
    all.sort_by_key(Unit::order);
    // Rows of an index could have one unit any number of times.
    let overlap = all.array_windows().position(|[first, next]| next.is_within(first));
    let row = overlap.and_then(|row| u32::try_from(row).ok());
    row.map_or(Ok(all), |row| Err(DwarfError::Unit(gimli::Error::InvalidIndexRow(row))))
}

fn indexed(
    file: u32,
    sections: &Sections<'_>,
    index: &UnitIndex<EndianSlice<'_, RunTimeEndian>>,
) -> Result<Vec<Unit>, DwarfError> {
    let Sections { endian, .. } = *sections;
    let mut all = Vec::new();
    for row in 1..=index.unit_count() {
        let (mut info, mut types, mut abbreviations, mut strings) = (None, None, 0, 0);
        for part in index.sections(row).map_err(DwarfError::Unit)? {
            match part.section {
                IndexSectionId::DebugInfo => info = Some(part.offset as usize),
                IndexSectionId::DebugTypes => types = Some(part.offset as usize),
                IndexSectionId::DebugAbbrev => abbreviations = part.offset.into(),
                IndexSectionId::DebugStrOffsets => strings = part.offset.into(),
                _ => {}
            }
        }
        let header = match (info, types) {
            (Some(offset), _) => {
                let section = DebugInfo::new(&sections.info, endian);
                section.header_from_offset(DebugInfoOffset(offset))
            }
            (None, Some(offset)) => {
                let rest = sections.types.get(offset..).unwrap_or_default();
                let header = DebugTypes::new(rest, endian).units().next();
                let header = header.map_err(DwarfError::Unit)?;
                let Some(header) = header else { continue };
                let unit = Unit::of(file, sections, &header)?.moved(offset);
                all.push(unit.based_at(abbreviations, strings));
                continue;
            }
            (None, None) => continue,
        };
        let unit = Unit::of(file, sections, &header.map_err(DwarfError::Unit)?)?;
        all.push(unit.based_at(abbreviations, strings));
    }
    Ok(all)
}
