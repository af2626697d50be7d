//! Loads of fields that differ between the two sides: run over memory as the target lays it out, they give what C's conversion of the value gives.

use proptest::prelude::*;
use std::sync::Arc;
use ubpfc::btf::{Btf, Builder, Member, Type, encoding};
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::*;
use ubpfc::kernel::Target;
use ubpfc::object::btf_ext::{self, CoreKind, CoreRecord, SectionInfo};
use ubpfc::object::elf::{File, Section, Symbol, section_flags, section_type, symbol_type};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Edit, Policy};
use ubpfc::target::Endian;

/// The kinds of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int { signed: bool },
    Enum { signed: bool },
    Bool,
}

/// A field.
#[derive(Clone, Copy, Debug)]
struct Shape {
    kind: Kind,
    bytes: u32,
    /// Bits from the start of the struct.
    at: u32,
    /// 0 unless it is a bitfield.
    bits: u8,
}

impl Shape {
    fn signed(self) -> bool {
        matches!(self.kind, Kind::Int { signed: true } | Kind::Enum { signed: true })
    }

    fn width(self) -> u32 {
        if self.bits == 0 { self.bytes * 8 } else { self.bits.into() }
    }

    /// Adds `struct s` with this field in it.
    fn build(self, builder: &mut Builder) -> ubpfc::btf::TypeId {
        let ty = match self.kind {
            Kind::Int { signed } => {
                let encoding = if signed { encoding::SIGNED } else { 0 };
                builder.int_of("number", self.bytes, encoding)
            }
            Kind::Bool => builder.int_of("_Bool", self.bytes, encoding::BOOL),
            Kind::Enum { signed } => builder.add(Type::Enum {
                name: "e".into(),
                size: self.bytes,
                signed,
                wide: self.bytes == 8,
                values: vec![("A".into(), 1)],
            }),
        };
        let member = Member { name: "x".into(), ty, bit_offset: self.at, bit_width: self.bits };
        builder.composite("s", 128, vec![member])
    }

    /// The value of the field's bits.
    fn value(self, bits: u64) -> i128 {
        let width = self.width();
        let low = bits & (u64::MAX >> (64 - width));
        if self.signed() && low >> (width - 1) & 1 == 1 {
            i128::from(low) - (1_i128 << width)
        } else {
            low.into()
        }
    }

    /// A struct that has these bits in the field, and noise around it.
    fn memory(self, bits: u64, noise: u8, endian: Endian) -> Vec<u8> {
        let mut memory = vec![noise; 128];
        for i in 0..self.width() {
            // The i-th bit from the least significant one.
            let bit = match endian {
                Endian::Little => self.at + i,
                Endian::Big => self.at + self.width() - 1 - i,
            };
            let (byte, within) = ((bit / 8) as usize, bit % 8);
            let mask = match endian {
                Endian::Little => 1 << within,
                Endian::Big => 0x80 >> within,
            };
            memory[byte] = memory[byte] & !mask | if bits >> i & 1 == 1 { mask } else { 0 };
        }
        memory
    }
}

/// An object with one load of the field; the version 4 instruction after it says that such may be used.
fn object(shape: Shape, load: Insn, v4: bool, endian: Endian) -> Vec<u8> {
    let mut builder = Builder::default();
    let root = shape.build(&mut builder);
    let core =
        CoreRecord { insn_off: 0, root, access: builder.string("0:0"), kind: CoreKind::ByteOff };
    let name = builder.string("socket");
    let info = SectionInfo { name, core: vec![core], ..SectionInfo::default() };
    let sext = Insn { code: ALU64 | MOV | X, off: if v4 { 8 } else { 0 }, ..Insn::default() };
    let exit = Insn { code: JMP | EXIT, ..Insn::default() };
    let code: Vec<u8> = [load, sext, exit].iter().flat_map(|insn| insn.encode(endian)).collect();
    let mut file = File::default();
    let plain = |name: &str, data| Section {
        name: name.into(),
        kind: section_type::PROGBITS,
        align: 8,
        data,
        ..Section::default()
    };
    let (flags, size) = (section_flags::ALLOC | section_flags::EXECINSTR, code.len() as u64);
    let section = file.section(Section { flags, ..plain("socket", code) });
    file.section(plain(".BTF", builder.bytes(endian)));
    file.section(plain(".BTF.ext", btf_ext::encode(&[info], endian)));
    let (name, kind) = ("program".into(), symbol_type::FUNC);
    file.symbol(Symbol { name, kind, global: true, section: Some(section), offset: 0, size });
    file.bytes(endian)
}

/// Runs straight code: `r1` points to the memory, the result is in `register`.
fn run(code: &[Insn], memory: &[u8], register: u8, endian: Endian) -> u64 {
    let mut registers = [0_u64; 11];
    for insn in code {
        let imm = i64::from(insn.imm) as u64;
        let source = registers[usize::from(insn.src)];
        let (class, operation) = (insn.code & CLASS_MASK, insn.code & OP_MASK);
        let dst = registers[usize::from(insn.dst)];
        let operand = if insn.code & SRC_MASK == X { source } else { imm };
        registers[usize::from(insn.dst)] = match (class, operation) {
            (LDX, _) => {
                let bytes = match insn.code & SIZE_MASK {
                    B => 1,
                    H => 2,
                    W => 4,
                    _ => 8,
                };
                let at = (source as i64 + i64::from(insn.off)) as usize;
                let read = &memory[at..at + bytes];
                let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
                let value = match endian {
                    Endian::Little => read.iter().rev().fold(0, join),
                    Endian::Big => read.iter().fold(0, join),
                };
                let unused = 64 - bytes as u32 * 8;
                match insn.code & MODE_MASK {
                    MEMSX => ((value << unused) as i64 >> unused) as u64,
                    _ => value,
                }
            }
            (ALU64, MOV) => operand,
            (ALU, MOV) => u64::from(operand as u32),
            (ALU64, ADD) => dst.wrapping_add(operand),
            (ALU64, AND) => dst & operand,
            (ALU64, XOR) => dst ^ operand,
            (ALU64, LSH) => dst << operand,
            (ALU64, RSH) => dst >> operand,
            (ALU64, ARSH) => (dst as i64 >> operand) as u64,
            _ => panic!("{insn:?}"),
        };
    }
    registers[usize::from(register)]
}

fn shapes() -> impl Strategy<Value = (Shape, Shape)> {
    let bytes = prop::sample::select(vec![1_u32, 2, 4, 8]);
    let plain = move |kind| (Just(kind), bytes.clone(), 0..8_u32);
    let shape = |(kind, bytes, slot): (Kind, u32, u32)| {
        let bytes = if kind == Kind::Bool { 1 } else { bytes };
        Shape { kind, bytes, at: slot * bytes * 8, bits: 0 }
    };
    let numbers = prop::sample::select(vec![
        Kind::Int { signed: false },
        Kind::Int { signed: true },
        Kind::Bool,
    ]);
    let number = numbers.prop_flat_map(plain.clone()).prop_map(shape);
    let bits = (number.clone(), 1..64_u32, 0..64_u32).prop_map(|(shape, width, start)| {
        let unit = shape.bytes * 8;
        let (width, start) = if shape.kind == Kind::Bool {
            (1, start % 8)
        } else {
            let width = width % unit + 1;
            (width, start % (unit - width + 1))
        };
        Shape { at: shape.at + start, bits: width as u8, ..shape }
    });
    let target = prop_oneof![number.clone(), bits];
    let enums = any::<(bool, bool)>().prop_flat_map(move |(a, b)| {
        let one = |signed| plain(Kind::Enum { signed }).prop_map(shape);
        (one(a), one(b))
    });
    prop_oneof![4 => (number, target), 1 => enums]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_load_gives_the_value_as_c_converts_it(
        (local, target) in shapes(),
        bits: u64,
        noise: u8,
        (extends, v4, big, same_register) in any::<(bool, bool, bool, bool)>(),
    ) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let size = [B, H, W, DW][local.bytes.trailing_zeros() as usize];
        let extends = extends && v4 && local.bytes != 8;
        let mode = if extends { MEMSX } else { MEM };
        let dst = if same_register { 1 } else { 3 };
        let off = (local.at / 8) as i16;
        let load = Insn { code: LDX | mode | size, dst, src: 1, off, imm: 0 };
        let bytes = object(local, load, v4, endian);
        let mut builder = Builder::default();
        target.build(&mut builder);
        let types = builder.bytes(endian);
        let image = Arc::new(Btf::parse(&types).unwrap());
        let object = Object::parse(&bytes).unwrap();
        let plan = relocate::plan(&object, &Target { image, modules: Vec::new() }, Policy::Strict);
        let plan = plan.unwrap();
        let Edit::Replace(code) = &plan.fixups[0].edit else {
            // A truth value of 64 bits takes a register more than there is.
            prop_assert!(local.kind == Kind::Bool && target.width() == 64, "{:?}", plan.fixups[0]);
            return Ok(());
        };
        // A truth value is 0 or 1 in memory.
        let bits = if target.kind == Kind::Bool { bits & 1 } else { bits };
        let memory = target.memory(bits, noise, endian);
        let value = target.value(bits);
        let (plain, unsigned) = (target.bits == 0, !local.signed() && !target.signed());
        let ints = !matches!(local.kind, Kind::Enum { .. });
        let truth = local.kind == Kind::Bool && target.kind != Kind::Bool;
        let expected = if plain && unsigned && ints && !extends && !truth {
            // As libbpf: the whole value arrives.
            value as u64
        } else {
            let value = if truth { i128::from(value != 0) } else { value };
            let unused = 64 - local.bytes * 8;
            let cut = (value as u64) << unused;
            if extends { (cut as i64 >> unused) as u64 } else { cut >> unused }
        };
        let got = run(code, &memory, dst, endian);
        prop_assert_eq!(got, expected, "{:?}", code);
    }

    #[test]
    fn a_plain_load_of_a_bitfield_finds_it_at_the_same_bits(
        (width, start, word, moved) in (1..=32_u32, 0..32_u32, 0..4_u32, 0..4_u32),
        (log, back) in (0..4_u32, 0..8_u32),
        bits: u64,
        noise: u8,
        big: bool,
    ) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let start = start % (33 - width);
        let kind = Kind::Int { signed: false };
        let local = Shape { kind, bytes: 4, at: 64 + word * 32 + start, bits: width as u8 };
        let target = Shape { at: local.at + moved * 32, ..local };
        // Any load that holds the field, wherever it begins.
        let (first, end) = (local.at / 8, (local.at + width).div_ceil(8));
        let log = log.max((end - first).next_power_of_two().trailing_zeros());
        let bytes = 1 << log;
        let off = (first - back % (bytes - (end - first) + 1)) as i16;
        let size = [B, H, W, DW][log as usize];
        let load = Insn { code: LDX | MEM | size, dst: 3, src: 1, off, imm: 0 };
        let bytes = object(local, load, false, endian);
        let mut builder = Builder::default();
        target.build(&mut builder);
        let types = builder.bytes(endian);
        let image = Arc::new(Btf::parse(&types).unwrap());
        let object = Object::parse(&bytes).unwrap();
        let plan = relocate::plan(&object, &Target { image, modules: Vec::new() }, Policy::Strict);
        let plan = plan.unwrap();
        let Edit::Replace(code) = &plan.fixups[0].edit else { panic!("{:?}", plan.fixups[0]) };
        let expected = run(&[load], &local.memory(bits, noise, endian), 3, endian);
        let got = run(code, &target.memory(bits, noise, endian), 3, endian);
        prop_assert_eq!(got, expected, "{:?}", code);
    }
}
