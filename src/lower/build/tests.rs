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
        let alternative = |value| Alternative { value, guards: Vec::new(), span };
        let alternatives = alternatives.into_iter().map(alternative).collect();
        let field = MirrorField { name, ty, offset, optional, alternatives, doc: None, span };
        self.hir.mirrors[self.task].fields.push(field);
    }

    /// A path through pointers to `task_struct`.
    fn path(&self, hops: &[&[&str]], leaf: KLeaf) -> KExpr {
        let last = hops.len() - 1;
        let hop = |(i, steps): (usize, &&[&str])| KHop {
            entry: KEntry::Typed,
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
        let place = |event| ArgPlace {
            event: Event::tracepoint(event),
            prototypes: Vec::new(),
            index: Some(index),
        };
        let places = ["sched_switch", "sched_wakeup"].map(place).to_vec();
        let arg = Arg { places, names: Vec::new(), nullable: false };
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
        self.hir.programs.push(Program {
            name,
            attach,
            others: Vec::new(),
            optional: false,
            class: class(),
            locals,
            body,
            result: 0,
            span,
        });
    }

    fn tracepoint(&mut self, body: Vec<Stmt>) {
        let attach = Attach::Event(Event::tracepoint("sched_switch"));
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
    s.program(Attach::Event(Event::tracepoint("sched_wakeup")), la_arena::Arena::new(), vec![wake]);
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
    assert_eq!(text.matches("call bpf_map_lookup_elem").count(), 2, "{text}");
    assert_eq!(text.matches("call bpf_ktime_get_boot_ns").count(), 3, "{text}");
    assert!(count < 110, "{count}");
}

#[test]
fn records_are_built_in_place() {
    let mut s = Script::new();
    let comm = s.expr(ExprKind::Builtin(Builtin::Comm), Ty::Str(16));
    let args = vec![Ty::Int(IntTy::U8), Ty::Str(16), Ty::U64, Ty::Str(12), Ty::Str(5)];
    let line = s.output(OutputKind::Printf("%d %s %d %s %s".into()), args);
    let task = s.output(OutputKind::Emit, vec![Ty::Mirror(s.task)]);
    let small = s.expr(ExprKind::Int(7), Ty::Int(IntTy::U8));
    let name = s.get(s.arg(1), "comm");
    let text = s.expr(ExprKind::Str("hello".into()), Ty::Str(5));
    let cpu = s.expr(ExprKind::Builtin(Builtin::Cpu), Ty::U64);
    let print = s.stmt(StmtKind::Output(line, vec![small, comm, cpu, name, text]));
    let mirror = s.task;
    let parent = s.get(s.get(s.arg(2), "parent"), "parent");
    let whole = s.expr(ExprKind::Load { base: Box::new(parent), mirror }, Ty::Mirror(mirror));
    let emit = s.stmt(StmtKind::Output(task, vec![whole]));
    s.tracepoint(vec![print, emit]);
    let (text, _) = s.lower();
    assert_eq!(text.matches("bpf_ringbuf_submit").count(), 2, "{text}");
    assert!(!text.contains("bpf_probe_read"), "{text}");
}

#[test]
fn small_records_are_copied_in_one_call() {
    let mut s = Script::new();
    let line = s.output(OutputKind::Printf("%d".into()), vec![Ty::U64]);
    let cpu = s.expr(ExprKind::Builtin(Builtin::Cpu), Ty::U64);
    let print = s.stmt(StmtKind::Output(line, vec![cpu]));
    s.tracepoint(vec![print]);
    let (text, _) = s.lower();
    assert_eq!(text.matches("bpf_ringbuf_output").count(), 1, "{text}");
    assert!(!text.contains("bpf_ringbuf_reserve"), "{text}");
}

#[test]
fn pointers_that_the_verifier_does_not_know_are_probed() {
    let mut s = Script::new();
    let curtask = s.expr(ExprKind::Builtin(Builtin::Curtask), Ty::Ptr(Pointee::Mirror(s.task)));
    let state = s.map("state", MapKind::Hash, vec![Ty::Str(12)], MapValue::Plain(Ty::U64));
    let name = s.get(curtask, "comm");
    let curtask = s.expr(ExprKind::Builtin(Builtin::Curtask), Ty::Ptr(Pointee::Mirror(s.task)));
    let bit = s.get(s.get(curtask, "parent"), "in_iowait");
    let add = s.stmt(StmtKind::MapAdd(s.entry(state, vec![name]), bit));
    let known = s.get(s.get(s.arg(1), "parent"), "in_iowait");
    let name = s.get(s.arg(1), "comm");
    let more = s.stmt(StmtKind::MapAdd(s.entry(state, vec![name]), known));
    s.tracepoint(vec![add, more]);
    let (text, _) = s.lower();
    // The parent's pointer and the bit by `curtask`; text by either way, since it becomes a key.
    assert_eq!(text.matches("call bpf_probe_read_kernel(").count(), 2, "{text}");
    assert_eq!(text.matches("call bpf_probe_read_kernel_str(").count(), 2, "{text}");
    assert_eq!(text.matches("load.d kernel").count(), 2, "{text}");
}

#[test]
fn aggregations_loops_and_texts() {
    let mut s = Script::new();
    let pair = vec![Ty::Str(12), Ty::Int(IntTy::U8)];
    let agg = |s: &mut Script, name: &str, agg| {
        s.map(name, MapKind::PerCpuHash, pair.clone(), MapValue::Agg(agg))
    };
    let list = [
        ("count", Agg::Count),
        ("sum", Agg::Sum { signed: true }),
        ("min", Agg::Min { signed: true }),
        ("max", Agg::Max { signed: false }),
        ("avg", Agg::Avg { signed: false }),
        ("hist", Agg::Hist),
        ("lhist", Agg::Lhist { min: -5, max: 100, step: 10 }),
    ];
    let mut body = Vec::new();
    for (name, kind) in list {
        let map = agg(&mut s, name, kind);
        let key = vec![s.get(s.arg(1), "comm"), s.expr(ExprKind::Int(1), Ty::Int(IntTy::U8))];
        let pid = s.get(s.arg(1), "pid");
        body.push(s.stmt(StmtKind::Aggregate(s.entry(map, key), Some(pid))));
    }
    let mut locals = la_arena::Arena::new();
    let span = s.span;
    let mut local = |name: &str, ty| locals.alloc(Local { name: name.into(), ty, span });
    let (i, sum, text) = (local("i", Ty::U64), local("sum", Ty::U64), local("t", Ty::Str(12)));
    let name = s.get(s.arg(1), "comm");
    body.push(s.stmt(StmtKind::Assign(text, name)));
    body.push(s.stmt(StmtKind::Assign(sum, s.int(0))));
    let read = |s: &Script, local| s.expr(ExprKind::Local(local), Ty::U64);
    let byte = ExprKind::Index(
        Box::new(s.expr(ExprKind::Local(text), Ty::Str(12))),
        Box::new(read(&s, i)),
    );
    let byte = s.expr(byte, Ty::Int(IntTy::U8));
    let more = s.binary(BinOp::Add, read(&s, sum), byte);
    let stop = s.binary(BinOp::LtU, s.int(1000), read(&s, sum));
    let stop = s.when(stop, vec![s.stmt(StmtKind::Break)]);
    let end = s.expr(ExprKind::Builtin(Builtin::Cpu), Ty::U64);
    body.push(s.stmt(StmtKind::For {
        var: i,
        start: s.int(0),
        end,
        limit: 20,
        body: vec![s.stmt(StmtKind::Assign(sum, more)), stop],
    }));
    let total = s.map("total", MapKind::Array, vec![], MapValue::Plain(Ty::U64));
    let equal = ExprKind::MemEq {
        left: Box::new(s.expr(ExprKind::Local(text), Ty::Str(12))),
        right: Box::new(s.expr(ExprKind::Str("swapper/0".into()), Ty::Str(9))),
        negate: true,
    };
    let equal = s.expr(equal, Ty::Bool);
    let set = s.stmt(StmtKind::MapSet(s.entry(total, vec![]), read(&s, sum)));
    let done = s.stmt(StmtKind::Return(None));
    body.push(s.when(equal, vec![set, done]));
    let hash = s.map("seen", MapKind::Hash, vec![Ty::U64], MapValue::Plain(Ty::U64));
    let step = ExprKind::MapStep {
        entry: Box::new(s.entry(hash, vec![s.expr(ExprKind::Len(hash), Ty::U64)])),
        delta: -1,
        postfix: false,
    };
    let step = s.expr(step, Ty::U64);
    body.push(s.stmt(StmtKind::Expr(step)));
    s.program(Attach::Event(Event::tracepoint("sched_switch")), locals, body);
    let (text, _) = s.lower();
    assert_eq!(text.matches("call bpf_for_each_map_elem").count(), 1, "{text}");
    // An entry that another processor made meanwhile is added to, of the one map that is not per CPU.
    assert_eq!(text.matches("atomic").count(), 2, "{text}");
}

#[test]
fn everything_else_keeps_what_the_verifiers_want() {
    let mut s = Script::new();
    let level = s.path(&[&["pid_links"]], KLeaf::Int(IntTy::U32));
    let hop = |root: &str, member: &str, then| KHop {
        entry: KEntry::Typed,
        root: root.into(),
        steps: vec![KStep::Member(member.into())],
        then,
        span: s.span,
    };
    let number = |hops, leaf| KExpr {
        kind: KExprKind::Path(KPath { hops, leaf, span: s.span }),
        ty: Ty::S64,
        span: s.span,
    };
    let index = number(
        vec![hop("task_struct", "thread_pid", KThen::Deref), hop("pid", "level", KThen::Leaf)],
        KLeaf::Int(IntTy::U32),
    );
    let element = KThen::Element { elem: "upid".into(), index: Box::new(index) };
    let nr = number(
        vec![
            hop("task_struct", "thread_pid", KThen::Deref),
            hop("pid", "numbers", element),
            hop("upid", "nr", KThen::Leaf),
        ],
        KLeaf::Int(IntTy::S32),
    );
    let clamp = KThen::Element {
        elem: "uclamp_se".into(),
        index: Box::new(KExpr { kind: KExprKind::Const(1), ty: Ty::U64, span: s.span }),
    };
    let uclamp = number(
        vec![hop("task_struct", "uclamp_req", clamp), hop("uclamp_se", "value", KThen::Leaf)],
        KLeaf::Bits { width: 11, word: IntTy::U32 },
    );
    let se =
        number(vec![hop("task_struct", "se", KThen::Leaf)], KLeaf::Struct("sched_entity".into()));
    s.field("missing", Ty::U32, 0, true, vec![level]);
    s.field("nr", Ty::Int(IntTy::S32), 0, false, vec![nr]);
    s.field("uclamp", Ty::U32, 0, true, vec![uclamp]);
    s.field("se", Ty::Ptr(Pointee::Kernel("sched_entity".into())), 0, false, vec![se]);
    let param = |s: &mut Script, name: &str, ty, default| {
        let (name, doc, span) = (name.into(), None, s.span);
        s.hir.params.alloc(Param { name, ty, default, doc, span })
    };
    let least = param(&mut s, "least", Ty::U32, ConstValue::Int(3));
    let who = param(&mut s, "who", Ty::Str(16), ConstValue::Str("bash".into()));
    let tuple = Ty::Tuple([Ty::Str(5), Ty::U32, Ty::U64].into());
    let tuples =
        s.map("tuples", MapKind::Hash, vec![Ty::U64, Ty::U32], MapValue::Plain(tuple.clone()));
    let array = s.map("array", MapKind::Array, vec![Ty::U32], MapValue::Plain(Ty::U32));
    let hists = s.map("hists", MapKind::PerCpuHash, vec![Ty::Str(16)], MapValue::Agg(Agg::Hist));
    let mut locals = la_arena::Arena::new();
    let span = s.span;
    let mut local = |name: &str, ty| locals.alloc(Local { name: name.into(), ty, span });
    let (t, n) = (local("t", tuple.clone()), local("n", Ty::U32));
    let int32 = |s: &Script, n| s.expr(ExprKind::Int(n), Ty::U32);
    let read = |s: &Script, id, ty: &Ty| s.expr(ExprKind::Local(id), ty.clone());
    let member = |s: &Script, whole, i, ty| s.expr(ExprKind::Member(Box::new(whole), i), ty);
    let parts = vec![
        s.expr(ExprKind::Str("a".into()), Ty::Str(5)),
        s.expr(ExprKind::Param(least), Ty::U32),
        s.expr(ExprKind::Builtin(Builtin::Elapsed), Ty::U64),
    ];
    let mut body = Vec::new();
    body.push(s.stmt(StmtKind::Assign(n, int32(&s, 1))));
    body.push(s.stmt(StmtKind::Assign(t, s.expr(ExprKind::Aggregate(parts), tuple.clone()))));
    let key = |s: &Script| vec![s.int(1), s.expr(ExprKind::Local(n), Ty::U32)];
    body.push(s.stmt(StmtKind::MapSet(s.entry(tuples, key(&s)), read(&s, t, &tuple))));
    let got = s.expr(ExprKind::MapGet(s.entry(tuples, key(&s))), tuple.clone());
    let one = member(&s, got, 1, Ty::U32);
    let got = s.expr(ExprKind::MapGet(s.entry(tuples, key(&s))), tuple.clone());
    let swapped =
        vec![member(&s, read(&s, t, &tuple), 0, Ty::Str(5)), one, member(&s, got, 2, Ty::U64)];
    body.push(s.stmt(StmtKind::Assign(t, s.expr(ExprKind::Aggregate(swapped), tuple.clone()))));
    let fields = ["nr", "uclamp", "missing"];
    let values: Vec<Expr> = fields.iter().map(|f| s.get(s.arg(1), f)).collect();
    let parent: Vec<Expr> = fields.iter().map(|f| s.get(s.get(s.arg(2), "parent"), f)).collect();
    let has = s.expr(ExprKind::HasField { mirror: s.task, field: 5 }, Ty::Bool);
    let se = s.get(s.arg(1), "se");
    let se = s.expr(ExprKind::Convert(Box::new(se)), Ty::U64);
    let se = s.binary(BinOp::And, s.binary(BinOp::ShrU, se, s.int(3)), s.int(7));
    let step = ExprKind::LocalStep { local: n, delta: 1, postfix: true };
    let step = s.expr(step, Ty::U32);
    let pick = ExprKind::Cond(
        Box::new(has),
        Box::new(s.expr(ExprKind::Param(who), Ty::Str(16))),
        Box::new(s.expr(ExprKind::Builtin(Builtin::Comm), Ty::Str(16))),
    );
    let pick = s.expr(pick, Ty::Str(16));
    let address = Box::new(s.get(s.arg(1), "parent"));
    let text = s.expr(ExprKind::ReadStr { addr: address, user: false }, Ty::Str(200));
    let address = Box::new(s.expr(ExprKind::Builtin(Builtin::Curtask), Ty::U64));
    let fetched = s.expr(ExprKind::Fetch { addr: address, width: IntTy::S32 }, Ty::Int(IntTy::S32));
    let mut args = vec![se, step, pick, text, fetched, read(&s, t, &tuple)];
    args.extend(values.into_iter().chain(parent));
    let types = args.iter().map(|a| a.ty.clone()).collect();
    let out = s.output(OutputKind::Printf(String::new().into()), types);
    body.push(s.stmt(StmtKind::Output(out, args)));
    let add = s.stmt(StmtKind::MapAdd(s.entry(array, vec![int32(&s, 2)]), s.int(5)));
    let clear = s.stmt(StmtKind::Delete(s.entry(array, vec![int32(&s, 3)])));
    let comm = s.expr(ExprKind::Builtin(Builtin::Comm), Ty::Str(16));
    let feed = StmtKind::Aggregate(s.entry(hists, vec![comm]), Some(read(&s, n, &Ty::U32)));
    body.extend([add, clear, s.stmt(feed)]);
    s.program(Attach::Event(Event::tracepoint("sched_switch")), locals, body);
    let exit = s.output(OutputKind::Exit, Vec::new());
    let exit = s.stmt(StmtKind::Output(exit, Vec::new()));
    s.program(Attach::Once(Once::Begin), la_arena::Arena::new(), vec![exit]);
    let (text, _) = s.lower();
    // Strides are the target's, and a pointer that a script does arithmetic with is a number first.
    assert!(text.contains("core size struct upid"), "{text}");
    assert!(text.contains("a pointer to be read as a number"), "{text}");
}

#[test]
fn what_is_too_large_is_an_error() {
    let codes = |s: &Script| {
        let diags = build(&s.hir, Target::default()).expect_err("it is too large");
        diags.sorted().iter().map(|d| d.code.as_str()).collect::<Vec<_>>()
    };
    let mut s = Script::new();
    s.map("m", MapKind::Hash, vec![Ty::Str(600)], MapValue::Plain(Ty::U64));
    assert_eq!(codes(&s), ["E0504"]);
    let mut s = Script::new();
    s.hir.ring_bytes = 4096;
    s.output(OutputKind::Print, vec![Ty::Str(1020)]);
    assert_eq!(codes(&s), ["E0505"]);
    let mut s = Script::new();
    let mut locals = la_arena::Arena::new();
    let text = locals.alloc(Local { name: "t".into(), ty: Ty::Str(513), span: s.span });
    let long = s.expr(ExprKind::Str("x".into()), Ty::Str(513));
    let assign = s.stmt(StmtKind::Assign(text, long));
    s.program(Attach::Once(Once::Begin), locals, vec![assign]);
    assert_eq!(codes(&s), ["E0501"]);
}
