//! Objects that no compiler makes, or seldom: each block of `odd.txt` is one, with a target; libbpf and ours must agree on each question, or the block says by which fault of libbpf they do not.
//!
//! A block begins with `# name`; then come lines `local TYPE` and `target TYPE` (in the form of [`super::notation`]) and `ask ROOT ACCESS KIND VALUE FORM`, where the form is `mov`, `wide`, `loadN`, `storeN` or `insn CODE OFF IMM`.
//! `libbpf-differs WHY` and `strict-differs WHY` say that with this policy an answer differs.

use super::compare::compare;
use super::kernels::Kernel;
use super::notation;
use super::subject::{Form, Question};
use super::support::require;
use std::fmt::Write as _;
use ubpfc::isa::code::Insn;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::relocate::Policy;

struct Block<'t> {
    name: &'t str,
    lines: Vec<&'t str>,
}

impl<'t> Block<'t> {
    fn lines_of(&self, word: &str) -> impl Iterator<Item = &'t str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    fn compare(&self, policy: Policy) -> super::compare::Comparison {
        let kernel = |bytes| Kernel { name: self.name.to_owned(), bytes };
        let (local, ids) = notation::types(self.lines_of("local"));
        let (target, _) = notation::types(self.lines_of("target"));
        let question = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [root, access, kind, value, form, rest @ ..] = words.as_slice() else {
                panic!("{line}")
            };
            let kind = CoreKind::ALL.iter().find(|known| known.name() == *kind).unwrap();
            Question {
                root: root.parse().map_or_else(|_| ids[*root], ubpfc::btf::TypeId),
                path: line.to_owned(),
                access: access.replace('_', " ").replace("nothing", ""),
                kind: *kind,
                value: value.parse::<i128>().unwrap() as u64,
                form: self::form(form, rest),
            }
        };
        let questions: Vec<_> = self.lines_of("ask").map(question).collect();
        let [comparison] = compare(&kernel(local), &kernel(target), &questions, [policy]);
        comparison
    }
}

fn form(word: &str, rest: &[&str]) -> Form {
    let number = |text: &str| i64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    match (word, rest) {
        ("mov", []) => Form::Mov,
        ("wide", []) => Form::Wide,
        ("insn", [code, off, imm]) => {
            let (off, imm) = (off.parse().unwrap(), imm.parse().unwrap());
            Form::Raw(Insn { code: number(code) as u8, off, imm, ..Insn::default() })
        }
        _ => match (word.strip_prefix("load"), word.strip_prefix("store")) {
            (Some(bytes), _) => Form::Load(bytes.parse().unwrap()),
            (_, Some(bytes)) => Form::Store(bytes.parse().unwrap()),
            _ => panic!("no form: {word}"),
        },
    }
}

fn blocks() -> Vec<Block<'static>> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in include_str!("odd.txt").lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(name) => blocks.push(Block { name, lines: Vec::new() }),
            None => blocks.last_mut().unwrap().lines.push(line),
        }
    }
    blocks
}

fn check(policy: Policy, marked: &str) {
    if !require("root") {
        return;
    }
    let mut wrong = String::new();
    for block in blocks() {
        let comparison = block.compare(policy);
        let explained = block.lines_of(marked).next();
        match explained {
            None => {
                for difference in comparison.differences {
                    let _ = writeln!(wrong, "{}: {difference:#?}", block.name);
                }
            }
            Some(why) if comparison.differences.is_empty() => {
                let _ = writeln!(wrong, "{}: nothing differs, though {why}", block.name);
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn odd_objects_as_libbpf() {
    check(Policy::Libbpf, "libbpf-differs");
}

#[test]
fn odd_objects_strictly() {
    check(Policy::Strict, "strict-differs");
}
