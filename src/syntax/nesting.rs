//! Nesting: which brackets are open, and how deep the tree gets.
//!
//! In: tokens one by one. Out: what to do about each bracket. Invariant: what passes is balanced, and no tree built from it
//! is deeper than [`MAX_DEPTH`] by a small factor, so that every later stage may recurse over it.

use super::token::{Token, TokenKind as T};

/// How deep brackets and operators may nest, taken together. Programs written by people stay far below.
pub(super) const MAX_DEPTH: u32 = 200;

/// An open bracket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// The bracket.
    pub(super) token: Token,
    /// Its number among the tokens.
    pub(super) index: usize,
    /// The depth outside it.
    outside: u32,
}

/// The open brackets at one place of a file.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    open: Vec<Open>,
    depth: u32,
    /// The last token was a `}`, which may have ended a statement.
    after_block: bool,
}

impl Nesting {
    pub(super) fn innermost(&self) -> Option<&Open> {
        self.open.last()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a `{` is open.
    pub(super) fn in_block(&self) -> bool {
        self.open.iter().any(|o| o.token.kind == T::LBrace)
    }

    pub(super) fn open(&mut self, token: Token, index: usize) {
        self.settle(token.kind);
        self.open.push(Open { token, index, outside: self.depth });
        self.depth += 1;
    }

    pub(super) fn close(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        self.after_block = open.token.kind == T::LBrace;
        // What follows `)` or `]` goes on with the same tree: `(int)(int)x`, `x[1][2]`.
        self.depth = open.outside + u32::from(!self.after_block);
        Some(open)
    }

    /// The innermost open bracket that `closer` could close, counted from the innermost one.
    ///
    /// Parentheses and brackets cannot be closed through an open brace.
    pub(super) fn opener_for(&self, closer: T) -> Option<usize> {
        let wanted = opener_of(closer)?;
        for (distance, open) in self.open.iter().rev().enumerate() {
            if open.token.kind == wanted {
                return Some(distance);
            }
            if open.token.kind == T::LBrace {
                return None;
            }
        }
        None
    }

    /// Counts a token that is no bracket; `chained` tells an `else if` from an `else`.
    pub(super) fn count(&mut self, kind: T, chained: bool) {
        let after_block = self.after_block;
        self.settle(kind);
        match kind {
            T::Else if chained => self.depth += 1,
            // Outside bodies, `else` separates alternatives.
            T::Else if after_block => {}
            T::Semi | T::Comma | T::Else => self.depth = self.base(),
            _ if kind.deepens() => self.depth += 1,
            _ => {}
        }
    }

    pub(super) fn too_deep(&self) -> bool {
        self.depth > MAX_DEPTH
    }

    /// After `}`, only an operator or `else` goes on with the same tree.
    fn settle(&mut self, next: T) {
        let goes_on =
            next.deepens() || matches!(next, T::Else | T::LParen | T::LBracket | T::TypeOpen);
        if std::mem::take(&mut self.after_block) && !goes_on {
            self.depth = self.base();
        }
    }

    /// The depth right after the innermost open bracket.
    fn base(&self) -> u32 {
        self.open.last().map_or(0, |o| o.outside + 1)
    }
}

/// The bracket that opens what `closer` closes.
fn opener_of(closer: T) -> Option<T> {
    match closer {
        T::RParen => Some(T::LParen),
        T::RBracket => Some(T::LBracket),
        T::RBrace => Some(T::LBrace),
        _ => None,
    }
}

/// The bracket that closes `opener`.
pub(super) fn closer_of(opener: T) -> T {
    match opener {
        T::LBracket => T::RBracket,
        T::LBrace => T::RBrace,
        _ => T::RParen,
    }
}

/// Whether a `{` after `last` belongs to an expression: a struct literal or a block expression, not a body.
pub(super) fn brace_in_expr(last: T) -> bool {
    matches!(
        last,
        T::TypeClose
            | T::Assign
            | T::OpAssign
            | T::Comma
            | T::LParen
            | T::LBracket
            | T::Return
            | T::Emit
            | T::Question
            | T::Colon
    )
}
