//! The command `ubpfc` in a folder of its own, where kernels have short names: what is printed names no path of this machine.

use super::package;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Kernels of `testdata/kernels` that differ in what the objects here ask about.
pub const OLD: &str = "x86_64-5.10.0-46-amd64";
pub const NEW: &str = "x86_64-6.18.15+deb13-amd64";
pub const BETWEEN: &str = "x86_64-6.1.0-50-cloud-amd64";
pub const SCTP: &str = "x86_64-6.1.0-50-cloud-amd64--sctp";
pub const THIRTY_TWO_BITS: &str = "i386-6.1.0-50-686-pae-from-dwarf";
pub const BIG_ENDIAN: &str = "s390x-6.12.107+deb13-s390x";

/// A folder with the objects of `testdata/cli`, the examples, and links to kernels.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder { dir: tempfile::tempdir().unwrap() };
        for object in ["clang.o", "lacks.o", "size.o"] {
            fs::copy(package("testdata/cli").join(object), folder.path(object)).unwrap();
        }
        for kernel in [OLD, NEW, BETWEEN, SCTP, THIRTY_TWO_BITS, BIG_ENDIAN] {
            let file = package("testdata/kernels").join(format!("{kernel}.btf.xz"));
            std::os::unix::fs::symlink(file, folder.path(kernel)).unwrap();
        }
        folder
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Compiles a script into an object beside it, with further arguments.
    pub fn compile(&self, name: &str, script: &str, args: &[&str]) {
        let (source, object) = (format!("{name}.ub"), format!("{name}.o"));
        self.write(&source, script);
        let output = self.run(&[&[&source, "-o", &object], args].concat());
        assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    }

    /// Compiles every example; gives their names.
    pub fn examples(&self, args: &[&str]) -> Vec<String> {
        let entries = fs::read_dir(package("examples")).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> = entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "ub"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        for name in &names {
            let script = fs::read_to_string(package(&format!("examples/{name}.ub"))).unwrap();
            self.compile(name, &script, args);
        }
        names
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ubpfc"));
        command.current_dir(self.dir.path()).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The document on standard output of a command that ends so.
    pub fn json(&self, args: &[&str], expected: i32) -> Value {
        let output = self.run(args);
        assert_eq!(status(&output), expected, "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Everything that a command says, as a snapshot in `testdata/cli`.
    pub fn snapshot(&self, name: &str, args: &[&str]) {
        let output = self.run(args);
        let shown = format!(
            "$ ubpfc {}\n{}{}status {}\n",
            args.join(" "),
            text(&output.stdout),
            text(&output.stderr),
            status(&output)
        );
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(package("testdata/cli"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, shown));
    }
}

pub fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
