//! Kernels made of text: how structs are laid out, and objects in memory laid out so.
//!
//! A layout is written as lines: `struct NAME SIZE`, then a line for each member: `OFFSET TYPE NAME` or, for a bitfield, `OFFSET.BIT:WIDTH TYPE NAME`; `enum NAME SIZE`,
//! then `VALUE NAME`. Types are `s8`…`u64`, `bool`, `*` or `*STRUCT`, `enum:NAME`, `=STRUCT` for an embedded struct; `[N]` after them makes an array.
//!
//! Addresses in an image are those of its memory in this process, so that machine code can follow them.

mod memory;
mod real;

use memory::Memory;
use std::collections::BTreeMap;
use ubpfc::ir::reloc::LocalTy;
use ubpfc::sema::hir::KStep;
use ubpfc::target::Endian;

/// A kernel type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KTy {
    /// An integer or bool.
    Int { bytes: u32, signed: bool },
    /// An enum of that name.
    Enum(String),
    /// A pointer.
    Ptr,
    /// An array.
    Array(Box<KTy>, u32),
    /// An embedded struct.
    Struct(String),
}

/// A member of a kernel struct.
#[derive(Clone, Debug)]
pub struct Member {
    name: String,
    bit: u32,
    width: u32,
    ty: KTy,
}

/// Something found in a kernel struct.
#[derive(Clone, Debug)]
pub struct Place {
    /// From the start of the struct.
    pub bit: u32,
    /// 0 unless it is a bitfield.
    pub width: u32,
    /// Its type.
    pub ty: KTy,
}

/// A kernel: types and memory.
#[derive(Debug)]
pub struct KernelImage {
    structs: BTreeMap<String, (u32, Vec<Member>)>,
    enums: BTreeMap<String, (u32, Vec<(String, i64)>)>,
    /// For each event, the names of its arguments.
    pub events: BTreeMap<String, Vec<String>>,
    /// In bytes.
    pointer: u32,
    endian: Endian,
    /// Whether new objects are full of garbage rather than zeros.
    garbage: bool,
    memory: Memory,
    used: usize,
}

impl KernelImage {
    /// A kernel with the layout that `text` describes, and nothing in memory. `event NAME arg arg…` names an event's arguments.
    pub fn new(text: &str) -> KernelImage {
        let mut image = KernelImage::empty(8, Endian::Little);
        let mut current: Option<String> = None;
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match *words.as_slice() {
                ["struct", name, size] => {
                    image.structs.insert(name.into(), (number(size), Vec::new()));
                    current = Some(name.into());
                }
                ["enum", name, size] => {
                    image.enums.insert(name.into(), (number(size), Vec::new()));
                    current = Some(name.into());
                }
                ["event", name, ref args @ ..] => {
                    let args = args.iter().map(|a| (*a).into()).collect();
                    image.events.insert(name.into(), args);
                }
                [value, name] => {
                    let list = image.enums.get_mut(current.as_ref().unwrap()).unwrap();
                    list.1.push((name.into(), value.parse().unwrap()));
                }
                [place, ty, name] => {
                    let (bit, width) = match place.split_once('.') {
                        Some((byte, rest)) => {
                            let (bit, width) = rest.split_once(':').unwrap();
                            (number(byte) * 8 + number(bit), number(width))
                        }
                        None => (number(place) * 8, 0),
                    };
                    let member = Member { name: name.into(), bit, width, ty: parse_ty(ty) };
                    image.structs.get_mut(current.as_ref().unwrap()).unwrap().1.push(member);
                }
                _ => panic!("not a line of a layout: {line}"),
            }
        }
        image
    }

    /// A kernel without types, and with nothing in memory.
    fn empty(pointer: u32, endian: Endian) -> KernelImage {
        KernelImage {
            structs: BTreeMap::new(),
            enums: BTreeMap::new(),
            events: BTreeMap::new(),
            pointer,
            endian,
            garbage: false,
            memory: Memory::new(1 << 18, pointer),
            used: 64,
        }
    }

    /// The size of a type in bytes.
    pub fn size(&self, ty: &KTy) -> u32 {
        match ty {
            KTy::Int { bytes, .. } => *bytes,
            KTy::Enum(name) => self.enums[name].0,
            KTy::Ptr => self.pointer,
            KTy::Array(elem, len) => self.size(elem) * len,
            KTy::Struct(name) => self.structs[name].0,
        }
    }

    /// The size of a struct, if there is one of that name.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        self.structs.get(name).map(|s| s.0)
    }

    /// The value of an enumerator.
    pub fn enumerator(&self, enum_name: &str, name: &str) -> Option<i64> {
        self.enums.get(enum_name)?.1.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// What the steps lead to from the start of a struct.
    pub fn find(&self, root: &str, steps: &[KStep]) -> Option<Place> {
        let mut at = Place { bit: 0, width: 0, ty: KTy::Struct(root.into()) };
        for step in steps {
            at = match (step, &at.ty) {
                (KStep::Member(name), KTy::Struct(owner)) => {
                    let member =
                        self.structs.get(owner)?.1.iter().find(|m| m.name == name.as_str())?;
                    Place { bit: at.bit + member.bit, width: member.width, ty: member.ty.clone() }
                }
                (KStep::Index(i), KTy::Array(elem, len)) if i < len || *len == 0 => {
                    let bit = at.bit + i * self.size(elem) * 8;
                    Place { bit, width: 0, ty: KTy::clone(elem) }
                }
                _ => return None,
            };
        }
        Some(at)
    }

    /// Whether CO-RE takes the target's type for the local one: kinds decide, not sizes.
    pub fn compatible(local: &LocalTy, target: &KTy) -> bool {
        match (local, target) {
            (LocalTy::Int(_) | LocalTy::Bits { .. }, KTy::Int { .. })
            | (LocalTy::Enum(..), KTy::Enum(_))
            | (LocalTy::Ptr, KTy::Ptr)
            | (LocalTy::Struct, KTy::Struct(_)) => true,
            (LocalTy::Array(local, _), KTy::Array(target, _)) => Self::compatible(local, target),
            (LocalTy::Wanted(local, _), target) => Self::compatible(local, target),
            _ => false,
        }
    }

    /// The unit that a place is loaded with: byte offset and size.
    pub fn unit(&self, place: &Place) -> (u32, u32) {
        let mut size = self.size(&place.ty);
        if place.width == 0 {
            return (place.bit / 8, size);
        }
        let offset = |size: u32| place.bit / 8 / size * size;
        while place.bit + place.width > (offset(size) + size) * 8 {
            size *= 2;
        }
        (offset(size), size)
    }

    /// The addresses that can be read.
    pub fn addresses(&self) -> std::ops::Range<u64> {
        let start = self.memory.as_ptr() as u64;
        start..start + self.memory.len() as u64
    }

    /// Bytes at an address; `None` where there is no memory.
    pub fn read(&self, addr: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(addr.checked_sub(self.addresses().start)?).ok()?;
        self.memory.get(start..start.checked_add(len)?)
    }

    /// The value of an integer, bool, enum, pointer or bitfield in the object at `base`; 0 where there is no memory.
    pub fn value(&self, base: u64, place: &Place) -> u64 {
        let (offset, size) = self.unit(place);
        let Some(bytes) = self.read(base.wrapping_add(offset.into()), size as usize) else {
            return 0;
        };
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let width = if place.width == 0 { size * 8 } else { place.width };
        let up = u64::from_le_bytes(word) << (64 - (place.bit - offset * 8) - width);
        match place.ty {
            KTy::Int { signed: true, .. } => (up.cast_signed() >> (64 - width)).cast_unsigned(),
            _ => up >> (64 - width),
        }
    }

    /// A new object of a struct: its address.
    pub fn object(&mut self, name: &str) -> u64 {
        self.object_and(name, 0)
    }

    /// A new object of a struct that ends in a flexible array, with that many bytes for it: its address.
    pub fn object_and(&mut self, name: &str, more: usize) -> u64 {
        let size = self.struct_size(name).unwrap_or(0) as usize + more;
        let fill = if self.garbage { 0xa7 } else { 0 };
        self.bytes(&vec![fill; size])
    }

    /// New memory that holds these bytes: its address.
    pub fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let at = self.used.next_multiple_of(8);
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        self.used = at + bytes.len();
        self.addresses().start + at as u64
    }

    /// Writes a number to a member of the object at `base`, as wide as the member is. Members that this kernel has not, or has as no number, are left out.
    pub fn set(&mut self, base: u64, root: &str, path: &str, value: u64) {
        let Some(place) = self.find(root, &steps(path)) else { return };
        if matches!(place.ty, KTy::Struct(_) | KTy::Array(..)) {
            return;
        }
        let (offset, size) = self.unit(&place);
        let width = if place.width == 0 { size * 8 } else { place.width };
        let first = place.bit - offset * 8;
        let shift = match self.endian {
            Endian::Little => first,
            Endian::Big => size * 8 - width - first,
        };
        let mask = (u64::MAX >> (64 - width)) << shift;
        let at = usize::try_from(base - self.addresses().start).unwrap() + offset as usize;
        let bytes = &mut self.memory[at..at + size as usize];
        let ordered = |bytes: &mut [u8]| {
            if self.endian == Endian::Big {
                bytes.reverse();
            }
        };
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        ordered(&mut word[..bytes.len()]);
        let word = (u64::from_le_bytes(word) & !mask) | ((value << shift) & mask);
        bytes.copy_from_slice(&word.to_le_bytes()[..size as usize]);
        ordered(bytes);
    }

    /// Writes text to an array member of the object at `base`.
    pub fn set_text(&mut self, base: u64, root: &str, path: &str, text: &str) {
        for (i, byte) in text.bytes().enumerate() {
            self.set(base, root, &format!("{path}[{i}]"), byte.into());
        }
    }
}

/// A type as a layout writes it.
fn parse_ty(text: &str) -> KTy {
    if let Some((elem, len)) = text.strip_suffix(']').and_then(|t| t.rsplit_once('[')) {
        return KTy::Array(parse_ty(elem).into(), number(len));
    }
    if let Some(name) = text.strip_prefix("enum:") {
        return KTy::Enum(name.into());
    }
    if let Some(name) = text.strip_prefix('=') {
        return KTy::Struct(name.into());
    }
    match text {
        "bool" => KTy::Int { bytes: 1, signed: false },
        text if text.starts_with('*') => KTy::Ptr,
        text => KTy::Int { bytes: number(&text[1..]) / 8, signed: text.starts_with('s') },
    }
}

/// `a.b[3]` as steps.
fn steps(path: &str) -> Vec<KStep> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        steps.push(KStep::Member(name.into()));
        steps.extend(
            indices.split(['[', ']']).filter(|t| !t.is_empty()).map(|i| KStep::Index(number(i))),
        );
    }
    steps
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}
