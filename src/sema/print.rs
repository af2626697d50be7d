//! The HIR as text: compact, stable, one line a statement.
//!
//! Every conversion, sign and key type that analysis decided is visible; spans are not.

use super::hir::{
    Agg, Attach, Builtin, ClassLevel, ConstValue, Event, EventKind, Expr, ExprKind, Hir, MapRef,
    MapValue, Once, OutputKind, Program, SkbRead, Stmt, StmtKind,
};
use super::show;
use super::types::{IntTy, Ty};

/// The whole HIR; of mirrors and prototypes, only what the programs use.
pub fn print(hir: &Hir) -> String {
    let mut p = Printer { hir, out: String::new(), depth: 0 };
    p.header();
    for program in &hir.programs {
        p.program(program);
    }
    p.out
}

struct Printer<'a> {
    hir: &'a Hir,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn header(&mut self) {
        for (_, param) in self.hir.params.iter() {
            let value = match &param.default {
                ConstValue::Int(value) => scalar(&param.ty, *value),
                ConstValue::Str(text) => format!("{text:?}"),
            };
            let ty = show::ty(self.hir, &param.ty);
            self.line(&format!("param {}: {ty} = {value}", param.name));
        }
        for (_, map) in self.hir.maps.iter() {
            let value = match &map.value {
                MapValue::Plain(ty) => show::ty(self.hir, ty),
                MapValue::Agg(agg) => aggregation(agg),
            };
            let parts: Vec<String> = map.key.iter().map(|t| show::ty(self.hir, t)).collect();
            let key =
                if parts.is_empty() { String::new() } else { format!("[{}]", parts.join(", ")) };
            let text =
                format!("map @{}{key}: {value} in {:?}({})", map.name, map.kind, map.max_entries);
            self.line(&text);
        }
        for (id, output) in self.hir.outputs.iter() {
            let kind = match &output.kind {
                OutputKind::Printf(format) => format!("printf {format:?}"),
                OutputKind::Print => "print".to_owned(),
                OutputKind::PrintMap(map) => format!("print @{}", self.hir.maps[*map].name),
                OutputKind::Clear(map) => format!("clear @{}", self.hir.maps[*map].name),
                OutputKind::Zero(map) => format!("zero @{}", self.hir.maps[*map].name),
                OutputKind::Time(format) => format!("time {format:?}"),
                OutputKind::Emit => "emit".to_owned(),
                OutputKind::Exit => "exit".to_owned(),
            };
            let args = show::tuple(self.hir, &output.args);
            self.line(&format!("output #{} {kind} {args}", id.into_raw()));
        }
    }

    fn program(&mut self, program: &Program) {
        let attach = match &program.attach {
            Attach::Event(event) => shown(event),
            Attach::Once(Once::Begin) => "begin".to_owned(),
            Attach::Once(Once::End) => "end".to_owned(),
            Attach::Interval(nanoseconds) => format!("interval {nanoseconds} ns"),
            Attach::Profile(nanoseconds) => format!("profile {nanoseconds} ns"),
            Attach::SocketFilter => format!("socket filter, by itself {:#x}", program.result),
        };
        let class = match program.class.level {
            ClassLevel::Abi => "abi",
            ClassLevel::Private => "private",
            ClassLevel::NotAbi => "not abi",
        };
        let why =
            program.class.culprit.as_ref().map(|c| format!(": {}", c.why)).unwrap_or_default();
        let mut attach = attach;
        for event in &program.others {
            attach.push_str(" else ");
            attach.push_str(&shown(event));
        }
        let optional = if program.optional { "?" } else { "" };
        self.line(&format!("\nprogram {} on {attach}{optional} ({class}{why})", program.name));
        self.depth += 1;
        for (id, local) in program.locals.iter() {
            let ty = show::ty(self.hir, &local.ty);
            self.line(&format!("local ${}.{}: {ty}", local.name, id.into_raw()));
        }
        self.stmts(program, &program.body);
        self.depth -= 1;
    }

    fn block(&mut self, program: &Program, stmts: &[Stmt]) {
        self.depth += 1;
        self.stmts(program, stmts);
        self.depth -= 1;
    }

    fn stmts(&mut self, program: &Program, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(program, stmt);
        }
    }

    fn stmt(&mut self, program: &Program, stmt: &Stmt) {
        let e = |e: &Expr| self.expr(program, e);
        let entry = |m: &MapRef| self.entry(program, m);
        let text = match &stmt.kind {
            StmtKind::Assign(local, value) => {
                format!("${}.{} = {}", program.locals[*local].name, local.into_raw(), e(value))
            }
            StmtKind::MapSet(m, value) => format!("{} = {}", entry(m), e(value)),
            StmtKind::MapAdd(m, value) => format!("{} += {}", entry(m), e(value)),
            StmtKind::Aggregate(m, None) => format!("{} <- ()", entry(m)),
            StmtKind::Aggregate(m, Some(value)) => format!("{} <- {}", entry(m), e(value)),
            StmtKind::Delete(m) => format!("delete {}", entry(m)),
            StmtKind::Expr(value) => e(value),
            StmtKind::If { cond, then, otherwise } => {
                let head = format!("if {} {{", e(cond));
                self.line(&head);
                self.block(program, then);
                if !otherwise.is_empty() {
                    self.line("} else {");
                    self.block(program, otherwise);
                }
                "}".to_owned()
            }
            StmtKind::For { var, start, end, limit, body } => {
                let local = &program.locals[*var];
                let head = format!(
                    "for ${}.{} in {} .. {} (at most {limit}) {{",
                    local.name,
                    var.into_raw(),
                    e(start),
                    e(end)
                );
                self.line(&head);
                self.block(program, body);
                "}".to_owned()
            }
            StmtKind::Break => "break".to_owned(),
            StmtKind::Continue => "continue".to_owned(),
            StmtKind::Return(None) => "return".to_owned(),
            StmtKind::Return(Some(value)) => format!("return {}", e(value)),
            StmtKind::Output(id, args) => {
                format!("output #{} ({})", id.into_raw(), self.list(program, args))
            }
        };
        self.line(&text);
    }

    fn list(&self, program: &Program, list: &[Expr]) -> String {
        let parts: Vec<String> = list.iter().map(|e| self.expr(program, e)).collect();
        parts.join(", ")
    }

    fn entry(&self, program: &Program, entry: &MapRef) -> String {
        let name = &self.hir.maps[entry.map].name;
        match entry.key.as_slice() {
            [] => format!("@{name}"),
            key => format!("@{name}[{}]", self.list(program, key)),
        }
    }

    fn expr(&self, program: &Program, expr: &Expr) -> String {
        let e = |e: &Expr| self.expr(program, e);
        match &expr.kind {
            ExprKind::Error => "?".to_owned(),
            ExprKind::Int(value) => scalar(&expr.ty, *value),
            ExprKind::Str(text) => format!("{text:?}"),
            ExprKind::Enumerator(id, index) => {
                let decl = &self.hir.enums[*id];
                let name = decl.enumerators.get(*index as usize).map_or("?", |e| e.name.as_str());
                format!("{}::{name}", decl.name)
            }
            ExprKind::Param(id) => self.hir.params[*id].name.to_string(),
            ExprKind::Local(id) => format!("${}.{}", program.locals[*id].name, id.into_raw()),
            ExprKind::Arg(arg) => {
                let places: Vec<String> = arg
                    .places
                    .iter()
                    .map(|p| p.index.map_or_else(|| "-".to_owned(), |i| i.to_string()))
                    .collect();
                format!("arg{}{}", places.join("|"), if arg.nullable { "?" } else { "" })
            }
            ExprKind::Builtin(builtin) => builtin_name(*builtin).to_owned(),
            ExprKind::Field { base, mirror, field } => {
                format!("{}.{}", e(base), self.field(*mirror, *field))
            }
            ExprKind::HasField { mirror, field } => {
                let owner = &self.hir.mirrors[*mirror].name;
                format!("has({owner}.{})", self.field(*mirror, *field))
            }
            ExprKind::Load { base, .. } => format!("*{}", e(base)),
            ExprKind::Member(base, index) => format!("{}.{index}", e(base)),
            ExprKind::Index(base, index) => format!("{}[{}]", e(base), e(index)),
            ExprKind::Unary(op, inner) => format!("{}{}", show::unary(*op), e(inner)),
            ExprKind::Binary(op, a, b) => format!("({} {} {})", e(a), show::binary(*op), e(b)),
            ExprKind::MemEq { left, right, negate } => {
                let op = if *negate { "!=" } else { "==" };
                format!("({} mem{op} {})", e(left), e(right))
            }
            ExprKind::LogAnd(a, b) => format!("({} && {})", e(a), e(b)),
            ExprKind::LogOr(a, b) => format!("({} || {})", e(a), e(b)),
            ExprKind::Cond(c, a, b) => format!("({} ? {} : {})", e(c), e(a), e(b)),
            ExprKind::Convert(inner) => format!("{}({})", show::ty(self.hir, &expr.ty), e(inner)),
            ExprKind::MapGet(entry) => self.entry(program, entry),
            ExprKind::Skb(field, read) => {
                let how = match read {
                    SkbRead::Plain => "",
                    SkbRead::Host => " in host order",
                    SkbRead::OrEnd => " or end",
                };
                format!("skb.{}{how}", field.name)
            }
            ExprKind::Packet { offset, width } => format!("packet u{}({})", width.bits, e(offset)),
            ExprKind::HasKey(entry) => format!("has_key {}", self.entry(program, entry)),
            ExprKind::Len(map) => format!("len @{}", self.hir.maps[*map].name),
            ExprKind::MapStep { entry, delta, postfix } => {
                step(&self.entry(program, entry), *delta, *postfix)
            }
            ExprKind::LocalStep { local, delta, postfix } => {
                let name = format!("${}.{}", program.locals[*local].name, local.into_raw());
                step(&name, *delta, *postfix)
            }
            ExprKind::ReadStr { addr, user } => {
                let space = if *user { "user" } else { "kernel" };
                format!("{}({space} {})", show::ty(self.hir, &expr.ty), e(addr))
            }
            ExprKind::Fetch { addr, width } => format!("fetch_{}({})", show::int(*width), e(addr)),
            ExprKind::Aggregate(parts) => format!("{{{}}}", self.list(program, parts)),
        }
    }

    fn field(&self, mirror: super::hir::MirrorId, field: u32) -> &str {
        self.hir.mirrors[mirror].fields.get(field as usize).map_or("?", |f| f.name.as_str())
    }
}

fn scalar(ty: &Ty, value: u64) -> String {
    match ty {
        Ty::Bool => if value == 0 { "false" } else { "true" }.to_owned(),
        Ty::Int(IntTy { signed: true, .. }) => value.cast_signed().to_string(),
        _ => value.to_string(),
    }
}

fn step(target: &str, delta: i8, postfix: bool) -> String {
    let op = if delta < 0 { "--" } else { "++" };
    if postfix { format!("{target}{op}") } else { format!("{op}{target}") }
}

fn aggregation(agg: &Agg) -> String {
    let of = |name: &str, signed: &bool| format!("{name}({})", if *signed { "s64" } else { "u64" });
    match agg {
        Agg::Count => "count".to_owned(),
        Agg::Sum { signed } => of("sum", signed),
        Agg::Min { signed } => of("min", signed),
        Agg::Max { signed } => of("max", signed),
        Agg::Avg { signed } => of("avg", signed),
        Agg::Stats { signed } => of("stats", signed),
        Agg::Hist => "hist".to_owned(),
        Agg::Lhist { min, max, step } => format!("lhist({min}, {max}, {step})"),
    }
}

fn builtin_name(builtin: Builtin) -> &'static str {
    let named = super::builtins::VALUES
        .iter()
        .find(|info| info.what == super::builtins::What::Value(builtin));
    named.map_or("?", |info| info.name)
}

/// `tp_btf/sched_switch`, `fentry/vfs_read`
fn shown(event: &Event) -> String {
    let kind = match event.kind {
        EventKind::Tracepoint => "tp_btf",
        function => function.word(),
    };
    format!("{kind}/{}", event.name)
}
