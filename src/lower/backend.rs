//! The back end: IR → machine code.
//!
//! In: a verified module. Out: the code of every function with its relocations and lines, or what limit of BPF it exceeds. Invariant: no
//! function uses more than 512 bytes of stack together with what it may call, and none is longer than a million slots.

use super::frame::Frame;
use super::machine::Reg;
use super::{emission, frame, hoist, legalize, passes, regalloc, select};
use crate::diag::{Code as DiagCode, Diagnostic, Diags};
use crate::ir::cfg::Cfg;
use crate::ir::{Func, Helper, Module, Op, verify};
use crate::isa::code::{Code, Function};
use crate::sema::hir::Hir;
use crate::source::Span;
use crate::target::Target;
use std::fmt::Write;

/// The bytes of stack that a program has, with all that it calls (v6.12 `include/linux/filter.h`: `MAX_BPF_STACK`).
const STACK_BYTES: u32 = 512;
/// The slots that a program may have (v6.12 `include/linux/bpf.h`: `BPF_COMPLEXITY_LIMIT_INSNS`).
const MAX_SLOTS: usize = 1_000_000;

/// Makes a module's programs shorter and faster without changing what they do.
///
/// # Panics
/// When a pass breaks an invariant of the IR, which is a bug.
pub fn optimize(module: &mut Module) {
    let env = verify::Env::from(&*module);
    let others = module.others.iter_mut().map(|(_, func)| func);
    for func in module.funcs.iter_mut().chain(others).chain(&mut module.callbacks) {
        passes::run(func, &env);
    }
}

/// Optimises a module and writes it down.
///
/// # Panics
/// As [`optimize`] and [`emit`].
pub fn compile(mut module: Module, hir: &Hir, target: Target) -> Result<Code, Diags> {
    optimize(&mut module);
    emit(module, hir, target)
}

/// Gives every function of a module registers and writes it down; the errors are limits of BPF.
///
/// # Panics
/// When the module is not valid IR, which is a bug.
pub fn emit(module: Module, hir: &Hir, target: Target) -> Result<Code, Diags> {
    let env = verify::Env::from(&module);
    let mut diags = Diags::new();
    let mut keep = |compiled: Result<Function, Box<Diagnostic>>| match compiled {
        Ok(function) => Some(function),
        Err(diagnostic) => {
            diags.push(*diagnostic);
            None
        }
    };
    let callbacks: Vec<Function> = (module.callbacks.into_iter())
        .filter_map(|func| keep(function(func, &env, target, Role::Callback, None)))
        .collect();
    let called = callbacks.iter().map(|c| c.frame_bytes).max().unwrap_or(0);
    let programs = (module.funcs.into_iter().enumerate())
        .filter_map(|(i, func)| {
            let span = hir.programs.get(i).map(|p| p.span);
            keep(function(func, &env, target, Role::Program { called }, span))
        })
        .collect();
    if diags.has_errors() {
        return Err(diags);
    }
    let others = (module.others.into_iter())
        .filter_map(|(form, func)| {
            let span = hir.programs.get(form.program).map(|p| p.span);
            // A form that exceeds a limit which the first one keeps is not there.
            Some((form, function(func, &env, target, Role::Program { called }, span).ok()?))
        })
        .collect();
    let Module { accesses, args, rodata, .. } = module;
    Ok(Code { programs, others, callbacks, accesses, args, rodata })
}

/// What a function is.
#[derive(Clone, Copy)]
enum Role {
    /// A program; the callbacks of the module use this many bytes of stack at most.
    Program { called: u32 },
    /// A callback.
    Callback,
}

impl Role {
    /// The register that the context comes in. `bpf_for_each_map_elem` calls back with the map, the key, the value, and the context it was given.
    fn context(self) -> Reg {
        match self {
            Role::Program { .. } => Reg::arg(0),
            Role::Callback => Reg::arg(3),
        }
    }
}

fn function(
    mut func: Func,
    env: &verify::Env,
    target: Target,
    role: Role,
    span: Option<Span>,
) -> Result<Function, Box<Diagnostic>> {
    if legalize::legalize(&mut func, target) {
        passes::run(&mut func, env);
    }
    let span = span.unwrap_or(func.blocks[func.entry].term_span);
    let cfg = Cfg::new(&func);
    let plain = || assemble(&func, &cfg, target, role, span).map(|(plain, _)| plain);
    let Some(early) = passes::read_first(&func, &cfg) else { return plain() };
    // Where registers are short, what was read early is only spilled. Where they are not, it is shorter.
    match assemble(&early, &Cfg::new(&early), target, role, span) {
        Ok((early, 0)) => Ok(early),
        Ok((early, _)) => {
            Ok(plain().ok().filter(|plain| plain.insns.len() <= early.insns.len()).unwrap_or(early))
        }
        Err(_) => plain(),
    }
}

/// Gives a function registers and a frame, and writes it down; also how many values found no register.
fn assemble(
    func: &Func,
    cfg: &Cfg,
    target: Target,
    role: Role,
    span: Span,
) -> Result<(Function, u32), Box<Diagnostic>> {
    let mut machine = select::select(func, cfg, target, role.context());
    let allocated = hoist::hoist(&mut machine).and_then(|()| regalloc::allocate(&mut machine));
    if let Err(regalloc::TooComplex) = allocated {
        return Err(Box::new(too_complex(func, span)));
    }
    let spills = machine.spills;
    let frame = frame::layout(func, cfg, spills);
    let budget = match role {
        Role::Program { called } if calls_back(func, cfg) => STACK_BYTES.saturating_sub(called),
        Role::Program { .. } | Role::Callback => STACK_BYTES,
    };
    if frame.bytes > budget {
        return Err(Box::new(too_big(func, cfg, &frame, spills, budget, span)));
    }
    let function = emission::emit(&func.name, machine, &frame, target)
        .map_err(|far| Box::new(too_far(func, far.0)))?;
    if function.insns.len() > MAX_SLOTS {
        return Err(Box::new(too_long(func, function.insns.len(), span)));
    }
    Ok((function, spills))
}

fn calls_back(func: &Func, cfg: &Cfg) -> bool {
    let mut insts = cfg.order.iter().flat_map(|b| &func.blocks[*b].insts);
    insts.any(|inst| matches!(inst.op, Op::Call(Helper::ForEachMapElem, _)))
}

fn too_big(
    func: &Func,
    cfg: &Cfg,
    frame: &Frame,
    spills: u32,
    budget: u32,
    span: Span,
) -> Diagnostic {
    let used = frame::used_slots(func, cfg);
    let mut rows: Vec<_> = func.slots.iter().filter(|(id, _)| used.contains(id)).collect();
    rows.sort_by_key(|(id, slot)| (std::cmp::Reverse(slot.size), id.into_raw()));
    let message = format!("`{}` needs {} bytes of stack of {budget}", func.name, frame.bytes);
    let culprit = rows.first().map_or(span, |(_, slot)| slot.span);
    let mut diagnostic = Diagnostic::new(DiagCode::E0501, culprit, message);
    if let Some((_, slot)) = rows.first() {
        diagnostic = diagnostic.label(format!("{} bytes: {}", slot.size, slot.purpose));
    }
    let mut table = String::from("the frame holds, where some may share bytes:");
    for (_, slot) in rows.iter().take(FRAME_ROWS) {
        let _ = write!(table, "\n{:>6} bytes  {}", slot.size, slot.purpose);
    }
    let rest = rows.iter().skip(FRAME_ROWS).map(|(_, slot)| u64::from(slot.size)).sum::<u64>();
    if rest > 0 {
        let _ = write!(table, "\n{rest:>6} bytes  {} more", rows.len() - FRAME_ROWS);
    }
    if spills > 0 {
        let _ = write!(table, "\n{:>6} bytes  values that found no register", spills * 8);
    }
    diagnostic = diagnostic.note(table);
    if budget < STACK_BYTES {
        let callee = STACK_BYTES - budget;
        diagnostic = diagnostic.note(format!("a function that it calls uses {callee} bytes more"));
    }
    diagnostic.help("use shorter strings or fewer of them at once, or several probes")
}

/// How many rows a frame table has at most.
const FRAME_ROWS: usize = 16;

fn too_complex(func: &Func, span: Span) -> Diagnostic {
    let message = format!("`{}` works with too many values at once", func.name);
    Diagnostic::new(DiagCode::E0503, span, message)
        .note("a program has ten registers and 512 bytes of stack")
        .help("compute values where they are used, or split the program into several probes")
}

fn too_far(func: &Func, span: Span) -> Diagnostic {
    let message = format!("`{}` is too long for its jumps", func.name);
    Diagnostic::new(DiagCode::E0502, span, message)
        .label("this jumps over more than 32767 instructions")
        .help("split the program into several probes, or compile with `--cpu v4`, which has long jumps")
}

fn too_long(func: &Func, slots: usize, span: Span) -> Diagnostic {
    let message = format!("`{}` has {slots} instructions of {MAX_SLOTS}", func.name);
    Diagnostic::new(DiagCode::E0502, span, message).help("split the program into several probes")
}
