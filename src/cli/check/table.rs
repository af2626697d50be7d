//! The table of several files for people: files down, architectures across, and in each cell on how many of the kernels a file runs.
//!
//! In: what was found. Out: text that is at most as wide as a terminal; if the architectures do not fit, all kernels together have the only column.

use super::grid::Grid;
use super::matrix::{Counts, WIDTH, class_name, count, short};
use crate::check::File;
use crate::cli::text::{bold, clean, plural};
use indexmap::IndexSet;
use std::fmt::Write;

/// Names of files are cut after so many characters.
const NAME: usize = 30;

/// The table.
pub(super) fn draw(files: &[File<'_>], grid: &Grid) -> String {
    let archs: IndexSet<&str> = grid.rows.iter().map(|row| row.arch.as_str()).collect();
    let mut columns: Vec<Option<&str>> = archs.into_iter().map(Some).collect();
    let mut lines = lines(files, grid, &columns);
    if lines.iter().any(|line| line.chars().count() > WIDTH) {
        columns = vec![None];
        lines = self::lines(files, grid, &columns);
    }
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let line = if index == 0 { bold(line) } else { line.clone() };
        let _ = writeln!(out, "{line}");
    }
    out.push('\n');
    out.push_str(&legend(&all(files, grid)));
    out
}

/// The head, and a line for each file.
fn lines(files: &[File<'_>], grid: &Grid, columns: &[Option<&str>]) -> Vec<String> {
    let mut rows = Vec::new();
    let mut head = vec![String::new(), "class".to_owned()];
    head.extend(columns.iter().map(|arch| clean(arch.unwrap_or("kernels")).into_owned()));
    rows.push(head);
    for (index, file) in files.iter().enumerate() {
        let class = file.class().map_or("", class_name).to_owned();
        let mut row = vec![short(file).chars().take(NAME).collect(), class];
        row.extend(columns.iter().map(|arch| cell(of(grid, index, *arch))));
        rows.push(row);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len() + 2).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// On how many kernels of an architecture, or of all, a file runs. One that cannot be read is not known.
fn of(grid: &Grid, file: usize, arch: Option<&str>) -> Counts {
    let rows = grid.rows.iter().filter(|row| arch.is_none_or(|arch| row.arch == arch));
    count(rows.filter_map(|row| row.cells.get(file)))
}

fn cell(counts: Counts) -> String {
    let mark = match counts {
        Counts { lost: 0, unknown: 0, .. } => "",
        Counts { lost: 0, .. } => " ?",
        Counts { unknown: 0, .. } => " no",
        _ => " no ?",
    };
    format!("{}/{}{mark}", counts.runs, counts.all())
}

/// Every file on every kernel.
fn all(files: &[File<'_>], grid: &Grid) -> Counts {
    let counts = (0..files.len()).map(|file| of(grid, file, None));
    counts.fold(Counts { runs: 0, lost: 0, unknown: 0 }, |sum, one| Counts {
        runs: sum.runs + one.runs,
        lost: sum.lost + one.lost,
        unknown: sum.unknown + one.unknown,
    })
}

/// What the cells mean.
fn legend(all: &Counts) -> String {
    let mut out = "3/4: all its programs that are not optional run on 3 of 4 kernels".to_owned();
    if all.lost > 0 {
        out.push_str("; no: on some it does not run");
    }
    if all.unknown > 0 {
        out.push_str("; ?: of some that is not known");
    }
    let details = "`--matrix` has every kernel, `-v` every program";
    format!("{out}\n{details}\n\n")
}

/// How many of all cells run.
pub(super) fn total(files: &[File<'_>], grid: &Grid) -> String {
    let counts = all(files, grid);
    let tenths = (counts.runs * 1000).checked_div(counts.all()).unwrap_or(0);
    let mut out = format!(
        "{} on {}: {} of {} run ({}.{} %)",
        plural(files.len(), "file"),
        plural(grid.rows.len(), "kernel"),
        counts.runs,
        counts.all(),
        tenths / 10,
        tenths % 10
    );
    if counts.lost > 0 {
        let does = if counts.lost == 1 { "does" } else { "do" };
        let _ = write!(out, "; {} {does} not", counts.lost);
    }
    if counts.unknown > 0 {
        let _ = write!(out, "; of {} it is not known", counts.unknown);
    }
    out.push('\n');
    out
}
