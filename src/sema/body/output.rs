//! Records for user space: `printf`, `print`, `emit`.

use super::super::fold;
use super::super::hir::{Expr, ExprKind, OutputKind, Stmt, StmtKind};
use super::super::types::{Pointee, Ty};
use super::super::{format, show};
use super::Body;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

impl Body<'_, '_> {
    /// `printf(format, …)`
    pub(super) fn printf(
        &mut self,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let Some((first, rest)) = args.split_first() else { return };
        let values: Vec<Expr> = rest.iter().map(|a| self.value(a)).collect();
        let ast::ExprKind::Str(text) = &first.kind else {
            let literal = matches!(first.kind, ast::ExprKind::Error);
            if !literal {
                self.report(
                    Diagnostic::new(
                        Code::E0430,
                        first.span,
                        "the format of `printf` is a text literal",
                    )
                    .label("expected text in quotes")
                    .note("the format is read at compile time, and is not part of the records"),
                );
            }
            return;
        };
        self.needs_runner("printf", callee.span);
        let conversions = match format::parse(text) {
            Ok(conversions) => conversions,
            Err(fault) => return self.format_fault(first.span, &fault),
        };
        if conversions.len() != values.len() {
            return self.wrong_count(first.span, &conversions, &values, span);
        }
        let mut fits = true;
        for (conversion, value) in conversions.iter().zip(&values) {
            fits &= self.check_conversion(first.span, conversion, value);
        }
        if !fits {
            return;
        }
        let id = self.output(OutputKind::Printf(text.clone()), &values, span);
        out.push(Stmt { kind: StmtKind::Output(id, values), span });
    }

    /// Where a piece of the format stands in the source: the piece, if the literal has no escapes before it that make the text shorter than what is written.
    fn piece(&self, literal: Span, piece: &str, nth: usize) -> Span {
        let written = self.pass.sources.text(literal);
        let found = format::find_nth(written, piece, nth);
        let Some(start) = found.and_then(|at| u32::try_from(at).ok()) else { return literal };
        let len = u32::try_from(piece.len()).unwrap_or(0);
        let start = literal.start.saturating_add(start);
        Span { start, end: start.saturating_add(len), ..literal }
    }

    fn format_fault(&mut self, literal: Span, fault: &format::Fault) {
        let span = self.piece(literal, &fault.text, fault.nth);
        let mut diagnostic = Diagnostic::new(
            Code::E0430,
            span,
            format!("`{}` is not a conversion of `printf`", fault.text),
        )
        .label("unknown conversion")
        .help("there are %d %i %u %x %X %o %c %s %p %%");
        if let Some(meant) = fault.meant() {
            diagnostic = diagnostic.fix(format!("did you mean `{meant}`?"), span, meant);
        }
        self.report(diagnostic);
    }

    fn wrong_count(
        &mut self,
        literal: Span,
        conversions: &[format::Conversion],
        values: &[Expr],
        span: Span,
    ) {
        let wanted = show::count(conversions.len(), "conversion");
        let given = show::count(values.len(), "argument");
        let text = format!("the format has {wanted}, and `printf` is given {given} for it");
        let diagnostic = match (conversions.get(values.len()), values.get(conversions.len())) {
            (Some(open), _) => {
                let at = self.piece(literal, &open.text, open.nth);
                Diagnostic::new(Code::E0431, at, text)
                    .label("no argument for this")
                    .secondary(span, given)
            }
            (None, Some(extra)) => Diagnostic::new(Code::E0431, extra.span, text)
                .label("no conversion for this")
                .secondary(literal, wanted),
            (None, None) => return,
        };
        self.report(diagnostic);
    }

    fn check_conversion(
        &mut self,
        literal: Span,
        conversion: &format::Conversion,
        value: &Expr,
    ) -> bool {
        let text = matches!(value.ty, Ty::Str(_));
        let number = matches!(value.ty, Ty::Int(_) | Ty::Bool | Ty::Enum(_));
        let pointer = matches!(value.ty, Ty::Ptr(_));
        let (fits, expected) = match conversion.letter {
            's' => (text || value.ty == Ty::Bool || matches!(value.ty, Ty::Enum(_)), "text"),
            'p' => (pointer || matches!(value.ty, Ty::Int(_)), "a pointer or number"),
            'x' | 'X' => (number || pointer, "a number or pointer"),
            _ => (number, "a number"),
        };
        if fits || value.ty == Ty::Error {
            return value.ty != Ty::Error;
        }
        let found = self.show(&value.ty);
        let at = self.piece(literal, &conversion.text, conversion.nth);
        let mut diagnostic = Diagnostic::new(
            Code::E0431,
            value.span,
            format!("`{}` prints {expected}, not `{found}`", conversion.text),
        )
        .label(format!("expected {expected}, found `{found}`"))
        .secondary(at, "for this conversion");
        let source = self.pass.sources.text(value.span).to_owned();
        let replaced = |letter| conversion.text.replace(conversion.letter, letter);
        match &value.ty {
            Ty::Str(_) => diagnostic = diagnostic.write(at, replaced("s")),
            Ty::Int(_) if conversion.letter == 's' => {
                diagnostic = diagnostic.write(at, replaced("d"));
            }
            Ty::Ptr(Pointee::UserStr) if conversion.letter == 's' => {
                let read = format!("str({source})");
                diagnostic = diagnostic.write(value.span, read);
            }
            Ty::Ptr(_) => diagnostic = diagnostic.write(at, replaced("p")),
            _ => {}
        }
        self.report(diagnostic);
        false
    }

    /// `print(value)`
    pub(super) fn print_value(
        &mut self,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let Some(value) = args.first().map(|a| self.value(a)) else { return };
        if value.ty == Ty::Error {
            return;
        }
        self.needs_runner("print", callee.span);
        let values = vec![value];
        let id = self.output(OutputKind::Print, &values, span);
        out.push(Stmt { kind: StmtKind::Output(id, values), span });
    }

    /// `emit value`
    pub(super) fn emit(&mut self, e: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        let value = match &e.kind {
            ast::ExprKind::Unary(ast::UnaryOp::Deref, inner) => self.whole_mirror(inner, e.span),
            _ => self.value(e),
        };
        if value.ty == Ty::Error {
            return;
        }
        if fold::constant(&value).is_some() {
            self.report(
                Diagnostic::new(
                    Code::E0432,
                    value.span,
                    "a record of a bare constant says nothing",
                )
                .label("expected a struct, tuple, mirror or value of a type")
                .help("emit a struct: `emit (struct event){ .field = value };`"),
            );
            return;
        }
        let values = vec![value];
        let id = self.output(OutputKind::Emit, &values, span);
        out.push(Stmt { kind: StmtKind::Output(id, values), span });
    }

    /// `*pointer` in `emit`: every field of the mirror.
    fn whole_mirror(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        let base = self.value(inner);
        let Ty::Ptr(Pointee::Mirror(mirror)) = base.ty else {
            return self.deref_outside_emit(inner, span);
        };
        if self.refuses_mirror(span) {
            return super::error(span);
        }
        self.use_mirror(mirror, span);
        Expr { kind: ExprKind::Load { base: Box::new(base), mirror }, ty: Ty::Mirror(mirror), span }
    }
}
