//! What is said in places that nobody could understand.
//!
//! In: the items and statements for which a diagnostic was given and that are not analyzed. Out: whether they mention a name, since what they may have
//! declared or assigned must not be told to be missing.

use crate::source::{Sources, Span};
use crate::syntax::ast::{FieldDecl, File, ItemKind, TypeExprKind};
use rustc_hash::FxHashSet;
use smol_str::SmolStr;

/// The names in what was left out: `$x`, `@m`, functions, and `struct.` for a struct with a member that could not be understood.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOut {
    names: FxHashSet<SmolStr>,
}

impl LeftOut {
    /// The names in a file's broken items, and of its functions.
    pub(super) fn add_items(&mut self, sources: &Sources, file: &File) {
        for item in &file.items {
            match &item.kind {
                ItemKind::Error => self.add(sources, item.span),
                ItemKind::Fn(decl) => {
                    self.names.insert(decl.name.name.clone());
                }
                ItemKind::Struct(decl) => {
                    let broken = |f: &FieldDecl| matches!(f.ty.kind, TypeExprKind::Error);
                    if decl.fields.iter().any(broken) {
                        self.names.insert(format!("{}.", decl.name.name).into());
                    }
                }
                _ => {}
            }
        }
    }

    /// The variables and maps in a text.
    pub(super) fn add(&mut self, sources: &Sources, span: Span) {
        let text = sources.text(span);
        for (at, sigil) in text.match_indices(['$', '@']) {
            let rest = &text[at + sigil.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            self.names.insert(format!("{sigil}{name}").into());
        }
    }

    /// Whether `name`, sigil included, is mentioned.
    pub(super) fn mention(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}
