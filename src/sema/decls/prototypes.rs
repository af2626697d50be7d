//! Prototypes: what kernels are known to pass to their tracepoints and functions.
//!
//! In: `kernel tracepoint` and `kernel function` declarations. Out: the prototypes of each, those that are the same once.

use super::collect::Collector;
use crate::diag::{Code, Diagnostic};
use crate::sema::hir::{KParamTy, Prototype, PrototypeKind, PrototypeParam};
use crate::sema::types::IntTy;
use crate::sema::{show, typeexpr};
use crate::syntax::ast::{FuncParams, PrototypeDecl, TypeExpr, TypeExprKind};

impl Collector<'_> {
    pub(super) fn prototype(&mut self, decl: &PrototypeDecl) {
        let mut params: Vec<PrototypeParam> = Vec::new();
        let mut whole = true;
        let kind = match &decl.ret {
            None => Some(PrototypeKind::Tracepoint),
            Some(ret) => self.returned_type(ret).map(PrototypeKind::Function),
        };
        for (ty, name) in &decl.params {
            if params.iter().any(|p| p.name == name.name) {
                let message =
                    format!("`{}` has two arguments named `{}`", decl.name.name, name.name);
                self.diags.push(Diagnostic::new(Code::E0207, name.span, message));
                whole = false;
            }
            match self
                .param_type(ty)
                .filter(|known| decl.ret.is_none() || self.is_scalar(known, ty))
            {
                Some(ty) => params.push(PrototypeParam { name: name.name.clone(), ty }),
                None => whole = false,
            }
        }
        if let (Some(PrototypeKind::Function(known)), Some(ret)) = (&kind, &decl.ret)
            && *known != KParamTy::Void
        {
            whole &= self.is_scalar(known, ret);
        }
        let all = match decl.ret {
            None => &mut self.decls.prototypes,
            Some(_) => &mut self.decls.functions,
        };
        let known = all.entry(decl.name.name.clone()).or_default();
        let Some(kind) = kind.filter(|_| whole) else { return };
        let prototype = Prototype { kind, name: decl.name.name.clone(), params };
        // The library and a script may both know it.
        if !known.iter().any(|id| self.decls.hir.prototypes[*id] == prototype) {
            known.push(self.decls.hir.prototypes.alloc(prototype));
        }
    }

    /// Whether a function is passed, or returns, something in one register.
    fn is_scalar(&mut self, known: &KParamTy, ty: &TypeExpr) -> bool {
        let by_value = matches!(known, KParamTy::Struct(_) | KParamTy::Union(_));
        if by_value {
            let message = "a struct that is passed by value is in no one register";
            let note = "which registers or memory it takes, and which are left for what follows, differs between architectures";
            self.diags.push(Diagnostic::new(Code::E0408, ty.span, message).note(note));
        }
        !by_value
    }

    fn param_type(&mut self, ty: &TypeExpr) -> Option<KParamTy> {
        let int = |bits, signed| Some(KParamTy::Int(IntTy { bits, signed }));
        match &ty.kind {
            TypeExprKind::Int { signed, long: true, .. } => {
                Some(KParamTy::Long { signed: *signed })
            }
            TypeExprKind::Int { bits, signed, long: false } => int(*bits, *signed),
            TypeExprKind::Char | TypeExprKind::Bool => int(8, false),
            TypeExprKind::Name(name) => {
                let long = |int: IntTy| KParamTy::Long { signed: int.signed };
                let known = typeexpr::typedef(name);
                let known = if typeexpr::is_long(name) {
                    known.map(long)
                } else {
                    known.map(KParamTy::Int)
                };
                if known.is_none() {
                    // The same message as for any other type.
                    typeexpr::resolve_kernel(&self.decls, ty, &mut self.diags);
                }
                known
            }
            TypeExprKind::Enum(name) => Some(KParamTy::Enum(name.name.clone())),
            TypeExprKind::Struct(name) => Some(KParamTy::Struct(name.name.clone())),
            TypeExprKind::Union(name) => Some(KParamTy::Union(name.name.clone())),
            TypeExprKind::Ptr(target) => {
                let target = match &target.kind {
                    TypeExprKind::Void => KParamTy::Void,
                    TypeExprKind::Func(ret, params) => self.function_type(ret, params)?,
                    _ => self.param_type(target)?,
                };
                Some(KParamTy::Ptr(Box::new(target)))
            }
            TypeExprKind::Error => None,
            TypeExprKind::Void
            | TypeExprKind::Str
            | TypeExprKind::Anonymous(..)
            | TypeExprKind::Array(..)
            | TypeExprKind::Func(..)
            | TypeExprKind::Tuple(_) => {
                self.diags.push(Diagnostic::new(
                    Code::E0201,
                    ty.span,
                    "no tracepoint or function has an argument of this type",
                ));
                None
            }
        }
    }

    /// A function that an argument points to.
    fn function_type(&mut self, ret: &TypeExpr, params: &FuncParams) -> Option<KParamTy> {
        let ret = Box::new(self.returned_type(ret)?);
        let none =
            matches!(params.types.as_slice(), [only] if matches!(only.kind, TypeExprKind::Void));
        let types = if none { &[] } else { params.types.as_slice() };
        let params_of_it: Vec<_> =
            types.iter().map(|ty| self.param_type(ty)).collect::<Option<_>>()?;
        Some(KParamTy::Func { ret, params: params_of_it, variadic: params.variadic })
    }

    fn returned_type(&mut self, ty: &TypeExpr) -> Option<KParamTy> {
        if matches!(ty.kind, TypeExprKind::Void) {
            Some(KParamTy::Void)
        } else {
            self.param_type(ty)
        }
    }
}

/// Whether CO-RE's type compatibility takes one prototype for the other: it looks at the number of arguments and their kinds.
pub(super) fn same_shape(a: &Prototype, b: &Prototype) -> bool {
    a.params.len() == b.params.len()
        && a.params.iter().zip(&b.params).all(|(a, b)| same_kind(&a.ty, &b.ty))
}

fn same_kind(a: &KParamTy, b: &KParamTy) -> bool {
    match (a, b) {
        (KParamTy::Ptr(a), KParamTy::Ptr(b)) => same_kind(a, b),
        (
            KParamTy::Func { ret: a, params: left, variadic: more },
            KParamTy::Func { ret: b, params: right, variadic: others },
        ) => {
            let same = left.iter().zip(right).all(|(a, b)| same_kind(a, b));
            left.len() == right.len() && more == others && same && same_kind(a, b)
        }
        _ if a.int().is_some() => b.int().is_some(),
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// `struct task_struct *`
pub(super) fn kernel_type(ty: &KParamTy) -> String {
    match ty {
        KParamTy::Int(int) => show::int(*int),
        KParamTy::Long { signed: true } => "long".to_owned(),
        KParamTy::Long { signed: false } => "unsigned long".to_owned(),
        KParamTy::Enum(name) => format!("enum {name}"),
        KParamTy::Struct(name) => format!("struct {name}"),
        KParamTy::Union(name) => format!("union {name}"),
        KParamTy::Void => "void".to_owned(),
        KParamTy::Func { ret, params, variadic } => {
            let more = variadic.then(|| "...".to_owned());
            let params: Vec<String> = params.iter().map(kernel_type).chain(more).collect();
            format!("{} ({})", kernel_type(ret), params.join(", "))
        }
        KParamTy::Ptr(target) => format!("{} *", kernel_type(target)),
    }
}

/// `sched_switch(u8 preempt, struct task_struct *prev)`
pub(super) fn prototype_text(prototype: &Prototype) -> String {
    let param = |p: &PrototypeParam| {
        let ty = kernel_type(&p.ty);
        let gap = if ty.ends_with('*') { "" } else { " " };
        format!("{ty}{gap}{}", p.name)
    };
    let params: Vec<String> = prototype.params.iter().map(param).collect();
    let params = params.join(", ");
    match &prototype.kind {
        PrototypeKind::Tracepoint => format!("{}({params})", prototype.name),
        PrototypeKind::Function(ret) => {
            let ret = kernel_type(ret);
            let gap = if ret.ends_with('*') { "" } else { " " };
            format!("{ret}{gap}{}({params})", prototype.name)
        }
    }
}
