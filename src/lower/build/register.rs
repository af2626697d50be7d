//! Arguments and results of functions, read from registers.
//!
//! In: an argument's place. Out: its value, from that member of the context's `struct pt_regs` which the target's architecture passes it in; which architecture that is, is asked of the target.
//! Members are read by probing: the verifier takes no context to which a relocated offset was added, and loaders refuse loads that they cannot patch even where they cannot run.

use super::Program;
use super::func::Join;
use super::kernel::{KernelPtr, Want};
use crate::ir::{Op, ValueId};
use crate::registers::{CONVENTIONS, Convention, Register};
use crate::sema::hir::{
    KEntry, KHop, KLeaf, KParamTy, KPath, KStep, KThen, Prototype, PrototypeKind,
};
use crate::sema::types::IntTy;

/// The struct of the registers.
const REGISTERS: &str = "pt_regs";

impl Program<'_, '_> {
    /// The argument of that index where it is passed, or the result, whose index follows theirs. Where the target's architecture passes it in no register, a poisoned access tells.
    pub(super) fn in_register(&mut self, prototype: &Prototype, index: u32) -> ValueId {
        let place = |convention: &Convention| {
            let is_result = index as usize == prototype.params.len();
            let doubtful = convention.narrow && may_be_long(prototype, index);
            let place = if is_result { Some(convention.result) } else { convention.arg(index) };
            place.filter(|_| !doubtful)
        };
        let places = CONVENTIONS
            .iter()
            .filter_map(|convention| Some((convention.marker, place(convention)?)));
        let places: Vec<(Register, Register)> = places.collect();
        let mut done = Join::new();
        for (i, (marker, register)) in places.iter().enumerate() {
            let mut absent = Join::new();
            if i + 1 < places.len() {
                let marker = self.hop(*marker);
                let questions = self.hop_exists(&marker, &KLeaf::Int(IntTy::U64), Want::Whole);
                self.require_all(questions, &mut absent);
            }
            let value = self.register(*register);
            self.f.jump(&mut done, vec![value]);
            self.f.enter(absent);
        }
        self.f.enter(done)[0]
    }

    fn register(&mut self, register: Register) -> ValueId {
        let ctx = self.f.value(Op::Ctx);
        let base = KernelPtr { value: ctx, known: false, check: false };
        let hop = self.hop(register);
        let path = KPath { span: hop.span, hops: vec![hop], leaf: KLeaf::Int(IntTy::U64) };
        self.path_scalar(&path, base, Want::Whole)
    }

    fn hop(&self, register: Register) -> KHop {
        let mut steps = vec![KStep::Member(register.member().into())];
        if let Register::Element(_, index) = register {
            steps.push(KStep::Index(index));
        }
        let entry = KEntry::Typed;
        KHop { entry, root: REGISTERS.into(), steps, then: KThen::Leaf, span: self.f.span }
    }
}

/// Whether something up to there may be longer than 32 bits on a machine whose `long` has 32: then it takes two registers, and what follows is elsewhere.
fn may_be_long(prototype: &Prototype, index: u32) -> bool {
    let long = |ty: &KParamTy| matches!(ty, KParamTy::Int(int) if int.bits > 32);
    let before = prototype.params.iter().take(index as usize + 1).map(|param| &param.ty);
    match &prototype.kind {
        PrototypeKind::Function(ret) if index as usize == prototype.params.len() => long(ret),
        PrototypeKind::Function(_) | PrototypeKind::Tracepoint => before.into_iter().any(long),
    }
}
