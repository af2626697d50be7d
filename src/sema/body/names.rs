//! Names in expressions: constants, parameters, enumerators, builtins, variables.

use super::super::builtins::{self, What};
use super::super::decls::{TypeDecl, ValueDecl};
use super::super::hir::{Builtin, ConstValue, EnumId, EnumeratorValue, Expr, ExprKind};
use super::super::types::{Pointee, Ty};
use super::super::{show, unbuilt};
use super::expr::string;
use super::{Body, error, int};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::Name;

/// The mirror that `curtask` points to.
const TASK_MIRROR: &str = "task_struct_user";

impl Body<'_, '_> {
    pub(super) fn name(&mut self, name: &Name, span: Span) -> Expr {
        if name == "args" {
            let known = show::list(self.probe.args.iter().map(|a| a.name.as_str()), 8);
            let mut diagnostic =
                Diagnostic::new(Code::E0230, span, "`args` as a whole is not a value")
                    .label("expected `args.NAME`");
            if !known.is_empty() {
                diagnostic = diagnostic.help(format!("`{}` has {known}", self.probe.probe));
            }
            return self.fail(diagnostic);
        }
        match self.pass.decls.values.get(name) {
            Some(ValueDecl::Const { ty, value: ConstValue::Int(value), .. }) => {
                return int(*value, ty.clone(), span);
            }
            Some(ValueDecl::Const { value: ConstValue::Str(text), .. }) => {
                return string(text, span);
            }
            Some(ValueDecl::Param(id)) => {
                self.pass.used_params.insert(*id);
                let ty = self.hir().params[*id].ty.clone();
                return Expr { kind: ExprKind::Param(*id), ty, span };
            }
            Some(ValueDecl::Enumerator(id, index)) => return self.enumerator(*id, *index, span),
            Some(ValueDecl::Error) => return error(span),
            None => {}
        }
        match builtins::find(name).map(|info| (info, info.what)) {
            Some((_, What::Value(_))) if self.refuses_call(name, span) => error(span),
            Some((_, What::Value(builtin))) => self.builtin(builtin, span),
            Some((info, What::Call(..))) => self.fail(
                Diagnostic::new(Code::E0230, span, format!("`{name}` is a function"))
                    .label("expected a value")
                    .help(format!("it is used as `{}`", info.usage)),
            ),
            None if name == "skb" => self.skb_alone(name, span),
            None => self.unknown_name(name, span),
        }
    }

    pub(super) fn unknown_name(&mut self, name: &Name, span: Span) -> Expr {
        if let Some(diagnostic) = unbuilt::builtin(name, span) {
            return self.fail(diagnostic);
        }
        let mut diagnostic = Diagnostic::new(Code::E0120, span, format!("unknown name `{name}`"))
            .label("not a builtin, constant, parameter or enumerator");
        let decls = self.pass.decls;
        let known = decls.values.keys().map(Name::as_str);
        if self.vars.find(name).is_some() {
            diagnostic = diagnostic.write(span, format!("${name}"));
        } else if self.probe.args.iter().any(|arg| arg.name == *name) {
            diagnostic = diagnostic.write(span, format!("args.{name}"));
        } else if let Some(near) = self.nearest(name, builtins::all().map(|i| i.name).chain(known))
        {
            diagnostic = diagnostic.fix(format!("did you mean `{near}`?"), span, near);
        }
        self.fail(diagnostic)
    }

    pub(super) fn builtin(&mut self, builtin: Builtin, span: Span) -> Expr {
        if let Some(ty) = builtins::ty(builtin) {
            return Expr { kind: ExprKind::Builtin(builtin), ty, span };
        }
        let Some(TypeDecl::Mirror(id)) = self.pass.decls.types.get(TASK_MIRROR) else {
            return self.fail(
                Diagnostic::new(
                    Code::E0323,
                    span,
                    format!("`curtask` is seen through `{TASK_MIRROR}`, which is not imported"),
                )
                .label("no mirror for it here")
                .fix(
                    "add `import \"task\";`",
                    Self::top_of_file(span),
                    "import \"task\";\n",
                ),
            );
        };
        self.use_mirror(*id, span);
        let ty = Ty::Ptr(Pointee::Mirror(*id));
        Expr { kind: ExprKind::Builtin(builtin), ty, span }
    }

    /// The empty span before everything else in a file, where an import goes.
    pub(super) fn top_of_file(span: Span) -> Span {
        Span::new(span.file, 0, 0)
    }

    pub(super) fn enumerator(&mut self, id: EnumId, index: u32, span: Span) -> Expr {
        self.use_enum(id, span);
        let decl = &self.hir().enums[id];
        let ty = Ty::Enum(id);
        match decl.enumerators.get(index as usize).map(|e| &e.value) {
            Some(EnumeratorValue::Const(value)) => int(*value, ty, span),
            Some(EnumeratorValue::Kernel { .. }) => {
                Expr { kind: ExprKind::Enumerator(id, index), ty, span }
            }
            None => error(span),
        }
    }

    pub(super) fn local(&mut self, name: &Name, span: Span) -> Expr {
        let Some(id) = self.vars.find(name) else {
            return self.unknown_local(name, span);
        };
        self.vars.facts_mut(id).read = true;
        if self.locals[id].ty == Ty::Error && self.vars.facts(id).typed {
            return error(span);
        }
        if !self.vars.assigned.contains(&id) && !self.unreachable {
            let declared = self.locals[id].span;
            let diagnostic = Diagnostic::new(
                Code::E0126,
                span,
                format!("`${name}` is read before it has a value on every path"),
            )
            .label("may have no value here")
            .secondary(declared, "declared here")
            .help(format!("give it a value where it is declared: `let ${name} = 0;`"));
            return self.fail(diagnostic);
        }
        Expr { kind: ExprKind::Local(id), ty: self.locals[id].ty.clone(), span }
    }

    pub(super) fn unknown_local(&mut self, name: &Name, span: Span) -> Expr {
        if self.pass.left_out.mention(&format!("${name}")) {
            return error(span);
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.fail(unbuilt::unbuilt("an argument of the command line", span));
        }
        let mut diagnostic =
            Diagnostic::new(Code::E0121, span, format!("unknown variable `${name}`"))
                .label("not assigned before");
        if let Some(gone) = self.vars.gone(name) {
            diagnostic = diagnostic
                .secondary(gone, "this one ends with its block")
                .help(format!("declare it before the block: `let ${name};`"));
        } else if let Some(near) = self.nearest(name, self.vars.names()) {
            diagnostic =
                diagnostic.fix(format!("did you mean `${near}`?"), span, format!("${near}"));
        } else {
            diagnostic = diagnostic.help(format!("give it a value first: `${name} = …;`"));
        }
        self.fail(diagnostic)
    }
}
