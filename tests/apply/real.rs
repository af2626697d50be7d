//! Objects of clang's and ours, written again: the kernel loads them, and where nothing changes no byte does.

use crate::support::{package, require_all, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::kernel::{Kernel, Target};
use ubpfc::object::read::Object;
use ubpfc::relocate::{Applied, Plan, Policy, apply, plan, wanted};

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
        if source.extension().is_some_and(|e| e == "ub") {
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
    let output = bpftool.args(["prog", "loadall"]).arg(&file).arg(&pins).output().unwrap();
    let _ = std::fs::remove_dir_all(&pins);
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    if output.status.success() { Ok(()) } else { Err(text.concat()) }
}

/// Looks at the types of a kernel that any of the objects asks for.
fn with_target(kernel: &Kernel, objects: &[(String, Vec<u8>)], look: impl FnOnce(&Target<'_>)) {
    let parsed: Vec<Object<'_>> = objects.iter().map(|(_, o)| Object::parse(o).unwrap()).collect();
    let names = parsed.iter().flat_map(|object| wanted(object).unwrap());
    let names: Vec<(u32, &str)> = names.collect::<BTreeSet<_>>().into_iter().collect();
    look(&kernel.load(&names).unwrap().target().unwrap());
}

/// An object relocated for a kernel.
fn relocated(object: &[u8], target: &Target<'_>, policy: Policy) -> Result<Applied, String> {
    let parsed = Object::parse(object).unwrap();
    let plan = plan(&parsed, target, policy).map_err(|error| error.to_string())?;
    let applied = apply(object, &parsed, &plan, policy).map_err(|error| error.to_string())?;
    assert_eq!(applied.accesses.len(), plan.fixups.len());
    let again = apply(
        &applied.bytes,
        &Object::parse(&applied.bytes).unwrap(),
        &Plan { target: plan.target.clone(), ..Plan::default() },
        policy,
    );
    assert!(again.unwrap().bytes == applied.bytes, "where nothing changes no byte does");
    Ok(applied)
}

#[test]
fn the_kernel_takes_what_was_relocated_for_it() {
    if !require_all(&["root", "bpftool", "clang", "btf"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let running = Kernel::open(Path::new("running"), &[]).unwrap();
    let objects = objects(dir.path());
    with_target(&running, &objects, |target| {
        for (name, bytes) in &objects {
            if !crate::support::kernel::takes(name, bytes) {
                continue;
            }
            for policy in [Policy::Strict, Policy::Libbpf] {
                let applied = relocated(bytes, target, policy);
                let applied = applied.unwrap_or_else(|error| panic!("{name}: {error}"));
                let loaded = load(dir.path(), &applied.bytes);
                loaded.unwrap_or_else(|log| panic!("{name}, {policy:?}:\n{log}"));
            }
        }
    });
}

/// Whatever the kernel is like, the result is sound or the object is refused for what the kernel lacks.
#[test]
fn no_kernel_breaks_an_object() {
    if !require_all(&["clang", "xz"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let objects = objects(dir.path());
    let mut folders = vec![package("testdata/kernels")];
    folders.extend(std::env::var_os("UBPFC_KERNELS").map(PathBuf::from));
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let mut kernels: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    // Those of modules, which have `--` in their names, go on from those of a kernel.
    kernels.retain(|path| path.to_string_lossy().ends_with(".btf.xz"));
    kernels.retain(|path| !path.to_string_lossy().contains("--"));
    kernels.sort();
    for packed in kernels {
        let btf = dir.path().join("kernel.btf");
        let bytes = Command::new("xz").args(["-dc"]).arg(&packed).output().unwrap().stdout;
        std::fs::write(&btf, bytes).unwrap();
        let kernel =
            Kernel::open(&btf, &[]).unwrap_or_else(|e| panic!("{}: {e}", packed.display()));
        with_target(&kernel, &objects, |target| {
            for (name, bytes) in &objects {
                for policy in [Policy::Strict, Policy::Libbpf] {
                    match relocated(bytes, target, policy) {
                        Ok(applied) => same_functions(bytes, &applied.bytes, policy),
                        Err(error) => {
                            assert!(
                                !error.contains("bug"),
                                "{name}, {}: {error}",
                                packed.display()
                            );
                        }
                    }
                }
            }
        });
    }
}

/// Every function is still there and not empty; by libbpf's policy it is as long as before.
fn same_functions(before: &[u8], after: &[u8], policy: Policy) {
    let [before, after] = [before, after].map(|bytes| {
        let object = Object::parse(bytes).unwrap();
        let functions = object.functions().unwrap();
        functions.iter().map(|f| (f.symbol.name.to_owned(), f.code.len())).collect::<Vec<_>>()
    });
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.0, after.0);
        assert!(after.1 > 0);
        assert!(policy == Policy::Strict || before.1 == after.1, "{}", before.0);
    }
}
