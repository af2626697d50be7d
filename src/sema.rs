//! Meaning: syntax trees → typed HIR.
//!
//! In: a script and whatever it imports. Out: a [`Hir`] and diagnostics; always a HIR, however wrong the script. Imports are loaded, declarations collected
//! into a table, and the bodies of probes analyzed against that table.

pub mod arith;
mod body;
pub mod builtins;
pub mod consteval;
pub mod decls;
mod finish;
pub mod fold;
pub mod format;
pub mod hir;
pub mod imports;
pub mod join;
pub mod kpath;
pub mod layout;
mod left_out;
pub mod maps;
mod print;
mod probe;
mod programs;
pub mod show;
pub mod skb;
mod stored;
pub mod suggest;
mod syscall;
pub mod syscalls;
pub mod typeexpr;
pub mod types;
pub mod unbuilt;

pub use imports::Importer;
pub use kpath::numbers::Numbers;
pub use print::print;

use crate::diag::{Code, Diags};
use crate::source::{FileId, Sources};
use hir::Hir;

/// Analyzes the script in `root`, and adds the files it imports to `sources`.
///
/// Never fails: what is wrong is left out of the HIR or marked in it, and told in the diagnostics.
pub fn analyze(sources: &mut Sources, root: FileId, importer: &mut dyn Importer) -> (Hir, Diags) {
    analyze_knowing(sources, root, importer, Numbers::default())
}

/// The same, with what known kernels have at the ends of paths: it chooses between instructions, and changes neither the meaning nor what is an error.
pub fn analyze_knowing(
    sources: &mut Sources,
    root: FileId,
    importer: &mut dyn Importer,
    numbers: Numbers,
) -> (Hir, Diags) {
    let (files, mut diags) = imports::load(sources, root, importer, syscall::library);
    let (decls, findings) = decls::collect(sources, &files, numbers);
    diags.extend(findings);
    let hir = programs::analyze(sources, decls, &files, &mut diags);
    if diags.has_errors() {
        // What seems unused may be used where the errors are.
        diags.forget(Code::W1003);
    } else {
        diags.extend(finish::unresolved(&hir));
    }
    (hir, diags)
}
