//! Types under construction, which may refer to each other in circles.
//!
//! In: types, and places for types that are made later. Out: BTF in which equal types are one.

use crate::btf::{Builder, Member, SecVar, Type, TypeId, VOID};
use crate::target::Endian;
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::BTreeSet;

/// BTF has no room for the number of more members, values or parameters.
pub(super) const MAX_ITEMS: usize = 0xffff;

/// The index of the type of an id; none of `void`.
fn index(id: TypeId) -> Option<usize> {
    (id.0 as usize).checked_sub(1)
}

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
        if let Some(slot) = index(place).and_then(|index| self.types.get_mut(index)) {
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
    pub(super) fn bytes(self, endian: Endian) -> Vec<u8> {
        let mut builder = Builder::default();
        for ty in Merge::new(self.types).types() {
            builder.add(ty);
        }
        builder.bytes(endian)
    }
}

/// Makes equal types one. Types that refer to equal types become equal when these are made one: those that refer to what has been merged are looked at again, until none are equal.
struct Merge {
    types: Vec<Type>,
    /// For each type the one that it has been merged into, by index; that one may have been merged too.
    into: Vec<usize>,
    /// Which types refer to each, and to what has been merged into it.
    users: Vec<Vec<usize>>,
    /// Types that have been looked at, as they were then.
    known: FxHashMap<Type, usize>,
    /// What is to be looked at, with how many types it refers to. Large types wait until the small ones are done, and so are seldom looked at again.
    todo: BTreeSet<(usize, usize)>,
    /// The number that stands for each type in `todo`.
    sizes: Vec<usize>,
}

impl Merge {
    fn new(types: Vec<Type>) -> Merge {
        let mut users = vec![Vec::new(); types.len()];
        let mut sizes = vec![0; types.len()];
        for (user, ty) in types.iter().enumerate() {
            renumber(ty.clone(), |to| {
                if let Some(list) = index(to).and_then(|to| users.get_mut(to)) {
                    list.push(user);
                    sizes[user] += 1;
                }
                to
            });
        }
        let todo = sizes.iter().copied().zip(0..).collect();
        let into = (0..types.len()).collect();
        Merge { types, into, users, known: FxHashMap::default(), todo, sizes }
    }

    /// The types that are left, each at the place of the first one that it stands for.
    fn types(mut self) -> Vec<Type> {
        while let Some((_, at)) = self.todo.pop_first() {
            if self.into[at] == at {
                self.look(at);
            }
        }
        let all = self.types.len();
        let (mut ids, mut left) = (vec![VOID; all], Vec::new());
        for at in 0..all {
            let at = root(&mut self.into, at);
            if ids[at] == VOID {
                ids[at] = id(left.len());
                left.push(at);
            }
        }
        let Merge { mut types, mut into, .. } = self;
        let mut new = |old| {
            let at = index(old).filter(|at| *at < all);
            at.map_or(VOID, |at| ids[root(&mut into, at)])
        };
        let take = |at: usize| std::mem::replace(&mut types[at], Type::Void);
        left.into_iter().map(take).map(|ty| renumber(ty, &mut new)).collect()
    }

    /// Looks whether there is a type equal to this one.
    fn look(&mut self, at: usize) {
        if self.known.get(&self.types[at]) == Some(&at) {
            self.known.remove(&self.types[at]);
        }
        let (all, into) = (self.types.len(), &mut self.into);
        let now = |old| {
            let at = index(old).filter(|at| *at < all);
            at.map_or(VOID, |at| id(root(into, at)))
        };
        let old = std::mem::replace(&mut self.types[at], Type::Void);
        self.types[at] = renumber(old, now);
        let known = *self.known.entry(self.types[at].clone()).or_insert(at);
        if known == at {
            return;
        }
        // The one with fewer users goes, so that each user is looked at again only a few times.
        let (stays, goes) =
            if self.users[at].len() > self.users[known].len() { (at, known) } else { (known, at) };
        if stays == at {
            self.known.insert(self.types[at].clone(), at);
        }
        self.into[goes] = stays;
        let users = std::mem::take(&mut self.users[goes]);
        self.todo.extend(users.iter().map(|user| (self.sizes[*user], *user)));
        self.users[stays].extend(users);
    }
}

/// What a type has been merged into in the end.
fn root(into: &mut [usize], mut at: usize) -> usize {
    while into[at] != at {
        // Shorter ways for the next time.
        into[at] = into[into[at]];
        at = into[at];
    }
    at
}

/// A type that refers to others by their new ids.
fn renumber(ty: Type, mut of: impl FnMut(TypeId) -> TypeId) -> Type {
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
