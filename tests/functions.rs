//! Programs on functions: which form is brought in for a kernel, and what it reads there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use support::eval::Input;
use support::image::KernelImage;
use support::kernels;
use support::pipeline::Script;
use support::state::{Env, State};
use support::vm;
use ubpfc::btf::{Btf, Builder, Type, TypeId, VOID, encoding};
use ubpfc::kernel::Target;
use ubpfc::object::read::Object;
use ubpfc::relocate::choose::{Choice, ChooseError, Taken};
use ubpfc::relocate::{self, Policy};
use ubpfc::source::{Origin, Sources};
use ubpfc::target::Endian;
use ubpfc::{diag, driver};

/// Functions that kernels have, some of which changed: `cap_capable` and `inet_csk_accept` their arguments, `sched_tick` its name.
const SCRIPT: &str = "
kernel function int tcp_v4_connect(struct sock *sk, struct sockaddr *uaddr, int addr_len);
kernel function int cap_capable(const struct cred *cred, struct user_namespace *target_ns, int cap, unsigned int opts);
kernel function struct sock *inet_csk_accept(struct sock *sk, int flags, int *err, bool kern);
kernel function struct sock *inet_csk_accept(struct sock *sk, struct proto_accept_arg *arg);
kernel function void scheduler_tick(void);
kernel function void sched_tick(void);
struct sock_user { u16 family = __sk_common.skc_family; };
struct user_namespace_user { s32 level; };
tracepoint user:connect(struct sock_user *sk, s32 len = addr_len) = fentry tcp_v4_connect else kprobe tcp_v4_connect;
tracepoint user:capable(s32 cap, struct user_namespace_user *ns = target_ns else targ_ns) = fentry cap_capable else kprobe cap_capable;
tracepoint user:accept(struct sock_user *sk, bool kern?) = fentry inet_csk_accept else kprobe inet_csk_accept;
tracepoint user:accepted(struct sock_user *sk = retval, struct sock_user *listener? = sk) = fexit inet_csk_accept else kretprobe inet_csk_accept;
tracepoint user:tick() = kprobe scheduler_tick else kprobe sched_tick;
tracepoint user:tcp(struct sock_user *sk, s32 result = retval) = fexit tcp_v4_connect;
user:connect { @family = args.sk.family; @len = args.len; }
user:capable { @cap = args.cap; @level = args.ns.level; }
user:accept? { @family = args.sk.family; @kern = args.kern; }
user:accepted { @family = args.sk.family; @listener = args.listener.family; }
user:tick { @ticks = count(); }
user:tcp? { @result = args.result; }
";

fn compile(text: &str, endian: Endian) -> Vec<u8> {
    let mut sources = Sources::new();
    let root = sources.add("test.ub", text, Origin::User);
    let target = ubpfc::target::Target { endian, ..ubpfc::target::Target::default() };
    let options = driver::Options { target, ..driver::Options::default() };
    let mut library = ubpfc::sema::imports::Library;
    let (output, diags) = driver::compile(&mut sources, root, &mut library, options);
    let told = || panic!("{}", diag::render(&sources, &diags, diag::Format::Short));
    output.unwrap_or_else(told).bytes
}

fn chosen(object: &[u8], target: &Target<'_>, btf: bool) -> Result<Choice, ChooseError> {
    let ubpf = Object::parse(object).unwrap().ubpf().unwrap().unwrap();
    relocate::choose(&ubpf, target, btf)
}

fn relocated(object: &[u8], target: &Target<'_>, btf: bool) -> Vec<u8> {
    let choice = chosen(object, target, btf).unwrap();
    let brought = relocate::bring_in(object, &choice).unwrap().bytes;
    let object = Object::parse(&brought).unwrap();
    let plan = relocate::plan(&object, target, Policy::Strict).unwrap();
    relocate::apply(&brought, &object, &plan, Policy::Strict).unwrap().bytes
}

fn target(bytes: &[u8], pointer: u32) -> Target<'_> {
    let mut image = Btf::parse(bytes).unwrap();
    image.set_pointer_size(pointer);
    Target { image: Arc::new(image), modules: Vec::new() }
}

/// A program, the arguments and the result of the function that it is at, and what it must read.
type Call<'c> = (&'c str, Vec<u64>, u64, &'c [(&'c str, i64)]);

/// `fentry/vfs_read file 0 count 2`
fn shown(taken: &Taken) -> String {
    let mut text = taken.section.clone();
    for arg in &taken.args {
        let place = arg.index.map_or("-".to_owned(), |index| index.to_string());
        let _ = write!(text, " {} {place}", arg.name);
    }
    text
}

fn taken(object: &[u8], target: &Target<'_>, btf: bool) -> Vec<String> {
    let choice = chosen(object, target, btf).unwrap_or_else(|error| panic!("{error}"));
    let taken = choice.programs.iter().filter_map(|chosen| chosen.taken.as_ref());
    taken.map(shown).collect()
}

#[test]
fn every_kernel_takes_the_function_that_it_has_with_its_own_arguments() {
    let [little, big] = [Endian::Little, Endian::Big].map(|endian| compile(SCRIPT, endian));
    for kernel in kernels::all() {
        let target = target(kernel.btf(), kernel.pointer_size());
        let object = if target.image.endian == Endian::Big { &big } else { &little };
        let has = |name: &str| {
            let functions = target.image.find_of(&[ubpfc::btf::kind::FUNC], &[name]);
            functions[0].iter().any(|id| target.image.name(*id).unwrap() == name)
        };
        if !has("schedule") {
            continue;
        }
        // What the function is now, by what came with the change (6.10: "net: have do_accept() take a struct proto_accept_arg argument").
        let accept = target.image.find(&["proto_accept_arg"])[0].is_empty();
        let ns =
            if cap_capable(&target.image).contains(&"target_ns") { "target_ns" } else { "targ_ns" };
        let tick = if has("scheduler_tick") { "scheduler_tick" } else { "sched_tick" };
        let (kern, result) = if accept { ("3", 4) } else { ("-", 2) };
        for btf in [true, false] {
            let trampolines = btf && has_fentry(&target.image);
            let (entry, ret) =
                if trampolines { ("fentry", "fexit") } else { ("kprobe", "kretprobe") };
            let i386 = kernel.name.starts_with("i386");
            let listener = if trampolines { "0" } else { "-" };
            let mut expected = vec![
                format!("{entry}/tcp_v4_connect sk 0 addr_len 2"),
                format!("{entry}/cap_capable cap 2 {ns} 1"),
                format!("{entry}/inet_csk_accept sk 0 kern {kern}"),
                format!("{ret}/inet_csk_accept retval {result} sk {listener}"),
                format!("kprobe/{tick}"),
            ];
            if i386 && !trampolines {
                // Only three arguments are in registers there.
                expected.remove(2);
            }
            if trampolines {
                expected.push("fexit/tcp_v4_connect retval 3".into());
            }
            assert_eq!(taken(object, &target, btf), expected, "{} {btf}", kernel.name);
            // The few types that tell this decide as all do.
            let parsed = Object::parse(object).unwrap();
            let few = relocate::minimal(&[&parsed], &target, btf).unwrap();
            let few = self::target(&few, kernel.pointer_size());
            assert_eq!(
                relocated(object, &few, true),
                relocated(object, &target, btf),
                "{} {btf}",
                kernel.name
            );
        }
    }
}

/// Whether a kernel knows of programs at the entry of functions (from 5.5).
/// No 32-bit architecture has the trampolines that entries and returns of functions are attached by.
fn has_fentry(btf: &Btf<'_>) -> bool {
    if btf.pointer_size() == 4 {
        return false;
    }
    let found = btf.find_of(&[ubpfc::btf::kind::ENUM], &["bpf_attach_type"]);
    let Ok(Type::Enum { values, .. }) = btf.get(found[0][0]) else { return false };
    values.iter().any(|(name, _)| *name == "BPF_TRACE_FENTRY")
}

fn cap_capable<'a>(btf: &Btf<'a>) -> Vec<&'a str> {
    let found = btf.find_of(&[ubpfc::btf::kind::FUNC], &["cap_capable"]);
    let Ok(Type::Func { proto, .. }) = btf.get(found[0][0]) else { return Vec::new() };
    let Ok(Type::FuncProto { params, .. }) = btf.get(proto) else { return Vec::new() };
    params.iter().map(|(name, _)| *name).collect()
}

// What is read

/// Where arguments and the result of a function are: names of members of `pt_regs`.
const REGISTERS: &[(&str, [&str; 4], &str)] = &[
    ("x86_64", ["di", "si", "dx", "cx"], "ax"),
    ("aarch64", ["regs[0]", "regs[1]", "regs[2]", "regs[3]"], "regs[0]"),
    ("armv7", ["uregs[0]", "uregs[1]", "uregs[2]", "uregs[3]"], "uregs[0]"),
    ("i386", ["ax", "dx", "cx", "bp"], "ax"),
    ("ppc64le", ["gpr[3]", "gpr[4]", "gpr[5]", "gpr[6]"], "gpr[3]"),
    ("riscv64", ["a0", "a1", "a2", "a3"], "a0"),
];

/// The values of maps without keys, by name.
fn values(script: &Script, state: &State) -> BTreeMap<String, i64> {
    let maps = script.hir.maps.iter().zip(&state.maps);
    let value = |contents: &BTreeMap<Vec<u8>, Vec<u8>>| {
        contents.values().next().map_or(0, |bytes| {
            let mut whole = [0; 8];
            whole[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
            i64::from_le_bytes(whole)
        })
    };
    maps.map(|((_, map), contents)| (map.name.to_string(), value(contents))).collect()
}

#[test]
fn arguments_are_read_where_each_architecture_passes_them() {
    let object = compile(SCRIPT, Endian::Little);
    let script = Script::new(SCRIPT).unwrap();
    let mut ran = BTreeSet::new();
    for kernel in kernels::all() {
        let arch = REGISTERS.iter().find(|(arch, ..)| kernel.name.starts_with(arch));
        let Some((arch, registers, result)) = arch else { continue };
        let target = target(kernel.btf(), kernel.pointer_size());
        let wanted = ["sock", "user_namespace", "pt_regs"].into();
        let mut image = KernelImage::of(&target.image, &wanted);
        let [sk, other] = [2, 10].map(|family| {
            let sk = image.object("sock");
            image.set(sk, "sock", "__sk_common.skc_family", family);
            sk
        });
        let ns = image.object("user_namespace");
        image.set(ns, "user_namespace", "level", 3);
        let new = image.struct_size("pt_regs").unwrap() as usize;
        let has_kern = target.image.find(&["proto_accept_arg"])[0].is_empty();
        // The upper halves of what is shorter than a register are anything.
        let garbage = if kernel.pointer_size() == 8 { 0xdead_0000_0000 << 16 } else { 0 };
        let minus = |n: i32| u64::from(n.cast_unsigned()) | garbage;
        let kern = i64::from(has_kern);
        let accept: Vec<u64> = if has_kern { vec![sk, 1, 0, 0xff01] } else { vec![sk, 0] };
        let calls: [Call<'_>; 4] = [
            ("user_connect", vec![sk, 0, minus(-16)], 0, &[("family", 2), ("len", -16)]),
            ("user_capable", vec![1, ns, minus(21), 0], 0, &[("cap", 21), ("level", 3)]),
            ("user_accept", accept.clone(), 0, &[("family", 2), ("kern", kern)]),
            ("user_accepted", accept, other, &[("family", 10)]),
        ];
        for btf in [true, false] {
            // The rest of the pipeline takes 64-bit pointers for granted where it reads directly.
            if btf && (kernel.pointer_size() == 4 || !has_fentry(&target.image)) {
                continue;
            }
            let bytes = relocated(&object, &target, btf);
            let relocated = Object::parse(&bytes).unwrap();
            for (program, args, ret, expected) in &calls {
                let is_return = *program == "user_accepted";
                if !relocated.functions().unwrap().iter().any(|f| f.symbol.name == *program) {
                    assert!(*program == "user_accept" && *arch == "i386" && !btf);
                    continue;
                }
                let context = if btf {
                    args.iter().copied().chain([*ret]).collect()
                } else {
                    let at = image.object("pt_regs");
                    for (register, value) in registers.iter().zip(args) {
                        if !is_return {
                            image.set(at, "pt_regs", register, *value);
                        }
                    }
                    if is_return {
                        image.set(at, "pt_regs", result, *ret);
                    }
                    let bytes = image.read(at, new).unwrap();
                    let words = bytes.chunks(8).map(|word| {
                        let mut whole = [0; 8];
                        whole[..word.len()].copy_from_slice(word);
                        u64::from_le_bytes(whole)
                    });
                    words.collect::<Vec<u64>>()
                };
                let input = Input {
                    image: &image,
                    event: "",
                    args: context,
                    env: Env::default(),
                    params: BTreeMap::new(),
                };
                let mut state = State::new(&script.hir);
                vm::run_object(&script.hir, &relocated, program, &input, &mut state)
                    .unwrap_or_else(|error| panic!("{} {program} {btf}: {error}", kernel.name));
                let values = values(&script, &state);
                for (map, value) in *expected {
                    let int = values[*map];
                    assert_eq!(int, *value, "{} {program} {btf} @{map}", kernel.name);
                }
                ran.insert((*arch, btf));
            }
        }
    }
    assert!(ran.len() >= 10, "{ran:?}");
}

// Invented kernels

/// A kernel with functions of these arguments, of kinds `sock` (a pointer), `int`, `long`, `big` (16 bytes by value).
fn kernel(functions: &[(&str, &[(&str, &str)])], attach_types: &[&str]) -> Vec<u8> {
    let mut btf = Builder::default();
    let int = btf.int_of("int", 4, encoding::SIGNED);
    let long = btf.int_of("long unsigned int", 8, 0);
    let short = btf.int_of("short unsigned int", 2, 0);
    let member = |name: &str, ty: TypeId, bit_offset| ubpfc::btf::Member {
        name: name.into(),
        ty,
        bit_offset,
        bit_width: 0,
    };
    let family = btf.composite("sock_common", 2, vec![member("skc_family", short, 0)]);
    let sock = btf.composite("sock", 8, vec![member("__sk_common", family, 0)]);
    let sock = btf.ptr(sock);
    let big = btf.composite("pair", 16, vec![member("a", long, 0), member("b", long, 64)]);
    let names = ["r15", "di", "si", "dx", "cx", "r8", "r9", "ax"];
    let registers =
        names.iter().zip((0..).step_by(64)).map(|(name, at)| member(name, long, at)).collect();
    btf.composite("pt_regs", 64, registers);
    let witness: (&str, &[(&str, &str)]) = ("schedule", &[]);
    for (name, args) in std::iter::once(&witness).chain(functions) {
        let param = |(name, ty): &(&str, &str)| {
            let ty = match *ty {
                "sock" => sock,
                "int" => int,
                "long" => long,
                _ => big,
            };
            ((*name).into(), ty)
        };
        let params = args.iter().map(param).collect();
        let proto = btf.add(Type::FuncProto { ret: int, params });
        btf.add(Type::Func { name: (*name).into(), proto, global: false });
    }
    if !attach_types.is_empty() {
        let values = attach_types.iter().map(|name| (*name).into()).zip(0..).collect();
        let (name, size) = ("bpf_attach_type".into(), 4);
        btf.add(Type::Enum { name, size, signed: false, wide: false, values });
    }
    assert_ne!(btf.ptr(VOID), VOID);
    btf.bytes(Endian::Little)
}

const MOVED: &str = "
kernel function int f(struct sock *sk, int len);
kernel function int f(int flags, struct sock *sk, int len);
struct sock_user { u16 family = __sk_common.skc_family; };
tracepoint user:f(struct sock_user *sk, s32 len) = fentry f else kprobe f;
tracepoint user:done(s32 ret = retval) = fexit f else kretprobe f;
user:f { @family = args.sk.family; @len = args.len; }
user:done { @ret = args.ret; }
";

#[test]
fn registers_are_those_of_a_prototype_that_is_known_and_other_places_are_refused() {
    let object = compile(MOVED, Endian::Little);
    let sk = ("sk", "sock");
    let len = ("len", "int");
    let flags = ("flags", "int");
    for (args, btf, expected) in [
        (&[sk, len][..], true, ["fentry/f sk 0 len 1", "fexit/f retval 2"]),
        (&[sk, len], false, ["kprobe/f sk 0 len 1", "kretprobe/f retval 2"]),
        (&[flags, sk, len], false, ["kprobe/f sk 1 len 2", "kretprobe/f retval 3"]),
        // Nobody knew of this one: what is read by index is found all the same.
        (&[len, flags, flags, sk], true, ["fentry/f sk 3 len 0", "fexit/f retval 4"]),
    ] {
        let bytes = kernel(&[("f", args)], &["BPF_TRACE_FENTRY"]);
        assert_eq!(taken(&object, &target(&bytes, 8), btf), expected);
        relocated(&object, &target(&bytes, 8), btf);
    }
    for (args, btf, why) in [
        (
            &[len, flags, flags, sk][..],
            false,
            "the kernel passes `sk` as argument 4, `len` as argument 1, as no known prototype does",
        ),
        (&[sk], true, "the kernel passes no `len`"),
        (&[("sk", "int"), len], true, "the kernel has `sk` as `s32`, not as `struct sock *`"),
        (
            &[("pair", "big"), sk, len],
            true,
            "the kernel passes `pair` in more or less than one register",
        ),
    ] {
        let bytes = kernel(&[("f", args)], &["BPF_TRACE_FENTRY"]);
        let error = chosen(&object, &target(&bytes, 8), btf).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_kernel_without_trampolines_takes_probes() {
    let object = compile(MOVED, Endian::Little);
    let args: &[(&str, &str)] = &[("sk", "sock"), ("len", "int")];
    let old = kernel(&[("f", args)], &["BPF_CGROUP_INET_INGRESS", "BPF_LIRC_MODE2"]);
    let sections = ["kprobe/f sk 0 len 1", "kretprobe/f retval 2"];
    assert_eq!(taken(&object, &target(&old, 8), true), sections);
    let unknown = kernel(&[("f", args)], &[]);
    let sections = ["fentry/f sk 0 len 1", "fexit/f retval 2"];
    assert_eq!(taken(&object, &target(&unknown, 8), true), sections);
}

#[test]
fn functions_of_one_name_must_take_the_same() {
    let object = compile(MOVED, Endian::Little);
    let one: &[(&str, &str)] = &[("sk", "sock"), ("len", "int")];
    let other: &[(&str, &str)] = &[("flags", "int"), ("sk", "sock"), ("len", "int")];
    let same = kernel(&[("f", one), ("f", one)], &[]);
    assert_eq!(taken(&object, &target(&same, 8), true)[0], "fentry/f sk 0 len 1");
    let different = kernel(&[("f", one), ("f", other)], &[]);
    let error = chosen(&object, &target(&different, 8), true).unwrap_err().to_string();
    assert!(error.contains("several functions of this name"), "{error}");
}

#[test]
fn a_long_argument_of_a_machine_of_short_words_is_refused() {
    let text = "
kernel function int g(u64 at, s32 n);
tracepoint user:g(s32 n) = kprobe g;
user:g { @n = args.n; }
";
    let object = compile(text, Endian::Little);
    let bytes = kernel(&[("g", &[("at", "long"), ("n", "int")])], &[]);
    assert_eq!(taken(&object, &target(&bytes, 8), false), ["kprobe/g n 1"]);
    let error = chosen(&object, &target(&bytes, 4), false).unwrap_err().to_string();
    assert!(error.contains("passes `at` in more or less than one register"), "{error}");
}
