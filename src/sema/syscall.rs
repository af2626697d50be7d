//! System call probes: `syscall:NAME:enter|exit` as raw `sys_enter` and `sys_exit` with a condition around the body.
//!
//! In: a spec. Out: its [`Place`], whose [`Guard`] holds for the named call alone. The library's `syscall` file, which is imported by having such a probe, says
//! where the number, the arguments and the mark of a compat task are; which architecture the target is, is told by the fields its `pt_regs` has.
//! Invariant: the body is run for no other call: neither by a compat task, whose numbers mean other calls, nor on an architecture that the library does not know.

use super::body::{ArgValue, ProbeArg, ProbeArgs, argument_field, int};
use super::decls::{Decls, Tracepoint, TracepointArg, TypeDecl};
use super::hir::{
    Arg, Attach, BinOp, Builtin, Class, ClassLevel, Event, Expr, ExprKind, Hir, MirrorId, Stmt,
    StmtKind, UnOp,
};
use super::probe::Place;
use super::suggest::nearest;
use super::syscalls::{self, ARCHITECTURES, Syscall};
use super::types::{Pointee, Ty};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{File, Ident, Item, ItemKind, ProbeSpec};

/// What the specs of these probes begin with.
pub(super) const KIND: &str = "syscall";
/// The file of the library that the names below are declared in.
const LIBRARY: &str = "syscall";
/// The mirror of the registers, and its fields.
const REGS: &str = "pt_regs_user";
const NUMBER: &str = "nr";
const ARGS: [&str; 6] = ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"];
/// The mirror of the current thread, and the field of it and of the registers that is not 0 in a compat task.
const TASK: &str = "syscall_task_user";
const COMPAT: &str = "compat";

/// The file of the library that a file's probes need.
pub(super) fn library(file: &File) -> Option<&'static str> {
    let is_syscall = |spec: &ProbeSpec| spec.parts.first().is_some_and(|p| p.name == KIND);
    let has_one = |item: &Item| match &item.kind {
        ItemKind::Probe(probe) => probe.specs.iter().any(is_syscall),
        _ => false,
    };
    file.items.iter().any(has_one).then_some(LIBRARY)
}

/// When the body runs.
#[derive(Debug)]
pub(super) struct Guard {
    number: ArgValue,
    regs_arg: Arg,
    regs: MirrorId,
    /// For each architecture whose calls are seen: the field that it alone has, and the number of the call.
    seen: Vec<(u32, Option<u32>)>,
    compat_regs: u32,
    task: MirrorId,
    compat_task: u32,
}

/// Where a system call probe is attached.
pub(super) fn resolve(
    decls: &Decls,
    spec: &ProbeSpec,
    rest: &[Ident],
) -> Result<Place, Box<Diagnostic>> {
    let [name, when] = rest else {
        return Err(malformed(spec.span, "expected a name, and `enter` or `exit`"));
    };
    let enter = match when.name.as_str() {
        "enter" => true,
        "exit" => false,
        _ => return Err(malformed(when.span, "expected `enter` or `exit`")),
    };
    let call = if name.name == "*" { None } else { Some(find(name)?) };
    let event = if enter { "sys_enter" } else { "sys_exit" };
    let missing = || {
        let text = format!("the library's `{LIBRARY}` does not say where the registers are");
        Box::new(Diagnostic::new(Code::E0323, spec.span, text))
    };
    let library = Library::of(decls, event).ok_or_else(missing)?;
    let number = if enter {
        library.second.clone()
    } else {
        library.field(decls, NUMBER).ok_or_else(missing)?
    };
    let mut args = vec![ProbeArg { name: "nr".into(), value: number.clone(), ty: Ty::S64 }];
    if enter {
        for ((name, ty), register) in call.iter().flat_map(|c| &c.args).zip(ARGS) {
            let value = library.field(decls, register).ok_or_else(missing)?;
            args.push(ProbeArg { name: (*name).into(), value, ty: ty.clone() });
        }
    } else {
        args.push(ProbeArg { name: "ret".into(), value: library.second.clone(), ty: Ty::S64 });
    }
    let mut seen = Vec::new();
    for (i, architecture) in ARCHITECTURES.iter().enumerate() {
        let marker = field(decls, library.regs, architecture.marker).ok_or_else(missing)?;
        match &call {
            None => seen.push((marker, None)),
            Some(call) if call.numbers[i].is_some() => seen.push((marker, call.numbers[i])),
            Some(_) => {}
        }
    }
    let guard = Guard {
        number,
        regs_arg: library.regs_arg.clone(),
        regs: library.regs,
        seen,
        compat_regs: field(decls, library.regs, COMPAT).ok_or_else(missing)?,
        task: library.task,
        compat_task: field(decls, library.task, COMPAT).ok_or_else(missing)?,
    };
    let label = if name.name == "*" { "all" } else { name.name.as_str() };
    Ok(Place {
        attach: Attach::Event(Event::tracepoint(event)),
        others: Vec::new(),
        optional: false,
        name: format!("syscall_{label}_{}", when.name),
        args: ProbeArgs {
            probe: format!("syscall:{}:{}", name.name, when.name),
            user: false,
            packet: false,
            args,
        },
        class: Class { level: ClassLevel::Abi, culprit: None },
        guard: Some(guard),
        runner_only: None,
    })
}

fn malformed(span: Span, label: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(Code::E0421, span, "malformed `syscall` probe").label(label))
}

fn find(name: &Ident) -> Result<Syscall, Box<Diagnostic>> {
    if let Some(call) = syscalls::find(&name.name) {
        return Ok(call);
    }
    let text = format!("unknown system call `{}`", name.name);
    let diagnostic =
        Diagnostic::new(Code::E0423, name.span, text).label("no system call of that name");
    Err(Box::new(match nearest(&name.name, syscalls::names()) {
        Some(near) => diagnostic.fix(format!("did you mean `{near}`?"), name.span, near),
        None => diagnostic.help("names are the kernel's, without `sys_`: `openat`, `fstat`"),
    }))
}

/// What the library's file says of one event.
struct Library {
    regs_arg: Arg,
    regs: MirrorId,
    /// The second argument: the number at the entry, the result at the exit.
    second: ArgValue,
    task: MirrorId,
}

impl Library {
    fn of(decls: &Decls, event: &str) -> Option<Library> {
        let tracepoint: &Tracepoint = decls.tracepoints.get(event)?;
        let [TracepointArg { arg: regs, .. }, TracepointArg { arg: second, .. }] =
            tracepoint.args.as_slice()
        else {
            return None;
        };
        Some(Library {
            regs_arg: regs.clone(),
            regs: mirror(decls, REGS)?,
            second: ArgValue::Kernel(second.clone()),
            task: mirror(decls, TASK)?,
        })
    }

    /// A register.
    fn field(&self, decls: &Decls, name: &str) -> Option<ArgValue> {
        let index = field(decls, self.regs, name)?;
        Some(ArgValue::Field(self.regs_arg.clone(), self.regs, index))
    }
}

fn mirror(decls: &Decls, name: &str) -> Option<MirrorId> {
    match decls.types.get(name)? {
        TypeDecl::Mirror(id) => Some(*id),
        TypeDecl::Struct(_) | TypeDecl::Enum(_) | TypeDecl::Kernel | TypeDecl::Error => None,
    }
}

fn field(decls: &Decls, mirror: MirrorId, name: &str) -> Option<u32> {
    let at = decls.hir.mirrors[mirror].fields.iter().position(|f| f.name == name)?;
    u32::try_from(at).ok()
}

impl Guard {
    /// The body, run only for the call and outside of compat tasks.
    pub(super) fn around(&self, hir: &Hir, body: Vec<Stmt>, span: Span) -> Vec<Stmt> {
        let native = logical_and(
            not(self.compat_task(hir, span), span),
            not(argument_field(hir, &self.regs_arg, self.regs, self.compat_regs, span), span),
            span,
        );
        let cond = logical_and(self.is_call(hir, span), native, span);
        vec![Stmt { kind: StmtKind::If { cond, then: body, otherwise: Vec::new() }, span }]
    }

    fn compat_task(&self, hir: &Hir, span: Span) -> Expr {
        let ty = Ty::Ptr(Pointee::Mirror(self.task));
        let base = Box::new(Expr { kind: ExprKind::Builtin(Builtin::Curtask), ty, span });
        let fields = &hir.mirrors[self.task].fields;
        let ty = fields.get(self.compat_task as usize).map_or(Ty::Error, |f| f.ty.clone());
        Expr {
            kind: ExprKind::Field { base, mirror: self.task, field: self.compat_task },
            ty,
            span,
        }
    }

    /// Whether the target's architecture is known, and the number is the call's there.
    fn is_call(&self, hir: &Hir, span: Span) -> Expr {
        let any = self.seen.iter().map(|(marker, number)| {
            let there = self.has(*marker, span);
            match number {
                Some(number) => logical_and(there, self.is(hir, *number, span), span),
                None => there,
            }
        });
        any.reduce(|a, b| logical_or(a, b, span)).unwrap_or_else(|| int(0, Ty::Bool, span))
    }

    /// Whether the target's registers have that field.
    fn has(&self, field: u32, span: Span) -> Expr {
        Expr { kind: ExprKind::HasField { mirror: self.regs, field }, ty: Ty::Bool, span }
    }

    /// Whether the call has that number.
    fn is(&self, hir: &Hir, number: u32, span: Span) -> Expr {
        let found = Box::new(self.number(hir, span));
        let number = Box::new(int(u64::from(number), Ty::S64, span));
        Expr { kind: ExprKind::Binary(BinOp::Eq, found, number), ty: Ty::Bool, span }
    }

    fn number(&self, hir: &Hir, span: Span) -> Expr {
        match &self.number {
            ArgValue::Kernel(arg) => Expr { kind: ExprKind::Arg(arg.clone()), ty: Ty::S64, span },
            ArgValue::Field(arg, mirror, field) => argument_field(hir, arg, *mirror, *field, span),
        }
    }
}

fn not(value: Expr, span: Span) -> Expr {
    Expr { kind: ExprKind::Unary(UnOp::LogNot, Box::new(value)), ty: Ty::Bool, span }
}

fn logical_and(left: Expr, right: Expr, span: Span) -> Expr {
    let kind = ExprKind::LogAnd(Box::new(left), Box::new(right));
    Expr { kind, ty: Ty::Bool, span }
}

fn logical_or(left: Expr, right: Expr, span: Span) -> Expr {
    let kind = ExprKind::LogOr(Box::new(left), Box::new(right));
    Expr { kind, ty: Ty::Bool, span }
}
