//! What relocation did: the JSON document of `relocate --json`, and the table for people. `docs/commands.md` describes the document.

use crate::btf::essential;
use crate::cli::text::{Align, Table, bold, clean, plural};
use crate::kernel::{Form, Kernel};
use crate::relocate::choose::{BoundArg, Chosen, Lost, Taken, TriedEvent};
use crate::relocate::{Access, Action, Answer, ApplyError, Foreign, Lack, Place, Refusal, Told};
use serde::Serialize;
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
    /// Helpers and kinds of maps that the object uses and the kernel has not.
    pub(super) lacks: Vec<Lack>,
    /// Numbers whose size is another in the kernel, and is not asked for.
    #[serde(skip)]
    pub(super) sizes: Vec<Access>,
    /// Programs that may not have been compiled against this kernel.
    #[serde(skip)]
    pub(super) foreign: Option<Foreign>,
    pub(super) programs: Vec<ProgramReport>,
    pub(super) totals: Totals,
    pub(super) accesses: Vec<Answer>,
}

#[derive(Debug, Serialize)]
pub(super) struct KernelReport {
    pub(super) name: String,
    pub(super) release: Option<String>,
    pub(super) form: Form,
}

impl KernelReport {
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
    pub(super) fn of(rows: &[Answer]) -> Totals {
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

/// What became of a program of ubpfc's at a kernel's event.
#[derive(Debug, Serialize)]
pub(super) struct ProgramReport {
    pub(super) name: String,
    pub(super) status: ProgramStatus,
    /// Where it was taken.
    pub(super) event: Option<String>,
    pub(super) section: Option<String>,
    /// Whether the kernel tells that it has the event, with these arguments.
    pub(super) certain: bool,
    pub(super) args: Vec<BoundArg>,
    pub(super) tried: Vec<TriedEvent>,
    pub(super) near: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProgramStatus {
    /// It is in the object.
    Taken,
    /// It is optional, and the kernel has no event for it.
    LeftOut,
    /// The kernel has no event for it.
    NoEvent,
}

impl ProgramReport {
    fn chosen(Chosen { name, taken, tried, .. }: Chosen) -> ProgramReport {
        let status = if taken.is_some() { ProgramStatus::Taken } else { ProgramStatus::LeftOut };
        let certain = taken.as_ref().is_none_or(|taken| taken.certain);
        let (event, section, args) = match taken {
            Some(Taken { event, section, args, .. }) => (Some(event), Some(section), args),
            None => (None, None, Vec::new()),
        };
        ProgramReport { name, status, event, section, certain, args, tried, near: Vec::new() }
    }

    fn lost(lost: &Lost) -> ProgramReport {
        let Lost { name, tried, near, .. } = lost.clone();
        let (event, section, args) = (None, None, Vec::new());
        let status = ProgramStatus::NoEvent;
        ProgramReport { name, status, event, section, certain: true, args, tried, near }
    }

    /// The cells of its row: name, section, arguments with their places, and what else there is to say.
    fn cells(&self) -> [String; 4] {
        let args = self.args.iter().map(|BoundArg { name, index }| match index {
            Some(index) => format!("{name} {index}"),
            None => format!("{name} lacks"),
        });
        let remark = match self.status {
            ProgramStatus::Taken if self.certain => "",
            ProgramStatus::Taken => "not certain: the kernel does not tell of it",
            ProgramStatus::LeftOut => "left out",
            ProgramStatus::NoEvent => "missing",
        };
        let section = self.section.clone().unwrap_or_default();
        [self.name.clone(), section, args.collect::<Vec<_>>().join(", "), remark.to_owned()]
    }
}

impl Report {
    /// A report of what there is to tell.
    pub(super) fn new(object: &str, kernel: &Kernel, policy: &'static str, told: Told) -> Report {
        let Told { warnings, lacks, sizes, foreign, programs, answers } = told;
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
            lacks,
            sizes,
            foreign,
            programs: programs.into_iter().map(ProgramReport::chosen).collect(),
            totals: Totals::of(&answers),
            accesses: answers,
        }
    }

    /// The object cannot be relocated.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.status = Status::Refused;
        match refusal {
            Refusal::Events(error) => {
                self.programs = error.programs.iter().map(ProgramReport::lost).collect();
            }
            // The accesses say it.
            Refusal::Apply { error: ApplyError::Missing(_), .. } => return,
            _ => {}
        }
        self.error = Some(refusal.to_string());
    }

    /// The object depends on another kernel, and that is not allowed.
    pub(super) fn refuse_foreign(&mut self) {
        self.status = Status::Refused;
        self.error = Some("it depends on the kernel that it was compiled against".into());
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
            (unreachable, "cannot run"),
            (poisoned, "poisoned"),
            (missing, "missing"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
        let records = plural(self.accesses.len(), "record");
        let programs = self.doubts();
        match &counts[..] {
            [] => format!("{done}: {records}{programs}"),
            counts => format!("{done}: {records}: {}{programs}", counts.join(", ")),
        }
    }

    /// `; left out: a; not certain: b`: programs that are not as the script has them, as far as is known.
    fn doubts(&self) -> String {
        let told = |what: &str, is: fn(&ProgramReport) -> bool| {
            let names = self.programs.iter().filter(|program| is(program));
            let names: Vec<_> = names.map(|program| clean(&program.name)).collect();
            if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
        };
        told("left out", |program| program.status == ProgramStatus::LeftOut)
            + &told("not certain", |program| !program.certain)
    }

    /// A table of the accesses of each source line.
    pub(super) fn table(&self) -> String {
        let mut out = format!("{}\n\n", bold(&self.summary()));
        let mut programs = Table::new([
            ("program", Align::Left),
            ("section", Align::Left),
            ("arguments", Align::Left),
            ("", Align::Left),
        ]);
        for program in &self.programs {
            programs.row(program.cells());
            for tried in &program.tried {
                let (event, why) = (tried.called(), &tried.why);
                programs.text(format!("    not {}: {}", clean(&event), clean(why)));
            }
        }
        out.push_str(&programs.print());
        if !(self.programs.is_empty() || self.accesses.is_empty()) {
            out.push('\n');
        }
        let same_line = |a: &Answer, b: &Answer| {
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
pub(in crate::cli) fn without_flavor(path: &str) -> String {
    let (root, rest) = path.split_at(path.find(['.', '[', ':']).unwrap_or(path.len()));
    format!("{}{rest}", essential(root))
}
