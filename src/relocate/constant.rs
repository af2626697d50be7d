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

#[cfg(test)]
mod tests {
    use super::*;

    fn gives(code: u8, off: i16, imm: i32, dst: u64, src: u64) -> Option<u64> {
        let insn = Insn { code, dst: 1, src: 2, off, imm };
        arithmetic(insn, Some(dst), Some(src), Endian::Little)
    }

    #[test]
    fn arithmetic_is_that_of_the_instruction_set() {
        use op::{ADD, ALU, ALU64, AND, ARSH, DIV, LSH, MOD, MOV, NEG, RSH, SUB, X};
        const LOW: u64 = 0xffff_ffff;
        for (code, off, imm, dst, src, expected) in [
            (ALU64 | MOV, 0, -1, 0, 0, u64::MAX),
            (ALU | MOV, 0, -1, 0, 0, LOW),
            (ALU64 | MOV | X, 8, 0, 0, 0x1280, 0xffff_ffff_ffff_ff80),
            (ALU | MOV | X, 16, 0, 0, 0x8000, 0xffff_8000),
            (ALU64 | MOV | X, 32, 0, 0, 0x8000_0000, 0xffff_ffff_8000_0000),
            (ALU64 | ADD, 0, 1, u64::MAX, 0, 0),
            (ALU | ADD, 0, 1, LOW, 0, 0),
            (ALU64 | SUB | X, 0, 0, 1, 2, u64::MAX),
            (ALU64 | AND, 0, -2, u64::MAX, 0, u64::MAX - 1),
            (ALU64 | LSH | X, 0, 0, 1, 65, 2),
            (ALU | LSH | X, 0, 0, 1, 33, 2),
            (ALU | RSH, 0, 4, u64::MAX, 0, 0x0fff_ffff),
            (ALU | ARSH, 0, 4, 0x8000_0000, 0, 0xf800_0000),
            (ALU64 | ARSH, 0, 63, 1 << 63, 0, u64::MAX),
            (ALU64 | NEG, 0, 0, 1, 0, u64::MAX),
            (ALU | NEG, 0, 0, 1, 0, LOW),
            // Nothing is divided by zero, and no quotient is too large.
            (ALU64 | DIV | X, 0, 0, 7, 0, 0),
            (ALU64 | MOD | X, 0, 0, 7, 0, 7),
            (ALU | MOD | X, 0, 0, 7 << 32 | 7, 1 << 32, 7),
            (ALU64 | DIV, 1, -2, 7, 0, (-3_i64).cast_unsigned()),
            (ALU64 | MOD, 1, -2, (-7_i64).cast_unsigned(), 0, u64::MAX),
            (ALU64 | DIV | X, 1, 0, 7, 0, 0),
            (ALU64 | DIV, 1, -1, 1 << 63, 0, 1 << 63),
            (ALU | DIV, 1, -1, 1 << 31, 0, 1 << 31),
            (ALU | MOD, 1, -1, 1 << 31, 0, 0),
        ] {
            assert_eq!(gives(code, off, imm, dst, src), Some(expected), "{code:#x} {off} {imm}");
        }
        assert_eq!(gives(ALU64 | ADD, 1, 1, 1, 0), None, "it has no meaning");
        assert_eq!(gives(ALU64 | MOV | X, 1, 0, 0, 1), None, "an address is cast");
    }

    #[test]
    fn swaps_depend_on_the_byte_order_of_the_target() {
        use Endian::{Big, Little};
        let swap = |code, imm, endian| {
            let insn = Insn { code: code | op::END, imm, ..Insn::default() };
            arithmetic(insn, Some(0x1122_3344_5566_7788), None, endian)
        };
        assert_eq!(swap(op::ALU | op::TO_BE, 16, Little), Some(0x8877));
        assert_eq!(swap(op::ALU | op::TO_BE, 16, Big), Some(0x7788));
        assert_eq!(swap(op::ALU | op::TO_LE, 32, Little), Some(0x5566_7788));
        assert_eq!(swap(op::ALU | op::TO_LE, 32, Big), Some(0x8877_6655));
        assert_eq!(swap(op::ALU64, 64, Big), Some(0x8877_6655_4433_2211));
        assert_eq!(swap(op::ALU64, 8, Big), None);
    }

    #[test]
    fn comparisons_look_at_as_many_bits_as_they_name() {
        let taken = |code, imm, dst| comparison(Insn { code, imm, ..Insn::default() }, dst, None);
        let minus = Some(u64::MAX);
        assert_eq!(taken(op::JMP | op::JGT, 0, minus), Some(true));
        assert_eq!(taken(op::JMP | op::JSGT, 0, minus), Some(false));
        assert_eq!(taken(op::JMP | op::JEQ, -1, Some(0xffff_ffff)), Some(false));
        assert_eq!(taken(op::JMP32 | op::JEQ, -1, Some(0xffff_ffff)), Some(true));
        assert_eq!(taken(op::JMP32 | op::JSLT, 0, Some(0x8000_0000)), Some(true));
        assert_eq!(taken(op::JMP | op::JSLT, 0, Some(0x8000_0000)), Some(false));
        assert_eq!(taken(op::JMP | op::JSET, 6, Some(9)), Some(false));
        assert_eq!(taken(op::JMP | op::JCOND, 0, Some(0)), None);
        assert_eq!(taken(op::JMP | op::JEQ, 0, None), None);
    }
}
