//! The crate `btf` as another reader: offset, width and size of every member of the structs that tools read.
//!
//! Where it is known to be wrong, or to know less, it is not asked: see [`sizes`].

use super::differences::STRUCTS;
use super::kernels;
use std::fmt::Write as _;
use ubpfc::btf::{Btf, Type, TypeId};

/// The bits of a type by the crate, where it has them right: it takes every enum for 4 (`ENUM`) or 8 (`ENUM64`) bytes and every pointer for 8, and a struct ends for it where its last member does.
fn sizes(ours: &Btf<'_>, id: TypeId, their: &btf::btf::FlattenedType) -> Option<u32> {
    match ours.get(ours.strip(id).ok()?).ok()? {
        Type::Int { .. } | Type::Float { .. } | Type::Enum { size: 4, wide: false, .. } => {
            Some(their.bits)
        }
        Type::Ptr(_) if ours.pointer_size() == 8 => Some(their.bits),
        _ => None,
    }
}

#[test]
fn members_as_the_crate_btf() {
    let mut table = String::new();
    for kernel in kernels::all() {
        let ours = kernel.btf();
        let file = kernel.file();
        let theirs = match btf::btf::Btf::from_file(file.path()) {
            Ok(theirs) => theirs,
            Err(error) => {
                // It reads the values of `ENUM64` with this machine's byte order in mind.
                assert_eq!(kernel.endian(), ubpfc::target::Endian::Big, "{}: {error}", kernel.name);
                let _ = writeln!(table, "btf          {:50} cannot be read: {error}", kernel.name);
                continue;
            }
        };
        let (mut members_compared, mut bitfields, mut sizes_compared) = (0, 0, 0);
        for ids in ours.find(STRUCTS) {
            for id in ids {
                let Ok(Type::Composite { name, members, .. }) = ours.get(id) else { continue };
                let their = theirs.get_type_by_id(id.0).unwrap();
                let (btf::btf::Type::Struct(their) | btf::btf::Type::Union(their)) =
                    &their.base_type
                else {
                    panic!("{}: {name}", kernel.name)
                };
                assert_eq!(their.members.len(), members.len(), "{}: {name}", kernel.name);
                for (their, our) in their.members.iter().zip(&members) {
                    let bits = their.bits.unwrap_or_default();
                    let found = (
                        their.name.as_deref().unwrap_or_default(),
                        their.type_id,
                        their.offset,
                        bits,
                    );
                    let expected = (our.name, our.ty.0, our.bit_offset, u32::from(our.bit_width));
                    assert_eq!(found, expected, "{}: {name}", kernel.name);
                    members_compared += 1;
                    bitfields += usize::from(bits != 0);
                    let of = theirs.get_type_by_id(their.type_id).unwrap();
                    if let Some(size) = sizes(&ours, our.ty, of) {
                        assert_eq!(
                            Ok(size),
                            ours.size(our.ty).map(|size| size * 8),
                            "{}: {name}",
                            kernel.name
                        );
                        sizes_compared += 1;
                    }
                }
            }
        }
        assert!(members_compared > 1000, "{}: {members_compared}", kernel.name);
        let _ = writeln!(
            table,
            "btf          {:50} {members_compared:8} {bitfields:9} {sizes_compared:7}",
            kernel.name
        );
    }
    eprintln!("{:63}  members bitfields   sizes\n{table}", "");
}
