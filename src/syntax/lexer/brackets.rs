//! Brackets: kept balanced while they are read, and which parentheses hold a type.

use super::Lexer;
use super::scan::declared_types;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::nesting::closer_of;
use crate::syntax::token::{Token, TokenKind as T};

impl Lexer<'_> {
    /// Decides, once the token after it is known, whether the parenthesis that was just closed holds a type.
    pub(super) fn settle_parenthesis(&mut self, next: T) {
        let Some(open) = self.closed.take() else { return };
        let Some(close) = self.out.tokens.len().checked_sub(1) else { return };
        if self.holds_type(open, close, next) {
            for (at, kind) in [(open, T::TypeOpen), (close, T::TypeClose)] {
                if let Some(token) = self.out.tokens.get_mut(at) {
                    token.kind = kind;
                }
            }
        }
    }

    /// `(TYPE …)` with a type keyword, `(NAME *…)`, and `(NAME)` where the file declares it or only an operand can follow.
    fn holds_type(&mut self, open: usize, close: usize, next: T) -> bool {
        let before = self.out.tokens.get(self.item..open).and_then(<[Token]>::last).map(|t| t.kind);
        let Some([first, rest @ ..]) = self.out.tokens.get(open + 1..close) else { return false };
        let (first, only_stars) = (*first, rest.iter().all(|t| t.kind == T::Star));
        match before {
            Some(T::Offsetof) => return true,
            Some(T::Sizeof) => {
                return first.kind.is_type_word() || (first.kind == T::Ident && only_stars);
            }
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
        next.only_starts_operand()
            || (!(condition && next == T::LBrace) && self.is_declared(self.scan.slice(first)))
    }

    /// Whether the file declares a struct, union or enum of that name.
    fn is_declared(&mut self, name: &str) -> bool {
        let text = self.scan.text();
        self.declared.get_or_insert_with(|| declared_types(text)).contains(name)
    }

    // Brackets

    pub(super) fn open(&mut self, token: Token) {
        let last = self.last_kind();
        if token.kind == T::LBrace && last.is_some_and(T::ends_operand) {
            self.close_parentheses(token);
        }
        self.nesting.open(token, self.out.tokens.len());
        self.push(token);
    }

    pub(super) fn close(&mut self, token: Token) {
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
    pub(super) fn unmatched(&mut self, token: Token) {
        let message = format!("nothing opens this `{}`", self.scan.slice(token));
        self.scan.fault(
            Diagnostic::new(Code::E0007, self.scan.span(token), message)
                .label("expected no closing bracket"),
        );
    }

    /// `(` and `[` end where a statement or body does; but the `(` of a C-style `for` is left to the parser to explain.
    pub(super) fn close_parentheses(&mut self, at: Token) {
        while let Some(open) =
            self.nesting.innermost().copied().filter(|o| o.token.kind != T::LBrace)
        {
            let before = self.out.tokens.get(self.item..open.index).and_then(<[Token]>::last);
            if at.kind == T::Semi && before.is_some_and(|t| t.kind == T::For) {
                break;
            }
            self.close_unclosed(at);
        }
    }

    /// Reports the innermost open bracket as never closed before `at`, and closes it.
    fn close_unclosed(&mut self, at: Token) {
        let Some(open) = self.nesting.innermost().copied() else { return };
        let closer = if open.token.kind == T::LParen { ")" } else { "]" };
        let message = format!("this `{}` is never closed", self.scan.slice(open.token));
        let before = self.last_end();
        if self.scan.unclosed_literal == Some(before) {
            // The literal that has no end has taken the bracket.
            return self.put_closer();
        }
        self.scan.fault(
            Diagnostic::new(Code::E0007, self.scan.span(open.token), message)
                .secondary(self.scan.span(at), format!("expected `{closer}` before this"))
                .fix(
                    format!("write `{closer}`"),
                    Span::new(self.scan.file(), before, before),
                    closer,
                ),
        );
        self.put_closer();
    }

    /// Closes what is open at the end of the file or where a new item starts. Of several, the outermost is reported.
    pub(super) fn close_all(&mut self) {
        let end = self.last_end();
        let mut outermost = None;
        while let Some(open) = self.nesting.innermost().copied() {
            outermost = Some(open.token);
            self.put_closer();
        }
        // Where the text itself has no end, the brackets are not to blame.
        let excused =
            self.out.cut || self.scan.ended_in_comment || self.scan.unclosed_literal == Some(end);
        if let Some(open) = outermost.filter(|_| !excused) {
            let message = format!("this `{}` is never closed", self.scan.slice(open));
            self.scan.fault(Diagnostic::new(Code::E0007, self.scan.span(open), message));
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
}
