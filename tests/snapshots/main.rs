//! What the stages make of small scripts, as snapshots beside their inputs in `testdata/`: one feature or one diagnostic a file.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their inputs, and fail by panicking"
)]

mod asm;
mod decls;
mod lower;
mod sema;
mod syntax;

use std::path::Path;
use ubpfc::diag::{Diags, Format, render};
use ubpfc::sema::hir::Hir;
use ubpfc::sema::imports::{Found, Importer, Library};
use ubpfc::source::{FileId, Origin, Sources};

/// Compares what `print` makes of every file, given its name and text, with `NAME.KIND.snap` beside it.
fn snapshots(glob: &str, kind: &str, print: impl Fn(&str, &str) -> String) {
    insta::glob!("../../testdata", glob, |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_input_file();
        settings.remove_snapshot_suffix();
        let printed = print(name, &text);
        settings.bind(|| insta::assert_snapshot!(format!("{name}.{kind}"), printed));
    });
}

/// Finds the library's files, and those beside the scripts in `testdata/errors`.
struct Beside;

impl Importer for Beside {
    fn find(&mut self, path: &str, importing: FileId, sources: &Sources) -> Result<Found, String> {
        let Some(name) = path.strip_prefix("./") else {
            return Library.find(path, importing, sources);
        };
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/errors").join(name);
        let text = std::fs::read_to_string(beside).map_err(|e| e.to_string())?;
        Ok(Found { name: name.to_owned(), text, origin: Origin::User })
    }
}

/// The whole front end on one script.
fn analyze(name: &str, text: &str) -> (Sources, Hir, Diags) {
    let mut sources = Sources::new();
    let root = sources.add(name, text, Origin::User);
    let (hir, diags) = ubpfc::sema::analyze(&mut sources, root, &mut Beside);
    (sources, hir, diags)
}

/// Diagnostics as a terminal without colours shows them.
fn shown(sources: &Sources, diags: &Diags) -> String {
    render(sources, diags, Format::Human { colour: false })
}
