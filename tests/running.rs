//! Objects relocated for the kernel of this machine: it takes them, its types shown or hidden, and they record what objects record that a stock loader relocates.

#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::kernel::{Dump, attached, load};
use support::objects::{self, Compiled};
use support::require_all;
use ubpfc::kernel::Kernel;
use ubpfc::object::read::Object;
use ubpfc::object::ubpf::Type;
use ubpfc::relocate::{self, Options, Policy};
use ubpfc::target::Endian;

fn running() -> Kernel {
    Kernel::open(Path::new("running"), &[]).unwrap()
}

/// The object for the running kernel, in a file beside it.
fn relocated(object: &Compiled, kernel: &Kernel, options: Options) -> PathBuf {
    let bytes = relocate::relocate(&object.bytes(), kernel, options).result;
    let bytes = bytes.unwrap_or_else(|e| panic!("{} {options:?}: {e}", object.name));
    let path = object.path.with_extension("relocated.o");
    std::fs::write(&path, bytes).unwrap();
    path
}

const STRICT: Options = Options { policy: Policy::Strict, no_btf: false };
const NO_BTF: Options = Options { policy: Policy::Strict, no_btf: true };
const LIBBPF: Options = Options { policy: Policy::Libbpf, no_btf: false };

#[test]
fn the_kernel_takes_them() {
    if !require_all(&["root", "btf", "bpftool"]) {
        return;
    }
    let (folder, kernel) = (tempfile::tempdir().unwrap(), running());
    let ours = objects::ours(folder.path(), Endian::Little);
    let clangs = objects::clangs(folder.path(), Endian::Little);
    let mut wrong = Vec::new();
    let mut take = |object: &Compiled, options: Options, hidden| {
        if !support::kernel::takes(&object.name, &object.bytes()) {
            return;
        }
        let path = relocated(object, &kernel, options);
        if let Err(log) = load(&path, hidden) {
            wrong.push(format!("{} {options:?}, hidden {hidden}:\n{log}", object.name));
        }
    };
    for object in ours.iter().chain(&clangs) {
        take(object, STRICT, false);
        take(object, LIBBPF, false);
    }
    // Where the types are hidden, programs whose arguments have types cannot be; ours have another form.
    for object in &ours {
        take(object, NO_BTF, true);
    }
    for object in clangs.iter().filter(|object| object.name.contains(".raw")) {
        take(object, STRICT, true);
        take(object, LIBBPF, true);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a record of `printf` holds but the time: numbers and texts.
fn values(object: &Path, record: &[u8]) -> Vec<String> {
    let bytes = std::fs::read(object).unwrap();
    let outputs = Object::parse(&bytes).unwrap().ubpf().unwrap().unwrap().outputs;
    let output = &outputs[record[0] as usize];
    let values = output.args.iter().map(|field| {
        let bytes = &record[field.offset as usize..];
        match &field.ty {
            Type::Str { size } => {
                let text = bytes[..*size as usize].split(|b| *b == 0).next().unwrap();
                String::from_utf8_lossy(text).into_owned()
            }
            Type::Int { size: 4, .. } => {
                i32::from_le_bytes(bytes[..4].try_into().unwrap()).to_string()
            }
            _ => "a time".into(),
        }
    });
    values.collect()
}

/// Attaches an example as it is and in both forms that are relocated, all at once, while `work` happens.
fn forms(example: &str, work: impl FnOnce()) -> BTreeMap<&'static str, (PathBuf, Dump)> {
    let kernel = running();
    // The folder is needed no more once the loader has read the object, but for what it says of its records.
    let folder = tempfile::tempdir().unwrap().keep();
    let ours = objects::ours(&folder, Endian::Little);
    let object = ours.iter().find(|object| object.name == example).unwrap();
    let relocated = |options, name: &str| {
        let path = relocated(object, &kernel, options);
        let named = folder.join(name);
        std::fs::rename(path, &named).unwrap();
        named
    };
    let (typed, raw) = (relocated(STRICT, "typed.o"), relocated(NO_BTF, "raw.o"));
    let (mut of_typed, mut of_raw) = (Dump::default(), Dump::default());
    let plain = attached(&object.path, || {
        of_typed = attached(&typed, || of_raw = attached(&raw, work));
    });
    let plain = ("as it is", (object.path.clone(), plain));
    BTreeMap::from([plain, ("tp_btf", (typed, of_typed)), ("raw_tp", (raw, of_raw))])
}

/// The same records of the processes in `ids`, in every form.
fn same_records(example: &str, run: impl Fn() -> u32) {
    let mut ids = BTreeSet::new();
    let seen = forms(example, || ids.extend((0..20).map(|_| run().to_string())));
    let of_ours = |(object, dump): &(PathBuf, Dump)| -> BTreeSet<Vec<String>> {
        let all = dump.records.iter().map(|record| values(object, record));
        all.filter(|values| values.iter().any(|value| ids.contains(value))).collect()
    };
    let expected = of_ours(&seen["as it is"]);
    assert!(expected.len() >= 20, "{example}: {expected:?}");
    for (form, dump) in &seen {
        assert_eq!(of_ours(dump), expected, "{example} {form}");
    }
    std::fs::remove_dir_all(seen["raw_tp"].0.parent().unwrap()).unwrap();
}

fn child(script: &str) -> u32 {
    let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
    let id = child.id();
    child.wait().unwrap();
    id
}

#[test]
fn processes_that_start_and_end_are_the_same() {
    if !require_all(&["root", "btf", "cc"]) {
        return;
    }
    same_records("execsnoop.ub", || child("exit 0"));
    same_records("exitsnoop.ub", || child("exit 7"));
}

#[test]
fn waits_are_measured_alike() {
    if !require_all(&["root", "btf", "cc"]) {
        return;
    }
    let seen = forms("runqlat.ub", || {
        for _ in 0..100 {
            child("true & wait");
        }
    });
    for (form, (_, dump)) in &seen {
        let buckets = dump.maps.get("usecs").unwrap_or_else(|| panic!("{form}: {dump:?}"));
        let waits: u64 = buckets
            .iter()
            .flat_map(|(_, values)| values)
            .map(|value| u64::from_le_bytes(value[..8].try_into().unwrap()))
            .sum();
        assert!(waits >= 200, "{form}: {waits} waits");
    }
    std::fs::remove_dir_all(seen["raw_tp"].0.parent().unwrap()).unwrap();
}
