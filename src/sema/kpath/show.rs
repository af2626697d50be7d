//! Alternatives as text: for messages, and for whoever wants to see what a mirror was understood as.

use super::super::hir::{KExpr, KExprKind, KLeaf, KPath, KStep, KThen};
use super::super::show;
use std::fmt::Write;

/// `(s64)state`, `(u32)thread_pid->numbers[(u32)thread_pid->level].nr`: every path with the type that the kernel is taken to keep there.
pub fn text(e: &KExpr) -> String {
    match &e.kind {
        KExprKind::Path(path) => format!("({}){}", leaf(&path.leaf), self::path(path)),
        KExprKind::Const(value) => value.to_string(),
        KExprKind::Enumerator { enum_name, name } => format!("{enum_name}.{name}"),
        KExprKind::Unary(op, operand) => format!("{}{}", show::unary(*op), text(operand)),
        KExprKind::Binary(op, left, right) => {
            format!("({} {} {})", text(left), show::binary(*op), text(right))
        }
        KExprKind::Convert(int, operand) => format!("({})({})", show::int(*int), text(operand)),
    }
}

fn path(path: &KPath) -> String {
    let mut out = String::new();
    for hop in &path.hops {
        for (at, step) in hop.steps.iter().enumerate() {
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
        match &hop.then {
            KThen::Leaf => {}
            KThen::Deref => out.push_str("->"),
            KThen::Element { index, .. } => {
                let _ = write!(out, "[{}].", text(index));
            }
        }
    }
    out
}

fn leaf(leaf: &KLeaf) -> String {
    match leaf {
        KLeaf::Int(int) => show::int(*int),
        KLeaf::Bits { width, word } => format!("{}:{width}", show::int(*word)),
        KLeaf::Enum(name, _) => format!("enum {name}"),
        KLeaf::Ptr(None) => "void *".to_owned(),
        KLeaf::Ptr(Some(name)) => format!("struct {name} *"),
        KLeaf::Chars(len) => format!("char[{len}]"),
        KLeaf::Ints(int, len) => format!("{}[{len}]", show::int(*int)),
        KLeaf::Struct(name) => format!("struct {name}"),
    }
}
