//! An atlas: for many kernels the types that the library's mirrors and user tracepoints ask about, in one small file.
//!
//! In: the bytes of such a file; one is embedded. Out: [`Kernel`]s that answer as the kernels themselves do. An atlas knows what it was asked when it was made, and nothing else: what it does not [cover](Atlas::covers) is not
//! absent from its kernels but unknown. What it covers is decided as by all of a kernel's types, since it holds the minimal types of the objects that it was made for (see [`relocate::minimal`](crate::relocate::minimal)).
//!
//! `docs/atlas.md` describes the file.

mod blocks;
mod build;
mod entry;
mod find;
mod leaves;
mod numbers;
mod questions;
mod types;

pub use build::{BuildError, Given, build};
pub use entry::Entry;
pub use find::NotFound;

use crate::kernel::{Form, Kernel, KernelError, Source, SourceTypes};
use crate::object::read::Object;
use crate::object::ubpf::EventKind;
use crate::relocate::{Asked, RelocateError};
use blocks::Block;
use questions::Questions;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use types::Types;

/// The atlas that is embedded: made by `ubpfc atlas build`, see `testdata/kernels/README.md`.
const EMBEDDED: &[u8] = include_bytes!("../uapi/kernels.atlas");

/// An atlas.
#[derive(Debug)]
pub struct Atlas<'a> {
    entries: Vec<Entry>,
    /// The types of each kernel.
    types: Vec<Block<'a>>,
    /// What they were packed behind.
    pattern: Vec<u8>,
    /// The names of all types, as a `.BTF` section has them.
    strings: Arc<[u8]>,
    asked: Vec<String>,
    questions: OnceLock<Questions>,
}

/// Why a file is no atlas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtlasError {
    /// It is something else.
    #[error("it is not an atlas of kernels, which `ubpfc atlas build` makes")]
    NotAtlas,
    /// It is of another version.
    #[error("it is an atlas of version {0}, and this program reads version {version}; make it anew with `ubpfc atlas build`", version = blocks::VERSION)]
    Version(u32),
    /// It is broken.
    #[error("the atlas is broken: {0}")]
    Broken(&'static str),
}

impl<'a> Atlas<'a> {
    /// Reads an atlas. The types of its kernels are not looked at before they are asked for.
    pub fn parse(file: &'a [u8]) -> Result<Atlas<'a>, AtlasError> {
        let blocks = blocks::read(file)?;
        let [index, strings, pattern, types @ ..] = &blocks[..] else {
            return Err(AtlasError::Broken("it has no index"));
        };
        let index = index.unpack(&[])?;
        let broken = AtlasError::Broken("its index cannot be read");
        let (asked, entries) = read_index(&index).ok_or(broken)?;
        if entries.len() != types.len() {
            return Err(AtlasError::Broken("it has types for another number of kernels"));
        }
        let (strings, pattern) = (strings.unpack(&[])?.into(), pattern.unpack(&[])?);
        let (types, questions) = (types.to_vec(), OnceLock::new());
        Ok(Atlas { entries, types, pattern, strings, asked, questions })
    }

    /// The kernels, in their order: by architecture, then by release.
    pub fn kernels(&self) -> &[Entry] {
        &self.entries
    }

    /// Every question that was asked when it was made, as a text; sorted.
    pub fn asked(&self) -> &[String] {
        &self.asked
    }

    /// How many bytes of the file are a kernel's own, without the names that all kernels share.
    pub fn size(&self, entry: &Entry) -> usize {
        self.position(entry).and_then(|at| self.types.get(at)).map_or(0, Block::packed)
    }

    /// The kernel of exactly that name.
    pub fn kernel(&self, name: &str) -> Result<Option<Kernel>, AtlasError> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        entry.map(|entry| self.open(entry)).transpose()
    }

    /// A kernel of this atlas.
    pub fn open(&self, entry: &Entry) -> Result<Kernel, AtlasError> {
        let at = self.position(entry);
        let block = at.and_then(|at| self.types.get(at));
        let packed = block.ok_or(AtlasError::Broken("it has no such kernel"))?;
        let packed = packed.unpack(&self.pattern)?;
        let types = Types::unpack(&packed);
        let types = types.ok_or(AtlasError::Broken("the types of a kernel cannot be unpacked"))?;
        let image = Held { types, strings: Arc::clone(&self.strings), entry: entry.clone() };
        let (name, release) = (entry.name.clone(), entry.release.clone());
        Ok(Kernel { name, release, image: Box::new(image), modules: Vec::new() })
    }

    fn position(&self, entry: &Entry) -> Option<usize> {
        self.entries.iter().position(|known| known.name == entry.name)
    }

    /// Whether this was asked when the atlas was made: only then it tells what its kernels have and what they lack.
    pub fn covers(&self, asked: &Asked) -> bool {
        self.questions().covers(asked)
    }

    /// The same of an event that a program is for.
    pub fn covers_event(&self, kind: EventKind, name: &str) -> bool {
        self.questions().covers_event(kind, name)
    }

    /// Everything that an object asks, with what it has set aside, and the atlas does not tell.
    pub fn unknown(&self, object: &Object<'_>) -> Result<Vec<Unknown>, RelocateError> {
        let asked = [crate::relocate::asked(object)?, crate::relocate::asked_aside(object)?];
        let asked = asked.into_iter().flatten().filter(|asked| !self.covers(asked));
        let events = object.ubpf()?.map(|ubpf| ubpf.events).unwrap_or_default();
        let events = events.into_iter().filter(|event| !self.covers_event(event.kind, &event.name));
        let events = events.map(|event| Unknown::Event(event.name));
        Ok(events.chain(asked.map(|asked| Unknown::Question(Box::new(asked)))).collect())
    }

    fn questions(&self) -> &Questions {
        self.questions.get_or_init(|| Questions::new(self.asked.iter().map(String::as_str)))
    }
}

impl Atlas<'static> {
    /// The atlas that is embedded in the program.
    pub fn embedded() -> Result<&'static Atlas<'static>, AtlasError> {
        static ATLAS: OnceLock<Result<Atlas<'static>, AtlasError>> = OnceLock::new();
        ATLAS.get_or_init(|| Atlas::parse(EMBEDDED)).as_ref().map_err(Clone::clone)
    }
}

/// What an atlas does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// An event, and what is passed to it.
    Event(String),
    /// The answer to a question.
    Question(Box<Asked>),
}

/// Questions and kernels; none if they are broken.
fn read_index(index: &[u8]) -> Option<(Vec<String>, Vec<Entry>)> {
    let mut from = numbers::Bytes::new(index);
    let asked = questions::read(&mut from)?;
    let count = from.usize()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(Entry::read(&mut from)?);
    }
    from.is_empty().then_some((asked, entries))
}

/// The types of a kernel out of an atlas.
#[derive(Debug)]
struct Held {
    types: Types,
    strings: Arc<[u8]>,
    entry: Entry,
}

impl Source for Held {
    fn types(&self, names: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let btf = self.types.section(self.entry.endian, &self.strings, names);
        let btf = btf.map(Cow::Owned).ok_or_else(|| KernelError::NoTypes {
            path: self.entry.name.clone(),
            why: "the atlas is broken: a type refers to one, or to a name, that is not there"
                .into(),
        })?;
        let pointer_size = Some(self.entry.pointer_size);
        Ok(SourceTypes { btf, split: false, base: None, pointer_size })
    }

    fn form(&self) -> Form {
        if self.entry.shows_btf { Form::Btf } else { Form::Dwarf }
    }

    fn identity(&self) -> Option<u64> {
        self.entry.identity
    }
}
