//! What kernels lack of the library: `testdata/library/absent.tsv`, which names for each field, enumerator, tracepoint and argument the kernels without it, and why.

use super::answers::{ALL, LIBRARY};
use super::table::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const FILE: &str = "absent.tsv";
/// In place of a reason that the library does not give.
const UNEXPLAINED: &str = "unexplained";
const HEAD: &[&str] = &[
    "# What kernels lack of the library: its name there, why, and the kernels. Written by the tests of `tests/uapi_kernels` with UBPFC_WRITE_TABLES=1 and UBPFC_KERNELS; a reason is kept as it stands.",
    "# An event's arguments are listed where a kernel has the event without them.",
];
/// What a line of the head with the kernels that were looked at begins with.
const KERNELS: &str = "# Kernels: ";

/// For each thing that a kernel lacks the kernels. Of an event that is lacking its arguments are not told again.
fn lacking() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for answers in &*ALL {
        for name in answers.taken.keys().filter(|name| answers.lacks(name)) {
            let event = name.starts_with("user:").then(|| name.split('.').next().unwrap());
            if event.is_some_and(|event| event != name && answers.lacks(event)) {
                continue;
            }
            lacking.entry(name).or_default().insert(answers.kernel);
        }
    }
    lacking
}

/// Why the library says that kernels may lack something: the sentences of its comment that begin so.
fn reason(name: &str) -> Option<String> {
    const SAID: &[&str] =
        &["Optional: ", "Kernels have it since ", "Kernels built without ", "Absent "];
    let doc = if let Some(event) = name.strip_prefix("user:") {
        let event = event.split('.').next().unwrap();
        LIBRARY.tracepoints.iter().find(|t| t.name == event)?.doc.as_deref()
    } else {
        let (of, member) = name.split_once('.').unwrap();
        let mirror = LIBRARY.mirrors.iter().find(|m| m.name == of);
        let field = mirror.and_then(|m| m.fields.iter().find(|f| f.name == member));
        let of = LIBRARY.enums.iter().find(|e| e.name == of);
        let enumerator = of.and_then(|e| e.enumerators.iter().find(|e| e.name == member));
        field.and_then(|f| f.doc.as_deref()).or(enumerator.and_then(|e| e.doc.as_deref()))
    }?;
    let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let at = SAID.iter().filter_map(|said| doc.find(said)).min()?;
    let said = doc[at..].trim_start_matches("Optional: ");
    Some(said.split(". ").next().unwrap().trim_end_matches('.').to_owned())
}

/// Whether the library says itself that a kernel may be without it.
fn is_optional(name: &str) -> bool {
    if name.starts_with("user:") {
        return false;
    }
    let (of, member) = name.split_once('.').unwrap();
    let field = LIBRARY.mirrors.iter().filter(|m| m.name == of).flat_map(|m| &m.fields);
    let enumerators = LIBRARY.enums.iter().filter(|e| e.name == of).flat_map(|e| &e.enumerators);
    field.filter(|f| f.name == member).any(|f| f.optional)
        || enumerators.filter(|e| e.name == member).any(|e| e.optional)
}

#[test]
fn what_kernels_lack_is_what_the_table_says() {
    let lacking = lacking();
    let mut table = Table::read(FILE);
    if Table::is_to_be_written() {
        let mut old = std::mem::take(&mut table.rows);
        let kernels: Vec<&str> = ALL.iter().map(|answers| answers.kernel).collect();
        table.head = HEAD.iter().map(|line| (*line).to_owned()).collect();
        table.head.extend(kernels.iter().map(|kernel| format!("{KERNELS}{kernel}")));
        for (name, kernels) in &lacking {
            let said = old.remove(*name).map(|columns| columns[0].clone());
            let said = said.filter(|said| said != UNEXPLAINED).or_else(|| reason(name));
            let kernels = kernels.iter().copied().collect::<Vec<_>>().join(" ");
            table.rows.insert(
                (*name).to_owned(),
                vec![said.unwrap_or_else(|| UNEXPLAINED.to_owned()), kernels],
            );
        }
        table.write();
    }
    let known: BTreeSet<&str> =
        table.head.iter().filter_map(|line| line.strip_prefix(KERNELS)).collect();
    let here: BTreeSet<&str> = ALL.iter().map(|answers| answers.kernel).collect();
    let mut wrong = String::new();
    for kernel in here.difference(&known) {
        let _ = writeln!(wrong, "{kernel}: the table does not know it");
    }
    let nowhere = BTreeSet::new();
    let names: BTreeSet<&str> =
        lacking.keys().copied().chain(table.rows.keys().map(String::as_str)).collect();
    for name in names {
        let row = table.rows.get(name);
        let told: BTreeSet<&str> = row.map_or("", |row| &row[1]).split_whitespace().collect();
        let told: BTreeSet<&str> = told.intersection(&here).copied().collect();
        let found = lacking.get(name).unwrap_or(&nowhere);
        if told != *found {
            let _ = writeln!(
                wrong,
                "{name} is lacking on {:?}, and by the table on {:?}",
                found.difference(&told),
                told.difference(found)
            );
        }
        if row.is_some_and(|row| row[0].is_empty()) {
            let _ = writeln!(wrong, "{name} has no reason");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is neither optional nor an event is there, or the table tells that it is not.
#[test]
fn what_is_not_optional_is_there_or_in_the_table() {
    let (mut there, mut optional, mut told) = (0, 0, 0);
    let table = Table::read(FILE);
    for answers in &*ALL {
        for name in answers.taken.keys() {
            if !answers.lacks(name) {
                there += 1;
            } else if is_optional(name) || name.starts_with("user:") {
                optional += 1;
            } else {
                assert!(table.rows.contains_key(name), "{name} on {}", answers.kernel);
                told += 1;
            }
        }
    }
    eprintln!(
        "{} kernels: {there} there, {optional} optional and absent, {told} absent as the table tells",
        ALL.len()
    );
    assert!(there > optional);
}
