//! Finished maps: what inference has found and what `let` says → the maps of the HIR.
//!
//! Where nothing is declared: a keyed map is a hash, an aggregation is kept per CPU, a map without a key is an array of one entry. A histogram has an
//! entry for each key and bucket.

use super::decls::{Decls, MapDecl};
use super::hir::{Agg, Hir, Map, MapKind, MapValue};
use super::left_out::LeftOut;
use super::maps::{MapInfo, Maps, buckets};
use super::show::{MAX_NAME, name_too_long};
use super::types::Ty;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{Origin, Sources};
use crate::syntax::ast::Name;
use la_arena::Arena;

/// How a kind of map is written, and what it can hold.
struct Kind {
    map: MapKind,
    name: &'static str,
    keyed: bool,
    per_cpu: bool,
}

const KINDS: [Kind; 5] = [
    Kind { map: MapKind::Hash, name: "hash", keyed: true, per_cpu: false },
    Kind { map: MapKind::LruHash, name: "lruhash", keyed: true, per_cpu: false },
    Kind { map: MapKind::PerCpuHash, name: "percpuhash", keyed: true, per_cpu: true },
    Kind { map: MapKind::Array, name: "array", keyed: false, per_cpu: false },
    Kind { map: MapKind::PerCpuArray, name: "percpuarray", keyed: false, per_cpu: true },
];

fn facts(kind: MapKind) -> &'static Kind {
    KINDS.iter().find(|k| k.map == kind).unwrap_or(&KINDS[0])
}

/// An error for every map of which nothing says what it holds, as in `@x = @x`. Where there are other errors, they are the reason.
pub(super) fn unresolved(hir: &Hir) -> Diags {
    let mut diags = Diags::new();
    for map in hir.maps.values() {
        let value = match &map.value {
            MapValue::Plain(ty) => is_known(ty),
            MapValue::Agg(_) => true,
        };
        if !value || !map.key.iter().all(is_known) {
            let help = "give it a value whose type does not follow from the map itself";
            diags.push(
                Diagnostic::new(Code::E0433, map.span, "nothing says what this map holds")
                    .label("its type follows from itself")
                    .help(help),
            );
        }
    }
    diags
}

fn is_known(ty: &Ty) -> bool {
    match ty {
        Ty::Error => false,
        Ty::Tuple(parts) => parts.iter().all(is_known),
        Ty::Array(elem, _) => is_known(elem),
        Ty::Void
        | Ty::Bool
        | Ty::Int(_)
        | Ty::Enum(_)
        | Ty::Str(_)
        | Ty::Struct(_)
        | Ty::Mirror(_)
        | Ty::Ptr(_) => true,
    }
}

/// The maps in the order of their first mention, and what is wrong with them as a whole.
pub(super) fn finish(
    maps: &Maps,
    decls: &Decls,
    sources: &Sources,
    left_out: &LeftOut,
) -> (Arena<Map>, Diags) {
    let mut diags = Diags::new();
    let mut finished = Arena::new();
    for (name, info) in maps.iter() {
        if info.value.is_none() && !info.written && !left_out.mention(&format!("@{name}")) {
            diags.push(never_written(name, info));
        }
        if name.len() > MAX_NAME {
            diags.push(name_too_long(info.first));
        }
        finished.alloc(map(maps, name, info, decls, sources, &mut diags));
    }
    for (name, decl) in &decls.maps {
        if !maps.is_mentioned(name) && sources.file(decl.span.file).origin == Origin::User {
            diags.push(
                Diagnostic::new(Code::W1003, decl.span, format!("`@{name}` is never used"))
                    .label("declared here"),
            );
        }
    }
    (finished, diags)
}

fn map(
    maps: &Maps,
    name: &Name,
    info: &MapInfo,
    decls: &Decls,
    sources: &Sources,
    diags: &mut Diags,
) -> Map {
    let key: Vec<Ty> =
        info.key.iter().flat_map(|(parts, _)| parts).map(super::join::Slot::resolved).collect();
    let value = info.value.as_ref().map_or(MapValue::Plain(Ty::Error), |(slot, _)| {
        slot.agg().map_or_else(|| MapValue::Plain(slot.ty()), MapValue::Agg)
    });
    let span = info.decl.as_ref().map_or(info.first, |d| d.span);
    let (kind, max_entries) = match &info.decl {
        Some(decl) => {
            if let Some(refused) = check_kind(name, info, decl, &key, &value, sources) {
                diags.push(refused);
            }
            (decl.kind, decl.max_entries)
        }
        None => (implied(&key, &value), None),
    };
    let max_entries = entries(max_entries, &key, &value, decls.config.max_map_keys);
    let name = if name.is_empty() { anonymous(maps) } else { name.clone() };
    Map { name, kind, max_entries, key, value, span }
}

/// What the map `@` is called in the object: a name that no other map has.
fn anonymous(maps: &Maps) -> Name {
    let mut name = String::from("anon");
    while maps.is_mentioned(&name) {
        name.push('_');
    }
    name.into()
}

fn never_written(name: &Name, info: &MapInfo) -> Diagnostic {
    let span = info.read.unwrap_or(info.first);
    let keyed = info.key.as_ref().is_none_or(|(key, _)| !key.is_empty());
    let key = if keyed { "[key]" } else { "" };
    Diagnostic::new(Code::E0426, span, format!("`@{name}` is never given a value"))
        .label("used here")
        .help(format!("give it one in a probe, such as `@{name}{key} = value;`"))
}

/// The kind of a map that nothing declares.
fn implied(key: &[Ty], value: &MapValue) -> MapKind {
    match (key, value) {
        ([], MapValue::Plain(_)) => MapKind::Array,
        ([], MapValue::Agg(_)) => MapKind::PerCpuArray,
        (_, MapValue::Plain(_)) => MapKind::Hash,
        (_, MapValue::Agg(_)) => MapKind::PerCpuHash,
    }
}

/// The most entries: without a key one for each bucket; otherwise as declared, or as configured.
fn entries(declared: Option<u32>, key: &[Ty], value: &MapValue, default: u32) -> u32 {
    let buckets = match value {
        MapValue::Plain(_) => 1,
        MapValue::Agg(agg) => buckets(agg),
    };
    if key.is_empty() { buckets } else { declared.unwrap_or(default) }
}

/// What is wrong with the declared kind, if something is.
fn check_kind(
    name: &Name,
    info: &MapInfo,
    decl: &MapDecl,
    key: &[Ty],
    value: &MapValue,
    sources: &Sources,
) -> Option<Diagnostic> {
    let declared = facts(decl.kind);
    let histogram = matches!(value, MapValue::Agg(Agg::Hist | Agg::Lhist { .. }));
    let aggregation = matches!(value, MapValue::Agg(_));
    // Of a histogram the bucket is a part of the key, so that even one without a key has many entries.
    let keyed = !key.is_empty();
    let (why, note) = if aggregation && !declared.per_cpu {
        (
            "holds an aggregation",
            "every processor keeps its own state of an aggregation, so that none waits for another",
        )
    } else if keyed && histogram && !declared.keyed {
        (
            "holds a histogram for each key",
            "an array has one number as its key, and a histogram adds its bucket to the key",
        )
    } else if key.len() > 1 && !declared.keyed {
        ("has a key of several parts", "an array has one number as its key")
    } else if !keyed && declared.keyed {
        ("is used without a key", "a map without a key is an array of one entry")
    } else {
        return None;
    };
    let wanted = KINDS
        .iter()
        .find(|k| {
            k.keyed == ((declared.keyed || histogram) && keyed || key.len() > 1)
                && k.per_cpu == (declared.per_cpu || aggregation)
        })
        .map_or("hash", |k| k.name);
    let used = info.value.as_ref().map_or(info.first, |(_, span)| *span);
    let text = format!("`@{name}` is declared as `{}` and {why}", declared.name);
    let mut diagnostic = Diagnostic::new(Code::E0429, decl.span, text)
        .label(format!("expected `{wanted}`"))
        .secondary(used, "used here")
        .note(note);
    // The kind is the last place of its name in the declaration: the map may be called the same.
    let written = sources.text(decl.span);
    if let Some(at) = written.rfind(declared.name).and_then(|at| u32::try_from(at).ok()) {
        let start = decl.span.start.saturating_add(at);
        let len = u32::try_from(declared.name.len()).unwrap_or(0);
        let span = crate::source::Span { start, end: start.saturating_add(len), ..decl.span };
        diagnostic = diagnostic.write(span, wanted);
    }
    Some(diagnostic)
}
