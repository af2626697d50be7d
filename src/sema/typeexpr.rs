//! shim
use super::{decls::Decls, types::*};
use crate::diag::Diags;
use crate::syntax::ast::*;
pub(super) fn resolve(_: &Decls, ty: &TypeExpr, _: &mut Diags) -> Ty {
    match ty.kind { TypeExprKind::Int { bits, signed } => Ty::Int(IntTy { bits, signed }), _ => Ty::Error }
}
