//! Text for people: tables, headings, and names that come from files.
//!
//! In: cells and names. Out: text whose bold parts are ANSI sequences, which `anstream` takes out where they are not wanted. Nothing that comes from a file reaches a terminal before
//! [`clean`] has seen it.

use std::borrow::Cow;

/// Names longer than this many characters are cut: a name may be as long as a file.
const MAX_NAME: usize = 120;

/// The text without control characters, and not too long.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let long = text.char_indices().nth(MAX_NAME);
    if long.is_none() && !text.contains(char::is_control) {
        return text.into();
    }
    let kept = long.map_or(text, |(end, _)| &text[..end]);
    let mut kept = kept.replace(char::is_control, "?");
    if long.is_some() {
        kept.push('…');
    }
    kept.into()
}

/// In bold.
pub(super) fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

/// `1 program`, `2 programs`
pub(super) fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, with columns as wide as their widest cell. Columns that are empty in every row are left out.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    head: [(&'static str, Align); COLUMNS],
    lines: Vec<Line<COLUMNS>>,
}

#[derive(Debug)]
enum Line<const COLUMNS: usize> {
    Row([String; COLUMNS]),
    Text(String),
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table without rows.
    pub(super) fn new(head: [(&'static str, Align); COLUMNS]) -> Table<COLUMNS> {
        Table { head, lines: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        self.lines.push(Line::Row(cells.map(|cell| clean(&cell).into_owned())));
    }

    /// Adds a line of text between rows, which must be clean.
    pub(super) fn text(&mut self, text: String) {
        self.lines.push(Line::Text(text));
    }

    /// The table with every line indented by two blanks; nothing if there are no rows.
    pub(super) fn print(&self) -> String {
        let Table { head, lines } = self;
        let rows = || {
            lines.iter().filter_map(|line| match line {
                Line::Row(row) => Some(row),
                Line::Text(_) => None,
            })
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let widest = rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
            if widest == 0 { 0 } else { widest.max(head[column].0.len()) }
        });
        let print = |cells: [&str; COLUMNS]| {
            let cells = cells.into_iter().zip(head).zip(widths).filter(|(_, width)| *width > 0);
            let cells = cells.map(|((cell, (_, align)), width)| match align {
                Align::Left => format!("{cell:width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        };
        if rows().next().is_none() {
            return String::new();
        }
        let mut out = format!("{}\n", bold(&print(head.map(|(name, _)| name))));
        for line in lines {
            match line {
                Line::Row(row) => out.push_str(&print(row.each_ref().map(String::as_str))),
                Line::Text(text) => out.push_str(text),
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_text_are_left_out() {
        let mut table =
            Table::new([("name", Align::Left), ("none", Align::Left), ("size", Align::Right)]);
        table.row(["a".into(), String::new(), "1".into()]);
        table.row(["long name".into(), String::new(), "1000".into()]);
        assert_eq!(
            anstream::adapter::strip_str(&table.print()).to_string(),
            "  name       size\n  a             1\n  long name  1000\n"
        );
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(clean("a\x1b[2Jb\n"), "a?[2Jb?");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), MAX_NAME + 1);
        assert_eq!(clean("fine"), "fine");
    }
}
