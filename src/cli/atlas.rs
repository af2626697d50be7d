//! `ubpfc atlas build K… -o FILE` and `ubpfc atlas show`: atlases, which tell of many kernels in one small file.

use super::Exit;
use super::files::{note, print_json, print_text, read_object, shown, write_product};
use super::inspect;
use super::kernel;
use super::messages::{Findings, FormatArg, Stop};
use super::text::{Align, Table, bold, plural};
use crate::atlas::{Atlas, BuildError, Entry, Given, build};
use crate::diag::Code;
use crate::driver;
use crate::kernel::Kernel;
use crate::library::Library;
use crate::object::read::Object;
use crate::relocate;
use crate::sema::imports;
use crate::target::{Endian, Target};
use anyhow::anyhow;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The version of the document that `show --json` prints; it changes when a member goes away or means something else.
const VERSION: u32 = 1;

/// Arguments of `atlas`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an atlas of kernels: what they answer to everything that the library may ask.
    Build(BuildArgs),
    /// List the kernels of an atlas.
    Show(ShowArgs),
    /// Print the integers that all kernels of an atlas agree about, by which the compiler chooses instructions.
    Numbers(NumbersArgs),
}

#[derive(Debug, clap::Args)]
struct NumbersArgs {
    /// The atlas [default: the one in this program]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// Files with the types of kernels (BTF, vmlinux, vmlinuz, also packed), called ARCHITECTURE-RELEASE; of a folder, all of its files `*.btf` and `*.btf.*`
    #[arg(value_name = "KERNEL", required = true, num_args = 1..)]
    kernels: Vec<PathBuf>,
    /// Objects whose questions are asked as well
    #[arg(long = "for", value_name = "FILE.o", num_args = 1..)]
    objects: Vec<PathBuf>,
    /// Where to write the atlas
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The atlas [default: the one in this program]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// Makes an atlas, or lists what is in one.
pub(super) fn run(args: &Args) -> Exit {
    let (done, format) = match &args.command {
        Command::Build(args) => (make(args), args.message_format),
        Command::Show(args) => (show(args), args.message_format),
        Command::Numbers(args) => (numbers(args), args.message_format),
    };
    done.map_or_else(|stop| stop.say(format), |()| Exit::Done)
}

/// How the names of files end that hold types which were made of DWARF: such a kernel shows none itself.
const FROM_DWARF: &str = "-from-dwarf";

fn make(args: &BuildArgs) -> Result<(), Stop> {
    let survey = survey()?;
    let read = |path: &PathBuf| Ok((shown(path), read_object(path)?));
    let mut files = vec![("the library's survey".to_owned(), survey)];
    files.extend(args.objects.iter().map(read).collect::<Result<Vec<_>, Stop>>()?);
    let parse = |(name, bytes): &'_ (String, Vec<u8>)| inspect::parse_object(name, bytes).map(drop);
    files.iter().try_for_each(parse)?;
    let objects: Vec<Object<'_>> =
        files.iter().filter_map(|(_, bytes)| Object::parse(bytes).ok()).collect();
    let objects: Vec<&Object<'_>> = objects.iter().collect();

    let mut paths: Vec<(PathBuf, bool)> = Vec::new();
    for path in &args.kernels {
        if path.is_dir() {
            paths.extend(in_folder(path)?.into_iter().map(|path| (path, true)));
        } else {
            paths.push((path.clone(), false));
        }
    }
    let opened: Result<Vec<Option<Given>>, Stop> =
        paths.into_par_iter().map(|(path, found)| given(&path, found)).collect();
    let kernels: Vec<Given> = opened?.into_iter().flatten().collect();
    if kernels.is_empty() {
        Err(anyhow!("there is no kernel in what is named; a folder has files `*.btf.xz`"))?;
    }
    let file = build(&objects, &kernels).map_err(unbuilt)?;
    write_product(&args.output, &file)?;
    let (path, bytes) = (args.output.display().to_string(), plural(file.len(), "byte"));
    let each = file.len() / kernels.len();
    note(&format!("{path}: {}, {bytes}, {each} for each\n", plural(kernels.len(), "kernel")));
    Ok(())
}

/// The object that asks everything that the library may ask.
fn survey() -> Result<Vec<u8>, Stop> {
    let made = driver::survey(&Library::embedded(), &mut imports::Library, Target::default());
    made.map_err(|(sources, diags)| Stop::new(Exit::Bug, Findings { sources, diags }))
}

/// The files of a folder that hold BTF, sorted.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    let failed = |error| anyhow!("cannot read {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && (name.ends_with(".btf") || name.contains(".btf.")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A kernel that the atlas is to tell of; none if it was found in a folder and holds the types of a module.
fn given(path: &Path, found: bool) -> Result<Option<Given>, Stop> {
    let kernel = Kernel::open(path, &[])?;
    if found && kernel.image.types(&[])?.split {
        return Ok(None);
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split_once(".btf").map_or(&*file, |(name, _)| name);
    let (name, made) = name.strip_suffix(FROM_DWARF).map_or((name, false), |name| (name, true));
    let shows_btf = relocate::shows_btf(&kernel) && !made;
    Ok(Some(Given { name: name.to_owned(), kernel, shows_btf }))
}

fn unbuilt(error: BuildError) -> Stop {
    match error {
        BuildError::Kernel(error) => error.into(),
        BuildError::Types { name, error } => {
            let why = format!("the types of {name} are broken: {error}");
            Stop::new(Exit::Usage, Findings::about(&name, Code::E0703, why))
        }
        BuildError::Object(_) | BuildError::Twice(_) => anyhow!("{error}").into(),
    }
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    /// The questions that were asked.
    asked: &'a [String],
    kernels: Vec<KernelReport<'a>>,
}

#[derive(Serialize)]
struct KernelReport<'a> {
    name: &'a str,
    arch: &'a str,
    release: Option<&'a str>,
    endian: &'static str,
    pointer_size: u32,
    shows_btf: bool,
    identity: Option<String>,
    bytes: usize,
}

fn numbers(args: &NumbersArgs) -> Result<(), Stop> {
    let leaves = kernel::atlas(args.file.as_deref())?.leaves();
    print_text(&leaves.map_err(|error| anyhow!("{error}"))?)?;
    Ok(())
}

fn show(args: &ShowArgs) -> Result<(), Stop> {
    let atlas = kernel::atlas(args.file.as_deref())?;
    let kernels: Vec<KernelReport<'_>> =
        atlas.kernels().iter().map(|entry| KernelReport::of(atlas, entry)).collect();
    if args.json {
        print_json(&Document { version: VERSION, asked: atlas.asked(), kernels })?;
        return Ok(());
    }
    let mut table = Table::new([
        ("kernel", Align::Left),
        ("release", Align::Left),
        ("endian", Align::Left),
        ("pointer", Align::Right),
        ("BTF", Align::Left),
        ("bytes", Align::Right),
    ]);
    for kernel in &kernels {
        table.row([
            kernel.name.to_owned(),
            kernel.release.unwrap_or_default().to_owned(),
            kernel.endian.to_owned(),
            kernel.pointer_size.to_string(),
            if kernel.shows_btf { "shown" } else { "none" }.to_owned(),
            kernel.bytes.to_string(),
        ]);
    }
    let title = format!(
        "{}, asked {}",
        plural(kernels.len(), "kernel"),
        plural(atlas.asked().len(), "question")
    );
    print_text(&format!("{}\n{}", bold(&title), table.print()))?;
    Ok(())
}

impl<'a> KernelReport<'a> {
    fn of(atlas: &Atlas<'_>, entry: &'a Entry) -> KernelReport<'a> {
        KernelReport {
            name: &entry.name,
            arch: &entry.arch,
            release: entry.release.as_deref(),
            endian: match entry.endian {
                Endian::Little => "little",
                Endian::Big => "big",
            },
            pointer_size: entry.pointer_size,
            shows_btf: entry.shows_btf,
            identity: entry.identity.map(|sum| format!("{sum:016x}")),
            bytes: atlas.size(entry),
        }
    }
}
