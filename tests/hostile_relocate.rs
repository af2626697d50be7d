//! Files that are broken on purpose, through everything that reads them and relocates: an answer or an error, in little time.
//!
//! Real files cut short or with bits turned over; small files made to cost much; and what fuzzing has found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::kernel_files::{self, PACKERS};
use support::pipeline::Script;
use support::{kernels, package};
use ubpfc::btf::{Btf, Builder, Member, Type, TypeId, encoding, kind};
use ubpfc::cli::inspected;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode::{ALU64, EXIT, JMP, MOV};
use ubpfc::kernel::dwarf::{self, Alone};
use ubpfc::kernel::{Kernel, Places, Target};
use ubpfc::object::btf_ext::{self, CoreKind, CoreRecord, SectionInfo};
use ubpfc::object::elf::{self, Section, Symbol, section_flags, section_type, symbol_type};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, ApplyError, Policy};
use ubpfc::target::{Cpu, Endian};

/// Real files as they are, cut short in so many places, and with so many bits turned over.
fn broken(bytes: &[u8], cuts: usize, flips: usize, mut each: impl FnMut(&[u8])) {
    each(bytes);
    for cut in 0..cuts {
        each(&bytes[..bytes.len() * cut / cuts]);
    }
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut throw = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice >> 33).unwrap() % sides
    };
    for _ in 0..flips {
        let mut bytes = bytes.to_vec();
        for _ in 0..=throw(3) {
            let at = throw(bytes.len());
            bytes[at] ^= 1 << throw(8);
        }
        each(&bytes);
    }
}

fn target(types: &[u8]) -> Option<Target<'_>> {
    Some(Target { image: Arc::new(Btf::parse(types).ok()?), modules: Vec::new() })
}

/// All that the commands do with an object and the types of a kernel; how many results there were.
fn relocated(bytes: &[u8], types: &[u8]) -> usize {
    let (Ok(object), Some(target)) = (Object::parse(bytes), target(types)) else { return 0 };
    let _ = (inspected("object", &object), relocate::wanted(&object), relocate::asked(&object));
    let mut results = 0;
    if let Ok(Some(ubpf)) = object.ubpf()
        && let Ok(choice) = relocate::choose(&ubpf, &target, true)
        && let Ok(brought) = relocate::bring_in(bytes, &choice)
    {
        results += planned(&brought.bytes, &Object::parse(&brought.bytes).unwrap(), &target);
    }
    if let Ok(types) = relocate::minimal(&[&object], &target, true) {
        Btf::parse(&types).unwrap();
    }
    results + planned(bytes, &object, &target)
}

fn planned(bytes: &[u8], object: &Object<'_>, target: &Target<'_>) -> usize {
    let mut results = 0;
    for policy in [Policy::Strict, Policy::Libbpf] {
        let Ok(plan) = relocate::plan(object, target, policy) else { continue };
        match relocate::apply(bytes, object, &plan, policy) {
            Ok(applied) => {
                Object::parse(&applied.bytes).unwrap();
                results += 1;
            }
            Err(ApplyError::Bug(why)) => panic!("{why}"),
            Err(_) => {}
        }
    }
    results
}

const NAMES: &[&str] = &["task_struct", "a", "a_t", "e", "f", "int"];

/// All that the commands do with a kernel's file; whether it has types.
fn read(bytes: &[u8]) -> bool {
    let places = Places::below(Path::new("/nonexistent"));
    let kernel = Kernel::from_bytes(&places, Path::new("/nonexistent/file"), bytes.to_vec());
    let kinds = [kind::STRUCT, kind::TYPEDEF, kind::ENUM, kind::FUNC];
    let wanted: Vec<_> = NAMES.iter().flat_map(|name| kinds.map(|kind| (kind, *name))).collect();
    let loaded = kernel.as_ref().map(|kernel| kernel.load(&wanted));
    loaded.is_ok_and(|loaded| loaded.is_ok_and(|loaded| loaded.target().is_ok()))
}

fn example() -> Vec<u8> {
    let text = std::fs::read_to_string(package("examples/runqlat.ub")).unwrap();
    let script = Script::new(&text).unwrap();
    script.object(&script.code(Cpu::V3).unwrap(), Cpu::V3)
}

/// What a compiler makes of a C file; nothing where it is missing.
fn compiled(command: &str, path: &Path) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut words = command.split_whitespace();
    let mut run = Command::new(words.next().unwrap());
    run.args(words).arg(path).args(["-o", "out.o"]).current_dir(folder.path());
    let made = run.output().is_ok_and(|output| output.status.success());
    made.then(|| std::fs::read(folder.path().join("out.o")).unwrap())
}

/// Objects, each with the few types of a real kernel that it asks for.
fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let clang = compiled("clang -g -O2 --target=bpf -c", &package("testdata/cli/clang.c"));
    let kernel = kernels::named("x86_64-6.1.0-50-cloud-amd64").btf();
    let kernel = target(kernel).unwrap();
    let minimal = |bytes: &Vec<u8>| {
        let object = Object::parse(bytes).unwrap();
        relocate::minimal(&[&object], &kernel, true).unwrap()
    };
    [Some(example()), clang].into_iter().flatten().map(|o| (o.clone(), minimal(&o))).collect()
}

#[test]
fn broken_objects_and_broken_types_of_kernels() {
    for (object, types) in pairs() {
        assert!(relocated(&object, &types) > 0);
        broken(&object, 60, 300, |object| _ = relocated(object, &types));
        broken(&types, 30, 300, |types| _ = relocated(&object, types));
    }
}

#[test]
fn broken_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("a.c");
    std::fs::write(
        &text,
        "struct task_struct { int pid; struct task_struct *next; union { long l; char c[3][4]; }; int b : 3; } t; enum e { E } e; int f(void) { return e; }",
    )
    .unwrap();
    let types = kernel_files::types(Endian::Little, 8, 64);
    let elf = kernel_files::elf(true, Endian::Little, &[(".BTF", 2, &types)]);
    let mut files = vec![types, elf.clone()];
    for flags in ["-gdwarf-2", "-gdwarf-4 -fdebug-types-section", "-gdwarf-5 -gz=zlib"] {
        files.push(compiled(&format!("gcc {flags} -c"), &text).unwrap());
    }
    for (_, pack) in PACKERS {
        let packed = pack(&elf);
        files.push(kernel_files::bz_image("6.1.0", &packed, elf.len()));
    }
    files.push(kernel_files::zboot(&kernel_files::gzip(&elf)));
    for file in files {
        assert!(read(&file));
        broken(&file, 60, 150, |file| _ = read(file));
    }
}

/// Something that is done with a file, in less time than fits a file of its size.
fn quickly<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{what} took {took:?}");
    result
}

/// An object with two instructions, and a record of each kind that is asked about each of these types.
fn asks(types: Builder, roots: &[TypeId], kind: CoreKind, times: usize) -> Vec<u8> {
    let mut types = types;
    let (name, access) = (types.string("raw_tp"), types.string("0"));
    let record = |root: &TypeId| CoreRecord { insn_off: 0, root: *root, access, kind };
    let core = roots.iter().cycle().take(roots.len() * times).map(record).collect();
    let info = SectionInfo { name, core, ..SectionInfo::default() };
    let mut file = elf::File::default();
    let code = [ALU64 | MOV, JMP | EXIT].map(|code| Insn { code, ..Insn::default() });
    let data: Vec<u8> = code.iter().flat_map(|insn| insn.encode(Endian::Little)).collect();
    let size = data.len() as u64;
    let section = |name: &str, flags, data| Section {
        name: name.into(),
        kind: section_type::PROGBITS,
        flags,
        align: 8,
        data,
        relocs: Vec::new(),
    };
    let flags = section_flags::ALLOC | section_flags::EXECINSTR;
    let code = file.section(section("raw_tp", flags, data));
    file.symbol(Symbol {
        name: "program".into(),
        kind: symbol_type::FUNC,
        global: true,
        section: Some(code),
        offset: 0,
        size,
    });
    file.section(section(".BTF.ext", 0, btf_ext::encode(&[info], Endian::Little)));
    file.section(section(".BTF", 0, types.bytes(Endian::Little)));
    file.bytes(Endian::Little)
}

#[test]
fn prototypes_that_take_each_other_twice() {
    let made = || {
        let mut types = Builder::default();
        let mut below = types.int_of("int", 4, encoding::SIGNED);
        for _ in 0..30 {
            let params = vec![("".into(), below), ("".into(), below)];
            below = types.add(Type::FuncProto { ret: below, params });
            below = types.ptr(below);
        }
        let root = types.typedef("t", below);
        (types, root)
    };
    for kind in [CoreKind::TypeExists, CoreKind::TypeMatches] {
        let (types, root) = made();
        let object = asks(types, &[root], kind, 1);
        let types = made().0.bytes(Endian::Little);
        quickly("comparing prototypes", || relocated(&object, &types));
    }
}

#[test]
fn enums_and_structs_with_very_many_names() {
    let made = |offset: u32| {
        let mut types = Builder::default();
        let int = types.int_of("int", 4, encoding::SIGNED);
        let name = |number: u32| smol(&format!("name{}", number.wrapping_mul(7919) % 20_011));
        let values = (0..20_000).map(|n| (name(n + offset), 0)).collect();
        let many = Type::Enum { name: "e".into(), size: 4, signed: false, wide: false, values };
        let many = types.add(many);
        let member = |n| Member { name: name(n + offset), ty: int, bit_offset: 0, bit_width: 0 };
        let root = types.composite("s", 4, (0..20_000).map(member).collect());
        (types, [many, root])
    };
    let (types, roots) = made(0);
    let object = asks(types, &roots, CoreKind::TypeMatches, 20);
    let types = made(3).0.bytes(Endian::Little);
    quickly("comparing names", || relocated(&object, &types));
}

fn smol(text: &str) -> smol_str::SmolStr {
    text.into()
}

#[test]
fn very_many_types_of_one_name() {
    let made = |count| {
        let mut types = Builder::default();
        let forward = |types: &mut Builder| types.composite("s", 4, Vec::new());
        let roots: Vec<TypeId> = (0..count).map(|_| forward(&mut types)).collect();
        (types, roots)
    };
    let (types, roots) = made(8000);
    let object = asks(types, &roots, CoreKind::TypeSize, 1);
    let types = made(30_000).0.bytes(Endian::Little);
    let (object, target) = (Object::parse(&object).unwrap(), target(&types).unwrap());
    let plan =
        quickly("looking at candidates", || relocate::plan(&object, &target, Policy::Strict));
    // Equal types may have been made one; else there are too many.
    if target.image.ids().count() > 1000 {
        assert!(plan.unwrap_err().to_string().contains("more types and members"));
    }
}

#[test]
fn tables_and_sections_that_share_their_bytes() {
    let mut bytes = example();
    let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    let len = bytes.len() as u64;
    for header in bytes[table + 64..].chunks_exact_mut(64).take(2) {
        header[24..32].copy_from_slice(&0_u64.to_le_bytes());
        header[32..40].copy_from_slice(&len.to_le_bytes());
    }
    let error = Object::parse(&bytes).unwrap_err().to_string();
    assert!(error.starts_with("the size of all sections together"), "{error}");

    // Debugging information in a thousand sections that are one.
    let data = vec![0; 100_000];
    let sections: Vec<_> = (0..1000).map(|_| (".debug_info", 0, &data[..0])).collect();
    let mut bytes = kernel_files::elf(true, Endian::Little, &sections);
    let at = bytes.len();
    let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    for header in bytes[table + 64..].chunks_exact_mut(64).take(1000) {
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
    }
    bytes.extend(&data);
    let error = dwarf::types(&bytes, &Alone, NAMES).unwrap_err().to_string();
    assert!(error.contains("share their bytes"), "{error}");
}

#[test]
fn names_that_are_the_ends_of_a_very_long_one() {
    let long = vec![b'a'; 4 << 20];
    let sections: Vec<_> =
        (0..4000).map(|_| ("x", 0, &[][..])).chain([("y", 0, &long[..])]).collect();
    let mut bytes = kernel_files::elf(true, Endian::Little, &sections);
    let table = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    // The long section has the names.
    bytes[62..64].copy_from_slice(&4001_u16.to_le_bytes());
    for (number, header) in bytes[table + 64..].chunks_exact_mut(64).enumerate() {
        header[..4].copy_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
    }
    assert!(!quickly("reading names", || read(&bytes)));
    let error = quickly("reading names", || dwarf::types(&bytes, &Alone, NAMES)).unwrap_err();
    assert!(error.to_string().contains("has no end"), "{error}");
}

#[test]
fn very_many_small_blocks() {
    let mut packed = b"\x02\x21\x4c\x18".to_vec();
    for _ in 0..50_000 {
        packed.extend(b"\x02\0\0\0\x10a");
    }
    assert!(!quickly("unpacking", || read(&packed)));
}

/// Found by fuzzing: headers of sections without a size, of a number that is in the first of them.
#[test]
fn headers_of_no_size() {
    let types = kernel_files::types(Endian::Little, 8, 64);
    for wide in [true, false] {
        let mut file = kernel_files::elf(wide, Endian::Little, &[(".BTF", 2, &types)]);
        // e_shentsize, e_shnum
        let at = if wide { 58 } else { 46 };
        file[at..at + 4].fill(0);
        // The size of the first section.
        let table = if wide { 40 } else { 32 };
        let table = usize::from(u16::from_le_bytes([file[table], file[table + 1]]));
        let size = table + if wide { 32 } else { 20 };
        file[size..size + 4].fill(0xff);
        quickly("reading headers", || read(&file));
    }
}

/// Found by fuzzing: a table of symbols that says it is code.
#[test]
fn tables_that_say_they_are_code() {
    let (object, types) = pairs().swap_remove(0);
    let table = usize::try_from(u64::from_le_bytes(object[40..48].try_into().unwrap())).unwrap();
    for index in 1..(object.len() - table) / 64 {
        let mut object = object.clone();
        object[table + index * 64 + 8] |= 4; // SHF_EXECINSTR
        relocated(&object, &types);
    }
}

/// Found by fuzzing: names of sections in a section that relocation writes anew.
#[test]
fn tables_of_names_that_are_something_else() {
    let (object, types) = pairs().swap_remove(0);
    let table = usize::try_from(u64::from_le_bytes(object[40..48].try_into().unwrap())).unwrap();
    let count = (object.len() - table) / 64;
    for index in 0..count {
        let mut others = object.clone();
        others[62..64].copy_from_slice(&u16::try_from(index).unwrap().to_le_bytes());
        relocated(&others, &types);
        for kind in 0..12 {
            let mut others = object.clone();
            others[table + index * 64 + 4] = kind;
            relocated(&others, &types);
        }
    }
}

#[test]
fn functions_that_overlap_are_not_listed_over_and_over() {
    let mut file = elf::File::default();
    let data = vec![0; 80_000];
    let code = file.section(Section {
        name: "raw_tp".into(),
        kind: section_type::PROGBITS,
        flags: section_flags::ALLOC | section_flags::EXECINSTR,
        align: 8,
        data,
        relocs: Vec::new(),
    });
    for number in 0..5000 {
        file.symbol(Symbol {
            name: format!("f{number}"),
            kind: symbol_type::FUNC,
            global: true,
            section: Some(code),
            offset: number * 8,
            size: 80_000 - number * 8,
        });
    }
    let bytes = file.bytes(Endian::Little);
    let object = Object::parse(&bytes).unwrap();
    let error = inspected("object", &object).unwrap_err().to_string();
    assert!(error.contains("overlaps others"), "{error}");
}
