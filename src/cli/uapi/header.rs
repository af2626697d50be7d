//! `ubpfc uapi header [NAME…]`: the mirrors in C.

use super::open;
use super::show::unknown;
use crate::cli::Exit;
use crate::cli::files::{write_product, write_stdout};
use crate::cli::messages::{FormatArg, Stop};
use crate::library::{Item, Library, Type};
use std::path::{Path, PathBuf};

/// Arguments of `uapi header`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The mirrors, enums, constants and files to have in it; mirrors that they point to come with them [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The folder of the library [default: the one in ubpfc]
    #[arg(long, value_name = "FOLDER")]
    library: Option<PathBuf>,
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// Writes a header.
pub(super) fn run(args: &Args) -> Exit {
    write(args).map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

fn write(args: &Args) -> Result<(), Stop> {
    let (mut library, _) = open::library(args.library.as_deref())?;
    if !args.names.is_empty() {
        library = named(&library, &args.names)?;
    }
    let text = library.header();
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => write_stdout(text.as_bytes())?,
        Some(path) => write_product(path, text.as_bytes())?,
    }
    Ok(())
}

/// What has one of the names, and what that points to.
fn named(library: &Library, names: &[String]) -> Result<Library, Stop> {
    let mut wanted: Vec<String> = Vec::new();
    for name in names {
        let item = library.find(name).map_err(|near| unknown(name, near.as_deref()))?;
        let of_file = library.items().filter(|other| other.file() == item.name());
        match item {
            Item::File(_) => wanted.extend(of_file.map(|other| other.name())),
            Item::Field(mirror, _) => wanted.push(mirror.name.clone()),
            Item::Enumerator(of, _) => wanted.push(of.name.clone()),
            _ => wanted.push(item.name()),
        }
    }
    let mut at = 0;
    while let Some(name) = wanted.get(at) {
        let mirror = library.mirrors.iter().find(|mirror| mirror.name == *name);
        let types = mirror.into_iter().flat_map(|mirror| &mirror.fields).map(|field| &field.ty);
        let reached: Vec<String> = types
            .filter_map(|ty| match ty {
                Type::Mirror(name) | Type::Enum(name, _) => Some(name.clone()),
                _ => None,
            })
            .filter(|name| !wanted.contains(name))
            .collect();
        wanted.extend(reached);
        at += 1;
    }
    let mut library = library.clone();
    library.mirrors.retain(|mirror| wanted.contains(&mirror.name));
    library.enums.retain(|of| wanted.contains(&of.name));
    library.constants.retain(|constant| wanted.contains(&constant.name));
    Ok(library)
}
