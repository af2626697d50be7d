//! What the items of a script and its imports declare, by name: the table between declarations and bodies.
//!
//! In: the items of every file. Out: [`Decls`], which the bodies of probes are analyzed against. Invariant: every declaration that is in a table is whole; one that was
//! refused is there with [`Ty::Error`](super::types::Ty::Error) in its place, so that its uses are not reported again.

use super::hir::{Arg, EnumId, Hir, MapKind, MirrorId, ParamId, PrototypeId, StructId};
use super::types::Ty;
use crate::source::Span;
use crate::syntax::ast::Name;
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
    /// What a bare name in an expression stands for.
    pub values: Table<ValueDecl>,
    /// User tracepoints by their names after `user:`.
    pub tracepoints: Table<Tracepoint>,
    /// Maps that `let` declares.
    pub maps: Table<MapDecl>,
    /// Prototypes by event.
    pub prototypes: Table<Vec<PrototypeId>>,
    /// Settings of `config` blocks.
    pub config: Config,
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
    /// The kernel event it is bound to, without its category: `sched_switch`.
    pub event: Name,
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
// SHIM BEGIN
/// shim
pub fn collect(_: &crate::source::Sources, files: &[super::imports::LoadedFile]) -> (Decls, crate::diag::Diags) {
    use crate::syntax::ast::*;
    use super::hir::*;
    use super::layout;
    let mut d = Decls::default();
    let mut diags = crate::diag::Diags::new();
    for item in files.iter().flat_map(|f| &f.parsed.file.items) {
        match &item.kind {
            ItemKind::Struct(s) => {
                let mirror = s.mirrors.is_some() || s.name.name.ends_with("_user");
                if mirror {
                    let id = d.hir.mirrors.alloc(Mirror { name: s.name.name.clone(), kernel: "x".into(), fields: vec![], size: 8, align: 8, locked: true, span: s.name.span });
                    d.types.insert(s.name.name.clone(), TypeDecl::Mirror(id));
                    let fields = s.fields.iter().map(|f| MirrorField { name: f.name.as_ref().unwrap().name.clone(), ty: super::typeexpr::resolve(&d, &f.ty, &mut diags), offset: 0, optional: f.optional, alternatives: vec![], doc: None, span: f.span }).collect();
                    d.hir.mirrors[id].fields = fields;
                } else {
                    let mut off = 0;
                    let fields: Vec<StructField> = s.fields.iter().map(|f| { let ty = super::typeexpr::resolve(&d, &f.ty, &mut diags); let o = off; off += layout::of(&d.hir, &ty).size; StructField { name: f.name.as_ref().unwrap().name.clone(), ty, offset: o } }).collect();
                    let id = d.hir.structs.alloc(Struct { name: s.name.name.clone(), fields, size: off, align: 8, span: s.name.span });
                    d.types.insert(s.name.name.clone(), TypeDecl::Struct(id));
                }
            }
            ItemKind::Enum(e) => {
                let k = e.mirrors.as_ref().map(|m| m.name.clone());
                let mut n = 0;
                let es = e.enumerators.iter().map(|x| { if let Some(crate::syntax::ast::ExprKind::Int(v)) = x.sources.first().map(|s| &s.kind) { n = *v; } n += 1; Enumerator { name: x.name.name.clone(), value: if k.is_some() { EnumeratorValue::Kernel { names: vec!["K".into()], optional: x.optional } } else { EnumeratorValue::Const(n - 1) } } }).collect();
                let id = d.hir.enums.alloc(Enum { name: e.name.name.clone(), repr: super::types::IntTy::U32, kernel: k, enumerators: es, span: e.name.span });
                for (i, x) in e.enumerators.iter().enumerate() { d.values.insert(x.name.name.clone(), ValueDecl::Enumerator(id, i as u32)); }
                d.types.insert(e.name.name.clone(), TypeDecl::Enum(id));
            }
            ItemKind::Tracepoint(t) => {
                let args = t.params.iter().enumerate().map(|(i, p)| TracepointArg { name: p.name.name.clone(), ty: super::typeexpr::resolve(&d, &p.ty, &mut diags), arg: Arg { places: vec![ArgPlace { prototypes: vec![], index: Some(i as u32) }], nullable: false }, span: p.span }).collect();
                d.tracepoints.insert(t.name.name.clone(), Tracepoint { event: t.name.name.clone(), args, locked: true, span: t.name.span });
            }
            ItemKind::Const(c) => if let Some((ty, value)) = super::consteval::eval(&d, &c.value, &mut diags) { d.values.insert(c.name.name.clone(), ValueDecl::Const { ty, value, span: c.name.span }); },
            ItemKind::Param(p) => {
                let ty = super::typeexpr::resolve(&d, &p.ty, &mut diags);
                if let Some((_, default)) = super::consteval::eval(&d, &p.default, &mut diags) {
                    let id = d.hir.params.alloc(Param { name: p.name.name.clone(), ty, default, doc: None, span: p.name.span });
                    d.values.insert(p.name.name.clone(), ValueDecl::Param(id));
                }
            }
            ItemKind::Map(m) => {
                let kind = match m.kind.name.as_str() { "hash" => MapKind::Hash, "lruhash" => MapKind::LruHash, "array" => MapKind::Array, _ => MapKind::PerCpuHash };
                d.maps.insert(m.name.name.clone(), super::decls::MapDecl { kind, max_entries: m.args.first().and_then(|a| if let crate::syntax::ast::ExprKind::Int(n) = a.kind { Some(n as u32) } else { None }), span: item.span });
            }
            _ => {}
        }
    }
    (d, diags)
}
// SHIM END
