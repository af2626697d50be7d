//! Which kernels a file is checked against.
//!
//! In: what the command line names. Out: kernels with their modules. Of a folder, the files whose name says that they are BTF count, packed or not; one that is called `KERNEL--MODULE` is of a module.

use crate::atlas::{Atlas, NotFound};
use crate::check::Place;
use crate::kernel::Places;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Stands between the names of a kernel and of a module of it.
const OF_MODULE: &str = "--";
/// What names of files end in that are packed.
const PACKED: [&str; 5] = [".xz", ".gz", ".zst", ".lz4", ".bz2"];

/// The kernels of an atlas, unless it is none of those that are asked about, and the running one, if it shows its types; and those that are named. A file that is called as a kernel of the atlas stands for it.
/// Without an atlas, only those that are named; without any of these either, the running one.
pub(super) fn places(
    named: &[PathBuf],
    atlas: Option<&'static Atlas<'static>>,
    with_atlas: bool,
) -> Result<Vec<Place>> {
    let mut files: Vec<Place> = Vec::new();
    let mut add = |place: Place| {
        if !files.iter().any(|known| known.name() == place.name()) {
            files.push(place);
        }
    };
    let shows = Places::default().sysfs_image().exists();
    if shows && (with_atlas || named.is_empty()) {
        add(Place::File { name: RUNNING.into(), path: RUNNING.into(), modules: Vec::new() });
    }
    for path in named {
        if path.is_dir() {
            let found = folder(path)?;
            if found.is_empty() {
                bail!("{} has no file whose name ends in .btf, packed or not", path.display());
            }
            found.into_iter().for_each(&mut add);
        } else if !is_name(path) {
            let name = if path == Path::new(RUNNING) { RUNNING.into() } else { short(path) };
            add(Place::File { name, path: path.clone(), modules: Vec::new() });
        } else {
            let atlas = atlas.context("there is no atlas")?;
            add(of_atlas(atlas, &path.to_string_lossy())?);
        }
    }
    let mut places = Vec::new();
    if let Some(atlas) = atlas.filter(|_| with_atlas) {
        let entries = atlas.kernels().iter();
        let entries = entries.filter(|entry| !files.iter().any(|file| file.name() == entry.name));
        places.extend(entries.map(|entry| Place::Atlas(atlas, entry.clone())));
    }
    places.append(&mut files);
    if places.is_empty() {
        bail!("this machine's kernel shows no types; name kernels with `--kernel`");
    }
    Ok(places)
}

/// Whether a kernel can be named so only in an atlas.
pub(super) fn is_name(kernel: &Path) -> bool {
    kernel != Path::new(RUNNING) && !kernel.exists() && kernel.components().count() == 1
}

/// What stands for this machine's kernel.
const RUNNING: &str = "running";

/// A kernel of the atlas by its name.
fn of_atlas(atlas: &'static Atlas<'static>, name: &str) -> Result<Place> {
    match atlas.find(name) {
        Ok(entry) => Ok(Place::Atlas(atlas, entry.clone())),
        Err(NotFound::Several(names)) => {
            bail!(
                "`{name}` may be any of {} kernels of the atlas: {}",
                names.len(),
                names.join(", ")
            )
        }
        Err(NotFound::None(_)) => bail!(
            "{name} cannot be read: there is no such file, nor a kernel of that name in the atlas, whose names `ubpfc atlas show` lists"
        ),
    }
}

/// The name of a file without its folder, and without endings that say what it is.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let unpacked = PACKED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    unpacked.strip_suffix(".btf").unwrap_or(unpacked).to_owned()
}

/// The kernels of a folder, in the order of their names.
fn folder(folder: &Path) -> Result<Vec<Place>> {
    let mut kernels: BTreeMap<String, Place> = BTreeMap::new();
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let list = std::fs::read_dir(folder);
    for entry in list.with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unpacked = PACKED.iter().find_map(|ending| file.strip_suffix(ending));
        if !unpacked.unwrap_or(&file).ends_with(".btf") || path.is_dir() {
            continue;
        }
        let name = short(&path);
        match name.split_once(OF_MODULE) {
            Some((kernel, _)) => modules.entry(kernel.to_owned()).or_default().push(path),
            None => {
                let place = Place::File { name: name.clone(), path, modules: Vec::new() };
                kernels.insert(name, place);
            }
        }
    }
    for (kernel, mut files) in modules {
        files.sort();
        if let Some(Place::File { modules, .. }) = kernels.get_mut(&kernel) {
            *modules = files;
        }
    }
    Ok(kernels.into_values().collect())
}
