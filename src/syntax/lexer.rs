//! The lexer: text → tokens by item, with everything decided that needs context.
//!
//! In: a file's text. Out: [`Lexed`]. What logos cannot know is decided here: where items start and end, probe specs (a mode
//! of their own, since `uprobe:/usr/lib/*/x.so:fn` holds no comment), which `/` bounds a predicate, which words are keywords
//! and which are members, and which parentheses hold a type.
//!
//! Invariant: within each item brackets are balanced and not too deep; whatever had to be put in or left out for that has
//! been reported. The work is linear in the length of the text.

mod brackets;
mod scan;

use super::nesting::{MAX_DEPTH, Nesting};
use super::token::{Token, TokenKind as T};
use super::trivia::Trivia;
use super::types;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::FileId;
use rustc_hash::FxHashSet;
use scan::{Scanner, offset};
use std::ops::Range;

/// How many tokens a file may have: twenty times the largest header that people write.
const MAX_TOKENS: usize = 1 << 20;

/// A file as tokens.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// All tokens in order, without trivia.
    pub(super) tokens: Vec<Token>,
    /// The tokens of each item.
    pub(super) items: Vec<Range<usize>>,
    /// Comments and blank lines.
    pub(super) trivia: Trivia,
    /// What was reported.
    pub(super) diags: Diags,
    /// Where tokens are not what was meant: text was left out, or brackets put in. Sorted.
    pub(super) faults: Vec<u32>,
    /// Whether a limit ended the work early, so that the last item is incomplete.
    pub(super) cut: bool,
}

/// Where in an item the lexer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Before an item.
    Between,
    /// Where a probe spec must start.
    Spec,
    /// After a probe spec.
    AfterSpec,
    /// Between the slashes of a predicate.
    Predicate,
    /// Anywhere else in an item.
    Item,
}

struct Lexer<'a> {
    scan: Scanner<'a>,
    out: Lexed,
    nesting: Nesting,
    mode: Mode,
    /// The first token of the item.
    item: usize,
    /// The kind of the first token of the item.
    head: T,
    /// The `(` that the last token closed.
    closed: Option<usize>,
    /// The types that the file declares, once they are asked for.
    declared: Option<FxHashSet<&'a str>>,
}

/// Cuts a file into tokens.
pub(super) fn lex(file: FileId, text: &str) -> Lexed {
    let lexer = Lexer {
        scan: Scanner::new(file, text),
        out: Lexed::default(),
        nesting: Nesting::default(),
        mode: Mode::Between,
        item: 0,
        head: T::Error,
        closed: None,
        declared: None,
    };
    lexer.run()
}

/// Probes whose second part is a path.
const PATH_PROVIDERS: &[&str] = &["uprobe", "u", "uretprobe", "ur", "usdt", "U"];

impl Lexer<'_> {
    fn run(mut self) -> Lexed {
        while let Some(token) = self.scan.next_token() {
            self.take(token);
            if self.out.cut {
                break;
            }
            if self.out.tokens.len() >= MAX_TOKENS {
                let message = format!("the file has more than {MAX_TOKENS} tokens");
                self.scan.report(Diagnostic::new(Code::E0015, self.scan.span(token), message));
                self.out.cut = true;
                break;
            }
        }
        if self.mode != Mode::Between {
            self.out.cut |= self.scan.ended_in_comment;
            self.close_all();
            self.end_item();
        }
        let Scanner { trivia, diags, mut faults, .. } = self.scan;
        faults.sort_unstable();
        Lexed { trivia, diags, faults, ..self.out }
    }

    fn take(&mut self, token: Token) {
        match self.mode {
            Mode::Between => self.start_item(token),
            Mode::Spec => self.spec(token),
            Mode::AfterSpec => self.after_spec(token),
            Mode::Predicate | Mode::Item => self.item_token(token),
        }
    }

    // Items

    fn start_item(&mut self, token: Token) {
        self.item = self.out.tokens.len();
        match token.kind {
            T::Semi => return,
            T::RBrace | T::RParen | T::RBracket => return self.unmatched(token),
            _ => {}
        }
        if let Some(kind) = self.item_keyword(token) {
            self.head = kind;
            self.mode = Mode::Item;
            self.push(Token { kind, ..token });
        } else {
            self.head = T::Spec;
            self.spec(token);
        }
    }

    /// The keyword that starts an item, unless a probe spec is what starts there.
    fn item_keyword(&self, token: Token) -> Option<T> {
        if self.scan.byte_at(token.end) == Some(b':') {
            return None;
        }
        match (token.kind, self.scan.slice(token)) {
            (T::Struct | T::Union | T::Enum | T::Let, _) => Some(token.kind),
            (T::Qualifier, "const") => Some(T::Const),
            (T::Ident, "import") => Some(T::Import),
            (T::Ident, "config") => Some(T::Config),
            (T::Ident, "param") => Some(T::Param),
            (T::Ident, "kernel") => Some(T::Kernel),
            (T::Ident, "tracepoint") => Some(T::Tracepoint),
            (T::Ident, "fn") => Some(T::Fn),
            _ => None,
        }
    }

    fn spec(&mut self, token: Token) {
        if !token.kind.is_word() && token.kind != T::Star {
            self.mode = Mode::Item;
            return self.item_token(token);
        }
        let end = offset(self.spec_end(token.start as usize));
        self.scan.rewind(end);
        self.mode = Mode::AfterSpec;
        self.push(Token { kind: T::Spec, end, ..token });
    }

    /// Where the probe spec that starts at `start` ends.
    fn spec_end(&self, start: usize) -> usize {
        let text = self.scan.text().get(start..).unwrap_or("");
        let (mut part, mut quoted, mut path) = (0, false, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'\n' => return start + at,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b':' => {
                    part += 1;
                    path = part == 1 && PATH_PROVIDERS.contains(&&text[..at]);
                }
                b'/' if path => {}
                b'/' | b',' | b'?' | b';' | b'=' | b'{' | b'}' | b'(' | b')' | b' ' | b'\t'
                | b'\r' | 0x0b | 0x0c => {
                    return start + at;
                }
                _ => {}
            }
        }
        start + text.len()
    }

    fn after_spec(&mut self, token: Token) {
        let (kind, mode) = match token.kind {
            T::Comma => (T::Comma, Mode::Spec),
            T::Question => (T::SpecOptional, Mode::AfterSpec),
            T::Slash => (T::PredOpen, Mode::Predicate),
            _ => {
                self.mode = Mode::Item;
                return self.item_token(token);
            }
        };
        self.mode = mode;
        self.push(Token { kind, ..token });
    }

    fn item_token(&mut self, mut token: Token) {
        if self.starts_new_item(token) {
            self.close_all();
            self.end_item();
            return self.start_item(token);
        }
        token.kind = self.kind_in_context(token);
        self.settle_parenthesis(token.kind);
        match token.kind {
            T::LParen | T::LBracket | T::LBrace => self.open(token),
            T::RParen | T::RBracket | T::RBrace => self.close(token),
            _ => {
                if token.kind == T::Semi {
                    self.close_parentheses(token);
                }
                let chained = token.kind == T::Else && self.scan.peek() == Some(T::If);
                self.nesting.count(token.kind, chained);
                self.push(token);
            }
        }
        self.check_depth(token);
        self.end_item_after(token.kind);
    }

    fn check_depth(&mut self, token: Token) {
        if self.nesting.too_deep() && !self.out.cut {
            self.scan.report(
                Diagnostic::new(
                    Code::E0008,
                    self.scan.span(token),
                    "brackets and operators are nested too deeply here",
                )
                .note(format!(
                    "at most {MAX_DEPTH} levels are read; the rest of the file was not looked at"
                )),
            );
            self.out.cut = true;
        }
    }

    fn end_item_after(&mut self, kind: T) {
        if self.mode == Mode::Between || !self.nesting.is_empty() {
            return;
        }
        let has_body =
            !matches!(self.head, T::Import | T::Param | T::Const | T::Let | T::Tracepoint);
        if kind == T::Semi {
            self.end_item();
        } else if kind == T::RBrace && has_body {
            let declares =
                matches!(self.head, T::Struct | T::Union | T::Enum | T::Kernel | T::Config);
            if declares && self.scan.peek() == Some(T::Semi) {
                let semi = self.scan.next_token();
                self.out.tokens.extend(semi);
            }
            self.end_item();
        }
    }

    fn end_item(&mut self) {
        self.settle_parenthesis(T::Semi);
        self.mode = Mode::Between;
        if self.item < self.out.tokens.len() {
            self.out.items.push(self.item..self.out.tokens.len());
        }
        self.item = self.out.tokens.len();
    }

    /// Whether an item starts here although the one before has not ended: a declaration or a probe in the first column.
    fn starts_new_item(&self, token: Token) -> bool {
        let first_column = token.start == 0 || self.scan.byte_at(token.start - 1) == Some(b'\n');
        if !first_column || self.item == self.out.tokens.len() {
            return false;
        }
        if !self.nesting.in_block() {
            let starts = self.item_keyword(token).is_some() || self.looks_like_probe(token);
            return starts && !self.last_kind().is_some_and(goes_on);
        }
        let next = self.scan.peek();
        let declares = match self.item_keyword(token) {
            Some(T::Struct | T::Union | T::Enum) => self.scan.declares_type(),
            Some(T::Let) => next == Some(T::Map),
            Some(T::Config) => next == Some(T::Assign),
            Some(T::Const) | None => false,
            Some(_) => matches!(next, Some(T::Ident | T::Str | T::Struct)),
        };
        declares || self.looks_like_probe(token)
    }

    /// `user:name`, or `BEGIN` before a `{`.
    fn looks_like_probe(&self, token: Token) -> bool {
        if !token.kind.is_word() {
            return false;
        }
        match self.scan.byte_at(token.end) {
            Some(b':') => {
                self.scan.byte_at(token.end + 1).is_some_and(|b| !b.is_ascii_whitespace())
            }
            _ => {
                matches!(self.scan.slice(token), "BEGIN" | "END" | "begin" | "end")
                    && self.scan.peek() == Some(T::LBrace)
            }
        }
    }

    // Words and slashes

    /// What a token is in its context: a word may be a keyword or a member, a slash may end a predicate.
    fn kind_in_context(&mut self, token: Token) -> T {
        let last = self.last_kind();
        let declares = matches!(self.head, T::Struct | T::Union | T::Kernel);
        match token.kind {
            T::Slash
                if self.mode == Mode::Predicate
                    && self.nesting.is_empty()
                    && self.scan.peek() == Some(T::LBrace) =>
            {
                self.mode = Mode::Item;
                T::PredClose
            }
            kind if !kind.is_word() => kind,
            _ if matches!(last, Some(T::Dot | T::Arrow)) => T::Ident,
            T::Ident
                if self.nesting.is_empty()
                    && self.scan.slice(token) == "mirrors"
                    && (declares || self.head == T::Enum) =>
            {
                T::Mirrors
            }
            T::Ident if last == Some(T::Kernel) && self.scan.slice(token) == "tracepoint" => {
                T::Tracepoint
            }
            T::Ident if last == Some(T::Kernel) && self.scan.slice(token) == "function" => {
                T::Function
            }
            T::Ident if types::int_name(self.scan.slice(token)).is_none() => T::Ident,
            kind => {
                let kind = if kind == T::Ident { T::IntName } else { kind };
                if declares && self.is_member_name(kind, last) { T::Ident } else { kind }
            }
        }
    }

    /// Whether a keyword is the name of a member, in a declarator (`int string;`) or a mirror's path (`= string`).
    fn is_member_name(&self, kind: T, last: Option<T>) -> bool {
        if self.nesting.innermost().is_none_or(|o| o.token.kind != T::LBrace) {
            return false;
        }
        let next = self.scan.peek();
        match last {
            Some(T::Assign | T::Else) => kind.is_type_word(),
            None | Some(T::LBrace | T::Semi | T::Qualifier) => false,
            Some(last) if kind == T::Else && !last.is_type_word() => false,
            Some(T::CInt) if kind == T::CInt => false,
            _ => matches!(
                next,
                Some(T::Semi | T::Colon | T::Assign | T::LBracket | T::Question | T::Comma)
            ),
        }
    }

    // Small helpers

    fn push(&mut self, token: Token) {
        self.closed = None;
        self.out.tokens.push(token);
    }

    /// The kind of the last token of the item.
    fn last_kind(&self) -> Option<T> {
        self.out.tokens.get(self.item..).and_then(<[Token]>::last).map(|t| t.kind)
    }

    fn last_end(&self) -> u32 {
        self.out.tokens.last().map_or(0, |t| t.end)
    }
}

/// Whether a declaration goes on after `last`, even at the start of a line.
fn goes_on(last: T) -> bool {
    matches!(
        last,
        T::Comma
            | T::Else
            | T::Assign
            | T::Colon
            | T::Kernel
            | T::Mirrors
            | T::PredOpen
            | T::Question
            | T::LParen
            | T::LBracket
    )
}
