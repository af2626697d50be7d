//! The verifier: what every pass may rely on and has to keep.
//!
//! - The entry has no parameters, and nothing jumps to it.
//! - Every id is in range: blocks, values, slots, accesses, callbacks, bytes of `.rodata`.
//! - A value is defined once. Every use is dominated by its definition.
//! - A jump passes as many arguments as its block has parameters.
//! - An operation that gives a value has a result; one that gives none has none. A call may do without.
//! - A call has the number of arguments of its helper, at most five.
//! - An address of a slot is inside it, or just behind; an access through it is inside. A slot's alignment is 1, 2, 4 or 8.
//! - `Ext` keeps 8, 16 or 32 bits, `Bswap` swaps 16, 32 or 64, `AtomicAdd` adds 4 or 8 bytes. A `Load` of 8 bytes is not signed.
//! - Only the stack and shared memory are written.
//!
//! Blocks that nothing reaches are not looked at. The cost is linear but for dominators.

use super::cfg::{Cfg, Dominators, ix};
use super::reloc::{AccessId, CoreReloc};
use super::{BlockId, Func, Inst, Module, Off, Op, Space, Target, ValueId, Width};
use thiserror::Error;

/// What functions of a module may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// How many accesses there are.
    pub accesses: usize,
    /// How many arguments there are.
    pub args: usize,
    /// How many callbacks there are.
    pub callbacks: usize,
    /// How many bytes of `.rodata` there are.
    pub rodata: usize,
}

impl From<&Module> for Env {
    fn from(module: &Module) -> Env {
        Env {
            accesses: module.accesses.iter().count(),
            args: module.args.len(),
            callbacks: module.callbacks.len(),
            rodata: module.rodata.bytes.len(),
        }
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{func}, block b{block}: {what}")]
pub struct VerifyError {
    /// The function.
    pub func: String,
    /// The number of the block.
    pub block: u32,
    /// What is wrong.
    pub what: String,
}

/// Checks every function of a module.
pub fn verify_module(module: &Module) -> Result<(), VerifyError> {
    let env = Env::from(module);
    let others = module.others.iter().map(|(_, func)| func);
    module
        .funcs
        .iter()
        .chain(others)
        .chain(&module.callbacks)
        .try_for_each(|func| verify(func, &env).map(drop))
}

/// Checks a function, and gives its graph, which had to be made for that.
pub fn verify(func: &Func, env: &Env) -> Result<Cfg, VerifyError> {
    let error = |block: BlockId, what| VerifyError {
        func: func.name.to_string(),
        block: block.into_raw().into_u32(),
        what,
    };
    // Ids of blocks come before all else, since the graph is made from them.
    if ix(func.entry) >= func.blocks.len() {
        return Err(error(func.entry, "the entry does not exist".into()));
    }
    for (id, block) in func.blocks.iter() {
        if let Some(bad) = block.term.successors().find(|b| ix(*b) >= func.blocks.len()) {
            return Err(error(id, format!("it goes to b{}, which does not exist", bad.into_raw())));
        }
    }
    let cfg = Cfg::new(func);
    let dominators = Dominators::new(&cfg);
    let defs = vec![None; func.values.len()];
    let mut verifier = Verifier { func, env, cfg: &cfg, dominators, defs };
    for id in &cfg.order {
        verifier.definitions(*id).map_err(|what| error(*id, what))?;
    }
    for id in &cfg.order {
        verifier.block(*id).map_err(|what| error(*id, what))?;
    }
    Ok(cfg)
}

struct Verifier<'a> {
    func: &'a Func,
    env: &'a Env,
    cfg: &'a Cfg,
    dominators: Dominators<'a>,
    /// By value: its block, and its place there; parameters are at 0, instructions from 1.
    defs: Vec<Option<(BlockId, u32)>>,
}

type Check = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

impl Verifier<'_> {
    fn definitions(&mut self, id: BlockId) -> Check {
        let block = &self.func.blocks[id];
        let params = block.params.iter().map(|v| (*v, 0));
        let results = (1..).zip(&block.insts).filter_map(|(i, inst)| Some((inst.result?, i)));
        for (value, at) in params.chain(results) {
            let def = self.defs.get_mut(ix(value)).ok_or("a value does not exist")?;
            let old = def.replace((id, at));
            ensure(old.is_none(), || format!("v{} is defined twice", value.into_raw()))?;
        }
        Ok(())
    }

    fn block(&self, id: BlockId) -> Check {
        let block = &self.func.blocks[id];
        if id == self.func.entry {
            ensure(block.params.is_empty(), || "the entry has parameters".into())?;
            ensure(self.cfg.preds(id).is_empty(), || "something jumps to the entry".into())?;
        }
        for (at, inst) in (1..).zip(&block.insts) {
            let mut uses = Ok(());
            inst.op.each_use(|v| {
                if uses.is_ok() {
                    uses = self.dominated(v, id, at);
                }
            });
            uses.and_then(|()| self.inst(inst)).map_err(|e| format!("{:?}: {e}", inst.op))?;
        }
        let mut uses = Ok(());
        block.term.each_use(|v| {
            if uses.is_ok() {
                uses = self.dominated(v, id, u32::MAX);
            }
        });
        uses?;
        block.term.targets().try_for_each(|t| self.target(t))
    }

    fn dominated(&self, value: ValueId, block: BlockId, at: u32) -> Check {
        let def = self.defs.get(ix(value)).copied().flatten();
        let (def_block, def_at) =
            def.ok_or_else(|| format!("v{} is not defined", value.into_raw()))?;
        let holds = if def_block == block {
            def_at < at
        } else {
            self.dominators.dominates(def_block, block)
        };
        ensure(holds, || format!("v{} is used where it is not defined", value.into_raw()))
    }

    fn target(&self, target: &Target) -> Check {
        let wants = self.func.blocks[target.block].params.len();
        ensure(target.args.len() == wants, || {
            let block = target.block.into_raw();
            format!("b{block} takes {wants} arguments, not {}", target.args.len())
        })
    }

    fn inst(&self, inst: &Inst) -> Check {
        let gives = !matches!(inst.op, Op::Store { .. } | Op::AtomicAdd { .. });
        let optional = matches!(inst.op, Op::Call(..));
        ensure(optional || gives == inst.result.is_some(), || "a result too many or few".into())?;
        match &inst.op {
            Op::Core(CoreReloc::Field(access, _)) => self.access(*access),
            Op::SlotAddr(slot, at) => {
                ensure(ix(*slot) < self.func.slots.len(), || "the slot does not exist".into())?;
                let slot = &self.func.slots[*slot];
                ensure(matches!(slot.align, 1 | 2 | 4 | 8), || "the slot's alignment".into())?;
                ensure(*at <= slot.size, || "it is outside of the slot".into())
            }
            Op::Rodata(at) => {
                ensure(*at as usize <= self.env.rodata, || "it is outside of .rodata".into())
            }
            Op::Callback(index) => ensure((*index as usize) < self.env.callbacks, || {
                "the callback does not exist".into()
            }),
            Op::Ext { bits, .. } => {
                ensure(matches!(bits, 8 | 16 | 32), || "the number of bits".into())
            }
            Op::Bswap { bits, .. } => {
                ensure(matches!(bits, 16 | 32 | 64), || "the number of bits".into())
            }
            Op::Load { width, signed, addr, off, .. } => {
                ensure(!(*signed && *width == Width::D), || "8 bytes are not extended".into())?;
                match off {
                    Off::Core(access) => self.access(*access),
                    Off::Bytes(off) => self.in_slot(*addr, *off, *width),
                    Off::Arg(id, _) => ensure((id.0 as usize) < self.env.args, || {
                        "the argument does not exist".into()
                    }),
                }
            }
            Op::Store { width, addr, off, space, .. } => {
                let writable = matches!(space, Space::Stack | Space::Shared);
                ensure(writable, || "this memory is read-only".into())?;
                self.in_slot(*addr, *off, *width)
            }
            Op::AtomicAdd { width, addr, off, .. } => {
                ensure(matches!(width, Width::W | Width::D), || "the width".into())?;
                self.in_slot(*addr, *off, *width)
            }
            Op::Call(helper, args) => {
                ensure(args.len() == helper.arity() && args.len() <= 5, || {
                    format!("{} takes {} arguments", helper.symbol(), helper.arity())
                })
            }
            Op::Const(_)
            | Op::Core(_)
            | Op::Ctx
            | Op::MapAddr(_)
            | Op::Bin(..)
            | Op::Neg(_)
            | Op::Cmp(_) => Ok(()),
        }
    }

    fn access(&self, id: AccessId) -> Check {
        ensure((id.0 as usize) < self.env.accesses, || "the access does not exist".into())
    }

    /// An access right at the address of a slot stays inside it.
    fn in_slot(&self, addr: ValueId, off: i16, width: Width) -> Check {
        let Some((block, at @ 1..)) = self.defs[ix(addr)] else { return Ok(()) };
        let Op::SlotAddr(slot, start) = self.func.blocks[block].insts[at as usize - 1].op else {
            return Ok(());
        };
        let start = i64::from(start) + i64::from(off);
        let end = start + i64::from(width.bytes());
        let size = self.func.slots.iter().nth(ix(slot)).map_or(0, |(_, s)| i64::from(s.size));
        ensure(0 <= start && end <= size, || "the access leaves the slot".into())
    }
}
