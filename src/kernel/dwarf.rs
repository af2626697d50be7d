//! Types out of DWARF, versions 2 to 5.
//!
//! In: the bytes of an ELF file with debug information, and the names that are wanted. Out: BTF with every definition of those names, everything that they hold by value, and what they
//! point to by kind, name and size. Every unit of the file is looked at, and of each unit the types that are not local to a function; only what is wanted is read in full. Nothing is opened:
//! files that the debug information refers to come from [`Companions`].
//!
//! ```text
//! sections ([elf]) → units ([unit]) → definitions of the wanted names, one for each layout ([scan], [layout]) → types ([make]) → BTF ([graph])
//! ```
//!
//! What is wrong in the file is an error, since a definition that was passed over might be the one that counts.

mod abbrev;
mod die;
mod effort;
mod elf;
mod form;
mod graph;
mod layout;
mod make;
mod names;
mod scan;
mod split;
mod unit;

use super::{Form, KernelError, Source, SourceTypes};
use crate::target::Endian;
use make::{Elsewhere, make};
use names::Wanted;
use scan::{Ask, scan};
use std::borrow::Cow;
use std::fmt::Debug;
use unit::World;

/// The bytes of a file, and what keeps them there.
pub type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Where the other files are that debug information may refer to, and what becomes of memory.
pub trait Companions: Debug + Send + Sync {
    /// The split file (`.dwo`) of that name, which is relative to `folder` unless it is absolute.
    fn split(&self, folder: &str, name: &str) -> Option<Bytes> {
        let _ = (folder, name);
        None
    }

    /// The package (`.dwp`) of all split files.
    fn package(&self) -> Option<Bytes> {
        None
    }

    /// The file with what several files have in common (`.gnu_debugaltlink`), by name and build id.
    fn supplementary(&self, name: &str, build_id: &[u8]) -> Option<Bytes> {
        let _ = (name, build_id);
        None
    }

    /// This part of the file (of the bytes that were given, never of a copy) will hardly be read again: its pages may be given back.
    fn done_with(&self, part: &[u8]) {
        let _ = part;
    }
}

/// No other files.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Companions for Alone {}

/// Why types cannot be had from DWARF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DwarfError {
    /// The ELF file is broken.
    #[error("it is not an ELF file that can be read: {0}")]
    Elf(String),
    /// It has no debug information.
    #[error("it has no debug information (no section .debug_info)")]
    None,
    /// A section cannot be unpacked.
    #[error("the section {0} cannot be unpacked")]
    Compressed(String),
    /// A relocation that is not known here, on which types depend.
    #[error("relocation {kind} of this machine is not known")]
    Relocation {
        /// Its type.
        kind: u32,
    },
    /// A unit's header, or an index of units.
    #[error("the units of the debug information cannot be read: {0}")]
    Unit(gimli::Error),
    /// An entry.
    #[error("the entry at {at:#x} of the unit at {unit:#x} is broken: {what}")]
    Entry {
        /// Where the unit begins in its section.
        unit: u64,
        /// Where the entry is in its unit.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Another file is needed.
    #[error(
        "the file {0} is needed, which holds a part of the debug information, and is not there"
    )]
    Companion(String),
    /// Another file is not the one that is needed.
    #[error("the file {0}, which should hold a part of the debug information, is of another build")]
    Stale(String),
}

/// A file with debug information.
pub struct DebugFile {
    name: String,
    bytes: Bytes,
    companions: Box<dyn Companions>,
}

impl Debug for DebugFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DebugFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DebugFile {
    /// A file, by the name it has in messages.
    pub fn new(
        name: impl Into<String>,
        bytes: Bytes,
        companions: Box<dyn Companions>,
    ) -> DebugFile {
        DebugFile { name: name.into(), bytes, companions }
    }
}

impl Source for DebugFile {
    fn types(&self, names: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let found = types((*self.bytes).as_ref(), &*self.companions, names);
        let Types { btf, pointer_size } = found.map_err(|error| KernelError::NoTypes {
            path: self.name.clone(),
            why: format!("its DWARF cannot be used: {error}"),
        })?;
        Ok(SourceTypes {
            btf: Cow::Owned(btf),
            split: false,
            base: None,
            pointer_size: Some(pointer_size),
        })
    }

    fn form(&self) -> Form {
        Form::Dwarf
    }
}

/// Types that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types {
    /// The bytes of a `.BTF` section, in the byte order of the file.
    pub btf: Vec<u8>,
    /// In bytes.
    pub pointer_size: u32,
}

/// BTF with every definition of every type or function whose essential name is among `names`.
pub fn types(
    file: &[u8],
    companions: &dyn Companions,
    names: &[&str],
) -> Result<Types, DwarfError> {
    let main = elf::Sections::read(file, "")?;
    if main.info.is_empty() && main.types.is_empty() {
        return Err(DwarfError::None);
    }
    let big = main.endian == gimli::RunTimeEndian::Big;
    let pointer_size = main.pointer_size;
    // What was unpacked or relocated is not of the file: it has no other copy.
    let within = |bytes: &[u8]| (bytes.as_ptr() as usize, bytes.as_ptr() as usize + bytes.len());
    let (start, end) = within(file);
    let read = |part: &[u8]| {
        let part_of = within(part);
        if start <= part_of.0 && part_of.1 <= end {
            companions.done_with(part);
        }
    };
    let others = split::fetch(&main, file, companions, &read)?;
    let mut sections = vec![main];
    for bytes in &others.split {
        sections.push(elf::Sections::read((**bytes).as_ref(), ".dwo")?);
    }
    if let Some(bytes) = &others.supplementary {
        sections.push(elf::Sections::read((**bytes).as_ref(), "")?);
    }
    let world = World::new(&sections, others.supplementary.is_some(), &read)?;
    others.check(&world)?;
    let wanted = Wanted::new(names);
    let definitions = scan(&world, &wanted, Ask::Layouts, &read)?;
    let mut made = make(&world, &wanted, &definitions, &Elsewhere::default())?;
    if !made.undefined.is_empty() {
        let names: Vec<&str> = made.undefined.iter().map(String::as_str).collect();
        let declared = Wanted::new(&names);
        let found = scan(&world, &declared, Ask::Any, &read)?;
        let mut elsewhere = Elsewhere::default();
        for (key, place) in found {
            let name = names.get(key.name as usize);
            if let (Some(name), Some(union)) = (name, make::composite(key.tag)) {
                elsewhere.insert(((*name).to_owned(), union), place);
            }
        }
        made = make(&world, &wanted, &definitions, &elsewhere)?;
    }
    let endian = if big { Endian::Big } else { Endian::Little };
    Ok(Types { btf: made.graph.bytes(endian), pointer_size })
}
