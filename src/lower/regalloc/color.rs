//! The interference graph and its colouring.

use super::super::machine::{Inst, MachineFunc, Reg};
use super::TooComplex;
use rustc_hash::FxHashSet;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many colours there are.
const K: usize = Reg::FIXED as usize;
/// How many registers may be live at once: a frame of 512 bytes and the machine's registers hold 74 values, and several registers may be one value.
const MAX_LIVE: usize = 400;
/// How many pairs may interfere.
const MAX_EDGES: usize = 1 << 22;
/// The order in which colours are tried: those that calls do not keep first.
const PREFERENCE: [u32; K] = [1, 2, 3, 4, 5, 0, 6, 7, 8, 9];

/// What colouring gives.
pub(super) struct Coloring {
    /// By register: its colour. Of no meaning for those that share a place with a spilled one.
    pub(super) color: Vec<Reg>,
    /// By register: the register that stands for it.
    pub(super) alias: Vec<u32>,
    /// The registers, standing for themselves, that found no colour.
    pub(super) spilled: Vec<u32>,
    /// By register: those it interferes with, for registers that stand for themselves.
    pub(super) adjacent: Vec<Vec<u32>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fixed,
    /// Of low degree, in no copy.
    Simplify,
    /// Of low degree, in a copy.
    Freeze,
    /// Of high degree.
    Spill,
    /// Taken out of the graph, to be coloured last in, first out.
    Stacked,
    /// Another register stands for it.
    Coalesced,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MoveState {
    /// To be looked at.
    Work,
    /// Not possible yet.
    Active,
    /// Done with, either way.
    Done,
}

struct Move {
    dst: u32,
    src: u32,
    state: MoveState,
}

/// The graph while it is worked on.
pub(super) struct Graph {
    adjacent: Vec<Vec<u32>>,
    edges: Edges,
    degree: Vec<usize>,
    cost: Vec<u64>,
    state: Vec<State>,
    alias: Vec<u32>,
    moves: Vec<Move>,
    moves_of: Vec<Vec<u32>>,
    simplify: Vec<u32>,
    freeze: Vec<u32>,
    spill: BinaryHeap<Reverse<(u64, u32)>>,
    work: Vec<u32>,
    stack: Vec<u32>,
}

impl Graph {
    /// Builds the graph. Registers that are `temps` are spilled last.
    pub(super) fn new(
        func: &MachineFunc,
        live_out: &[Vec<Reg>],
        temps: &[bool],
    ) -> Result<Graph, TooComplex> {
        let count = func.regs as usize;
        let mut graph = Graph {
            adjacent: vec![Vec::new(); count],
            edges: Edges::default(),
            degree: vec![0; count],
            cost: vec![0; count],
            state: vec![State::Simplify; count],
            alias: (0..func.regs).collect(),
            moves: Vec::new(),
            moves_of: vec![Vec::new(); count],
            simplify: Vec::new(),
            freeze: Vec::new(),
            spill: BinaryHeap::new(),
            work: Vec::new(),
            stack: Vec::new(),
        };
        for reg in 0..K {
            graph.state[reg] = State::Fixed;
            graph.degree[reg] = usize::MAX / 2;
        }
        for a in 0..Reg::FIXED {
            (0..a).for_each(|b| _ = graph.edges.insert(a, b));
        }
        let mut live = LiveSet { list: Vec::new(), place: vec![u32::MAX; count] };
        let mut edge_moves = usize::MAX;
        for (b, (block, out)) in func.blocks.iter().zip(live_out).enumerate() {
            if b == func.first_edge {
                edge_moves = graph.moves.len();
            }
            graph.scan(block, out, &mut live)?;
        }
        for (cost, temp) in graph.cost.iter_mut().zip(temps) {
            if *temp {
                *cost = u64::MAX >> 16;
            }
        }
        for reg in Reg::FIXED..func.regs {
            graph.enlist(reg);
        }
        let edge_moves = edge_moves.min(graph.moves.len());
        // The last in is the first out. A copy on the edge of a branch costs a jump, too, so those are looked at first.
        let (inner, edges) = (0..edge_moves, edge_moves..graph.moves.len());
        let order = inner.rev().chain(edges);
        graph.work = order.filter_map(|m| u32::try_from(m).ok()).collect();
        Ok(graph)
    }

    /// Walks a block backwards with the set of live registers.
    fn scan(
        &mut self,
        block: &super::super::machine::Block,
        out: &[Reg],
        live: &mut LiveSet,
    ) -> Result<(), TooComplex> {
        let weight = 10u64.pow(block.depth.min(4));
        live.clear();
        for reg in out {
            live.insert(*reg);
        }
        block.term.each_use(|r| {
            self.cost[r.ix()] += weight;
            live.insert(r);
        });
        for (inst, _) in block.insts.iter().rev() {
            if let Inst::Copy { dst, src } = inst {
                live.remove(*src);
                self.add_move(*dst, *src);
            }
            inst.each_def(|r| live.insert(r));
            inst.each_def(|d| live.list.iter().for_each(|l| self.add_edge(d.0, l.0)));
            inst.each_named(|r, _, _| self.cost[r.ix()] += weight);
            inst.each_def(|r| live.remove(r));
            inst.each_use(|r| live.insert(r));
            if live.list.len() > MAX_LIVE || self.edges.pairs.len() > MAX_EDGES {
                return Err(TooComplex);
            }
        }
        Ok(())
    }

    fn add_move(&mut self, dst: Reg, src: Reg) {
        if dst == src {
            return;
        }
        let id = u32::try_from(self.moves.len()).expect("fewer copies than instructions");
        self.moves.push(Move { dst: dst.0, src: src.0, state: MoveState::Work });
        // Fixed registers need no list: a copy is looked at again when its other side has fewer neighbours.
        for side in [dst, src].into_iter().filter(|r| !r.is_fixed()) {
            self.moves_of[side.ix()].push(id);
        }
    }

    fn add_edge(&mut self, a: u32, b: u32) {
        if a != b && self.edges.insert(a, b) {
            for (from, to) in [(a, b), (b, a)] {
                if from >= Reg::FIXED {
                    self.adjacent[from as usize].push(to);
                    self.degree[from as usize] += 1;
                }
            }
        }
    }

    fn is_fixed(&self, n: u32) -> bool {
        self.state[n as usize] == State::Fixed
    }

    /// Puts a register into the list that it belongs to.
    fn enlist(&mut self, n: u32) {
        let i = n as usize;
        if self.degree[i] >= K {
            self.state[i] = State::Spill;
            let degree = u64::try_from(self.degree[i]).unwrap_or(u64::MAX);
            self.spill.push(Reverse((self.cost[i].saturating_mul(1024) / degree, n)));
        } else if self.in_copy(n) {
            self.state[i] = State::Freeze;
            self.freeze.push(n);
        } else {
            self.state[i] = State::Simplify;
            self.simplify.push(n);
        }
    }

    fn in_copy(&self, n: u32) -> bool {
        let open = |m: &u32| self.moves[*m as usize].state != MoveState::Done;
        self.moves_of[n as usize].iter().any(open)
    }

    fn is_there(&self, n: u32) -> bool {
        !matches!(self.state[n as usize], State::Stacked | State::Coalesced)
    }

    /// The neighbours that are still in the graph. The others are forgotten: they are coloured later, and look here themselves.
    fn neighbours(&mut self, n: u32) -> Vec<u32> {
        let mut list = std::mem::take(&mut self.adjacent[n as usize]);
        list.retain(|m| self.is_there(*m));
        self.adjacent[n as usize].clone_from(&list);
        list
    }

    /// Colours the graph.
    pub(super) fn color(mut self) -> Coloring {
        loop {
            if let Some(n) = self.simplify.pop() {
                if self.state[n as usize] == State::Simplify {
                    self.take_out(n);
                }
            } else if let Some(m) = self.work.pop() {
                self.coalesce(m);
            } else if let Some(n) = self.freeze.pop() {
                if self.state[n as usize] == State::Freeze {
                    self.give_up_copies(n);
                    self.state[n as usize] = State::Simplify;
                    self.simplify.push(n);
                }
            } else if let Some(Reverse((_, n))) = self.spill.pop() {
                if self.state[n as usize] == State::Spill {
                    self.give_up_copies(n);
                    self.state[n as usize] = State::Simplify;
                    self.simplify.push(n);
                }
            } else {
                return self.assign();
            }
        }
    }

    fn take_out(&mut self, n: u32) {
        self.state[n as usize] = State::Stacked;
        self.stack.push(n);
        for m in self.neighbours(n) {
            self.lower_degree(m);
        }
    }

    fn lower_degree(&mut self, n: u32) {
        if self.is_fixed(n) {
            return;
        }
        let i = n as usize;
        self.degree[i] -= 1;
        if self.degree[i] + 1 == K {
            self.enable_moves(n);
            for m in self.neighbours(n) {
                self.enable_moves(m);
            }
            if self.state[i] == State::Spill {
                self.enlist(n);
            }
        }
    }

    fn enable_moves(&mut self, n: u32) {
        for m in &self.moves_of[n as usize] {
            let state = &mut self.moves[*m as usize].state;
            if *state == MoveState::Active {
                *state = MoveState::Work;
                self.work.push(*m);
            }
        }
    }

    fn representative(&mut self, mut n: u32) -> u32 {
        while self.alias[n as usize] != n {
            let next = self.alias[self.alias[n as usize] as usize];
            self.alias[n as usize] = next;
            n = next;
        }
        n
    }

    fn coalesce(&mut self, m: u32) {
        let Move { dst, src, state } = self.moves[m as usize];
        if state != MoveState::Work {
            return;
        }
        let (mut u, mut v) = (self.representative(dst), self.representative(src));
        if self.is_fixed(v) {
            (u, v) = (v, u);
        }
        if u == v {
            self.moves[m as usize].state = MoveState::Done;
            self.may_simplify(u);
        } else if self.is_fixed(v) || self.edges.contain(u, v) {
            self.moves[m as usize].state = MoveState::Done;
            self.may_simplify(u);
            self.may_simplify(v);
        } else if self.can_combine(u, v) {
            self.moves[m as usize].state = MoveState::Done;
            let size = |n: u32| self.adjacent[n as usize].len();
            if !self.is_fixed(u) && size(u) < size(v) {
                (u, v) = (v, u);
            }
            self.combine(u, v);
            self.may_simplify(u);
        } else {
            self.moves[m as usize].state = MoveState::Active;
        }
    }

    fn may_simplify(&mut self, n: u32) {
        if self.state[n as usize] == State::Freeze && !self.in_copy(n) {
            self.enlist(n);
        }
    }

    /// Whether the graph stays as colourable as it was when `v` becomes `u`.
    fn can_combine(&self, u: u32, v: u32) -> bool {
        let of = |n: u32| self.adjacent[n as usize].iter().filter(|t| self.is_there(**t));
        let low = |t: u32| self.degree[t as usize] < K;
        let meet = |t: u32, n: u32| self.edges.contain(t, n);
        // George: each neighbour of the one is of low degree or already a neighbour of the other.
        if of(v).all(|t| low(*t) || meet(*t, u)) {
            return true;
        }
        if self.is_fixed(u) {
            return false;
        }
        if of(u).all(|t| low(*t) || meet(*t, v)) {
            return true;
        }
        // Briggs: together they have few neighbours of high degree.
        let high = |t: &&u32| {
            let both = meet(**t, u) && meet(**t, v);
            let degree = self.degree[**t as usize];
            (if both && !self.is_fixed(**t) { degree - 1 } else { degree }) >= K
        };
        let more = of(v).filter(|t| !meet(**t, u));
        of(u).chain(more).filter(high).take(K).count() < K
    }

    fn combine(&mut self, u: u32, v: u32) {
        self.state[v as usize] = State::Coalesced;
        self.alias[v as usize] = u;
        self.enable_moves(v);
        let mut moves = std::mem::take(&mut self.moves_of[v as usize]);
        if !self.is_fixed(u) {
            moves.append(&mut self.moves_of[u as usize]);
            moves.retain(|m| self.moves[*m as usize].state != MoveState::Done);
            self.moves_of[u as usize] = moves;
        }
        self.cost[u as usize] = self.cost[u as usize].saturating_add(self.cost[v as usize]);
        self.enable_moves(u);
        for t in self.neighbours(v) {
            self.add_edge(t, u);
            self.lower_degree(t);
        }
        if self.state[u as usize] == State::Freeze && self.degree[u as usize] >= K {
            self.enlist(u);
        }
    }

    fn give_up_copies(&mut self, n: u32) {
        for m in self.moves_of[n as usize].clone() {
            let Move { dst, src, state } = self.moves[m as usize];
            if state == MoveState::Done {
                continue;
            }
            self.moves[m as usize].state = MoveState::Done;
            let (a, b) = (self.representative(dst), self.representative(src));
            self.may_simplify(if a == n { b } else { a });
        }
    }

    fn assign(mut self) -> Coloring {
        let count = u32::try_from(self.state.len()).expect("registers are numbered by u32");
        let alias: Vec<u32> = (0..count).map(|n| self.representative(n)).collect();
        let stands_for = |n: u32| alias[n as usize] as usize;
        let mut color: Vec<Option<u32>> = vec![None; self.state.len()];
        (0..Reg::FIXED).for_each(|r| color[r as usize] = Some(r));
        let mut spilled = Vec::new();
        while let Some(n) = self.stack.pop() {
            let mut taken = [false; K];
            for m in &self.adjacent[n as usize] {
                if let Some(c) = color[stands_for(*m)] {
                    taken[c as usize] = true;
                }
            }
            // A copy that could not be coalesced may still turn out to have one colour on both sides.
            let partner = self.moves_of[n as usize].iter().find_map(|m| {
                let Move { dst, src, .. } = self.moves[*m as usize];
                let (a, b) = (stands_for(dst), stands_for(src));
                let other = if a == n as usize { b } else { a };
                color[other].filter(|c| !taken[*c as usize])
            });
            let free = || PREFERENCE.into_iter().find(|c| !taken[*c as usize]);
            match partner.or_else(free) {
                Some(c) => color[n as usize] = Some(c),
                None => spilled.push(n),
            }
        }
        let of = |n: u32| Reg(color[stands_for(n)].unwrap_or(0));
        let color = (0..count).map(of).collect();
        Coloring { color, alias, spilled, adjacent: self.adjacent }
    }
}

/// The pairs of registers that interfere.
#[derive(Default)]
struct Edges {
    /// The lesser first.
    pairs: FxHashSet<(u32, u32)>,
}

impl Edges {
    /// Whether the pair is new.
    fn insert(&mut self, a: u32, b: u32) -> bool {
        self.pairs.insert((a.min(b), a.max(b)))
    }

    fn contain(&self, a: u32, b: u32) -> bool {
        self.pairs.contains(&(a.min(b), a.max(b)))
    }
}

/// A set of registers that lists its members.
struct LiveSet {
    list: Vec<Reg>,
    place: Vec<u32>,
}

impl LiveSet {
    fn insert(&mut self, reg: Reg) {
        if self.place[reg.ix()] == u32::MAX {
            self.place[reg.ix()] = u32::try_from(self.list.len()).expect("a few hundred");
            self.list.push(reg);
        }
    }

    fn remove(&mut self, reg: Reg) {
        let place = std::mem::replace(&mut self.place[reg.ix()], u32::MAX);
        if place != u32::MAX {
            self.list.swap_remove(place as usize);
            if let Some(moved) = self.list.get(place as usize) {
                self.place[moved.ix()] = place;
            }
        }
    }

    fn clear(&mut self) {
        self.list.drain(..).for_each(|r| self.place[r.ix()] = u32::MAX);
    }
}
