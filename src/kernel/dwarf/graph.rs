//! Types under construction, which may refer to each other in circles.
//!
//! In: types, and places for types that are made later. Out: BTF in which equal types are one.

use crate::btf::{Builder, Member, SecVar, Type, TypeId, VOID};
use crate::target::Endian;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// BTF has no room for the number of more members, values or parameters.
pub(super) const MAX_ITEMS: usize = 0xffff;

/// The types. The id of a type is its index and one.
#[derive(Debug, Default)]
pub(super) struct Graph {
    types: Vec<Type>,
    /// Types that do not change any more.
    known: IndexMap<Type, TypeId, FxBuildHasher>,
}

fn id(index: usize) -> TypeId {
    TypeId(u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1)))
}

impl Graph {
    /// A place for a type that is made later, by [`Graph::set`].
    pub(super) fn reserve(&mut self) -> TypeId {
        self.types.push(Type::Void);
        id(self.types.len() - 1)
    }

    /// Makes the type of a place.
    pub(super) fn set(&mut self, place: TypeId, ty: Type) {
        let index = (place.0 as usize).checked_sub(1);
        if let Some(slot) = index.and_then(|index| self.types.get_mut(index)) {
            *slot = ty;
        }
    }

    /// The id of a type, which is added if it is new.
    pub(super) fn add(&mut self, ty: Type) -> TypeId {
        let next = id(self.types.len());
        let known = *self.known.entry(ty.clone()).or_insert(next);
        if known == next {
            self.types.push(ty);
        }
        known
    }

    /// The bytes of a `.BTF` section.
    pub(super) fn bytes(mut self, endian: Endian) -> Vec<u8> {
        // Types that refer to equal types become equal when these are made one: until none do.
        while self.merge() {}
        let mut builder = Builder::default();
        for ty in self.types {
            builder.add(ty);
        }
        builder.bytes(endian)
    }

    /// Makes equal types one; whether there were any.
    fn merge(&mut self) -> bool {
        let mut first: IndexMap<Type, TypeId, FxBuildHasher> = IndexMap::default();
        let mut now = Vec::with_capacity(self.types.len());
        for ty in &self.types {
            let next = id(first.len());
            now.push(*first.entry(ty.clone()).or_insert(next));
        }
        let merged = first.len() < self.types.len();
        let of = |old: TypeId| {
            let index = (old.0 as usize).checked_sub(1);
            index.and_then(|index| now.get(index).copied()).unwrap_or(VOID)
        };
        self.types = first.into_keys().map(|ty| renumber(ty, of)).collect();
        merged
    }
}

/// A type that refers to others by their new ids.
fn renumber(ty: Type, of: impl Fn(TypeId) -> TypeId) -> Type {
    match ty {
        Type::Ptr(to) => Type::Ptr(of(to)),
        Type::Array { elem, index, len } => Type::Array { elem: of(elem), index: of(index), len },
        Type::Composite { union, name, size, members } => {
            let member = |member: Member| Member { ty: of(member.ty), ..member };
            let members = members.into_iter().map(member).collect();
            Type::Composite { union, name, size, members }
        }
        Type::Typedef { name, ty } => Type::Typedef { name, ty: of(ty) },
        Type::Modifier { kind, ty } => Type::Modifier { kind, ty: of(ty) },
        Type::Func { name, proto, global } => Type::Func { name, proto: of(proto), global },
        Type::FuncProto { ret, params } => {
            let params = params.into_iter().map(|(name, ty)| (name, of(ty))).collect();
            Type::FuncProto { ret: of(ret), params }
        }
        Type::Var { name, ty, linkage } => Type::Var { name, ty: of(ty), linkage },
        Type::DataSec { name, size, vars } => {
            let vars = vars.into_iter().map(|var| SecVar { var: of(var.var), ..var }).collect();
            Type::DataSec { name, size, vars }
        }
        Type::DeclTag { name, ty, component } => Type::DeclTag { name, ty: of(ty), component },
        Type::TypeTag { name, ty } => Type::TypeTag { name, ty: of(ty) },
        Type::Void
        | Type::Int { .. }
        | Type::Enum { .. }
        | Type::Fwd { .. }
        | Type::Float { .. } => ty,
    }
}
