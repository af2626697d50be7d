//! What changes between two locks: what it breaks, why and for whom, and what it adds.
//!
//! In: what was promised, and what is to be. Out: [`Diff`], in the order of the locks. Invariant: who wrote a script or decodes emitted mirrors notices nothing of a change that breaks
//! nothing.

use super::lock::{Arg, Field, Lock, Promise, What};
use serde::Serialize;

/// The changes from one lock to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Promises that are not kept.
    pub breaks: Vec<Break>,
    /// What is new.
    pub adds: Vec<Change>,
    /// What is worded otherwise: whether the meaning is another one only a reader can say.
    pub rewords: Vec<Change>,
}

/// A promise that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// What it is about: `task_struct_user.pid`, `user:sched_switch`.
    pub name: String,
    /// What has changed.
    pub change: String,
    /// Why that breaks anything, and for whom.
    pub why: &'static str,
}

/// A change that breaks nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is about.
    pub name: String,
    /// What has changed.
    pub change: String,
}

const GONE: &str = "scripts that use it no longer compile";
const GONE_FIELD: &str =
    "scripts that use it no longer compile, and decoders of emitted records find other bytes there";
const RETYPED: &str =
    "scripts get another type, and decoders of emitted records read bytes of another meaning";
const REVALUED: &str = "scripts compiled anew and objects compiled before mean different numbers";
const MOVED: &str = "decoders of emitted records that were compiled before read other bytes; new fields come at the end";
const NOW_OPTIONAL: &str =
    "scripts that do not ask `has()` would take the 0 of a kernel without it for its value";
const NOW_PLAIN: &str = "objects no longer relocate to kernels that lack it";
const LOST_SOURCE: &str = "kernels that have nothing else of it lose it";
const REORDERED: &str = "kernels that have several of them give another one's value";
const OTHER_KERNEL: &str = "scripts would read another type of the kernel's";
const ARGUMENT: &str = "scripts that use the argument no longer compile, or get something else";
const ARGUMENTS: &str = "arguments keep their order; new ones come at the end";

/// What changes from `old` to `new`.
pub fn diff(old: &Lock, new: &Lock) -> Diff {
    let mut diff = Diff::default();
    for before in &old.promises {
        let after = new.promises.iter().find(|after| same(before, after));
        match after {
            Some(after) => diff.promise(before, after),
            None => diff.gone(before, new),
        }
    }
    for after in &new.promises {
        if !old.promises.iter().any(|before| same(before, after)) {
            diff.added(after, old);
        }
    }
    let mirrors = old.promises.iter().filter(|p| matches!(p.what, What::Mirror(_)));
    for mirror in mirrors {
        diff.order(&mirror.name, old, new);
    }
    diff
}

/// Whether two promises are of one thing.
fn same(a: &Promise, b: &Promise) -> bool {
    a.what.kind() == b.what.kind() && a.name == b.name && member(a) == member(b)
}

fn member(promise: &Promise) -> Option<&str> {
    match &promise.what {
        What::Enumerator { name, .. } => Some(name),
        What::Field(field) => Some(&field.name),
        What::Constant(_) | What::Enum { .. } | What::Mirror(_) | What::Tracepoint { .. } => None,
    }
}

/// Whether a lock has the mirror or enum that something is a member of.
fn has_parent(promise: &Promise, lock: &Lock) -> bool {
    lock.promises.iter().any(|other| {
        other.what.kind() == promise.what.kind()
            && other.name == promise.name
            && member(other).is_none()
    })
}

fn fields<'l>(lock: &'l Lock, mirror: &str) -> Vec<&'l Field> {
    let of = lock.promises.iter().filter(|promise| promise.name == mirror);
    of.filter_map(|promise| match &promise.what {
        What::Field(field) => Some(field),
        _ => None,
    })
    .collect()
}

impl Diff {
    fn breaks(&mut self, name: String, change: impl Into<String>, why: &'static str) {
        self.breaks.push(Break { name, change: change.into(), why });
    }

    fn adds(&mut self, name: String, change: impl Into<String>) {
        self.adds.push(Change { name, change: change.into() });
    }

    /// What is no longer there. Of a mirror or enum that is gone as a whole, one word is enough.
    fn gone(&mut self, before: &Promise, new: &Lock) {
        if member(before).is_some() && !has_parent(before, new) {
            return;
        }
        let why = if matches!(before.what, What::Field(_)) { GONE_FIELD } else { GONE };
        self.breaks(before.spelled(), "is gone", why);
    }

    fn added(&mut self, after: &Promise, old: &Lock) {
        if member(after).is_some() && !has_parent(after, old) {
            return;
        }
        let change = match &after.what {
            What::Constant(value) => format!("is new: {value}"),
            What::Enum { .. } => "is a new enum".to_owned(),
            What::Enumerator { .. } => format!("is a new enumerator of {}", after.name),
            What::Mirror(kernel) => format!("is a new mirror of {kernel}"),
            What::Field(field) => format!("is a new field: {}", field.ty),
            What::Tracepoint { .. } => "is a new tracepoint".to_owned(),
        };
        self.adds(after.spelled(), change);
    }

    fn promise(&mut self, before: &Promise, after: &Promise) {
        let name = || before.spelled();
        match (&before.what, &after.what) {
            (What::Constant(old), What::Constant(new)) if old != new => {
                self.breaks(name(), format!("was {old} and is {new}"), REVALUED);
            }
            (
                What::Enum { kernel: old, repr: old_repr },
                What::Enum { kernel: new, repr: new_repr },
            ) => {
                if old != new {
                    let said = |kernel: &Option<String>| kernel.clone().unwrap_or("nothing".into());
                    let change = format!("mirrored {} and mirrors {}", said(old), said(new));
                    self.breaks(name(), change, OTHER_KERNEL);
                }
                self.retyped(name(), old_repr, new_repr);
            }
            (
                What::Enumerator { optional: old_optional, sources: old, .. },
                What::Enumerator { optional: new_optional, sources: new, .. },
            ) => {
                self.optional(name(), *old_optional, *new_optional);
                let number = |of: &[String]| of.iter().all(|s| s.parse::<i128>().is_ok());
                if number(old) || number(new) {
                    if old != new {
                        let change = format!("was {} and is {}", old.join(""), new.join(""));
                        self.breaks(name(), change, REVALUED);
                    }
                } else {
                    self.sources(&name(), "enumerator", old, new);
                }
            }
            (What::Mirror(old), What::Mirror(new)) if old != new => {
                self.breaks(name(), format!("mirrored {old} and mirrors {new}"), OTHER_KERNEL);
            }
            (What::Field(old), What::Field(new)) => {
                self.retyped(name(), &old.ty, &new.ty);
                self.optional(name(), old.optional, new.optional);
                self.sources(&name(), "alternative", &old.alternatives, &new.alternatives);
            }
            (
                What::Tracepoint { args: old_args, sources: old },
                What::Tracepoint { args: new_args, sources: new },
            ) => {
                self.args(&name(), old_args, new_args);
                self.sources(&name(), "event", old, new);
            }
            _ => {}
        }
        if before.meaning != after.meaning {
            let change = format!("\"{}\" is now \"{}\"", before.meaning, after.meaning);
            self.rewords.push(Change { name: name(), change });
        }
    }

    fn retyped(&mut self, name: String, old: &str, new: &str) {
        if old != new {
            self.breaks(name, format!("was {old} and is {new}"), RETYPED);
        }
    }

    fn optional(&mut self, name: String, old: bool, new: bool) {
        match (old, new) {
            (false, true) => self.breaks(name, "has become optional", NOW_OPTIONAL),
            (true, false) => self.breaks(name, "is no longer optional", NOW_PLAIN),
            (false, false) | (true, true) => {}
        }
    }

    /// Places that a value comes from: none may go, and those that stay keep their order.
    fn sources(&mut self, name: &str, noun: &str, old: &[String], new: &[String]) {
        for lost in old.iter().filter(|source| !new.contains(source)) {
            self.breaks(name.to_owned(), format!("has lost the {noun} `{lost}`"), LOST_SOURCE);
        }
        let stayed = |of: &[String], other: &[String]| -> Vec<String> {
            of.iter().filter(|source| other.contains(source)).cloned().collect()
        };
        if stayed(old, new) != stayed(new, old) {
            self.breaks(name.to_owned(), format!("tries its {noun}s in another order"), REORDERED);
        }
        for gained in new.iter().filter(|source| !old.contains(source)) {
            self.adds(name.to_owned(), format!("has the new {noun} `{gained}`"));
        }
    }

    fn args(&mut self, name: &str, old: &[Arg], new: &[Arg]) {
        let of = |arg: &Arg| format!("{name} args.{}", arg.name);
        for before in old {
            let Some(after) = new.iter().find(|after| after.name == before.name) else {
                self.breaks(of(before), "is gone", ARGUMENT);
                continue;
            };
            if before.ty != after.ty {
                let change = format!("was {} and is {}", before.ty, after.ty);
                self.breaks(of(before), change, ARGUMENT);
            }
            self.optional(of(before), before.optional, after.optional);
            self.sources(&of(before), "name", &before.names, &after.names);
        }
        let names = |args: &[Arg]| args.iter().map(|arg| arg.name.clone()).collect::<Vec<_>>();
        for after in new.iter().filter(|after| !old.iter().any(|b| b.name == after.name)) {
            self.adds(of(after), format!("is a new argument: {}", after.ty));
        }
        if let Some(change) = disorder(&names(old), &names(new)) {
            self.breaks(name.to_owned(), change, ARGUMENTS);
        }
    }

    /// Fields keep their places.
    fn order(&mut self, mirror: &str, old: &Lock, new: &Lock) {
        let (old, new) = (fields(old, mirror), fields(new, mirror));
        let names = |fields: &[&Field]| fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        if let Some(change) = disorder(&names(&old), &names(&new)) {
            return self.breaks(mirror.to_owned(), change, MOVED);
        }
        let told = self
            .breaks
            .iter()
            .any(|told| told.name.strip_prefix(mirror).is_some_and(|rest| rest.starts_with('.')));
        let moved = old.iter().find_map(|before| {
            let after = new.iter().find(|after| after.name == before.name)?;
            (before.offset != after.offset).then_some((before, after))
        });
        if let Some((before, after)) = moved.filter(|_| !told) {
            let change = format!("was at byte {} and is at byte {}", before.offset, after.offset);
            self.breaks(format!("{mirror}.{}", before.name), change, MOVED);
        }
    }
}

/// What is out of order where names may only be added at the end.
fn disorder(old: &[String], new: &[String]) -> Option<String> {
    let kept: Vec<&String> = old.iter().filter(|name| new.contains(name)).collect();
    let last = new.iter().rposition(|name| old.contains(name))?;
    let between = new.iter().take(last).find(|name| !old.contains(name));
    if let Some(inserted) = between {
        let next = new.iter().skip_while(|name| *name != inserted).find(|n| old.contains(n))?;
        return Some(format!("has `{inserted}` inserted before `{next}`"));
    }
    let found = new.iter().filter(|name| old.contains(name));
    let (before, after) = kept.into_iter().zip(found).find(|(before, after)| before != after)?;
    Some(format!("has `{after}` where `{before}` was"))
}
