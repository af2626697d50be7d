//! Programs made by hand, which the verifier of the IR takes and the backend compiles.

use super::build;
use crate::ir::{print, verify};
use crate::lower::{compile, optimize};
use crate::sema::hir::*;
use crate::sema::types::{IntTy, Pointee, Ty};
use crate::source::{Origin, Sources, Span};
use crate::target::{Endian, Target};

/// A script that is being made.
struct Script {
    hir: Hir,
    span: Span,
    task: MirrorId,
}

fn class() -> Class {
    Class { level: ClassLevel::Abi, culprit: None }
}

impl Script {
    fn new() -> Script {
        let mut sources = Sources::new();
        let file = sources.add("test.ub", "", Origin::User);
        let span = Span::new(file, 0, 0);
        let mut hir = Hir { ring_bytes: 1 << 18, ..Hir::default() };
        let task = hir.mirrors.alloc(Mirror {
            name: "task_struct_user".into(),
            kernel: "task_struct".into(),
            fields: Vec::new(),
            size: 32,
            align: 8,
            locked: true,
            span,
        });
        let mut script = Script { hir, span, task };
        let s32 = KLeaf::Int(IntTy::S32);
        let pid = script.path(&[&["pid"]], s32);
        let new = script.path(&[&["__state"]], KLeaf::Int(IntTy::U32));
        let old = script.path(&[&["state"]], KLeaf::Int(IntTy::S64));
        let parent = script.path(&[&["real_parent"]], KLeaf::Ptr(Some("task_struct".into())));
        let comm = script.path(&[&["comm"]], KLeaf::Chars(16));
        let bit = script.path(&[&["in_iowait"]], KLeaf::Bits { width: 1, word: IntTy::U32 });
        let pointer = Ty::Ptr(Pointee::Mirror(task));
        script.field("pid", Ty::Int(IntTy::S32), 0, false, vec![pid]);
        script.field("state", Ty::U32, 4, false, vec![new, old]);
        script.field("parent", pointer, 8, false, vec![parent]);
        script.field("comm", Ty::Str(12), 16, false, vec![comm]);
        script.field("in_iowait", Ty::Bool, 28, true, vec![bit]);
        script
    }

    fn field(&mut self, name: &str, ty: Ty, offset: u32, optional: bool, alternatives: Vec<KExpr>) {
        let (name, span) = (name.into(), self.span);
        let field = MirrorField { name, ty, offset, optional, alternatives, doc: None, span };
        self.hir.mirrors[self.task].fields.push(field);
    }

    /// A path through pointers to `task_struct`.
    fn path(&self, hops: &[&[&str]], leaf: KLeaf) -> KExpr {
        let last = hops.len() - 1;
        let hop = |(i, steps): (usize, &&[&str])| KHop {
            root: "task_struct".into(),
            steps: steps.iter().map(|step| KStep::Member((*step).into())).collect(),
            then: if i == last { KThen::Leaf } else { KThen::Deref },
            span: self.span,
        };
        let hops = hops.iter().enumerate().map(hop).collect();
        let path = KPath { hops, leaf, span: self.span };
        KExpr { kind: KExprKind::Path(path), ty: Ty::U64, span: self.span }
    }

    fn map(&mut self, name: &str, kind: MapKind, key: Vec<Ty>, value: MapValue) -> MapId {
        let (name, span) = (name.into(), self.span);
        self.hir.maps.alloc(Map { name, kind, max_entries: 64, key, value, span })
    }

    fn output(&mut self, kind: OutputKind, args: Vec<Ty>) -> OutputId {
        self.hir.outputs.alloc(Output { kind, args, span: self.span })
    }

    fn expr(&self, kind: ExprKind, ty: Ty) -> Expr {
        Expr { kind, ty, span: self.span }
    }

    fn int(&self, number: u64) -> Expr {
        self.expr(ExprKind::Int(number), Ty::U64)
    }

    fn nsecs(&self) -> Expr {
        self.expr(ExprKind::Builtin(Builtin::Nsecs), Ty::U64)
    }

    fn arg(&self, index: u32) -> Expr {
        let places = vec![ArgPlace { prototypes: Vec::new(), index: Some(index) }];
        let arg = Arg { places, nullable: false };
        self.expr(ExprKind::Arg(arg), Ty::Ptr(Pointee::Mirror(self.task)))
    }

    fn get(&self, base: Expr, name: &str) -> Expr {
        let fields = &self.hir.mirrors[self.task].fields;
        let index = fields.iter().position(|f| f.name == name).expect("a field of the mirror");
        let (base, mirror) = (Box::new(base), self.task);
        let field = u32::try_from(index).unwrap();
        self.expr(ExprKind::Field { base, mirror, field }, fields[index].ty.clone())
    }

    fn pid(&self, arg: u32) -> Expr {
        let pid = self.get(self.arg(arg), "pid");
        self.expr(ExprKind::Convert(Box::new(pid)), Ty::U32)
    }

    fn binary(&self, op: BinOp, a: Expr, b: Expr) -> Expr {
        self.expr(ExprKind::Binary(op, Box::new(a), Box::new(b)), Ty::U64)
    }

    fn entry(&self, map: MapId, key: Vec<Expr>) -> MapRef {
        MapRef { map, key, span: self.span }
    }

    fn read(&self, map: MapId, key: Vec<Expr>) -> Expr {
        self.expr(ExprKind::MapGet(self.entry(map, key)), Ty::U64)
    }

    fn stmt(&self, kind: StmtKind) -> Stmt {
        Stmt { kind, span: self.span }
    }

    fn when(&self, cond: Expr, then: Vec<Stmt>) -> Stmt {
        self.stmt(StmtKind::If { cond, then, otherwise: Vec::new() })
    }

    fn program(&mut self, attach: Attach, locals: la_arena::Arena<Local>, body: Vec<Stmt>) {
        let name = format!("program_{}", self.hir.programs.len()).into();
        let span = self.span;
        self.hir.programs.push(Program { name, attach, class: class(), locals, body, span });
    }

    fn tracepoint(&mut self, body: Vec<Stmt>) {
        let attach = Attach::TpBtf("sched_switch".into());
        self.program(attach, la_arena::Arena::new(), body);
    }

    /// The IR after building, and the number of instructions for the default target; for both byte orders every stage takes it.
    fn lower(&self) -> (String, usize) {
        let mut last = None;
        for endian in [Endian::Big, Endian::Little] {
            let target = Target { endian, ..Target::default() };
            let mut module = build(&self.hir, target).expect("it keeps the limits");
            verify::verify_module(&module).unwrap_or_else(|e| {
                panic!("{e}\n{}", print::print(&module));
            });

            optimize(&mut module);
            let optimized = print::print(&module);
            let code = compile(module, &self.hir, target).expect("it fits");
            last = Some((optimized, code.programs.iter().map(|f| f.insns.len()).sum()));
        }
        last.expect("two targets")
    }
}

#[test]
fn run_queue_latency() {
    let mut s = Script::new();
    let start = s.map("start", MapKind::LruHash, vec![Ty::U32], MapValue::Plain(Ty::U64));
    let usecs = s.map("usecs", MapKind::PerCpuArray, vec![], MapValue::Agg(Agg::Hist));
    let wake = s.stmt(StmtKind::MapSet(s.entry(start, vec![s.pid(0)]), s.nsecs()));
    s.tracepoint(vec![wake]);
    let ready = s.binary(BinOp::Eq, s.get(s.arg(1), "state"), s.int(0));
    let again = s.stmt(StmtKind::MapSet(s.entry(start, vec![s.pid(1)]), s.nsecs()));
    let again = s.when(ready, vec![again]);
    let waited = s.binary(BinOp::Sub, s.nsecs(), s.read(start, vec![s.pid(2)]));
    let waited = s.binary(BinOp::DivU, waited, s.int(1000));
    let feed = s.stmt(StmtKind::Aggregate(s.entry(usecs, vec![]), Some(waited)));
    let forget = s.stmt(StmtKind::Delete(s.entry(start, vec![s.pid(2)])));
    let known = s.when(s.read(start, vec![s.pid(2)]), vec![feed, forget]);
    s.tracepoint(vec![again, known]);
    let (text, count) = s.lower();
    println!("{text}\n{count}");
}
