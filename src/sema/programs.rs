//! Programs: every probe of a script → one program for each of its specs.
//!
//! In: the declarations and the parsed files. Out: the whole HIR. All bodies are walked until the maps' types no longer change; the walk after that is
//! the one whose HIR and findings count.

use super::body::{Body, Pass};
use super::decls::Decls;
use super::finish;
use super::hir::{Hir, Map, Output, ParamId, Program, Stmt};
use super::imports::LoadedFile;
use super::left_out::LeftOut;
use super::maps::Maps;
use super::probe::{self, Place};
use super::stored;
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{Origin, Sources, Span};
use crate::syntax::ast::{ItemKind, Name, Probe};
use indexmap::IndexMap;
use la_arena::Arena;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

/// The most walks over all bodies while types are looked for. Each but the last tells something new, and a chain of maps that are each read before
/// they are written takes one a link.
const MAX_WALKS: usize = 512;

/// The most programs: every spec of a probe makes one of the whole body.
const MAX_PROGRAMS: usize = 1024;

/// What one walk over all bodies gives.
struct Walk {
    programs: Vec<Program>,
    outputs: Arena<Output>,
    diags: Diags,
    runner_only: IndexMap<&'static str, Span, FxBuildHasher>,
    used_params: FxHashSet<ParamId>,
    left_out: LeftOut,
}

/// The HIR of all probes.
pub(super) fn analyze(
    sources: &Sources,
    decls: Decls,
    files: &[LoadedFile],
    diags: &mut Diags,
) -> Hir {
    let probes = places(&decls, files, diags);
    let mut left_out = LeftOut::default();
    for file in files {
        left_out.add_items(sources, &file.parsed.file);
    }
    let mut maps = Maps::default();
    for _ in 0..MAX_WALKS {
        maps.changed = false;
        let _ = walk(sources, &decls, &probes, &mut maps, LeftOut::default(), true);
        if !maps.changed {
            break;
        }
    }
    if maps.changed
        && let Some((_, span, _)) = probes.first()
    {
        let message = "the types of maps follow from each other over too many of them";
        diags.push(Diagnostic::new(Code::E0433, *span, message).help("say a type with a cast"));
    }
    maps.frozen = true;
    let mut walk = walk(sources, &decls, &probes, &mut maps, left_out, false);
    diags.extend(walk.diags);
    let (finished, findings) = finish::finish(&maps, &decls, sources, &walk.left_out);
    diags.extend(findings);
    let user: Vec<bool> = probes.iter().map(|(_, _, place)| place.args.user).collect();
    stored::lower(&mut walk.programs, &user, &finished, diags);
    if !diags.has_errors() {
        tell_runner(&walk.runner_only, diags);
    }
    tell_unused_params(sources, &decls, &walk.used_params, diags);
    whole(decls, finished, walk.outputs, walk.programs)
}

fn whole(decls: Decls, maps: Arena<Map>, outputs: Arena<Output>, programs: Vec<Program>) -> Hir {
    Hir { maps, outputs, programs, ring_bytes: decls.config.ring_bytes, ..decls.hir }
}

/// The probes whose specs name a place, each with its programs' names.
fn places<'f>(
    decls: &Decls,
    files: &'f [LoadedFile],
    diags: &mut Diags,
) -> Vec<(&'f Probe, Span, Place)> {
    let declared: FxHashSet<&Name> = files
        .iter()
        .flat_map(|file| &file.parsed.file.items)
        .filter_map(|item| match &item.kind {
            ItemKind::Tracepoint(tracepoint) => Some(&tracepoint.name.name),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    let mut taken: FxHashMap<String, u32> = FxHashMap::default();
    for item in files.iter().flat_map(|file| &file.parsed.file.items) {
        let ItemKind::Probe(probe) = &item.kind else { continue };
        for spec in &probe.specs {
            if diags.is_full() {
                return found;
            }
            if found.len() == MAX_PROGRAMS {
                let message = format!("more than {MAX_PROGRAMS} programs");
                diags.push(Diagnostic::new(Code::E0507, spec.span, message).label("one too many"));
                return found;
            }
            match probe::resolve(decls, spec) {
                Ok(mut place) => {
                    place.name = unique(&place.name, &mut taken);
                    found.push((probe, spec.span, place));
                }
                // A declaration that was refused has its own diagnostic, and so has an import that was not found.
                Err(unknown)
                    if unknown.code == Code::E0422
                        && (diags.contain(Code::E0103)
                            || spec.parts.get(1).is_some_and(|n| declared.contains(&n.name))) => {}
                Err(diagnostic) => diags.push(*diagnostic),
            }
        }
    }
    found
}

/// A C identifier that no program has yet: the name, or with `_2` and so on.
fn unique(name: &str, taken: &mut FxHashMap<String, u32>) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut candidate = name.clone();
    while taken.contains_key(&candidate) {
        let number = taken.entry(name.clone()).or_insert(1);
        *number += 1;
        candidate = format!("{name}_{number}");
    }
    taken.insert(candidate.clone(), 1);
    candidate
}

fn walk(
    sources: &Sources,
    decls: &Decls,
    probes: &[(&Probe, Span, Place)],
    maps: &mut Maps,
    left_out: LeftOut,
    inferring: bool,
) -> Walk {
    let mut pass = Pass {
        sources,
        decls,
        maps,
        outputs: Arena::new(),
        output_at: FxHashMap::default(),
        diags: Diags::new(),
        inferring,
        runner_only: IndexMap::default(),
        used_params: FxHashSet::default(),
        left_out,
    };
    let programs =
        probes.iter().map(|(probe, span, place)| program(&mut pass, probe, *span, place)).collect();
    Walk {
        programs,
        outputs: pass.outputs,
        diags: pass.diags,
        runner_only: pass.runner_only,
        used_params: pass.used_params,
        left_out: pass.left_out,
    }
}

fn program(pass: &mut Pass<'_>, probe: &Probe, span: Span, place: &Place) -> Program {
    if let Some(construct) = place.runner_only {
        pass.runner_only.entry(construct).or_insert(span);
    }
    let mut body = Body::new(pass, &place.args, place.class.clone());
    let mut stmts: Vec<Stmt> = body.run(probe);
    if let Some(guard) = &place.guard {
        stmts = guard.around(body.hir(), stmts, span);
    }
    let result = body.result();
    Program {
        name: place.name.as_str().into(),
        attach: place.attach.clone(),
        others: place.others.clone(),
        optional: place.optional,
        class: body.class,
        locals: body.locals,
        body: stmts,
        result,
        span,
    }
}

/// W1002, once a script: what a stock loader would leave undone.
fn tell_runner(uses: &IndexMap<&'static str, Span, FxBuildHasher>, diags: &mut Diags) {
    let Some((_, first)) = uses.first() else { return };
    let names: Vec<&str> = uses.keys().copied().collect();
    let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let idle = names.iter().any(|n| matches!(*n, "begin" | "end" | "interval" | "profile"));
    let note = if idle {
        "a stock loader loads such programs, but runs no `begin`, `end`, `interval` and `profile`, and prints nothing"
    } else {
        "a stock loader attaches the programs; what they write waits in the ring buffer, laid out as docs/object-format.md says"
    };
    let mut diagnostic = Diagnostic::new(
        Code::W1002,
        *first,
        format!("a stock loader alone does not do what {list} asks for"),
    )
    .label("needs a runner that knows these objects")
    .note(note);
    for (name, span) in uses.iter().skip(1) {
        diagnostic = diagnostic.secondary(*span, format!("`{name}` likewise"));
    }
    diags.push(diagnostic);
}

fn tell_unused_params(
    sources: &Sources,
    decls: &Decls,
    used: &FxHashSet<ParamId>,
    diags: &mut Diags,
) {
    for (id, param) in decls.hir.params.iter() {
        if used.contains(&id) || sources.file(param.span.file).origin != Origin::User {
            continue;
        }
        let text = format!("`{}` is never used", param.name);
        diags.push(Diagnostic::new(Code::W1003, param.span, text).label("declared here"));
    }
}
