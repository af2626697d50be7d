//! Hostile input to the front end: one clear diagnostic, never a panic, an overflow of the stack, or a long wait.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their inputs, and fail by panicking"
)]

use proptest::prelude::*;
use std::time::{Duration, Instant};
use ubpfc::diag::{Code, Diags};
use ubpfc::source::{Origin, Sources};
use ubpfc::syntax;

/// Parses and prints; everything that recurses over the tree has been exercised then.
fn parse(text: impl Into<String>) -> (String, Diags) {
    let mut sources = Sources::new();
    let file = sources.add("hostile.ub", text, Origin::User);
    let (parsed, diags) = syntax::parse(&sources, file);
    (syntax::print_ast(&parsed.file), diags)
}

/// The codes of all diagnostics, in order.
fn codes(text: impl Into<String>) -> Vec<Code> {
    parse(text).1.sorted().iter().map(|d| d.code).collect()
}

const N: usize = 100_000;

#[test]
fn deep_nesting_is_one_diagnostic_at_the_token_that_is_too_much() {
    let many = |unit: &str| unit.repeat(N);
    for expression in [
        format!("{}1{}", many("("), many(")")),
        format!("{}$x", many("-")),
        format!("{}$x", many("!")),
        format!("{}$x", many("- ")),
        format!("{}$x", many("(u32)")),
        format!("{}$x", many("(foo)")),
        format!("1{}", many("+1")),
        format!("1{}", many(" && 1")),
        format!("$x{}", many(".a")),
        format!("$x{}", many("[0]")),
        format!("$x{}", many("++")),
        format!("1{}", many("?1:1")),
        format!("(u32 {})$x", many("*")),
        format!("{}1{}", many("f("), many(")")),
        format!("{}1{}", many("({"), many("})")),
        format!("{{1}}{}", many("+{1}")),
        format!("@x{}1{}", many("[@x"), many("]")),
    ] {
        assert_eq!(
            codes(format!("begin {{ $y = {expression}; }}")),
            [Code::E0008],
            "{}",
            &expression[..20]
        );
    }
    for item in [
        format!("begin {}{}", many("{"), many("}")),
        format!("begin {{ if 1 {{ }} {} }}", many("else if 1 { } ")),
        format!("struct s {{ int {}x; }};", many("*")),
        format!("struct s {{ int x{}; }};", many("[1]")),
        format!("struct s {{ int {}x{}; }};", many("("), many(")")),
        format!("struct s {{ {} int x; {} }};", many("struct {"), many("};")),
        format!("enum e {{ A = {}1 }}", many("~")),
        format!("const C = {}1;", many("-")),
        many("("),
        many("{"),
        format!("begin {}", many("[")),
    ] {
        assert_eq!(codes(item.clone()), [Code::E0008], "{}", &item[..20]);
    }
}

#[test]
fn long_is_not_deep() {
    let many = |unit: &str| unit.repeat(N / 5);
    for item in [
        format!("begin {{ {} }}", many("$x = ($y + 1) * -$z; ")),
        format!("begin {{ {} }}", many("if 1 { } ")),
        format!("begin {{ {} }}", many("if 1 { } else { } ")),
        format!("begin {{ f({}); }}", many("$a + 1, ")),
        format!("struct s {{ {} }};", many("int *x[3]; ")),
        format!("struct s {{ int a = b{}; }};", many(" else b->c.d")),
        format!("enum e {{ {} }}", many("A = 1 + 2, ")),
        many("begin { } "),
        many("const C = 1 + 2; "),
    ] {
        assert_eq!(codes(item.clone()), [], "{}", &item[..20]);
    }
}

#[test]
fn two_hundred_levels_are_the_limit() {
    let nested = |n: usize| codes(format!("begin {{ $x = {}1{}; }}", "(".repeat(n), ")".repeat(n)));
    assert_eq!(nested(190), []);
    assert_eq!(nested(210), [Code::E0008]);
}

#[test]
fn bytes_that_mean_nothing_are_one_diagnostic() {
    assert_eq!(codes("\0".repeat(N)), [Code::E0002]);
    assert_eq!(codes("§".repeat(N)), [Code::E0002]);
    assert_eq!(codes(format!("begin {{ $x = 1; {} }}", "\0".repeat(N))), [Code::E0002]);
    assert_eq!(codes("begin { }\0\0"), [Code::E0002]);
}

#[test]
fn empty_files_are_one_diagnostic() {
    for text in ["", " \n\t\n", "\u{feff}", "#!/usr/bin/env ubpfc", ";;;", "// x"] {
        assert_eq!(codes(text), [Code::E0014], "{text:?}");
    }
}

#[test]
fn what_is_never_closed_is_one_diagnostic() {
    for (text, code) in [
        ("begin { }\n/* ", Code::E0004),
        ("begin { /* }", Code::E0004),
        ("begin { printf(\"abc", Code::E0003),
        ("begin { $x = 'a", Code::E0003),
        ("begin {", Code::E0007),
        ("begin { if 1 { f(1", Code::E0007),
        ("struct s { int x;", Code::E0007),
        ("begin { $x = \"\\", Code::E0003),
    ] {
        assert_eq!(codes(text), [code], "{text}");
    }
}

#[test]
fn a_long_line_is_read_in_linear_time() {
    let megabytes = |unit: &str, n: usize| unit.repeat((n << 20) / unit.len());
    for text in [
        megabytes("a", 10),
        format!("begin {{ $x = \"{}\"; }}", megabytes("a", 10)),
        format!("begin {{ $x = {}; }}", megabytes("1", 10)),
        format!("begin {{ {} }}", megabytes("$x = 1; ", 5)),
        format!("begin {{ {} }}", megabytes("$x = ; ", 5)),
        format!("begin {{ {} }}", megabytes("$x $y ", 5)),
        format!("begin {{ {} }}", megabytes("/* */ ", 10)),
        // Below the limit for tokens, so that the parser gets them.
        format!("begin {{ {} }}", "$x $y ".repeat(N)),
        format!("begin {{ {} }}", "$x = ; ".repeat(N)),
        format!("struct s {{ {} }};", "int; ".repeat(N)),
        format!("struct s {{ {} }};", "= ".repeat(N)),
        "a;".repeat(4 * N),
        "x:y\n".repeat(4 * N),
        "begin { $x = ; }".repeat(N),
        format!("struct s {{ struct {{ {} }} {} }};", "int x; ".repeat(N), "a, ".repeat(N)),
        format!("struct s {{ {}int x; }};", "long ".repeat(N)),
        format!("struct s {{ {} int x; {} }};", "struct {".repeat(90), "} a, b;".repeat(90)),
        format!("uprobe{} {{ }}", megabytes(":", 10)),
        format!("uprobe:{}", megabytes("/", 10)),
        megabytes("kprobe:x, ", 5),
        megabytes("(x)", 10),
        megabytes(")", 10),
        megabytes("\0 ", 10),
        megabytes("\"", 10),
        megabytes("\"\\q\n", 10),
        megabytes("'\n", 10),
        megabytes("x:y ", 5),
        megabytes("a\n", 10),
        megabytes("struct s {} ", 5),
    ] {
        let start = Instant::now();
        let (_, diags) = parse(text.as_str());
        assert!(diags.sorted().len() <= 100);
        let limit = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 6 });
        assert!(start.elapsed() < limit, "{} took {:?}", &text[..20], start.elapsed());
    }
}

#[test]
fn every_prefix_of_every_example_is_parsed() {
    insta::glob!("../testdata", "syntax/*.ub", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        for (end, _) in text.char_indices() {
            parse(&text[..end]);
        }
    });
}

/// How deep the parentheses of a printed tree nest.
fn depth(printed: &str) -> usize {
    let step = |(now, most): (usize, usize), byte: u8| match byte {
        b'(' => (now + 1, most.max(now + 1)),
        b')' => (now.saturating_sub(1), most),
        _ => (now, most),
    };
    printed.bytes().fold((0, 0), step).1
}

/// Pieces that make trees deeper.
const DEEPENERS: &[&str] = &[
    "(",
    "(1",
    "- ",
    "!",
    "*",
    "{",
    "{ 1",
    "if 1 {",
    "} else if 1 {",
    "} else {",
    "while 1 {",
    "$x = ",
    "f(",
    "[",
    "@x[",
    "(u32)",
    "+ 1",
    "? 1 :",
    "1",
    "$x",
    ".a",
    "}",
    ")",
    "]",
    ";",
    ",",
    "({",
    "= {",
    "(struct s){ .a =",
];

/// Pieces of scripts, right and wrong.
const PIECES: &[&str] = &[
    "begin",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    "?",
    ".",
    "..",
    "->",
    "=",
    "==",
    "+",
    "-",
    "*",
    "/",
    "<<",
    "&&",
    "!",
    "++",
    "+=",
    "$x",
    "@m",
    "name",
    "foo",
    "42",
    "100ms",
    "0x",
    "\"s\"",
    "'c'",
    "\"",
    "'",
    "if",
    "else",
    "for",
    "while",
    "unroll",
    "let",
    "return",
    "emit",
    "struct",
    "union",
    "enum",
    "kernel",
    "mirrors",
    "u32",
    "unsigned",
    "char",
    "void",
    "string",
    "const",
    "import",
    "param",
    "config",
    "fn",
    "tracepoint",
    "user:x",
    "kprobe:y",
    "uprobe:/a/*:b",
    "sizeof",
    "offsetof",
    "true",
    "\n",
    "\n",
    "//",
    "/*",
    "*/",
    "///",
    "#",
    "\0",
    "é",
    "@",
    "$",
    "...",
    "BEGIN",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_never_panics(pieces in prop::collection::vec((0..PIECES.len(), any::<bool>()), 0..80)) {
        let text: String =
            pieces.iter().flat_map(|(i, space)| [PIECES[*i], if *space { " " } else { "" }]).collect();
        let (printed, diags) = parse(text);
        prop_assert!(!printed.contains("(error)") || diags.has_errors());
    }

    #[test]
    fn trees_are_never_deep(pieces in prop::collection::vec(0..DEEPENERS.len(), 0..800)) {
        let text: String = pieces.iter().map(|i| DEEPENERS[*i]).collect();
        // A level of brackets or operators is at most three of the printed tree: a statement, its body, its condition.
        for script in [format!("begin {{ {text}"), format!("const C = {text};")] {
            let deepest = depth(&parse(script).0);
            prop_assert!(deepest <= 600, "{} levels", deepest);
        }
    }

    #[test]
    fn bytes_never_panic(text in "\\PC{0,200}") {
        parse(text);
    }
}
