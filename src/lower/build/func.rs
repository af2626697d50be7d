//! Builds one function in SSA form.
//!
//! In: operations, one after the other, and joins, where ways come together again. Out: a [`Func`]. What is known on a way (the values of variables, what
//! was read already) is its [`Env`]; a [`Join`] keeps what all its ways agree on and makes parameters for the variables on which they do not. Control flow is
//! structured, so every way into a block is known when the block is entered, but for the way back in a loop, whose variables are named beforehand.
//!
//! Invariant: a value in an [`Env`] dominates every place where that is the current one.

use crate::ir::{
    BinOp, Block, BlockId, CmpOp, Cond, Func, Helper, Inst, Op, Slot, SlotId, Target, Term, Value,
    ValueId, Width,
};
use crate::sema::hir::{LocalId, MapId, MirrorId};
use crate::source::Span;
use la_arena::Arena;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What a value is remembered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// What a variable holds.
    Local(LocalId),
    /// An argument, by its number in [`super::Program`]'s list.
    Arg(u32),
    /// `bpf_get_current_pid_tgid()`
    PidTgid,
    /// `bpf_get_current_uid_gid()`
    UidGid,
    /// A number.
    Const(u64),
    /// A value cut to so many bits and extended again, as signed or not.
    Ext(ValueId, u8, bool),
    /// A field of a mirror at a pointer; and whether it was read directly.
    Field(ValueId, MirrorId, u32, bool),
    /// The address of the value of a key, which is not null: as long as the map is not changed.
    Entry(MapId, SlotId),
    /// What looking a key up in an array gave: its entries stay where they are.
    Element(MapId, SlotId),
}

/// What is in a slot that is written once: values, where they are and how wide, and zeros between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Contents {
    /// In bytes.
    pub(super) size: u32,
    pub(super) parts: Vec<(u32, Width, ValueId)>,
}

/// How many facts are worth remembering besides variables: a bound on the work at branches.
const MAX_FACTS: usize = 256;

/// What is known on a way through the program.
#[derive(Clone, Debug, Default)]
struct Env {
    values: BTreeMap<Fact, ValueId>,
    /// Slots that hold nothing but this: keys that can be used again.
    keys: BTreeMap<Contents, SlotId>,
}

/// A place where ways come together.
#[derive(Debug, Default)]
pub(super) struct Join {
    edges: Vec<Edge>,
}

/// A way to a join.
#[derive(Debug)]
struct Edge {
    block: BlockId,
    side: Side,
    env: Env,
    values: Vec<ValueId>,
}

/// Which target of a block's end an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Jump,
    Then,
    Otherwise,
}

/// The start of a loop, to which [`FuncBuilder::repeat`] goes back.
#[derive(Debug)]
pub(super) struct Header {
    block: BlockId,
    carried: Vec<LocalId>,
}

impl Join {
    /// One that no way leads to yet.
    pub(super) fn new() -> Join {
        Join::default()
    }

    /// Whether no way leads to it.
    pub(super) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}

/// A function that is being built.
#[derive(Debug)]
pub(super) struct FuncBuilder {
    func: Func,
    /// Where the next instruction goes; nothing where the program cannot get to.
    current: Option<BlockId>,
    env: Env,
    /// The source that instructions come from.
    pub(super) span: Span,
    /// How many instructions the kernel's verifier goes through at least, every round of a loop counted.
    pub(super) work: u64,
    /// What it returns where nothing else is said.
    pub(super) result: u32,
}

impl FuncBuilder {
    /// An empty function.
    pub(super) fn new(name: SmolStr, span: Span) -> FuncBuilder {
        let mut blocks = Arena::new();
        let entry = new_block(&mut blocks, span);
        let func = Func { name, values: Arena::new(), blocks, slots: Arena::new(), entry };
        FuncBuilder { func, current: Some(entry), env: Env::default(), span, work: 0, result: 0 }
    }

    /// The function, which ends here if it gets here.
    pub(super) fn finish(mut self) -> Func {
        self.ret();
        self.func
    }

    /// Whether the program gets here at all.
    pub(super) fn is_live(&self) -> bool {
        self.current.is_some()
    }

    /// A piece of stack.
    pub(super) fn slot(&mut self, size: u32, purpose: impl Into<String>) -> SlotId {
        // Every slot is aligned to 8, so that offsets alone decide how wide an access can be.
        self.func.slots.alloc(Slot { size, align: 8, purpose: purpose.into(), span: self.span })
    }

    /// An operation with a result.
    pub(super) fn value(&mut self, op: Op) -> ValueId {
        let result = self.new_value();
        self.push(Some(result), op);
        result
    }

    /// An operation without a result.
    pub(super) fn effect(&mut self, op: Op) {
        self.push(None, op);
    }

    /// A number.
    pub(super) fn number(&mut self, number: u64) -> ValueId {
        self.remembered(Fact::Const(number), |f| f.value(Op::Const(number)))
    }

    /// Arithmetic.
    pub(super) fn bin(&mut self, op: BinOp, a: ValueId, b: ValueId) -> ValueId {
        self.value(Op::Bin(op, a, b))
    }

    /// Arithmetic with a number.
    pub(super) fn bin_number(&mut self, op: BinOp, a: ValueId, b: u64) -> ValueId {
        let b = self.number(b);
        self.bin(op, a, b)
    }

    /// A comparison with a number.
    pub(super) fn cond_number(&mut self, op: CmpOp, a: ValueId, b: u64) -> Cond {
        Cond { op, a, b: self.number(b) }
    }

    /// A call of a helper.
    pub(super) fn call(&mut self, helper: Helper, args: Vec<ValueId>) -> ValueId {
        debug_assert_eq!(args.len(), helper.arity(), "{}", helper.symbol());
        self.value(Op::Call(helper, args))
    }

    /// What is known under a name, or else what `make` gives, which is remembered.
    pub(super) fn remembered(
        &mut self,
        fact: Fact,
        make: impl FnOnce(&mut FuncBuilder) -> ValueId,
    ) -> ValueId {
        if let Some(value) = self.get(fact) {
            return value;
        }
        let value = make(self);
        self.remember(fact, value);
        value
    }

    /// What is known under a name.
    pub(super) fn get(&self, fact: Fact) -> Option<ValueId> {
        self.env.values.get(&fact).copied()
    }

    /// Remembers a value until the ways that know it end.
    pub(super) fn remember(&mut self, fact: Fact, value: ValueId) {
        if matches!(fact, Fact::Local(_)) || self.env.values.len() < MAX_FACTS {
            self.env.values.insert(fact, value);
        }
    }

    /// Forgets where the entries of a map are, or of all maps.
    pub(super) fn forget_entries(&mut self, changed: Option<MapId>) {
        let stays = |fact: &Fact| match fact {
            Fact::Entry(map, _) => changed.is_some_and(|changed| changed != *map),
            _ => true,
        };
        self.env.values.retain(|fact, _| stays(fact));
    }

    /// A slot that holds this and nothing else.
    pub(super) fn key_slot(&self, key: &Contents) -> Option<SlotId> {
        self.env.keys.get(key).copied()
    }

    /// Whether a slot holds a key and nothing else.
    pub(super) fn is_key(&self, slot: SlotId) -> bool {
        self.env.keys.values().any(|key| *key == slot)
    }

    /// Remembers that a slot, which is never written again, holds this.
    pub(super) fn remember_key(&mut self, key: Contents, slot: SlotId) {
        if self.env.keys.len() < MAX_FACTS {
            self.env.keys.insert(key, slot);
        }
    }

    /// Ends the program with what it returns where nothing else is said.
    pub(super) fn ret(&mut self) {
        if self.is_live() {
            let result = self.number(self.result.into());
            self.ret_value(result);
        }
    }

    /// Ends the program with a value.
    pub(super) fn ret_value(&mut self, value: ValueId) {
        self.end(Term::Return(value));
    }

    /// Goes to a join and hands values over.
    pub(super) fn jump(&mut self, to: &mut Join, values: Vec<ValueId>) {
        let env = self.env.clone();
        if let Some(block) = self.end(Term::Jump(nowhere())) {
            to.edges.push(Edge { block, side: Side::Jump, env, values });
        }
    }

    /// Goes one of two ways.
    pub(super) fn branch(&mut self, cond: Cond, then: &mut Join, otherwise: &mut Join) {
        self.branch_with(cond, then, Vec::new(), otherwise, Vec::new());
    }

    /// Goes one of two ways and hands values over.
    pub(super) fn branch_with(
        &mut self,
        cond: Cond,
        then: &mut Join,
        then_values: Vec<ValueId>,
        otherwise: &mut Join,
        otherwise_values: Vec<ValueId>,
    ) {
        let env = self.env.clone();
        let term = Term::Branch { cond, then: nowhere(), otherwise: nowhere() };
        if let Some(block) = self.end(term) {
            let (then_env, otherwise_env) = (env.clone(), env);
            then.edges.push(Edge { block, side: Side::Then, env: then_env, values: then_values });
            otherwise.edges.push(Edge {
                block,
                side: Side::Otherwise,
                env: otherwise_env,
                values: otherwise_values,
            });
        }
    }

    /// Goes on where the ways of a join come together. Out: the values handed over.
    pub(super) fn enter(&mut self, join: Join) -> Vec<ValueId> {
        let mut edges = join.edges;
        match edges.len() {
            0 => {
                self.current = None;
                Vec::new()
            }
            1 => {
                let edge = edges.remove(0);
                if edge.side == Side::Jump {
                    self.current = Some(edge.block);
                } else {
                    let block = new_block(&mut self.func.blocks, self.span);
                    self.connect(edge.block, edge.side, Target { block, args: Vec::new() });
                    self.current = Some(block);
                }
                self.env = edge.env;
                edge.values
            }
            _ => self.merge(&edges),
        }
    }

    /// Goes on where a loop begins, with parameters for the values and for those variables of `assigned` that are known here.
    pub(super) fn begin_loop(
        &mut self,
        values: &[ValueId],
        assigned: &[LocalId],
    ) -> (Header, Vec<ValueId>) {
        // A later round may come here after the body has changed them.
        self.forget_entries(None);
        let known = |local: &&LocalId| self.get(Fact::Local(**local)).is_some();
        let carried: Vec<LocalId> = assigned.iter().filter(known).copied().collect();
        let mut args = values.to_vec();
        args.extend(carried.iter().filter_map(|local| self.get(Fact::Local(*local))));
        let block = new_block(&mut self.func.blocks, self.span);
        self.end(Term::Jump(Target { block, args }));
        let params: Vec<ValueId> = values.iter().map(|_| self.new_value()).collect();
        self.func.blocks[block].params.clone_from(&params);
        for local in &carried {
            let param = self.new_value();
            self.func.blocks[block].params.push(param);
            self.env.values.insert(Fact::Local(*local), param);
        }
        self.current = Some(block);
        (Header { block, carried }, params)
    }

    /// Goes back to the beginning of a loop.
    pub(super) fn repeat(&mut self, header: &Header, values: Vec<ValueId>) {
        let mut args = values;
        let carried = header.carried.iter().filter_map(|local| self.get(Fact::Local(*local)));
        args.extend(carried);
        self.end(Term::Jump(Target { block: header.block, args }));
    }

    /// A block in which several ways come together.
    fn merge(&mut self, edges: &[Edge]) -> Vec<ValueId> {
        let block = new_block(&mut self.func.blocks, self.span);
        let mut args: Vec<Vec<ValueId>> = edges.iter().map(|_| Vec::new()).collect();
        let mut unite = |builder: &mut FuncBuilder, ways: Vec<ValueId>| {
            if ways.iter().all(|way| *way == ways[0]) {
                return ways[0];
            }
            let param = builder.new_value();
            builder.func.blocks[block].params.push(param);
            args.iter_mut().zip(ways).for_each(|(args, way)| args.push(way));
            param
        };
        let count = edges[0].values.len();
        let values = (0..count)
            .map(|i| unite(self, edges.iter().map(|edge| edge.values[i]).collect()))
            .collect();
        let mut env = Env::default();
        for fact in edges[0].env.values.keys().copied() {
            let ways = edges.iter().map(|edge| edge.env.values.get(&fact).copied());
            let Some(ways) = ways.collect::<Option<Vec<ValueId>>>() else { continue };
            if matches!(fact, Fact::Local(_)) || ways.iter().all(|way| *way == ways[0]) {
                env.values.insert(fact, unite(self, ways));
            }
        }
        env.keys = edges[0].env.keys.clone();
        env.keys.retain(|key, slot| edges.iter().all(|e| e.env.keys.get(key) == Some(slot)));
        for (edge, args) in edges.iter().zip(args) {
            self.connect(edge.block, edge.side, Target { block, args });
        }
        self.current = Some(block);
        self.env = env;
        values
    }

    fn connect(&mut self, from: BlockId, side: Side, to: Target) {
        match (&mut self.func.blocks[from].term, side) {
            (Term::Jump(target), Side::Jump)
            | (Term::Branch { then: target, .. }, Side::Then)
            | (Term::Branch { otherwise: target, .. }, Side::Otherwise) => *target = to,
            (term, side) => unreachable!("an edge {side:?} of {term:?}"),
        }
    }

    fn end(&mut self, term: Term) -> Option<BlockId> {
        let block = self.current.take()?;
        self.func.blocks[block].term = term;
        self.func.blocks[block].term_span = self.span;
        Some(block)
    }

    fn push(&mut self, result: Option<ValueId>, op: Op) {
        if let Some(block) = self.current {
            self.work = self.work.saturating_add(work(&op));
            self.func.blocks[block].insts.push(Inst { result, op, span: self.span });
        }
    }

    fn new_value(&mut self) -> ValueId {
        self.func.values.alloc(Value { span: self.span })
    }
}

/// An empty block, whose end is set when it is left.
fn new_block(blocks: &mut Arena<Block>, span: Span) -> BlockId {
    blocks.alloc(Block {
        params: Vec::new(),
        insts: Vec::new(),
        term: Term::Jump(nowhere()),
        term_span: span,
    })
}

/// A target that is set when the join it belongs to is entered; the first block, which nothing jumps to, stands for it.
fn nowhere() -> Target {
    Target { block: BlockId::from_raw(0.into()), args: Vec::new() }
}

/// The instructions that an operation becomes, whatever is optimised: values that are only computed may vanish.
fn work(op: &Op) -> u64 {
    match op {
        Op::Call(_, args) => 1 + args.len() as u64,
        Op::Store { .. } | Op::AtomicAdd { .. } => 1,
        _ => 0,
    }
}
