//! Register allocation: machine form over any number of registers → over r0 to r9.
//!
//! Iterated register coalescing (George and Appel, 1996): the registers of a function are coloured so that those that are live at the same time differ,
//! and copies disappear where their two sides can be one. What finds no colour is spilled to the frame and the rest is done again. Invariant: the
//! result computes the same, and touches fixed registers only.

mod color;
mod liveness;
mod spill;

use super::machine::{Inst, MachineFunc, Reg, Term};
use color::Graph;
pub(super) use liveness::live_out;

/// Why there is no allocation: more values are live at once, or for longer, than any frame could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;

/// Each round spills at least one register for good; real programs need one or two.
const MAX_ROUNDS: u32 = 32;

/// Gives every register of a function one of the machine's.
pub(super) fn allocate(func: &mut MachineFunc) -> Result<(), TooComplex> {
    // Registers from here on live from one instruction to the next only: spilling them gains nothing.
    let mut temps = vec![false; func.regs as usize];
    for _ in 0..MAX_ROUNDS {
        let live_out = live_out(func)?;
        let coloring = Graph::new(func, &live_out, &temps)?.color();
        if coloring.spilled.is_empty() {
            assign(func, &coloring.color);
            return Ok(());
        }
        spill::rewrite(func, &coloring);
        temps.resize(func.regs as usize, true);
    }
    Err(TooComplex)
}

fn assign(func: &mut MachineFunc, color: &[Reg]) {
    for block in &mut func.blocks {
        for (inst, _) in &mut block.insts {
            inst.each_named_mut(|r, _, _| *r = color[r.ix()]);
        }
        block.insts.retain(|(inst, _)| !matches!(inst, Inst::Copy { dst, src } if dst == src));
        if let Term::Branch { test, .. } = &mut block.term {
            test.each_use_mut(|r| *r = color[r.ix()]);
        }
    }
}
