//! Source text: files, byte spans, and lines.
//!
//! In: the text of every file of one compilation. Out: `FileId`s and `Span`s that stay valid for as long as the
//! [`Sources`] lives. Invariant: a span's offsets are byte offsets into the text of its own file, on character
//! boundaries, with `start <= end`.

use std::ops::Range;

/// One file of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file the bytes are in.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl Span {
    /// The bytes `start..end` of `file`.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start, end }
    }

    /// The smallest span that covers both, which must be of one file; otherwise `self`.
    #[must_use]
    pub fn to(self, end: Span) -> Span {
        if self.file != end.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(end.start), end: self.end.max(end.end) }
    }

    /// The empty span at the end of this one: where something is missing.
    #[must_use]
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// The bytes as a range for slicing the file's text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where a file's text came from, which decides what its declarations promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The mirror library embedded in the compiler: its interface is locked.
    Uapi,
    /// A script, or a file it imports.
    User,
}

/// One file: a name to show, and its text.
#[derive(Debug)]
pub struct SourceFile {
    /// The name as the user would write it, such as `examples/runqlat.ub` or `uapi/sched.ub`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
    line_starts: Vec<u32>,
    /// The numbers of the lines, ascending, where only some of the file's lines are in the text.
    excerpt: Option<Vec<u32>>,
}

/// A place in a file as people and editors count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineCol {
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1.
    pub col: u32,
}

/// The largest source file that is accepted, in bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Every file of one compilation.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// An empty set.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a file of at most [`MAX_FILE_BYTES`] bytes.
    ///
    /// # Panics
    /// When the text is longer than 4 GiB, which [`MAX_FILE_BYTES`] rules out for callers that check it.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
        origin: Origin,
    ) -> FileId {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .map(|i| u32::try_from(i).expect("source files are far smaller than 4 GiB"))
            .collect();
        self.push(SourceFile { name: name.into(), text, origin, line_starts, excerpt: None })
    }

    /// Adds a file of which only some lines are known, by ascending number; none of a file that is no text, which diagnostics name and show nothing of. Lines have no line ends.
    pub fn add_excerpt(&mut self, name: impl Into<String>, lines: &[(u32, &str)]) -> FileId {
        let (mut text, mut line_starts) = (String::new(), Vec::new());
        for (_, line) in lines {
            line_starts.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            text.push_str(line);
            text.push('\n');
        }
        let excerpt = Some(lines.iter().map(|(number, _)| *number).collect());
        self.push(SourceFile {
            name: name.into(),
            text,
            origin: Origin::User,
            line_starts,
            excerpt,
        })
    }

    fn push(&mut self, file: SourceFile) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("far fewer than 2^32 files"));
        self.files.push(file);
        id
    }

    /// The file.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().zip(0..).map(|(f, i)| (FileId(i), f))
    }

    /// The text that a span covers.
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(span.range()).unwrap_or("")
    }

    /// Line and column of a span's first byte.
    pub fn line_col(&self, span: Span) -> LineCol {
        self.file(span.file).line_col(span.start)
    }
}

impl SourceFile {
    /// Line and column of a byte offset; both 0 in a file that is no text.
    pub fn line_col(&self, offset: u32) -> LineCol {
        let Some(index) = self.line_index(offset) else { return LineCol { line: 0, col: 0 } };
        let start = self.line_starts.get(index).copied().unwrap_or(0);
        LineCol { line: self.line_number(index), col: offset - start + 1 }
    }

    /// The line of a byte offset, counted from 0 in the text.
    pub fn line_index(&self, offset: u32) -> Option<usize> {
        self.line_starts.partition_point(|s| *s <= offset).checked_sub(1)
    }

    /// The number, from 1, of a line that is counted from 0 in the text.
    pub fn line_number(&self, index: usize) -> u32 {
        match &self.excerpt {
            Some(numbers) => numbers.get(index).copied().unwrap_or(0),
            None => u32::try_from(index + 1).unwrap_or(u32::MAX),
        }
    }

    /// The text of a line, from 1, without its line end; empty past the last one.
    pub fn line(&self, line: u32) -> &str {
        let index = match &self.excerpt {
            Some(numbers) => numbers.binary_search(&line).ok(),
            None => (line as usize).checked_sub(1),
        };
        let bytes = index.and_then(|index| self.line_bytes(index));
        bytes.map_or("", |b| self.text[b].trim_end_matches(['\n', '\r']))
    }

    /// The bytes of a line, from 0, with its line end.
    pub fn line_bytes(&self, index: usize) -> Option<Range<usize>> {
        let start = *self.line_starts.get(index)? as usize;
        let end = self.line_starts.get(index + 1).map_or(self.text.len(), |e| *e as usize);
        Some(start..end)
    }

    /// How many lines there are: one more than there are line ends.
    pub fn line_count(&self) -> u32 {
        u32::try_from(self.line_starts.len()).unwrap_or(u32::MAX)
    }
}
