//! What would become of each program of an object on a kernel.
//!
//! In: an object, read once, and a kernel. Out: the fate of every program by itself: one that cannot run hides none of the others. The steps are those of [`super::pipeline`], up to the answers in the
//! code; nothing is written. A program is all code that it can get to: functions that it calls, and callbacks.

use super::apply::{self, ApplyError, Open, Settled, settle};
use super::calls::{Frames, reached};
use super::choose::{Choice, Chosen, Lost, Taken, TriedEvent, choose_each};
use super::edit::{At, Code};
use super::lacks::{self, Called, Lack, Lacking, Offer};
use super::pipeline::{Options, Refusal, chosen_from, load, needs, recorded, shows_btf, unapplied};
use super::record::{self, quoted};
use super::{Access, Asked, Edit, Fixup, Place, Plan, Policy, Unresolved, bring_in, plan};
use crate::btf::Btf;
use crate::kernel::{Kernel, Target};
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use crate::object::ubpf::{Class, EventKind, RelocatedFor, Ubpf};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// An object that is to be examined, read once for all kernels.
#[derive(Debug)]
pub struct Subject<'o> {
    bytes: &'o [u8],
    object: Object<'o>,
    /// What one of our own says of itself.
    ubpf: Option<Ubpf>,
    /// The same, if there are forms to choose from.
    forms: Option<Ubpf>,
    needs: Vec<(u32, String)>,
    programs: Vec<About>,
    variants: Mutex<BTreeMap<Key, Arc<Variant>>>,
    /// What excerpts of kernels' types tell.
    covers: Option<&'o dyn Covers>,
}

/// What an excerpt of a kernel's types tells: what it does not is unknown, not absent.
pub trait Covers: std::fmt::Debug + Sync {
    /// Whether it answers a question.
    fn question(&self, asked: &Asked) -> bool;
    /// Whether it tells of an event.
    fn event(&self, kind: EventKind, name: &str) -> bool;
}

/// What an excerpt does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// The event, or the path in the object's own types.
    pub what: String,
    /// The source line.
    pub at: Option<Place>,
}

/// What an object says of a program, whatever the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// The probe as the script has it, or the section.
    pub spec: String,
    /// Where that is.
    pub at: Option<Place>,
    /// What it promises; none of another compiler's.
    pub class: Option<Class>,
    /// Whether a kernel may do without it.
    pub optional: bool,
}

/// What became of the programs of an object on a kernel.
#[derive(Debug)]
pub struct Examination {
    /// One for each of [`Subject::programs`].
    pub programs: Vec<Examined>,
    /// Modules that have been passed over, and why.
    pub warnings: Vec<String>,
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Whether it can run.
    pub fate: Fate,
    /// The form that is taken, of an ubpfc object's program at a kernel event.
    pub taken: Option<Taken>,
    /// The events that were tried before it, or in vain.
    pub tried: Vec<TriedEvent>,
    /// What of the kernel it reads, as far as it can run.
    pub reads: Vec<Read>,
    /// What it asks for and would do without: alternatives that come before the one that is taken, or that lacks as well.
    pub absent: Vec<Absent>,
    /// How large it is; none of a program that is not there.
    pub size: Option<Size>,
}

/// Whether a program can run on a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It can, as far as the kernel's types tell.
    Runs,
    /// It is optional, and the kernel lacks what it needs.
    LeftOut,
    /// The kernel has none of its events.
    NoEvent(Lost),
    /// It asks for types or fields that the kernel has not.
    Missing(Vec<Unresolved>),
    /// It uses what the kernel has not.
    Lacks(Vec<Lack>),
    /// What is known of the kernel does not tell.
    Unknown(Vec<Untold>),
}

/// A field, type or enumerator that a program reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Read {
    /// As the object has it.
    pub local: String,
    /// As the kernel has it.
    pub target: String,
}

/// A field, type or enumerator that a program asks for and the kernel has not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Absent {
    /// As the object has it.
    pub local: String,
    /// Why not.
    pub why: String,
    /// The line that asks: its file, its number, and the column.
    pub at: Option<(String, u32, u32)>,
}

/// How large a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Instructions that can run, those of functions that it calls included.
    pub insns: usize,
    /// Bytes of stack of all frames that can be there at once.
    pub stack: u32,
}

/// What tells apart objects in which forms have been brought in: for each program the form, the prototype, and the places of arguments.
type Key = Vec<Option<(usize, Option<usize>, Vec<Option<usize>>)>>;

/// An object with certain forms.
#[derive(Debug)]
struct Variant {
    bytes: Vec<u8>,
    code: Code,
    /// Of each record what excerpts do not tell.
    untold: Vec<Option<Untold>>,
}

impl<'o> Subject<'o> {
    /// Reads an object. `covers` says what excerpts of kernels' types tell, if there will be such.
    pub fn parse(bytes: &'o [u8], covers: Option<&'o dyn Covers>) -> Result<Subject<'o>, Refusal> {
        let object = Object::parse(bytes)?;
        let ubpf = object.ubpf()?;
        let forms = chosen_from(&object)?;
        let needs = needs(&object)?;
        let code = Code::read(&object).map_err(|error| unapplied(error, &object))?;
        apply::by_name(Some(&code)).map_err(|error| unapplied(error, &object))?;
        let programs = match &ubpf {
            Some(ubpf) => ours(&object, ubpf),
            None => others(&code),
        };
        let variants = Mutex::default();
        Ok(Subject { bytes, object, ubpf, forms, needs, programs, variants, covers })
    }

    /// Its programs, in the order of the script or of the file.
    pub fn programs(&self) -> &[About] {
        &self.programs
    }

    /// What one of our own says of itself.
    pub fn ubpf(&self) -> Option<&Ubpf> {
        self.ubpf.as_ref()
    }

    /// The object.
    pub fn object(&self) -> &Object<'o> {
        &self.object
    }

    /// The object with the forms that were chosen, made once for all kernels that take the same.
    fn variant(&self, choice: &Choice) -> Result<Arc<Variant>, Refusal> {
        let key: Key = choice.programs.iter().map(form).collect();
        let lock = || self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let bytes = match self.forms {
            Some(_) => bring_in(self.bytes, choice)?.bytes.into_owned(),
            None => self.bytes.to_vec(),
        };
        let object = Object::parse(&bytes)?;
        let code = Code::read(&object).map_err(|error| unapplied(error, &object))?;
        let untold = match self.covers {
            None => Vec::new(),
            Some(covers) => {
                let told = |asked: Asked| {
                    let Asked { local, at, .. } = &asked;
                    let untold = Untold { what: local.clone(), at: at.clone() };
                    (!covers.question(&asked)).then_some(untold)
                };
                super::asked(&object)?.into_iter().map(told).collect()
            }
        };
        let variant = Arc::new(Variant { bytes, code, untold });
        lock().insert(key, Arc::clone(&variant));
        Ok(variant)
    }
}

fn form(chosen: &Chosen) -> Option<(usize, Option<usize>, Vec<Option<usize>>)> {
    let taken = chosen.taken.as_ref()?;
    Some((taken.form, taken.prototype, taken.args.iter().map(|arg| arg.index).collect()))
}

fn ours(object: &Object<'_>, ubpf: &Ubpf) -> Vec<About> {
    let about = |program: &crate::object::ubpf::Program| {
        let crate::object::ubpf::Place { file, line, col } = program.at.clone();
        About {
            name: program.name.clone(),
            spec: program.spec.clone(),
            at: Some(quoted(object, Place { file, line, col, text: String::new() })),
            class: Some(program.class),
            optional: program.optional,
        }
    };
    ubpf.programs.iter().map(about).collect()
}

fn others(code: &Code) -> Vec<About> {
    let sections = code.sections.values().filter(|section| section.name != ".text");
    let functions =
        sections.flat_map(|section| section.functions.iter().map(move |f| (section, f)));
    let about = |(section, function): (&super::edit::Section, &super::edit::Function)| About {
        name: function.name.clone(),
        spec: section.name.clone(),
        at: None,
        class: None,
        optional: apply::is_optional(&section.name),
    };
    functions.map(about).collect()
}

/// The same on a kernel of whose types there is an excerpt: it tells what the subject's [`Covers`] says.
///
/// # Errors
/// As [`examine`].
pub fn examine_excerpt(
    subject: &Subject<'_>,
    kernel: &Kernel,
    options: Options,
) -> Result<Examination, Refusal> {
    examine_with(subject, kernel, options, subject.covers)
}

/// What becomes of each program of an object on a kernel. What keeps the object as a whole from being relocated is an error.
///
/// # Errors
/// Where the object or the kernel cannot be read, or the object cannot be for it at all.
pub fn examine(
    subject: &Subject<'_>,
    kernel: &Kernel,
    options: Options,
) -> Result<Examination, Refusal> {
    examine_with(subject, kernel, options, None)
}

fn examine_with(
    subject: &Subject<'_>,
    kernel: &Kernel,
    options: Options,
    covers: Option<&dyn Covers>,
) -> Result<Examination, Refusal> {
    let before = |ubpf: &Ubpf| ubpf.target.clone();
    let other = |before: &RelocatedFor| *before != recorded(kernel);
    if let Some(before) = subject.ubpf.as_ref().and_then(before).filter(other) {
        return Err(Refusal::Relocated(before));
    }
    let loaded = load(kernel, &subject.needs)?;
    let target = loaded.target()?;
    let (choice, lost) = match &subject.forms {
        Some(ubpf) => choose_each(ubpf, &target, shows_btf(kernel) && !options.no_btf),
        None => (Choice { programs: Vec::new() }, Vec::new()),
    };
    let variant = subject.variant(&choice)?;
    let object = Object::parse(&variant.bytes)?;
    let plan = plan(&object, &target, Policy::Strict)?;
    let settled = settle(variant.code.clone(), &object, &plan);
    let settled = settled.map_err(|error| unapplied(error, &object))?;
    let examiner = Examiner::new(&object, &plan, &settled, &target);
    let mut examiner = examiner.map_err(|error| unapplied(error, &object))?;
    if covers.is_some() {
        examiner.untold = &variant.untold;
    }
    let mut programs = Vec::new();
    for (index, about) in subject.programs.iter().enumerate() {
        let chosen = choice.programs.iter().find(|chosen| chosen.program == index);
        let (taken, tried) = match chosen {
            Some(chosen) => (chosen.taken.clone(), chosen.tried.clone()),
            None => (None, Vec::new()),
        };
        let unknown = untold_events(subject, index, covers, about);
        let fate = match lost.iter().find(|lost| lost.program == index) {
            _ if !unknown.is_empty() => Fate::Unknown(unknown),
            Some(lost) => Fate::NoEvent(Lost { at: about.at.clone(), ..lost.clone() }),
            None if chosen.is_some() && taken.is_none() => Fate::LeftOut,
            None => {
                let examined = examiner.program(about)?;
                programs.push(Examined { taken, tried, ..examined });
                continue;
            }
        };
        let (reads, absent) = (Vec::new(), Vec::new());
        programs.push(Examined { fate, taken: None, tried, reads, absent, size: None });
    }
    Ok(Examination { programs, warnings: loaded.warnings.clone() })
}

/// The events of a program that an excerpt does not tell of.
fn untold_events(
    subject: &Subject<'_>,
    index: usize,
    covers: Option<&dyn Covers>,
    about: &About,
) -> Vec<Untold> {
    let program = subject.forms.as_ref().and_then(|ubpf| ubpf.programs.get(index));
    let Some((program, covers)) = program.zip(covers) else { return Vec::new() };
    let untold = program.forms.iter().filter(|form| !covers.event(form.kind, &form.event));
    let names: BTreeSet<&str> = untold.map(|form| form.event.as_str()).collect();
    let event = |name: &str| Untold { what: name.to_owned(), at: about.at.clone() };
    names.into_iter().map(event).collect()
}

/// What is known of an object with its answers for a kernel.
struct Examiner<'x, 'o> {
    object: &'x Object<'o>,
    plan: &'x Plan,
    settled: &'x Settled,
    /// Questions without an answer, and what could run if they had one; none where none of them can run.
    open: Vec<Open<'x>>,
    beyond: Option<super::reach::Reach>,
    offer: Offer,
    /// Of each record what is not told.
    untold: &'x [Option<Untold>],
    /// Kinds of maps that the kernel lacks: without its maps nothing of an object is loaded.
    maps: Vec<Lack>,
}

impl<'x, 'o> Examiner<'x, 'o> {
    fn new(
        object: &'x Object<'o>,
        plan: &'x Plan,
        settled: &'x Settled,
        target: &Target<'_>,
    ) -> Result<Examiner<'x, 'o>, ApplyError> {
        let mut open = settled.open(plan);
        let stops = open.iter().any(|open| settled.reach.runs(open.at));
        let beyond = stops.then(|| settled.beyond(object)).transpose()?;
        let runs = |at: At| settled.reach.runs(at) || beyond.as_ref().is_some_and(|b| b.runs(at));
        open.retain(|open| runs(open.at));
        let offer = Offer::of(target);
        let types: Option<Btf<'_>> = object.types()?;
        let maps = types.map(|types| offer.maps(&types)).unwrap_or_default();
        Ok(Examiner { object, plan, settled, open, beyond, offer, untold: &[], maps })
    }

    /// What becomes of a program that is there.
    fn program(&self, about: &About) -> Result<Examined, Refusal> {
        let code = &self.settled.code;
        let Some(start) = entry(code, &about.name) else {
            let why = format!("there is no program {}", about.name);
            return Err(Refusal::Forms(super::BringError::Malformed(why)));
        };
        let functions = reached(code, &self.settled.reach, start);
        let within = |functions: &BTreeSet<At>, at: At| {
            let own = code.sections.get(&at.section).and_then(|s| s.function_at(at.slot));
            own.is_some_and(|own| functions.contains(&At { slot: own.slots.start, ..at }))
        };
        let runs = |at: At| self.settled.reach.runs(at) && within(&functions, at);
        let size = self.size(&functions, start);
        let untold = self.untold.iter().zip(&self.plan.fixups);
        let untold = untold.filter(|(untold, fixup)| untold.is_some() && runs(self.now(fixup)));
        let untold: Vec<Untold> = untold.filter_map(|(untold, _)| untold.clone()).collect();
        let fate = if !untold.is_empty() {
            Fate::Unknown(untold)
        } else if self.open.iter().any(|open| runs(open.at)) {
            let all = reached(code, self.beyond.as_ref().unwrap_or(&self.settled.reach), start);
            let missing = self.open.iter().filter(|open| within(&all, open.at));
            Fate::Missing(missing.map(Unresolved::from).collect())
        } else {
            let lacks = self.lacks(about, &functions, start, size);
            let poisoned = apply::is_optional(section_of(code, start)) && self.poisoned(&runs);
            if poisoned || !lacks.is_empty() && about.optional && about.class.is_none() {
                // A loader leaves it alone unless it is told to take it.
                Fate::LeftOut
            } else if lacks.is_empty() {
                Fate::Runs
            } else {
                Fate::Lacks(lacks)
            }
        };
        let (reads, absent) = self.asked(&runs);
        // Of one that does not get to its end it is not known.
        let size = (!matches!(fate, Fate::Missing(_) | Fate::Unknown(_))).then_some(size);
        Ok(Examined { fate, taken: None, tried: Vec::new(), reads, absent, size })
    }

    /// Whether a question without an answer can run.
    fn poisoned(&self, runs: &dyn Fn(At) -> bool) -> bool {
        let missing = |fixup: &&Fixup| matches!(fixup.edit, Edit::Missing(_));
        self.plan.fixups.iter().filter(missing).any(|fixup| runs(self.now(fixup)))
    }

    fn now(&self, fixup: &Fixup) -> At {
        self.settled.code.now(At { section: fixup.section, slot: fixup.slot })
    }

    /// What it reads, and what it asks for in vain, each once.
    fn asked(&self, runs: &dyn Fn(At) -> bool) -> (Vec<Read>, Vec<Absent>) {
        let (mut reads, mut absent) = (BTreeSet::new(), BTreeSet::new());
        for fixup in self.plan.fixups.iter().filter(|fixup| runs(self.now(fixup))) {
            let Access { kind, local, target, at, .. } = &fixup.access;
            let value = matches!(kind, CoreKind::ByteOff | CoreKind::EnumvalValue);
            if let (Some(target), true) = (target, value) {
                reads.insert(Read { local: local.clone(), target: target.clone() });
            }
            if let Some(why) = &fixup.access.absent {
                let at = at.as_ref().map(|at| (at.file.clone(), at.line, at.col));
                absent.insert(Absent { local: local.clone(), why: why.clone(), at });
            }
        }
        (reads.into_iter().collect(), absent.into_iter().collect())
    }

    fn size(&self, functions: &BTreeSet<At>, start: At) -> Size {
        let slots = functions.iter().map(|at| {
            let own =
                self.settled.code.sections.get(&at.section).and_then(|s| s.function_from(at.slot));
            let slots = own.map_or(0..0, |own| own.slots.clone());
            slots.filter(|slot| self.settled.reach.runs(At { slot: *slot, ..*at })).count()
        });
        let insns = slots.sum();
        let mut frames = Frames::new(&self.settled.code, &self.settled.reach);
        Size { insns, stack: frames.depth(start) }
    }

    /// What the kernel lacks for a program, each once.
    fn lacks(&self, about: &About, functions: &BTreeSet<At>, start: At, size: Size) -> Vec<Lack> {
        let code = &self.settled.code;
        let user = || about.name.clone();
        let whole = |kind, name| Lack { kind, name, user: user(), at: about.at.clone() };
        let mut lacks = self.maps.clone();
        lacks.extend(
            self.offer.section(section_of(code, start)).map(|(kind, name)| whole(kind, name)),
        );
        if self.offer.too_long(size.insns) {
            lacks.push(whole(Lacking::Length, format!("{} instructions", size.insns)));
        }
        if size.stack > super::calls::MAX_STACK {
            lacks.push(whole(Lacking::Stack, format!("{} bytes of stack", size.stack)));
        }
        let mut told = BTreeSet::new();
        for at in functions {
            let Some(section) = code.sections.get(&at.section) else { continue };
            let Some(function) = section.function_from(at.slot) else { continue };
            for slot in function.slots.clone() {
                let one = section.slots[slot];
                if one.second || !self.settled.reach.runs(At { slot, ..*at }) {
                    continue;
                }
                let lack = if let Some(name) = self.offer.instructions(one.insn) {
                    (Lacking::Instructions, name.to_owned())
                } else if lacks::is_helper_call(one.insn)
                    && self.offer.call(one.insn.imm) == Called::Lacks
                {
                    (Lacking::Helper, lacks::helper_name(one.insn.imm))
                } else {
                    continue;
                };
                if told.insert(lack.clone()) {
                    let was = section.was(slot).saturating_sub(function.was.start);
                    let at = record::line_at(self.object, &function.name, was);
                    let (kind, name) = lack;
                    lacks.push(Lack { kind, name, user: function.name.clone(), at });
                }
            }
        }
        lacks
    }
}

fn section_of(code: &Code, at: At) -> &str {
    code.sections.get(&at.section).map_or("", |section| &section.name)
}

/// Where a program begins.
fn entry(code: &Code, name: &str) -> Option<At> {
    let mut sections = code.sections.iter().filter(|(_, section)| section.name != ".text");
    sections.find_map(|(index, section)| {
        let function = section.functions.iter().find(|function| function.name == name)?;
        Some(At { section: *index, slot: function.slots.start })
    })
}
