//! Diagnostics: what is wrong, where, why, and how to mend it.
//!
//! In: findings of every stage. Out: one value, free of any terminal, that the command line renders (as text, one line, or
//! JSON) and an editor can show. Invariant: every diagnostic has a stable code from [`codes`], whose first digits say
//! which stage it belongs to.

mod codes;
mod render;

pub use codes::Code;
pub use render::{Format, render};

use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The input is refused.
    Error,
    /// The input is accepted, and probably not what was meant.
    Warning,
}

/// A remark at another place than the culprit, such as a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What to say there.
    pub text: String,
}

/// A change of the source that mends the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an imperative: "write `args.p`".
    pub title: String,
    /// Replacements that do not overlap.
    pub edits: Vec<(Span, String)>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, lower case, without a full stop.
    pub message: String,
    /// The smallest culprit.
    pub span: Span,
    /// What to say at the culprit: expected and found. May be empty.
    pub label: String,
    /// Remarks at other places.
    pub secondary: Vec<Label>,
    /// Why the rule exists, or what else there is to know.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Changes that mend it.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// An error or warning, as the code says, at `span`.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            span,
            label: String::new(),
            secondary: Vec::new(),
            notes: Vec::new(),
            help: None,
            fixes: Vec::new(),
        }
    }

    /// Says what was expected and found, at the culprit.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.label = text.into();
        self
    }

    /// Adds a remark at another place.
    #[must_use]
    pub fn secondary(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Adds why, or what else there is to know.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Adds a change that mends it by writing `text` in place of what is at `span`.
    #[must_use]
    pub fn write(self, span: Span, text: impl Into<String>) -> Diagnostic {
        let text = text.into();
        self.fix(format!("write `{text}`"), span, text)
    }

    /// Adds a change that mends it.
    #[must_use]
    pub fn fix(
        mut self,
        title: impl Into<String>,
        span: Span,
        text: impl Into<String>,
    ) -> Diagnostic {
        self.fixes.push(Fix { title: title.into(), edits: vec![(span, text.into())] });
        self
    }
}

/// Texts longer than this, in bytes, are cut: they quote names, and a name may be as long as a file.
const MAX_TEXT: usize = 600;

impl Diagnostic {
    fn clip(&mut self) {
        self.fixes.retain(|fix| fix.title.len() <= MAX_TEXT);
        let labels = self.secondary.iter_mut().map(|l| &mut l.text);
        let texts = [&mut self.message, &mut self.label]
            .into_iter()
            .chain(&mut self.notes)
            .chain(&mut self.help);
        for text in texts.chain(labels).filter(|text| text.len() > MAX_TEXT) {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text.push('…');
        }
    }
}

/// The findings of one or more stages, in the order they were made.
#[derive(Clone, Debug, Default)]
pub struct Diags {
    list: Vec<Diagnostic>,
}

/// How many diagnostics are kept; more are of no use to anybody.
const MAX_DIAGNOSTICS: usize = 100;

impl Diags {
    /// None yet.
    pub fn new() -> Diags {
        Diags::default()
    }

    /// Adds one, unless it repeats another or there are too many already.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.clip();
        let repeats = |d: &Diagnostic| d.span == diagnostic.span && d.code == diagnostic.code;
        if self.list.len() < MAX_DIAGNOSTICS && !self.list.iter().any(repeats) {
            self.list.push(diagnostic);
        }
    }

    /// Drops all of a code.
    pub fn forget(&mut self, code: Code) {
        self.list.retain(|d| d.code != code);
    }

    /// Adds all of another stage's.
    pub fn extend(&mut self, other: Diags) {
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether any of them has that code.
    pub fn contain(&self, code: Code) -> bool {
        self.list.iter().any(|d| d.code == code)
    }

    /// Whether more would not be kept, so that nobody need look for what to say.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_DIAGNOSTICS
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them by place in the source.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.list.iter().collect();
        all.sort_by_key(|d| (d.span, d.severity, d.code));
        all
    }
}
