//! Instructions as bytes, in either byte order.
//!
//! A slot is `u8 opcode, u8 registers, s16 offset, s32 immediate`. The destination register is the low half of its byte on little-endian machines and the
//! high half on big-endian ones, as C compilers lay out bitfields.

use super::code::Insn;
use super::opcode::{CALL, JMP, LDIMM64, POISON};
use crate::target::Endian;

/// The bytes of a slot.
pub const SLOT: usize = 8;

impl Insn {
    /// The slot's bytes.
    pub fn encode(self, endian: Endian) -> [u8; SLOT] {
        let (dst, src) = (self.dst & 15, self.src & 15);
        let (registers, off, imm) = match endian {
            Endian::Little => (src << 4 | dst, self.off.to_le_bytes(), self.imm.to_le_bytes()),
            Endian::Big => (dst << 4 | src, self.off.to_be_bytes(), self.imm.to_be_bytes()),
        };
        [self.code, registers, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }

    /// The slot that the bytes stand for; every sequence of bytes stands for one.
    pub fn decode(bytes: [u8; SLOT], endian: Endian) -> Insn {
        let [code, registers, o0, o1, i0, i1, i2, i3] = bytes;
        let (low, high) = (registers & 15, registers >> 4);
        match endian {
            Endian::Little => Insn {
                code,
                dst: low,
                src: high,
                off: i16::from_le_bytes([o0, o1]),
                imm: i32::from_le_bytes([i0, i1, i2, i3]),
            },
            Endian::Big => Insn {
                code,
                dst: high,
                src: low,
                off: i16::from_be_bytes([o0, o1]),
                imm: i32::from_be_bytes([i0, i1, i2, i3]),
            },
        }
    }

    /// What stands for an instruction without an answer, as libbpf writes it: the verifier refuses it where it can run.
    pub fn poison() -> Insn {
        Insn { code: JMP | CALL, imm: POISON, ..Insn::default() }
    }

    /// Whether it stands for an instruction without an answer.
    pub fn is_poison(self) -> bool {
        self.code == JMP | CALL && self.src == 0 && self.imm == POISON
    }

    /// Whether it is the first of the two slots of a 64-bit immediate load.
    pub fn is_wide(self) -> bool {
        self.code == LDIMM64
    }
}

/// The slots in a piece of code; bytes after the last whole slot are left out.
pub fn decode(bytes: &[u8], endian: Endian) -> Vec<Insn> {
    bytes.as_chunks::<SLOT>().0.iter().map(|slot| Insn::decode(*slot, endian)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_are_those_of_the_kernel() {
        let insn = Insn { code: 0x61, dst: 1, src: 6, off: 0x1264, imm: -2 };
        assert_eq!(insn.encode(Endian::Little), [0x61, 0x61, 0x64, 0x12, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(insn.encode(Endian::Big), [0x61, 0x16, 0x12, 0x64, 0xff, 0xff, 0xff, 0xfe]);
    }

    proptest! {
        #[test]
        fn every_slot_survives(bytes: [u8; SLOT]) {
            for endian in [Endian::Little, Endian::Big] {
                prop_assert_eq!(Insn::decode(bytes, endian).encode(endian), bytes);
            }
        }
    }
}
