//! Kernels of all sorts as a user meets them: forms of programs, minimal types, modules, DWARF, tracefs, other byte orders. Reports are snapshots in `testdata/cli`.

#![allow(clippy::disallowed_methods, reason = "a test reads and writes files")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::Value;
use std::process::Command;
use support::cli::{BETWEEN, BIG_ENDIAN, Folder, NEW, OLD, SCTP, THIRTY_TWO_BITS, status, text};

/// An event that was renamed in 6.2; before 5.14 its argument is no pointer to a struct.
const RENAMED: &str = "\
struct io_kiocb_user { u8 opcode; };
kernel tracepoint io_uring_submit_req(struct io_kiocb *req);
kernel tracepoint io_uring_submit_sqe(struct io_kiocb *req, bool force_nonblock);
tracepoint user:io_submit(struct io_kiocb_user *req) =
    tracepoint io_uring:io_uring_submit_req else tracepoint io_uring:io_uring_submit_sqe;
user:io_submit? { @ops[args.req.opcode] = count(); }
";

/// An event with two prototypes, which programs of other loaders ask about.
const PROTOTYPES: &str = "\
struct request_user { u32 tag = (int)tag; };
kernel tracepoint block_rq_issue(struct request_queue *q, struct request *rq);
kernel tracepoint block_rq_issue(struct request *rq);
tracepoint user:issue(struct request_user *rq) = tracepoint block:block_rq_issue;
user:issue { @[args.rq.tag] = count(); }
";

/// An event of a module, and a type that no other has.
const MODULE: &str = "\
kernel struct sctp_association { struct sctp_outq outqueue; };
kernel struct sctp_outq { struct sctp_sched_ops *sched; };
struct sctp_association_user {
    u32 id = (int)assoc_id;
    u64 init = (void *)outqueue.sched->init;
};
kernel tracepoint sctp_probe(struct sctp_endpoint *ep, struct sctp_association *asoc, struct sctp_chunk *chunk);
tracepoint user:probe(struct sctp_association_user *asoc) = tracepoint sctp:sctp_probe;
user:probe { @[args.asoc.id] = max(args.asoc.init); }
";

fn done(folder: &Folder, args: &[&str]) {
    let output = folder.run(args);
    assert_eq!(status(&output), 0, "{args:?}: {}", text(&output.stderr));
}

/// The instructions and all else of an object, without what tells which file the types are from.
fn but_for_the_name(folder: &Folder, object: &str) -> Value {
    let mut shown = folder.json(&["inspect", "-d", "--json", object], 0);
    for told in ["file", "relocated_for"] {
        shown[told] = Value::Null;
    }
    shown
}

#[test]
fn which_form_of_a_program_was_taken_is_told() {
    let folder = Folder::new();
    folder.compile("renamed", RENAMED, &[]);
    folder.compile("needed", &RENAMED.replace('?', ""), &[]);
    folder.compile("prototypes", PROTOTYPES, &[]);
    folder.snapshot("forms-renamed", &["relocate", "renamed.o", "-k", BETWEEN]);
    folder.snapshot("forms-left-out", &["relocate", "renamed.o", "-k", OLD, "-o", "out.o"]);
    folder.snapshot("forms-no-event", &["relocate", "needed.o", "-k", OLD]);
    folder.snapshot("forms-prototypes", &["relocate", "prototypes.o", "-k", NEW]);
    folder.snapshot("forms-no-btf", &["relocate", "renamed.o", "-k", NEW, "--no-btf"]);
    folder.snapshot("inspect-forms", &["inspect", "renamed.o", "-d"]);

    let programs = |object: &str, kernel: &str, status: i32| {
        let document = folder.json(&["relocate", object, "-k", kernel, "--json"], status);
        document["programs"].as_array().unwrap().clone()
    };
    let taken = &programs("renamed.o", BETWEEN, 0)[0];
    assert_eq!(taken["event"], "io_uring_submit_sqe");
    assert_eq!((&taken["status"], &taken["certain"]), (&"taken".into(), &true.into()));
    assert_eq!(taken["args"], serde_json::json!([{ "name": "req", "index": 0 }]));
    assert_eq!(taken["tried"][0]["event"], "io_uring_submit_req");
    assert_eq!(programs("renamed.o", OLD, 0)[0]["status"], "left_out");
    let lost = &programs("needed.o", OLD, 3)[0];
    assert_eq!((&lost["status"], lost["tried"].as_array().unwrap().len()), (&"no_event".into(), 2));
}

#[test]
fn the_minimal_types_give_the_same_objects_as_all_of_them() {
    let folder = Folder::new();
    let mut names = folder.examples(&[]);
    folder.compile("renamed", RENAMED, &[]);
    folder.compile("prototypes", PROTOTYPES, &[]);
    names.extend(["renamed".to_owned(), "prototypes".to_owned()]);
    let objects: Vec<String> = names.iter().map(|name| format!("{name}.o")).collect();
    let mut refused = Vec::new();
    for (name, shows_btf) in
        [(OLD, &[true, false][..]), (NEW, &[true, false]), (THIRTY_TWO_BITS, &[true])]
    {
        // Unpacked once, not by each command.
        folder.write("kernel.btf", support::kernels::named(name).btf());
        let kernel = "kernel.btf";
        for no_btf in shows_btf.iter().map(|shows| if *shows { &[][..] } else { &["--no-btf"] }) {
            let mut args = vec!["btf", kernel, "-o", "min.btf", "--for"];
            args.extend(objects.iter().map(String::as_str));
            done(&folder, &[&args, no_btf].concat());
            let size = folder.read("min.btf").len();
            assert!(size < 30_000, "{size} bytes");
            for object in &objects {
                let whole = ["relocate", object, "-k", kernel, "-o", "a.o"];
                let whole = status(&folder.run(&[&whole, no_btf].concat()));
                // What the minimal types are from, they say themselves.
                let minimal = ["relocate", object, "-k", "min.btf", "-o", "b.o"];
                assert_eq!(status(&folder.run(&minimal)), whole, "{object} on {name} {no_btf:?}");
                if whole != 0 {
                    refused.push(format!("{object} on {name}"));
                    continue;
                }
                let [all, few] = ["a.o", "b.o"].map(|name| but_for_the_name(&folder, name));
                assert_eq!(all, few, "{object} on {name} {no_btf:?}");
            }
        }
    }
    // One kernel has the function no more, since it was inlined.
    assert!(refused.iter().all(|one| one.starts_with("oomkill.o on ")), "{refused:?}");
}

#[test]
fn types_and_events_of_modules_are_found_where_a_module_is_named() {
    let folder = Folder::new();
    folder.compile("module", MODULE, &[]);
    folder.write("broken.btf", &folder.read("clang.o")[..100]);
    folder.snapshot("module", &["relocate", "module.o", "-k", BETWEEN, "-m", SCTP]);
    folder.snapshot("module-not-named", &["relocate", "module.o", "-k", BETWEEN]);
    folder.write("split.btf", b"\x9f\xeb\x01\0 and no more");
    let broken =
        ["relocate", "module.o", "-k", BETWEEN, "-m", SCTP, "-m", "split.btf", "-o", "o.o"];
    folder.snapshot("module-broken", &broken);
    done(&folder, &["btf", BETWEEN, "-m", SCTP, "--for", "module.o", "-o", "min.btf"]);
    done(&folder, &["relocate", "module.o", "-k", BETWEEN, "-m", SCTP, "-o", "a.o"]);
    done(&folder, &["relocate", "module.o", "-k", "min.btf", "-o", "b.o"]);
    assert_eq!(but_for_the_name(&folder, "a.o"), but_for_the_name(&folder, "b.o"));
}

#[test]
fn objects_of_the_other_byte_order_are_relocated_to_such_kernels() {
    let folder = Folder::new();
    for name in folder.examples(&["--target", "bpfeb"]) {
        let object = format!("{name}.o");
        done(&folder, &["btf", BIG_ENDIAN, "--for", &object, "-o", "min.btf"]);
        done(&folder, &["relocate", &object, "-k", BIG_ENDIAN, "-o", "a.o"]);
        done(&folder, &["relocate", &object, "-k", "min.btf", "-o", "b.o"]);
        let [all, few] = ["a.o", "b.o"].map(|name| but_for_the_name(&folder, name));
        assert_eq!(all, few, "{name}");
        assert_eq!(all["endian"], "big");
    }
    folder.snapshot("forms-big-endian", &["relocate", "switch.o", "-k", BIG_ENDIAN]);
}

/// What `examples/runqlat.ub` reads, as a kernel may have it.
const TASK: &str = "
struct task_struct { char before[40]; volatile long state; int pid, tgid; };
struct task_struct task;
";

#[test]
fn a_kernel_with_nothing_but_debugging_information_gets_what_it_can_run() {
    if !support::require("cc") {
        return;
    }
    let folder = Folder::new();
    folder.write("vmlinux.c", TASK);
    let mut cc = Command::new("cc");
    cc.args(["-g", "-c", "-o"]).args([folder.path("vmlinux"), folder.path("vmlinux.c")]);
    support::run(&mut cc);
    folder.compile("runqlat", include_str!("../examples/runqlat.ub"), &[]);
    folder.compile("renamed", RENAMED, &[]);
    folder.snapshot("forms-dwarf", &["relocate", "runqlat.o", "-k", "vmlinux"]);
    folder.snapshot("forms-dwarf-optional", &["relocate", "renamed.o", "-k", "vmlinux"]);
    done(&folder, &["relocate", "runqlat.o", "-k", "vmlinux", "-o", "a.o"]);
    done(&folder, &["btf", "vmlinux", "--for", "runqlat.o", "-o", "min.btf"]);
    done(&folder, &["relocate", "runqlat.o", "-k", "min.btf", "-o", "b.o"]);
    let [all, few] = ["a.o", "b.o"].map(|name| but_for_the_name(&folder, name));
    assert_eq!(all, few);
    let sections = all["functions"].as_array().unwrap().iter();
    let sections: Vec<&str> = sections.map(|f| f["section"].as_str().unwrap()).collect();
    assert!(sections.iter().all(|section| section.starts_with("raw_tp/")), "{sections:?}");
}

const FORMAT: &str = "name: sched_switch
ID: 314
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;

print fmt: \"\"
";

#[test]
fn descriptions_of_tracepoint_records_are_no_kernel_for_structs() {
    let folder = Folder::new();
    folder.write("tracing/events/sched/sched_switch/format", FORMAT);
    folder.compile("runqlat", include_str!("../examples/runqlat.ub"), &[]);
    folder.snapshot("tracefs-structs", &["relocate", "runqlat.o", "-k", "tracing"]);
    folder.snapshot("tracefs-btf", &["btf", "tracing"]);
}
