//! Which form of each program of an ubpfc object is for a target, and where it finds its arguments there.
//!
//! In: what the object says of its programs, and a target's types. Out: for each program the form that is brought in, or why there is none. The first event that the target has is taken; at it the form that
//! takes typed arguments where the kernel shows its own BTF, since it is the faster one, and otherwise the one that needs nothing of the kernel. Arguments are bound by name, where the kernel
//! tells names, otherwise only through a known prototype. Nothing is guessed: where a kernel says nothing of an event, the event is taken only if every known prototype has the arguments in the same places.

mod function;

use super::Place;
use super::bring::aside_object;
use super::candidates;
use super::events::{self, Events, Passed, Seen, Shown};
use super::functions::{Machine, fits_long};
use crate::object::read::{Object, ReadError};
use crate::object::ubpf::{
    self, Arg, Event, EventKind, Form, KernelType, Program, Prototype, PrototypeArg, Ubpf,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// What is brought in for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// One for each program at a raw tracepoint, in the order of the script.
    pub programs: Vec<Chosen>,
}

/// A program, and what is brought in of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Its index among the object's programs.
    #[serde(skip)]
    pub program: usize,
    /// Its name.
    pub name: String,
    /// The form; none if it is optional and left out.
    #[serde(flatten)]
    pub taken: Option<Taken>,
    /// The events that were tried before, or instead.
    pub tried: Vec<TriedEvent>,
}

/// A form that is brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its index among the program's forms.
    #[serde(skip)]
    pub form: usize,
    /// The kind of event.
    pub kind: EventKind,
    /// The event.
    pub event: String,
    /// Its section.
    pub section: String,
    /// How sure it is that the kernel has the event with these arguments.
    pub certain: bool,
    /// The known prototype whose branches run, by its index in [`Event::prototypes`]; none where the kernel's prototype is not told and makes no difference.
    #[serde(skip)]
    pub prototype: Option<usize>,
    /// For each argument that the program reads: its place in the kernel's prototype. None if the event lacks it, and for all if the prototype is not told.
    pub args: Vec<BoundArg>,
}

/// An argument of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoundArg {
    /// Its name in the kernel, or what it would be.
    pub name: String,
    /// Its index there; none if the event lacks it.
    pub index: Option<usize>,
}

/// An event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedEvent {
    /// The kind of event.
    pub kind: EventKind,
    /// The event.
    pub event: String,
    /// Why, as a clause.
    pub why: String,
}

impl TriedEvent {
    /// The event as a person calls it: `sched_switch`, `fentry vfs_read`.
    pub fn called(&self) -> String {
        match self.kind.function_word() {
            None => self.event.clone(),
            Some(word) => format!("{word} {}", self.event),
        }
    }
}

impl std::fmt::Display for TriedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.called(), self.why)
    }
}

/// Programs that the target has no event for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.programs.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ChooseError {
    /// At least one.
    pub programs: Vec<Lost>,
}

/// A program that the target has no event for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its index among the object's programs.
    #[serde(skip)]
    pub program: usize,
    /// Its name.
    pub name: String,
    /// Where the script has it.
    pub at: Option<Place>,
    /// The events, in the order in which they were tried.
    pub tried: Vec<TriedEvent>,
    /// Events of the target whose names are near.
    pub near: Vec<String>,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: the kernel has no event for it:", self.name)?;
        for (index, tried) in self.tried.iter().enumerate() {
            write!(f, "{} {tried}", if index == 0 { "" } else { ";" })?;
        }
        if !self.near.is_empty() {
            write!(f, " (it has {})", self.near.join(", "))?;
        }
        Ok(())
    }
}

/// What choosing and what is set aside ask a kernel for, beside what [`super::wanted`] says: kinds and names as there, but of kind 0 where a type is of use only if the image has it.
///
/// # Errors
/// Where the object cannot be read.
pub fn wanted(object: &Object<'_>, ubpf: &Ubpf) -> Result<Vec<(u32, String)>, ReadError> {
    let mut names = events::wanted(&ubpf.events);
    let (types, aside) = (object.types()?, aside_object(object)?);
    if let (Some(types), Some(aside)) = (types, aside)
        && let Some(ext) = aside.ext(&types)?
    {
        let records = ext.sections.values().flat_map(|section| &section.core);
        let roots: BTreeSet<_> = records.map(|record| record.root).collect();
        let key = |root| candidates::key(&types, root).map(|(kind, name)| (kind, name.to_owned()));
        let keys: Vec<_> = roots.into_iter().map(key).collect::<Result<_, _>>()?;
        names.extend(keys);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Chooses for every program at a raw tracepoint. `shows_btf` says whether the kernel shows its own BTF to loaders, without which it takes no typed arguments.
///
/// # Errors
/// Where the target has no event for a program that is not optional.
pub fn choose(
    ubpf: &Ubpf,
    target: &crate::kernel::Target<'_>,
    shows_btf: bool,
) -> Result<Choice, ChooseError> {
    let chooser = Chooser::new(ubpf, target, shows_btf);
    let (choice, mut lost) = chooser.each();
    if lost.is_empty() {
        return Ok(choice);
    }
    for lost in &mut lost {
        chooser.help(lost);
    }
    Err(ChooseError { programs: lost })
}

/// The same, where programs that the target has no event for keep no other from being brought in: what is chosen, in which they are left out, and those programs, without names that are near.
pub(super) fn choose_each(
    ubpf: &Ubpf,
    target: &crate::kernel::Target<'_>,
    shows_btf: bool,
) -> (Choice, Vec<Lost>) {
    Chooser::new(ubpf, target, shows_btf).each()
}

/// Why an event is not taken of which nothing is told.
const UNTOLD: &str = "the kernel does not tell whether it has this event";

fn tried_event(kind: EventKind, event: &str, why: impl Into<String>) -> TriedEvent {
    TriedEvent { kind, event: event.to_owned(), why: why.into() }
}

struct Chooser<'c, 't, 'a> {
    ubpf: &'c Ubpf,
    events: Events<'t, 'a>,
    shows_btf: bool,
    machine: Machine,
}

/// Where a program finds its arguments.
struct Bound {
    prototype: Option<usize>,
    args: Vec<BoundArg>,
}

impl<'c, 't, 'a> Chooser<'c, 't, 'a> {
    fn new(ubpf: &'c Ubpf, target: &'t crate::kernel::Target<'a>, shows_btf: bool) -> Self {
        let events = Events::new(target, &ubpf.events);
        let shows_btf = shows_btf && !events.hidden();
        Chooser { ubpf, events, shows_btf, machine: Machine::of(target) }
    }

    /// What becomes of each program.
    fn each(&self) -> (Choice, Vec<Lost>) {
        let (mut programs, mut lost) = (Vec::new(), Vec::new());
        for (index, program) in self.ubpf.programs.iter().enumerate() {
            if program.forms.is_empty() {
                continue;
            }
            let (taken, tried) = self.program(program);
            let name = program.name.clone();
            if taken.is_none() && !program.optional {
                let ubpf::Place { file, line, col } = program.at.clone();
                let at = Some(Place { file, line, col, text: String::new() });
                let (name, tried) = (name.clone(), tried.clone());
                lost.push(Lost { program: index, name, at, tried, near: Vec::new() });
            }
            programs.push(Chosen { program: index, name, taken, tried });
        }
        (Choice { programs }, lost)
    }

    /// Adds names that are near to those of the events that the target has not.
    fn help(&self, lost: &mut Lost) {
        let tried = &lost.tried;
        let mut near: Vec<String> =
            tried.iter().flat_map(|tried| self.events.near(tried.kind, &tried.event)).collect();
        near.sort();
        near.dedup();
        near.retain(|near| tried.iter().all(|tried| tried.event != *near));
        lost.near = near;
    }

    /// The form for the first event that is there; failing that, for the first that may be there.
    fn program(&self, program: &Program) -> (Option<Taken>, Vec<TriedEvent>) {
        let mut events: Vec<(EventKind, &str)> = Vec::new();
        for form in &program.forms {
            let event = (form.kind, form.event.as_str());
            if !events.contains(&event) {
                events.push(event);
            }
        }
        let mut tried = Vec::new();
        let mut doubtful = None;
        for (kind, event) in events {
            if kind != EventKind::Tracepoint {
                match self.function(program, kind, event) {
                    Ok(taken) if taken.certain => return (Some(taken), tried),
                    Ok(taken) if !program.optional => {
                        doubtful.get_or_insert(taken);
                    }
                    Ok(_) => tried.push(tried_event(kind, event, UNTOLD)),
                    Err(why) => tried.push(tried_event(kind, event, why)),
                }
                continue;
            }
            let taken = match self.events.of(event) {
                Seen::Present(shown) => self.bind(program, event, &shown).and_then(|bound| {
                    let typed = self.shows_btf && shown.typed;
                    take(program, event, typed, shown.args.is_some(), bound)
                }),
                Seen::Absent => Err("there is no such event".into()),
                Seen::Untold if program.optional => Err(UNTOLD.into()),
                Seen::Untold => {
                    let bound = self.bind(program, event, &Shown::default());
                    match bound.and_then(|bound| take(program, event, false, false, bound)) {
                        Ok(taken) if doubtful.is_none() => {
                            doubtful = Some(taken);
                            continue;
                        }
                        Ok(_) => continue,
                        Err(why) => Err(why),
                    }
                }
            };
            match taken {
                Ok(taken) => return (Some(taken), tried),
                Err(why) => tried.push(tried_event(kind, event, why)),
            }
        }
        (doubtful, tried)
    }

    fn known(&self, event: &str) -> &[Prototype] {
        let is_it = |known: &&Event| known.kind == EventKind::Tracepoint && known.name == event;
        let found = self.ubpf.events.iter().find(is_it);
        found.map_or(&[], |event| &event.prototypes)
    }

    /// Where a program finds its arguments in what the kernel passes to an event.
    fn bind(&self, program: &Program, event: &str, shown: &Shown) -> Result<Bound, String> {
        let known = self.known(event);
        match &shown.args {
            Some(passed) => bind(&program.args, known, passed, self.machine),
            None => agreed(&program.args, known),
        }
    }
}

/// The form of a program for an event.
fn take(
    program: &Program,
    event: &str,
    typed: bool,
    certain: bool,
    bound: Bound,
) -> Result<Taken, String> {
    let is_it = |form: &Form| form.kind == EventKind::Tracepoint && form.event == event;
    let of_event = |form: &&Form| is_it(form) && (typed || !form.btf);
    let found = program.forms.iter().find(of_event);
    let found = found.ok_or("its form for kernels without BTF exceeds a limit of BPF")?;
    let form = program.forms.iter().position(|form| form == found).unwrap_or_default();
    let (event, section) = (event.to_owned(), found.section.clone());
    let Bound { prototype, args } = bound;
    let kind = EventKind::Tracepoint;
    Ok(Taken { form, kind, event, section, certain, prototype, args })
}

/// Binds arguments through the kernel's prototype.
fn bind(
    args: &[Arg],
    known: &[Prototype],
    passed: &[Passed],
    machine: Machine,
) -> Result<Bound, String> {
    let same = known.iter().position(|known| same_prototype(&known.args, passed));
    let by_name: Result<Vec<BoundArg>, String> =
        args.iter().map(|arg| named(arg, passed, machine)).collect();
    let bound = match (by_name, same) {
        (Ok(bound), _) => bound,
        // The names are others, but the types are those of a prototype that is known.
        (Err(why), Some(same)) => {
            let placed = args.iter().map(|arg| placed(arg, &known[same].args));
            let bound: Vec<BoundArg> = placed.collect();
            let fit = args.iter().zip(&bound).all(|(arg, bound)| fits(arg, bound, passed, machine));
            fit.then_some(bound).ok_or(why)?
        }
        (Err(why), None) => return Err(why),
    };
    let runs = |prototype: &Prototype| {
        args.iter().zip(&bound).all(|(arg, bound)| {
            placed(arg, &prototype.args).index.is_some() == bound.index.is_some()
        })
    };
    let same = same.filter(|same| runs(&known[*same]));
    let prototype = same.or_else(|| known.iter().position(runs));
    if prototype.is_none() && !args.is_empty() {
        return Err(
            "no known prototype has just those of the arguments that the kernel passes".into()
        );
    }
    Ok(Bound { prototype, args: bound })
}

/// Whether an argument can be read from its place, if it has one.
fn fits(arg: &Arg, bound: &BoundArg, passed: &[Passed], machine: Machine) -> bool {
    let Some(index) = bound.index else { return true };
    let ty = passed.get(index).and_then(|passed| passed.ty.as_ref());
    ty.is_some_and(|ty| fits_long(arg, ty, machine.word).unwrap_or_else(|| converts(&arg.ty, ty)))
}

/// Binds arguments without the kernel's prototype: where all known ones agree.
fn agreed(args: &[Arg], known: &[Prototype]) -> Result<Bound, String> {
    let bound: Vec<BoundArg> = args
        .iter()
        .map(|arg| {
            let mut places = known.iter().map(|prototype| placed(arg, &prototype.args).index);
            let first = places.next().flatten();
            let agreed = first.is_some() && places.all(|place| place == first);
            let name = arg.names.first().cloned().unwrap_or_default();
            let why = || format!("the kernel does not tell where `{name}` is among its arguments");
            agreed.then_some(()).ok_or_else(why)?;
            Ok(BoundArg { name, index: first })
        })
        .collect::<Result<_, String>>()?;
    Ok(Bound { prototype: None, args: bound })
}

/// An argument in the kernel's prototype, by its name.
fn named(arg: &Arg, passed: &[Passed], machine: Machine) -> Result<BoundArg, String> {
    let found = arg.names.iter().find_map(|name| {
        let index = passed.iter().position(|passed| passed.name.as_ref() == Some(name))?;
        Some((name, index))
    });
    let Some((name, index)) = found else {
        let name = arg.names.first().cloned().unwrap_or_default();
        let told = passed.iter().all(|passed| passed.name.is_some());
        return match (arg.optional && told, told) {
            (true, _) => Ok(BoundArg { name, index: None }),
            (false, true) => Err(format!("the kernel passes no `{name}`")),
            (false, false) => Err("the kernel's prototype is none that is known".into()),
        };
    };
    let bound = BoundArg { name: name.clone(), index: Some(index) };
    if !fits(arg, &bound, passed, machine) {
        let ty = passed.get(index).and_then(|passed| passed.ty.as_ref());
        let ty = ty.map_or_else(|| "another type".to_owned(), ToString::to_string);
        return Err(format!("the kernel passes `{name}` as `{ty}`, not as `{}`", arg.ty));
    }
    Ok(bound)
}

/// An argument in a known prototype.
fn placed(arg: &Arg, known: &[PrototypeArg]) -> BoundArg {
    let found = arg.names.iter().find_map(|name| {
        let index = known.iter().position(|known| known.name == *name)?;
        Some((name, index))
    });
    match found {
        Some((name, index)) => BoundArg { name: name.clone(), index: Some(index) },
        None => BoundArg { name: arg.names.first().cloned().unwrap_or_default(), index: None },
    }
}

/// Whether what a kernel passes is what a program reads.
fn converts(wanted: &KernelType, passed: &KernelType) -> bool {
    match (wanted, passed) {
        (KernelType::Ptr(wanted), KernelType::Ptr(passed)) => match &**wanted {
            KernelType::Struct(name) | KernelType::Union(name) => {
                matches!(&**passed, KernelType::Struct(n) | KernelType::Union(n) if n == name)
            }
            KernelType::Void
            | KernelType::Func
            | KernelType::Int { .. }
            | KernelType::Enum(_)
            | KernelType::Ptr(_) => true,
        },
        // What is narrower than its eight bytes is extended without its sign (v6.12 include/trace/bpf_probe.h: `__CAST_TO_U64`).
        (
            KernelType::Int { size: wanted, .. },
            KernelType::Int { size: passed, signed: true, .. },
        ) => wanted <= passed,
        (
            KernelType::Int { .. } | KernelType::Enum(_),
            KernelType::Int { .. } | KernelType::Enum(_),
        ) => true,
        _ => false,
    }
}

/// Whether a kernel's prototype is a known one: the same number of arguments of the same kinds, pointers to the same.
fn same_prototype(known: &[PrototypeArg], passed: &[Passed]) -> bool {
    let same = |(known, passed): (&PrototypeArg, &Passed)| {
        passed.ty.as_ref().is_some_and(|passed| same_type(&known.ty, passed))
    };
    known.len() == passed.len() && known.iter().zip(passed).all(same)
}

fn same_type(known: &KernelType, passed: &KernelType) -> bool {
    match (known, passed) {
        (KernelType::Ptr(known), KernelType::Ptr(passed)) => same_type(known, passed),
        (KernelType::Int { .. }, KernelType::Int { .. }) => true,
        _ => known == passed,
    }
}
