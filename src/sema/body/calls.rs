//! Calls: functions that have a value, and actions, which are statements.

use super::super::builtins::{self, Call, Info, What};
use super::super::fold;
use super::super::hir::{Expr, ExprKind, OutputKind, Stmt, StmtKind};
use super::super::types::{IntTy, Pointee, Ty};
use super::super::{show, unbuilt};
use super::{Body, error};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

/// The longest text that is read, NUL included.
const MAX_STR: u32 = 1024;
/// How `time()` prints.
const TIME_FORMAT: &str = "%H:%M:%S\n";

impl Body<'_, '_> {
    /// The function of that name and what is wrong with it, reported.
    fn callee(&mut self, callee: &Ident) -> Option<(&'static Info, Call)> {
        match builtins::find(&callee.name).map(|info| (info, info.what)) {
            Some((info, What::Call(call, ..))) => return Some((info, call)),
            Some((_, What::Value(_))) => {
                self.report(
                    Diagnostic::new(
                        Code::E0122,
                        callee.span,
                        format!("`{}` is not a function", callee.name),
                    )
                    .help(format!("write `{}` without parentheses", callee.name)),
                );
                return None;
            }
            None => {}
        }
        if let Some(diagnostic) = unbuilt::builtin(&callee.name, callee.span) {
            self.report(diagnostic);
            return None;
        }
        if self.pass.left_out.mention(&callee.name) {
            return None;
        }
        let mut diagnostic = Diagnostic::new(
            Code::E0122,
            callee.span,
            format!("unknown function `{}`", callee.name),
        )
        .label("not a function of the language");
        let names = builtins::CALLS.iter().map(|info| info.name);
        if let Some(near) = self.nearest(&callee.name, names) {
            diagnostic = diagnostic.fix(format!("did you mean `{near}`?"), callee.span, near);
        }
        self.report(diagnostic);
        None
    }

    /// Whether a call has as many arguments as its function takes.
    pub(super) fn check_arity(&mut self, callee: &Ident, args: &[ast::Expr], span: Span) -> bool {
        let Some((info, _)) = self.callee(callee) else { return false };
        let What::Call(_, least, most) = info.what else { return false };
        if (least..=most).contains(&args.len()) {
            return true;
        }
        let expected = match (least, most) {
            (least, most) if least == most => show::count(least, "argument"),
            (least, usize::MAX) => format!("at least {}", show::count(least, "argument")),
            (least, most) => format!("{least} to {most} arguments"),
        };
        let found = show::count(args.len(), "argument");
        let culprit = args.get(most).map_or(span, |extra| extra.span);
        self.report(
            Diagnostic::new(Code::E0226, culprit, format!("`{}` takes {expected}", callee.name))
                .label(format!("expected {expected}, found {found}"))
                .help(format!("it is used as `{}`", info.usage)),
        );
        false
    }

    /// A call for its value.
    pub(super) fn call(&mut self, callee: &Ident, args: &[ast::Expr], span: Span) -> Expr {
        let Some((info, call)) = self.callee(callee) else {
            self.visit(args);
            return error(span);
        };
        if !matches!(call, Call::Agg(_)) && !self.check_arity(callee, args, span) {
            self.visit(args);
            return error(span);
        }
        if self.refuses_call(&callee.name, callee.span) {
            self.visit(args);
            return error(span);
        }
        match call {
            Call::Packet(width) => self.packet_load(width, callee, args, span),
            Call::HasKey => self.has_key(callee, args, span),
            Call::Len => self.len(callee, args, span),
            Call::Str | Call::Kstr => self.read_str(call, callee, args, span),
            Call::Fetch(width) => self.fetch(width, callee, args, span),
            Call::Has => self.has_field(args, span),
            Call::Agg(_) => self.fail(
                Diagnostic::new(Code::E0428, span, format!("`{}` is not a value", callee.name))
                    .label("expected as what a map is given")
                    .note("an aggregation is kept in a map, on every processor for itself")
                    .help(format!("give it to a map: `@name = {};`", info.usage)),
            ),
            Call::Printf
            | Call::Print
            | Call::Exit
            | Call::Time
            | Call::Clear
            | Call::Zero
            | Call::Delete => self.fail(
                Diagnostic::new(
                    Code::E0230,
                    span,
                    format!("`{}` is an action and has no value", callee.name),
                )
                .label("expected a value")
                .help("actions are statements of their own"),
            ),
        }
    }

    /// Analyzes arguments of a call that was refused, for what is wrong in them and for the maps they tell of.
    fn visit(&mut self, args: &[ast::Expr]) {
        for arg in args {
            let _ = self.expr(arg);
        }
    }

    /// An action as a statement; gives false for what is none.
    pub(super) fn action(
        &mut self,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
        out: &mut Vec<Stmt>,
    ) -> bool {
        let Some(info) = builtins::find(&callee.name) else { return false };
        let What::Call(call, ..) = info.what else { return false };
        let is_action = matches!(
            call,
            Call::Printf
                | Call::Print
                | Call::Exit
                | Call::Time
                | Call::Clear
                | Call::Zero
                | Call::Delete
        );
        if !is_action {
            return false;
        }
        if !self.check_arity(callee, args, span) {
            return true;
        }
        match call {
            Call::Printf => self.printf(callee, args, span, out),
            Call::Print if !is_whole_map(args) => self.print_value(callee, args, span, out),
            Call::Delete => self.delete(callee, args, span, out),
            Call::Exit => {
                self.needs_runner("exit", callee.span);
                let id = self.output(OutputKind::Exit, &[], span);
                out.push(Stmt { kind: StmtKind::Output(id, Vec::new()), span });
                out.push(Stmt { kind: StmtKind::Return(None), span });
                self.unreachable = true;
            }
            Call::Time => self.time(callee, args, span, out),
            _ => self.map_action(call, callee, args, span, out),
        }
        true
    }

    fn time(&mut self, callee: &Ident, args: &[ast::Expr], span: Span, out: &mut Vec<Stmt>) {
        let format = match args.first().map(|a| (&a.kind, a.span)) {
            None => TIME_FORMAT.into(),
            Some((ast::ExprKind::Str(text), _)) => text.clone(),
            Some((_, at)) => {
                self.report(
                    Diagnostic::new(Code::E0227, at, "the format of `time` is a text literal")
                        .label("expected text, such as \"%H:%M:%S\\n\""),
                );
                return;
            }
        };
        self.needs_runner("time", callee.span);
        let id = self.output(OutputKind::Time(format), &[], span);
        out.push(Stmt { kind: StmtKind::Output(id, Vec::new()), span });
    }

    /// `str(ptr[, size])` and `kstr(ptr[, size])`
    fn read_str(&mut self, call: Call, callee: &Ident, args: &[ast::Expr], span: Span) -> Expr {
        let size = match args.get(1) {
            None => Some(self.pass.decls.config.max_strlen),
            Some(size) => self.text_size(callee, size),
        };
        let Some(addr) = args.first().map(|a| self.value(a)) else { return error(span) };
        let Some(size) = size else { return error(span) };
        let kernel_text = call == Call::Kstr;
        let user = match &addr.ty {
            Ty::Error => return error(span),
            Ty::Str(_) if !kernel_text => return self.already_text(&addr, span),
            Ty::Int(_) if kernel_text => {
                self.raw_fetch(span, "`kstr` of a number");
                false
            }
            Ty::Ptr(Pointee::UserStr | Pointee::User(_)) if kernel_text => {
                return self.fail(
                    Diagnostic::new(
                        Code::E0227,
                        addr.span,
                        "`kstr` reads kernel memory, and this points into user memory",
                    )
                    .write(callee.span, "str"),
                );
            }
            Ty::Int(_) | Ty::Ptr(Pointee::UserStr | Pointee::User(_)) => true,
            Ty::Ptr(Pointee::Kernel(_) | Pointee::Mirror(_)) => false,
            _ => {
                let found = self.show(&addr.ty);
                return self.fail(
                    Diagnostic::new(
                        Code::E0227,
                        addr.span,
                        format!("`{}` reads text at a pointer, not at `{found}`", callee.name),
                    )
                    .label(format!("expected a pointer, found `{found}`")),
                );
            }
        };
        Expr { kind: ExprKind::ReadStr { addr: Box::new(addr), user }, ty: Ty::Str(size), span }
    }

    fn already_text(&mut self, text: &Expr, span: Span) -> Expr {
        let inner = self.pass.sources.text(text.span).to_owned();
        let found = self.show(&text.ty);
        self.fail(
            Diagnostic::new(Code::E0227, text.span, "this is text already")
                .label(format!("expected a pointer, found `{found}`"))
                .write(span, inner),
        )
    }

    fn text_size(&mut self, callee: &Ident, size: &ast::Expr) -> Option<u32> {
        let value = self.value(size);
        if value.ty == Ty::Error {
            return None;
        }
        let constant = fold::constant(&value).map(u32::try_from);
        if let Some(Ok(size @ 1..=MAX_STR)) = constant {
            return Some(size);
        }
        self.report(
            Diagnostic::new(
                Code::E0521,
                size.span,
                format!("the size of `{}` is a constant from 1 to {MAX_STR}", callee.name),
            )
            .label("in bytes, the NUL at the end included")
            .note("a program has a stack of 512 bytes, so texts have a fixed and small size"),
        );
        None
    }

    /// `fetch_u32(addr)` and its like.
    fn fetch(&mut self, width: IntTy, callee: &Ident, args: &[ast::Expr], span: Span) -> Expr {
        let Some(addr) = args.first().map(|a| self.value(a)) else { return error(span) };
        match addr.ty {
            Ty::Error => return error(span),
            Ty::Int(_) | Ty::Ptr(Pointee::Mirror(_) | Pointee::Kernel(_)) => {}
            _ => {
                let found = self.show(&addr.ty);
                return self.fail(
                    Diagnostic::new(
                        Code::E0227,
                        addr.span,
                        format!("`{}` reads at a kernel address, not at `{found}`", callee.name),
                    )
                    .label(format!("expected an address, found `{found}`")),
                );
            }
        }
        self.raw_fetch(span, &format!("`{}`", callee.name));
        let kind = ExprKind::Fetch { addr: Box::new(addr), width };
        Expr { kind, ty: Ty::Int(width), span }
    }

    /// `has(ptr.field)`
    fn has_field(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let Some(arg) = args.first() else { return error(span) };
        let not_a_field = |at: Span| {
            Diagnostic::new(Code::E0227, at, "`has` asks for a field of a mirror")
                .label("expected `pointer.field`")
        };
        let ast::ExprKind::Field { base, name, .. } = &arg.kind else {
            return self.fail(not_a_field(arg.span));
        };
        if matches!(&base.kind, ast::ExprKind::Name(n) if n == "args") {
            return self.fail(not_a_field(arg.span));
        }
        let base = self.value(base);
        let mirror = match base.ty {
            Ty::Error => return error(span),
            Ty::Ptr(Pointee::Mirror(id)) => id,
            _ => return self.fail(not_a_field(arg.span)),
        };
        self.use_mirror(mirror, span);
        match self.find_mirror_field(mirror, name) {
            Some((field, _)) => {
                Expr { kind: ExprKind::HasField { mirror, field }, ty: Ty::Bool, span }
            }
            None => self.unknown_mirror_field(mirror, name),
        }
    }
}

fn is_whole_map(args: &[ast::Expr]) -> bool {
    matches!(args, [ast::Expr { kind: ast::ExprKind::Map { key: None, .. }, .. }])
}
