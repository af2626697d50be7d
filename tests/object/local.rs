//! What instructions hold for the local types, computed anew from the object's own `.BTF` as loaders do before they patch: bitfields of every width, in both byte orders.
//!
//! The reference is `bpf_core_calc_field_relo` of libbpf (`tools/lib/bpf/relo_core.c`).

use super::support::pipeline::Script;
use std::collections::BTreeSet;
use ubpfc::btf::{Btf, Type, TypeId, encoding};
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode as op;
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::read::Object;
use ubpfc::target::{Cpu, Endian, Target};
use ubpfc::{lower, object};

/// Bitfields in words of every size, beside fields that are none.
const FIELDS: [&str; 14] = [
    "u8 a : 1",
    "u8 b : 7",
    "u16 c : 9",
    "u32 d : 1",
    "u32 e : 31",
    "u64 f : 33",
    "u64 g : 63",
    "s8 h : 3",
    "s32 i : 5",
    "s64 j : 40",
    "bool k : 1",
    "u16 l",
    "s64 m",
    "u32 n",
];

/// A program that reads them all by direct loads, and one that reads them all by probing.
fn script() -> String {
    let names: Vec<_> = FIELDS.iter().map(|f| f.split(' ').nth(1).unwrap()).collect();
    let sum = names.iter().map(|name| format!("$p.{name}")).collect::<Vec<_>>().join(" ^ ");
    format!(
        "struct task_struct_user {{ {}; }}
         kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next);
         tracepoint user:switch(struct task_struct_user *prev) = tracepoint sched:sched_switch;
         user:switch {{ $p = args.prev; @x = {sum}; }}
         begin {{ $p = (struct task_struct_user *)curtask; @x = {sum}; }}",
        FIELDS.join("; ")
    )
}

/// The last member on the way of an access string, and where it begins in bits.
fn member(types: &Btf, root: TypeId, access: &str) -> (TypeId, u32, u32) {
    let mut steps = access.split(':').map(|step| step.parse::<usize>().unwrap());
    assert_eq!(steps.next(), Some(0), "{access}");
    let (mut at, mut bit, mut width) = (root, 0, 0);
    for step in steps {
        let Type::Composite { members, .. } = types.get(types.strip(at).unwrap()).unwrap() else {
            panic!("{access} goes through no struct");
        };
        let member = &members[step];
        (at, bit, width) = (member.ty, bit + member.bit_offset, u32::from(member.bit_width));
    }
    (types.strip(at).unwrap(), bit, width)
}

/// The answer of a field for the local type.
fn answer(types: &Btf, root: TypeId, access: &str, kind: CoreKind, endian: Endian) -> u64 {
    let (ty, bit, width) = member(types, root, access);
    let mut size = types.size(ty).unwrap();
    let mut offset = bit / 8;
    if width > 0 {
        offset = bit / 8 / size * size;
        while bit + width - offset * 8 > size * 8 {
            assert!(size < 8, "{access} lies in no unit that can be loaded");
            size *= 2;
            offset = bit / 8 / size * size;
        }
    }
    let bits = if width > 0 { width } else { size * 8 };
    let signed =
        matches!(types.get(ty), Ok(Type::Int { encoding: e, .. }) if e & encoding::SIGNED != 0);
    let left = match endian {
        Endian::Little => 64 - (bit + bits - offset * 8),
        Endian::Big => (8 - size) * 8 + (bit - offset * 8),
    };
    u64::from(match kind {
        CoreKind::ByteOff => offset,
        CoreKind::ByteSize => size,
        CoreKind::FieldExists => 1,
        CoreKind::Signed => signed.into(),
        CoreKind::LshiftU64 => left,
        CoreKind::RshiftU64 => 64 - bits,
        other => panic!("{} is no question about a field", other.name()),
    })
}

/// What an instruction holds where loaders patch it.
fn held(insns: &[Insn], at: usize) -> u64 {
    let insn = insns[at];
    match insn.code & op::CLASS_MASK {
        op::LDX | op::ST | op::STX => u64::try_from(insn.off).unwrap(),
        op::LD => {
            u64::from(insn.imm.cast_unsigned()) | u64::from(insns[at + 1].imm.cast_unsigned()) << 32
        }
        _ => u64::try_from(insn.imm).unwrap(),
    }
}

#[test]
fn bitfields_of_every_width_are_where_loaders_look() {
    let script = Script::new(&script()).unwrap();
    for endian in [Endian::Little, Endian::Big] {
        let target = Target { endian, cpu: Cpu::V3 };
        let mut module = lower::build(&script.hir, target).unwrap();
        lower::optimize(&mut module);
        let code = lower::emit(module, &script.hir, target).unwrap();
        let bytes = object::write(&script.hir, &code, &script.sources, target).unwrap();
        let object = Object::parse(&bytes).unwrap();
        let types = object.types().unwrap().unwrap();
        let ext = object.ext(&types).unwrap().unwrap();
        let functions = object.functions().unwrap();
        let mut shifted = BTreeSet::new();
        for (section, records) in &ext.sections {
            let insns = functions.iter().find(|f| f.section == *section).unwrap().insns();
            for core in records.core.iter().filter(|core| (core.kind as u32) < 6) {
                let found = held(&insns, core.insn_off as usize / 8);
                let expected = answer(&types, core.root, core.access, core.kind, endian);
                assert_eq!(
                    found,
                    expected,
                    "{endian:?} {section} {} {}",
                    core.access,
                    core.kind.name()
                );
                if core.kind == CoreKind::LshiftU64 {
                    shifted.insert((*section, found));
                }
            }
        }
        let widths = shifted.iter().filter(|(section, _)| section.starts_with("tp_btf")).count();
        assert!(widths >= 4, "{endian:?}: shifts are asked for: {shifted:?}");
    }
}
