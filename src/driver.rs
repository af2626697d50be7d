//! The pipeline: from source text to an object, or to what a stage on the way made of it.
//!
//! In: a script among [`Sources`] and a way to find its imports. Out: the bytes that were asked for, and every diagnostic on the way. Invariant:
//! no bytes where there is an error.

use crate::diag::{Code, Diagnostic, Diags};
use crate::library::Library;
use crate::sema::hir::{ClassLevel, Hir};
use crate::sema::imports::Importer;
use crate::source::{FileId, Origin, Sources, Span};
use crate::target::Target;
use crate::{isa, lower, object, sema, syntax};

/// What to compile to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Emit {
    /// The tokens, one a line.
    Tokens,
    /// The syntax tree.
    Ast,
    /// The typed HIR.
    Hir,
    /// The optimised IR.
    Ir,
    /// The instructions, with their source lines and relocations.
    Asm,
    /// Every question to the target kernel, a line each.
    Relocs,
    /// The object.
    #[default]
    Obj,
}

/// How to compile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What to compile to.
    pub emit: Emit,
    /// The machine code to make.
    pub target: Target,
    /// Whether a program below class **abi** is an error.
    pub require_abi: bool,
    /// What known kernels have, which chooses instructions that loaders patch rightly.
    pub numbers: sema::Numbers,
}

/// What a compilation made.
#[derive(Debug)]
pub struct Output {
    /// The text, or the object's bytes.
    pub bytes: Vec<u8>,
    /// What an object holds, unless a text was asked for.
    pub summary: Option<Summary>,
}

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many programs.
    pub programs: usize,
    /// The lowest ABI class of them.
    pub class: ClassLevel,
    /// The slots of all programs together.
    pub insns: usize,
    /// How many of them a loader patches for the target kernel.
    pub relocs: usize,
}

/// Compiles the script `root`.
pub fn compile(
    sources: &mut Sources,
    root: FileId,
    importer: &mut dyn Importer,
    options: Options,
) -> (Option<Output>, Diags) {
    let mut diags = Diags::new();
    let output = run(sources, root, importer, options, &mut diags);
    (output.filter(|_| !diags.has_errors()), diags)
}

/// Compiles the survey of a library, which `importer` finds the files of: an object that asks a kernel everything that the library may ask, in programs that are named after
/// [`Library::questions`].
///
/// # Errors
/// What the compiler says of the survey, and its text: the library is at fault.
pub fn survey(
    library: &Library,
    importer: &mut dyn Importer,
    target: Target,
) -> Result<Vec<u8>, (Sources, Diags)> {
    let mut sources = Sources::new();
    let root = sources.add("the survey", library.survey(), Origin::User);
    let (mut hir, mut diags) = sema::analyze(&mut sources, root, importer);
    for (program, question) in hir.programs.iter_mut().zip(library.questions()) {
        program.name = question.program.into();
    }
    let options = Options { target, ..Options::default() };
    let whole = !diags.has_errors();
    let output = whole.then(|| lowered(&sources, root, &hir, options, &mut diags)).flatten();
    output.map(|output| output.bytes).ok_or((sources, diags))
}

fn run(
    sources: &mut Sources,
    root: FileId,
    importer: &mut dyn Importer,
    options: Options,
    diags: &mut Diags,
) -> Option<Output> {
    if options.emit == Emit::Tokens {
        let (tokens, found) = syntax::tokens(sources, root);
        diags.extend(found);
        return Some(text(syntax::print_tokens(sources, root, &tokens)));
    }
    if options.emit == Emit::Ast {
        let (parsed, found) = syntax::parse(sources, root);
        diags.extend(found);
        return Some(text(syntax::print_ast(&parsed.file)));
    }

    let (hir, found) = sema::analyze_knowing(sources, root, importer, options.numbers);
    diags.extend(found);
    if options.require_abi {
        diags.extend(require_abi(&hir));
    }
    if diags.has_errors() {
        return None;
    }
    if options.emit == Emit::Hir {
        return Some(text(sema::print(&hir)));
    }
    lowered(sources, root, &hir, options, diags)
}

/// What comes of an HIR without errors.
fn lowered(
    sources: &Sources,
    root: FileId,
    hir: &Hir,
    options: Options,
    diags: &mut Diags,
) -> Option<Output> {
    let target = options.target;
    let mut module = taken(lower::build(hir, target), diags)?;
    lower::optimize(&mut module);
    if options.emit == Emit::Ir {
        return Some(text(crate::ir::print(&module)));
    }

    let code = taken(lower::emit(module, hir, target), diags)?;
    let unwritable = |error| unwritable(sources, root, &error);
    match options.emit {
        Emit::Asm => {
            let listing = object::print_code(hir, &code, sources, target);
            Some(text(taken(listing.map_err(unwritable), diags)?))
        }
        Emit::Relocs => {
            let relocs = object::print_relocs(hir, &code, sources);
            Some(text(taken(relocs.map_err(unwritable), diags)?))
        }
        _ => {
            let object = object::write(hir, &code, sources, target);
            let bytes = taken(object.map_err(unwritable), diags)?;
            Some(Output { bytes, summary: Some(summary(hir, &code)) })
        }
    }
}

fn text(text: String) -> Output {
    Output { bytes: text.into_bytes(), summary: None }
}

/// The value, or its diagnostics among the others.
fn taken<T>(result: Result<T, Diags>, diags: &mut Diags) -> Option<T> {
    result.map_err(|found| diags.extend(found)).ok()
}

/// What keeps an object from being written is never at one place of the script.
fn unwritable(sources: &Sources, root: FileId, error: &object::ObjectError) -> Diags {
    let first_line = sources.file(root).line(1).len();
    let span = Span::new(root, 0, u32::try_from(first_line).unwrap_or(0));
    let mut diags = Diags::new();
    diags.push(
        Diagnostic::new(Code::E0506, span, error.to_string())
            .label("in an object made from this script"),
    );
    diags
}

fn summary(hir: &Hir, code: &isa::code::Code) -> Summary {
    let functions = || code.programs.iter().chain(&code.callbacks);
    let is_core = |r: &&isa::code::Reloc| matches!(r.kind, isa::code::RelocKind::Core(_));
    Summary {
        programs: hir.programs.len(),
        class: hir.programs.iter().map(|p| p.class.level).min().unwrap_or(ClassLevel::Abi),
        insns: functions().map(|f| f.insns.len()).sum(),
        relocs: functions().map(|f| f.relocs.iter().filter(is_core).count()).sum(),
    }
}

/// An error at whatever lowered a program below class **abi**.
fn require_abi(hir: &Hir) -> Diags {
    let mut diags = Diags::new();
    for program in hir.programs.iter().filter(|p| p.class.level != ClassLevel::Abi) {
        let level = program.class.level.as_str();
        let culprit = program.class.culprit.as_ref();
        let (span, why) = culprit.map_or((program.span, ""), |c| (c.span, c.why.as_str()));
        let message = format!("this makes the program {level}, and `--require-abi` asks for abi");
        let help = "read through mirrors and user tracepoints of the library, or compile without `--require-abi`";
        let mut diagnostic = Diagnostic::new(Code::E0399, span, message).label(why).help(help);
        if span != program.span {
            diagnostic = diagnostic.secondary(program.span, "the program");
        }
        diags.push(diagnostic);
    }
    diags
}
