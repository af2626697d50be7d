//! The scan over all units: where the definitions of wanted names are.
//!
//! In: all units. Out: of each wanted name, kind and layout the first definition. Units are read in parallel; of a unit only the entries of the outermost level, and of these the place of the name and the way to the next entry, where the abbreviation tells both.

use super::DwarfError;
use super::abbrev::{Next, Quick, can_be_wanted};
use super::die::Die;
use super::form::{Cursor, Text};
use super::layout::{Layouts, key};
use super::names::{Offsets, Wanted};
use super::unit::{FileOf, Open, Place, Session, World};
use gimli::constants as dw;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::rc::Rc;

/// So many units are read at a time by a thread.
const CHUNK: usize = 16;

/// What definitions are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// The number of the wanted name.
    pub name: u32,
    /// `DW_TAG_…`
    pub tag: u16,
    /// Of its layout; of functions, and of what is a pointer, another for each.
    pub layout: u64,
}

/// Definitions: of each kind the first.
pub(super) type Definitions = BTreeMap<Key, Place>;

/// Where the wanted names are in the tables of a file.
#[derive(Debug)]
struct Tables {
    strings: Offsets,
    line_strings: Offsets,
}

/// Which definitions are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// One of each layout.
    Layouts,
    /// One of each kind.
    Any,
}

/// Scans all units; `read` is told which bytes have been read.
pub(super) fn scan(
    world: &World<'_>,
    wanted: &Wanted<'_>,
    ask: Ask,
    read: &(dyn Fn(&[u8]) + Sync),
) -> Result<Definitions, DwarfError> {
    let tables = |file: &FileOf<'_>| Tables {
        strings: Offsets::find(&file.sections.strings, wanted),
        line_strings: Offsets::find(&file.sections.line_strings, wanted),
    };
    let tables: Vec<Tables> = world.files.par_iter().map(tables).collect();
    let numbers: Vec<u32> = (0_u32..).zip(&world.units).map(|(number, _)| number).collect();
    let found = numbers.par_chunks(CHUNK).map(|numbers| {
        let mut scan = Scan::new(world, wanted, ask, &tables);
        for number in numbers {
            scan.unit(*number)?;
        }
        numbers.iter().filter_map(|number| world.units.get(*number as usize)).for_each(|unit| {
            read(world.bytes(unit));
        });
        Ok(scan.found)
    });
    found.try_reduce(Definitions::default, |mut all, more| {
        for (key, place) in more {
            keep(&mut all, key, place);
        }
        Ok(all)
    })
}

fn keep(all: &mut Definitions, key: Key, place: Place) {
    let first = all.entry(key).or_insert(place);
    *first = place.min(*first);
}

/// The scan of some units.
struct Scan<'s, 'w, 'a> {
    session: Session<'w, 'a>,
    layouts: Layouts,
    wanted: &'s Wanted<'s>,
    ask: Ask,
    tables: &'s [Tables],
    found: Definitions,
}

impl<'s, 'w, 'a> Scan<'s, 'w, 'a> {
    fn new(world: &'w World<'a>, wanted: &'s Wanted<'s>, ask: Ask, tables: &'s [Tables]) -> Self {
        let session = Session::new(world);
        let (layouts, found) = (Layouts::default(), Definitions::default());
        Scan { session, layouts, wanted, ask, tables, found }
    }

    fn unit(&mut self, number: u32) -> Result<(), DwarfError> {
        let open = self.session.open(number)?;
        self.layouts.forget();
        let Some(root) = open.die(open.unit.root as usize)? else { return Ok(()) };
        // The types of Rust's parts of a kernel may have the names of C's, and have layouts of their own.
        if !root.children || open.language == u64::from(dw::DW_LANG_Rust.0) {
            return Ok(());
        }
        let tables = self.tables;
        let tables = tables.get(open.unit.file as usize);
        let strings = tables.map(|tables| &tables.strings);
        let mut at = root.end;
        while at < open.bytes.len() {
            let mut cursor = open.cursor(at);
            let code = cursor.uleb().unwrap_or(0);
            if code == 0 {
                break;
            }
            let abbreviation = open.abbreviations.get(code);
            let abbreviation =
                abbreviation.ok_or_else(|| open.broken(at, "it has no abbreviation"))?;
            if let Some(quick) = abbreviation.quick {
                let (name, next) = pass(cursor, quick, open.bytes.len())
                    .ok_or_else(|| open.broken(at, "the next entry is not behind it"))?;
                let hit = name.zip(strings).and_then(|(name, strings)| strings.get(name.into()));
                if let Some(name) = hit {
                    let die = open.die(at)?;
                    die.map_or(Ok(()), |die| self.hit(number, &open, &die, name))?;
                }
                at = next;
                continue;
            }
            let Some(die) = open.die(at)? else { break };
            if can_be_wanted(die.tag)
                && let Some(name) = self.wanted_name(&open, &die)
            {
                self.hit(number, &open, &die, name)?;
            }
            at = die.next(&open)?;
        }
        Ok(())
    }

    /// The number of the wanted name that an entry has.
    fn wanted_name(&self, open: &Open<'a>, die: &Die<'a>) -> Option<u32> {
        let tables = |file: u32| self.tables.get(file as usize);
        let own = tables(open.unit.file)?;
        match die.name? {
            Text::Inline(name) => self.wanted.of(name),
            Text::Strings(offset) => own.strings.get(offset),
            Text::LineStrings(offset) => own.line_strings.get(offset),
            Text::Index(index) => own.strings.get(open.indexed(index)?),
            Text::Supplementary(offset) => tables(open.supplementary_file?)?.strings.get(offset),
        }
    }

    /// Takes note of an entry of a wanted name.
    fn hit(
        &mut self,
        unit: u32,
        open: &Rc<Open<'a>>,
        die: &Die<'a>,
        name: u32,
    ) -> Result<(), DwarfError> {
        if die.declaration || die.signature.is_some() {
            return Ok(());
        }
        let offset = u32::try_from(die.at).map_err(|_| open.broken(die.at, "it is too far"))?;
        let place = Place { unit, die: offset };
        let key = match self.ask {
            Ask::Layouts => key(&mut self.session, &mut self.layouts, place, die, name)?,
            Ask::Any => Key { name, tag: die.tag, layout: 0 },
        };
        keep(&mut self.found, key, place);
        Ok(())
    }
}

/// Passes over an entry whose attributes begin at the cursor: the offset of its name, if it can be wanted, and where the next one is.
#[inline]
fn pass(cursor: Cursor<'_>, quick: Quick, len: usize) -> Option<(Option<u32>, usize)> {
    let number = |offset: u16| {
        let mut cursor = cursor;
        cursor.at += usize::from(offset);
        cursor.u32()
    };
    let name = match quick.name {
        Some(offset) => Some(number(offset)?),
        None => None,
    };
    let next = match quick.next {
        Next::Behind(bytes) => cursor.at + usize::from(bytes),
        Next::Sibling(offset) => usize::try_from(number(offset)?).ok()?,
    };
    (next >= cursor.at && next <= len).then_some((name, next))
}
