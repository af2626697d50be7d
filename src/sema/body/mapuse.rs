//! Uses of maps: entries that are read, set, added to, fed and removed.

use super::super::builtins::AggKind;
use super::super::hir::{Expr, ExprKind, MapId, MapKind, MapRef, Stmt, StmtKind, UnOp};
use super::super::join::Slot;
use super::super::maps::{Clash, ValueSlot};
use super::super::show;
use super::super::types::Ty;
use super::{Body, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{self, BinaryOp, Ident};
use std::sync::Arc;

impl Body<'_, '_> {
    /// `@map` or `@map[key]` as a value.
    pub(super) fn map_get(&mut self, name: &Ident, key: Option<&[ast::Expr]>, span: Span) -> Expr {
        let Some(entry) = self.entry(name, key, span) else { return error(span) };
        self.pass.maps.read(entry.map, span);
        let Some(ty) = self.plain_value(entry.map, span) else { return error(span) };
        Expr { kind: ExprKind::MapGet(entry), ty, span }
    }

    /// The type of a map's plain values; reports aggregations.
    pub(super) fn plain_value(&mut self, map: MapId, span: Span) -> Option<Ty> {
        let name = self.pass.maps.name(map);
        let (agg, first) = match &self.pass.maps.get(map).value {
            Some((ValueSlot::Plain(slot), _)) => {
                return Some(ValueSlot::Plain(slot.clone()).ty());
            }
            Some((ValueSlot::Agg(shape, _), first)) => (shape.kind, *first),
            // That nothing is ever written is told once, when all uses are known.
            None => return None,
        };
        let function = agg_name(agg);
        self.report(
            Diagnostic::new(Code::E0427, span, format!("`{name}` holds `{function}`, which a program cannot read"))
                .label("not a plain value")
                .secondary(first, format!("`{name}` is given `{function}` here"))
                .note("every processor has its own state of an aggregation; they are put together where the map is printed")
                .help(format!("keep a plain value beside it, such as `{name}_now += …`")),
        );
        None
    }

    /// The entry, with the key brought to the map's key types.
    pub(super) fn entry(
        &mut self,
        name: &Ident,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<MapRef> {
        let map = self.pass.maps.mention(self.pass.decls, &name.name, name.span);
        let parts = self.key_parts(key.unwrap_or_default());
        let usable = parts.iter().all(|p| self.usable_as_key(p));
        if !usable || parts.iter().any(|p| p.ty == Ty::Error) && !self.pass.inferring {
            return None;
        }
        let parts = self.array_key(map, parts);
        let slots: Vec<Slot> = match self.indexed(map, &parts) {
            // Whatever its uses say, constants among them.
            Some(_) => vec![Slot::of(Ty::U32)],
            None => parts.iter().map(Self::slot).collect(),
        };
        let found: Vec<Ty> = slots.iter().map(Slot::resolved).collect();
        match self.pass.maps.use_key(map, slots, span) {
            Ok(types) => {
                let key = parts.into_iter().zip(&types).map(|(p, ty)| self.implicit(p, ty));
                Some(MapRef { map, key: key.collect(), span })
            }
            Err(clash) => {
                self.key_clash(map, &found, &clash, span);
                None
            }
        }
    }

    /// The parts of a key: those between the brackets, or of the one tuple there.
    fn key_parts(&mut self, key: &[ast::Expr]) -> Vec<Expr> {
        let mut parts: Vec<Expr> = key.iter().map(|k| self.value(k)).collect();
        if parts.len() != 1 {
            return parts;
        }
        let Some(only) = parts.pop() else { return parts };
        let span = only.span;
        match (only.kind, only.ty) {
            (ExprKind::Aggregate(parts), Ty::Tuple(_)) => parts,
            (ExprKind::Local(id), Ty::Tuple(types)) => (0..)
                .zip(types.iter())
                .map(|(i, ty)| {
                    let whole = Ty::Tuple(Arc::clone(&types));
                    let local = Expr { kind: ExprKind::Local(id), ty: whole, span };
                    super::expr::member(local, i, ty.clone(), span)
                })
                .collect(),
            (kind, ty) => vec![Expr { kind, ty, span }],
        }
    }

    fn usable_as_key(&mut self, part: &Expr) -> bool {
        if !matches!(part.ty, Ty::Void | Ty::Mirror(_)) {
            return true;
        }
        let found = self.show(&part.ty);
        self.report(
            Diagnostic::new(Code::E0424, part.span, format!("`{found}` cannot be a key"))
                .label("expected a number, text, pointer, tuple or struct"),
        );
        false
    }

    /// Where a map is declared as an array, if the key can be its index.
    fn indexed(&self, map: MapId, parts: &[Expr]) -> Option<Span> {
        let decl = self.pass.maps.get(map).decl.as_ref();
        decl.filter(|d| is_array(d.kind) && parts.len() == 1).map(|d| d.span)
    }

    /// The kernel keeps an array by a `u32` index.
    fn array_key(&mut self, map: MapId, mut parts: Vec<Expr>) -> Vec<Expr> {
        let Some(declared) = self.indexed(map, &parts) else { return parts };
        if let Some(part) = parts.pop() {
            let place = format!("the index of `{}`", self.pass.maps.name(map));
            let part = self.assignable(part, &Ty::U32, &place, Some(declared));
            parts.push(part);
        }
        parts
    }

    fn key_clash(&mut self, map: MapId, found: &[Ty], clash: &Clash<Vec<Ty>>, span: Span) {
        let name = self.pass.maps.name(map);
        let spell = |types: &[Ty]| match types {
            [] => "no key".to_owned(),
            [one] => format!("key `{}`", self.show(one)),
            many => format!("key `{}`", show::tuple(self.hir(), many)),
        };
        let (found, known) = (spell(found), spell(&clash.known));
        let diagnostic =
            Diagnostic::new(Code::E0424, span, format!("`{name}` is used with different keys"))
                .label(format!("expected {known}, found {found}"))
                .secondary(clash.first, format!("used with {known} here"));
        self.report(diagnostic);
    }

    /// Tells the map of a value; gives the type it is brought to.
    pub(super) fn set_value(&mut self, map: MapId, slot: ValueSlot, span: Span) -> Option<Ty> {
        let found = self.spell_value(&slot);
        match self.pass.maps.use_value(map, slot, span) {
            Ok(()) => self.pass.maps.get(map).value.as_ref().map(|(value, _)| value.ty()),
            Err(clash) => {
                let name = self.pass.maps.name(map);
                let known = self.spell_value(&clash.known);
                self.report(
                    Diagnostic::new(
                        Code::E0425,
                        span,
                        format!("`{name}` is given values of different kinds"),
                    )
                    .label(format!("expected {known}, found {found}"))
                    .secondary(clash.first, format!("given {known} here"))
                    .help("use one map for each"),
                );
                None
            }
        }
    }

    fn spell_value(&self, value: &ValueSlot) -> String {
        match value {
            ValueSlot::Plain(_) => format!("`{}`", self.show(&value.ty())),
            ValueSlot::Agg(shape, _) => match shape.bounds {
                Some((min, max, step)) => format!("`lhist(…, {min}, {max}, {step})`"),
                None => format!("`{}`", agg_name(shape.kind)),
            },
        }
    }

    /// `@map[key] = value` and `@map[key] op= value`.
    pub(super) fn assign_map(
        &mut self,
        target: (&Ident, Option<&[ast::Expr]>, Span),
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let (name, key, target_span) = target;
        let map = self.pass.maps.mention(self.pass.decls, &name.name, name.span);
        self.pass.maps.written(map);
        if op.is_none()
            && let Some((kind, callee, args)) = Self::aggregation(value)
        {
            self.aggregate(target, kind, (callee, args), value.span, out);
            return;
        }
        let Some(op) = op else {
            let value = self.value(value);
            let Some(entry) = self.entry(name, key, target_span) else { return };
            if !self.usable_as_value(&value) {
                return;
            }
            let slot = ValueSlot::Plain(Self::slot(&value));
            let Some(ty) = self.set_value(entry.map, slot, target_span) else { return };
            let place = format!("`{}`", self.pass.maps.name(entry.map));
            let value = self.assignable(value, &ty, &place, None);
            out.push(Stmt { kind: StmtKind::MapSet(entry, value), span });
            return;
        };
        let value = self.value(value);
        let Some(entry) = self.entry(name, key, target_span) else { return };
        match op {
            BinaryOp::Add => self.add(entry, value, span, out),
            BinaryOp::Sub => {
                let value = Self::negated(value);
                self.add(entry, value, span, out);
            }
            _ => self.modify(entry, op, value, span, out),
        }
    }

    fn negated(value: Expr) -> Expr {
        let span = value.span;
        if !matches!(value.ty, Ty::Int(_) | Ty::Bool) {
            return value;
        }
        match value.kind {
            ExprKind::Int(n) => int(n.wrapping_neg(), Ty::S64, span),
            _ => Expr { kind: ExprKind::Unary(UnOp::Neg, Box::new(value)), ty: Ty::S64, span },
        }
    }

    /// `@map[key] += value`
    fn add(&mut self, entry: MapRef, value: Expr, span: Span, out: &mut Vec<Stmt>) {
        let Some(ty) = self.integer_value(&entry, &value, BinaryOp::Add) else { return };
        let value = self.implicit(value, &ty);
        out.push(Stmt { kind: StmtKind::MapAdd(entry, value), span });
    }

    /// The integer type of a map that is computed with.
    pub(super) fn integer_value(
        &mut self,
        entry: &MapRef,
        value: &Expr,
        op: BinaryOp,
    ) -> Option<Ty> {
        // Adding a negative number, or one of either sign, does not decide the sign of the whole.
        let slot = match value.ty {
            Ty::Error if !self.pass.inferring => return None,
            Ty::Int(_) | Ty::Bool if value.ty != Ty::U64 => Slot::constant(0),
            _ => Self::slot(value),
        };
        let ty = self.set_value(entry.map, ValueSlot::Plain(slot), entry.span)?;
        if matches!(ty, Ty::Int(_) | Ty::Error) {
            return Some(ty);
        }
        let found = self.show(&ty);
        self.report(
            Diagnostic::new(
                Code::E0220,
                entry.span,
                format!("`{}` works on integers, not on `{found}`", op.as_str()),
            )
            .label(format!("expected an integer, found `{found}`")),
        );
        None
    }

    /// `@map[key] op= value`: the key is computed once.
    fn modify(
        &mut self,
        entry: MapRef,
        op: BinaryOp,
        value: Expr,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let Some(ty) = self.integer_value(&entry, &value, op) else { return };
        let MapRef { map, key, span: entry_span } = entry;
        let mut first = Vec::new();
        let mut second = Vec::new();
        for part in key {
            let (ty, span) = (part.ty.clone(), part.span);
            if let ExprKind::Int(n) = part.kind {
                first.push(int(n, ty.clone(), span));
                second.push(int(n, ty, span));
                continue;
            }
            let id = self.hidden("key", ty.clone(), span);
            out.push(Stmt { kind: StmtKind::Assign(id, part), span });
            let local = |ty| Expr { kind: ExprKind::Local(id), ty, span };
            first.push(local(ty.clone()));
            second.push(local(ty));
        }
        let old = MapRef { map, key: first, span: entry_span };
        let old = Expr { kind: ExprKind::MapGet(old), ty: ty.clone(), span: entry_span };
        let new = self.combine(op, old, value, span);
        let new = self.implicit(new, &ty);
        let entry = MapRef { map, key: second, span: entry_span };
        out.push(Stmt { kind: StmtKind::MapSet(entry, new), span });
    }

    /// `@map++` and its like as a statement.
    pub(super) fn step_map(
        &mut self,
        target: (&Ident, Option<&[ast::Expr]>, Span),
        delta: i8,
        span: Span,
        out: &mut Vec<Stmt>,
    ) {
        let (name, key, target_span) = target;
        let Some(entry) = self.entry(name, key, target_span) else { return };
        let delta = int(i64::from(delta).cast_unsigned(), Ty::S64, span);
        self.add(entry, delta, span, out);
    }

    /// `@map++` and its like as a value.
    pub(super) fn step_map_value(
        &mut self,
        target: (&Ident, Option<&[ast::Expr]>, Span),
        delta: i8,
        postfix: bool,
        span: Span,
    ) -> Expr {
        let (name, key, target_span) = target;
        let Some(entry) = self.entry(name, key, target_span) else { return error(span) };
        let one = int(1, Ty::S64, span);
        let Some(ty) = self.integer_value(&entry, &one, BinaryOp::Add) else { return error(span) };
        let kind = ExprKind::MapStep { entry: Box::new(entry), delta, postfix };
        Expr { kind, ty, span }
    }

    fn usable_as_value(&mut self, value: &Expr) -> bool {
        if !matches!(value.ty, Ty::Void | Ty::Mirror(_)) {
            return true;
        }
        let found = self.show(&value.ty);
        self.report(
            Diagnostic::new(Code::E0425, value.span, format!("a map cannot hold `{found}`"))
                .label("expected a number, text, pointer, tuple or struct"),
        );
        false
    }
}

/// How an aggregation is written.
fn agg_name(kind: AggKind) -> &'static str {
    match kind {
        AggKind::Count => "count()",
        AggKind::Sum => "sum()",
        AggKind::Min => "min()",
        AggKind::Max => "max()",
        AggKind::Avg => "avg()",
        AggKind::Stats => "stats()",
        AggKind::Hist => "hist()",
        AggKind::Lhist => "lhist()",
    }
}

pub(super) fn is_histogram(kind: AggKind) -> bool {
    matches!(kind, AggKind::Hist | AggKind::Lhist)
}

pub(super) fn is_array(kind: MapKind) -> bool {
    matches!(kind, MapKind::Array | MapKind::PerCpuArray)
}
