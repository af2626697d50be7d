//! The few types of a target that objects ask about: BTF for kernels that have none, which stock loaders take in place of the kernel's.
//!
//! In: objects and a target. Out: the bytes of a `.BTF` section that answers every record of the objects as the target does, and from which the same forms of programs are chosen. It has all types that may stand for the root of a record, those that do not match too,
//! and in them the members on the paths that are asked for; what matching does not look at is left out: other members, what pointers of a field point to, typedefs and qualifiers on the
//! way. Sizes and offsets stay, and so does the order of the types, which decides between several of one name. Ids are new.

use super::bring::aside_object;
use super::candidates::{self, Candidate};
use super::events::{Events, HIDDEN};
use super::fail::Work;
use super::functions::ATTACH_TYPES;
use super::record::{self, Record};
use super::spec::{Spec, Step};
use super::{Policy, RelocateError, lacks};
use crate::btf::{Btf, BtfError, Builder, Member, Type, TypeId, VOID, essential};
use crate::kernel::Target;
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use crate::object::ubpf::{EventKind, Ubpf};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// How many structs are searched for a member, which bounds how deep they are nested. Kernels have up to a few dozen anonymous ones in one.
const MAX_SEARCHED: usize = 1024;

/// Loaders take the size of an integer of this name for that of a pointer.
const LONG: &str = "long unsigned int";

/// See [`super::minimal`].
pub(super) fn minimal(
    objects: &[&Object<'_>],
    target: &Target<'_>,
    shows_btf: bool,
    enums: &[&str],
) -> Result<Vec<u8>, RelocateError> {
    let mut kept = Kept::new(target);
    kept.enums(enums, target).map_err(RelocateError::Target)?;
    for object in objects {
        let Some(types) = object.types()? else { continue };
        let aside = aside_object(object)?;
        for part in std::iter::once(*object).chain(&aside) {
            kept.records(&types, &record::of_part(part, &types)?, target)?;
            let enums = lacks::telling(part, &types, target)?;
            kept.enums(&enums, target).map_err(RelocateError::Target)?;
        }
        let Some(ubpf) = object.ubpf()? else { continue };
        if !ubpf.events.is_empty() {
            kept.events(&ubpf, target).map_err(RelocateError::Target)?;
            kept.hidden |= !shows_btf;
        }
    }
    kept.bytes().map_err(RelocateError::Target)
}

/// A type of the target: which of its sections it is in, 0 for the image, and its id.
type Key = (usize, TypeId);

/// What of a type is kept.
#[derive(Clone, Debug, Default)]
struct Keep {
    /// Members or enumerators, by number.
    items: BTreeSet<usize>,
    /// Whether what it refers to is kept: the elements of an array, what a pointer points to, the types of a prototype.
    refers: bool,
    /// How far it has been followed for other than paths.
    followed: BTreeSet<Follow>,
}

/// How far a type is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Follow {
    /// As far as a field's type is looked at: the elements of arrays.
    Field,
    /// As far as two types are told to be compatible: to the end of pointers, arrays and prototypes.
    Compatible,
    /// As far as two types are told to match: into members too.
    Match,
    /// The same behind a pointer, where members do not count.
    MatchBehind,
}

/// The types that are kept, in the order of the target.
struct Kept<'p, 't> {
    /// The image, then the modules.
    sections: Vec<&'p Btf<'t>>,
    types: BTreeMap<Key, Keep>,
    /// Whether the kernel does not show its types, and something depends on that.
    hidden: bool,
    /// How much may still be looked at.
    work: Work,
}

impl<'p, 't> Kept<'p, 't> {
    fn new(target: &'p Target<'t>) -> Kept<'p, 't> {
        let image = std::iter::once(&*target.image);
        let modules = target.modules.iter().map(|(_, types)| types);
        let (types, work) = (BTreeMap::new(), Work::default());
        Kept { sections: image.chain(modules).collect(), types, hidden: false, work }
    }

    /// Keeps what records look at.
    fn records(
        &mut self,
        types: &Btf<'_>,
        list: &[Record<'_>],
        target: &'p Target<'t>,
    ) -> Result<(), RelocateError> {
        let searched = list.iter().filter(|record| record.core.kind != CoreKind::LocalTypeId);
        let roots: Vec<(&Record<'_>, (u32, &str))> = searched
            .filter_map(|record| Some((record, candidates::key(types, record.core.root).ok()?)))
            .filter(|(_, (_, name))| !name.is_empty())
            .collect();
        let found = candidates::find(roots.iter().map(|(_, key)| *key), target);
        for (record, key) in roots {
            let spec =
                Spec::parse(types, &record.core, Policy::Libbpf).map_err(|fail| fail.at(record))?;
            for candidate in found.get(&key).into_iter().flatten() {
                let kept = self.record(candidate, record.core.kind, &spec);
                kept.map_err(RelocateError::Target)?;
            }
        }
        Ok(())
    }

    /// Keeps enums of the image with all their values.
    fn enums(&mut self, names: &[&str], target: &'p Target<'t>) -> Result<(), BtfError> {
        for id in target.image.find(names).into_iter().flatten() {
            let root = self.key(0, id);
            self.follow(root, Follow::Match)?;
        }
        Ok(())
    }

    /// Keeps what tells of the events that an object is for.
    fn events(&mut self, ubpf: &Ubpf, target: &'p Target<'t>) -> Result<(), BtfError> {
        let events = Events::new(target, &ubpf.events);
        for (types, id) in events.signs() {
            let root = self.key_in(types, id);
            self.follow(root, Follow::Compatible)?;
        }
        if ubpf.events.iter().any(|event| event.kind != EventKind::Tracepoint) {
            self.enums(&[ATTACH_TYPES], target)?;
        }
        Ok(())
    }

    fn key_in(&self, types: &Btf<'t>, id: TypeId) -> Key {
        let at = |other: &&Btf<'t>| std::ptr::eq(*other, types);
        self.key(self.sections.iter().position(at).unwrap_or(0), id)
    }

    /// Keeps what a record looks at in a candidate.
    fn record(
        &mut self,
        candidate: &Candidate<'p, 't>,
        kind: CoreKind,
        spec: &Spec<'_>,
    ) -> Result<(), BtfError> {
        let root = self.key_in(candidate.types, candidate.id);
        match spec {
            Spec::Type if kind == CoreKind::TypeMatches => self.follow(root, Follow::Match),
            Spec::Type => self.follow(root, Follow::Compatible),
            Spec::Enumerator { name, .. } => {
                self.follow(root, Follow::Field)?;
                let stripped = self.strip(root)?;
                let ty = self.get(stripped)?;
                let keep = self.types.entry(stripped).or_default();
                if let Type::Enum { values, .. } = ty {
                    let named = values.iter().position(|(value, _)| essential(value) == *name);
                    keep.items.extend(named);
                }
                Ok(())
            }
            Spec::Field(path) => {
                self.follow(root, Follow::Field)?;
                self.path(root, path.steps.get(1..).unwrap_or_default())
            }
        }
    }

    /// Keeps the members on a path, as far as the target has it.
    fn path(&mut self, root: Key, steps: &[Step<'_>]) -> Result<(), BtfError> {
        let (mut at, mut in_array) = (root, false);
        for step in steps {
            let behind_index = std::mem::replace(&mut in_array, matches!(step, Step::Index { .. }));
            // The first index of several went through all dimensions: the target may have other ones (pahole writes `x[2][3]` as `x[6]`).
            if behind_index && in_array {
                continue;
            }
            at = self.strip(at)?;
            match (step, self.get(at)?) {
                (Step::Member { name, .. }, Type::Composite { .. }) => {
                    let Some(way) = self.search(at, name, &mut BTreeSet::new())? else {
                        return Ok(());
                    };
                    for (composite, number) in way {
                        at = self.member(composite, number)?;
                    }
                }
                (Step::Index { .. }, Type::Array { .. }) => at = self.innermost(at)?,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// What the elements of an array of any dimensions are. The arrays themselves are kept with the member that has them.
    fn innermost(&self, array: Key) -> Result<Key, BtfError> {
        let mut at = array;
        while let Type::Array { elem, .. } = self.get(at)? {
            at = self.strip(self.key(at.0, elem))?;
        }
        Ok(at)
    }

    /// The way to the first member of a name: composite types with the numbers of the members, the outermost first. What has been searched in vain is not searched again.
    fn search(
        &self,
        composite: Key,
        name: &str,
        searched: &mut BTreeSet<Key>,
    ) -> Result<Option<Vec<(Key, usize)>>, BtfError> {
        if searched.len() >= MAX_SEARCHED || !searched.insert(composite) {
            return Ok(None);
        }
        let Type::Composite { members, .. } = self.get(composite)? else { return Ok(None) };
        for (number, member) in members.iter().enumerate() {
            if member.name == name {
                return Ok(Some(vec![(composite, number)]));
            }
            if !member.name.is_empty() {
                continue;
            }
            let inner = self.strip(self.key(composite.0, member.ty))?;
            if let Some(mut way) = self.search(inner, name, searched)? {
                way.insert(0, (composite, number));
                return Ok(Some(way));
            }
        }
        Ok(None)
    }

    /// Keeps a member, and gives its type.
    fn member(&mut self, composite: Key, number: usize) -> Result<Key, BtfError> {
        let Type::Composite { members, .. } = self.get(composite)? else {
            return Err(BtfError::NoType(composite.1.0));
        };
        let mut numbers = vec![number];
        let ty = |number: usize| members.get(number).map_or(VOID, |member| member.ty);
        let reached = self.strip(self.key(composite.0, ty(number)))?;
        if let Type::Array { len: 0, .. } = self.get(reached)? {
            // Only the last member is an array of any length. If this one is not the last, then something must stay behind it.
            numbers.push(members.len() - 1);
        }
        for number in numbers {
            let member = self.strip(self.key(composite.0, ty(number)))?;
            self.follow(member, Follow::Field)?;
            self.types.entry(composite).or_default().items.insert(number);
        }
        Ok(reached)
    }

    /// Keeps a type and what it refers to.
    fn follow(&mut self, root: Key, how: Follow) -> Result<(), BtfError> {
        let mut todo = vec![(root, how)];
        while let Some((key, how)) = todo.pop() {
            if key.1 == VOID || !self.types.entry(key).or_default().followed.insert(how) {
                continue;
            }
            let ty = self.get(key)?;
            let (refers, mut next) = reach(&ty, how);
            let keep = self.types.entry(key).or_default();
            keep.refers |= refers;
            if let (Follow::Match, Type::Composite { members, .. }) = (how, &ty) {
                keep.items.extend(0..members.len());
                next.extend(members.iter().map(|member| (member.ty, how)));
            }
            if let (Follow::Match | Follow::MatchBehind, Type::Enum { values, .. }) = (how, &ty) {
                keep.items.extend(0..values.len());
            }
            for (id, how) in next {
                todo.push((self.strip(self.key(key.0, id))?, how));
            }
        }
        Ok(())
    }

    fn get(&self, (section, id): Key) -> Result<Type<&'t str>, BtfError> {
        let ty = self.sections.get(section).ok_or(BtfError::NoType(id.0))?.get(id)?;
        let items = if let Type::Composite { members, .. } = &ty { members.len() } else { 0 };
        // Records, candidates and members multiply.
        self.work.spend(1 + items).map_err(|_| BtfError::TooDeep(id.0))?;
        Ok(ty)
    }

    /// Types of the image have one key, whoever refers to them.
    fn key(&self, section: usize, id: TypeId) -> Key {
        let own = self.sections.get(section).is_some_and(|types| id >= types.first());
        (if own { section } else { 0 }, id)
    }

    fn strip(&self, (section, id): Key) -> Result<Key, BtfError> {
        let types = self.sections.get(section).ok_or(BtfError::NoType(id.0))?;
        Ok(self.key(section, types.strip(id)?))
    }

    /// The section.
    fn bytes(&self) -> Result<Vec<u8>, BtfError> {
        let Some(image) = self.sections.first() else { return Ok(Vec::new()) };
        let mut builder = Builder::default();
        let long = |key: &Key| self.get(*key).is_ok_and(|ty| ty.name() == LONG);
        if !self.types.keys().any(long) {
            builder.int_of(LONG, image.pointer_size(), 0);
        }
        if self.hidden
            && !self.types.keys().any(|key| self.get(*key).is_ok_and(|ty| is_hidden(&ty)))
        {
            builder.typedef(HIDDEN, VOID);
        }
        let ids: BTreeMap<Key, TypeId> =
            self.types.keys().map(|key| (*key, builder.reserve())).collect();
        for (key, keep) in &self.types {
            let id = |to: TypeId| {
                let stripped = self.strip(self.key(key.0, to)).ok();
                stripped.and_then(|key| ids.get(&key)).copied().unwrap_or(VOID)
            };
            if let Some(reserved) = ids.get(key) {
                builder.fill(*reserved, reduced(self.get(*key)?, keep, id));
            }
        }
        Ok(builder.bytes(image.endian))
    }
}

fn is_hidden(ty: &Type<&str>) -> bool {
    matches!(ty, Type::Typedef { name: HIDDEN, .. })
}

/// Whether what a type refers to is looked at, and how far each of that is.
fn reach(ty: &Type<&str>, how: Follow) -> (bool, Vec<(TypeId, Follow)>) {
    let behind = if how == Follow::Match { Follow::MatchBehind } else { how };
    match ty {
        Type::Typedef { ty, .. } | Type::Modifier { ty, .. } | Type::TypeTag { ty, .. } => {
            (true, vec![(*ty, how)])
        }
        Type::Array { elem, index, .. } => (true, vec![(*elem, how), (*index, Follow::Field)]),
        Type::Ptr(to) if how != Follow::Field => (true, vec![(*to, behind)]),
        Type::FuncProto { ret, params } if how != Follow::Field => {
            let params = params.iter().map(|(_, ty)| (*ty, how));
            (true, params.chain([(*ret, how)]).collect())
        }
        Type::Func { proto, .. } => (true, vec![(*proto, how)]),
        Type::Var { ty, .. } | Type::DeclTag { ty, .. } => (true, vec![(*ty, how)]),
        Type::Ptr(_)
        | Type::FuncProto { .. }
        | Type::Void
        | Type::Int { .. }
        | Type::Composite { .. }
        | Type::Enum { .. }
        | Type::Fwd { .. }
        | Type::DataSec { .. }
        | Type::Float { .. } => (false, Vec::new()),
    }
}

/// A type with what is kept of it; `id` gives new ids.
fn reduced(ty: Type<&str>, keep: &Keep, id: impl Fn(TypeId) -> TypeId) -> Type {
    let reference = |to| if keep.refers { id(to) } else { VOID };
    let name = SmolStr::new(ty.name());
    match ty {
        // Never kept: it has no form of its own in a file.
        Type::Void => Type::Fwd { union: false, name },
        Type::Int { bytes, bits, bit_offset, encoding, .. } => {
            Type::Int { name, bytes, bits, bit_offset, encoding }
        }
        Type::Ptr(to) => Type::Ptr(reference(to)),
        Type::Array { elem, index, len } => {
            Type::Array { elem: reference(elem), index: reference(index), len }
        }
        Type::Composite { union, size, members, .. } => {
            let members = keep.items.iter().filter_map(|number| members.get(*number));
            let members = members.map(|member| Member {
                name: member.name.into(),
                ty: id(member.ty),
                bit_offset: member.bit_offset,
                bit_width: member.bit_width,
            });
            Type::Composite { union, name, size, members: members.collect() }
        }
        Type::Enum { size, signed, wide, values, .. } => {
            let values = keep.items.iter().filter_map(|number| values.get(*number));
            let values = values.map(|(name, value)| ((*name).into(), *value)).collect();
            Type::Enum { name, size, signed, wide, values }
        }
        Type::Fwd { union, .. } => Type::Fwd { union, name },
        Type::Typedef { ty, .. } => Type::Typedef { name, ty: reference(ty) },
        Type::Modifier { kind, ty } => Type::Modifier { kind, ty: reference(ty) },
        Type::Func { proto, global, .. } => Type::Func { name, proto: reference(proto), global },
        Type::FuncProto { ret, params } => {
            let params = params.iter().map(|(name, ty)| ((*name).into(), reference(*ty)));
            Type::FuncProto { ret: reference(ret), params: params.collect() }
        }
        Type::Var { ty, linkage, .. } => Type::Var { name, ty: reference(ty), linkage },
        Type::DataSec { size, .. } => Type::DataSec { name, size, vars: Vec::new() },
        Type::Float { size, .. } => Type::Float { name, size },
        Type::DeclTag { ty, component, .. } => Type::DeclTag { name, ty: reference(ty), component },
        Type::TypeTag { ty, .. } => Type::TypeTag { name, ty: reference(ty) },
    }
}
