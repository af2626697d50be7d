//! Expressions: names, members, elements, literals.

use super::super::hir::{Expr, ExprKind, MirrorId, StructId};
use super::super::types::{IntTy, Pointee, Ty};
use super::super::{fold, layout, show, unbuilt};
use super::{ArgValue, Body, ProbeArg, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident, Name};
use std::sync::Arc;

impl Body<'_, '_> {
    /// The typed form of an expression that is used for its value or effect.
    pub(super) fn expr(&mut self, e: &ast::Expr) -> Expr {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Int(value) => literal(*value, span),
            ast::ExprKind::Duration(nanoseconds) => literal(*nanoseconds, span),
            ast::ExprKind::Str(text) => string(text, span),
            ast::ExprKind::Bool(value) => int(u64::from(*value), Ty::Bool, span),
            ast::ExprKind::Name(name) => self.name(name, span),
            ast::ExprKind::Local(name) => self.local(name, span),
            ast::ExprKind::Map { name, key } => self.map_get(name, key.as_deref(), span),
            ast::ExprKind::Field { base, name, .. } => self.field(base, name, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
            ast::ExprKind::Call { callee, args } => self.call(callee, args, span),
            ast::ExprKind::Unary(op, inner) => self.unary(*op, inner, span),
            ast::ExprKind::Binary(op, left, right) => self.binary(*op, left, right, span),
            ast::ExprKind::Ternary(cond, then, otherwise) => {
                self.ternary(cond, then, otherwise, span)
            }
            ast::ExprKind::Cast(ty, inner) => self.cast(ty, inner, span),
            ast::ExprKind::StructLit(ty, fields) => self.struct_literal(ty, fields, span),
            ast::ExprKind::Tuple(parts) => self.tuple(parts, span),
            ast::ExprKind::Step { target, delta, postfix } => {
                self.step(target, *delta, *postfix, span)
            }
            ast::ExprKind::SizeofType(ty) => {
                let ty = self.resolve(ty);
                let layout = layout::of(self.hir(), &ty);
                literal(u64::from(layout.size), span)
            }
            ast::ExprKind::SizeofExpr(value) => {
                let value = self.value(value);
                let layout = layout::of(self.hir(), &value.ty);
                literal(u64::from(layout.size), span)
            }
            ast::ExprKind::Type(ty) => self.fail(
                Diagnostic::new(Code::E0230, ty.span, "a type is not a value")
                    .label("expected a value"),
            ),
            ast::ExprKind::Offsetof(ty, path) => self.offsetof(ty, path, span),
            ast::ExprKind::Block(block, _) => {
                self.fail(unbuilt::unbuilt("block expression", block.span))
            }
            ast::ExprKind::Error => error(span),
        }
    }

    /// An expression that must have a value.
    pub(super) fn value(&mut self, e: &ast::Expr) -> Expr {
        let value = self.expr(e);
        if value.ty != Ty::Void {
            return value;
        }
        self.fail(
            Diagnostic::new(Code::E0230, e.span, "this is an action and has no value")
                .label("expected a value")
                .help("actions are statements of their own"),
        )
    }

    fn field(&mut self, base: &ast::Expr, name: &Ident, span: Span) -> Expr {
        if matches!(&base.kind, ast::ExprKind::Name(n) if n == "args") {
            return self.argument(name, span);
        }
        if self.is_skb(base) {
            return self.skb_field(name, span);
        }
        let base = self.value(base);
        match &base.ty {
            Ty::Error => error(span),
            Ty::Ptr(Pointee::Mirror(id)) => {
                let id = *id;
                self.mirror_field(base, id, name, span)
            }
            Ty::Ptr(Pointee::Kernel(kernel)) => {
                let kernel = kernel.clone();
                self.no_mirror(&base, &kernel)
            }
            Ty::Ptr(Pointee::UserStr | Pointee::User(_)) => {
                self.fail(unbuilt::unbuilt("reading a struct in user memory", base.span))
            }
            Ty::Struct(id) => {
                let id = *id;
                self.struct_field(base, id, name, span)
            }
            Ty::Tuple(parts) => {
                let parts = Arc::clone(parts);
                self.tuple_part(base, &parts, name, span)
            }
            Ty::Void
            | Ty::Bool
            | Ty::Int(_)
            | Ty::Enum(_)
            | Ty::Str(_)
            | Ty::Array(..)
            | Ty::Mirror(_) => {
                let found = self.show(&base.ty);
                self.fail(
                    Diagnostic::new(Code::E0123, name.span, format!("`{found}` has no members"))
                        .secondary(base.span, format!("this is `{found}`")),
                )
            }
        }
    }

    fn argument(&mut self, name: &Ident, span: Span) -> Expr {
        let found = self.probe.args.iter().find(|arg| arg.name == name.name).cloned();
        if let Some(arg) = found {
            return self.probe_arg(&arg, span);
        }
        let probe = &self.probe.probe;
        let known = show::list(self.probe.args.iter().map(|a| a.name.as_str()), 8);
        let mut diagnostic = Diagnostic::new(
            Code::E0124,
            name.span,
            format!("`{probe}` has no argument `{}`", name.name),
        )
        .label("unknown argument");
        let near = self.nearest(&name.name, self.probe.args.iter().map(|a| a.name.as_str()));
        if let Some(near) = near {
            diagnostic = diagnostic.fix(format!("did you mean `{near}`?"), name.span, near);
        } else if known.is_empty() {
            diagnostic = diagnostic.note(format!("`{probe}` has no arguments"));
        }
        if !known.is_empty() {
            diagnostic = diagnostic.help(format!("it has {known}"));
        }
        self.fail(diagnostic)
    }

    fn probe_arg(&mut self, arg: &ProbeArg, span: Span) -> Expr {
        if let Ty::Ptr(Pointee::Mirror(id)) = arg.ty {
            self.use_mirror(id, span);
        }
        match &arg.value {
            ArgValue::Kernel(place) => {
                Expr { kind: ExprKind::Arg(place.clone()), ty: arg.ty.clone(), span }
            }
            ArgValue::Field(place, mirror, field) => {
                let value = super::argument_field(self.hir(), place, *mirror, *field, span);
                Expr { kind: ExprKind::Convert(Box::new(value)), ty: arg.ty.clone(), span }
            }
        }
    }

    fn mirror_field(&mut self, base: Expr, id: MirrorId, name: &Ident, span: Span) -> Expr {
        if self.refuses_mirror(span) {
            return error(span);
        }
        self.use_mirror(id, span);
        let Some((index, ty)) = self.find_mirror_field(id, name) else {
            return self.unknown_mirror_field(id, name);
        };
        if let Ty::Enum(id) = ty {
            self.use_enum(id, span);
        }
        let kind = ExprKind::Field { base: Box::new(base), mirror: id, field: index };
        Expr { kind, ty, span }
    }

    pub(super) fn find_mirror_field(&self, id: MirrorId, name: &Ident) -> Option<(u32, Ty)> {
        let mut fields = (0..).zip(&self.hir().mirrors[id].fields);
        fields.find(|(_, f)| f.name == name.name).map(|(i, f)| (i, f.ty.clone()))
    }

    pub(super) fn unknown_mirror_field(&mut self, id: MirrorId, name: &Ident) -> Expr {
        let mirror = &self.hir().mirrors[id];
        let fields: Vec<&str> = mirror.fields.iter().map(|f| f.name.as_str()).collect();
        let owner = mirror.name.clone();
        let declared = mirror.span;
        if self.pass.left_out.mention(&format!("{owner}.")) {
            return error(name.span);
        }
        let diagnostic = self
            .unknown_member(&owner, &fields, name)
            .secondary(self.head(declared), "the mirror is declared here")
            .note("a mirror shows the fields it declares, not all that the kernel's struct has");
        self.fail(diagnostic)
    }

    fn no_mirror(&mut self, base: &Expr, kernel: &str) -> Expr {
        self.fail(
            Diagnostic::new(
                Code::E0323,
                base.span,
                format!("no mirror shows what `{kernel}` holds"),
            )
            .label(format!("a pointer to the kernel's `{kernel}`"))
            .help(format!("declare the fields you need: `struct {kernel}_user {{ … }};`")),
        )
    }

    fn struct_field(&mut self, base: Expr, id: StructId, name: &Ident, span: Span) -> Expr {
        let decl = &self.hir().structs[id];
        let found = (0..).zip(&decl.fields).find(|(_, f)| f.name == name.name);
        if let Some((index, field)) = found {
            return member(base, index, field.ty.clone(), span);
        }
        if self.pass.left_out.mention(&format!("{}.", decl.name)) {
            return error(span);
        }
        let fields: Vec<&str> = decl.fields.iter().map(|f| f.name.as_str()).collect();
        let diagnostic = self
            .unknown_member(&decl.name, &fields, name)
            .secondary(self.head(decl.span), "the struct is declared here");
        self.fail(diagnostic)
    }

    fn tuple_part(&mut self, base: Expr, parts: &[Ty], name: &Ident, span: Span) -> Expr {
        let index = name.name.parse::<u32>().ok();
        let found = index.and_then(|i| Some((i, parts.get(i as usize)?)));
        if let Some((index, ty)) = found {
            return member(base, index, ty.clone(), span);
        }
        let last = parts.len().saturating_sub(1);
        let found = self.show(&base.ty);
        self.fail(
            Diagnostic::new(
                Code::E0123,
                name.span,
                format!("`{found}` has no part `{}`", name.name),
            )
            .label(format!("expected `.0` to `.{last}`")),
        )
    }

    fn index(&mut self, base: &ast::Expr, index: &ast::Expr, span: Span) -> Expr {
        let base = self.value(base);
        let index = self.value(index);
        if base.ty == Ty::Error || index.ty == Ty::Error {
            return error(span);
        }
        if !matches!(index.ty, Ty::Int(_) | Ty::Bool) {
            let found = self.show(&index.ty);
            return self.fail(
                Diagnostic::new(Code::E0225, index.span, format!("an index cannot be `{found}`"))
                    .label(format!("expected an integer, found `{found}`")),
            );
        }
        let (ty, len) = match &base.ty {
            Ty::Array(elem, len) => ((**elem).clone(), *len),
            Ty::Str(len) => (Ty::Int(IntTy::U8), *len),
            _ => {
                let found = self.show(&base.ty);
                return self.fail(
                    Diagnostic::new(Code::E0225, base.span, format!("`{found}` cannot be indexed"))
                        .label("expected an array or text"),
                );
            }
        };
        if let Some(value) = fold::constant(&index)
            && !(0..i128::from(len)).contains(&value)
        {
            let found = self.show(&base.ty);
            return self.fail(
                Diagnostic::new(
                    Code::E0225,
                    index.span,
                    format!("`{found}` has no element {value}"),
                )
                .label(format!("expected 0 to {}", len.saturating_sub(1))),
            );
        }
        let kind = ExprKind::Index(Box::new(base), Box::new(index));
        Expr { kind, ty, span }
    }

    fn tuple(&mut self, parts: &[ast::Expr], span: Span) -> Expr {
        let parts: Vec<Expr> = parts.iter().map(|p| self.value(p)).collect();
        if parts.iter().any(|p| p.ty == Ty::Error) && !self.pass.inferring {
            return error(span);
        }
        let ty = Ty::Tuple(parts.iter().map(|p| p.ty.clone()).collect());
        let size = layout::of(self.hir(), &ty).size;
        if size > layout::MAX_SIZE {
            // Tuples of tuples grow exponentially with the script.
            let message = format!("this tuple takes {size} bytes");
            let label = format!("expected at most {}", layout::MAX_SIZE);
            return self.fail(Diagnostic::new(Code::E0203, span, message).label(label));
        }
        Expr { kind: ExprKind::Aggregate(parts), ty, span }
    }

    pub(super) fn unknown_member(&self, owner: &str, fields: &[&str], name: &Ident) -> Diagnostic {
        let text = format!("`{owner}` has no field `{}`", name.name);
        let diagnostic = Diagnostic::new(Code::E0123, name.span, text).label("unknown field");
        match self.nearest(&name.name, fields.iter().copied()) {
            Some(near) => diagnostic.fix(format!("did you mean `{near}`?"), name.span, near),
            None if fields.is_empty() => diagnostic,
            None => diagnostic.help(format!("it has {}", show::list(fields.iter().copied(), 12))),
        }
    }

    fn offsetof(&mut self, ty: &ast::TypeExpr, path: &[Ident], span: Span) -> Expr {
        let mut ty = self.resolve(ty);
        let mut offset = 0u64;
        for name in path {
            let fields: Vec<(&str, u32, Ty)> = match &ty {
                Ty::Struct(id) => {
                    let fields = &self.hir().structs[*id].fields;
                    fields.iter().map(|f| (f.name.as_str(), f.offset, f.ty.clone())).collect()
                }
                Ty::Mirror(id) => {
                    let fields = &self.hir().mirrors[*id].fields;
                    fields.iter().map(|f| (f.name.as_str(), f.offset, f.ty.clone())).collect()
                }
                Ty::Error => return error(span),
                _ => Vec::new(),
            };
            let Some((_, at, member)) = fields.iter().find(|(n, ..)| *n == name.name) else {
                let owner = self.show(&ty);
                let names: Vec<&str> = fields.iter().map(|(n, ..)| *n).collect();
                return self.fail(self.unknown_member(&owner, &names, name));
            };
            offset = offset.saturating_add(u64::from(*at));
            ty = member.clone();
        }
        literal(offset, span)
    }

    pub(super) fn deref_outside_emit(&mut self, inner: &ast::Expr, span: Span) -> Expr {
        let pointer = self.value(inner);
        let found = self.show(&pointer.ty);
        let diagnostic = match &pointer.ty {
            Ty::Error => return error(span),
            Ty::Ptr(Pointee::Mirror(_)) => {
                Diagnostic::new(Code::E0322, span, "a whole mirror is a value only in `emit`")
                    .label(format!("reads every field of `{found}`"))
                    .help("read the fields you need, or write `emit *pointer;`")
            }
            Ty::Ptr(Pointee::Kernel(kernel)) => {
                let kernel = kernel.clone();
                return self.no_mirror(&pointer, &kernel);
            }
            Ty::Ptr(Pointee::UserStr | Pointee::User(_)) => {
                unbuilt::unbuilt("reading memory through `*`", span)
            }
            _ => Diagnostic::new(
                Code::E0220,
                span,
                format!("`*` reaches through a pointer, not `{found}`"),
            )
            .label(format!("expected a pointer, found `{found}`")),
        };
        self.fail(diagnostic)
    }
}

/// An integer as it is written: `s64`, unless only `u64` holds it.
pub(super) fn literal(value: u64, span: Span) -> Expr {
    let ty = if i64::try_from(value).is_ok() { Ty::S64 } else { Ty::U64 };
    int(value, ty, span)
}

/// Text as it is written: as long as it is, and the NUL.
pub(super) fn string(text: &Name, span: Span) -> Expr {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
    Expr { kind: ExprKind::Str(text.clone()), ty: Ty::Str(len), span }
}

pub(super) fn member(base: Expr, index: u32, ty: Ty, span: Span) -> Expr {
    Expr { kind: ExprKind::Member(Box::new(base), index), ty, span }
}
