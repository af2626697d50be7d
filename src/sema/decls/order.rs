//! The order in which constants, parameters, enums and structs are resolved: each after what it is built of.
//!
//! In: the declarations. Out: their order, and those that need themselves. Invariant: no recursion, so that a chain of declarations may be of any
//! length.

use crate::sema::hir::{EnumId, MirrorId, StructId};
use crate::source::Span;
use crate::syntax::Trivia;
use crate::syntax::ast::{
    ConstDecl, EnumDecl, Expr, ExprKind, FieldDecl, Ident, Name, ParamDecl, StructDecl, TypeExpr,
    TypeExprKind,
};
use rustc_hash::FxHashMap;

/// A declaration that others may be built of.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) kind: NodeKind<'a>,
    pub(super) trivia: &'a Trivia,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum NodeKind<'a> {
    Const(&'a ConstDecl),
    Param(&'a ParamDecl, Span),
    Enum(&'a EnumDecl, EnumId),
    Struct(&'a StructDecl, StructId),
    Mirror(&'a StructDecl, MirrorId),
}

impl<'a> Node<'a> {
    pub(super) fn name(&self) -> &'a Ident {
        match self.kind {
            NodeKind::Const(decl) => &decl.name,
            NodeKind::Param(decl, _) => &decl.name,
            NodeKind::Enum(decl, _) => &decl.name,
            NodeKind::Struct(decl, _) | NodeKind::Mirror(decl, _) => &decl.name,
        }
    }
}

/// What [`sort`] finds.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Indices of all nodes, what others are built of first.
    pub(super) order: Vec<usize>,
    /// Nodes that need themselves, and how.
    pub(super) circles: Vec<(usize, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// On the way to it, at this depth.
    Open(usize),
    Done,
}

/// Sorts declarations by what they are built of.
pub(super) fn sort(nodes: &[Node<'_>]) -> Sorted {
    let names = Names::new(nodes);
    let mut sorted = Sorted::default();
    let mut states = vec![State::New; nodes.len()];
    for start in 0..nodes.len() {
        let mut path: Vec<(usize, std::vec::IntoIter<usize>)> = Vec::new();
        let mut next = Some(start);
        loop {
            if let Some(node) = next.take() {
                match states[node] {
                    State::Done => {}
                    State::Open(depth) => {
                        sorted.circles.push((node, circle(nodes, node, &path[depth + 1..])));
                    }
                    State::New => {
                        states[node] = State::Open(path.len());
                        path.push((node, names.needs(node, &nodes[node]).into_iter()));
                    }
                }
            }
            let Some((node, needs)) = path.last_mut() else { break };
            next = needs.next();
            if next.is_none() {
                states[*node] = State::Done;
                sorted.order.push(*node);
                path.pop();
            }
        }
    }
    sorted
}

/// How many names of a circle are told.
const MAX_TOLD: usize = 8;

fn circle(nodes: &[Node<'_>], node: usize, rest: &[(usize, std::vec::IntoIter<usize>)]) -> String {
    let name = &nodes[node].name().name;
    if rest.is_empty() {
        return format!("`{name}` needs itself");
    }
    let mut chain: Vec<String> = rest
        .iter()
        .take(MAX_TOLD)
        .map(|(node, _)| format!("`{}`", nodes[*node].name().name))
        .collect();
    if rest.len() > MAX_TOLD {
        chain.push("others".to_owned());
    }
    format!("`{name}` needs {}, which needs `{name}`", chain.join(", which needs "))
}

/// Which node a name stands for.
struct Names<'a> {
    types: FxHashMap<&'a Name, usize>,
    values: FxHashMap<&'a Name, usize>,
}

impl<'a> Names<'a> {
    fn new(nodes: &[Node<'a>]) -> Names<'a> {
        let mut names = Names { types: FxHashMap::default(), values: FxHashMap::default() };
        for (index, node) in nodes.iter().enumerate() {
            match node.kind {
                NodeKind::Const(_) | NodeKind::Param(..) => {
                    names.values.insert(&node.name().name, index);
                }
                NodeKind::Enum(decl, _) => {
                    names.types.insert(&decl.name.name, index);
                    names.values.extend(decl.enumerators.iter().map(|e| (&e.name.name, index)));
                }
                NodeKind::Struct(decl, _) | NodeKind::Mirror(decl, _) => {
                    names.types.insert(&decl.name.name, index);
                }
            }
        }
        names
    }

    /// The nodes that a node is built of. The enumerators of an enum may build on those before them.
    fn needs(&self, index: usize, node: &Node<'_>) -> Vec<usize> {
        let mut found = Found { names: self, nodes: Vec::new() };
        match node.kind {
            NodeKind::Const(decl) => {
                decl.ty.iter().for_each(|ty| found.ty(ty));
                found.expr(&decl.value);
            }
            NodeKind::Param(decl, _) => {
                found.ty(&decl.ty);
                found.expr(&decl.default);
            }
            NodeKind::Enum(decl, _) if decl.mirrors.is_none() => {
                decl.enumerators.iter().flat_map(|e| &e.sources).for_each(|e| found.expr(e));
                found.nodes.retain(|need| *need != index);
            }
            NodeKind::Enum(..) => {}
            NodeKind::Struct(decl, _) | NodeKind::Mirror(decl, _) => found.fields(&decl.fields),
        }
        found.nodes
    }
}

/// The nodes that are named in types and expressions.
struct Found<'a> {
    names: &'a Names<'a>,
    nodes: Vec<usize>,
}

impl Found<'_> {
    fn fields(&mut self, fields: &[FieldDecl]) {
        for field in fields {
            self.ty(&field.ty);
            field.bits.iter().for_each(|bits| self.expr(bits));
        }
    }

    fn named_type(&mut self, name: &Name) {
        self.nodes.extend(self.names.types.get(name));
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Name(name) => self.named_type(name),
            TypeExprKind::Struct(name) | TypeExprKind::Union(name) | TypeExprKind::Enum(name) => {
                self.named_type(&name.name);
            }
            TypeExprKind::Anonymous(_, fields) => self.fields(fields),
            TypeExprKind::Array(elem, len) => {
                self.ty(elem);
                if let Some(len) = len {
                    self.expr(len);
                }
            }
            TypeExprKind::Tuple(parts) => parts.iter().for_each(|part| self.ty(part)),
            // What a pointer points to needs a name, not a size; the length of an array there is looked at.
            TypeExprKind::Ptr(target) => self.pointed(target),
            TypeExprKind::Int { .. }
            | TypeExprKind::Char
            | TypeExprKind::Bool
            | TypeExprKind::Void
            | TypeExprKind::Str
            | TypeExprKind::Func(..)
            | TypeExprKind::Error => {}
        }
    }

    fn pointed(&mut self, target: &TypeExpr) {
        match &target.kind {
            TypeExprKind::Array(..) | TypeExprKind::Tuple(_) => self.ty(target),
            TypeExprKind::Ptr(target) => self.pointed(target),
            _ => {}
        }
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(name) => self.nodes.extend(self.names.values.get(name)),
            ExprKind::Unary(_, operand) => self.expr(operand),
            ExprKind::Binary(_, left, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Ternary(cond, then, otherwise) => {
                self.expr(cond);
                self.expr(then);
                self.expr(otherwise);
            }
            ExprKind::Cast(ty, operand) => {
                self.ty(ty);
                self.expr(operand);
            }
            ExprKind::SizeofType(ty) | ExprKind::Offsetof(ty, _) => self.ty(ty),
            // Nothing else is constant.
            _ => {}
        }
    }
}
