//! Statements and loops.

use super::func::{Fact, Join};
use super::kernel::Text;
use super::{Loop, Program, walk};
use crate::ir::{BinOp, CmpOp, Cond};
use crate::sema::hir::{Expr, ExprKind, LocalId, Stmt, StmtKind};
use std::collections::BTreeSet;

/// What the kernel's verifier goes through at most (v6.12 include/linux/bpf.h: `BPF_COMPLEXITY_LIMIT_INSNS`).
pub(super) const MAX_WORK: u64 = 1_000_000;

/// The instructions of a round beside its body: the comparison, the step and the jump.
const LOOP_WORK: u64 = 3;

impl<'h> Program<'_, 'h> {
    /// Statements in order, up to the first that the program does not get past.
    pub(super) fn stmts(&mut self, stmts: &'h [Stmt]) {
        for stmt in stmts {
            if !self.f.is_live() {
                return;
            }
            let outer = std::mem::replace(&mut self.f.span, stmt.span);
            self.stmt(stmt);
            self.f.span = outer;
        }
    }

    fn stmt(&mut self, stmt: &'h Stmt) {
        match &stmt.kind {
            StmtKind::Assign(local, value) => self.assign(*local, value),
            StmtKind::MapSet(entry, value) => self.map_set(entry, value),
            StmtKind::MapAdd(entry, value) => self.map_add(entry, value),
            StmtKind::Aggregate(entry, value) => self.aggregate(entry, value.as_ref()),
            StmtKind::Delete(entry) => self.delete(entry),
            StmtKind::Expr(expr) if expr.ty.is_scalar() => {
                self.scalar(expr);
            }
            StmtKind::Expr(expr) => {
                if walk::has_effect(expr) {
                    self.place_of(expr);
                }
            }
            StmtKind::If { cond, then, otherwise } => {
                let (mut yes, mut no, mut done) = (Join::new(), Join::new(), Join::new());
                self.cond(cond, &mut yes, &mut no);
                for (way, body) in [(yes, then), (no, otherwise)] {
                    self.f.enter(way);
                    self.stmts(body);
                    self.f.jump(&mut done, Vec::new());
                }
                self.f.enter(done);
            }
            StmtKind::For { var, start, end, limit, body } => {
                self.for_loop(*var, start, end, *limit, body);
            }
            StmtKind::Break => {
                if let Some(innermost) = self.loops.last_mut() {
                    self.f.jump(&mut innermost.done, Vec::new());
                }
            }
            StmtKind::Continue => {
                if let Some(innermost) = self.loops.last_mut() {
                    self.f.jump(&mut innermost.next, Vec::new());
                }
            }
            StmtKind::Return(None) => self.f.ret(),
            StmtKind::Return(Some(value)) => {
                let value = self.scalar(value);
                self.f.ret_value(value);
            }
            StmtKind::Output(id, args) => self.output(*id, args),
        }
    }

    fn assign(&mut self, local: LocalId, value: &'h Expr) {
        if value.ty.is_scalar() {
            let value = self.scalar(value);
            self.f.remember(Fact::Local(local), value);
            return;
        }
        let place = self.local_place(local);
        if walk::reads(value, local) {
            // Written in place, the value would be overwritten while it is read.
            let size = self.size_of(&value.ty);
            let copy = self.temp(size, format!("new ${}", self.source.locals[local].name));
            self.write(value, copy, Text::Canonical);
            self.copy(place, copy, size);
        } else {
            self.write(value, place, Text::Canonical);
        }
    }

    /// A loop over a counter of its own, so that the verifier sees it go up whatever the body does to the variable.
    fn for_loop(
        &mut self,
        var: LocalId,
        start: &'h Expr,
        end: &'h Expr,
        limit: u32,
        body: &'h [Stmt],
    ) {
        let constant = |expr: &Expr| matches!(expr.kind, ExprKind::Int(_));
        let bounded = constant(start) && constant(end);
        let bounds = start.span.to(end.span);
        let first = self.scalar(start);
        let end = self.scalar(end);
        let zero = self.f.number(0);
        let mut assigned = BTreeSet::new();
        walk::assigned(body, &mut assigned);
        let assigned: Vec<LocalId> = assigned.into_iter().collect();
        let from = if bounded { first } else { zero };
        let (header, params) = self.f.begin_loop(&[from], &assigned);
        let counter = params[0];
        self.loops.push(Loop::default());
        let before = self.f.work;
        let value = if bounded {
            counter
        } else {
            // Neither the start nor the end need be numbers to the verifier; how many rounds there are is one.
            let cond = self.f.cond_number(CmpOp::LtU, counter, u64::from(limit));
            self.leave_loop_unless(cond);
            self.f.bin(BinOp::Add, first, counter)
        };
        let signed = self.int_of(&self.source.locals[var].ty).signed;
        let op = if signed { CmpOp::LtS } else { CmpOp::LtU };
        self.leave_loop_unless(Cond { op, a: value, b: end });
        self.f.remember(Fact::Local(var), value);
        self.stmts(body);
        let this = self.loops.pop().unwrap_or_default();
        let round = self.f.work - before + LOOP_WORK;
        self.f.work = before.saturating_add(round.saturating_mul(limit.into()));
        if self.loops.is_empty() && self.f.work > MAX_WORK {
            self.unit.too_much_work(bounds, self.f.work);
        }
        let mut next = this.next;
        self.f.jump(&mut next, Vec::new());
        self.f.enter(next);
        if self.f.is_live() {
            let counter = self.f.bin_number(BinOp::Add, counter, 1);
            self.f.repeat(&header, vec![counter]);
        }
        self.f.enter(this.done);
    }

    fn leave_loop_unless(&mut self, cond: Cond) {
        let mut stay = Join::new();
        if let Some(innermost) = self.loops.last_mut() {
            self.f.branch(cond, &mut stay, &mut innermost.done);
            self.f.enter(stay);
        }
    }
}
