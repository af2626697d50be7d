//! Bodies: the statements of one probe → the statements of one program.
//!
//! In: a probe's syntax tree, the declarations, and what is known of the maps. Out: a [`Program`](super::hir::Program)'s body and variables. Invariant:
//! nothing is decided twice: a name is looked up, a type chosen and an operator given its sign here, and later stages only carry them. What a
//! diagnostic was given for has [`Ty::Error`], and nothing that contains it is reported again.

mod aggregate;
mod assign;
mod calls;
mod convert;
mod expr;
mod loops;
mod mapcalls;
mod mapuse;
mod names;
mod ops;
mod output;
mod packet;
mod record;
mod stmt;

use super::decls::Decls;
use super::hir::{
    Arg, Class, ClassLevel, Culprit, EnumId, Expr, ExprKind, Hir, Local, LocalId, MirrorId, Output,
    OutputId, OutputKind, ParamId,
};
use super::left_out::LeftOut;
use super::maps::Maps;
use super::types::{Pointee, Ty};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::{Origin, Sources, Span};
use crate::syntax::ast::Name;
use indexmap::IndexMap;
use la_arena::Arena;
pub(super) use packet::Verdict;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

/// One walk over all bodies.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    /// The files, for what a fix replaces.
    pub sources: &'a Sources,
    /// The declarations.
    pub decls: &'a Decls,
    /// What is known of the maps.
    pub maps: &'a mut Maps,
    /// The records written so far.
    pub outputs: Arena<Output>,
    /// Those records by where they are written.
    pub output_at: FxHashMap<Span, Vec<OutputId>>,
    /// The findings.
    pub diags: Diags,
    /// Whether types are still being looked for: what is unknown may become known in the next walk.
    pub inferring: bool,
    /// Constructs that a stock loader does not serve, where each is first used.
    pub runner_only: IndexMap<&'static str, Span, FxBuildHasher>,
    /// Parameters that are used.
    pub used_params: FxHashSet<ParamId>,
    /// What is in the statements that are not analyzed.
    pub left_out: LeftOut,
}

/// What `args` gives in a probe.
#[derive(Debug)]
pub(super) struct ProbeArgs {
    /// The probe as it is written, for messages.
    pub probe: String,
    /// Whether it is a user tracepoint, in which raw kernel memory is not read.
    pub user: bool,
    /// Whether it is a socket filter, which sees a packet and may call few helpers.
    pub packet: bool,
    /// The arguments by name.
    pub args: Vec<ProbeArg>,
}

/// An argument of a probe.
#[derive(Clone, Debug)]
pub(super) struct ProbeArg {
    /// Its name after `args.`.
    pub name: Name,
    /// What it stands for.
    pub value: ArgValue,
    /// Its type.
    pub ty: Ty,
}

/// What an argument stands for.
#[derive(Clone, Debug)]
pub(super) enum ArgValue {
    /// What the kernel passes.
    Kernel(Arg),
    /// A field of the mirror that an argument points to: a register of a system call.
    Field(Arg, MirrorId, u32),
}

/// The analysis of one body.
#[derive(Debug)]
pub(super) struct Body<'p, 'a> {
    pub pass: &'p mut Pass<'a>,
    pub probe: &'p ProbeArgs,
    pub locals: Arena<Local>,
    pub class: Class,
    pub vars: Vars,
    /// Loops around the current statement.
    pub loops: u32,
    /// Whether no path leads to the current statement.
    pub unreachable: bool,
    /// How the body ends where it says nothing, and where it says what it returns.
    pub verdict: Verdict,
}

/// The variables of a body.
#[derive(Debug, Default)]
pub(super) struct Vars {
    /// From the outermost block to the innermost.
    scopes: Vec<IndexMap<Name, LocalId, FxBuildHasher>>,
    /// Names that an inner block has declared and that are out of scope now.
    gone: FxHashMap<Name, Span>,
    facts: la_arena::ArenaMap<LocalId, VarFacts>,
    /// Variables that have a value on every path to here.
    pub assigned: FxHashSet<LocalId>,
}

/// What is known of a variable beside its HIR.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VarFacts {
    /// Whether its type is known: `let $x;` leaves it to the first assignment.
    pub typed: bool,
    /// Whether it is read anywhere.
    pub read: bool,
    /// Whether it counts the rounds of a loop.
    pub counter: bool,
}

impl Vars {
    pub(super) fn enter(&mut self) {
        self.scopes.push(IndexMap::default());
    }

    /// Leaves a block; gives the variables it had.
    pub(super) fn leave(&mut self, locals: &Arena<Local>) -> Vec<LocalId> {
        let left = self.scopes.pop().unwrap_or_default();
        self.gone.extend(left.iter().map(|(name, id)| (name.clone(), locals[*id].span)));
        left.into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<LocalId> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    pub(super) fn in_this_block(&self, name: &str) -> Option<LocalId> {
        self.scopes.last()?.get(name).copied()
    }

    /// Where an inner block has declared a variable of that name.
    pub(super) fn gone(&self, name: &str) -> Option<Span> {
        self.gone.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flatten().map(|(name, _)| name.as_str())
    }

    pub(super) fn add(&mut self, name: Name, id: LocalId, facts: VarFacts) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, id);
        }
        self.facts.insert(id, facts);
    }

    pub(super) fn facts(&self, id: LocalId) -> VarFacts {
        self.facts.get(id).copied().unwrap_or_default()
    }

    pub(super) fn facts_mut(&mut self, id: LocalId) -> &mut VarFacts {
        self.facts.entry(id).or_default()
    }
}

impl<'p, 'a> Body<'p, 'a> {
    pub(super) fn new(pass: &'p mut Pass<'a>, probe: &'p ProbeArgs, class: Class) -> Self {
        Body {
            pass,
            probe,
            locals: Arena::new(),
            class,
            vars: Vars::default(),
            loops: 0,
            unreachable: false,
            verdict: Verdict::default(),
        }
    }

    /// The tables that types refer to.
    pub(super) fn hir(&self) -> &'a Hir {
        &self.pass.decls.hir
    }

    /// How a type is spelled.
    pub(super) fn show(&self, ty: &Ty) -> String {
        super::show::ty(self.hir(), ty)
    }

    /// The part of a declaration that says what it declares, without its members.
    pub(super) fn head(&self, declaration: Span) -> Span {
        let text = self.pass.sources.text(declaration);
        let head = text.split(['{', '\n']).next().unwrap_or(text).trim_end();
        let len = u32::try_from(head.len()).unwrap_or(0);
        Span { end: declaration.start.saturating_add(len), ..declaration }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.pass.diags.push(diagnostic);
    }

    /// Reports, and stands for the culprit.
    pub(super) fn fail(&mut self, diagnostic: Diagnostic) -> Expr {
        let span = diagnostic.span;
        self.report(diagnostic);
        error(span)
    }

    /// The name that was probably meant, while that is of use to anybody.
    pub(super) fn nearest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        if self.pass.inferring || self.pass.diags.is_full() {
            return None;
        }
        super::suggest::nearest(name, candidates)
    }

    /// Lowers the program's class, if it was higher.
    pub(super) fn lower_class(
        &mut self,
        level: ClassLevel,
        span: Span,
        why: impl FnOnce() -> String,
    ) {
        if level < self.class.level {
            self.class = Class { level, culprit: Some(Culprit { span, why: why() }) };
        }
    }

    /// Notes the use of a mirror, which lowers the class unless it is the library's.
    pub(super) fn use_mirror(&mut self, id: MirrorId, span: Span) {
        let mirror = &self.hir().mirrors[id];
        if !mirror.locked {
            self.lower_class(ClassLevel::Private, span, || {
                format!("`{}` is not a mirror of the locked library", mirror.name)
            });
        }
    }

    /// Notes the use of a mirrored enum, likewise.
    pub(super) fn use_enum(&mut self, id: EnumId, span: Span) {
        let decl = &self.hir().enums[id];
        let locked = self.pass.sources.file(decl.span.file).origin == Origin::Uapi;
        if decl.kernel.is_some() && !locked {
            self.lower_class(ClassLevel::Private, span, || {
                format!("`{}` is not an enum of the locked library", decl.name)
            });
        }
    }

    /// A raw kernel fetch: an error in a user tracepoint, and elsewhere the end of any promise.
    pub(super) fn raw_fetch(&mut self, span: Span, what: &str) {
        if self.probe.user {
            let text = format!("{what} in `{}`", self.probe.probe);
            self.report(
                Diagnostic::new(Code::E0321, span, text)
                    .label("depends on the layout of this kernel")
                    .note("`user:` programs run on every kernel, so they see kernel memory through mirrors only")
                    .help("read it through a mirror, or attach to another kind of probe"),
            );
        } else {
            self.lower_class(ClassLevel::NotAbi, span, || {
                format!("{what} reads raw kernel memory")
            });
        }
    }

    /// Notes a construct that only the project's own runner serves.
    pub(super) fn needs_runner(&mut self, construct: &'static str, span: Span) {
        self.pass.runner_only.entry(construct).or_insert(span);
    }

    /// The kind of record that `kind` and the types make, which other programs of the same body share.
    pub(super) fn output(&mut self, kind: OutputKind, args: &[Expr], span: Span) -> OutputId {
        let args: Vec<Ty> = args.iter().map(|a| a.ty.clone()).collect();
        let here = self.pass.output_at.entry(span).or_default();
        if let Some(known) = here.iter().find(|id| self.pass.outputs[**id].args == args) {
            return *known;
        }
        let id = self.pass.outputs.alloc(Output { kind, args, span });
        here.push(id);
        id
    }

    /// A variable of the compiler's own, which no name reaches.
    pub(super) fn hidden(&mut self, name: &str, ty: Ty, span: Span) -> LocalId {
        self.locals.alloc(Local { name: name.into(), ty, span })
    }
}

/// Stands for something that a diagnostic was given for.
pub(super) fn error(span: Span) -> Expr {
    Expr { kind: ExprKind::Error, ty: Ty::Error, span }
}

/// An integer constant.
pub(super) fn int(value: u64, ty: Ty, span: Span) -> Expr {
    Expr { kind: ExprKind::Int(value), ty, span }
}

/// A field of the mirror that an argument of the probe points to.
pub(super) fn argument_field(
    hir: &Hir,
    arg: &Arg,
    mirror: MirrorId,
    field: u32,
    span: Span,
) -> Expr {
    let ty = Ty::Ptr(Pointee::Mirror(mirror));
    let base = Box::new(Expr { kind: ExprKind::Arg(arg.clone()), ty, span });
    let fields = &hir.mirrors[mirror].fields;
    let ty = fields.get(field as usize).map_or(Ty::Error, |f| f.ty.clone());
    Expr { kind: ExprKind::Field { base, mirror, field }, ty, span }
}
