//! Tracepoints: the prototypes that kernels have for their events, and user tracepoints bound to these by argument name.
//!
//! Invariant: an argument of a user tracepoint is found in every known prototype of its events, or may be missing; and where prototypes of an event disagree about
//! its place, a program can tell them apart.

use super::collect::{Collector, Namespace};
use super::{Tracepoint, TracepointArg};
use crate::diag::{Code, Diagnostic};
use crate::sema::hir::{
    Arg, ArgPlace, Event, KParamTy, Prototype, PrototypeId, PrototypeKind, PrototypeParam,
};
use crate::sema::suggest::nearest;
use crate::sema::types::{IntTy, Pointee, Ty};
use crate::sema::unbuilt::unbuilt;
use crate::sema::{show, typeexpr};
use crate::source::Span;
use crate::syntax::ast::{
    FuncParams, Ident, Name, PrototypeDecl, TracepointDecl, TracepointParam, TracepointSource,
    TypeExpr, TypeExprKind,
};

/// A kernel event and its known prototypes.
type Known = (Event, Vec<PrototypeId>);

impl Collector<'_> {
    // The kernel's

    pub(super) fn prototype(&mut self, decl: &PrototypeDecl) {
        let mut params: Vec<PrototypeParam> = Vec::new();
        let mut whole = true;
        for (ty, name) in &decl.params {
            if params.iter().any(|p| p.name == name.name) {
                let message =
                    format!("`{}` has two arguments named `{}`", decl.event.name, name.name);
                self.diags.push(Diagnostic::new(Code::E0207, name.span, message));
                whole = false;
            }
            match self.param_type(ty) {
                Some(ty) => params.push(PrototypeParam { name: name.name.clone(), ty }),
                None => whole = false,
            }
        }
        let known = self.decls.prototypes.entry(decl.event.name.clone()).or_default();
        if !whole {
            return;
        }
        let prototype =
            Prototype { kind: PrototypeKind::Tracepoint, name: decl.event.name.clone(), params };
        // The library and a script may both know it.
        if !known.iter().any(|id| self.decls.hir.prototypes[*id] == prototype) {
            known.push(self.decls.hir.prototypes.alloc(prototype));
        }
    }

    fn param_type(&mut self, ty: &TypeExpr) -> Option<KParamTy> {
        let int = |bits, signed| Some(KParamTy::Int(IntTy { bits, signed }));
        match &ty.kind {
            TypeExprKind::Int { bits, signed } => int(*bits, *signed),
            TypeExprKind::Char | TypeExprKind::Bool => int(8, false),
            TypeExprKind::Name(name) => {
                let known = typeexpr::typedef(name).map(KParamTy::Int);
                if known.is_none() {
                    // The same message as for any other type.
                    typeexpr::resolve_kernel(&self.decls, ty, &mut self.diags);
                }
                known
            }
            TypeExprKind::Enum(name) => Some(KParamTy::Enum(name.name.clone())),
            TypeExprKind::Struct(name) => Some(KParamTy::Struct(name.name.clone())),
            TypeExprKind::Union(name) => Some(KParamTy::Union(name.name.clone())),
            TypeExprKind::Ptr(target) => {
                let target = match &target.kind {
                    TypeExprKind::Void => KParamTy::Void,
                    TypeExprKind::Func(ret, params) => self.function_type(ret, params)?,
                    _ => self.param_type(target)?,
                };
                Some(KParamTy::Ptr(Box::new(target)))
            }
            TypeExprKind::Error => None,
            TypeExprKind::Void
            | TypeExprKind::Str
            | TypeExprKind::Anonymous(..)
            | TypeExprKind::Array(..)
            | TypeExprKind::Func(..)
            | TypeExprKind::Tuple(_) => {
                self.diags.push(Diagnostic::new(
                    Code::E0201,
                    ty.span,
                    "no tracepoint has an argument of this type",
                ));
                None
            }
        }
    }

    /// A function that an argument points to.
    fn function_type(&mut self, ret: &TypeExpr, params: &FuncParams) -> Option<KParamTy> {
        let ret = Box::new(self.returned_type(ret)?);
        let none =
            matches!(params.types.as_slice(), [only] if matches!(only.kind, TypeExprKind::Void));
        let types = if none { &[] } else { params.types.as_slice() };
        let params_of_it: Vec<_> =
            types.iter().map(|ty| self.param_type(ty)).collect::<Option<_>>()?;
        Some(KParamTy::Func { ret, params: params_of_it, variadic: params.variadic })
    }

    fn returned_type(&mut self, ty: &TypeExpr) -> Option<KParamTy> {
        if matches!(ty.kind, TypeExprKind::Void) {
            Some(KParamTy::Void)
        } else {
            self.param_type(ty)
        }
    }

    // The user's

    pub(super) fn tracepoint(&mut self, decl: &TracepointDecl, span: Span) {
        if !self.declare(Namespace::Tracepoint, &decl.name) {
            return;
        }
        let events: Vec<_> = decl.sources.iter().filter_map(|source| self.event(source)).collect();
        if events.len() != decl.sources.len() || !self.are_distinct(decl, &events) {
            return;
        }
        let mut args: Vec<TracepointArg> = Vec::new();
        for param in &decl.params {
            if let Some(first) = args.iter().find(|a| a.name == param.name.name) {
                self.diags.push(
                    Diagnostic::new(
                        Code::E0207,
                        param.name.span,
                        format!(
                            "`{}` has two arguments named `{}`",
                            decl.name.name, param.name.name
                        ),
                    )
                    .secondary(first.span, "the first one"),
                );
                continue;
            }
            args.push(self.argument(param, &events));
        }
        let events = events.into_iter().map(|(event, _)| event).collect();
        let tracepoint = Tracepoint { events, args, locked: self.is_locked(span), span };
        self.decls.tracepoints.insert(decl.name.name.clone(), tracepoint);
    }

    /// Whether no event is there twice.
    fn are_distinct(&mut self, decl: &TracepointDecl, events: &[Known]) -> bool {
        let twice = events.iter().enumerate().find_map(|(i, (event, _))| {
            let first = events[..i].iter().position(|(earlier, _)| earlier == event)?;
            Some((&decl.sources[first], &decl.sources[i]))
        });
        if let Some((first, second)) = twice {
            let message = format!("`{}` is tried twice", second.target.name);
            self.diags.push(
                Diagnostic::new(Code::E0401, second.target.span, message)
                    .secondary(first.target.span, "the first time"),
            );
        }
        twice.is_none()
    }

    /// The kernel event and its known prototypes.
    fn event(&mut self, source: &TracepointSource) -> Option<Known> {
        if source.kind.name != "tracepoint" {
            self.source_kind(&source.kind);
            return None;
        }
        let target = &source.target;
        let Some((_, event)) = target.name.split_once(':').filter(|(category, event)| {
            !category.is_empty() && !event.is_empty() && !event.contains(':')
        }) else {
            self.diags.push(
                Diagnostic::new(
                    Code::E0401,
                    target.span,
                    format!("`{}` is no tracepoint", target.name),
                )
                .label("expected `category:event`, such as `sched:sched_switch`"),
            );
            return None;
        };
        match self.decls.prototypes.get(event) {
            Some(known) if known.is_empty() => None,
            Some(known) => Some((Event::tracepoint(event), known.clone())),
            None => {
                let mut diagnostic =
                    Diagnostic::new(Code::E0401, target.span, format!("what the kernel passes to `{event}` is not known"))
                        .note("arguments are bound by name through the event's prototypes, since kernels differ in their order and number");
                if let Some(near) = nearest(event, self.decls.prototypes.keys().map(Name::as_str)) {
                    diagnostic = diagnostic.note(format!("prototypes of `{near}` are known"));
                }
                let help = format!(
                    "declare it as the kernel does: `kernel tracepoint {event}(struct NAME *argument, …);`"
                );
                self.diags.push(diagnostic.help(help));
                None
            }
        }
    }

    fn source_kind(&mut self, kind: &Ident) {
        let diagnostic = match kind.name.as_str() {
            "fentry" | "fexit" | "kprobe" | "kretprobe" => {
                unbuilt("a user tracepoint on a function", kind.span)
            }
            other => Diagnostic::new(
                Code::E0401,
                kind.span,
                format!("a user tracepoint cannot be bound to `{other}`"),
            )
            .label("expected `tracepoint`, `fentry`, `fexit`, `kprobe` or `kretprobe`"),
        };
        self.diags.push(diagnostic);
    }

    /// Finds an argument in every prototype of every event.
    fn argument(&mut self, param: &TracepointParam, events: &[Known]) -> TracepointArg {
        let ty = typeexpr::resolve_kernel(&self.decls, &param.ty, &mut self.diags);
        let ty = self.argument_type(ty, param);
        let own = [param.name.name.clone()];
        let names: Vec<Name> = if param.sources.is_empty() {
            own.to_vec()
        } else {
            param.sources.iter().map(|s| s.name.clone()).collect()
        };
        let found: Vec<_> =
            events.iter().map(|event| self.places(param, &ty, &names, event)).collect();
        let somewhere = found.iter().flatten().any(|place| place.index.is_some());
        for ((event, known), places) in events.iter().zip(&found) {
            if !(param.optional && somewhere) {
                self.check_missing(param, &event.name, &names, places, known);
            }
            self.check_distinct(param, places);
        }
        let places = found.into_iter().flatten().collect();
        let arg = Arg { places, names, nullable: param.optional };
        TracepointArg { name: param.name.name.clone(), ty, arg, span: param.span }
    }

    /// Where an argument is in the prototypes of one event.
    fn places(
        &mut self,
        param: &TracepointParam,
        ty: &Ty,
        names: &[Name],
        (event, known): &Known,
    ) -> Vec<ArgPlace> {
        let mut places: Vec<ArgPlace> = Vec::new();
        for id in known {
            let prototype = &self.decls.hir.prototypes[*id];
            let found =
                names.iter().find_map(|name| prototype.params.iter().position(|p| p.name == *name));
            if let Some(found) = found.and_then(|at| prototype.params.get(at))
                && !self.kinds_agree(ty, &found.ty)
            {
                self.wrong_kind(param, ty, *id, &found.ty.clone());
                break;
            }
            let index = found.and_then(|at| u32::try_from(at).ok());
            match places.iter_mut().find(|place| place.index == index) {
                Some(place) => place.prototypes.push(*id),
                None => {
                    places.push(ArgPlace { event: event.clone(), prototypes: vec![*id], index });
                }
            }
        }
        places
    }

    /// What an argument can be: what fits one of the kernel's.
    fn argument_type(&mut self, ty: Ty, param: &TracepointParam) -> Ty {
        match ty {
            Ty::Error
            | Ty::Bool
            | Ty::Int(_)
            | Ty::Enum(_)
            | Ty::Ptr(Pointee::Mirror(_) | Pointee::Kernel(_)) => ty,
            Ty::Void
            | Ty::Str(_)
            | Ty::Array(..)
            | Ty::Tuple(_)
            | Ty::Struct(_)
            | Ty::Mirror(_)
            | Ty::Ptr(_) => {
                let message = format!(
                    "a tracepoint's argument cannot be `{}`",
                    show::ty(&self.decls.hir, &ty)
                );
                let mut diagnostic = Diagnostic::new(Code::E0201, param.ty.span, message)
                    .label("expected a number, a bool, an enum, or a pointer to a kernel struct or its mirror");
                if matches!(ty, Ty::Mirror(_)) {
                    diagnostic = diagnostic.help(format!(
                        "write `{} *{}`",
                        self.sources.text(param.ty.span),
                        param.name.name
                    ));
                }
                self.diags.push(diagnostic);
                Ty::Error
            }
        }
    }

    fn kinds_agree(&self, ty: &Ty, kernel: &KParamTy) -> bool {
        let pointee = match kernel {
            KParamTy::Ptr(target) => Some(&**target),
            _ => None,
        };
        match (ty, pointee) {
            (Ty::Error, _) => true,
            // The kernel passes a narrow number without its sign (v6.12 include/trace/bpf_probe.h: `__CAST_TO_U64`).
            (Ty::Int(int), None) => match kernel {
                KParamTy::Int(passed) => !passed.signed || int.bits <= passed.bits,
                _ => matches!(kernel, KParamTy::Enum(_)),
            },
            (Ty::Bool | Ty::Enum(_), None) => {
                matches!(kernel, KParamTy::Int(_) | KParamTy::Enum(_))
            }
            (Ty::Ptr(Pointee::Mirror(id)), Some(KParamTy::Struct(name))) => {
                self.decls.hir.mirrors[*id].kernel == *name
            }
            (
                Ty::Ptr(Pointee::Kernel(wanted)),
                Some(KParamTy::Struct(name) | KParamTy::Union(name)),
            ) => wanted == name,
            (Ty::Ptr(Pointee::Kernel(wanted)), Some(_)) => typeexpr::is_scalar_name(wanted),
            _ => false,
        }
    }

    fn wrong_kind(&mut self, param: &TracepointParam, ty: &Ty, id: PrototypeId, found: &KParamTy) {
        let (wanted, found) = (show::ty(&self.decls.hir, ty), kernel_type(found));
        let prototype = prototype_text(&self.decls.hir.prototypes[id]);
        self.diags.push(
            Diagnostic::new(
                Code::E0403,
                param.span,
                format!("`{}` is `{wanted}`, and the kernel passes `{found}`", param.name.name),
            )
            .label(format!("expected a type that `{found}` converts to"))
            .note(format!("the kernel's prototype is `{prototype}`")),
        );
    }

    fn check_missing(
        &mut self,
        param: &TracepointParam,
        event: &Name,
        names: &[Name],
        places: &[ArgPlace],
        known: &[PrototypeId],
    ) {
        let Some(missing) = places.iter().find(|p| p.index.is_none()) else { return };
        let everywhere = places.len() == 1;
        let shown = show::list(names.iter().map(Name::as_str), names.len());
        let message = if everywhere {
            format!("`{event}` has no argument {shown}")
        } else {
            format!("not every kernel passes {shown} to `{event}`")
        };
        let hir = &self.decls.hir;
        let mut diagnostic = Diagnostic::new(Code::E0402, param.span, message);
        for id in &missing.prototypes {
            diagnostic = diagnostic.note(format!(
                "a kernel's prototype is `{}`",
                prototype_text(&hir.prototypes[*id])
            ));
        }
        if !everywhere {
            let help =
                format!("mark it `{}?`: it then reads 0 where it is missing", param.name.name);
            self.diags.push(diagnostic.help(help));
            return;
        }
        let passed =
            known.iter().flat_map(|id| &hir.prototypes[*id].params).map(|p| p.name.as_str());
        if let Some(near) = nearest(&param.name.name, passed) {
            diagnostic = diagnostic
                .help(format!("say what the kernel calls it: `{} = {near}`", param.name.name));
        }
        self.diags.push(diagnostic);
    }

    /// Prototypes that differ in an argument's place must differ in what a program can ask the target for.
    fn check_distinct(&mut self, param: &TracepointParam, places: &[ArgPlace]) {
        let hir = &self.decls.hir;
        let all = || {
            places
                .iter()
                .flat_map(|place| place.prototypes.iter().map(move |id| (place.index, *id)))
        };
        let same = all().find_map(|(index, id)| {
            let other = all().find(|(i, o)| {
                *i != index && same_shape(&hir.prototypes[id], &hir.prototypes[*o])
            })?;
            Some((id, other.1))
        });
        if let Some((a, b)) = same {
            let diagnostic = Diagnostic::new(
                Code::E0404,
                param.span,
                format!("where `{}` is cannot be told", param.name.name),
            )
            .note(format!(
                "these prototypes have arguments of the same kinds: `{}` and `{}`",
                prototype_text(&hir.prototypes[a]),
                prototype_text(&hir.prototypes[b])
            ));
            self.diags.push(diagnostic);
        }
    }
}

/// Whether CO-RE's type compatibility takes one prototype for the other: it looks at the number of arguments and their kinds.
fn same_shape(a: &Prototype, b: &Prototype) -> bool {
    a.params.len() == b.params.len()
        && a.params.iter().zip(&b.params).all(|(a, b)| same_kind(&a.ty, &b.ty))
}

fn same_kind(a: &KParamTy, b: &KParamTy) -> bool {
    match (a, b) {
        (KParamTy::Ptr(a), KParamTy::Ptr(b)) => same_kind(a, b),
        (
            KParamTy::Func { ret: a, params: left, variadic: more },
            KParamTy::Func { ret: b, params: right, variadic: others },
        ) => {
            let same = left.iter().zip(right).all(|(a, b)| same_kind(a, b));
            left.len() == right.len() && more == others && same && same_kind(a, b)
        }
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// `struct task_struct *`
fn kernel_type(ty: &KParamTy) -> String {
    match ty {
        KParamTy::Int(int) => show::int(*int),
        KParamTy::Enum(name) => format!("enum {name}"),
        KParamTy::Struct(name) => format!("struct {name}"),
        KParamTy::Union(name) => format!("union {name}"),
        KParamTy::Void => "void".to_owned(),
        KParamTy::Func { ret, params, variadic } => {
            let more = variadic.then(|| "...".to_owned());
            let params: Vec<String> = params.iter().map(kernel_type).chain(more).collect();
            format!("{} ({})", kernel_type(ret), params.join(", "))
        }
        KParamTy::Ptr(target) => format!("{} *", kernel_type(target)),
    }
}

/// `sched_switch(u8 preempt, struct task_struct *prev)`
fn prototype_text(prototype: &Prototype) -> String {
    let param = |p: &PrototypeParam| {
        let ty = kernel_type(&p.ty);
        let gap = if ty.ends_with('*') { "" } else { " " };
        format!("{ty}{gap}{}", p.name)
    };
    let params: Vec<String> = prototype.params.iter().map(param).collect();
    format!("{}({})", prototype.name, params.join(", "))
}
