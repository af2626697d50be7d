//! Forms of programs that are set aside: which of them is brought in for a kernel, and that it does what the others do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![allow(clippy::print_stderr, reason = "tables are for whoever looks at them")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "relocate/kernels.rs"]
mod kernels;
mod support;

use std::process::Command;
use std::sync::Arc;
use support::kernel::attached;
use support::{package, require_all};
use ubpfc::btf::{Btf, Builder, Type, TypeId, VOID};
use ubpfc::kernel::{Kernel, Target};
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::{EventKind, Ubpf};
use ubpfc::relocate::choose::{self, Choice, ChooseError};
use ubpfc::relocate::{self, Policy};
use ubpfc::sema::imports::Library;
use ubpfc::source::{Origin, Sources};
use ubpfc::target::Endian;
use ubpfc::{diag, driver};

fn compile_for(text: &str, endian: Endian) -> Vec<u8> {
    let mut sources = Sources::new();
    let root = sources.add("test.ub", text, Origin::User);
    let target = ubpfc::target::Target { endian, ..ubpfc::target::Target::default() };
    let options = driver::Options { target, ..driver::Options::default() };
    let (output, diags) = driver::compile(&mut sources, root, &mut Library, options);
    output
        .unwrap_or_else(|| panic!("{}", diag::render(&sources, &diags, diag::Format::Short)))
        .bytes
}

fn compile(text: &str) -> Vec<u8> {
    compile_for(text, Endian::Little)
}

fn examples() -> Vec<(String, String)> {
    let mut examples: Vec<_> = std::fs::read_dir(package("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ub"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    examples.sort();
    examples
}

fn ubpf(object: &[u8]) -> Ubpf {
    Object::parse(object).unwrap().ubpf().unwrap().unwrap()
}

fn chosen(object: &[u8], target: &Target<'_>, btf: bool) -> Result<Choice, ChooseError> {
    relocate::choose(&ubpf(object), target, btf)
}

/// The sections of what is chosen: `tp_btf/sched_switch`.
fn sections(choice: &Choice) -> Vec<&str> {
    let taken = |c: &'_ choose::Chosen| c.taken.is_some();
    choice
        .programs
        .iter()
        .filter(|c| taken(c))
        .map(|c| &*c.taken.as_ref().unwrap().section)
        .collect()
}

/// The object with its chosen forms, and all its questions answered.
fn relocated(object: &[u8], choice: &Choice, target: &Target<'_>) -> Result<Vec<u8>, String> {
    let brought = relocate::bring_in(object, choice).unwrap().bytes;
    let object = Object::parse(&brought).unwrap();
    let plan = relocate::plan(&object, target, Policy::Strict).map_err(|e| e.to_string())?;
    let applied = relocate::apply(&brought, &object, &plan, Policy::Strict);
    Ok(applied.map_err(|e| e.to_string())?.bytes)
}

/// Whether all events of an object are tracepoints; `tests/functions.rs` looks at functions, which kernels may lack.
fn at_tracepoints_alone(object: &[u8]) -> bool {
    let ubpf = Object::parse(object).unwrap().ubpf().unwrap().unwrap();
    ubpf.events.iter().all(|event| event.kind == EventKind::Tracepoint)
}

#[test]
fn every_example_has_a_form_for_every_kernel() {
    let objects: Vec<_> = examples()
        .into_iter()
        .map(|(name, text)| {
            let [little, big] = [Endian::Little, Endian::Big].map(|e| compile_for(&text, e));
            (name, little, big)
        })
        .filter(|(_, little, _)| at_tracepoints_alone(little))
        .collect();
    assert!(objects.len() > 20, "{} examples", objects.len());
    for kernel in kernels::all() {
        let target = kernel.target();
        let handlers = !target.image.find(&["btf_trace_sched_switch"])[0].is_empty();
        for btf in [true, false] {
            let mut row = Vec::new();
            for (name, little, big) in &objects {
                let object = if target.image.endian == Endian::Big { big } else { little };
                let choice = chosen(object, &target, btf)
                    .unwrap_or_else(|e| panic!("{}: {name}: {e}", kernel.name));
                let form = if btf && handlers { "tp_btf" } else { "raw_tp" };
                let sections = sections(&choice);
                let formed = sections.iter().all(|section| section.starts_with(form));
                assert!(formed, "{}: {name}: {sections:?}", kernel.name);
                let certain = choice.programs.iter().all(|c| c.taken.as_ref().unwrap().certain);
                assert!(certain || !handlers, "{}: {name}", kernel.name);
                check_object(&relocate::bring_in(object, &choice).unwrap().bytes, &sections);
                let whole = relocated(object, &choice, &target);
                // Older kernels lack what the examples read, or show less than they have.
                if let Err(why) = whole {
                    assert!(!handlers, "{}: {name} {form}: {why}", kernel.name);
                    eprintln!("{}: {name} {form}: {why}", kernel.name);
                }
                row.push(format!("{name} {form}{}", if certain { "" } else { "?" }));
            }
            let shown = if btf { "shows BTF" } else { "shows none" };
            eprintln!("{:34} {shown:10}  {}", kernel.name, row.join("  "));
        }
    }
}

/// What was brought in is an object as any other, whose `.ubpf` says what is in it.
fn check_object(bytes: &[u8], sections: &[&str]) {
    let object = Object::parse(bytes).unwrap();
    assert!(object.section(".ubpf.alt").is_none());
    let ubpf = object.ubpf().unwrap().unwrap();
    let functions = object.functions().unwrap();
    let types = object.types().unwrap().unwrap();
    let ext = object.ext(&types).unwrap().unwrap();
    let at_events = ubpf.programs.iter().filter(|program| !program.forms.is_empty());
    assert!(at_events.clone().map(|program| program.section.as_str()).eq(sections.iter().copied()));
    for program in at_events {
        let function = functions
            .iter()
            .find(|f| f.symbol.name == program.name && f.section == program.section)
            .unwrap();
        assert_eq!(function.code.len() / 8, program.insns);
        assert_eq!(program.forms.len(), 1);
        assert!(!program.forms[0].aside);
        let infos = &ext.sections[program.section.as_str()];
        let start = u32::try_from(function.symbol.offset).unwrap();
        assert!(infos.funcs.iter().any(|info| info.insn_off == start));
        assert!(infos.lines.iter().any(|line| line.insn_off == start));
    }
    for reloc in &ubpf.relocs {
        assert!(functions.iter().any(|f| f.symbol.name == reloc.function));
    }
}

// Invented kernels

/// An argument of an event: its name, and the struct that it points to; none of a number.
type Given<'n> = (&'n str, Option<&'n str>);

/// A kernel with these events; each shows the type of its handler, and its names unless it is `nameless`.
fn kernel(events: &[(&str, &[Given<'_>])], nameless: bool) -> Vec<u8> {
    let mut btf = Builder::default();
    let int = btf.int_of("int", 4, ubpfc::btf::encoding::SIGNED);
    let field = |name: &str, bit_offset| ubpfc::btf::Member {
        name: name.into(),
        ty: int,
        bit_offset,
        bit_width: 0,
    };
    let structs = ["task_struct", "request", "request_queue", "io_kiocb"];
    let ids: Vec<TypeId> = structs
        .iter()
        .map(|name| btf.composite(*name, 8, vec![field("pid", 0), field("tag", 32)]))
        .collect();
    let witness: (&str, &[Given<'_>]) = ("sched_switch", &[]);
    for (event, args) in std::iter::once(&witness).chain(events) {
        let data = btf.ptr(VOID);
        let mut params = vec![("__data".into(), data)];
        for (name, to) in *args {
            let ty = to.map_or(int, |to| {
                let at = structs.iter().position(|known| *known == to).unwrap();
                btf.ptr(ids[at])
            });
            params.push(((*name).into(), ty));
        }
        let unnamed = params.iter().map(|(_, ty)| ("".into(), *ty)).collect();
        let proto = btf.add(Type::FuncProto { ret: VOID, params: unnamed });
        let pointer = btf.ptr(proto);
        btf.typedef(format!("btf_trace_{event}"), pointer);
        if !nameless {
            let proto = btf.add(Type::FuncProto { ret: int, params });
            let name = format!("__traceiter_{event}").into();
            btf.add(Type::Func { name, proto, global: false });
        }
    }
    btf.bytes(Endian::Little)
}

fn target(bytes: &[u8]) -> Target<'_> {
    Target { image: Arc::new(Btf::parse(bytes).unwrap()), modules: Vec::new() }
}

/// The places in the context that the only program of an object reads, once all that cannot run is gone.
fn reads(object: &[u8], target: &Target<'_>) -> Vec<i16> {
    let choice = chosen(object, target, true).unwrap();
    let bytes = relocated(object, &choice, target).unwrap();
    let object = Object::parse(&bytes).unwrap();
    let function = object.functions().unwrap()[0];
    let insns = function.insns();
    let context = |insn: &&ubpfc::isa::code::Insn| insn.code == 0x79 && insn.src == 1;
    insns.iter().filter(context).map(|insn| insn.off / 8).collect()
}

const BLOCK: &str = "
kernel tracepoint block_rq_issue(struct request_queue *q, struct request *rq);
kernel tracepoint block_rq_issue(struct request *rq);
struct request_user { int tag; };
tracepoint user:issue(struct request_user *rq) = tracepoint block:block_rq_issue;
user:issue { @[args.rq.tag] = count(); }
";

const RQ: Given<'static> = ("rq", Some("request"));
const Q: Given<'static> = ("q", Some("request_queue"));

#[test]
fn arguments_are_bound_by_name_where_the_prototype_is_new() {
    let object = compile(BLOCK);
    for (args, place) in [
        (&[RQ][..], 0),
        (&[Q, RQ], 1),
        // Prototypes that nobody knew.
        (&[("cpu", None), RQ], 1),
        (&[("cpu", None), Q, RQ], 2),
        (&[RQ, Q], 0),
        (&[Q, ("flags", None), ("more", None), RQ, ("error", None)], 3),
    ] {
        let bytes = kernel(&[("block_rq_issue", args)], false);
        assert_eq!(reads(&object, &target(&bytes)), [place], "{args:?}");
    }
}

#[test]
fn an_argument_that_is_not_there_or_of_another_type_is_an_error() {
    let object = compile(BLOCK);
    for (args, nameless, why) in [
        (&[Q][..], false, "the kernel passes no `rq`"),
        (&[("rq", Some("io_kiocb"))], false, "as `struct io_kiocb *`, not as `struct request *`"),
        (&[("rq", None)], false, "as `s32`, not as `struct request *`"),
        (&[("cpu", None), RQ], true, "the kernel's prototype is none that is known"),
    ] {
        let bytes = kernel(&[("block_rq_issue", args)], nameless);
        let error = chosen(&object, &target(&bytes), true).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    // Known prototypes need no names.
    let bytes = kernel(&[("block_rq_issue", &[Q, RQ])], true);
    assert_eq!(reads(&object, &target(&bytes)), [1]);
}

/// The kernel extends what is narrower than its eight bytes without its sign, also where the prototype is as it is known but for sizes.
#[test]
fn a_number_that_lost_its_sign_is_an_error() {
    let object = compile(
        "kernel tracepoint foo_ev(long code);
         tracepoint user:foo(s64 code) = tracepoint foo:foo_ev;
         user:foo { @ = max(args.code); }",
    );
    for nameless in [false, true] {
        let bytes = kernel(&[("foo_ev", &[("code", None)])], nameless);
        let error = chosen(&object, &target(&bytes), true).unwrap_err().to_string();
        let why = if nameless { "none that is known" } else { "as `s32`, not as `s64`" };
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn an_optional_argument_reads_as_zero_only_where_it_is_missing() {
    let object = compile(
        "kernel tracepoint done(struct request *rq);
         kernel tracepoint done(struct request *rq, int error);
         struct request_user { int tag; };
         tracepoint user:done(struct request_user *rq, int error?) = tracepoint block:done;
         user:done { @ = args.error; }",
    );
    for (args, places) in [
        (&[RQ][..], &[][..]),
        (&[RQ, ("error", None)], &[1]),
        (&[("cpu", None), RQ], &[]),
        (&[("error", None), ("cpu", None), RQ], &[0]),
    ] {
        let bytes = kernel(&[("done", args)], false);
        assert_eq!(reads(&object, &target(&bytes)), places, "{args:?}");
    }
}

const IO: &str = "
kernel tracepoint io_uring_submit_req(struct io_kiocb *req);
kernel tracepoint io_uring_submit_sqe(struct request_queue *ctx, struct io_kiocb *req);
struct io_kiocb_user { int tag; };
tracepoint user:io_submit(struct io_kiocb_user *req) =
    tracepoint io_uring:io_uring_submit_req else tracepoint io_uring:io_uring_submit_sqe;
";

const REQ: Given<'static> = ("req", Some("io_kiocb"));

#[test]
fn the_first_event_that_is_there_is_taken() {
    let object = compile(&format!("{IO} user:io_submit {{ @[args.req.tag] = count(); }}"));
    let new = kernel(&[("io_uring_submit_req", &[REQ])], false);
    let old = kernel(&[("io_uring_submit_sqe", &[("ctx", Some("request_queue")), REQ])], false);
    let both = kernel(&[("io_uring_submit_sqe", &[REQ]), ("io_uring_submit_req", &[REQ])], false);
    for (bytes, btf, section, places) in [
        (&new, true, "tp_btf/io_uring_submit_req", 0),
        (&new, false, "raw_tp/io_uring_submit_req", 0),
        (&old, true, "tp_btf/io_uring_submit_sqe", 1),
        (&old, false, "raw_tp/io_uring_submit_sqe", 1),
        (&both, true, "tp_btf/io_uring_submit_req", 0),
    ] {
        let target = target(bytes);
        let choice = chosen(&object, &target, btf).unwrap();
        assert_eq!(sections(&choice), [section]);
        check_object(&relocate::bring_in(&object, &choice).unwrap().bytes, &[section]);
        if btf {
            assert_eq!(reads(&object, &target), [places], "{section}");
        }
    }
    let neither = kernel(&[("io_uring_submit_rqe", &[REQ])], false);
    let error = chosen(&object, &target(&neither), true).unwrap_err().to_string();
    assert_eq!(
        error,
        "user_io_submit: the kernel has no event for it: io_uring_submit_req: there is no such event; io_uring_submit_sqe: there is no such event (it has io_uring_submit_rqe)"
    );
}

#[test]
fn an_optional_probe_is_there_where_its_event_is() {
    let object =
        compile(&format!("{IO} user:io_submit? {{ @ = count(); }} begin {{ @ = count(); }}"));
    let seen = Object::parse(&object).unwrap();
    assert!(seen.sections.iter().all(|section| !section.name.contains("io_uring")));
    let with = kernel(&[("io_uring_submit_req", &[REQ])], false);
    let choice = chosen(&object, &target(&with), true).unwrap();
    assert_eq!(sections(&choice), ["tp_btf/io_uring_submit_req"]);
    let brought = relocate::bring_in(&object, &choice).unwrap().bytes;
    check_object(&brought, &["tp_btf/io_uring_submit_req"]);
    let without = kernel(&[], false);
    let choice = chosen(&object, &target(&without), true).unwrap();
    assert!(choice.programs[0].taken.is_none());
    let brought = relocate::bring_in(&object, &choice).unwrap().bytes;
    check_object(&brought, &[]);
    let names: Vec<String> = ubpf(&brought).programs.into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["begin"]);
}

// This machine's kernel

const SEEN: &str = "
import \"sched\";
let @seen = hash(65536);
user:sched_process_exit / args.p.pid == args.p.tgid / {
    @seen[args.p.tgid, args.p.comm] = (args.p.parent.tgid, args.p.start_boottime, args.p.exit_code, len(@other));
}
user:sched_process_exec { @other[args.p.tgid] = 1; }
";

/// The object for this machine's kernel, as if it showed BTF or not.
fn here(object: &[u8], btf: bool) -> Vec<u8> {
    let running = Kernel::open("running".as_ref(), &[]).unwrap();
    let parsed = Object::parse(object).unwrap();
    let own = choose::wanted(&parsed, &ubpf(object)).unwrap();
    let mut wanted = relocate::wanted(&parsed).unwrap();
    wanted.extend(own.iter().map(|(kind, name)| (*kind, name.as_str())));
    let loaded = running.load(&wanted).unwrap();
    let target = loaded.target().unwrap();
    relocated(object, &chosen(object, &target, btf).unwrap(), &target).unwrap()
}

#[test]
fn forms_see_the_same_in_the_kernel() {
    if !require_all(&["root", "btf", "cc"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let object = compile(SEEN);
    let paths = [true, false].map(|btf| {
        let path = dir.path().join(format!("{btf}.o"));
        std::fs::write(&path, here(&object, btf)).unwrap();
        path
    });
    let (mut typed, mut child) = (None, 0);
    let raw = attached(&paths[1], || {
        typed = Some(attached(&paths[0], || {
            let mut process = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
            child = process.id();
            process.wait().unwrap();
        }));
    });
    let of_child = |dump: &support::kernel::Dump| {
        let entries =
            dump.maps["seen"].iter().filter(|(key, _)| key.starts_with(&child.to_le_bytes()));
        entries
            .map(|(key, values)| {
                // What else the script counts differs.
                let value = &values[0];
                (key.clone(), value[..value.len() - 8].to_vec())
            })
            .collect::<Vec<_>>()
    };
    let typed = of_child(&typed.unwrap());
    assert_eq!(typed.len(), 1);
    assert_eq!(typed, of_child(&raw));
    assert_eq!(&typed[0].1[..4], std::process::id().to_le_bytes());
}

#[test]
fn bpftool_loads_the_forms_that_need_no_types() {
    if !require_all(&["root", "btf", "bpftool"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in examples() {
        if !support::kernel::takes(&name, &compile(&text)) {
            continue;
        }
        for btf in [true, false] {
            let path = dir.path().join(format!("{name}.o"));
            std::fs::write(&path, here(&compile(&text), btf)).unwrap();
            let pins = format!("/sys/fs/bpf/ubpfc-aside-{name}-{btf}-{}", std::process::id());
            let output = Command::new("bpftool")
                .args(["prog", "loadall"])
                .arg(&path)
                .arg(&pins)
                .output()
                .unwrap();
            let _ = std::fs::remove_dir_all(&pins);
            let told = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&told));
            assert!(told.is_empty(), "{name}: {}", String::from_utf8_lossy(&told));
        }
    }
}

#[test]
fn broken_objects_are_errors_and_no_panics() {
    let object = compile(SEEN);
    let bytes = kernel(
        &[
            ("sched_process_exit", &[("p", Some("task_struct"))]),
            ("sched_process_exec", &[("p", Some("task_struct"))]),
        ],
        false,
    );
    let target = target(&bytes);
    let choice = chosen(&object, &target, false).unwrap();
    assert!(relocate::bring_in(&object, &choice).is_ok());
    let (mut random, mut refused) = (1_u64, 0);
    for _ in 0..4000 {
        let mut broken = object.clone();
        for _ in 0..3 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(random >> 20).unwrap() % broken.len();
            broken[at] ^= 1 << (random >> 17 & 7);
        }
        refused += usize::from(relocate::bring_in(&broken, &choice).is_err());
        if let Ok(Ok(Some(ubpf))) = Object::parse(&broken).map(|object| object.ubpf()) {
            let _ = relocate::choose(&ubpf, &target, true);
        }
    }
    assert!(refused > 1000, "{refused}");
    for len in 0..object.len() {
        let _ = relocate::bring_in(&object[..len], &choice);
    }
}
