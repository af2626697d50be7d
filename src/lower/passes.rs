//! The optimiser: IR → shorter IR.
//!
//! In: a valid function. Out: one that does the same, after a fixed schedule of passes. The verifier looks at it before and at the end; where the compiler checks itself (`debug_assertions`), also after each pass that changes it. No pass hoists
//! anything, and none moves a check from one value to another, so that the kernel's verifier sees each check where the source has it for the first time.

mod context;
mod cse;
mod dce;
mod flow;
mod known;
mod params;
mod simplify;

use crate::ir::Func;
use crate::ir::ValueId;
use crate::ir::cfg::{Cfg, ix};
use crate::ir::verify::{Env, verify};
pub(super) use context::read_first;

/// A pass is given a function with its graph, and returns whether it changed anything.
type Pass = fn(&mut Func, &Cfg) -> bool;

/// One round.
const SCHEDULE: [(&str, Pass); 6] = [
    ("simplify", simplify::run),
    ("known", known::run),
    ("flow", flow::run),
    ("params", params::run),
    ("cse", cse::run),
    ("dce", dce::run),
];

/// Later rounds rarely find anything: what is left after these stays.
const MAX_ROUNDS: usize = 4;

/// Runs all passes, until each has found nothing to change.
///
/// # Panics
/// When the function is not valid before the passes or after them, which is a bug.
pub(super) fn run(func: &mut Func, env: &Env) {
    let mut cfg = check(func, env, "lowering");
    let mut idle = 0;
    for (name, pass) in SCHEDULE.iter().cycle().take(MAX_ROUNDS * SCHEDULE.len()) {
        if pass(func, &cfg) {
            cfg = if cfg!(debug_assertions) { check(func, env, name) } else { Cfg::new(func) };
            idle = 0;
        } else {
            idle += 1;
        }
        if idle == SCHEDULE.len() {
            break;
        }
    }
    // What passes say and do was taken on trust until here.
    check(func, env, "the last pass");
}

fn check(func: &Func, env: &Env, after: &str) -> Cfg {
    verify(func, env).unwrap_or_else(|error| panic!("invalid IR after {after}: {error}\n{func}"))
}

/// Values that others stand for.
struct Renames {
    to: Vec<Option<ValueId>>,
}

impl Renames {
    fn new(func: &Func) -> Renames {
        Renames { to: vec![None; func.values.len()] }
    }

    /// What stands for a value, possibly itself.
    fn get(&mut self, value: ValueId) -> ValueId {
        let mut end = value;
        while let Some(next) = self.to.get(ix(end)).copied().flatten() {
            end = next;
        }
        // The chain is shortened so that it is walked once.
        let mut at = value;
        while at != end {
            at = self.to[ix(at)].replace(end).unwrap_or(end);
        }
        end
    }

    /// Lets `new`, which stands for itself, stand for `old`.
    fn set(&mut self, old: ValueId, new: ValueId) {
        if self.to.len() <= ix(old) {
            self.to.resize(ix(old) + 1, None);
        }
        self.to[ix(old)] = Some(new);
    }

    fn is_empty(&self) -> bool {
        self.to.iter().all(Option::is_none)
    }

    /// Replaces all uses.
    fn apply(&mut self, func: &mut Func) {
        for (_, block) in func.blocks.iter_mut() {
            block.insts.iter_mut().for_each(|i| i.op.each_use_mut(|v| *v = self.get(*v)));
            block.term.each_use_mut(|v| *v = self.get(*v));
        }
    }
}
