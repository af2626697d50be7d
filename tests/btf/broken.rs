//! Files that are cut off, changed or made to do harm: reading them ends with a value or an error.

use super::support::kernels;
use ubpfc::btf::{Btf, TypeId, kind};

/// Reads what a hostile file might be asked for. Not every type: that would take long in files of a real size.
fn read(bytes: &[u8]) -> Result<usize, ubpfc::btf::BtfError> {
    let types = Btf::parse(bytes)?;
    let found = types.find(&["task_struct", "list_head", "sk_buff", "pid_type", "u64"]);
    let few = types.ids().step_by(97).chain(found.into_iter().flatten());
    let few = few.chain([TypeId(0), TypeId(u32::MAX), types.end()]);
    let sizes = few.filter(|id| types.get(*id).is_ok() && types.size(*id).is_ok()).count();
    Ok(sizes + types.pointer_size() as usize)
}

/// A real file.
fn real() -> &'static [u8] {
    kernels::named("x86_64-6.1.0-50-cloud-amd64").btf()
}

#[test]
fn cut_off_files_are_errors() {
    let bytes = real();
    assert!(read(bytes).unwrap() > 100);
    let cuts = (0..64).chain((64..bytes.len()).step_by(bytes.len() / 100));
    for len in cuts {
        assert!(read(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn changed_files_are_read_or_refused() {
    let mut bytes = real().to_vec();
    // A generator of numbers that are the same every time (Knuth's, MMIX).
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..40 {
        // First the header, then anywhere.
        let at = if round < 24 { round } else { next(bytes.len()) };
        let bit = 1 << next(8);
        bytes[at] ^= bit;
        let _ = read(&bytes);
        bytes[at] ^= bit;
    }
    // Many at once: sizes, names and references.
    let words = bytes.len() / 4;
    for _ in 0..2000 {
        let at = 24 + next(words / 2) * 4;
        bytes[at] ^= 1 << next(8);
    }
    let _ = read(&bytes);
}

/// A section of these words and strings.
fn section(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let len = u32::try_from(types.len() * 4).unwrap();
    let header = [24, 0, len, len, u32::try_from(strings.len()).unwrap()];
    let words = header.iter().chain(types).flat_map(|word| word.to_le_bytes());
    [0x9f, 0xeb, 1, 0].into_iter().chain(words).chain(strings.iter().copied()).collect()
}

#[test]
fn types_of_themselves_and_nested_ones_have_no_size() {
    let typedef = [1, kind::TYPEDEF << 24, 1];
    let array = [0, kind::ARRAY << 24, 0, 2, 2, 1];
    // A pointer of a pointer, a thousand deep, is no problem: it has a size.
    let pointers = (0..1000).flat_map(|i| [0, kind::PTR << 24, i + 4]);
    let words: Vec<u32> = typedef.into_iter().chain(array).chain(pointers).collect();
    let bytes = section(&words, b"\0t\0");
    let types = Btf::parse(&bytes).unwrap();
    assert_eq!(types.ids().count(), 1002);
    assert!(
        [1, 2].iter().all(|id| types.size(TypeId(*id)).is_err() && types.strip(TypeId(1)).is_err())
    );
    assert_eq!(types.size(TypeId(3)), Ok(8));
}

#[test]
fn more_items_than_the_file_has_are_refused() {
    let bytes = section(&[0, kind::STRUCT << 24 | 0x00ff_ffff, 8, 0, 0, 0], b"\0");
    assert!(Btf::parse(&bytes).is_err());
}

#[test]
fn many_types_of_one_long_name_are_searched_in_time() {
    let mut strings = b"\0x___".to_vec();
    strings.resize(4 << 20, b'y');
    strings.push(0);
    let words: Vec<u32> = (0..20_000).flat_map(|_| [1, kind::TYPEDEF << 24, 0]).collect();
    let bytes = section(&words, &strings);
    let types = Btf::parse(&bytes).unwrap();
    let names = ["x"; 50];
    // No name is read that is longer than any real one.
    assert!(types.find(&names).iter().all(Vec::is_empty));
    assert!(types.ids().all(|id| types.get(id).is_err()));
}
