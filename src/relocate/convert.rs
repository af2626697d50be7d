//! Loads whose field has another size, sign or place in the target: the value converted, as C converts it.
//!
//! What the register holds afterwards is what the local load would have left there for a field of the local type with the same value: the target's value, extended by its own
//! sign, cut to the local width, extended as the instruction does it. Where libbpf would change the width alone (unsigned integers, pointers), the same is done, and the whole
//! of a wider value arrives; so it does where ubpfc's own objects say that they use more bits than the local type has. Inserted instructions use the load's own destination and no other register. What cannot be converted is refused.

use super::patch::{
    Answers, Patched, Refused, check, refuse, replaced, resizable, width, with_width,
};
use super::reason::sizes;
use super::value::Field;
use super::{Action, patch};
use crate::isa::code::Insn;
use crate::isa::opcode as op;
use crate::target::Endian;

/// What loads depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loads {
    /// The target's byte order.
    pub(super) endian: Endian,
    /// Whether instructions of version 4 may be used.
    pub(super) v4: bool,
}

/// A load or store that holds an offset.
pub(super) fn memory(insn: Insn, answers: &Answers, loads: Loads) -> Result<Patched, Refused> {
    check(i64::from(insn.off).cast_unsigned(), answers)?;
    let Some((local, target)) = answers.fields.filter(|_| answers.kind == super::CoreKind::ByteOff)
    else {
        let Ok(off) = i16::try_from(answers.target) else { return Err(Refused::Range) };
        return Ok(replaced(insn, Insn { off, ..insn }));
    };
    let mode = insn.code & op::MODE_MASK;
    match (insn.code & op::CLASS_MASK, mode) {
        (op::LDX, op::MEM | op::MEMSX) => {
            let load = Load { insn, signed: mode == op::MEMSX, local, target, loads };
            Ok(load.converted())
        }
        (op::LDX | op::ST | op::STX, op::MEM | op::ATOMIC) => store(insn, &local, &target),
        _ => refuse(format!("opcode {:#04x} has no place for an answer", insn.code)),
    }
}

/// Whether a field is at the same bits of the same load unit in both.
fn same_bits(local: &Field, target: &Field) -> bool {
    let within = |field: &Field| field.bit_offset.wrapping_sub(field.offset.wrapping_mul(8));
    local.bits == target.bits && local.size == target.size && within(local) == within(target)
}

/// Where an access to a bitfield goes that is at the same bits in both: compilers take any bytes that hold the field, and mask and shift by its place in these. So they move as
/// far as the field does. An offset at which they do not hold it may be that of a unit that nobody has filled in; then the answer's own unit is meant, if its first bytes hold the field.
fn placed(insn: Insn, local: &Field, target: &Field) -> Result<u32, String> {
    let (first, bytes) = (i64::from(local.bit_offset), i64::from(width(insn)));
    let end = first + i64::from(local.width());
    let holds = |from: &i64| from * 8 <= first && end <= (from + bytes) * 8;
    let from = [i64::from(insn.off), i64::from(local.offset)].into_iter().find(holds);
    let moved = i64::from(target.offset) - i64::from(local.offset);
    from.and_then(|from| u32::try_from(from + moved).ok()).ok_or_else(|| {
        format!(
            "the program takes {bytes} bytes at {} for a bitfield whose {} bits begin at bit {first}; BPF_CORE_READ_BITFIELD asks for its place",
            insn.off,
            local.width()
        )
    })
}

/// A store, or an atomic operation: it gets another width or none.
fn store(insn: Insn, local: &Field, target: &Field) -> Result<Patched, Refused> {
    let bitfield = local.is_bitfield() && same_bits(local, target);
    let place = if bitfield { placed(insn, local, target) } else { Ok(target.offset) };
    let off = match place.map(i16::try_from) {
        Ok(Ok(off)) => off,
        Ok(Err(_)) => return Err(Refused::Range),
        Err(why) => return Ok(Patched::Unfit(why)),
    };
    let new = Insn { off, ..insn };
    let plain = !local.is_bitfield() && !target.is_bitfield();
    if bitfield || plain && local.load == target.load {
        return Ok(replaced(insn, new));
    }
    let plain = insn.code & op::MODE_MASK == op::MEM && width(insn) == local.load;
    let code = with_width(insn.code, target.load);
    match code.filter(|_| plain && resizable(local.scalar, target.scalar)) {
        Some(code) => Ok(replaced(insn, Insn { code, ..new })),
        None => Ok(Patched::Unfit(sizes(local, target))),
    }
}

/// Why a number of another type does not arrive where more bits are used than the local type has.
pub(super) fn unstated(local: &Field, target: &Field) -> String {
    let sign = if target.scalar.signed() { 's' } else { 'u' };
    let bits = target.load_bits().clamp(8, 128).next_power_of_two();
    let sizes = sizes(local, target);
    format!(
        "{sizes}, and uses all {} bits of its value; a cast on the path states the kernel's type: `({sign}{bits})`",
        local.wanted.unwrap_or(64)
    )
}

/// A load.
struct Load {
    insn: Insn,
    /// Whether it extends the sign.
    signed: bool,
    local: Field,
    target: Field,
    loads: Loads,
}

impl Load {
    fn converted(&self) -> Patched {
        let Load { insn, signed, local, target, loads } = self;
        if local.is_bitfield() {
            if same_bits(local, target) {
                return match placed(*insn, local, target) {
                    Ok(off) => self.done(insn.code, off, &[]),
                    Err(why) => Patched::Unfit(why),
                };
            }
            return Patched::Unfit(format!(
                "{}; the program reads the bitfield with a constant mask and shift: BPF_CORE_READ_BITFIELD asks for them",
                sizes(local, target)
            ));
        }
        if local.is_widened() && local.scalar.signed() && !local.holds(target) {
            return Patched::Unfit(unstated(local, target));
        }
        let bytes = width(*insn);
        // Only 0 and 1 are truth values: a number of the same size is none.
        let truth = local.scalar.truth() && target.scalar.number() && !target.scalar.truth();
        let same = !target.is_bitfield() && target.load == local.load;
        if same && !truth && !self.widens() {
            return self.done(insn.code, target.offset, &[]);
        }
        let part = bytes < local.load;
        if !local.scalar.number()
            || !target.scalar.number()
            || bytes > local.load
            || part && loads.endian == Endian::Big
        {
            return Patched::Unfit(sizes(local, target));
        }
        if truth {
            return self.truth();
        }
        if target.is_bitfield() {
            return self.bits();
        }
        let unsigned = !local.scalar.signed() && !target.scalar.signed();
        let Some(resized) = with_width(insn.code, target.load) else {
            return Patched::Unfit(sizes(local, target));
        };
        if unsigned && !signed && !part && resizable(local.scalar, target.scalar) {
            return self.done(resized, target.offset, &[]);
        }
        if target.load >= bytes && !self.widens() {
            // The low-order part of a wider one.
            let skip = match loads.endian {
                Endian::Little => 0,
                Endian::Big => target.load - bytes,
            };
            return self.done(insn.code, target.offset.saturating_add(skip), &[]);
        }
        let code = resized & !op::MODE_MASK | op::MEM;
        if !target.scalar.signed() {
            return self.done(code, target.offset, &[]);
        }
        let mut after = Vec::new();
        let code = if loads.v4 && target.load < 8 {
            code & !op::MODE_MASK | op::MEMSX
        } else {
            after.extend(self.extend(target.load_bits()));
            code
        };
        if !signed && !self.widens() {
            after.extend(self.cut(bytes));
        }
        self.done(code, target.offset, &after)
    }

    /// Whether the whole value is to arrive, with the target's sign.
    fn widens(&self) -> bool {
        self.local.is_widened() && !self.signed && !self.local.scalar.signed()
    }

    /// A bitfield for a plain field: its load unit, shifted.
    fn bits(&self) -> Patched {
        let Load { signed, local, target, loads, insn } = self;
        let Some(code) = with_width(op::LDX | op::MEM, target.size) else {
            return Patched::Unfit(sizes(local, target));
        };
        let (left, right) = (target.left_shift(loads.endian), target.right_shift());
        let mut after = self.shifts(left, right, target.scalar.signed());
        let bytes = width(*insn);
        let fits = target.width() <= bytes * 8;
        let below = target.width() < bytes * 8;
        match (signed, target.scalar.signed()) {
            // What the field holds is what the load gives.
            (true, true) | (false, false) if fits => {}
            (true, false) if below => {}
            (true, _) => after.extend(self.extend(bytes * 8)),
            (false, _) if self.widens() => {}
            (false, _) => after.extend(self.cut(bytes)),
        }
        self.done(code, target.offset, &after)
    }

    /// Whether a number is not 0.
    fn truth(&self) -> Patched {
        let Load { local, target, loads, .. } = self;
        let Some(code) = with_width(op::LDX | op::MEM, target.size).filter(|_| target.width() < 64)
        else {
            return Patched::Unfit(sizes(local, target));
        };
        let mut after = Vec::new();
        if target.is_bitfield() {
            after = self.shifts(target.left_shift(loads.endian), target.right_shift(), false);
        }
        if target.width() > 1 {
            // Only 0 turns negative.
            after.push(self.alu(op::ADD, -1));
            after.push(self.alu(op::RSH, 63));
            after.push(self.alu(op::XOR, 1));
        }
        self.done(code, target.offset, &after)
    }

    /// Up and down again.
    fn shifts(&self, left: u32, right: u32, signed: bool) -> Vec<Insn> {
        let operations = [(op::LSH, left), (if signed { op::ARSH } else { op::RSH }, right)];
        let shift = |(operation, by): (u8, u32)| {
            let by = i32::try_from(by).unwrap_or_default();
            (by != 0).then(|| self.alu(operation, by))
        };
        operations.into_iter().filter_map(shift).collect()
    }

    /// The low bits, sign-extended.
    fn extend(&self, bits: u32) -> Vec<Insn> {
        let by = 64_u32.saturating_sub(bits);
        self.shifts(by, by, true)
    }

    /// The low bytes alone.
    fn cut(&self, bytes: u32) -> Option<Insn> {
        let dst = self.insn.dst;
        match bytes {
            1 => Some(self.alu(op::AND, 0xff)),
            2 => Some(self.alu(op::AND, 0xffff)),
            4 => Some(Insn { code: op::ALU | op::MOV | op::X, dst, src: dst, off: 0, imm: 0 }),
            _ => None,
        }
    }

    fn alu(&self, operation: u8, imm: i32) -> Insn {
        Insn { code: op::ALU64 | op::K | operation, dst: self.insn.dst, src: 0, off: 0, imm }
    }

    /// The load with that opcode at that offset, and what follows it. An offset that does not fit is added to a copy of the pointer.
    fn done(&self, code: u8, offset: u32, after: &[Insn]) -> Patched {
        let Insn { dst, src, .. } = self.insn;
        let load = Insn { code, ..self.insn };
        let mut code = match (i16::try_from(offset), i32::try_from(offset)) {
            (Ok(off), _) => vec![Insn { off, ..load }],
            (_, Ok(offset)) => vec![
                Insn { code: op::ALU64 | op::MOV | op::X, dst, src, off: 0, imm: 0 },
                self.alu(op::ADD, offset),
                Insn { src: dst, off: 0, ..load },
            ],
            _ => return Patched::Unfit(format!("it is {offset} bytes from the start")),
        };
        code.extend(after);
        match *code.as_slice() {
            [only] if only.code & op::MODE_MASK == self.insn.code & op::MODE_MASK => {
                patch::replaced(self.insn, only)
            }
            _ => Patched::By(code, Action::Converted),
        }
    }
}
