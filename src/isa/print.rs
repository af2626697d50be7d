//! Instructions as text, in the syntax of the kernel's verifier and bpftool (v6.12 kernel/bpf/disasm.c: `print_bpf_insn`).
//!
//! In: the slots of a function. Out: one text for each instruction. Whatever the slots are, there is a text: what means nothing in any version of the instruction set is printed
//! as such.

use super::code::Insn;
#[allow(
    clippy::wildcard_imports,
    reason = "it is a table of names that this module needs nearly all of"
)]
use super::opcode::*;

/// The instructions of a function with the slots they begin at. The second slot of a 64-bit immediate load belongs to the first.
pub fn instructions(slots: &[Insn]) -> impl Iterator<Item = (usize, String)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (here, insn) = (at, *slots.get(at)?);
        at += 1;
        if !insn.is_wide() {
            return Some((here, instruction(insn)));
        }
        let second = slots.get(at).copied();
        at += 1;
        Some((here, second.map_or_else(|| unknown(insn), |second| wide(insn, second))))
    })
}

/// An instruction of one slot.
fn instruction(insn: Insn) -> String {
    let text = match insn.code & CLASS_MASK {
        ALU | ALU64 => arithmetic(insn),
        JMP | JMP32 => jump(insn),
        LDX | ST | STX => memory(insn),
        _ => packet(insn),
    };
    text.unwrap_or_else(|| unknown(insn))
}

fn unknown(insn: Insn) -> String {
    let Insn { code, dst, src, off, imm } = insn;
    format!("unknown opcode {code:#04x} (dst {dst}, src {src}, off {off}, imm {imm})")
}

/// `r1`, or `w1` where only the lower half counts.
fn register(number: u8, narrow: bool) -> String {
    format!("{}{number}", if narrow { 'w' } else { 'r' })
}

fn arithmetic(insn: Insn) -> Option<String> {
    let narrow = insn.code & CLASS_MASK == ALU;
    let from_register = insn.code & SRC_MASK == X;
    let dst = register(insn.dst, narrow);
    let signed_division = insn.off == 1;
    let operator = match insn.code & OP_MASK {
        NEG => return Some(format!("{dst} = -{dst}")),
        END => return swap(insn, narrow),
        MOV if insn.off != 0 && from_register => {
            return matches!(insn.off, 8 | 16 | 32)
                .then(|| format!("{dst} = (s{}){}", insn.off, register(insn.src, narrow)));
        }
        MOV => "=",
        ADD => "+=",
        SUB => "-=",
        MUL => "*=",
        DIV if signed_division => "s/=",
        DIV => "/=",
        MOD if signed_division => "s%=",
        MOD => "%=",
        OR => "|=",
        AND => "&=",
        XOR => "^=",
        LSH => "<<=",
        RSH => ">>=",
        ARSH => "s>>=",
        _ => return None,
    };
    let operand = if from_register { register(insn.src, narrow) } else { insn.imm.to_string() };
    Some(format!("{dst} {operator} {operand}"))
}

fn swap(insn: Insn, narrow: bool) -> Option<String> {
    let name = match (narrow, insn.code & SRC_MASK) {
        (true, TO_LE) => "le",
        (true, _) => "be",
        (false, TO_LE) => "bswap",
        (false, _) => return None,
    };
    let register = register(insn.dst, false);
    matches!(insn.imm, 16 | 32 | 64).then(|| format!("{register} = {name}{} {register}", insn.imm))
}

fn jump(insn: Insn) -> Option<String> {
    let narrow = insn.code & CLASS_MASK == JMP32;
    let from_register = insn.code & SRC_MASK == X;
    let operator = match insn.code & OP_MASK {
        JA if narrow => return (!from_register).then(|| format!("gotol pc{:+}", insn.imm)),
        JA => return (!from_register).then(|| format!("goto pc{:+}", insn.off)),
        CALL if !narrow && !from_register => return Some(call(insn)),
        EXIT if !narrow && !from_register => return Some("exit".into()),
        JEQ => "==",
        JNE => "!=",
        JGT => ">",
        JGE => ">=",
        JLT => "<",
        JLE => "<=",
        JSGT => "s>",
        JSGE => "s>=",
        JSLT => "s<",
        JSLE => "s<=",
        JSET => "&",
        JCOND if !narrow && !from_register => return Some(format!("may_goto pc{:+}", insn.off)),
        _ => return None,
    };
    let operand =
        if from_register { register(insn.src, narrow) } else { format!("{:#x}", insn.imm) };
    let dst = register(insn.dst, narrow);
    Some(format!("if {dst} {operator} {operand} goto pc{:+}", insn.off))
}

fn call(insn: Insn) -> String {
    match insn.src {
        PSEUDO_CALL => format!("call pc{:+}", insn.imm),
        PSEUDO_KFUNC_CALL => format!("call kernel-function#{}", insn.imm),
        _ => {
            let name = match super::helpers::name(insn.imm.cast_unsigned().into()) {
                Some(name) => name,
                None if insn.imm == POISON => "poison".into(),
                None => "helper".into(),
            };
            format!("call {name}#{}", insn.imm)
        }
    }
}

/// The type that memory is accessed as.
fn size(code: u8, signed: bool) -> String {
    let bits = match code & SIZE_MASK {
        B => 8,
        H => 16,
        W => 32,
        _ => 64,
    };
    format!("{}{bits}", if signed { 's' } else { 'u' })
}

fn memory(insn: Insn) -> Option<String> {
    let (class, mode) = (insn.code & CLASS_MASK, insn.code & MODE_MASK);
    let at = |base: u8, signed| format!("({} *)(r{base} {:+})", size(insn.code, signed), insn.off);
    match (class, mode) {
        (LDX, MEM) => Some(format!("r{} = *{}", insn.dst, at(insn.src, false))),
        (LDX, MEMSX) if insn.code & SIZE_MASK != DW => {
            Some(format!("r{} = *{}", insn.dst, at(insn.src, true)))
        }
        (ST, MEM) => Some(format!("*{} = {}", at(insn.dst, false), insn.imm)),
        (STX, MEM) => Some(format!("*{} = r{}", at(insn.dst, false), insn.src)),
        (STX, ATOMIC) if insn.imm == LOAD_ACQ => {
            Some(format!("r{} = load_acquire({})", insn.dst, at(insn.src, false)))
        }
        (STX, ATOMIC) if insn.imm == STORE_REL => {
            Some(format!("store_release({}, r{})", at(insn.dst, false), insn.src))
        }
        (STX, ATOMIC) => atomic(insn, &at(insn.dst, false)),
        (_, _) => None,
    }
}

fn atomic(insn: Insn, at: &str) -> Option<String> {
    let prefix = match insn.code & SIZE_MASK {
        W => "atomic",
        DW => "atomic64",
        _ => return None,
    };
    let src = insn.src;
    let (operator, name) = match insn.imm {
        XCHG => return Some(format!("r{src} = {prefix}_xchg({at}, r{src})")),
        CMPXCHG => return Some(format!("r0 = {prefix}_cmpxchg({at}, r0, r{src})")),
        imm => match imm & !FETCH {
            ATOMIC_ADD => ("+=", "add"),
            ATOMIC_OR => ("|=", "or"),
            ATOMIC_AND => ("&=", "and"),
            ATOMIC_XOR => ("^=", "xor"),
            _ => return None,
        },
    };
    Some(if insn.imm & FETCH == 0 {
        format!("lock *{at} {operator} r{src}")
    } else {
        format!("r{src} = {prefix}_fetch_{name}({at}, r{src})")
    })
}

/// The loads of classic BPF.
fn packet(insn: Insn) -> Option<String> {
    let size = size(insn.code, false);
    match insn.code & MODE_MASK {
        ABS if insn.code & SIZE_MASK != DW => Some(format!("r0 = *({size} *)skb[{}]", insn.imm)),
        IND if insn.code & SIZE_MASK != DW => {
            Some(format!("r0 = *({size} *)skb[r{} {:+}]", insn.src, insn.imm))
        }
        _ => None,
    }
}

/// A 64-bit immediate load.
fn wide(first: Insn, second: Insn) -> String {
    let [low, high] = [first.imm, second.imm].map(i32::cast_unsigned);
    let dst = first.dst;
    match first.src {
        0 => format!("r{dst} = {:#x} ll", u64::from(high) << 32 | u64::from(low)),
        PSEUDO_MAP_FD => format!("r{dst} = map[fd:{}]", first.imm),
        PSEUDO_MAP_VALUE => format!("r{dst} = map[fd:{}][0]+{high}", first.imm),
        PSEUDO_BTF_ID => format!("r{dst} = btf_id:{low}"),
        PSEUDO_FUNC => format!("r{dst} = subprog[{:+}]", first.imm),
        _ => unknown(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> String {
        instruction(Insn { code, dst, src, off, imm })
    }

    #[test]
    fn every_form_has_the_kernels_spelling() {
        let cases = [
            (text(ALU64 | MOV | X, 6, 1, 0, 0), "r6 = r1"),
            (text(ALU | ADD | K, 2, 0, 0, -4), "w2 += -4"),
            (text(ALU64 | DIV | X, 1, 2, 1, 0), "r1 s/= r2"),
            (text(ALU64 | MOD | K, 1, 0, 0, 7), "r1 %= 7"),
            (text(ALU64 | MOV | X, 1, 2, 32, 0), "r1 = (s32)r2"),
            (text(ALU | NEG, 1, 0, 0, 0), "w1 = -w1"),
            (text(ALU | END | TO_BE, 1, 0, 0, 16), "r1 = be16 r1"),
            (text(ALU64 | END | TO_LE, 1, 0, 0, 64), "r1 = bswap64 r1"),
            (text(LDX | MEM | W, 1, 6, 1264, 0), "r1 = *(u32 *)(r6 +1264)"),
            (text(LDX | MEMSX | B, 1, 6, -1, 0), "r1 = *(s8 *)(r6 -1)"),
            (text(ST | MEM | DW, 10, 0, -8, 5), "*(u64 *)(r10 -8) = 5"),
            (text(STX | MEM | H, 10, 2, 0, 0), "*(u16 *)(r10 +0) = r2"),
            (text(STX | ATOMIC | DW, 0, 1, 8, ATOMIC_ADD), "lock *(u64 *)(r0 +8) += r1"),
            (
                text(STX | ATOMIC | W, 0, 1, 0, ATOMIC_OR | FETCH),
                "r1 = atomic_fetch_or((u32 *)(r0 +0), r1)",
            ),
            (
                text(STX | ATOMIC | DW, 3, 1, 0, CMPXCHG),
                "r0 = atomic64_cmpxchg((u64 *)(r3 +0), r0, r1)",
            ),
            (text(JMP | JEQ | K, 0, 0, 7, 0), "if r0 == 0x0 goto pc+7"),
            (text(JMP32 | JSLT | X, 1, 2, -3, 0), "if w1 s< w2 goto pc-3"),
            (text(JMP | JA, 0, 0, 5, 0), "goto pc+5"),
            (text(JMP32 | JA, 0, 0, 0, 70_000), "gotol pc+70000"),
            (text(JMP | CALL, 0, 0, 0, 1), "call bpf_map_lookup_elem#1"),
            (text(JMP | CALL, 0, PSEUDO_CALL, 0, 9), "call pc+9"),
            (text(JMP | CALL, 0, 0, 0, POISON), "call poison#195896080"),
            (text(JMP | EXIT, 0, 0, 0, 0), "exit"),
            (text(LD | ABS | H, 0, 0, 0, 12), "r0 = *(u16 *)skb[12]"),
        ];
        for (text, expected) in cases {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_64_bit_immediate_takes_two_slots() {
        let wide = |src, low, high| {
            let first = Insn { code: LDIMM64, dst: 2, src, off: 0, imm: low };
            [
                first,
                Insn { imm: high, ..Insn::default() },
                Insn { code: JMP | EXIT, ..Insn::default() },
            ]
        };
        let texts = |slots: &[Insn]| instructions(slots).collect::<Vec<_>>();
        let exit = (2, "exit".into());
        assert_eq!(texts(&wide(0, -1, 1)), [(0, "r2 = 0x1ffffffff ll".into()), exit.clone()]);
        assert_eq!(texts(&wide(PSEUDO_MAP_FD, 4, 0)), [(0, "r2 = map[fd:4]".into()), exit]);
        let cut = texts(&wide(0, 1, 0)[..1]);
        assert_eq!(cut, [(0, "unknown opcode 0x18 (dst 2, src 0, off 0, imm 1)".into())]);
    }

    #[test]
    fn every_opcode_has_a_text() {
        for code in 0..=u8::MAX {
            for off in [0, 1, 7] {
                assert_ne!(text(code, 1, 2, off, i32::MIN), "");
            }
        }
        assert!(text(0xff, 0, 0, 0, 0).starts_with("unknown"));
    }
}
