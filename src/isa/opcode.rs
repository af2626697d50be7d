//! The numbers that opcodes are made of, by their standard names (RFC 9669).
//!
//! An opcode is `class | size | mode` for loads and stores, and `class | source | operation` for arithmetic and jumps.

/// Which bits of an opcode are the class.
pub const CLASS_MASK: u8 = 0x07;
/// Which bits of a load or store are the size.
pub const SIZE_MASK: u8 = 0x18;
/// Which bits of a load or store are the mode.
pub const MODE_MASK: u8 = 0xe0;
/// Which bits of arithmetic and jumps are the operation.
pub const OP_MASK: u8 = 0xf0;
/// Which bit of arithmetic and jumps is the source.
pub const SRC_MASK: u8 = 0x08;

macro_rules! numbers {
    ($($name:ident: $ty:ty = $value:expr, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: $ty = $value;)*
    };
}

// Classes.
numbers! {
    LD: u8 = 0x00, "Non-standard loads: 64-bit immediates, packets.";
    LDX: u8 = 0x01, "Loads into a register.";
    ST: u8 = 0x02, "Stores of an immediate.";
    STX: u8 = 0x03, "Stores of a register, and atomics.";
    ALU: u8 = 0x04, "32-bit arithmetic.";
    JMP: u8 = 0x05, "Jumps on 64 bits, calls, exit.";
    JMP32: u8 = 0x06, "Jumps on 32 bits.";
    ALU64: u8 = 0x07, "64-bit arithmetic.";
}

// Sizes.
numbers! {
    W: u8 = 0x00, "4 bytes.";
    H: u8 = 0x08, "2 bytes.";
    B: u8 = 0x10, "1 byte.";
    DW: u8 = 0x18, "8 bytes.";
}

// Modes.
numbers! {
    IMM: u8 = 0x00, "A 64-bit immediate.";
    ABS: u8 = 0x20, "Packet bytes at a constant offset.";
    IND: u8 = 0x40, "Packet bytes at a register's offset.";
    MEM: u8 = 0x60, "Memory.";
    MEMSX: u8 = 0x80, "Memory, sign-extended (v4).";
    ATOMIC: u8 = 0xc0, "Atomic read-modify-write.";
}

// Sources.
numbers! {
    K: u8 = 0x00, "The immediate.";
    X: u8 = 0x08, "The source register.";
}

// Arithmetic.
numbers! {
    ADD: u8 = 0x00, "`+=`";
    SUB: u8 = 0x10, "`-=`";
    MUL: u8 = 0x20, "`*=`";
    DIV: u8 = 0x30, "`/=`; signed where the offset is 1 (v4).";
    OR: u8 = 0x40, "`|=`";
    AND: u8 = 0x50, "`&=`";
    LSH: u8 = 0x60, "`<<=`";
    RSH: u8 = 0x70, "Logical `>>=`.";
    NEG: u8 = 0x80, "Two's complement.";
    MOD: u8 = 0x90, "`%=`; signed where the offset is 1 (v4).";
    XOR: u8 = 0xa0, "`^=`";
    MOV: u8 = 0xb0, "`=`; sign-extending where the offset is 8, 16 or 32 (v4).";
    ARSH: u8 = 0xc0, "Arithmetic `>>=`.";
    END: u8 = 0xd0, "Byte swap of as many bits as the immediate says.";
    TO_LE: u8 = 0x00, "The source of an `ALU` [`END`]: to little endian.";
    TO_BE: u8 = 0x08, "The source of an `ALU` [`END`]: to big endian.";
}

// Jumps.
numbers! {
    JA: u8 = 0x00, "Always; in `JMP32` by the immediate (v4).";
    JEQ: u8 = 0x10, "`==`";
    JGT: u8 = 0x20, "Unsigned `>`.";
    JGE: u8 = 0x30, "Unsigned `>=`.";
    JSET: u8 = 0x40, "`&`";
    JNE: u8 = 0x50, "`!=`";
    JSGT: u8 = 0x60, "Signed `>`.";
    JSGE: u8 = 0x70, "Signed `>=`.";
    CALL: u8 = 0x80, "A helper or function.";
    EXIT: u8 = 0x90, "Return.";
    JLT: u8 = 0xa0, "Unsigned `<` (v2).";
    JLE: u8 = 0xb0, "Unsigned `<=` (v2).";
    JSLT: u8 = 0xc0, "Signed `<` (v2).";
    JSLE: u8 = 0xd0, "Signed `<=` (v2).";
    JCOND: u8 = 0xe0, "`may_goto`: leaves a loop that has run too long (kernel 6.9).";
}

// Atomics: the immediate of an `ATOMIC` store.
numbers! {
    ATOMIC_ADD: i32 = 0x00, "`+=`";
    ATOMIC_OR: i32 = 0x40, "`|=`";
    ATOMIC_AND: i32 = 0x50, "`&=`";
    ATOMIC_XOR: i32 = 0xa0, "`^=`";
    FETCH: i32 = 0x01, "Also gives the old value.";
    XCHG: i32 = 0xe1, "Exchange.";
    CMPXCHG: i32 = 0xf1, "Compare with `r0` and exchange.";
    LOAD_ACQ: i32 = 0x100, "Load with acquire semantics (kernel 6.15).";
    STORE_REL: i32 = 0x110, "Store with release semantics (kernel 6.15).";
}

// What the source of a 64-bit immediate load or of a call stands for.
numbers! {
    PSEUDO_MAP_FD: u8 = 1, "Of an immediate: a map.";
    PSEUDO_MAP_VALUE: u8 = 2, "Of an immediate: a byte of a map's value.";
    PSEUDO_BTF_ID: u8 = 3, "Of an immediate: a kernel variable.";
    PSEUDO_FUNC: u8 = 4, "Of an immediate: a function.";
    PSEUDO_CALL: u8 = 1, "Of a call: a function of the object.";
    PSEUDO_KFUNC_CALL: u8 = 2, "Of a call: a kernel function.";
}

/// The opcode of a 64-bit immediate load, which takes two slots.
pub const LDIMM64: u8 = LD | IMM | DW;
/// What an instruction stands for that a loader could not relocate: a call of this helper.
pub const POISON: i32 = 0x0bad_2310;
