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
