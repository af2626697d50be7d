//! Calls about maps: `delete`, `has_key`, `len`, and what the runner does to whole maps.

use super::super::builtins::Call;
use super::super::hir::{Expr, ExprKind, MapId, MapRef, OutputKind, Stmt, StmtKind};
use super::super::maps::ValueSlot;
use super::super::types::Ty;
use super::super::unbuilt;
use super::mapuse::{is_array, is_histogram};
use super::{Body, error};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

impl Body<'_, '_> {
    /// The entry that `delete` or `has_key` is about: `(@m, key…)` or `(@m[key])`.
    fn entry_argument(&mut self, callee: &Ident, args: &[ast::Expr], span: Span) -> Option<MapRef> {
        let (first, rest) = args.split_first()?;
        let ast::ExprKind::Map { name, key } = &first.kind else {
            return self.not_a_map(callee, first);
        };
        let entry = match (key, rest) {
            (Some(key), []) => self.entry(name, Some(key), first.span)?,
            (None, rest) => self.entry(name, Some(rest), first.span)?,
            (Some(_), [extra, ..]) => {
                self.report(
                    Diagnostic::new(
                        Code::E0226,
                        extra.span,
                        format!("the key is given twice to `{}`", callee.name),
                    )
                    .help(format!("write `{}(@{}, key)`", callee.name, name.name)),
                );
                return None;
            }
        };
        self.pass.maps.read(entry.map, span);
        let map = self.pass.maps.name(entry.map);
        let info = self.pass.maps.get(entry.map);
        let histogram =
            matches!(&info.value, Some((ValueSlot::Agg(shape, _), _)) if is_histogram(shape.kind));
        let array = info.decl.as_ref().filter(|d| is_array(d.kind)).map(|d| d.span);
        let removes = callee.name == "delete";
        if entry.key.is_empty() {
            let help = if removes {
                format!("set it to 0, or write `clear({map})`")
            } else {
                format!("compare `{map}` with 0")
            };
            self.report(
                Diagnostic::new(
                    Code::E0429,
                    first.span,
                    format!(
                        "`{map}` has no key, so it has no entries to {}",
                        if removes { "remove" } else { "look for" }
                    ),
                )
                .help(help),
            );
            return None;
        }
        if let (Some(declared), true) = (array, removes) {
            self.report(
                Diagnostic::new(
                    Code::E0429,
                    first.span,
                    format!("the entries of `{map}` cannot be removed"),
                )
                .secondary(declared, "an array has all its entries at all times")
                .help("set the entry to 0, or declare the map as `hash`"),
            );
            return None;
        }
        if histogram {
            self.report(unbuilt::unbuilt("`delete` and `has_key` of a histogram", first.span));
            return None;
        }
        Some(entry)
    }

    fn not_a_map<T>(&mut self, callee: &Ident, found: &ast::Expr) -> Option<T> {
        self.report(
            Diagnostic::new(Code::E0227, found.span, format!("`{}` is about a map", callee.name))
                .label("expected a map, such as `@m`"),
        );
        None
    }

    pub(super) fn has_key(&mut self, callee: &Ident, args: &[ast::Expr], span: Span) -> Expr {
        let Some(entry) = self.entry_argument(callee, args, span) else { return error(span) };
        Expr { kind: ExprKind::HasKey(entry), ty: Ty::Bool, span }
    }

    pub(super) fn delete(
        &mut self,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        if let Some(entry) = self.entry_argument(callee, args, span) {
            out.push(Stmt { kind: StmtKind::Delete(entry), span });
        }
    }

    /// A whole map as an argument.
    fn whole_map(&mut self, callee: &Ident, args: &[ast::Expr]) -> Option<MapId> {
        let first = args.first()?;
        let ast::ExprKind::Map { name, key: None } = &first.kind else {
            return self.not_a_map(callee, first);
        };
        let map = self.pass.maps.mention(self.pass.decls, &name.name, name.span);
        self.pass.maps.read(map, first.span);
        Some(map)
    }

    pub(super) fn len(&mut self, callee: &Ident, args: &[ast::Expr], span: Span) -> Expr {
        let Some(map) = self.whole_map(callee, args) else { return error(span) };
        if self.pass.maps.get(map).key.as_ref().is_some_and(|(key, _)| key.is_empty()) {
            let name = self.pass.maps.name(map);
            return self.fail(
                Diagnostic::new(
                    Code::E0429,
                    span,
                    format!("`{name}` has no key, so it has no length"),
                )
                .label("always one entry"),
            );
        }
        Expr { kind: ExprKind::Len(map), ty: Ty::S64, span }
    }

    /// `print(@m)`, `clear(@m)`, `zero(@m)`.
    pub(super) fn map_action(
        &mut self,
        call: Call,
        callee: &Ident,
        args: &[ast::Expr],
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let Some(map) = self.whole_map(callee, args) else { return };
        let (kind, construct) = match call {
            Call::Clear => (OutputKind::Clear(map), "clear"),
            Call::Zero => (OutputKind::Zero(map), "zero"),
            _ => (OutputKind::PrintMap(map), "print"),
        };
        self.needs_runner(construct, callee.span);
        let id = self.output(kind, &[], span);
        out.push(Stmt { kind: StmtKind::Output(id, Vec::new()), span });
    }
}
