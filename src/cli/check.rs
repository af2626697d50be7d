//! `ubpfc check FILE… --kernel K…`: which programs run on which kernels, and why not.

mod document;
mod grid;
mod kernels;
mod matrix;
mod sarif;
mod table;

use self::grid::{Grid, Reason, Status};
use super::Exit;
use super::files::{FileImporter, note, print_json, print_text, read_any, shown};
use super::messages::{Findings, FormatArg, Stop};
use crate::atlas::Atlas;
use crate::check::{File, check};
use crate::diag::{Code, Diagnostic};
use crate::driver::{self, Emit};
use crate::relocate::examine::Covers;
use crate::relocate::{Options, Policy, Refusal, Subject};
use crate::sema::Numbers;
use crate::sema::imports::Library;
use crate::source::{Origin, Sources};
use crate::target::{Endian, Target};
use anyhow::anyhow;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Args {
    /// Scripts and objects, ours or clang's
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A further kernel, as for `relocate`, or a folder of kernels' types; may be repeated
    #[arg(short, long, value_name = "KERNEL")]
    kernel: Vec<PathBuf>,
    /// Only the kernels that are named, or else the running one, and none of the atlas
    #[arg(long)]
    no_atlas: bool,
    /// The atlas of kernels, instead of the one in this program
    #[arg(long, value_name = "FILE")]
    atlas: Option<PathBuf>,
    /// The kernels show no BTF to loaders, though their files have types
    #[arg(long)]
    no_btf: bool,
    /// Programs that are not abi do not run on a kernel other than the one that they were compiled against
    #[arg(long)]
    strict_kernel: bool,
    /// Of several files, print a row for each kernel and a column for each file
    #[arg(long)]
    matrix: bool,
    /// Say of each program which event and which fields it takes on each kernel, and how large it is
    #[arg(short, long)]
    verbose: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// How to write why programs do not run
    #[arg(long, value_enum, default_value = "human")]
    message_format: CheckFormat,
    /// Look for imports of scripts in this folder too
    #[arg(short = 'I', value_name = "FOLDER")]
    import: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// With the source lines
    Human,
    /// A line each
    Short,
    /// A JSON object a line
    Json,
    /// A SARIF 2.1.0 log on standard output, in the place of the matrix
    Sarif,
}

impl CheckFormat {
    /// How diagnostics are written beside it.
    fn diagnostics(self) -> FormatArg {
        match self {
            CheckFormat::Human | CheckFormat::Sarif => FormatArg::Human,
            CheckFormat::Short => FormatArg::Short,
            CheckFormat::Json => FormatArg::Json,
        }
    }
}

/// Checks files.
pub(super) fn run(args: &Args) -> Exit {
    let result = checked(args);
    result.unwrap_or_else(|stop| stop.say(args.message_format.diagnostics()))
}

/// A file as it was read: its name, and the bytes of its objects.
struct Input {
    name: String,
    objects: Vec<Vec<u8>>,
}

fn checked(args: &Args) -> Result<Exit, Stop> {
    if args.json && args.message_format == CheckFormat::Sarif {
        Err(anyhow!("`--json` and `--message-format sarif` both write to standard output"))?;
    }
    let atlas = args.atlas()?;
    let places = kernels::places(&args.kernel, atlas, !args.no_atlas)?;
    let mut inputs = Vec::new();
    let mut broken = false;
    for path in &args.files {
        match input(args, path)? {
            Some(input) => inputs.push(input),
            None => broken = true,
        }
    }
    if broken {
        return Ok(Exit::Input);
    }
    let covers = atlas.map(|atlas| atlas as &dyn Covers);
    let mut files = Vec::new();
    for input in &inputs {
        let objects = input.objects.iter().map(|bytes| Subject::parse(bytes, covers));
        let objects = objects.collect::<Result<_, _>>();
        let objects = objects.map_err(|refusal: Refusal| refused(&input.name, refusal))?;
        files.push(File { name: input.name.clone(), objects });
    }
    let options = Options { policy: Policy::Strict, no_btf: args.no_btf };
    let rows = check(&files, &places, options);
    let grid = Grid::new(&files, rows, args.strict_kernel);
    args.tell(&files, &grid)?;
    Ok(exit(&grid))
}

/// What to say about an object that cannot be read.
fn refused(name: &str, refusal: Refusal) -> Stop {
    super::relocate::refused(name, None, "the kernel", crate::kernel::Form::Btf, refusal)
}

impl Args {
    /// The atlas; none where no kernel can be out of it.
    fn atlas(&self) -> Result<Option<&'static Atlas<'static>>, Stop> {
        let named = self.kernel.iter().any(|kernel| kernels::is_name(kernel));
        let wanted = named || !self.no_atlas;
        wanted.then(|| super::kernel::atlas(self.atlas.as_deref())).transpose()
    }

    /// Writes what was found: the matrix or document on standard output, and why on standard error.
    fn tell(&self, files: &[File<'_>], grid: &Grid) -> Result<(), Stop> {
        let format = self.message_format;
        if format == CheckFormat::Sarif {
            return Ok(print_json(&sarif::log(files, grid))?);
        }
        for row in &grid.rows {
            for warning in &row.warnings {
                let findings = Findings::about(&row.name, Code::W1005, warning.clone());
                format.diagnostics().report(&findings.sources, &findings.diags);
            }
            if let Some(unread) = &row.unread {
                note(&format!("ubpfc: {unread}\n"));
            }
        }
        if self.json {
            return Ok(print_json(&document::document(files, grid))?);
        }
        let table = files.len() > 1 && !self.matrix && !self.verbose;
        let shown =
            if table { table::draw(files, grid) } else { matrix::draw(files, grid, self.verbose) };
        print_text(&shown)?;
        let mut reasons: Vec<&Reason> = grid.reasons.iter().collect();
        reasons.sort_by_key(|reason| reason.file);
        for reason in reasons {
            let diags = matrix::explained(files, grid, reason);
            format.diagnostics().report(&reason.sources, &diags);
        }
        print_text(&if table { table::total(files, grid) } else { matrix::summary(files, grid) })?;
        Ok(())
    }
}

/// The status of the worst that was found.
fn exit(grid: &Grid) -> Exit {
    let any = |status| grid.cells().any(|cell| cell.programs.iter().any(|p| p.status == status));
    if grid.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.exit == Exit::Input) {
        Exit::Input
    } else if any(Status::No) {
        Exit::Kernel
    } else if grid.rows.iter().any(|row| row.unread.is_some()) {
        Exit::Usage
    } else {
        Exit::Done
    }
}

/// Reads a file, and compiles it if it is a script: for both byte orders. None if it does not compile, which has been said then.
fn input(args: &Args, path: &Path) -> Result<Option<Input>, Stop> {
    let name = shown(path);
    let text = match read_any(path)? {
        Ok(object) => return Ok(Some(Input { name, objects: vec![object] })),
        Err(text) => text,
    };
    let mut objects = Vec::new();
    for endian in [Endian::Little, Endian::Big] {
        let mut sources = Sources::new();
        let root = sources.add(name.clone(), text.clone(), Origin::User);
        let mut importer = FileImporter { folders: args.import.clone(), library: Library };
        let target = Target { endian, ..Target::default() };
        let options = driver::Options {
            emit: Emit::Obj,
            target,
            require_abi: false,
            numbers: Numbers::EMBEDDED,
        };
        let (output, mut diags) = driver::compile(&mut sources, root, &mut importer, options);
        if endian == Endian::Little {
            // It is about loaders, not about kernels: `build` says it.
            diags.forget(Code::W1002);
            args.message_format.diagnostics().report(&sources, &diags);
        }
        let Some(output) = output else { return Ok(None) };
        objects.push(output.bytes);
    }
    Ok(Some(Input { name, objects }))
}

/// A diagnostic among the findings of its own.
fn only(findings: &Findings) -> Vec<Diagnostic> {
    findings.diags.sorted().into_iter().cloned().collect()
}
