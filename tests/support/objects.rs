//! Objects that read kernels: the examples and the scripts of `benches/programs`, compiled here, and the same programs compiled by clang.

use std::path::{Path, PathBuf};
use std::process::Command;
use ubpfc::target::Endian;

/// An object in a file.
#[derive(Debug)]
pub struct Compiled {
    /// `02-runqlat.ub`, `02-runqlat.direct`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl Compiled {
    /// The object.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

/// How clang's programs read the kernel: with plain loads from BTF-typed tracepoints, or with helpers from raw ones.
const CLANG_FORMS: [(&str, &[&str]); 2] = [("direct", &["-DDIRECT"]), ("raw", &[])];

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(super::package(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has {ending}");
    files
}

fn target(endian: Endian) -> &'static str {
    match endian {
        Endian::Little => "bpfel",
        Endian::Big => "bpfeb",
    }
}

/// Every script, compiled into a folder.
pub fn ours(folder: &Path, endian: Endian) -> Vec<Compiled> {
    let scripts = [files("examples", ".ub"), files("benches/programs", ".ub")].concat();
    let compile = |script: PathBuf| {
        let name = script.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = folder.join(format!("{name}.ub.o"));
        let mut ubpfc = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
        super::run(ubpfc.args(["--target", target(endian)]).arg(&script).arg("-o").arg(&path));
        Compiled { name: format!("{name}.ub"), path }
    };
    scripts.into_iter().map(compile).collect()
}

/// Every program of clang's, compiled into a folder; none if there is no clang.
pub fn clangs(folder: &Path, endian: Endian) -> Vec<Compiled> {
    if !super::require("clang") {
        return Vec::new();
    }
    let headers = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let mut compiled = Vec::new();
    for source in files("benches/programs", ".bpf.c") {
        for (form, flags) in CLANG_FORMS {
            let name = format!("{}.{form}", source.file_stem().unwrap().to_str().unwrap());
            let path = folder.join(format!("{name}.o"));
            let mut clang = Command::new("clang");
            clang.args(["-O2", "-g", "-mcpu=v3", "-c", &headers, "-target", target(endian)]);
            super::run(clang.args(flags).arg(&source).arg("-o").arg(&path));
            compiled.push(Compiled { name, path });
        }
    }
    compiled
}
