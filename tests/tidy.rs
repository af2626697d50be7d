//! Rules that the compiler does not check: which stage may know which, and that files stay readable.

#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each part of the library, and the parts that it may import. Data flows one way: from `source` down to `cli`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("source", &[]),
    ("target", &[]),
    ("diag", &["source"]),
    ("syntax", &["source", "diag"]),
    ("uapi", &[]),
    ("registers", &[]),
    ("bytes", &["target"]),
    ("btf", &["target", "bytes", "sema"]),
    ("sema", &["source", "diag", "syntax", "uapi"]),
    ("ir", &["source", "sema"]),
    ("isa", &["source", "target", "sema", "ir"]),
    ("lower", &["source", "diag", "target", "registers", "sema", "ir", "isa"]),
    ("object", &["source", "diag", "target", "bytes", "btf", "sema", "ir", "isa"]),
    ("kernel", &["target", "bytes", "btf"]),
    (
        "relocate",
        &["diag", "source", "target", "registers", "bytes", "btf", "isa", "object", "kernel"],
    ),
    ("atlas", &["target", "bytes", "btf", "object", "kernel", "relocate"]),
    ("check", &["object", "kernel", "relocate", "atlas"]),
    ("library", &["source", "diag", "syntax", "uapi", "sema"]),
    (
        "driver",
        &["source", "diag", "target", "syntax", "sema", "ir", "isa", "lower", "object", "library"],
    ),
    (
        "cli",
        &[
            "source", "diag", "target", "sema", "library", "driver", "btf", "isa", "object",
            "kernel", "relocate", "atlas", "check",
        ],
    ),
];

/// A file is read in one sitting.
const MAX_LINES: usize = 800;

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn files_of(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it can be read");
            (path, text)
        })
        .collect()
}

/// The part that a file of `src` belongs to: the first component of its path.
fn part_of(path: &Path) -> String {
    let below =
        path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("it is in src");
    let first = below
        .components()
        .next()
        .expect("it has a name")
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The names after `crate::` in code, also those of `crate::{a, b::c}`.
fn imports(text: &str) -> Vec<String> {
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map(|g| &g[..g.find("};").unwrap_or(g.len())]);
        let mut depth = 0;
        let top_level = |c: char| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        };
        let items: Vec<&str> = group.map_or(vec![rest], |g| g.split(top_level).collect());
        let name = |item: &str| {
            item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        names.extend(items.into_iter().map(name).filter(|n| !n.is_empty()));
    }
    names
}

#[test]
fn a_stage_knows_nothing_of_the_stages_after_it() {
    let mut broken = Vec::new();
    for (path, text) in files_of("src") {
        let part = part_of(&path);
        if part == "lib" || part == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == part) else {
            broken.push(format!("{}: `{part}` is not in the table of parts", path.display()));
            continue;
        };
        for import in imports(&text) {
            if import != part && !allowed.contains(&import.as_str()) {
                broken.push(format!("{}: `{part}` imports `{import}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_can_be_read_in_one_sitting_and_says_what_it_is() {
    let mut broken = Vec::new();
    for (path, text) in ["src", "tests", "grammar"].into_iter().flat_map(files_of) {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            broken.push(format!("{}: {lines} lines; split it by what it is about", path.display()));
        }
        if !text.starts_with("//!") {
            broken.push(format!("{}: does not open with what it is (`//!`)", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
