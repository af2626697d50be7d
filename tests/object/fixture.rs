//! A script as the stages before the object writer would give it, with every kind of thing that an object can have.

use la_arena::Arena;
use smol_str::SmolStr;
use ubpfc::ir::helper::Helper;
use ubpfc::ir::reloc::{Access, AccessId, Accesses, Args, CoreReloc, FieldQuestion, LocalTy};
use ubpfc::ir::{MapTarget, Rodata, RodataVar};
use ubpfc::isa::code::{Code, Function, Insn, InsnIdx, Reloc, RelocKind};
use ubpfc::isa::opcode::*;
use ubpfc::sema::hir::*;
use ubpfc::sema::types::{IntTy, Pointee, Ty};
use ubpfc::source::{FileId, Origin, Sources, Span};
use ubpfc::target::{Endian, Target};

/// The text that the spans point into.
pub(crate) const SCRIPT: &str = "\
param min_us: u64 = 5;
struct hit { s32 pid; u64 at; };
tracepoint:sched:sched_switch {
    @start[args.next.pid] = nsecs;
    emit hit { pid, nsecs };
}
tracepoint:sched:sched_switch { @hits = hist(1); }
begin { print(@start); }
struct task_struct_user { int pid; u32 state = __state else (long)state; char comm[16]; };
interval:s:1 { @n = count(); }
";

/// A script with its machine code.
pub(crate) struct Script {
    pub(crate) hir: Hir,
    pub(crate) code: Code,
    pub(crate) sources: Sources,
}

impl Script {
    /// How many CO-RE questions the code has.
    pub(crate) fn core_relocs(&self) -> usize {
        let relocs = self.code.functions().flat_map(|function| &function.relocs);
        relocs.filter(|reloc| matches!(reloc.kind, RelocKind::Core(_))).count()
    }

    /// The object.
    pub(crate) fn write(&self, endian: Endian) -> Vec<u8> {
        let target = Target { endian, ..Target::default() };
        ubpfc::object::write(&self.hir, &self.code, &self.sources, target).unwrap()
    }
}

/// The span of the first occurrence of `text`.
fn span(file: FileId, text: &str) -> Span {
    let start = SCRIPT.find(text).unwrap();
    Span::new(file, start.try_into().unwrap(), (start + text.len()).try_into().unwrap())
}

/// A function that is put together slot by slot.
pub(crate) struct Asm(Function);

impl Asm {
    pub(crate) fn new(name: &str, span: Span) -> Asm {
        let (insns, relocs, lines) = (Vec::new(), Vec::new(), vec![(InsnIdx(0), span)]);
        Asm(Function { name: name.into(), insns, relocs, lines, frame_bytes: 24 })
    }

    fn here(&self) -> InsnIdx {
        InsnIdx(self.0.insns.len().try_into().unwrap())
    }

    pub(crate) fn line(&mut self, span: Span) -> &mut Asm {
        let here = self.here();
        self.0.lines.push((here, span));
        self
    }

    pub(crate) fn insn(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) -> &mut Asm {
        self.0.insns.push(Insn { code, dst, src, off, imm });
        self
    }

    fn filled(&mut self, kind: RelocKind) -> &mut Asm {
        let insn = self.here();
        self.0.relocs.push(Reloc { insn, kind });
        self
    }

    pub(crate) fn core(&mut self, reloc: CoreReloc) -> &mut Asm {
        self.filled(RelocKind::Core(reloc))
    }

    pub(crate) fn wide(&mut self, dst: u8) -> &mut Asm {
        self.insn(LDIMM64, dst, 0, 0, 0).insn(0, 0, 0, 0, 0)
    }

    fn address(&mut self, dst: u8, kind: RelocKind) -> &mut Asm {
        self.filled(kind).wide(dst)
    }

    pub(crate) fn mov(&mut self, dst: u8, imm: i32) -> &mut Asm {
        self.insn(ALU64 | MOV | K, dst, 0, 0, imm)
    }

    fn copy(&mut self, dst: u8, src: u8) -> &mut Asm {
        self.insn(ALU64 | MOV | X, dst, src, 0, 0)
    }

    fn call(&mut self, helper: Helper) -> &mut Asm {
        self.insn(JMP | CALL, 0, 0, 0, helper.id())
    }

    pub(crate) fn exit(&mut self) -> Function {
        self.mov(0, 0).insn(JMP | EXIT, 0, 0, 0, 0);
        self.0.clone()
    }
}

pub(crate) fn field(accesses: &mut Accesses, root: &str, path: &[&str], leaf: LocalTy) -> AccessId {
    let step = |name: &&str| match name.parse() {
        Ok(index) => KStep::Index(index),
        Err(_) => KStep::Member(SmolStr::from(*name)),
    };
    let (root, steps) = (root.into(), path.iter().map(step).collect());
    accesses.intern(Access { root, steps, leaf })
}

fn param(name: &str, ty: KParamTy) -> PrototypeParam {
    PrototypeParam { name: name.into(), ty }
}

/// The prototypes of `sched_switch` from 5.18 on, and one that no kernel has.
fn prototypes() -> (Arena<Prototype>, [PrototypeId; 2]) {
    let task = || KParamTy::Ptr(Box::new(KParamTy::Struct("task_struct".into())));
    let bool = KParamTy::Int(IntTy::U8);
    let older = vec![param("preempt", bool), param("prev", task()), param("next", task())];
    let mut newer = older.clone();
    newer.push(param("prev_state", KParamTy::Int(IntTy::U32)));
    let mut arena = Arena::new();
    let event = SmolStr::from("sched_switch");
    let strange = vec![param("x", KParamTy::Struct("task_struct".into()))];
    let ids = [newer, strange].map(|params| {
        arena.alloc(Prototype { kind: PrototypeKind::Tracepoint, name: event.clone(), params })
    });
    (arena, ids)
}

fn map(name: &str, kind: MapKind, key: &[Ty], value: MapValue, span: Span) -> Map {
    Map { name: name.into(), kind, max_entries: 1024, key: key.to_vec(), value, span }
}

fn program(name: &str, attach: Attach, level: ClassLevel, span: Span) -> Program {
    let why = "it is bound to a kernel tracepoint".into();
    let culprit = (level != ClassLevel::Abi).then_some(Culprit { span, why });
    let class = Class { level, culprit };
    let (locals, body) = (Arena::new(), Vec::new());
    let (name, others, optional) = (name.into(), Vec::new(), false);
    Program { name, attach, others, optional, class, locals, body, result: 0, span }
}

/// A statement that reads the second field of a mirror of three.
fn reads_a_mirror(hir: &mut Hir, file: FileId) -> Stmt {
    let field = |name: &str, alternatives: &[&str], ty: Ty, offset| MirrorField {
        name: name.into(),
        ty: ty.clone(),
        offset,
        optional: false,
        alternatives: alternatives
            .iter()
            .map(|text| {
                let span = span(file, text);
                let value = KExpr { kind: KExprKind::Const(0), ty: ty.clone(), span };
                Alternative { value, guards: Vec::new(), span }
            })
            .collect(),
        doc: None,
        span: span(file, name),
    };
    let mirror = hir.mirrors.alloc(Mirror {
        name: "task_struct_user".into(),
        kernel: "task_struct".into(),
        fields: vec![
            field("pid", &["pid"], Ty::Int(IntTy::S32), 0),
            field("state", &["__state", "(long)state"], Ty::U32, 4),
            field("comm", &["comm"], Ty::Str(16), 8),
        ],
        size: 24,
        align: 4,
        locked: true,
        span: span(file, "struct task_struct_user"),
    });
    let expr = |kind, ty| Expr { kind, ty, span: span(file, "@hits") };
    let arg = Arg { places: Vec::new(), names: Vec::new(), nullable: false };
    let base = expr(ExprKind::Arg(arg), Ty::Ptr(Pointee::Mirror(mirror)));
    let read = ExprKind::Field { base: Box::new(base), mirror, field: 1 };
    Stmt { kind: StmtKind::Expr(expr(read, Ty::U32)), span: span(file, "@hits") }
}

/// The whole script.
pub(crate) fn script() -> Script {
    let mut sources = Sources::new();
    let file = sources.add("fixture.ub", SCRIPT, Origin::User);
    let at = |text| span(file, text);
    let mut hir = Hir { ring_bytes: 1 << 16, ..Hir::default() };
    let (prototypes, prototype_ids) = prototypes();
    hir.prototypes = prototypes;

    let s32 = Ty::Int(IntTy::S32);
    let hit = hir.structs.alloc(Struct {
        name: "hit".into(),
        fields: vec![
            StructField { name: "pid".into(), ty: s32.clone(), offset: 0 },
            StructField { name: "at".into(), ty: Ty::U64, offset: 8 },
        ],
        size: 16,
        align: 8,
        span: at("struct hit { s32 pid; u64 at; }"),
    });
    let [start, ..] = [
        map("start", MapKind::Hash, &[s32], MapValue::Plain(Ty::U64), at("@start[args.next.pid]")),
        map("hits", MapKind::PerCpuHash, &[Ty::Str(16)], MapValue::Agg(Agg::Hist), at("@hits")),
        map("n", MapKind::PerCpuArray, &[], MapValue::Agg(Agg::Avg { signed: true }), at("@n")),
    ]
    .map(|map| hir.maps.alloc(map));
    hir.params.alloc(Param {
        name: "min_us".into(),
        ty: Ty::U64,
        default: ConstValue::Int(5),
        doc: None,
        span: at("param min_us: u64 = 5;"),
    });
    let emitted = hir.outputs.alloc(Output {
        kind: OutputKind::Emit,
        args: vec![Ty::Struct(hit)],
        span: at("emit hit { pid, nsecs }"),
    });
    let switch = || Attach::Event(Event::tracepoint("sched_switch"));
    let spec = at("tracepoint:sched:sched_switch");
    hir.programs = vec![
        program("sched_switch", switch(), ClassLevel::NotAbi, spec),
        program("sched_switch_2", switch(), ClassLevel::NotAbi, spec),
        program("begin", Attach::Once(Once::Begin), ClassLevel::Abi, at("begin")),
        program("interval", Attach::Interval(1_000_000_000), ClassLevel::Abi, at("interval:s:1")),
    ];

    let body = reads_a_mirror(&mut hir, file);
    hir.programs[1].body.push(body);

    let mut accesses = Accesses::default();
    let programs = vec![
        first(&mut accesses, file, start, prototype_ids, emitted.into_raw().into_u32()),
        second(&mut accesses, file, start),
        Asm::new("begin", at("begin")).exit(),
        Asm::new("interval", at("interval:s:1")).exit(),
    ];
    let callbacks = vec![
        Asm::new("visit_first", at("print(@start)")).exit(),
        Asm::new("visit", at("print(@start)")).exit(),
    ];
    let bytes = [*b"12345678", 5_u64.to_le_bytes()].concat();
    let min_us = RodataVar { name: "min_us".into(), ty: Ty::U64, offset: 8, size: 8 };
    let rodata = Rodata { bytes, vars: vec![min_us] };
    Script {
        hir,
        code: Code {
            programs,
            others: Vec::new(),
            callbacks,
            accesses,
            args: Args::default(),
            rodata,
        },
        sources,
    }
}

/// Direct loads, questions of every kind, and a record in the ring buffer.
fn first(
    accesses: &mut Accesses,
    file: FileId,
    start: MapId,
    [newer, strange]: [PrototypeId; 2],
    output: u32,
) -> Function {
    use FieldQuestion::{ByteOffset, ByteSize, Exists, LshiftU64, RshiftU64, Signed};

    let task = "task_struct";
    let int = || LocalTy::Int(IntTy::S32);
    let pid = field(accesses, task, &["pid"], int());
    let missing = field(accesses, task, &["no_such_field"], LocalTy::Int(IntTy::U64));
    let comm = field(accesses, task, &["comm", "3"], LocalTy::Int(IntTy { bits: 8, signed: true }));
    let all = LocalTy::Array(Box::new(LocalTy::Int(IntTy { bits: 8, signed: true })), 16);
    let whole_comm = field(accesses, task, &["comm"], all);
    let clock = field(accesses, task, &["se", "sum_exec_runtime"], LocalTy::Int(IntTy::U64));
    let parent = field(accesses, task, &["real_parent"], LocalTy::Ptr);
    let iowait =
        field(accesses, task, &["in_iowait"], LocalTy::Bits { width: 1, word: IntTy::U32 });
    let other_pid = field(accesses, task, &["pid"], LocalTy::Int(IntTy::U64));
    let about = CoreReloc::Field;

    let mut asm = Asm::new("sched_switch", span(file, "tracepoint:sched:sched_switch"));
    asm.copy(6, 1).insn(LDX | MEM | DW, 7, 6, 16, 0);
    asm.line(span(file, "args.next.pid"));
    asm.core(about(pid, ByteOffset)).insn(LDX | MEM | W, 2, 7, 0, 0);
    asm.insn(STX | MEM | W, 10, 2, -4, 0);
    asm.core(about(missing, Exists)).mov(3, 0).insn(JMP | JEQ | K, 3, 0, 1, 0);
    asm.core(about(missing, ByteOffset)).insn(LDX | MEM | DW, 3, 7, 0, 0);
    asm.core(about(comm, ByteOffset)).insn(LDX | MEM | B, 3, 7, 0, 0);
    asm.core(about(clock, ByteOffset)).insn(LDX | MEM | DW, 3, 7, 0, 0);
    asm.core(about(parent, ByteOffset)).insn(LDX | MEM | DW, 8, 7, 0, 0);
    asm.core(about(pid, ByteOffset)).insn(LDX | MEM | W, 3, 8, 0, 0);
    asm.core(about(iowait, ByteOffset)).insn(LDX | MEM | W, 3, 7, 0, 0);
    asm.core(about(iowait, LshiftU64)).mov(4, 0).insn(ALU64 | LSH | X, 3, 4, 0, 0);
    asm.core(about(iowait, RshiftU64)).mov(4, 0).insn(ALU64 | RSH | X, 3, 4, 0, 0);
    asm.core(about(whole_comm, ByteSize)).mov(4, 0);
    asm.core(about(pid, Signed)).mov(4, 0);
    asm.core(about(other_pid, Exists)).mov(4, 0);
    for enumerator in ["PIDTYPE_TGID", "PIDTYPE_NONE_SUCH"] {
        let (enum_name, name) = (SmolStr::from("pid_type"), SmolStr::from(enumerator));
        let exists = CoreReloc::EnumExists { enum_name: enum_name.clone(), name: name.clone() };
        asm.core(exists).mov(4, 0).insn(JMP | JEQ | K, 4, 0, 2, 0);
        asm.core(CoreReloc::EnumValue { enum_name, name }).wide(5);
    }
    asm.core(CoreReloc::Prototype(newer)).mov(4, 0);
    asm.core(CoreReloc::Prototype(strange)).mov(4, 0);
    asm.core(CoreReloc::StructSize(task.into())).mov(4, 0);
    asm.call(Helper::KtimeGetNs).insn(STX | MEM | DW, 10, 0, -16, 0);
    asm.line(span(file, "@start[args.next.pid]"));
    asm.address(1, RelocKind::Map(MapTarget::Map(start)));
    asm.copy(2, 10).insn(ALU64 | ADD | K, 2, 0, 0, -4);
    asm.copy(3, 10).insn(ALU64 | ADD | K, 3, 0, 0, -16).mov(4, 0).call(Helper::MapUpdate);
    asm.line(span(file, "emit hit"));
    asm.address(1, RelocKind::Map(MapTarget::Ring)).mov(2, 24).mov(3, 0);
    asm.call(Helper::RingbufReserve).insn(JMP | JEQ | K, 0, 0, 5, 0);
    asm.insn(ST | MEM | W, 0, 0, 0, output.cast_signed()).insn(ST | MEM | W, 0, 0, 4, 0);
    asm.copy(1, 0).mov(2, 0).call(Helper::RingbufSubmit);
    asm.exit()
}

/// A parameter, and a function that a helper calls back.
fn second(accesses: &mut Accesses, file: FileId, start: MapId) -> Function {
    let tgid = field(accesses, "task_struct", &["tgid"], LocalTy::Int(IntTy::S32));
    let mut asm = Asm::new("sched_switch_2", span(file, "@hits"));
    asm.insn(LDX | MEM | DW, 7, 1, 16, 0);
    asm.core(CoreReloc::Field(tgid, FieldQuestion::ByteOffset)).insn(LDX | MEM | W, 3, 7, 0, 0);
    asm.address(1, RelocKind::Rodata(8)).insn(LDX | MEM | DW, 1, 1, 0, 0);
    asm.address(1, RelocKind::Map(MapTarget::Map(start)));
    asm.address(2, RelocKind::Callback(1)).mov(3, 0).mov(4, 0).call(Helper::ForEachMapElem);
    asm.exit()
}
