//! Where pointers come from: what the verifier knows about them.
//!
//! In: a program. Out: for every pointer expression an [`Origin`]. A pointer that the verifier knows by BTF is read by plain loads; others are read by
//! `bpf_probe_read_kernel`. Invariant: only expressions of pointer type are pointers to the verifier, since a conversion to an integer makes them plain numbers.

use super::Program;
use crate::ir::Form;
use crate::sema::hir::{
    self, Expr, ExprKind, Hir, KEntry, KExprKind, KLeaf, KThen, LocalId, Stmt, StmtKind,
};
use crate::sema::types::{Pointee, Ty};
use std::collections::BTreeMap;

/// What the verifier knows about a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// It is null or a pointer, typed by BTF, to the kernel struct of its type.
    pub(super) known: bool,
    /// It must be compared with null before it is used as a pointer.
    pub(super) nullable: bool,
    /// It is no plain number to the verifier.
    pub(super) pointer: bool,
}

impl Origin {
    /// What every value of no value has: the start of [`Origin::join`].
    const NOTHING: Origin = Origin { known: true, nullable: false, pointer: false };
    /// A number.
    const NUMBER: Origin = Origin { known: false, nullable: false, pointer: false };
    /// A null pointer.
    const NULL: Origin = Origin { known: true, nullable: true, pointer: false };

    fn join(self, other: Origin) -> Origin {
        Origin {
            known: self.known && other.known,
            nullable: self.nullable || other.nullable,
            pointer: self.pointer || other.pointer,
        }
    }
}

/// The origins of a program's variables.
#[derive(Debug, Default)]
pub(super) struct Origins {
    locals: BTreeMap<LocalId, Origin>,
    /// Whether the arguments are typed by BTF.
    typed: bool,
    /// What they are the arguments of.
    form: Option<Form>,
}

impl Origins {
    /// Looks at every assignment until nothing changes: a variable is what all of its values are.
    pub(super) fn of(hir: &Hir, program: &hir::Program, form: Option<&Form>) -> Origins {
        let mut assigned = Vec::new();
        assignments(&program.body, &mut assigned);
        assigned.retain(|(local, _)| matches!(program.locals[*local].ty, Ty::Ptr(_)));
        let typed = form.is_some_and(|form| form.typed);
        let mut origins = Origins { locals: BTreeMap::new(), typed, form: form.cloned() };
        loop {
            let mut changed = false;
            for (local, value) in &assigned {
                let old = origins.locals.get(local).copied().unwrap_or(Origin::NOTHING);
                let new = old.join(origins.origin(hir, value));
                changed |= new != old;
                origins.locals.insert(*local, new);
            }
            if !changed {
                return origins;
            }
        }
    }

    fn origin(&self, hir: &Hir, expr: &Expr) -> Origin {
        if !matches!(expr.ty, Ty::Ptr(_)) {
            return match expr.kind {
                ExprKind::Int(0) => Origin::NULL,
                _ => Origin::NUMBER,
            };
        }
        match &expr.kind {
            ExprKind::Int(0) => Origin::NULL,
            ExprKind::Arg(arg) if self.typed => {
                let mut places = self.form.iter().flat_map(|form| form.places(arg));
                let absent = places.any(|place| place.index.is_none());
                Origin { known: true, nullable: arg.nullable || absent, pointer: true }
            }
            ExprKind::Local(local) => self.locals.get(local).copied().unwrap_or(Origin::NOTHING),
            ExprKind::Cond(_, then, otherwise) => {
                self.origin(hir, then).join(self.origin(hir, otherwise))
            }
            ExprKind::Convert(value) => {
                let value_origin = self.origin(hir, value);
                let same = kernel_struct(hir, &value.ty) == kernel_struct(hir, &expr.ty);
                let null = value_origin == Origin::NULL;
                Origin { known: value_origin.known && (same || null), ..value_origin }
            }
            ExprKind::Field { base, mirror, field } => {
                let field = &hir.mirrors[*mirror].fields[*field as usize];
                Origins::field(hir, field, self.origin(hir, base))
            }
            // Memory can hold a pointer that the verifier still knows: a spilled one.
            ExprKind::Member(..) | ExprKind::Index(..) if self.typed => {
                Origin { known: false, nullable: true, pointer: true }
            }
            _ => Origin::NUMBER,
        }
    }

    /// A pointer that a field gives, by what its base is.
    fn field(hir: &Hir, field: &hir::MirrorField, base: Origin) -> Origin {
        let Some(wanted) = kernel_struct(hir, &field.ty) else {
            return Origin { known: false, nullable: base.pointer, pointer: base.pointer };
        };
        let leads_there =
            field.alternatives.iter().all(|alternative| match &alternative.value.kind {
                KExprKind::Path(path) => {
                    let plain = path.hops.iter().all(|hop| {
                        hop.entry == KEntry::Typed && !matches!(hop.then, KThen::Element { .. })
                    });
                    let leaf = match &path.leaf {
                        KLeaf::Ptr(Some(name)) | KLeaf::Struct(name) => name == wanted,
                        KLeaf::Ptr(None)
                        | KLeaf::Int(_)
                        | KLeaf::Number(..)
                        | KLeaf::Any
                        | KLeaf::Bits { .. }
                        | KLeaf::Enum(..)
                        | KLeaf::Chars(_)
                        | KLeaf::Ints(..) => false,
                    };
                    plain && leaf
                }
                KExprKind::Const(0) => true,
                _ => false,
            });
        Origin { known: base.known && leads_there, nullable: base.pointer, pointer: base.pointer }
    }
}

/// The kernel struct that a pointer type stands for.
fn kernel_struct<'h>(hir: &'h Hir, ty: &'h Ty) -> Option<&'h str> {
    match ty {
        Ty::Ptr(Pointee::Mirror(id)) => Some(&hir.mirrors[*id].kernel),
        Ty::Ptr(Pointee::Kernel(name)) => Some(name),
        _ => None,
    }
}

/// Every assignment to a variable.
fn assignments<'h>(stmts: &'h [Stmt], list: &mut Vec<(LocalId, &'h Expr)>) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Assign(local, value) => list.push((*local, value)),
            StmtKind::If { then, otherwise, .. } => {
                assignments(then, list);
                assignments(otherwise, list);
            }
            StmtKind::For { body, .. } => assignments(body, list),
            StmtKind::MapSet(..)
            | StmtKind::MapAdd(..)
            | StmtKind::Aggregate(..)
            | StmtKind::Delete(_)
            | StmtKind::Expr(_)
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Return(_)
            | StmtKind::Output(..) => {}
        }
    }
}

impl Program<'_, '_> {
    /// What the verifier knows about a pointer.
    pub(super) fn origin(&self, expr: &Expr) -> Origin {
        self.origins.origin(self.hir, expr)
    }
}
