//! Flavors: local types that stand for kernel types, and what each CO-RE question is in their terms.
//!
//! In: the accesses and questions of machine code. Out: types in the object's BTF and, for each question, its record and the answer that holds for the local
//! type. A flavor `task_struct___user` has exactly the members that accesses name; where two accesses take one member for different things, the later one goes to
//! `task_struct___user2`. Members found through anonymous structs are put in the struct that is named, since loaders look through anonymous ones.
//!
//! Invariant: the same code gives the same flavors, whatever the byte order.

mod shape;

use self::shape::Shape;
use super::ObjectError;
use super::btf_ext::CoreKind;
use crate::btf::{Builder, Type, TypeId, VOID};
use crate::ir::reloc::{Access, AccessId, CoreReloc, FieldQuestion};
use crate::isa::code::{Code, RelocKind};
use crate::sema::hir::{Hir, KParamTy, PrototypeId};
use crate::sema::types::IntTy;
use crate::target::Endian;
use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;
use smol_str::SmolStr;

type Map<K, V> = IndexMap<K, V, FxBuildHasher>;

/// A question in the terms of BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The local type.
    pub root: TypeId,
    /// Its name.
    pub root_name: SmolStr,
    /// The way into it, in numbers.
    pub access: String,
    /// The way into it, in names.
    pub path: String,
    /// What is asked.
    pub kind: CoreKind,
    /// The answer that holds for the local type: loaders check that the instruction has it.
    pub local: u64,
}

/// Every question of some code.
#[derive(Debug)]
pub struct Flavors {
    questions: Map<CoreReloc, Question>,
}

impl Flavors {
    /// Makes the flavors that `code` needs, and puts them into `btf`.
    pub fn new(
        hir: &Hir,
        code: &Code,
        endian: Endian,
        btf: &mut Builder,
    ) -> Result<Flavors, ObjectError> {
        let asked = asked(code);
        let mut drafts = Drafts::new(code, &asked)?;
        drafts.declare(hir, &asked, btf)?;
        let questions = asked.into_iter().map(|reloc| {
            let question = drafts.question(code, &reloc, endian)?;
            Ok((reloc, question))
        });
        Ok(Flavors { questions: questions.collect::<Result<_, ObjectError>>()? })
    }

    /// The typedef by which the code asks for a prototype, if it does.
    pub fn prototype(&self, id: PrototypeId) -> Option<&SmolStr> {
        self.questions.get(&CoreReloc::Prototype(id)).map(|question| &question.root_name)
    }

    /// What a relocation of the code is.
    ///
    /// # Panics
    /// When the relocation is not from the code that the flavors were made for.
    pub fn question(&self, reloc: &CoreReloc) -> &Question {
        &self.questions[reloc]
    }
}

/// Every question of the code, once, in the order of the instructions.
fn asked(code: &Code) -> IndexSet<CoreReloc, FxBuildHasher> {
    let relocs = code.functions().flat_map(|function| &function.relocs);
    relocs
        .filter_map(|reloc| match &reloc.kind {
            RelocKind::Core(core) => Some(core.clone()),
            RelocKind::Map(_)
            | RelocKind::Rodata(_)
            | RelocKind::Callback(_)
            | RelocKind::Arg(_) => None,
        })
        .collect()
}

/// A struct flavor.
#[derive(Debug)]
struct Flavor {
    name: SmolStr,
    shape: Shape,
    id: TypeId,
}

/// A type of which only the existence or the enumerators are asked.
#[derive(Debug)]
struct Named {
    name: SmolStr,
    id: TypeId,
}

#[derive(Debug, Default)]
struct Drafts {
    /// By kernel struct.
    structs: Map<SmolStr, Vec<Flavor>>,
    /// By access: the index of the flavor of its struct.
    chosen: Map<AccessId, usize>,
    /// By kernel enum: the enumerators that are asked about.
    enums: Map<SmolStr, (Named, IndexSet<SmolStr, FxBuildHasher>)>,
    prototypes: Map<PrototypeId, Named>,
}

/// The name of the `index`th flavor of a type. It has one `___`, since some loaders cut at the first and some at the last.
fn flavor_name(kernel: &str, index: usize) -> SmolStr {
    let number = if index == 0 { String::new() } else { (index + 1).to_string() };
    format!("{kernel}___user{number}").into()
}

impl Drafts {
    /// Decides which flavors there are and what is in them.
    fn new(code: &Code, asked: &IndexSet<CoreReloc, FxBuildHasher>) -> Result<Drafts, ObjectError> {
        let mut drafts = Drafts::default();
        for reloc in asked {
            match reloc {
                CoreReloc::Field(id, _) => drafts.place(*id, code.accesses.get(*id))?,
                CoreReloc::StructSize(kernel) => drafts.first_flavor(kernel),
                CoreReloc::EnumValue { enum_name, name }
                | CoreReloc::EnumExists { enum_name, name } => {
                    let (_, names) = drafts.enums.entry(enum_name.clone()).or_insert_with(|| {
                        (Named { name: flavor_name(enum_name, 0), id: VOID }, IndexSet::default())
                    });
                    names.insert(name.clone());
                }
                CoreReloc::Prototype(_) => {}
            }
        }
        Ok(drafts)
    }

    /// Gives an access its place: in the first flavor where it contradicts nothing.
    fn place(&mut self, id: AccessId, access: &Access) -> Result<(), ObjectError> {
        if self.chosen.contains_key(&id) {
            return Ok(());
        }
        let shape = Shape::of_access(access)?;
        let flavors = self.structs.entry(access.root.clone()).or_default();
        let index = flavors.iter().position(|flavor| flavor.shape.fits(&shape));
        let index = index.unwrap_or_else(|| {
            let name = flavor_name(&access.root, flavors.len());
            flavors.push(Flavor { name, shape: Shape::empty(), id: VOID });
            flavors.len() - 1
        });
        flavors[index].shape.merge(shape);
        self.chosen.insert(id, index);
        Ok(())
    }

    /// Makes sure that a kernel struct has a flavor.
    fn first_flavor(&mut self, kernel: &SmolStr) {
        let flavors = self.structs.entry(kernel.clone()).or_default();
        if flavors.is_empty() {
            flavors.push(Flavor { name: flavor_name(kernel, 0), shape: Shape::empty(), id: VOID });
        }
    }

    /// Puts the flavors into the BTF.
    fn declare(
        &mut self,
        hir: &Hir,
        asked: &IndexSet<CoreReloc, FxBuildHasher>,
        btf: &mut Builder,
    ) -> Result<(), ObjectError> {
        for flavor in self.structs.values_mut().flatten() {
            if flavor.shape.size() > shape::MAX_SIZE {
                return Err(ObjectError::FlavorTooLarge { name: flavor.name.clone() });
            }
            flavor.id = flavor.shape.declare(&flavor.name, btf);
        }
        for (named, enumerators) in self.enums.values_mut() {
            // The kernel's numbers are not known: any that differ will do.
            let values = enumerators.iter().cloned().zip(0..).collect();
            let name = named.name.clone();
            named.id = btf.add(Type::Enum { name, size: 4, signed: false, wide: false, values });
        }
        let mut events: Map<&SmolStr, usize> = Map::default();
        for reloc in asked {
            let CoreReloc::Prototype(id) = reloc else { continue };
            let prototype = &hir.prototypes[*id];
            let index = events.entry(&prototype.name).or_default();
            let name = flavor_name(&format!("btf_trace_{}", prototype.name), *index);
            *index += 1;
            let proto = function(prototype.params.iter().map(|param| &param.ty), btf);
            let pointer = btf.ptr(proto);
            let id_in_btf = btf.typedef(name.clone(), pointer);
            self.prototypes.insert(*id, Named { name, id: id_in_btf });
        }
        Ok(())
    }

    fn question(
        &self,
        code: &Code,
        reloc: &CoreReloc,
        endian: Endian,
    ) -> Result<Question, ObjectError> {
        let whole = |name: &SmolStr, root: TypeId, kind: CoreKind, local: u64| Question {
            root,
            root_name: name.clone(),
            access: "0".into(),
            path: name.to_string(),
            kind,
            local,
        };
        Ok(match reloc {
            CoreReloc::Field(id, question) => {
                let access = code.accesses.get(*id);
                let flavor = &self.structs[&access.root][self.chosen[id]];
                field(access, *question, flavor, endian)?
            }
            CoreReloc::StructSize(kernel) => {
                let flavor = &self.structs[kernel][0];
                whole(&flavor.name, flavor.id, CoreKind::TypeSize, flavor.shape.size().into())
            }
            CoreReloc::Prototype(id) => {
                let typedef = &self.prototypes[id];
                whole(&typedef.name, typedef.id, CoreKind::TypeExists, 1)
            }
            CoreReloc::EnumValue { enum_name, name } => {
                self.enumerator(enum_name, name, CoreKind::EnumvalValue)
            }
            CoreReloc::EnumExists { enum_name, name } => {
                self.enumerator(enum_name, name, CoreKind::EnumvalExists)
            }
        })
    }

    fn enumerator(&self, enum_name: &SmolStr, name: &SmolStr, kind: CoreKind) -> Question {
        let (named, names) = &self.enums[enum_name];
        let index = names.get_index_of(name).unwrap_or_default();
        Question {
            root: named.id,
            root_name: named.name.clone(),
            access: index.to_string(),
            path: format!("{}.{name}", named.name),
            kind,
            local: if kind == CoreKind::EnumvalExists { 1 } else { index as u64 },
        }
    }
}

/// The number that CO-RE has for a question about a field.
pub(super) fn kind_of(question: FieldQuestion) -> CoreKind {
    match question {
        FieldQuestion::ByteOffset => CoreKind::ByteOff,
        FieldQuestion::ByteSize => CoreKind::ByteSize,
        FieldQuestion::Exists => CoreKind::FieldExists,
        FieldQuestion::Signed => CoreKind::Signed,
        FieldQuestion::LshiftU64 => CoreKind::LshiftU64,
        FieldQuestion::RshiftU64 => CoreKind::RshiftU64,
    }
}

/// The question about a field, as the flavor has it.
fn field(
    access: &Access,
    question: FieldQuestion,
    flavor: &Flavor,
    endian: Endian,
) -> Result<Question, ObjectError> {
    let place = flavor.shape.locate(&access.steps);
    let kind = kind_of(question);
    let path = format!("{}{}", flavor.name, place.path);
    let number = matches!(kind, CoreKind::Signed | CoreKind::LshiftU64 | CoreKind::RshiftU64);
    if number && place.is_element {
        return Err(ObjectError::ElementQuestion { path, question: kind.name() });
    }
    let local = match question {
        FieldQuestion::ByteOffset => place.offset.into(),
        FieldQuestion::ByteSize => place.size.into(),
        FieldQuestion::Exists => 1,
        FieldQuestion::Signed => place.signed.into(),
        FieldQuestion::LshiftU64 => match endian {
            Endian::Little => 64_u64.wrapping_sub(place.bits),
            // A bitfield of its own word begins at the most significant bit.
            Endian::Big => 64_u64.wrapping_sub(u64::from(place.size) * 8),
        },
        FieldQuestion::RshiftU64 => 64_u64.wrapping_sub(place.bits),
    };
    let (root, root_name) = (flavor.id, flavor.name.clone());
    Ok(Question { root, root_name, access: place.access, path, kind, local })
}

/// The prototype of a raw tracepoint's function: a `void *` that is the tracepoint's own, then its arguments.
fn function<'a>(params: impl Iterator<Item = &'a KParamTy>, btf: &mut Builder) -> TypeId {
    let mut types = vec![(SmolStr::default(), btf.ptr(VOID))];
    for ty in params {
        let id = parameter(ty, btf);
        types.push((SmolStr::default(), id));
    }
    btf.add(Type::FuncProto { ret: VOID, params: types })
}

/// A parameter's type, as far as compatibility of types looks at it: kinds, and what pointers point to.
fn parameter(ty: &KParamTy, btf: &mut Builder) -> TypeId {
    // Names are not compared; these say that there is nothing in the type.
    let opaque = |name: &SmolStr| SmolStr::from(format!("{name}___param"));
    match ty {
        KParamTy::Int(int) => btf.int(*int),
        KParamTy::Long { signed } => btf.int(IntTy { bits: 64, signed: *signed }),
        KParamTy::Enum(name) => {
            let (name, values) = (opaque(name), Vec::new());
            btf.add(Type::Enum { name, size: 4, signed: false, wide: false, values })
        }
        KParamTy::Struct(name) | KParamTy::Union(name) => {
            let union = matches!(ty, KParamTy::Union(_));
            btf.add(Type::Composite { union, name: opaque(name), size: 0, members: Vec::new() })
        }
        KParamTy::Void => VOID,
        KParamTy::Ptr(to) => {
            let to = parameter(to, btf);
            btf.ptr(to)
        }
        KParamTy::Func { ret, params, variadic } => {
            let ret = parameter(ret, btf);
            let params = params.iter().map(|ty| (SmolStr::default(), parameter(ty, btf)));
            // More of them are a last one without name and type (v6.12 Documentation/bpf/btf.rst).
            let more = variadic.then(|| (SmolStr::default(), VOID));
            let params: Vec<_> = params.collect();
            btf.add(Type::FuncProto { ret, params: params.into_iter().chain(more).collect() })
        }
    }
}
