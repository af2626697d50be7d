//! Emission: machine form over fixed registers → slots, jumps, relocations and lines.
//!
//! Blocks are laid out so that most ends fall through; blocks that only jump vanish, and equal ends are one. Invariant: every slot has a span, and at most one
//! relocation.

use super::frame::Frame;
use super::machine::{Base, Block, Disp, Inst, MachineFunc, Made, Operand, Reg, Term, Test};
use crate::ir::CmpOp;
use crate::ir::cfg::ix;
use crate::isa::code::{Function, Insn, InsnIdx, Reloc, RelocKind};
use crate::isa::opcode;
use crate::source::Span;
use crate::target::{Cpu, Endian, Target};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// Whether a version of the instruction set has a jump on a comparison.
pub(super) fn has_jump(op: CmpOp, cpu: Cpu) -> bool {
    cpu >= Cpu::V2 || !matches!(op, CmpOp::LtU | CmpOp::LeU | CmpOp::LtS | CmpOp::LeS)
}

/// Why a function cannot be written down: a jump is too far, at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooFar(pub(super) Span);

/// The frame pointer.
const FRAME: u8 = 10;

/// Writes a function down.
pub(super) fn emit(
    name: &SmolStr,
    mut func: MachineFunc,
    frame: &Frame,
    target: Target,
) -> Result<Function, TooFar> {
    simplify_jumps(&mut func);
    let order = layout(&func);
    let write = |long| {
        let out = Emit {
            target,
            frame,
            long,
            insns: Vec::new(),
            relocs: Vec::new(),
            lines: Vec::new(),
            jumps: Vec::new(),
            starts: vec![0; func.blocks.len()],
        };
        out.function(name, &func, &order)
    };
    // Far jumps take more slots, so they are used where near ones do not do.
    write(false).or_else(|far| if target.cpu >= Cpu::V4 { write(true) } else { Err(far) })
}

/// Sends jumps to where they end up, and to one of several equal ends.
fn simplify_jumps(func: &mut MachineFunc) {
    let count = func.blocks.len();
    let mut first: FxHashMap<Vec<Inst>, usize> = FxHashMap::default();
    let mut goes_on: Vec<usize> = (0..count).collect();
    for (b, block) in func.blocks.iter().enumerate() {
        match block.term {
            Term::Return => {
                let insts: Vec<Inst> = block.insts.iter().map(|i| i.0.clone()).collect();
                goes_on[b] = *first.entry(insts).or_insert(b);
            }
            Term::Jump(to) if block.insts.is_empty() => goes_on[b] = to,
            _ => {}
        }
    }
    let end = |mut b: usize| {
        // A ring of empty blocks is left as it is.
        for _ in 0..count {
            if goes_on[b] == b {
                break;
            }
            b = goes_on[b];
        }
        b
    };
    let ends: Vec<usize> = (0..count).map(end).collect();
    let returns: Vec<bool> = (func.blocks.iter())
        .map(|b| b.insts.is_empty() && matches!(b.term, Term::Return))
        .collect();
    for block in &mut func.blocks {
        block.term.successors_mut().for_each(|s| *s = ends[*s]);
        block.term = match &block.term {
            Term::Jump(to) if returns[*to] => Term::Return,
            Term::Branch { then, otherwise, .. } if then == otherwise => Term::Jump(*then),
            term => term.clone(),
        };
    }
}

/// The order of the blocks: reverse postorder, the way of a condition that does not hold next.
fn layout(func: &MachineFunc) -> Vec<usize> {
    let mut seen = vec![false; func.blocks.len()];
    let mut order = Vec::new();
    let mut stack = vec![(0, 0)];
    seen[0] = true;
    while let Some((block, next)) = stack.pop() {
        match func.blocks[block].term.successors().nth(next) {
            Some(succ) => {
                stack.push((block, next + 1));
                if !std::mem::replace(&mut seen[succ], true) {
                    stack.push((succ, 0));
                }
            }
            None => order.push(block),
        }
    }
    order.reverse();
    order
}

struct Emit<'a> {
    target: Target,
    frame: &'a Frame,
    /// Whether jumps between blocks are of the far kind.
    long: bool,
    insns: Vec<Insn>,
    relocs: Vec<Reloc>,
    lines: Vec<(InsnIdx, Span)>,
    /// Slots that jump to a block.
    jumps: Vec<(usize, usize, Span)>,
    /// By block: its first slot.
    starts: Vec<usize>,
}

fn reg(reg: Reg) -> u8 {
    u8::try_from(reg.0).expect("allocation leaves fixed registers only")
}

impl Emit<'_> {
    fn function(
        mut self,
        name: &SmolStr,
        func: &MachineFunc,
        order: &[usize],
    ) -> Result<Function, TooFar> {
        for (i, b) in order.iter().enumerate() {
            self.starts[*b] = self.insns.len();
            let block = &func.blocks[*b];
            for (inst, span) in &block.insts {
                self.line(*span);
                self.inst(inst);
            }
            self.line(block.term_span);
            let next = order.get(i + 1).copied();
            let ends_next = next.is_some_and(|n| {
                func.blocks[n].insts.is_empty() && matches!(func.blocks[n].term, Term::Return)
            });
            if !(ends_next && matches!(block.term, Term::Return)) {
                self.term(block, next);
            }
        }
        for (slot, block, span) in std::mem::take(&mut self.jumps) {
            self.link(slot, self.starts[block], span)?;
        }
        Ok(Function {
            name: name.clone(),
            insns: self.insns,
            relocs: self.relocs,
            lines: self.lines,
            frame_bytes: self.frame.bytes,
        })
    }

    fn link(&mut self, slot: usize, to: usize, span: Span) -> Result<(), TooFar> {
        let at = |n: usize| i64::try_from(n).expect("fewer slots than bytes of memory");
        let distance = at(to) - at(slot) - 1;
        let insn = &mut self.insns[slot];
        if insn.code == opcode::JMP32 | opcode::JA {
            insn.imm = i32::try_from(distance).map_err(|_| TooFar(span))?;
        } else {
            insn.off = i16::try_from(distance).map_err(|_| TooFar(span))?;
        }
        Ok(())
    }

    fn here(&self) -> InsnIdx {
        InsnIdx(u32::try_from(self.insns.len()).unwrap_or(u32::MAX))
    }

    /// What comes next is from this source. An entry that no slot followed is replaced.
    fn line(&mut self, span: Span) {
        let here = self.here();
        if let Some((at, old)) = self.lines.last_mut()
            && *at == here
        {
            *old = span;
            let before = self.lines.len().checked_sub(2).and_then(|i| self.lines.get(i));
            if before.is_some_and(|(_, s)| *s == span) {
                self.lines.pop();
            }
        } else if self.lines.last().is_none_or(|(_, s)| *s != span) {
            self.lines.push((here, span));
        }
    }

    fn put(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.insns.push(Insn { code, dst, src, off, imm });
    }

    fn reloc(&mut self, kind: RelocKind) {
        let insn = self.here();
        self.relocs.push(Reloc { insn, kind });
    }

    fn wide_imm(&mut self, dst: u8, src: u8, number: u64) {
        let half = |n: u64| u32::try_from(n & u64::from(u32::MAX)).expect("32 bits").cast_signed();
        self.put(opcode::LDIMM64, dst, src, 0, half(number));
        self.put(0, 0, 0, 0, half(number >> 32));
    }

    fn make(&mut self, dst: u8, what: &Made) {
        let mov = opcode::ALU64 | opcode::MOV;
        match what {
            Made::Number(number) => match i32::try_from(number.cast_signed()) {
                Ok(imm) => self.put(mov | opcode::K, dst, 0, 0, imm),
                Err(_) => match u32::try_from(*number) {
                    Ok(low) if self.target.cpu >= Cpu::V3 => {
                        let code = opcode::ALU | opcode::MOV | opcode::K;
                        self.put(code, dst, 0, 0, low.cast_signed());
                    }
                    _ => self.wide_imm(dst, 0, *number),
                },
            },
            Made::Core(reloc) => {
                self.reloc(RelocKind::Core(reloc.clone()));
                if matches!(reloc, crate::ir::reloc::CoreReloc::EnumValue { .. }) {
                    self.wide_imm(dst, 0, 0);
                } else {
                    self.put(mov | opcode::K, dst, 0, 0, 0);
                }
            }
            Made::Slot(slot, at) => {
                self.put(mov | opcode::X, dst, FRAME, 0, 0);
                let at = i32::try_from(*at).unwrap_or(i32::MAX);
                let imm = self.frame.offsets[ix(*slot)].saturating_add(at);
                self.put(opcode::ALU64 | opcode::ADD | opcode::K, dst, 0, 0, imm);
            }
            Made::Map(map) => {
                self.reloc(RelocKind::Map(*map));
                self.wide_imm(dst, opcode::PSEUDO_MAP_FD, 0);
            }
            Made::Rodata(at) => {
                self.reloc(RelocKind::Rodata(*at));
                self.wide_imm(dst, opcode::PSEUDO_MAP_VALUE, 0);
            }
            Made::Callback(index) => {
                self.reloc(RelocKind::Callback(*index));
                self.wide_imm(dst, opcode::PSEUDO_FUNC, 0);
            }
        }
    }

    /// The register and offset of an access.
    fn address(&self, base: Base, disp: i32) -> (u8, i16) {
        let (base, start) = match base {
            Base::Reg(base) => (reg(base), 0),
            Base::Slot(slot) => (FRAME, self.frame.offsets[ix(slot)]),
            Base::Spill(place) => (FRAME, i32::try_from(place).map_or(i32::MIN, |p| -8 * (p + 1))),
        };
        // A frame that fits and a checked access have offsets that fit; others are refused before.
        (base, i16::try_from(start.saturating_add(disp)).unwrap_or(i16::MIN))
    }

    fn inst(&mut self, inst: &Inst) {
        match inst {
            Inst::Copy { dst, src } => {
                self.put(opcode::ALU64 | opcode::MOV | opcode::X, reg(*dst), reg(*src), 0, 0);
            }
            Inst::Make { dst, what } => self.make(reg(*dst), what),
            Inst::Alu { op, wide, signed, dst, src } => {
                let class = if *wide { opcode::ALU64 } else { opcode::ALU };
                let off = i16::from(*signed);
                match src {
                    Operand::Reg(src) => {
                        self.put(class | op | opcode::X, reg(*dst), reg(*src), off, 0);
                    }
                    Operand::Imm(imm) => self.put(class | op | opcode::K, reg(*dst), 0, off, *imm),
                    Operand::Core(reloc) => {
                        self.reloc(RelocKind::Core(reloc.clone()));
                        self.put(class | op | opcode::K, reg(*dst), 0, off, 0);
                    }
                }
            }
            Inst::Neg { dst } => self.put(opcode::ALU64 | opcode::NEG, reg(*dst), 0, 0, 0),
            Inst::Extend { dst, src, bits, signed } => {
                let class = if *signed { opcode::ALU64 } else { opcode::ALU };
                let off = if *signed { i16::from(*bits) } else { 0 };
                self.put(class | opcode::MOV | opcode::X, reg(*dst), reg(*src), off, 0);
            }
            Inst::Swap { dst, bits } => {
                let code = match (self.target.cpu >= Cpu::V4, self.target.endian) {
                    (true, _) => opcode::ALU64 | opcode::END,
                    (false, Endian::Little) => opcode::ALU | opcode::END | opcode::TO_BE,
                    (false, Endian::Big) => opcode::ALU | opcode::END | opcode::TO_LE,
                };
                self.put(code, reg(*dst), 0, 0, i32::from(*bits));
            }
            Inst::Load { size, signed, dst, base, disp } => {
                let mode = if *signed { opcode::MEMSX } else { opcode::MEM };
                let bytes = match disp {
                    Disp::Bytes(bytes) => *bytes,
                    Disp::Core(access) => {
                        use crate::ir::reloc::{CoreReloc::Field, FieldQuestion::ByteOffset};
                        self.reloc(RelocKind::Core(Field(*access, ByteOffset)));
                        0
                    }
                    Disp::Arg(arg, index) => {
                        self.reloc(RelocKind::Arg(*arg));
                        i32::from(*index) * 8
                    }
                };
                let (base, off) = self.address(*base, bytes);
                self.put(opcode::LDX | size | mode, reg(*dst), base, off, 0);
            }
            Inst::Store { size, base, disp, src } => {
                let (base, off) = self.address(*base, *disp);
                match src {
                    Operand::Reg(src) => {
                        self.put(opcode::STX | size | opcode::MEM, base, reg(*src), off, 0);
                    }
                    Operand::Imm(imm) => {
                        self.put(opcode::ST | size | opcode::MEM, base, 0, off, *imm);
                    }
                    Operand::Core(_) => unreachable!("loaders patch no stored immediate"),
                }
            }
            Inst::AtomicAdd { size, base, disp, src } => {
                let (base, off) = self.address(*base, *disp);
                let code = opcode::STX | size | opcode::ATOMIC;
                self.put(code, base, reg(*src), off, opcode::ATOMIC_ADD);
            }
            Inst::Call { helper } => self.put(opcode::JMP | opcode::CALL, 0, 0, 0, helper.id()),
            Inst::SetUnless { test, dst, imm } => {
                self.test(test, 1);
                self.make(reg(*dst), &Made::Number(i64::from(*imm).cast_unsigned()));
            }
        }
    }

    fn test(&mut self, test: &Test, off: i16) {
        let class = if test.wide { opcode::JMP } else { opcode::JMP32 };
        let code = class | test.op.jump();
        match test.b {
            Operand::Reg(b) => self.put(code | opcode::X, reg(test.a), reg(b), off, 0),
            Operand::Imm(imm) => self.put(code | opcode::K, reg(test.a), 0, off, imm),
            Operand::Core(_) => unreachable!("loaders patch no jump"),
        }
    }

    fn term(&mut self, block: &Block, next: Option<usize>) {
        let span = block.term_span;
        match &block.term {
            Term::Return => self.put(opcode::JMP | opcode::EXIT, 0, 0, 0, 0),
            Term::Jump(to) if Some(*to) == next => {}
            Term::Jump(to) => self.jump(*to, span),
            Term::Branch { test, then, otherwise } => {
                if Some(*then) == next
                    && let Some(negated) = self.negated(test)
                {
                    self.branch(&negated, *otherwise, span);
                } else {
                    self.branch(test, *then, span);
                    if Some(*otherwise) != next {
                        self.jump(*otherwise, span);
                    }
                }
            }
        }
    }

    /// The opposite of a test, if the target has it.
    fn negated(&self, test: &Test) -> Option<Test> {
        let op = test.op.negated()?;
        if has_jump(op, self.target.cpu) {
            return Some(Test { op, ..test.clone() });
        }
        match test.b {
            Operand::Reg(b) => {
                Some(Test { op: op.swapped(), a: b, b: Operand::Reg(test.a), ..*test })
            }
            Operand::Imm(_) | Operand::Core(_) => None,
        }
    }

    fn jump(&mut self, to: usize, span: Span) {
        self.jumps.push((self.insns.len(), to, span));
        let class = if self.long { opcode::JMP32 } else { opcode::JMP };
        self.put(class | opcode::JA, 0, 0, 0, 0);
    }

    fn branch(&mut self, test: &Test, to: usize, span: Span) {
        if !self.long {
            self.jumps.push((self.insns.len(), to, span));
            self.test(test, 0);
        } else if let Some(negated) = self.negated(test) {
            self.test(&negated, 1);
            self.jump(to, span);
        } else {
            self.test(test, 1);
            self.put(opcode::JMP | opcode::JA, 0, 0, 1, 0);
            self.jump(to, span);
        }
    }
}
