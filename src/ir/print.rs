//! The IR as text, for people and for snapshots: one line an instruction, in the order of the blocks.

use super::reloc::{Access, AccessId, Accesses, CoreReloc, FieldQuestion};
use super::{BinOp, BlockId, CmpOp, Cond, Func, Inst, MapTarget, Module, Off, Op, Space};
use super::{SlotId, Target, Term, ValueId, Width, cfg::Cfg};
use crate::sema::hir::KStep;
use std::fmt::{self, Display, Formatter, Write};

/// All functions of a module. Blocks that nothing reaches are left out.
pub fn print(module: &Module) -> String {
    let mut out = String::new();
    for (kind, funcs) in [("func", &module.funcs), ("callback", &module.callbacks)] {
        for func in funcs {
            let sep = if out.is_empty() { "" } else { "\n" };
            let shown = Printer { kind, func, accesses: Some(&module.accesses) };
            write!(out, "{sep}{shown}").expect("writing to a string cannot fail");
        }
    }
    out
}

impl Display for Func {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printer { kind: "func", func: self, accesses: None }.fmt(f)
    }
}

/// A function with what its accesses are called by.
struct Printer<'a> {
    kind: &'static str,
    func: &'a Func,
    accesses: Option<&'a Accesses>,
}

impl Display for Printer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {{", self.kind, self.func.name)?;
        for (id, slot) in self.func.slots.iter() {
            writeln!(
                f,
                "  {} = {} bytes align {}: {}",
                S(id),
                slot.size,
                slot.align,
                slot.purpose
            )?;
        }
        for id in Cfg::new(self.func).order {
            let block = &self.func.blocks[id];
            writeln!(f, "{}{}:", B(id), Args(&block.params))?;
            for inst in &block.insts {
                self.inst(f, inst)?;
            }
            match &block.term {
                Term::Jump(target) => writeln!(f, "  jump {}", T(target))?,
                Term::Branch { cond, then, otherwise } => {
                    writeln!(f, "  branch {} then {} else {}", C(cond), T(then), T(otherwise))?;
                }
                Term::Return(value) => writeln!(f, "  return {}", V(*value))?,
            }
        }
        writeln!(f, "}}")
    }
}

impl Printer<'_> {
    fn inst(&self, f: &mut Formatter<'_>, inst: &Inst) -> fmt::Result {
        f.write_str("  ")?;
        if let Some(result) = inst.result {
            write!(f, "{} = ", V(result))?;
        }
        self.op(f, &inst.op)?;
        f.write_char('\n')
    }

    fn op(&self, f: &mut Formatter<'_>, op: &Op) -> fmt::Result {
        match op {
            Op::Const(number) if *number > 1 << 63 => write!(f, "const {}", number.cast_signed()),
            Op::Const(number) => write!(f, "const {number}"),
            Op::Core(reloc) => self.core(f, reloc),
            Op::Ctx => f.write_str("ctx"),
            Op::SlotAddr(slot, at) => write!(f, "addr {} + {at}", S(*slot)),
            Op::MapAddr(MapTarget::Map(map)) => write!(f, "map {}", map.into_raw()),
            Op::MapAddr(MapTarget::Ring) => f.write_str("map ring"),
            Op::Rodata(at) => write!(f, "addr rodata + {at}"),
            Op::Callback(index) => write!(f, "callback {index}"),
            Op::Bin(op, a, b) => write!(f, "{} {}, {}", bin(*op), V(*a), V(*b)),
            Op::Neg(value) => write!(f, "neg {}", V(*value)),
            Op::Ext { value, bits, signed } => {
                write!(f, "ext.{}{bits} {}", if *signed { 's' } else { 'u' }, V(*value))
            }
            Op::Bswap { value, bits } => write!(f, "bswap.{bits} {}", V(*value)),
            Op::Cmp(cond) => write!(f, "cmp {}", C(cond)),
            Op::Load { width, signed, addr, off, space } => {
                let sign = if *signed { "s" } else { "" };
                write!(f, "load.{sign}{} {} {}", w(*width), space_name(*space), V(*addr))?;
                match off {
                    Off::Bytes(off) => plus(f, *off),
                    Off::Arg(_, index) => plus(f, i16::try_from(*index * 8).unwrap_or(i16::MAX)),
                    Off::Core(access) => {
                        f.write_str(" + ")?;
                        self.access(f, *access)
                    }
                }
            }
            Op::Store { width, addr, off, value, space } => {
                write!(f, "store.{} {} {}", w(*width), space_name(*space), V(*addr))?;
                plus(f, *off)?;
                write!(f, ", {}", V(*value))
            }
            Op::AtomicAdd { width, addr, off, value } => {
                write!(f, "atomic.add.{} {}", w(*width), V(*addr))?;
                plus(f, *off)?;
                write!(f, ", {}", V(*value))
            }
            Op::Call(helper, args) if args.is_empty() => write!(f, "call {}()", helper.symbol()),
            Op::Call(helper, args) => write!(f, "call {}{}", helper.symbol(), Args(args)),
        }
    }

    fn core(&self, f: &mut Formatter<'_>, reloc: &CoreReloc) -> fmt::Result {
        match reloc {
            CoreReloc::Field(access, question) => {
                write!(f, "core {} ", question_name(*question))?;
                self.access(f, *access)
            }
            CoreReloc::StructSize(name) => write!(f, "core size struct {name}"),
            CoreReloc::Prototype(id) => write!(f, "core prototype {}", id.into_raw()),
            CoreReloc::EnumValue { enum_name, name } => {
                write!(f, "core value {enum_name}.{name}")
            }
            CoreReloc::EnumExists { enum_name, name } => {
                write!(f, "core exists {enum_name}.{name}")
            }
        }
    }

    fn access(&self, f: &mut Formatter<'_>, id: AccessId) -> fmt::Result {
        match self.accesses.and_then(|all| all.iter().nth(id.0 as usize)) {
            Some((_, access)) => write!(f, "{access}"),
            None => write!(f, "access {}", id.0),
        }
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for step in &self.steps {
            match step {
                KStep::Member(name) => write!(f, ".{name}")?,
                KStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn plus(f: &mut Formatter<'_>, off: i16) -> fmt::Result {
    if off < 0 { write!(f, " - {}", i32::from(off).abs()) } else { write!(f, " + {off}") }
}

struct V(ValueId);
struct B(BlockId);
struct S(SlotId);
struct T<'a>(&'a Target);
struct C<'a>(&'a Cond);
struct Args<'a>(&'a [ValueId]);

impl Display for V {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0.into_raw())
    }
}

impl Display for B {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0.into_raw())
    }
}

impl Display for S {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0.into_raw())
    }
}

impl Display for T<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", B(self.0.block), Args(&self.0.args))
    }
}

impl Display for C<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", V(self.0.a), cmp(self.0.op), V(self.0.b))
    }
}

impl Display for Args<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "(" } else { ", " }, V(*arg))?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char(')') }
    }
}

fn w(width: Width) -> char {
    match width {
        Width::B => 'b',
        Width::H => 'h',
        Width::W => 'w',
        Width::D => 'd',
    }
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Ctx => "ctx",
        Space::Stack => "stack",
        Space::Kernel => "kernel",
        Space::Shared => "shared",
        Space::Rodata => "rodata",
    }
}

fn bin(op: BinOp) -> &'static str {
    match op {
        BinOp::Add => "add",
        BinOp::Sub => "sub",
        BinOp::Mul => "mul",
        BinOp::DivU => "div.u",
        BinOp::DivS => "div.s",
        BinOp::RemU => "rem.u",
        BinOp::RemS => "rem.s",
        BinOp::Shl => "shl",
        BinOp::ShrU => "shr.u",
        BinOp::ShrS => "shr.s",
        BinOp::And => "and",
        BinOp::Or => "or",
        BinOp::Xor => "xor",
    }
}

fn cmp(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Eq => "==",
        CmpOp::Ne => "!=",
        CmpOp::LtU => "<u",
        CmpOp::LeU => "<=u",
        CmpOp::GtU => ">u",
        CmpOp::GeU => ">=u",
        CmpOp::LtS => "<s",
        CmpOp::LeS => "<=s",
        CmpOp::GtS => ">s",
        CmpOp::GeS => ">=s",
        CmpOp::Test => "&",
    }
}

fn question_name(question: FieldQuestion) -> &'static str {
    match question {
        FieldQuestion::ByteOffset => "offset",
        FieldQuestion::ByteSize => "size",
        FieldQuestion::Exists => "exists",
        FieldQuestion::Signed => "signed",
        FieldQuestion::LshiftU64 => "lshift",
        FieldQuestion::RshiftU64 => "rshift",
    }
}
