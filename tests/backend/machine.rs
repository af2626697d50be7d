//! An interpreter of BPF after RFC 9669, for all versions, that also minds what the kernel's verifier minds: registers that hold nothing are not
//! read, and nothing outside the frame is touched.

use super::eval;
use ubpfc::isa::code::{Function, Insn, RelocKind};
use ubpfc::isa::opcode as op;

const FRAME_END: u64 = 0x7000_0000;
const STEPS: u32 = 1_000_000;

/// The function with the loader's answers filled in.
pub(crate) fn relocate(function: &Function) -> Vec<Insn> {
    let mut insns = function.insns.clone();
    for reloc in &function.relocs {
        let at = reloc.insn.0 as usize;
        if let RelocKind::Core(core) = &reloc.kind {
            let answer = eval::answer(core);
            insns[at].imm = answer as u32 as i32;
            if insns[at].code == op::LDIMM64 {
                insns[at + 1].imm = (answer >> 32) as i32;
            }
        }
    }
    insns
}

/// Runs a function to its end.
pub(crate) fn run(insns: &[Insn], frame_bytes: u32) -> Result<u64, String> {
    let mut regs = [None; 11];
    regs[10] = Some(FRAME_END);
    let mut frame = vec![0u8; 512];
    let (mut pc, mut calls) = (0usize, 0);
    for _ in 0..STEPS {
        let insn = insns.get(pc).ok_or("runs off its end")?;
        pc += 1;
        let get = |regs: &[Option<u64>; 11], r: u8| {
            regs[usize::from(r)].ok_or(format!("r{r} is read at {} and holds nothing", pc - 1))
        };
        let imm = i64::from(insn.imm).cast_unsigned();
        let right = |regs: &[Option<u64>; 11]| {
            if insn.code & op::SRC_MASK == op::X { get(regs, insn.src) } else { Ok(imm) }
        };
        let dst = usize::from(insn.dst);
        let size = match insn.code & op::SIZE_MASK {
            op::B => 1,
            op::H => 2,
            op::W => 4,
            _ => 8,
        };
        let place = |base: u64| {
            let at = base.wrapping_add_signed(i64::from(insn.off)).wrapping_sub(FRAME_END - 512);
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            if at >= 512 - frame_bytes as usize && at + size <= 512 {
                Ok(at)
            } else {
                Err(format!("an access outside of the frame at {}", pc - 1))
            }
        };
        let mask = u64::MAX >> (64 - 8 * size);
        match insn.code & op::CLASS_MASK {
            op::LD => {
                let high = u64::from(insns[pc].imm as u32) << 32;
                regs[dst] = Some(u64::from(insn.imm as u32) | high);
                pc += 1;
            }
            op::LDX => {
                let at = place(get(&regs, insn.src)?)?;
                let bytes = frame[at..at + size].iter().rev();
                let raw = bytes.fold(0, |n, b| n << 8 | u64::from(*b));
                let signed = insn.code & op::MODE_MASK == op::MEMSX;
                regs[dst] = Some(if signed { extend(raw, 8 * size as u32) } else { raw });
            }
            op::ST | op::STX => {
                let at = place(get(&regs, insn.dst)?)?;
                let is_reg = insn.code & op::CLASS_MASK == op::STX;
                let mut value = if is_reg { get(&regs, insn.src)? } else { imm };
                if insn.code & op::MODE_MASK == op::ATOMIC {
                    let bytes = frame[at..at + size].iter().rev();
                    value = value.wrapping_add(bytes.fold(0, |n, b| n << 8 | u64::from(*b)));
                }
                frame[at..at + size].copy_from_slice(&(value & mask).to_le_bytes()[..size]);
            }
            op::ALU64 => {
                let right = if is_unary(insn) { 0 } else { right(&regs)? };
                let old =
                    if insn.code & op::OP_MASK == op::MOV { 0 } else { get(&regs, insn.dst)? };
                regs[dst] = Some(alu(insn, old, right, 64)?);
            }
            op::ALU => {
                let right = if is_unary(insn) { 0 } else { right(&regs)? };
                let old =
                    if insn.code & op::OP_MASK == op::MOV { 0 } else { get(&regs, insn.dst)? };
                if insn.code & op::OP_MASK == op::END {
                    // This machine is little endian.
                    regs[dst] = Some(swap(old, insn.imm));
                } else {
                    let low = alu(insn, old & 0xffff_ffff, right & 0xffff_ffff, 32)?;
                    regs[dst] = Some(low & 0xffff_ffff);
                }
            }
            class => match insn.code & op::OP_MASK {
                op::CALL => {
                    let helpers = ubpfc::ir::Helper::ALL;
                    let helper = helpers.iter().find(|h| h.id() == insn.imm);
                    let arity = helper.ok_or("no such helper")?.arity();
                    let args = (1..6).take(arity).map(|r| get(&regs, r));
                    let args: Vec<u64> = args.collect::<Result<_, _>>()?;
                    regs[0] = Some(eval::helper(insn.imm, &args, &mut calls));
                    regs[1..6].fill(None);
                }
                op::EXIT => return get(&regs, 0),
                op::JA => {
                    let far = class == op::JMP32;
                    let by = if far { insn.imm as isize } else { isize::from(insn.off) };
                    pc = pc.wrapping_add_signed(by);
                }
                _ => {
                    let (mut a, mut b) = (get(&regs, insn.dst)?, right(&regs)?);
                    if class == op::JMP32 {
                        // Signed tests are on 32 bits, too.
                        (a, b) = (extend(a, 32), extend(b, 32));
                    }
                    if holds(insn.code & op::OP_MASK, a, b) {
                        pc = pc.wrapping_add_signed(isize::from(insn.off));
                    }
                }
            },
        }
    }
    Err("runs for too long".into())
}

fn is_unary(insn: &Insn) -> bool {
    matches!(insn.code & op::OP_MASK, op::NEG | op::END)
}

fn extend(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)).cast_signed() >> (64 - bits)).cast_unsigned()
}

fn swap(value: u64, bits: i32) -> u64 {
    value.swap_bytes() >> (64 - bits)
}

fn alu(insn: &Insn, a: u64, b: u64, bits: u32) -> Result<u64, String> {
    let count = (b & u64::from(bits - 1)) as u32;
    Ok(match insn.code & op::OP_MASK {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV if insn.off == 1 && b == 0 => 0,
        op::DIV if insn.off == 1 => {
            let (a, b) = (extend(a, bits).cast_signed(), extend(b, bits).cast_signed());
            a.wrapping_div(b).cast_unsigned()
        }
        op::DIV => a.checked_div(b).unwrap_or(0),
        op::MOD if insn.off == 1 && b == 0 => a,
        op::MOD if insn.off == 1 => {
            let (a, b) = (extend(a, bits).cast_signed(), extend(b, bits).cast_signed());
            a.wrapping_rem(b).cast_unsigned()
        }
        op::MOD => a.checked_rem(b).unwrap_or(a),
        op::OR => a | b,
        op::AND => a & b,
        op::XOR => a ^ b,
        op::LSH => a << count,
        op::RSH => a >> count,
        op::ARSH => (extend(a, bits).cast_signed() >> count).cast_unsigned(),
        op::NEG => a.wrapping_neg(),
        op::MOV if insn.off != 0 => extend(b, insn.off.unsigned_abs().into()),
        op::MOV => b,
        op::END => swap(a, insn.imm),
        other => return Err(format!("no arithmetic: {other:#x}")),
    })
}

fn holds(code: u8, a: u64, b: u64) -> bool {
    let (sa, sb) = (a.cast_signed(), b.cast_signed());
    match code {
        op::JEQ => a == b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JSET => a & b != 0,
        op::JNE => a != b,
        op::JSGT => sa > sb,
        op::JSGE => sa >= sb,
        op::JLT => a < b,
        op::JLE => a <= b,
        op::JSLT => sa < sb,
        op::JSLE => sa <= sb,
        other => panic!("no jump: {other:#x}"),
    }
}
