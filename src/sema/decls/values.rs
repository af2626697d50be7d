//! Named values: `const`, `param` and enumerators.

use super::ValueDecl;
use super::collect::{Collector, Namespace};
use crate::diag::{Code, Diagnostic};
use crate::sema::consteval::{self, eval, eval_as};
use crate::sema::hir::{ConstValue, EnumId, Enumerator, EnumeratorValue, Param};
use crate::sema::types::{IntTy, Ty};
use crate::sema::{join, show, typeexpr};
use crate::source::Span;
use crate::syntax::Trivia;
use crate::syntax::ast::{ConstDecl, EnumDecl, EnumeratorDecl, ExprKind, Name, ParamDecl};

impl Collector<'_> {
    pub(super) fn constant(&mut self, decl: &ConstDecl) {
        let name = &decl.name;
        if self.decls.values.contains_key(&name.name) {
            // It needs itself, which has been reported.
            return;
        }
        let found = match &decl.ty {
            None => eval(&self.decls, &decl.value, &mut self.diags),
            Some(ty) => {
                let ty = typeexpr::resolve(&self.decls, ty, &mut self.diags);
                let place = format!("`{}`", name.name);
                eval_as(&self.decls, &decl.value, &ty, &place, &mut self.diags)
                    .map(|value| (ty, value))
            }
        };
        let entry = found.map_or(ValueDecl::Error, |(ty, value)| ValueDecl::Const {
            ty,
            value,
            span: name.span,
        });
        self.decls.values.insert(name.name.clone(), entry);
    }

    pub(super) fn param(&mut self, decl: &ParamDecl, span: Span, trivia: &Trivia) {
        let name = &decl.name;
        if self.decls.values.contains_key(&name.name) {
            // It needs itself, which has been reported.
            return;
        }
        let ty = typeexpr::resolve(&self.decls, &decl.ty, &mut self.diags);
        let fixed = match &ty {
            Ty::Enum(id) => self.decls.hir.enums[*id].kernel.is_none(),
            Ty::Int(_) | Ty::Bool | Ty::Str(_) | Ty::Error => true,
            _ => false,
        };
        if !fixed {
            let message = format!("a parameter cannot be `{}`", show::ty(&self.decls.hir, &ty));
            self.diags.push(
                Diagnostic::new(Code::E0201, decl.ty.span, message)
                    .label("expected a number, a bool or a text"),
            );
        }
        let place = format!("`{}`", name.name);
        let default =
            eval_as(&self.decls, &decl.default, &ty, &place, &mut self.diags).filter(|_| fixed);
        let entry = default.map_or(ValueDecl::Error, |default| {
            let doc = trivia.doc_before(span, self.sources);
            ValueDecl::Param(self.decls.hir.params.alloc(Param {
                name: name.name.clone(),
                ty,
                default,
                doc,
                span,
            }))
        });
        self.decls.values.insert(name.name.clone(), entry);
    }

    pub(super) fn enumeration(&mut self, decl: &EnumDecl, id: EnumId) {
        if decl.enumerators.is_empty() {
            let message = format!("enum `{}` has no enumerators", decl.name.name);
            self.diags.push(Diagnostic::new(Code::E0206, decl.name.span, message));
        }
        let mirrored = self.decls.hir.enums[id].kernel.is_some();
        let mut next = Some(0i128);
        let mut values = Vec::new();
        for enumerator in &decl.enumerators {
            if !self.declare(Namespace::Value, &enumerator.name) {
                continue;
            }
            let value = if mirrored {
                self.kernel_names(enumerator)
                    .map(|names| EnumeratorValue::Kernel { names, optional: enumerator.optional })
            } else {
                let value = self.enumerator_value(enumerator, next);
                next = value.map(|v| v + 1);
                values.extend(value);
                // What does not fit 64 bits has been reported.
                value.map(|v| {
                    EnumeratorValue::Const(
                        u64::try_from(v)
                            .unwrap_or_else(|_| i64::try_from(v).unwrap_or(0).cast_unsigned()),
                    )
                })
            };
            self.enumerator(id, &enumerator.name.name, value);
        }
        if !mirrored && let Some(repr) = self.smallest(&values, decl) {
            self.decls.hir.enums[id].repr = repr;
        }
    }

    fn enumerator(&mut self, id: EnumId, name: &Name, value: Option<EnumeratorValue>) {
        let list = &mut self.decls.hir.enums[id].enumerators;
        let entry = match (value, u32::try_from(list.len())) {
            (Some(value), Ok(index)) => {
                list.push(Enumerator { name: name.clone(), value });
                ValueDecl::Enumerator(id, index)
            }
            _ => ValueDecl::Error,
        };
        self.decls.values.insert(name.clone(), entry);
    }

    /// The kernel's enumerators that give the number.
    fn kernel_names(&mut self, decl: &EnumeratorDecl) -> Option<Vec<Name>> {
        if decl.sources.is_empty() {
            return Some(vec![decl.name.name.clone()]);
        }
        let mut names = Vec::new();
        for source in &decl.sources {
            match &source.kind {
                ExprKind::Name(name) => names.push(name.clone()),
                ExprKind::Error => return None,
                _ => {
                    self.diags.push(
                        Diagnostic::new(Code::E0306, source.span, "a mirrored enumerator has the kernel's number")
                            .label("expected the name of an enumerator of the kernel")
                            .help("an enum with numbers of its own does not end in `_user` and mirrors nothing"),
                    );
                    return None;
                }
            }
        }
        Some(names)
    }

    fn enumerator_value(&mut self, decl: &EnumeratorDecl, next: Option<i128>) -> Option<i128> {
        if decl.optional {
            let message = format!("`{}` is the script's own and cannot be missing", decl.name.name);
            self.diags.push(
                Diagnostic::new(Code::E0306, decl.name.span, message)
                    .help("an enum of the kernel is mirrored: `enum NAME mirrors KERNEL { … }`"),
            );
        }
        let value = match decl.sources.as_slice() {
            [] => next?,
            [value] => {
                let (ty, found) = eval(&self.decls, value, &mut self.diags)?;
                let ConstValue::Int(number) = found else {
                    let message = format!("`{}` is a number", decl.name.name);
                    self.diags.push(Diagnostic::new(Code::E0205, value.span, message));
                    return None;
                };
                consteval::signed_value(&ty, number)
            }
            [_, other, ..] => {
                self.diags.push(
                    Diagnostic::new(
                        Code::E0306,
                        other.span,
                        "the script's own enumerators have one value",
                    )
                    .help("an enum of the kernel is mirrored: `enum NAME mirrors KERNEL { … }`"),
                );
                return None;
            }
        };
        if join::fits(value, IntTy::S64) || join::fits(value, IntTy::U64) {
            return Some(value);
        }
        let message = format!("`{}` would be {value}, which 64 bits do not hold", decl.name.name);
        self.diags.push(Diagnostic::new(Code::E0205, decl.name.span, message));
        None
    }

    /// The smallest type that holds all values of an enum: C's `int`, unless that is too small.
    fn smallest(&mut self, values: &[i128], decl: &EnumDecl) -> Option<IntTy> {
        let types = [IntTy::S32, IntTy::U32, IntTy::S64, IntTy::U64];
        let found = types.into_iter().find(|ty| values.iter().all(|v| join::fits(*v, *ty)));
        if found.is_none() {
            let message = format!("no integer type holds all values of `{}`", decl.name.name);
            self.diags.push(Diagnostic::new(Code::E0205, decl.name.span, message));
        }
        found
    }
}
