//! Paths: from the mirrored struct from member to member, through embedded structs, pointers and arrays.
//!
//! In: `a->b.c[i]` as written. Out: a [`Place`]: the hops made so far, and what is known of the type there. Invariant: a hop begins at the start
//! of a struct whose name is known.

use super::super::decls::KernelMember;
use super::super::hir::{ConstValue, KEntry, KExpr, KExprKind, KHop, KLeaf, KStep, KThen};
use super::super::suggest::nearest;
use super::super::types::{IntTy, Pointee, Ty};
use super::super::{consteval, typeexpr};
use super::leaf::KnownLeaf;
use super::{Lower, Want};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, FieldDecl, Ident, Name, TypeExpr, TypeExprKind, UnaryOp};

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
    entry: KEntry,
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
        let (entry, root, steps) = (self.entry, self.root, self.steps);
        hops.push(KHop { entry, root, steps, then, span: self.hop_span });
        hops
    }

    /// Whether a cast says what it is.
    pub(super) fn is_stated(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.stated)
    }

    /// The struct that it is as a whole, where no member has been named.
    pub(super) fn whole(&self) -> Option<&Name> {
        self.steps.is_empty().then_some(&self.root)
    }

    /// Whether it is a whole element of an array of structs.
    fn is_element(&self) -> bool {
        let element = |hop: &KHop| matches!(hop.then, KThen::Element { .. });
        self.steps.is_empty()
            && self.entry == KEntry::Typed
            && self.hops.last().is_some_and(element)
    }

    /// Goes on at the start of a struct that the last hop leads to.
    fn hop(self, then: KThen, entry: KEntry, root: Name, span: Span) -> Place {
        let last = (Some(root.clone()), Name::default());
        let hops = self.finish(then);
        Place { hops, entry, root, steps: Vec::new(), hop_span: span, last, known: None, span }
    }
}

/// How a type is written in messages.
pub(super) fn written(ty: &TypeExpr) -> String {
    match &ty.kind {
        TypeExprKind::Int { bits, signed, .. } => {
            format!("{}{bits}", if *signed { 's' } else { 'u' })
        }
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

/// The name of the mirrored struct itself.
const THIS: &str = "this";
/// The function that leads from a member to the struct that it is in.
pub(super) const CONTAINER_OF: &str = "container_of";
const CONTAINER_FORM: &str = "`container_of` takes a pointer, the struct that it points into, and the member there: `container_of(f_path.mnt, struct mount, mnt)`";

impl Lower<'_> {
    /// The mirrored struct's member `name`.
    pub(super) fn root(&self, name: &Name, span: Span) -> Place {
        let this = self.this(span);
        let known = self.declared(&this.root, name);
        let last = (Some(this.root.clone()), name.clone());
        Place { steps: vec![KStep::Member(name.clone())], last, known, ..this }
    }

    /// The mirrored struct itself.
    fn this(&self, span: Span) -> Place {
        let root = self.field.kernel.clone();
        let last = (Some(root.clone()), Name::default());
        let (hops, steps) = (Vec::new(), Vec::new());
        Place { hops, entry: KEntry::Typed, root, steps, hop_span: span, last, known: None, span }
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
            ExprKind::Name(name) if name == THIS => Some(self.this(e.span)),
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
                let place = self.place(operand)?;
                self.not_an_element(&place)?;
                self.cast(place, ty, e.span)
            }
            ExprKind::Unary(UnaryOp::AddrOf, operand) => {
                let place = self.place(operand)?;
                self.not_an_element(&place)?;
                self.address_of(place, e.span)
            }
            ExprKind::Error => None,
            ExprKind::Call { callee, args } if callee.name == CONTAINER_OF => {
                self.container_of(callee, args, e.span)
            }
            _ => self.refuse(e.span, "expected a path to a member, such as `mm->total_vm`"),
        }
    }

    /// An embedded struct by its address; where nothing says which struct, the one that the field points to.
    fn address_of(&mut self, place: Place, span: Span) -> Option<Place> {
        let pointee = match self.field.ty {
            Ty::Ptr(Pointee::Mirror(id)) => Some(self.decls.hir.mirrors[*id].kernel.clone()),
            Ty::Ptr(Pointee::Kernel(name)) => Some(name.clone()),
            _ => None,
        };
        match (place.known.as_ref().map(|known| &known.ty.kind), pointee) {
            (Some(TypeExprKind::Struct(_)), _) => Some(Place { span, ..place }),
            (Some(TypeExprKind::Error), _) => None,
            (None, Some(name)) if place.whole().is_none() => {
                let ty = TypeExpr { kind: TypeExprKind::Struct(Ident { name, span }), span };
                let known = Some(Known { ty, bits: None, stated: true });
                Some(Place { known, span, ..place })
            }
            _ => self.refuse(span, "expected a field that is a pointer, and an embedded struct"),
        }
    }

    /// What a cast says the kernel keeps at a place. To a mirror, or of the mirrored struct itself, it is seen as another struct, whatever the kernel's types say.
    fn cast(&mut self, place: Place, ty: &TypeExpr, span: Span) -> Option<Place> {
        if let Some((name, mirror)) = self.struct_pointer(ty) {
            if place.whole().is_some() {
                let same = place.root == name;
                let entry =
                    if same || place.entry != KEntry::Typed { place.entry } else { KEntry::Cast };
                let last = (Some(name.clone()), Name::default());
                return Some(Place { entry, root: name, last, known: None, span, ..place });
            }
            if mirror {
                let pointer = |known: &Known| self.struct_pointer(&known.ty).map(|(to, _)| to);
                let entry = match place.known.as_ref().map(|known| (pointer(known), &known.ty.kind))
                {
                    Some((Some(to), _)) if to == name => KEntry::Typed,
                    Some((_, TypeExprKind::Ptr(_) | TypeExprKind::Name(_))) | None => KEntry::Cast,
                    Some((_, TypeExprKind::Error)) => return None,
                    Some(_) => return self.no_pointer(&place),
                };
                return Some(Place { span, ..place.hop(KThen::Deref, entry, name, span) });
            }
        }
        if place.whole().is_some() {
            return self.refuse(
                ty.span,
                "the struct itself is seen as another by a cast to a pointer to that",
            );
        }
        self.check_cast(ty)?;
        Some(Place {
            known: Some(Known { ty: ty.clone(), bits: None, stated: true }),
            span,
            ..place
        })
    }

    /// The kernel struct that a type points to, and whether it is named by its mirror.
    fn struct_pointer(&self, ty: &TypeExpr) -> Option<(Name, bool)> {
        let TypeExprKind::Ptr(target) = &ty.kind else { return None };
        let TypeExprKind::Struct(name) = &target.kind else { return None };
        Some(match self.decls.mirror(&name.name) {
            Some(id) => (self.decls.hir.mirrors[id].kernel.clone(), true),
            None => (name.name.clone(), false),
        })
    }

    /// `container_of(pointer, struct of, member)`
    fn container_of(&mut self, callee: &Ident, args: &[Expr], span: Span) -> Option<Place> {
        let [pointer, ty, member] = args else {
            return self.refuse(callee.span, CONTAINER_FORM);
        };
        let of = match &ty.kind {
            ExprKind::Type(TypeExpr { kind: TypeExprKind::Struct(of), .. }) => of,
            ExprKind::Error => return None,
            _ => return self.refuse(ty.span, CONTAINER_FORM),
        };
        let of = match self.decls.mirror(&of.name) {
            Some(id) => self.decls.hir.mirrors[id].kernel.clone(),
            None => of.name.clone(),
        };
        let (steps, leaf) = self.member_path(&of, member)?;
        let place = self.place(pointer)?;
        self.not_an_element(&place)?;
        let entry = KEntry::Member { of: of.clone(), steps, leaf };
        if place.whole().is_some() {
            if matches!(place.entry, KEntry::Member { .. }) {
                return self.unbuilt("`container_of` of a `container_of`", span);
            }
            let last = (Some(of.clone()), Name::default());
            return Some(Place {
                entry,
                root: of,
                last,
                known: None,
                hop_span: span,
                span,
                ..place
            });
        }
        match place.known.as_ref().map(|known| &known.ty.kind) {
            None | Some(TypeExprKind::Ptr(_) | TypeExprKind::Name(_)) => {
                Some(Place { span, ..place.hop(KThen::Deref, entry, of, span) })
            }
            Some(TypeExprKind::Error) => None,
            Some(_) => self.no_pointer(&place),
        }
    }

    /// A member by name, in the struct `of`; and what it is taken for.
    fn member_path(&mut self, of: &Name, member: &Expr) -> Option<(Vec<KStep>, KLeaf)> {
        let mut place = Place { root: of.clone(), ..self.this(member.span) };
        place.last.0 = Some(of.clone());
        let place = self.members(place, member)?;
        let leaf = match self.known_leaf(&place)? {
            KnownLeaf::Unknown | KnownLeaf::Other | KnownLeaf::Struct(_) => {
                KLeaf::Struct(Name::default())
            }
            KnownLeaf::Int(int) => KLeaf::Number(int, Name::default()),
            KnownLeaf::Enum(name, int) => KLeaf::Enum(name, int),
            KnownLeaf::Ptr(to) => KLeaf::Ptr(to),
            KnownLeaf::Chars(len) => KLeaf::Chars(len.unwrap_or(1)),
            KnownLeaf::Ints(int, len) => KLeaf::Ints(int, len.unwrap_or(1)),
            KnownLeaf::Bits(..) => return self.refuse(member.span, "nothing points to a bitfield"),
        };
        Some((place.steps, leaf))
    }

    /// `a.b.c` from a place on.
    fn members(&mut self, place: Place, e: &Expr) -> Option<Place> {
        match &e.kind {
            ExprKind::Name(name) => {
                let name = Ident { name: name.clone(), span: e.span };
                self.step(place, &name, false, e.span)
            }
            ExprKind::Field { base, name, arrow: false } => {
                let place = self.members(place, base)?;
                self.step(place, name, false, e.span)
            }
            ExprKind::Error => None,
            _ => self.refuse(e.span, CONTAINER_FORM),
        }
    }

    fn no_pointer<T>(&mut self, place: &Place) -> Option<T> {
        let ty = place.known.as_ref().map_or_else(String::new, |k| written(&k.ty));
        let message = format!("`{}` is `{ty}`, which is no pointer", self.sources.text(place.span));
        self.diags
            .push(Diagnostic::new(Code::E0305, place.span, message).label("expected a pointer"));
        None
    }

    /// What a path can be said to be.
    fn check_cast(&mut self, ty: &TypeExpr) -> Option<()> {
        match &ty.kind {
            // The kernel's enum of that name needs no declaration.
            TypeExprKind::Ptr(_) | TypeExprKind::Enum(_) => Some(()),
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
            None if arrow && place.whole().is_none() => return self.unknown_pointer(&place, name),
            Some(TypeExprKind::Ptr(target)) => {
                let target = self.pointee(target, &place)?;
                place.hop(KThen::Deref, KEntry::Typed, target, name.span)
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
                Some(place.hop(then, KEntry::Typed, elem.name, span))
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
