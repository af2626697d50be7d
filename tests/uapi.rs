//! `ubpfc uapi` as a user meets it, and its header in the hands of C compilers.

#![allow(clippy::disallowed_methods, reason = "a test writes files for the tools that it runs")]

mod support;

use std::fmt::Write as _;
use std::process::Command;
use support::cli::{BETWEEN, BIG_ENDIAN, Folder, NEW, OLD, THIRTY_TWO_BITS, status, text};
use support::{kernel, require_all};

/// A library of a test's own, which no change of the real one changes.
const LIBRARY: &str = "\
// Things of a test.

kernel struct task_struct { unsigned int in_iowait : 1; };
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next);
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state);

/// An answer.
const ANSWER = 42;
/// A thread. There are many.
struct task_struct_user {
    /// Its id.
    int pid;
    /// What it waits for.
    u32 state = __state         // since 5.14
           else (long)state;    // a long before
    /// Whether it waits for a disk.
    bool in_iowait : 1;
    /// Nobody has it.
    u64 unheard_of?;
    /// Its name.
    char comm[16];
    /// Who made it.
    struct task_struct_user *parent = real_parent;
};
/// Kinds of programs.
enum kind_user mirrors bpf_prog_type { TRACING = BPF_PROG_TYPE_TRACING, NONE_SUCH? };
/// Another one runs.
tracepoint user:switch(struct task_struct_user *prev) = tracepoint sched:sched_switch;
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("lib/things.ub", LIBRARY);
    folder
}

#[test]
fn the_library_is_listed() {
    let folder = folder();
    folder.snapshot("uapi-list", &["uapi", "list", "--library", "lib"]);
    folder.snapshot("uapi-list-glob", &["uapi", "list", "--library", "lib", "*task*"]);
    folder.snapshot("uapi-list-nothing", &["uapi", "list", "--library", "lib", "nothing*"]);
}

#[test]
fn what_kernels_have_is_shown() {
    let folder = folder();
    for (name, what) in [
        ("mirror", "task_struct_user"),
        ("field", "task_struct_user.state"),
        ("bits", "task_struct_user.in_iowait"),
        ("absent", "task_struct_user.unheard_of"),
        ("tracepoint", "user:switch"),
        ("enum", "kind_user"),
        ("enumerator", "TRACING"),
        ("constant", "ANSWER"),
        ("file", "things"),
        ("unknown", "task_strct_user"),
    ] {
        let kernels = [OLD, BETWEEN, NEW, THIRTY_TWO_BITS, BIG_ENDIAN];
        let command = ["uapi", "show", what, "--library", "lib", "--kernel"];
        folder.snapshot(&format!("uapi-show-{name}"), &[&command[..], &kernels].concat());
    }
    let json = ["uapi", "show", "task_struct_user.pid", "--library", "lib", "-k", OLD, "--json"];
    folder.snapshot("uapi-show-json", &json);
}

#[test]
fn a_lock_is_not_replaced_by_one_that_breaks_its_promises() {
    let folder = folder();
    let output = folder.run(&["uapi", "lock", "lib", "-o", "ABI.lock"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let before = folder.read("ABI.lock");

    folder.write("lib/things.ub", LIBRARY.replace("int pid;", "u64 pid;"));
    folder.snapshot("uapi-lock-refused", &["uapi", "lock", "lib", "-o", "ABI.lock"]);
    assert_eq!(folder.read("ABI.lock"), before);
    folder.snapshot("uapi-diff", &["uapi", "diff", "ABI.lock", "lib"]);
    folder.snapshot("uapi-diff-json", &["uapi", "diff", "ABI.lock", "lib", "--json"]);
    let output = folder.run(&["uapi", "lock", "lib", "-o", "ABI.lock", "--allow-breaks"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    assert_ne!(folder.read("ABI.lock"), before);
    assert_eq!(status(&folder.run(&["uapi", "diff", "ABI.lock", "lib"])), 0);
}

/// What a C compiler says of a file.
fn compiles(folder: &Folder, compiler: &str, args: &[&str]) {
    let output = Command::new(compiler)
        .args(args)
        .current_dir(folder.path(""))
        .output()
        .expect("a compiler runs");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{compiler} {args:?}:\n{said}");
}

#[test]
fn the_header_has_the_layout_of_records_for_every_c_compiler() {
    if !require_all(&["cc"]) {
        return;
    }
    let folder = Folder::new();
    let output = folder.run(&["uapi", "header", "-o", "uapi.h"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    folder.write("t.c", "#include \"uapi.h\"\nint main(void) { return 0; }\n");
    compiles(&folder, "cc", &["-std=c11", "-Wall", "-Wextra", "-pedantic", "-fsyntax-only", "t.c"]);
    if require_all(&["clang"]) {
        for target in ["x86_64-linux-gnu", "i386-linux-gnu", "armv7-linux-gnueabihf"] {
            compiles(&folder, "clang", &["-target", target, "-Wall", "-fsyntax-only", "t.c"]);
        }
        compiles(&folder, "clang", &["-x", "c++", "-std=c++11", "-fsyntax-only", "t.c"]);
    }
}

const INCLUDES: &str = "\
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include \"uapi.h\"
char LICENSE[] SEC(\"license\") = \"GPL\";
";

fn clang(folder: &Folder, name: &str, target: &str, program: &str) {
    folder.write(&format!("{name}.bpf.c"), format!("{INCLUDES}{program}"));
    let (source, object) = (format!("{name}.bpf.c"), format!("{name}.clang.o"));
    let include = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let args = [
        "-target", target, "-mcpu=v3", "-g", "-O2", "-Wall", &include, "-c", &source, "-o", &object,
    ];
    compiles(folder, "clang", &args);
}

#[test]
fn clang_compiles_the_functions_of_every_field() {
    if !require_all(&["clang"]) {
        return;
    }
    let folder = Folder::new();
    folder.run(&["uapi", "header", "-o", "uapi.h"]);
    let mut programs = String::new();
    for mirror in ubpfc::library::Library::embedded().mirrors {
        for field in &mirror.fields {
            let function = format!("{}_{}", mirror.name, field.name);
            let (of, size) = (&mirror.kernel, field.size);
            let body = if field.ty.is_scalar() {
                format!("return (unsigned long long){function}(p) & 0xff;")
            } else {
                format!(
                    "char to[{size}] __attribute__((aligned(8))); {function}(p, (void *)to); return to[0];"
                )
            };
            let _ = writeln!(
                programs,
                "SEC(\"raw_tp\") int on_{function}(void *ctx) {{ const struct {of} *p = (const void *)bpf_get_current_task(); {body} }}"
            );
        }
    }
    clang(&folder, "all", "bpfel", &programs);
    clang(&folder, "all", "bpfeb", &programs);
}

/// The ancestor of all threads, which is its own: what both programs read of it is the same, whatever thread they run in.
const OURS: &str = r#"
import "task";
let @n = hash(64);
begin {
    $p = curtask;
    for $i : 0..16 { $p = $p.parent; }
    @n[0] = (u64)$p.pid; @n[1] = (u64)$p.tgid; @n[2] = (u64)$p.start_boottime; @n[3] = (u64)$p.flags;
    @n[4] = (u64)$p.static_prio; @n[5] = (u64)$p.in_iowait; @n[6] = (u64)$p.ns_pid; @n[7] = (u64)$p.cgroup_id;
}
"#;
const CLANGS: &str = r#"
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, long long); __type(value, long long); } n SEC(".maps");
static void put(long long key, long long value) { bpf_map_update_elem(&n, &key, &value, 0); }
SEC("raw_tp") int begin(void *ctx)
{
	struct task_struct *p = (void *)bpf_get_current_task();
	for (int i = 0; i < 16; i++)
		p = task_struct_user_parent(p);
	put(0, task_struct_user_pid(p)); put(1, task_struct_user_tgid(p)); put(2, task_struct_user_start_boottime(p));
	put(3, task_struct_user_flags(p)); put(4, task_struct_user_static_prio(p)); put(5, task_struct_user_in_iowait(p));
	put(6, task_struct_user_ns_pid(p)); put(7, task_struct_user_cgroup_id(p));
	return 0;
}
"#;

#[test]
fn clangs_functions_give_what_fields_give() {
    if !require_all(&["root", "btf", "cc", "clang"]) {
        return;
    }
    let folder = Folder::new();
    folder.run(&["uapi", "header", "task_struct_user", "-o", "uapi.h"]);
    clang(&folder, "read", "bpf", CLANGS);
    folder.compile("ours", OURS, &[]);
    let run = |object: &str| {
        let dump = kernel::run_once(&folder.path(object), "begin", &[]).unwrap();
        let mut entries: Vec<String> =
            dump.maps["n"].iter().map(|entry| format!("{entry:?}")).collect();
        entries.sort();
        entries
    };
    let (ours, clangs) = (run("ours.o"), run("read.clang.o"));
    assert_eq!(ours, clangs);
    assert_eq!(ours.len(), 8);
}
