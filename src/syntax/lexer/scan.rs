//! The scanner: text → tokens as logos sees them, less trivia, with literals checked.
//!
//! In: a file's text. Out: one token after the other, and on the side trivia and diagnostics. It can look ahead, and go on
//! reading at another place, since probe specs are not made of these tokens.

use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Span};
use crate::syntax::literal::{self, NumberError};
use crate::syntax::token::{Token, TokenKind as T};
use crate::syntax::trivia::{Comment, CommentKind, Trivia};
use logos::Logos;
use rustc_hash::FxHashSet;
use std::ops::Range;

/// Reads a file token by token.
pub(super) struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    raw: logos::Lexer<'a, T>,
    /// Comments and blank lines so far.
    pub(super) trivia: Trivia,
    /// What was reported so far.
    pub(super) diags: Diags,
    /// Where tokens are not what was meant: text was left out, or brackets put in. In no order.
    pub(super) faults: Vec<u32>,
    /// Whether the file ends in a comment that is never closed.
    pub(super) ended_in_comment: bool,
    /// Where the last string or character that is never closed was taken to end.
    pub(super) unclosed_literal: Option<u32>,
    /// Whether a token or comment stands on the current line.
    line_used: bool,
    /// Line ends since the last token or comment.
    newlines: u32,
}

/// A byte offset; files are far smaller than 4 GiB.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> Scanner<'a> {
    pub(super) fn new(file: FileId, text: &'a str) -> Scanner<'a> {
        let mut scanner = Scanner {
            file,
            text,
            raw: T::lexer(text),
            trivia: Trivia::default(),
            diags: Diags::new(),
            faults: Vec::new(),
            ended_in_comment: false,
            unclosed_literal: None,
            line_used: false,
            newlines: 1,
        };
        scanner.skip_prologue();
        scanner
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// A byte order mark, and `#!` on the first line.
    fn skip_prologue(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.raw.bump('\u{feff}'.len_utf8());
        }
        if self.raw.remainder().starts_with("#!") {
            let start = self.raw.span().end;
            let len = self.raw.remainder().find('\n').unwrap_or(self.raw.remainder().len());
            self.raw.bump(len);
            self.comment(CommentKind::Shebang, start..start + len);
        }
    }

    /// The next token that is not trivia; literals have been checked.
    pub(super) fn next_token(&mut self) -> Option<Token> {
        loop {
            let kind = self.raw.next()?;
            let range = self.raw.span();
            match kind {
                Ok(T::Newline) => self.newline(range.start),
                Ok(T::LineComment) => {
                    let text = self.raw.slice();
                    let doc = text.starts_with("///") && !text.starts_with("////");
                    self.comment(if doc { CommentKind::Doc } else { CommentKind::Line }, range);
                }
                Ok(T::BlockComment) => {
                    if !skip_block_comment(&mut self.raw) {
                        let open = self.range_span(range.clone());
                        self.fault(
                            Diagnostic::new(Code::E0004, open, "this comment is never closed")
                                .label("expected `*/`"),
                        );
                        self.ended_in_comment = true;
                    }
                    self.comment(CommentKind::Block, range.start..self.raw.span().end);
                }
                Ok(T::Directive) => {
                    let span = self.range_span(range);
                    self.fault(
                        Diagnostic::new(Code::E0002, span, "there is no preprocessor here")
                            .help("kernel structs come from mirrors: `import \"task\";`"),
                    );
                }
                Err(()) => self.stray(range),
                Ok(kind) => {
                    self.line_used = true;
                    self.newlines = 0;
                    let token = Token { kind, start: offset(range.start), end: offset(range.end) };
                    return Some(self.check_literal(token));
                }
            }
        }
    }

    fn newline(&mut self, at: usize) {
        self.line_used = false;
        self.newlines += 1;
        if self.newlines == 2 {
            self.trivia.blank_lines.push(offset(at));
        }
    }

    fn comment(&mut self, kind: CommentKind, range: Range<usize>) {
        let comment = Comment { kind, trailing: self.line_used, span: self.range_span(range) };
        self.trivia.comments.push(comment);
        self.line_used = true;
        self.newlines = 0;
    }

    /// Characters that start no token: reported once for all that stand together.
    fn stray(&mut self, mut range: Range<usize>) {
        loop {
            let mut ahead = self.raw.clone();
            if !matches!(ahead.next(), Some(Err(()))) || ahead.span().start != range.end {
                break;
            }
            range.end = ahead.span().end;
            self.raw = ahead;
        }
        let span = self.range_span(range.clone());
        let text = self.text.get(range).unwrap_or("");
        let message = match text.chars().next() {
            Some('\0') => "a NUL byte cannot be part of a script".to_owned(),
            Some(c) if text.chars().count() == 1 => {
                format!("the character `{}` means nothing here", c.escape_debug())
            }
            _ => "these characters mean nothing here".to_owned(),
        };
        self.fault(Diagnostic::new(Code::E0002, span, message));
    }

    /// Reports what is wrong with a literal, and takes an unclosed one for a closed one.
    fn check_literal(&mut self, token: Token) -> Token {
        let span = self.span(token);
        let text = self.slice(token);
        match token.kind {
            T::Number => match literal::number(text) {
                Ok(_) => {}
                Err(NumberError::TooLarge) => self.report(
                    Diagnostic::new(Code::E0005, span, "the number is too large")
                        .label("expected a value below 2^64"),
                ),
                Err(NumberError::Malformed) => self.report(
                    Diagnostic::new(
                        Code::E0005,
                        span,
                        format!("`{}` is not a number", crate::syntax::expected::shown(text)),
                    )
                    .help(
                        "numbers are written `42`, `0x2a`, `1_000`, `1e6`, and times `100ms`, `5s`",
                    ),
                ),
            },
            T::OpenStr => return self.unclosed_literal(token, T::Str, "string", '"'),
            T::OpenChar => return self.unclosed_literal(token, T::Char, "character", '\''),
            T::Str => {
                if let Err(bad) = literal::string(text) {
                    let (start, end) =
                        (token.start + offset(bad.start), token.start + offset(bad.end));
                    let span = Span::new(self.file, start, end);
                    let message = format!(
                        "there is no escape `{}`",
                        self.text.get(span.range()).unwrap_or("")
                    );
                    self.report(Diagnostic::new(Code::E0006, span, message));
                }
            }
            T::Char if literal::character(text).is_none() => self.report(
                Diagnostic::new(Code::E0006, span, "a character literal holds one ASCII character")
                    .help("text is written between double quotes"),
            ),
            _ => {}
        }
        token
    }

    /// Reports a literal that runs to the end of its line, and ends it before what closes the statement: `print("a);`.
    fn unclosed_literal(&mut self, token: Token, kind: T, what: &str, quote: char) -> Token {
        let text = self.slice(token).trim_end_matches([')', ']', '}', ';', ',', ' ', '\t', '\r']);
        let end = token.start + offset(text.len());
        self.rewind(end);
        self.unclosed_literal = Some(end);
        let token = Token { kind, end, ..token };
        let span = self.span(token);
        self.fault(
            Diagnostic::new(Code::E0003, span, format!("this {what} is never closed"))
                .label(format!("expected `{quote}`"))
                .fix(format!("write `{quote}`"), span.after(), quote.to_string()),
        );
        token
    }

    /// Goes on reading at `at`.
    pub(super) fn rewind(&mut self, at: u32) {
        self.raw = T::lexer(self.text);
        self.raw.bump(at as usize);
    }

    /// The kind of the next token.
    pub(super) fn peek(&self) -> Option<T> {
        next_significant(&mut self.raw.clone())
    }

    /// Whether `NAME {` or `NAME mirrors` comes next.
    pub(super) fn declares_type(&self) -> bool {
        let mut ahead = self.raw.clone();
        next_significant(&mut ahead) == Some(T::Ident) && opens_declaration(&mut ahead)
    }

    pub(super) fn byte_at(&self, at: u32) -> Option<u8> {
        self.text.as_bytes().get(at as usize).copied()
    }

    pub(super) fn slice(&self, token: Token) -> &'a str {
        self.text.get(token.start as usize..token.end as usize).unwrap_or("")
    }

    pub(super) fn span(&self, token: Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    fn range_span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, offset(range.start), offset(range.end))
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diags.push(diagnostic);
    }

    /// Reports what makes the tokens differ from what was meant.
    pub(super) fn fault(&mut self, diagnostic: Diagnostic) {
        self.faults.push(diagnostic.span.start);
        self.report(diagnostic);
    }
}

/// Goes past the `*/` that ends a comment, or to the end of the text; says whether there was one.
fn skip_block_comment(raw: &mut logos::Lexer<'_, T>) -> bool {
    let rest = raw.remainder();
    let end = rest.find("*/");
    raw.bump(end.map_or(rest.len(), |at| at + 2));
    end.is_some()
}

/// The next token that is neither trivia nor stray.
fn next_significant(raw: &mut logos::Lexer<'_, T>) -> Option<T> {
    loop {
        match raw.next()? {
            Ok(T::Newline | T::LineComment) | Err(()) => {}
            Ok(T::BlockComment) => {
                skip_block_comment(raw);
            }
            Ok(kind) => return Some(kind),
        }
    }
}

/// Whether what comes after a struct's name makes it a declaration.
fn opens_declaration(raw: &mut logos::Lexer<'_, T>) -> bool {
    let next = next_significant(raw);
    next == Some(T::LBrace) || (next == Some(T::Ident) && raw.slice() == "mirrors")
}

/// The names of the structs, unions and enums that a text declares.
pub(super) fn declared_types(text: &str) -> FxHashSet<&str> {
    let mut declared = FxHashSet::default();
    let mut raw = T::lexer(text);
    while let Some(kind) = next_significant(&mut raw) {
        if !matches!(kind, T::Struct | T::Union | T::Enum) {
            continue;
        }
        let mut ahead = raw.clone();
        if next_significant(&mut ahead) == Some(T::Ident) {
            let name = ahead.slice();
            if opens_declaration(&mut ahead) {
                declared.insert(name);
            }
        }
    }
    declared
}
