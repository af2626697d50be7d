//! The parser: tokens → tree, item by item, through the LALRPOP grammar, with recovery.
//!
//! In: the tokens of a file, brackets balanced. Out: the tree and diagnostics. No LALRPOP type leaves this module.
//!
//! Recovery is by replacement. Where an item cannot be parsed, the error is reported, the smallest statement, field or
//! enumerator around it is replaced by one `error` token, and the item is parsed again; where nothing smaller is left, the
//! item becomes an `Error`. LALRPOP's own recovery drops tokens until *any* open production accepts one, which loses track of
//! nested blocks; here the balanced brackets say where a statement ends.

use super::ast::{File, Item, ItemKind};
use super::build::{Build, Loc};
use super::expected;
use super::lexer::Lexed;
use super::nesting::brace_in_expr;
use super::token::{Token, TokenKind as T};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Span};
use lalrpop_util::ParseError;
use std::borrow::Cow;
use std::ops::Range;

lalrpop_util::lalrpop_mod!(
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        clippy::unwrap_used,
        missing_docs,
        missing_debug_implementations,
        unreachable_pub,
        unused,
        reason = "generated from grammar/ub.lalrpop"
    )]
    ub
);

/// How much work errors may make, in tokens, before the rest of a file is left for the next run.
const MAX_WORK: usize = 1 << 22;

/// What an error costs besides parsing its item again: finding out what was expected.
const ERROR_WORK: usize = 64;

/// Parses the items of a file.
pub(super) fn parse(file: FileId, text: &str, lexed: &Lexed) -> (File, Diags) {
    let mut parser = Parser {
        grammar: ub::ItemParser::new(),
        build: Build::new(file, text),
        faults: &lexed.faults,
        work: 0,
    };
    let mut items = Vec::with_capacity(lexed.items.len());
    for (number, range) in lexed.items.iter().enumerate() {
        let tokens = lexed.tokens.get(range.clone()).unwrap_or(&[]);
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { continue };
        // What a limit cut off is not worth a second message.
        let incomplete = lexed.cut && number + 1 == lexed.items.len();
        let kind = if incomplete { ItemKind::Error } else { parser.item(tokens) };
        items.push(Item { kind, span: Span::new(file, first.start, last.end) });
    }
    (File { items }, parser.build.into_diags())
}

struct Parser<'a> {
    grammar: ub::ItemParser,
    build: Build<'a>,
    /// Where the lexer has already reported that tokens are not what was meant.
    faults: &'a [u32],
    /// The work that errors have made.
    work: usize,
}

impl Parser<'_> {
    /// Parses one item, as often as it has errors.
    fn item(&mut self, tokens: &[Token]) -> ItemKind {
        let mut tokens = Cow::Borrowed(tokens);
        if self.work > MAX_WORK {
            return ItemKind::Error;
        }
        loop {
            let triples = tokens.iter().enumerate().map(|(i, t)| {
                let (start, end) =
                    (Loc { byte: t.start, token: i }, Loc { byte: t.end, token: i + 1 });
                (start, t.kind, end)
            });
            let (at, expected) = match self.grammar.parse(&self.build, triples) {
                Ok(kind) => return kind,
                Err(ParseError::UnrecognizedToken { token: (start, ..), expected }) => {
                    (start.token, expected)
                }
                Err(ParseError::UnrecognizedEof { expected, .. }) => (tokens.len(), expected),
                Err(ParseError::ExtraToken { token: (start, ..) }) => (start.token, Vec::new()),
                Err(ParseError::InvalidToken { .. } | ParseError::User { .. }) => {
                    return ItemKind::Error;
                }
            };
            self.work += tokens.len() + ERROR_WORK;
            let spent = self.work > MAX_WORK;
            let again = tokens.get(at).is_some_and(|t| t.kind == T::Error);
            let missing =
                if again || spent { None } else { self.missing_separator(&tokens, at, &expected) };
            if let Some(separator) = missing {
                tokens.to_mut().insert(at, separator);
                continue;
            }
            let range = statement_around(&tokens, at, again).filter(|_| !spent);
            if !again && !self.explained(&tokens, range.as_ref(), at) {
                self.report(&tokens, at, &expected);
            }
            match range {
                Some(range) => replace(tokens.to_mut(), range),
                None => return ItemKind::Error,
            }
        }
    }

    /// Whether the lexer has reported a fault between the start of the statement and token `at`.
    fn explained(&self, tokens: &[Token], statement: Option<&Range<usize>>, at: usize) -> bool {
        let start = tokens.get(statement.map_or(0, |range| range.start)).map_or(0, |t| t.start);
        let end = tokens.get(at).or(tokens.last()).map_or(start, |t| t.end);
        let fault = self.faults.get(self.faults.partition_point(|fault| *fault < start));
        fault.is_some_and(|fault| *fault < end)
    }

    /// Reports that token `at` cannot stand where it does.
    fn report(&self, tokens: &[Token], at: usize, expected: &[String]) {
        let wanted = expected::describe(expected);
        // A bracket that was put in is as good as the end.
        let found = tokens.get(at).filter(|t| t.start < t.end);
        let (span, what) = if let Some(token) = found {
            let span = self.build.token_span(*token);
            (span, expected::found(self.build.text(span)))
        } else {
            let last = at.checked_sub(1).and_then(|i| tokens.get(i)).or(tokens.first());
            let span = last
                .map_or(Span::new(self.build.file(), 0, 0), |t| self.build.token_span(*t))
                .after();
            let is_probe = tokens.first().is_some_and(|t| t.kind == T::Spec);
            (span, format!("the end of the {}", if is_probe { "probe" } else { "declaration" }))
        };
        let diagnostic =
            Diagnostic::new(Code::E0001, span, format!("expected {wanted}, found {what}"));
        let help =
            context_help(tokens, at, &wanted).or_else(|| expected::help(self.build.text(span)));
        self.build.report(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// The separator that is missing before token `at`, reported: at the end of a line, at the end of the item, or where the
    /// next statement starts.
    fn missing_separator(&self, tokens: &[Token], at: usize, expected: &[String]) -> Option<Token> {
        let previous = *tokens.get(at.checked_sub(1)?)?;
        let (kind, sign) = match separator(tokens) {
            T::Comma => (T::Comma, ","),
            _ => (T::Semi, ";"),
        };
        let separated =
            matches!(previous.kind, T::Semi | T::Comma | T::LBrace | T::RBrace | T::Error);
        if separated || !expected.iter().any(|e| e.trim_matches('"') == sign) {
            return None;
        }
        let next = tokens.get(at);
        if next.is_some_and(|t| {
            !t.kind.only_starts_statement() && !self.build.line_end_between(previous, *t)
        }) {
            return None;
        }
        let gap = self.build.token_span(previous).after();
        self.build.report(
            Diagnostic::new(Code::E0009, gap, format!("expected `{sign}` after this")).fix(
                format!("write `{sign}`"),
                gap,
                sign,
            ),
        );
        Some(Token { kind, start: previous.end, end: previous.end })
    }
}

/// What to do about token `at`, which cannot stand there, where people bring the habits of C along.
fn context_help(tokens: &[Token], at: usize, wanted: &str) -> Option<&'static str> {
    let kind = |i: usize| tokens.get(i).map(|t| t.kind);
    let before = |n: usize| at.checked_sub(n).and_then(kind);
    match kind(at)? {
        T::Local | T::Map if at == 0 => {
            Some("statements stand in a probe or function: `begin { $x = 1; }`")
        }
        T::Assign if before(2) == Some(T::For) || before(3) == Some(T::For) => {
            Some("a loop is written `for $i : 0..10 { … }`")
        }
        _ if at == 1 && kind(0) == Some(T::Spec) => {
            Some("a script is made of declarations and of probes such as `user:sched_switch { … }`")
        }
        T::LBrace if before(1) == Some(T::Ident) => {
            Some("a struct is written `(struct name){ .member = value, … }`")
        }
        found if found.is_type_word() && before(1) == Some(T::Let) => {
            Some("the type stands after the name: `let $x: type = value;`")
        }
        T::Ident if before(1) == Some(T::Let) => Some("the names of variables start with `$`"),
        found if found.is_type_word() && wanted == "a statement" => {
            Some("a variable is declared `let $x: type;`, or by assigning to it")
        }
        _ => None,
    }
}

/// The tokens of the smallest statement, field or enumerator that holds token `at`.
///
/// `None` where there is none, or where the range would be what it already is. `wide`: a `}` does not end what is before it.
fn statement_around(tokens: &[Token], at: usize, wide: bool) -> Option<Range<usize>> {
    let start = statement_start(tokens, at, wide)?;
    let end = statement_end(tokens, start, at);
    let known = |i: usize| tokens.get(i).is_some_and(|t| t.kind == T::Error);
    let repeats = match end - start {
        0 => start.checked_sub(1).is_some_and(known) || known(start),
        1 => known(start),
        _ => false,
    };
    (!repeats).then_some(start..end)
}

fn statement_start(tokens: &[Token], at: usize, wide: bool) -> Option<usize> {
    let mut start = None;
    let mut closers = Vec::new();
    for (i, token) in tokens.iter().enumerate().take(at).rev() {
        match token.kind {
            T::RParen | T::RBracket | T::RBrace | T::TypeClose => closers.push(i),
            T::LParen | T::LBracket | T::LBrace | T::TypeOpen => {
                let body = opens_body(tokens, i);
                match closers.pop() {
                    // The end of a compound statement.
                    Some(closer) if closers.is_empty() && body && !wide => {
                        start = start.or(Some(closer + 1));
                    }
                    Some(_) => {}
                    None if body => return Some(start.unwrap_or(i + 1)),
                    // Inside an expression there are no statements to leave out.
                    None => start = None,
                }
            }
            T::Error if closers.is_empty() && i + 1 < at => start = start.or(Some(i + 1)),
            kind if closers.is_empty() && kind == separator(tokens) => {
                start = start.or(Some(i + 1));
            }
            _ => {}
        }
    }
    None
}

fn statement_end(tokens: &[Token], start: usize, at: usize) -> usize {
    let mut open = Vec::new();
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.kind {
            T::LParen | T::LBracket | T::LBrace | T::TypeOpen => open.push(i),
            T::RParen | T::RBracket | T::RBrace | T::TypeClose => {
                let Some(opener) = open.pop() else { return i };
                let chained = tokens.get(i + 1).is_some_and(|t| t.kind == T::Else);
                if open.is_empty() && i >= at && opens_body(tokens, opener) && !chained {
                    let semi = tokens.get(i + 1).is_some_and(|t| t.kind == T::Semi);
                    return i + 1 + usize::from(semi);
                }
            }
            kind if open.is_empty() && i >= at && kind == separator(tokens) => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// What separates the parts of an item's body.
fn separator(tokens: &[Token]) -> T {
    if tokens.first().is_some_and(|t| t.kind == T::Enum) { T::Comma } else { T::Semi }
}

/// Whether token `at` is a `{` that holds statements, fields, enumerators or settings.
fn opens_body(tokens: &[Token], at: usize) -> bool {
    let is = |i: usize, kind| tokens.get(i).is_some_and(|t| t.kind == kind);
    let config = at == 2 && is(0, T::Config);
    let before = at.checked_sub(1).and_then(|i| tokens.get(i));
    is(at, T::LBrace) && (config || before.is_none_or(|t| !brace_in_expr(t.kind)))
}

/// Puts one `error` token in place of those in `range`.
fn replace(tokens: &mut Vec<Token>, range: Range<usize>) {
    let start = tokens.get(range.start).map_or(0, |t| t.start);
    let end =
        range.end.checked_sub(1).and_then(|i| tokens.get(i)).map_or(start, |t| t.end.max(start));
    tokens.splice(range, [Token { kind: T::Error, start, end }]);
}
