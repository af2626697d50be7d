//! Whether a target's type may stand for a local one.
//!
//! Two relations, as libbpf has them: of a field's type (`bpf_core_fields_are_compat`), and of a whole type that is asked for (`bpf_core_types_are_compat`). Sizes and
//! signs count in neither: they are what relocation is about.

use super::Policy;
use super::candidates::root_kind;
use super::fail::Fail;
use crate::btf::{Btf, Type, TypeId, essential, kind};

/// How many types a chain of pointers, arrays and results may have.
const MAX_HOPS: u32 = 32;

/// A local type and a target's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'p, 'l, 't> {
    pub(super) local: &'p Btf<'l>,
    pub(super) target: &'p Btf<'t>,
    pub(super) policy: Policy,
}

impl<'l, 't> Pair<'_, 'l, 't> {
    /// Both types behind typedefs and qualifiers.
    pub(super) fn stripped(
        &self,
        local: TypeId,
        target: TypeId,
    ) -> Result<(Type<&'l str>, Type<&'t str>), Fail> {
        let local = self.local.get(self.local.strip(local)?)?;
        Ok((local, self.target.get(self.target.strip(target)?)?))
    }

    /// Whether a member may have this type where the local one has that. Pointers may point to anything, arrays have any length.
    pub(super) fn fields(&self, local: TypeId, target: TypeId) -> Result<bool, Fail> {
        let (mut at_local, mut at_target) = (local, target);
        if self.policy == Policy::Strict {
            // Rows of rows are one row in most kernels' types: what their elements are decides.
            let dims = (self.local.dimensions(local)?, self.target.dimensions(target)?);
            if let (Some(local), Some(target)) = dims
                && local.lengths.len() != target.lengths.len()
                && (local.lengths.len() == 1 || target.lengths.len() == 1)
            {
                (at_local, at_target) = (local.elem, target.elem);
            }
        }
        for _ in 0..MAX_HOPS {
            (at_local, at_target) = (self.local.strip(at_local)?, self.target.strip(at_target)?);
            if is_composite(self.local.kind(at_local)?) {
                return Ok(is_composite(self.target.kind(at_target)?));
            }
            match (self.local.get(at_local)?, self.target.get(at_target)?) {
                (Type::Array { elem: local, .. }, Type::Array { elem: target, .. }) => {
                    (at_local, at_target) = (local, target);
                }
                (Type::Ptr(_), Type::Ptr(_)) | (Type::Float { .. }, Type::Float { .. }) => {
                    return Ok(true);
                }
                (local @ Type::Int { .. }, target @ Type::Int { .. }) => {
                    return Ok(self.ints(&local, &target));
                }
                (Type::Enum { name: local, .. }, Type::Enum { name: target, .. })
                | (Type::Fwd { name: local, .. }, Type::Fwd { name: target, .. }) => {
                    let (local, target) = (essential(local), essential(target));
                    return Ok(local.is_empty() || target.is_empty() || local == target);
                }
                _ => return Ok(false),
            }
        }
        Err(Fail::invalid("an array of too many dimensions is on its way"))
    }

    /// libbpf knows no integers that begin within their bytes, as types from before kernel 5.0 have them for bitfields.
    fn ints(&self, local: &Type<&str>, target: &Type<&str>) -> bool {
        let whole = |ty: &Type<&str>| matches!(ty, Type::Int { bit_offset: 0, .. });
        self.policy == Policy::Strict || (whole(local) && whole(target))
    }

    /// Whether a type as a whole may stand for the local one.
    pub(super) fn types(&self, local: TypeId, target: TypeId) -> Result<bool, Fail> {
        let kinds = (root_kind(self.local, local)?, root_kind(self.target, target)?);
        Ok(kinds.0 == kinds.1 && self.types_within(local, target, MAX_HOPS)?)
    }

    fn types_within(&self, local: TypeId, target: TypeId, levels: u32) -> Result<bool, Fail> {
        let too_deep = || Fail::invalid("its type is nested too deeply");
        let below = levels.checked_sub(1).ok_or_else(too_deep)?;
        let (mut at_local, mut at_target) = (local, target);
        for _ in 0..MAX_HOPS {
            match self.stripped(at_local, at_target)? {
                (Type::Void, Type::Void)
                | (Type::Enum { .. }, Type::Enum { .. })
                | (Type::Fwd { .. }, Type::Fwd { .. }) => return Ok(true),
                (Type::Composite { union: local, .. }, Type::Composite { union: target, .. }) => {
                    return Ok(local == target);
                }
                (local @ Type::Int { .. }, target @ Type::Int { .. }) => {
                    return Ok(self.ints(&local, &target));
                }
                (Type::Float { .. }, Type::Float { .. }) => {
                    return Ok(self.policy == Policy::Strict);
                }
                (Type::Ptr(local), Type::Ptr(target))
                | (Type::Array { elem: local, .. }, Type::Array { elem: target, .. }) => {
                    (at_local, at_target) = (local, target);
                }
                (
                    Type::FuncProto { ret, params },
                    Type::FuncProto { ret: target_ret, params: target_params },
                ) => {
                    if params.len() != target_params.len() {
                        return Ok(false);
                    }
                    for ((_, local), (_, target)) in params.iter().zip(&target_params) {
                        if !self.types_within(*local, *target, below)? {
                            return Ok(false);
                        }
                    }
                    (at_local, at_target) = (ret, target_ret);
                }
                _ => return Ok(false),
            }
        }
        Err(too_deep())
    }
}

fn is_composite(kind: u32) -> bool {
    matches!(kind, kind::STRUCT | kind::UNION)
}

/// An array of one or several dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dimensions {
    /// From the outermost on.
    pub(super) lengths: Vec<u32>,
    /// What the innermost elements are, stripped.
    pub(super) elem: TypeId,
}

/// What relocation asks of types beyond single ones.
pub(super) trait Shapes {
    /// The dimensions of an array, `None` of other types.
    fn dimensions(&self, ty: TypeId) -> Result<Option<Dimensions>, Fail>;
}

impl Shapes for Btf<'_> {
    fn dimensions(&self, ty: TypeId) -> Result<Option<Dimensions>, Fail> {
        let mut dimensions = Dimensions { lengths: Vec::new(), elem: self.strip(ty)? };
        for _ in 0..MAX_HOPS {
            if self.kind(dimensions.elem)? != kind::ARRAY {
                return Ok((!dimensions.lengths.is_empty()).then_some(dimensions));
            }
            let Type::Array { elem, len, .. } = self.get(dimensions.elem)? else { break };
            dimensions.lengths.push(len);
            dimensions.elem = self.strip(elem)?;
        }
        Err(Fail::invalid("an array of too many dimensions is on its way"))
    }
}
