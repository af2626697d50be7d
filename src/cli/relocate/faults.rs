//! Why an object cannot be relocated, as diagnostics that show the line of the script or C file.
//!
//! In: records without an answer, or the error that stopped the plan. Out: one diagnostic for each field, type or enumerator at each place. The lines are those that the object quotes: no
//! source file is needed.

use super::advice;
use super::report::{short, without_flavor};
use crate::atlas::Unknown;
use crate::cli::messages::Findings;
use crate::cli::text::plural;
use crate::diag::{Code, Diagnostic};
use crate::kernel::Form;
use crate::object::ubpf::{RelocatedFor, Ubpf};
use crate::relocate::choose::Lost;
use crate::relocate::examine::Untold;
use crate::relocate::{
    Access, ApplyError, Cause, Dependent, Foreign, Kinship, Lack, Lacking, Missing, Place,
    RelocateError, Tried, Unresolved,
};
use crate::source::{FileId, Span};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// How many diagnostics are shown; who has more has another kernel than he thinks.
const MAX_SHOWN: usize = 20;
/// How many candidates, functions and the like a note lists.
const MAX_LISTED: usize = 8;

/// Diagnostics for records without an answer that can run. Those without a source line are told of the object; `ubpf` is what one of our own says of itself.
pub(in crate::cli) fn missing(
    object: &str,
    kernel: &str,
    form: Form,
    records: &[Unresolved],
    ubpf: Option<&Ubpf>,
) -> Findings {
    let groups = group(records);
    let hidden = groups.len().saturating_sub(MAX_SHOWN);
    let shown: Vec<&Group<'_>> = groups.iter().take(MAX_SHOWN).collect();
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, shown.iter().filter_map(|group| group.at()));
    for (index, group) in shown.iter().enumerate() {
        let mut diagnostic = group.diagnostic(kernel, files.span(group.at()), ubpf);
        if form == Form::Tracefs {
            diagnostic = diagnostic.help(advice::TRACEFS);
        }
        if index + 1 == MAX_SHOWN && hidden > 0 {
            let places = plural(hidden, "other place");
            diagnostic = diagnostic.note(format!("the same goes for {places}; --json lists all"));
        }
        findings.diags.push(diagnostic);
    }
    findings
}

/// Diagnostics for programs that the kernel has no event for.
pub(in crate::cli) fn no_event(object: &str, kernel: &str, programs: &[Lost]) -> Findings {
    let mut findings = Findings::default();
    let files =
        Excerpts::new(&mut findings, object, programs.iter().filter_map(|lost| lost.at.as_ref()));
    for Lost { name, at, tried, near, .. } in programs {
        let message = format!("{kernel} has no event that `{name}` can run at");
        let tried: Vec<String> =
            tried.iter().map(|tried| format!("`{}`: {}", tried.called(), tried.why)).collect();
        let near = listed(near.iter().map(|near| format!("`{near}`")), "or");
        let help = if near.is_empty() {
            "if a module has the event, name its file with `--module`; otherwise give the user tracepoint another one with `else`, or put `?` after the probe's spec to do without".into()
        } else {
            format!("did you mean {near}? if a module has the event, name its file with `--module`")
        };
        let diagnostic = Diagnostic::new(Code::E0612, files.span(at.as_ref()), message);
        findings.diags.push(diagnostic.label(tried.join("; ")).help(help));
    }
    findings
}

/// Warnings of helpers and kinds of maps that an object uses and the kernel has not.
pub(super) fn lacking(object: &str, kernel: &str, lacks: &[Lack]) -> Findings {
    let help = "the object is written, but that kernel will not load it: leave out what needs this, or relocate for a newer kernel";
    all_lacking(object, kernel, lacks, (Code::W1006, help), |user| format!("`{user}`"))
}

/// The same as errors: a program that uses it does not run there.
pub(in crate::cli) fn lacks(object: &str, kernel: &str, lacks: &[Lack]) -> Findings {
    let help = "leave out what needs this; newer kernels have it";
    all_lacking(object, kernel, lacks, (Code::E0620, help), |_| "the program".into())
}

fn all_lacking(
    object: &str,
    kernel: &str,
    lacks: &[Lack],
    (code, help): (Code, &str),
    called: impl Fn(&str) -> String,
) -> Findings {
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, lacks.iter().filter_map(|l| l.at.as_ref()));
    let mut seen = BTreeSet::new();
    for Lack { kind, name, user, at } in lacks {
        let place = at.as_ref().map(|at| (&at.file, at.line));
        if !seen.insert((*kind, name, place)) || seen.len() > MAX_SHOWN {
            continue;
        }
        let program = called(user);
        let (what, label) = match kind {
            Lacking::Helper => (format!("helper `{name}`"), format!("{program} calls it here")),
            Lacking::MapType => {
                (format!("maps of the kind `{name}`"), format!("the map `{user}` is one"))
            }
            Lacking::ProgramType => {
                (format!("programs of the type `{name}`"), format!("{program} is one"))
            }
            Lacking::AttachType => {
                (format!("programs attached as `{name}`"), format!("{program} is one"))
            }
            Lacking::Instructions => (name.clone(), format!("{program} has some here")),
            Lacking::Length => (
                format!("room for {name}"),
                format!("{program} has so many, and kernels of that time take 4096"),
            ),
            Lacking::Stack => (
                format!("room for {name}"),
                format!(
                    "{program} takes so much with all that it calls; no kernel has more than 512"
                ),
            ),
        };
        let message = format!("{kernel} has no {what}");
        let diagnostic = Diagnostic::new(code, files.span(at.as_ref()), message);
        findings.diags.push(diagnostic.label(label).help(help));
    }
    findings
}

/// Warnings of what an atlas was not asked about its kernels.
pub(in crate::cli) fn untold(object: &str, untold: &[Untold]) -> Findings {
    let mut findings = Findings::default();
    let places = untold.iter().filter_map(|untold| untold.at.as_ref());
    let files = Excerpts::new(&mut findings, object, places);
    for Untold { what, at } in untold.iter().take(MAX_SHOWN) {
        let what = without_flavor(short(what));
        let message = format!("whether the kernel has `{what}`, the atlas does not tell");
        let help = "name a file with the kernel's types: `--kernel FILE`, or an atlas that was made for this object too: `ubpfc atlas build --for`";
        let diagnostic = Diagnostic::new(Code::W1010, files.span(at.as_ref()), message);
        findings.diags.push(diagnostic.label("the program asks for it").help(help));
    }
    findings
}

/// Warnings of numbers that are found by their offset alone, and have another size in the kernel.
pub(super) fn sizes(object: &str, kernel: &str, accesses: &[Access]) -> Findings {
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, accesses.iter().filter_map(|a| a.at.as_ref()));
    for access in accesses.iter().take(MAX_SHOWN) {
        let Access { function, insn, local, local_size, size, at, .. } = access;
        let [ours, theirs] = [local_size, size].map(|size| size.unwrap_or_default());
        let message = format!(
            "`{}` has {} in {kernel}, and {} in the object",
            without_flavor(short(local)),
            plural(theirs as usize, "byte"),
            ours,
        );
        let help = "code that reads as many bytes as the object has reads wrongly: declare it as the kernel has it in another flavor, or read it by `BPF_CORE_READ_BITFIELD_PROBED`, which asks for the size";
        let label = format!("in `{function}`, instruction {insn}, which takes the offset alone");
        let diagnostic = Diagnostic::new(Code::W1007, files.span(at.as_ref()), message);
        findings.diags.push(diagnostic.label(label).help(help));
    }
    findings
}

/// The diagnostic for questions that an atlas was never asked.
pub(super) fn unknown(object: &str, kernel: &str, unknown: &[Unknown]) -> Findings {
    let named = |unknown: &Unknown| match unknown {
        Unknown::Event(event) => format!("the event `{event}`"),
        Unknown::Question(asked) => format!("`{}`", without_flavor(&asked.local)),
    };
    let at = unknown.iter().find_map(|unknown| match unknown {
        Unknown::Event(_) => None,
        Unknown::Question(asked) => asked.at.as_ref().map(|at| (unknown, at)),
    });
    let Some(first) = at.map(|(first, _)| first).or(unknown.first()) else {
        return Findings::default();
    };
    let at = at.map(|(_, at)| at);
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, at);
    let message = format!("the atlas does not tell whether {kernel} has {}", named(first));
    let mut diagnostic = Diagnostic::new(Code::E0704, files.span(at), message);
    let first = named(first);
    let mut others: Vec<String> = unknown.iter().map(named).filter(|name| *name != first).collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        diagnostic = diagnostic.note(format!("nor about {}", listed(others.into_iter(), "and")));
    }
    let help = "the atlas knows what the library's mirrors and user tracepoints ask about; give a file of that kernel instead: its BTF, vmlinux or vmlinuz";
    findings.diags.push(diagnostic.help(help));
    findings
}

/// Programs that may not have been compiled against this kernel: errors, or warnings where the object says against which one they were.
pub(in crate::cli) fn foreign(
    object: &str,
    kernel: &str,
    foreign: &Foreign,
    strict: bool,
) -> Findings {
    let mut findings = Findings::default();
    let Foreign { kinship, compiled_for, programs } = foreign;
    let places = programs.iter().filter_map(|p| p.culprit.as_ref()).map(|(at, _)| at);
    let files = Excerpts::new(&mut findings, object, places);
    let code = if strict { Code::E0340 } else { Code::W1008 };
    let theirs = compiled_for.as_ref().map_or_else(String::new, |theirs| {
        let release = theirs.release.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
        format!("{}{release}", theirs.name)
    });
    for Dependent { name, culprit } in programs.iter().take(MAX_SHOWN) {
        let message = match kinship {
            Kinship::Other => {
                format!("`{name}` was compiled against {theirs}, and {kernel} is another kernel")
            }
            Kinship::Unknown => format!(
                "`{name}` was compiled against {theirs}, and nothing tells whether {kernel} is the same"
            ),
            Kinship::Untold => {
                format!("`{name}` does not say which kernel it was compiled against")
            }
        };
        let span = files.span(culprit.as_ref().map(|(at, _)| at));
        let mut diagnostic = Diagnostic::new(code, span, message);
        if let Some((_, why)) = culprit {
            diagnostic = diagnostic.label(why.as_str());
        }
        findings.diags.push(diagnostic.note("the program is not abi: it reads memory where the other kernel keeps something, whatever this one keeps there").help(
            "look whether it holds for this kernel too, and compile it with `--kernel`",
        ));
    }
    findings
}

/// The diagnostic for an object that has been relocated for another kernel.
pub(super) fn relocated(object: &str, kernel: &str, target: &RelocatedFor) -> Findings {
    let release = target.release.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
    let message = format!("{object} is relocated already, for {}{release}", target.name);
    let mut findings = Findings::default();
    let span = findings.whole(object);
    let help = format!("for {kernel}, relocate the object that the compiler wrote");
    findings.diags.push(Diagnostic::new(Code::E0613, span, message).help(help));
    findings
}

/// The diagnostic for an object whose code cannot be edited; `at` is where it points to, if that is known.
pub(super) fn broken_code(object: &str, error: &ApplyError, at: Option<&Place>) -> Findings {
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, at);
    let span = files.span(at);
    findings.diags.push(Diagnostic::new(Code::E0611, span, error.to_string()));
    findings
}

/// The diagnostic for an error that stops the plan.
pub(super) fn stopped(object: &str, kernel: &str, error: &RelocateError) -> Findings {
    let at = error.at();
    let mut findings = Findings::default();
    let files = Excerpts::new(&mut findings, object, at);
    let span = files.span(at);
    let diagnostic = |code, message: String| Diagnostic::new(code, span, message);
    let diagnostic = match error {
        RelocateError::Object(why) => diagnostic(Code::E0609, why.clone()),
        RelocateError::Target(why) => {
            diagnostic(Code::E0703, format!("the types of {kernel} are broken: {why}"))
        }
        RelocateError::ByteOrder { object, target } => diagnostic(
            Code::E0610,
            format!("the object is {object}-endian, and {kernel} is {target}-endian"),
        )
        .help(match *target {
            "big" => "compile for the other byte order: `ubpfc --target bpfeb`, `clang -target bpfeb`",
            _ => "compile for the other byte order: `ubpfc --target bpfel`, `clang -target bpfel`",
        }),
        RelocateError::Record { place, why, .. } | RelocateError::TooBig { place, why, .. } => {
            diagnostic(Code::E0606, format!("{place}: {why}"))
        }
        RelocateError::Ambiguous { function, insn, local, candidates, .. } => diagnostic(
            Code::E0604,
            format!("{kernel} has several types for `{}`, which disagree", without_flavor(short(local))),
        )
        .label(format!("in `{function}`, instruction {insn}"))
        .note(candidates.clone())
        .help("take a type that has fewer namesakes on the way, or read the field by a path through another struct"),
        RelocateError::Instruction { function, insn, why, .. } => {
            diagnostic(Code::E0608, format!("{why}, in `{function}`, instruction {insn}"))
                .note("the object was changed after it was compiled, or is relocated already")
        }
        RelocateError::Range { function, insn, local, value, .. } => diagnostic(
            Code::E0607,
            format!("`{}` is {} in {kernel}, which does not fit the instruction", without_flavor(short(local)), value.cast_signed()),
        )
        .label(format!("in `{function}`, instruction {insn}")),
    };
    findings.diags.push(diagnostic);
    findings
}

/// The lines that an object quotes, as files that diagnostics can point into.
struct Excerpts {
    files: BTreeMap<String, (FileId, BTreeMap<u32, Quoted>)>,
    object: Span,
}

/// A line: where it is in the excerpt, and its text.
struct Quoted {
    start: u32,
    text: String,
}

impl Excerpts {
    fn new<'p>(
        findings: &mut Findings,
        object: &str,
        places: impl IntoIterator<Item = &'p Place>,
    ) -> Excerpts {
        let mut lines: BTreeMap<&str, BTreeMap<u32, &str>> = BTreeMap::new();
        for place in places {
            lines.entry(&place.file).or_default().insert(place.line, &place.text);
        }
        let mut files = BTreeMap::new();
        for (file, lines) in lines {
            let lines: Vec<(u32, &str)> = lines.into_iter().collect();
            let id = findings.sources.add_excerpt(file, &lines);
            let (mut quoted, mut start) = (BTreeMap::new(), 0);
            for (number, text) in lines {
                quoted.insert(number, Quoted { start, text: text.to_owned() });
                start += u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
            }
            files.insert(file.to_owned(), (id, quoted));
        }
        Excerpts { files, object: findings.whole(object) }
    }

    /// What a place points to: the path that begins at its column, or the line.
    fn span(&self, place: Option<&Place>) -> Span {
        let line = place.and_then(|place| {
            let (file, lines) = self.files.get(&place.file)?;
            Some((*file, lines.get(&place.line)?, place.col))
        });
        let Some((file, Quoted { start, text }, col)) = line else { return self.object };
        let from = (col as usize).checked_sub(1).filter(|from| text.is_char_boundary(*from));
        let (from, len) = match from.and_then(|from| Some((from, text.get(from..)?))) {
            Some((from, rest)) if !rest.is_empty() => (from, path_len(rest)),
            _ => (text.len() - text.trim_start().len(), text.trim().len()),
        };
        let at = |offset: usize| start + u32::try_from(offset).unwrap_or(0);
        Span::new(file, at(from), at(from + len))
    }
}

/// The bytes of the path, such as `args.prev->pid`, that a text begins with; one character if it begins with none.
fn path_len(text: &str) -> usize {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '$');
    let mut len = 0;
    loop {
        let rest = text.get(len..).unwrap_or_default();
        let name = rest.find(|c| !part(c)).unwrap_or(rest.len());
        if name == 0 {
            return len.max(text.chars().next().map_or(0, char::len_utf8));
        }
        len += name;
        let rest = rest.get(name..).unwrap_or_default();
        let joint = ["->", "."].into_iter().find(|joint| {
            let after = rest.strip_prefix(*joint);
            after.is_some_and(|after| after.starts_with(part))
        });
        match joint {
            Some(joint) => len += joint.len(),
            None => return len,
        }
    }
}

/// Records at one place that lack the same thing.
struct Group<'r> {
    cause: Cause,
    records: Vec<&'r Unresolved>,
}

/// Groups in the order of their places; those without one come first.
fn group(records: &[Unresolved]) -> Vec<Group<'_>> {
    type Key<'r> = (Option<(&'r str, u32, u32)>, Cause);
    let mut groups: BTreeMap<Key<'_>, Group<'_>> = BTreeMap::new();
    for record in records {
        let Unresolved { access, missing } = record;
        let place = access.at.as_ref().map(|at| (at.file.as_str(), at.line, at.col));
        let cause = missing.cause;
        let group = groups.entry((place, cause)).or_insert(Group { cause, records: Vec::new() });
        group.records.push(record);
    }
    groups.into_values().collect()
}

fn code(cause: Cause) -> Code {
    match cause {
        Cause::NoField => Code::E0601,
        Cause::NoType => Code::E0602,
        Cause::NoEnumerator => Code::E0603,
        Cause::OtherType | Cause::Unfit => Code::E0605,
    }
}

impl<'r> Group<'r> {
    fn at(&self) -> Option<&'r Place> {
        self.records.first().and_then(|record| record.access.at.as_ref())
    }

    fn diagnostic(&self, kernel: &str, span: Span, ubpf: Option<&Ubpf>) -> Diagnostic {
        let mut subjects: IndexMap<String, &Missing, FxBuildHasher> = IndexMap::default();
        let mut functions: BTreeSet<&str> = BTreeSet::new();
        for Unresolved { access, missing } in self.records.iter().copied() {
            let local = if self.cause == Cause::NoType {
                root(&access.local)
            } else {
                short(&access.local)
            };
            subjects.entry(without_flavor(local)).or_insert(missing);
            functions.insert(&access.function);
        }
        let names = listed(subjects.keys().map(|name| format!("`{name}`")), "and");
        let message = match self.cause {
            Cause::NoType | Cause::NoField | Cause::NoEnumerator => {
                format!("{kernel} has no {names}")
            }
            Cause::OtherType => format!("{kernel} has {names}, but of another type"),
            Cause::Unfit => format!("{kernel} has {names}, but the program cannot take it"),
        };
        let mut labels: Vec<&str> = subjects.values().map(|missing| missing.why.as_str()).collect();
        labels.dedup();
        let mut diagnostic =
            Diagnostic::new(code(self.cause), span, message).label(labels.join("; "));
        diagnostic.notes.extend(subjects.values().flat_map(|missing| candidates(missing)));
        if let Some(ubpf) = ubpf {
            diagnostic.notes.extend(subjects.keys().filter_map(|name| advice::mirror(ubpf, name)));
        }
        // Several paths through one member end for one reason.
        diagnostic.notes.dedup();
        // Of C the line is that which the compiler gave the instruction, often one beside it.
        if let ([only], None, Some(_)) = (self.records.as_slice(), ubpf, self.at()) {
            let (function, insn) = (&only.access.function, only.access.insn);
            diagnostic = diagnostic.note(format!("in `{function}`, instruction {insn}"));
        } else if functions.len() > 1 || self.at().is_none() {
            let functions = functions.iter().map(|name| format!("`{name}`"));
            diagnostic = diagnostic.note(format!("in {}", listed(functions, "and")));
        }
        let mut near: Vec<&String> = subjects.values().flat_map(|missing| &missing.near).collect();
        near.dedup();
        diagnostic.help(advice::help(self.cause, ubpf.is_some(), &near))
    }
}

/// `struct adapter` of `struct adapter.hw.mac`
fn root(path: &str) -> &str {
    path.split(['.', '[', ':']).next().unwrap_or(path)
}

/// What became of each type of the kernel that has the name.
fn candidates(missing: &Missing) -> Vec<String> {
    let only = missing.tried.len() == 1;
    let told = |tried: &Tried| {
        let Tried { name, id, module, size, matched, why } = tried;
        let module = module.as_ref().map_or_else(String::new, |m| format!(" of module {m}"));
        let size =
            size.map_or_else(String::new, |size| format!(", {}", plural(size as usize, "byte")));
        let mut note = format!("tried {name} (type {id}{module}{size})");
        if !matched.is_empty() {
            let _ = write!(note, ", which has `{matched}`");
        }
        // Of a single candidate the label says why.
        if !only || *why != missing.why {
            let _ = write!(note, ": {why}");
        }
        note
    };
    let mut notes: Vec<String> = missing.tried.iter().take(MAX_LISTED).map(told).collect();
    if let hidden @ 1.. = missing.tried.len().saturating_sub(MAX_LISTED) {
        notes.push(format!("and {}", plural(hidden, "other type")));
    }
    notes
}

/// `a, b and c`
pub(in crate::cli) fn listed(names: impl Iterator<Item = String>, last: &str) -> String {
    let mut names: Vec<String> = names.collect();
    if let hidden @ 1.. = names.len().saturating_sub(MAX_LISTED) {
        names.truncate(MAX_LISTED);
        names.push(format!("{hidden} more"));
    }
    match names.pop() {
        None => String::new(),
        Some(only) if names.is_empty() => only,
        Some(end) => format!("{} {last} {end}", names.join(", ")),
    }
}
