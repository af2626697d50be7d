//! `syscall:NAME:enter|exit`.
use super::decls::Decls;
use super::hir::{Hir, Stmt};
use super::probe::Place;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast::{Ident, ProbeSpec};
/// Guard.
#[derive(Debug)]
pub(super) struct Guard;
impl Guard {
    pub(super) fn around(&self, _hir: &Hir, stmts: Vec<Stmt>, _span: Span) -> Vec<Stmt> {
        stmts
    }
}
pub(super) fn resolve(_: &Decls, spec: &ProbeSpec, _: &[Ident]) -> Result<Place, Diagnostic> {
    Err(super::unbuilt::unbuilt("syscall", spec.span))
}
