//! Objects that are broken in any way: an error or an object, never a panic, and no more memory than they need.

use crate::fixture::*;
use crate::support::package;
use crate::support::pipeline::Script;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use ubpfc::isa::opcode::*;
use ubpfc::object::read::Object;
use ubpfc::object::rewrite::rewrite;
use ubpfc::relocate::{ApplyError, Edit, Plan, Policy, apply};
use ubpfc::target::{Cpu, Endian};

fn sample(endian: Endian) -> Vec<u8> {
    let call_of = |imm| insn(JMP | CALL, 0, PSEUDO_CALL, 0, imm);
    let functions = [
        Function {
            refers: vec![(2, "helper")],
            ..program(vec![mov(2, 1), jeq(2, 0, 1), call_of(-1), mov(0, 0), exit()])
        },
        Function { section: ".text", name: "helper", ..program(vec![load_context(0, 8), exit()]) },
    ];
    object(&functions, endian)
}

fn survives(bytes: &[u8]) {
    let Ok(object) = Object::parse(bytes) else { return };
    for policy in [Policy::Strict, Policy::Libbpf] {
        for slot in 0..3 {
            let section = object.sections.iter().position(|section| section.name == "raw_tp");
            let Some(section) = section else { continue };
            let good = sample(Endian::Little);
            let good = Object::parse(&good).unwrap();
            for edit in [missing(), Edit::Replace(vec![mov(2, 0)]), Edit::Replace(vec![exit(); 3])]
            {
                let mut fixup = fixup(&good, "program", slot, edit);
                fixup.section = section;
                let plan = Plan { fixups: vec![fixup], ..Plan::default() };
                if let Ok(applied) = apply(bytes, &object, &plan, policy) {
                    assert!(applied.bytes.len() < bytes.len() + 4096);
                }
            }
        }
    }
}

#[test]
fn every_truncation_and_every_flipped_byte_ends_well() {
    for endian in [Endian::Little, Endian::Big] {
        let bytes = sample(endian);
        for len in 0..bytes.len() {
            survives(&bytes[..len]);
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x08, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                survives(&bytes);
            }
        }
    }
}

#[test]
fn sections_that_share_their_bytes_are_not_written_apart() {
    let mut bytes = sample(Endian::Little);
    let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    let len = bytes.len() as u64;
    for header in bytes[table + 64..].chunks_exact_mut(64) {
        header[24..32].copy_from_slice(&0_u64.to_le_bytes());
        header[32..40].copy_from_slice(&len.to_le_bytes());
    }
    let changed = BTreeMap::from([(1, vec![0; 8])]);
    let error = rewrite(&bytes, &changed).unwrap_err().to_string();
    assert!(error.starts_with("the size of all sections together has the value"), "{error}");
}

/// An object with every section that the compiler writes.
fn compiled() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| {
        let text = std::fs::read_to_string(package("examples/runqlat.ub")).unwrap();
        let script = Script::new(&text).unwrap();
        script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn broken_tables_and_records_end_well(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..8),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = compiled().to_vec();
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len()));
        }
        if let Ok(object) = Object::parse(&bytes) {
            for policy in [Policy::Strict, Policy::Libbpf] {
                match apply(&bytes, &object, &Plan::default(), policy) {
                    Ok(applied) => prop_assert!(applied.bytes.len() < bytes.len() + 4096),
                    Err(ApplyError::Bug(why)) => return Err(TestCaseError::fail(why)),
                    Err(_) => {}
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn other_sections_stay_when_one_grows(grown in prop::collection::vec(any::<u8>(), 0..100), big: bool) {
        let bytes = sample(if big { Endian::Big } else { Endian::Little });
        let before = Object::parse(&bytes).unwrap();
        let changed = BTreeMap::from([(1, grown.clone())]);
        let after = rewrite(&bytes, &changed).unwrap();
        let after = Object::parse(&after).unwrap();
        prop_assert_eq!(before.sections.len(), after.sections.len());
        for (index, (before, after)) in before.sections.iter().zip(&after.sections).enumerate() {
            prop_assert_eq!(before.name, after.name);
            let data = if index == 1 { &grown[..] } else { before.data };
            prop_assert_eq!(after.data, data);
        }
        prop_assert_eq!(before.symbols, after.symbols);
    }
}
