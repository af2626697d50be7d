//! The answer, written into the instruction.
//!
//! In: the instruction, the answers on the local type and on the target. Out: the instruction that replaces it. Before anything is changed, the instruction must hold the
//! local answer. Rules of the libbpf policy: its `bpf_core_patch_insn`. The other policy also converts what a load gives where the two fields differ, see [`super::convert`].

use super::convert::{self, Loads};
use super::reason::sizes;
use super::value::{Field, Scalar};
use super::{Action, Policy};
use crate::btf::encoding;
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use crate::object::btf_ext::CoreKind;

/// A question and its answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) kind: CoreKind,
    pub(super) local: u64,
    pub(super) target: u64,
    /// Of a field question: the fields.
    pub(super) fields: Option<(Field, Field)>,
    /// Whether the instruction must hold the local answer.
    pub(super) checked: bool,
}

/// What became of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Patched {
    /// It is replaced by these.
    By(Vec<Insn>, Action),
    /// It cannot give what it has to: it must not run.
    Unfit(String),
}

/// Why an instruction cannot be patched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not what the record says (`EINVAL`).
    Instruction(String),
    /// The answer does not fit it (`ERANGE`).
    Range,
}

/// Patches an instruction.
pub(super) fn patch(
    (insn, second): (Insn, Option<Insn>),
    answers: &Answers,
    loads: Loads,
    policy: Policy,
) -> Result<Patched, Refused> {
    match insn.code & op::CLASS_MASK {
        op::ALU | op::ALU64 => alu(insn, answers, policy),
        op::LDX | op::ST | op::STX => match policy {
            Policy::Libbpf => memory(insn, answers),
            Policy::Strict => convert::memory(insn, answers, loads),
        },
        op::LD => wide(insn, second, answers, policy),
        _ => refuse(format!("opcode {:#04x} has no place for an answer", insn.code)),
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Instruction(why.into()))
}

/// The replacement of an instruction of one slot.
pub(super) fn replaced(old: Insn, new: Insn) -> Patched {
    let resized = old.code != new.code;
    let patched = if old == new { Action::Same } else { Action::Patched };
    Patched::By(vec![new], if resized { Action::Resized } else { patched })
}

/// A number in an instruction, sign-extended.
fn extended(value: impl Into<i64>) -> u64 {
    value.into().cast_unsigned()
}

/// Fails if the instruction holds something else than the local answer.
pub(super) fn check(holds: u64, answers: &Answers) -> Result<(), Refused> {
    if !answers.checked || holds == answers.local {
        return Ok(());
    }
    let (holds, local) = (holds.cast_signed(), answers.local.cast_signed());
    refuse(format!("it holds {holds}, where the local types give {local}"))
}

fn alu(insn: Insn, answers: &Answers, policy: Policy) -> Result<Patched, Refused> {
    if insn.code & op::SRC_MASK != op::K {
        return refuse("it has no immediate operand");
    }
    let narrow = insn.code & op::CLASS_MASK == op::ALU;
    let low = super::spec::low_word(answers.target.into());
    let new = Insn { imm: low.cast_signed(), ..insn };
    if policy == Policy::Libbpf {
        check(extended(insn.imm), answers)?;
        return Ok(replaced(insn, new));
    }
    if insn.code & op::OP_MASK == op::END {
        return refuse("it swaps bytes, and its immediate is a width");
    }
    // A 32-bit instruction takes its immediate for signed or unsigned alike.
    let unsigned = u64::from(insn.imm.cast_unsigned());
    check(
        if narrow && unsigned == answers.local { unsigned } else { extended(insn.imm) },
        answers,
    )?;
    if let Some((local, target)) = answers.fields
        && let Some(why) = unreadable(answers.kind, &local, &target)
    {
        return Ok(Patched::Unfit(why));
    }
    let fits = extended(new.imm) == answers.target || narrow && u64::from(low) == answers.target;
    if fits { Ok(replaced(insn, new)) } else { Err(Refused::Range) }
}

/// Why code of ubpfc that copies memory, and takes for granted what it holds, does not get what is wanted.
fn unreadable(kind: CoreKind, local: &Field, target: &Field) -> Option<String> {
    let wanted = local.wanted?;
    let signs = |a: Scalar, b: Scalar| a.signed() != b.signed();
    match kind {
        // An array is copied as it is.
        CoreKind::ByteOff => {
            let other = signs(local.elements?, target.elements?);
            let short = local.load != target.load || local.size > target.size;
            (short || other && target.load_bits() < wanted).then(|| sizes(local, target))
        }
        // An element is extended with the local sign.
        CoreKind::ByteSize if local.element => {
            let other = signs(local.scalar, target.scalar);
            (other && target.width() < wanted).then(|| convert::unstated(local, target))
        }
        _ => None,
    }
}

fn wide(
    insn: Insn,
    second: Option<Insn>,
    answers: &Answers,
    policy: Policy,
) -> Result<Patched, Refused> {
    let second = second.filter(|second| Insn { imm: 0, ..*second } == Insn::default());
    let (true, 0, 0, Some(second)) = (insn.is_wide(), insn.src, insn.off, second) else {
        return refuse("it is no load of a plain 64-bit immediate");
    };
    let [low, high] = [insn.imm, second.imm].map(|imm| u64::from(imm.cast_unsigned()));
    let holds = high << 32 | low;
    // Of an unsigned enumerator libbpf's own form is taken too: objects were made to please it.
    let signed = i64::from(super::spec::low_word(answers.local.into()).cast_signed());
    let pleasing = policy == Policy::Strict && holds == signed.cast_unsigned();
    if !(pleasing && answers.kind == CoreKind::EnumvalValue) {
        check(holds, answers)?;
    }
    let [low, high] = [answers.target, answers.target >> 32]
        .map(|half| super::spec::low_word(half.into()).cast_signed());
    let new = [Insn { imm: low, ..insn }, Insn { imm: high, ..second }];
    let action = if new == [insn, second] { Action::Same } else { Action::Patched };
    Ok(Patched::By(new.to_vec(), action))
}

/// The bytes that a load or store has by its opcode.
pub(super) fn width(insn: Insn) -> u32 {
    match insn.code & op::SIZE_MASK {
        op::B => 1,
        op::H => 2,
        op::W => 4,
        _ => 8,
    }
}

/// An opcode with another size.
pub(super) fn with_width(code: u8, bytes: u32) -> Option<u8> {
    let size = match bytes {
        1 => op::B,
        2 => op::H,
        4 => op::W,
        8 => op::DW,
        _ => return None,
    };
    Some(code & !op::SIZE_MASK | size)
}

/// Whether a load of the one may become one of the other by its width alone.
pub(super) fn resizable(local: Scalar, target: Scalar) -> bool {
    match (local, target) {
        (Scalar::Ptr, Scalar::Ptr) => true,
        // libbpf compares the whole encoding: a signed character counts as unsigned.
        (Scalar::Int(local), Scalar::Int(target)) => {
            local != encoding::SIGNED && target != encoding::SIGNED
        }
        _ => false,
    }
}

/// A load or store, as libbpf patches it.
fn memory(insn: Insn, answers: &Answers) -> Result<Patched, Refused> {
    check(extended(insn.off), answers)?;
    let Ok(off) = i16::try_from(answers.target) else { return Err(Refused::Range) };
    let new = Insn { off, ..insn };
    // Only where the offset is asked for do sizes count.
    let sized = answers.fields.filter(|_| answers.kind == CoreKind::ByteOff);
    let Some((local, target)) = sized.filter(|(local, target)| local.load != target.load) else {
        return Ok(replaced(insn, new));
    };
    let bitfields = local.is_bitfield() || target.is_bitfield();
    if bitfields || !resizable(local.scalar, target.scalar) {
        return Ok(Patched::Unfit(sizes(&local, &target)));
    }
    if width(insn) != local.load {
        let (bytes, field) = (width(insn), local.load);
        return refuse(format!(
            "it accesses {bytes} bytes of a field of {field}, which has another size in the target"
        ));
    }
    match with_width(insn.code, target.load) {
        Some(code) => Ok(replaced(insn, Insn { code, ..new })),
        None => refuse(format!("the target's field has {} bytes", target.load)),
    }
}
