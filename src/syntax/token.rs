//! Tokens: the words and signs of the language, each a kind and a range of bytes.
//!
//! In: text, through logos. Out: [`Token`]s without values; [`super::literal`] reads values from the text when the tree is
//! built. Some kinds are never made by logos but by [`super::lexer`], which knows the context: the ones that say so.

use logos::Logos;

/// What a token is.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[logos(skip(r"[ \t\r\x0b\x0c]+"))]
pub enum TokenKind {
    /// A name.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Ident,
    /// `$x`
    #[regex("\\$[A-Za-z0-9_#]*")]
    Local,
    /// `@map`
    #[regex("@[A-Za-z0-9_]*")]
    Map,
    /// `42`, `0x2a`, `1e6`, `100ms`
    #[regex("[0-9][A-Za-z0-9_]*")]
    Number,
    /// `"text"`
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Str,
    /// `'c'`
    #[regex(r"'([^'\\\n]|\\[^\n])*'")]
    Char,

    /// `import`, at the start of an item; made by the lexer.
    Import,
    /// `config`, at the start of an item; made by the lexer.
    Config,
    /// `param`, at the start of an item; made by the lexer.
    Param,
    /// `const`, at the start of an item; made by the lexer, elsewhere it is a qualifier.
    Const,
    /// `kernel`, before `struct` at the start of an item; made by the lexer.
    Kernel,
    /// `tracepoint`, at the start of a declaration; made by the lexer.
    Tracepoint,
    /// `function`, after `kernel` at the start of a declaration; made by the lexer.
    Function,
    /// `fn`, at the start of an item; made by the lexer.
    Fn,
    /// `mirrors`, in the head of a struct or enum; made by the lexer.
    Mirrors,
    /// A whole probe spec such as `uprobe:/bin/sh:main`; made by the lexer.
    Spec,
    /// The `?` after a probe spec; made by the lexer.
    SpecOptional,
    /// The `/` that opens a predicate; made by the lexer.
    PredOpen,
    /// The `/` that closes a predicate; made by the lexer.
    PredClose,
    /// The `(` before a type; made by the lexer.
    TypeOpen,
    /// The `)` after a type; made by the lexer.
    TypeClose,
    /// Tokens that could not be parsed and have been reported; made by the parser.
    Error,

    /// `let`
    #[token("let")]
    Let,
    /// `struct`
    #[token("struct")]
    Struct,
    /// `union`
    #[token("union")]
    Union,
    /// `enum`
    #[token("enum")]
    Enum,
    /// `if`
    #[token("if")]
    If,
    /// `else`
    #[token("else")]
    Else,
    /// `for`
    #[token("for")]
    For,
    /// `while`
    #[token("while")]
    While,
    /// `unroll`
    #[token("unroll")]
    Unroll,
    /// `break`
    #[token("break")]
    Break,
    /// `continue`
    #[token("continue")]
    Continue,
    /// `return`
    #[token("return")]
    Return,
    /// `emit`
    #[token("emit")]
    Emit,
    /// `sizeof`
    #[token("sizeof")]
    Sizeof,
    /// `offsetof`
    #[token("offsetof")]
    Offsetof,
    /// `true`
    #[token("true")]
    True,
    /// `false`
    #[token("false")]
    False,

    /// A word of a C integer type: `unsigned`, `long`, `int`, `char`, …
    #[token("unsigned")]
    #[token("signed")]
    #[token("short")]
    #[token("long")]
    #[token("int")]
    #[token("char")]
    CInt,
    /// An integer type in one word, such as `u32` or `size_t`; made by the lexer from [`super::types::INT_NAMES`].
    IntName,
    /// `bool`
    #[token("bool")]
    #[token("_Bool")]
    Bool,
    /// `void`
    #[token("void")]
    Void,
    /// `string`
    #[token("string")]
    StringType,
    /// A qualifier, which means nothing here.
    #[token("const")]
    #[token("volatile")]
    #[token("__user")]
    #[token("__rcu")]
    Qualifier,

    /// `(`
    #[token("(")]
    LParen,
    /// `)`
    #[token(")")]
    RParen,
    /// `[`
    #[token("[")]
    LBracket,
    /// `]`
    #[token("]")]
    RBracket,
    /// `{`
    #[token("{")]
    LBrace,
    /// `}`
    #[token("}")]
    RBrace,
    /// `;`
    #[token(";")]
    Semi,
    /// `,`
    #[token(",")]
    Comma,
    /// `:`
    #[token(":")]
    Colon,
    /// `?`
    #[token("?")]
    Question,
    /// `.`
    #[token(".")]
    Dot,
    /// `..`
    #[token("..")]
    DotDot,
    /// `...`
    #[token("...")]
    Ellipsis,
    /// `->`
    #[token("->")]
    Arrow,
    /// `=`
    #[token("=")]
    Assign,
    /// `+=` and its kind.
    #[token("+=")]
    #[token("-=")]
    #[token("*=")]
    #[token("/=")]
    #[token("%=")]
    #[token("<<=")]
    #[token(">>=")]
    #[token("&=")]
    #[token("|=")]
    #[token("^=")]
    OpAssign,
    /// `++`
    #[token("++")]
    PlusPlus,
    /// `--`
    #[token("--")]
    MinusMinus,
    /// `+`
    #[token("+")]
    Plus,
    /// `-`
    #[token("-")]
    Minus,
    /// `*`
    #[token("*")]
    Star,
    /// `/`
    #[token("/")]
    Slash,
    /// `%`
    #[token("%")]
    Percent,
    /// `<<`
    #[token("<<")]
    Shl,
    /// `>>`
    #[token(">>")]
    Shr,
    /// `&`
    #[token("&")]
    And,
    /// `|`
    #[token("|")]
    Or,
    /// `^`
    #[token("^")]
    Caret,
    /// `~`
    #[token("~")]
    Tilde,
    /// `!`
    #[token("!")]
    Bang,
    /// `==`
    #[token("==")]
    EqEq,
    /// `!=`
    #[token("!=")]
    NotEq,
    /// `<`
    #[token("<")]
    Lt,
    /// `<=`
    #[token("<=")]
    Le,
    /// `>`
    #[token(">")]
    Gt,
    /// `>=`
    #[token(">=")]
    Ge,
    /// `&&`
    #[token("&&")]
    AndAnd,
    /// `||`
    #[token("||")]
    OrOr,

    /// `// …`; trivia, not given to the parser.
    #[regex("//[^\n]*", allow_greedy = true)]
    LineComment,
    /// `/*`, which the lexer follows to its `*/`; trivia.
    #[token("/*")]
    BlockComment,
    /// A line end; trivia.
    #[token("\n")]
    Newline,
    /// `"text` without the closing quote; reported and then taken for the string.
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#)]
    OpenStr,
    /// `'c` without the closing quote; reported and then taken for the character.
    #[regex(r"'([^'\\\n]|\\[^\n])*\\?")]
    OpenChar,
    /// `#include` and its kind; reported and left out.
    #[regex("#[^\n]*", allow_greedy = true)]
    Directive,
}

impl TokenKind {
    /// Whether it is written as a word: a name, or a keyword that may be one as a member.
    pub(super) fn is_word(self) -> bool {
        self == TokenKind::Ident || self.is_type_word() || self.is_keyword()
    }

    /// Whether it is a keyword that starts a statement or stands in an expression.
    fn is_keyword(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Let
                | T::If
                | T::Else
                | T::For
                | T::While
                | T::Unroll
                | T::Break
                | T::Continue
                | T::Return
                | T::Emit
                | T::Sizeof
                | T::Offsetof
                | T::True
                | T::False
        )
    }

    /// Whether a type that starts with it can be nothing else.
    pub(super) fn is_type_word(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::CInt
                | T::IntName
                | T::Bool
                | T::Void
                | T::StringType
                | T::Qualifier
                | T::Struct
                | T::Union
                | T::Enum
        )
    }

    /// Whether it can be the last token of an operand, so that what follows is an operator.
    pub(super) fn ends_operand(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Ident
                | T::Local
                | T::Map
                | T::Number
                | T::Str
                | T::Char
                | T::True
                | T::False
                | T::RParen
                | T::RBracket
                | T::PlusPlus
                | T::MinusMinus
        )
    }

    /// Whether it can only be the first token of an operand.
    pub(super) fn only_starts_operand(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Ident
                | T::Local
                | T::Map
                | T::Number
                | T::Str
                | T::Char
                | T::True
                | T::False
                | T::LParen
                | T::TypeOpen
                | T::Bang
                | T::Tilde
                | T::Sizeof
                | T::Offsetof
        )
    }

    /// Whether it can only be the first token of a statement, where one has just ended.
    pub(super) fn only_starts_statement(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Local
                | T::Map
                | T::Let
                | T::If
                | T::For
                | T::While
                | T::Unroll
                | T::Break
                | T::Continue
                | T::Return
                | T::Emit
        )
    }

    /// Whether each one makes the syntax tree deeper by a level.
    pub(super) fn deepens(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Dot
                | T::Arrow
                | T::Question
                | T::PlusPlus
                | T::MinusMinus
                | T::Plus
                | T::Minus
                | T::Star
                | T::Slash
                | T::Percent
                | T::Shl
                | T::Shr
                | T::And
                | T::Or
                | T::Caret
                | T::Tilde
                | T::Bang
                | T::EqEq
                | T::NotEq
                | T::Lt
                | T::Le
                | T::Gt
                | T::Ge
                | T::AndAnd
                | T::OrOr
        )
    }
}

/// One token: what it is, and the bytes `start..end` of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last one; `start` for a token that was missing and has been put in.
    pub end: u32,
}
