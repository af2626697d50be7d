//! Diagnostics as text: for people, one line each, or JSON.

use super::{Diagnostic, Diags, Severity};
use crate::source::{FileId, Sources, Span};
use codespan_reporting::diagnostic as cs;
use codespan_reporting::files;
use codespan_reporting::term::{self, termcolor};
use serde::Serialize;
use std::borrow::Cow;
use std::ops::Range;

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With the source lines, in colour where `colour` is set.
    Human {
        /// Whether to write ANSI colours.
        colour: bool,
    },
    /// `file:line:column: error[E0301]: message`, a line each.
    Short,
    /// One JSON object a line.
    Json,
}

/// Writes every diagnostic, sorted by place.
pub fn render(sources: &Sources, diags: &Diags, format: Format) -> String {
    let mut out = String::new();
    for diagnostic in diags.sorted() {
        match format {
            Format::Human { colour } => human(&mut out, sources, diagnostic, colour),
            Format::Short => short(&mut out, sources, diagnostic),
            Format::Json => json(&mut out, sources, diagnostic),
        }
    }
    out
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn short(out: &mut String, sources: &Sources, d: &Diagnostic) {
    let at = sources.line_col(d.span);
    let name = &sources.file(d.span.file).name;
    let code = d.code.as_str();
    let severity = severity_name(d.severity);
    let label = if d.label.is_empty() { String::new() } else { format!(" ({})", d.label) };
    let message = &d.message;
    let at = if at.line == 0 { String::new() } else { format!(":{}:{}", at.line, at.col) };
    out.extend([format!("{name}{at}: {severity}[{code}]: {message}{label}\n")]);
}

/// Lines longer than this are cut around the culprit, so that a 10 MB line does not become a 10 MB message.
const MAX_LINE: usize = 400;

fn human(out: &mut String, sources: &Sources, d: &Diagnostic, colour: bool) {
    let severity = match d.severity {
        Severity::Error => cs::Severity::Error,
        Severity::Warning => cs::Severity::Warning,
    };
    let long = |span: Span| {
        let file = sources.file(span.file);
        (file.line_col(span.start).line..=file.line_col(span.end).line)
            .any(|l| file.line(l).len() > MAX_LINE)
    };
    let mut notes = d.notes.clone();
    let mut labels = Vec::new();
    if sources.line_col(d.span).line == 0 {
        notes.splice(0..0, (!d.label.is_empty()).then(|| d.label.clone()));
    } else if long(d.span) {
        let at = sources.line_col(d.span);
        notes.insert(0, format!("at {}:{}:{}", sources.file(d.span.file).name, at.line, at.col));
        if !d.label.is_empty() {
            notes.insert(1, d.label.clone());
        }
    } else {
        labels.push(cs::Label::primary(d.span.file, d.span.range()).with_message(&d.label));
        let near = d.secondary.iter().filter(|l| !long(l.span));
        labels.extend(
            near.map(|l| cs::Label::secondary(l.span.file, l.span.range()).with_message(&l.text)),
        );
    }
    notes.extend(d.help.iter().map(|h| format!("help: {h}")));
    notes.extend(d.fixes.iter().map(|f| format!("fix: {}", f.title)));
    let diagnostic = cs::Diagnostic::new(severity)
        .with_code(d.code.as_str())
        .with_message(&d.message)
        .with_labels(labels)
        .with_notes(notes);
    let config = term::Config::default();
    let mut buffer = if colour { termcolor::Buffer::ansi() } else { termcolor::Buffer::no_color() };
    match term::emit_to_write_style(&mut buffer, &config, &Files(sources), &diagnostic) {
        Ok(()) => out.push_str(&String::from_utf8_lossy(buffer.as_slice())),
        Err(_) => short(out, sources, d),
    }
}

/// The sources as codespan-reporting reads them.
struct Files<'a>(&'a Sources);

impl<'a> files::Files<'a> for Files<'a> {
    type FileId = FileId;
    type Name = &'a str;
    type Source = Cow<'a, str>;

    fn name(&'a self, id: FileId) -> Result<&'a str, files::Error> {
        Ok(&self.0.file(id).name)
    }

    fn source(&'a self, id: FileId) -> Result<Cow<'a, str>, files::Error> {
        Ok(printable(&self.0.file(id).text))
    }

    fn line_index(&'a self, id: FileId, byte: usize) -> Result<usize, files::Error> {
        let offset = u32::try_from(byte).unwrap_or(u32::MAX);
        self.0.file(id).line_index(offset).ok_or(files::Error::FileMissing)
    }

    fn line_number(&'a self, id: FileId, index: usize) -> Result<usize, files::Error> {
        Ok(self.0.file(id).line_number(index) as usize)
    }

    fn line_range(&'a self, id: FileId, index: usize) -> Result<Range<usize>, files::Error> {
        let file = self.0.file(id);
        file.line_bytes(index)
            .ok_or(files::Error::LineTooLarge { given: index, max: file.line_count() as usize })
    }
}

/// The text with `?` for every control character, byte for byte: a script must not be able to steer a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.contains(steers) { text.replace(steers, "?").into() } else { text.into() }
}

#[derive(Serialize)]
struct JsonPlace<'a> {
    file: &'a str,
    start: u32,
    end: u32,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    text: &'a str,
}

#[derive(Serialize)]
struct JsonFix<'a> {
    title: &'a str,
    edits: Vec<JsonPlace<'a>>,
}

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    primary: JsonPlace<'a>,
    secondary: Vec<JsonPlace<'a>>,
    notes: &'a [String],
    help: Option<&'a str>,
    fixes: Vec<JsonFix<'a>>,
}

fn json(out: &mut String, sources: &Sources, d: &Diagnostic) {
    let place = |span: Span, text| {
        let file = sources.file(span.file);
        let (from, to) = (file.line_col(span.start), file.line_col(span.end));
        JsonPlace {
            file: &file.name,
            start: span.start,
            end: span.end,
            line: from.line,
            column: from.col,
            end_line: to.line,
            end_column: to.col,
            text,
        }
    };
    let value = JsonDiagnostic {
        code: d.code.as_str(),
        severity: severity_name(d.severity),
        message: &d.message,
        primary: place(d.span, &d.label),
        secondary: d.secondary.iter().map(|l| place(l.span, &l.text)).collect(),
        notes: &d.notes,
        help: d.help.as_deref(),
        fixes: d
            .fixes
            .iter()
            .map(|f| JsonFix {
                title: &f.title,
                edits: f.edits.iter().map(|(s, t)| place(*s, t)).collect(),
            })
            .collect(),
    };
    out.push_str(&serde_json::to_string(&value).unwrap_or_default());
    out.push('\n');
}
