//! A direct interpreter of the IR: what a function means.

use std::collections::HashMap;
use ubpfc::ir::{Func, Helper, Off, Op, Term, ValueId, Width};

/// What a call of a helper gives in tests: a number that depends on all it should depend on.
pub(crate) fn helper(helper: i32, args: &[u64], calls: &mut u64) -> u64 {
    let pure = Helper::ALL.iter().any(|h| h.id() == helper && h.is_pure());
    let mut hash = u64::from(helper.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if !pure {
        *calls += 1;
        hash ^= calls.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    args.iter().fold(hash, |h, a| (h ^ a).wrapping_mul(0x94d0_49bb_1331_11eb).rotate_left(29))
}

/// The loader's answer to a question in tests.
pub(crate) fn answer(reloc: &ubpfc::ir::reloc::CoreReloc) -> u64 {
    match reloc {
        ubpfc::ir::reloc::CoreReloc::StructSize(name) => name.len() as u64,
        ubpfc::ir::reloc::CoreReloc::EnumValue { name, .. } => (name.len() as u64) << 40 | 5,
        _ => 1,
    }
}

const STEPS: u32 = 100_000;

/// What a function returns, unless it runs for too long.
pub(crate) fn eval(func: &Func) -> Option<u64> {
    let mut values: HashMap<ValueId, u64> = HashMap::new();
    let mut memory: HashMap<u64, u8> = HashMap::new();
    let mut calls = 0;
    let mut block = func.entry;
    for _ in 0..STEPS {
        for inst in &func.blocks[block].insts {
            let get = |v: &ValueId| values[v];
            let result = match &inst.op {
                Op::Const(number) => *number,
                Op::Core(reloc) => answer(reloc),
                Op::SlotAddr(slot, at) => {
                    0x1_0000 * (1 + u64::from(slot.into_raw().into_u32())) + u64::from(*at)
                }
                Op::Bin(op, a, b) => op.apply(get(a), get(b)),
                Op::Neg(value) => get(value).wrapping_neg(),
                Op::Ext { value, bits, signed } => {
                    let up = 64 - u32::from(*bits);
                    let high = get(value) << up;
                    if *signed { (high.cast_signed() >> up).cast_unsigned() } else { high >> up }
                }
                Op::Bswap { value, bits } => get(value).swap_bytes() >> (64 - bits),
                Op::Cmp(cond) => u64::from(cond.op.holds(get(&cond.a), get(&cond.b))),
                Op::Load { width, signed, addr, off: Off::Bytes(off), .. } => {
                    let at = get(addr).wrapping_add_signed(i64::from(*off));
                    let bytes = (0..u64::from(width.bytes())).rev();
                    let byte = |i| u64::from(memory.get(&(at + i)).copied().unwrap_or(0));
                    let raw = bytes.fold(0, |n, i| n << 8 | byte(i));
                    let up = 64 - 8 * width.bytes();
                    if *signed { ((raw << up).cast_signed() >> up).cast_unsigned() } else { raw }
                }
                Op::Store { width, addr, off, value, .. } => {
                    let at = get(addr).wrapping_add_signed(i64::from(*off));
                    store(&mut memory, at, get(value), *width);
                    0
                }
                Op::AtomicAdd { width, addr, off, value } => {
                    let at = get(addr).wrapping_add_signed(i64::from(*off));
                    let bytes = (0..u64::from(width.bytes())).rev();
                    let byte = |i| u64::from(memory.get(&(at + i)).copied().unwrap_or(0));
                    let old = bytes.fold(0u64, |n, i| n << 8 | byte(i));
                    store(&mut memory, at, old.wrapping_add(get(value)), *width);
                    0
                }
                Op::Call(h, args) => {
                    let args: Vec<u64> = args.iter().map(get).collect();
                    helper(h.id(), &args, &mut calls)
                }
                op => panic!("not in these tests: {op:?}"),
            };
            if let Some(value) = inst.result {
                values.insert(value, result);
            }
        }
        let target = match &func.blocks[block].term {
            Term::Return(value) => return Some(values[value]),
            Term::Jump(target) => target,
            Term::Branch { cond, then, otherwise } => {
                if cond.op.holds(values[&cond.a], values[&cond.b]) { then } else { otherwise }
            }
        };
        let args: Vec<u64> = target.args.iter().map(|v| values[v]).collect();
        values.extend(func.blocks[target.block].params.iter().copied().zip(args));
        block = target.block;
    }
    None
}

fn store(memory: &mut HashMap<u64, u8>, at: u64, value: u64, width: Width) {
    for i in 0..u64::from(width.bytes()) {
        memory.insert(at + i, (value >> (8 * i)) as u8);
    }
}
