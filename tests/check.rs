//! `check`: which programs run on which kernels, and why not; that it says what relocation does, and that what it calls runnable loads on the running kernel.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::cli::{BIG_ENDIAN, Folder, NEW, OLD, status, text};
use support::{kernels, objects, package, require, require_all};
use ubpfc::btf::{Builder, Member, Type, encoding};
use ubpfc::kernel::{Kernel, Places};
use ubpfc::relocate::{self, Examination, Fate, Lacking, Options, Subject, examine};
use ubpfc::target::Endian;

/// Programs of every fate: one runs everywhere, one needs a field that only old kernels have, one an event that none has, and one is optional.
const FATES: &str = "\
struct task_struct_user {
    s32 pid;
    s64 state;
    s32 priority = prio2 else static_prioo;
};
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next);
kernel tracepoint sched_nothing(struct task_struct *p);
tracepoint user:sw(struct task_struct_user *prev) = tracepoint sched:sched_switch;
tracepoint user:none(struct task_struct_user *p) = tracepoint sched:sched_nothing;
user:sw { @runs = args.prev.pid; }
user:sw { @old = args.prev.state; }
user:sw { @lost = args.prev.priority; }
user:none { @none = args.p.pid; }
user:none? { @optional = args.p.pid; }
";

fn folder() -> Folder {
    let dir = Folder::new();
    dir.write("fates.ub", FATES);
    for name in ["runqlat", "exitsnoop"] {
        let script = std::fs::read(package(&format!("examples/{name}.ub"))).unwrap();
        dir.write(&format!("{name}.ub"), script);
    }
    std::os::unix::fs::symlink(package("testdata/kernels"), dir.path("kernels")).unwrap();
    dir
}

#[test]
fn a_matrix_says_what_runs_where_and_every_reason_once() {
    let dir = folder();
    dir.snapshot("check-runs", &["check", "--no-atlas", "runqlat.ub", "-k", "kernels"]);
    dir.snapshot("check-fates", &["check", "--no-atlas", "fates.ub", "-k", "kernels"]);
    dir.snapshot(
        "check-files",
        &["check", "--no-atlas", "runqlat.ub", "exitsnoop.ub", "fates.ub", "-k", "kernels"],
    );
    dir.snapshot("check-verbose", &["check", "--no-atlas", "fates.ub", "-v", "-k", OLD, "-k", NEW]);
    dir.snapshot("check-clang", &["check", "--no-atlas", "clang.o", "lacks.o", "-k", "kernels"]);
    dir.snapshot(
        "check-short",
        &["check", "--no-atlas", "fates.ub", "-k", OLD, "-k", NEW, "--message-format", "short"],
    );
    dir.snapshot(
        "check-no-btf",
        &["check", "--no-atlas", "runqlat.ub", "-v", "-k", NEW, "--no-btf"],
    );
}

#[test]
fn the_matrix_is_never_wider_than_a_page() {
    let dir = folder();
    let many: Vec<String> = (0..40).map(|index| format!("a-long-name-{index}.ub")).collect();
    for name in &many {
        dir.write(name, "begin { @x = 1; }");
    }
    let mut args: Vec<&str> = vec!["check", "--no-atlas", "--matrix", "-k", "kernels"];
    args.extend(many.iter().map(String::as_str));
    let output = dir.run(&args);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    assert!(shown.contains("  40  a-long-name-39"), "{shown}");
}

#[test]
fn the_exit_status_is_that_of_the_worst() {
    let dir = folder();
    dir.write("broken.ub", "begin { @x = ; }");
    dir.write("broken.o", b"\x7fELF and no more");
    dir.write(
        "optional.ub",
        FATES.split("user:sw {").next().unwrap().to_owned()
            + "begin { @x = 1; } user:none? { @y = args.p.pid; }",
    );
    dir.write("kernels-of/broken.btf", b"no types");
    let (old, few) = (["-k", OLD], ["-k", "kernels-of"]);
    for (file, kernel, expected) in [
        ("runqlat.ub", old, 0),
        ("optional.ub", old, 0),
        ("fates.ub", old, 3),
        ("broken.ub", old, 1),
        ("broken.o", old, 1),
        ("missing.ub", old, 2),
        ("runqlat.ub", ["-k", "nowhere"], 2),
        ("runqlat.ub", few, 2),
        ("clang.o", ["-k", BIG_ENDIAN], 3),
    ] {
        let output = dir.run(&[&["check", "--no-atlas", file], &kernel[..]].concat());
        assert_eq!(status(&output), expected, "{file} {kernel:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_document_has_every_program_on_every_kernel() {
    let dir = folder();
    let document =
        dir.json(&["check", "--no-atlas", "fates.ub", "runqlat.ub", "-k", "kernels", "--json"], 3);
    assert_eq!(document["version"], 1);
    let list = |name: &str| document[name].as_array().unwrap();
    let programs: usize =
        list("files").iter().map(|file| file["programs"].as_array().unwrap().len()).sum();
    let (kernels, results) = (list("kernels"), list("results"));
    assert_eq!(results.len(), programs * kernels.len());
    let with = |status: &str| results.iter().filter(|result| result["status"] == status).count();
    assert!(with("runs") > 0 && with("left_out") > 0 && with("no") > 0);
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    for result in results {
        let reasons = result["reasons"].as_array().unwrap();
        assert_eq!(result["status"] == "no", !reasons.is_empty(), "{result}");
        for reason in reasons {
            let reason = &list("reasons")[index(reason)];
            let has = |name: &str, value: &Value| reason[name].as_array().unwrap().contains(value);
            assert!(has("kernels", &result["kernel"]) && has("programs", &result["program"]));
            assert_eq!(reason["file"], result["file"]);
        }
    }
    let lost = list("reasons").iter().find(|reason| reason["code"] == "E0601").unwrap();
    assert_eq!(lost["at"]["file"], "fates.ub");
    assert_eq!(list("files")[1]["class"], "abi");
    assert_eq!(list("files")[1]["runs_on"], kernels.len());
}

/// What the schema of SARIF 2.1.0 asks for of the objects that are used.
#[test]
fn the_sarif_log_is_one() {
    let dir = folder();
    let args = [
        "check",
        "--no-atlas",
        "fates.ub",
        "clang.o",
        "-k",
        "kernels",
        "--message-format",
        "sarif",
    ];
    let log = dir.json(&args, 3);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules: Vec<&Value> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 3);
    for result in results {
        assert!(rules.contains(&&result["ruleId"]), "{result}");
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let physical = &result["locations"][0]["physicalLocation"];
        let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
        if uri == "fates.ub" {
            let region = &physical["region"];
            let line = usize::try_from(region["startLine"].as_u64().unwrap()).unwrap();
            assert_eq!(FATES.lines().nth(line - 1), region["snippet"]["text"].as_str());
            assert!(region["startColumn"].as_u64().unwrap() >= 1);
        }
        assert!(!result["properties"]["kernels"].as_array().unwrap().is_empty());
    }
}

fn opened(kernel: &kernels::KernelTypes) -> Kernel {
    let path = Path::new(&kernel.name);
    Kernel::from_bytes(&Places::default(), path, kernel.btf().to_vec()).unwrap()
}

/// That `check` and `relocate` say the same of an object on a kernel; gives whether it runs there.
fn agree(
    name: &str,
    bytes: &[u8],
    subject: &Subject<'_>,
    kernel: &Kernel,
    options: Options,
) -> bool {
    let done = relocate::relocate(bytes, kernel, options);
    let what = format!("{name} on {} {options:?}", kernel.name);
    let examined = match examine(subject, kernel, options) {
        Ok(examined) => examined,
        Err(error) => {
            let refused = done.result.expect_err(&what).to_string();
            assert_eq!(error.to_string(), refused, "{what}");
            return false;
        }
    };
    let Examination { programs, .. } = examined;
    let lost = |fate: &Fate| matches!(fate, Fate::NoEvent(_) | Fate::Missing(_));
    let is_lost = programs.iter().any(|program| lost(&program.fate));
    assert_eq!(is_lost, done.result.is_err(), "{what}: {programs:?} {:?}", done.result.err());
    let lacks = programs.iter().any(|program| matches!(program.fate, Fate::Lacks(_)));
    if !is_lost {
        assert_eq!(
            lacks,
            !done.told.lacks.is_empty(),
            "{what}: {programs:?} {:?}",
            done.told.lacks
        );
    }
    for (program, about) in programs.iter().zip(subject.programs()) {
        let chosen = done.told.programs.iter().find(|chosen| chosen.name == about.name);
        if let (Some(chosen), false) = (chosen, is_lost) {
            assert_eq!(chosen.taken, program.taken, "{what}");
            assert_eq!(chosen.taken.is_none(), program.fate == Fate::LeftOut, "{what}");
        }
    }
    !is_lost && !lacks
}

#[test]
fn what_runs_is_what_relocation_relocates() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for endian in [Endian::Little, Endian::Big] {
        let folder = folder.path().join(format!("{endian:?}"));
        std::fs::create_dir(&folder).unwrap();
        for object in
            objects::ours(&folder, endian).into_iter().chain(objects::clangs(&folder, endian))
        {
            all.push((object.name.clone(), object.bytes()));
        }
    }
    for name in ["clang.o", "lacks.o", "size.o"] {
        let bytes = std::fs::read(package("testdata/cli").join(name)).unwrap();
        all.push((name.to_owned(), bytes));
    }
    let subjects: Vec<Subject<'_>> =
        all.iter().map(|(_, bytes)| Subject::parse(bytes, None).unwrap()).collect();
    let (mut run, mut not) = (0, 0);
    for (number, kernel) in kernels::all().iter().enumerate() {
        let kernel = opened(kernel);
        for (index, ((name, bytes), subject)) in all.iter().zip(&subjects).enumerate() {
            for no_btf in [false, true] {
                // Without optimisation it takes long: one in many is asked.
                if cfg!(debug_assertions) && (7 * number + index + usize::from(no_btf)) % 8 != 0 {
                    continue;
                }
                let options = Options { no_btf, ..Options::default() };
                let runs = agree(name, bytes, subject, &kernel, options);
                *(if runs { &mut run } else { &mut not }) += 1;
            }
        }
    }
    assert!(run > 30 && not > 30, "{run} run, {not} do not");
}

/// What becomes of each program beside others is what becomes of it alone.
#[test]
fn a_lost_program_hides_none_of_the_others() {
    let dir = folder();
    let statuses = |script: &str| {
        dir.write("one.ub", script);
        let output = dir.run(&["check", "--no-atlas", "one.ub", "-k", OLD, "-k", NEW, "--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let results = document["results"].as_array().unwrap();
        let told = |kernel: u64| {
            let of = results.iter().filter(|result| result["kernel"] == kernel);
            of.map(|result| result["status"].clone()).collect::<Vec<Value>>()
        };
        [told(0), told(1)]
    };
    let first = FATES.find("user:sw {").unwrap();
    let (declarations, programs) = FATES.split_at(first);
    let together = statuses(FATES);
    assert_eq!(together[0], ["runs", "runs", "no", "no", "left_out"]);
    assert_eq!(together[1], ["runs", "no", "no", "no", "left_out"]);
    for (index, program) in programs.lines().enumerate() {
        let alone = statuses(&format!("{declarations}{program}\n"));
        for (alone, together) in alone.iter().zip(&together) {
            assert_eq!(alone, &together[index..=index], "{program}");
        }
    }
}

/// Types of a kernel whose enums of helpers, maps, types of programs and ways to attach go to these numbers; none at all without.
fn made(last: Option<[u64; 4]>) -> Kernel {
    let mut btf = Builder::default();
    let int = btf.int_of("int", 4, encoding::SIGNED);
    let pid = Member { name: "pid".into(), ty: int, bit_offset: 64, bit_width: 0 };
    btf.composite("task_struct", 32, vec![pid]);
    let names = ["bpf_func_id", "bpf_map_type", "bpf_prog_type", "bpf_attach_type"];
    let last = last.map(|last| names.into_iter().zip(last)).into_iter().flatten();
    for (name, last) in last.chain([("system_states", 3)]) {
        let values = (0..=last).map(|value| (format!("{name}_{value}").into(), value)).collect();
        btf.add(Type::Enum { name: name.into(), size: 4, signed: false, wide: false, values });
    }
    let bytes = btf.bytes(Endian::Little);
    Kernel::from_bytes(&Places::default(), Path::new("made.btf"), bytes).unwrap()
}

/// A script that compares numbers of 32 bits.
const READS: &str = "\
struct task_struct_user { s32 pid; };
begin { $p = curtask; if $p.pid > 3 { @x[$p.pid] = 1; } }
";

fn compiled(dir: &Folder, script: &str) -> Vec<u8> {
    dir.compile("made", script, &[]);
    dir.read("made.o")
}

fn lacks(bytes: &[u8], kernel: &Kernel) -> Vec<(Lacking, String)> {
    let subject = Subject::parse(bytes, None).unwrap();
    let examined = examine(&subject, kernel, Options::default()).unwrap();
    let fates = examined.programs.into_iter().map(|program| program.fate);
    let lacks = fates.flat_map(|fate| match fate {
        Fate::Runs => Vec::new(),
        Fate::Lacks(lacks) => lacks,
        other => panic!("{other:?}"),
    });
    lacks.map(|lack| (lack.kind, lack.name)).collect()
}

#[test]
fn what_a_kernel_lacks_beside_types_is_told_by_its_own_enums() {
    let dir = folder();
    let bytes = compiled(&dir, READS);
    let has =
        |kernel, kind, name: &str| lacks(&bytes, &made(kernel)).contains(&(kind, name.to_owned()));
    let new = Some([200, 33, 33, 57]);
    assert_eq!(lacks(&bytes, &made(new)), []);
    assert!(has(Some([200, 33, 16, 57]), Lacking::ProgramType, "raw_tracepoint"));
    assert!(has(None, Lacking::ProgramType, "raw_tracepoint"), "it has no programs at all");
    assert!(has(Some([92, 33, 33, 57]), Lacking::Instructions, "32-bit jumps"));
    let clang = std::fs::read(package("testdata/cli/size.o")).unwrap();
    assert!(
        Subject::parse(&clang, None).unwrap().programs().iter().all(|about| about.class.is_none())
    );
}

/// `telling` keeps what says that something lacks, so that types made for an object say it too.
#[test]
fn the_minimal_types_of_a_kernel_tell_the_same() {
    let dir = folder();
    let bytes = compiled(&dir, READS);
    let object = ubpfc::object::read::Object::parse(&bytes).unwrap();
    for last in [None, Some([200, 33, 16, 57]), Some([92, 33, 33, 57]), Some([200, 33, 33, 57])] {
        let whole = made(last);
        let loaded = relocate::load(&whole, &relocate::needs(&object).unwrap()).unwrap();
        let few = relocate::minimal(&[&object], &loaded.target().unwrap(), true).unwrap();
        let few = Kernel::from_bytes(&Places::default(), Path::new("made.btf"), few).unwrap();
        assert_eq!(lacks(&bytes, &whole), lacks(&bytes, &few), "{last:?}");
    }
}

#[test]
fn the_stack_of_all_calls_together_is_told() {
    if !require("clang") {
        return;
    }
    let dir = folder();
    dir.write(
        "deep.c",
        "#define SEC(n) __attribute__((section(n), used))\n\
         #define USE(p) __asm__ volatile(\"\" : : \"r\"(p) : \"memory\")\n\
         static __attribute__((noinline)) int below(void) { char room[300]; USE(room); return room[9]; }\n\
         SEC(\"socket\") int deep(void *c) { char room[300]; USE(room); return below() + room[7]; }\n\
         SEC(\"socket\") int flat(void *c) { char room[300]; USE(room); return room[7]; }\n\
         char LICENSE[] SEC(\"license\") = \"GPL\";\n",
    );
    let mut clang = Command::new("clang");
    clang.args(["-O1", "-g", "-target", "bpfel", "-c"]);
    support::run(clang.arg(dir.path("deep.c")).arg("-o").arg(dir.path("deep.o")));
    let bytes = dir.read("deep.o");
    let subject = Subject::parse(&bytes, None).unwrap();
    let kernel = made(Some([200, 33, 33, 57]));
    let programs = examine(&subject, &kernel, Options::default()).unwrap().programs;
    let of = |name: &str| {
        let at = subject.programs().iter().position(|about| about.name == name).unwrap();
        &programs[at]
    };
    let Fate::Lacks(deep) = &of("deep").fate else { panic!("{:?}", of("deep")) };
    assert_eq!(deep[0].kind, Lacking::Stack);
    assert_eq!(of("flat").fate, Fate::Runs);
    assert!((300..=512).contains(&of("flat").size.unwrap().stack));
}

/// Whatever an object is, checking it ends with an answer.
#[test]
fn hostile_objects_are_refused_or_examined() {
    let dir = folder();
    dir.compile("fates", FATES, &[]);
    let kernel = opened(kernels::named(NEW));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut examined = 0;
    for whole in [dir.read("fates.o"), dir.read("clang.o")] {
        for round in 0..if cfg!(debug_assertions) { 80 } else { 1000 } {
            let mut bytes = whole.clone();
            if round % 8 == 0 {
                bytes.truncate(random(bytes.len()));
            } else {
                for _ in 0..=random(3) {
                    let at = random(bytes.len());
                    bytes[at] = u8::try_from(random(256)).unwrap();
                }
            }
            let Ok(subject) = Subject::parse(&bytes, None) else { continue };
            if examine(&subject, &kernel, Options::default()).is_ok() {
                examined += 1;
            }
        }
    }
    assert!(examined > 20, "{examined}");
}

#[test]
fn what_runs_on_the_running_kernel_is_taken_by_it() {
    if !require_all(&["root", "btf", "bpftool"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = Kernel::open(Path::new("running"), &[]).unwrap();
    let mut taken = 0;
    for object in objects::ours(folder.path(), Endian::Little) {
        let bytes = object.bytes();
        let subject = Subject::parse(&bytes, None).unwrap();
        if !agree(&object.name, &bytes, &subject, &kernel, Options::default()) {
            continue;
        }
        let relocated = relocate::relocate(&bytes, &kernel, Options::default()).result.unwrap();
        if !support::kernel::takes(&object.name, &relocated) {
            continue;
        }
        let path = object.path.with_extension("relocated.o");
        std::fs::write(&path, relocated).unwrap();
        if let Err(log) = support::kernel::load(&path, false) {
            panic!("{}:\n{log}", object.name);
        }
        taken += 1;
    }
    assert!(taken >= 6, "{taken}");
}

/// What the atlas was asked it tells as the kernel does; what it was not is unknown, never absent.
#[test]
fn what_an_atlas_was_not_asked_is_not_known() {
    let dir = folder();
    let kernel = package(&format!("testdata/kernels/{NEW}.btf.xz"));
    let script = FATES.replace("static_prioo", "acct_timexpd");
    dir.write("private.ub", script);
    let built = dir.run(&["atlas", "build", kernel.to_str().unwrap(), "-o", "one.atlas"]);
    assert_eq!(status(&built), 0, "{}", text(&built.stderr));
    let files = ["private.ub", "runqlat.ub"];
    let named = ["check", "--no-atlas", "--json", "--atlas", "one.atlas", "-k"];
    let statuses = |kernel: &str, expected: i32| {
        let document = dir.json(&[&named[..], &[kernel], &files[..]].concat(), expected);
        let results = document["results"].as_array().unwrap().iter();
        results.map(|result| result["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let whole = statuses(kernel.to_str().unwrap(), 3);
    std::fs::remove_file(dir.path(NEW)).unwrap();
    let told = statuses(NEW, 3);
    assert_eq!(whole, ["runs", "no", "runs", "no", "left_out", "runs", "runs", "runs"]);
    assert_eq!(told, ["runs", "no", "unknown", "unknown", "unknown", "runs", "runs", "runs"]);
}
