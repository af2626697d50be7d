//! Trivia: comments and blank lines by position, for documentation and for a formatter.
//!
//! In: what the lexer skipped, in order. Out: look-ups by byte offset. Invariant: `comments` and `blank_lines` are sorted.

use crate::source::{Sources, Span};

/// How a comment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentKind {
    /// `// …`
    Line,
    /// `/// …`: documents the item or field after it.
    Doc,
    /// `/* … */`
    Block,
    /// `#! …` as the first line.
    Shebang,
}

/// A comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// How it is written.
    pub kind: CommentKind,
    /// Whether it follows something else on its line.
    pub trailing: bool,
    /// With its delimiters, without the line end.
    pub span: Span,
}

/// The comments and blank lines of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trivia {
    /// The comments in order.
    pub comments: Vec<Comment>,
    /// The offsets of the line ends of blank lines, in order; of several in a row, the first.
    pub blank_lines: Vec<u32>,
}

impl Trivia {
    /// The comments that lie in `start..end`.
    pub fn comments_in(&self, start: u32, end: u32) -> &[Comment] {
        let from = self.comments.partition_point(|c| c.span.start < start);
        let to = self.comments.partition_point(|c| c.span.start < end);
        self.comments.get(from..to).unwrap_or(&[])
    }

    /// Whether a blank line lies in `start..end`.
    pub fn blank_line_in(&self, start: u32, end: u32) -> bool {
        let at = self.blank_lines.partition_point(|b| *b < start);
        self.blank_lines.get(at).is_some_and(|b| *b < end)
    }

    /// The text of the `///` lines right before `span`, without the slashes and one space, joined by line ends.
    ///
    /// `None` where there are none, or a blank line, another comment, or code comes between.
    pub fn doc_before(&self, span: Span, sources: &Sources) -> Option<String> {
        let end = self.comments.partition_point(|c| c.span.start < span.start);
        let text = &sources.file(span.file).text;
        let mut next = span.start;
        let mut first = end;
        for (at, comment) in self.comments.iter().enumerate().take(end).rev() {
            let between = text.get(comment.span.end as usize..next as usize).unwrap_or("");
            let lines = between.bytes().filter(|b| *b == b'\n').count();
            if comment.kind != CommentKind::Doc
                || comment.trailing
                || lines != 1
                || !between.trim().is_empty()
            {
                break;
            }
            (first, next) = (at, comment.span.start);
        }
        let docs = self.comments.get(first..end).filter(|docs| !docs.is_empty())?;
        let line = |c: &Comment| {
            let line = sources.text(c.span).trim_start_matches("///").trim_end();
            line.strip_prefix(' ').unwrap_or(line).to_owned()
        };
        Some(docs.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
