//! The C header of a library: for user space the structs that emitted mirrors have, and for BPF programs in C functions that read the fields, with their alternatives, through CO-RE.
//!
//! In: a [`Library`]. Out: the header's text. Invariant: a struct has the same layout in every C compiler, on 32-bit hosts too; and a function gives what the field gives in a script.

mod accessor;

use super::{Enum, Library, Mirror, Type};
use crate::sema::types::IntTy;
use std::fmt::Write as _;

/// What every header begins with.
const HEAD: &str = "\
/* Mirrors of kernel structs, as `emit *pointer` writes them, and functions that read their fields in BPF programs.
   Written by `ubpfc uapi header`; docs/uapi.md says how it is used. */
#ifndef UBPFC_UAPI_H
#define UBPFC_UAPI_H

#if defined(__cplusplus)
#define UBPFC_ASSERT(fact) static_assert(fact, #fact)
typedef bool ubpfc_bool;
#else
#define UBPFC_ASSERT(fact) _Static_assert(fact, #fact)
typedef _Bool ubpfc_bool;
#endif

typedef unsigned char ubpfc_u8;
typedef signed char ubpfc_s8;
typedef unsigned short ubpfc_u16;
typedef short ubpfc_s16;
typedef unsigned int ubpfc_u32;
typedef int ubpfc_s32;
/* Aligned as on 64-bit hosts, everywhere. */
typedef unsigned long long ubpfc_u64 __attribute__((aligned(8)));
typedef long long ubpfc_s64 __attribute__((aligned(8)));
";

const FOOT: &str = "\n#endif /* UBPFC_UAPI_H */\n";

impl Library {
    /// The header. Its functions are for programs that have included `bpf_helpers.h` and `bpf_core_read.h` of libbpf.
    pub fn header(&self) -> String {
        let mut text = HEAD.to_owned();
        for constant in &self.constants {
            if text.ends_with("(8)));\n") {
                text.push('\n');
            }
            let (name, value) = (&constant.name, &constant.value);
            let _ = writeln!(text, "#ifndef {name}\n#define {name} {}\n#endif", literal(value));
        }
        for of in &self.enums {
            enumeration(&mut text, of);
        }
        for mirror in &self.mirrors {
            structure(&mut text, mirror);
        }
        text.push_str("\n#if defined(__bpf__)\n");
        text.push_str(&accessor::functions(self));
        text.push_str("\n#endif /* __bpf__ */\n");
        text.push_str(FOOT);
        text
    }
}

/// A number as C takes it, whatever its size.
fn literal(value: &str) -> String {
    match value.parse::<i128>() {
        Ok(number) if number == i128::from(i64::MIN) => "(-9223372036854775807LL - 1)".to_owned(),
        Ok(number) if number > i128::from(i64::MAX) => format!("{value}ULL"),
        Ok(number) if i32::try_from(number).is_err() => format!("{value}LL"),
        Ok(number) if number < 0 => format!("({value})"),
        _ => value.to_owned(),
    }
}

/// An enum with numbers of its own. One that mirrors the kernel's has no numbers but a kernel's.
fn enumeration(text: &mut String, of: &Enum) {
    if of.kernel.is_some() {
        return;
    }
    let _ = write!(text, "\n{}enum {} {{\n", comment(of.doc.as_deref(), ""), of.name);
    for one in &of.enumerators {
        let value = one.value.unwrap_or_default().to_string();
        let _ = writeln!(text, "\t{} = {},", one.name, literal(&value));
    }
    text.push_str("};\n");
}

fn structure(text: &mut String, mirror: &Mirror) {
    let name = &mirror.name;
    let _ = write!(text, "\n{}struct {name} {{\n", comment(mirror.doc.as_deref(), ""));
    for field in &mirror.fields {
        text.push_str(&comment(field.doc.as_deref(), "\t"));
        let _ = writeln!(text, "\t{};", declared(&field.ty, &field.name));
    }
    text.push_str("};\n");
    let _ = writeln!(text, "UBPFC_ASSERT(sizeof(struct {name}) == {});", mirror.size);
    for field in &mirror.fields {
        let (field, offset) = (&field.name, field.offset);
        let _ =
            writeln!(text, "UBPFC_ASSERT(__builtin_offsetof(struct {name}, {field}) == {offset});");
    }
}

/// A member that holds a value of a type. Pointers are addresses in the kernel, and enums the kernel's numbers: both are integers here.
fn declared(ty: &Type, name: &str) -> String {
    match ty {
        Type::Bool => format!("ubpfc_bool {name}"),
        Type::Int(int) | Type::Enum(_, int) => format!("{} {name}", self::int(*int)),
        Type::Chars(len) => format!("char {name}[{len}]"),
        Type::Array(element, len) => declared(element, &format!("{name}[{len}]")),
        Type::Mirror(of) | Type::Kernel(of) => format!("ubpfc_u64 {name} /* struct {of} * */"),
    }
}

fn int(int: IntTy) -> String {
    format!("ubpfc_{}", crate::sema::show::int(int))
}

/// A doc comment as C's.
fn comment(doc: Option<&str>, indent: &str) -> String {
    let Some(doc) = doc else { return String::new() };
    let doc = doc.replace("*/", "* /").replace('\n', &format!("\n{indent}   "));
    format!("{indent}/* {doc} */\n")
}
