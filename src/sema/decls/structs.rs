//! Structs: the script's own, kernel structs, and mirrors with their C layout and alternatives.

use super::collect::Collector;
use super::order::{Node, NodeKind};
use super::{KernelMember, TypeDecl};
use crate::diag::{Code, Diagnostic};
use crate::sema::consteval::{self, eval};
use crate::sema::hir::{ConstValue, MirrorField, MirrorId, StructField, StructId};
use crate::sema::layout::{self, MAX_SIZE, Packer};
use crate::sema::types::{Pointee, Ty};
use crate::sema::unbuilt::unbuilt;
use crate::sema::{kpath, show, typeexpr};
use crate::source::Span;
use crate::syntax::Trivia;
use crate::syntax::ast::{Expr, FieldDecl, Ident, Name, StructDecl, TypeExprKind};
use rustc_hash::FxHashMap;

impl Collector<'_> {
    // The script's own structs

    pub(super) fn script_struct(&mut self, decl: &StructDecl, id: StructId) {
        let mut fields = Vec::new();
        let mut packer = Packer::default();
        for (field, name) in self.named_fields(decl) {
            if let Some(refused) = refused_in_script_struct(field) {
                self.diags.push(refused);
                continue;
            }
            let ty = match typeexpr::resolve(&self.decls, &field.ty, &mut self.diags) {
                ty @ Ty::Mirror(_) => {
                    let message = format!(
                        "a mirror is not kept as a whole in a struct: `{}`",
                        show::ty(&self.decls.hir, &ty)
                    );
                    self.diags.push(
                        Diagnostic::new(Code::E0201, field.ty.span, message)
                            .help("keep a pointer to it, or the fields that are needed"),
                    );
                    Ty::Error
                }
                ty => ty,
            };
            let offset = packer.push(layout::of(&self.decls.hir, &ty));
            fields.push(StructField { name: name.name.clone(), ty, offset });
        }
        let layout = packer.finish();
        let broken = self.too_large(&decl.name, layout.size) || fields.is_empty();
        let entry = &mut self.decls.hir.structs[id];
        (entry.fields, entry.size, entry.align) = (fields, layout.size, layout.align);
        if broken {
            self.decls.types.insert(decl.name.name.clone(), TypeDecl::Error);
        }
    }

    /// The members that have names of their own. Reports a struct without members, and names that are there twice.
    fn named_fields<'a>(&mut self, decl: &'a StructDecl) -> Vec<(&'a FieldDecl, &'a Ident)> {
        if decl.fields.is_empty() {
            let message = format!("struct `{}` has no members", decl.name.name);
            self.diags.push(
                Diagnostic::new(Code::E0206, decl.name.span, message)
                    .label("expected at least one member"),
            );
        }
        let mut seen: FxHashMap<&Name, Span> = FxHashMap::default();
        let mut fields = Vec::new();
        for field in &decl.fields {
            let Some(name) = &field.name else {
                match field.ty.kind {
                    // A diagnostic was given for it.
                    TypeExprKind::Error => {}
                    TypeExprKind::Anonymous(..) => self
                        .diags
                        .push(unbuilt("an anonymous struct in a script's own struct", field.span)),
                    _ => self.diags.push(
                        Diagnostic::new(Code::E0209, field.span, "this member has no name")
                            .label("expected a name before the `:`")
                            .help("a bitfield is declared as in C: `bool in_iowait : 1;`"),
                    ),
                }
                continue;
            };
            if let Some(first) = seen.get(&name.name) {
                let message = format!("`{}` has two members named `{}`", decl.name.name, name.name);
                self.diags.push(
                    Diagnostic::new(Code::E0207, name.span, message)
                        .label("the second one")
                        .secondary(*first, "the first one"),
                );
                continue;
            }
            seen.insert(&name.name, name.span);
            fields.push((field, name));
        }
        fields
    }

    fn too_large(&mut self, name: &Ident, size: u32) -> bool {
        let large = size > MAX_SIZE;
        if large {
            self.diags.push(
                Diagnostic::new(
                    Code::E0203,
                    name.span,
                    format!("struct `{}` takes {size} bytes", name.name),
                )
                .label(format!("expected at most {MAX_SIZE} bytes")),
            );
        }
        large
    }

    // Kernel structs

    pub(super) fn kernel_struct(&mut self, decl: &StructDecl) {
        if let Some(mirrors) = &decl.mirrors {
            let message = "a kernel struct mirrors nothing: it is the kernel's own";
            self.diags.push(Diagnostic::new(Code::E0304, mirrors.span, message));
        }
        self.decls.kernel.entry(decl.name.name.clone()).or_default();
        self.kernel_members(&decl.name.name, &decl.fields);
    }

    /// Adds members, those of anonymous structs as the struct's own.
    fn kernel_members(&mut self, of: &Name, fields: &[FieldDecl]) {
        for field in fields {
            if let Some(e) = field.sources.first() {
                let message =
                    "a member of a kernel struct is the kernel's: it has a type, and no source";
                self.diags.push(Diagnostic::new(Code::E0304, e.span, message));
            }
            match (&field.name, &field.ty.kind) {
                (None, TypeExprKind::Anonymous(_, inner)) => self.kernel_members(of, inner),
                (Some(name), _) => self.kernel_member(of, name, field),
                (None, _) => {}
            }
        }
    }

    fn kernel_member(&mut self, of: &Name, name: &Ident, field: &FieldDecl) {
        let bits = match &field.bits {
            None => None,
            Some(bits) => match self.bit_width(bits, 64) {
                Some(bits) => Some(bits),
                None => return,
            },
        };
        let member = KernelMember { ty: field.ty.clone(), bits, span: field.span };
        let members = &mut self.decls.kernel.entry(of.clone()).or_default().members;
        let Some(first) = members.get(&name.name) else {
            members.insert(name.name.clone(), member);
            return;
        };
        if first.bits != bits || !kpath::same_type(&first.ty, &field.ty) {
            let first = first.span;
            self.diags.push(
                Diagnostic::new(
                    Code::E0303,
                    field.span,
                    format!("`{}` of kernel struct `{of}` is declared in two ways", name.name),
                )
                .label("differs from the first declaration")
                .secondary(first, "the first declaration"),
            );
        }
    }

    /// The width of a bitfield.
    fn bit_width(&mut self, bits: &Expr, most: u8) -> Option<u8> {
        let (ty, value) = eval(&self.decls, bits, &mut self.diags)?;
        let width = match value {
            ConstValue::Int(value) => u8::try_from(consteval::signed_value(&ty, value)).ok(),
            ConstValue::Str(_) => None,
        };
        let width = width.filter(|w| (1..=most).contains(w));
        if width.is_none() {
            self.diags.push(
                Diagnostic::new(Code::E0208, bits.span, "a bitfield cannot have this width")
                    .label(format!("expected a number of bits from 1 to {most}")),
            );
        }
        width
    }

    // Mirrors

    /// Fields and layout; alternatives come when all constants are there.
    pub(super) fn mirror(&mut self, decl: &StructDecl, id: MirrorId, trivia: &Trivia) {
        let mut fields = Vec::new();
        let mut packer = Packer::default();
        for (field, name) in self.named_fields(decl) {
            let ty = typeexpr::resolve_kernel(&self.decls, &field.ty, &mut self.diags);
            let ty = self.mirror_type(ty, field);
            fields.push(MirrorField {
                name: name.name.clone(),
                offset: packer.push(layout::of(&self.decls.hir, &ty)),
                ty,
                optional: field.optional,
                alternatives: Vec::new(),
                doc: trivia.doc_before(field.span, self.sources),
                span: field.span,
            });
        }
        let layout = packer.finish();
        let broken = self.too_large(&decl.name, layout.size) || fields.is_empty();
        let entry = &mut self.decls.hir.mirrors[id];
        (entry.fields, entry.size, entry.align) = (fields, layout.size, layout.align);
        if broken {
            self.decls.types.insert(decl.name.name.clone(), TypeDecl::Error);
        }
    }

    /// What a mirror's field can be: what is read from the kernel by value, or a pointer to go on from.
    fn mirror_type(&mut self, ty: Ty, field: &FieldDecl) -> Ty {
        let readable = match &ty {
            Ty::Error
            | Ty::Bool
            | Ty::Int(_)
            | Ty::Enum(_)
            | Ty::Str(_)
            | Ty::Ptr(Pointee::Mirror(_) | Pointee::Kernel(_)) => true,
            Ty::Array(elem, _) => matches!(**elem, Ty::Int(_) | Ty::Bool),
            Ty::Struct(_) | Ty::Mirror(_) => {
                self.diags.push(unbuilt("a struct as a mirror's field", field.ty.span));
                return Ty::Error;
            }
            Ty::Void | Ty::Tuple(_) | Ty::Ptr(Pointee::UserStr | Pointee::User(_)) => false,
        };
        if readable {
            return ty;
        }
        let message = format!("a mirror's field cannot be `{}`", show::ty(&self.decls.hir, &ty));
        self.diags.push(
            Diagnostic::new(Code::E0201, field.ty.span, message)
                .label("expected an integer, a bool, an enum, `char[N]`, an array of integers, or a pointer to a kernel struct or its mirror"),
        );
        Ty::Error
    }

    /// Gives every mirror's fields their alternatives.
    pub(super) fn finish_mirrors(&mut self, nodes: &[Node<'_>]) {
        for node in nodes {
            if let NodeKind::Mirror(decl, id) = node.kind {
                for index in 0..self.decls.hir.mirrors[id].fields.len() {
                    self.alternatives(decl, id, index);
                }
            }
        }
    }

    fn alternatives(&mut self, decl: &StructDecl, id: MirrorId, index: usize) {
        let mirror = &self.decls.hir.mirrors[id];
        let (kernel, entry) = (mirror.kernel.clone(), &mirror.fields[index]);
        let (ty, optional, span) = (entry.ty.clone(), entry.optional, entry.span);
        let written =
            decl.fields.iter().find(|f| f.name.as_ref().is_some_and(|n| n.name == entry.name));
        let Some((field, name)) = written.and_then(|f| Some((f, f.name.as_ref()?))) else { return };
        if ty == Ty::Error {
            return;
        }
        let bits = match &field.bits {
            None => None,
            Some(bits) => match self.field_width(&ty, bits) {
                Some(bits) => Some(bits),
                None => return,
            },
        };
        let target = kpath::Field { kernel: &kernel, ty: &ty, bits, optional, span };
        let (decls, diags) = (&self.decls, &mut self.diags);
        let alternatives = if field.sources.is_empty() {
            kpath::member(decls, self.sources, &target, name, diags).into_iter().collect()
        } else {
            let last = field.sources.len() - 1;
            (field.sources.iter().enumerate())
                .filter_map(|(i, written)| {
                    kpath::alternative(decls, self.sources, &target, written, i == last, diags)
                })
                .collect()
        };
        self.decls.hir.mirrors[id].fields[index].alternatives = alternatives;
    }

    fn field_width(&mut self, ty: &Ty, bits: &Expr) -> Option<u8> {
        let most = match ty {
            Ty::Int(int) => int.bits,
            Ty::Enum(id) => self.decls.hir.enums[*id].repr.bits,
            Ty::Bool => 32,
            _ => {
                let message =
                    format!("`{}` cannot come from a bitfield", show::ty(&self.decls.hir, ty));
                self.diags.push(
                    Diagnostic::new(Code::E0208, bits.span, message)
                        .label("expected a number or a bool before the width"),
                );
                return None;
            }
        };
        self.bit_width(bits, most)
    }
}

/// What only mirrors can have.
fn refused_in_script_struct(field: &FieldDecl) -> Option<Diagnostic> {
    let help = "a struct that mirrors a kernel struct is named after it, `NAME_user`, or says `mirrors NAME`";
    if let Some(source) = field.sources.first() {
        let message = "only a mirror's fields come from somewhere";
        return Some(Diagnostic::new(Code::E0304, source.span, message).help(help));
    }
    if field.optional {
        let message = "only a mirror's fields can be missing";
        return Some(Diagnostic::new(Code::E0304, field.span, message).help(help));
    }
    field.bits.as_ref().map(|bits| unbuilt("a bitfield in a script's own struct", bits.span))
}
