//! Settings and maps: `config = { … }` and `let @map = kind(n);`.

use super::MapDecl;
use super::collect::{Collector, Namespace};
use crate::diag::{Code, Diagnostic};
use crate::sema::consteval::{self, eval_as};
use crate::sema::hir::{ConstValue, MapKind};
use crate::sema::imports::LoadedFile;
use crate::sema::show;
use crate::sema::suggest::nearest;
use crate::sema::types::Ty;
use crate::source::Span;
use crate::syntax::ast::{self, ConfigEntry, ItemKind};

/// A setting: its name, what is allowed, and whether it is to be a power of two.
struct Setting {
    name: &'static str,
    least: u32,
    most: u32,
    power_of_two: bool,
}

/// The most entries that a map can have: more would take gigabytes.
const MAX_ENTRIES: u32 = 1 << 26;

const SETTINGS: &[Setting] = &[
    Setting { name: "max_map_keys", least: 1, most: MAX_ENTRIES, power_of_two: false },
    Setting { name: "max_strlen", least: 1, most: 4096, power_of_two: false },
    Setting { name: "ring_bytes", least: 1 << 12, most: 1 << 30, power_of_two: true },
];

/// The kinds of maps by name.
const MAP_KINDS: &[(&str, MapKind)] = &[
    ("hash", MapKind::Hash),
    ("lruhash", MapKind::LruHash),
    ("percpuhash", MapKind::PerCpuHash),
    ("array", MapKind::Array),
    ("percpuarray", MapKind::PerCpuArray),
];

impl Collector<'_> {
    /// The settings of all files, which come before everything else: types depend on them.
    pub(super) fn settings(&mut self, files: &[LoadedFile]) {
        for item in files.iter().flat_map(|file| &file.parsed.file.items) {
            if let ItemKind::Config(entries) = &item.kind {
                for entry in entries {
                    self.setting(entry);
                }
            }
        }
        self.decls.hir.ring_bytes = self.decls.config.ring_bytes;
    }

    fn setting(&mut self, entry: &ConfigEntry) {
        let name = &entry.name;
        let Some(setting) = SETTINGS.iter().find(|s| s.name == name.name) else {
            let names = SETTINGS.iter().map(|s| s.name);
            let mut diagnostic =
                Diagnostic::new(Code::E0106, name.span, format!("unknown setting `{}`", name.name))
                    .help(format!("a setting is {}", show::list(names.clone(), SETTINGS.len())));
            if let Some(near) = nearest(&name.name, names) {
                diagnostic = diagnostic.fix(format!("did you mean `{near}`?"), name.span, near);
            }
            return self.diags.push(diagnostic);
        };
        if !self.declare(Namespace::Setting, name) {
            return;
        }
        let place = format!("`{}`", name.name);
        let value = eval_as(&self.decls, &entry.value, &Ty::U64, &place, &mut self.diags);
        let Some(ConstValue::Int(value)) = value else { return };
        let allowed =
            u32::try_from(value).ok().filter(|v| (setting.least..=setting.most).contains(v));
        let Some(value) = allowed.filter(|v| !setting.power_of_two || v.is_power_of_two()) else {
            let kind = if setting.power_of_two { "a power of two" } else { "a number" };
            return self.diags.push(
                Diagnostic::new(
                    Code::E0407,
                    entry.value.span,
                    format!("{place} cannot be {value}"),
                )
                .label(format!("expected {kind} from {} to {}", setting.least, setting.most)),
            );
        };
        let config = &mut self.decls.config;
        match setting.name {
            "max_map_keys" => config.max_map_keys = value,
            "max_strlen" => config.max_strlen = value,
            _ => config.ring_bytes = value,
        }
    }

    pub(super) fn map(&mut self, decl: &ast::MapDecl, span: Span) {
        if !self.declare(Namespace::Map, &decl.name) {
            return;
        }
        let Some((_, kind)) = MAP_KINDS.iter().find(|(name, _)| *name == decl.kind.name) else {
            let names = MAP_KINDS.iter().map(|(name, _)| *name);
            let mut diagnostic = Diagnostic::new(
                Code::E0405,
                decl.kind.span,
                format!("unknown kind of map `{}`", decl.kind.name),
            )
            .help(format!("a map is a {}", show::list(names.clone(), MAP_KINDS.len())));
            if let Some(near) = nearest(&decl.kind.name, names) {
                diagnostic =
                    diagnostic.fix(format!("did you mean `{near}`?"), decl.kind.span, near);
            }
            return self.diags.push(diagnostic);
        };
        let max_entries = match decl.args.as_slice() {
            [] => None,
            [size] => match self.map_size(size) {
                Some(size) => Some(size),
                None => return,
            },
            [_, more, ..] => {
                let message =
                    format!("`{}` takes one argument, the number of entries", decl.kind.name);
                return self.diags.push(Diagnostic::new(Code::E0406, more.span, message));
            }
        };
        self.decls.maps.insert(decl.name.name.clone(), MapDecl { kind: *kind, max_entries, span });
    }

    fn map_size(&mut self, size: &ast::Expr) -> Option<u32> {
        let (ty, value) = consteval::eval(&self.decls, size, &mut self.diags)?;
        let entries = match value {
            ConstValue::Int(value) => u32::try_from(consteval::signed_value(&ty, value)).ok(),
            ConstValue::Str(_) => None,
        };
        let entries = entries.filter(|n| (1..=MAX_ENTRIES).contains(n));
        if entries.is_none() {
            self.diags.push(
                Diagnostic::new(Code::E0406, size.span, "a map cannot have this many entries")
                    .label(format!("expected a number from 1 to {MAX_ENTRIES}")),
            );
        }
        entries
    }
}
