//! Pointers that go through maps: a program that reads kernel memory through a pointer that another made of a number is no better than that one.
//!
//! In: the programs. Out: lower classes, and an error in `user:` probes. Within one program the cast itself has lowered the class; what is followed here is which maps hold such
//! pointers, through variables and other maps, until nothing more is found.

use super::hir::{
    Class, ClassLevel, Culprit, Expr, ExprKind, LocalId, Map, MapId, MapValue, Program, Stmt,
    StmtKind,
};
use super::types::{Pointee, Ty};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::Span;
use la_arena::Arena;
use std::collections::{BTreeMap, BTreeSet};

/// The most walks over all programs: each but the last finds a map or variable more.
const MAX_WALKS: usize = 64;

/// Where a pointer is from that was made of a number.
#[derive(Clone, Copy)]
enum Origin {
    /// A cast in the same program.
    Cast(Span),
    /// A map that holds one.
    Map(MapId),
}

/// What is known of a program's variables.
type Locals = BTreeMap<LocalId, Origin>;

/// Lowers the class of programs that read through such pointers; `user` says of each whether it is at a user tracepoint.
pub(super) fn lower(programs: &mut [Program], user: &[bool], maps: &Arena<Map>, diags: &mut Diags) {
    let mut casts: BTreeMap<MapId, Span> = BTreeMap::new();
    let mut locals: Vec<Locals> = programs.iter().map(|_| Locals::new()).collect();
    for walk in 0.. {
        let before = (casts.len(), locals.iter().map(BTreeMap::len).sum::<usize>());
        for (program, locals) in programs.iter().zip(&mut locals) {
            program.body.iter().for_each(|stmt| follow(stmt, locals, &mut casts));
        }
        if before == (casts.len(), locals.iter().map(BTreeMap::len).sum()) {
            break;
        }
        if walk == MAX_WALKS {
            give_up(maps, &mut casts);
            break;
        }
    }
    for ((program, locals), user) in programs.iter_mut().zip(&locals).zip(user) {
        let mut reads = Vec::new();
        program.body.iter().for_each(|stmt| find_reads(stmt, locals, &casts, &mut reads));
        let mut told = BTreeSet::new();
        for (span, map) in reads {
            let why = format!("`@{}` holds a pointer that was cast from a number", maps[map].name);
            if *user && told.insert(map) {
                let text = "a read through a pointer that was cast from a number";
                let mut diagnostic = Diagnostic::new(Code::E0321, span, text)
                    .label(why)
                    .note("`user:` programs run on every kernel, so they follow no pointers but those that mirrors and arguments give")
                    .help("store a pointer that a mirror or an argument gave");
                if let Some(cast) = casts.get(&map) {
                    diagnostic = diagnostic.secondary(*cast, "cast here");
                }
                diags.push(diagnostic);
            } else if program.class.level > ClassLevel::NotAbi {
                let culprit = Some(Culprit { span, why });
                program.class = Class { level: ClassLevel::NotAbi, culprit };
            }
        }
    }
}

/// Takes all maps of pointers for such that hold one that was cast.
fn give_up(maps: &Arena<Map>, casts: &mut BTreeMap<MapId, Span>) {
    let Some(cast) = casts.values().next().copied() else { return };
    for (id, map) in maps.iter() {
        if matches!(&map.value, MapValue::Plain(ty) if holds_pointer(ty)) {
            casts.entry(id).or_insert(cast);
        }
    }
}

/// Notes which variables and maps a statement gives such pointers.
fn follow(stmt: &Stmt, locals: &mut Locals, casts: &mut BTreeMap<MapId, Span>) {
    match &stmt.kind {
        StmtKind::Assign(local, value) => {
            if let Some(origin) = origin(value, locals, casts) {
                locals.entry(*local).or_insert(origin);
            }
        }
        StmtKind::MapSet(entry, value) => {
            let cast = match origin(value, locals, casts) {
                Some(Origin::Cast(span)) => Some(span),
                Some(Origin::Map(map)) => casts.get(&map).copied(),
                None => None,
            };
            if let Some(cast) = cast {
                casts.entry(entry.map).or_insert(cast);
            }
        }
        _ => {}
    }
    stmt.nested().for_each(|stmt| follow(stmt, locals, casts));
}

/// Where such a pointer in a value is from.
fn origin(e: &Expr, locals: &Locals, casts: &BTreeMap<MapId, Span>) -> Option<Origin> {
    if !holds_pointer(&e.ty) {
        return None;
    }
    let of = |e: &Expr| origin(e, locals, casts);
    match &e.kind {
        ExprKind::Convert(value) if matches!(value.ty, Ty::Ptr(_)) => of(value),
        ExprKind::Convert(value) if matches!(e.ty, Ty::Ptr(_)) => {
            (!matches!(value.kind, ExprKind::Int(0))).then_some(Origin::Cast(e.span))
        }
        ExprKind::Convert(value) | ExprKind::Member(value, _) | ExprKind::Index(value, _) => {
            of(value)
        }
        // What is read through such a pointer is as good as the pointer.
        ExprKind::Field { base, .. } => of(base),
        ExprKind::Local(local) => locals.get(local).copied(),
        ExprKind::MapGet(entry) => casts.contains_key(&entry.map).then_some(Origin::Map(entry.map)),
        ExprKind::Cond(_, then, otherwise) => of(then).or_else(|| of(otherwise)),
        ExprKind::Aggregate(parts) => parts.iter().find_map(of),
        _ => None,
    }
}

/// Whether values of a type may have a pointer to kernel memory in them.
fn holds_pointer(ty: &Ty) -> bool {
    match ty {
        Ty::Ptr(Pointee::Mirror(_) | Pointee::Kernel(_)) | Ty::Struct(_) | Ty::Mirror(_) => true,
        Ty::Tuple(parts) => parts.iter().any(holds_pointer),
        Ty::Array(elem, _) => holds_pointer(elem),
        Ty::Error
        | Ty::Void
        | Ty::Bool
        | Ty::Int(_)
        | Ty::Enum(_)
        | Ty::Str(_)
        | Ty::Ptr(Pointee::UserStr | Pointee::User(_)) => false,
    }
}

/// Reads of kernel memory through pointers from such maps.
fn find_reads(
    stmt: &Stmt,
    locals: &Locals,
    casts: &BTreeMap<MapId, Span>,
    found: &mut Vec<(Span, MapId)>,
) {
    for e in stmt.exprs() {
        e.each(&mut |e| {
            let base = match &e.kind {
                ExprKind::Field { base, .. } | ExprKind::Load { base, .. } => base,
                ExprKind::ReadStr { addr, user: false } => addr,
                _ => return,
            };
            if let Some(Origin::Map(map)) = origin(base, locals, casts) {
                found.push((e.span, map));
            }
        });
    }
    stmt.nested().for_each(|stmt| find_reads(stmt, locals, casts, found));
}
