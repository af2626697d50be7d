//! Makes machine code fit for rbpf, which has no atomics, nothing of cpu v4, compares a negative immediate as if it were unsigned, and stops at a bad address.
//!
//! For a big-endian kernel every access to memory is emulated, since rbpf has the byte order of this machine, and conversions to a byte order change places.
//!
//! An instruction that rbpf lacks or gets wrong becomes a call of [`EMULATE`] with the operands' values, around which all registers are kept in the lowest bytes
//! of the frame. [`emulate`] is what the kernel does.

use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode as op;
use ubpfc::target::Endian;

/// The number of the helper that emulates an instruction: its operands and the index in the list that [`legalize`] gives.
pub const EMULATE: i32 = 0x0100_0000;
/// The number of the helper that is told the frame pointer first of all.
pub const ENTER: i32 = 0x0100_0001;
/// The bytes of the frame that a program must leave free.
pub const SCRATCH: u32 = 48;

/// A slot of the result, and where it jumps to as a slot of the original.
type Out = (Insn, Option<usize>);

/// The code for rbpf and the instructions that are emulated. `args` says how many registers from `r1` on hold arguments: with more than
/// one the context is a block of memory that has them.
pub fn legalize(
    insns: &[Insn],
    args: u8,
    endian: Endian,
) -> Result<(Vec<Insn>, Vec<Insn>), String> {
    let (mut out, mut emulated): (Vec<Out>, Vec<Insn>) = (prologue(args), Vec::new());
    let mut starts = vec![0; insns.len()];
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        starts[at] = out.len();
        let wide = insn.code == op::LDIMM64;
        expand(ordered(*insn, endian), at, endian, &mut out, &mut emulated)?;
        if wide {
            let second = insns.get(at + 1).ok_or("half of a 64-bit immediate load")?;
            out.push((*second, None));
        }
        at += 1 + usize::from(wide);
    }
    let mut code = Vec::new();
    for (index, (mut insn, to)) in out.into_iter().enumerate() {
        if let Some(to) = to {
            let start = *starts.get(to).ok_or("a jump out of the code")?;
            let distance = i64::try_from(start).unwrap() - i64::try_from(index).unwrap() - 1;
            insn.off = i16::try_from(distance).map_err(|_| "too long for rbpf")?;
        }
        code.push(insn);
    }
    if code.len() > 32_000 {
        return Err("too long for rbpf".into());
    }
    Ok((code, emulated))
}

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Out {
    (Insn { code, dst, src, off, imm }, None)
}

fn mov(dst: u8, src: u8) -> Out {
    insn(op::ALU64 | op::MOV | op::X, dst, src, 0, 0)
}

fn save(slot: i16, reg: u8) -> Out {
    insn(op::STX | op::MEM | op::DW, 10, reg, slot * 8 - 512, 0)
}

fn restore(reg: u8, slot: i16) -> Out {
    insn(op::LDX | op::MEM | op::DW, reg, 10, slot * 8 - 512, 0)
}

fn call(number: i32) -> Out {
    insn(op::JMP | op::CALL, 0, 0, 0, number)
}

fn prologue(args: u8) -> Vec<Out> {
    let mut code = vec![mov(6, 1), mov(1, 10), call(ENTER), mov(1, 6)];
    if args > 1 {
        let load = |r: u8| insn(op::LDX | op::MEM | op::DW, r, 6, i16::from(r - 1) * 8, 0);
        code.extend((1..=args).map(load));
    }
    code
}

/// The instruction with the conversion that it means on a machine of the other byte order.
fn ordered(i: Insn, endian: Endian) -> Insn {
    let converts = i.code & (op::CLASS_MASK | op::OP_MASK) == op::ALU | op::END;
    if converts && endian == Endian::Big { Insn { code: i.code ^ op::X, ..i } } else { i }
}

fn expand(
    i: Insn,
    at: usize,
    endian: Endian,
    out: &mut Vec<Out>,
    emulated: &mut Vec<Insn>,
) -> Result<(), String> {
    let class = i.code & op::CLASS_MASK;
    let operation = i.code & op::OP_MASK;
    let jump = matches!(class, op::JMP | op::JMP32) && !matches!(operation, op::CALL | op::EXIT);
    let target =
        |distance: i32| usize::try_from(i64::try_from(at).ok()? + 1 + i64::from(distance)).ok();
    if class == op::JMP32 && operation == op::JA {
        out.push((Insn { code: op::JMP | op::JA, imm: 0, ..i }, target(i.imm)));
    } else if jump && !(class == op::JMP && negative_unsigned(i)) {
        out.push((i, Some(target(i.off.into()).ok_or("a jump out of the code")?)));
    } else if jump {
        operands(i, out, emulated);
        out.push(insn(op::JMP | op::JNE | op::K, 0, 0, 5, 0));
        registers(out);
        out.push((Insn { code: op::JMP | op::JA, ..Insn::default() }, Some(at + 1)));
        registers(out);
        out.push((Insn { code: op::JMP | op::JA, ..Insn::default() }, target(i.off.into())));
    } else if lacking(i, endian) {
        operands(i, out, emulated);
        out.push(save(4, 0));
        registers(out);
        if let Some(result) = result_register(i) {
            out.push(restore(result, 4));
        }
    } else if class == op::JMP && operation == op::CALL && i.src != 0 {
        return Err(format!(
            "slot {at} calls a function of the object, which this machine does not do"
        ));
    } else {
        out.push((i, None));
    }
    Ok(())
}

/// Calls [`EMULATE`] with the operands; the registers it takes are kept.
fn operands(i: Insn, out: &mut Vec<Out>, emulated: &mut Vec<Insn>) {
    out.extend([save(0, 0), save(1, 1), save(2, 2), save(3, 3), save(4, i.dst), save(5, i.src)]);
    out.extend([restore(1, 4), restore(2, 5)]);
    let index = i32::try_from(emulated.len()).expect("few instructions");
    out.push(insn(op::ALU64 | op::MOV | op::K, 3, 0, 0, index));
    out.push(call(EMULATE));
    emulated.push(i);
}

fn registers(out: &mut Vec<Out>) {
    out.extend([restore(0, 0), restore(1, 1), restore(2, 2), restore(3, 3)]);
}

/// A 64-bit comparison with a negative immediate, which rbpf does not extend for the unsigned ones.
fn negative_unsigned(i: Insn) -> bool {
    let unsigned =
        matches!(i.code & op::OP_MASK, op::JEQ | op::JNE | op::JGT | op::JGE | op::JLT | op::JLE);
    unsigned && i.code & op::SRC_MASK == op::K && i.imm < 0
}

/// What rbpf lacks, gets wrong, or must not do itself because the address may be bad.
fn lacking(i: Insn, endian: Endian) -> bool {
    if endian == Endian::Big && matches!(i.code & op::CLASS_MASK, op::LDX | op::STX | op::ST) {
        return true;
    }
    let operation = i.code & op::OP_MASK;
    match i.code & op::CLASS_MASK {
        op::LDX => i.src != 10 || i.code & op::MODE_MASK != op::MEM,
        op::STX => i.code & op::MODE_MASK == op::ATOMIC,
        op::ALU | op::ALU64 if i.off != 0 => true,
        op::ALU => operation == op::MOD,
        op::ALU64 => matches!(operation, op::END | op::NEG),
        _ => false,
    }
}

/// The register that an emulated instruction changes.
fn result_register(i: Insn) -> Option<u8> {
    match (i.code & op::CLASS_MASK, i.imm) {
        (op::ST, _) => None,
        (op::STX, _) if i.code & op::MODE_MASK == op::MEM => None,
        (op::STX, op::CMPXCHG) => Some(0),
        (op::STX, how) => (how & op::FETCH != 0).then_some(i.src),
        _ => Some(i.dst),
    }
}

/// Memory, as emulated instructions see it.
pub trait Memory {
    /// The bytes at an address, in the low part of a number.
    fn load(&mut self, addr: u64, bytes: u32) -> u64;
    /// Writes the low bytes of a number.
    fn store(&mut self, addr: u64, bytes: u32, value: u64);
}

/// What an instruction gives: the new value of its result register, or whether it jumps.
pub fn emulate(i: Insn, dst: u64, src: u64, memory: &mut dyn Memory) -> u64 {
    let bytes = match i.code & op::SIZE_MASK {
        op::B => 1,
        op::H => 2,
        op::W => 4,
        _ => 8,
    };
    let off = i64::from(i.off);
    match i.code & op::CLASS_MASK {
        op::LDX => {
            let value = memory.load(src.wrapping_add_signed(off), bytes);
            match i.code & op::MODE_MASK {
                op::MEMSX => extend(value, bytes * 8),
                _ => value,
            }
        }
        op::ST => {
            memory.store(dst.wrapping_add_signed(off), bytes, extend_imm(i.imm));
            0
        }
        op::STX if i.code & op::MODE_MASK == op::MEM => {
            memory.store(dst.wrapping_add_signed(off), bytes, src);
            0
        }
        op::STX => {
            let addr = dst.wrapping_add_signed(off);
            let old = memory.load(addr, bytes);
            let new = match i.imm & !op::FETCH {
                op::ATOMIC_ADD => old.wrapping_add(src),
                op::ATOMIC_OR => old | src,
                op::ATOMIC_AND => old & src,
                op::ATOMIC_XOR => old ^ src,
                how if how | op::FETCH == op::XCHG => src,
                how => panic!("no program needs atomic {how:#x}"),
            };
            memory.store(addr, bytes, new);
            old
        }
        op::JMP => u64::from(compare(i.code & op::OP_MASK, dst, extend_imm(i.imm))),
        class => {
            let operand = if i.code & op::SRC_MASK == op::K { extend_imm(i.imm) } else { src };
            arithmetic(i, class == op::ALU64, dst, operand)
        }
    }
}

fn extend(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)).cast_signed() >> (64 - bits)).cast_unsigned()
}

fn extend_imm(imm: i32) -> u64 {
    i64::from(imm).cast_unsigned()
}

fn compare(operation: u8, a: u64, b: u64) -> bool {
    match operation {
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        other => panic!("not an unsigned comparison: {other:#x}"),
    }
}

fn arithmetic(insn: Insn, wide: bool, a: u64, b: u64) -> u64 {
    let bits = if wide { 64 } else { 32 };
    let (x, y) = (extend(a, bits).cast_signed(), extend(b, bits).cast_signed());
    let low = |v: u64| if wide { v } else { v & 0xffff_ffff };
    let value = match (insn.code & op::OP_MASK, insn.off) {
        (op::MOV, width) => extend(b, u32::try_from(width).expect("8, 16 or 32")),
        (op::DIV, 1) if y == 0 => 0,
        (op::DIV, 1) => x.wrapping_div(y).cast_unsigned(),
        (op::MOD, 1) if y == 0 => a,
        (op::MOD, 1) => x.wrapping_rem(y).cast_unsigned(),
        (op::MOD, 0) => low(a).checked_rem(low(b)).unwrap_or(a),
        (op::NEG, 0) => a.wrapping_neg(),
        (op::END, 0) => match insn.imm {
            16 => u64::from((a & 0xffff) as u16).swap_bytes() >> 48,
            32 => (a & 0xffff_ffff).swap_bytes() >> 32,
            64 => a.swap_bytes(),
            bits => panic!("no swap of {bits} bits"),
        },
        other => panic!("no program needs {other:?}"),
    };
    low(value)
}
