//! `ubpfc uapi show NAME`: what something in the library is, and what kernels have of it.

use super::list::brief;
use super::open;
use super::resolve::{Answer, Group, Resolved, Spot, Status, resolve};
use crate::atlas::Entry;
use crate::cli::Exit;
use crate::cli::files::{print_json, print_text};
use crate::cli::kernel::{self, Opened};
use crate::cli::messages::{Findings, FormatArg, Stop};
use crate::cli::text::{Align, Table, bold, clean, plural};
use crate::diag::{Code, Diagnostic};
use crate::library::{About, Argument, Field, Item, Library};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of `uapi show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A mirror, a field (`task_struct_user.pid`), a tracepoint (`user:sched_switch`), an enum, a constant, or a file
    #[arg(value_name = "NAME")]
    name: String,
    /// Kernels to ask: `running`, files with their types, or names out of the atlas [default: all of the atlas]
    #[arg(short, long, value_name = "KERNEL", num_args = 1..)]
    kernel: Vec<PathBuf>,
    /// The atlas to ask, instead of the one in this program
    #[arg(long, value_name = "FILE")]
    atlas: Option<PathBuf>,
    /// The kernels show no BTF to loaders, though the files have types
    #[arg(long)]
    no_btf: bool,
    /// The folder of the library [default: the one in ubpfc]
    #[arg(long, value_name = "FOLDER")]
    library: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'d> {
    version: u32,
    name: String,
    kind: &'static str,
    file: &'d str,
    declaration: Value,
    kernels: Vec<Asked<'d>>,
}

/// What kernels answer to one question.
#[derive(Serialize)]
struct Asked<'d> {
    name: String,
    answers: &'d [Group],
}

/// Shows something of the library.
pub(super) fn run(args: &Args) -> Exit {
    show(args).map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

fn show(args: &Args) -> Result<(), Stop> {
    let (library, mut importer) = open::library(args.library.as_deref())?;
    let item = library.find(&args.name).map_err(|near| unknown(&args.name, near.as_deref()))?;
    let kernels = kernels(args)?;
    let resolved = resolve(&library.only(&item), &mut *importer, &kernels, args.no_btf)?;
    if args.json {
        print_json(&document(&item, &resolved))?;
    } else {
        let mut text = heading(&item);
        text.push_str(&body(&library, &item, &resolved));
        print_text(&text)?;
    }
    Ok(())
}

pub(super) fn unknown(name: &str, near: Option<&str>) -> Stop {
    let mut findings = Findings::default();
    let span = findings.whole("the library");
    let diagnostic = Diagnostic::new(Code::E0351, span, format!("there is no `{name}`"));
    let help = near.map_or_else(
        || "`ubpfc uapi list` shows what there is".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    findings.diags.push(diagnostic.help(help));
    Stop::new(Exit::Usage, findings)
}

/// The kernels to ask: those that are named, or all of the atlas.
fn kernels(args: &Args) -> Result<Vec<Opened>, Stop> {
    let file = args.atlas.as_deref();
    if !args.kernel.is_empty() {
        return args.kernel.iter().map(|spec| kernel::open(spec, &[], file)).collect();
    }
    let atlas = kernel::atlas(file)?;
    let open = |entry: &Entry| kernel::open(Path::new(&entry.name), &[], file);
    atlas.kernels().iter().map(open).collect()
}

fn document<'d>(item: &'d Item<'d>, resolved: &'d [Resolved]) -> Document<'d> {
    let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let (kind, declaration) = match item {
        Item::File(file) => ("file", json(serde_json::to_value(file))),
        Item::Mirror(mirror) => ("mirror", json(serde_json::to_value(mirror))),
        Item::Field(_, field) => ("field", json(serde_json::to_value(field))),
        Item::Enum(of) => ("enum", json(serde_json::to_value(of))),
        Item::Enumerator(_, one) => ("enumerator", json(serde_json::to_value(one))),
        Item::Constant(constant) => ("constant", json(serde_json::to_value(constant))),
        Item::Tracepoint(tracepoint) => ("tracepoint", json(serde_json::to_value(tracepoint))),
    };
    let kernels = resolved.iter().map(|asked| Asked {
        name: match &asked.about {
            About::Field { mirror, field } => format!("{mirror}.{field}"),
            About::Enumerator { enumerator, .. } => enumerator.clone(),
            About::Tracepoint(name) => format!("user:{name}"),
        },
        answers: &asked.groups,
    });
    Document {
        version: 1,
        name: item.name(),
        kind,
        file: item.file(),
        declaration,
        kernels: kernels.collect(),
    }
}

/// The declaration and what it means.
fn heading(item: &Item<'_>) -> String {
    let declaration = match item {
        Item::File(file) => format!("import \"{}\";", file.name),
        Item::Mirror(mirror) => format!("struct {} mirrors {}", mirror.name, mirror.kernel),
        Item::Field(mirror, field) => format!("{}  in struct {}", declared(field), mirror.name),
        Item::Enum(of) => match &of.kernel {
            Some(kernel) => format!("enum {} mirrors {kernel}", of.name),
            None => format!("enum {}", of.name),
        },
        Item::Enumerator(of, one) => format!("{}  in enum {}", one.name, of.name),
        Item::Constant(constant) => format!("const {} = {}", constant.name, constant.value),
        Item::Tracepoint(tracepoint) => {
            let args: Vec<String> = tracepoint.args.iter().map(argument).collect();
            format!("tracepoint user:{}({})", tracepoint.name, args.join(", "))
        }
    };
    let mut text = format!("{}\n", bold(&clean(&declaration)));
    for line in item.doc().unwrap_or_default().lines() {
        let _ = writeln!(text, "  {}", line.replace(char::is_control, "?"));
    }
    if !matches!(item, Item::File(_)) {
        let _ = writeln!(text, "  import \"{}\";", clean(item.file()));
    }
    text
}

/// `u32 state`, `u8 bits?`
fn declared(field: &Field) -> String {
    let ty = field.ty.to_string();
    let gap = if ty.ends_with('*') { "" } else { " " };
    format!("{ty}{gap}{}{}", field.name, if field.optional { "?" } else { "" })
}

fn argument(arg: &Argument) -> String {
    let ty = arg.ty.to_string();
    let gap = if ty.ends_with('*') { "" } else { " " };
    format!("{ty}{gap}{}{}", arg.name, if arg.optional { "?" } else { "" })
}

fn body(library: &Library, item: &Item<'_>, resolved: &[Resolved]) -> String {
    match item {
        Item::File(file) => contents(library, &file.name),
        Item::Mirror(mirror) => {
            let mut table = Table::new([
                ("byte", Align::Right),
                ("field", Align::Left),
                ("kernels", Align::Left),
                ("what it is", Align::Left),
            ]);
            for (field, asked) in mirror.fields.iter().zip(resolved) {
                let doc = brief(field.doc.as_deref()).to_owned();
                table.row([field.offset.to_string(), declared(field), counts(asked), doc]);
            }
            table.print()
        }
        Item::Field(_, field) => {
            let notes = field.alternatives.iter();
            alternatives(notes.map(|a| (&*a.text, a.note.as_deref()))) + &answers(resolved)
        }
        Item::Enum(of) => {
            let mut table = Table::new([
                ("value", Align::Left),
                ("is", Align::Left),
                ("kernels", Align::Left),
                ("what it is", Align::Left),
            ]);
            for (at, one) in of.enumerators.iter().enumerate() {
                let is = one.value.map_or_else(|| one.sources.join(" else "), |v| v.to_string());
                let kernels = resolved.get(at).map_or_else(String::new, counts);
                table.row([one.name.clone(), is, kernels, brief(one.doc.as_deref()).to_owned()]);
            }
            table.print()
        }
        Item::Enumerator(_, one) => {
            let sources = one.sources.iter().map(|source| (&**source, None));
            alternatives(sources) + &answers(resolved)
        }
        Item::Constant(_) => String::new(),
        Item::Tracepoint(tracepoint) => {
            let sources = tracepoint.sources.iter().map(|source| (&**source, None));
            alternatives(sources) + &answers(resolved)
        }
    }
}

/// What a file declares.
fn contents(library: &Library, file: &str) -> String {
    let mut table = Table::new([("name", Align::Left), ("what it is", Align::Left)]);
    for item in library.items().filter(|item| item.file() == file) {
        if !matches!(item, Item::File(_) | Item::Field(..) | Item::Enumerator(..)) {
            table.row([item.name(), brief(item.doc()).to_owned()]);
        }
    }
    table.print()
}

/// How many kernels have each alternative: `1: 20, 2: 23, none: 1`.
fn counts(asked: &Resolved) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for group in &asked.groups {
        let label = label(&group.answer);
        match counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += group.kernels.len(),
            None => counts.push((label, group.kernels.len())),
        }
    }
    counts.sort();
    let counts: Vec<String> = counts.iter().map(|(label, n)| format!("{label}: {n}")).collect();
    counts.join(", ")
}

fn label(answer: &Answer) -> String {
    match (answer.status, answer.alternative) {
        (Status::Found, Some(index)) => (index + 1).to_string(),
        (Status::Found, None) => "some".to_owned(),
        (Status::Absent, _) => "none".to_owned(),
        (Status::Unknown, _) => "unknown".to_owned(),
    }
}

/// The alternatives, numbered, with what is said of them.
fn alternatives<'a>(all: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut table =
        Table::new([("", Align::Right), ("comes from", Align::Left), ("", Align::Left)]);
    for (at, (text, note)) in all.enumerate() {
        let note = note.unwrap_or_default().to_owned();
        table.row([(at + 1).to_string(), text.to_owned(), note]);
    }
    table.print()
}

/// The answers, and the kernels that give them.
fn answers(resolved: &[Resolved]) -> String {
    let mut text = String::new();
    for group in resolved.iter().flat_map(|asked| &asked.groups) {
        let answer = &group.answer;
        let said = match answer.status {
            Status::Found => found(answer),
            Status::Absent => "absent".to_owned(),
            Status::Unknown => "unknown".to_owned(),
        };
        let why = answer.why.as_deref().filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let label = answer.alternative.map_or_else(String::new, |i| format!("{}: ", i + 1));
        let count = plural(group.kernels.len(), "kernel");
        let _ = writeln!(text, "  {} {label}{}{}", bold(&count), said, clean(&why));
        text.push_str(&wrapped(&group.kernels));
    }
    text
}

fn found(answer: &Answer) -> String {
    if let Some(value) = answer.value {
        return value.cast_signed().to_string();
    }
    if let Some(section) = &answer.section {
        let args: Vec<String> = answer.args.iter().map(bound).collect();
        let args = if args.is_empty() { String::new() } else { format!(": {}", args.join(", ")) };
        return clean(&format!("{section}{args}")).into_owned();
    }
    let places: Vec<String> = answer.places.iter().map(place).collect();
    places.join("; ")
}

/// Names in indented lines.
fn wrapped(names: &[String]) -> String {
    let mut lines = vec![String::from("     ")];
    for name in names {
        let line = lines.last().map_or(0, String::len);
        if line > 6 && line + name.len() > 100 {
            lines.push(String::from("     "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(&clean(name));
        }
    }
    lines.join("\n") + "\n"
}

fn bound((name, index): &(String, Option<usize>)) -> String {
    match index {
        Some(index) => format!("{name} is argument {index}"),
        None => format!("{name} is not passed or not told"),
    }
}

/// `task_struct.pid at 2464, 4 bytes`; of a bitfield `… at 1180, bit 3, 1 bit`.
fn place(spot: &Spot) -> String {
    let path = spot.path.strip_prefix("struct ").unwrap_or(&spot.path);
    let wide = match (spot.bits, spot.size) {
        (Some((first, width)), _) => {
            format!(", bit {first}, {}", plural(usize::from(width), "bit"))
        }
        (None, Some(size)) => format!(", {}", plural(size as usize, "byte")),
        (None, None) => String::new(),
    };
    format!("{} at {}{wide}", clean(path), spot.offset)
}
