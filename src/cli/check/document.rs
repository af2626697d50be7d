//! The JSON document of `check --json`; `docs/commands.md` describes it.

use super::grid::{Grid, Status};
use super::matrix::{Counts, on};
use crate::check::File;
use crate::kernel::Form;
use crate::object::ubpf::Class;
use crate::relocate::choose::{Taken, TriedEvent};
use crate::relocate::examine::{About, Absent, Read, Size};
use serde::Serialize;

/// The version of the document; it changes when a member goes away or means something else.
const VERSION: u32 = 1;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Document<'g> {
    version: u32,
    files: Vec<FileDocument<'g>>,
    kernels: Vec<KernelDocument<'g>>,
    results: Vec<ResultDocument<'g>>,
    reasons: Vec<ReasonDocument<'g>>,
}

#[derive(Debug, Serialize)]
struct FileDocument<'g> {
    name: &'g str,
    class: Option<Class>,
    runs_on: usize,
    does_not_run_on: usize,
    unknown_on: usize,
    programs: &'g [About],
}

#[derive(Debug, Serialize)]
struct KernelDocument<'g> {
    name: &'g str,
    release: Option<&'g str>,
    form: Option<Form>,
    error: Option<&'g str>,
    warnings: &'g [String],
}

#[derive(Debug, Serialize)]
struct ResultDocument<'g> {
    kernel: usize,
    file: usize,
    program: usize,
    status: Status,
    taken: Option<&'g Taken>,
    tried: &'g [TriedEvent],
    reads: &'g [Read],
    absent: &'g [Absent],
    size: Option<Size>,
    reasons: &'g [usize],
}

#[derive(Debug, Serialize)]
struct ReasonDocument<'g> {
    file: usize,
    code: &'static str,
    message: &'g str,
    label: &'g str,
    notes: &'g [String],
    help: Option<&'g str>,
    at: Option<AtDocument<'g>>,
    kernels: Vec<usize>,
    programs: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct AtDocument<'g> {
    file: &'g str,
    line: u32,
    col: u32,
    text: &'g str,
}

/// What was found, as a document.
pub(super) fn document<'g>(files: &'g [File<'_>], grid: &'g Grid) -> Document<'g> {
    let file = |(index, file): (usize, &'g File<'_>)| {
        let Counts { runs, lost, unknown } = on(grid, index);
        FileDocument {
            name: &file.name,
            class: file.class(),
            runs_on: runs,
            does_not_run_on: lost,
            unknown_on: unknown,
            programs: file.programs(),
        }
    };
    let kernels = grid.rows.iter().map(|row| KernelDocument {
        name: &row.name,
        release: row.release.as_deref(),
        form: row.form,
        error: row.unread.as_deref(),
        warnings: &row.warnings,
    });
    let mut results = Vec::new();
    for (kernel, row) in grid.rows.iter().enumerate() {
        for (file, cell) in row.cells.iter().enumerate() {
            for (program, told) in cell.programs.iter().enumerate() {
                let examined = told.examined.as_ref();
                results.push(ResultDocument {
                    kernel,
                    file,
                    program,
                    status: told.status,
                    taken: examined.and_then(|examined| examined.taken.as_ref()),
                    tried: examined.map_or(&[], |examined| &examined.tried),
                    reads: examined.map_or(&[], |examined| &examined.reads),
                    absent: examined.map_or(&[], |examined| &examined.absent),
                    size: examined.and_then(|examined| examined.size),
                    reasons: &told.reasons,
                });
            }
        }
    }
    let reasons = grid.reasons.iter().map(|reason| {
        let diagnostic = &reason.diagnostic;
        let place = reason.sources.line_col(diagnostic.span);
        let source = reason.sources.file(diagnostic.span.file);
        let at = AtDocument {
            file: &source.name,
            line: place.line,
            col: place.col,
            text: source.line(place.line),
        };
        ReasonDocument {
            file: reason.file,
            code: diagnostic.code.as_str(),
            message: &diagnostic.message,
            label: &diagnostic.label,
            notes: &diagnostic.notes,
            help: diagnostic.help.as_deref(),
            at: (place.line > 0).then_some(at),
            kernels: reason.kernels.iter().copied().collect(),
            programs: reason.programs.iter().copied().collect(),
        }
    });
    Document {
        version: VERSION,
        files: files.iter().enumerate().map(file).collect(),
        kernels: kernels.collect(),
        results,
        reasons: reasons.collect(),
    }
}
