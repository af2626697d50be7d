//! The reader and bytes that nobody meant to be an object: whatever they are, it ends with a value or an error.

use super::fixture;
use proptest::prelude::*;
use ubpfc::btf::Btf;
use ubpfc::isa::print::instructions;
use ubpfc::object::read::{Ext, Object, ReadError, maps};
use ubpfc::target::Endian;

/// Reads everything there is to read.
fn read_all(bytes: &[u8]) -> Result<usize, ReadError> {
    let object = Object::parse(bytes)?;
    let mut found = 0;
    for function in object.functions()? {
        found += instructions(&function.insns()).count();
    }
    for section in &object.sections {
        found += object.relocations(section.name).map_or(0, |relocations| relocations.len());
    }
    let _ = object.ubpf();
    if let Some(types) = object.types()? {
        found += types.ids().filter(|id| types.size(*id).is_ok()).count() + maps(&types).len();
        found += object.ext(&types)?.map_or(0, |ext| ext.sections.len());
    }
    Ok(found)
}

#[test]
fn every_truncation_is_an_error() {
    for endian in [Endian::Little, Endian::Big] {
        let bytes = fixture::script().write(endian);
        assert!(read_all(&bytes).unwrap() > 100);
        for len in 0..bytes.len() {
            assert!(read_all(&bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    for endian in [Endian::Little, Endian::Big] {
        let bytes = fixture::script().write(endian);
        for (at, change) in (0..bytes.len()).zip([0x01, 0x80, 0xff].into_iter().cycle()) {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            let _ = read_all(&changed);
        }
    }
}

#[test]
fn many_types_may_share_a_long_name() {
    // 24 bytes of header, then typedefs of one name of 4 MiB: looking each up must not take time in its length.
    let (count, name) = (200_000_u32, vec![b'x'; 4 << 20]);
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    let words = [24, 0, count * 12, count * 12, u32::try_from(name.len() + 2).unwrap()];
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
    bytes.extend((0..count).flat_map(|_| [1, 8 << 24, 1_u32]).flat_map(u32::to_le_bytes));
    bytes.extend([&[0][..], &name, &[0]].concat());
    let types = Btf::parse(&bytes).unwrap();
    assert_eq!(types.ids().count(), count as usize);
    // Every one of them is a typedef of the first, which is one of itself.
    assert!(types.ids().all(|id| types.size(id).is_err()));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, endian: bool) {
        let magic: &[u8] = if endian { &[0x9f, 0xeb, 1, 0] } else { &[0xeb, 0x9f, 1, 0] };
        let _ = read_all(&bytes);
        let ours = fixture::script().write(Endian::Little);
        let object = Object::parse(&ours).unwrap();
        let types = object.types().unwrap().unwrap();
        let section = [magic, &bytes].concat();
        let _ = Btf::parse(&section);
        let _ = Ext::parse(&section, &types);
    }
}
