//! The reference evaluator: runs a program of the HIR as the HIR's documentation says, and nothing faster.
//!
//! It shares no code with lowering; layout comes from [`super::state`], the kernel from a [`KernelImage`].

mod mirror;

use super::image::KernelImage;
use super::state::{self, Env, State, entry_size, is_array, key_types, members, size_align};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use ubpfc::sema::hir::*;
use ubpfc::sema::types::{IntTy, Ty};

/// What a run is given.
#[derive(Debug)]
pub struct Input<'a> {
    /// The kernel.
    pub image: &'a KernelImage,
    /// The event whose arguments these are.
    pub event: &'a str,
    /// What the kernel passes, in the order of its own prototype.
    pub args: Vec<u64>,
    /// Builtins.
    pub env: Env,
    /// Parameters that the loader has set.
    pub params: BTreeMap<String, ConstValue>,
}

/// A value: a scalar extended to 64 bits, or bytes in its type's layout.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(u64),
    Mem(Vec<u8>),
}

impl Value {
    fn int(&self) -> u64 {
        match self {
            Value::Int(n) => *n,
            Value::Mem(_) => panic!("a scalar was expected: {self:?}"),
        }
    }

    fn mem(self) -> Vec<u8> {
        match self {
            Value::Mem(bytes) => bytes,
            Value::Int(_) => panic!("a value in memory was expected: {self:?}"),
        }
    }
}

/// How a statement ends.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
    Return,
}

/// A load from outside the packet, which ends the program.
struct Ended;

/// Runs one program; gives what it returns.
pub fn run(hir: &Hir, program: usize, input: &Input, state: &mut State) -> u64 {
    let program = &hir.programs[program];
    let locals = program.locals.iter().map(|(_, l)| zero(hir, &l.ty)).collect();
    let result = program.result.into();
    let mut machine = Machine { hir, input, state, locals, ids: program, result };
    let ran = catch_unwind(AssertUnwindSafe(|| machine.block(&program.body)));
    let result = match ran {
        Ok(_) => machine.result,
        Err(ended) if ended.is::<Ended>() => result,
        Err(panic) => resume_unwind(panic),
    };
    state.settle(hir);
    result
}

struct Machine<'a> {
    hir: &'a Hir,
    ids: &'a Program,
    input: &'a Input<'a>,
    state: &'a mut State,
    locals: Vec<Value>,
    result: u64,
}

fn zero(hir: &Hir, ty: &Ty) -> Value {
    if ty.is_scalar() { Value::Int(0) } else { Value::Mem(vec![0; size_align(hir, ty).0]) }
}

/// A number cut to a type and extended again.
fn cut(value: u64, ty: IntTy) -> u64 {
    let up = 64 - u32::from(ty.bits);
    if ty.signed { ((value << up).cast_signed() >> up).cast_unsigned() } else { value << up >> up }
}

fn scalar_ty(hir: &Hir, ty: &Ty) -> IntTy {
    match ty {
        Ty::Bool => IntTy::U8,
        Ty::Int(int) => *int,
        Ty::Enum(id) => hir.enums[*id].repr,
        Ty::Ptr(_) => IntTy::U64,
        _ => panic!("not a scalar: {ty:?}"),
    }
}

/// The text in a string's bytes.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

/// Text as a string of that size.
fn fill(text: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = text[..text.len().min(size)].to_vec();
    bytes.resize(size, 0);
    bytes
}

fn flag(condition: bool) -> u64 {
    u64::from(condition)
}

fn unary(op: UnOp, x: u64) -> u64 {
    match op {
        UnOp::Neg => x.wrapping_neg(),
        UnOp::Not => !x,
        UnOp::LogNot => flag(x == 0),
    }
}

fn binary(op: BinOp, a: u64, b: u64) -> u64 {
    let (x, y) = (a.cast_signed(), b.cast_signed());
    let shift = u32::try_from(b % 64).expect("below 64");
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::DivU => a.checked_div(b).unwrap_or(0),
        BinOp::DivS if b == 0 => 0,
        BinOp::DivS => x.wrapping_div(y).cast_unsigned(),
        BinOp::RemU => a.checked_rem(b).unwrap_or(a),
        BinOp::RemS if b == 0 => a,
        BinOp::RemS => x.wrapping_rem(y).cast_unsigned(),
        BinOp::Shl => a << shift,
        BinOp::ShrU => a >> shift,
        BinOp::ShrS => (x >> shift).cast_unsigned(),
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Eq => flag(a == b),
        BinOp::Ne => flag(a != b),
        BinOp::LtU => flag(a < b),
        BinOp::LeU => flag(a <= b),
        BinOp::LtS => flag(x < y),
        BinOp::LeS => flag(x <= y),
    }
}

/// The bucket of a `hist`.
fn log2_bucket(value: i64) -> u32 {
    match value {
        ..0 => 0,
        0 => 1,
        1.. => value.ilog2() + 2,
    }
}

/// The bucket of an `lhist`.
fn linear_bucket(value: i64, min: i64, max: i64, step: u64) -> u32 {
    if value < min {
        return 0;
    }
    let top = (i128::from(max) - i128::from(min) + i128::from(step) - 1) / i128::from(step);
    let bucket =
        if value >= max { top } else { (i128::from(value) - i128::from(min)) / i128::from(step) };
    u32::try_from(bucket + 1).expect("few buckets")
}

impl Machine<'_> {
    fn local(&mut self, id: LocalId) -> &mut Value {
        let index =
            self.ids.locals.iter().position(|(l, _)| l == id).expect("a local of this program");
        &mut self.locals[index]
    }

    fn block(&mut self, body: &[Stmt]) -> Flow {
        for stmt in body {
            let flow = self.stmt(stmt);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn stmt(&mut self, stmt: &Stmt) -> Flow {
        match &stmt.kind {
            StmtKind::Assign(local, value) => {
                let value = self.expr(value);
                *self.local(*local) = value;
            }
            StmtKind::MapSet(entry, value) => {
                let key = self.key(entry);
                let value = self.expr(value);
                let bytes = self.stored(entry.map, value);
                self.put(entry.map, key, bytes);
            }
            StmtKind::MapAdd(entry, value) => {
                let key = self.key(entry);
                let by = self.expr(value).int();
                self.add(entry.map, key, 0, by);
            }
            StmtKind::Aggregate(entry, value) => {
                let key = self.key(entry);
                let value = value.as_ref().map_or(0, |v| self.expr(v).int());
                self.aggregate(entry.map, key, value);
            }
            StmtKind::Delete(entry) => {
                let key = self.key(entry);
                if is_array(&self.hir.maps[entry.map]) {
                    // An array keeps its elements: the kernel refuses to delete one.
                } else {
                    self.contents(entry.map).remove(&key);
                }
            }
            StmtKind::Expr(expr) => {
                self.expr(expr);
            }
            StmtKind::If { cond, then, otherwise } => {
                let taken = if self.expr(cond).int() != 0 { then } else { otherwise };
                return self.block(taken);
            }
            StmtKind::For { var, start, end, limit, body } => {
                return self.count(*var, start, end, *limit, body);
            }
            StmtKind::Break => return Flow::Break,
            StmtKind::Continue => return Flow::Continue,
            StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.result = self.expr(value).int();
                }
                return Flow::Return;
            }
            StmtKind::Output(output, args) => self.output(*output, args),
        }
        Flow::Next
    }

    fn count(&mut self, var: LocalId, start: &Expr, end: &Expr, limit: u32, body: &[Stmt]) -> Flow {
        let (start, end) = (self.expr(start).int(), self.expr(end).int());
        let ty = scalar_ty(self.hir, &self.ids.locals[var].ty);
        let below = if ty.signed { BinOp::LtS } else { BinOp::LtU };
        *self.local(var) = Value::Int(start);
        for _ in 0..limit {
            let now = self.local(var).int();
            if binary(below, now, end) == 0 {
                break;
            }
            match self.block(body) {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                Flow::Return => return Flow::Return,
            }
            let next = self.local(var).int().wrapping_add(1);
            *self.local(var) = Value::Int(cut(next, ty));
        }
        Flow::Next
    }

    fn output(&mut self, id: OutputId, args: &[Expr]) {
        let output = &self.hir.outputs[id];
        let (offsets, size, _) = members(self.hir, &[&[Ty::U64], output.args.as_slice()].concat());
        let mut record = vec![0; size];
        let index =
            self.hir.outputs.iter().position(|(o, _)| o == id).expect("an output of this script");
        record[..4].copy_from_slice(&u32::try_from(index).unwrap().to_le_bytes());
        for ((arg, ty), offset) in args.iter().zip(&output.args).zip(&offsets[1..]) {
            let bytes = self.bytes(arg, ty);
            record[*offset..*offset + bytes.len()].copy_from_slice(&bytes);
        }
        self.state.records.push(record);
    }

    /// An expression's value as it is in memory.
    fn bytes(&mut self, expr: &Expr, ty: &Ty) -> Vec<u8> {
        match self.expr(expr) {
            Value::Mem(bytes) => bytes,
            Value::Int(n) => n.to_le_bytes()[..size_align(self.hir, ty).0].to_vec(),
        }
    }

    /// The members of a C struct as bytes.
    fn laid_out(&mut self, values: &[Expr], types: &[Ty]) -> Vec<u8> {
        let (offsets, size, _) = members(self.hir, types);
        let mut bytes = vec![0; size];
        for ((value, ty), offset) in values.iter().zip(types).zip(offsets) {
            let part = self.bytes(value, ty);
            bytes[offset..offset + part.len()].copy_from_slice(&part);
        }
        bytes
    }

    /// A key without its bucket.
    fn key(&mut self, entry: &MapRef) -> Vec<u8> {
        let map = &self.hir.maps[entry.map];
        let mut bytes = self.laid_out(&entry.key, &map.key);
        if map.key.is_empty() {
            bytes.clear();
        }
        if map.key.is_empty() && !matches!(map.value, MapValue::Agg(Agg::Hist | Agg::Lhist { .. }))
        {
            bytes = vec![0; 4];
        }
        bytes
    }

    fn contents(&mut self, map: MapId) -> &mut state::Contents {
        let index = self.hir.maps.iter().position(|(m, _)| m == map).expect("a map of this script");
        &mut self.state.maps[index]
    }

    /// Whether the map has an element for each index, and this is one of them or not.
    fn element(&self, map: MapId, key: &[u8]) -> Option<bool> {
        let map = &self.hir.maps[map];
        let index = key.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        is_array(map).then_some(index < map.max_entries.into())
    }

    fn put(&mut self, map: MapId, key: Vec<u8>, value: Vec<u8>) {
        let full = self.contents(map).len() >= self.hir.maps[map].max_entries as usize;
        let known = self.contents(map).contains_key(&key);
        let fits = self.element(map, &key).unwrap_or(known || !full);
        if fits {
            self.contents(map).insert(key, value);
        }
    }

    /// An entry's bytes, zeros if there is none.
    fn get(&mut self, map: MapId, key: &[u8]) -> Vec<u8> {
        let size = entry_size(self.hir, &self.hir.maps[map]).1;
        self.contents(map).get(key).cloned().unwrap_or_else(|| vec![0; size])
    }

    fn has(&mut self, map: MapId, key: &[u8]) -> bool {
        let known = self.contents(map).contains_key(key);
        self.element(map, key).unwrap_or(known)
    }

    /// Adds to the 64-bit word at an index of an entry.
    fn add(&mut self, map: MapId, key: Vec<u8>, word: usize, by: u64) {
        let old = word_at(&self.get(map, &key), word);
        self.set_word(map, key, word, old.wrapping_add(by));
    }

    fn set_word(&mut self, map: MapId, key: Vec<u8>, word: usize, value: u64) {
        let mut bytes = self.get(map, &key);
        bytes[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
        self.put(map, key, bytes);
    }

    fn stored(&self, map: MapId, value: Value) -> Vec<u8> {
        let size = entry_size(self.hir, &self.hir.maps[map]).1;
        match value {
            Value::Int(n) => n.to_le_bytes()[..size].to_vec(),
            Value::Mem(bytes) => bytes,
        }
    }

    fn aggregate(&mut self, map: MapId, mut key: Vec<u8>, value: u64) {
        let MapValue::Agg(agg) = &self.hir.maps[map].value else {
            panic!("only aggregations are fed")
        };
        match agg {
            Agg::Count => self.add(map, key, 0, 1),
            Agg::Sum { .. } => self.add(map, key, 0, value),
            Agg::Avg { .. } | Agg::Stats { .. } => {
                self.add(map, key.clone(), 0, value);
                self.add(map, key, 1, 1);
            }
            Agg::Min { signed } | Agg::Max { signed } => {
                let old = self.get(map, &key);
                let less = if *signed { BinOp::LtS } else { BinOp::LtU };
                let (a, b) = match agg {
                    Agg::Min { .. } => (value, word_at(&old, 0)),
                    _ => (word_at(&old, 0), value),
                };
                if word_at(&old, 1) == 0 || binary(less, a, b) != 0 {
                    self.set_word(map, key.clone(), 0, value);
                    self.set_word(map, key, 1, 1);
                }
            }
            Agg::Hist => {
                self.bucket(map, &mut key, log2_bucket(value.cast_signed()));
                self.add(map, key, 0, 1);
            }
            Agg::Lhist { min, max, step } => {
                self.bucket(map, &mut key, linear_bucket(value.cast_signed(), *min, *max, *step));
                self.add(map, key, 0, 1);
            }
        }
    }

    /// Puts a bucket after the other parts of a key.
    fn bucket(&self, map: MapId, key: &mut Vec<u8>, bucket: u32) {
        let (offsets, size, _) = members(self.hir, &key_types(&self.hir.maps[map]));
        let at = *offsets.last().expect("the bucket is a part");
        key.resize(at, 0);
        key.extend(bucket.to_le_bytes());
        key.resize(size, 0);
    }

    fn expr(&mut self, expr: &Expr) -> Value {
        let hir = self.hir;
        let int = match &expr.kind {
            ExprKind::Error => panic!("the script has errors"),
            ExprKind::Int(n) => *n,
            ExprKind::Str(text) => return self.string(text.as_bytes(), &expr.ty),
            ExprKind::Enumerator(id, index) => self.enumerator(&hir.enums[*id], *index),
            ExprKind::Param(id) => {
                let param = &hir.params[*id];
                match self.input.params.get(param.name.as_str()).unwrap_or(&param.default) {
                    ConstValue::Int(n) => *n,
                    ConstValue::Str(text) => return self.string(text.as_bytes(), &expr.ty),
                }
            }
            ExprKind::Local(id) => return self.local(*id).clone(),
            ExprKind::Arg(arg) => self.argument(arg, &expr.ty),
            ExprKind::Builtin(builtin) => return self.builtin(*builtin),
            ExprKind::Field { base, mirror, field } => {
                let base = self.expr(base).int();
                return self.field(base, *mirror, *field);
            }
            ExprKind::HasField { mirror, field } => {
                let field = &hir.mirrors[*mirror].fields[*field as usize];
                flag(field.alternatives.iter().any(|k| self.is_taken(k, &field.ty)))
            }
            ExprKind::Load { base, mirror } => {
                let base = self.expr(base).int();
                return Value::Mem(self.whole(base, *mirror));
            }
            ExprKind::Member(base, index) => return self.member(base, *index, &expr.ty),
            ExprKind::Index(base, index) => {
                let bytes = self.expr(base).mem();
                let index = self.expr(index).int();
                let size = size_align(hir, &expr.ty).0 as u64;
                let inside =
                    |at: &u64| at.checked_add(size).is_some_and(|end| end <= bytes.len() as u64);
                let at = index.checked_mul(size).filter(inside);
                return match at {
                    Some(at) => self.part(&bytes, usize::try_from(at).unwrap(), &expr.ty),
                    None => zero(hir, &expr.ty),
                };
            }
            ExprKind::Unary(op, x) => unary(*op, self.expr(x).int()),
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.expr(a).int(), self.expr(b).int());
                binary(*op, a, b)
            }
            ExprKind::MemEq { left, right, negate } => {
                let strings = matches!((&left.ty, &right.ty), (Ty::Str(_), Ty::Str(_)));
                let (a, b) = (self.expr(left).mem(), self.expr(right).mem());
                let equal =
                    if strings && a.len() != b.len() { text(&a) == text(&b) } else { a == b };
                flag(equal != *negate)
            }
            ExprKind::LogAnd(a, b) => flag(self.expr(a).int() != 0 && self.expr(b).int() != 0),
            ExprKind::LogOr(a, b) => flag(self.expr(a).int() != 0 || self.expr(b).int() != 0),
            ExprKind::Cond(cond, then, otherwise) => {
                let taken = if self.expr(cond).int() != 0 { then } else { otherwise };
                return self.expr(taken);
            }
            ExprKind::Convert(x) => match self.expr(x) {
                Value::Int(n) if expr.ty == Ty::Bool => flag(n != 0),
                Value::Int(n) => cut(n, scalar_ty(hir, &expr.ty)),
                Value::Mem(bytes) => {
                    return Value::Mem(fill(&bytes, size_align(hir, &expr.ty).0));
                }
            },
            ExprKind::MapGet(entry) => {
                let key = self.key(entry);
                let bytes = self.get(entry.map, &key);
                match &expr.ty {
                    ty if ty.is_scalar() && bytes.len() == 8 => word_at(&bytes, 0),
                    ty => return self.part(&bytes, 0, ty),
                }
            }
            ExprKind::HasKey(entry) => {
                let key = self.key(entry);
                flag(self.has(entry.map, &key))
            }
            ExprKind::Len(map) if is_array(&hir.maps[*map]) => hir.maps[*map].max_entries.into(),
            ExprKind::Len(map) => self.contents(*map).len() as u64,
            ExprKind::MapStep { entry, delta, postfix } => {
                let key = self.key(entry);
                let old = word_at(&self.get(entry.map, &key), 0);
                let new = old.wrapping_add_signed((*delta).into());
                self.add(entry.map, key, 0, i64::from(*delta).cast_unsigned());
                if *postfix { old } else { new }
            }
            ExprKind::LocalStep { local, delta, postfix } => {
                let ty = scalar_ty(hir, &self.ids.locals[*local].ty);
                let old = self.local(*local).int();
                let new = cut(old.wrapping_add_signed((*delta).into()), ty);
                *self.local(*local) = Value::Int(new);
                if *postfix { old } else { new }
            }
            ExprKind::ReadStr { addr, .. } => {
                let addr = self.expr(addr).int();
                let size = size_align(hir, &expr.ty).0;
                let bytes: Vec<u8> = (0..size.saturating_sub(1) as u64)
                    .map_while(|i| self.input.image.read(addr.wrapping_add(i), 1).map(|b| b[0]))
                    .collect();
                return Value::Mem(fill(text(&bytes), size));
            }
            ExprKind::Fetch { addr, width } => {
                let addr = self.expr(addr).int();
                let mut word = [0; 8];
                if let Some(bytes) = self.input.image.read(addr, width.size() as usize) {
                    word[..bytes.len()].copy_from_slice(bytes);
                }
                cut(u64::from_le_bytes(word), *width)
            }
            ExprKind::Skb(field, read) => self.skb(field.offset, *read),
            ExprKind::Packet { offset, width } => {
                let offset = self.expr(offset);
                self.packet(offset.int().cast_signed(), width.size() as usize)
            }
            ExprKind::Aggregate(parts) => {
                let types = self.types(&expr.ty);
                return Value::Mem(self.laid_out(parts, &types));
            }
        };
        Value::Int(int)
    }

    /// A field of `struct __sk_buff`, which the context holds.
    fn skb(&self, offset: i16, read: SkbRead) -> u64 {
        let bytes: Vec<u8> = self.input.args.iter().flat_map(|a| a.to_le_bytes()).collect();
        let at = usize::try_from(offset).unwrap();
        let value = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        match read {
            SkbRead::Host => u16::try_from(value).unwrap().swap_bytes().into(),
            SkbRead::OrEnd if value == 0 => resume_unwind(Box::new(Ended)),
            SkbRead::Plain | SkbRead::OrEnd => value.into(),
        }
    }

    /// Bytes of the packet as a number, the first one on top.
    fn packet(&self, offset: i64, size: usize) -> u64 {
        let (packet, network) = &self.input.env.packet;
        let at = match offset {
            0.. => usize::try_from(offset).ok(),
            -0x10_0000..0 => usize::try_from(offset + 0x10_0000).ok().map(|at| at + network),
            -0x20_0000..-0x10_0000 => usize::try_from(offset + 0x20_0000).ok(),
            _ => None,
        };
        let bytes = at.and_then(|at| packet.get(at..at.checked_add(size)?));
        let Some(bytes) = bytes else { resume_unwind(Box::new(Ended)) };
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn string(&self, text: &[u8], ty: &Ty) -> Value {
        Value::Mem(fill(text, size_align(self.hir, ty).0))
    }

    /// The types of the members of a tuple or struct.
    fn types(&self, ty: &Ty) -> Vec<Ty> {
        match ty {
            Ty::Tuple(parts) => parts.to_vec(),
            Ty::Struct(id) => self.hir.structs[*id].fields.iter().map(|f| f.ty.clone()).collect(),
            Ty::Mirror(id) => self.hir.mirrors[*id].fields.iter().map(|f| f.ty.clone()).collect(),
            _ => panic!("it has no members: {ty:?}"),
        }
    }

    fn member(&mut self, base: &Expr, index: u32, ty: &Ty) -> Value {
        let (offsets, _, _) = members(self.hir, &self.types(&base.ty));
        let bytes = self.expr(base).mem();
        self.part(&bytes, offsets[index as usize], ty)
    }

    /// A value of a type in bytes.
    fn part(&self, bytes: &[u8], at: usize, ty: &Ty) -> Value {
        let bytes = &bytes[at..at + size_align(self.hir, ty).0];
        if !ty.is_scalar() {
            return Value::Mem(bytes.to_vec());
        }
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Value::Int(cut(u64::from_le_bytes(word), scalar_ty(self.hir, ty)))
    }

    fn builtin(&self, builtin: Builtin) -> Value {
        let env = &self.input.env;
        Value::Int(match builtin {
            Builtin::Pid => env.pid_tgid >> 32,
            Builtin::Tid => env.pid_tgid & 0xffff_ffff,
            Builtin::Uid => env.uid_gid & 0xffff_ffff,
            Builtin::Gid => env.uid_gid >> 32,
            Builtin::Comm => return Value::Mem(env.comm.to_vec()),
            // The loader has not said when the script was started.
            Builtin::Nsecs | Builtin::Elapsed => env.nsecs,
            Builtin::Cpu => env.cpu.into(),
            Builtin::Curtask => env.task,
            Builtin::Cgroup => env.cgroup,
            Builtin::Rand => env.rand.into(),
        })
    }

    /// An argument, found in the prototype that has the parameter names of the image's.
    fn argument(&self, arg: &Arg, ty: &Ty) -> u64 {
        let event = Event::tracepoint(self.input.event);
        let names = self.input.image.events.get(self.input.event);
        let is_target = |id: &PrototypeId| {
            let prototype = &self.hir.prototypes[*id];
            names.is_some_and(|n| prototype.params.iter().map(|p| p.name.as_str()).eq(n))
        };
        let places: Vec<_> = arg.places_in(&event).collect();
        let place = match places.as_slice() {
            [only] => only,
            all => all
                .iter()
                .find(|p| p.prototypes.iter().any(is_target))
                .expect("the image's prototype is one of the known"),
        };
        let value = place.index.map_or(0, |i| self.input.args[i as usize]);
        cut(value, scalar_ty(self.hir, ty))
    }

    fn enumerator(&self, owner: &Enum, index: u32) -> u64 {
        match &owner.enumerators[index as usize].value {
            EnumeratorValue::Const(n) => *n,
            EnumeratorValue::Kernel { names, .. } => {
                let kernel = owner.kernel.as_deref().expect("a mirrored enum");
                let found = names.iter().find_map(|n| self.input.image.enumerator(kernel, n));
                cut(found.unwrap_or(-1).cast_unsigned(), owner.repr)
            }
        }
    }
}

fn word_at(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(bytes[index * 8..index * 8 + 8].try_into().expect("eight bytes"))
}
