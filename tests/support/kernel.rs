//! The kernel this machine runs, reached through the stock loader in `tests/loader`.
//!
//! In: an object and something to do meanwhile. Out: what the loader found in the object's maps and ring buffer.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use ubpfc::kernel::Kernel;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::EventKind;
use ubpfc::relocate::choose::TriedEvent;
use ubpfc::relocate::{self, Options, Policy, Refusal};

/// An entry of a map: the key, and a value for each processor in a per-CPU map, otherwise one.
pub type Entry = (Vec<u8>, Vec<Vec<u8>>);

/// What was in the kernel when the programs were detached.
#[derive(Debug, Default)]
pub struct Dump {
    /// By name.
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// Ring buffer records.
    pub records: Vec<Vec<u8>>,
    /// The programs, and whether libbpf could attach them by itself.
    pub programs: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Program { program: String, attached: bool },
    Entry { map: String, key: String, values: Vec<String> },
    Record { record: String },
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).expect("hex")).expect("a digit"))
        .collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// The loader, which is compiled when the first test asks for it.
fn loader() -> &'static Path {
    static LOADER: OnceLock<PathBuf> = OnceLock::new();
    LOADER.get_or_init(|| {
        let exe = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("loader-{}", std::process::id()));
        let source = super::package("tests/loader/loader.c");
        super::run(Command::new("cc").args(["-O1", "-o"]).arg(&exe).arg(source).arg("-lbpf"));
        exe
    })
}

fn parse(text: &str) -> Dump {
    let mut dump = Dump::default();
    for line in text.lines().filter(|l| *l != "ready") {
        match serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")) {
            Line::Program { program, attached } => {
                dump.programs.insert(program, attached);
            }
            Line::Entry { map, key, values } => {
                let values = values.iter().map(|v| unhex(v)).collect();
                dump.maps.entry(map).or_default().push((unhex(&key), values));
            }
            Line::Record { record } => dump.records.push(unhex(&record)),
        }
    }
    dump
}

/// Runs one program of an object once, on processor 0. The error is what libbpf and the verifier say.
pub fn run_once(object: &Path, program: &str, rodata: &[u8]) -> Result<Dump, String> {
    let digit = |d: u8| char::from_digit(d.into(), 16).expect("a hex digit");
    let hex: String = rodata.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect();
    let mut command = Command::new(loader());
    command.arg(object).arg(program);
    if !rodata.is_empty() {
        command.arg(hex);
    }
    let output = command.output().expect("the loader runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Attaches an object's programs, lets `work` happen, and detaches them.
///
/// # Panics
/// With what libbpf says, if it cannot.
pub fn attached(object: &Path, work: impl FnOnce()) -> Dump {
    let mut child = Command::new(loader())
        .arg(object)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the loader runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut text = String::new();
    while stdout.read_line(&mut text).is_ok_and(|n| n > 0) && !text.ends_with("ready\n") {}
    work();
    drop(child.stdin.take());
    stdout.read_to_string(&mut text).expect("the loader writes text");
    let output = child.wait_with_output().expect("the loader ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&text)
}

/// Whether the running kernel can take the programs of an object: it may have been built without one of their events, and there are kernels that take no programs at functions (`fentry`, `fexit`), whatever is in them.
/// Says so where it cannot.
pub fn takes(name: &str, object: &[u8]) -> bool {
    static FUNCTIONS: OnceLock<bool> = OnceLock::new();
    let running = Kernel::open(Path::new("running"), &[]).expect("the running kernel has types");
    let options = Options { policy: Policy::Strict, no_btf: false };
    if let Err(Refusal::Events(lost)) = relocate::relocate(object, &running, options).result {
        // What we did not find, the kernel's own symbols have not either.
        let symbols = std::fs::read_to_string("/proc/kallsyms").expect("the kernel's symbols");
        let has =
            |wanted: &str| symbols.lines().any(|s| s.split([' ', '\t']).nth(2) == Some(wanted));
        for TriedEvent { kind, event, .. } in lost.programs.iter().flat_map(|lost| &lost.tried) {
            let symbol = match kind {
                EventKind::Tracepoint => format!("__traceiter_{event}"),
                _ => event.clone(),
            };
            assert!(!has(&symbol), "{name}: {lost}, and the kernel has `{symbol}`");
        }
        eprintln!("skipped: {name}: {lost}");
        return false;
    }
    let parsed = Object::parse(object).expect("an object");
    let functions = parsed.functions().expect("functions");
    if !functions
        .iter()
        .any(|f| f.section.starts_with("fentry/") || f.section.starts_with("fexit/"))
    {
        return true;
    }
    let takes = *FUNCTIONS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let [script, object] = ["empty.ub", "empty.o"].map(|file| folder.path().join(file));
        std::fs::write(&script, EMPTY).expect("it can be written");
        let mut ubpfc = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
        super::run(ubpfc.arg(&script).arg("-o").arg(&object));
        let loaded = load(&object, false);
        if let Err(log) = &loaded {
            assert!(log.contains("Operation not permitted"), "{log}");
        }
        loaded.is_ok()
    });
    if !takes {
        eprintln!("skipped: {name}: this kernel takes no programs at functions");
    }
    takes
}

/// A program at a function that does next to nothing.
const EMPTY: &str = "import \"net\"; user:inet_bind { @n = count(); }";

/// Loads every program of an object with bpftool, where the kernel's types can be seen or are hidden; nothing stays. Gives the end of the log where that fails.
pub fn load(object: &Path, hidden: bool) -> Result<(), String> {
    let pins = format!("/sys/fs/bpf/ubpfc-load-{}-{hidden}", std::process::id());
    let load = r#"bpftool -d prog loadall "$0" "$1"; status=$?; rm -rf "$1"; exit $status"#;
    let hide = if hidden { "mount -t tmpfs none /sys/kernel/btf && " } else { "" };
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{hide}{load}")]).arg(object).arg(&pins);
    let output = command.output().expect("unshare runs");
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    Err(lines[lines.len().saturating_sub(30)..].join("\n"))
}
