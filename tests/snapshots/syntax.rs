//! The front end on files: trees and diagnostics as snapshots beside their inputs.

use super::{shown, snapshots};
use ubpfc::source::{Origin, Sources};
use ubpfc::syntax;
use ubpfc::syntax::ast::{ExprKind, ItemKind, StmtKind};

#[test]
fn trees() {
    snapshots("syntax/*.ub", "ast", |name, text| {
        let mut sources = Sources::new();
        let file = sources.add(name, text, Origin::User);
        let (parsed, diags) = syntax::parse(&sources, file);
        assert_eq!(shown(&sources, &diags), "", "{name}");
        syntax::print_ast(&parsed.file)
    });
}

#[test]
fn tokens() {
    snapshots("syntax/probes.ub", "tokens", |name, text| {
        let mut sources = Sources::new();
        let file = sources.add(name, text, Origin::User);
        let (tokens, diags) = syntax::tokens(&sources, file);
        assert!(diags.is_empty());
        syntax::print_tokens(&sources, file, &tokens)
    });
}

#[test]
fn errors() {
    snapshots("errors/E00*.ub", "diag", |name, text| {
        let mut sources = Sources::new();
        let file = sources.add(name, text, Origin::User);
        let (parsed, diags) = syntax::parse(&sources, file);
        let code = &name[..5];
        assert!(diags.sorted().iter().any(|d| d.code.as_str() == code), "{name} shows {code}");
        let shown = shown(&sources, &diags);
        format!("{shown}\n{}", syntax::print_ast(&parsed.file))
    });
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
