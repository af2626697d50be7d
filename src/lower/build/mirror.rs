//! Mirrors: fields with their alternatives, and whole mirrors.
//!
//! In: a field and a pointer. Out: its value by the first alternative that the target has. What the target has is asked by `exists` questions in branches, which the
//! verifier or a relocator prunes. Invariant: an alternative is only run behind the questions for everything it names, except the last of a
//! field that is not optional: where the target lacks that one too, its poisoned access is the error that loaders report.

use super::Program;
use super::func::{Fact, Join};
use super::kernel::{KernelPtr, Text, Want};
use super::memory::Place;
use crate::ir::reloc::CoreReloc;
use crate::ir::{CmpOp, Op, ValueId, Width};
use crate::sema::hir::{
    Alternative, BinOp, Expr, KExpr, KExprKind, KLeaf, KPath, KThen, MirrorField, MirrorId, UnOp,
};
use crate::sema::types::{IntTy, Ty};
use crate::target::Endian;
use smol_str::SmolStr;

impl<'h> Program<'_, 'h> {
    /// The pointer that an expression gives, and how it is read through.
    fn base(&mut self, base: &'h Expr) -> KernelPtr {
        let origin = self.origin(base);
        let value = self.scalar(base);
        KernelPtr { value, known: origin.known, check: origin.nullable }
    }

    fn mirror_field(&self, mirror: MirrorId, field: u32) -> &'h MirrorField {
        &self.hir.mirrors[mirror].fields[field as usize]
    }

    /// A scalar field.
    pub(super) fn field_scalar(&mut self, base: &'h Expr, mirror: MirrorId, index: u32) -> ValueId {
        let base = self.base(base);
        let fact = Fact::Field(base.value, mirror, index, base.known);
        if let Some(value) = self.f.get(fact) {
            return value;
        }
        let value = self.field_value(self.mirror_field(mirror, index), base);
        self.f.remember(fact, value);
        value
    }

    fn field_value(&mut self, field: &'h MirrorField, base: KernelPtr) -> ValueId {
        let values = self.alternatives(
            field,
            |p, alternative| {
                let want = p.wanted(&field.ty);
                let value = p.kexpr(&alternative.value, base, want);
                vec![if want == Want::Truth {
                    p.convert(value, &Ty::U64, &Ty::Bool)
                } else {
                    value
                }]
            },
            |p| vec![p.f.number(0)],
        );
        values[0]
    }

    /// A field that lives in memory, such as text.
    pub(super) fn field_into(
        &mut self,
        base: &'h Expr,
        mirror: MirrorId,
        index: u32,
        to: Place,
        text: Text,
    ) {
        let base = self.base(base);
        self.field_value_into(self.mirror_field(mirror, index), base, to, text);
    }

    fn field_value_into(&mut self, field: &'h MirrorField, base: KernelPtr, to: Place, text: Text) {
        let size = self.size_of(&field.ty);
        self.alternatives(
            field,
            |p, alternative| {
                match &alternative.value.kind {
                    KExprKind::Path(path) => p.path_into(path, base, to, &field.ty, text),
                    KExprKind::Const(_)
                    | KExprKind::Enumerator { .. }
                    | KExprKind::Unary(..)
                    | KExprKind::Binary(..)
                    | KExprKind::Convert(..)
                    | KExprKind::FromNetwork(..) => p.clear(to, size),
                }
                Vec::new()
            },
            |p| {
                p.clear(to, size);
                Vec::new()
            },
        );
    }

    /// Writes the C struct that a whole mirror is.
    pub(super) fn mirror_into(&mut self, base: &'h Expr, mirror: MirrorId, to: Place, text: Text) {
        let base = self.base(base);
        let declaration = &self.hir.mirrors[mirror];
        let (mut null, mut done) = (Join::new(), Join::new());
        if base.check {
            let cond = self.f.cond_number(CmpOp::Eq, base.value, 0);
            let mut valid = Join::new();
            self.f.branch(cond, &mut null, &mut valid);
            self.f.enter(valid);
        }
        let base = KernelPtr { check: false, ..base };
        let mut end = 0;
        for field in &declaration.fields {
            self.clear(to.at(end), field.offset.saturating_sub(end));
            let place = to.at(field.offset);
            let size = self.size_of(&field.ty);
            if field.ty.is_scalar() {
                let value = self.field_value(field, base);
                self.store(place, Width::from_bytes(size).unwrap_or(Width::D), value);
            } else {
                self.field_value_into(field, base, place, text);
            }
            end = field.offset + size;
        }
        self.clear(to.at(end), declaration.size.saturating_sub(end));
        self.f.jump(&mut done, Vec::new());
        if !null.is_empty() {
            self.f.enter(null);
            self.clear(to, declaration.size);
            self.f.jump(&mut done, Vec::new());
        }
        self.f.enter(done);
    }

    /// 1 where the target has a field.
    pub(super) fn has_field(&mut self, mirror: MirrorId, index: u32) -> ValueId {
        let field = self.mirror_field(mirror, index);
        let (one, zero) = (self.f.number(1), self.f.number(0));
        let mut done = Join::new();
        for alternative in &field.alternatives {
            let absent = self.require(alternative, &field.ty);
            self.f.jump(&mut done, vec![one]);
            self.f.enter(absent);
        }
        if self.f.is_live() {
            self.f.jump(&mut done, vec![zero]);
        }
        self.f.enter(done)[0]
    }

    /// Runs the first alternative that the target has. Out: what it gave.
    fn alternatives(
        &mut self,
        field: &'h MirrorField,
        mut read: impl FnMut(&mut Self, &'h Alternative) -> Vec<ValueId>,
        absent: impl FnOnce(&mut Self) -> Vec<ValueId>,
    ) -> Vec<ValueId> {
        let mut done = Join::new();
        for (i, alternative) in field.alternatives.iter().enumerate() {
            let last = i + 1 == field.alternatives.len();
            let other = if last && !field.optional {
                Join::new()
            } else {
                self.require(alternative, &field.ty)
            };
            let values = read(self, alternative);
            self.f.jump(&mut done, values);
            self.f.enter(other);
            if !self.f.is_live() {
                break;
            }
        }
        if self.f.is_live() {
            let values = absent(self);
            self.f.jump(&mut done, values);
        }
        self.f.enter(done)
    }

    /// What an alternative's value is wanted for in a field of that type.
    pub(super) fn wanted(&self, ty: &Ty) -> Want {
        match ty {
            Ty::Bool => Want::Truth,
            Ty::Int(_) | Ty::Enum(_) => Want::As(self.int_of(ty)),
            Ty::Array(element, _) => self.wanted(element),
            Ty::Error
            | Ty::Void
            | Ty::Ptr(_)
            | Ty::Str(_)
            | Ty::Tuple(_)
            | Ty::Struct(_)
            | Ty::Mirror(_) => Want::Whole,
        }
    }

    /// Goes on where an alternative for a field of that type applies. Out: where it does not.
    fn require(&mut self, alternative: &Alternative, ty: &Ty) -> Join {
        let mut absent = Join::new();
        for guard in &alternative.guards {
            let mut questions = Vec::new();
            self.path_questions(&guard.path, Want::Whole, &mut questions);
            if guard.absent {
                let mut missing = Join::new();
                self.require_all(questions, &mut missing);
                self.f.jump(&mut absent, Vec::new());
                self.f.enter(missing);
            } else {
                self.require_all(questions, &mut absent);
            }
        }
        let mut questions = Vec::new();
        self.questions(&alternative.value, self.wanted(ty), &mut questions);
        self.require_all(questions, &mut absent);
        absent
    }

    /// Goes on where of each of these lists an answer is 1, otherwise to `absent`.
    pub(super) fn require_all(&mut self, questions: Vec<Vec<CoreReloc>>, absent: &mut Join) {
        for mut any in questions {
            let Some(last) = any.pop() else { continue };
            let mut present = Join::new();
            for question in any {
                let answer = self.f.value(Op::Core(question));
                let cond = self.f.cond_number(CmpOp::Ne, answer, 0);
                let mut next = Join::new();
                self.f.branch(cond, &mut present, &mut next);
                self.f.enter(next);
            }
            self.require_one(last, absent);
            if !present.is_empty() {
                self.f.jump(&mut present, Vec::new());
                self.f.enter(present);
            }
        }
    }

    /// Goes on where the answer is 1, otherwise to `absent`.
    fn require_one(&mut self, question: CoreReloc, absent: &mut Join) {
        let answer = self.f.value(Op::Core(question));
        let cond = self.f.cond_number(CmpOp::Ne, answer, 0);
        let mut present = Join::new();
        self.f.branch(cond, &mut present, absent);
        self.f.enter(present);
    }

    /// Adds, for everything that an expression names, the questions of which one must be answered with 1.
    fn questions(&mut self, expr: &KExpr, want: Want, list: &mut Vec<Vec<CoreReloc>>) {
        match &expr.kind {
            KExprKind::Const(_) => {}
            KExprKind::Enumerator { enum_name, names } => add(list, exist(enum_name, names)),
            KExprKind::Unary(op, value) => self.questions(value, operand_of(*op), list),
            KExprKind::Convert(_, value) | KExprKind::FromNetwork(_, value) => {
                self.questions(value, Want::Whole, list);
            }
            KExprKind::Binary(op, a, b) => {
                let want = operands_of(*op, b);
                self.questions(a, want, list);
                self.questions(b, want, list);
            }
            KExprKind::Path(path) => self.path_questions(path, want, list),
        }
    }

    fn path_questions(&mut self, path: &KPath, want: Want, list: &mut Vec<Vec<CoreReloc>>) {
        for hop in &path.hops {
            for question in self.hop_exists(hop, &path.leaf, want) {
                add(list, question);
            }
            if let KThen::Element { index, .. } = &hop.then {
                self.questions(index, Want::Whole, list);
            }
        }
    }

    /// The value of an expression over kernel paths, converted to what is wanted.
    pub(super) fn kexpr(&mut self, expr: &KExpr, base: KernelPtr, want: Want) -> ValueId {
        if let KExprKind::Path(path) = &expr.kind {
            return self.path_scalar(path, base, want);
        }
        let from = match &expr.kind {
            KExprKind::Convert(int, _) => Ty::Int(*int),
            _ => Ty::U64,
        };
        let value = self.computed(expr, base);
        self.convert(value, &from, &Ty::Int(want.int()))
    }

    /// The value of an expression that is no path.
    fn computed(&mut self, expr: &KExpr, base: KernelPtr) -> ValueId {
        match &expr.kind {
            KExprKind::Path(path) => self.path_scalar(path, base, Want::Whole),
            KExprKind::Const(number) => self.f.number(*number),
            KExprKind::Enumerator { enum_name, names } => {
                self.enumerator(enum_name, names, false, IntTy::S64)
            }
            KExprKind::FromNetwork(bits, value) => {
                let value = self.kexpr_number(value, base, Want::Whole);
                match self.unit.target.endian {
                    Endian::Little => self.f.value(Op::Bswap { value, bits: *bits }),
                    Endian::Big => {
                        let int = IntTy { bits: *bits, signed: false };
                        self.convert(value, &Ty::U64, &Ty::Int(int))
                    }
                }
            }
            KExprKind::Unary(op, value) => {
                let value = self.kexpr_number(value, base, operand_of(*op));
                self.unary(*op, value)
            }
            KExprKind::Binary(op, a, b) => {
                let want = operands_of(*op, b);
                let a = self.kexpr_number(a, base, want);
                let b = self.kexpr_number(b, base, want);
                self.binary(*op, a, b)
            }
            KExprKind::Convert(int, value) => {
                let value = self.kexpr_number(value, base, Want::Whole);
                self.convert(value, &Ty::U64, &Ty::Int(*int))
            }
        }
    }

    /// The same, and no pointer to the verifier.
    fn kexpr_number(&mut self, expr: &KExpr, base: KernelPtr, want: Want) -> ValueId {
        let value = self.kexpr(expr, base, want);
        let pointer = match &expr.kind {
            KExprKind::Path(path) => matches!(path.leaf, KLeaf::Ptr(_) | KLeaf::Struct(_)),
            _ => false,
        };
        if pointer && (base.known || base.check) { self.launder(value) } else { value }
    }

    /// The target's value of the first of these enumerators that it has; all of them missing, -1 or, if it is not `optional`, a poisoned instruction.
    pub(super) fn enumerator(
        &mut self,
        enum_name: &str,
        names: &[SmolStr],
        optional: bool,
        repr: IntTy,
    ) -> ValueId {
        let mut done = Join::new();
        for (i, name) in names.iter().enumerate() {
            let name = name.clone();
            let enum_name = SmolStr::new(enum_name);
            let mut absent = Join::new();
            if optional || i + 1 < names.len() {
                let (enum_name, name) = (enum_name.clone(), name.clone());
                self.require_one(CoreReloc::EnumExists { enum_name, name }, &mut absent);
            }
            let value = self.f.value(Op::Core(CoreReloc::EnumValue { enum_name, name }));
            let value = self.convert(value, &Ty::U64, &Ty::Int(repr));
            self.f.jump(&mut done, vec![value]);
            self.f.enter(absent);
        }
        if self.f.is_live() {
            let none = self.f.number(u64::MAX);
            let none = self.convert(none, &Ty::U64, &Ty::Int(repr));
            self.f.jump(&mut done, vec![none]);
        }
        self.f.enter(done)[0]
    }
}

fn add(list: &mut Vec<Vec<CoreReloc>>, question: Vec<CoreReloc>) {
    if !list.contains(&question) {
        list.push(question);
    }
}

/// Whether there is one of the enumerators.
fn exist(enum_name: &SmolStr, names: &[SmolStr]) -> Vec<CoreReloc> {
    let question = |name: &SmolStr| {
        let (enum_name, name) = (enum_name.clone(), name.clone());
        CoreReloc::EnumExists { enum_name, name }
    };
    names.iter().map(question).collect()
}

/// What an operator's operand is wanted for.
fn operand_of(op: UnOp) -> Want {
    match op {
        UnOp::LogNot => Want::Truth,
        UnOp::Neg | UnOp::Not => Want::Whole,
    }
}

/// What the operands of an operator are wanted for.
fn operands_of(op: BinOp, right: &KExpr) -> Want {
    match (op, &right.kind) {
        (BinOp::Eq | BinOp::Ne, KExprKind::Const(0)) => Want::Truth,
        _ => Want::Whole,
    }
}
