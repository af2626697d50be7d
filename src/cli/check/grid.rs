//! What was found, put together for whoever reads it: a status for every program on every kernel, and each reason once, with the kernels and programs that it holds for.

use super::matrix::field_name;
use crate::check::{File, Row};
use crate::cli::Exit;
use crate::cli::messages::Findings;
use crate::cli::relocate::{faults, refused};
use crate::diag::{Code, Diagnostic, Diags};
use crate::kernel::Form;
use crate::relocate::examine::{Absent, Examined};
use crate::relocate::{Fate, Foreign, Refusal};
use crate::source::Sources;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What messages call the kernels that a reason holds for.
const KERNEL: &str = "the kernel";

/// Whether a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It runs, as far as the kernel's types tell.
    Runs,
    /// It is optional, and left out.
    LeftOut,
    /// It does not.
    No,
    /// What is known of the kernel does not tell, or it cannot be read.
    Unknown,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Grid {
    /// The kernels.
    pub(super) rows: Vec<GridRow>,
    /// Why programs do not run.
    pub(super) reasons: Vec<Reason>,
}

/// A kernel.
#[derive(Debug)]
pub(super) struct GridRow {
    pub(super) name: String,
    /// The architecture, as far as the name says it.
    pub(super) arch: String,
    pub(super) release: Option<String>,
    pub(super) form: Option<Form>,
    /// Why it cannot be read.
    pub(super) unread: Option<String>,
    /// Of its modules.
    pub(super) warnings: Vec<String>,
    /// One for each file.
    pub(super) cells: Vec<Cell>,
}

/// A file on a kernel.
#[derive(Debug)]
pub(super) struct Cell {
    /// The status that this alone would end with.
    pub(super) exit: Exit,
    /// One for each program.
    pub(super) programs: Vec<Told>,
}

/// A program on a kernel.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: Status,
    /// What was found; none where nothing could be looked at.
    pub(super) examined: Option<Examined>,
    /// Why it does not run: indices into [`Grid::reasons`].
    pub(super) reasons: Vec<usize>,
}

/// Why programs of a file do not run on some kernels.
#[derive(Debug)]
pub(super) struct Reason {
    /// The file.
    pub(super) file: usize,
    /// What to say, without the kernels.
    pub(super) diagnostic: Diagnostic,
    /// What it points into.
    pub(super) sources: Arc<Sources>,
    /// Where it holds.
    pub(super) kernels: BTreeSet<usize>,
    /// What for.
    pub(super) programs: BTreeSet<usize>,
}

/// What makes reasons one.
type Key = (usize, Code, String, String, (String, u32, u32));

impl Grid {
    /// Puts together what was found. With `strict_kernel`, a program that was compiled against another kernel does not run.
    pub(super) fn new(files: &[File<'_>], rows: Vec<Row>, strict_kernel: bool) -> Grid {
        let mut gather =
            Gather { files, strict_kernel, reasons: Vec::new(), known: BTreeMap::new() };
        let rows = rows.into_iter().enumerate().map(|(kernel, row)| gather.row(kernel, row));
        let rows = rows.collect();
        Grid { rows, reasons: gather.reasons }
    }

    /// Every file on every kernel.
    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }
}

struct Gather<'g, 'o> {
    files: &'g [File<'o>],
    strict_kernel: bool,
    reasons: Vec<Reason>,
    known: BTreeMap<Key, usize>,
}

impl Gather<'_, '_> {
    fn row(&mut self, kernel: usize, row: Row) -> GridRow {
        let mut out = GridRow {
            name: row.name,
            arch: row.arch,
            release: row.release,
            form: None,
            unread: None,
            warnings: Vec::new(),
            cells: Vec::new(),
        };
        match row.result {
            Err(error) => {
                out.unread = Some(error.to_string());
                let unknown =
                    || Told { status: Status::Unknown, examined: None, reasons: Vec::new() };
                let cells = self.files.iter().map(|file| {
                    let programs = file.programs().iter().map(|_| unknown()).collect();
                    Cell { exit: Exit::Usage, programs }
                });
                out.cells = cells.collect();
            }
            Ok(cells) => {
                for (file, cell) in cells.into_iter().enumerate() {
                    out.form = Some(cell.form);
                    match cell.result {
                        Ok(examination) => {
                            out.warnings.extend(examination.warnings);
                            let programs = examination.programs.into_iter().enumerate();
                            let programs = programs.map(|(program, examined)| {
                                self.told((kernel, file, program), cell.form, examined)
                            });
                            let mut programs: Vec<Told> = programs.collect();
                            if let Some(foreign) = &cell.foreign {
                                self.foreign((kernel, file), foreign, &mut programs);
                            }
                            let lost = programs.iter().any(|told| told.status == Status::No);
                            let exit = if lost { Exit::Kernel } else { Exit::Done };
                            out.cells.push(Cell { exit, programs });
                        }
                        Err(refusal) => {
                            let cell = self.refused(kernel, file, cell.form, refusal);
                            out.cells.push(cell);
                        }
                    }
                }
            }
        }
        out.warnings.sort();
        out.warnings.dedup();
        out
    }

    fn told(&mut self, at: (usize, usize, usize), form: Form, examined: Examined) -> Told {
        let Some(file) = self.files.get(at.1) else {
            return Told { status: Status::Unknown, examined: None, reasons: Vec::new() };
        };
        let name = &file.name;
        let findings = match &examined.fate {
            Fate::Runs => None,
            Fate::LeftOut => {
                return Told {
                    status: Status::LeftOut,
                    examined: Some(examined),
                    reasons: Vec::new(),
                };
            }
            Fate::NoEvent(lost) => Some(faults::no_event(name, KERNEL, std::slice::from_ref(lost))),
            Fate::Missing(unresolved) => {
                let findings = faults::missing(name, KERNEL, form, unresolved, file.ubpf());
                Some(with_absent(findings, &examined.absent))
            }
            Fate::Lacks(lacks) => Some(faults::lacks(name, KERNEL, lacks)),
            Fate::Unknown(untold) => Some(faults::untold(name, untold)),
        };
        let status = match &examined.fate {
            Fate::Unknown(_) => Status::Unknown,
            _ if findings.is_some() => Status::No,
            _ => Status::Runs,
        };
        let reasons = findings.map(|findings| self.add(at.0, at.1, &[at.2], findings));
        Told { status, examined: Some(examined), reasons: reasons.unwrap_or_default() }
    }

    /// Programs that may have been compiled against another kernel.
    fn foreign(&mut self, at: (usize, usize), foreign: &Foreign, programs: &mut [Told]) {
        let Some(of) = self.files.get(at.1) else { return };
        for (index, told) in programs.iter_mut().enumerate() {
            let own = of.programs().get(index).map(|about| &about.name);
            let own = foreign.programs.iter().filter(|program| Some(&program.name) == own);
            let foreign = Foreign { programs: own.cloned().collect(), ..foreign.clone() };
            if foreign.programs.is_empty() || told.status == Status::LeftOut {
                continue;
            }
            let findings = faults::foreign(&of.name, KERNEL, &foreign, self.strict_kernel);
            let reasons = self.add(at.0, at.1, &[index], findings);
            told.reasons.extend(reasons);
            if self.strict_kernel {
                told.status = Status::No;
            }
        }
    }

    /// An object that cannot be for a kernel at all.
    fn refused(&mut self, kernel: usize, file: usize, form: Form, refusal: Refusal) -> Cell {
        let Some(of) = self.files.get(file) else {
            return Cell { exit: Exit::Bug, programs: Vec::new() };
        };
        let all: Vec<usize> = (0..of.programs().len()).collect();
        let stop = refused(&of.name, of.ubpf(), KERNEL, form, refusal);
        let (exit, findings) = stop.findings(&of.name);
        let reasons = self.add(kernel, file, &all, findings);
        let told = |_| Told { status: Status::No, examined: None, reasons: reasons.clone() };
        Cell { exit, programs: all.iter().map(told).collect() }
    }

    /// Adds a kernel and programs to the reasons that findings are; gives their indices.
    fn add(
        &mut self,
        kernel: usize,
        file: usize,
        programs: &[usize],
        findings: Findings,
    ) -> Vec<usize> {
        let diagnostics = super::only(&findings);
        let sources = Arc::new(findings.sources);
        let mut indices = Vec::new();
        for mut diagnostic in diagnostics {
            // Numbers and sizes of types are those of one kernel.
            diagnostic.notes.retain(|note| !note.starts_with("tried "));
            let place = sources.line_col(diagnostic.span);
            let place = (sources.file(diagnostic.span.file).name.clone(), place.line, place.col);
            let Diagnostic { code, message, label, .. } = &diagnostic;
            let key = (file, *code, message.clone(), label.clone(), place);
            let next = self.reasons.len();
            let index = *self.known.entry(key).or_insert(next);
            if index == next {
                let sources = Arc::clone(&sources);
                let (kernels, programs) = (BTreeSet::new(), BTreeSet::new());
                self.reasons.push(Reason { file, diagnostic, sources, kernels, programs });
            }
            if let Some(reason) = self.reasons.get_mut(index) {
                reason.kernels.insert(kernel);
                reason.programs.extend(programs);
            }
            indices.push(index);
        }
        indices
    }
}

/// Adds to each finding which alternatives were asked for on the same line before, and why they are not there.
fn with_absent(mut findings: Findings, absent: &[Absent]) -> Findings {
    let mut diags = Diags::new();
    for mut diagnostic in super::only(&findings) {
        let place = findings.sources.line_col(diagnostic.span);
        let file = &findings.sources.file(diagnostic.span.file).name;
        let here = |absent: &&Absent| {
            absent.at.as_ref().is_some_and(|(name, line, col)| {
                name == file && (*line, *col) == (place.line, place.col)
            })
        };
        let told = absent.iter().filter(here).map(|absent| {
            format!("before it, `{}` was asked for: {}", field_name(&absent.local), absent.why)
        });
        // It may have been asked for as several types.
        let mut told: Vec<String> = told.collect();
        told.dedup();
        diagnostic.notes.splice(0..0, told);
        diags.push(diagnostic);
    }
    findings.diags = diags;
    findings
}
