//! The matrix for people: kernels down, programs or files across; and what is said of every reason.
//!
//! In: what was found. Out: text that is at most as wide as a terminal: columns that do not fit by their names are numbered, and more than fit go on below.

use super::grid::{Cell, Grid, GridRow, Reason, Status};
use crate::btf::essential;
use crate::check::File;
use crate::cli::relocate::faults::listed;
use crate::cli::text::{bold, clean, plural};
use crate::diag::{Diags, Severity};
use crate::object::ubpf::Class;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How wide the matrix is at most, in characters.
pub(super) const WIDTH: usize = 100;
/// Names of kernels are cut after so many characters.
const NAME: usize = 40;
/// What stands before the text of notes.
const MARGIN: usize = 8;
/// A column of a number and the blanks before it.
const NUMBERED: usize = 6;

/// A column: a program of a file, or all of them.
struct Column {
    title: String,
    file: usize,
    program: Option<usize>,
}

impl Column {
    fn cell(&self, row: &GridRow) -> &'static str {
        let programs = row.cells.get(self.file).map_or(&[][..], |cell| &cell.programs);
        let own = programs.iter().enumerate();
        let own = own.filter(|(index, _)| self.program.is_none_or(|program| program == *index));
        let all: Vec<Status> = own.map(|(_, told)| told.status).collect();
        if all.contains(&Status::No) {
            "no"
        } else if all.contains(&Status::Unknown) {
            "?"
        } else if !all.is_empty() && all.iter().all(|status| *status == Status::LeftOut) {
            "-"
        } else {
            "ok"
        }
    }
}

/// The matrix; with `verbose` also what each program takes on each kernel.
pub(super) fn draw(files: &[File<'_>], grid: &Grid, verbose: bool) -> String {
    let columns = columns(files, verbose);
    let names = grid.rows.iter().map(|row| title(row).chars().count());
    let first = names.max().unwrap_or(0).min(NAME);
    let wide: usize = columns.iter().map(|column| column.title.chars().count() + 2).sum();
    let numbered = first + wide > WIDTH;
    let room = WIDTH.saturating_sub(first);
    let each = if numbered { (room / NUMBERED).max(1) } else { columns.len().max(1) };
    let mut out = String::new();
    if numbered {
        for (index, column) in columns.iter().enumerate() {
            let _ = writeln!(out, "{:>4}  {}", index + 1, column.title);
        }
        out.push('\n');
    }
    for (block, columns) in columns.chunks(each).enumerate() {
        let heads = columns.iter().enumerate().map(|(index, column)| {
            if numbered { format!("{:>4}", block * each + index + 1) } else { column.title.clone() }
        });
        let heads: Vec<String> = heads.collect();
        let _ =
            writeln!(out, "{}", bold(format!("{:first$}  {}", "", heads.join("  ")).trim_end()));
        for row in &grid.rows {
            let cells = columns.iter().zip(&heads).map(|(column, head)| {
                let width = head.chars().count();
                let cell = column.cell(row);
                if numbered { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            });
            let cells: Vec<String> = cells.collect();
            let name: String = title(row).chars().take(NAME).collect();
            let _ = writeln!(out, "{}", format!("{name:first$}  {}", cells.join("  ")).trim_end());
        }
        out.push('\n');
    }
    out.push_str(&legend(grid, &columns));
    if verbose {
        out.push_str(&details(files, grid));
    }
    out
}

/// What the cells that there are mean.
fn legend(grid: &Grid, columns: &[Column]) -> String {
    let known = [
        ("ok", "it runs, as far as the kernel's types tell"),
        ("-", "optional, and left out"),
        ("no", "it does not run"),
        ("?", "not known, see below"),
    ];
    let there: BTreeSet<&str> =
        grid.rows.iter().flat_map(|row| columns.iter().map(|column| column.cell(row))).collect();
    let told = known.iter().filter(|(cell, _)| there.contains(cell));
    let told: Vec<String> = told.map(|(cell, what)| format!("{cell}: {what}")).collect();
    format!("{}\n\n", told.join("; "))
}

fn columns(files: &[File<'_>], verbose: bool) -> Vec<Column> {
    let several = files.len() > 1;
    let mut columns = Vec::new();
    for (file, of) in files.iter().enumerate() {
        let short = short(of);
        if several && !verbose {
            columns.push(Column { title: short, file, program: None });
            continue;
        }
        for (program, about) in of.programs().iter().enumerate() {
            let name = clean(&about.name);
            let title = if several { format!("{short}:{name}") } else { name.into_owned() };
            columns.push(Column { title, file, program: Some(program) });
        }
    }
    columns
}

/// A file's name without its folder, and without the ending of scripts.
pub(super) fn short(file: &File<'_>) -> String {
    let short = file.name.rsplit('/').next().unwrap_or(&file.name);
    clean(short.strip_suffix(".ub").unwrap_or(short)).into_owned()
}

/// What a kernel is called: its release too, where its name does not have it.
fn title(row: &GridRow) -> String {
    match row.release.as_deref().filter(|release| !row.name.contains(release)) {
        Some(release) => format!("{} {}", clean(&row.name), clean(release)),
        None => clean(&row.name).into_owned(),
    }
}

/// For every program what it takes, and on which kernels: kernels where all is the same are told of together.
fn details(files: &[File<'_>], grid: &Grid) -> String {
    let mut out = String::new();
    for (file, of) in files.iter().enumerate() {
        for (program, about) in of.programs().iter().enumerate() {
            let class =
                about.class.map_or_else(String::new, |class| format!(", {}", class_name(class)));
            let _ = writeln!(
                out,
                "{}{class}",
                bold(&format!("{}: {}", clean(&of.name), clean(&about.spec)))
            );
            let mut taken: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
            for row in &grid.rows {
                let told = row.cells.get(file).and_then(|cell| cell.programs.get(program));
                let Some(lines) = told.and_then(|told| told.examined.as_ref()).map(lines) else {
                    continue;
                };
                match taken.iter_mut().find(|(known, _)| *known == lines) {
                    Some((_, rows)) => rows.push(&row.name),
                    None => taken.push((lines, vec![&row.name])),
                }
            }
            for (lines, rows) in taken {
                let _ = writeln!(
                    out,
                    "  {}",
                    listed(rows.iter().map(|name| clean(name).into_owned()), "and")
                );
                for line in lines {
                    let _ = writeln!(out, "    {}", clean(&line));
                }
            }
            out.push('\n');
        }
    }
    out
}

/// What a program takes on a kernel.
fn lines(examined: &crate::relocate::examine::Examined) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(taken) = &examined.taken {
        let certain = if taken.certain { "" } else { " (not certain)" };
        lines.push(format!("at {}{certain}", taken.section));
    }
    lines.extend(examined.tried.iter().map(|tried| format!("not {}: {}", tried.event, tried.why)));
    for read in &examined.reads {
        let (local, target) = (field_name(&read.local), field_name(&read.target));
        lines.push(if local == target { local } else { format!("{local} as {target}") });
    }
    lines.extend(
        examined
            .absent
            .iter()
            .map(|absent| format!("without {}: {}", field_name(&absent.local), absent.why)),
    );
    lines.dedup();
    if let Some(size) = examined.size {
        lines.push(format!(
            "{}, {} of stack",
            plural(size.insns, "instruction"),
            plural(size.stack as usize, "byte")
        ));
    }
    lines
}

/// `task_struct.pid` of `struct task_struct___user.pid`
pub(super) fn field_name(path: &str) -> String {
    let path = path.strip_prefix("struct ").unwrap_or(path);
    let (root, rest) = path.split_at(path.find(['.', '[', ':']).unwrap_or(path.len()));
    format!("{}{rest}", essential(root))
}

/// What there is to say of a reason, with the kernels that it holds for.
pub(super) fn explained(files: &[File<'_>], grid: &Grid, reason: &Reason) -> Diags {
    let mut diagnostic = reason.diagnostic.clone();
    let programs = files.get(reason.file).map_or(&[][..], File::programs);
    if reason.programs.len() < programs.len() {
        let names = reason.programs.iter().filter_map(|index| programs.get(*index));
        let names = listed(names.map(|about| format!("`{}`", about.name)), "and");
        diagnostic.notes.push(match diagnostic.severity {
            Severity::Error => format!("it keeps {names} from running"),
            Severity::Warning => format!("it is about {names}"),
        });
    }
    if let (true, Some(file)) =
        (reason.sources.line_col(diagnostic.span).line == 0, files.get(reason.file))
    {
        diagnostic.notes.insert(0, format!("in {}", file.name));
    }
    let kernels = reason.kernels.iter().filter_map(|index| grid.rows.get(*index));
    let count = reason.kernels.len();
    let all = grid.rows.len();
    let names = listed(kernels.map(|row| row.name.clone()), "and");
    let told = match count {
        1 => format!("so it is on {names}"),
        _ if count == all => format!("so it is on all {all} kernels"),
        _ => format!("so it is on {count} of {all} kernels: {names}"),
    };
    diagnostic.notes.push(wrapped(&told, WIDTH - MARGIN, ""));
    let mut diags = Diags::new();
    diags.push(diagnostic);
    diags
}

/// A line for each file: its class, and on how many kernels it runs.
pub(super) fn summary(files: &[File<'_>], grid: &Grid) -> String {
    let mut out = String::new();
    for (file, of) in files.iter().enumerate() {
        let _ = writeln!(out, "{}", of_file(of, on(grid, file)));
    }
    out
}

/// On how many kernels a file runs, and how many were looked at.
pub(super) fn on(grid: &Grid, file: usize) -> Counts {
    let cells = grid.rows.iter().filter(|row| row.unread.is_none());
    let cells = cells.filter_map(|row| row.cells.get(file));
    count(cells)
}

/// The same of some cells.
pub(super) fn count<'g>(cells: impl Iterator<Item = &'g Cell>) -> Counts {
    let has = |cell: &Cell, status| cell.programs.iter().any(|told| told.status == status);
    let (mut runs, mut lost, mut unknown) = (0, 0, 0);
    for cell in cells {
        let which = if has(cell, Status::No) {
            &mut lost
        } else if has(cell, Status::Unknown) {
            &mut unknown
        } else {
            &mut runs
        };
        *which += 1;
    }
    Counts { runs, lost, unknown }
}

/// On how many kernels a file runs, does not run, or may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) runs: usize,
    pub(super) lost: usize,
    pub(super) unknown: usize,
}

impl Counts {
    /// How many were looked at.
    pub(super) fn all(self) -> usize {
        self.runs + self.lost + self.unknown
    }
}

fn of_file(file: &File<'_>, counts: Counts) -> String {
    let name = clean(&file.name);
    let kernels = plural(counts.runs, "kernel");
    let verified = match file.class() {
        Some(class) => format!("{}, verified on {kernels}", class_name(class)),
        None => format!("verified on {kernels}"),
    };
    let mut line = format!("{name}: {verified}");
    if counts.lost > 0 {
        let _ = write!(line, "; it does not run on {} of {}", counts.lost, counts.all());
    }
    if counts.unknown > 0 {
        let _ = write!(line, "; of {} it is not known", counts.unknown);
    }
    line
}

/// What a class is called.
pub(super) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Abi => "abi",
        Class::Private => "private",
        Class::NotAbi => "not abi",
    }
}

/// The text in lines of at most so many characters, broken at blanks; those after the first begin with `indent`.
fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut line = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if line > 0 && line + 1 + len > width {
            let _ = write!(out, "\n{indent}");
            line = 0;
        } else if line > 0 {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += len;
    }
    out
}
