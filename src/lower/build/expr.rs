//! Scalar expressions and conditions.
//!
//! In: an expression of the HIR. Out: a value, extended to 64 bits from its type; or, of a condition, the two ways on from it.

use super::func::{Fact, Join};
use super::memory::Place;
use super::{Program, layout};
use crate::ir::reloc::{ArgId, ArgRead, CoreReloc};
use crate::ir::{BinOp, CmpOp, Cond, Helper, Op, Space, ValueId, Width};
use crate::ir::{MapTarget, Off};
use crate::sema::hir;
use crate::sema::hir::{
    Arg, ArgPlace, Builtin, EnumId, EnumeratorValue, Expr, ExprKind, LocalId, MapId, MapKind, UnOp,
};
use crate::sema::types::{IntTy, Ty};

/// What an operator of the HIR is in the IR.
enum Operator {
    Arithmetic(BinOp),
    Comparison(CmpOp),
}

fn operator(op: hir::BinOp) -> Operator {
    use Operator::{Arithmetic, Comparison};
    match op {
        hir::BinOp::Add => Arithmetic(BinOp::Add),
        hir::BinOp::Sub => Arithmetic(BinOp::Sub),
        hir::BinOp::Mul => Arithmetic(BinOp::Mul),
        hir::BinOp::DivU => Arithmetic(BinOp::DivU),
        hir::BinOp::DivS => Arithmetic(BinOp::DivS),
        hir::BinOp::RemU => Arithmetic(BinOp::RemU),
        hir::BinOp::RemS => Arithmetic(BinOp::RemS),
        hir::BinOp::Shl => Arithmetic(BinOp::Shl),
        hir::BinOp::ShrU => Arithmetic(BinOp::ShrU),
        hir::BinOp::ShrS => Arithmetic(BinOp::ShrS),
        hir::BinOp::And => Arithmetic(BinOp::And),
        hir::BinOp::Or => Arithmetic(BinOp::Or),
        hir::BinOp::Xor => Arithmetic(BinOp::Xor),
        hir::BinOp::Eq => Comparison(CmpOp::Eq),
        hir::BinOp::Ne => Comparison(CmpOp::Ne),
        hir::BinOp::LtU => Comparison(CmpOp::LtU),
        hir::BinOp::LeU => Comparison(CmpOp::LeU),
        hir::BinOp::LtS => Comparison(CmpOp::LtS),
        hir::BinOp::LeS => Comparison(CmpOp::LeS),
    }
}

/// A struct that every kernel has, with one pointer in it.
const ONE_POINTER: &str = "hlist_head";

impl<'h> Program<'_, 'h> {
    /// The value of a scalar expression.
    pub(super) fn scalar(&mut self, expr: &'h Expr) -> ValueId {
        let outer = std::mem::replace(&mut self.f.span, expr.span);
        let value = self.scalar_kind(expr);
        self.f.span = outer;
        value
    }

    fn scalar_kind(&mut self, expr: &'h Expr) -> ValueId {
        match &expr.kind {
            ExprKind::Int(number) => self.f.number(*number),
            ExprKind::Enumerator(id, index) => self.enumerator_of(*id, *index),
            ExprKind::Param(id) => {
                let place = Place::rodata(self.unit.params[id]);
                self.load_int(place, self.int_of(&expr.ty))
            }
            ExprKind::Local(local) => self.local(*local),
            ExprKind::Arg(arg) => self.arg(arg, &expr.ty),
            ExprKind::Builtin(builtin) => self.builtin(*builtin),
            ExprKind::Skb(field, read) => self.skb(field, *read),
            ExprKind::Packet { offset, width } => self.packet(offset, *width),
            ExprKind::Field { base, mirror, field } => self.field_scalar(base, *mirror, *field),
            ExprKind::HasField { mirror, field } => self.has_field(*mirror, *field),
            ExprKind::Member(..) | ExprKind::Index(..) | ExprKind::MapGet(_) => {
                self.scalar_in_memory(expr)
            }
            ExprKind::Unary(op, value) => {
                let value = self.scalar(value);
                self.unary(*op, value)
            }
            ExprKind::Binary(op, left, right) => {
                let left = self.scalar(left);
                let right = self.scalar(right);
                self.binary(*op, left, right)
            }
            ExprKind::MemEq { .. }
            | ExprKind::LogAnd(..)
            | ExprKind::LogOr(..)
            | ExprKind::HasKey(_) => self.truth(expr),
            ExprKind::Cond(cond, then, otherwise) => {
                let (mut yes, mut no, mut done) = (Join::new(), Join::new(), Join::new());
                self.cond(cond, &mut yes, &mut no);
                for (way, value) in [(yes, then), (no, otherwise)] {
                    self.f.enter(way);
                    if self.f.is_live() {
                        let value = self.scalar(value);
                        self.f.jump(&mut done, vec![value]);
                    }
                }
                self.f.enter(done)[0]
            }
            ExprKind::Convert(value) => self.conversion(value, &expr.ty),
            ExprKind::Len(map) => self.len(*map),
            ExprKind::MapStep { entry, delta, postfix } => self.map_step(entry, *delta, *postfix),
            ExprKind::LocalStep { local, delta, postfix } => {
                self.local_step(*local, *delta, *postfix)
            }
            ExprKind::Fetch { addr, width } => {
                let addr = self.scalar(addr);
                let scratch = self.scratch();
                self.probe(scratch, width.size(), addr);
                self.load_int(scratch, *width)
            }
            // No scalars; `analyze` leaves none of them here.
            ExprKind::Error
            | ExprKind::Str(_)
            | ExprKind::Load { .. }
            | ExprKind::ReadStr { .. }
            | ExprKind::Aggregate(_) => self.f.number(0),
        }
    }

    /// Goes to `yes` if the condition is not 0, otherwise to `no`.
    pub(super) fn cond(&mut self, expr: &'h Expr, yes: &mut Join, no: &mut Join) {
        let outer = std::mem::replace(&mut self.f.span, expr.span);
        match &expr.kind {
            ExprKind::LogAnd(left, right) => {
                let mut both = Join::new();
                self.cond(left, &mut both, no);
                self.f.enter(both);
                if self.f.is_live() {
                    self.cond(right, yes, no);
                }
            }
            ExprKind::LogOr(left, right) => {
                let mut neither = Join::new();
                self.cond(left, yes, &mut neither);
                self.f.enter(neither);
                if self.f.is_live() {
                    self.cond(right, yes, no);
                }
            }
            ExprKind::Unary(UnOp::LogNot, value) => self.cond(value, no, yes),
            ExprKind::Int(0) => self.f.jump(no, Vec::new()),
            ExprKind::Int(_) => self.f.jump(yes, Vec::new()),
            ExprKind::MemEq { left, right, negate } => {
                let (equal, differ) = if *negate { (no, yes) } else { (yes, no) };
                self.mem_eq(left, right, differ);
                self.f.jump(equal, Vec::new());
            }
            ExprKind::HasKey(entry) => {
                self.present(entry, no);
                self.f.jump(yes, Vec::new());
            }
            ExprKind::MapGet(entry) => {
                let place = self.present(entry, no);
                let value = self.load_int(place, self.int_of(&layout::stored(&expr.ty)));
                let cond = self.f.cond_number(CmpOp::Ne, value, 0);
                self.f.branch(cond, yes, no);
            }
            ExprKind::Binary(op, left, right) => match operator(*op) {
                Operator::Comparison(op) => {
                    let a = self.scalar(left);
                    let b = self.scalar(right);
                    self.f.branch(Cond { op, a, b }, yes, no);
                }
                Operator::Arithmetic(BinOp::And) => {
                    let a = self.scalar(left);
                    let b = self.scalar(right);
                    self.f.branch(Cond { op: CmpOp::Test, a, b }, yes, no);
                }
                Operator::Arithmetic(_) => self.cond_value(expr, yes, no),
            },
            _ => self.cond_value(expr, yes, no),
        }
        self.f.span = outer;
    }

    fn cond_value(&mut self, expr: &'h Expr, yes: &mut Join, no: &mut Join) {
        let value = self.scalar(expr);
        let cond = self.f.cond_number(CmpOp::Ne, value, 0);
        self.f.branch(cond, yes, no);
    }

    /// A condition as 1 or 0.
    fn truth(&mut self, expr: &'h Expr) -> ValueId {
        let (one, zero) = (self.f.number(1), self.f.number(0));
        let (mut yes, mut no, mut done) = (Join::new(), Join::new(), Join::new());
        self.cond(expr, &mut yes, &mut no);
        for (way, value) in [(yes, one), (no, zero)] {
            self.f.enter(way);
            self.f.jump(&mut done, vec![value]);
        }
        self.f.enter(done)[0]
    }

    /// An operator on one value.
    pub(super) fn unary(&mut self, op: UnOp, value: ValueId) -> ValueId {
        match op {
            UnOp::Neg => self.f.value(Op::Neg(value)),
            UnOp::Not => self.f.bin_number(BinOp::Xor, value, u64::MAX),
            UnOp::LogNot => {
                let cond = self.f.cond_number(CmpOp::Eq, value, 0);
                self.f.value(Op::Cmp(cond))
            }
        }
    }

    /// An operator on two values.
    pub(super) fn binary(&mut self, op: hir::BinOp, a: ValueId, b: ValueId) -> ValueId {
        match operator(op) {
            Operator::Arithmetic(op) => self.f.bin(op, a, b),
            Operator::Comparison(op) => self.f.value(Op::Cmp(Cond { op, a, b })),
        }
    }

    fn conversion(&mut self, value: &'h Expr, to: &Ty) -> ValueId {
        let pointer = self.origin(value).pointer && !matches!(to, Ty::Ptr(_));
        let from = &value.ty;
        let value = self.scalar(value);
        let value = if pointer { self.launder(value) } else { value };
        self.convert(value, from, to)
    }

    /// A value extended from one type, cut to another and extended again.
    pub(super) fn convert(&mut self, value: ValueId, from: &Ty, to: &Ty) -> ValueId {
        if *to == Ty::Bool {
            if *from == Ty::Bool {
                return value;
            }
            let cond = self.f.cond_number(CmpOp::Ne, value, 0);
            return self.f.value(Op::Cmp(cond));
        }
        let (from, to) = (self.int_of(from), self.int_of(to));
        let wider = from.bits < to.bits && (to.signed || !from.signed);
        if from == to || wider || to.bits == 64 {
            return value;
        }
        self.extended(value, to)
    }

    /// The low bits of a value, extended.
    pub(super) fn extended(&mut self, value: ValueId, IntTy { bits, signed }: IntTy) -> ValueId {
        let op = Op::Ext { value, bits, signed };
        self.f.remembered(Fact::Ext(value, bits, signed), |f| f.value(op))
    }

    fn enumerator_of(&mut self, id: EnumId, index: u32) -> ValueId {
        let declaration = &self.hir.enums[id];
        match &declaration.enumerators[index as usize].value {
            EnumeratorValue::Const(number) => self.f.number(*number),
            EnumeratorValue::Kernel { names, optional } => {
                let enum_name = declaration.kernel.as_ref().unwrap_or(&declaration.name);
                self.enumerator(enum_name, names, *optional, declaration.repr)
            }
        }
    }

    /// What a variable holds.
    pub(super) fn local(&mut self, local: LocalId) -> ValueId {
        self.f.get(Fact::Local(local)).expect("a variable is assigned before it is read")
    }

    fn local_step(&mut self, local: LocalId, delta: i8, postfix: bool) -> ValueId {
        let old = self.local(local);
        let new = self.f.bin_number(BinOp::Add, old, i64::from(delta).cast_unsigned());
        let new = self.convert(new, &Ty::U64, &self.source.locals[local].ty);
        self.f.remember(Fact::Local(local), new);
        if postfix { old } else { new }
    }

    /// An argument, read once where it is first used.
    fn arg(&mut self, arg: &'h Arg, ty: &Ty) -> ValueId {
        let number = self.args.iter().position(|known| *known == arg).unwrap_or_else(|| {
            self.args.push(arg);
            self.args.len() - 1
        });
        let fact = Fact::Arg(u32::try_from(number).expect("few arguments"));
        if let Some(value) = self.f.get(fact) {
            return value;
        }
        let form = self.form.clone();
        let places: Vec<&ArgPlace> = form.iter().flat_map(|form| form.places(arg)).collect();
        let read = self.unit.args.intern(ArgRead::of(self.hir, arg, ty));
        let mut done = Join::new();
        for (i, place) in places.iter().enumerate() {
            let other =
                if i + 1 < places.len() { self.require_prototype(place) } else { Join::new() };
            let value = self.arg_at(place, read, ty);
            self.f.jump(&mut done, vec![value]);
            self.f.enter(other);
        }
        let value = if places.is_empty() { self.f.number(0) } else { self.f.enter(done)[0] };
        self.f.remember(fact, value);
        value
    }

    /// Goes on where the event's prototype is one of a place's. Out: where it is another one.
    fn require_prototype(&mut self, place: &ArgPlace) -> Join {
        let mut this = Join::new();
        for prototype in &place.prototypes {
            let answer = self.f.value(Op::Core(CoreReloc::Prototype(*prototype)));
            let cond = self.f.cond_number(CmpOp::Ne, answer, 0);
            let mut other = Join::new();
            self.f.branch(cond, &mut this, &mut other);
            self.f.enter(other);
        }
        let mut absent = Join::new();
        self.f.jump(&mut absent, Vec::new());
        self.f.enter(this);
        absent
    }

    fn arg_at(&mut self, place: &ArgPlace, read: ArgId, ty: &Ty) -> ValueId {
        // An event has at most twelve arguments (v6.12 include/linux/bpf.h: `MAX_BPF_FUNC_ARGS`), and an offset in an instruction 16 bits.
        let index = place.index.and_then(|index| u16::try_from(index).ok());
        let Some(index) = index.filter(|index| *index < 4096) else { return self.f.number(0) };
        let hir = self.hir;
        let function = place.prototypes.first().filter(|_| place.event.kind.is_function());
        let value = match function {
            Some(prototype) if place.event.kind.is_probe() => {
                self.in_register(&hir.prototypes[*prototype], index.into())
            }
            _ => {
                let addr = self.f.value(Op::Ctx);
                let (off, space) = (Off::Arg(read, index), Space::Ctx);
                self.f.value(Op::Load { width: Width::D, signed: false, addr, off, space })
            }
        };
        if *ty == Ty::Bool {
            // A function is passed one byte, and what is beyond it in the register is not promised.
            let value = if function.is_some() { self.extended(value, IntTy::U8) } else { value };
            return self.convert(value, &Ty::U64, ty);
        }
        // The upper bits of a narrow argument are not promised.
        let int = self.int_of(ty);
        if int.bits == 64 {
            let long = self.unit.args.get(read).long;
            return if long { self.long(value) } else { value };
        }
        self.extended(value, int)
    }

    /// A signed `long` that the kernel handed over without its sign where it has 32 bits (`CAST_TO_U64` of v6.12 `include/trace/bpf_probe.h`; registers have no more there). How many it has is told by
    /// a struct of one pointer.
    fn long(&mut self, value: ValueId) -> ValueId {
        let size = self.f.value(Op::Core(CoreReloc::StructSize(ONE_POINTER.into())));
        let cond = self.f.cond_number(CmpOp::Eq, size, 4);
        let (mut short, mut whole, mut done) = (Join::new(), Join::new(), Join::new());
        self.f.branch(cond, &mut short, &mut whole);
        self.f.enter(short);
        let extended = self.f.value(Op::Ext { value, bits: 32, signed: true });
        self.f.jump(&mut done, vec![extended]);
        self.f.enter(whole);
        self.f.jump(&mut done, vec![value]);
        self.f.enter(done)[0]
    }

    fn builtin(&mut self, builtin: Builtin) -> ValueId {
        match builtin {
            Builtin::Pid => self.pair(Fact::PidTgid, Helper::GetCurrentPidTgid, true),
            Builtin::Tid => self.pair(Fact::PidTgid, Helper::GetCurrentPidTgid, false),
            Builtin::Uid => self.pair(Fact::UidGid, Helper::GetCurrentUidGid, false),
            Builtin::Gid => self.pair(Fact::UidGid, Helper::GetCurrentUidGid, true),
            Builtin::Nsecs => self.f.call(Helper::KtimeGetBootNs, Vec::new()),
            Builtin::Elapsed => {
                let now = self.f.call(Helper::KtimeGetBootNs, Vec::new());
                let place = Place::rodata(self.unit.start_ns());
                let start = self.load(place, Width::D);
                self.f.bin(BinOp::Sub, now, start)
            }
            Builtin::Cpu => self.f.call(Helper::GetSmpProcessorId, Vec::new()),
            Builtin::Curtask => self.f.call(Helper::GetCurrentTask, Vec::new()),
            Builtin::Cgroup => self.f.call(Helper::GetCurrentCgroupId, Vec::new()),
            Builtin::Rand => self.f.call(Helper::GetPrandomU32, Vec::new()),
            // Text, which lives in memory.
            Builtin::Comm => self.f.number(0),
        }
    }

    /// One half of what a helper gives in two, which stays the same while the program runs.
    fn pair(&mut self, fact: Fact, helper: Helper, upper: bool) -> ValueId {
        let both = self.f.remembered(fact, |f| f.call(helper, Vec::new()));
        if upper {
            self.f.bin_number(BinOp::ShrU, both, 32)
        } else {
            self.extended(both, IntTy::U32)
        }
    }

    fn len(&mut self, map: MapId) -> ValueId {
        match self.hir.maps[map].kind {
            MapKind::Array | MapKind::PerCpuArray => {
                self.f.number(u64::from(self.hir.maps[map].max_entries))
            }
            MapKind::Hash | MapKind::LruHash | MapKind::PerCpuHash => {
                let counter = self.unit.counter(self.f.span);
                let map = self.f.value(Op::MapAddr(MapTarget::Map(map)));
                let callback = self.f.value(Op::Callback(counter));
                let (null, flags) = (self.f.number(0), self.f.number(0));
                self.f.call(Helper::ForEachMapElem, vec![map, callback, null, flags])
            }
        }
    }
}
