//! What machine code is made for: byte order and instruction set version.

/// The target of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Target {
    /// The byte order.
    pub endian: Endian,
    /// Which instructions may be used.
    pub cpu: Cpu,
}

/// Byte orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Endian {
    /// `bpfel`
    #[default]
    Little,
    /// `bpfeb`
    Big,
}

/// Versions of the instruction set, as `clang -mcpu` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Cpu {
    /// The first one.
    V1,
    /// Adds jumps on less-than (kernel 4.14).
    V2,
    /// Adds 32-bit arithmetic and jumps (kernel 5.1).
    #[default]
    V3,
    /// Adds sign-extending loads and moves, signed division, unconditional byte swaps and long jumps (kernel 6.6).
    V4,
}

impl Endian {
    /// The bytes of a number.
    pub fn bytes_u64(self, value: u64) -> [u8; 8] {
        match self {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }
}
