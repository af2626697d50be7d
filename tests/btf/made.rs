//! What no real file shows: kinds to come, names that are tails of others, targets that do not say how large pointers are.

use ubpfc::btf::{Btf, BtfError, Builder, Member, Type, TypeId, encoding, kind};
use ubpfc::target::Endian;

const FUTURE: u32 = 23;

/// A section with an integer, a type of a kind to come with two items, and another integer.
fn future(endian: Endian, table: &[[u8; 4]]) -> Vec<u8> {
    let int = |name| vec![name, kind::INT << 24, 4, 32];
    let types = [int(1), vec![3, FUTURE << 24 | 2, 0, 7, 8, 9, 10, 11], int(3)].concat();
    let strings = b"\0a\0bb\0";
    let layout = u32::try_from(table.len() * 4).unwrap();
    let len = u32::try_from(types.len() * 4).unwrap();
    let header = [32, layout, len, layout + len, 6, 0, layout];
    let word = |word: &u32| match endian {
        Endian::Little => word.to_le_bytes(),
        Endian::Big => word.to_be_bytes(),
    };
    let magic = if endian == Endian::Little { [0x9f, 0xeb, 1, 0] } else { [0xeb, 0x9f, 1, 0] };
    let mut bytes = magic.to_vec();
    bytes.extend(header.iter().flat_map(word));
    bytes.extend(table.as_flattened());
    bytes.extend(types.iter().flat_map(word));
    bytes.extend(strings);
    bytes
}

#[test]
fn kinds_to_come_are_passed_over_where_the_file_says_how_long_they_are() {
    for endian in [Endian::Little, Endian::Big] {
        let mut table = [[0; 4]; FUTURE as usize + 1];
        table[kind::INT as usize] = [4, 0, 0, 0];
        for (each, kinds) in [
            ([12, 0, 0, 0], &[kind::ARRAY][..]),
            ([0, 12, 0, 0], &[kind::STRUCT, kind::UNION, kind::DATASEC, kind::ENUM64]),
            ([0, 8, 0, 0], &[kind::ENUM, kind::FUNC_PROTO]),
            ([4, 0, 0, 0], &[kind::VAR, kind::DECL_TAG]),
            ([4, 8, 0, 0], &[FUTURE]),
        ] {
            for kind in kinds {
                table[*kind as usize] = each;
            }
        }
        let bytes = future(endian, &table);
        let types = Btf::parse(&bytes).unwrap();
        assert_eq!(types.find(&["a", "bb"]), [vec![TypeId(1)], vec![TypeId(3)]]);
        assert_eq!(types.get(TypeId(2)), Err(BtfError::UnknownKind { id: 2, kind: FUTURE }));
        assert_eq!((types.kind(TypeId(2)), types.name(TypeId(2))), (Ok(FUTURE), Ok("bb")));
        // Without an entry for it, nobody knows where the next type begins.
        let error = Btf::parse(&future(endian, &table[..20])).unwrap_err();
        assert_eq!(error, BtfError::UnknownKind { id: 2, kind: FUTURE });
        // A kind that is known, but has grown.
        table[kind::STRUCT as usize] = [0, 16, 0, 0];
        assert!(Btf::parse(&future(endian, &table)).is_err());
    }
}

#[test]
fn names_are_found_without_their_flavors_and_as_tails_of_others() {
    let names = ["ab", "a", "ab___x", "abc", "ab_", "ab____x", "ab___x___y", "b", "zab"];
    let mut builder = Builder::default();
    for name in names {
        builder.add(Type::Fwd { union: false, name: name.into() });
    }
    let bytes = builder.bytes(Endian::Big);
    let types = Btf::parse(&bytes).unwrap();
    let wanted = ["ab", "ab_", "a", "b", "ab___x", "nobody", "", "ab"];
    let found = types.find(&wanted);
    let expected = [&[1, 3][..], &[5], &[2], &[8], &[7], &[], &[], &[1, 3]];
    let expected = expected.map(|ids| ids.iter().map(|id| TypeId(*id)).collect::<Vec<_>>());
    // `ab___x___y` without its flavor is `ab___x`, which as a wanted name has a flavor itself.
    assert_eq!(found, expected);
    // The linker of strings may have put `ab` into the end of `zab`.
    let at = bytes.windows(5).position(|bytes| bytes == b"\0zab\0").unwrap();
    let zab = u32::try_from(at - (24 + names.len() * 12) + 1).unwrap();
    assert_eq!((types.string(zab), types.string(zab + 1)), (Ok("zab"), Ok("ab")));
    let mut bytes = bytes.clone();
    bytes[24..28].copy_from_slice(&(zab + 1).to_be_bytes());
    assert_eq!(Btf::parse(&bytes).unwrap().find(&["ab"]), [vec![TypeId(1), TypeId(3)]]);
}

#[test]
fn the_size_of_pointers_is_seen() {
    let two_pointers = |apart: u32, long: Option<(&str, u32)>| {
        let mut builder = Builder::default();
        builder.int_of("long long int", 8, encoding::SIGNED);
        if let Some((name, size)) = long {
            builder.int_of(name, size, 0);
        }
        let ty = builder.ptr(TypeId(1));
        let member =
            |name: &str, bit_offset| Member { name: name.into(), ty, bit_offset, bit_width: 0 };
        builder.composite("s", apart / 4, vec![member("a", 0), member("b", apart)]);
        let bytes = builder.bytes(Endian::Little);
        Btf::parse(&bytes).unwrap().pointer_size()
    };
    assert_eq!(two_pointers(32, None), 4);
    assert_eq!(two_pointers(64, None), 8);
    assert_eq!(two_pointers(64, Some(("long unsigned int", 4))), 4);
    assert_eq!(two_pointers(32, Some(("unsigned long", 8))), 8);
    // Not one of the spellings that count.
    assert_eq!(two_pointers(32, Some(("long double", 8))), 4);
}

#[test]
fn types_that_refer_to_themselves_are_written_and_read() {
    let mut builder = Builder::default();
    let node = builder.reserve();
    let next = builder.ptr(node);
    let member = Member { name: "next".into(), ty: next, bit_offset: 0, bit_width: 0 };
    let members = vec![member];
    builder.fill(node, Type::Composite { union: false, name: "node".into(), size: 8, members });
    let bytes = builder.bytes(Endian::Little);
    let types = Btf::parse(&bytes).unwrap();
    let Type::Composite { name: "node", members, .. } = types.get(node).unwrap() else { panic!() };
    assert_eq!(types.get(members[0].ty), Ok(Type::Ptr(node)));
}
