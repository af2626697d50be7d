//! Memory: places, and how they are read, written, cleared, copied and compared.
//!
//! Invariant: a place's base is aligned to 8, so that its offset says how wide an access may be: the verifier wants stack accesses aligned on
//! every architecture (`kernel/bpf/verifier.c: check_ptr_alignment`). Kernel memory need not be; there it costs no more than time.

use super::func::Join;
use super::{Program, ZEROS};
use crate::ir::{BinOp, CmpOp, Helper, Off, Op, SlotId, Space, ValueId, Width};
use crate::sema::types::IntTy;
use crate::target::Endian;

/// The most bytes that are cleared or copied in line.
const INLINE_BYTES: u32 = 64;

/// Somewhere in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    base: Base,
    /// In bytes from the base.
    off: u32,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    Slot(SlotId),
    Rodata,
    Pointer(ValueId, Space),
}

impl Place {
    /// The beginning of a slot.
    pub(super) fn slot(slot: SlotId) -> Place {
        Place { base: Base::Slot(slot), off: 0 }
    }

    /// A byte of `.rodata`.
    pub(super) fn rodata(off: u32) -> Place {
        Place { base: Base::Rodata, off }
    }

    /// Where a pointer points to.
    pub(super) fn pointer(pointer: ValueId, space: Space) -> Place {
        Place { base: Base::Pointer(pointer, space), off: 0 }
    }

    /// So many bytes on.
    #[must_use]
    pub(super) fn at(self, off: u32) -> Place {
        Place { off: self.off.saturating_add(off), ..self }
    }

    /// The slot that it is the beginning of.
    pub(super) fn as_slot(self) -> Option<SlotId> {
        match self.base {
            Base::Slot(slot) if self.off == 0 => Some(slot),
            Base::Slot(_) | Base::Rodata | Base::Pointer(..) => None,
        }
    }

    /// What memory it is in.
    pub(super) fn space(self) -> Space {
        match self.base {
            Base::Slot(_) => Space::Stack,
            Base::Rodata => Space::Rodata,
            Base::Pointer(_, space) => space,
        }
    }
}

/// The widest accesses that cover `size` bytes, each aligned as seen from all of the offsets.
fn chunks(offs: &[u32], size: u32) -> Vec<(u32, Width)> {
    let mut list = Vec::new();
    let mut done = 0;
    while done < size {
        let fits = |width: &Width| {
            let bytes = width.bytes();
            bytes <= size - done && offs.iter().all(|off| (off + done) % bytes == 0)
        };
        let width = [Width::D, Width::W, Width::H].into_iter().find(fits).unwrap_or(Width::B);
        list.push((done, width));
        done += width.bytes();
    }
    list
}

impl Program<'_, '_> {
    /// The address of a place.
    pub(super) fn address(&mut self, place: Place) -> ValueId {
        match place.base {
            Base::Slot(slot) => self.f.value(Op::SlotAddr(slot, place.off)),
            Base::Rodata => self.f.value(Op::Rodata(place.off)),
            Base::Pointer(pointer, _) if place.off == 0 => pointer,
            Base::Pointer(pointer, _) => {
                self.f.bin_number(BinOp::Add, pointer, u64::from(place.off))
            }
        }
    }

    /// An address and what an instruction adds to it.
    fn operand(&mut self, place: Place) -> (ValueId, i16) {
        let base = Place { off: 0, ..place };
        match (place.base, i16::try_from(place.off)) {
            (Base::Slot(_) | Base::Pointer(..), Ok(off)) => (self.address(base), off),
            _ => (self.address(place), 0),
        }
    }

    /// Reads an integer.
    pub(super) fn load_int(&mut self, place: Place, int: IntTy) -> ValueId {
        let width = Width::from_bytes(int.size()).unwrap_or(Width::D);
        let signed = int.signed && width != Width::D;
        let (addr, off) = self.operand(place);
        let (off, space) = (Off::Bytes(off), place.space());
        self.f.value(Op::Load { width, signed, addr, off, space })
    }

    /// Reads the bytes of an access, zero-extended.
    pub(super) fn load(&mut self, place: Place, width: Width) -> ValueId {
        let bits = u8::try_from(width.bytes() * 8).expect("at most 64");
        self.load_int(place, IntTy { bits, signed: false })
    }

    /// Writes a value.
    pub(super) fn store(&mut self, place: Place, width: Width, value: ValueId) {
        let (addr, off) = self.operand(place);
        self.f.effect(Op::Store { width, addr, off, value, space: place.space() });
    }

    /// Writes a number.
    pub(super) fn store_number(&mut self, place: Place, width: Width, number: u64) {
        let value = self.f.number(number);
        self.store(place, width, value);
    }

    /// Adds to memory; atomically where it is shared by processors and the width allows it.
    pub(super) fn add(&mut self, place: Place, width: Width, value: ValueId, shared: bool) {
        if shared && matches!(width, Width::W | Width::D) {
            let (addr, off) = self.operand(place);
            self.f.effect(Op::AtomicAdd { width, addr, off, value });
        } else {
            let old = self.load(place, width);
            let new = self.f.bin(BinOp::Add, old, value);
            self.store(place, width, new);
        }
    }

    /// Fills memory with zeros.
    pub(super) fn clear(&mut self, place: Place, size: u32) {
        if size <= INLINE_BYTES || self.is_socket_filter() {
            for (off, width) in chunks(&[place.off], size) {
                self.store_number(place.at(off), width, 0);
            }
            return;
        }
        let zeros = Place::rodata(self.unit.zeros());
        let mut done = 0;
        while done < size {
            let part = (size - done).min(ZEROS);
            self.copy_by_helper(place.at(done), zeros, part);
            done += part;
        }
    }

    /// Copies memory that does not overlap.
    pub(super) fn copy(&mut self, to: Place, from: Place, size: u32) {
        if size > INLINE_BYTES && !self.is_socket_filter() {
            self.copy_by_helper(to, from, size);
            return;
        }
        for (off, width) in chunks(&[to.off, from.off], size) {
            let value = self.load(from.at(off), width);
            self.store(to.at(off), width, value);
        }
    }

    /// Copies memory of any size by a call: the source may be any address that the program can read.
    fn copy_by_helper(&mut self, to: Place, from: Place, size: u32) {
        let (to, from) = (self.address(to), self.address(from));
        let size = self.f.number(u64::from(size));
        self.f.call(Helper::ProbeReadKernel, vec![to, size, from]);
    }

    /// Writes text, filled up with NULs to `size` bytes.
    pub(super) fn store_text(&mut self, place: Place, text: &[u8], size: u32) {
        let text = &text[..text.len().min(size as usize)];
        let (filled, rest) = filled_size(place, text, size);
        for (off, width) in chunks(&[place.off], filled) {
            let number = self.text_chunk(text, off, width);
            self.store_number(place.at(off), width, number);
        }
        if rest > 0 {
            self.clear(place.at(filled), rest);
        }
    }

    /// The number that a load of these bytes of a text gives; bytes after its end are 0.
    fn text_chunk(&self, text: &[u8], off: u32, width: Width) -> u64 {
        let bytes = (off..off + width.bytes()).map(|i| text.get(i as usize).copied().unwrap_or(0));
        let append = |number: u64, byte: u8| number << 8 | u64::from(byte);
        match self.unit.target.endian {
            Endian::Little => bytes.rev().fold(0, append),
            Endian::Big => bytes.fold(0, append),
        }
    }

    /// Goes on if `size` bytes are equal, otherwise to `differ`.
    pub(super) fn compare(&mut self, a: Place, b: Place, size: u32, differ: &mut Join) {
        for (off, width) in chunks(&[a.off, b.off], size) {
            let left = self.load(a.at(off), width);
            let right = self.load(b.at(off), width);
            self.expect_equal(left, right, differ);
        }
    }

    /// Goes on if the first `size` bytes of a place are this text, filled up with NULs, otherwise to `differ`.
    pub(super) fn compare_text(&mut self, place: Place, text: &[u8], size: u32, differ: &mut Join) {
        for (off, width) in chunks(&[place.off], size) {
            let left = self.load(place.at(off), width);
            let right = self.text_chunk(text, off, width);
            let right = self.f.number(right);
            self.expect_equal(left, right, differ);
        }
    }

    fn expect_equal(&mut self, a: ValueId, b: ValueId, differ: &mut Join) {
        let mut equal = Join::new();
        let cond = crate::ir::Cond { op: CmpOp::Eq, a, b };
        self.f.branch(cond, &mut equal, differ);
        self.f.enter(equal);
    }
}

/// How much of a text is worth writing as numbers, in whole accesses, and how much is left to clear.
fn filled_size(place: Place, text: &[u8], size: u32) -> (u32, u32) {
    let text_len = u32::try_from(text.len()).unwrap_or(size);
    if size <= INLINE_BYTES {
        return (size, 0);
    }
    let end = (place.off + text_len).next_multiple_of(8) - place.off;
    let filled = end.min(size);
    (filled, size - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_aligned_and_cover_every_byte_once() {
        let widths = |offs: &[u32], size| {
            chunks(offs, size).into_iter().map(|(off, w)| (off, w.bytes())).collect::<Vec<_>>()
        };
        assert_eq!(widths(&[0], 15), [(0, 8), (8, 4), (12, 2), (14, 1)]);
        assert_eq!(widths(&[4], 16), [(0, 4), (4, 8), (12, 4)]);
        assert_eq!(widths(&[0, 1], 2), [(0, 1), (1, 1)]);
        assert_eq!(widths(&[0], 0), []);
    }
}
