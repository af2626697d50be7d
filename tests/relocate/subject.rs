//! Objects that ask questions: one program, one instruction for each.
//!
//! The local types are those of a real kernel, all of them, in either byte order; each question is about one of these, and its instruction holds the answer on the local type, as compilers write it. The answers are computed here
//! anew, by the rules that clang and libbpf agree on.

use ubpfc::btf::{Btf, MAGIC, Type, TypeId, kind};
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::*;
use ubpfc::object::btf_ext::{self, CoreKind, CoreRecord, SectionInfo};
use ubpfc::object::elf::{File, Section, Symbol, section_flags, section_type, symbol_type};
use ubpfc::target::Endian;

/// The section of the program.
pub(crate) const SECTION: &str = "socket";
/// The program.
pub(crate) const PROGRAM: &str = "asks";

/// The instruction that holds the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `r0 = imm`
    Mov,
    /// `r0 = imm ll`
    Wide,
    /// `r0 = *(uN *)(r1 + off)`, of so many bytes.
    Load(u32),
    /// `*(uN *)(r1 + off) = r2`
    Store(u32),
    /// Any other.
    Raw(Insn),
}

/// A question with the instruction that waits for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The local type.
    pub(crate) root: TypeId,
    /// The way into it, in words.
    pub(crate) path: String,
    /// The way into it, as the record has it.
    pub(crate) access: String,
    /// What is asked.
    pub(crate) kind: CoreKind,
    /// The answer on the local type.
    pub(crate) value: u64,
    /// Where it stands.
    pub(crate) form: Form,
}

impl Question {
    /// How many slots the instruction has.
    pub(crate) fn slots(&self) -> usize {
        if self.form == Form::Wide { 2 } else { 1 }
    }

    fn insns(&self) -> Vec<Insn> {
        let low = self.value as u32 as i32;
        let size = |bytes| match bytes {
            1 => B,
            2 => H,
            4 => W,
            _ => DW,
        };
        let off = self.value as i16;
        match self.form {
            Form::Mov => vec![Insn { code: ALU64 | MOV | K, imm: low, ..Insn::default() }],
            Form::Wide => {
                let high = (self.value >> 32) as u32 as i32;
                vec![
                    Insn { code: LDIMM64, imm: low, ..Insn::default() },
                    Insn { imm: high, ..Insn::default() },
                ]
            }
            Form::Raw(insn) => vec![insn],
            Form::Load(n) => {
                vec![Insn { code: LDX | MEM | size(n), src: 1, off, ..Insn::default() }]
            }
            Form::Store(n) => {
                vec![Insn { code: STX | MEM | size(n), dst: 1, src: 2, off, ..Insn::default() }]
            }
        }
    }
}

/// An object that asks them, in that order, over local types that are a whole `.BTF` section, in whose byte order the object is. A question that is not asked keeps its slot.
pub(crate) fn object(
    types: &[u8],
    questions: &[Question],
    asked: impl Fn(usize) -> bool,
) -> Vec<u8> {
    let endian = order(types);
    let mut strings = Appended::new(types, endian);
    let mut info = SectionInfo { name: strings.add(SECTION), ..SectionInfo::default() };
    let mut code = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        if asked(number) {
            let access = strings.add(&question.access);
            let insn_off = u32::try_from(code.len()).unwrap();
            let Question { root, kind, .. } = *question;
            info.core.push(CoreRecord { insn_off, root, access, kind });
        }
        code.extend(question.insns().into_iter().flat_map(|insn| insn.encode(endian)));
    }
    for code_of in [ALU64 | MOV | K, JMP | EXIT] {
        code.extend(Insn { code: code_of, ..Insn::default() }.encode(endian));
    }
    file(code, strings.section(), btf_ext::encode(&[info], endian), endian)
}

/// The byte order of a `.BTF` section.
fn order(types: &[u8]) -> Endian {
    if types.starts_with(&MAGIC.to_le_bytes()) { Endian::Little } else { Endian::Big }
}

/// The same types in a byte order: but for the first four bytes, what precedes the strings are numbers of 32 bits, all of them.
pub(crate) fn in_order(types: &[u8], endian: Endian) -> Vec<u8> {
    let (mut swapped, from) = (types.to_vec(), order(types));
    if from != endian {
        let end = word(types, 4, from) + word(types, 16, from);
        swapped[..2].reverse();
        swapped[4..end as usize].chunks_exact_mut(4).for_each(<[u8]>::reverse);
    }
    swapped
}

fn file(code: Vec<u8>, types: Vec<u8>, ext: Vec<u8>, endian: Endian) -> Vec<u8> {
    let mut file = File::default();
    let plain = |name: &str, data| Section {
        name: name.into(),
        kind: section_type::PROGBITS,
        align: 8,
        data,
        ..Section::default()
    };
    let size = code.len() as u64;
    let flags = section_flags::ALLOC | section_flags::EXECINSTR;
    let section = file.section(Section { flags, ..plain(SECTION, code) });
    let flags = section_flags::ALLOC | section_flags::WRITE;
    file.section(Section { flags, ..plain("license", b"GPL\0".to_vec()) });
    file.section(plain(".BTF", types));
    file.section(plain(".BTF.ext", ext));
    let (name, kind) = (PROGRAM.into(), symbol_type::FUNC);
    file.symbol(Symbol { name, kind, global: true, section: Some(section), offset: 0, size });
    file.bytes(endian)
}

/// A `.BTF` section with more strings at its end.
struct Appended {
    section: Vec<u8>,
    strings: u32,
    endian: Endian,
}

/// The number at a place.
fn word(bytes: &[u8], at: usize, endian: Endian) -> u32 {
    let bytes = bytes[at..at + 4].try_into().unwrap();
    match endian {
        Endian::Little => u32::from_le_bytes(bytes),
        Endian::Big => u32::from_be_bytes(bytes),
    }
}

/// The bytes of a number.
fn bytes(word: u32, endian: Endian) -> [u8; 4] {
    match endian {
        Endian::Little => word.to_le_bytes(),
        Endian::Big => word.to_be_bytes(),
    }
}

impl Appended {
    fn new(types: &[u8], endian: Endian) -> Appended {
        let word = |at: usize| word(types, at, endian);
        let (header, start, len) = (word(4), word(16), word(20));
        let end = (header + start + len) as usize;
        assert_eq!(end, types.len(), "the strings are the last part");
        let mut section = types.to_vec();
        without_variables(&mut section, word(8) + header, word(12), endian);
        Appended { section, strings: len, endian }
    }

    fn add(&mut self, string: &str) -> u32 {
        let at = self.strings;
        self.section.extend(string.bytes());
        self.section.push(0);
        self.strings += u32::try_from(string.len()).unwrap() + 1;
        at
    }

    fn section(mut self) -> Vec<u8> {
        self.section[20..24].copy_from_slice(&bytes(self.strings, self.endian));
        self.section
    }
}

/// Makes structs of the sections of variables that a kernel has: loaders look for them in the object's symbols. Both have 12 bytes for each member.
fn without_variables(section: &mut [u8], start: u32, len: u32, endian: Endian) {
    let types = &mut section[start as usize..][..len as usize];
    let mut at = 0;
    while at < types.len() {
        let info = word(types, at + 4, endian);
        let (number, count) = (info >> 24 & 31, (info & 0xffff) as usize);
        let tail = match number {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * count,
            kind::ENUM | kind::FUNC_PROTO => 8 * count,
            _ => 0,
        };
        if number == kind::DATASEC {
            types[at + 4..at + 8]
                .copy_from_slice(&bytes(kind::STRUCT << 24 | count as u32, endian));
            // No name, the first type, no offset.
            let member = [0, 1, 0].map(|word| bytes(word, endian)).concat();
            for place in types[at + 12..][..tail].chunks_mut(12) {
                place.copy_from_slice(&member);
            }
        }
        at += 12 + tail;
    }
}

/// The slots of all questions, by question: the first slot of each.
pub(crate) fn places(questions: &[Question]) -> Vec<usize> {
    let mut at = 0;
    let place = |question: &Question| {
        let here = at;
        at += question.slots();
        here
    };
    questions.iter().map(place).collect()
}

/// Questions about every member of a struct, and of the structs in it down to `depth`.
pub(crate) fn about_members(btf: &Btf<'_>, root: TypeId, depth: usize) -> Vec<Question> {
    let mut questions = Vec::new();
    let name = btf.get(root).unwrap().name();
    let asker = Asker { btf, root };
    asker.composite(
        root,
        &mut questions,
        Way { bits: 0, path: name.into(), access: "0".into() },
        depth,
    );
    questions
}

/// Where in the root a walk has come to.
#[derive(Clone)]
struct Way {
    bits: u32,
    path: String,
    access: String,
}

struct Asker<'a> {
    btf: &'a Btf<'a>,
    root: TypeId,
}

impl Asker<'_> {
    fn composite(&self, id: TypeId, out: &mut Vec<Question>, way: Way, depth: usize) {
        let Ok(Type::Composite { members, .. }) = self.btf.get(id) else { return };
        for (number, member) in members.iter().enumerate() {
            let Ok(ty) = self.btf.strip(member.ty) else { continue };
            let anonymous = member.name.is_empty();
            let inner = Way {
                bits: way.bits + member.bit_offset,
                path: if anonymous {
                    way.path.clone()
                } else {
                    format!("{}.{}", way.path, member.name)
                },
                access: format!("{}:{number}", way.access),
            };
            if !anonymous {
                self.field(ty, member.bit_width, out, &inner);
            }
            let deeper = depth.checked_sub(usize::from(!anonymous));
            if let Some(depth) = deeper {
                self.composite(ty, out, inner.clone(), depth);
                self.elements(ty, out, &inner, depth);
            }
        }
    }

    /// Questions about the first and last element of an array, and into them.
    fn elements(&self, ty: TypeId, out: &mut Vec<Question>, way: &Way, depth: usize) {
        let Ok(Type::Array { elem, len, .. }) = self.btf.get(ty) else { return };
        let (Ok(size), Ok(elem)) = (self.btf.size(elem), self.btf.strip(elem)) else { return };
        for index in std::collections::BTreeSet::from([0, len.saturating_sub(1)]) {
            let Some(offset) = size.checked_mul(8 * index) else { continue };
            let inner = Way {
                bits: way.bits + offset,
                path: format!("{}[{index}]", way.path),
                access: format!("{}:{index}", way.access),
            };
            let of = |kind, value| self.question(&inner, kind, value, Form::Mov);
            if len > 0 {
                out.push(of(CoreKind::ByteOff, (inner.bits / 8).into()));
                out.push(of(CoreKind::ByteSize, size.into()));
                out.push(of(CoreKind::FieldExists, 1));
                self.loads(elem, size, inner.bits / 8, out, &inner);
                self.composite(elem, out, inner, depth);
            }
        }
    }

    fn question(&self, way: &Way, kind: CoreKind, value: u64, form: Form) -> Question {
        let Way { path, access, .. } = way.clone();
        Question { root: self.root, path, access, kind, value, form }
    }

    /// Every question about a member.
    fn field(&self, ty: TypeId, width: u8, out: &mut Vec<Question>, way: &Way) {
        let Ok(mut size) = self.btf.size(ty) else { return };
        let bits = way.bits;
        let unit = |size: u32| bits / 8 / size * size;
        let mut off = bits / 8;
        let mut len = size * 8;
        if width != 0 {
            len = width.into();
            off = unit(size);
            while bits + len - off * 8 > size * 8 {
                if size >= 8 {
                    return;
                }
                size *= 2;
                off = unit(size);
            }
        }
        let signed = match self.btf.get(ty) {
            Ok(Type::Int { encoding, .. }) => encoding & 1 != 0,
            Ok(Type::Enum { signed, .. }) => signed,
            _ => false,
        };
        let lshift = match self.btf.endian {
            Endian::Little => 64_u32.wrapping_sub(bits + len - off * 8),
            Endian::Big => 8_u32.wrapping_sub(size).wrapping_mul(8).wrapping_add(bits - off * 8),
        };
        let rshift = 64_u32.wrapping_sub(len);
        for (kind, value) in [
            (CoreKind::FieldExists, 1),
            (CoreKind::ByteOff, off.into()),
            (CoreKind::ByteSize, size.into()),
            (CoreKind::Signed, signed.into()),
        ] {
            out.push(self.question(way, kind, value, Form::Mov));
        }
        if len <= 64 {
            for (kind, value) in [(CoreKind::LshiftU64, lshift), (CoreKind::RshiftU64, rshift)] {
                out.push(self.question(way, kind, value.into(), Form::Mov));
            }
        }
        self.loads(ty, size, off, out, way);
    }

    /// A load and a store of a number or pointer, where they can hold the offset.
    fn loads(&self, ty: TypeId, size: u32, off: u32, out: &mut Vec<Question>, way: &Way) {
        let scalar = matches!(
            self.btf.get(ty),
            Ok(Type::Int { .. } | Type::Ptr(_) | Type::Enum { .. } | Type::Float { .. })
        );
        if scalar && matches!(size, 1 | 2 | 4 | 8) && off <= 0x7fff {
            out.push(self.question(way, CoreKind::ByteOff, off.into(), Form::Load(size)));
            out.push(self.question(way, CoreKind::ByteOff, off.into(), Form::Store(size)));
        }
    }
}

/// Questions about every enumerator of a named enum.
pub(crate) fn about_enumerators(btf: &Btf<'_>, root: TypeId) -> Vec<Question> {
    let Ok(Type::Enum { name, values, .. }) = btf.get(root) else { return Vec::new() };
    let mut out = Vec::new();
    for (number, (enumerator, value)) in values.iter().enumerate() {
        let (path, access) = (format!("{name}::{enumerator}"), number.to_string());
        for (kind, value, form) in
            [(CoreKind::EnumvalExists, 1, Form::Mov), (CoreKind::EnumvalValue, *value, Form::Wide)]
        {
            let (path, access) = (path.clone(), access.clone());
            out.push(Question { root, path, access, kind, value, form });
        }
    }
    out
}

/// Every question about a type.
pub(crate) fn about_type(btf: &Btf<'_>, root: TypeId) -> Vec<Question> {
    let ty = btf.get(root).unwrap();
    let mut kinds = vec![
        (CoreKind::LocalTypeId, root.0.into(), Form::Wide),
        (CoreKind::TypeExists, 1, Form::Mov),
        (CoreKind::TargetTypeId, root.0.into(), Form::Wide),
        (CoreKind::TypeMatches, 1, Form::Mov),
    ];
    if let Ok(size) = btf.size(root) {
        kinds.push((CoreKind::TypeSize, size.into(), Form::Mov));
    }
    let question = |(kind, value, form)| {
        let (path, access) = (ty.name().to_owned(), "0".to_owned());
        Question { root, path, access, kind, value, form }
    };
    kinds.into_iter().map(question).collect()
}
