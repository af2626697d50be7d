//! Aggregations: `count`, `sum`, `min`, `max`, `avg`, `stats`, `hist`, `lhist`.
//!
//! Their entries are per CPU, so they are changed by plain loads and stores.

use super::func::Join;
use super::kernel::Text;
use super::map::is_per_cpu;
use super::memory::Place;
use super::{Program, key_fields, layout};
use crate::ir::{BinOp, CmpOp, Cond, ValueId, Width};
use crate::sema::hir::{Agg, Expr, MapRef, MapValue};
use crate::sema::types::Ty;

/// Where `min` and `max` keep whether they have seen a number, and `avg` and `stats` how many.
const SECOND: u32 = 8;

impl<'h> Program<'_, 'h> {
    /// Feeds an aggregation.
    pub(super) fn aggregate(&mut self, entry: &'h MapRef, value: Option<&'h Expr>) {
        let hir = self.hir;
        let MapValue::Agg(agg) = &hir.maps[entry.map].value else { return };
        match agg {
            Agg::Hist | Agg::Lhist { .. } => self.add_to_bucket(entry, agg, value),
            Agg::Count => {
                let key = self.key(entry);
                let one = self.f.number(1);
                self.add_at(entry.map, key, &[(0, one)], Width::D);
            }
            Agg::Sum { .. } => {
                let key = self.key(entry);
                let number = self.fed(value);
                self.add_at(entry.map, key, &[(0, number)], Width::D);
            }
            Agg::Avg { .. } | Agg::Stats { .. } => {
                let key = self.key(entry);
                let number = self.fed(value);
                let one = self.f.number(1);
                self.add_at(entry.map, key, &[(0, number), (SECOND, one)], Width::D);
            }
            Agg::Min { signed } => {
                self.extreme(entry, value, if *signed { CmpOp::LtS } else { CmpOp::LtU });
            }
            Agg::Max { signed } => {
                self.extreme(entry, value, if *signed { CmpOp::GtS } else { CmpOp::GtU });
            }
        }
    }

    fn fed(&mut self, value: Option<&'h Expr>) -> ValueId {
        match value {
            Some(value) => self.scalar(value),
            None => self.f.number(0),
        }
    }

    /// Keeps the number if it is the first one or `better` than the one before.
    fn extreme(&mut self, entry: &'h MapRef, value: Option<&'h Expr>, better: CmpOp) {
        let hir = self.hir;
        let key = self.key(entry);
        let number = self.fed(value);
        let keep = |p: &mut Self, place: Place| {
            p.store(place, Width::D, number);
            p.store_number(place.at(SECOND), Width::D, 1);
        };
        let present = |p: &mut Self, place: Place| {
            let (mut set, mut compare, mut done) = (Join::new(), Join::new(), Join::new());
            let seen = p.load(place.at(SECOND), Width::D);
            let cond = p.f.cond_number(CmpOp::Eq, seen, 0);
            p.f.branch(cond, &mut set, &mut compare);
            p.f.enter(compare);
            let old = p.load(place, Width::D);
            p.f.branch(Cond { op: better, a: number, b: old }, &mut set, &mut done);
            p.f.enter(set);
            keep(p, place);
            p.f.jump(&mut done, Vec::new());
            p.f.enter(done);
        };
        self.in_place(entry.map, key, present, |p| {
            let purpose = format!("first value for @{}", hir.maps[entry.map].name);
            let first = p.temp(16, purpose);
            keep(p, first);
            p.update(entry.map, key, first, 0);
        });
    }

    /// Counts a number in its bucket.
    fn add_to_bucket(&mut self, entry: &'h MapRef, agg: &Agg, value: Option<&'h Expr>) {
        let hir = self.hir;
        let map = &hir.maps[entry.map];
        debug_assert!(is_per_cpu(map.kind), "aggregations are per CPU");
        let fields = key_fields(hir, map);
        let mut key = None;
        if !entry.key.is_empty() {
            let place = self.temp(fields.size, format!("key of @{}", map.name));
            // The bucket, which is last, has a place among the fields but comes later.
            let bucket = fields.offsets.last().copied().unwrap_or(0);
            let before = layout::Fields { size: bucket, ..fields.clone() };
            self.write_fields(&entry.key, &before, place, Text::Canonical);
            key = Some(place);
        }
        let signed = value.is_some_and(|value| self.is_signed(&value.ty));
        let number = self.fed(value);
        let bucket = match agg {
            Agg::Lhist { min, max, step } => self.linear_bucket(number, signed, *min, *max, *step),
            _ => self.power_bucket(number, signed),
        };
        let key = match key {
            Some(key) => {
                let at = fields.offsets.last().copied().unwrap_or(0);
                self.store(key.at(at), Width::W, bucket);
                let end = at + Width::W.bytes();
                self.clear(key.at(end), fields.size.saturating_sub(end));
                key
            }
            None => self.scalar_key(entry.map, bucket, Width::W),
        };
        let one = self.f.number(1);
        self.add_at(entry.map, key, &[(0, one)], Width::D);
    }

    fn is_signed(&self, ty: &Ty) -> bool {
        !matches!(ty, Ty::Bool | Ty::Ptr(_)) && self.int_of(ty).signed
    }

    /// 0 for negative numbers, 1 for 0, `i + 2` for numbers from 2^i to below 2^(i+1).
    fn power_bucket(&mut self, number: ValueId, signed: bool) -> ValueId {
        let mut done = Join::new();
        if signed {
            let bucket = self.f.number(0);
            let cond = self.f.cond_number(CmpOp::LtS, number, 0);
            self.leave_if(cond, bucket, &mut done);
        }
        let bucket = self.f.number(1);
        let cond = self.f.cond_number(CmpOp::Eq, number, 0);
        self.leave_if(cond, bucket, &mut done);
        let (mut rest, mut bucket) = (number, self.f.number(2));
        for bits in [32, 16, 8, 4, 2, 1] {
            let (mut small, mut large, mut next) = (Join::new(), Join::new(), Join::new());
            if bits == 32 {
                // 2^32 - 1 is no immediate: the upper half is looked at itself.
                let upper = self.f.bin_number(BinOp::ShrU, rest, 32);
                let cond = self.f.cond_number(CmpOp::Eq, upper, 0);
                self.f.branch(cond, &mut small, &mut large);
                self.f.enter(large);
                let more = self.f.bin_number(BinOp::Add, bucket, bits);
                self.f.jump(&mut next, vec![upper, more]);
            } else {
                let cond = self.f.cond_number(CmpOp::GtU, rest, (1 << bits) - 1);
                self.f.branch(cond, &mut large, &mut small);
                self.f.enter(large);
                let shifted =
                    if bits == 1 { rest } else { self.f.bin_number(BinOp::ShrU, rest, bits) };
                let more = self.f.bin_number(BinOp::Add, bucket, bits);
                self.f.jump(&mut next, vec![shifted, more]);
            }
            self.f.enter(small);
            self.f.jump(&mut next, vec![rest, bucket]);
            let merged = self.f.enter(next);
            (rest, bucket) = (merged[0], merged[1]);
        }
        self.f.jump(&mut done, vec![bucket]);
        self.f.enter(done)[0]
    }

    /// 0 below `min`, `i + 1` from `min + i * step`, one more than the last of these from `max` on.
    fn linear_bucket(
        &mut self,
        number: ValueId,
        signed: bool,
        min: i64,
        max: i64,
        step: u64,
    ) -> ValueId {
        let mut done = Join::new();
        let first = self.f.number(0);
        let buckets = max.saturating_sub(min).max(0).cast_unsigned().div_ceil(step.max(1));
        let last = self.f.number(buckets.saturating_add(1));
        // As unsigned, nothing is below a `min` that is negative, and everything is at or above such a `max`.
        if signed || min > 0 {
            let op = if signed { CmpOp::LtS } else { CmpOp::LtU };
            let cond = self.f.cond_number(op, number, min.cast_unsigned());
            self.leave_if(cond, first, &mut done);
        }
        let (op, end) = if signed { (CmpOp::GeS, max) } else { (CmpOp::GeU, max.max(0)) };
        let cond = self.f.cond_number(op, number, end.cast_unsigned());
        self.leave_if(cond, last, &mut done);
        let distance = self.f.bin_number(BinOp::Sub, number, min.cast_unsigned());
        let index = self.f.bin_number(BinOp::DivU, distance, step.max(1));
        let bucket = self.f.bin_number(BinOp::Add, index, 1);
        self.f.jump(&mut done, vec![bucket]);
        self.f.enter(done)[0]
    }

    /// Hands a value over to `done` if the condition holds; goes on otherwise.
    fn leave_if(&mut self, cond: Cond, value: ValueId, done: &mut Join) {
        let mut other = Join::new();
        self.f.branch_with(cond, done, vec![value], &mut other, Vec::new());
        self.f.enter(other);
    }
}
