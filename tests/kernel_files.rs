//! Kernels as files: every kind that types are read from, told by content.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests write files")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::kernel_files::{
    PACKERS, arm_zimage, arm64_image, bz_image, elf, gzip, lzma, types, zboot,
};
use support::kernels;
use tempfile::TempDir;
use ubpfc::btf::{Builder, Member, Type, TypeId, kind};
use ubpfc::kernel::{Form, Kernel, KernelError, Places};
use ubpfc::target::Endian;

const TASK: (u32, &str) = (kind::STRUCT, "task_struct");

/// A folder that stands for the root of a system.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Machine {
        Machine { root: tempfile::tempdir().unwrap() }
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, spec: impl AsRef<Path>, modules: &[PathBuf]) -> Result<Kernel, KernelError> {
        Kernel::open_in(&Places::below(self.root.path()), spec.as_ref(), modules)
    }

    /// Opens what is in one file.
    fn open_bytes(&self, bytes: impl AsRef<[u8]>) -> Result<Kernel, KernelError> {
        self.open(self.write("file", bytes), &[])
    }
}

/// The size of `struct task_struct`, and that of a pointer.
fn task(kernel: &Kernel) -> (u32, u32) {
    let loaded = kernel.load(&[TASK]).unwrap();
    let target = loaded.target().unwrap();
    let ids = target.image.find(&["task_struct"]);
    (target.image.size(ids[0][0]).unwrap(), target.image.pointer_size())
}

/// What an error says.
fn refusal(result: Result<Kernel, KernelError>) -> String {
    result.map(|kernel| kernel.name).unwrap_err().to_string()
}

/// A vmlinux: with a banner and types.
fn vmlinux(wide: bool, endian: Endian, size: u32) -> Vec<u8> {
    let btf = types(endian, if wide { 8 } else { 4 }, size);
    let constants = b"\0\0Linux version 6.6.6-test (x) #1\0";
    elf(wide, endian, &[(".text", 0, &[0x90; 64]), (".rodata", 0, constants), (".BTF", 0, &btf)])
}

#[test]
fn raw_types_and_elf_files_of_every_class_and_byte_order() {
    let machine = Machine::new();
    for endian in [Endian::Little, Endian::Big] {
        for (wide, pointer) in [(true, 8), (false, 4)] {
            let raw = machine.open_bytes(types(endian, pointer, 96)).unwrap();
            assert_eq!(task(&raw), (96, pointer), "{endian:?}");
            assert_eq!((raw.image.form(), raw.release), (Form::Btf, None));
            let elf = machine.open_bytes(vmlinux(wide, endian, 80)).unwrap();
            assert_eq!(task(&elf), (80, pointer), "{endian:?}");
            assert_eq!(elf.release.as_deref(), Some("6.6.6-test"));
        }
    }
}

#[test]
fn packed_files_of_every_format_and_archives() {
    let machine = Machine::new();
    let raw = types(Endian::Little, 8, 112);
    for (format, pack) in PACKERS {
        let kernel = machine.open_bytes(pack(&raw)).unwrap_or_else(|e| panic!("{format}: {e}"));
        assert_eq!(task(&kernel), (112, 8), "{format}");
    }
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    tar[124..136].copy_from_slice(format!("{:011o}\0", raw.len()).as_bytes());
    tar.extend(&raw);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    assert_eq!(task(&machine.open_bytes(gzip(&tar)).unwrap()), (112, 8));
}

#[test]
fn images_that_boot_have_their_kernel_unpacked() {
    let machine = Machine::new();
    let kernel = vmlinux(true, Endian::Little, 128);
    for (format, pack) in PACKERS {
        let image = bz_image("6.9.1-boots", &pack(&kernel), kernel.len());
        let kernel = machine.open_bytes(image).unwrap_or_else(|e| panic!("{format}: {e}"));
        assert_eq!(task(&kernel), (128, 8), "{format}");
        assert_eq!(kernel.release.as_deref(), Some("6.9.1-boots"));
    }
    let image = arm64_image("6.9.2-arm", &types(Endian::Little, 8, 144));
    for file in [image.clone(), gzip(&image), zboot(&gzip(&image))] {
        let kernel = machine.open_bytes(file).unwrap();
        assert_eq!(task(&kernel), (144, 8));
        assert_eq!(kernel.release.as_deref(), Some("6.9.2-arm"));
    }
    let mut memory = vec![0; 64];
    memory.extend(types(Endian::Little, 4, 152));
    for pack in [gzip, lzma] {
        assert_eq!(task(&machine.open_bytes(arm_zimage(&pack(&memory))).unwrap()), (152, 4));
    }
    let wrapped = elf(false, Endian::Big, &[(".kernel:vmlinux.strip", 0, &gzip(&kernel))]);
    assert_eq!(task(&machine.open_bytes(wrapped).unwrap()), (128, 8));
}

#[test]
fn compressed_sections_are_unpacked() {
    use std::io::Write;
    let machine = Machine::new();
    let btf = types(Endian::Little, 8, 160);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&btf).unwrap();
    for (kind, stream) in [(1_u32, zlib.finish().unwrap()), (2, support::kernel_files::zstd(&btf))]
    {
        let mut section = kind.to_le_bytes().to_vec();
        section.resize(24, 0);
        section.extend(stream);
        let file = elf(true, Endian::Little, &[(".BTF", 0x800, &section)]);
        assert_eq!(task(&machine.open_bytes(file).unwrap()), (160, 8));
    }
}

#[test]
fn what_has_no_types_is_named_with_what_would_do() {
    let machine = Machine::new();
    let stripped = elf(true, Endian::Little, &[(".text", 0, &[0; 16])]);
    let says = |file: &[u8], parts: &[&str]| {
        let said = refusal(machine.open_bytes(file));
        for part in parts {
            assert!(said.contains(part), "`{said}` lacks `{part}`");
        }
        assert!(said.starts_with(&machine.root.path().display().to_string()), "{said}");
    };
    let image = bz_image("6.1", &gzip(&stripped), stripped.len());
    says(
        &image,
        &["an ELF file in a gzip stream in a bzImage", "CONFIG_DEBUG_INFO_BTF", "debug package"],
    );
    let lzo = bz_image("6.1", b"\x89LZO\0\r\n\x1a\nrest", 10);
    says(&lzo, &["an lzo stream in a bzImage", "cannot unpack that format", "unpack it first"]);
    says(b"hello", &["neither BTF nor a file of a kernel", "give BTF"]);
    says(b"", &["neither BTF"]);
    says(&gzip(b"hello"), &["a gzip stream", "neither BTF nor a kernel"]);
    says(&bz_image("6.1", &gzip(&image)[..100], 0), &["cannot be unpacked", "broken"]);
    says(b"\x7fELF", &["an ELF file whose headers are broken"]);
    says(&arm_zimage(b""), &["an arm zImage, in which no packed kernel was found"]);
    let folder = refusal(machine.open(machine.root.path(), &[]));
    assert!(folder.contains("a folder, and not one of tracefs"), "{folder}");
    let missing = machine.open(machine.root.path().join("missing"), &[]);
    assert!(matches!(missing, Err(KernelError::Io { .. })), "{missing:?}");
}

#[test]
fn a_bomb_is_refused_in_time_and_memory() {
    let machine = Machine::new();
    let zeros = vec![0; 12 << 20];
    for (format, pack) in [PACKERS[0], PACKERS[5]] {
        let said = refusal(machine.open_bytes(pack(&zeros)));
        assert!(said.contains("bytes unpacked"), "{format}: {said}");
    }
    let mut nested = types(Endian::Little, 8, 96);
    for _ in 0..8 {
        nested = gzip(&nested);
    }
    assert!(refusal(machine.open_bytes(&nested)).contains("packed too many times over"));
}

/// A note with a build id, as linkers write it.
fn build_id(id: &[u8]) -> Vec<u8> {
    let mut note = [4_u32, u32::try_from(id.len()).unwrap(), 3].map(u32::to_le_bytes).concat();
    note.extend(b"GNU\0");
    note.extend(id);
    note
}

#[test]
fn the_debug_file_of_a_stripped_kernel_is_found() {
    let machine = Machine::new();
    let btf = types(Endian::Little, 8, 176);
    let id = build_id(&[0xab, 0xcd, 0xef, 0x01]);
    let stripped = elf(true, Endian::Little, &[(".notes", 0, &id)]);
    let said = refusal(machine.open_bytes(&stripped));
    assert!(said.contains("usr/lib/debug/.build-id/ab/cdef01.debug"), "{said}");
    let debug = elf(true, Endian::Little, &[(".note.gnu.build-id", 0, &id), (".BTF", 0, &btf)]);
    machine.write("usr/lib/debug/.build-id/ab/cdef01.debug", &debug);
    assert_eq!(task(&machine.open_bytes(&stripped).unwrap()), (176, 8));
    // Of an image that boots as well.
    let image = bz_image("6.1", &gzip(&stripped), stripped.len());
    assert_eq!(task(&machine.open_bytes(image).unwrap()), (176, 8));

    let debug = elf(true, Endian::Little, &[(".BTF", 0, &btf)]);
    let mut crc = flate2::Crc::new();
    crc.update(&debug);
    let mut link = b"vmlinux.debug\0\0\0".to_vec();
    link.extend(crc.sum().to_le_bytes());
    let linked = elf(true, Endian::Little, &[(".gnu_debuglink", 0, &link)]);
    let below = machine.root.path().join("boot").display().to_string();
    let file = machine.write("boot/vmlinux", &linked);
    for place in
        ["boot/vmlinux.debug", "boot/.debug/vmlinux.debug", "usr/lib/debug/boot/vmlinux.debug"]
    {
        let said = refusal(machine.open(&file, &[]));
        assert!(said.contains(&below) && said.contains("debug file is not at any of"), "{said}");
        let wrong = [&debug[..], b"another"].concat();
        let path = machine.write(place, wrong);
        assert!(machine.open(&file, &[]).is_err(), "the checksum is another");
        fs::write(&path, &debug).unwrap();
        assert_eq!(task(&machine.open(&file, &[]).unwrap()), (176, 8), "{place}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn the_running_kernel_shows_its_types() {
    if !support::require("btf") {
        return;
    }
    let kernel = Kernel::open(Path::new("running"), &[]).unwrap();
    assert!(task(&kernel).0 > 1000);
    let release = support::run(Command::new("uname").arg("-r"));
    assert_eq!(kernel.release.as_deref(), Some(release.trim()));
    // Whatever is loaded can be read.
    let loaded = kernel.load(&[(kind::STRUCT, "there is no such type")]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn a_running_kernel_without_types_is_looked_for_in_the_usual_places() {
    let machine = Machine::new();
    machine.write("proc/sys/kernel/osrelease", "6.6.6-test\n");
    let said = refusal(machine.open("running", &[]));
    for place in [
        "sys/kernel/btf/vmlinux",
        "boot/vmlinux-6.6.6-test",
        "usr/lib/debug/boot/vmlinux-6.6.6-test",
    ] {
        assert!(said.contains(place), "{said} lacks {place}");
    }
    assert!(said.contains("install its debug package"), "{said}");
    // An image without types is passed over for one with them.
    let stripped = elf(true, Endian::Little, &[(".text", 0, &[0; 16])]);
    machine.write("boot/vmlinuz-6.6.6-test", bz_image("6.6.6-test", &gzip(&stripped), 0));
    machine.write("usr/lib/debug/boot/vmlinux-6.6.6-test", vmlinux(true, Endian::Little, 208));
    let kernel = machine.open("running", &[]).unwrap();
    assert_eq!((task(&kernel), kernel.release.as_deref()), ((208, 8), Some("6.6.6-test")));
    // A module by name.
    machine.write("lib/modules/6.6.6-test/kernel/net/my-net.ko", vmlinux(true, Endian::Little, 16));
    let kernel = machine.open("running", &["my_net".into()]).unwrap();
    assert_eq!(kernel.modules[0].0, "my_net");
    assert!(refusal(machine.open("running", &["other".into()])).contains("no module of that name"));
}

#[test]
fn kernels_of_every_architecture_are_read_as_they_are_kept() {
    for kernel in kernels::all() {
        let opened = Kernel::open(&kernel.path, &[]).unwrap();
        let loaded = opened.load(&[TASK]).unwrap();
        assert_eq!(&loaded.image.btf[..], kernel.btf(), "{}", kernel.name);
        let (size, pointer) = task(&opened);
        assert!(
            size > 2000 && pointer == kernel.pointer_size(),
            "{}: {size} {pointer}",
            kernel.name
        );
    }
}

#[test]
fn modules_are_asked_only_for_what_the_image_lacks() {
    let name = "x86_64-6.1.0-50-cloud-amd64";
    let image = &kernels::named(name).path;
    let machine = Machine::new();
    let split = kernels::named(&format!("{name}--sctp")).btf();
    let info = b"license=GPL\0vermagic=6.1.0-50-cloud-amd64 SMP\0";
    let ko = elf(true, Endian::Little, &[(".modinfo", 0, info), (".BTF", 0, split)]);
    let broken = machine.write("broken.btf", &split[..split.len() / 2]);
    for file in [
        machine.write("sctp.ko.xz", support::kernel_files::xz(&ko)),
        machine.write("sctp.btf", split),
    ] {
        let kernel = machine.open(image, &[file, broken.clone()]).unwrap();
        let loaded = kernel.load(&[TASK, (kind::STRUCT, "sctp6_sock")]).unwrap();
        let names: Vec<&str> = loaded.modules.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["sctp"], "{:?}", loaded.warnings);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(
            loaded.warnings[0]
                .starts_with("module broken is passed over: its types cannot be read")
        );
        let target = loaded.target().unwrap();
        let (_, module) = &target.modules[0];
        let ids = module.find(&["sctp6_sock"]);
        assert_eq!(module.size(ids[0][0]).unwrap(), 1552);
        assert!(ids[0][0] >= target.image.end());
        // What the image has is not looked for elsewhere; of another kind it is.
        assert!(kernel.load(&[TASK]).unwrap().modules.is_empty());
        assert!(kernel.load(&[(kind::UNION, "sctp6_sock")]).unwrap().modules.is_empty());
    }
    let alone = machine.open(machine.write("sctp.btf", split), &[]).unwrap();
    let said = alone.load(&[TASK]).unwrap().target().unwrap_err().to_string();
    assert!(said.contains("the types of a module") && said.contains("--module"), "{said}");
}

#[test]
fn a_module_with_an_excerpt_of_its_base_is_put_on_the_image() {
    // The excerpt: 1 int, 2 struct sock, which is only pointed to, 3 struct task_struct of 96 bytes. The module: 4 pointer to 2, 5 struct of its own with a member of each.
    let mut excerpt = Builder::default();
    excerpt.int_of("int", 4, ubpfc::btf::encoding::SIGNED);
    excerpt.add(Type::Fwd { union: false, name: "sock".into() });
    excerpt.composite("task_struct", 96, vec![]);
    let excerpt = excerpt.bytes(Endian::Little);
    let old = u32::from_le_bytes(excerpt[20..24].try_into().unwrap());
    let strings = b"own\0sk\0task\0n\0";
    let at = |text: &str| {
        old + u32::try_from(strings.windows(text.len()).position(|w| w == text.as_bytes()).unwrap())
            .unwrap()
    };
    let words = [
        [0, kind::PTR << 24, 2].as_slice(),
        &[at("own"), kind::STRUCT << 24 | 3, 112],
        &[at("sk"), 4, 0],
        &[at("task"), 3, 64],
        &[at("n"), 1, 832],
    ]
    .concat();
    let len = u32::try_from(words.len() * 4).unwrap();
    let mut split = b"\x9f\xeb\x01\0".to_vec();
    for word in [24, 0, len, len, u32::try_from(strings.len()).unwrap()].iter().chain(&words) {
        split.extend(word.to_le_bytes());
    }
    split.extend(strings);
    let module = elf(true, Endian::Little, &[(".BTF", 0, &split), (".BTF.base", 0, &excerpt)]);

    let machine = Machine::new();
    let module = machine.write("own.ko", module);
    let image = machine.write("vmlinux", types(Endian::Little, 8, 96));
    let kernel = machine.open(&image, std::slice::from_ref(&module)).unwrap();
    let loaded = kernel.load(&[(kind::STRUCT, "own")]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let target = loaded.target().unwrap();
    let own = &target.modules[0].1;
    let Type::Composite { members, .. } = own.get(own.find(&["own"])[0][0]).unwrap() else {
        panic!()
    };
    let names: Vec<(&str, u32)> = members.iter().map(|m| (m.name, m.bit_offset)).collect();
    assert_eq!(names, [("sk", 0), ("task", 64), ("n", 832)]);
    let [sk, task, n] = [0, 1, 2].map(|index| members[index].ty);
    assert_eq!(own.size(task).unwrap(), 96);
    let Type::Composite { members, .. } = own.get(task).unwrap() else { panic!() };
    let pid = Member { name: "pid", ty: TypeId(1), bit_offset: 64, bit_width: 0 };
    assert_eq!(members, [pid], "it is the image's own");
    assert_eq!(own.get(n).unwrap().name(), "int");
    let Type::Ptr(sock) = own.get(sk).unwrap() else { panic!() };
    assert_eq!(own.get(sock).unwrap().name(), "sock");

    // An image whose task_struct has another size is another kernel.
    let other = machine.write("other", types(Endian::Little, 8, 104));
    let kernel = machine.open(&other, &[module]).unwrap();
    let warnings = kernel.load(&[(kind::STRUCT, "own")]).unwrap().warnings;
    assert!(
        warnings[0]
            .contains("built for another kernel: this one has no struct task_struct of 96 bytes"),
        "{warnings:?}"
    );
}

const FORMAT: &str = "name: sched_test
ID: 314
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] name;\toffset:28;\tsize:4;\tsigned:0;
\tfield:const struct sock * sk;\toffset:32;\tsize:8;\tsigned:0;
\tfield:__u32 words[4];\toffset:40;\tsize:16;\tsigned:0;

print fmt: \"comm=%s\", REC->comm
";

#[test]
fn descriptions_of_tracepoints_become_types() {
    let machine = Machine::new();
    let file = machine.write("tracing/events/sched/sched_test/format", FORMAT);
    let wanted = [(kind::STRUCT, "trace_event_raw_sched_test")];
    for path in [
        &file,
        &machine.root.path().join("tracing"),
        &machine.root.path().join("tracing/events/sched"),
        &machine.root.path().join("tracing/events/sched/sched_test"),
    ] {
        let kernel = machine.open(path, &[]).unwrap();
        assert_eq!(kernel.image.form(), Form::Tracefs);
        let loaded = kernel.load(&wanted).unwrap();
        let target = loaded.target().unwrap();
        let btf = &target.image;
        let id = btf.find(&[wanted[0].1])[0][0];
        let Type::Composite { members, size, .. } = btf.get(id).unwrap() else { panic!() };
        let shape: Vec<(&str, u32, u32)> =
            members.iter().map(|m| (m.name, m.bit_offset / 8, btf.size(m.ty).unwrap())).collect();
        assert_eq!(
            shape,
            [
                ("ent", 0, 8),
                ("comm", 8, 16),
                ("pid", 24, 4),
                ("__data_loc_name", 28, 4),
                ("sk", 32, 8),
                ("words", 40, 16)
            ]
        );
        assert_eq!((size, btf.pointer_size()), (56, 8));
        assert!(matches!(btf.get(members[2].ty).unwrap(), Type::Int { encoding: 1, .. }), "signed");
        assert!(matches!(btf.get(members[5].ty).unwrap(), Type::Array { len: 4, .. }));
        assert!(btf.find(&["trace_event_raw_other"])[0].is_empty());
    }
    let broken =
        machine.open(machine.write("broken", FORMAT.replace("offset:24", "offset:x")), &[]);
    assert!(broken.unwrap().load(&wanted).unwrap_err().to_string().contains("malformed"));
}

#[test]
fn dwarf_is_read_where_there_is_no_btf() {
    if !support::require_all(&["cc", "objcopy", "strip"]) {
        return;
    }
    let machine = Machine::new();
    let source = machine.write("task.c", "struct task_struct { long a; int pid; char c[84]; } task; int main(void) { return task.pid; }");
    let program = machine.root.path().join("vmlinux");
    for flags in [&["-g"][..], &["-gdwarf-4", "-gz"], &["-g", "-gsplit-dwarf"]] {
        let object = machine.root.path().join("task.o");
        support::run(
            Command::new("cc")
                .current_dir(machine.root.path())
                .args(flags)
                .args(["-c", "-o"])
                .arg(&object)
                .arg(&source),
        );
        support::run(Command::new("cc").arg("-o").arg(&program).arg(&object));
        for file in [&object, &program] {
            let kernel = machine.open(file, &[]).unwrap();
            assert_eq!(kernel.image.form(), Form::Dwarf, "{flags:?}");
            assert_eq!(task(&kernel), (96, 8), "{flags:?} {file:?}");
        }
    }
    // Debugging information that stands elsewhere.
    let object = machine.root.path().join("task.o");
    support::run(
        Command::new("cc").args(["-g", "-Wl,--build-id=none", "-o"]).arg(&program).arg(&source),
    );
    let debug = machine.root.path().join("vmlinux.debug");
    support::run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&debug));
    support::run(Command::new("strip").arg(&program));
    support::run(
        Command::new("objcopy")
            .arg(format!("--add-gnu-debuglink={}", debug.display()))
            .arg(&program),
    );
    fs::remove_file(object).unwrap();
    assert_eq!(task(&machine.open(&program, &[]).unwrap()), (96, 8));
    fs::remove_file(debug).unwrap();
    assert!(refusal(machine.open(&program, &[])).contains("neither BTF nor DWARF"));
}

/// Every way of getting at types, with whatever comes out of it.
fn touch(machine: &Machine, bytes: &[u8]) {
    if let Ok(kernel) = machine.open_bytes(bytes)
        && let Ok(loaded) = kernel.load(&[TASK, (kind::STRUCT, "trace_event_raw_sched_test")])
        && let Ok(target) = loaded.target()
    {
        for id in target.image.ids() {
            let _ = (target.image.get(id), target.image.size(id));
        }
    }
}

#[test]
fn damaged_files_end_with_an_answer_or_an_error() {
    let machine = Machine::new();
    let kernel = vmlinux(true, Endian::Little, 96);
    let flat = arm64_image("6.6", &types(Endian::Little, 8, 96));
    let id = build_id(&[1, 2, 3, 4]);
    let link = b"vmlinux.debug\0\0\0\x01\x02\x03\x04";
    let mut files = vec![
        kernel.clone(),
        vmlinux(false, Endian::Big, 96),
        elf(true, Endian::Little, &[(".notes", 0, &id), (".gnu_debuglink", 0, link)]),
        bz_image("6.6", &gzip(&kernel), kernel.len()),
        zboot(&gzip(&flat[0xf00..])),
        flat[..0x40].iter().chain(&flat[0x1000..]).copied().collect(),
        arm_zimage(&lzma(&kernel)),
        FORMAT.as_bytes().to_vec(),
    ];
    files.extend(PACKERS.iter().map(|(_, pack)| pack(&types(Endian::Little, 8, 96))));
    for file in files {
        touch(&machine, &file);
        let step = (file.len() / 40).max(1);
        for at in (0..file.len()).step_by(step) {
            touch(&machine, &file[..at]);
            for flip in [1, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                touch(&machine, &damaged);
            }
        }
    }
}
