//! Building the tree: what the grammar's productions do.
//!
//! In: the places of tokens, and trees already built. Out: bigger trees. What is well-formed to the grammar and still means
//! nothing (`1 = 2`, `unsigned bool`) is reported here.

use super::ast::{
    Alternative, BinaryOp, Block, Expr, ExprKind, FieldDecl, FuncParams, Ident, Name, ProbeSpec,
    StmtKind, StrLit, TypeExpr, TypeExprKind, UnaryOp,
};
use super::expected::shown;
use super::token::Token;
use super::{literal, types};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{FileId, Span};
use std::cell::RefCell;

/// How many parts a probe spec is split into; no provider takes as many. What is left stays in the last one.
const MAX_SPEC_PARTS: usize = 8;

/// A place between tokens: a byte of the file, and the number of the token after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loc {
    /// The byte.
    pub(super) byte: u32,
    /// The token.
    pub(super) token: usize,
}

/// What builds the tree of one file.
pub(super) struct Build<'a> {
    file: FileId,
    text: &'a str,
    diags: RefCell<Diags>,
}

/// One step from a declared name outwards to its base type.
pub(super) enum DeclaratorOp {
    /// `*`
    Ptr,
    /// `[n]`
    Array(Option<Expr>),
    /// `(…)`
    Func(FuncParams),
}

/// A declarator: the name, and what is around it from the inside out.
pub(super) struct Declarator {
    name: Option<Ident>,
    ops: Vec<DeclaratorOp>,
}

impl Declarator {
    pub(super) fn new(name: Option<Ident>) -> Declarator {
        Declarator { name, ops: Vec::new() }
    }

    pub(super) fn then(mut self, op: DeclaratorOp) -> Declarator {
        self.ops.push(op);
        self
    }

    /// The declared type over `base`; the outermost part of the declarator is nearest to the base.
    fn apply(self, base: TypeExpr, span: Span) -> (TypeExpr, Option<Ident>) {
        let ty = self.ops.into_iter().rev().fold(base, |inner, op| {
            let kind = match op {
                DeclaratorOp::Ptr => TypeExprKind::Ptr(Box::new(inner)),
                DeclaratorOp::Array(n) => TypeExprKind::Array(Box::new(inner), n.map(Box::new)),
                DeclaratorOp::Func(params) => TypeExprKind::Func(Box::new(inner), params),
            };
            TypeExpr { kind, span }
        });
        (ty, self.name)
    }
}

impl<'a> Build<'a> {
    pub(super) fn new(file: FileId, text: &'a str) -> Build<'a> {
        Build { file, text, diags: RefCell::new(Diags::new()) }
    }

    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.diags.borrow_mut().push(diagnostic);
    }

    /// What was reported.
    pub(super) fn into_diags(self) -> Diags {
        self.diags.into_inner()
    }

    pub(super) fn span(&self, l: Loc, r: Loc) -> Span {
        Span::new(self.file, l.byte, r.byte.max(l.byte))
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or("")
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    pub(super) fn token_span(&self, token: Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    /// Whether the second token stands on a later line than the first.
    pub(super) fn line_end_between(&self, first: Token, second: Token) -> bool {
        self.text.get(first.end as usize..second.start as usize).unwrap_or("").contains('\n')
    }

    // Names and literals

    pub(super) fn ident(&self, l: Loc, r: Loc) -> Ident {
        let span = self.span(l, r);
        Ident { name: Name::new(self.text(span)), span }
    }

    pub(super) fn sigil_ident(&self, l: Loc, r: Loc) -> Ident {
        let span = self.span(l, r);
        let text = self.text(span);
        let name = text.get(1..).unwrap_or("");
        // `$1` is a parameter of the script in bpftrace; what to write for it is said where names are looked up.
        if text.starts_with('@') && name.starts_with(|c: char| c.is_ascii_digit()) {
            self.report(
                Diagnostic::new(Code::E0016, span, "a map's name does not begin with a digit")
                    .label("expected `@` and a letter")
                    .fix(format!("write `@m{name}`"), span, format!("@m{name}")),
            );
        }
        Ident { name: Name::new(name), span }
    }

    pub(super) fn string(&self, l: Loc, r: Loc) -> StrLit {
        let span = self.span(l, r);
        // The lexer has reported the escapes that do not exist.
        StrLit { value: literal::string(self.text(span)).unwrap_or_default(), span }
    }

    pub(super) fn string_expr(&self, l: Loc, r: Loc) -> ExprKind {
        literal::string(self.text(self.span(l, r))).map_or(ExprKind::Error, ExprKind::Str)
    }

    pub(super) fn number(&self, l: Loc, r: Loc) -> ExprKind {
        match literal::number(self.text(self.span(l, r))) {
            Ok(literal::Number::Int(value)) => ExprKind::Int(value),
            Ok(literal::Number::Duration(ns)) => ExprKind::Duration(ns),
            Err(_) => ExprKind::Error,
        }
    }

    pub(super) fn character(&self, l: Loc, r: Loc) -> ExprKind {
        literal::character(self.text(self.span(l, r))).map_or(ExprKind::Error, ExprKind::Int)
    }

    /// `sched:sched_switch`, without the blanks that may stand around the colon.
    pub(super) fn source_name(&self, l: Loc, r: Loc) -> Ident {
        let mut ident = self.ident(l, r);
        if ident.name.contains(char::is_whitespace) {
            ident.name = ident.name.split_whitespace().collect();
        }
        ident
    }

    // Probes

    /// `uprobe:"/opt/my app":main`: parts between colons; quotes hold what would end a part.
    pub(super) fn spec(&self, l: Loc, r: Loc, optional: bool) -> ProbeSpec {
        let span = self.span(l, r);
        let text = self.text(span);
        let mut parts = Vec::new();
        let (mut start, mut quoted) = (0, false);
        for (at, byte) in text.bytes().chain([b':']).enumerate() {
            quoted ^= byte == b'"';
            let last = at == text.len();
            if byte != b':' || (!last && (quoted || parts.len() + 1 == MAX_SPEC_PARTS)) {
                continue;
            }
            let place = |i: usize| span.start + u32::try_from(i).unwrap_or(u32::MAX);
            let name = text.get(start..at).unwrap_or("").replace('"', "");
            parts.push(Ident {
                name: Name::new(name),
                span: Span::new(self.file, place(start), place(at)),
            });
            start = at + 1;
        }
        ProbeSpec { parts, optional, span }
    }

    pub(super) fn expect_user(&self, provider: &Ident) {
        if provider.name != "user" {
            self.report(
                Diagnostic::new(
                    Code::E0001,
                    provider.span,
                    "a tracepoint declared in a script is a `user:` tracepoint",
                )
                .label("expected `user`")
                .fix("write `user`", provider.span, "user"),
            );
        }
    }

    // Types

    pub(super) fn int_name(&self, l: Loc, r: Loc) -> TypeExprKind {
        types::int_name(self.text(self.span(l, r))).unwrap_or(TypeExprKind::Error)
    }

    pub(super) fn c_int<T>(&self, words: &[(T, Span)]) -> TypeExprKind {
        let kind = types::c_int(words.iter().map(|(_, span)| self.text(*span)));
        kind.unwrap_or_else(|| {
            if let (Some((_, first)), Some((_, last))) = (words.first(), words.last()) {
                let span = first.to(*last);
                let message = format!("`{}` is no integer type", shown(self.text(span)));
                self.report(Diagnostic::new(Code::E0012, span, message));
            }
            TypeExprKind::Error
        })
    }

    pub(super) fn abstract_type(&self, base: TypeExpr, declarator: Declarator, r: Loc) -> TypeExpr {
        let span = base.span.to(Span::new(self.file, r.byte, r.byte));
        declarator.apply(base, span).0
    }

    // Fields

    pub(super) fn error_field(&self, l: Loc, r: Loc) -> FieldDecl {
        let span = self.span(l, r);
        let ty = TypeExpr { kind: TypeExprKind::Error, span };
        FieldDecl { ty, name: None, bits: None, optional: false, sources: Vec::new(), span }
    }

    /// `struct { … };`, the only member that needs no name.
    pub(super) fn anonymous_field(&self, base: TypeExpr) -> Vec<FieldDecl> {
        let span = base.span;
        match base.kind {
            TypeExprKind::Anonymous(..) | TypeExprKind::Error => {}
            TypeExprKind::Name(_) => self.report(
                Diagnostic::new(
                    Code::E0013,
                    span,
                    format!("the member `{}` has no type", shown(self.text(span))),
                )
                .label("expected a type and a name")
                .help("a member is declared as in C: `int pid;`"),
            ),
            _ => self.report(
                Diagnostic::new(Code::E0013, span.after(), "the member has no name")
                    .label("expected a name"),
            ),
        }
        vec![FieldDecl {
            ty: base,
            name: None,
            bits: None,
            optional: false,
            sources: Vec::new(),
            span,
        }]
    }

    /// One declarator's share of a member; [`Build::fields`] adds type and name.
    pub(super) fn field(
        &self,
        l: Loc,
        optional: bool,
        bits: Option<Expr>,
        sources: Option<Vec<Alternative>>,
        r: Loc,
    ) -> FieldDecl {
        FieldDecl { optional, bits, sources: sources.unwrap_or_default(), ..self.error_field(l, r) }
    }

    /// The members that declarators over one base type declare.
    ///
    /// Only a type of one name can be shared by several: copies of larger ones could grow without bound.
    pub(super) fn fields(
        &self,
        base: TypeExpr,
        mut declarators: Vec<(Declarator, FieldDecl)>,
    ) -> Vec<FieldDecl> {
        let large = matches!(base.kind, TypeExprKind::Anonymous(..) | TypeExprKind::Tuple(_));
        if large && let Some((_, second)) = declarators.get(1) {
            self.report(
                Diagnostic::new(
                    Code::E0001,
                    second.span,
                    "a type without a name is the type of one member",
                )
                .label("expected `;` before this")
                .help("declare the type with a name, and the members one by one"),
            );
            declarators.truncate(1);
        }
        let last = declarators.pop();
        let mut fields: Vec<_> =
            declarators.into_iter().map(|d| declare_field(base.clone(), d)).collect();
        fields.extend(last.map(|d| declare_field(base, d)));
        fields
    }

    // Statements

    pub(super) fn compound_op(&self, l: Loc, r: Loc) -> BinaryOp {
        match self.text(self.span(l, r)) {
            "-=" => BinaryOp::Sub,
            "*=" => BinaryOp::Mul,
            "/=" => BinaryOp::Div,
            "%=" => BinaryOp::Rem,
            "<<=" => BinaryOp::Shl,
            ">>=" => BinaryOp::Shr,
            "&=" => BinaryOp::And,
            "|=" => BinaryOp::Or,
            "^=" => BinaryOp::Xor,
            _ => BinaryOp::Add,
        }
    }

    pub(super) fn assign(&self, target: Expr, op: Option<BinaryOp>, value: Expr) -> StmtKind {
        self.expect_place(&target);
        StmtKind::Assign { target, op, value }
    }

    /// Reports what cannot stand left of `=`. A bare name can, as far as syntax knows.
    fn expect_place(&self, target: &Expr) {
        let place = match &target.kind {
            ExprKind::Local(_)
            | ExprKind::Map { .. }
            | ExprKind::Name(_)
            | ExprKind::Field { .. }
            | ExprKind::Index { .. }
            | ExprKind::Unary(UnaryOp::Deref, _)
            | ExprKind::Error => true,
            ExprKind::Int(_)
            | ExprKind::Duration(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::Call { .. }
            | ExprKind::Unary(..)
            | ExprKind::Binary(..)
            | ExprKind::Ternary(..)
            | ExprKind::Cast(..)
            | ExprKind::StructLit(..)
            | ExprKind::Tuple(_)
            | ExprKind::Step { .. }
            | ExprKind::SizeofType(_)
            | ExprKind::SizeofExpr(_)
            | ExprKind::Offsetof(..)
            | ExprKind::Type(_)
            | ExprKind::Block(..) => false,
        };
        if !place {
            self.report(
                Diagnostic::new(Code::E0011, target.span, "this cannot be assigned to")
                    .label("expected a variable `$x`, a map `@x` or an element of one"),
            );
        }
    }

    pub(super) fn for_loop(&self, head: (Ident, Expr, Option<Expr>), body: Block) -> StmtKind {
        match head {
            (var, start, Some(end)) => StmtKind::ForRange { var, start, end, body },
            (var, Expr { kind: ExprKind::Map { name, key: None }, .. }, None) => {
                StmtKind::ForMap { var, map: name, body }
            }
            (_, over, None) => {
                self.report(
                    Diagnostic::new(
                        Code::E0001,
                        over.span,
                        "a `for` loop runs over a range or a map",
                    )
                    .label("expected `start..end` or `@map`"),
                );
                StmtKind::Error
            }
        }
    }

    pub(super) fn assign_in_condition(&self, left: Expr, l: Loc, r: Loc, right: Expr) -> Expr {
        let span = self.span(l, r);
        self.report(
            Diagnostic::new(Code::E0010, span, "`=` assigns, and a condition cannot assign")
                .label("expected `==`")
                .fix("compare with `==`", span, "=="),
        );
        binary(BinaryOp::Eq, left, right)
    }

    // Expressions

    pub(super) fn unary(&self, l: Loc, op: UnaryOp, operand: Expr) -> Expr {
        let span = self.from(l, operand.span);
        Expr { kind: ExprKind::Unary(op, Box::new(operand)), span }
    }

    pub(super) fn cast(&self, l: Loc, ty: TypeExpr, operand: Expr) -> Expr {
        let span = self.from(l, operand.span);
        Expr { kind: ExprKind::Cast(ty, Box::new(operand)), span }
    }

    pub(super) fn prefix_step(&self, l: Loc, delta: i8, target: Expr) -> Expr {
        let span = self.from(l, target.span);
        self.expect_place(&target);
        Expr { kind: ExprKind::Step { target: Box::new(target), delta, postfix: false }, span }
    }

    pub(super) fn postfix_step(&self, target: Expr, delta: i8, r: Loc) -> Expr {
        let span = self.until(target.span, r);
        self.expect_place(&target);
        Expr { kind: ExprKind::Step { target: Box::new(target), delta, postfix: true }, span }
    }

    /// `$tuple.0`
    pub(super) fn tuple_member(&self, base: Expr, l: Loc, r: Loc) -> Expr {
        let name = self.ident(l, r);
        if matches!(base.kind, ExprKind::Int(_) | ExprKind::Duration(_)) {
            let span = base.span.to(name.span);
            let message = format!(
                "`{}` is not an integer, and there are no other numbers",
                shown(self.text(span))
            );
            self.report(Diagnostic::new(Code::E0005, span, message));
            return Expr { kind: ExprKind::Error, span };
        }
        member(base, name, false)
    }

    /// `@map[a, b]` is a key, `x[i]` an element.
    pub(super) fn index(&self, base: Expr, mut index: Vec<Expr>, l: Loc, r: Loc) -> Expr {
        let span = self.until(base.span, r);
        if let ExprKind::Map { name, key: None } = base.kind {
            return Expr { kind: ExprKind::Map { name, key: Some(index) }, span };
        }
        let last = index.pop();
        if let Some(first) = index.first() {
            let span = last.as_ref().map_or(first.span, |last| first.span.to(last.span));
            self.report(
                Diagnostic::new(Code::E0001, span, "an array has one index, not a list of them")
                    .label("expected one expression"),
            );
        }
        let error = Expr { kind: ExprKind::Error, span: self.span(l, r) };
        let index = Box::new(last.unwrap_or(error));
        Expr { kind: ExprKind::Index { base: Box::new(base), index }, span }
    }

    fn from(&self, l: Loc, end: Span) -> Span {
        Span::new(self.file, l.byte, l.byte).to(end)
    }

    fn until(&self, start: Span, r: Loc) -> Span {
        start.to(Span::new(self.file, r.byte, r.byte))
    }
}

pub(super) fn tuple_type(first: TypeExpr, rest: Vec<TypeExpr>) -> TypeExprKind {
    TypeExprKind::Tuple(std::iter::once(first).chain(rest).collect())
}

/// The type and name of a parameter.
pub(super) fn declare(base: TypeExpr, declarator: Declarator) -> (TypeExpr, Ident) {
    let end = declarator.name.as_ref().map_or(base.span, |name| name.span);
    let span = base.span.to(end);
    let (ty, name) = declarator.apply(base, span);
    (ty, name.unwrap_or(Ident { name: Name::default(), span }))
}

impl Build<'_> {
    /// A pointer for each star, whose ends are given.
    pub(super) fn pointers(&self, base: TypeExpr, stars: Vec<(Loc, Loc)>) -> TypeExpr {
        stars.into_iter().fold(base, |target, (_, end)| {
            let span = target.span.to(self.span(end, end));
            TypeExpr { kind: TypeExprKind::Ptr(Box::new(target)), span }
        })
    }
}

fn declare_field(base: TypeExpr, (declarator, mut field): (Declarator, FieldDecl)) -> FieldDecl {
    let end = declarator.name.as_ref().map_or(base.span, |name| name.span);
    let span = if declarator.ops.is_empty() { base.span } else { base.span.to(end) };
    field.span = base.span.to(field.span);
    (field.ty, field.name) = declarator.apply(base, span);
    field
}

pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let span = left.span.to(right.span);
    Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), span }
}

pub(super) fn ternary(cond: Expr, then: Expr, otherwise: Expr) -> Expr {
    let span = cond.span.to(otherwise.span);
    Expr { kind: ExprKind::Ternary(Box::new(cond), Box::new(then), Box::new(otherwise)), span }
}

pub(super) fn member(base: Expr, name: Ident, arrow: bool) -> Expr {
    let span = base.span.to(name.span);
    Expr { kind: ExprKind::Field { base: Box::new(base), name, arrow }, span }
}

impl std::fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Build").field("file", &self.file).finish_non_exhaustive()
    }
}
