//! Listings: machine code with its source lines and relocations, and a table of what an object asks about its target.
//!
//! In: machine code and the HIR it was made from. Out: text for people, the same on every host.

use super::code::with_local_answers;
use super::flavor::Flavors;
use super::{ObjectError, maps, section_name};
use crate::btf::Builder;
use crate::ir::MapTarget;
use crate::ir::reloc::{Access, CoreReloc, FieldQuestion};
use crate::isa::code::{Code, Function, Insn, InsnIdx, Reloc, RelocKind};
use crate::isa::print::instructions;
use crate::sema::hir::{Hir, KStep};
use crate::source::{Sources, Span};
use crate::target::{Endian, Target};
use std::fmt::Write;

/// How wide instructions are printed where something follows them.
const INSN_WIDTH: usize = 40;

/// Every function: its name, section and stack, then its instructions under the source lines they come from. What a loader fills in has its local value, and
/// is named beside the instruction.
pub fn print_code(
    hir: &Hir,
    code: &Code,
    sources: &Sources,
    target: Target,
) -> Result<String, ObjectError> {
    let flavors = Flavors::new(hir, code, target.endian, &mut Builder::default())?;
    let programs = hir.programs.iter().zip(&code.programs);
    let programs = programs.map(|(program, function)| (section_name(&program.attach), function));
    let callbacks = code.callbacks.iter().map(|function| (".text".into(), function));
    let mut out = String::new();
    for (section, function) in programs.chain(callbacks) {
        if !out.is_empty() {
            out.push('\n');
        }
        let Function { name, insns, frame_bytes, .. } = function;
        let _ = writeln!(
            out,
            "{name}: section {section}, {} slots, {frame_bytes} bytes of stack",
            insns.len()
        );
        let insns = with_local_answers(function, &flavors)?;
        print_function(&mut out, hir, code, function, &insns, sources);
    }
    Ok(out)
}

fn print_function(
    out: &mut String,
    hir: &Hir,
    code: &Code,
    function: &Function,
    insns: &[Insn],
    sources: &Sources,
) {
    let mut lines = function.lines.iter().peekable();
    let mut relocs = function.relocs.iter().peekable();
    let mut last = None;
    for (slot, text) in instructions(insns) {
        let at = |insn: InsnIdx| insn.0 as usize <= slot;
        while let Some((_, span)) = lines.next_if(|(insn, _)| at(*insn)) {
            let place = (span.file, sources.line_col(*span).line);
            if last.replace(place) != Some(place) {
                let _ = writeln!(out, "  ; {}", quote(*span, sources));
            }
        }
        let mut line = format!("{slot:5}: {text}");
        while let Some(reloc) = relocs.next_if(|reloc| at(reloc.insn)) {
            line = format!("{line:INSN_WIDTH$} ; {}", filled_in(hir, code, reloc));
        }
        out.push_str(&line);
        out.push('\n');
    }
}

/// `text of the line @ file:line`
fn quote(span: Span, sources: &Sources) -> String {
    let file = sources.file(span.file);
    let line = file.line_col(span.start).line;
    format!("{} @ {}:{line}", file.line(line).trim(), file.name)
}

/// What a relocation puts into its instruction.
fn filled_in(hir: &Hir, code: &Code, reloc: &Reloc) -> String {
    match &reloc.kind {
        RelocKind::Map(MapTarget::Map(id)) => format!("map @{}", hir.maps[*id].name),
        RelocKind::Map(MapTarget::Ring) => format!("map {}", maps::ring_name(hir)),
        RelocKind::Rodata(offset) => {
            let var = code.rodata.vars.iter().find(|var| var.offset == *offset);
            var.map_or_else(|| format!(".rodata+{offset}"), |var| format!("param {}", var.name))
        }
        RelocKind::Callback(index) => {
            let callback = code.callbacks.get(*index as usize);
            format!("function {}", callback.map_or("?", |function| &function.name))
        }
        RelocKind::Arg(arg) => format!("argument {}", code.args.get(*arg).names.join(" else ")),
        RelocKind::Core(core) => question(hir, code, core),
    }
}

/// A question in the kernel's terms: `task_struct.pid byte_off`.
fn question(hir: &Hir, code: &Code, core: &CoreReloc) -> String {
    match core {
        CoreReloc::Field(id, question) => {
            format!("{} {}", path(code.accesses.get(*id)), field_question(*question))
        }
        CoreReloc::StructSize(kernel) => format!("{kernel} type_size"),
        CoreReloc::Prototype(id) => {
            let prototype = &hir.prototypes[*id];
            let names: Vec<&str> =
                prototype.params.iter().map(|param| param.name.as_str()).collect();
            format!("{}({}) type_exists", prototype.name, names.join(", "))
        }
        CoreReloc::EnumValue { enum_name, name } => format!("{enum_name}.{name} enumval_value"),
        CoreReloc::EnumExists { enum_name, name } => format!("{enum_name}.{name} enumval_exists"),
    }
}

fn field_question(question: FieldQuestion) -> &'static str {
    super::flavor::kind_of(question).name()
}

fn path(access: &Access) -> String {
    let mut path = access.root.to_string();
    for step in &access.steps {
        let _ = match step {
            KStep::Member(name) => write!(path, ".{name}"),
            KStep::Index(index) => write!(path, "[{index}]"),
        };
    }
    path
}

/// One line for each CO-RE question: function, slot, what is asked, about what in the local type, and the line of the script.
pub fn print_relocs(hir: &Hir, code: &Code, sources: &Sources) -> Result<String, ObjectError> {
    let flavors = Flavors::new(hir, code, Endian::Little, &mut Builder::default())?;
    let mut rows =
        vec![["FUNCTION", "SLOT", "QUESTION", "LOCAL", "ACCESS", "SOURCE"].map(String::from)];
    for function in code.first_forms() {
        for reloc in &function.relocs {
            let RelocKind::Core(core) = &reloc.kind else { continue };
            let question = flavors.question(core);
            let source = function.span_of(reloc.insn).map(|span| quote(span, sources));
            rows.push([
                function.name.to_string(),
                reloc.insn.0.to_string(),
                question.kind.name().into(),
                question.path.clone(),
                question.access.clone(),
                source.unwrap_or_default(),
            ]);
        }
    }
    Ok(table(&rows))
}

/// Rows with columns as wide as their widest cell.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut out = String::new();
    let widest =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(widest);
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}
