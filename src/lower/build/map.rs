//! Map entries: lookup, update, delete, and changes in place.
//!
//! Invariant: keys and values handed to helpers are written in full, padding too; a value's pointer is compared with null before use.

use super::func::{Contents, Fact, Join};
use super::kernel::Text;
use super::memory::Place;
use super::{Program, key_fields, layout};
use crate::ir::{BinOp, CmpOp, Helper, MapTarget, Op, Space, ValueId, Width};
use crate::sema::hir::{Expr, MapId, MapKind, MapRef, MapValue};
use crate::sema::types::{IntTy, Ty};

/// Flags of `bpf_map_update_elem` (`include/uapi/linux/bpf.h`).
const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// Whether every processor has its own values, so that nobody else changes them.
pub(super) fn is_per_cpu(kind: MapKind) -> bool {
    match kind {
        MapKind::PerCpuHash | MapKind::PerCpuArray => true,
        MapKind::Hash | MapKind::LruHash | MapKind::Array => false,
    }
}

/// Whether every entry is there from the beginning and stays.
pub(super) fn is_array(kind: MapKind) -> bool {
    match kind {
        MapKind::Array | MapKind::PerCpuArray => true,
        MapKind::Hash | MapKind::LruHash | MapKind::PerCpuHash => false,
    }
}

impl<'h> Program<'_, 'h> {
    /// Goes on where there is such an entry, otherwise to `missing`. Out: its value.
    pub(super) fn present(&mut self, entry: &'h MapRef, missing: &mut Join) -> Place {
        let key = self.key(entry);
        // Only a slot that is written once stands for its key.
        let slot = key.as_slot().filter(|slot| self.f.is_key(*slot));
        let fact = slot.map(|slot| Fact::Entry(entry.map, slot));
        if let Some(found) = fact.and_then(|fact| self.f.get(fact)) {
            return Place::pointer(found, Space::Shared);
        }
        let found = self.lookup_key(entry.map, key);
        let cond = self.f.cond_number(CmpOp::Eq, found, 0);
        let mut there = Join::new();
        self.f.branch(cond, missing, &mut there);
        self.f.enter(there);
        if let Some(fact) = fact {
            self.f.remember(fact, found);
        }
        Place::pointer(found, Space::Shared)
    }

    /// The address of the value of a key, or null.
    pub(super) fn lookup_key(&mut self, map: MapId, key: Place) -> ValueId {
        let slot = key.as_slot().filter(|slot| self.f.is_key(*slot));
        match slot.filter(|_| is_array(self.hir.maps[map].kind)) {
            Some(slot) => {
                if let Some(found) = self.f.get(Fact::Element(map, slot)) {
                    return found;
                }
                let found = self.call_lookup(map, key);
                self.f.remember(Fact::Element(map, slot), found);
                found
            }
            None => self.call_lookup(map, key),
        }
    }

    fn call_lookup(&mut self, map: MapId, key: Place) -> ValueId {
        let map = self.f.value(Op::MapAddr(MapTarget::Map(map)));
        let key = self.address(key);
        self.f.call(Helper::MapLookup, vec![map, key])
    }

    /// Puts a value under a key. Out: 0 if it did.
    pub(super) fn update(&mut self, id: MapId, key: Place, value: Place, flags: u64) -> ValueId {
        let map = self.f.value(Op::MapAddr(MapTarget::Map(id)));
        let key = self.address(key);
        let value = self.address(value);
        let flags = self.f.number(flags);
        self.f.forget_entries(Some(id));
        self.f.call(Helper::MapUpdate, vec![map, key, value, flags])
    }

    /// A key in memory.
    pub(super) fn key(&mut self, entry: &'h MapRef) -> Place {
        let hir = self.hir;
        let map = &hir.maps[entry.map];
        match entry.key.as_slice() {
            [] => {
                let index = self.f.number(0);
                self.scalar_key(entry.map, index, Width::W)
            }
            [part] if part.ty.is_scalar() => {
                let value = self.scalar(part);
                let width = self.int_of(&part.ty).size();
                self.scalar_key(entry.map, value, Width::from_bytes(width).unwrap_or(Width::D))
            }
            [part] => self.place_of(part),
            parts => {
                let fields = key_fields(hir, map);
                let key = self.temp(fields.size, format!("key of @{}", map.name));
                if parts.iter().all(|part| part.ty.is_scalar()) {
                    return self.key_of_scalars(parts, &fields, key);
                }
                self.write_fields(parts, &fields, key, Text::Canonical);
                key
            }
        }
    }

    /// Writes a key of several scalars, or finds it where it is already: what was written then is dead.
    fn key_of_scalars(&mut self, parts: &'h [Expr], fields: &layout::Fields, key: Place) -> Place {
        let mut contents = Contents { size: fields.size, parts: Vec::new() };
        self.write_each(parts, fields, key, |p, part, place, offset| {
            let value = p.scalar(part);
            let width = Width::from_bytes(p.int_of(&part.ty).size()).unwrap_or(Width::D);
            p.store(place, width, value);
            contents.parts.push((offset, width, value));
        });
        if let Some(slot) = self.f.key_slot(&contents) {
            return Place::slot(slot);
        }
        if let Some(slot) = key.as_slot() {
            self.f.remember_key(contents, slot);
        }
        key
    }

    /// A key that is one scalar, in a slot that already holds it if there is one.
    pub(super) fn scalar_key(&mut self, map: MapId, value: ValueId, width: Width) -> Place {
        let contents = Contents { size: width.bytes(), parts: vec![(0, width, value)] };
        if let Some(slot) = self.f.key_slot(&contents) {
            return Place::slot(slot);
        }
        let slot = self.f.slot(width.bytes(), format!("key of @{}", self.hir.maps[map].name));
        self.store(Place::slot(slot), width, value);
        self.f.remember_key(contents, slot);
        Place::slot(slot)
    }

    /// Sets an entry.
    pub(super) fn map_set(&mut self, entry: &'h MapRef, value: &'h Expr) {
        let key = self.key(entry);
        let value = if value.ty.is_scalar() {
            let number = self.scalar(value);
            let purpose = format!("value for @{}", self.hir.maps[entry.map].name);
            let stored = layout::stored(&value.ty);
            if is_array(self.hir.maps[entry.map].kind) {
                let set = |p: &mut Self, place| p.store_scalar(place, &stored, number);
                return self.in_place(entry.map, key, set, |_| {});
            }
            let place = self.temp(self.size_of(&stored), purpose);
            self.store_scalar(place, &stored, number);
            place
        } else {
            self.place_of(value)
        };
        self.update(entry.map, key, value, BPF_ANY);
    }

    /// Removes an entry; of an array, where entries stay, it zeroes it.
    pub(super) fn delete(&mut self, entry: &'h MapRef) {
        let hir = self.hir;
        let map = &hir.maps[entry.map];
        let key = self.key(entry);
        if !is_array(map.kind) {
            let map = self.f.value(Op::MapAddr(MapTarget::Map(entry.map)));
            let key = self.address(key);
            self.f.forget_entries(Some(entry.map));
            self.f.call(Helper::MapDelete, vec![map, key]);
            return;
        }
        let size = layout::map_value_size(hir, map);
        self.in_place(entry.map, key, |p, value| p.clear(value, size), |_| {});
    }

    /// Adds to an entry's integer; a missing entry counts as 0.
    pub(super) fn map_add(&mut self, entry: &'h MapRef, value: &'h Expr) {
        let key = self.key(entry);
        let addend = self.scalar(value);
        let int = self.value_int(entry.map);
        let width = Width::from_bytes(int.size()).unwrap_or(Width::D);
        self.add_at(entry.map, key, &[(0, addend)], width);
    }

    /// Adds to the words of an entry, which is made if it is missing; offsets and addends.
    pub(super) fn add_at(
        &mut self,
        map: MapId,
        key: Place,
        words: &[(u32, ValueId)],
        width: Width,
    ) {
        let hir = self.hir;
        let kind = hir.maps[map].kind;
        let shared = !is_per_cpu(kind);
        let add = |p: &mut Self, value: Place| {
            for (off, addend) in words {
                p.add(value.at(*off), width, *addend, shared);
            }
        };
        self.in_place(map, key, add, |p| {
            let purpose = format!("first value for @{}", hir.maps[map].name);
            let first = p.temp(layout::map_value_size(hir, &hir.maps[map]), purpose);
            for (off, addend) in words {
                p.store(first.at(*off), width, *addend);
            }
            if !shared {
                p.update(map, key, first, BPF_ANY);
                return;
            }
            // Another processor may make the entry at the same time: then add to that one.
            let failed = p.update(map, key, first, BPF_NOEXIST);
            let (mut made, mut there) = (Join::new(), Join::new());
            let cond = p.f.cond_number(CmpOp::Eq, failed, 0);
            p.f.branch(cond, &mut made, &mut there);
            p.f.enter(there);
            let found = p.lookup_key(map, key);
            let cond = p.f.cond_number(CmpOp::Eq, found, 0);
            let mut present = Join::new();
            p.f.branch(cond, &mut made, &mut present);
            p.f.enter(present);
            add(p, Place::pointer(found, Space::Shared));
            p.f.jump(&mut made, Vec::new());
            p.f.enter(made);
        });
    }

    /// Looks an entry up and goes one of two ways; an array's entry is only missing if the index is too large, which nothing is done about.
    pub(super) fn in_place(
        &mut self,
        map: MapId,
        key: Place,
        present: impl FnOnce(&mut Self, Place),
        missing: impl FnOnce(&mut Self),
    ) {
        let found = self.lookup_key(map, key);
        let (mut no, mut yes, mut done) = (Join::new(), Join::new(), Join::new());
        let cond = self.f.cond_number(CmpOp::Eq, found, 0);
        if is_array(self.hir.maps[map].kind) {
            self.f.branch(cond, &mut done, &mut yes);
        } else {
            self.f.branch(cond, &mut no, &mut yes);
        }
        self.f.enter(yes);
        present(self, Place::pointer(found, Space::Shared));
        self.f.jump(&mut done, Vec::new());
        if !no.is_empty() {
            self.f.enter(no);
            missing(self);
            self.f.jump(&mut done, Vec::new());
        }
        self.f.enter(done);
    }

    /// `@x++` and its like: the entry's integer before or after.
    pub(super) fn map_step(&mut self, entry: &'h MapRef, delta: i8, postfix: bool) -> ValueId {
        let int = self.value_int(entry.map);
        let width = Width::from_bytes(int.size()).unwrap_or(Width::D);
        let key = self.key(entry);
        let found = self.lookup_key(entry.map, key);
        let zero = self.f.number(0);
        let (mut have, mut present) = (Join::new(), Join::new());
        let cond = self.f.cond_number(CmpOp::Eq, found, 0);
        self.f.branch_with(cond, &mut have, vec![zero], &mut present, Vec::new());
        self.f.enter(present);
        let value = self.load_int(Place::pointer(found, Space::Shared), int);
        self.f.jump(&mut have, vec![value]);
        let old = self.f.enter(have)[0];
        let addend = self.f.number(i64::from(delta).cast_unsigned());
        self.add_at(entry.map, key, &[(0, addend)], width);
        let new = self.f.bin(BinOp::Add, old, addend);
        let new = self.convert(new, &Ty::U64, &Ty::Int(int));
        if postfix { old } else { new }
    }

    /// How a map's value is kept that is an integer.
    fn value_int(&self, map: MapId) -> IntTy {
        match &self.hir.maps[map].value {
            MapValue::Plain(ty) => self.int_of(&layout::stored(ty)),
            MapValue::Agg(_) => IntTy::U64,
        }
    }
}
