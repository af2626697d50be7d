//! Copy propagation: a parameter that every jump gives the same value is that value.

use super::Renames;
use crate::ir::cfg::Cfg;
use crate::ir::{Func, ValueId};

pub(super) fn run(func: &mut Func, cfg: &Cfg) -> bool {
    let mut renames = Renames::new(func);
    let mut changed = true;
    while changed {
        changed = false;
        for block in &cfg.order {
            for (i, param) in func.blocks[*block].params.iter().enumerate() {
                if renames.get(*param) == *param
                    && let Some(value) = same(func, cfg, *block, i, *param, &mut renames)
                {
                    renames.set(*param, value);
                    changed = true;
                }
            }
        }
    }
    let found = !renames.is_empty();
    if found {
        // The parameters stay behind without uses, for dead code removal.
        renames.apply(func);
    }
    found
}

/// The one value other than itself that a parameter gets. It dominates the block, since all ways to the block come through its definition.
fn same(
    func: &Func,
    cfg: &Cfg,
    block: crate::ir::BlockId,
    index: usize,
    param: ValueId,
    renames: &mut Renames,
) -> Option<ValueId> {
    let mut found = None;
    for pred in cfg.preds(block) {
        for target in func.blocks[*pred].term.targets().filter(|t| t.block == block) {
            let arg = renames.get(target.args[index]);
            if arg != param && found.is_some_and(|f| f != arg) {
                return None;
            }
            if arg != param {
                found = Some(arg);
            }
        }
    }
    found
}
