//! Syntax: text → tokens → syntax tree.
//!
//! In: one file's text. Out: its tree, its comments, and diagnostics; always a tree, however broken the text. Invariants:
//! no name is looked up and no other file is read; the tree's depth is bounded, whatever the input; every `Error` node has a
//! diagnostic.
//!
//! [`token`] says what tokens there are, `lexer` decides what depends on context, `parser` runs the grammar in
//! `grammar/ub.lalrpop` and recovers from errors, `build` is what the grammar's productions do.

pub mod ast;
mod build;
mod expected;
mod lexer;
mod literal;
mod nesting;
mod parser;
mod print;
mod token;
mod trivia;
mod types;

pub use print::{print_ast, print_tokens};
pub use token::{Token, TokenKind};
pub use trivia::{Comment, CommentKind, Trivia};

use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Sources, Span};

/// A file as a tree, and what the tree leaves out.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The tree.
    pub file: ast::File,
    /// Comments and blank lines by position.
    pub trivia: Trivia,
}

/// Parses a file.
///
/// Never fails: what cannot be parsed is an `Error` node in the tree and a diagnostic.
pub fn parse(sources: &Sources, file: FileId) -> (Parsed, Diags) {
    let text = &sources.file(file).text;
    let mut lexed = lexer::lex(file, text);
    let mut diags = std::mem::take(&mut lexed.diags);
    let (tree, errors) = parser::parse(file, text, &lexed);
    diags.extend(errors);
    if tree.items.is_empty() && diags.is_empty() {
        diags.push(
            Diagnostic::new(
                Code::E0014,
                Span::new(file, 0, 0),
                "the file declares nothing and has no probe",
            )
            .help("the smallest script is `begin { printf(\"hello\\n\"); }`"),
        );
    }
    (Parsed { file: tree, trivia: lexed.trivia }, diags)
}

/// The tokens of a file, without comments and blanks.
pub fn tokens(sources: &Sources, file: FileId) -> (Vec<Token>, Diags) {
    let lexed = lexer::lex(file, &sources.file(file).text);
    (lexed.tokens, lexed.diags)
}
