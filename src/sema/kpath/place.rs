//! Paths: from the mirrored struct from member to member, through embedded structs, pointers and arrays.
//!
//! In: `a->b.c[i]` as written. Out: a [`Place`]: the hops made so far, and what is known of the type there. Invariant: a hop begins at the start
//! of a struct whose name is known.

use super::super::decls::KernelMember;
use super::super::hir::{ConstValue, KExpr, KExprKind, KHop, KStep, KThen};
use super::super::suggest::nearest;
use super::super::types::IntTy;
use super::super::{consteval, typeexpr};
use super::{Lower, Want};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, FieldDecl, Ident, Name, TypeExpr, TypeExprKind};

/// What is known of the kernel's type at a place.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The type.
    pub(super) ty: TypeExpr,
    /// The width, if it is a bitfield.
    pub(super) bits: Option<u8>,
    /// Whether a cast on the path says so.
    pub(super) stated: bool,
}

/// Where a path has come to.
#[derive(Debug)]
pub(super) struct Place {
    hops: Vec<KHop>,
    root: Name,
    steps: Vec<KStep>,
    hop_span: Span,
    /// The kernel struct whose member the last step is, where that is known, and the member.
    last: (Option<Name>, Name),
    /// What is there.
    pub(super) known: Option<Known>,
    /// The path as written.
    pub(super) span: Span,
}

impl Place {
    /// All hops, the last of which goes on with `then`.
    pub(super) fn finish(self, then: KThen) -> Vec<KHop> {
        let mut hops = self.hops;
        hops.push(KHop { root: self.root, steps: self.steps, then, span: self.hop_span });
        hops
    }

    /// Whether it is a whole element of an array of structs, of which no member has been named.
    pub(super) fn is_element(&self) -> bool {
        self.steps.is_empty()
    }

    /// Goes on at the start of a struct that the last hop leads to.
    fn hop(self, then: KThen, root: Name, span: Span) -> Place {
        let last = (Some(root.clone()), Name::default());
        let hops = self.finish(then);
        Place { hops, root, steps: Vec::new(), hop_span: span, last, known: None, span }
    }
}

/// How a type is written in messages.
pub(super) fn written(ty: &TypeExpr) -> String {
    match &ty.kind {
        TypeExprKind::Int { bits, signed } => format!("{}{bits}", if *signed { 's' } else { 'u' }),
        TypeExprKind::Char => "char".to_owned(),
        TypeExprKind::Bool => "bool".to_owned(),
        TypeExprKind::Void => "void".to_owned(),
        TypeExprKind::Str => "string".to_owned(),
        TypeExprKind::Name(name) => name.to_string(),
        TypeExprKind::Struct(name) => format!("struct {}", name.name),
        TypeExprKind::Union(name) => format!("union {}", name.name),
        TypeExprKind::Enum(name) => format!("enum {}", name.name),
        TypeExprKind::Anonymous(..) => "struct { … }".to_owned(),
        TypeExprKind::Ptr(target) => format!("{} *", written(target)),
        TypeExprKind::Array(elem, len) => match len.as_ref().map(|len| &len.kind) {
            Some(ExprKind::Int(len)) => format!("{}[{len}]", written(elem)),
            _ => format!("{}[]", written(elem)),
        },
        TypeExprKind::Func(..) => "function".to_owned(),
        TypeExprKind::Tuple(_) => "tuple".to_owned(),
        TypeExprKind::Error => "?".to_owned(),
    }
}

impl Lower<'_> {
    /// The mirrored struct's member `name`.
    pub(super) fn root(&self, name: &Name, span: Span) -> Place {
        let root = self.field.kernel.clone();
        let known = self.declared(&root, name);
        let last = (Some(root.clone()), name.clone());
        Place {
            hops: Vec::new(),
            root,
            steps: vec![KStep::Member(name.clone())],
            hop_span: span,
            last,
            known,
            span,
        }
    }

    /// What a `kernel struct` declaration says of a member.
    fn declared(&self, root: &str, name: &Name) -> Option<Known> {
        let KernelMember { ty, bits, .. } = self.decls.kernel.get(root)?.members.get(name)?;
        Some(Known { ty: ty.clone(), bits: *bits, stated: false })
    }

    /// Where a path leads.
    pub(super) fn place(&mut self, e: &Expr) -> Option<Place> {
        match &e.kind {
            ExprKind::Name(name) if self.constant(name).is_some() => {
                self.refuse(e.span, "this is a constant; expected a member of the kernel's struct")
            }
            ExprKind::Name(name) => Some(self.root(name, e.span)),
            ExprKind::Field { base, name, arrow } => {
                let place = self.place(base)?;
                self.step(place, name, *arrow, e.span)
            }
            ExprKind::Index { base, index } => {
                let place = self.place(base)?;
                self.index(place, index, e.span)
            }
            ExprKind::Cast(ty, operand) => {
                let mut place = self.place(operand)?;
                self.not_an_element(&place)?;
                self.check_cast(ty)?;
                place.known = Some(Known { ty: ty.clone(), bits: None, stated: true });
                place.span = e.span;
                Some(place)
            }
            ExprKind::Error => None,
            ExprKind::Call { callee, .. } if callee.name == "container_of" => {
                self.unbuilt("`container_of` in a mirror", e.span)
            }
            _ => self.refuse(e.span, "expected a path to a member, such as `mm->total_vm`"),
        }
    }

    /// What a path can be said to be.
    fn check_cast(&mut self, ty: &TypeExpr) -> Option<()> {
        match &ty.kind {
            TypeExprKind::Ptr(target) => match &target.kind {
                TypeExprKind::Struct(name) if self.decls.mirror(&name.name).is_some() => {
                    self.unbuilt("a cast to a mirror in a mirror", ty.span)
                }
                _ => Some(()),
            },
            // The kernel's enum of that name, which needs no declaration.
            TypeExprKind::Enum(_) => Some(()),
            TypeExprKind::Struct(_) | TypeExprKind::Union(_) => self
                .refuse(ty.span, "a path is cast to an integer, an enum, or a pointer to a struct"),
            _ => {
                let resolved = typeexpr::resolve_kernel(self.decls, ty, self.diags);
                (resolved != super::Ty::Error).then_some(())
            }
        }
    }

    /// `place.name` or `place->name`.
    fn step(&mut self, place: Place, name: &Ident, arrow: bool, span: Span) -> Option<Place> {
        let place = match place.known.as_ref().map(|k| &k.ty.kind) {
            None if arrow && !place.is_element() => return self.unknown_pointer(&place, name),
            Some(TypeExprKind::Ptr(target)) => {
                let target = self.pointee(target, &place)?;
                place.hop(KThen::Deref, target, name.span)
            }
            Some(
                TypeExprKind::Int { .. }
                | TypeExprKind::Char
                | TypeExprKind::Bool
                | TypeExprKind::Enum(_)
                | TypeExprKind::Array(..)
                | TypeExprKind::Func(..),
            ) => return self.no_members(&place, name),
            Some(TypeExprKind::Error) => return None,
            Some(_) | None => place,
        };
        let (container, known) = self.member_of(&place, name)?;
        Some(Place {
            steps: place.steps.into_iter().chain([KStep::Member(name.name.clone())]).collect(),
            hop_span: place.hop_span.to(name.span),
            last: (container, name.name.clone()),
            known,
            span,
            ..place
        })
    }

    /// The struct that a place is, and what is known of its member `name`.
    fn member_of(&mut self, place: &Place, name: &Ident) -> Option<(Option<Name>, Option<Known>)> {
        if place.steps.is_empty() {
            return Some((Some(place.root.clone()), self.declared(&place.root, &name.name)));
        }
        match place.known.as_ref().map(|k| &k.ty.kind) {
            Some(TypeExprKind::Struct(of) | TypeExprKind::Union(of)) => {
                Some((Some(of.name.clone()), self.declared(&of.name, &name.name)))
            }
            Some(TypeExprKind::Anonymous(_, fields)) => {
                let found = find_member(fields, &name.name);
                if found.is_none() {
                    self.no_members::<()>(place, name);
                }
                found.map(|known| (None, Some(known)))
            }
            _ => Some((None, None)),
        }
    }

    /// The struct that a pointer points to.
    fn pointee(&mut self, target: &TypeExpr, place: &Place) -> Option<Name> {
        match &target.kind {
            TypeExprKind::Struct(name) => match self.decls.mirror(&name.name) {
                Some(id) => Some(self.decls.hir.mirrors[id].kernel.clone()),
                None => Some(name.name.clone()),
            },
            TypeExprKind::Union(_) => self.unbuilt("a pointer to a union in a mirror", place.span),
            TypeExprKind::Error => None,
            _ => {
                let message = format!(
                    "`{}` is a pointer to `{}`",
                    self.sources.text(place.span),
                    written(target)
                );
                self.diags.push(
                    Diagnostic::new(Code::E0305, place.span, message)
                        .label("expected a pointer to a struct"),
                );
                None
            }
        }
    }

    fn unknown_pointer(&mut self, place: &Place, name: &Ident) -> Option<Place> {
        let path = self.sources.text(place.span);
        let (of, member) = (&place.last.0, &place.last.1);
        let diagnostic = Diagnostic::new(
            Code::E0301,
            place.span,
            format!("what `{path}` points to is not known"),
        )
        .label("expected a pointer to a struct whose name is declared");
        let cast = format!("cast it: `((struct NAME *){path})->{}`", name.name);
        let help = match of {
            Some(of) => {
                if let Some(near) = self.near_member(of, member) {
                    let what =
                        format!("`kernel struct {of}` declares `{near}`: did you mean that?");
                    self.diags.push(diagnostic.help(what));
                    return None;
                }
                format!("declare it: `kernel struct {of} {{ struct NAME *{member}; }};`, or {cast}")
            }
            None => cast,
        };
        self.diags.push(diagnostic.help(help));
        None
    }

    /// Refuses a whole element where a value is wanted.
    pub(super) fn not_an_element(&mut self, place: &Place) -> Option<()> {
        if !place.is_element() {
            return Some(());
        }
        let message = "an element of an array of structs is no value";
        self.diags.push(
            Diagnostic::new(Code::E0305, place.span, message).label("expected a member of it"),
        );
        None
    }

    fn near_member(&self, of: &str, member: &str) -> Option<&str> {
        nearest(member, self.decls.kernel.get(of)?.members.keys().map(Name::as_str))
    }

    fn no_members<T>(&mut self, place: &Place, name: &Ident) -> Option<T> {
        let ty = place.known.as_ref().map_or_else(String::new, |k| written(&k.ty));
        let path = self.sources.text(place.span);
        self.diags.push(
            Diagnostic::new(
                Code::E0305,
                name.span,
                format!("`{path}` is `{ty}`, which has no member `{}`", name.name),
            )
            .secondary(place.span, format!("this is `{ty}`")),
        );
        None
    }

    /// `place[index]`
    fn index(&mut self, place: Place, index: &Expr, span: Span) -> Option<Place> {
        self.not_an_element(&place)?;
        let elem = match place.known.as_ref().map(|k| &k.ty.kind) {
            Some(TypeExprKind::Array(elem, _)) => Some((**elem).clone()),
            Some(TypeExprKind::Ptr(_)) => {
                return self.unbuilt("indexing a pointer in a mirror", span);
            }
            Some(TypeExprKind::Error) => return None,
            Some(TypeExprKind::Name(_)) | None => None,
            Some(_) => {
                let ty = place.known.as_ref().map_or_else(String::new, |k| written(&k.ty));
                let message =
                    format!("`{}` is `{ty}`, which is no array", self.sources.text(place.span));
                self.diags.push(Diagnostic::new(Code::E0305, place.span, message));
                return None;
            }
        };
        let at = self.value(index, Want::Number(IntTy::U32))?;
        match at.kind {
            KExprKind::Const(value) => self.constant_index(place, value, elem, index.span, span),
            _ => self.computed_index(place, at, elem, span),
        }
    }

    fn constant_index(
        &mut self,
        place: Place,
        value: u64,
        elem: Option<TypeExpr>,
        at: Span,
        span: Span,
    ) -> Option<Place> {
        let len = self.array_len(&place);
        let value = u32::try_from(value).ok().filter(|v| len.is_none_or(|len| *v < len));
        let Some(value) = value else {
            let message = match len {
                Some(len) => format!("the array has {len} elements"),
                None => "no array has so many elements".to_owned(),
            };
            self.diags.push(Diagnostic::new(Code::E0203, at, message));
            return None;
        };
        let known = elem.map(|ty| Known { ty, bits: None, stated: false });
        let steps = place.steps.into_iter().chain([KStep::Index(value)]).collect();
        Some(Place { steps, hop_span: place.hop_span.to(span), known, span, ..place })
    }

    fn computed_index(
        &mut self,
        place: Place,
        at: KExpr,
        elem: Option<TypeExpr>,
        span: Span,
    ) -> Option<Place> {
        match elem.map(|elem| elem.kind) {
            Some(TypeExprKind::Struct(elem)) => {
                let then = KThen::Element { elem: elem.name.clone(), index: Box::new(at) };
                Some(place.hop(then, elem.name, span))
            }
            Some(_) => self.unbuilt(
                "an index that is not constant, into an array of anything but structs",
                span,
            ),
            None => {
                let path = self.sources.text(place.span);
                let mut diagnostic = Diagnostic::new(
                    Code::E0301,
                    place.span,
                    format!("what `{path}` is an array of is not known"),
                );
                if let (Some(of), member) = &place.last {
                    diagnostic = diagnostic.help(format!(
                        "declare it: `kernel struct {of} {{ struct NAME {member}[]; }};`"
                    ));
                }
                self.diags.push(diagnostic);
                None
            }
        }
    }

    /// The length of an array, where it is known.
    pub(super) fn array_len(&mut self, place: &Place) -> Option<u32> {
        let TypeExprKind::Array(_, Some(len)) = &place.known.as_ref()?.ty.kind else { return None };
        match consteval::eval(self.decls, len, self.diags)? {
            (_, ConstValue::Int(len)) => u32::try_from(len).ok(),
            (_, ConstValue::Str(_)) => None,
        }
    }
}

/// A member of an anonymous struct, found through further ones.
fn find_member(fields: &[FieldDecl], name: &Name) -> Option<Known> {
    fields.iter().find_map(|field| match (&field.name, &field.ty.kind) {
        (Some(found), _) if found.name == *name => {
            Some(Known { ty: field.ty.clone(), bits: None, stated: false })
        }
        (None, TypeExprKind::Anonymous(_, inner)) => find_member(inner, name),
        _ => None,
    })
}

/// Whether two declarations of a member say the same of its type.
pub(in super::super) fn same_type(a: &TypeExpr, b: &TypeExpr) -> bool {
    match (&a.kind, &b.kind) {
        (TypeExprKind::Ptr(a), TypeExprKind::Ptr(b))
        | (TypeExprKind::Array(a, _), TypeExprKind::Array(b, _)) => same_type(a, b),
        (TypeExprKind::Anonymous(..), TypeExprKind::Anonymous(..)) => false,
        _ => written(a) == written(b),
    }
}
