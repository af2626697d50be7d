//! Alternatives as text: for messages, and for whoever wants to see what a mirror was understood as.

use super::super::hir::{KEntry, KExpr, KExprKind, KLeaf, KPath, KStep, KThen};
use super::super::show;
use std::fmt::Write;

/// `(s64)state`, `(u32)thread_pid->numbers[(u32)thread_pid->level].nr`: every path with the type that the kernel is taken to keep there.
pub fn text(e: &KExpr) -> String {
    match &e.kind {
        KExprKind::Path(path) => format!("({}){}", leaf(&path.leaf), self::path(path)),
        KExprKind::Const(value) => value.to_string(),
        KExprKind::Enumerator { enum_name, names } => format!("{enum_name}.{}", names.join("/")),
        KExprKind::Unary(op, operand) => format!("{}{}", show::unary(*op), text(operand)),
        KExprKind::Binary(op, left, right) => {
            format!("({} {} {})", text(left), show::binary(*op), text(right))
        }
        KExprKind::Convert(int, operand) => format!("({})({})", show::int(*int), text(operand)),
        KExprKind::FromNetwork(bits, operand) => format!("network{bits}({})", text(operand)),
    }
}

fn path(path: &KPath) -> String {
    let mut out = String::new();
    for hop in &path.hops {
        match &hop.entry {
            KEntry::Typed => {}
            KEntry::Cast => out = format!("((struct {} *){})->", hop.root, pointer(&out)),
            KEntry::Member { of, steps, .. } => {
                let mut member = String::new();
                steps_into(&mut member, steps);
                out = format!("container_of({}, struct {of}, {member})->", pointer(&out));
            }
        }
        steps_into(&mut out, &hop.steps);
        match &hop.then {
            KThen::Leaf => {}
            KThen::Deref => out.push_str("->"),
            KThen::Element { index, .. } => {
                let _ = write!(out, "[{}].", text(index));
            }
        }
    }
    if path.hops.last().is_some_and(|hop| hop.steps.is_empty()) {
        pointer(&out).to_owned()
    } else {
        out
    }
}

/// A path so far, without the arrow at its end.
fn pointer(path: &str) -> &str {
    if path.is_empty() { "this" } else { path.strip_suffix("->").unwrap_or(path) }
}

fn steps_into(out: &mut String, steps: &[KStep]) {
    for (at, step) in steps.iter().enumerate() {
        match step {
            KStep::Member(name) if at == 0 => out.push_str(name),
            KStep::Member(name) => {
                out.push('.');
                out.push_str(name);
            }
            KStep::Index(index) => {
                // Writing to a string does not fail.
                let _ = write!(out, "[{index}]");
            }
        }
    }
}

fn leaf(leaf: &KLeaf) -> String {
    match leaf {
        KLeaf::Int(int) | KLeaf::Number(int, _) => show::int(*int),
        KLeaf::Bits { width, word } => format!("{}:{width}", show::int(*word)),
        KLeaf::Enum(name, _) => format!("enum {name}"),
        KLeaf::Ptr(None) => "void *".to_owned(),
        KLeaf::Ptr(Some(name)) => format!("struct {name} *"),
        KLeaf::Chars(len) => format!("char[{len}]"),
        KLeaf::Ints(int, len) => format!("{}[{len}]", show::int(*int)),
        KLeaf::Struct(name) => format!("struct {name}"),
        KLeaf::Any => "?".to_owned(),
    }
}
