//! Which alternatives are some kernel's: `testdata/library/alternatives.tsv` names, for each one that no kernel of `testdata/kernels` takes, another that does, or why there is none.

use super::answers::{ALL, LIBRARY, survey};
use super::support::package;
use super::table::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::EventKind;
use ubpfc::target::Endian;

const FILE: &str = "alternatives.tsv";
const HEAD: &str = "# Alternatives that no kernel of `testdata/kernels` takes: the first one that does, or `none` and why. Written by the tests of `tests/uapi_kernels` with UBPFC_WRITE_TABLES=1 and UBPFC_KERNELS; a reason is kept as it stands.";
/// In place of a reason that nobody has given yet.
const UNEXPLAINED: &str = "unexplained";
const NONE: &str = "none";

/// Every alternative, as `field#0`, with its text.
fn every() -> BTreeMap<String, String> {
    let mut every = BTreeMap::new();
    for mirror in &LIBRARY.mirrors {
        for field in &mirror.fields {
            for (index, alternative) in field.alternatives.iter().enumerate() {
                let name = format!("{}.{}#{index}", mirror.name, field.name);
                every.insert(name, alternative.text.clone());
            }
        }
    }
    for of in LIBRARY.enums.iter().filter(|of| of.kernel.is_some()) {
        for enumerator in &of.enumerators {
            for (index, source) in enumerator.sources.iter().enumerate() {
                every.insert(format!("{}.{}#{index}", of.name, enumerator.name), source.clone());
            }
        }
    }
    for tracepoint in &LIBRARY.tracepoints {
        for (index, source) in tracepoint.sources.iter().enumerate() {
            every.insert(format!("user:{}#{index}", tracepoint.name), source.clone());
        }
        for arg in &tracepoint.args {
            for (index, name) in arg.names.iter().enumerate() {
                every
                    .insert(format!("user:{}.{}#{index}", tracepoint.name, arg.name), name.clone());
            }
        }
    }
    let ubpf = Object::parse(survey(Endian::Little)).unwrap().ubpf().unwrap().unwrap();
    // Of functions it is not told which prototype is taken.
    let tracepoints = ubpf.events.iter().filter(|event| event.kind == EventKind::Tracepoint);
    for event in tracepoints.filter(|event| event.prototypes.len() > 1) {
        for (index, prototype) in event.prototypes.iter().enumerate() {
            let args: Vec<&str> = prototype.args.iter().map(|arg| &*arg.name).collect();
            every.insert(
                format!("tracepoint {}#{index}", event.name),
                format!("({})", args.join(", ")),
            );
        }
    }
    every
}

/// For each alternative the kernels that take it.
fn takers() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut takers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for answers in &*ALL {
        let taken = answers
            .taken
            .iter()
            .flat_map(|(name, indices)| indices.iter().map(move |index| format!("{name}#{index}")));
        for name in taken.chain(answers.prototypes.iter().cloned()) {
            takers.entry(name).or_default().insert(answers.kernel);
        }
    }
    takers
}

#[test]
fn every_alternative_is_taken_by_a_kernel_or_listed() {
    let (every, takers) = (every(), takers());
    let unknown: Vec<_> = takers.keys().filter(|name| !every.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let own = |kernel: &&str| package("testdata/kernels").join(format!("{kernel}.btf.xz")).exists();
    let here: BTreeSet<&str> = ALL.iter().map(|answers| answers.kernel).collect();
    let mut table = Table::read(FILE);
    if Table::is_to_be_written() {
        let mut old = std::mem::take(&mut table.rows);
        table.head = vec![HEAD.to_owned()];
        for (name, text) in &every {
            let kernels = takers.get(name);
            if kernels.is_some_and(|kernels| kernels.iter().any(own)) {
                continue;
            }
            let taker = kernels.and_then(|kernels| kernels.first());
            let said = old.remove(name).and_then(|columns| columns.get(2).cloned());
            let columns = match taker {
                Some(taker) => vec![text.clone(), (*taker).to_owned()],
                None => vec![
                    text.clone(),
                    NONE.to_owned(),
                    said.unwrap_or_else(|| UNEXPLAINED.to_owned()),
                ],
            };
            table.rows.insert(name.clone(), columns);
        }
        table.write();
    }
    let mut wrong = String::new();
    let mut counts = [0; 3];
    for (name, text) in &every {
        let kernels = takers.get(name);
        let is_own = kernels.is_some_and(|kernels| kernels.iter().any(own));
        let Some(row) = table.rows.get(name) else {
            if !is_own {
                let _ =
                    writeln!(wrong, "{name} ({text}) is taken by none of the project's kernels");
            }
            counts[0] += 1;
            continue;
        };
        let taker = row[1].as_str();
        counts[if taker == NONE { 2 } else { 1 }] += 1;
        let known = kernels.map(|kernels| kernels.contains(taker));
        let right = match taker {
            NONE => kernels.is_none() && row.get(2).is_some_and(|why| !why.is_empty()),
            _ => !here.contains(taker) || known == Some(true),
        };
        if is_own || !right || row[0] != *text {
            let _ = writeln!(
                wrong,
                "{name} ({text}) is taken by {kernels:?}, and by the table {row:?}"
            );
        }
    }
    for name in table.rows.keys().filter(|name| !every.contains_key(*name)) {
        let _ = writeln!(wrong, "{name} is nothing of the library");
    }
    let [own, others, none] = counts;
    eprintln!(
        "{} alternatives: {own} of the project's kernels, {others} of others, {none} of none",
        every.len()
    );
    assert!(wrong.is_empty(), "{wrong}");
}
