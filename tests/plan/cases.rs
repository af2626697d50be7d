//! The cases in `testdata/relocate/*.txt`: types on both sides, questions, and what is to become of the instructions.
//!
//! A block begins with `# name`; then come `local TYPE` and `target TYPE` (see [`super::notation`]; `module TYPE` for a module's types, `pointer BYTES` for the target's pointers) and `ask ROOT ACCESS KIND VALUE FORM`, each an object of its own unless the
//! block says `together`. Under a question stand the new instructions, or the reason why there are none: after `=` for both policies, after `strict` and `libbpf` where they differ.
//! With `UBPFC_BLESS` set the files are written anew.

use super::notation;
use super::subject::{Form, Question, object};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ubpfc::btf::{Btf, TypeId};
use ubpfc::isa::code::Insn;
use ubpfc::isa::print::instructions;
use ubpfc::kernel::Target;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Edit, Policy};

fn form(word: &str, rest: &[&str]) -> Form {
    let bytes = |word: &str| word.parse().unwrap();
    match (word, rest) {
        ("mov", []) => Form::Mov,
        ("wide", []) => Form::Wide,
        ("insn", [code, off, imm]) => {
            let code = u8::from_str_radix(code.trim_start_matches("0x"), 16).unwrap();
            let (off, imm) = (off.parse().unwrap(), imm.parse().unwrap());
            Form::Raw(Insn { code, dst: 1, src: 2, off, imm })
        }
        // A load that extends the sign, of 1, 2 or 4 bytes.
        ("sload1" | "sload2" | "sload4", [off]) => {
            let code = match word {
                "sload1" => 0x91,
                "sload2" => 0x89,
                _ => 0x81,
            };
            Form::Raw(Insn { code, src: 1, off: off.parse().unwrap(), ..Insn::default() })
        }
        _ => match (word.strip_prefix("load"), word.strip_prefix("store")) {
            (Some(n), _) => Form::Load(bytes(n)),
            (_, Some(n)) => Form::Store(bytes(n)),
            _ => panic!("no form: {word}"),
        },
    }
}

/// What a policy makes of questions.
fn answers(block: &[&str], questions: &[Question], policy: Policy) -> Vec<String> {
    let of = |word: &'static str| {
        block.iter().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    };
    let (local, _) = notation::types(of("local"));
    let (target, _) = notation::types(of("target"));
    let bytes = object(&local, questions, |_| true);
    let object = Object::parse(&bytes).unwrap();
    let (module, _) = notation::types(of("module"));
    let mut image = Btf::parse(&target).unwrap();
    for bytes in of("pointer") {
        image.set_pointer_size(bytes.parse().unwrap());
    }
    let modules = vec![("extra", Btf::parse(&module).unwrap())];
    let target = Target { image: Arc::new(image), modules };
    match relocate::plan(&object, &target, policy) {
        Ok(plan) => plan
            .fixups
            .iter()
            .map(|fixup| match &fixup.edit {
                Edit::Replace(code) => {
                    let lines: Vec<String> = instructions(code).map(|(_, text)| text).collect();
                    lines.join("; ")
                }
                Edit::Missing(missing) => {
                    let mut missing = missing.clone();
                    missing.suggest(&target);
                    let near = match missing.near.join(", ") {
                        near if near.is_empty() => near,
                        near => format!("; near: {near}"),
                    };
                    format!("missing: {}{near}", missing.why)
                }
            })
            .collect(),
        Err(error) => vec![format!("error: {error}"); questions.len()],
    }
}

/// A block with its outcomes written anew.
fn blessed(block: &[&str]) -> String {
    let (_, ids) = notation::types(block.iter().filter_map(|line| line.strip_prefix("local ")));
    let question = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, root, access, kind, value, form, rest @ ..] = words.as_slice() else {
            panic!("{line}")
        };
        Question {
            root: root.parse().map_or_else(|_| ids[*root], TypeId),
            path: line.to_owned(),
            access: access.replace('_', " "),
            kind: *CoreKind::ALL.iter().find(|known| known.name() == *kind).unwrap(),
            value: value.parse::<i128>().unwrap() as u64,
            form: self::form(form, rest),
        }
    };
    let asks: Vec<Question> =
        block.iter().filter(|line| line.starts_with("ask ")).map(|line| question(line)).collect();
    let together = block.contains(&"together");
    let answers = |policy| -> Vec<String> {
        if together {
            return answers(block, &asks, policy);
        }
        asks.iter().flat_map(|ask| answers(block, std::slice::from_ref(ask), policy)).collect()
    };
    let mut outcomes = answers(Policy::Strict).into_iter().zip(answers(Policy::Libbpf));
    let mut text = String::new();
    for line in block {
        if ["= ", "strict ", "libbpf "].iter().any(|word| line.trim_start().starts_with(word)) {
            continue;
        }
        let _ = writeln!(text, "{line}");
        if line.starts_with("ask ") {
            let (strict, libbpf) = outcomes.next().unwrap();
            let _ = if strict == libbpf {
                writeln!(text, "    = {strict}")
            } else {
                writeln!(text, "    strict {strict}\n    libbpf {libbpf}")
            };
        }
    }
    text
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/relocate");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn cases_are_answered_as_they_say() {
    let bless = std::env::var_os("UBPFC_BLESS").is_some();
    let (mut wrong, mut asked) = (String::new(), 0);
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut now = String::new();
        for block in text.split_inclusive("\n\n") {
            let lines: Vec<&str> = block.lines().collect();
            asked += lines.iter().filter(|line| line.starts_with("ask ")).count();
            now.push_str(&blessed(&lines));
        }
        if bless {
            std::fs::write(&path, now).unwrap();
            continue;
        }
        for (line, (is, was)) in now.lines().zip(text.lines()).enumerate() {
            if is != was {
                let name = path.file_name().unwrap().to_string_lossy();
                let _ = writeln!(wrong, "{name}:{}: {was}\n  is now {is}", line + 1);
            }
        }
        assert_eq!(now.lines().count(), text.lines().count(), "{}\n{wrong}", path.display());
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(asked >= 100, "only {asked} cases");
}
