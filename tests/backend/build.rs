//! A builder of IR functions for tests.

use smol_str::SmolStr;
use ubpfc::ir::reloc::{Access, Accesses, Args, LocalTy};
use ubpfc::ir::{
    BinOp, Block, BlockId, CmpOp, Cond, Func, Helper, Inst, Module, Off, Op, Rodata, Slot, SlotId,
    Space, Target, Term, Value, ValueId, Width,
};
use ubpfc::sema::hir::KStep;
use ubpfc::sema::types::IntTy;
use ubpfc::source::{Origin, Sources, Span};

/// A function that is being built; instructions go to `at`.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) func: Func,
    pub(crate) at: BlockId,
    pub(crate) span: Span,
}

/// Some span.
pub(crate) fn span() -> Span {
    let file = Sources::new().add("test.ub", "user:x { }", Origin::User);
    Span::new(file, 0, 6)
}

impl Build {
    pub(crate) fn new() -> Build {
        let span = span();
        let mut func = Func {
            name: SmolStr::new("f"),
            values: la_arena::Arena::new(),
            blocks: la_arena::Arena::new(),
            slots: la_arena::Arena::new(),
            entry: BlockId::from_raw(la_arena::RawIdx::from_u32(0)),
        };
        let zero = ValueId::from_raw(la_arena::RawIdx::from_u32(0));
        let block = || Block {
            params: Vec::new(),
            insts: Vec::new(),
            term: Term::Return(zero),
            term_span: span,
        };
        func.entry = func.blocks.alloc(block());
        let at = func.entry;
        Build { func, at, span }
    }

    pub(crate) fn block(&mut self, params: usize) -> (BlockId, Vec<ValueId>) {
        let span = self.span;
        let params: Vec<ValueId> =
            (0..params).map(|_| self.func.values.alloc(Value { span })).collect();
        let zero = ValueId::from_raw(la_arena::RawIdx::from_u32(0));
        let id = self.func.blocks.alloc(Block {
            params: params.clone(),
            insts: Vec::new(),
            term: Term::Return(zero),
            term_span: span,
        });
        (id, params)
    }

    pub(crate) fn slot(&mut self, size: u32, align: u32, purpose: &str) -> SlotId {
        let purpose = purpose.to_string();
        self.func.slots.alloc(Slot { size, align, purpose, span: self.span })
    }

    pub(crate) fn op(&mut self, op: Op) -> ValueId {
        let value = self.func.values.alloc(Value { span: self.span });
        let inst = Inst { result: Some(value), op, span: self.span };
        self.func.blocks[self.at].insts.push(inst);
        value
    }

    pub(crate) fn effect(&mut self, op: Op) {
        let inst = Inst { result: None, op, span: self.span };
        self.func.blocks[self.at].insts.push(inst);
    }

    pub(crate) fn number(&mut self, number: u64) -> ValueId {
        self.op(Op::Const(number))
    }

    pub(crate) fn bin(&mut self, op: BinOp, a: ValueId, b: ValueId) -> ValueId {
        self.op(Op::Bin(op, a, b))
    }

    pub(crate) fn call(&mut self, helper: Helper, args: &[ValueId]) -> ValueId {
        self.op(Op::Call(helper, args.to_vec()))
    }

    pub(crate) fn load(
        &mut self,
        width: Width,
        signed: bool,
        space: Space,
        addr: ValueId,
        off: i16,
    ) -> ValueId {
        self.op(Op::Load { width, signed, addr, off: Off::Bytes(off), space })
    }

    pub(crate) fn store(
        &mut self,
        width: Width,
        space: Space,
        addr: ValueId,
        off: i16,
        value: ValueId,
    ) {
        self.effect(Op::Store { width, addr, off, value, space });
    }

    pub(crate) fn end(&mut self, term: Term) {
        self.func.blocks[self.at].term = term;
    }

    pub(crate) fn jump(&mut self, block: BlockId, args: &[ValueId]) {
        self.end(Term::Jump(Target { block, args: args.to_vec() }));
    }

    pub(crate) fn branch(
        &mut self,
        op: CmpOp,
        a: ValueId,
        b: ValueId,
        then: BlockId,
        other: BlockId,
    ) {
        let then = Target { block: then, args: Vec::new() };
        let otherwise = Target { block: other, args: Vec::new() };
        self.end(Term::Branch { cond: Cond { op, a, b }, then, otherwise });
    }

    pub(crate) fn ret(&mut self, value: ValueId) {
        self.end(Term::Return(value));
    }

    pub(crate) fn module(self) -> Module {
        Module {
            funcs: vec![self.func],
            others: Vec::new(),
            callbacks: Vec::new(),
            accesses: accesses(),
            args: Args::default(),
            rodata: Rodata::default(),
        }
    }
}

/// Two fields of a struct: ids 0 and 1.
pub(crate) fn accesses() -> Accesses {
    let mut accesses = Accesses::default();
    for name in ["pid", "prio"] {
        accesses.intern(Access {
            root: SmolStr::new("task_struct"),
            steps: vec![KStep::Member(SmolStr::new(name))],
            leaf: LocalTy::Int(IntTy::S32),
        });
    }
    accesses
}
