//! Seeds, made on the spot: small files of every kind that the targets read.
//!
//! Compilers that are not there are passed over; what they would have made is told.

#[allow(dead_code, clippy::unwrap_used, missing_docs, reason = "written for tests")]
#[path = "../../tests/support/kernel_files.rs"]
mod kernel_files;

use crate::join;
use kernel_files::{PACKERS, arm_zimage, arm64_image, bz_image, elf, types, zboot};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use ubpfc::btf::Btf;
use ubpfc::driver;
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate;
use ubpfc::sema::imports::Library;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::{self, Cpu, Endian};

/// A seed: its target, and its bytes.
type Seed = (&'static str, Vec<u8>);

/// Reads the seeds of a target.
pub fn read(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("seeds have been made: `mutate seeds`");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // libFuzzer adds inputs of its own, whose names are hashes.
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seed"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed can be read")).collect()
}

/// Makes all seeds.
pub fn write(corpus: &Path) -> ExitCode {
    let (objects, files) = (objects(), debug_files());
    let seeds = [btfs(), dwarfs(&files), elfs(&files), images(), single(&objects), pairs(&objects)];
    for (index, (target, bytes)) in seeds.iter().flatten().enumerate() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        std::fs::write(folder.join(format!("{index:03}.seed")), bytes).expect("there is room");
    }
    for seeds in seeds.iter().filter_map(|seeds| Some((seeds.first()?.0, seeds))) {
        println!("{}: {} seeds", seeds.0, seeds.1.len());
    }
    ExitCode::SUCCESS
}

/// The compiler's folder.
fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The files that a command makes of a C file: its output, and a split file if there is one.
fn compiled(source: &str, command: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("there is room");
    let mut words = command.split_whitespace();
    let mut run = Command::new(words.next()?);
    run.args(words).arg(package(source)).args(["-o", "out.o"]).current_dir(folder.path());
    let made = run.output().is_ok_and(|output| output.status.success());
    if !made {
        eprintln!("passed over: {command} {source}");
        return None;
    }
    let read = |name| std::fs::read(folder.path().join(name)).unwrap_or_default();
    Some((read("out.o"), read("out.dwo")))
}

/// ELF files with debugging information, each with a split file or an empty one.
fn debug_files() -> Vec<(Vec<u8>, Vec<u8>)> {
    let commands = [
        "gcc -gdwarf-2 -gstrict-dwarf -c",
        "gcc -gdwarf-3 -O2 -c",
        "gcc -gdwarf-4 -fdebug-types-section -c",
        "gcc -gdwarf-5 -c",
        "gcc -gdwarf-5 -gdwarf64 -c",
        "gcc -gdwarf-5 -gz=zlib -c",
        "gcc -gdwarf-4 -gsplit-dwarf -c",
        "gcc -gdwarf-5 -gsplit-dwarf -c",
        "gcc -gdwarf-5 -fPIC -shared -nostdlib -Wl,--build-id -Wl,--emit-relocs",
        "gcc -m32 -gdwarf-4 -c",
        "clang -gdwarf-4 -c",
        "clang -gdwarf-5 -c",
        "clang -gdwarf-5 --target=s390x-linux-gnu -c",
        "clang -gdwarf-5 --target=riscv64-linux-gnu -c",
        "clang -gdwarf-4 --target=armv7-linux-gnueabi -c",
        "clang -g -O2 --target=bpf -c",
    ];
    commands.iter().filter_map(|command| compiled("fuzz/seeds/types.c", command)).collect()
}

/// Objects: our examples, and what clang makes.
fn objects() -> Vec<(Endian, Vec<u8>)> {
    let mut objects = Vec::new();
    for name in ["runqlat", "switch", "execsnoop"] {
        let path = package(&format!("examples/{name}.ub"));
        let text = std::fs::read_to_string(path).expect("the example is there");
        for (endian, cpu) in
            [(Endian::Little, Cpu::V3), (Endian::Little, Cpu::V4), (Endian::Big, Cpu::V2)]
        {
            let mut sources = Sources::new();
            let root = sources.add("test.ub", &*text, Origin::User);
            let target = target::Target { endian, cpu };
            let options = driver::Options { target, ..driver::Options::default() };
            let (output, _) = driver::compile(&mut sources, root, &mut Library, options);
            objects.extend(output.map(|output| (endian, output.bytes)));
        }
    }
    for source in ["testdata/cli/clang.c", "testdata/cli/lacks.c", "fuzz/seeds/events.c"] {
        for (endian, flags) in [
            (Endian::Little, "bpfel -mcpu=v2"),
            (Endian::Little, "bpfel -mcpu=v3"),
            (Endian::Big, "bpfeb -mcpu=v3"),
        ] {
            let command = format!("clang -g -O2 --target={flags} -c");
            objects.extend(compiled(source, &command).map(|(bytes, _)| (endian, bytes)));
        }
    }
    objects
}

/// The types of a kernel of the tests.
fn kernel(name: &str) -> Vec<u8> {
    let path = package(&format!("testdata/kernels/{name}.btf.xz"));
    let packed = std::fs::File::open(path).expect("the kernel is there");
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(packed).read_to_end(&mut bytes).expect("it can be unpacked");
    bytes
}

/// A target of nothing but these types.
fn target(types: &[u8]) -> Target<'_> {
    let image = Btf::parse(types).expect("the kernel's types can be read");
    Target { image: image.into(), modules: Vec::new() }
}

fn btfs() -> Vec<Seed> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (endian, pointer) in [(Endian::Little, 8), (Endian::Big, 8), (Endian::Little, 4)] {
        all.push(types(endian, pointer, 100));
    }
    if let Some((bytes, _)) = compiled("fuzz/seeds/types.c", "clang -g -O2 --target=bpf -c") {
        let object = Object::parse(&bytes).expect("an object can be read");
        all.extend(object.section(".BTF").map(|section| section.data.to_vec()));
    }
    for (endian, bytes) in objects() {
        let object = Object::parse(&bytes).expect("an object can be read");
        if endian == Endian::Little {
            all.extend(object.section(".BTF").map(|section| section.data.to_vec()));
        }
    }
    let next = all.iter().skip(1).chain(&all);
    all.iter().zip(next).map(|(base, module)| ("btf", join(base, module))).collect()
}

fn dwarfs(files: &[(Vec<u8>, Vec<u8>)]) -> Vec<Seed> {
    files.iter().map(|(main, split)| ("dwarf", join(main, split))).collect()
}

fn elfs(files: &[(Vec<u8>, Vec<u8>)]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (wide, endian) in [(true, Endian::Little), (true, Endian::Big), (false, Endian::Little)] {
        let (image, excerpt) = (types(endian, 8, 100), types(endian, 8, 100));
        let notes = [4_u32, 8, 3].map(u32::to_le_bytes).concat();
        let notes = [&notes[..], b"GNU\0", b"01234567"].concat();
        let kernel = elf(
            wide,
            endian,
            &[
                (".BTF", 2, &image),
                (".notes", 2, &notes),
                (".rodata", 2, b"Linux version 6.1.0-x (b)\n\0"),
            ],
        );
        let module = elf(
            wide,
            endian,
            &[
                (".BTF", 2, &image),
                (".BTF.base", 0, &excerpt),
                (".modinfo", 2, b"vermagic=6.1.0 SMP\0"),
            ],
        );
        let link = elf(wide, endian, &[(".gnu_debuglink", 0, b"a.debug\0\x01\x02\x03\x04")]);
        seeds.extend([join(&kernel, &module), join(&image, &kernel), join(&link, &module)]);
    }
    seeds.extend(files.iter().step_by(3).map(|(main, _)| join(main, main)));
    seeds.into_iter().map(|seed| ("elf", seed)).collect()
}

fn images() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let btf = types(Endian::Little, 8, 100);
    let kernel = elf(true, Endian::Little, &[(".BTF", 2, &btf)]);
    for (_, pack) in PACKERS {
        let packed = pack(&kernel);
        seeds.extend([
            bz_image("6.1.0-test", &packed, kernel.len()),
            zboot(&packed),
            arm_zimage(&packed),
            elf(true, Endian::Big, &[(".kernel:vmlinux.strip", 2, &packed)]),
            packed,
        ]);
    }
    seeds.push(arm64_image("6.1.0-test", &btf));
    let text = "name: sched_switch\nID: 316\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;\n\tfield:const void * p;\toffset:32;\tsize:8;\tsigned:0;\n";
    seeds.push(text.as_bytes().to_vec());
    seeds.into_iter().map(|seed| ("image", seed)).collect()
}

fn single(objects: &[(Endian, Vec<u8>)]) -> Vec<Seed> {
    objects.iter().map(|(_, bytes)| ("object", bytes.clone())).collect()
}

/// Each object with the cut-down types of a kernel that it asks for, and with those of the next object.
fn pairs(objects: &[(Endian, Vec<u8>)]) -> Vec<Seed> {
    let events = compiled("fuzz/seeds/events.c", "clang -g -O2 --target=bpf -c");
    let events = events.map(|(bytes, _)| bytes).unwrap_or_default();
    let events = Object::parse(&events).ok();
    let kernels = [
        (Endian::Little, kernel("x86_64-6.1.0-50-cloud-amd64")),
        (Endian::Little, kernel("aarch64-5.10.0-32-arm64")),
        (Endian::Big, kernel("s390x-6.12.107+deb13-s390x")),
    ];
    let mut seeds = Vec::new();
    for (order, types) in &kernels {
        let target = target(types);
        let mut before = Vec::new();
        for (_, bytes) in objects.iter().filter(|(endian, _)| endian == order) {
            let object = Object::parse(bytes).expect("an object can be read");
            let both: Vec<&Object<'_>> = std::iter::once(&object).chain(&events).collect();
            let types = relocate::minimal(&both, &target, true).expect("types can be cut down");
            seeds.push(("relocate", join(bytes, &types)));
            if seeds.len() % 4 == 0 {
                seeds.push(("relocate", join(bytes, &before)));
            }
            before = types;
        }
    }
    seeds
}
