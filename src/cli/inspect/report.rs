//! What `inspect` finds in an object: the JSON document of `inspect --json`, from which the text for people is made as well. `docs/commands.md` describes it.

use super::code::{Code, Listed};
use crate::btf::{Btf, Type, TypeId};
use crate::object::elf::section_flags;
use crate::object::read::{Ext, Function, MapDef, Object, ReadError, maps};
use crate::object::ubpf::{self, CompiledFor, RelocatedFor, Ubpf};
use crate::relocate::{self, Asked, Place, spell};
use crate::target::Endian;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::Serialize;

/// The version of the document; it changes when a member goes away or means something else.
pub(super) const VERSION: u32 = 1;

/// An object.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) file: String,
    pub(super) endian: &'static str,
    pub(super) compiler: Option<String>,
    pub(super) license: Option<String>,
    /// The kernel that it was relocated for.
    pub(super) relocated_for: Option<Target>,
    /// The kernel that its programs of class not abi were compiled against.
    pub(super) compiled_for: Option<CompiledFor>,
    pub(super) functions: Vec<FunctionReport>,
    pub(super) maps: Vec<MapReport>,
    pub(super) data: Vec<Data>,
    pub(super) relocations: Vec<Asked>,
    pub(super) types: Option<Types>,
}

/// A kernel, as an object that was relocated for it calls it.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) release: Option<String>,
}

/// A program, or a function that programs call.
#[derive(Debug, Serialize)]
pub(super) struct FunctionReport {
    pub(super) name: String,
    pub(super) section: String,
    /// Whether a loader loads it by itself.
    pub(super) program: bool,
    /// Whether it is set aside: only relocation finds it.
    pub(super) aside: bool,
    /// Whether a kernel that has none of its events may do without it.
    pub(super) optional: bool,
    pub(super) slots: usize,
    pub(super) at: Option<Place>,
    pub(super) spec: Option<String>,
    pub(super) class: Option<ubpf::Class>,
    pub(super) culprit: Option<ubpf::Culprit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Vec<Listed>>,
}

/// A map.
#[derive(Debug, Serialize)]
pub(super) struct MapReport {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) key: Option<String>,
    pub(super) key_size: u32,
    pub(super) value: Option<String>,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
}

/// A section of global variables.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub(super) section: String,
    pub(super) bytes: usize,
    pub(super) variables: Vec<Variable>,
}

/// A global variable.
#[derive(Debug, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) ty: String,
    pub(super) offset: u32,
}

/// The types in `.BTF`.
#[derive(Debug, Serialize)]
pub(super) struct Types {
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) kernel: Vec<Kernel>,
}

/// A type of the kernel that records ask about.
#[derive(Debug, Serialize)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) records: usize,
}

/// Looks at an object; with `listing`, at its instructions too.
pub(super) fn report(file: String, object: &Object<'_>, listing: bool) -> anyhow::Result<Report> {
    let types = object.types()?;
    let ext = types.as_ref().map(|types| object.ext(types)).transpose()?.flatten();
    let ubpf = object.ubpf()?;
    let relocations = relocate::asked(object)?;
    let mut out = Report {
        version: VERSION,
        file,
        endian: match object.endian {
            Endian::Little => "little",
            Endian::Big => "big",
        },
        compiler: ubpf.as_ref().map(|ubpf| ubpf.compiler.clone()),
        license: object.section("license").and_then(|section| text(section.data)),
        relocated_for: ubpf.as_ref().and_then(|ubpf| {
            let RelocatedFor { name, release } = ubpf.target.clone()?;
            Some(Target { name, release })
        }),
        compiled_for: ubpf.as_ref().and_then(|ubpf| ubpf.compiled_for.clone()),
        functions: Vec::new(),
        maps: types.as_ref().map(map_reports).unwrap_or_default(),
        data: data(object, types.as_ref()),
        relocations: Vec::new(), // borrowed until the code is read
        types: types.as_ref().map(|types| summary(object, types, &relocations)),
    };
    let code = Code::new(object, types.as_ref(), &relocations)?;
    out.functions(&code, ext.as_ref(), ubpf.as_ref(), listing)?;
    if let (Some(types), Some(part)) = (&types, relocate::aside_object(object)?) {
        let (asked, ext) = (relocate::asked_aside(object)?, part.ext(types)?);
        let code = Code::new(&part, Some(types), &asked)?.inside(&code);
        out.functions(&code, ext.as_ref(), ubpf.as_ref(), listing)?;
    }
    out.relocations = relocations;
    Ok(out)
}

impl Report {
    /// Adds the functions of an object, or of what it has set aside.
    fn functions(
        &mut self,
        code: &Code<'_, '_>,
        ext: Option<&Ext<'_>>,
        ubpf: Option<&Ubpf>,
        listing: bool,
    ) -> Result<(), ReadError> {
        let mut functions = code.object.functions()?;
        functions.sort_by_key(|f| (f.section == ".text", f.symbol.section, f.symbol.offset));
        functions.dedup_by_key(|f| (f.symbol.section, f.symbol.offset, f.symbol.size));
        for group in functions.chunk_by(|a, b| a.section == b.section) {
            let section = code.section(group.first().map_or("", |first| first.section), ext)?;
            for function in group {
                let begin = function.symbol.offset;
                self.functions.push(FunctionReport {
                    aside: code.is_aside(),
                    at: section.line_at(function, begin),
                    code: listing.then(|| section.listing(function)),
                    ..function_report(function, ubpf)
                });
            }
        }
        Ok(())
    }
}

fn function_report(function: &Function<'_>, ubpf: Option<&Ubpf>) -> FunctionReport {
    let name = function.symbol.name;
    let ours = ubpf.and_then(|ubpf| ubpf.programs.iter().find(|program| program.name == name));
    FunctionReport {
        name: name.to_owned(),
        section: function.section.to_owned(),
        program: function.symbol.global && function.section != ".text",
        aside: false,
        optional: ours.is_some_and(|program| program.optional),
        slots: function.code.len() / 8,
        at: None,
        spec: ours.map(|program| program.spec.clone()),
        class: ours.map(|program| program.class),
        culprit: ours.and_then(|program| program.culprit.clone()),
        code: None,
    }
}

/// Text with a NUL at its end.
fn text(data: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(data.split(|byte| *byte == 0).next()?).into_owned())
}

fn map_reports(types: &Btf<'_>) -> Vec<MapReport> {
    let name = |id: Option<TypeId>| id.map(|id| spell(types, id));
    let report = |map: MapDef<'_>| MapReport {
        name: map.name.to_owned(),
        kind: map.kind(),
        key: name(map.key),
        key_size: map.key_size,
        value: name(map.value),
        value_size: map.value_size,
        max_entries: map.max_entries,
    };
    maps(types).into_iter().map(report).collect()
}

/// The sections that become maps of global variables, with what BTF says of them.
fn data(object: &Object<'_>, types: Option<&Btf<'_>>) -> Vec<Data> {
    let is_data = |name: &str| {
        [".data", ".rodata", ".bss"].iter().any(|prefix| name.starts_with(prefix))
            || name == ".kconfig"
    };
    let allocated =
        object.sections.iter().filter(|section| section.flags & section_flags::ALLOC != 0);
    let sections = allocated.filter(|section| is_data(section.name)).map(|section| Data {
        section: section.name.to_owned(),
        bytes: section.data.len(),
        variables: types.map(|types| variables(types, section.name)).unwrap_or_default(),
    });
    sections.collect()
}

fn variables(types: &Btf<'_>, section: &str) -> Vec<Variable> {
    let vars = types.ids().find_map(|id| match types.get(id) {
        Ok(Type::DataSec { name, vars, .. }) if name == section => Some(vars),
        _ => None,
    });
    let variable = |(var, offset): (TypeId, u32)| match types.get(var) {
        Ok(Type::Var { name, ty, .. }) => {
            Some(Variable { name: name.to_owned(), ty: spell(types, ty), offset })
        }
        _ => None,
    };
    vars.into_iter().flatten().filter_map(|var| variable((var.var, var.offset))).collect()
}

fn summary(object: &Object<'_>, types: &Btf<'_>, asked: &[Asked]) -> Types {
    let mut roots: IndexMap<&str, usize, FxBuildHasher> = IndexMap::default();
    for asked in asked {
        *roots.entry(&asked.root).or_default() += 1;
    }
    let kernel = roots.into_iter().map(|(root, records)| Kernel { name: root.to_owned(), records });
    Types {
        count: types.ids().count(),
        bytes: object.section(".BTF").map_or(0, |section| section.data.len()),
        kernel: kernel.collect(),
    }
}
