//! What kernels answer to the questions of a library.
//!
//! In: a library, and kernels. Out: for each question the kernels' answers, those that are equal together. They are what relocation finds for the library's survey: nothing is decided here.

use crate::atlas::{Atlas, Unknown};
use crate::cli::Exit;
use crate::cli::kernel::Opened;
use crate::cli::messages::{Findings, Stop};
use crate::cli::relocate::without_flavor;
use crate::driver;
use crate::library::{About, Library, Question};
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use crate::object::ubpf;
use crate::relocate::choose::Chosen;
use crate::relocate::{self, Access, Action, Options, Told};
use crate::sema::hir::{Alternative, KEntry, KExpr, KExprKind, KStep, KThen};
use crate::sema::imports::Importer;
use crate::target::{Endian, Target};
use serde::Serialize;
use std::collections::BTreeSet;

/// What a kernel answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Answer {
    /// Whether it has it.
    pub(super) status: Status,
    /// The index of the first alternative that it has.
    pub(super) alternative: Option<usize>,
    /// Of a field: the places that the paths of the alternative lead through, in their order.
    pub(super) places: Vec<Spot>,
    /// Of an enumerator: its number.
    pub(super) value: Option<u64>,
    /// Of a tracepoint: the section of the program there.
    pub(super) section: Option<String>,
    /// Of a tracepoint: what the event calls each argument, and its place; none where it lacks it.
    pub(super) args: Vec<(String, Option<usize>)>,
    /// Why it has it not.
    pub(super) why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It has it.
    Found,
    /// It has it not.
    Absent,
    /// The kernel cannot be asked.
    Unknown,
}

/// A place in a kernel's types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Spot {
    /// `struct task_struct.pid`
    pub(super) path: String,
    /// In bytes from the start of that struct.
    pub(super) offset: u32,
    /// In bytes; of a bitfield those of the load.
    pub(super) size: Option<u32>,
    /// Of a bitfield: its first bit and its width.
    pub(super) bits: Option<(u32, u8)>,
}

/// Kernels that answer alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    /// Their names.
    pub(super) kernels: Vec<String>,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// A question with all answers.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) about: About,
    pub(super) groups: Vec<Group>,
}

/// Asks every kernel every question.
pub(super) fn resolve(
    library: &Library,
    importer: &mut dyn Importer,
    kernels: &[Opened],
    no_btf: bool,
) -> Result<Vec<Resolved>, Stop> {
    let questions = library.questions();
    let mut objects: [Option<Vec<u8>>; 2] = [None, None];
    let mut resolved: Vec<Resolved> = questions
        .iter()
        .map(|question| Resolved { about: question.about.clone(), groups: Vec::new() })
        .collect();
    for Opened { kernel, atlas } in kernels {
        let endian = kernel.load(&[])?.target()?.image.endian;
        let object = &mut objects[usize::from(endian == Endian::Big)];
        if object.is_none() {
            *object = Some(survey(library, importer, endian)?);
        }
        let bytes = object.as_deref().unwrap_or_default();
        let options = Options { no_btf, ..Options::default() };
        let relocation = relocate::relocate(bytes, kernel, options);
        let failed = relocation.result.err().map(|error| error.to_string());
        let unknown = atlas.map_or_else(BTreeSet::new, |atlas| unknown(atlas, bytes));
        for (question, resolved) in questions.iter().zip(&mut resolved) {
            let answer = if unknown.contains(&question.program) {
                Answer::without(Status::Unknown, "the atlas was made before this was asked")
            } else {
                answer(library, question, &relocation.told, failed.as_deref())
            };
            resolved.add(&kernel.name, answer);
        }
    }
    Ok(resolved)
}

/// The programs of an object whose questions an atlas does not tell.
fn unknown(atlas: &Atlas<'_>, object: &[u8]) -> BTreeSet<String> {
    let Ok(object) = Object::parse(object) else { return BTreeSet::new() };
    let unknown = atlas.unknown(&object).unwrap_or_default();
    let programs = object.ubpf().ok().flatten().map(|ubpf| ubpf.programs).unwrap_or_default();
    let of_event = |event: &String| {
        let has = |form: &ubpf::Form| form.event == *event;
        let bound = programs.iter().filter(move |p| p.forms.iter().any(has));
        bound.map(|program| program.name.clone()).collect::<Vec<_>>()
    };
    let names = unknown.iter().flat_map(|unknown| match unknown {
        Unknown::Event(event) => of_event(event),
        Unknown::Question(asked) => vec![asked.function.clone()],
    });
    names.collect()
}

/// The library's survey for kernels of a byte order.
fn survey(library: &Library, importer: &mut dyn Importer, endian: Endian) -> Result<Vec<u8>, Stop> {
    let target = Target { endian, ..Target::default() };
    driver::survey(library, importer, target)
        .map_err(|(sources, diags)| Stop::new(Exit::Input, Findings { sources, diags }))
}

impl Resolved {
    fn add(&mut self, kernel: &str, answer: Answer) {
        match self.groups.iter_mut().find(|group| group.answer == answer) {
            Some(group) => group.kernels.push(kernel.to_owned()),
            None => self.groups.push(Group { kernels: vec![kernel.to_owned()], answer }),
        }
    }
}

impl Answer {
    fn new(status: Status) -> Answer {
        Answer {
            status,
            alternative: None,
            places: Vec::new(),
            value: None,
            section: None,
            args: Vec::new(),
            why: None,
        }
    }

    fn without(status: Status, why: impl Into<String>) -> Answer {
        Answer { why: Some(why.into()), ..Answer::new(status) }
    }
}

fn answer(library: &Library, question: &Question, told: &Told, failed: Option<&str>) -> Answer {
    if let About::Tracepoint(_) = &question.about {
        let chosen = told.programs.iter().find(|chosen| chosen.name == question.program);
        return chosen.map_or_else(
            || Answer::without(Status::Unknown, failed.unwrap_or("it was not asked")),
            event,
        );
    }
    let answers: Vec<_> =
        told.answers.iter().filter(|a| a.access.function == question.program).collect();
    if answers.is_empty() {
        return Answer::without(Status::Unknown, failed.unwrap_or("it asks nothing"));
    }
    let found: Vec<&Access> = answers
        .iter()
        .map(|answer| &answer.access)
        .filter(|access| matches!(access.kind, CoreKind::ByteOff | CoreKind::EnumvalValue))
        .filter(|access| !is_without(access.action))
        .collect();
    let alternatives = alternatives(library, &question.about);
    let find = |any: &Vec<String>| {
        any.iter().find_map(|path| found.iter().find(|f| without_flavor(&f.local) == *path))
    };
    let exists = |path: &String| {
        let mut all = answers.iter().map(|answer| &answer.access);
        all.any(|a| {
            let asks = matches!(a.kind, CoreKind::FieldExists | CoreKind::EnumvalExists);
            asks && a.value == Some(1) && without_flavor(&a.local) == *path
        })
    };
    let wanted = |needs: &Needs| {
        let holds = |(paths, absent): &(Vec<String>, bool)| paths.iter().all(exists) != *absent;
        let read = || needs.read.iter().map(find).collect::<Option<Vec<_>>>();
        needs.guards.iter().all(holds).then(read).flatten()
    };
    let taken = alternatives.iter().enumerate().find_map(|(i, needs)| Some((i, wanted(needs)?)));
    let Some((index, accesses)) = taken else {
        let why = answers.iter().find_map(|answer| answer.reason.as_ref());
        return Answer::without(Status::Absent, why.map_or("", |why| &*why.why));
    };
    // Questions about one path by several kinds of type are told apart by their flavors alone: which alternative asks which is not known here.
    let flavors = |path: &str| {
        let same = answers.iter().filter(move |a| without_flavor(&a.access.local) == path);
        same.map(|answer| &*answer.access.local).collect::<BTreeSet<_>>().len()
    };
    let certain = alternatives[index].read.iter().flatten().all(|path| flavors(path) <= 1);
    let places = accesses.iter().filter(|access| access.kind == CoreKind::ByteOff);
    Answer {
        alternative: Some(index).filter(|_| certain || alternatives.len() == 1),
        places: places.map(|access| spot(access)).collect(),
        value: match &question.about {
            About::Enumerator { .. } => accesses.first().and_then(|access| access.value),
            About::Field { .. } | About::Tracepoint(_) => None,
        },
        ..Answer::new(Status::Found)
    }
}

/// Whether there is no answer.
fn is_without(action: Action) -> bool {
    matches!(action, Action::Unreachable | Action::Poisoned | Action::Missing)
}

fn spot(access: &Access) -> Spot {
    let target = access.target.clone().unwrap_or_default();
    let offset = access.bit_offset.unwrap_or_default();
    Spot {
        path: target,
        offset: offset / 8,
        size: access.size,
        bits: access.bits.map(|width| (offset % 8, width)),
    }
}

/// What the kernel has of a tracepoint's events.
fn event(chosen: &Chosen) -> Answer {
    let Some(taken) = &chosen.taken else {
        let tried: Vec<String> =
            chosen.tried.iter().map(|tried| format!("{}: {}", tried.event, tried.why)).collect();
        return Answer::without(Status::Absent, tried.join("; "));
    };
    Answer {
        section: Some(taken.section.clone()),
        args: taken.args.iter().map(|arg| (arg.name.clone(), arg.index)).collect(),
        why: (!taken.certain).then(|| "not certain: the kernel's types do not tell".to_owned()),
        ..Answer::new(Status::Found)
    }
}

/// What an alternative needs of a kernel, in paths as reports spell them.
#[derive(Default)]
struct Needs {
    /// What its value is read from, in the order in which that is followed; of each the first that there is.
    read: Vec<Vec<String>>,
    /// What else must be there, or must not.
    guards: Vec<(Vec<String>, bool)>,
}

/// For each alternative of what is asked what it needs.
fn alternatives(library: &Library, about: &About) -> Vec<Needs> {
    match about {
        About::Field { mirror, field } => {
            let mirror = library.mirrors.iter().find(|m| m.name == *mirror);
            let field = mirror.and_then(|m| m.fields.iter().find(|f| f.name == *field));
            let alternatives = field.into_iter().flat_map(|field| &field.alternatives);
            alternatives.map(|alternative| Needs::of(&alternative.value)).collect()
        }
        About::Enumerator { name, enumerator } => {
            let of = library.enums.iter().find(|e| e.name == *name);
            let kernel = of.and_then(|of| of.kernel.as_deref()).unwrap_or_default();
            let found = of.and_then(|of| of.enumerators.iter().find(|e| e.name == *enumerator));
            let sources = found.into_iter().flat_map(|found| &found.sources);
            let needs = |source| {
                let read = vec![vec![format!("enum {kernel}::{source}")]];
                Needs { read, ..Needs::default() }
            };
            sources.map(needs).collect()
        }
        About::Tracepoint(_) => Vec::new(),
    }
}

impl Needs {
    fn of(alternative: &Alternative) -> Needs {
        let guards = alternative.guards.iter().map(|guard| {
            let paths = guard.path.hops.iter().filter(|hop| !hop.steps.is_empty());
            (paths.map(|hop| spelled(&hop.root, &hop.steps)).collect(), guard.absent)
        });
        let mut needs = Needs { read: Vec::new(), guards: guards.collect() };
        needs.expression(&alternative.value);
        needs
    }

    fn add(&mut self, any: Vec<String>) {
        if !self.read.contains(&any) {
            self.read.push(any);
        }
    }

    fn expression(&mut self, value: &KExpr) {
        match &value.kind {
            KExprKind::Const(_) => {}
            KExprKind::Enumerator { enum_name, names } => {
                self.add(names.iter().map(|name| format!("enum {enum_name}::{name}")).collect());
            }
            KExprKind::Unary(_, operand)
            | KExprKind::Convert(_, operand)
            | KExprKind::FromNetwork(_, operand) => self.expression(operand),
            KExprKind::Binary(_, left, right) => {
                self.expression(left);
                self.expression(right);
            }
            KExprKind::Path(path) => {
                for hop in &path.hops {
                    if let KEntry::Member { of, steps, .. } = &hop.entry {
                        self.add(vec![spelled(of, steps)]);
                    }
                    if !hop.steps.is_empty() {
                        self.add(vec![spelled(&hop.root, &hop.steps)]);
                    }
                    if let KThen::Element { index, .. } = &hop.then {
                        self.expression(index);
                    }
                }
            }
        }
    }
}

fn spelled(root: &str, steps: &[KStep]) -> String {
    let steps = steps.iter().map(|step| match step {
        KStep::Member(name) => format!(".{name}"),
        KStep::Index(index) => format!("[{index}]"),
    });
    format!("struct {root}{}", steps.collect::<String>())
}
