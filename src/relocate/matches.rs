//! Whether a target's type looks as the local one does: the answer of `type_matches` (libbpf's `bpf_core_types_match`).
//!
//! Names and shapes are compared, offsets are not. The default policy takes C's several names of one integer type for one: compilers write different ones.

use super::Policy;
use super::compat::Pair;
use super::fail::Fail;
use crate::btf::{Member, Type, TypeId, encoding, essential};
use std::collections::{BTreeMap, BTreeSet};

/// How many types a chain of pointers, arrays and results may have, and how deep structs may be nested.
const MAX_HOPS: u32 = 32;
/// How many pairs of types are compared. Structs that hold each other many times could make it endless.
const MAX_WORK: u32 = 1 << 16;

/// A comparison.
struct Comparison<'p, 'l, 't> {
    pair: Pair<'p, 'l, 't>,
    work: u32,
}

/// Whether the types match.
pub(super) fn matches(pair: Pair<'_, '_, '_>, local: TypeId, target: TypeId) -> Result<bool, Fail> {
    Comparison { pair, work: 0 }.types(local, target, false, MAX_HOPS)
}

impl Comparison<'_, '_, '_> {
    fn types(
        &mut self,
        local: TypeId,
        target: TypeId,
        behind_pointer: bool,
        levels: u32,
    ) -> Result<bool, Fail> {
        let too_deep = || Fail::invalid("its type is nested too deeply");
        if levels == 0 {
            return Err(too_deep());
        }
        let (mut at_local, mut at_target, mut behind) = (local, target, behind_pointer);
        for _ in 0..MAX_HOPS {
            self.work += 1;
            self.pair.work.spend(1)?;
            if self.work > MAX_WORK {
                return Err(too_deep());
            }
            let (local, target) = self.pair.stripped(at_local, at_target)?;
            if !self.same_name(&local, &target) {
                return Ok(false);
            }
            match (&local, &target) {
                (Type::Void, Type::Void) => return Ok(true),
                (
                    Type::Int { bytes, encoding, .. },
                    Type::Int { bytes: target_bytes, encoding: target_encoding, .. },
                ) => {
                    let sign = |e: &u8| e & encoding::SIGNED;
                    return Ok(bytes == target_bytes && sign(encoding) == sign(target_encoding));
                }
                (
                    Type::Enum { size, values, .. },
                    Type::Enum { size: target_size, values: target_values, .. },
                ) => {
                    if size != target_size || values.len() > target_values.len() {
                        return Ok(false);
                    }
                    self.pair.work.spend(target_values.len())?;
                    let names: BTreeSet<&str> =
                        target_values.iter().map(|(name, _)| essential(name)).collect();
                    return Ok(values.iter().all(|(name, _)| names.contains(essential(name))));
                }
                (Type::Fwd { union, .. }, Type::Fwd { union: target_union, .. }) => {
                    return Ok(union == target_union);
                }
                (Type::Fwd { union, .. }, Type::Composite { union: target_union, .. })
                | (Type::Composite { union, .. }, Type::Fwd { union: target_union, .. }) => {
                    return Ok(behind && union == target_union);
                }
                (
                    Type::Composite { union, members, .. },
                    Type::Composite { union: target_union, members: target_members, .. },
                ) => {
                    if union != target_union {
                        return Ok(false);
                    }
                    return Ok(behind || self.members(members, target_members, levels)?);
                }
                (Type::Ptr(local), Type::Ptr(target)) => {
                    behind = true;
                    (at_local, at_target) = (*local, *target);
                }
                (
                    Type::Array { elem, len, .. },
                    Type::Array { elem: target_elem, len: target_len, .. },
                ) => {
                    if len != target_len {
                        return Ok(false);
                    }
                    (at_local, at_target) = (*elem, *target_elem);
                }
                (
                    Type::FuncProto { ret, params },
                    Type::FuncProto { ret: target_ret, params: target_params },
                ) => {
                    if params.len() != target_params.len() {
                        return Ok(false);
                    }
                    for ((_, local), (_, target)) in params.iter().zip(target_params) {
                        if !self.types(*local, *target, behind, levels - 1)? {
                            return Ok(false);
                        }
                    }
                    (at_local, at_target) = (*ret, *target_ret);
                }
                (Type::Float { size, .. }, Type::Float { size: target_size, .. }) => {
                    return Ok(self.pair.policy == Policy::Strict && size == target_size);
                }
                _ => return Ok(false),
            }
        }
        Err(too_deep())
    }

    /// Whether each local member has a member of its name in the target whose type matches.
    fn members(
        &mut self,
        members: &[Member<&str>],
        target_members: &[Member<&str>],
        levels: u32,
    ) -> Result<bool, Fail> {
        if members.len() > target_members.len() {
            return Ok(false);
        }
        self.pair.work.spend(target_members.len())?;
        let mut named: BTreeMap<&str, Vec<TypeId>> = BTreeMap::new();
        for target in target_members {
            named.entry(essential(target.name)).or_default().push(target.ty);
        }
        for member in members {
            let mut found = false;
            for target in named.get(essential(member.name)).into_iter().flatten() {
                if self.types(member.ty, *target, false, levels - 1)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn same_name(&self, local: &Type<&str>, target: &Type<&str>) -> bool {
        let (mine, other) = (essential(local.name()), essential(target.name()));
        mine == other
            || self.pair.policy == Policy::Strict
                && matches!((local, target), (Type::Int { .. }, Type::Int { .. }))
                && int_name(mine) == int_name(other)
    }
}

/// The words of an integer type's name that make a difference, in order: `long int`, `signed long` and `long` are one type, so are `_Bool` and `bool`.
fn int_name(name: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name.split_whitespace().collect();
    let is_char = words.contains(&"char");
    words.retain(|word| *word != "int" && (*word != "signed" || is_char));
    for word in &mut words {
        if *word == "_Bool" {
            *word = "bool";
        }
    }
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::int_name;

    #[test]
    fn names_of_one_type_are_one() {
        for (a, b) in [
            ("long", "long int"),
            ("unsigned long", "long unsigned int"),
            ("long long unsigned int", "unsigned long long"),
            ("short", "short int"),
            ("unsigned", "unsigned int"),
            ("_Bool", "bool"),
        ] {
            assert_eq!(int_name(a), int_name(b), "{a}, {b}");
        }
        for (a, b) in [("long", "long long"), ("char", "signed char"), ("int", "unsigned int")] {
            assert_ne!(int_name(a), int_name(b), "{a}, {b}");
        }
    }
}
