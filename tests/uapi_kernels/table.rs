//! Tables of what kernels have, checked in: a line for each thing, its columns between tabs.
//!
//! With `UBPFC_WRITE_TABLES` in the environment, and all kernels at hand, a test writes its table; else it compares what the table says of the kernels that are at hand.

use super::support::package;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A table in `testdata/library`.
pub(crate) struct Table {
    path: PathBuf,
    /// The lines at its head, which begin with `#`.
    pub(crate) head: Vec<String>,
    /// The columns behind the first, by the first.
    pub(crate) rows: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// The one of that name; empty if there is none.
    pub(crate) fn read(name: &str) -> Table {
        let path = package("testdata/library").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let (head, rows): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        let row = |line: &str| {
            let mut columns = line.split('\t').map(str::to_owned);
            (columns.next().unwrap(), columns.collect())
        };
        Table {
            path,
            head: head.into_iter().map(str::to_owned).collect(),
            rows: rows.into_iter().map(row).collect(),
        }
    }

    /// Whether it is to be written.
    pub(crate) fn is_to_be_written() -> bool {
        std::env::var_os("UBPFC_WRITE_TABLES").is_some()
    }

    /// Writes it.
    pub(crate) fn write(&self) {
        let mut text = String::new();
        for line in &self.head {
            text.push_str(line);
            text.push('\n');
        }
        for (first, others) in &self.rows {
            text.push_str(&[std::slice::from_ref(first), &others[..]].concat().join("\t"));
            text.push('\n');
        }
        std::fs::write(&self.path, text).unwrap();
    }
}
