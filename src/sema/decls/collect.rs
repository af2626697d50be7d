//! Collecting: the items of every file → the tables.
//!
//! In: the files, imported ones first. Out: [`Decls`]. Types that others may point to have their ids before anything is resolved; what others
//! are built of is resolved before them ([`order`](super::order)); what looks at whole types comes last.

use super::order::{self, Node, NodeKind};
use super::{Decls, Table, TypeDecl, ValueDecl};
use crate::diag::{Code, Diagnostic, Diags};
use crate::sema::hir::{Enum, Mirror, Struct};
use crate::sema::imports::LoadedFile;
use crate::sema::kpath::numbers::Numbers;
use crate::sema::show::{MAX_NAME, name_too_long};
use crate::sema::types::IntTy;
use crate::sema::unbuilt::unbuilt;
use crate::source::{Origin, Sources, Span};
use crate::syntax::ast::{EnumDecl, Ident, Item, ItemKind, Name, StructDecl, StructKind};

/// The declarations of all files.
pub fn collect(sources: &Sources, files: &[LoadedFile], numbers: Numbers) -> (Decls, Diags) {
    let mut collector = Collector {
        sources,
        decls: Decls { numbers, ..Decls::default() },
        diags: Diags::new(),
        declared: Default::default(),
    };
    collector.settings(files);
    let nodes = collector.register(files);
    let sorted = order::sort(&nodes);
    for (node, message) in sorted.circles {
        collector.refuse_circle(&nodes[node], message);
    }
    for node in sorted.order {
        collector.build(&nodes[node]);
    }
    collector.finish_mirrors(&nodes);
    collector.later_items(files);
    (collector.decls, collector.diags)
}

/// The kinds of names, each a namespace.
#[derive(Clone, Copy, Debug)]
pub(super) enum Namespace {
    Type,
    Value,
    Tracepoint,
    Map,
    Setting,
}

pub(super) struct Collector<'a> {
    pub(super) sources: &'a Sources,
    pub(super) decls: Decls,
    pub(super) diags: Diags,
    /// Where each name was declared first, by [`Namespace`].
    declared: [Table<Span>; 5],
}

impl Collector<'_> {
    /// Takes a name; reports it if it is taken already.
    pub(super) fn declare(&mut self, namespace: Namespace, name: &Ident) -> bool {
        if name.name.len() > MAX_NAME {
            self.diags.push(name_too_long(name.span));
        }
        let names = &mut self.declared[namespace as usize];
        let Some(first) = names.get(&name.name).copied() else {
            names.insert(name.name.clone(), name.span);
            return true;
        };
        let written = self.sources.text(name.span);
        let mut diagnostic =
            Diagnostic::new(Code::E0102, name.span, format!("`{written}` is declared twice"));
        let (here, there) = (self.sources.file(name.span.file), self.sources.file(first.file));
        if here.origin == Origin::User && there.origin == Origin::Uapi {
            diagnostic =
                diagnostic.note(format!("the import of `{}` brings the first one", there.name));
        }
        self.diags
            .push(diagnostic.label("the second declaration").secondary(first, "the first one"));
        false
    }

    pub(super) fn is_locked(&self, span: Span) -> bool {
        self.sources.file(span.file).origin == Origin::Uapi
    }

    /// Gives every struct, mirror and enum its id.
    fn register<'a>(&mut self, files: &'a [LoadedFile]) -> Vec<Node<'a>> {
        let mut nodes = Vec::new();
        for file in files {
            for item in &file.parsed.file.items {
                let node = match &item.kind {
                    ItemKind::Struct(decl) => self.register_struct(decl, item),
                    ItemKind::Enum(decl) => self.register_enum(decl, item),
                    ItemKind::Const(decl) => {
                        self.declare(Namespace::Value, &decl.name).then_some(NodeKind::Const(decl))
                    }
                    ItemKind::Param(decl) => self
                        .declare(Namespace::Value, &decl.name)
                        .then_some(NodeKind::Param(decl, item.span)),
                    _ => None,
                };
                nodes.extend(node.map(|kind| Node { kind, trivia: &file.parsed.trivia }));
            }
        }
        for name in self.decls.kernel.keys() {
            self.decls.types.entry(name.clone()).or_insert(TypeDecl::Kernel);
        }
        nodes
    }

    fn register_struct<'a>(&mut self, decl: &'a StructDecl, item: &Item) -> Option<NodeKind<'a>> {
        if decl.kind == StructKind::Kernel {
            self.kernel_struct(decl);
            return None;
        }
        if !self.declare(Namespace::Type, &decl.name) {
            return None;
        }
        let (name, span) = (decl.name.name.clone(), head(item, &decl.name));
        if decl.kind == StructKind::Union {
            self.diags.push(unbuilt("`union`", decl.name.span));
            self.decls.types.insert(name, TypeDecl::Error);
            return None;
        }
        let locked = self.is_locked(span);
        let hir = &mut self.decls.hir;
        let (entry, kind) = if let Some(kernel) = mirrored(&decl.name, decl.mirrors.as_ref()) {
            let mirror = Mirror {
                name: name.clone(),
                kernel,
                fields: Vec::new(),
                size: 0,
                align: 1,
                locked,
                span,
            };
            let id = hir.mirrors.alloc(mirror);
            (TypeDecl::Mirror(id), NodeKind::Mirror(decl, id))
        } else {
            let own = Struct { name: name.clone(), fields: Vec::new(), size: 0, align: 1, span };
            let id = hir.structs.alloc(own);
            (TypeDecl::Struct(id), NodeKind::Struct(decl, id))
        };
        self.decls.types.insert(name, entry);
        Some(kind)
    }

    fn register_enum<'a>(&mut self, decl: &'a EnumDecl, item: &Item) -> Option<NodeKind<'a>> {
        if !self.declare(Namespace::Type, &decl.name) {
            return None;
        }
        let kernel = mirrored(&decl.name, decl.mirrors.as_ref());
        let name = decl.name.name.clone();
        let span = head(item, &decl.name);
        let shell =
            Enum { name: name.clone(), repr: IntTy::S32, kernel, enumerators: Vec::new(), span };
        let id = self.decls.hir.enums.alloc(shell);
        self.decls.types.insert(name, TypeDecl::Enum(id));
        Some(NodeKind::Enum(decl, id))
    }

    /// What needs itself has no value and no size; its uses stay silent.
    fn refuse_circle(&mut self, node: &Node<'_>, message: String) {
        let name = node.name();
        let help = match node.kind {
            NodeKind::Struct(..) | NodeKind::Mirror(..) => "a pointer to it may be a member",
            NodeKind::Enum(..) | NodeKind::Const(_) | NodeKind::Param(..) => {
                "one of these needs a value of its own"
            }
        };
        self.diags.push(Diagnostic::new(Code::E0202, name.span, message).help(help));
        match &node.kind {
            NodeKind::Const(_) | NodeKind::Param(..) => {
                self.decls.values.insert(name.name.clone(), ValueDecl::Error);
            }
            NodeKind::Struct(..) | NodeKind::Mirror(..) | NodeKind::Enum(..) => {
                self.decls.types.insert(name.name.clone(), TypeDecl::Error);
            }
        }
    }

    fn build(&mut self, node: &Node<'_>) {
        match node.kind {
            NodeKind::Const(decl) => self.constant(decl),
            NodeKind::Param(decl, span) => self.param(decl, span, node.trivia),
            NodeKind::Enum(decl, id) => self.enumeration(decl, id),
            NodeKind::Struct(decl, id) => self.script_struct(decl, id),
            NodeKind::Mirror(decl, id) => self.mirror(decl, id, node.trivia),
        }
    }

    /// Items that nothing else is built of.
    fn later_items(&mut self, files: &[LoadedFile]) {
        let items = || files.iter().flat_map(|file| &file.parsed.file.items);
        for item in items() {
            if let ItemKind::Prototype(decl) = &item.kind {
                self.prototype(decl);
            }
        }
        for item in items() {
            match &item.kind {
                ItemKind::Map(decl) => self.map(decl, item.span),
                ItemKind::Tracepoint(decl) => self.tracepoint(decl, item.span),
                ItemKind::Fn(decl) => self.diags.push(unbuilt("`fn`", decl.name.span)),
                ItemKind::Import(_)
                | ItemKind::Config(_)
                | ItemKind::Const(_)
                | ItemKind::Param(_)
                | ItemKind::Struct(_)
                | ItemKind::Enum(_)
                | ItemKind::Prototype(_)
                | ItemKind::Probe(_)
                | ItemKind::Error => {}
            }
        }
    }
}

/// A declaration up to its name: where messages point.
fn head(item: &Item, name: &Ident) -> Span {
    Span { end: name.span.end, ..item.span }
}

/// The kernel type that a declaration mirrors: the one after `mirrors`, or its own name without `_user`.
fn mirrored(name: &Ident, mirrors: Option<&Ident>) -> Option<Name> {
    match mirrors {
        Some(kernel) => Some(kernel.name.clone()),
        None => name.name.strip_suffix("_user").filter(|kernel| !kernel.is_empty()).map(Name::new),
    }
}
