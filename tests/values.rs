//! The fields of the library's mirrors, read from threads of this machine's kernel: equal to what `/proc` tells of the same threads at the same time.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use support::kernel::{Dump, attached};
use support::{package, require_all, run};
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::{Field, Output, Type};

/// What a record holds, by the names of its fields; what has no name goes by its place: `_0`, `_1`.
#[derive(Debug, Default)]
struct Record {
    numbers: BTreeMap<String, i128>,
    texts: BTreeMap<String, String>,
}

impl Record {
    fn new(output: &Output, bytes: &[u8]) -> Record {
        assert_eq!(bytes.len(), output.size as usize, "the size of a record");
        let mut record = Record::default();
        record.take(&output.args, bytes);
        record
    }

    fn take(&mut self, fields: &[Field], bytes: &[u8]) {
        for (i, field) in fields.iter().enumerate() {
            let name = if field.name.is_empty() { format!("_{i}") } else { field.name.clone() };
            let bytes = &bytes[field.offset as usize..];
            match &field.ty {
                Type::Bool => self.number(name, &bytes[..1], false),
                Type::Int { size, signed } | Type::Enum { size, signed, .. } => {
                    self.number(name, &bytes[..*size as usize], *signed);
                }
                Type::Ptr { .. } => self.number(name, &bytes[..8], false),
                Type::Str { size } => {
                    let text = bytes[..*size as usize].split(|b| *b == 0).next().unwrap();
                    self.texts.insert(name, String::from_utf8_lossy(text).into_owned());
                }
                Type::Struct { fields, .. } => self.take(fields, bytes),
                Type::Array { .. } | Type::Void => panic!("{name} is no field of these mirrors"),
            }
        }
    }

    fn number(&mut self, name: String, bytes: &[u8], signed: bool) {
        let mut wide = [0; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        if signed && bytes.last().is_some_and(|b| b & 0x80 != 0) {
            wide[bytes.len()..].fill(0xff);
        }
        self.numbers.insert(name, i128::from_le_bytes(wide));
    }

    fn get(&self, name: &str) -> i128 {
        *self.numbers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// A script, compiled.
struct Compiled {
    _dir: tempfile::TempDir,
    object: PathBuf,
    outputs: Vec<Output>,
}

impl Compiled {
    fn new(text: &str) -> Compiled {
        let dir = tempfile::tempdir().unwrap();
        let [script, object] = ["test.ub", "test.o"].map(|name| dir.path().join(name));
        std::fs::write(&script, text).unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_ubpfc")).arg(&script).arg("-o").arg(&object));
        let bytes = std::fs::read(&object).unwrap();
        let outputs = Object::parse(&bytes).unwrap().ubpf().unwrap().unwrap().outputs;
        Compiled { _dir: dir, object, outputs }
    }

    /// The records of each `emit`, in the order of the script.
    fn records(&self, dump: &Dump) -> Vec<Vec<Record>> {
        let mut records: Vec<Vec<Record>> = self.outputs.iter().map(|_| Vec::new()).collect();
        for bytes in &dump.records {
            let id = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
            records[id].push(Record::new(&self.outputs[id], bytes));
        }
        records
    }
}

/// The process of `subject.c` in a cgroup of its own.
struct Subject {
    keeper: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    process: u32,
    thread: u32,
    cgroup: Option<PathBuf>,
}

impl Subject {
    fn new(folder: &Path) -> Subject {
        let exe = folder.join("subject");
        let source = package("tests/loader/subject.c");
        run(Command::new("cc").args(["-O1", "-o"]).arg(&exe).arg(source).arg("-pthread"));
        let mut keeper = Command::new(exe)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(keeper.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let process: u32 = line.trim().parse().unwrap();
        let tasks = Path::new("/proc").join(line.trim()).join("task").read_dir().unwrap();
        let ids = tasks.map(|t| t.unwrap().file_name().to_string_lossy().parse().unwrap());
        let thread = ids.max().unwrap();
        assert_ne!(thread, process, "the second thread");
        let cgroup = cgroup_root().map(|root| root.join(format!("ubpfc-{process}")));
        if let Some(folder) = &cgroup {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("cgroup.procs"), line).unwrap();
        }
        Subject { input: keeper.stdin.take(), keeper, output, process, thread, cgroup }
    }

    /// Has the second thread do something; returns when it waits again.
    fn tell(&mut self, byte: u8) {
        self.input.as_mut().unwrap().write_all(&[byte]).unwrap();
        self.output.read_exact(&mut [0]).unwrap();
        while Proc::new(self).stat(3) != "S" {
            std::thread::yield_now();
        }
    }

    /// Lets it end; gives its exit status.
    fn end(&mut self) -> Option<i32> {
        drop(self.input.take());
        let status = self.keeper.wait().unwrap();
        if let Some(folder) = self.cgroup.take() {
            std::fs::remove_dir(folder).unwrap();
        }
        status.code()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.keeper.wait();
        let _ = self.cgroup.take().map(std::fs::remove_dir);
    }
}

/// Where the unified cgroup hierarchy is mounted.
fn cgroup_root() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.find(|f| f[2] == "cgroup2").map(|f| f[1].into())
}

/// What `/proc` says of the subject's second thread.
struct Proc {
    stat: Vec<String>,
    status: BTreeMap<String, String>,
    maps: i128,
    heap: Range<i128>,
}

impl Proc {
    fn new(subject: &Subject) -> Proc {
        let folder = PathBuf::from(format!("/proc/{}/task/{}", subject.process, subject.thread));
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
        let status = read("status");
        let maps = read("maps");
        let heap = maps.lines().find(|line| line.ends_with("[heap]")).unwrap();
        let (heap, _) = heap.split_once(' ').unwrap();
        let [start, end] =
            [0, 1].map(|i| i128::from_str_radix(heap.split('-').nth(i).unwrap(), 16).unwrap());
        let maps = maps.lines().filter(|line| !line.ends_with("[vsyscall]")).count();
        Proc {
            stat: read("stat").split_whitespace().map(Into::into).collect(),
            status: status
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.into(), value.trim().into()))
                .collect(),
            maps: i128::try_from(maps).unwrap(),
            heap: start..end,
        }
    }

    /// A field of `stat` by its number in proc(5). The name has no space.
    fn stat(&self, number: usize) -> &str {
        &self.stat[number - 1]
    }

    fn number(&self, number: usize) -> i128 {
        self.stat(number).parse().unwrap()
    }

    /// A size of `status` in pages.
    fn pages(&self, name: &str) -> i128 {
        self.status[name].strip_suffix(" kB").unwrap().parse::<i128>().unwrap() / 4
    }
}

/// Every field at one place of a script that does not agree with what is expected.
fn differences(record: &Record, expected: &[(&str, i128)]) -> Vec<String> {
    let wrong = expected.iter().filter(|(name, value)| record.get(name) != *value);
    wrong.map(|(name, value)| format!("{name}: {} and not {value}", record.get(name))).collect()
}

/// By direct loads from an argument, and by probe reads from `curtask`.
const FIELDS: &str = r#"
import "sched";
user:sched_switch / args.prev.tgid == PROCESS && args.prev.pid != PROCESS / {
    $p = args.prev;
    emit *$p;
    emit *$p.mm;
    emit ($p.parent.pid, $p.group_leader.pid, $p.group_leader.comm, cgroup);
    $t = curtask;
    emit *$t;
    emit *$t.mm;
    emit ($t.parent.pid, $t.group_leader.pid, $t.group_leader.comm, cgroup);
}
"#;

#[test]
fn fields_are_what_proc_says() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    // On a disk, so that there is something to wait for.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut subject = Subject::new(folder.path());
    let script = Compiled::new(&FIELDS.replace("PROCESS", &subject.process.to_string()));
    let mut proc = None;
    let dump = attached(&script.object, || {
        subject.tell(b'd');
        subject.tell(b'p');
        proc = Some(Proc::new(&subject));
    });
    let proc = proc.unwrap();
    let records = script.records(&dump);
    for (how, [tasks, mms, relatives]) in
        ["direct", "probed"].iter().zip(records.as_chunks::<3>().0)
    {
        let (task, mm) = (tasks.last().unwrap(), mms.last().unwrap());
        let mut wrong = differences(task, &task_fields(&subject, &proc));
        wrong.extend(differences(mm, &mm_fields(&proc)));
        assert!(wrong.is_empty(), "{how}: {wrong:#?}");
        assert_eq!(task.texts["comm"], "subject/two", "{how}");
        about(task, mm, &proc);
        waits(tasks);
        let relatives = relatives.last().unwrap();
        let expected =
            [("_0", proc.number(4)), ("_1", subject.process.into()), ("_3", task.get("cgroup_id"))];
        assert_eq!(differences(relatives, &expected), [""; 0], "{how}");
        assert_eq!(relatives.texts["_2"], "subject", "{how}");
    }
    assert_eq!(subject.end(), Some(3));
}

fn task_fields(subject: &Subject, proc: &Proc) -> Vec<(&'static str, i128)> {
    let mut fields = vec![
        ("pid", subject.thread.into()),
        ("tgid", subject.process.into()),
        ("prio", 127),
        ("static_prio", 120 + proc.number(19)),
        ("state", 1),
        ("flags", proc.number(9)),
        ("cpu", proc.number(39)),
        ("exit_code", 0),
        ("in_iowait", 0),
        ("ns_pid", proc.status["NSpid"].split_whitespace().last().unwrap().parse().unwrap()),
    ];
    if let Some(folder) = &subject.cgroup {
        fields.push(("cgroup_id", std::fs::metadata(folder).unwrap().ino().into()));
    }
    fields
}

fn mm_fields(proc: &Proc) -> Vec<(&'static str, i128)> {
    vec![
        ("total_vm", proc.pages("VmSize")),
        ("hiwater_vm", proc.pages("VmPeak")),
        ("locked_vm", proc.pages("VmLck")),
        ("exec_vm", proc.pages("VmExe") + proc.pages("VmLib")),
        ("stack_vm", proc.pages("VmStk")),
        ("map_count", proc.maps),
        ("start_code", proc.number(26)),
        ("end_code", proc.number(27)),
        ("start_stack", proc.number(28)),
        ("start_data", proc.number(45)),
        ("end_data", proc.number(46)),
        ("start_brk", proc.number(47)),
        ("arg_start", proc.number(48)),
        ("arg_end", proc.number(49)),
        ("env_start", proc.number(50)),
        ("env_end", proc.number(51)),
    ]
}

/// The fields that the kernel counts or rounds otherwise for `/proc`.
fn about(task: &Record, mm: &Record, proc: &Proc) {
    const TICK: i128 = 10_000_000;
    assert_eq!(task.get("start_boottime") / TICK, proc.number(22));
    // The thread has computed for 400 ms. Ticks sample that, and on a busy machine catch little of it; `/proc` scales them to the time it ran.
    let spent = task.get("utime") + task.get("stime");
    let [user, system] = [14, 15].map(|field| proc.number(field) * TICK);
    let told = user + system;
    assert!((0..told * 2).contains(&spent), "{spent} ns of computing and not {told}");
    let apart = (task.get("stime") * told - system * spent).abs();
    assert!(apart <= told * spent / 4, "{task:?}: {user} and {system} ns");
    // The kernel counts pages by batches for each processor.
    let processors = i128::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let batches = processors * 32.max(2 * processors);
    for (field, name) in [
        ("rss_file", "RssFile"),
        ("rss_anon", "RssAnon"),
        ("rss_shmem", "RssShmem"),
        ("swap", "VmSwap"),
        ("hiwater_rss", "VmHWM"),
    ] {
        let (found, told) = (mm.get(field), proc.pages(name));
        assert!((found - told).abs() <= batches, "{field}: {found} pages and not {told}");
    }
    assert_eq!(mm.get("start_brk")..(mm.get("brk") + 4095) / 4096 * 4096, proc.heap);
}

/// A thread that waits for the disk is in I/O wait; one that waits for a pipe is not.
fn waits(tasks: &[Record]) {
    // The first is uninterruptible, or being woken already; the other is interruptible.
    let (pipe, disk): (Vec<_>, Vec<_>) =
        tasks.iter().filter(|t| t.get("state") != 0).partition(|t| t.get("state") == 1);
    assert!(disk.iter().any(|t| t.get("in_iowait") == 1), "{} waits for the disk", disk.len());
    assert!(pipe.iter().all(|t| t.get("in_iowait") == 0), "{pipe:?}");
}

const EXITS: &str = r#"
import "sched";
user:sched_process_exit { emit (args.p.tgid, args.p.exit_code, args.p.pid, args.p.flags & PF_EXITING, pid, tid, uid, gid); }
"#;

#[test]
fn exit_codes_are_what_wait_reports() {
    if !require_all(&["root", "cc"]) {
        return;
    }
    let script = Compiled::new(EXITS);
    let ends = [("exit 3", 0x300), ("kill -KILL $$", 9), ("kill -TERM $$", 15), ("exit 0", 0)];
    let mut ids = Vec::new();
    let dump = attached(&script.object, || {
        for (command, _) in ends {
            let mut child =
                Command::new("sh").args(["-c", command]).uid(1234).gid(5678).spawn().unwrap();
            ids.push(child.id());
            child.wait().unwrap();
        }
    });
    let records = script.records(&dump);
    for (id, (command, code)) in ids.iter().zip(ends) {
        let of_it: Vec<_> = records[0].iter().filter(|r| r.get("_0") == i128::from(*id)).collect();
        let [record] = of_it.as_slice() else { panic!("{command}: {of_it:?}") };
        let id = i128::from(*id);
        let expected = [
            ("_1", code),
            ("_2", id),
            ("_3", 4),
            ("_4", id),
            ("_5", id),
            ("_6", 1234),
            ("_7", 5678),
        ];
        assert_eq!(differences(record, &expected), [""; 0], "{command}");
    }
}
