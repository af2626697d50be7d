//! The library as a value: what it offers, what its survey asks, and what its lock promises.

#![allow(clippy::disallowed_methods, reason = "tests read files and environment")]

use std::collections::BTreeSet;
use ubpfc::diag::{Format, render};
use ubpfc::driver;
use ubpfc::library::{About, Library};
use ubpfc::object::read::Object;
use ubpfc::relocate::{asked, asked_aside};
use ubpfc::sema::imports;
use ubpfc::source::Sources;
use ubpfc::target::{Endian, Target};
use ubpfc::uapi;

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
