//! Which registers are live at the end of each block.
//!
//! Found register by register, backwards from its uses: the cost is the size of the answer. Fixed registers do not live from block to block.

use super::super::machine::{MachineFunc, Reg};
use super::TooComplex;
use rustc_hash::FxHashSet;

/// How many pairs of a register and a block at whose end it is live are worked with.
const MAX_PAIRS: usize = 1 << 22;

/// By block: the virtual registers that are live at its end, ascending.
pub(in super::super) fn live_out(func: &MachineFunc) -> Result<Vec<Vec<Reg>>, TooComplex> {
    let count = func.blocks.len();
    let mut preds = vec![Vec::new(); count];
    let mut exposed = vec![Vec::new(); func.regs as usize];
    let mut kills = FxHashSet::default();
    for (b, block) in func.blocks.iter().enumerate() {
        block.term.successors().for_each(|s| preds[s].push(b));
        let mut expose = |r: Reg, kills: &FxHashSet<(usize, Reg)>| {
            if !r.is_fixed() && !kills.contains(&(b, r)) && exposed[r.ix()].last() != Some(&b) {
                exposed[r.ix()].push(b);
            }
        };
        for (inst, _) in &block.insts {
            inst.each_use(|r| expose(r, &kills));
            inst.each_named(|r, _, writes| {
                if writes && !r.is_fixed() {
                    kills.insert((b, r));
                }
            });
        }
        block.term.each_use(|r| expose(r, &kills));
    }
    let mut live_out: Vec<Vec<Reg>> = vec![Vec::new(); count];
    let mut live_in: Vec<Option<Reg>> = vec![None; count];
    let mut pairs = 0;
    for (reg, uses) in (0..).map(Reg).zip(exposed) {
        let mut todo = uses;
        while let Some(block) = todo.pop() {
            if live_in[block].replace(reg) == Some(reg) {
                continue;
            }
            for pred in &preds[block] {
                if live_out[*pred].last() == Some(&reg) {
                    continue;
                }
                live_out[*pred].push(reg);
                pairs += 1;
                if !kills.contains(&(*pred, reg)) {
                    todo.push(*pred);
                }
            }
        }
        if pairs > MAX_PAIRS {
            return Err(TooComplex);
        }
    }
    Ok(live_out)
}
