//! What an atlas has been asked, as texts: all else is unknown to it.
//!
//! A question about a field is the path to it, without the object's own names for types and without indices: `struct task_struct .se.vruntime`, since all elements of an array are alike. What is on the way has been asked too. An
//! enumerator is `enum reason ::NONE`; a type of another kind begins with the number of that, and one that must match as a whole with a word.

use super::numbers::{Bytes, text, unsigned};
use crate::btf::{essential, kind};
use crate::object::btf_ext::CoreKind;
use crate::object::read::Object;
use crate::object::ubpf::EventKind;
use crate::relocate::{self, Asked, RelocateError};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How questions about events begin that are raw tracepoints, and about such that are functions.
const EVENT: &str = "event ";
const FUNCTION: &str = "function ";
/// How questions begin whether a type matches as a whole.
const MATCHES: &str = "matches ";

/// What stands between a type and the path in it.
const IN: &str = " .";
/// What stands between an enum and its enumerator.
const OF: &str = " ::";
/// The longest question, in bytes: paths are spelled up to a length.
const MAX_QUESTION: usize = 4096;

/// Questions that have an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    answered: FxHashSet<String>,
}

impl Questions {
    pub(super) fn new<'a>(list: impl Iterator<Item = &'a str>) -> Questions {
        let mut answered = FxHashSet::default();
        for text in list {
            answered.insert(text.to_owned());
            let paths = [IN, OF].into_iter().filter_map(|separator| text.find(separator));
            let Some(root) = paths.min() else { continue };
            let ends = text.match_indices('.').map(|(at, _)| at).filter(|at| *at > root + 1);
            for end in ends.chain([root]) {
                answered.insert(text[..end].to_owned());
            }
        }
        Questions { answered }
    }

    pub(super) fn covers(&self, asked: &Asked) -> bool {
        question(asked).is_none_or(|question| self.answered.contains(&question))
    }

    pub(super) fn covers_event(&self, kind: EventKind, name: &str) -> bool {
        self.answered.contains(&event(kind, name))
    }
}

/// Every question of objects, each once, sorted.
pub(super) fn of(objects: &[&Object<'_>]) -> Result<BTreeSet<String>, RelocateError> {
    let mut all = BTreeSet::new();
    for object in objects {
        for asked in [relocate::asked(object)?, relocate::asked_aside(object)?].concat() {
            all.extend(question(&asked));
        }
        let events = object.ubpf()?.map(|ubpf| ubpf.events).unwrap_or_default();
        all.extend(events.iter().map(|of| event(of.kind, &of.name)));
    }
    Ok(all)
}

/// An event: of a function, entry and return are told by the same.
fn event(kind: EventKind, name: &str) -> String {
    let tracepoint = kind == EventKind::Tracepoint;
    format!("{}{name}", if tracepoint { EVENT } else { FUNCTION })
}

/// A question to a kernel as a text; none if it is about the object alone.
fn question(asked: &Asked) -> Option<String> {
    let mut text = String::with_capacity(asked.local.len());
    match asked.kind {
        CoreKind::LocalTypeId => return None,
        CoreKind::TypeMatches => text.push_str(MATCHES),
        _ => {}
    }
    // The others say of themselves what they are.
    if !matches!(asked.root_kind, kind::STRUCT | kind::UNION | kind::ENUM) {
        let _ = write!(text, "{} ", asked.root_kind);
    }
    text.push_str(essential(&asked.root));
    let path = asked.local.strip_prefix(&asked.root).unwrap_or(&asked.local);
    if let Some(enumerator) = path.strip_prefix("::") {
        text.push_str(OF);
        text.push_str(essential(enumerator));
    } else if !path.is_empty() {
        text.push(' ');
        for piece in path.split('[') {
            text.push_str(piece.split_once(']').map_or(piece, |(_, rest)| rest));
        }
    }
    Some(text)
}

/// Sorted texts, each without what it has in common with the one before.
pub(super) fn write(list: &BTreeSet<String>, out: &mut Vec<u8>) {
    unsigned(out, list.len() as u64);
    let mut before = "";
    for question in list {
        let same = before.bytes().zip(question.bytes()).take_while(|(a, b)| a == b).count();
        let same = question.floor_char_boundary(same);
        unsigned(out, same as u64);
        text(out, &question[same..]);
        before = question;
    }
}

/// What [`write`] wrote.
pub(super) fn read(from: &mut Bytes<'_>) -> Option<Vec<String>> {
    let count = from.usize()?;
    let mut list: Vec<String> = Vec::new();
    for _ in 0..count {
        let same = from.usize()?;
        let rest = from.text()?;
        let before = list.last().map_or("", String::as_str);
        // Names are short; what is said again and again must not grow.
        let question = format!("{}{rest}", before.get(..same)?);
        (question.len() <= MAX_QUESTION).then_some(())?;
        list.push(question);
    }
    Some(list)
}
