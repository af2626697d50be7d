//! Descriptions of tracepoint records (`events/SYSTEM/EVENT/format` in tracefs), as types.
//!
//! In: the text of such files. Out: BTF with `struct trace_event_raw_EVENT` for each, laid out as the text says: what a program for the event is handed. Its first member is `struct trace_entry ent`,
//! made of the common fields, as in the kernel's own types; what has dynamic length is a `u32` named `__data_loc_NAME`.

use super::places::entries;
use super::{FileBytes, Form, KernelError, Source, SourceTypes};
use crate::btf::{Builder, Member, TypeId, VOID, encoding};
use crate::target::Endian;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What the record's type is called, before the name of its event.
const PREFIX: &str = "trace_event_raw_";
/// What the names of the common fields begin with.
const COMMON: &str = "common_";
/// The type of a field whose length varies: its place and length.
const DYNAMIC: &[&str] = &["__data_loc", "__rel_loc"];

/// A folder of tracefs, or one file of it.
#[derive(Debug)]
pub(super) struct Tracefs {
    path: PathBuf,
}

impl Tracefs {
    /// The folder or file of that name, if it is one.
    pub(super) fn folder(path: &Path) -> Option<Tracefs> {
        let tracefs = Tracefs { path: path.to_owned() };
        let is_one = tracefs.systems().iter().any(|system| {
            system.join("format").is_file()
                || entries(system).iter().any(|event| event.join("format").is_file())
        });
        is_one.then_some(tracefs)
    }

    /// A file whose text is a description.
    pub(super) fn file(path: &Path) -> Tracefs {
        Tracefs { path: path.to_owned() }
    }

    /// The folders whose folders are events, or which are events themselves.
    fn systems(&self) -> Vec<PathBuf> {
        let events = self.path.join("events");
        let root = if events.is_dir() { events } else { self.path.clone() };
        let mut systems = vec![root.clone()];
        systems.extend(entries(&root).into_iter().filter(|path| path.is_dir()));
        systems
    }

    /// The descriptions of an event; all of one file.
    fn formats(&self, event: &str) -> Vec<PathBuf> {
        if self.path.is_file() {
            return vec![self.path.clone()];
        }
        let within = |system: PathBuf| {
            let itself = system.file_name().is_some_and(|name| name == event);
            let format =
                if itself { system.join("format") } else { system.join(event).join("format") };
            format.is_file().then_some(format)
        };
        self.systems().into_iter().filter_map(within).collect()
    }
}

/// Whether a text describes a record.
pub(super) fn is_format(bytes: &[u8]) -> bool {
    bytes.starts_with(b"name: ") && memchr::memmem::find(bytes, b"\nformat:").is_some()
}

impl Source for Tracefs {
    fn types(&self, names: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let mut builder = Builder::default();
        let mut pointer_size = None;
        let events = names.iter().filter_map(|name| name.strip_prefix(PREFIX));
        for event in events.filter(|event| !event.is_empty() && !event.contains(['/', '.'])) {
            for path in self.formats(event) {
                let file = FileBytes::open(&path)?;
                let record = std::str::from_utf8(&file).ok().and_then(Record::parse);
                let record = record.ok_or_else(|| KernelError::NoTypes {
                    path: path.display().to_string(),
                    why: "a description of a tracepoint record that is malformed".to_owned(),
                })?;
                pointer_size = pointer_size.or(record.pointer_size());
                record.add(&mut builder);
            }
        }
        // Which byte order the types are written in is nobody's business: the fields have none.
        let btf = Cow::Owned(builder.bytes(Endian::default()));
        Ok(SourceTypes { btf, split: false, base: None, pointer_size })
    }

    fn form(&self) -> Form {
        Form::Tracefs
    }
}

/// The description of a record.
struct Record<'a> {
    event: &'a str,
    fields: Vec<Field<'a>>,
}

/// One of its fields.
struct Field<'a> {
    /// The declared type, without name and dimensions.
    ty: &'a str,
    name: &'a str,
    /// Whether the declaration has dimensions.
    array: bool,
    offset: u32,
    size: u32,
    signed: bool,
}

impl<'a> Record<'a> {
    fn parse(text: &'a str) -> Option<Record<'a>> {
        let event = text.lines().next()?.strip_prefix("name: ")?.trim();
        let lines = text.lines().map(str::trim);
        let fields = lines.filter(|line| line.starts_with("field:")).map(Field::parse);
        let fields = fields.collect::<Option<Vec<_>>>()?;
        let clean = !event.is_empty() && !fields.is_empty() && !text.contains('\0');
        clean.then_some(Record { event, fields })
    }

    /// What the fields that are pointers say.
    fn pointer_size(&self) -> Option<u32> {
        let pointer = self.fields.iter().find(|field| field.ty.ends_with('*') && !field.array)?;
        Some(pointer.size).filter(|size| [4, 8].contains(size))
    }

    fn add(&self, builder: &mut Builder) {
        let (common, own): (Vec<_>, Vec<_>) =
            self.fields.iter().partition(|field| field.name.starts_with(COMMON));
        let end = |fields: &[&Field]| fields.iter().map(|f| f.offset + f.size).max().unwrap_or(0);
        let member = |builder: &mut Builder, field: &Field<'_>, name: String| {
            let ty = field.add(builder);
            Member { name: name.into(), ty, bit_offset: field.offset * 8, bit_width: 0 }
        };
        let mut entry = Vec::new();
        for field in &common {
            let name = field.name.trim_start_matches(COMMON).to_owned();
            entry.push(member(builder, field, name));
        }
        let size = end(&common);
        let ty = builder.composite("trace_entry", size, entry);
        let mut members = vec![Member { name: "ent".into(), ty, bit_offset: 0, bit_width: 0 }];
        for field in &own {
            let dynamic = DYNAMIC.iter().find(|word| field.ty.starts_with(*word));
            let name =
                dynamic.map_or(field.name.to_owned(), |word| format!("{word}_{}", field.name));
            members.push(member(builder, field, name));
        }
        builder.composite(format!("{PREFIX}{}", self.event), end(&own).max(size), members);
    }
}

impl<'a> Field<'a> {
    /// `field:char prev_comm[16];	offset:8;	size:16;	signed:0;`
    fn parse(line: &'a str) -> Option<Field<'a>> {
        let mut parts = line.split(';').map(str::trim);
        let declared = parts.next()?.strip_prefix("field:")?;
        let mut number = |key| parts.next()?.strip_prefix(key)?.parse::<u32>().ok();
        let (offset, size) = (number("offset:")?, number("size:")?);
        let signed = number("signed:").is_some_and(|signed| signed != 0);
        // A record is at most a page (PAGE_SIZE, at most 64 KiB), so that bits can be counted.
        (offset.checked_add(size)? <= 1 << 20).then_some(())?;
        let (declared, array) = match declared.split_once('[') {
            // `__data_loc char[] name`
            Some((ty, rest)) if DYNAMIC.iter().any(|word| ty.starts_with(word)) => {
                let name = rest.split_once(']')?.1.trim();
                return Some(Field { ty, name, array: false, offset, size, signed: false });
            }
            Some((declared, _)) => (declared.trim_end(), true),
            None => (declared, false),
        };
        let start = declared.rfind(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
        let (ty, name) = declared.split_at_checked(start)?;
        let ty = ty.trim_end();
        (!name.is_empty()).then_some(Field { ty, name, array, offset, size, signed })
    }

    /// Its type. Enums are numbers here: the text does not have their values.
    fn add(&self, builder: &mut Builder) -> TypeId {
        let pointer = self.ty.ends_with('*');
        if !self.array && pointer && [4, 8].contains(&self.size) {
            return builder.ptr(VOID);
        }
        if !self.array && [1, 2, 4, 8].contains(&self.size) {
            let sign = if self.signed { encoding::SIGNED } else { 0 };
            return builder.int_of(self.scalar_name(), self.size, sign);
        }
        let (elem, size) = self.element(builder);
        builder.array(elem, self.size / size)
    }

    /// An element's type and size. The text has the size of the whole and dimensions that may be constants' names, so an element's size is that of its type where C fixes it, and otherwise a byte.
    fn element(&self, builder: &mut Builder) -> (TypeId, u32) {
        let size = ELEMENTS.iter().find(|(name, _)| *name == self.ty).map_or(1, |(_, size)| *size);
        let size = if self.size.is_multiple_of(size) { size } else { 1 };
        let sign = if self.signed { encoding::SIGNED } else { 0 };
        (builder.int_of(if size == 1 { "char" } else { self.ty }, size, sign), size)
    }

    fn scalar_name(&self) -> &str {
        if DYNAMIC.iter().any(|word| self.ty.starts_with(word)) { "u32" } else { self.ty }
    }
}

/// The sizes of what arrays are made of. `long` is missing: its size is the kernel's affair.
const ELEMENTS: &[(&str, u32)] = &[
    ("short", 2),
    ("unsigned short", 2),
    ("u16", 2),
    ("__u16", 2),
    ("__be16", 2),
    ("__le16", 2),
    ("int", 4),
    ("unsigned int", 4),
    ("u32", 4),
    ("__u32", 4),
    ("__be32", 4),
    ("__le32", 4),
    ("u64", 8),
    ("__u64", 8),
    ("unsigned long long", 8),
];
