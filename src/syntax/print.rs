//! Printing tokens and trees, for `--emit` and for tests: the same input, the same text; no spans in trees.

mod ast;
mod sexp;

pub use ast::print_ast;

use super::token::Token;
use crate::source::{FileId, Sources, Span};
use std::fmt::Write;

/// One line for each token: place, kind, text.
pub fn print_tokens(sources: &Sources, file: FileId, tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        let span = Span::new(file, token.start, token.end);
        let at = sources.line_col(span);
        let place = format!("{}:{}", at.line, at.col);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{place:<8}{:<14}{}",
            format!("{:?}", token.kind),
            sources.text(span).escape_debug()
        );
    }
    out
}
