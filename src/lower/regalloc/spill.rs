//! Spilling: registers that found no colour live in the frame, and are loaded and stored around each use.

use super::super::machine::{Base, Disp, Inst, MachineFunc, Made, Operand, Reg, Term};
use super::color::Coloring;
use crate::isa::opcode;
use crate::source::Span;

/// Moves the spilled registers to the frame. Those that are never live at once share a place.
pub(super) fn rewrite(func: &mut MachineFunc, coloring: &Coloring) {
    let places = places(func, coloring);
    let mut blocks = std::mem::take(&mut func.blocks);
    for block in &mut blocks {
        let mut out = Rewriter { func, places: &places, insts: Vec::new() };
        for (inst, span) in std::mem::take(&mut block.insts) {
            out.inst(inst, span);
        }
        if let Term::Branch { test, .. } = &mut block.term {
            let span = block.term_span;
            test.each_use_mut(|r| out.load(r, span));
        }
        block.insts = out.insts;
    }
    func.blocks = blocks;
}

/// By register: its place, if it is spilled.
fn places(func: &mut MachineFunc, coloring: &Coloring) -> Vec<Option<u32>> {
    let mut place: Vec<Option<u32>> = vec![None; func.regs as usize];
    let first = func.spills;
    for n in &coloring.spilled {
        let of = |m: &u32| place[coloring.alias[*m as usize] as usize];
        let mut taken: Vec<u32> = coloring.adjacent[*n as usize].iter().filter_map(of).collect();
        taken.sort_unstable();
        taken.dedup();
        let free = (first..).zip(&taken).find(|(p, t)| p != *t).map(|(p, _)| p);
        let chosen = free.unwrap_or(first + u32::try_from(taken.len()).expect("few are live"));
        place[*n as usize] = Some(chosen);
        func.spills = func.spills.max(chosen + 1);
    }
    (0..func.regs as usize).map(|r| place[coloring.alias[r] as usize]).collect()
}

struct Rewriter<'a> {
    func: &'a mut MachineFunc,
    places: &'a [Option<u32>],
    insts: Vec<(Inst, Span)>,
}

fn load(dst: Reg, place: u32) -> Inst {
    let base = Base::Spill(place);
    Inst::Load { size: opcode::DW, signed: false, dst, base, disp: Disp::Bytes(0) }
}

fn store(place: u32, src: Operand) -> Inst {
    Inst::Store { size: opcode::DW, base: Base::Spill(place), disp: 0, src }
}

impl Rewriter<'_> {
    fn place(&self, reg: Reg) -> Option<u32> {
        self.places.get(reg.ix()).copied().flatten()
    }

    /// Replaces a spilled register by one that its value is loaded to.
    fn load(&mut self, reg: &mut Reg, span: Span) {
        if let Some(place) = self.place(*reg) {
            *reg = self.func.fresh();
            self.insts.push((load(*reg, place), span));
        }
    }

    fn inst(&mut self, mut inst: Inst, span: Span) {
        match inst {
            Inst::Copy { dst, src } => match (self.place(dst), self.place(src)) {
                (Some(to), Some(from)) if to == from => {}
                (Some(to), None) => self.insts.push((store(to, Operand::Reg(src)), span)),
                (None, Some(from)) => self.insts.push((load(dst, from), span)),
                _ => self.around(&mut inst, span),
            },
            Inst::Make { dst, what: Made::Number(number) }
                if let Some(place) = self.place(dst)
                    && let Ok(imm) = i32::try_from(number.cast_signed()) =>
            {
                self.insts.push((store(place, Operand::Imm(imm)), span));
            }
            _ => self.around(&mut inst, span),
        }
    }

    /// Loads what the instruction reads before it, and stores what it writes after it.
    fn around(&mut self, inst: &mut Inst, span: Span) {
        let mut named: Vec<(Reg, bool, bool)> = Vec::new();
        inst.each_named(|r, reads, writes| match named.iter_mut().find(|n| n.0 == r) {
            Some(n) => (n.1, n.2) = (n.1 | reads, n.2 | writes),
            None => named.push((r, reads, writes)),
        });
        let mut stores = Vec::new();
        for (reg, reads, writes) in named {
            let Some(place) = self.place(reg) else { continue };
            let temp = self.func.fresh();
            if reads {
                self.insts.push((load(temp, place), span));
            }
            if writes {
                stores.push((store(place, Operand::Reg(temp)), span));
            }
            inst.each_named_mut(|r, _, _| {
                if *r == reg {
                    *r = temp;
                }
            });
        }
        self.insts.push((inst.clone(), span));
        self.insts.extend(stores);
    }
}
