//! Diagnostics on standard error, in the form that the command line asks for.

use super::Exit;
use super::files::Unreadable;
use crate::diag::{self, Code, Diagnostic, Diags};
use crate::source::{Sources, Span};
use clap::ValueEnum;
use std::io::Write;

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatArg {
    /// With the source lines
    Human,
    /// A line each
    Short,
    /// A JSON object a line
    Json,
}

impl FormatArg {
    /// Writes diagnostics. That nobody reads them is no reason to fail.
    pub(super) fn report(self, sources: &Sources, diags: &Diags) {
        let format = match self {
            FormatArg::Human => {
                let choice = anstream::AutoStream::choice(&std::io::stderr());
                diag::Format::Human { colour: choice != anstream::ColorChoice::Never }
            }
            FormatArg::Short => diag::Format::Short,
            FormatArg::Json => diag::Format::Json,
        };
        let _ = std::io::stderr().write_all(diag::render(sources, diags, format).as_bytes());
    }
}

/// Findings about files that are no text.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The files.
    pub(super) sources: Sources,
    /// What is to be said about them.
    pub(super) diags: Diags,
}

impl Findings {
    /// One finding about a file as a whole.
    pub(super) fn about(file: &str, code: Code, message: impl Into<String>) -> Findings {
        let mut findings = Findings::default();
        let span = findings.whole(file);
        findings.diags.push(Diagnostic::new(code, span, message));
        findings
    }

    /// A file as a whole.
    pub(super) fn whole(&mut self, file: &str) -> Span {
        Span::new(self.sources.add_excerpt(file, &[]), 0, 0)
    }
}

/// Why a command ends early, before it is said.
#[derive(Debug)]
pub(super) struct Stop {
    exit: Exit,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Findings(Findings),
    Text(String),
}

impl Stop {
    /// Ends with diagnostics.
    pub(super) fn new(exit: Exit, findings: Findings) -> Stop {
        Stop { exit, why: Why::Findings(findings) }
    }

    /// The status, and the diagnostics; what is only text is said of the file.
    pub(super) fn findings(self, file: &str) -> (Exit, Findings) {
        let findings = match self.why {
            Why::Findings(findings) => findings,
            Why::Text(text) => Findings::about(file, Code::E0609, text),
        };
        (self.exit, findings)
    }

    /// Says why, and gives the exit status.
    pub(super) fn say(self, format: FormatArg) -> Exit {
        match self.why {
            Why::Findings(findings) => format.report(&findings.sources, &findings.diags),
            Why::Text(text) => eprintln!("ubpfc: {text}"),
        }
        self.exit
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Stop {
        Stop { exit: Exit::Usage, why: Why::Text(format!("{error:#}")) }
    }
}

impl From<Unreadable> for Stop {
    fn from((exit, text): Unreadable) -> Stop {
        Stop { exit, why: Why::Text(text) }
    }
}
