//! HIR → IR: every program as a control-flow graph.
//!
//! In: an HIR without errors, and the target. Out: a [`Module`], or what exceeds a limit of BPF. What the verifier demands is there by construction: pointers that
//! may be null are compared with 0 before use, stack memory and records are written in full before they are read (padding too), loops have a bound,
//! and a reserved record is submitted on the only way on from it.
//!
//! [`func`] builds SSA form; the other modules add to [`Program`], each what it is named after.

mod agg;
mod expr;
mod func;
mod kernel;
mod map;
mod memory;
mod mirror;
mod origin;
mod output;
mod packet;
mod register;
mod stmt;
mod value;
mod walk;

#[cfg(test)]
mod tests;

use crate::diag::{Code, Diagnostic, Diags};
use crate::ir::reloc::{Accesses, Args};
use crate::ir::{Form, Func, Module, Rodata, RodataVar, SlotId};
use crate::sema::hir::{self, Arg, ConstValue, Hir, LocalId, ParamId};
use crate::sema::layout;
use crate::sema::types::{IntTy, Ty};
use crate::source::Span;
use crate::target::Target;
use func::{FuncBuilder, Join};
use memory::Place;
use origin::Origins;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most stack that a program can have (`include/linux/filter.h: MAX_BPF_STACK`).
const MAX_STACK: u32 = 512;
/// The largest key of a map (`kernel/bpf/hashtab.c: htab_map_alloc_check`).
const MAX_KEY: u32 = 512;
/// How long the block of zeros is that large memory is cleared from.
const ZEROS: u32 = 256;

/// The programs of a script in IR.
///
/// # Errors
/// Where a value, a key or a record is larger than BPF allows.
pub fn build(hir: &Hir, target: Target) -> Result<Module, Diags> {
    let mut unit = Unit::new(hir, target);
    unit.check_sizes();
    if unit.diags.has_errors() {
        return Err(unit.diags);
    }
    let (mut funcs, mut others) = (Vec::new(), Vec::new());
    for (index, program) in hir.programs.iter().enumerate() {
        let mut forms = Form::of(hir, program, index).into_iter();
        let first = forms.next();
        funcs.push(Program::new(&mut unit, program, first.as_ref()).build());
        others.extend(distinct(hir, program, first.into_iter().chain(forms)).into_iter().skip(1));
    }
    if unit.diags.has_errors() {
        return Err(unit.diags);
    }
    let others = others.into_iter().filter_map(|form| unit.other(form)).collect();
    let Unit { callbacks, accesses, args, rodata, .. } = unit;
    Ok(Module { funcs, others, callbacks, accesses, args, rodata })
}

/// The forms of a program that differ in more than the prototype that they are for.
fn distinct(hir: &Hir, program: &hir::Program, forms: impl Iterator<Item = Form>) -> Vec<Form> {
    let mut args = Vec::new();
    walk::args(&program.body, &mut args);
    let mut seen: Vec<(hir::Event, bool, Vec<Option<u32>>)> = Vec::new();
    let is_new = |form: &Form| {
        let Some(prototype) = form.prototype.map(|id| &hir.prototypes[id]) else { return true };
        // Only registers are other code for another place: elsewhere the place is put into the code.
        let exact = form.event.kind == hir::EventKind::Kprobe;
        let place = |arg: &&Arg| {
            let found = prototype.place(form.event.kind, &arg.names);
            found.map(|(index, _)| if exact { index } else { 0 })
        };
        let places = args.iter().map(place).collect();
        let what = (form.event.clone(), form.typed, places);
        let is_new = !seen.contains(&what);
        seen.push(what);
        is_new
    };
    forms.filter(is_new).collect()
}

/// Where the parts of a map's key are.
fn key_fields(hir: &Hir, map: &hir::Map) -> layout::Fields {
    match layout::map_key(map) {
        Ty::Tuple(parts) => layout::fields(hir, &parts),
        part => layout::fields(hir, &[part]),
    }
}

/// What the programs of a script share.
#[derive(Debug)]
struct Unit<'h> {
    hir: &'h Hir,
    target: Target,
    accesses: Accesses,
    args: Args,
    rodata: Rodata,
    callbacks: Vec<Func>,
    diags: Diags,
    params: BTreeMap<ParamId, u32>,
    /// Where `__start_ns` is in `.rodata`, once it is needed.
    start_ns: Option<u32>,
    /// Where the block of zeros is in `.rodata`, once it is needed.
    zeros: Option<u32>,
}

impl<'h> Unit<'h> {
    fn new(hir: &'h Hir, target: Target) -> Unit<'h> {
        let mut unit = Unit {
            hir,
            target,
            accesses: Accesses::default(),
            args: Args::default(),
            rodata: Rodata::default(),
            callbacks: Vec::new(),
            diags: Diags::new(),
            params: BTreeMap::new(),
            start_ns: None,
            zeros: None,
        };
        for (id, param) in hir.params.iter() {
            let size = layout::size_align(hir, &param.ty).0;
            let bytes = match &param.default {
                ConstValue::Int(number) => unit.bytes_of(*number, size),
                ConstValue::Str(text) => text.as_bytes().to_vec(),
            };
            let offset = unit.add_rodata(&param.name, param.ty.clone(), bytes);
            unit.params.insert(id, offset);
        }
        unit
    }

    /// A program in a form that is set aside; nothing where it exceeds a limit that the first form keeps.
    fn other(&mut self, form: Form) -> Option<(Form, Func)> {
        let program = &self.hir.programs[form.program];
        let func = Program::new(self, program, Some(&form)).build();
        let whole = std::mem::take(&mut self.diags).is_empty();
        whole.then_some((form, func))
    }

    /// A number as the target keeps it in that many bytes.
    fn bytes_of(&self, number: u64, size: u32) -> Vec<u8> {
        let bytes = self.target.endian.bytes_u64(number);
        let size = (size as usize).min(8);
        match self.target.endian {
            crate::target::Endian::Little => bytes[..size].to_vec(),
            crate::target::Endian::Big => bytes[8 - size..].to_vec(),
        }
    }

    /// Adds a variable; bytes that are not given are 0.
    fn add_rodata(&mut self, name: &str, ty: Ty, mut bytes: Vec<u8>) -> u32 {
        let (size, align) = layout::size_align(self.hir, &ty);
        bytes.resize(size as usize, 0);
        let align = align.max(1) as usize;
        self.rodata.bytes.resize(self.rodata.bytes.len().next_multiple_of(align), 0);
        let offset = u32::try_from(self.rodata.bytes.len()).unwrap_or(u32::MAX);
        self.rodata.bytes.extend(bytes);
        self.rodata.vars.push(RodataVar { name: name.into(), ty, offset, size });
        offset
    }

    /// Where the time of the script's start is, which the runner fills in.
    fn start_ns(&mut self) -> u32 {
        if let Some(offset) = self.start_ns {
            return offset;
        }
        let offset = self.add_rodata("__start_ns", Ty::U64, Vec::new());
        self.start_ns = Some(offset);
        offset
    }

    /// Where [`ZEROS`] bytes of zeros are.
    fn zeros(&mut self) -> u32 {
        if let Some(offset) = self.zeros {
            return offset;
        }
        let ty = Ty::Array(Arc::new(Ty::U64), ZEROS / 8);
        let offset = self.add_rodata("__zeros", ty, Vec::new());
        self.zeros = Some(offset);
        offset
    }

    /// Which of [`Module::callbacks`] does nothing for each entry of a map, so that they are counted.
    fn counter(&mut self, span: Span) -> u32 {
        if self.callbacks.is_empty() {
            self.callbacks.push(FuncBuilder::new("__count_entry".into(), span).finish());
        }
        0
    }

    /// The limits that can be checked before any program is built.
    fn check_sizes(&mut self) {
        for (_, map) in self.hir.maps.iter() {
            let size = key_fields(self.hir, map).size;
            if size > MAX_KEY {
                let message = format!("the key of `@{}` is {size} bytes long", map.name);
                let label = format!("BPF maps have keys of at most {MAX_KEY} bytes");
                self.diags.push(
                    Diagnostic::new(Code::E0504, map.span, message)
                        .label(label)
                        .help("use a shorter text, or fewer parts"),
                );
            }
        }
        // A quarter of the buffer, so that a record is not forever refused; an offset in an instruction has 16 bits.
        let most = (self.hir.ring_bytes / 4).min(i16::MAX as u32);
        for (_, output) in self.hir.outputs.iter() {
            let size = layout::record(self.hir, &output.args).size;
            if size > most {
                let message = format!("this record is {size} bytes long");
                let label = format!("records have at most {most} bytes here");
                self.diags.push(Diagnostic::new(Code::E0505, output.span, message)
                        .label(label)
                        .note("a record takes at most a quarter of the ring buffer, and at most 32767 bytes")
                        .help("write shorter texts, or raise `ring_bytes` in `config`"));
            }
        }
    }

    fn too_much_work(&mut self, span: Span, work: u64) {
        let message = "this loop is too long for the kernel's verifier";
        let label =
            format!("every round counted, at least {work} instructions of {}", stmt::MAX_WORK);
        self.diags.push(
            Diagnostic::new(Code::E0502, span, message)
                .label(label)
                .note("the verifier follows every round that there can be")
                .help("make fewer rounds or do less in them; of nested loops, all rounds count"),
        );
    }

    fn too_large(&mut self, span: Span, size: u32) {
        let message = format!("a value of {size} bytes does not fit the stack");
        let label = format!("BPF programs have {MAX_STACK} bytes of stack");
        self.diags.push(
            Diagnostic::new(Code::E0501, span, message)
                .label(label)
                .help("use a shorter text; what is only printed needs no variable"),
        );
    }
}

/// One program that is being built.
#[derive(Debug)]
struct Program<'u, 'h> {
    unit: &'u mut Unit<'h>,
    hir: &'h Hir,
    source: &'h hir::Program,
    /// The form that it is built in; none where it has no event.
    form: Option<Form>,
    f: FuncBuilder,
    /// The stack slots of variables that live in memory.
    slots: BTreeMap<LocalId, SlotId>,
    /// Eight bytes that are read again as soon as they are written.
    scratch: Option<SlotId>,
    /// Arguments that were used so far, as [`func::Fact::Arg`] numbers them.
    args: Vec<&'h Arg>,
    origins: Origins,
    /// The loops around here, innermost last.
    loops: Vec<Loop>,
}

/// Where `continue` and `break` go.
#[derive(Debug, Default)]
struct Loop {
    next: Join,
    done: Join,
}

impl<'u, 'h> Program<'u, 'h> {
    fn new(
        unit: &'u mut Unit<'h>,
        source: &'h hir::Program,
        form: Option<&Form>,
    ) -> Program<'u, 'h> {
        let hir = unit.hir;
        let origins = Origins::of(hir, source, form);
        Program {
            unit,
            hir,
            source,
            form: form.cloned(),
            f: FuncBuilder::new(source.name.clone(), source.span),
            slots: BTreeMap::new(),
            scratch: None,
            args: Vec::new(),
            origins,
            loops: Vec::new(),
        }
    }

    fn build(mut self) -> Func {
        self.f.result = self.source.result;
        self.stmts(&self.source.body);
        self.f.span = self.source.span;
        self.f.finish()
    }

    /// New stack memory for a value of that size.
    fn temp(&mut self, size: u32, purpose: impl Into<String>) -> Place {
        if size > MAX_STACK {
            self.unit.too_large(self.f.span, size);
        }
        Place::slot(self.f.slot(size, purpose))
    }

    /// The shared eight bytes.
    fn scratch(&mut self) -> Place {
        if self.scratch.is_none() {
            self.scratch = Some(self.f.slot(8, "what was read last"));
        }
        Place::slot(self.scratch.expect("was just made"))
    }

    /// How a scalar of a type is kept in memory.
    fn int_of(&self, ty: &Ty) -> IntTy {
        match ty {
            Ty::Bool => IntTy::U8,
            Ty::Int(int) => *int,
            Ty::Enum(id) => self.hir.enums[*id].repr,
            Ty::Error
            | Ty::Void
            | Ty::Ptr(_)
            | Ty::Str(_)
            | Ty::Array(..)
            | Ty::Tuple(_)
            | Ty::Struct(_)
            | Ty::Mirror(_) => IntTy::U64,
        }
    }

    fn size_of(&self, ty: &Ty) -> u32 {
        layout::size_align(self.hir, ty).0
    }
}
