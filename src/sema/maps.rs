//! Map inference: what a map's key and value are, from all its uses.
//!
//! In: every use of a map in every body, again and again until nothing changes ([`Maps::changed`]). Out: the maps of the HIR. Invariant: knowledge only
//! grows, and by joins that do not depend on order, so that a read may come before the write that tells its type, and so that inference ends.

use super::builtins::AggKind;
use super::decls::{Decls, MapDecl};
use super::hir::{Agg, HIST_BUCKETS, MapId};
use super::join::Slot;
use super::types::{IntTy, Ty};
use crate::source::Span;
use crate::syntax::ast::Name;
use indexmap::IndexMap;
use la_arena::RawIdx;
use rustc_hash::FxBuildHasher;

/// What is known of all maps, in the order of their first mention.
#[derive(Debug, Default)]
pub struct Maps {
    table: IndexMap<Name, MapInfo, FxBuildHasher>,
    /// Whether a use told something new since this was last cleared.
    pub changed: bool,
    /// Whether uses are only compared with what is known.
    pub frozen: bool,
}

/// What is known of one map.
#[derive(Debug)]
pub struct MapInfo {
    /// Its `let`, if it has one.
    pub decl: Option<MapDecl>,
    /// Its first mention in a body.
    pub first: Span,
    /// The parts of its key, empty for a map without one; and the use that told so first.
    pub key: Option<(Vec<Slot>, Span)>,
    /// What an entry holds; and the use that told so first.
    pub value: Option<(ValueSlot, Span)>,
    /// The first use that only reads or removes.
    pub read: Option<Span>,
    /// Whether anything gives it a value, were it one that is refused.
    pub written: bool,
}

/// What is known of a map's entries.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueSlot {
    /// A plain value.
    Plain(Slot),
    /// An aggregation of values of this type.
    Agg(AggShape, Slot),
}

/// An aggregation without the sign of what it is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggShape {
    /// Which one.
    pub kind: AggKind,
    /// Of `lhist`: lower end, upper end, width of a bucket.
    pub bounds: Option<(i64, i64, u64)>,
}

/// A use that does not fit those before: where the one is that told so first, and what it told.
#[derive(Debug)]
pub struct Clash<T> {
    /// The earlier use.
    pub first: Span,
    /// What it told.
    pub known: T,
}

impl Maps {
    /// The map of that name, which is mentioned at `span`.
    pub fn mention(&mut self, decls: &Decls, name: &Name, span: Span) -> MapId {
        let entry = self.table.entry(name.clone());
        let index = entry.index();
        entry.or_insert_with(|| MapInfo {
            decl: decls.maps.get(name).cloned(),
            first: span,
            key: None,
            value: None,
            read: None,
            written: false,
        });
        MapId::from_raw(RawIdx::from_u32(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// What is known of a map.
    pub fn get(&self, id: MapId) -> &MapInfo {
        &self.table[id.into_raw().into_u32() as usize]
    }

    fn get_mut(&mut self, id: MapId) -> &mut MapInfo {
        &mut self.table[id.into_raw().into_u32() as usize]
    }

    /// The name of a map, with its sigil.
    pub fn name(&self, id: MapId) -> String {
        let name = self.table.get_index(id.into_raw().into_u32() as usize).map_or("", |(n, _)| n);
        format!("@{name}")
    }

    /// Whether a map is mentioned in any body.
    pub fn is_mentioned(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// All maps in the order of their first mention.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &MapInfo)> {
        self.table.iter()
    }

    /// Notes that a map is read at `span`.
    pub fn read(&mut self, id: MapId, span: Span) {
        self.get_mut(id).read.get_or_insert(span);
    }

    /// Notes that a map is given a value, whatever becomes of it.
    pub fn written(&mut self, id: MapId) {
        self.get_mut(id).written = true;
    }

    /// A use with this key; gives the types the parts are brought to.
    pub fn use_key(
        &mut self,
        id: MapId,
        parts: Vec<Slot>,
        span: Span,
    ) -> Result<Vec<Ty>, Clash<Vec<Ty>>> {
        let frozen = self.frozen;
        let info = self.get_mut(id);
        let Some((known, first)) = &mut info.key else {
            let types = parts.iter().map(Slot::resolved).collect();
            info.key = Some((parts, span));
            self.changed = true;
            return Ok(types);
        };
        let types = || known.iter().map(Slot::resolved).collect();
        let joined = join_parts(known, &parts);
        let Some(joined) = joined else { return Err(Clash { first: *first, known: types() }) };
        let types = types();
        if frozen || joined == *known {
            return Ok(types);
        }
        *known = joined;
        self.changed = true;
        Ok(types)
    }

    /// A use with this value.
    pub fn use_value(
        &mut self,
        id: MapId,
        value: ValueSlot,
        span: Span,
    ) -> Result<(), Box<Clash<ValueSlot>>> {
        let frozen = self.frozen;
        let info = self.get_mut(id);
        let Some((known, first)) = &mut info.value else {
            info.value = Some((value, span));
            self.changed = true;
            return Ok(());
        };
        let Some(joined) = known.join(&value) else {
            return Err(Box::new(Clash { first: *first, known: known.clone() }));
        };
        if !frozen && joined != *known {
            *known = joined;
            self.changed = true;
        }
        Ok(())
    }
}

fn join_parts(a: &[Slot], b: &[Slot]) -> Option<Vec<Slot>> {
    if a.len() != b.len() {
        return None;
    }
    a.iter().zip(b).map(|(a, b)| a.join(b)).collect()
}

impl ValueSlot {
    fn join(&self, other: &ValueSlot) -> Option<ValueSlot> {
        match (self, other) {
            (ValueSlot::Plain(a), ValueSlot::Plain(b)) => Some(ValueSlot::Plain(a.join(b)?)),
            (ValueSlot::Agg(a, x), ValueSlot::Agg(b, y)) if a == b => {
                Some(ValueSlot::Agg(*a, x.join(y)?))
            }
            _ => None,
        }
    }

    /// The type of a plain value, or of what an aggregation is fed: integers in 64 bits.
    pub fn ty(&self) -> Ty {
        let (ValueSlot::Plain(slot) | ValueSlot::Agg(_, slot)) = self;
        match slot.resolved() {
            Ty::Int(int) => Ty::Int(IntTy { bits: 64, ..int }),
            other => other,
        }
    }

    /// The aggregation, if it is one.
    pub fn agg(&self) -> Option<Agg> {
        let ValueSlot::Agg(shape, _) = self else { return None };
        let signed = self.ty() != Ty::U64;
        Some(match (shape.kind, shape.bounds) {
            (AggKind::Count, _) => Agg::Count,
            (AggKind::Sum, _) => Agg::Sum { signed },
            (AggKind::Min, _) => Agg::Min { signed },
            (AggKind::Max, _) => Agg::Max { signed },
            (AggKind::Avg, _) => Agg::Avg { signed },
            (AggKind::Stats, _) => Agg::Stats { signed },
            (AggKind::Lhist, Some((min, max, step))) => Agg::Lhist { min, max, step },
            (AggKind::Hist | AggKind::Lhist, _) => Agg::Hist,
        })
    }
}

/// How many buckets an aggregation has: one, unless it is a histogram.
pub fn buckets(agg: &Agg) -> u32 {
    match agg {
        Agg::Hist => HIST_BUCKETS,
        Agg::Lhist { min, max, step } => {
            let width = u64::try_from(i128::from(*max) - i128::from(*min)).unwrap_or(u64::MAX);
            let inside = width.div_ceil((*step).max(1));
            u32::try_from(inside).unwrap_or(u32::MAX).saturating_add(2)
        }
        Agg::Count
        | Agg::Sum { .. }
        | Agg::Min { .. }
        | Agg::Max { .. }
        | Agg::Avg { .. }
        | Agg::Stats { .. } => 1,
    }
}
