//! Types as written → types.
//!
//! In: a type expression and the declarations. Out: its [`Ty`], or [`Ty::Error`] and a diagnostic. Invariant: no type that comes out is larger
//! than [`MAX_SIZE`](super::layout::MAX_SIZE).

use super::consteval;
use super::decls::{Decls, TypeDecl};
use super::hir::ConstValue;
use super::layout::{self, MAX_SIZE};
use super::suggest::nearest;
use super::types::{IntTy, Pointee, Ty};
use crate::diag::{Code, Diagnostic, Diags};
use crate::source::Span;
use crate::syntax::ast::{Expr, Name, TypeExpr, TypeExprKind};
use crate::uapi;
use std::sync::Arc;

/// Names that the kernel's headers give to integers, the same on every 64-bit machine: name, bits, signed.
pub const TYPEDEFS: &[(&str, u8, bool)] = &[
    ("__be16", 16, false),
    ("__be32", 32, false),
    ("__be64", 64, false),
    ("__le16", 16, false),
    ("__le32", 32, false),
    ("__le64", 64, false),
    ("__poll_t", 32, false),
    ("__sum16", 16, false),
    ("__wsum", 32, false),
    ("aio_context_t", 64, false),
    ("blk_mode_t", 32, false),
    ("blk_opf_t", 32, false),
    ("blk_status_t", 8, false),
    ("blkcnt_t", 64, false),
    ("clock_t", 64, true),
    ("clockid_t", 32, true),
    ("dev_t", 32, false),
    ("fmode_t", 32, false),
    ("gfp_t", 32, false),
    ("gid_t", 32, false),
    ("ino_t", 64, false),
    ("key_serial_t", 32, true),
    ("key_t", 32, true),
    ("ktime_t", 64, true),
    ("loff_t", 64, true),
    ("mode_t", 32, false),
    ("mqd_t", 32, true),
    ("nlink_t", 32, false),
    ("off_t", 64, true),
    ("old_time32_t", 32, true),
    ("pgoff_t", 64, false),
    ("phys_addr_t", 64, false),
    ("pid_t", 32, true),
    ("qid_t", 32, true),
    ("rwf_t", 32, true),
    ("sector_t", 64, false),
    ("time64_t", 64, true),
    ("timer_t", 32, true),
    ("uid_t", 32, false),
    ("uint", 32, false),
    ("ulong", 64, false),
    ("umode_t", 16, false),
    ("ushort", 16, false),
];

/// The names of integers that a misspelt name may have been meant for.
const WORDS: &[&str] = &[
    "bool", "char", "int", "long", "s16", "s32", "s64", "s8", "short", "u16", "u32", "u64", "u8",
    "unsigned",
];

/// Those of them that are a `long` in C, which has 32 bits on machines of 32 bits.
const LONG: &[&str] = &["aio_context_t", "clock_t", "ino_t", "off_t", "pgoff_t", "ulong"];

/// Whether one of the kernel's typedefs is of a `long`.
pub fn is_long(name: &str) -> bool {
    LONG.contains(&name)
}

/// The integer behind one of the kernel's typedefs.
pub fn typedef(name: &str) -> Option<IntTy> {
    let at = TYPEDEFS.binary_search_by(|(n, ..)| (*n).cmp(name)).ok()?;
    TYPEDEFS.get(at).map(|&(_, bits, signed)| IntTy { bits, signed })
}

/// The type that a script means by `ty`. Pointers to anything but structs point to user memory.
pub fn resolve(decls: &Decls, ty: &TypeExpr, diags: &mut Diags) -> Ty {
    Resolver { decls, diags, memory: Memory::User }.resolve(ty)
}

/// The type that a mirror or a tracepoint's argument means by `ty`. Every pointer points into the kernel; where to is known for structs only, and
/// what else there is goes by its type's name, such as `char`.
pub fn resolve_kernel(decls: &Decls, ty: &TypeExpr, diags: &mut Diags) -> Ty {
    Resolver { decls, diags, memory: Memory::Kernel }.resolve(ty)
}

/// Whose memory a pointer to something that is no struct points to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    User,
    Kernel,
}

struct Resolver<'a> {
    decls: &'a Decls,
    diags: &'a mut Diags,
    memory: Memory,
}

impl Resolver<'_> {
    fn resolve(&mut self, ty: &TypeExpr) -> Ty {
        let resolved = self.kind(ty);
        let size = layout::of(&self.decls.hir, &resolved).size;
        if size > MAX_SIZE {
            return self.error(too_large(ty.span, u64::from(size)));
        }
        resolved
    }

    fn kind(&mut self, ty: &TypeExpr) -> Ty {
        let span = ty.span;
        match &ty.kind {
            TypeExprKind::Int { bits, signed, .. } => {
                Ty::Int(IntTy { bits: *bits, signed: *signed })
            }
            // Text is never sign-extended.
            TypeExprKind::Char => Ty::Int(IntTy::U8),
            TypeExprKind::Bool => Ty::Bool,
            TypeExprKind::Str => Ty::Str(self.decls.config.max_strlen),
            TypeExprKind::Name(name) => self.bare(name, span),
            TypeExprKind::Struct(name) => self.by_value(&name.name, span),
            TypeExprKind::Enum(name) => match self.decls.types.get(&name.name) {
                Some(TypeDecl::Enum(id)) => Ty::Enum(*id),
                Some(TypeDecl::Error) => Ty::Error,
                _ => self.unknown("enum", &name.name, span),
            },
            TypeExprKind::Ptr(target) => self.pointer(target),
            TypeExprKind::Array(elem, len) => self.array(elem, len.as_deref(), span),
            TypeExprKind::Tuple(parts) => {
                let parts: Vec<Ty> = parts.iter().map(|part| self.resolve(part)).collect();
                if parts.contains(&Ty::Error) { Ty::Error } else { Ty::Tuple(Arc::from(parts)) }
            }
            TypeExprKind::Void => self.no_value("`void` has no value", span),
            TypeExprKind::Func(..) => {
                self.no_value("a function is no value; a pointer to it is", span)
            }
            TypeExprKind::Union(_) | TypeExprKind::Anonymous(..) => {
                self.no_value("a union or an anonymous struct cannot be a value's type", span)
            }
            TypeExprKind::Error => Ty::Error,
        }
    }

    fn bare(&mut self, name: &Name, span: Span) -> Ty {
        if self.decls.types.contains_key(name) {
            return self.by_value(name, span);
        }
        typedef(name).map_or_else(|| self.unknown("type", name, span), Ty::Int)
    }

    /// A declared type's value.
    fn by_value(&mut self, name: &Name, span: Span) -> Ty {
        match self.decls.types.get(name) {
            Some(TypeDecl::Struct(id)) => Ty::Struct(*id),
            Some(TypeDecl::Mirror(id)) => Ty::Mirror(*id),
            Some(TypeDecl::Enum(id)) => Ty::Enum(*id),
            Some(TypeDecl::Error) => Ty::Error,
            Some(TypeDecl::Kernel) => self.no_value(
                &format!("`struct {name}` is the kernel's: only a pointer to it is a value"),
                span,
            ),
            None => self.unknown("struct", name, span),
        }
    }

    fn pointer(&mut self, target: &TypeExpr) -> Ty {
        match &target.kind {
            TypeExprKind::Struct(name) => self.struct_pointer(&name.name, target.span),
            TypeExprKind::Name(name) if self.is_struct(name) => {
                self.struct_pointer(name, target.span)
            }
            TypeExprKind::Error => Ty::Error,
            _ if self.memory == Memory::Kernel => Ty::Ptr(Pointee::Kernel(kernel_name(target))),
            TypeExprKind::Char => Ty::Ptr(Pointee::UserStr),
            TypeExprKind::Void | TypeExprKind::Func(..) => {
                Ty::Ptr(Pointee::User(Arc::new(Ty::Void)))
            }
            TypeExprKind::Union(name) => Ty::Ptr(Pointee::Kernel(name.name.clone())),
            _ => match self.resolve(target) {
                Ty::Error => Ty::Error,
                target => Ty::Ptr(Pointee::User(Arc::new(target))),
            },
        }
    }

    fn is_struct(&self, name: &Name) -> bool {
        matches!(
            self.decls.types.get(name),
            Some(TypeDecl::Struct(_) | TypeDecl::Mirror(_) | TypeDecl::Kernel)
        )
    }

    /// A pointer to a struct that no declaration names is one into the kernel, unless the name says that it should be a mirror's.
    fn struct_pointer(&mut self, name: &Name, span: Span) -> Ty {
        match self.decls.types.get(name) {
            Some(TypeDecl::Mirror(id)) => Ty::Ptr(Pointee::Mirror(*id)),
            Some(TypeDecl::Struct(id)) => Ty::Ptr(Pointee::User(Arc::new(Ty::Struct(*id)))),
            Some(TypeDecl::Error) => Ty::Error,
            Some(TypeDecl::Enum(_)) => self.unknown("struct", name, span),
            None if name.ends_with("_user") => self.unknown("mirror", name, span),
            Some(TypeDecl::Kernel) | None => Ty::Ptr(Pointee::Kernel(name.clone())),
        }
    }

    fn array(&mut self, elem: &TypeExpr, len: Option<&Expr>, span: Span) -> Ty {
        let Some(len) = len else {
            return self.error(
                Diagnostic::new(Code::E0203, span, "an array needs a length here")
                    .label("expected a number between the brackets"),
            );
        };
        let elem_ty = self.resolve(elem);
        let Some(count) = self.length(len) else { return Ty::Error };
        let bytes = u64::from(layout::of(&self.decls.hir, &elem_ty).size.max(1))
            .saturating_mul(u64::from(count));
        if bytes > u64::from(MAX_SIZE) {
            return self.error(too_large(span, bytes));
        }
        match elem_ty {
            Ty::Error => Ty::Error,
            _ if matches!(elem.kind, TypeExprKind::Char) => Ty::Str(count),
            elem => Ty::Array(Arc::new(elem), count),
        }
    }

    fn length(&mut self, len: &Expr) -> Option<u32> {
        let (ty, ConstValue::Int(value)) = consteval::eval(self.decls, len, self.diags)? else {
            self.error(Diagnostic::new(Code::E0205, len.span, "an array's length is a number"));
            return None;
        };
        let negative = matches!(ty, Ty::Int(int) if int.signed) && value.cast_signed() < 0;
        if value == 0 || negative {
            let message = "an array has at least one element";
            self.error(Diagnostic::new(Code::E0203, len.span, message));
            return None;
        }
        Some(u32::try_from(value).unwrap_or(u32::MAX))
    }

    fn unknown(&mut self, what: &str, name: &Name, span: Span) -> Ty {
        let mut diagnostic = Diagnostic::new(Code::E0101, span, format!("unknown {what} `{name}`"));
        let declared = self.decls.types.keys().map(Name::as_str);
        let ints = TYPEDEFS.iter().map(|(name, ..)| *name).chain(WORDS.iter().copied());
        let known: Vec<&str> =
            if what == "type" { declared.chain(ints).collect() } else { declared.collect() };
        if let Some(file) = uapi::file_that_declares(name) {
            diagnostic = diagnostic.help(format!("the library has it: `import \"{file}\";`"));
        } else if let Some(near) = nearest(name, known) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else {
            let word = if what == "enum" { "enum" } else { "struct" };
            diagnostic = diagnostic
                .help(format!("declare it, `{word} {name} {{ … }}`, or import the file that does"));
        }
        self.error(diagnostic)
    }

    fn no_value(&mut self, message: &str, span: Span) -> Ty {
        self.error(Diagnostic::new(Code::E0201, span, message))
    }

    fn error(&mut self, diagnostic: Diagnostic) -> Ty {
        self.diags.push(diagnostic);
        Ty::Error
    }
}

/// What a pointer into the kernel points to, where it is no struct: by the type's name, for messages.
fn kernel_name(target: &TypeExpr) -> Name {
    match &target.kind {
        TypeExprKind::Char => Name::new_static("char"),
        TypeExprKind::Bool => Name::new_static("bool"),
        TypeExprKind::Int { bits, signed, .. } => {
            super::show::int(IntTy { bits: *bits, signed: *signed }).into()
        }
        TypeExprKind::Name(name) => name.clone(),
        TypeExprKind::Struct(name) | TypeExprKind::Union(name) | TypeExprKind::Enum(name) => {
            name.name.clone()
        }
        TypeExprKind::Void
        | TypeExprKind::Str
        | TypeExprKind::Anonymous(..)
        | TypeExprKind::Ptr(_)
        | TypeExprKind::Array(..)
        | TypeExprKind::Func(..)
        | TypeExprKind::Tuple(_)
        | TypeExprKind::Error => Name::new_static("void"),
    }
}

/// Whether [`Pointee::Kernel`] of this name is something other than a struct, as [`resolve_kernel`] names it.
pub fn is_scalar_name(name: &str) -> bool {
    let int =
        name.strip_prefix(['u', 's']).is_some_and(|bits| matches!(bits, "8" | "16" | "32" | "64"));
    int || matches!(name, "char" | "bool" | "void") || typedef(name).is_some()
}

fn too_large(span: Span, bytes: u64) -> Diagnostic {
    Diagnostic::new(Code::E0203, span, format!("this type takes {bytes} bytes"))
        .label(format!("expected at most {MAX_SIZE} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(TYPEDEFS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
