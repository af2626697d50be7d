//! Values that live in memory: strings, arrays, tuples, structs, whole mirrors.
//!
//! In: an expression and where its value is to be. Out: code that writes all of its bytes there, padding too. Where a value already is somewhere it is read in place.

use super::Program;
use super::func::Join;
use super::kernel::Text;
use super::memory::Place;
use crate::ir::{BinOp, CmpOp, Helper, ValueId, Width};
use crate::sema::hir::{Builtin, Expr, ExprKind, LocalId};
use crate::sema::layout::{self, Fields};
use crate::sema::types::Ty;

impl<'h> Program<'_, 'h> {
    /// Writes a value of any type.
    pub(super) fn write(&mut self, expr: &'h Expr, to: Place, text: Text) {
        let outer = std::mem::replace(&mut self.f.span, expr.span);
        let size = self.size_of(&expr.ty);
        if expr.ty.is_scalar() {
            let value = self.scalar(expr);
            self.store_scalar(to, &expr.ty, value);
        } else {
            self.write_memory(expr, to, size, text);
        }
        self.f.span = outer;
    }

    fn write_memory(&mut self, expr: &'h Expr, to: Place, size: u32, text: Text) {
        match &expr.kind {
            ExprKind::Str(literal) => self.store_text(to, literal.as_bytes(), size),
            ExprKind::Builtin(Builtin::Comm) => {
                // Kernels such as 6.1 write up to the NUL and no further.
                self.clear(to, size);
                let to = self.address(to);
                let size = self.f.number(u64::from(size));
                self.f.call(Helper::GetCurrentComm, vec![to, size]);
            }
            ExprKind::Field { base, mirror, field } => {
                self.field_into(base, *mirror, *field, to, text);
            }
            ExprKind::Load { base, mirror } => self.mirror_into(base, *mirror, to, text),
            ExprKind::ReadStr { addr, user } => {
                let addr = self.scalar(addr);
                let helper =
                    if *user { Helper::ProbeReadUserStr } else { Helper::ProbeReadKernelStr };
                self.read_text(to, size, addr, helper);
            }
            ExprKind::Cond(cond, then, otherwise) => {
                let (mut yes, mut no, mut done) = (Join::new(), Join::new(), Join::new());
                self.cond(cond, &mut yes, &mut no);
                for (way, value) in [(yes, then), (no, otherwise)] {
                    self.f.enter(way);
                    if self.f.is_live() {
                        self.write(value, to, text);
                        self.f.jump(&mut done, Vec::new());
                    }
                }
                self.f.enter(done);
            }
            ExprKind::Convert(value) => {
                let given = self.size_of(&value.ty);
                if given <= size {
                    self.write(value, to, text);
                    self.clear(to.at(given), size - given);
                } else {
                    let whole = self.place_of(value);
                    self.copy(to, whole, size);
                }
            }
            ExprKind::MapGet(entry) => {
                let (mut missing, mut done) = (Join::new(), Join::new());
                let found = self.present(entry, &mut missing);
                self.copy(to, found, size);
                self.f.jump(&mut done, Vec::new());
                if !missing.is_empty() {
                    self.f.enter(missing);
                    self.clear(to, size);
                    self.f.jump(&mut done, Vec::new());
                }
                self.f.enter(done);
            }
            ExprKind::Aggregate(parts) => self.write_parts(parts, &expr.ty, to, text),
            ExprKind::Index(array, index) => self.write_element(array, index, to, size),
            ExprKind::Param(_) | ExprKind::Local(_) | ExprKind::Member(..) => {
                let from = self.place_of(expr);
                self.copy(to, from, size);
            }
            // No values in memory; `analyze` leaves none of them here.
            ExprKind::Error
            | ExprKind::Int(_)
            | ExprKind::Enumerator(..)
            | ExprKind::Arg(_)
            | ExprKind::Builtin(_)
            | ExprKind::Skb(..)
            | ExprKind::Packet { .. }
            | ExprKind::HasField { .. }
            | ExprKind::Unary(..)
            | ExprKind::Binary(..)
            | ExprKind::MemEq { .. }
            | ExprKind::LogAnd(..)
            | ExprKind::LogOr(..)
            | ExprKind::HasKey(_)
            | ExprKind::Len(_)
            | ExprKind::MapStep { .. }
            | ExprKind::LocalStep { .. }
            | ExprKind::Fetch { .. } => self.clear(to, size),
        }
    }

    /// Stores a scalar as its type is kept in memory.
    pub(super) fn store_scalar(&mut self, to: Place, ty: &Ty, value: ValueId) {
        let width = Width::from_bytes(self.int_of(ty).size()).unwrap_or(Width::D);
        self.store(to, width, value);
    }

    /// Writes the parts of a tuple or struct and the padding between and after them.
    fn write_parts(&mut self, parts: &'h [Expr], ty: &Ty, to: Place, text: Text) {
        let fields = self.parts_of(ty);
        self.write_fields(parts, &fields, to, text);
    }

    /// Writes values one after the other, as they are laid out, and the padding between and after them.
    pub(super) fn write_fields(
        &mut self,
        parts: &'h [Expr],
        fields: &Fields,
        to: Place,
        text: Text,
    ) {
        self.write_each(parts, fields, to, |p, part, place, _| p.write(part, place, text));
    }

    /// Clears the padding between and after values that are laid out, and lets `write` write each: the value, its place, and its offset.
    pub(super) fn write_each(
        &mut self,
        parts: &'h [Expr],
        fields: &Fields,
        to: Place,
        mut write: impl FnMut(&mut Self, &'h Expr, Place, u32),
    ) {
        let mut end = 0;
        for (part, offset) in parts.iter().zip(&fields.offsets) {
            self.clear(to.at(end), offset.saturating_sub(end));
            write(self, part, to.at(*offset), *offset);
            end = offset.saturating_add(self.size_of(&part.ty));
        }
        self.clear(to.at(end), fields.size.saturating_sub(end));
    }

    /// Where the members of a type are.
    fn parts_of(&self, ty: &Ty) -> Fields {
        let offsets = match ty {
            Ty::Tuple(parts) => return layout::fields(self.hir, parts),
            Ty::Array(element, len) => {
                let size = self.size_of(element);
                (0..*len).map(|i| i.saturating_mul(size)).collect()
            }
            Ty::Struct(id) => self.hir.structs[*id].fields.iter().map(|f| f.offset).collect(),
            Ty::Mirror(id) => self.hir.mirrors[*id].fields.iter().map(|f| f.offset).collect(),
            Ty::Error
            | Ty::Void
            | Ty::Bool
            | Ty::Int(_)
            | Ty::Enum(_)
            | Ty::Str(_)
            | Ty::Ptr(_) => Vec::new(),
        };
        {
            let (size, align) = layout::size_align(self.hir, ty);
            Fields { offsets, size, align }
        }
    }

    /// Where a value is, or is put, to be read.
    pub(super) fn place_of(&mut self, expr: &'h Expr) -> Place {
        match &expr.kind {
            ExprKind::Local(local) if !expr.ty.is_scalar() => self.local_place(*local),
            ExprKind::Param(id) => Place::rodata(self.unit.params[id]),
            ExprKind::Member(whole, index) => {
                let offset = self.member_offset(&whole.ty, *index);
                self.place_of(whole).at(offset)
            }
            _ => {
                let size = self.size_of(&expr.ty);
                let temp = self.temp(size, "a value in between");
                self.write(expr, temp, Text::Canonical);
                temp
            }
        }
    }

    fn member_offset(&self, whole: &Ty, index: u32) -> u32 {
        let fields = self.parts_of(whole);
        fields.offsets.get(index as usize).copied().unwrap_or(0)
    }

    /// The memory of a variable.
    pub(super) fn local_place(&mut self, local: LocalId) -> Place {
        if let Some(slot) = self.slots.get(&local) {
            return Place::slot(*slot);
        }
        let declaration = &self.source.locals[local];
        let size = self.size_of(&declaration.ty);
        if size > super::MAX_STACK {
            self.unit.too_large(declaration.span, size);
        }
        let slot = self.f.slot(size, format!("${}", declaration.name));
        self.slots.insert(local, slot);
        Place::slot(slot)
    }

    /// A scalar that is part of a value in memory, or a map's value.
    pub(super) fn scalar_in_memory(&mut self, expr: &'h Expr) -> ValueId {
        let int = self.int_of(&expr.ty);
        if let ExprKind::Index(array, index) = &expr.kind {
            return self.element(array, index, int);
        }
        let mut offset = 0;
        let mut whole = expr;
        while let ExprKind::Member(base, index) = &whole.kind {
            offset += self.member_offset(&base.ty, *index);
            whole = base;
        }
        let ExprKind::MapGet(entry) = &whole.kind else {
            let place = self.place_of(whole).at(offset);
            return self.load_int(place, int);
        };
        let zero = self.f.number(0);
        let (mut missing, mut done) = (Join::new(), Join::new());
        let found = self.present(entry, &mut missing);
        // A map keeps an integer wider than its type may be; a part of a tuple is kept as it is.
        let whole_value = std::ptr::eq(whole, expr);
        let int = if whole_value { self.int_of(&layout::stored(&expr.ty)) } else { int };
        let value = self.load_int(found.at(offset), int);
        self.f.jump(&mut done, vec![value]);
        if !missing.is_empty() {
            self.f.enter(missing);
            self.f.jump(&mut done, vec![zero]);
        }
        self.f.enter(done)[0]
    }

    /// How long an array or string is, and its elements.
    fn elements(&self, ty: &Ty) -> (u32, u32) {
        match ty {
            Ty::Str(len) => (*len, 1),
            Ty::Array(element, len) => (*len, self.size_of(element)),
            _ => (0, 0),
        }
    }

    /// A scalar element; 0 outside.
    fn element(
        &mut self,
        array: &'h Expr,
        index: &'h Expr,
        int: crate::sema::types::IntTy,
    ) -> ValueId {
        let (len, size) = self.elements(&array.ty);
        if let ExprKind::Int(index) = index.kind {
            return match u32::try_from(index) {
                Ok(index) if index < len => {
                    let place = self.place_of(array).at(index * size);
                    self.load_int(place, int)
                }
                _ => self.f.number(0),
            };
        }
        let zero = self.f.number(0);
        let (mut outside, mut done) = (Join::new(), Join::new());
        let address = self.element_address(array, index, &mut outside);
        let value = self.load_int(address, int);
        self.f.jump(&mut done, vec![value]);
        self.f.enter(outside);
        self.f.jump(&mut done, vec![zero]);
        self.f.enter(done)[0]
    }

    /// Writes an element that is itself a value in memory; zeros outside.
    fn write_element(&mut self, array: &'h Expr, index: &'h Expr, to: Place, size: u32) {
        let (mut outside, mut done) = (Join::new(), Join::new());
        let from = self.element_address(array, index, &mut outside);
        let from = self.address(from);
        self.probe(to, size, from);
        self.f.jump(&mut done, Vec::new());
        self.f.enter(outside);
        self.clear(to, size);
        self.f.jump(&mut done, Vec::new());
        self.f.enter(done);
    }

    /// Where an element is; goes to `outside` if the array has no such one. The place is aligned as the element is and no better.
    fn element_address(&mut self, array: &'h Expr, index: &'h Expr, outside: &mut Join) -> Place {
        let (len, size) = self.elements(&array.ty);
        let array = self.place_of(array);
        let index = self.scalar(index);
        let mut inside = Join::new();
        let cond = self.f.cond_number(CmpOp::LtU, index, u64::from(len));
        self.f.branch(cond, &mut inside, outside);
        self.f.enter(inside);
        let distance = self.f.bin_number(BinOp::Mul, index, u64::from(size));
        let start = self.address(array);
        let address = self.f.bin(BinOp::Add, start, distance);
        Place::pointer(address, array.space())
    }

    /// Goes on if two values in memory are equal, otherwise to `differ`.
    pub(super) fn mem_eq(&mut self, left: &'h Expr, right: &'h Expr, differ: &mut Join) {
        let (left, right) =
            if matches!(left.kind, ExprKind::Str(_)) { (right, left) } else { (left, right) };
        let (left_size, right_size) = (self.size_of(&left.ty), self.size_of(&right.ty));
        let place = self.place_of(left);
        if let ExprKind::Str(literal) = &right.kind {
            // Up to and including the NUL that ends the literal; what follows a NUL is NULs.
            let len = u32::try_from(literal.len()).unwrap_or(u32::MAX).saturating_add(1);
            if len > left_size.saturating_add(1) {
                // The value cannot hold this text.
                self.f.jump(differ, Vec::new());
                return;
            }
            let size = len.next_multiple_of(8).min(left_size);
            self.compare_text(place, literal.as_bytes(), size, differ);
            return;
        }
        let other = self.place_of(right);
        let size = left_size.min(right_size);
        self.compare(place, other, size, differ);
        let longer = if left_size > right_size { place } else { other };
        if left_size != right_size {
            // The longer text must end where the shorter has no more room.
            let next = self.load(longer.at(size), Width::B);
            let cond = self.f.cond_number(CmpOp::Eq, next, 0);
            let mut equal = Join::new();
            self.f.branch(cond, &mut equal, differ);
            self.f.enter(equal);
        }
    }
}
