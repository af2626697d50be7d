//! shim
use crate::diag::*;
use crate::source::Span;
pub(super) fn unbuilt(construct: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0001, span, format!("{construct} is not supported yet"))
}
pub(super) fn builtin(_: &str, _: Span) -> Option<Diagnostic> { None }
