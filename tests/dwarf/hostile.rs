//! Broken files: an error or a value, never a panic, and never without end.

use crate::build::Built;
use ubpfc::kernel::dwarf::types;

const TEXT: &str = "struct a { int x; struct a *next; union { long l; char c[3][4]; }; int b : 3; } a1; typedef struct a a_t; a_t a2; enum e { E1, E2 } e1; int f(a_t *p) { return p->x; }";

fn files() -> Vec<(Built, Vec<u8>)> {
    let variants = [
        "gcc -gdwarf-2",
        "gcc -gdwarf-4 -fdebug-types-section",
        "gcc -gdwarf-5",
        "gcc -g -gz=zlib",
        "gcc -g -gsplit-dwarf",
        "gcc -g -fPIC -shared -nostdlib",
    ];
    let mut files = Vec::new();
    for flags in variants {
        let built = Built::new();
        built.write("a.c", TEXT);
        let how = if flags.contains("-shared") { "" } else { "-c" };
        assert!(built.run(&format!("{flags} {how} a.c -o a.o")), "{flags}");
        let bytes = built.read("a.o");
        files.push((built, bytes));
    }
    files
}

fn read(built: &Built, bytes: &[u8]) {
    if let Ok(found) = types(bytes, &built.files(), &["a", "a_t", "e", "f", "long int"]) {
        ubpfc::btf::Btf::parse(&found.btf).expect("what is made can be read");
    }
}

#[test]
fn files_that_end_too_early() {
    for (built, bytes) in files() {
        for len in (0..bytes.len()).step_by(37) {
            read(&built, &bytes[..len]);
        }
    }
}

#[test]
fn flipped_bits() {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    for (built, bytes) in files() {
        for _ in 0..1500 {
            let mut broken = bytes.clone();
            for _ in 0..=random() % 4 {
                let at = random() % broken.len();
                broken[at] ^= 1 << (random() % 8);
            }
            read(&built, &broken);
        }
    }
}

#[test]
fn every_byte_of_the_entries_replaced() {
    use object::{Object, ObjectSection};
    for (built, bytes) in files() {
        let file = object::File::parse(&*bytes).unwrap();
        let Some(section) = file.section_by_name(".debug_info") else { continue };
        let (start, size) = section.file_range().unwrap();
        for at in start..start + size {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[usize::try_from(at).unwrap()] = value;
                read(&built, &broken);
            }
        }
    }
}

#[test]
fn types_nested_beyond_reason_are_refused_and_others_are_read() {
    let mut text = "struct s0 { int x; };".to_owned();
    for level in 1..400 {
        text += &format!("struct s{level} {{ struct s{} a; }};", level - 1);
    }
    text += "struct s399 last;";
    let built = Built::new();
    built.write("a.c", &text);
    assert!(built.run("gcc -g -c a.c -o a.o"));
    let file = built.read("a.o");
    assert!(types(&file, &built.files(), &["s100"]).is_ok());
    let error = types(&file, &built.files(), &["s399"]).unwrap_err();
    assert!(error.to_string().contains("contains itself"), "{error}");
}

/// Sections packed by zstd, which the compilers of some machines cannot write.
#[test]
fn sections_packed_by_zstd() {
    use object::{Object, ObjectSection};
    let built = Built::new();
    built.write("a.c", TEXT);
    assert!(built.run("gcc -g -c a.c -o a.o"));
    let mut bytes = built.read("a.o");
    let plain = types(&bytes, &built.files(), &["a", "e"]).unwrap();
    for name in [".debug_info", ".debug_abbrev", ".debug_str"] {
        let file = object::File::parse(&*bytes).unwrap();
        let section = file.section_by_name(name).unwrap();
        let (index, data) = (section.index().0, section.data().unwrap());
        let mut packed = [2_u32.to_le_bytes(), [0; 4]].concat(); // ELFCOMPRESS_ZSTD, reserved
        packed.extend((data.len() as u64).to_le_bytes());
        packed.extend(1_u64.to_le_bytes());
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        packed.extend(ruzstd::encoding::compress_to_vec(data, level));
        let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
        let header = table + index * 64;
        bytes[header + 9] |= 8; // SHF_COMPRESSED is 0x800
        let (offset, size) = (bytes.len() as u64, packed.len() as u64);
        bytes[header + 24..header + 32].copy_from_slice(&offset.to_le_bytes());
        bytes[header + 32..header + 40].copy_from_slice(&size.to_le_bytes());
        bytes.extend(packed);
    }
    assert_eq!(types(&bytes, &built.files(), &["a", "e"]).unwrap(), plain);
}

#[test]
fn a_place_that_is_an_unknown_expression_is_refused() {
    let built = Built::new();
    built.write("a.c", "struct a { long first; int second; } a;");
    assert!(built.run("gcc -gdwarf-2 -gstrict-dwarf -c a.c -o a.o"));
    let bytes = built.read("a.o");
    // A block of two bytes: DW_OP_plus_uconst 8.
    let block = |window: &[u8]| *window == [2, 0x23, 8];
    let places: Vec<_> =
        bytes.windows(3).enumerate().filter(|(_, w)| block(w)).map(|(at, _)| at).collect();
    let &[place] = places.as_slice() else { panic!("where is the second member? {places:?}") };
    let with = |expression: [u8; 2]| {
        let mut other = bytes.clone();
        other[place + 1..place + 3].copy_from_slice(&expression);
        types(&other, &built.files(), &["a"])
    };
    let expected = types(&bytes, &built.files(), &["a"]).unwrap();
    let const1u = 0x08;
    assert_eq!(with([const1u, 8]).unwrap(), expected);
    let (const1s, plus_uconst, lit8, nop) = (0x09, 0x23, 0x38, 0x96);
    // One that is not known, one that ends too early, and one with something behind it.
    for expression in [[const1s, 8], [plus_uconst, 0x88], [lit8, nop], [nop, nop]] {
        let error = with(expression).unwrap_err().to_string();
        assert!(error.contains("its place is an expression that is not known"), "{error}");
    }
}
