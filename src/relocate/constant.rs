//! What an instruction gives for operands that are known: arithmetic and comparisons as RFC 9669 defines them. Whatever is not defined there is not known.

use crate::isa::code::Insn;
use crate::isa::opcode as op;
use crate::target::Endian;

/// The value that arithmetic leaves in its destination, if it is known.
pub(super) fn arithmetic(
    insn: Insn,
    dst: Option<u64>,
    src: Option<u64>,
    endian: Endian,
) -> Option<u64> {
    let wide = insn.code & op::CLASS_MASK == op::ALU64;
    let operation = insn.code & op::OP_MASK;
    let low = |value: u64| if wide { value } else { value & 0xffff_ffff };
    if operation == op::END {
        return swap(insn, wide, dst?, endian);
    }
    if operation == op::NEG {
        return Some(low(dst?.wrapping_neg())).filter(|_| insn.off == 0);
    }
    let from_register = insn.code & op::SRC_MASK == op::X;
    let b = if from_register { src? } else { i64::from(insn.imm).cast_unsigned() };
    if operation == op::MOV {
        return match (from_register, insn.off) {
            (_, 0) => Some(low(b)),
            (true, 8 | 16 | 32) => Some(low(extend(b, insn.off.cast_unsigned().into()))),
            _ => None,
        };
    }
    let bits = if wide { 64 } else { 32 };
    let (a, b) = (low(dst?), low(b));
    let (x, y) = (extend(a, bits).cast_signed(), extend(b, bits).cast_signed());
    let shift = u32::try_from(b & u64::from(bits - 1)).ok()?;
    let value = match (operation, insn.off) {
        (op::ADD, 0) => a.wrapping_add(b),
        (op::SUB, 0) => a.wrapping_sub(b),
        (op::MUL, 0) => a.wrapping_mul(b),
        (op::DIV, 0) => a.checked_div(b).unwrap_or(0),
        (op::DIV, 1) if y == 0 => 0,
        (op::DIV, 1) => x.wrapping_div(y).cast_unsigned(),
        (op::MOD, 0) => a.checked_rem(b).unwrap_or(a),
        (op::MOD, 1) if y == 0 => a,
        (op::MOD, 1) => x.wrapping_rem(y).cast_unsigned(),
        (op::OR, 0) => a | b,
        (op::AND, 0) => a & b,
        (op::XOR, 0) => a ^ b,
        (op::LSH, 0) => a << shift,
        (op::RSH, 0) => a >> shift,
        (op::ARSH, 0) => (x >> shift).cast_unsigned(),
        _ => return None,
    };
    Some(low(value))
}

/// The lower `bits` bits with their sign.
fn extend(value: u64, bits: u32) -> u64 {
    let unused = 64 - bits;
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

/// A byte swap: unconditional in `ALU64`, otherwise to the byte order that the instruction names.
fn swap(insn: Insn, wide: bool, value: u64, endian: Endian) -> Option<u64> {
    let to_big = insn.code & op::SRC_MASK == op::TO_BE;
    if insn.off != 0 || wide && to_big {
        return None;
    }
    let swaps = wide || to_big == (endian == Endian::Little);
    let bits = u32::try_from(insn.imm).ok().filter(|bits| matches!(bits, 16 | 32 | 64))?;
    let unused = 64 - bits;
    Some(if swaps { value.swap_bytes() >> unused } else { value << unused >> unused })
}

/// Whether a conditional jump is taken, if it is known.
pub(super) fn comparison(insn: Insn, dst: Option<u64>, src: Option<u64>) -> Option<bool> {
    let bits = match insn.code & op::CLASS_MASK {
        op::JMP => 64,
        op::JMP32 => 32,
        _ => return None,
    };
    let imm = i64::from(insn.imm).cast_unsigned();
    let b = if insn.code & op::SRC_MASK == op::X { src? } else { imm };
    let (x, y) = (extend(dst?, bits).cast_signed(), extend(b, bits).cast_signed());
    let low = |value: i64| value.cast_unsigned() << (64 - bits);
    let (a, b) = (low(x), low(y));
    Some(match insn.code & op::OP_MASK {
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        op::JSET => a & b != 0,
        op::JSGT => x > y,
        op::JSGE => x >= y,
        op::JSLT => x < y,
        op::JSLE => x <= y,
        _ => return None,
    })
}
