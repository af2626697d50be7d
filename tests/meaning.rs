//! What a mirror's field gives on kernels nobody knew of: the kernel's value as C converts it to the declared type, or a refusal; never another value.
//!
//! Random fields (declared type, type taken for the kernel's, the kernel's own, way of reading, byte order, version of instructions) are compiled, relocated and run here over memory that is laid out as
//! that kernel's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::cast_possible_truncation, reason = "numbers are cut as instructions cut them")]
#![allow(clippy::cast_possible_wrap, reason = "as above")]
#![allow(clippy::cast_sign_loss, reason = "as above")]

use proptest::prelude::*;
use std::sync::Arc;
use ubpfc::btf::{Btf, Builder, Member, Type, VOID, encoding};
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode as op;
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Policy};
use ubpfc::sema::imports::Library;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::{Cpu, Endian};
use ubpfc::{diag, driver};

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Int {
    bytes: u32,
    signed: bool,
}

impl Int {
    fn name(self) -> String {
        format!("{}{}", if self.signed { 's' } else { 'u' }, self.bytes * 8)
    }

    fn bits(self) -> u32 {
        self.bytes * 8
    }

    fn convert(self, value: i128) -> i128 {
        let low = value & ((1 << self.bits()) - 1);
        if self.signed && low >> (self.bits() - 1) == 1 { low - (1 << self.bits()) } else { low }
    }
}

/// What a field is declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Int(Int),
    Bool,
}

impl Declared {
    fn convert(self, value: i128) -> i128 {
        match self {
            Declared::Int(int) => int.convert(value),
            Declared::Bool => i128::from(value != 0),
        }
    }

    fn name(self) -> String {
        match self {
            Declared::Int(int) => int.name(),
            Declared::Bool => "bool".into(),
        }
    }
}

/// What the mirror says of the kernel's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stated {
    Nothing,
    Cast(Int),
    Width(u32),
    Enum,
}

/// What the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Int(Int),
    Bool,
    Enum(Int),
    /// So many bits from that one of a number.
    Bits {
        word: Int,
        from: u32,
        width: u32,
    },
}

impl Kept {
    fn word(self) -> Int {
        match self {
            Kept::Int(int) | Kept::Enum(int) | Kept::Bits { word: int, .. } => int,
            Kept::Bool => Int { bytes: 1, signed: false },
        }
    }

    fn width(self) -> u32 {
        match self {
            Kept::Bits { width, .. } => width,
            _ => self.word().bits(),
        }
    }

    fn value(self, raw: u64) -> i128 {
        let raw = if self == Kept::Bool { raw & 1 } else { raw };
        let low = i128::from(raw) & ((1 << self.width()) - 1);
        let negative = self.word().signed && low >> (self.width() - 1) == 1;
        if negative { low - (1 << self.width()) } else { low }
    }
}

/// How a field's value is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    /// Behind a pointer.
    Behind,
    /// The third element of an array.
    Element,
    /// One is added to it.
    Operand,
    /// Three elements as a whole, of which the third is looked at.
    Whole,
}

/// How many elements the kernel's array has.
const LEN: u32 = 4;

#[derive(Clone, Copy, Debug)]
struct Case {
    declared: Declared,
    stated: Stated,
    kept: Kept,
    way: Way,
    /// By direct loads.
    direct: bool,
    endian: Endian,
    cpu: Cpu,
    raw: u64,
    noise: u8,
    /// The bytes of a pointer.
    pointer: u32,
    /// How many elements the field has, where it is an array.
    len: u32,
}

/// Where the field is in its struct, in bytes; before it is a pointer to another one.
const AT: u32 = 16;
const OBJECTS: u64 = 0x10_0000;
const OBJECT: usize = 128;
const CONTEXT: u64 = 0x20_0000;
const FRAME: u64 = 0x30_0000;

impl Case {
    fn script(self) -> String {
        let path = match self.way {
            Way::Plain | Way::Operand | Way::Whole => "x",
            Way::Behind => "next->x",
            Way::Element => "x[2]",
        };
        let stated = match self.stated {
            Stated::Cast(int) => format!("({}){path}", int.name()),
            Stated::Enum => format!("(enum e){path}"),
            Stated::Nothing | Stated::Width(_) => path.into(),
        };
        let value = if self.way == Way::Operand { format!("{stated} + 1") } else { stated };
        let width = match self.stated {
            Stated::Width(width) => format!(" : {width}"),
            _ if self.way == Way::Whole => format!("[{}]", self.len),
            _ => String::new(),
        };
        let index = if self.way == Way::Whole { "[2]" } else { "" };
        // What the kernel has there can be told of a field that is no array by a cast.
        let (kept, value) = match self.stated {
            Stated::Cast(int) if self.way == Way::Whole => {
                (format!("{} x[{LEN}];", int.name()), "x".to_owned())
            }
            _ => (String::new(), value),
        };
        format!(
            "struct s_user {{ {} f{width} = {value}; }};
             kernel struct s {{ struct s *next; {kept} }};
             kernel tracepoint ev(struct s *p);
             tracepoint user:ev(struct s_user *p) = tracepoint c:ev;
             user:ev {{ emit ((u64)args.p.f{index}); }}",
            self.declared.name()
        )
    }

    fn object(self) -> Option<Vec<u8>> {
        let mut sources = Sources::new();
        let root = sources.add("test.ub", self.script(), Origin::User);
        let target = ubpfc::target::Target { endian: self.endian, cpu: self.cpu };
        let options = driver::Options { target, ..driver::Options::default() };
        let (output, diags) = driver::compile(&mut sources, root, &mut Library, options);
        let told = diag::render(&sources, &diags, diag::Format::Short);
        // Not every type can be stated of every field.
        assert!(output.is_some() || told.contains("E0"), "{told}");
        output.map(|output| output.bytes)
    }

    fn types(self) -> Vec<u8> {
        let mut builder = Builder::default();
        let signed = |int: Int| if int.signed { encoding::SIGNED } else { 0 };
        let word = self.kept.word();
        let mut ty = match self.kept {
            Kept::Int(_) | Kept::Bits { .. } => builder.int_of("number", word.bytes, signed(word)),
            Kept::Bool => builder.int_of("_Bool", 1, encoding::BOOL),
            Kept::Enum(_) => builder.add(Type::Enum {
                name: "e".into(),
                size: word.bytes,
                signed: word.signed,
                wide: word.bytes == 8,
                values: vec![("A".into(), 1)],
            }),
        };
        if matches!(self.way, Way::Element | Way::Whole) {
            ty = builder.array(ty, LEN);
        }
        let (bit_offset, bit_width) = match self.kept {
            Kept::Bits { from, width, .. } => (AT * 8 + from, width as u8),
            _ => (AT * 8, 0),
        };
        let next = builder.ptr(VOID);
        let members = vec![
            Member { name: "next".into(), ty: next, bit_offset: 64, bit_width: 0 },
            Member { name: "x".into(), ty, bit_offset, bit_width },
        ];
        let object = builder.composite("s", OBJECT as u32, members);
        let pointer = builder.ptr(object);
        let data = builder.ptr(VOID);
        let params = vec![("__data".into(), data), ("p".into(), pointer)];
        let proto = builder.add(Type::FuncProto { ret: VOID, params });
        let handler = builder.ptr(proto);
        builder.typedef("btf_trace_ev", handler);
        builder.add(Type::Func { name: "__traceiter_ev".into(), proto, global: false });
        builder.bytes(self.endian)
    }

    /// Two objects with the value in them, the first pointing to the second, and noise around it.
    fn memory(self) -> Vec<u8> {
        let mut memory = vec![self.noise; 2 * OBJECT];
        let raw = if self.kept == Kept::Bool { self.raw & 1 } else { self.raw };
        let first = match self.kept {
            Kept::Bits { from, .. } => AT * 8 + from,
            _ if matches!(self.way, Way::Element | Way::Whole) => {
                AT * 8 + 2 * self.kept.word().bits()
            }
            _ => AT * 8,
        };
        let start = if self.way == Way::Behind { OBJECT as u32 * 8 } else { 0 } + first;
        for i in 0..self.kept.width() {
            let at = match self.endian {
                Endian::Little => start + i,
                Endian::Big => start + self.kept.width() - 1 - i,
            };
            let mask = match self.endian {
                Endian::Little => 1 << (at % 8),
                Endian::Big => 0x80 >> (at % 8),
            };
            let byte = &mut memory[(at / 8) as usize];
            *byte = *byte & !mask | if raw >> i & 1 == 1 { mask } else { 0 };
        }
        let next = number(OBJECTS + OBJECT as u64, self.endian);
        let pointer = self.pointer as usize;
        memory[8..8 + pointer].copy_from_slice(match self.endian {
            Endian::Little => &next[..pointer],
            Endian::Big => &next[8 - pointer..],
        });
        memory
    }

    fn expected(self) -> u64 {
        let value = self.kept.value(self.raw);
        let value = if self.way == Way::Operand {
            i128::from((value as u64).wrapping_add(1) as i64)
        } else {
            value
        };
        self.declared.convert(value) as u64
    }

    /// What ubpfc's relocator makes of the object for this kernel, run.
    fn strictly(self, object: &[u8], target: &Target<'_>) -> Result<u64, String> {
        let read = Object::parse(object).unwrap();
        let choice = relocate::choose(&read.ubpf().unwrap().unwrap(), target, self.direct).unwrap();
        let brought = relocate::bring_in(object, &choice).unwrap().bytes;
        let read = Object::parse(&brought).unwrap();
        let plan = relocate::plan(&read, target, Policy::Strict).unwrap();
        let applied = relocate::apply(&brought, &read, &plan, Policy::Strict);
        let bytes = applied.map_err(|error| error.to_string())?.bytes;
        self.run(&bytes, if self.direct { "tp_btf/ev" } else { "raw_tp/ev" })
    }

    /// What libbpf makes of it.
    fn by_libbpf(self, object: &[u8], target: &Target<'_>) -> Result<u64, String> {
        let read = Object::parse(object).unwrap();
        let plan = relocate::plan(&read, target, Policy::Libbpf).map_err(|e| e.to_string())?;
        let applied = relocate::apply(object, &read, &plan, Policy::Libbpf);
        self.run(&applied.map_err(|e| e.to_string())?.bytes, "tp_btf/ev")
    }

    fn run(self, object: &[u8], section: &str) -> Result<u64, String> {
        let object = Object::parse(object).unwrap();
        let functions = object.functions().unwrap();
        let function = functions.iter().find(|f| f.section == section).unwrap();
        let code: Vec<Insn> = function
            .code
            .chunks(8)
            .map(|slot| Insn::decode(slot.try_into().unwrap(), self.endian))
            .collect();
        let mut context = vec![0; 96];
        context[..8].copy_from_slice(&number(OBJECTS, self.endian));
        let mut machine = Machine {
            endian: self.endian,
            regions: vec![(OBJECTS, self.memory()), (CONTEXT, context), (FRAME, vec![0xaa; 512])],
            registers: [0; 11],
            record: None,
        };
        machine.run(&code)?;
        Ok(machine.record.expect("the program writes a record"))
    }
}

fn number(value: u64, endian: Endian) -> [u8; 8] {
    match endian {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    }
}

/// Runs code in either byte order.
struct Machine {
    endian: Endian,
    regions: Vec<(u64, Vec<u8>)>,
    registers: [u64; 11],
    record: Option<u64>,
}

impl Machine {
    fn memory(&mut self, at: u64, len: usize) -> &mut [u8] {
        let inside = |(start, bytes): &&mut (u64, Vec<u8>)| {
            at >= *start && at + len as u64 <= *start + bytes.len() as u64
        };
        let (start, bytes) = self.regions.iter_mut().find(inside).expect("an address of the test");
        let at = (at - *start) as usize;
        &mut bytes[at..at + len]
    }

    fn load(&mut self, at: u64, len: usize) -> u64 {
        let mut value = [0; 8];
        let endian = self.endian;
        let bytes = self.memory(at, len);
        match endian {
            Endian::Little => value[..len].copy_from_slice(bytes),
            Endian::Big => value[8 - len..].copy_from_slice(bytes),
        }
        match endian {
            Endian::Little => u64::from_le_bytes(value),
            Endian::Big => u64::from_be_bytes(value),
        }
    }

    fn store(&mut self, at: u64, len: usize, value: u64) {
        let bytes = number(value, self.endian);
        let endian = self.endian;
        self.memory(at, len).copy_from_slice(match endian {
            Endian::Little => &bytes[..len],
            Endian::Big => &bytes[8 - len..],
        });
    }

    fn run(&mut self, code: &[Insn]) -> Result<(), String> {
        (self.registers[1], self.registers[10]) = (CONTEXT, FRAME + 512);
        let mut at = 0;
        loop {
            let insn = code[at];
            at += 1;
            let (class, operation) = (insn.code & op::CLASS_MASK, insn.code & op::OP_MASK);
            let (dst, src) = (usize::from(insn.dst), self.registers[usize::from(insn.src)]);
            let value = self.registers[dst];
            let imm = i64::from(insn.imm) as u64;
            let operand = if insn.code & op::SRC_MASK == op::X { src } else { imm };
            let bytes = match insn.code & op::SIZE_MASK {
                op::B => 1,
                op::H => 2,
                op::W => 4,
                _ => 8,
            };
            match class {
                _ if insn.is_wide() => {
                    self.registers[dst] =
                        u64::from(insn.imm as u32) | u64::from(code[at].imm as u32) << 32;
                    at += 1;
                }
                op::LDX => {
                    let read = self.load(src.wrapping_add(i64::from(insn.off) as u64), bytes);
                    let unused = 64 - bytes as u32 * 8;
                    let signed = insn.code & op::MODE_MASK == op::MEMSX;
                    self.registers[dst] =
                        if signed { ((read << unused) as i64 >> unused) as u64 } else { read };
                }
                op::ST | op::STX => {
                    let stored = if class == op::ST { imm } else { src };
                    self.store(value.wrapping_add(i64::from(insn.off) as u64), bytes, stored);
                }
                op::ALU | op::ALU64 => {
                    let wide = class == op::ALU64;
                    let result = alu(insn, operation, wide, value, operand);
                    self.registers[dst] = if wide { result } else { u64::from(result as u32) };
                }
                op::JMP if operation == op::EXIT => return Ok(()),
                op::JMP if operation == op::CALL => self.call(insn.imm)?,
                op::JMP | op::JMP32 => {
                    let (a, b) = if class == op::JMP32 {
                        (u64::from(value as u32), u64::from(operand as u32))
                    } else {
                        (value, operand)
                    };
                    if jumps(operation, a, b) {
                        at = (at as i64 + i64::from(insn.off)) as usize;
                    }
                }
                _ => panic!("{insn:?}"),
            }
        }
    }

    fn call(&mut self, helper: i32) -> Result<(), String> {
        let [_, first, second, third, ..] = self.registers;
        match helper {
            op::POISON => return Err("poisoned".into()),
            // bpf_probe_read_kernel
            113 => {
                let bytes = self.memory(third, second as usize).to_vec();
                self.memory(first, second as usize).copy_from_slice(&bytes);
            }
            // bpf_ringbuf_output
            130 => self.record = Some(self.load(second + 8, 8)),
            _ => panic!("no program here needs helper {helper}"),
        }
        self.registers[0] = 0;
        Ok(())
    }
}

fn alu(insn: Insn, operation: u8, wide: bool, value: u64, operand: u64) -> u64 {
    let by = (operand & if wide { 63 } else { 31 }) as u32;
    match operation {
        op::MOV if insn.off != 0 => {
            let unused = 64 - insn.off as u32;
            ((operand << unused) as i64 >> unused) as u64
        }
        op::MOV => operand,
        op::ADD => value.wrapping_add(operand),
        op::SUB => value.wrapping_sub(operand),
        op::MUL => value.wrapping_mul(operand),
        op::AND => value & operand,
        op::OR => value | operand,
        op::XOR => value ^ operand,
        op::NEG => value.wrapping_neg(),
        op::LSH => value << by,
        op::RSH if wide => value >> by,
        op::RSH => u64::from(value as u32 >> by),
        op::ARSH if wide => (value as i64 >> by) as u64,
        op::ARSH => (value as i32 >> by) as u64,
        _ => panic!("{insn:?}"),
    }
}

fn jumps(operation: u8, a: u64, b: u64) -> bool {
    match operation {
        op::JA => true,
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        other => panic!("no program here needs jump {other:#x}"),
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let int = (prop::sample::select(vec![1_u32, 2, 4, 8]), any::<bool>())
        .prop_map(|(bytes, signed)| Int { bytes, signed });
    let declared = prop_oneof![6 => int.clone().prop_map(Declared::Int), 1 => Just(Declared::Bool)];
    let stated = prop_oneof![
        3 => Just(Stated::Nothing),
        3 => int.clone().prop_map(Stated::Cast),
        1 => (1..8_u32).prop_map(Stated::Width),
        1 => Just(Stated::Enum),
    ];
    let bits = (int.clone(), 0..64_u32, 0..64_u32).prop_map(|(word, width, from)| {
        let width = width % word.bits() + 1;
        Kept::Bits { word, width, from: from % (word.bits() - width + 1) }
    });
    let enums = int.clone().prop_map(Kept::Enum);
    let kept =
        prop_oneof![6 => int.prop_map(Kept::Int), 1 => Just(Kept::Bool), 2 => bits, 1 => enums];
    let way = prop_oneof![
        3 => Just(Way::Plain), 1 => Just(Way::Behind), 1 => Just(Way::Element), 1 => Just(Way::Operand),
        1 => Just(Way::Whole),
    ];
    let raw = prop_oneof![
        any::<u64>(),
        any::<u64>().prop_map(|raw| raw | 0x8080_8080_8080_8080),
        0..3_u64,
        prop::sample::select(vec![1_u64 << 32, 1 << 16, 1 << 8, u64::MAX]),
    ];
    let cpu = prop::sample::select(vec![Cpu::V2, Cpu::V3, Cpu::V4]);
    let machine = (any::<bool>(), any::<bool>(), cpu);
    (
        declared,
        stated,
        kept,
        way,
        machine,
        raw,
        any::<u8>(),
        (3..6_u32, prop::sample::select(vec![4, 8])),
    )
        .prop_filter_map(
            "enums are taken for enums, and elements are no bitfields",
            |(declared, stated, kept, way, (direct, big, cpu), raw, noise, (len, pointer))| {
                let enums = (stated == Stated::Enum) == matches!(kept, Kept::Enum(_));
                let bits = matches!(kept, Kept::Bits { .. }) || matches!(stated, Stated::Width(_));
                let endian = if big { Endian::Big } else { Endian::Little };
                let array = matches!(way, Way::Element | Way::Whole);
                let fits = enums && !(bits && array);
                let case = Case {
                    declared,
                    stated,
                    kept,
                    way,
                    direct,
                    endian,
                    cpu,
                    raw,
                    noise,
                    pointer,
                    len,
                };
                fits.then_some(case)
            },
        )
}

impl Case {
    /// Whether the sign of what is read is taken for granted: stock loaders do not tell of an element's, and asking for every operand's would cost too much.
    fn may_be_refused(self) -> bool {
        matches!(self.way, Way::Element | Way::Operand | Way::Whole)
    }
}

/// What `docs/language.md` says that stock loaders may get wrong: an operand or an array's element, read directly, that is as wide in the kernel as it is taken for, and whose
/// sign is another.
fn is_known_fault(case: Case) -> bool {
    case.may_be_refused() && matches!(case.kept, Kept::Int(_) | Kept::Enum(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn a_field_has_the_kernels_value_or_none(case in cases()) {
        // Not every type can be stated of every field.
        let Some(object) = case.object() else { return Ok(()) };
        let types = case.types();
        let mut image = Btf::parse(&types).unwrap();
        image.set_pointer_size(case.pointer);
        let target = Target { image: Arc::new(image), modules: Vec::new() };
        let (script, expected) = (case.script(), case.expected());
        match case.strictly(&object, &target) {
            Ok(value) => prop_assert_eq!(value, expected, "{}", script),
            // What can be asked about in full is always converted.
            Err(why) => prop_assert!(case.may_be_refused(), "{}: {}", script, why),
        }
        if case.direct && let Ok(value) = case.by_libbpf(&object, &target) {
            prop_assert!(value == expected || is_known_fault(case), "libbpf: {value:#x}: {script}");
        }
    }
}
