//! What compilers write, in every form of theirs: offsets, sizes and bitfields are those that the compiler itself has put into the same object.

use crate::build::Built;
use object::{Object, ObjectSection};
use ubpfc::btf::{Btf, Member, Type, TypeId};
use ubpfc::kernel::dwarf::types;

const TYPES: &str = r"
#define offsetof(t, m) __builtin_offsetof(t, m)
typedef unsigned char u8; typedef unsigned long long u64;
enum colour { RED = 1, GREEN, BLUE = 200 }; enum sign { MINUS = -5, PLUS = 5 };
struct inner { char c; long l; const volatile short s; };
typedef struct { int counter; } count_t;
struct outer;
typedef int (*call_t)(struct outer *who, const char *what, ...);
struct outer {
    int first; struct inner in; count_t count; struct outer *next;
    union { int a; struct { u8 x; u64 y; }; };
    int grid[2][3]; enum colour colour; enum sign sign; _Bool flag; float f; double d;
    call_t call; struct inner *const pointers[4]; u8 buffer[256]; struct inner none[0]; char flexible[];
};
struct bits {
    u8 before; unsigned int a : 3; unsigned int b : 7; int c : 11; u64 wide : 40; u8 small : 5; unsigned int last : 32;
    _Bool yes : 1; enum colour e : 9;
} ;
struct outer an_outer; count_t a_count; call_t a_call;
int a_function(struct outer *who, long how) { return who->first + (int)how; }
";

/// Paths in `struct outer`.
const FIELDS: &[&str] = &[
    "first",
    "in",
    "in.c",
    "in.l",
    "in.s",
    "count",
    "count.counter",
    "next",
    "a",
    "x",
    "y",
    "grid",
    "colour",
    "sign",
    "flag",
    "f",
    "d",
    "call",
    "pointers",
    "buffer",
];
const BITFIELDS: &[&str] = &["a", "b", "c", "wide", "small", "last", "yes", "e"];

/// The types, and what the compiler knows of them: offset and size of each field, and for each bitfield a struct in which only its bits are set.
fn source() -> String {
    let mut text = TYPES.to_owned();
    let facts = FIELDS
        .iter()
        .map(|f| format!("offsetof(struct outer, {f}), sizeof(((struct outer *)0)->{f}),"));
    let facts: String = facts.collect();
    text += &format!(
        "__attribute__((section(\".facts\"), used)) const unsigned int facts[] = {{ {facts} sizeof(struct outer), sizeof(struct bits) }};\n"
    );
    for field in BITFIELDS {
        text += &format!(
            "__attribute__((section(\".bits.{field}\"), used)) const struct bits bits_{field} = {{ .{field} = -1 }};\n"
        );
    }
    text
}

fn find(btf: &Btf<'_>, id: TypeId, name: &str) -> Option<(u32, u8, TypeId)> {
    let Type::Composite { members, .. } = btf.get(btf.strip(id).unwrap()).unwrap() else {
        return None;
    };
    for Member { name: own, ty, bit_offset, bit_width } in members {
        if own == name {
            return Some((bit_offset, bit_width, ty));
        }
        if own.is_empty()
            && let Some((inner, width, ty)) = find(btf, ty, name)
        {
            return Some((bit_offset + inner, width, ty));
        }
    }
    None
}

fn path(btf: &Btf<'_>, root: TypeId, path: &str) -> (u32, TypeId) {
    path.split('.').fold((0, root), |(start, id), name| {
        let (offset, _, ty) = find(btf, id, name).unwrap_or_else(|| panic!("no {name} of {path}"));
        (start + offset, ty)
    })
}

fn one(btf: &Btf<'_>, name: &str, is: impl Fn(&Type<&str>) -> bool) -> TypeId {
    let found: Vec<TypeId> = btf
        .ids()
        .filter(|id| {
            let ty = btf.get(*id).unwrap();
            ty.name() == name && is(&ty)
        })
        .collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0]
}

/// Compares what is read of `debug` with the facts in `object`.
fn check(what: &str, built: &Built, debug: &str, object: &str) {
    let (debug, object) = (built.read(debug), built.read(object));
    let names = ["outer", "bits", "count_t", "call_t", "a_function", "colour", "sign"];
    let found =
        types(&debug, &built.files(), &names).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut btf = Btf::parse(&found.btf).unwrap();
    btf.set_pointer_size(found.pointer_size);
    let file = object::File::parse(&*object).unwrap();
    let big = !file.is_little_endian();
    let section = |name: &str| file.section_by_name(name).unwrap().data().unwrap().to_vec();
    let facts: Vec<u32> = section(".facts")
        .chunks(4)
        .map(|b| b.try_into().unwrap())
        .map(|b| if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
        .collect();
    let composite = |ty: &Type<&str>| matches!(ty, Type::Composite { .. });
    let outer = one(&btf, "outer", composite);
    for (field, fact) in FIELDS.iter().zip(facts.chunks(2)) {
        let (offset, ty) = path(&btf, outer, field);
        assert_eq!([offset, btf.size(ty).unwrap()], [fact[0] * 8, fact[1]], "{what}: {field}");
    }
    let bits = one(&btf, "bits", composite);
    let sizes = [outer, bits].map(|id| btf.size(id).unwrap());
    assert_eq!(sizes, facts[FIELDS.len() * 2..], "{what}: sizes");
    for field in BITFIELDS {
        let bytes = section(&format!(".bits.{field}"));
        let set = |bit: &usize| {
            let shift = if big { 7 - bit % 8 } else { bit % 8 };
            bytes[bit / 8] >> shift & 1 == 1
        };
        let set: Vec<usize> = (0..bytes.len() * 8).filter(set).collect();
        let (offset, width, ty) = find(&btf, bits, field).unwrap();
        // A bitfield as wide as its type may be described as a plain member (clang does).
        let whole = u8::try_from(btf.size(ty).unwrap() * 8).unwrap();
        let width = if width == 0 { whole } else { width };
        // On little endian the lowest bit is the first, on big endian the highest.
        assert_eq!((offset as usize, usize::from(width)), (set[0], set.len()), "{what}: {field}");
    }
    check_types(what, &btf, outer);
}

/// What offsets do not show.
fn check_types(what: &str, btf: &Btf<'_>, outer: TypeId) {
    let array = |id| match btf.get(btf.strip(id).unwrap()).unwrap() {
        Type::Array { elem, len, .. } => (len, elem),
        other => panic!("{what}: {other:?}"),
    };
    let (rows, row) = array(path(btf, outer, "grid").1);
    assert_eq!((rows, array(row).0), (2, 3), "{what}: dimensions");
    assert_eq!(array(path(btf, outer, "none").1).0, 0, "{what}");
    assert_eq!(array(path(btf, outer, "flexible").1).0, 0, "{what}");
    let Type::Ptr(next) = btf.get(path(btf, outer, "next").1).unwrap() else { panic!("{what}") };
    assert_eq!(next, outer, "{what}: a wanted type behind a pointer");
    let (_, inner) = array(path(btf, outer, "pointers").1);
    let Type::Ptr(inner) = btf.get(btf.strip(inner).unwrap()).unwrap() else { panic!("{what}") };
    let shallow = btf.get(inner).unwrap();
    assert!(
        matches!(&shallow, Type::Composite { members, name: "inner", .. } if members.is_empty()),
        "{what}: {shallow:?}"
    );
    let value = |name: &str| match btf.get(one(btf, name, |ty| matches!(ty, Type::Enum { .. }))) {
        Ok(Type::Enum { signed, values, .. }) => (signed, values),
        other => panic!("{what}: {other:?}"),
    };
    assert_eq!(value("colour"), (false, vec![("RED", 1), ("GREEN", 2), ("BLUE", 200)]), "{what}");
    assert_eq!(
        value("sign"),
        (true, vec![("MINUS", (-5_i64).cast_unsigned()), ("PLUS", 5)]),
        "{what}"
    );
    let call = one(btf, "call_t", |ty| matches!(ty, Type::Typedef { .. }));
    let Type::Ptr(proto) = btf.get(btf.strip(call).unwrap()).unwrap() else { panic!("{what}") };
    let Type::FuncProto { params, .. } = btf.get(proto).unwrap() else { panic!("{what}") };
    assert_eq!(params.len(), 3, "{what}");
    assert_eq!(params[2].1, TypeId(0), "{what}: ...");
    let func = one(btf, "a_function", |ty| matches!(ty, Type::Func { .. }));
    let Type::Func { proto, .. } = btf.get(func).unwrap() else { panic!("{what}") };
    let Type::FuncProto { params, .. } = btf.get(proto).unwrap() else { panic!("{what}") };
    let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["who", "how"], "{what}");
}

/// Compiles with each of these and compares; says what the compiler cannot do. Returns how many it could.
fn all(variants: &[&str]) -> usize {
    let mut done = 0;
    for flags in variants {
        let built = Built::new();
        built.write("a.c", &source());
        if !built.run(&format!("{flags} -c a.c -o a.o")) {
            println!("skipped: {flags}");
            continue;
        }
        check(flags, &built, "a.o", "a.o");
        done += 1;
    }
    done
}

#[test]
fn every_version_of_both_compilers() {
    let done = all(&[
        "gcc -gdwarf-2 -gstrict-dwarf",
        "gcc -gdwarf-2",
        "gcc -gdwarf-3",
        "gcc -gdwarf-4",
        "gcc -gdwarf-5",
        "gcc -gdwarf-5 -O2",
        "clang -gdwarf-2",
        "clang -gdwarf-3",
        "clang -gdwarf-4",
        "clang -gdwarf-5",
    ]);
    assert!(done >= 5, "{done}");
}

#[test]
fn packed_sections_and_wide_offsets() {
    let done = all(&[
        "gcc -g -gz=zlib",
        "gcc -g -gz=zstd",
        "clang -g -gz=zlib",
        "clang -g -gz=zstd",
        "gcc -gdwarf-5 -gdwarf64",
        "gcc -gdwarf-4 -gdwarf64",
        "clang -gdwarf-5 -gdwarf64",
    ]);
    assert!(done >= 3, "{done}");
}

#[test]
fn type_units() {
    let done = all(&[
        "gcc -gdwarf-4 -fdebug-types-section",
        "gcc -gdwarf-5 -fdebug-types-section",
        "clang -gdwarf-4 -fdebug-types-section",
        "clang -gdwarf-5 -fdebug-types-section",
    ]);
    assert!(done >= 2, "{done}");
}

#[test]
fn other_machines() {
    let targets = [
        "s390x-linux-gnu",
        "powerpc64le-linux-gnu",
        "powerpc-linux-gnu",
        "armeb-linux-gnueabi",
        "armv7-linux-gnueabi",
        "aarch64-linux-gnu",
        "riscv64-linux-gnu",
        "i386-linux-gnu",
        "mips-linux-gnu",
        "sparc64-linux-gnu",
    ];
    let list = targets.map(|target| [4, 5].map(|v| format!("clang --target={target} -gdwarf-{v}")));
    let list: Vec<&str> = list.iter().flatten().map(String::as_str).collect();
    let done = all(&list) + all(&["gcc -m32 -gdwarf-4", "gcc -m32 -gdwarf-5"]);
    assert!(done >= 2, "{done}");
}

#[test]
fn split_files() {
    let variants = [
        "gcc -gdwarf-4 -gsplit-dwarf",
        "gcc -gdwarf-5 -gsplit-dwarf",
        "clang -gdwarf-4 -gsplit-dwarf",
        "clang -gdwarf-5 -gsplit-dwarf",
        "clang -gdwarf-5 -gsplit-dwarf=single",
    ];
    assert!(all(&variants) >= 2);
}

#[test]
fn packages_of_split_files() {
    let mut done = 0;
    for (flags, tool) in [
        ("gcc -gdwarf-4 -gsplit-dwarf", "dwp"),
        ("clang -gdwarf-4 -gsplit-dwarf", "llvm-dwp"),
        ("gcc -gdwarf-5 -gsplit-dwarf", "llvm-dwp"),
        ("clang -gdwarf-5 -gsplit-dwarf", "llvm-dwp"),
    ] {
        let built = Built::new();
        built.write("a.c", &source());
        built.write("b.c", "struct elsewhere { int x; } an_elsewhere;");
        let compiled = ["b", "a"].iter().all(|n| built.run(&format!("{flags} -c {n}.c -o {n}.o")));
        if compiled && built.run(&format!("{tool} b.dwo a.dwo -o all.dwp")) {
            std::fs::remove_file(built.path("a.dwo")).unwrap();
            check(&format!("{flags}, {tool}"), &built, "a.o", "a.o");
            done += 1;
        } else {
            println!("skipped: {flags}, {tool}");
        }
    }
    assert!(done >= 1);
}

#[test]
fn a_split_file_that_is_not_there_is_asked_for() {
    let built = Built::new();
    built.write("a.c", &source());
    assert!(built.run("gcc -g -gsplit-dwarf -c a.c -o a.o"));
    std::fs::remove_file(built.path("a.dwo")).unwrap();
    let error = types(&built.read("a.o"), &built.files(), &["outer"]).unwrap_err();
    assert!(error.to_string().contains("a.dwo"), "{error}");
}

#[test]
fn linked_files_keep_relocations_that_were_applied() {
    let built = Built::new();
    built.write("a.c", &source());
    built.write("b.c", "struct other { int x; }; struct other another;");
    for version in [4, 5] {
        let flags = format!("gcc -fPIC -gdwarf-{version}");
        assert!(built.run(&format!("{flags} -shared -nostdlib -Wl,--emit-relocs b.c a.c -o a.so")));
        check(&flags, &built, "a.so", "a.so");
    }
}
