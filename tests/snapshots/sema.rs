//! The whole front end on files: HIR and diagnostics as snapshots beside their inputs.

use super::{analyze, shown, snapshots};
use std::path::Path;
use ubpfc::diag::{Code, Severity};
use ubpfc::sema;

#[test]
fn hir() {
    snapshots("hir/*.ub", "hir", |name, text| {
        let (sources, hir, diags) = analyze(name, text);
        assert!(!diags.has_errors(), "{}", shown(&sources, &diags));
        sema::print(&hir)
    });
}

#[test]
fn errors() {
    snapshots("errors/{E0[1-9],W}*.ub", "diag", |name, text| {
        let (sources, _, diags) = analyze(name, text);
        let code = name.split('-').next().unwrap();
        let shows = diags.sorted().iter().any(|d| d.code.as_str() == code);
        let shown = shown(&sources, &diags);
        assert!(shows, "{name} does not show {code}:\n{shown}");
        shown
    });
}

/// Codes of scripts that are too large for a file or need several, and of `--require-abi`.
const NO_FILE: &[Code] = &[Code::E0008, Code::E0015, Code::E0104, Code::E0105, Code::E0399];

#[test]
fn every_code_of_the_front_end_has_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/errors");
    let files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|f| Path::new(f).extension() == Some("ub".as_ref()))
        .collect();
    let front_end = |code: &&Code| code.as_str() < "E0500" || code.severity() == Severity::Warning;
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(front_end)
        .filter(|code| !NO_FILE.contains(code))
        .map(|code| code.as_str())
        .filter(|code| !files.iter().any(|f| f.starts_with(code)))
        .collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
}

#[test]
fn a_chain_of_maps_that_are_read_before_they_are_written_is_followed_to_its_end() {
    let links: Vec<String> = (0..30).map(|i| format!("@m{i} = @m{};", i + 1)).collect();
    let links = links.concat();
    let (sources, hir, diags) = analyze("chain.ub", &format!("begin {{ {links} @m30 = nsecs; }}"));
    assert!(!diags.has_errors(), "{}", shown(&sources, &diags));
    assert!(sema::print(&hir).contains("map @m0: u64"));
}

#[test]
fn a_script_that_stops_anywhere_gives_diagnostics_and_no_panic() {
    for folder in ["testdata/hir", "testdata/errors"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            if file.extension() != Some("ub".as_ref()) {
                continue;
            }
            for (end, _) in text.char_indices().step_by(11) {
                let (_, hir, _) = analyze("cut.ub", &text[..end]);
                let _ = sema::print(&hir);
            }
        }
    }
}
