//! Struct values: literals, and variables of which one member is assigned.

use super::super::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind, StructId};
use super::super::show;
use super::super::types::Ty;
use super::{Body, error, expr};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, Ident};

impl Body<'_, '_> {
    /// `(struct name){ .field = value, … }`
    pub(super) fn struct_literal(
        &mut self,
        ty: &ast::TypeExpr,
        fields: &[(Ident, ast::Expr)],
        span: Span,
    ) -> Expr {
        let resolved = self.resolve(ty);
        let Ty::Struct(id) = resolved else {
            for (_, value) in fields {
                let _ = self.value(value);
            }
            if resolved == Ty::Error {
                return error(span);
            }
            let found = self.show(&resolved);
            let mirror = matches!(resolved, Ty::Mirror(_));
            let mut diagnostic = Diagnostic::new(
                Code::E0229,
                ty.span,
                format!("`{found}` is not a struct of the script"),
            )
            .label("expected a struct that the script declares");
            if mirror {
                diagnostic = diagnostic.note("mirrors are read-only views of kernel structs");
            }
            return self.fail(diagnostic);
        };
        let mut values = self.given_fields(id, fields);
        let decl = &self.hir().structs[id];
        let missing: Vec<&str> = decl
            .fields
            .iter()
            .zip(&values)
            .filter(|(_, value)| value.is_none())
            .map(|(field, _)| field.name.as_str())
            .collect();
        if !missing.is_empty() {
            let list = show::list(missing.iter().copied(), 8);
            let declared = decl.span;
            return self.fail(
                Diagnostic::new(Code::E0229, ty.span, format!("fields without a value: {list}"))
                    .label("every field is given a value")
                    .secondary(self.head(declared), "the struct is declared here"),
            );
        }
        let values: Vec<Expr> = values.iter_mut().filter_map(Option::take).collect();
        Expr { kind: ExprKind::Aggregate(values), ty: Ty::Struct(id), span }
    }

    /// The values in the order of the members.
    fn given_fields(&mut self, id: StructId, fields: &[(Ident, ast::Expr)]) -> Vec<Option<Expr>> {
        let decl = &self.hir().structs[id];
        let mut values: Vec<Option<Expr>> = decl.fields.iter().map(|_| None).collect();
        for (name, value) in fields {
            let value = self.value(value);
            let Some(index) = decl.fields.iter().position(|f| f.name == name.name) else {
                let names: Vec<&str> = decl.fields.iter().map(|f| f.name.as_str()).collect();
                let diagnostic = self
                    .unknown_member(&decl.name, &names, name)
                    .secondary(self.head(decl.span), "the struct is declared here");
                self.report(diagnostic);
                continue;
            };
            let Some((field, slot)) = decl.fields.get(index).zip(values.get_mut(index)) else {
                continue;
            };
            if let Some(earlier) = slot {
                let diagnostic = Diagnostic::new(
                    Code::E0229,
                    name.span,
                    format!("`{}` is given a value twice", name.name),
                )
                .secondary(earlier.span, "the first one is here");
                self.report(diagnostic);
                continue;
            }
            let place = format!("`{}`", name.name);
            *slot = Some(self.assignable(value, &field.ty, &place, Some(self.head(decl.span))));
        }
        values
    }

    /// `$variable.field = value`: the variable with that member replaced.
    pub(super) fn assign_member(
        &mut self,
        local: LocalId,
        id: StructId,
        name: &Ident,
        value: impl FnOnce(&mut Self, Expr) -> Expr,
        span: Span,
    ) -> Option<Stmt> {
        let decl = &self.hir().structs[id];
        let Some(index) = decl.fields.iter().position(|f| f.name == name.name) else {
            let names: Vec<&str> = decl.fields.iter().map(|f| f.name.as_str()).collect();
            let diagnostic = self
                .unknown_member(&decl.name, &names, name)
                .secondary(self.head(decl.span), "the struct is declared here");
            self.report(diagnostic);
            return None;
        };
        let whole = || Expr { kind: ExprKind::Local(local), ty: Ty::Struct(id), span };
        let mut members: Vec<Expr> = (0..)
            .zip(&decl.fields)
            .map(|(i, f)| expr::member(whole(), i, f.ty.clone(), span))
            .collect();
        let (slot, field) = members.get_mut(index).zip(decl.fields.get(index))?;
        let old = std::mem::replace(slot, error(span));
        let value = value(self, old);
        let place = format!("`{}`", name.name);
        let value = self.assignable(value, &field.ty, &place, Some(self.head(decl.span)));
        *members.get_mut(index)? = value;
        let rebuilt = Expr { kind: ExprKind::Aggregate(members), ty: Ty::Struct(id), span };
        Some(Stmt { kind: StmtKind::Assign(local, rebuilt), span })
    }
}
