//! What kernels answer to the questions of the library: which alternative of each field and enumerator they have, which event of each tracepoint, and which prototype of that.
//!
//! In: the survey, relocated to every kernel, with types that loaders see and without. Out: [`Answers`], by kernel. Invariant: what is absent here is what programs see as absent: nothing but the
//! relocator's own answers is looked at.

use super::support::kernels::{self, KernelTypes};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use ubpfc::driver;
use ubpfc::kernel::{Kernel, Places};
use ubpfc::library::{About, Library, Question};
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::{EventKind, Ubpf};
use ubpfc::relocate::choose::Chosen;
use ubpfc::relocate::{self, Access, Action, Options};
use ubpfc::sema::hir::{Alternative, KEntry, KExpr, KExprKind, KStep, KThen};
use ubpfc::sema::imports;
use ubpfc::target::{Endian, Target};

/// The library.
pub(crate) static LIBRARY: LazyLock<Library> = LazyLock::new(Library::embedded);

/// The surveys, for little-endian and for big-endian kernels.
static SURVEYS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [Endian::Little, Endian::Big].map(|endian| {
        let target = Target { endian, ..Target::default() };
        driver::survey(&LIBRARY, &mut imports::Library, target).unwrap()
    })
});

/// The survey for a kernel.
pub(crate) fn survey(endian: Endian) -> &'static [u8] {
    &SURVEYS[usize::from(endian == Endian::Big)]
}

/// What a kernel answers.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Its name.
    pub(crate) kernel: &'static str,
    /// For each field, enumerator, tracepoint and argument, by its name in the library, the alternatives that are taken; none if it is absent.
    pub(crate) taken: BTreeMap<String, Vec<usize>>,
    /// The prototypes that are taken, as `tracepoint NAME#INDEX`.
    pub(crate) prototypes: Vec<String>,
}

/// The answers of every kernel, in the order of names.
pub(crate) static ALL: LazyLock<Vec<Answers>> =
    LazyLock::new(|| kernels::all().iter().map(answers).collect());

/// A kernel as its file has it.
pub(crate) fn opened(kernel: &KernelTypes) -> Kernel {
    Kernel::from_bytes(&Places::default(), Path::new("k"), kernel.btf().to_vec()).unwrap()
}

fn answers(types: &'static KernelTypes) -> Answers {
    let kernel = opened(types);
    let endian = kernel.load(&[]).unwrap().target().unwrap().image.endian;
    let bytes = survey(endian);
    let ubpf = Object::parse(bytes).unwrap().ubpf().unwrap().unwrap();
    let mut answers =
        Answers { kernel: &types.name, taken: BTreeMap::new(), prototypes: Vec::new() };
    for no_btf in [false, true] {
        let options = Options { no_btf, ..Options::default() };
        let told = relocate::relocate(bytes, &kernel, options).told;
        let mut accesses: BTreeMap<&str, Vec<&Access>> = BTreeMap::new();
        for answer in &told.answers {
            accesses.entry(&answer.access.function).or_default().push(&answer.access);
        }
        for question in LIBRARY.questions() {
            if let About::Tracepoint(name) = &question.about {
                let chosen = told.programs.iter().find(|p| p.name == question.program);
                answers.event(name, chosen.expect("every program is told of"), &ubpf);
            } else if !no_btf {
                let of_it = accesses.get(&*question.program);
                let of_it = of_it.unwrap_or_else(|| panic!("{} asks nothing", question.program));
                answers.value(&question, of_it);
            }
        }
    }
    answers
}

impl Answers {
    /// Whether the kernel lacks something.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        self.taken[name].is_empty()
    }

    fn event(&mut self, name: &str, chosen: &Chosen, ubpf: &Ubpf) {
        let tracepoint = LIBRARY.tracepoints.iter().find(|t| t.name == *name).unwrap();
        let event = format!("user:{name}");
        let of_event = self.taken.entry(event.clone()).or_default();
        let Some(taken) = &chosen.taken else {
            for arg in &tracepoint.args {
                self.taken.entry(format!("{event}.{}", arg.name)).or_default();
            }
            return;
        };
        let source = |source: &String| {
            let (kind, target) = source.split_once(' ').unwrap();
            let target = target.rsplit(':').next().unwrap();
            kind == word(taken.kind) && target == taken.event
        };
        let source = tracepoint.sources.iter().position(source);
        of_event.push(source.unwrap_or_else(|| panic!("{event} is not of {}", taken.event)));
        if let (Some(index), EventKind::Tracepoint) = (taken.prototype, taken.kind) {
            let of = ubpf.events.iter().find(|e| (e.kind, &e.name) == (taken.kind, &taken.event));
            if of.is_some_and(|of| of.prototypes.len() > 1) {
                self.prototypes.push(format!("tracepoint {}#{index}", taken.event));
            }
        }
        // What a mirror's argument is called in the kernel is asked for by name; the result of a function has a place as well.
        for arg in &tracepoint.args {
            let bound = taken.args.iter().find(|bound| arg.names.contains(&bound.name));
            let index = bound.and_then(|bound| {
                bound.index.and_then(|_| arg.names.iter().position(|name| *name == bound.name))
            });
            let of_it = self.taken.entry(format!("{event}.{}", arg.name)).or_default();
            of_it.extend(index);
        }
    }

    fn value(&mut self, question: &Question, accesses: &[&Access]) {
        let (name, alternatives) = asked(&question.about);
        let taken = alternatives.iter().position(|needs| needs.is_met(accesses));
        self.taken.entry(name).or_default().extend(taken);
    }
}

fn word(kind: EventKind) -> &'static str {
    kind.function_word().unwrap_or("tracepoint")
}

/// What something is called, and for each of its alternatives what it needs.
fn asked(about: &About) -> (String, Vec<Needs>) {
    match about {
        About::Field { mirror, field } => {
            let of = LIBRARY.mirrors.iter().find(|m| m.name == *mirror).unwrap();
            let found = of.fields.iter().find(|f| f.name == *field).unwrap();
            let needs = found.alternatives.iter().map(|a| Needs::of(&a.value)).collect();
            (format!("{mirror}.{field}"), needs)
        }
        About::Enumerator { name, enumerator } => {
            let of = LIBRARY.enums.iter().find(|e| e.name == *name).unwrap();
            let kernel = of.kernel.as_deref().unwrap();
            let found = of.enumerators.iter().find(|e| e.name == *enumerator).unwrap();
            let needs = |source: &String| Needs {
                read: vec![vec![format!("enum {kernel}::{source}")]],
                guards: Vec::new(),
            };
            (format!("{name}.{enumerator}"), found.sources.iter().map(needs).collect())
        }
        About::Tracepoint(_) => unreachable!("it is no value"),
    }
}

/// What an alternative needs of a kernel, in paths as reports spell them.
#[derive(Default)]
struct Needs {
    /// What its value is read from; of each the first that there is.
    read: Vec<Vec<String>>,
    /// What else must be there, or must not.
    guards: Vec<(Vec<String>, bool)>,
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

    fn is_met(&self, accesses: &[&Access]) -> bool {
        let without =
            |action| matches!(action, Action::Unreachable | Action::Poisoned | Action::Missing);
        let read = |path: &String| {
            accesses.iter().any(|a| {
                matches!(a.kind, CoreKind::ByteOff | CoreKind::EnumvalValue)
                    && !without(a.action)
                    && essential(&a.local) == *path
            })
        };
        let exists = |path: &String| {
            accesses.iter().any(|a| {
                matches!(a.kind, CoreKind::FieldExists | CoreKind::EnumvalExists)
                    && a.value == Some(1)
                    && essential(&a.local) == *path
            })
        };
        self.guards.iter().all(|(paths, absent)| paths.iter().all(exists) != *absent)
            && self.read.iter().all(|any| any.iter().any(read))
    }

    fn expression(&mut self, value: &KExpr) {
        match &value.kind {
            KExprKind::Const(_) => {}
            KExprKind::Enumerator { enum_name, names } => {
                let paths = names.iter().map(|name| format!("enum {enum_name}::{name}"));
                self.read.push(paths.collect());
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
                        self.read.push(vec![spelled(of, steps)]);
                    }
                    if !hop.steps.is_empty() {
                        self.read.push(vec![spelled(&hop.root, &hop.steps)]);
                    }
                    if let KThen::Element { index, .. } = &hop.then {
                        self.expression(index);
                    }
                }
            }
        }
    }
}

/// A local path without what tells the local type from others of the name: `struct task_struct___user.pid` is `struct task_struct.pid`.
fn essential(path: &str) -> String {
    let (root, rest) = path.split_at(path.find(['.', '[', ':']).unwrap_or(path.len()));
    format!("{}{rest}", root.split("___").next().unwrap())
}

fn spelled(root: &str, steps: &[KStep]) -> String {
    let steps = steps.iter().map(|step| match step {
        KStep::Member(name) => format!(".{name}"),
        KStep::Index(index) => format!("[{index}]"),
    });
    format!("struct {root}{}", steps.collect::<String>())
}
