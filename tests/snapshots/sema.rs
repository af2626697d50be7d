//! The whole front end on files: HIR and diagnostics as snapshots beside their inputs.

use super::{Beside, analyze, shown, snapshots};
use std::path::Path;
use ubpfc::diag::Code;
use ubpfc::driver::{self, Options};
use ubpfc::sema;
use ubpfc::source::{Origin, Sources};

#[test]
fn hir() {
    snapshots("hir/*.ub", "hir", |name, text| {
        let (sources, hir, diags) = analyze(name, text);
        assert!(!diags.has_errors(), "{}", shown(&sources, &diags));
        sema::print(&hir)
    });
}

/// What the whole compiler says. Syntax errors are shown with their trees elsewhere.
#[test]
fn errors() {
    snapshots("errors/{E0[1-9],W}*.ub", "diag", |name, text| {
        let mut sources = Sources::new();
        let root = sources.add(name, text, Origin::User);
        let options = Options { require_abi: name.starts_with("E0399"), ..Options::default() };
        let (_, diags) = driver::compile(&mut sources, root, &mut Beside, options);
        let code = name.split('-').next().unwrap();
        let shows = diags.sorted().iter().any(|d| d.code.as_str() == code);
        let shown = shown(&sources, &diags);
        assert!(shows, "{name} does not show {code}:\n{shown}");
        shown
    });
}

/// Codes of scripts that are too large for a file; `tests/hostile_syntax.rs` and `tests/backend/limits.rs` have them.
const NO_FILE: &[Code] =
    &[Code::E0015, Code::E0105, Code::E0502, Code::E0503, Code::E0506, Code::E0507];

/// Whether findings of a code are about objects, kernels and locks, not about scripts; `tests/cli_relocate.rs`, `tests/cli_kernels.rs`, `tests/lacks.rs` and `tests/library.rs` have them.
fn not_of_scripts(code: Code) -> bool {
    let relocation = ["E06", "E07"].iter().any(|group| code.as_str().starts_with(group));
    let library = matches!(code, Code::E0350 | Code::E0351 | Code::E0352);
    relocation
        || library
        || matches!(
            code,
            Code::E0340 | Code::W1005 | Code::W1006 | Code::W1007 | Code::W1008 | Code::W1010
        )
}

#[test]
fn every_code_has_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/errors");
    let files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|f| Path::new(f).extension() == Some("ub".as_ref()))
        .collect();
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !NO_FILE.contains(code) && !not_of_scripts(**code))
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
