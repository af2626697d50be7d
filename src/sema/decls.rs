//! What the items of a script and its imports declare, by name: the table between declarations and bodies.
//!
//! In: the items of every file. Out: [`Decls`], which the bodies of probes are analyzed against. Invariant: every declaration that is in a table is whole; one that was
//! refused is there with [`Ty::Error`](super::types::Ty::Error) in its place, so that its uses are not reported again.

mod collect;
mod order;
mod prototypes;
mod settings;
mod structs;
mod tracepoints;
mod values;

pub use collect::collect;

use super::hir::{Arg, EnumId, Event, Hir, MapKind, MirrorId, ParamId, PrototypeId, StructId};
use super::kpath::numbers::Numbers;
use super::types::Ty;
use crate::source::Span;
use crate::syntax::ast::{Name, TypeExpr};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// A table that keeps the order of declaration.
pub type Table<V> = IndexMap<Name, V, FxBuildHasher>;

/// Every declaration of a script and its imports.
#[derive(Debug, Default)]
pub struct Decls {
    /// The parts of the HIR that declarations fill: structs, enums, mirrors, params, prototypes.
    pub hir: Hir,
    /// Names of types, as `struct NAME`, `enum NAME` or a bare name reach them.
    pub types: Table<TypeDecl>,
    /// What paths may take for granted of kernel structs. They have a namespace of their own: what the library's paths go through is no concern of
    /// a script's structs.
    pub kernel: Table<KernelStruct>,
    /// What a bare name in an expression stands for.
    pub values: Table<ValueDecl>,
    /// User tracepoints by their names after `user:`.
    pub tracepoints: Table<Tracepoint>,
    /// Maps that `let` declares.
    pub maps: Table<MapDecl>,
    /// Prototypes by tracepoint.
    pub prototypes: Table<Vec<PrototypeId>>,
    /// Prototypes by function.
    pub functions: Table<Vec<PrototypeId>>,
    /// Settings of `config` blocks.
    pub config: Config,
    /// What known kernels have.
    pub numbers: Numbers,
}

impl Decls {
    /// The mirror of that name.
    pub fn mirror(&self, name: &str) -> Option<MirrorId> {
        match self.types.get(name) {
            Some(TypeDecl::Mirror(id)) => Some(*id),
            _ => None,
        }
    }
}

/// What `kernel struct` declarations say of a kernel struct; several of one struct add up.
#[derive(Clone, Debug, Default)]
pub struct KernelStruct {
    /// Members by name, those of anonymous structs and unions among them.
    pub members: Table<KernelMember>,
}

/// A member of a [`KernelStruct`].
#[derive(Clone, Debug)]
pub struct KernelMember {
    /// Its type, as written.
    pub ty: TypeExpr,
    /// The width of a bitfield.
    pub bits: Option<u8>,
    /// The declaration.
    pub span: Span,
}

/// A declared type.
#[derive(Clone, Debug)]
pub enum TypeDecl {
    /// A struct of the script's own.
    Struct(StructId),
    /// An enum.
    Enum(EnumId),
    /// A mirror: only pointers to it, and `emit *p`, are values.
    Mirror(MirrorId),
    /// A `kernel struct`: only pointers to it are values.
    Kernel,
    /// Refused; a diagnostic was given.
    Error,
}

/// What a bare name stands for.
#[derive(Clone, Debug)]
pub enum ValueDecl {
    /// A `const`.
    Const {
        /// Its type: a scalar or a string.
        ty: Ty,
        /// Its value.
        value: super::hir::ConstValue,
        /// The declaration.
        span: Span,
    },
    /// A `param`.
    Param(ParamId),
    /// An enumerator: the enum and the index.
    Enumerator(EnumId, u32),
    /// Refused; a diagnostic was given.
    Error,
}

/// A user tracepoint.
#[derive(Clone, Debug)]
pub struct Tracepoint {
    /// The kernel events it is bound to. The first that the target has; there is at least one.
    pub events: Vec<Event>,
    /// Its stable arguments.
    pub args: Vec<TracepointArg>,
    /// Whether it belongs to the locked library.
    pub locked: bool,
    /// The declaration.
    pub span: Span,
}

/// An argument of a user tracepoint.
#[derive(Clone, Debug)]
pub struct TracepointArg {
    /// Its name after `args.`.
    pub name: Name,
    /// Its type.
    pub ty: Ty,
    /// Where it is in the kernel's prototypes.
    pub arg: Arg,
    /// The declaration.
    pub span: Span,
}

/// A map that `let` declares.
#[derive(Clone, Debug)]
pub struct MapDecl {
    /// Its kind.
    pub kind: MapKind,
    /// The most entries, where given.
    pub max_entries: Option<u32>,
    /// The declaration.
    pub span: Span,
}

/// Settings of `config` blocks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Entries of a keyed map whose size nothing else says: `max_map_keys`.
    pub max_map_keys: u32,
    /// The size of a string read by `str` without a length, NUL included: `max_strlen`.
    pub max_strlen: u32,
    /// The size of the ring buffer in bytes, a power of two: `ring_bytes`.
    pub ring_bytes: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_map_keys: 4096, max_strlen: 64, ring_bytes: 256 << 10 }
    }
}
