//! Instruction selection: IR → machine form.
//!
//! In: an optimised function whose operations the target has ([`legalize`](super::legalize)). Out: the same with block parameters as
//! registers that jumps copy to. Numbers, addresses of slots and maps and the loader's numbers are made where they are used, or folded into the
//! instruction; extensions that nobody looks at are left out; comparisons are fused with the branches on them.

use super::demand::{self, Defs, Range};
use super::machine::{Base, Block, Disp, Inst, MachineFunc, Made, Operand, Reg, Term, Test};
use crate::ir::cfg::{Cfg, ix};
use crate::ir::reloc::CoreReloc;
use crate::ir::{self, BinOp, BlockId, CmpOp, Cond, Func, Off, Op, ValueId, Width};
use crate::isa::opcode;
use crate::source::Span;
use crate::target::{Cpu, Target};
use rustc_hash::FxHashMap;

/// Chooses the instructions of a function; `ctx` is the register that the context comes in.
pub(super) fn select(func: &Func, cfg: &Cfg, target: Target, ctx: Reg) -> MachineFunc {
    let ranges = demand::ranges(func, cfg);
    let mut block_of = vec![usize::MAX; func.blocks.len()];
    for (i, block) in cfg.order.iter().enumerate() {
        block_of[ix(*block)] = i;
    }
    let mut select = Select {
        func,
        cfg,
        cpu: target.cpu,
        defs: demand::defs(func, cfg),
        demands: demand::demands(func, cfg, &ranges, target.cpu >= Cpu::V3),
        ranges,
        uses: demand::uses(func, cfg),
        wants_zext: vec![false; func.values.len()],
        homes: vec![None; func.values.len()],
        block_of,
        made: FxHashMap::default(),
        out: MachineFunc {
            blocks: Vec::new(),
            first_edge: cfg.order.len(),
            regs: Reg::FIXED,
            spills: 0,
        },
        insts: Vec::new(),
        span: func.blocks[func.entry].term_span,
    };
    select.run(ctx);
    select.out
}

/// Where a value is: in a register, and which bits of it are right there.
#[derive(Clone, Copy)]
struct Home {
    reg: Reg,
    /// All 64 bits are the value's. Otherwise the low bits that are demanded are.
    exact: bool,
    /// The low 32 bits are the value's and the others 0.
    zext: bool,
}

struct Select<'a> {
    func: &'a Func,
    cfg: &'a Cfg,
    cpu: Cpu,
    defs: Defs<'a>,
    ranges: Vec<Range>,
    demands: Vec<u8>,
    uses: Vec<u32>,
    /// By value: whether its low 32 bits are wanted zero-extended.
    wants_zext: Vec<bool>,
    homes: Vec<Option<Home>>,
    block_of: Vec<usize>,
    /// Values that were made in this block since the last call, and where they still are.
    made: FxHashMap<ValueId, Reg>,
    out: MachineFunc,
    insts: Vec<(Inst, Span)>,
    span: Span,
}

/// The number as an immediate operand, which is sign-extended.
fn as_imm(number: u64) -> Option<i32> {
    i32::try_from(number.cast_signed()).ok()
}

/// The low 32 bits as an immediate operand.
fn low_imm(number: u64) -> i32 {
    (number & u64::from(u32::MAX)).try_into().map_or(0, u32::cast_signed)
}

fn size_of(width: Width) -> u8 {
    match width {
        Width::B => opcode::B,
        Width::H => opcode::H,
        Width::W => opcode::W,
        Width::D => opcode::DW,
    }
}

/// The operation and whether it is the signed form.
fn alu_op(op: BinOp) -> (u8, bool) {
    match op {
        BinOp::Add => (opcode::ADD, false),
        BinOp::Sub => (opcode::SUB, false),
        BinOp::Mul => (opcode::MUL, false),
        BinOp::DivU => (opcode::DIV, false),
        BinOp::DivS => (opcode::DIV, true),
        BinOp::RemU => (opcode::MOD, false),
        BinOp::RemS => (opcode::MOD, true),
        BinOp::Shl => (opcode::LSH, false),
        BinOp::ShrU => (opcode::RSH, false),
        BinOp::ShrS => (opcode::ARSH, false),
        BinOp::And => (opcode::AND, false),
        BinOp::Or => (opcode::OR, false),
        BinOp::Xor => (opcode::XOR, false),
    }
}

impl Select<'_> {
    fn run(&mut self, ctx: Reg) {
        let depths = self.cfg.loop_depths();
        for block in self.cfg.order.iter().map(|b| &self.func.blocks[*b]) {
            for param in &block.params {
                let exact = self.demands[ix(*param)] > 32;
                let reg = self.out.fresh();
                self.homes[ix(*param)] = Some(Home { reg, exact, zext: false });
            }
            for inst in &block.insts {
                if let Op::Ext { value, bits: 32, signed: false } = inst.op
                    && inst.result.is_some_and(|r| self.demands[ix(r)] > 32)
                {
                    self.wants_zext[ix(value)] = true;
                }
            }
        }
        let entry = &self.func.blocks[self.func.entry];
        self.out.blocks = (self.cfg.order.iter())
            .map(|id| Block {
                insts: Vec::new(),
                term: Term::Return,
                term_span: self.func.blocks[*id].term_span,
                depth: depths[ix(*id)],
            })
            .collect();
        self.context(ctx, entry);
        for (i, id) in self.cfg.order.iter().enumerate() {
            let block = &self.func.blocks[*id];
            for inst in &block.insts {
                self.span = inst.span;
                self.inst(inst);
            }
            self.span = block.term_span;
            let term = self.term(&block.term, depths[ix(*id)]);
            self.made.clear();
            self.out.blocks[i].insts = std::mem::take(&mut self.insts);
            self.out.blocks[i].term = term;
        }
    }

    /// Takes the context before anything else can take its register.
    fn context(&mut self, ctx: Reg, entry: &ir::Block) {
        let insts = self.cfg.order.iter().flat_map(|b| &self.func.blocks[*b].insts);
        let wanting: Vec<ValueId> =
            insts.filter(|i| i.op == Op::Ctx).filter_map(|i| i.result).collect();
        if wanting.is_empty() {
            return;
        }
        self.span = entry.insts.first().map_or(entry.term_span, |i| i.span);
        let reg = self.out.fresh();
        self.put(Inst::Copy { dst: reg, src: ctx });
        for value in wanting {
            self.homes[ix(value)] = Some(Home { reg, exact: true, zext: false });
        }
    }

    fn put(&mut self, inst: Inst) {
        self.insts.push((inst, self.span));
    }

    fn number(&self, value: ValueId) -> Option<u64> {
        demand::number(&self.defs, value)
    }

    /// What a value is made from where it is used, if it is of that kind.
    fn made_from(&self, value: ValueId) -> Option<Made> {
        Some(match &self.defs[ix(value)]?.op {
            Op::Const(number) => Made::Number(*number),
            Op::Core(reloc) => Made::Core(reloc.clone()),
            Op::SlotAddr(slot, at) => Made::Slot(*slot, *at),
            Op::MapAddr(map) => Made::Map(*map),
            Op::Rodata(at) => Made::Rodata(*at),
            Op::Callback(index) => Made::Callback(*index),
            _ => return None,
        })
    }

    fn home(&self, value: ValueId) -> Home {
        self.homes[ix(value)].expect("a definition comes before its uses in the order of blocks")
    }

    /// A register that holds a value, for reading only.
    fn reg(&mut self, value: ValueId) -> Reg {
        let Some(what) = self.made_from(value) else { return self.home(value).reg };
        if let Some(reg) = self.made.get(&value) {
            return *reg;
        }
        let dst = self.out.fresh();
        self.put(Inst::Make { dst, what });
        self.made.insert(value, dst);
        dst
    }

    /// Puts a value into a register.
    fn copy_to(&mut self, dst: Reg, value: ValueId) {
        let inst = match self.made_from(value) {
            Some(what) => Inst::Make { dst, what },
            None => Inst::Copy { dst, src: self.home(value).reg },
        };
        self.put(inst);
    }

    /// A right operand of arithmetic.
    fn operand(&mut self, value: ValueId) -> Operand {
        match self.made_from(value) {
            // Loaders patch an enumerator into a 64-bit immediate only.
            Some(Made::Core(reloc)) if !matches!(reloc, CoreReloc::EnumValue { .. }) => {
                Operand::Core(reloc)
            }
            Some(Made::Number(number)) if let Some(imm) = as_imm(number) => Operand::Imm(imm),
            _ => Operand::Reg(self.reg(value)),
        }
    }

    fn base(&mut self, addr: ValueId) -> (Base, i32) {
        match self.made_from(addr) {
            Some(Made::Slot(slot, at)) => {
                (Base::Slot(slot), i32::try_from(at).expect("slots are small"))
            }
            _ => (Base::Reg(self.reg(addr)), 0),
        }
    }

    fn define(&mut self, result: Option<ValueId>) -> Reg {
        let reg = self.out.fresh();
        if let Some(result) = result {
            self.homes[ix(result)] = Some(Home { reg, exact: true, zext: false });
        }
        reg
    }

    fn alias(&mut self, result: Option<ValueId>, home: Home) {
        if let Some(result) = result {
            self.homes[ix(result)] = Some(home);
        }
    }

    fn inst(&mut self, inst: &ir::Inst) {
        if inst.op.is_rematerializable() || inst.op == Op::Ctx {
            return;
        }
        let demand = inst.result.map_or(64, |r| self.demands[ix(r)]);
        match &inst.op {
            Op::Bin(op, a, b) => self.binary(inst.result, *op, *a, *b, demand),
            Op::Neg(value) => {
                let exact = demand > 32;
                let dst = self.define(inst.result);
                self.copy_to(dst, *value);
                self.put(Inst::Neg { dst });
                self.alias(inst.result, Home { reg: dst, exact, zext: false });
            }
            Op::Ext { value, bits, signed } => {
                self.extend(inst.result, *value, *bits, *signed, demand);
            }
            Op::Bswap { value, bits } => {
                let dst = self.define(inst.result);
                self.copy_to(dst, *value);
                self.put(Inst::Swap { dst, bits: *bits });
            }
            Op::Cmp(cond) => {
                let test = self.test(cond);
                let (test, negated) = self.available(test);
                let dst = self.define(inst.result);
                self.put(Inst::Make { dst, what: Made::Number(u64::from(!negated)) });
                self.put(Inst::SetUnless { test, dst, imm: i32::from(negated) });
            }
            Op::Load { width, signed, addr, off, .. } => {
                self.load(inst.result, *width, *signed, *addr, *off, demand);
            }
            Op::Store { width, addr, off, value, .. } => {
                let (base, at) = self.base(*addr);
                let src = match self.number(*value) {
                    Some(n) if *width < Width::D => Operand::Imm(low_imm(n)),
                    Some(n) if let Some(imm) = as_imm(n) => Operand::Imm(imm),
                    _ => Operand::Reg(self.reg(*value)),
                };
                let disp = at + i32::from(*off);
                self.put(Inst::Store { size: size_of(*width), base, disp, src });
            }
            Op::AtomicAdd { width, addr, off, value } => {
                let (base, at) = self.base(*addr);
                let src = self.reg(*value);
                let disp = at + i32::from(*off);
                self.put(Inst::AtomicAdd { size: size_of(*width), base, disp, src });
            }
            Op::Call(helper, args) => {
                // What is in registers goes first: what is made needs none.
                for made in [false, true] {
                    for (i, arg) in (0..).zip(args) {
                        if self.made_from(*arg).is_some() == made {
                            self.copy_to(Reg::arg(i), *arg);
                        }
                    }
                }
                self.put(Inst::Call { helper: *helper });
                self.made.clear();
                if let Some(result) = inst.result
                    && self.uses[ix(result)] > 0
                {
                    let dst = self.define(inst.result);
                    self.put(Inst::Copy { dst, src: Reg::RESULT });
                }
            }
            Op::Const(_)
            | Op::Core(_)
            | Op::Ctx
            | Op::SlotAddr(..)
            | Op::MapAddr(_)
            | Op::Rodata(_)
            | Op::Callback(_) => {}
        }
    }

    fn binary(&mut self, result: Option<ValueId>, op: BinOp, a: ValueId, b: ValueId, demand: u8) {
        let (mut a, mut b) = (a, b);
        let made = |s: &Self, v| s.made_from(v).is_some();
        let dying = |s: &Self, v: ValueId| s.uses[ix(v)] == 1;
        if op.commutes() && !made(self, b) && (made(self, a) || (!dying(self, a) && dying(self, b)))
        {
            (a, b) = (b, a);
        }
        let narrow_op = demand::low_bits_decide(op)
            || op == BinOp::Shl && self.number(b).is_some_and(|n| n & 63 < 32);
        let zext = self.cpu >= Cpu::V3
            && demand <= 32
            && narrow_op
            && result.is_some_and(|r| self.wants_zext[ix(r)]);
        let src = match (op, self.number(b)) {
            (BinOp::Shl | BinOp::ShrU | BinOp::ShrS, Some(n)) => Operand::Imm(low_imm(n & 63)),
            // The kernel refuses a division by an immediate 0.
            (BinOp::DivU | BinOp::DivS | BinOp::RemU | BinOp::RemS, Some(0)) => {
                Operand::Reg(self.reg(b))
            }
            (_, Some(n)) if demand <= 32 && narrow_op => Operand::Imm(low_imm(n)),
            _ => self.operand(b),
        };
        let dst = self.out.fresh();
        self.copy_to(dst, a);
        let (code, signed) = alu_op(op);
        self.put(Inst::Alu { op: code, wide: !zext, signed, dst, src });
        // Inexact operands or immediates make an inexact result, but then nobody looks at more.
        let exact = demand > 32 || !(narrow_op || op == BinOp::Shl);
        self.alias(result, Home { reg: dst, exact, zext });
    }

    fn extend(
        &mut self,
        result: Option<ValueId>,
        value: ValueId,
        bits: u8,
        signed: bool,
        demand: u8,
    ) {
        if self.made_from(value).is_none() {
            let home = self.home(value);
            if demand <= bits {
                return self.alias(result, Home { exact: false, zext: home.zext, ..home });
            }
            if home.zext && bits == 32 && !signed {
                return self.alias(result, Home { exact: true, ..home });
            }
        }
        let dst = self.define(result);
        if !signed && bits < 32 {
            self.copy_to(dst, value);
            let src = Operand::Imm((1 << bits) - 1);
            self.put(Inst::Alu { op: opcode::AND, wide: true, signed: false, dst, src });
        } else if self.cpu >= Cpu::V4 || !signed && self.cpu >= Cpu::V3 {
            let src = self.reg(value);
            self.put(Inst::Extend { dst, src, bits, signed });
        } else {
            self.copy_to(dst, value);
            self.shift_pair(dst, bits, signed);
        }
    }

    /// Extends by two shifts.
    fn shift_pair(&mut self, dst: Reg, bits: u8, signed: bool) {
        let src = Operand::Imm(64 - i32::from(bits));
        for op in [opcode::LSH, if signed { opcode::ARSH } else { opcode::RSH }] {
            self.put(Inst::Alu { op, wide: true, signed: false, dst, src: src.clone() });
        }
    }

    fn load(
        &mut self,
        result: Option<ValueId>,
        width: Width,
        signed: bool,
        addr: ValueId,
        off: Off,
        demand: u8,
    ) {
        let bits = u8::try_from(width.bytes() * 8).expect("at most 64");
        let extends = signed && demand > bits;
        let one = extends && self.cpu >= Cpu::V4;
        let (base, disp) = match off {
            Off::Bytes(off) => {
                let (base, at) = self.base(addr);
                (base, Disp::Bytes(at + i32::from(off)))
            }
            Off::Core(access) => (Base::Reg(self.reg(addr)), Disp::Core(access)),
            Off::Arg(arg, index) => (Base::Reg(self.reg(addr)), Disp::Arg(arg, index)),
        };
        let dst = self.define(result);
        self.put(Inst::Load { size: size_of(width), signed: one, dst, base, disp });
        if extends && !one {
            self.shift_pair(dst, bits, true);
        }
        // Loaders widen an unsigned one where the target's field is wider.
        let widened = !signed && matches!(off, Off::Core(_));
        let zext = !extends && !widened && bits == 32;
        self.alias(result, Home { reg: dst, exact: extends || !signed, zext });
    }

    /// A comparison whose right operand may be an immediate.
    fn test(&mut self, cond: &Cond) -> Test {
        let mut cond = *cond;
        if self.number(cond.a).is_some() && self.number(cond.b).is_none() {
            cond = Cond { op: cond.op.swapped(), a: cond.b, b: cond.a };
        }
        let exact = |v| self.made_from(v).is_some() || self.home(v).exact;
        let wide = exact(cond.a) && exact(cond.b);
        let op = match demand::narrow_test(&cond, &self.ranges) {
            Some(op) if !wide => op,
            _ => cond.op,
        };
        let imm = self.number(cond.b).and_then(|n| if wide { as_imm(n) } else { Some(low_imm(n)) });
        let a = self.reg(cond.a);
        let b = imm.map_or_else(|| Operand::Reg(self.reg(cond.b)), Operand::Imm);
        Test { op, wide, a, b }
    }

    /// A test that the target has, and whether it is the opposite of what was asked for.
    fn available(&mut self, test: Test) -> (Test, bool) {
        if super::emission::has_jump(test.op, self.cpu) {
            return (test, false);
        }
        match (test.b, test.op.negated()) {
            (Operand::Reg(b), _) => {
                (Test { op: test.op.swapped(), a: b, b: Operand::Reg(test.a), ..test }, false)
            }
            (b, Some(op)) => (Test { op, b, ..test }, true),
            (b, None) => (Test { b, ..test }, false),
        }
    }

    fn term(&mut self, term: &ir::Term, depth: u32) -> Term {
        match term {
            ir::Term::Jump(target) => {
                self.pass(target);
                Term::Jump(self.block_of[ix(target.block)])
            }
            ir::Term::Branch { cond, then, otherwise } => {
                let test = self.test(cond);
                let (test, negated) = self.available(test);
                let insts = std::mem::take(&mut self.insts);
                let mut ways = [then, otherwise].map(|target| self.edge(target, depth));
                self.insts = insts;
                if negated {
                    ways.reverse();
                }
                Term::Branch { test, then: ways[0], otherwise: ways[1] }
            }
            ir::Term::Return(value) => {
                self.copy_to(Reg::RESULT, *value);
                Term::Return
            }
        }
    }

    /// The block that one way of a branch goes to: one of its own where arguments have to be copied.
    fn edge(&mut self, target: &ir::Target, depth: u32) -> usize {
        let to = self.block_of[ix(target.block)];
        if target.args.is_empty() {
            return to;
        }
        self.pass(target);
        let insts = std::mem::take(&mut self.insts);
        self.out.blocks.push(Block { insts, term: Term::Jump(to), term_span: self.span, depth });
        self.out.blocks.len() - 1
    }

    /// Copies arguments to parameters as if all at once.
    fn pass(&mut self, target: &ir::Target) {
        let params = self.params(target.block);
        let mut copies: Vec<(Reg, Reg)> = Vec::new();
        let mut made = Vec::new();
        for (dst, arg) in params.into_iter().zip(&target.args) {
            match self.made_from(*arg) {
                Some(what) => made.push((dst, what)),
                None => copies.push((dst, self.home(*arg).reg)),
            }
        }
        copies.retain(|(dst, src)| dst != src);
        let mut readers: FxHashMap<Reg, u32> = FxHashMap::default();
        for (_, src) in &copies {
            *readers.entry(*src).or_default() += 1;
        }
        let is_free =
            |readers: &FxHashMap<Reg, u32>, reg| readers.get(&reg).is_none_or(|n| *n == 0);
        let mut by_dst: FxHashMap<Reg, Reg> = copies.iter().copied().collect();
        let mut ready: Vec<Reg> =
            copies.iter().map(|c| c.0).filter(|dst| is_free(&readers, *dst)).collect();
        let mut rest = copies.into_iter();
        loop {
            while let Some(dst) = ready.pop() {
                let Some(src) = by_dst.remove(&dst) else { continue };
                self.put(Inst::Copy { dst, src });
                let left = readers.entry(src).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 && by_dst.contains_key(&src) {
                    ready.push(src);
                }
            }
            // What is left are cycles: one register is moved out of the way.
            let Some((dst, _)) = rest.by_ref().find(|(dst, _)| by_dst.contains_key(dst)) else {
                break;
            };
            let aside = self.out.fresh();
            self.put(Inst::Copy { dst: aside, src: dst });
            for src in by_dst.values_mut().filter(|src| **src == dst) {
                *src = aside;
            }
            let moved = readers.remove(&dst).unwrap_or(0);
            readers.insert(aside, moved);
            ready.push(dst);
        }
        for (dst, what) in made {
            self.put(Inst::Make { dst, what });
        }
    }

    fn params(&self, block: BlockId) -> Vec<Reg> {
        self.func.blocks[block].params.iter().map(|p| self.home(*p).reg).collect()
    }
}

impl CmpOp {
    /// The operation of a jump.
    pub(super) fn jump(self) -> u8 {
        match self {
            CmpOp::Eq => opcode::JEQ,
            CmpOp::Ne => opcode::JNE,
            CmpOp::LtU => opcode::JLT,
            CmpOp::LeU => opcode::JLE,
            CmpOp::GtU => opcode::JGT,
            CmpOp::GeU => opcode::JGE,
            CmpOp::LtS => opcode::JSLT,
            CmpOp::LeS => opcode::JSLE,
            CmpOp::GtS => opcode::JSGT,
            CmpOp::GeS => opcode::JSGE,
            CmpOp::Test => opcode::JSET,
        }
    }
}
