//! Which raw tracepoints a kernel has, and what it passes to them. Functions are in [`super::functions`].
//!
//! In: a target's types and the names of events. Out: for each what can be told of it. A kernel shows an event in several ways, none of them everywhere: `typedef btf_trace_EVENT` is the type of a
//! handler (from 5.5; without names), `__traceiter_EVENT` a function that calls the handlers (from 5.10; with names), `__bpf_trace_CLASS` a function that runs programs (from 4.18; with names, but named
//! after the first event of a class), `struct trace_event_raw_CLASS` the record in the trace buffer. (v6.12 `include/linux/tracepoint.h`: `__DECLARE_TRACE`; `include/trace/bpf_probe.h`.)

use super::functions::{ATTACH_TYPES, WITNESS as FUNCTION};
use crate::btf::{Btf, Type, TypeId, kind};
use crate::kernel::Target;
use crate::object::ubpf::{self, EventKind, KernelType};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// An event that every kernel with tracepoints and threads has: where it has no handler's type, no other event needs to have one.
const WITNESS: &str = "sched_switch";

/// Longer names are near to none.
const MAX_COMPARED: usize = 128;

/// How many pointers are followed.
const MAX_POINTERS: usize = 8;

/// Names that tell something of an event: the kind of the type, the name before that of the event, and whether a module is worth looking at for its sake.
const SIGNS: [(u32, &str, bool); 4] = [
    (kind::TYPEDEF, "btf_trace_", true),
    (kind::FUNC, "__traceiter_", false),
    (kind::FUNC, "__bpf_trace_", false),
    (kind::STRUCT, "trace_event_raw_", false),
];

/// Stands in types that were taken from a kernel which does not show them to loaders: what reads them must not take them for such as it shows.
pub(super) const HIDDEN: &str = "ubpfc_no_btf";

/// Names and kinds of the types that tell what can be told of events. The kind is 0 where the type is of use only if it is there.
pub(super) fn wanted(events: &[ubpf::Event]) -> Vec<(u32, String)> {
    let witness = format!("btf_trace_{WITNESS}");
    let mut names = vec![(0, witness), (0, HIDDEN.to_owned())];
    for ubpf::Event { kind, name, .. } in events {
        match kind {
            EventKind::Tracepoint => names.extend(SIGNS.map(|(kind, prefix, needed)| {
                (if needed { kind } else { 0 }, format!("{prefix}{name}"))
            })),
            EventKind::Fentry | EventKind::Fexit | EventKind::Kprobe | EventKind::Kretprobe => {
                names.push((kind::FUNC, name.clone()));
                names.extend([FUNCTION, ATTACH_TYPES].map(|name| (0, name.to_owned())));
            }
        }
    }
    names
}

/// What a target says of events.
pub(super) struct Events<'t, 'a> {
    names: Vec<String>,
    found: FxHashMap<String, Vec<(&'t Btf<'a>, TypeId)>>,
    target: &'t Target<'a>,
}

/// What can be told of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The kernel has it.
    Present(Shown),
    /// The kernel has not.
    Absent,
    /// The kernel does not say.
    Untold,
}

/// How an event that is there shows itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Whether there is the type of a handler, by which the kernel checks programs that take typed arguments.
    pub(super) typed: bool,
    /// What is passed to it, the leading `void *` not counted.
    pub(super) args: Option<Vec<Passed>>,
}

/// An argument that a kernel passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Its name, where the kernel tells it.
    pub(super) name: Option<String>,
    /// Its type; none if it is of a kind that no tracepoint is known to take.
    pub(super) ty: Option<KernelType>,
}

impl<'t, 'a> Events<'t, 'a> {
    /// Looks for all that the target says of these events.
    pub(super) fn new(target: &'t Target<'a>, events: &[ubpf::Event]) -> Self {
        let names: BTreeSet<String> = wanted(events).into_iter().map(|(_, name)| name).collect();
        let names: Vec<String> = names.into_iter().collect();
        let keys: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found: FxHashMap<String, Vec<_>> = FxHashMap::default();
        for btf in all(target) {
            for (name, ids) in keys.iter().zip(btf.find(&keys)) {
                let exact = |id: &TypeId| btf.name(*id).is_ok_and(|found| found == *name);
                let ids = ids.into_iter().filter(exact).map(|id| (btf, id));
                found.entry((*name).to_owned()).or_default().extend(ids);
            }
        }
        Events { names, found, target }
    }

    /// Whether the types are of a kernel that does not show them.
    pub(super) fn hidden(&self) -> bool {
        self.first(kind::TYPEDEF, HIDDEN).is_some()
    }

    /// Every type that is looked at.
    pub(super) fn signs(&self) -> impl Iterator<Item = (&'t Btf<'a>, TypeId)> {
        self.names.iter().filter_map(|name| self.found.get(name)).flatten().copied()
    }

    /// What can be told of one.
    pub(super) fn of(&self, event: &str) -> Seen {
        let [typed, iterated, run, recorded] =
            SIGNS.map(|(kind, prefix, _)| self.first(kind, &format!("{prefix}{event}")));
        let types = typed.and_then(|(btf, id)| handler(btf, id));
        let mut named = [iterated, run].into_iter().flatten();
        let names = named.find_map(|(btf, id)| {
            let args = function(btf, id)?;
            // An optimised function may have lost arguments.
            types.as_ref().is_none_or(|types| types.len() == args.len()).then_some(args)
        });
        let seen = typed.is_some() || iterated.is_some() || run.is_some() || recorded.is_some();
        let args = match (types, names) {
            (Some(types), Some(names)) => {
                let name_of = |(ty, named): (Passed, Passed)| Passed { name: named.name, ..ty };
                Some(types.into_iter().zip(names).map(name_of).collect())
            }
            (types, names) => types.or(names),
        };
        if seen {
            Seen::Present(Shown { typed: typed.is_some(), args })
        } else if self.first(kind::TYPEDEF, &format!("btf_trace_{WITNESS}")).is_some() {
            Seen::Absent
        } else {
            Seen::Untold
        }
    }

    fn first(&self, kind: u32, name: &str) -> Option<(&'t Btf<'a>, TypeId)> {
        self.all(kind, name).next()
    }

    /// The types of a kind and name.
    pub(super) fn all(&self, kind: u32, name: &str) -> impl Iterator<Item = (&'t Btf<'a>, TypeId)> {
        let found = self.found.get(name).into_iter().flatten().copied();
        found.filter(move |(btf, id)| btf.kind(*id).is_ok_and(|found| found == kind))
    }

    /// The events of the target of that kind whose names are near.
    pub(super) fn near(&self, kind: EventKind, event: &str) -> Vec<String> {
        let mut near: Vec<(usize, String)> = Vec::new();
        for btf in all(self.target) {
            for id in btf.ids() {
                let name = match (kind, btf.get(id)) {
                    (EventKind::Tracepoint, Ok(Type::Typedef { name, .. })) => {
                        name.strip_prefix("btf_trace_")
                    }
                    (EventKind::Tracepoint, _) => None,
                    (_, Ok(Type::Func { name, .. })) => Some(name),
                    _ => None,
                };
                let Some(name) = name else { continue };
                // Comparing takes the product of both lengths.
                let most = event.len().max(6) / 3;
                if event.len() > MAX_COMPARED || event.len().abs_diff(name.len()) > most {
                    continue;
                }
                let distance = strsim::damerau_levenshtein(event, name);
                if distance <= most {
                    near.push((distance, name.to_owned()));
                }
            }
        }
        near.sort();
        near.dedup();
        near.into_iter().take(3).map(|(_, name)| name).collect()
    }
}

fn all<'t, 'a>(target: &'t Target<'a>) -> impl Iterator<Item = &'t Btf<'a>> {
    std::iter::once(&*target.image).chain(target.modules.iter().map(|(_, btf)| btf))
}

/// The arguments of the handler that a typedef is of.
fn handler(btf: &Btf<'_>, typedef: TypeId) -> Option<Vec<Passed>> {
    let pointer = btf.strip(typedef).ok()?;
    let Type::Ptr(proto) = btf.get(pointer).ok()? else { return None };
    prototype(btf, btf.strip(proto).ok()?)
}

/// The arguments of a function that is called with those of the event.
fn function(btf: &Btf<'_>, function: TypeId) -> Option<Vec<Passed>> {
    let Type::Func { proto, .. } = btf.get(function).ok()? else { return None };
    prototype(btf, proto)
}

fn prototype(btf: &Btf<'_>, proto: TypeId) -> Option<Vec<Passed>> {
    let Type::FuncProto { params, .. } = btf.get(proto).ok()? else { return None };
    let (data, params) = params.split_first()?;
    let data = btf.strip(data.1).ok()?;
    matches!(btf.get(data), Ok(Type::Ptr(_))).then_some(())?;
    let passed = |(name, ty): &(&str, TypeId)| Passed {
        name: (!name.is_empty()).then(|| (*name).to_owned()),
        ty: kernel_type(btf, *ty),
    };
    Some(params.iter().map(passed).collect())
}

/// A type as far as prototypes are told apart by it.
pub(super) fn kernel_type(btf: &Btf<'_>, id: TypeId) -> Option<KernelType> {
    let (mut at, mut pointers) = (id, 0);
    let mut ty = loop {
        at = btf.strip(at).ok()?;
        match btf.get(at).ok()? {
            Type::Ptr(to) if pointers < MAX_POINTERS => {
                pointers += 1;
                at = to;
            }
            Type::Void => break KernelType::Void,
            Type::FuncProto { .. } => break KernelType::Func,
            Type::Int { bytes, encoding, .. } => {
                let signed = encoding & crate::btf::encoding::SIGNED != 0;
                break KernelType::Int { size: bytes, signed, long: false };
            }
            Type::Enum { name, .. } => break KernelType::Enum(name.to_owned()),
            Type::Composite { union: false, name, .. } | Type::Fwd { union: false, name } => {
                break KernelType::Struct(name.to_owned());
            }
            Type::Composite { union: true, name, .. } | Type::Fwd { union: true, name } => {
                break KernelType::Union(name.to_owned());
            }
            _ => return None,
        }
    };
    for _ in 0..pointers {
        ty = KernelType::Ptr(Box::new(ty));
    }
    Some(ty)
}
