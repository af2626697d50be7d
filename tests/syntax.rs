//! The front end on files: trees and diagnostics as snapshots beside their inputs.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their inputs, and fail by panicking"
)]

use std::path::Path;
use ubpfc::diag::{Code, Format, render};
use ubpfc::source::{Origin, Sources};
use ubpfc::syntax;
use ubpfc::syntax::ast::{ExprKind, ItemKind, StmtKind};

/// Runs `print` over every `.ub` file in a folder of `testdata`, and compares with `NAME.KIND.snap` beside it.
fn snapshots(glob: &str, kind: &str, print: impl Fn(&mut Sources, &str, String) -> String) {
    insta::glob!("../testdata", glob, |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_input_file();
        settings.remove_snapshot_suffix();
        let printed = print(&mut Sources::new(), name, text);
        settings.bind(|| insta::assert_snapshot!(format!("{name}.{kind}"), printed));
    });
}

#[test]
fn trees() {
    snapshots("syntax/*.ub", "ast", |sources, name, text| {
        let file = sources.add(name, text, Origin::User);
        let (parsed, diags) = syntax::parse(sources, file);
        assert_eq!(render(sources, &diags, Format::Human { colour: false }), "", "{name}");
        syntax::print_ast(&parsed.file)
    });
}

#[test]
fn tokens() {
    snapshots("syntax/probes.ub", "tokens", |sources, name, text| {
        let file = sources.add(name, text, Origin::User);
        let (tokens, diags) = syntax::tokens(sources, file);
        assert!(diags.is_empty());
        syntax::print_tokens(sources, file, &tokens)
    });
}

#[test]
fn errors() {
    snapshots("errors/E00*.ub", "diag", |sources, name, text| {
        let file = sources.add(name, text, Origin::User);
        let (parsed, diags) = syntax::parse(sources, file);
        let code = &name[..5];
        assert!(diags.sorted().iter().any(|d| d.code.as_str() == code), "{name} shows {code}");
        let shown = render(sources, &diags, Format::Human { colour: false });
        format!("{shown}\n{}", syntax::print_ast(&parsed.file))
    });
}

/// Codes whose example would be too large for a file; `hostile` has them.
const NO_FILE: &[Code] = &[Code::E0008, Code::E0015];

#[test]
fn every_syntax_code_has_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/errors");
    let files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    for code in Code::ALL.iter().filter(|c| c.as_str().starts_with("E00") && !NO_FILE.contains(c)) {
        assert!(
            files
                .iter()
                .any(|f| f.starts_with(code.as_str())
                    && Path::new(f).extension() == Some("ub".as_ref())),
            "{}",
            code.as_str()
        );
    }
}

#[test]
fn documentation_is_found_by_position() {
    let text = "/// One.\n/// Two.\nstruct s {\n    int a; // of a\n    /// Of b.\n    int b;\n\n    /// Lost.\n\n    int c;\n}\n";
    let mut sources = Sources::new();
    let file = sources.add("doc.ub", text, Origin::User);
    let (parsed, diags) = syntax::parse(&sources, file);
    assert!(diags.is_empty());
    let item = &parsed.file.items[0];
    let doc = |span| parsed.trivia.doc_before(span, &sources);
    assert_eq!(doc(item.span).as_deref(), Some("One.\nTwo."));
    let ItemKind::Struct(decl) = &item.kind else { panic!("a struct") };
    let docs: Vec<_> = decl.fields.iter().map(|f| doc(f.span)).collect();
    assert_eq!(docs, [None, Some("Of b.".to_owned()), None]);
    assert_eq!(parsed.trivia.comments.iter().filter(|c| c.trailing).count(), 1);
    assert_eq!(parsed.trivia.blank_lines.len(), 2);
}

#[test]
fn spans_cover_what_was_written() {
    let text = "// x\nuser:a /pid/ { let $x = (1 + 2) * 3; if $x { @y[1]++ } emit *args.p; f( 1 ) ; }\n\nstruct s { const int *a[2] : 3 = (b); };\n";
    let mut sources = Sources::new();
    let file = sources.add("spans.ub", text, Origin::User);
    let (parsed, diags) = syntax::parse(&sources, file);
    assert!(diags.is_empty());
    let [probe, decl] = parsed.file.items.as_slice() else { panic!("two items") };
    assert!(
        sources.text(probe.span).starts_with("user:a") && sources.text(probe.span).ends_with("; }")
    );
    let ItemKind::Probe(probe) = &probe.kind else { panic!("a probe") };
    assert_eq!(sources.text(probe.specs[0].parts[1].span), "a");
    let stmts: Vec<_> = probe.body.stmts.iter().map(|s| sources.text(s.span)).collect();
    assert_eq!(stmts, ["let $x = (1 + 2) * 3", "if $x { @y[1]++ }", "emit *args.p", "f( 1 )"]);
    let StmtKind::Let { init: Some(init), .. } = &probe.body.stmts[0].kind else { panic!("a let") };
    let ExprKind::Binary(_, sum, _) = &init.kind else { panic!("a product") };
    assert_eq!(sources.text(sum.span), "(1 + 2)");
    assert_eq!(sources.text(decl.span), "struct s { const int *a[2] : 3 = (b); };");
    let ItemKind::Struct(decl) = &decl.kind else { panic!("a struct") };
    assert_eq!(sources.text(decl.fields[0].span), "const int *a[2] : 3 = (b)");
    assert_eq!(sources.text(decl.fields[0].sources[0].span), "(b)");
}
