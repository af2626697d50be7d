//! User tracepoints, bound to the kernel's tracepoints and functions by argument name.
//!
//! Invariant: an argument of a user tracepoint is found in every known prototype of its events, or may be missing; and where prototypes of a tracepoint disagree about
//! its place, a program can tell them apart. Prototypes of a function it cannot: each has a form of the program.

use super::collect::{Collector, Namespace};
use super::prototypes::{kernel_type, prototype_text, same_shape};
use super::{Tracepoint, TracepointArg};
use crate::diag::{Code, Diagnostic};
use crate::sema::hir::{Arg, ArgPlace, Event, EventKind, KParamTy, PrototypeId, RETVAL};
use crate::sema::suggest::nearest;
use crate::sema::types::{Pointee, Ty};
use crate::sema::{show, typeexpr};
use crate::source::Span;
use crate::syntax::ast::{Ident, Name, TracepointDecl, TracepointParam, TracepointSource};

/// No architecture passes more arguments in registers.
const MAX_REGISTERS: u32 = 8;

/// A kernel event and its known prototypes.
type Known = (Event, Vec<PrototypeId>);

impl Collector<'_> {
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
        let TracepointSource { kind: word, target } = source;
        let Some(kind) = EventKind::ALL.into_iter().find(|kind| kind.word() == word.name) else {
            let message = format!("a user tracepoint cannot be bound to `{}`", word.name);
            let words = EventKind::ALL.map(EventKind::word);
            let expected = show::list(words, words.len());
            self.diags.push(
                Diagnostic::new(Code::E0401, word.span, message)
                    .label(format!("expected {expected}")),
            );
            return None;
        };
        let name = if kind.is_function() { function(target) } else { tracepoint(target) };
        let name = name.map_err(|diagnostic| self.diags.push(*diagnostic)).ok()?;
        let table = if kind.is_function() { &self.decls.functions } else { &self.decls.prototypes };
        match table.get(name) {
            Some(known) if known.is_empty() => None,
            Some(known) => Some((Event { kind, name: name.into() }, known.clone())),
            None => {
                let near = nearest(name, table.keys().map(Name::as_str));
                let message = format!("what the kernel passes to `{name}` is not known");
                let why = "arguments are bound by name through prototypes, since kernels differ in their order and number";
                let mut diagnostic = Diagnostic::new(Code::E0401, target.span, message).note(why);
                if let Some(near) = near {
                    diagnostic = diagnostic.note(format!("prototypes of `{near}` are known"));
                }
                let declaration = if kind.is_function() {
                    format!("kernel function TYPE {name}(struct NAME *argument, …);")
                } else {
                    format!("kernel tracepoint {name}(struct NAME *argument, …);")
                };
                let help = format!("declare it as the kernel does: `{declaration}`");
                self.diags.push(diagnostic.help(help));
                None
            }
        }
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
                self.check_missing(param, event, &names, places, known);
            }
            if !event.kind.is_function() {
                self.check_distinct(param, places);
            }
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
        let function = event.kind.is_function();
        let mut places: Vec<ArgPlace> = Vec::new();
        for id in known {
            let prototype = &self.decls.hir.prototypes[*id];
            let found = prototype.place(event.kind, names);
            if let Some((_, found)) = found
                && !(self.kinds_agree(ty, found) && (!function || fits_register(ty, found)))
            {
                self.wrong_kind(param, ty, *id, &found.clone());
                break;
            }
            let index = found.map(|(index, _)| index);
            if event.kind == EventKind::Kprobe && index.is_some_and(|index| index >= MAX_REGISTERS)
            {
                self.on_the_stack(param, *id);
                break;
            }
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
            (Ty::Int(int), None) => match kernel.int() {
                Some(passed) => !passed.signed || int.bits <= passed.bits,
                None => matches!(kernel, KParamTy::Enum(_)),
            },
            (Ty::Bool | Ty::Enum(_), None) => {
                kernel.int().is_some() || matches!(kernel, KParamTy::Enum(_))
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
        let narrow = self.kinds_agree(ty, found);
        let (wanted, found) = (show::ty(&self.decls.hir, ty), kernel_type(found));
        let prototype = prototype_text(&self.decls.hir.prototypes[id]);
        let message =
            format!("`{}` is `{wanted}`, and the kernel passes `{found}`", param.name.name);
        let mut diagnostic = Diagnostic::new(Code::E0403, param.span, message)
            .label(format!("expected a type that `{found}` converts to"))
            .note(format!("the kernel's prototype is `{prototype}`"));
        if narrow {
            let note = format!("what a register holds beyond `{found}` is not promised");
            diagnostic = diagnostic.note(note);
        }
        self.diags.push(diagnostic);
    }

    fn on_the_stack(&mut self, param: &TracepointParam, id: PrototypeId) {
        let prototype = prototype_text(&self.decls.hir.prototypes[id]);
        let message = format!("no register holds `{}`", param.name.name);
        let diagnostic = Diagnostic::new(Code::E0408, param.span, message)
            .note(format!("the kernel's prototype is `{prototype}`"))
            .note(format!("no architecture passes more than {MAX_REGISTERS} arguments in registers, and a kprobe sees registers alone"))
            .help("take it at `fentry`");
        self.diags.push(diagnostic);
    }

    fn check_missing(
        &mut self,
        param: &TracepointParam,
        event: &Event,
        names: &[Name],
        places: &[ArgPlace],
        known: &[PrototypeId],
    ) {
        let Some(missing) = places.iter().find(|p| p.index.is_none()) else { return };
        let everywhere = places.len() == 1;
        let shown = show::list(names.iter().map(Name::as_str), names.len());
        let event_name = match event.kind {
            EventKind::Tracepoint => event.name.to_string(),
            _ => event.to_string(),
        };
        let message = if everywhere {
            format!("`{event_name}` has no argument {shown}")
        } else {
            format!("not every kernel passes {shown} to `{event_name}`")
        };
        let hir = &self.decls.hir;
        let mut diagnostic = Diagnostic::new(Code::E0402, param.span, message);
        if event.kind == EventKind::Kretprobe {
            let note = format!(
                "when a function returns, its arguments are gone: there is `{RETVAL}` alone"
            );
            let help =
                format!("mark it `{}?`, or take the arguments at the entry", param.name.name);
            self.diags.push(diagnostic.note(note).help(help));
            return;
        }
        if event.kind.is_function() && names.iter().any(|name| name == RETVAL) {
            let note = "a function's result is there when it returns: at `fexit` and `kretprobe`";
            diagnostic = diagnostic.note(note);
        }
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

/// The tracepoint of `category:event`.
fn tracepoint(target: &Ident) -> Result<&str, Box<Diagnostic>> {
    let parts = target.name.split_once(':');
    let parts = parts.filter(|(category, event)| {
        !category.is_empty() && !event.is_empty() && !event.contains(':')
    });
    let wrong = || {
        let message = format!("`{}` is no tracepoint", target.name);
        Diagnostic::new(Code::E0401, target.span, message)
            .label("expected `category:event`, such as `sched:sched_switch`")
    };
    parts.map(|(_, event)| event).ok_or_else(|| Box::new(wrong()))
}

/// The name of a function.
fn function(target: &Ident) -> Result<&str, Box<Diagnostic>> {
    if target.name.contains(':') {
        let message = format!("`{}` is no function", target.name);
        let diagnostic = Diagnostic::new(Code::E0401, target.span, message)
            .label("expected a function's name, such as `vfs_read`");
        return Err(Box::new(diagnostic));
    }
    Ok(&target.name)
}

/// Whether all of a value that a program reads is in a register: what is beyond the width of the kernel's type is not promised.
fn fits_register(ty: &Ty, passed: &KParamTy) -> bool {
    let bits = match (passed.int(), passed) {
        (Some(int), _) => int.bits,
        (None, KParamTy::Enum(_)) => 32,
        _ => return true,
    };
    match ty {
        Ty::Int(int) => int.bits <= bits,
        Ty::Bool => bits == 8,
        _ => true,
    }
}
