//! Random functions, made from a list of random numbers.

use super::build::Build;
use ubpfc::ir::{
    BinOp, CmpOp, Cond, Func, Helper, Op, SlotId, Space, Target, Term, ValueId, Width,
};

/// Numbers that are likely to find mistakes.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    10,
    31,
    32,
    33,
    63,
    64,
    255,
    256,
    1000,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1234_5678_9abc_def0,
    1 << 62,
    1 << 63,
    u64::MAX,
    u64::MAX - 1,
    (-10i64).cast_unsigned(),
    (-256i64).cast_unsigned(),
    (-0x8000_0000i64).cast_unsigned(),
    (-0x8000_0001i64).cast_unsigned(),
    u64::MAX / 2,
];
const BINS: &[BinOp] = &[
    BinOp::Add,
    BinOp::Sub,
    BinOp::Mul,
    BinOp::DivU,
    BinOp::DivS,
    BinOp::RemU,
    BinOp::RemS,
    BinOp::Shl,
    BinOp::ShrU,
    BinOp::ShrS,
    BinOp::And,
    BinOp::Or,
    BinOp::Xor,
];
const CMPS: &[CmpOp] = &[
    CmpOp::Eq,
    CmpOp::Ne,
    CmpOp::LtU,
    CmpOp::LeU,
    CmpOp::GtU,
    CmpOp::GeU,
    CmpOp::LtS,
    CmpOp::LeS,
    CmpOp::GtS,
    CmpOp::GeS,
    CmpOp::Test,
];
const WIDTHS: &[Width] = &[Width::B, Width::H, Width::W, Width::D];
const CALLS: &[Helper] = &[
    Helper::KtimeGetNs,
    Helper::GetCurrentPidTgid,
    Helper::GetPrandomU32,
    Helper::ProbeReadKernel,
    Helper::MapDelete,
    Helper::MapUpdate,
];

struct Random<'a> {
    data: &'a [u32],
    build: Build,
    /// Values that are defined on every way to here.
    pool: Vec<ValueId>,
    slots: Vec<SlotId>,
    calls: bool,
    budget: u32,
}

/// A function with or without calls.
pub(crate) fn func(data: &[u32], calls: bool) -> Func {
    let mut random = Random {
        data,
        build: Build::new(),
        pool: Vec::new(),
        slots: Vec::new(),
        calls,
        budget: 60,
    };
    for i in 0..3 {
        let slot = random.build.slot([8, 16, 4][i], [8, 8, 4][i], "test");
        let addr = random.build.op(Op::SlotAddr(slot, 0));
        let number = random.constant();
        let zero = random.build.number(0);
        for at in (0..[8, 16, 4][i]).step_by(4) {
            random.build.store(Width::W, Space::Stack, addr, at, zero);
        }
        random.build.store(Width::W, Space::Stack, addr, 0, number);
        random.slots.push(slot);
    }
    // What the compiler cannot know: numbers from memory.
    for i in 0..4 {
        let value = random.unknown(i);
        random.pool.push(value);
    }
    random.statements(0);
    random.finish();
    random.build.func
}

impl Random<'_> {
    fn next(&mut self) -> usize {
        match self.data.split_first() {
            Some((first, rest)) => {
                self.data = rest;
                *first as usize
            }
            None => 0,
        }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.next() % list.len()]
    }

    fn constant(&mut self) -> ValueId {
        let number = self.pick(NUMBERS);
        self.build.number(number)
    }

    /// A number that goes through memory, where no pass follows it.
    fn unknown(&mut self, seed: usize) -> ValueId {
        let value = self.constant();
        let slot = self.slots[1];
        let addr = self.build.op(Op::SlotAddr(slot, 8));
        self.build.store(Width::D, Space::Stack, addr, 0, value);
        let width = WIDTHS[(self.next() + seed) % 4];
        let signed = width != Width::D && self.next().is_multiple_of(2);
        self.build.load(width, signed, Space::Stack, addr, 0)
    }

    fn value(&mut self) -> ValueId {
        if self.next().is_multiple_of(4) {
            return self.constant();
        }
        // Newer values are likelier, older ones keep the pressure up.
        let n = self.pool.len();
        let back = self.next() % n.min(if self.next().is_multiple_of(2) { 4 } else { n });
        self.pool[n - 1 - back]
    }

    fn cond(&mut self) -> Cond {
        let op = self.pick(CMPS);
        Cond { op, a: self.value(), b: self.value() }
    }

    fn statements(&mut self, depth: u32) {
        for _ in 0..2 + self.next() % 8 {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            match self.next() % 16 {
                8 | 9 => self.memory(),
                10 | 11 if self.calls => self.call(),
                12 | 13 if depth < 4 => self.fork(depth),
                14 if depth < 2 => self.repeat(depth),
                _ => self.operation(),
            }
        }
    }

    fn operation(&mut self) {
        let value = match self.next() % 12 {
            0..6 => {
                let op = self.pick(BINS);
                let (a, b) = (self.value(), self.value());
                self.build.bin(op, a, b)
            }
            6 => {
                let value = self.value();
                self.build.op(Op::Neg(value))
            }
            7 | 8 => {
                let value = self.value();
                let bits = self.pick(&[8, 16, 32]);
                let signed = self.next().is_multiple_of(2);
                self.build.op(Op::Ext { value, bits, signed })
            }
            9 => {
                let value = self.value();
                let bits = self.pick(&[16, 32, 64]);
                self.build.op(Op::Bswap { value, bits })
            }
            _ => {
                let cond = self.cond();
                self.build.op(Op::Cmp(cond))
            }
        };
        self.pool.push(value);
    }

    fn memory(&mut self) {
        let width = self.pick(WIDTHS);
        let first = self.next() % 2;
        let slot = self.slots[first];
        let addr = self.build.op(Op::SlotAddr(slot, 0));
        match self.next() % 4 {
            0 => {
                let value = self.value();
                self.build.store(width, Space::Stack, addr, 0, value);
            }
            1 if width >= Width::W && self.calls => {
                let value = self.value();
                self.build.effect(Op::AtomicAdd { width, addr, off: 0, value });
            }
            _ => {
                let signed = width != Width::D && self.next().is_multiple_of(2);
                let value = self.build.load(width, signed, Space::Stack, addr, 0);
                self.pool.push(value);
            }
        }
    }

    fn call(&mut self) {
        let helper = self.pick(CALLS);
        let args: Vec<ValueId> = (0..helper.arity()).map(|_| self.value()).collect();
        let value = self.build.call(helper, &args);
        self.pool.push(value);
    }

    fn fork(&mut self, depth: u32) {
        let cond = self.cond();
        let count = self.next() % 3;
        let (join, params) = self.build.block(count);
        let direct = self.next().is_multiple_of(3);
        let known = self.pool.len();
        let mut ways = Vec::new();
        let from = self.build.at;
        for way in 0..2 {
            if way == 0 && direct {
                let args: Vec<ValueId> = (0..count).map(|_| self.value()).collect();
                ways.push(Target { block: join, args });
                continue;
            }
            let (block, _) = self.build.block(0);
            ways.push(Target { block, args: Vec::new() });
            self.build.at = block;
            self.statements(depth + 1);
            let args: Vec<ValueId> = (0..count).map(|_| self.value()).collect();
            if way == 0 && self.next().is_multiple_of(8) {
                let value = self.value();
                self.build.ret(value);
            } else {
                self.build.jump(join, &args);
            }
            self.pool.truncate(known);
            self.build.at = from;
        }
        let otherwise = ways.pop().expect("two were made");
        let then = ways.pop().expect("two were made");
        self.build.end(Term::Branch { cond, then, otherwise });
        self.build.at = join;
        self.pool.extend(params);
    }

    fn repeat(&mut self, depth: u32) {
        let rounds = 1 + self.next() as u64 % 5;
        let (head, params) = self.build.block(3);
        let (body, _) = self.build.block(0);
        let (exit, _) = self.build.block(0);
        let zero = self.build.number(0);
        let (a, b) = (self.value(), self.value());
        self.build.jump(head, &[zero, a, b]);
        let known = self.pool.len();
        self.build.at = head;
        let limit = self.build.number(rounds);
        self.build.branch(CmpOp::LtU, params[0], limit, body, exit);
        self.build.at = body;
        self.pool.extend(&params);
        self.statements(depth + 1);
        let one = self.build.number(1);
        let next = self.build.bin(BinOp::Add, params[0], one);
        // Swapped parameters are what copies go wrong with.
        let (a, b) = if self.next().is_multiple_of(2) {
            (params[2], params[1])
        } else {
            (self.value(), self.value())
        };
        self.build.jump(head, &[next, a, b]);
        self.pool.truncate(known);
        self.pool.extend(&params);
        self.build.at = exit;
    }

    /// Returns something that depends on every value, in its low 32 bits.
    fn finish(&mut self) {
        let mut sum = self.build.number(17);
        for value in self.pool.clone() {
            let prime = self.build.number(0x1f);
            let scaled = self.build.bin(BinOp::Mul, sum, prime);
            sum = self.build.bin(BinOp::Add, scaled, value);
        }
        let half = self.build.number(32);
        let high = self.build.bin(BinOp::ShrU, sum, half);
        let sum = self.build.bin(BinOp::Xor, sum, high);
        self.build.ret(sum);
    }
}
