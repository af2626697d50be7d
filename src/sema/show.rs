//! How types and operators are spelled in messages and in the printed HIR.

use super::hir::{BinOp, Hir, UnOp};
use super::types::{IntTy, Pointee, Ty};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// `u32`, `char[16]`, `struct task_struct_user *`.
pub fn ty(hir: &Hir, ty: &Ty) -> String {
    match ty {
        Ty::Error => "?".to_owned(),
        Ty::Void => "void".to_owned(),
        Ty::Bool => "bool".to_owned(),
        Ty::Int(int) => self::int(*int),
        Ty::Enum(id) => format!("enum {}", hir.enums[*id].name),
        Ty::Str(len) => format!("char[{len}]"),
        Ty::Array(elem, len) => format!("{}[{len}]", self::ty(hir, elem)),
        Ty::Tuple(parts) => tuple(hir, parts),
        Ty::Struct(id) => format!("struct {}", hir.structs[*id].name),
        Ty::Mirror(id) => format!("struct {}", hir.mirrors[*id].name),
        Ty::Ptr(Pointee::Mirror(id)) => format!("struct {} *", hir.mirrors[*id].name),
        Ty::Ptr(Pointee::Kernel(name)) => format!("kernel {name} *"),
        Ty::Ptr(Pointee::UserStr) => "user char *".to_owned(),
        Ty::Ptr(Pointee::User(target)) => format!("user {} *", self::ty(hir, target)),
    }
}

/// `(u32, char[16])`
pub fn tuple(hir: &Hir, parts: &[Ty]) -> String {
    let parts: Vec<String> = parts.iter().map(|t| ty(hir, t)).collect();
    format!("({})", parts.join(", "))
}

/// `u32`
pub fn int(int: IntTy) -> String {
    format!("{}{}", if int.signed { 's' } else { 'u' }, int.bits)
}

/// `a`, `b` or `c`: at most `limit` names, for a message.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let names = names.into_iter().take(limit.saturating_add(1));
    let mut quoted: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    let more = quoted.len() > limit;
    quoted.truncate(limit);
    if more {
        return format!("{}, …", quoted.join(", "));
    }
    match quoted.pop() {
        None => String::new(),
        Some(last) if quoted.is_empty() => last,
        Some(last) => format!("{} or {last}", quoted.join(", ")),
    }
}

/// `1 argument`, `2 arguments`
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// An operator on one value.
pub fn unary(op: UnOp) -> &'static str {
    match op {
        UnOp::Neg => "-",
        UnOp::Not => "~",
        UnOp::LogNot => "!",
    }
}

/// An operator on two values; those that differ by sign have it as a suffix.
pub fn binary(op: BinOp) -> &'static str {
    match op {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::DivU => "/u",
        BinOp::DivS => "/s",
        BinOp::RemU => "%u",
        BinOp::RemS => "%s",
        BinOp::Shl => "<<",
        BinOp::ShrU => ">>u",
        BinOp::ShrS => ">>s",
        BinOp::And => "&",
        BinOp::Or => "|",
        BinOp::Xor => "^",
        BinOp::Eq => "==",
        BinOp::Ne => "!=",
        BinOp::LtU => "<u",
        BinOp::LeU => "<=u",
        BinOp::LtS => "<s",
        BinOp::LeS => "<=s",
    }
}

/// The longest name in bytes: kernels take 127 in BTF, and the compiler's own prefixes and suffixes need some of them.
pub const MAX_NAME: usize = 100;

/// An error for a longer name.
pub fn name_too_long(span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0108, span, "this name is too long for the kernel")
        .label(format!("expected at most {MAX_NAME} bytes"))
}
