//! The library as a value: what it offers, what its survey asks, and what its lock promises.

#![allow(clippy::disallowed_methods, reason = "tests read files and environment")]

mod support;

use std::collections::BTreeSet;
use ubpfc::diag::{Format, render};
use ubpfc::driver;
use ubpfc::library::{About, Diff, Library, Lock, diff};
use ubpfc::object::read::Object;
use ubpfc::relocate::{asked, asked_aside};
use ubpfc::sema::imports::{self, Found, Importer};
use ubpfc::source::{FileId, Origin, Sources};
use ubpfc::target::{Endian, Target};
use ubpfc::uapi;

/// Compares with `testdata/library/NAME.snap`.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(support::package("testdata/library"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn survey(library: &Library, target: Target) -> Vec<u8> {
    driver::survey(library, &mut imports::Library, target).unwrap_or_else(|(sources, diags)| {
        panic!("{}", render(&sources, &diags, Format::Human { colour: false }))
    })
}

#[test]
fn the_embedded_library_is_without_errors_and_every_promise_says_what_it_is() {
    let mut sources = Sources::new();
    let names: Vec<&str> = uapi::names().collect();
    let (library, diags) = Library::read(&mut sources, &names, &mut imports::Library);
    assert!(diags.is_empty(), "{}", render(&sources, &diags, Format::Short));

    let files = library.files.iter().map(|file| (file.name.clone(), &file.doc));
    let mirrors = library.mirrors.iter().map(|m| (m.name.clone(), &m.doc));
    let fields = library.mirrors.iter().flat_map(|m| {
        m.fields.iter().map(move |field| (format!("{}.{}", m.name, field.name), &field.doc))
    });
    let enums = library.enums.iter().map(|e| (e.name.clone(), &e.doc));
    let tracepoints = library.tracepoints.iter().map(|t| (format!("user:{}", t.name), &t.doc));
    let all = files.chain(mirrors).chain(fields).chain(enums).chain(tracepoints);
    let silent: Vec<String> = all.filter(|(_, doc)| doc.is_none()).map(|(name, _)| name).collect();
    assert!(silent.is_empty(), "without a word on what it is: {}", silent.join(", "));
}

#[test]
fn the_survey_asks_one_question_in_each_program() {
    let library = Library::embedded();
    for endian in [Endian::Little, Endian::Big] {
        let bytes = survey(&library, Target { endian, ..Target::default() });
        let object = Object::parse(&bytes).unwrap();
        let ubpf = object.ubpf().unwrap().unwrap();
        let programs: Vec<&str> = ubpf.programs.iter().map(|p| &*p.name).collect();
        let questions = library.questions();
        let expected: Vec<&str> = questions.iter().map(|q| &*q.program).collect();
        assert_eq!(programs, expected);

        let asking: BTreeSet<String> = asked(&object)
            .unwrap()
            .into_iter()
            .chain(asked_aside(&object).unwrap())
            .map(|asked| asked.function)
            .collect();
        for question in &questions {
            let event = matches!(question.about, About::Tracepoint(_));
            assert!(event || asking.contains(&question.program), "{question:?} asks nothing");
        }
        let fields: usize = library.mirrors.iter().map(|mirror| mirror.fields.len()).sum();
        assert!(questions.len() >= fields + library.tracepoints.len());
    }
}

/// The one file of a library.
struct Text<'t>(&'t str);

impl Importer for Text<'_> {
    fn find(&mut self, path: &str, _: FileId, _: &Sources) -> Result<Found, String> {
        let (name, text) = (format!("{path}.ub"), self.0.to_owned());
        Ok(Found { name, text, origin: Origin::Uapi })
    }
}

fn lock(text: &str) -> Lock {
    let mut sources = Sources::new();
    let (library, diags) = Library::read(&mut sources, &["test"], &mut Text(text));
    assert!(!diags.has_errors(), "{}", render(&sources, &diags, Format::Short));
    Lock::of(&library)
}

fn parsed(text: &str) -> Result<Lock, String> {
    let mut sources = Sources::new();
    let file = sources.add("test.lock", text, Origin::User);
    Lock::parse(&sources, file).map_err(|diags| render(&sources, &diags, Format::Short))
}

#[test]
fn the_lock_says_what_the_library_promises() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/uapi/ABI.lock");
    let locked = std::fs::read_to_string(path).unwrap();
    let new = Lock::of(&Library::embedded());
    let breaks: Vec<String> = diff(&parsed(&locked).unwrap(), &new)
        .breaks
        .iter()
        .map(|broken| format!("{} {}: {}\n", broken.name, broken.change, broken.why))
        .collect();
    assert!(breaks.is_empty(), "promises of uapi/ABI.lock are broken:\n{}", breaks.concat());
    assert!(
        locked == new.text(),
        "uapi/ABI.lock is not what the library promises: run `cargo run -- uapi lock -o uapi/ABI.lock` and read the difference"
    );
}

const LIBRARY: &str = r#"// A test.
kernel struct a { unsigned int bits : 3; };
kernel tracepoint ev(struct a *a, int n);
kernel tracepoint ev(struct a *a, int n, int added);
kernel tracepoint old(struct a *targ, int n);
/// Bits.
const BIT = 0x10;
const TEXT = "a  // = b";
/// Why.
enum why_user mirrors why { WHY_A = A else B, /** no doc */ WHY_B? };
enum own { OWN_A = -1, OWN_B };
/// A thing.
struct a_user {
    /// One.
    u64 x = x /* no comment */ else y; // since 5.1
    u32 n;
    char text[8];
    struct a_user *next = (void *)next;
    /// Perhaps.
    u8 bits? = bits;
    enum own o;
    u16 list[3];
};
/// It happens.
tracepoint user:ev(struct a_user *a = a else targ, int n, int added?) = tracepoint x:ev else tracepoint x:old;
"#;

#[test]
fn a_lock_is_read_as_it_was_written() {
    let written = lock(LIBRARY);
    assert_eq!(parsed(&written.text()), Ok(written.clone()));
    assert_eq!(diff(&written, &written), Diff::default());
    snapshot("lock", &written.text());
    let embedded = Lock::of(&Library::embedded());
    assert_eq!(parsed(&embedded.text()), Ok(embedded));
}

#[test]
fn a_line_that_is_no_promise_is_pointed_at() {
    let text = "# a lock\nconst A = 1  //\nconst B\nstruct s x: int y = y  // no offset\n";
    snapshot("lock-broken", &parsed(text).unwrap_err());
    // Whatever is cut away, nothing panics.
    let text = lock(LIBRARY).text();
    for (at, _) in text.char_indices() {
        let _ = (parsed(&text[..at]), parsed(&text[at..]));
    }
}

/// What a change of the library is to the lock: an edit, and what is said of it.
fn changed(from: &str, to: &str) -> String {
    let edited = LIBRARY.replacen(from, to, 1);
    assert_ne!(edited, LIBRARY, "{from}");
    let Diff { breaks, adds, rewords } = diff(&lock(LIBRARY), &lock(&edited));
    let breaks = breaks.iter().map(|b| format!("  breaks: {} {}\n", b.name, b.change));
    let adds = adds.iter().map(|a| format!("  adds: {} {}\n", a.name, a.change));
    let rewords = rewords.iter().map(|r| format!("  rewords: {} {}\n", r.name, r.change));
    let said: String = breaks.chain(adds).chain(rewords).collect();
    format!("{from:?} -> {to:?}\n{said}")
}

#[test]
fn what_breaks_a_promise_and_what_adds_to_it_is_told_apart() {
    let edits = [
        ("const BIT = 0x10;", ""),
        ("0x10", "0x20"),
        ("/// Bits.", "/// Other bits."),
        ("const BIT", "const MORE = 1; const BIT"),
        ("A else B", "A"),
        ("A else B", "B else A"),
        ("A else B", "C else A else B"),
        ("WHY_B?", "WHY_B"),
        ("WHY_B?", "WHY_B?, WHY_C"),
        ("OWN_A = -1", "OWN_A = -2"),
        ("mirrors why", "mirrors wherefore"),
        ("    u32 n;\n", ""),
        ("u32 n;", "s32 n;"),
        ("u32 n;", "u32 n?;"),
        ("u8 bits? =", "u8 bits ="),
        ("u32 n;", "u8 first; u32 n;"),
        ("u32 n;\n    char text[8];", "char text[8];\n    u32 n;"),
        ("list[3];", "list[3]; u64 last;"),
        ("list[3];", "list[4];"),
        (" else y", ""),
        ("x /* no comment */ else y", "y else x"),
        (" else y", " else y else z"),
        ("    enum own o;\n", ""),
        ("struct a_user *a = a else targ, int n", "int n, struct a_user *a = a else targ"),
        (", int added?", ""),
        ("int added?", "int more? = added, int added?"),
        ("int added?", "int added?, int more? = added"),
        ("else targ, int n", "else targ, u32 n"),
        (" else tracepoint x:old", ""),
        ("tracepoint x:ev else tracepoint x:old", "tracepoint x:old else tracepoint x:ev"),
        ("tracepoint user:ev", "tracepoint user:renamed"),
        ("/// Perhaps.", "/// Perhaps, in pages."),
    ];
    let said: Vec<String> = edits.iter().map(|(from, to)| changed(from, to)).collect();
    snapshot("diff", &said.concat());
}
