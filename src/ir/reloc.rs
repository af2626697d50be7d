//! What a program may ask about the target kernel: CO-RE accesses and questions.
//!
//! An [`Access`] says where a field is believed to be found (names) and what it is believed to be (a local type, from which the object writer
//! makes a flavor of the kernel struct). A [`CoreReloc`] is one question about it, whose answer a loader patches into an instruction.

use crate::sema::hir::{Arg, EventKind, Hir, KParamTy, KStep, PrototypeId};
use crate::sema::typeexpr::is_scalar_name;
use crate::sema::types::{IntTy, Pointee, Ty};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use smol_str::SmolStr;

/// A handle of an [`Access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessId(pub u32);

/// A way from the start of a kernel struct to something in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The kernel struct.
    pub root: SmolStr,
    /// The way, at least one step.
    pub steps: Vec<KStep>,
    /// What it leads to, as the local type has it.
    pub leaf: LocalTy,
}

impl Access {
    /// The integer type that the compiler takes what it leads to for.
    pub fn number(&self) -> IntTy {
        self.leaf.number()
    }

    /// Whether it leads to an array's element.
    pub fn is_element(&self) -> bool {
        matches!(self.steps.last(), Some(KStep::Index(_)))
    }
}

/// A local type: what the compiler takes a kernel member for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalTy {
    /// An integer.
    Int(IntTy),
    /// A bitfield.
    Bits {
        /// In bits.
        width: u8,
        /// The type it is declared with.
        word: IntTy,
    },
    /// An enum of that name, kept as that type: loaders tell enums from integers.
    Enum(SmolStr, IntTy),
    /// A pointer; its target does not matter.
    Ptr,
    /// An array; 0 elements stand for a flexible one.
    Array(Box<LocalTy>, u32),
    /// An embedded struct whose members do not matter.
    Struct,
    /// A number of which so many bits are wanted, which its own type may not have: what the target has there counts, not what it is taken for.
    Wanted(Box<LocalTy>, u8),
}

impl LocalTy {
    /// The integer type of a number; of anything else that of an address.
    fn number(&self) -> IntTy {
        match self {
            LocalTy::Int(int) | LocalTy::Enum(_, int) | LocalTy::Bits { word: int, .. } => *int,
            LocalTy::Wanted(number, _) => number.number(),
            LocalTy::Ptr | LocalTy::Array(..) | LocalTy::Struct => IntTy::U64,
        }
    }
}

/// A question about the target whose answer a loader patches into an instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CoreReloc {
    /// About a field.
    Field(AccessId, FieldQuestion),
    /// The size of a kernel struct, in bytes.
    StructSize(SmolStr),
    /// 1 if the event's prototype is this one, otherwise 0.
    Prototype(PrototypeId),
    /// The value of an enumerator, in 64 bits.
    EnumValue {
        /// The kernel enum.
        enum_name: SmolStr,
        /// The enumerator.
        name: SmolStr,
    },
    /// 1 if the kernel has the enumerator, otherwise 0.
    EnumExists {
        /// The kernel enum.
        enum_name: SmolStr,
        /// The enumerator.
        name: SmolStr,
    },
}

/// Questions about a field, by their names in CO-RE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldQuestion {
    /// In bytes; for a bitfield, of its load unit.
    ByteOffset,
    /// In bytes; for a bitfield, of its load unit.
    ByteSize,
    /// 1 or 0.
    Exists,
    /// Whether it is signed.
    Signed,
    /// The left shift that puts its top bit at bit 63.
    LshiftU64,
    /// The right shift that then isolates it.
    RshiftU64,
}

/// A handle of an [`ArgRead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArgId(pub u32);

/// An argument of a kernel event, as a program wants it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgRead {
    /// What kernels call it, tried in order.
    pub names: Vec<SmolStr>,
    /// What it must be: any integer or enum for an integer; for a pointer to a struct or union, one of that name; any pointer for another.
    pub ty: KParamTy,
    /// Whether the event may lack it.
    pub optional: bool,
    /// Whether it is a signed C `long` in all known prototypes, of which 64 bits are wanted: where the target's has 32, the program extends it by its sign.
    pub long: bool,
}

impl ArgRead {
    /// What an expression of that type reads.
    pub fn of(hir: &Hir, arg: &Arg, ty: &Ty) -> ArgRead {
        let whole = matches!(ty, Ty::Int(int) if int.bits == 64);
        let long = whole && is_signed_long(hir, arg);
        let pointer = |to| KParamTy::Ptr(Box::new(to));
        let ty = match ty {
            Ty::Ptr(Pointee::Mirror(id)) => {
                pointer(KParamTy::Struct(hir.mirrors[*id].kernel.clone()))
            }
            Ty::Ptr(Pointee::Kernel(name)) if is_scalar_name(name) => pointer(KParamTy::Void),
            Ty::Ptr(Pointee::Kernel(name)) => pointer(KParamTy::Struct(name.clone())),
            Ty::Ptr(_) => pointer(KParamTy::Void),
            Ty::Int(int) => KParamTy::Int(*int),
            Ty::Enum(id) => KParamTy::Int(hir.enums[*id].repr),
            Ty::Bool => KParamTy::Int(IntTy::U8),
            Ty::Error
            | Ty::Void
            | Ty::Str(_)
            | Ty::Array(..)
            | Ty::Tuple(_)
            | Ty::Struct(_)
            | Ty::Mirror(_) => KParamTy::Int(IntTy::U64),
        };
        ArgRead { names: arg.names.clone(), ty, optional: arg.nullable, long }
    }
}

/// Whether all prototypes that pass an argument have it as a signed `long`.
fn is_signed_long(hir: &Hir, arg: &Arg) -> bool {
    let mut passed = arg
        .places
        .iter()
        .filter(|place| place.index.is_some())
        .flat_map(|place| place.prototypes.iter().map(|id| (place.event.kind, *id)))
        .peekable();
    let is_it = |(kind, id): (EventKind, PrototypeId)| {
        let found = hir.prototypes[id].place(kind, &arg.names);
        found.is_some_and(|(_, ty)| *ty == KParamTy::Long { signed: true })
    };
    passed.peek().is_some() && passed.all(is_it)
}

/// The arguments that a script reads, each once.
#[derive(Clone, Debug, Default)]
pub struct Args {
    set: IndexSet<ArgRead, FxBuildHasher>,
}

impl Args {
    /// The id of an argument, which is added if it is new.
    ///
    /// # Panics
    /// When there are 2^32 of them, which no memory holds.
    pub fn intern(&mut self, arg: ArgRead) -> ArgId {
        let (index, _) = self.set.insert_full(arg);
        ArgId(u32::try_from(index).expect("fewer arguments than instructions"))
    }

    /// The argument.
    ///
    /// # Panics
    /// When the id is not from this set.
    pub fn get(&self, id: ArgId) -> &ArgRead {
        &self.set[id.0 as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// The accesses of a script, each once.
#[derive(Clone, Debug, Default)]
pub struct Accesses {
    set: IndexSet<Access, FxBuildHasher>,
}

impl Accesses {
    /// The id of an access, which is added if it is new.
    ///
    /// # Panics
    /// When there are 2^32 of them, which no memory holds.
    pub fn intern(&mut self, access: Access) -> AccessId {
        let (index, _) = self.set.insert_full(access);
        AccessId(u32::try_from(index).expect("fewer accesses than instructions"))
    }

    /// The access.
    ///
    /// # Panics
    /// When the id is not from this set.
    pub fn get(&self, id: AccessId) -> &Access {
        &self.set[id.0 as usize]
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (AccessId, &Access)> {
        (0..).map(AccessId).zip(&self.set)
    }
}
