//! The lexer: text → tokens by item, with everything decided that needs context.
//!
//! In: a file's text. Out: [`Lexed`]. What logos cannot know is decided here: where items start and end, probe specs (a mode
//! of their own, since `uprobe:/usr/lib/*/x.so:fn` holds no comment), which `/` bounds a predicate, which words are keywords
//! and which are members, and which parentheses hold a type.
//!
//! Invariant: within each item brackets are balanced and not too deep; whatever had to be put in or left out for that has
//! been reported. The work is linear in the length of the text.

use super::literal::{self, NumberError};
use super::nesting::{MAX_DEPTH, Nesting, closer_of};
use super::token::{Token, TokenKind as T};
use super::trivia::{Comment, CommentKind, Trivia};
use super::types;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Span};
use logos::Logos;
use rustc_hash::FxHashSet;
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
    file: FileId,
    text: &'a str,
    raw: logos::Lexer<'a, T>,
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
    /// Where the last token or comment on the current line ended, if there is one.
    line_used: bool,
    /// Line ends since the last token or comment.
    newlines: u32,
}

/// Cuts a file into tokens.
pub(super) fn lex(file: FileId, text: &str) -> Lexed {
    let lexer = Lexer {
        file,
        text,
        raw: T::lexer(text),
        out: Lexed::default(),
        nesting: Nesting::default(),
        mode: Mode::Between,
        item: 0,
        head: T::Error,
        closed: None,
        declared: None,
        line_used: false,
        newlines: 1,
    };
    lexer.run()
}

/// A byte offset; files are far smaller than 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Probes whose second part is a path.
const PATH_PROVIDERS: &[&str] = &["uprobe", "u", "uretprobe", "ur", "usdt", "U"];

impl<'a> Lexer<'a> {
    fn run(mut self) -> Lexed {
        self.skip_prologue();
        while let Some(token) = self.next_token() {
            self.take(token);
            if self.out.cut {
                break;
            }
            if self.out.tokens.len() >= MAX_TOKENS {
                let message = format!("the file has more than {MAX_TOKENS} tokens");
                self.report(Diagnostic::new(Code::E0015, self.span(token), message));
                self.out.cut = true;
                break;
            }
        }
        if self.mode != Mode::Between {
            self.close_all();
            self.end_item();
        }
        self.out
    }

    fn take(&mut self, token: Token) {
        match self.mode {
            Mode::Between => self.start_item(token),
            Mode::Spec => self.spec(token),
            Mode::AfterSpec => self.after_spec(token),
            Mode::Predicate | Mode::Item => self.item_token(token),
        }
    }

    // Raw tokens and trivia

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
    fn next_token(&mut self) -> Option<Token> {
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
                        self.report(
                            Diagnostic::new(Code::E0004, open, "this comment is never closed").label("expected `*/`"),
                        );
                    }
                    self.comment(CommentKind::Block, range.start..self.raw.span().end);
                }
                Ok(T::Directive) => {
                    let span = self.range_span(range);
                    self.report(
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
            self.out.trivia.blank_lines.push(offset(at));
        }
    }

    fn comment(&mut self, kind: CommentKind, range: Range<usize>) {
        let comment = Comment { kind, trailing: self.line_used, span: self.range_span(range) };
        self.out.trivia.comments.push(comment);
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
            Some(c) if text.chars().count() == 1 => format!("the character `{}` means nothing here", c.escape_debug()),
            _ => "these characters mean nothing here".to_owned(),
        };
        self.report(Diagnostic::new(Code::E0002, span, message));
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
                    Diagnostic::new(Code::E0005, span, format!("`{}` is not a number", shown(text)))
                        .help("numbers are written `42`, `0x2a`, `1_000`, `1e6`, and times `100ms`, `5s`"),
                ),
            },
            T::OpenStr => {
                self.report(Diagnostic::new(Code::E0003, span, "this string is never closed").label("expected `\"`"));
            }
            T::OpenChar => {
                self.report(Diagnostic::new(Code::E0003, span, "this character is never closed").label("expected `'`"));
            }
            T::Str => {
                if let Err(bad) = literal::string(text) {
                    let (start, end) = (token.start + offset(bad.start), token.start + offset(bad.end));
                    let span = Span::new(self.file, start, end);
                    let message = format!("there is no escape `{}`", self.text.get(span.range()).unwrap_or(""));
                    self.report(Diagnostic::new(Code::E0006, span, message));
                }
            }
            T::Char if literal::character(text).is_none() => self.report(
                Diagnostic::new(Code::E0006, span, "a character literal holds one ASCII character")
                    .help("text is written between double quotes"),
            ),
            _ => {}
        }
        let kind = match token.kind {
            T::OpenStr => T::Str,
            T::OpenChar => T::Char,
            kind => kind,
        };
        Token { kind, ..token }
    }

    /// The kind of the token after the last raw one.
    fn peek(&self) -> Option<T> {
        let mut ahead = self.raw.clone();
        loop {
            match ahead.next()? {
                Ok(T::Newline | T::LineComment) | Err(()) => {}
                Ok(T::BlockComment) => {
                    skip_block_comment(&mut ahead);
                }
                Ok(kind) => return Some(kind),
            }
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
        if self.byte_at(token.end) == Some(b':') {
            return None;
        }
        match (token.kind, self.slice(token)) {
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
        let end = self.spec_end(token.start as usize);
        self.raw = T::lexer(self.text);
        self.raw.bump(end);
        self.mode = Mode::AfterSpec;
        self.push(Token { kind: T::Spec, start: token.start, end: offset(end) });
    }

    /// Where the probe spec that starts at `start` ends.
    fn spec_end(&self, start: usize) -> usize {
        let text = self.text.get(start..).unwrap_or("");
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
                b'/' | b',' | b'?' | b';' | b'=' | b'{' | b'}' | b'(' | b')' | b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
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
                let chained = token.kind == T::Else && self.peek() == Some(T::If);
                self.nesting.count(token.kind, chained);
                self.push(token);
            }
        }
        self.check_depth(token);
        self.end_item_after(token.kind);
    }

    fn check_depth(&mut self, token: Token) {
        if self.nesting.too_deep() && !self.out.cut {
            self.report(
                Diagnostic::new(Code::E0008, self.span(token), "brackets and operators are nested too deeply here")
                    .note(format!("at most {MAX_DEPTH} levels are read; the rest of the file was not looked at")),
            );
            self.out.cut = true;
        }
    }

    fn end_item_after(&mut self, kind: T) {
        if self.mode == Mode::Between || !self.nesting.is_empty() {
            return;
        }
        let has_body = !matches!(self.head, T::Import | T::Param | T::Const | T::Let | T::Tracepoint);
        if kind == T::Semi {
            self.end_item();
        } else if kind == T::RBrace && has_body {
            let declares = matches!(self.head, T::Struct | T::Union | T::Enum | T::Kernel | T::Config);
            if declares && self.peek() == Some(T::Semi) {
                let semi = self.next_token();
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
        let first_column = token.start == 0 || self.byte_at(token.start - 1) == Some(b'\n');
        if !first_column || self.item == self.out.tokens.len() {
            return false;
        }
        if !self.nesting.in_block() {
            let goes_on = matches!(
                self.last_kind(),
                Some(T::Comma | T::Else | T::Assign | T::Colon | T::Kernel | T::Mirrors | T::PredOpen | T::Question)
            );
            return !goes_on && (self.item_keyword(token).is_some() || self.looks_like_probe(token));
        }
        let declares = match self.item_keyword(token) {
            Some(T::Struct | T::Union | T::Enum) => matches!(self.head, T::Spec | T::Fn),
            Some(T::Let) => self.peek() == Some(T::Map),
            Some(T::Const | T::Config) | None => false,
            Some(_) => true,
        };
        declares || self.looks_like_probe(token)
    }

    /// `user:name`, or `BEGIN` before a `{`.
    fn looks_like_probe(&self, token: Token) -> bool {
        if !token.kind.is_word() {
            return false;
        }
        match self.byte_at(token.end) {
            Some(b':') => self.byte_at(token.end + 1).is_some_and(|b| !b.is_ascii_whitespace()),
            _ => matches!(self.slice(token), "BEGIN" | "END" | "begin" | "end") && self.peek() == Some(T::LBrace),
        }
    }

    // Words and slashes

    /// What a token is in its context: a word may be a keyword or a member, a slash may end a predicate.
    fn kind_in_context(&mut self, token: Token) -> T {
        let last = self.last_kind();
        let declares = matches!(self.head, T::Struct | T::Union | T::Kernel);
        match token.kind {
            T::Slash if self.mode == Mode::Predicate && self.nesting.is_empty() && self.peek() == Some(T::LBrace) => {
                self.mode = Mode::Item;
                T::PredClose
            }
            kind if !kind.is_word() => kind,
            _ if matches!(last, Some(T::Dot | T::Arrow)) => T::Ident,
            T::Ident if self.nesting.is_empty() && self.slice(token) == "mirrors" && (declares || self.head == T::Enum) => {
                T::Mirrors
            }
            T::Ident if last == Some(T::Kernel) && self.slice(token) == "tracepoint" => T::Tracepoint,
            T::Ident if types::int_name(self.slice(token)).is_none() => T::Ident,
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
        let next = self.peek();
        match last {
            Some(T::Assign) => kind.is_type_word(),
            Some(T::Else) => kind.is_type_word(),
            None | Some(T::LBrace | T::Semi | T::Qualifier) => false,
            Some(T::CInt) if kind == T::CInt => false,
            _ => matches!(next, Some(T::Semi | T::Colon | T::Assign | T::LBracket | T::Question | T::Comma)),
        }
    }

    /// Decides, once the token after it is known, whether the parenthesis that was just closed holds a type.
    fn settle_parenthesis(&mut self, next: T) {
        let Some(open) = self.closed.take() else { return };
        let Some(close) = self.out.tokens.len().checked_sub(1) else { return };
        if self.holds_type(open, close, next) {
            self.out.tokens[open].kind = T::TypeOpen;
            self.out.tokens[close].kind = T::TypeClose;
        }
    }

    /// `(TYPE …)` with a type keyword, `(NAME *…)`, and `(NAME)` where the file declares it or only an operand can follow.
    fn holds_type(&mut self, open: usize, close: usize, next: T) -> bool {
        let before = open.checked_sub(1).filter(|at| *at >= self.item).map(|at| self.out.tokens[at].kind);
        let Some([first, rest @ ..]) = self.out.tokens.get(open + 1..close) else { return false };
        let (first, only_stars) = (*first, rest.iter().all(|t| t.kind == T::Star));
        match before {
            Some(T::Offsetof) => return true,
            Some(T::Sizeof) => return first.kind.is_type_word() || (first.kind == T::Ident && only_stars),
            Some(before) if before.ends_operand() || before.is_type_word() => return false,
            _ => {}
        }
        if first.kind != T::Ident {
            return first.kind.is_type_word();
        }
        if !only_stars || !rest.is_empty() {
            return only_stars;
        }
        let condition = matches!(before, Some(T::If | T::While | T::Unroll));
        next.only_starts_operand() || (!(condition && next == T::LBrace) && self.is_declared(self.slice(first)))
    }

    /// Whether the file declares a struct, union or enum of that name.
    fn is_declared(&mut self, name: &str) -> bool {
        let text = self.text;
        self.declared.get_or_insert_with(|| declared_types(text)).contains(name)
    }

    // Brackets

    fn open(&mut self, token: Token) {
        let last = self.last_kind();
        if token.kind == T::LBrace && last.is_some_and(T::ends_operand) {
            self.close_parentheses(token);
        }
        self.nesting.open(token, self.out.tokens.len());
        self.push(token);
    }

    fn close(&mut self, token: Token) {
        let Some(distance) = self.nesting.opener_for(token.kind) else {
            return self.unmatched(token);
        };
        for _ in 0..distance {
            self.close_unclosed(token);
        }
        let open = self.nesting.close();
        self.push(token);
        self.closed = open.filter(|o| o.token.kind == T::LParen).map(|o| o.index);
    }

    /// Nothing opens this: reported and left out.
    fn unmatched(&mut self, token: Token) {
        let message = format!("nothing opens this `{}`", self.slice(token));
        self.report(Diagnostic::new(Code::E0007, self.span(token), message).label("expected no closing bracket"));
    }

    /// `(` and `[` end where a statement or block does.
    fn close_parentheses(&mut self, at: Token) {
        while self.nesting.innermost().is_some_and(|o| o.token.kind != T::LBrace) {
            self.close_unclosed(at);
        }
    }

    /// Reports the innermost open bracket as never closed before `at`, and closes it.
    fn close_unclosed(&mut self, at: Token) {
        let Some(open) = self.nesting.innermost().copied() else { return };
        let closer = if open.token.kind == T::LParen { ")" } else { "]" };
        let message = format!("this `{}` is never closed", self.slice(open.token));
        let before = self.last_end();
        self.report(
            Diagnostic::new(Code::E0007, self.span(open.token), message)
                .secondary(self.span(at), format!("expected `{closer}` before this"))
                .fix(format!("write `{closer}`"), Span::new(self.file, before, before), closer),
        );
        self.put_closer();
    }

    /// Closes what is open at the end of the file or where a new item starts. Of several, the outermost is reported.
    fn close_all(&mut self) {
        let mut outermost = None;
        while let Some(open) = self.nesting.innermost().copied() {
            outermost = Some(open.token);
            self.put_closer();
        }
        if let Some(open) = outermost.filter(|_| !self.out.cut) {
            let message = format!("this `{}` is never closed", self.slice(open));
            self.report(Diagnostic::new(Code::E0007, self.span(open), message));
        }
    }

    fn put_closer(&mut self) {
        let at = self.last_end();
        if let Some(open) = self.nesting.close() {
            self.settle_parenthesis(T::Semi);
            self.push(Token { kind: closer_of(open.token.kind), start: at, end: at });
            self.closed = (open.token.kind == T::LParen).then_some(open.index);
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

    fn byte_at(&self, at: u32) -> Option<u8> {
        self.text.as_bytes().get(at as usize).copied()
    }

    fn slice(&self, token: Token) -> &'a str {
        self.text.get(token.start as usize..token.end as usize).unwrap_or("")
    }

    fn span(&self, token: Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    fn range_span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, offset(range.start), offset(range.end))
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.diags.push(diagnostic);
    }
}

/// Text for a message, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 32;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Goes past the `*/` that ends a comment, or to the end of the text; says whether there was one.
fn skip_block_comment(raw: &mut logos::Lexer<'_, T>) -> bool {
    let rest = raw.remainder();
    let end = rest.find("*/");
    raw.bump(end.map_or(rest.len(), |at| at + 2));
    end.is_some()
}

/// The names after `struct`, `union` and `enum` where a `{` or `mirrors` follows.
fn declared_types(text: &str) -> FxHashSet<&str> {
    let mut declared = FxHashSet::default();
    let mut raw = T::lexer(text);
    let mut state = (None, None);
    while let Some(kind) = raw.next() {
        match kind {
            Ok(T::Newline | T::LineComment) => continue,
            Ok(T::BlockComment) => {
                skip_block_comment(&mut raw);
                continue;
            }
            _ => {}
        }
        if let (Some(T::Struct | T::Union | T::Enum), Some(name)) = state {
            if kind == Ok(T::LBrace) || raw.slice() == "mirrors" {
                declared.insert(name);
            }
        }
        state = match (kind, state.0) {
            (Ok(T::Ident), Some(keyword)) if state.1.is_none() => (Some(keyword), Some(raw.slice())),
            (Ok(kind), _) => (Some(kind), None),
            (Err(()), _) => (None, None),
        };
    }
    declared
}
