//! Reading: files → [`Library`].
//!
//! The declarations are those that [`decls`] collects; this walks the items of the files, which have the order and the comments, and looks each up there.

use super::{
    Alternative, Argument, Constant, Enum, Enumerator, Field, File, Library, Mirror, Tracepoint,
    Type,
};
use crate::diag::Diags;
use crate::sema::Numbers;
use crate::sema::decls::{self, Decls, TypeDecl, ValueDecl};
use crate::sema::hir::{self, ConstValue, EnumeratorValue, Hir};
use crate::sema::imports::{self, Importer, LoadedFile};
use crate::sema::layout;
use crate::sema::types::{IntTy, Pointee, Ty};
use crate::source::{Origin, Sources, Span};
use crate::syntax::ast::{EnumDecl, Item, ItemKind, Name, StructDecl, StructKind, TracepointDecl};
use crate::syntax::{CommentKind, Trivia};
use crate::uapi;

impl Library {
    /// The library that is embedded in the compiler.
    pub fn embedded() -> Library {
        let names: Vec<&str> = uapi::names().collect();
        let (library, _) = Library::read(&mut Sources::new(), &names, &mut imports::Library);
        library
    }

    /// What files offer, by the names that `import` has for them; what they import beside is no part of it. Where there are errors, what they are about is left out.
    pub fn read(
        sources: &mut Sources,
        names: &[&str],
        importer: &mut dyn Importer,
    ) -> (Library, Diags) {
        let imports: Vec<String> =
            names.iter().map(|name| format!("import \"{name}\";\n")).collect();
        let root = sources.add("the library".to_owned(), imports.concat(), Origin::Uapi);
        let named: Vec<(String, &str)> = names
            .iter()
            .filter_map(|name| Some((importer.find(name, root, sources).ok()?.name, *name)))
            .collect();
        let (files, mut diags) = imports::load(sources, root, importer, |_| None);
        let (decls, findings) = decls::collect(sources, &files, Numbers::default());
        diags.extend(findings);
        let mut library = Library::default();
        for (file_name, name) in &named {
            let loaded = files.iter().find(|file| sources.file(file.file).name == *file_name);
            if let Some(file) = loaded {
                Reader { sources, decls: &decls, file, name }.read(&mut library);
            }
        }
        (library, diags)
    }
}

/// One file that is being read.
struct Reader<'a> {
    sources: &'a Sources,
    decls: &'a Decls,
    file: &'a LoadedFile,
    name: &'a str,
}

impl Reader<'_> {
    fn read(&self, library: &mut Library) {
        library.files.push(File { name: self.name.to_owned(), doc: self.opening() });
        for item in &self.file.parsed.file.items {
            match &item.kind {
                ItemKind::Struct(decl) if decl.kind == StructKind::Struct => {
                    library.mirrors.extend(self.mirror(item, decl));
                }
                ItemKind::Enum(decl) => library.enums.extend(self.enumeration(item, decl)),
                ItemKind::Const(decl) => {
                    library.constants.extend(self.constant(item, &decl.name.name));
                }
                ItemKind::Tracepoint(decl) => {
                    library.tracepoints.extend(self.tracepoint(item, decl));
                }
                // What kernels have is no promise, and what scripts may have beside is none of the library's.
                ItemKind::Struct(_)
                | ItemKind::Prototype(_)
                | ItemKind::Import(_)
                | ItemKind::Config(_)
                | ItemKind::Map(_)
                | ItemKind::Param(_)
                | ItemKind::Fn(_)
                | ItemKind::Probe(_)
                | ItemKind::Error => {}
            }
        }
    }

    fn trivia(&self) -> &Trivia {
        &self.file.parsed.trivia
    }

    fn doc(&self, span: Span) -> Option<String> {
        self.trivia().doc_before(span, self.sources)
    }

    /// The comment that the file opens with, up to a blank line.
    fn opening(&self) -> Option<String> {
        let text = &self.sources.file(self.file.file).text;
        let lines = text.lines().map_while(|line| line.strip_prefix("//")).map(str::trim);
        let doc = lines.collect::<Vec<_>>().join("\n");
        (!doc.is_empty()).then_some(doc)
    }

    fn mirror(&self, item: &Item, decl: &StructDecl) -> Option<Mirror> {
        let hir = &self.decls.hir;
        let mirror = &hir.mirrors[self.decls.mirror(&decl.name.name)?];
        let fields = mirror.fields.iter().filter_map(|field| {
            let (size, _) = layout::size_align(hir, &field.ty);
            Some(Field {
                name: field.name.to_string(),
                ty: self.ty(&field.ty)?,
                offset: field.offset,
                size,
                optional: field.optional,
                doc: field.doc.clone(),
                alternatives: field.alternatives.iter().map(|a| self.alternative(a)).collect(),
            })
        });
        Some(Mirror {
            name: mirror.name.to_string(),
            kernel: mirror.kernel.to_string(),
            file: self.name.to_owned(),
            doc: self.doc(item.span),
            size: mirror.size,
            align: mirror.align,
            fields: fields.collect(),
        })
    }

    fn alternative(&self, alternative: &hir::Alternative) -> Alternative {
        Alternative {
            text: self.code(alternative.span),
            note: self.note(alternative.span),
            value: alternative.clone(),
        }
    }

    /// A piece of code on one line, without the comments in it.
    fn code(&self, span: Span) -> String {
        let mut code = String::new();
        let mut from = span.start;
        for comment in self.trivia().comments_in(span.start, span.end) {
            code.push_str(self.sources.text(Span { start: from, end: comment.span.start, ..span }));
            from = comment.span.end;
        }
        code.push_str(self.sources.text(Span { start: from, ..span }));
        one_line(&code)
    }

    /// The comment behind something on its line.
    fn note(&self, span: Span) -> Option<String> {
        let text = self.sources.file(span.file).text.get(span.end as usize..)?;
        let end = text.find('\n').unwrap_or(text.len());
        let end = span.end.saturating_add(u32::try_from(end).ok()?);
        let comments = self.trivia().comments_in(span.end, end);
        let comment = comments.iter().find(|c| c.kind == CommentKind::Line && c.trailing)?;
        let note = self.sources.text(comment.span).trim_start_matches('/').trim();
        Some(note.to_owned())
    }

    fn enumeration(&self, item: &Item, decl: &EnumDecl) -> Option<Enum> {
        let Some(TypeDecl::Enum(id)) = self.decls.types.get(&decl.name.name) else { return None };
        let found = &self.decls.hir.enums[*id];
        let enumerators = found.enumerators.iter().map(|enumerator| {
            let written = decl.enumerators.iter().find(|e| e.name.name == enumerator.name);
            let (value, sources, optional) = match &enumerator.value {
                EnumeratorValue::Const(value) => (Some(number(found.repr, *value)), &[][..], false),
                EnumeratorValue::Kernel { names, optional } => (None, &**names, *optional),
            };
            Enumerator {
                name: enumerator.name.to_string(),
                doc: written.and_then(|written| self.doc(written.name.span)),
                value,
                sources: sources.iter().map(Name::to_string).collect(),
                optional,
            }
        });
        Some(Enum {
            name: found.name.to_string(),
            kernel: found.kernel.as_ref().map(Name::to_string),
            file: self.name.to_owned(),
            doc: self.doc(item.span),
            repr: Type::Int(found.repr),
            enumerators: enumerators.collect(),
        })
    }

    fn constant(&self, item: &Item, name: &Name) -> Option<Constant> {
        let Some(ValueDecl::Const { ty, value, .. }) = self.decls.values.get(name) else {
            return None;
        };
        let value = match (value, ty) {
            (ConstValue::Str(text), _) => format!("{text:?}"),
            (ConstValue::Int(value), Ty::Int(int)) => number(*int, *value).to_string(),
            (ConstValue::Int(value), _) => value.to_string(),
        };
        Some(Constant {
            name: name.to_string(),
            file: self.name.to_owned(),
            value,
            doc: self.doc(item.span),
        })
    }

    fn tracepoint(&self, item: &Item, decl: &TracepointDecl) -> Option<Tracepoint> {
        let tracepoint = self.decls.tracepoints.get(&decl.name.name)?;
        let args = tracepoint.args.iter().filter_map(|arg| {
            Some(Argument {
                name: arg.name.to_string(),
                ty: self.ty(&arg.ty)?,
                optional: arg.arg.nullable,
                names: arg.arg.names.iter().map(Name::to_string).collect(),
            })
        });
        let sources = decl.sources.iter().map(|s| format!("{} {}", s.kind.name, s.target.name));
        Some(Tracepoint {
            name: decl.name.name.to_string(),
            file: self.name.to_owned(),
            doc: self.doc(item.span),
            args: args.collect(),
            sources: sources.collect(),
        })
    }

    /// A type that a field or argument can have.
    fn ty(&self, ty: &Ty) -> Option<Type> {
        let hir: &Hir = &self.decls.hir;
        Some(match ty {
            Ty::Bool => Type::Bool,
            Ty::Int(int) => Type::Int(*int),
            Ty::Enum(id) => {
                let hir::Enum { name, repr, .. } = &hir.enums[*id];
                Type::Enum(name.to_string(), *repr)
            }
            Ty::Str(len) => Type::Chars(*len),
            Ty::Array(element, len) => Type::Array(Box::new(self.ty(element)?), *len),
            Ty::Ptr(Pointee::Mirror(id)) => Type::Mirror(hir.mirrors[*id].name.to_string()),
            Ty::Ptr(Pointee::Kernel(name)) => Type::Kernel(name.to_string()),
            Ty::Ptr(Pointee::UserStr | Pointee::User(_))
            | Ty::Error
            | Ty::Void
            | Ty::Tuple(_)
            | Ty::Struct(_)
            | Ty::Mirror(_) => return None,
        })
    }
}

/// The number that 64 bits hold.
fn number(int: IntTy, value: u64) -> i128 {
    if int.signed { i128::from(value.cast_signed()) } else { i128::from(value) }
}

/// Text on one line, with single blanks.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
