//! Types in lines of text, as a `.BTF` section.
//!
//! A line is one type: `struct NAME SIZE | OFFSET TYPE MEMBER | …` (also `union`; `OFFSET.BIT:WIDTH` for a bitfield), `enum NAME SIZE | ENUMERATOR VALUE | …` (also `enum64`, `enum-signed`), `typedef NAME TYPE`,
//! `int NAME SIZE ENCODING`, `float NAME SIZE`, `fwd struct NAME`. A name that begins with `@` is a label: the type itself has no name. Types are names of earlier lines, `u8`…`s64`, `bool`, `void`, `*TYPE`, `const:TYPE`, and
//! with `[N]` after them arrays, the outer dimension first.

use std::collections::BTreeMap;
use ubpfc::btf::{Builder, Member, Type, TypeId, VOID, encoding, kind};
use ubpfc::target::Endian;

/// The section and, by name or label, the ids of the types.
pub(crate) fn types<'t>(
    lines: impl IntoIterator<Item = &'t str>,
) -> (Vec<u8>, BTreeMap<String, TypeId>) {
    let mut made = Types { builder: Builder::default(), named: BTreeMap::new() };
    // The size of a pointer is that of `long`.
    made.builder.int_of("long unsigned int", 8, 0);
    for line in lines {
        made.line(line);
    }
    (made.builder.bytes(Endian::Little), made.named)
}

struct Types {
    builder: Builder,
    named: BTreeMap<String, TypeId>,
}

impl Types {
    fn line(&mut self, line: &str) {
        let mut parts = line.split('|').map(|part| part.split_whitespace().collect::<Vec<_>>());
        let head = parts.next().unwrap();
        let rest: Vec<_> = parts.collect();
        let label = head[if head[0] == "fwd" { 2 } else { 1 }];
        let name = if label.starts_with('@') { "" } else { label }.into();
        let size = || head[2].parse().unwrap();
        let ty = match head[0] {
            "struct" | "union" => {
                let members = rest.iter().map(|member| self.member(member)).collect();
                Type::Composite { union: head[0] == "union", name, size: size(), members }
            }
            "enum" | "enum64" | "enum-signed" => {
                let value =
                    |item: &Vec<&str>| (item[0].into(), item[1].parse::<i128>().unwrap() as u64);
                let values = rest.iter().map(value).collect();
                let signed = head[0] == "enum-signed";
                Type::Enum { name, size: size(), signed, wide: head[0] == "enum64", values }
            }
            "typedef" => Type::Typedef { name, ty: self.named(head[2]) },
            "int" => {
                let (bytes, encoding) = (size(), head[3].parse().unwrap());
                Type::Int { name, bytes, bits: (bytes * 8) as u8, bit_offset: 0, encoding }
            }
            "float" => Type::Float { name, size: size() },
            "fwd" => Type::Fwd { union: head[1] == "union", name },
            other => panic!("no kind of type: {other}"),
        };
        let id = self.builder.add(ty);
        self.named.insert(label.into(), id);
    }

    fn member(&mut self, words: &[&str]) -> Member {
        let number = |text: &str| text.parse::<u32>().unwrap();
        let (bit_offset, bit_width) = match words[0].split_once('.') {
            Some((byte, bits)) => {
                let (bit, width) = bits.split_once(':').unwrap();
                (number(byte) * 8 + number(bit), width.parse().unwrap())
            }
            None => (number(words[0]) * 8, 0),
        };
        let name = words.get(2).copied().unwrap_or_default().into();
        Member { name, ty: self.named(words[1]), bit_offset, bit_width }
    }

    fn named(&mut self, text: &str) -> TypeId {
        if let Some((inner, dimensions)) = text.split_once('[') {
            let elem = self.named(inner);
            let dimensions = dimensions.strip_suffix(']').unwrap().rsplit("][");
            return dimensions
                .fold(elem, |elem, len| self.builder.array(elem, len.parse().unwrap()));
        }
        if let Some(inner) = text.strip_prefix('*') {
            let inner = self.named(inner);
            return self.builder.ptr(inner);
        }
        if let Some(inner) = text.strip_prefix("const:") {
            let ty = self.named(inner);
            return self.builder.add(Type::Modifier { kind: kind::CONST, ty });
        }
        if let Some(id) = self.named.get(text) {
            return *id;
        }
        match text {
            "void" => VOID,
            "bool" => self.builder.int_of("_Bool", 1, encoding::BOOL),
            _ => {
                let bytes =
                    text[1..].parse::<u32>().unwrap_or_else(|_| panic!("no type {text}")) / 8;
                let encoding = if text.starts_with('s') { encoding::SIGNED } else { 0 };
                self.builder.int_of(text, bytes, encoding)
            }
        }
    }
}
