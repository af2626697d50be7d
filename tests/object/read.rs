//! Everything that is written is read back by our own reader, in both byte orders.

use super::fixture::{self, Script};
use ubpfc::btf::Type;
use ubpfc::isa::code::{Insn, RelocKind};
use ubpfc::isa::opcode::{ALU64, K, LDIMM64, LSH, MOV};
use ubpfc::object::btf_ext::CoreKind;
use ubpfc::object::elf::R_BPF_64_64;
use ubpfc::object::read::{Object, maps};
use ubpfc::object::ubpf::{Action, Attach, Class, MapValue};
use ubpfc::target::Endian;

const SWITCH: &str = "tp_btf/sched_switch";

fn in_both_orders(check: impl Fn(&Script, &Object<'_>)) {
    for endian in [Endian::Little, Endian::Big] {
        let script = fixture::script();
        let bytes = script.write(endian);
        let object = Object::parse(&bytes).unwrap();
        assert_eq!(object.endian, endian);
        check(&script, &object);
    }
}

/// A slot without what relocations put into it.
fn bare(insn: Insn) -> (u8, u8, u8) {
    (insn.code, insn.dst, insn.src)
}

#[test]
fn functions_have_their_slots_sections_and_symbols() {
    in_both_orders(|script, object| {
        let functions = object.functions().unwrap();
        let found: Vec<_> =
            functions.iter().map(|f| (f.symbol.name, f.section, f.symbol.global)).collect();
        let expected = [
            ("visit_first", ".text", false),
            ("visit", ".text", false),
            ("sched_switch", SWITCH, true),
            ("sched_switch_2", SWITCH, true),
            ("begin", "raw_tp", true),
            ("interval", "perf_event", true),
        ];
        assert_eq!(found, expected);
        for function in functions {
            let written = script.code.functions().find(|f| f.name == function.symbol.name).unwrap();
            let bare = |insns: &[Insn]| insns.iter().copied().map(bare).collect::<Vec<_>>();
            assert_eq!(bare(&function.insns()), bare(&written.insns));
        }
    });
}

#[test]
fn instructions_hold_the_local_answers() {
    in_both_orders(|_, object| {
        let functions = object.functions().unwrap();
        let insns = functions[2].insns();
        let at = |slot: usize| (insns[slot].off, insns[slot].imm);
        assert_eq!(at(2), (0, 0)); // pid
        assert_eq!(at(4), (0, 1)); // exists
        assert_eq!(at(7), (19, 0)); // comm[3]
        assert_eq!(at(8), (32, 0)); // se.sum_exec_runtime
        assert_eq!(at(9), (40, 0)); // real_parent
        assert_eq!(at(11), (48, 0)); // the word of in_iowait
        let shift = if object.endian == Endian::Little { 63 } else { 32 };
        assert_eq!((at(12), bare(insns[13]).0 & 0xf7), ((0, shift), ALU64 | LSH | K));
        assert_eq!(at(14), (0, 63)); // rshift
        assert_eq!(at(16), (0, 16)); // sizeof comm
        assert_eq!((insns[25].code, at(25), at(26)), (LDIMM64, (0, 1), (0, 0))); // the second enumerator
        assert_eq!((insns[29].code, at(29)), (ALU64 | MOV | K, (0, 56))); // sizeof task_struct___user
        let second = functions[3].insns();
        assert_eq!((second[2].imm, second[3].imm), (8, 0)); // min_us in .rodata
        assert_eq!((second[7].imm, second[8].imm), (16, 0)); // visit in .text
    });
}

#[test]
fn relocations_name_maps_data_and_functions() {
    in_both_orders(|_, object| {
        let relocations = object.relocations(SWITCH).unwrap();
        let found: Vec<_> = relocations.iter().map(|r| (r.offset, r.symbol.name, r.kind)).collect();
        let expected = [(32, "start"), (40, "ubpf_ring"), (55, ""), (58, "start"), (60, "")];
        let expected = expected.map(|(slot, name)| (slot * 8, name, R_BPF_64_64));
        assert_eq!(found, expected);
        let section = |index: usize| object.sections[relocations[index].symbol.section].name;
        assert_eq!([section(2), section(4)], [".rodata", ".text"]);
        assert_eq!(object.section(".rodata").unwrap().data.len(), 16);
        assert_eq!(object.section("license").unwrap().data, b"GPL\0");
    });
}

#[test]
fn maps_have_the_types_of_their_keys_and_values() {
    in_both_orders(|_, object| {
        let types = object.types().unwrap().unwrap();
        let maps = maps(&types);
        let found: Vec<_> = maps
            .iter()
            .map(|m| (m.name, m.map_type, m.key_size, m.value_size, m.max_entries))
            .collect();
        let expected = [
            ("start", 1, 4, 8, 1024),
            ("hits", 5, 20, 8, 1024),
            ("n", 6, 4, 16, 1024),
            ("ubpf_ring", 27, 0, 0, 65536),
        ];
        assert_eq!(found, expected);
        let key = types.get(maps[0].key.unwrap()).unwrap();
        assert!(matches!(key, Type::Typedef { name: "s32", .. }), "{key:?}");
    });
}

#[test]
fn records_have_types_that_are_found_by_name() {
    in_both_orders(|_, object| {
        let types = object.types().unwrap().unwrap();
        let record = types.get(types.find(&["ubpf_record_0"])[0][0]).unwrap();
        let Type::Composite { size: 24, members, .. } = record else { panic!("{record:?}") };
        let places: Vec<_> = members.iter().map(|m| (m.name, m.bit_offset)).collect();
        assert_eq!(places, [("id", 0), ("zero", 32), ("_0", 64)]);
        let hit = types.get(members[2].ty).unwrap();
        assert!(matches!(hit, Type::Composite { name: "hit", size: 16, .. }), "{hit:?}");
    });
}

#[test]
fn every_function_has_a_type_and_quotes_its_source() {
    in_both_orders(|script, object| {
        let types = object.types().unwrap().unwrap();
        let ext = object.ext(&types).unwrap().unwrap();
        for function in object.functions().unwrap() {
            let section = &ext.sections[function.section];
            let start = u32::try_from(function.symbol.offset).unwrap();
            let info = section.funcs.iter().find(|info| info.insn_off == start).unwrap();
            let ty = types.get(info.func).unwrap();
            assert!(
                matches!(ty, Type::Func { name, .. } if name == function.symbol.name),
                "{ty:?}"
            );
            assert!(section.lines.iter().any(|line| line.insn_off == start));
        }
        let lines = &ext.sections[SWITCH].lines;
        let quoted: Vec<_> =
            lines.iter().map(|l| (l.insn_off / 8, l.text, l.line, l.col)).collect();
        let text = |line: usize| fixture::SCRIPT.lines().nth(line - 1).unwrap();
        let expected = [(0, 3, 1), (2, 4, 12), (32, 4, 5), (40, 5, 5), (53, 7, 33)];
        let expected = expected.map(|(slot, line, col)| (slot, text(line as usize), line, col));
        assert_eq!(quoted, expected);
        assert!(lines.iter().all(|line| line.file == "fixture.ub"));
        assert_eq!(ext.sections.len(), 4);
        assert_eq!(
            ext.sections.values().map(|s| s.core.len()).sum::<usize>(),
            script.core_relocs()
        );
    });
}

#[test]
fn every_question_has_its_whole_path() {
    in_both_orders(|script, object| {
        let types = object.types().unwrap().unwrap();
        let ext = object.ext(&types).unwrap().unwrap();
        let core = &ext.sections[SWITCH].core;
        let name = |index: usize| match types.get(core[index].root).unwrap() {
            Type::Composite { name, .. } | Type::Enum { name, .. } | Type::Typedef { name, .. } => {
                name
            }
            other => panic!("{other:?}"),
        };
        let found = |index| (name(index), core[index].access, core[index].kind);
        assert_eq!(found(0), ("task_struct___user", "0:0", CoreKind::ByteOff));
        assert_eq!(found(3), ("task_struct___user", "0:2:3", CoreKind::ByteOff));
        assert_eq!(found(4), ("task_struct___user", "0:3:0", CoreKind::ByteOff));
        assert_eq!(found(12), ("task_struct___user2", "0:0", CoreKind::FieldExists));
        assert_eq!(found(16), ("pid_type___user", "1", CoreKind::EnumvalValue));
        assert_eq!(found(18), ("btf_trace_sched_switch___user2", "0", CoreKind::TypeExists));
        assert_eq!(found(19), ("task_struct___user", "0", CoreKind::TypeSize));
        let slots = script.code.programs[0].relocs.iter();
        let slots = slots.filter(|reloc| matches!(reloc.kind, RelocKind::Core(_)));
        assert!(slots.zip(core).all(|(reloc, core)| reloc.insn.0 * 8 == core.insn_off));
    });
}

#[test]
fn our_own_section_says_the_rest() {
    in_both_orders(|script, object| {
        let ubpf = object.ubpf().unwrap().unwrap();
        let attach: Vec<_> = ubpf.programs.iter().map(|program| program.attach.clone()).collect();
        let switch = || Attach::Tracepoint("sched_switch".into());
        assert_eq!(attach, [switch(), switch(), Attach::Begin, Attach::Interval(1_000_000_000)]);
        assert_eq!(ubpf.programs[0].class, Class::NotAbi);
        let culprit = ubpf.programs[0].culprit.as_ref().unwrap();
        assert_eq!((culprit.at.line, culprit.text.as_str()), (3, "tracepoint:sched:sched_switch"));
        assert_eq!(ubpf.outputs[0].action, Action::Emit("ubpf_record_0".into()));
        assert_eq!((ubpf.outputs[0].size, ubpf.outputs[0].args[0].offset), (24, 8));
        assert_eq!(
            (ubpf.maps[1].value.clone(), ubpf.maps[1].bucket_offset),
            (MapValue::Hist, Some(16))
        );
        assert_eq!(ubpf.maps[2].key, []);
        assert_eq!(ubpf.params[0].offset, Some(8));
        assert_eq!(ubpf.ring.unwrap().name, "ubpf_ring");
        let next = &ubpf.events[0].prototypes[0].args[2];
        assert_eq!(
            (next.name.as_str(), next.ty.to_string().as_str()),
            ("next", "struct task_struct *")
        );
        assert_eq!(ubpf.relocs.len(), script.core_relocs());
        let [mirror] = &ubpf.mirrors[..] else { panic!("{:?}", ubpf.mirrors) };
        assert_eq!((mirror.kernel.as_str(), mirror.locked), ("task_struct", true));
        let fields: Vec<_> =
            mirror.fields.iter().map(|f| (f.name.as_str(), &f.alternatives[..])).collect();
        assert_eq!(fields, [("state", &["__state".to_owned(), "(long)state".to_owned()][..])]);
        assert_eq!(ubpf.sources[0].size, fixture::SCRIPT.len());
    });
}
