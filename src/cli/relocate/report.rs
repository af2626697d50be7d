//! What relocation did: the JSON document of `relocate --json`, and the table for people. `docs/commands.md` describes the document.

use crate::btf::essential;
use crate::cli::text::{Align, Table, bold, clean, plural};
use crate::kernel::{Form, Kernel};
use crate::object::ubpf::RelocatedFor;
use crate::relocate::{Access, Action, Edit, Missing, Place, Plan, Unresolved};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// The version of the document; it changes when a member goes away or means something else.
pub(super) const VERSION: u32 = 1;

/// Everything about one relocation.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) object: String,
    pub(super) kernel: KernelReport,
    pub(super) policy: &'static str,
    /// Where the relocated object is; none if it was not asked for, or cannot be had.
    pub(super) output: Option<String>,
    pub(super) status: Status,
    /// Why the object cannot be relocated, unless accesses say it.
    pub(super) error: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) totals: Totals,
    pub(super) accesses: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct KernelReport {
    pub(super) name: String,
    pub(super) release: Option<String>,
    pub(super) form: Form,
}

impl KernelReport {
    /// What the object says of it: the file without its folder, since the same input gives the same object wherever it is.
    pub(super) fn recorded(&self) -> RelocatedFor {
        let file = Path::new(&self.name).file_name().unwrap_or_default();
        RelocatedFor { name: file.to_string_lossy().into_owned(), release: self.release.clone() }
    }

    /// What messages call it: `running (6.12.1)`.
    pub(super) fn title(&self) -> String {
        match &self.release {
            Some(release) => format!("{} ({release})", self.name),
            None => self.name.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It can be relocated; no object was asked for.
    Possible,
    /// The relocated object is written.
    Written,
    /// It cannot be relocated to this kernel.
    Refused,
}

/// How many records there are of each [`Action`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) same: usize,
    pub(super) patched: usize,
    pub(super) resized: usize,
    pub(super) converted: usize,
    pub(super) unreachable: usize,
    pub(super) poisoned: usize,
    pub(super) missing: usize,
}

impl Totals {
    pub(super) fn of(rows: &[Row]) -> Totals {
        let mut totals = Totals::default();
        for row in rows {
            *match row.access.action {
                Action::Same => &mut totals.same,
                Action::Patched => &mut totals.patched,
                Action::Resized => &mut totals.resized,
                Action::Converted => &mut totals.converted,
                Action::Unreachable => &mut totals.unreachable,
                Action::Poisoned => &mut totals.poisoned,
                Action::Missing => &mut totals.missing,
            } += 1;
        }
        totals
    }
}

/// A record: what was asked and done, and why there is no answer.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) access: Access,
    pub(super) reason: Option<Missing>,
}

impl Row {
    /// The rows of a plan that nobody has carried out.
    pub(super) fn of_plan(plan: &Plan) -> Vec<Row> {
        Row::of_result(plan, plan.fixups.iter().map(|fixup| fixup.access.clone()).collect())
    }

    /// The rows of a plan that was carried out.
    pub(super) fn of_result(plan: &Plan, accesses: Vec<Access>) -> Vec<Row> {
        let reasons = plan.fixups.iter().map(|fixup| match &fixup.edit {
            Edit::Missing(missing) => Some(missing.clone()),
            Edit::Replace(_) => None,
        });
        accesses.into_iter().zip(reasons).map(|(access, reason)| Row { access, reason }).collect()
    }

    /// The rows of a plan that cannot be carried out for what is unresolved: all else that is missing cannot run.
    pub(super) fn of_failure(plan: &Plan, unresolved: &[Unresolved]) -> Vec<Row> {
        let place = |access: &Access| {
            (access.section.clone(), access.function.clone(), access.insn, access.kind)
        };
        let runs: BTreeSet<_> = unresolved.iter().map(|one| place(&one.access)).collect();
        let mut rows = Row::of_plan(plan);
        for row in rows.iter_mut().filter(|row| row.reason.is_some()) {
            let run = runs.contains(&place(&row.access));
            row.access.action = if run { Action::Missing } else { Action::Unreachable };
        }
        rows
    }
}

impl Report {
    /// A report without accesses.
    pub(super) fn new(
        object: &str,
        kernel: &Kernel,
        policy: &'static str,
        warnings: Vec<String>,
    ) -> Report {
        let Kernel { name, release, image, .. } = kernel;
        Report {
            version: VERSION,
            object: object.to_owned(),
            kernel: KernelReport {
                name: name.clone(),
                release: release.clone(),
                form: image.form(),
            },
            policy,
            output: None,
            status: Status::Possible,
            error: None,
            warnings,
            totals: Totals::default(),
            accesses: Vec::new(),
        }
    }

    /// Takes over what is known of the accesses.
    pub(super) fn tell(&mut self, rows: Vec<Row>) {
        self.totals = Totals::of(&rows);
        self.accesses = rows;
    }

    /// The object is done, and written if there is a place for it.
    pub(super) fn written(&mut self, output: Option<&Path>) {
        if let Some(output) = output {
            (self.status, self.output) = (Status::Written, Some(output.display().to_string()));
        }
    }

    /// One line on what was done: `out.o: relocated to 6.1.vmlinux: 12 records: 9 patched, 3 unreachable`.
    pub(super) fn summary(&self) -> String {
        let Report { object, output, status, kernel, totals, .. } = self;
        let kernel = clean(&kernel.title()).into_owned();
        let done = match (status, output) {
            (Status::Written, Some(output)) if output == "-" => {
                format!("{}: relocated to {kernel}", clean(object))
            }
            (Status::Written, Some(output)) => format!("{}: relocated to {kernel}", clean(output)),
            (Status::Refused, _) => format!("{}: cannot be relocated to {kernel}", clean(object)),
            (Status::Written | Status::Possible, _) => {
                format!("{}: can be relocated to {kernel}", clean(object))
            }
        };
        let Totals { same, patched, resized, converted, unreachable, poisoned, missing } = *totals;
        let counts = [
            (patched, "patched"),
            (resized, "resized"),
            (converted, "converted"),
            (same, "right already"),
            (unreachable, "unreachable"),
            (poisoned, "poisoned"),
            (missing, "missing"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
        let records = plural(self.accesses.len(), "record");
        match &counts[..] {
            [] => format!("{done}: {records}"),
            counts => format!("{done}: {records}: {}", counts.join(", ")),
        }
    }

    /// A table of the accesses of each source line.
    pub(super) fn table(&self) -> String {
        let mut out = format!("{}\n\n", bold(&self.summary()));
        let same_line = |a: &Row, b: &Row| {
            a.access.function == b.access.function && line(&a.access) == line(&b.access)
        };
        let mut table = Table::new([
            ("question", Align::Left),
            ("local", Align::Left),
            ("target", Align::Left),
            ("offset", Align::Right),
            ("size", Align::Right),
            ("bits", Align::Right),
            ("done", Align::Left),
        ]);
        let mut function = None;
        for rows in self.accesses.chunk_by(same_line) {
            let Some(first) = rows.first().map(|row| &row.access) else { continue };
            if function.replace(&first.function) != Some(&first.function) {
                let section = clean(&first.section);
                table.text(format!("\n{} ({section})", bold(&clean(&first.function))));
            }
            if let Some(at) = &first.at {
                let text = clean(at.text.trim()).into_owned();
                table.text(format!("  ; {text} @ {}:{}", clean(&at.file), at.line));
            }
            for row in rows {
                table.row(cells(&row.access));
            }
        }
        out.push_str(&table.print());
        out
    }
}

fn line(access: &Access) -> Option<(&str, u32)> {
    access.at.as_ref().map(|Place { file, line, .. }| (file.as_str(), *line))
}

fn cells(access: &Access) -> [String; 7] {
    let number = |n: Option<u64>| n.map_or_else(String::new, |n| n.to_string());
    let bits = access.bits.filter(|bits| *bits > 0);
    let offset = access.bit_offset.map_or_else(String::new, |offset| {
        // A bitfield's place is told to the bit.
        let bit = if bits.is_some() { format!(".{}", offset % 8) } else { String::new() };
        format!("{}{bit}", offset / 8)
    });
    let target = access.target.as_deref().map_or_else(String::new, |target| {
        let module = access.module.as_ref().map_or_else(String::new, |m| format!(" [{m}]"));
        format!("{}{module}", short(target))
    });
    [
        access.kind.name().to_owned(),
        short(&access.local).to_owned(),
        target,
        offset,
        number(access.size.map(Into::into)),
        number(bits.map(Into::into)),
        done(access),
    ]
}

/// Without the keyword, which every row would have.
pub(super) fn short(path: &str) -> &str {
    let keywords = ["struct ", "union ", "enum "];
    keywords.iter().find_map(|keyword| path.strip_prefix(keyword)).unwrap_or(path)
}

fn done(access: &Access) -> String {
    let mut out = match access.action {
        Action::Same => "right already",
        Action::Patched => "patched",
        Action::Resized => "resized",
        Action::Converted => "converted",
        Action::Unreachable => "cannot run",
        Action::Poisoned => "poisoned",
        Action::Missing => "missing",
    }
    .to_owned();
    match (access.local_value, access.value) {
        (Some(from), Some(to)) if from != to => {
            let _ = write!(out, " {} → {}", from.cast_signed(), to.cast_signed());
        }
        (_, Some(value)) => {
            let _ = write!(out, " ({})", value.cast_signed());
        }
        (_, None) => {}
    }
    out
}

/// The path as the kernel has it: without the flavor of its root.
pub(super) fn without_flavor(path: &str) -> String {
    let (root, rest) = path.split_at(path.find(['.', '[', ':']).unwrap_or(path.len()));
    format!("{}{rest}", essential(root))
}
