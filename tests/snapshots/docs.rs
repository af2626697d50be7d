//! The pages that show the language: their examples compile, and without a warning.
//!
//! An indented block that begins with `// NAME.ub` begins a script; the blocks after it continue the script.

use super::{analyze, shown};

/// The scripts of a page, by name.
fn scripts(page: &str) -> Vec<(String, String)> {
    let mut scripts: Vec<(String, String)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(name) = line.strip_prefix("// ").and_then(|name| name.strip_suffix(".ub")) {
            scripts.push((name.to_owned(), String::new()));
        } else {
            let (_, text) = scripts.last_mut().expect("a script begins with its name");
            text.push_str(line);
            text.push('\n');
        }
    }
    scripts
}

#[test]
fn examples_of_the_language_compile() {
    let scripts = scripts(include_str!("../../docs/language.md"));
    assert!(scripts.len() >= 2, "too few: {scripts:?}");
    for (name, text) in scripts {
        let (sources, _, diags) = analyze(&name, &text);
        assert!(diags.is_empty(), "{}", shown(&sources, &diags));
    }
}
