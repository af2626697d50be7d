//! `ubpfc uapi list [GLOB]`: what the library has, a line each.

use super::open;
use crate::cli::Exit;
use crate::cli::files::{print_json, print_text};
use crate::cli::messages::{FormatArg, Stop};
use crate::cli::text::{Align, Table, bold, clean, plural};
use crate::library::{Item, Library};
use anyhow::anyhow;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `uapi list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what has such a name, or mirrors something of such a name: `*` stands for anything, `?` for a character
    #[arg(value_name = "GLOB")]
    glob: Option<String>,
    /// The folder of the library [default: the one in ubpfc]
    #[arg(long, value_name = "FOLDER")]
    library: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// How to write diagnostics
    #[arg(long, value_enum, default_value = "human")]
    message_format: FormatArg,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'d> {
    version: u32,
    #[serde(flatten)]
    library: &'d Library,
}

/// Lists what the library has.
pub(super) fn run(args: &Args) -> Exit {
    list(args).map_or_else(|stop| stop.say(args.message_format), |()| Exit::Done)
}

fn list(args: &Args) -> Result<(), Stop> {
    let (mut library, _) = open::library(args.library.as_deref())?;
    if let Some(glob) = &args.glob {
        let is = |name: &str| matches(glob.as_bytes(), name.as_bytes());
        library.files.retain(|file| is(&file.name));
        let kept: Vec<String> = library.files.iter().map(|file| file.name.clone()).collect();
        let is = |name: &str, file: &String| is(name) || kept.contains(file);
        library.mirrors.retain(|m| is(&m.name, &m.file) || is(&m.kernel, &m.file));
        library.enums.retain(|e| is(&e.name, &e.file));
        library.constants.retain(|c| is(&c.name, &c.file));
        library
            .tracepoints
            .retain(|t| is(&format!("user:{}", t.name), &t.file) || is(&t.name, &t.file));
    }
    if args.json {
        print_json(&Document { version: 1, library: &library })?;
        return Ok(());
    }
    // Files whose contents match are named above them.
    let (whole, _) = open::library(args.library.as_deref())?;
    library.files = whole.files;
    let text = text(&library);
    if text.is_empty() {
        let glob = args.glob.as_deref().unwrap_or_default();
        Err(anyhow!("nothing in the library is called `{glob}`; `ubpfc uapi list` shows all"))?;
    }
    print_text(&text)?;
    Ok(())
}

fn text(library: &Library) -> String {
    let mut table = Table::new([("", Align::Left), ("", Align::Left), ("", Align::Left)]);
    let mut file = None;
    for item in library.items() {
        let detail = match &item {
            Item::File(_) => {
                file = Some(item);
                continue;
            }
            Item::Field(..) | Item::Enumerator(..) => continue,
            Item::Mirror(mirror) => plural(mirror.fields.len(), "field"),
            Item::Enum(of) => plural(of.enumerators.len(), "value"),
            Item::Constant(constant) => constant.value.clone(),
            Item::Tracepoint(tracepoint) => {
                let args: Vec<&str> = tracepoint.args.iter().map(|arg| &*arg.name).collect();
                args.join(", ")
            }
        };
        if let Some(file) = file.take() {
            let doc = clean(brief(file.doc())).into_owned();
            table.text(format!("{}  {doc}", bold(&clean(&file.name()))));
        }
        table.row([item.name(), detail, brief(item.doc()).to_owned()]);
    }
    table.print().trim_start_matches(|c: char| c != '\n').trim_start().to_owned()
}

/// The first sentence, or the first line.
pub(super) fn brief(doc: Option<&str>) -> &str {
    let line = doc.unwrap_or_default().lines().next().unwrap_or_default();
    line.find(". ").map_or(line, |end| &line[..=end])
}

/// Whether a name is what a pattern stands for.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    // For each beginning of the pattern: whether it stands for the beginning of the name that has been read.
    let mut fits = vec![false; glob.len() + 1];
    fits[0] = true;
    let skip_stars = |fits: &mut Vec<bool>| {
        for (at, wanted) in glob.iter().enumerate() {
            if *wanted == b'*' && fits[at] {
                fits[at + 1] = true;
            }
        }
    };
    skip_stars(&mut fits);
    for byte in name {
        let mut next = vec![false; glob.len() + 1];
        for (at, wanted) in glob.iter().enumerate().filter(|(at, _)| fits[*at]) {
            match wanted {
                b'*' => next[at] = true,
                b'?' => next[at + 1] = true,
                wanted => next[at + 1] |= wanted == byte,
            }
        }
        skip_stars(&mut next);
        fits = next;
    }
    fits[glob.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let matches = |glob: &str, name: &str| matches(glob.as_bytes(), name.as_bytes());
        for (glob, name) in [("*", ""), ("a*c", "abc"), ("a*c", "ac"), ("?b*", "abx"), ("**x", "x")]
        {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [("", "a"), ("a", "ab"), ("a*c", "acb"), ("?", ""), ("b*", "ab")] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
        let many = "*a".repeat(200);
        assert!(!matches(&many, &"a".repeat(199)));
    }
}
