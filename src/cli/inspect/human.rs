//! The report for people.

use super::code::Listed;
use super::report::{FunctionReport, Report, Target};
use crate::cli::text::{Align, Table, bold, clean, plural};
use crate::object::ubpf::{Class, CompiledFor};
use crate::relocate::Place;
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use std::fmt::Write;

/// The report as text, with a section for each thing that the object has.
pub(super) fn text(report: &Report) -> String {
    let mut out = head(report);
    let sections = [
        ("programs", functions(report, |function| function.program && !function.aside)),
        ("programs that are set aside for other kernels", functions(report, |f| f.aside)),
        ("functions", functions(report, |function| !function.program && !function.aside)),
        ("maps", maps(report)),
        ("variables", variables(report)),
        ("questions to the kernel (CO-RE relocations)", relocations(report)),
    ];
    for (name, body) in sections.into_iter().filter(|(_, body)| !body.is_empty()) {
        let _ = write!(out, "\n{}\n{body}", bold(name));
    }
    out.push_str(&types(report));
    for function in &report.functions {
        out.push_str(&listing(function));
    }
    out
}

/// `runqlat.o: BPF object, little-endian, by ubpfc 0.1.0, license GPL`
fn head(report: &Report) -> String {
    let Report { file, endian, compiler, license, .. } = report;
    let mut out = format!("{}: BPF object, {endian}-endian", bold(&clean(file)));
    if let Some(compiler) = compiler {
        let _ = write!(out, ", made by {}", clean(compiler));
    }
    match license {
        Some(license) => {
            let _ = write!(out, ", license {}", clean(license));
        }
        None => out.push_str(", without a license: the kernel takes it for proprietary"),
    }
    out.push('\n');
    if let Some(Target { name, release }) = &report.relocated_for {
        let release = release.as_ref().map_or_else(String::new, |r| format!(" ({})", clean(r)));
        let _ = writeln!(out, "relocated for {}{release}", clean(name));
    }
    out.push_str(&compiled_for(report));
    out
}

/// Which kernel the programs depend on that are not abi.
fn compiled_for(report: &Report) -> String {
    let depends = report.functions.iter().any(|f| f.class == Some(Class::NotAbi));
    match &report.compiled_for {
        Some(CompiledFor { name, release, btf }) => {
            let told = [release.clone(), btf.as_ref().map(|hash| format!("BTF {hash}"))];
            let told: Vec<String> = told.into_iter().flatten().collect();
            let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
            format!("compiled against {}{}\n", clean(name), clean(&told))
        }
        None if depends => {
            "compiled without `--kernel`: which kernel its programs that are not abi fit is not recorded\n".into()
        }
        None => String::new(),
    }
}

fn place(at: Option<&Place>) -> String {
    at.map_or_else(String::new, |at| format!("{}:{}", at.file, at.line))
}

fn class(class: Class) -> &'static str {
    match class {
        Class::Abi => "abi",
        Class::Private => "private",
        Class::NotAbi => "not abi",
    }
}

fn functions(report: &Report, is_shown: impl Fn(&FunctionReport) -> bool) -> String {
    let mut table = Table::new([
        ("name", Align::Left),
        ("section", Align::Left),
        ("class", Align::Left),
        ("slots", Align::Right),
        ("source", Align::Left),
        ("", Align::Left),
    ]);
    // Forms of one program have it in common.
    let mut because = IndexSet::<String, FxBuildHasher>::default();
    for function in report.functions.iter().filter(|function| is_shown(function)) {
        table.row([
            function.name.clone(),
            function.section.clone(),
            function.class.map_or("", class).to_owned(),
            function.slots.to_string(),
            place(function.at.as_ref()),
            if function.optional { "optional".into() } else { String::new() },
        ]);
        if let (Some(level), Some(culprit)) = (function.class, &function.culprit) {
            let at = format!("{}:{}:{}", culprit.at.file, culprit.at.line, culprit.at.col);
            because.insert(format!(
                "  {} is {} for `{}` at {}: {}\n",
                clean(&function.name),
                class(level),
                clean(&culprit.text),
                clean(&at),
                clean(&culprit.why),
            ));
        }
    }
    table.print() + &because.into_iter().collect::<String>()
}

fn maps(report: &Report) -> String {
    let mut table = Table::new([
        ("name", Align::Left),
        ("type", Align::Left),
        ("key", Align::Left),
        ("bytes", Align::Right),
        ("value", Align::Left),
        ("bytes", Align::Right),
        ("entries", Align::Right),
    ]);
    let bytes = |size: u32| if size == 0 { String::new() } else { size.to_string() };
    for map in &report.maps {
        table.row([
            map.name.clone(),
            map.kind.clone(),
            map.key.clone().unwrap_or_default(),
            bytes(map.key_size),
            map.value.clone().unwrap_or_default(),
            bytes(map.value_size),
            // A ring buffer's number is its size.
            if map.kind.ends_with("ringbuf") {
                plural(map.max_entries as usize, "byte")
            } else {
                map.max_entries.to_string()
            },
        ]);
    }
    table.print()
}

fn variables(report: &Report) -> String {
    let mut table = Table::new([
        ("name", Align::Left),
        ("type", Align::Left),
        ("section", Align::Left),
        ("offset", Align::Right),
    ]);
    for data in &report.data {
        for var in &data.variables {
            let (name, ty) = (var.name.clone(), var.ty.clone());
            table.row([name, ty, data.section.clone(), var.offset.to_string()]);
        }
        if data.variables.is_empty() {
            let bytes = plural(data.bytes, "byte");
            table.row([String::new(), bytes, data.section.clone(), String::new()]);
        }
    }
    table.print()
}

fn relocations(report: &Report) -> String {
    let mut table = Table::new([
        ("function", Align::Left),
        ("slot", Align::Right),
        ("question", Align::Left),
        ("about", Align::Left),
        ("source", Align::Left),
    ]);
    let mut last = None;
    for record in &report.relocations {
        // A function is named once.
        let again = last.replace(&record.function) == Some(&record.function);
        table.row([
            if again { String::new() } else { record.function.clone() },
            record.insn.to_string(),
            record.kind.name().to_owned(),
            record.local.clone(),
            place(record.at.as_ref()),
        ]);
    }
    table.print()
}

fn types(report: &Report) -> String {
    let Some(types) = &report.types else {
        return "\nno type information: maps and relocations cannot be seen\n".into();
    };
    let mut out = format!("\n{}\n", bold("types"));
    let _ = writeln!(out, "  {}, {}", plural(types.count, "type"), plural(types.bytes, "byte"));
    if !types.kernel.is_empty() {
        out.push_str("  asked about:\n");
    }
    for kernel in &types.kernel {
        let _ = writeln!(out, "    {} ({})", clean(&kernel.name), plural(kernel.records, "record"));
    }
    out
}

/// How wide instructions are printed where something follows them.
const INSN_WIDTH: usize = 40;

fn listing(function: &FunctionReport) -> String {
    let Some(code) = &function.code else { return String::new() };
    let (name, section) = (clean(&function.name), clean(&function.section));
    let slots = plural(function.slots, "slot");
    let mut out = format!("\n{}: section {section}, {slots}\n", bold(&name));
    for Listed { slot, text, remark, at } in code {
        if let Some(at) = at {
            let _ =
                writeln!(out, "  ; {} @ {}:{}", clean(at.text.trim()), clean(&at.file), at.line);
        }
        let line = format!("{slot:5}: {text}");
        let _ = match remark {
            Some(remark) => writeln!(out, "{line:INSN_WIDTH$} ; {}", clean(remark)),
            None => writeln!(out, "{line}"),
        };
    }
    out
}
