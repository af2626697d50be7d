//! Which kernels a file is checked against.
//!
//! In: what the command line names. Out: kernels with their modules. Of a folder, the files whose name says that they are BTF count, packed or not; one that is called `KERNEL--MODULE` is of a module.

use crate::check::Place;
use crate::kernel::Places;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Stands between the names of a kernel and of a module of it.
const OF_MODULE: &str = "--";
/// What names of files end in that are packed.
const PACKED: [&str; 5] = [".xz", ".gz", ".zst", ".lz4", ".bz2"];

/// The kernels that are named; without any, the running one, if it shows its types.
pub(super) fn places(named: &[PathBuf]) -> Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    let mut add = |place: Place| {
        if !places.iter().any(|known| known.name == place.name) {
            places.push(place);
        }
    };
    for path in named {
        if path.is_dir() {
            let found = folder(path)?;
            if found.is_empty() {
                bail!("{} has no file whose name ends in .btf, packed or not", path.display());
            }
            found.into_iter().for_each(&mut add);
        } else {
            let name = if path == Path::new("running") { "running".into() } else { short(path) };
            add(Place { name, path: path.clone(), modules: Vec::new() });
        }
    }
    if named.is_empty() {
        if !Places::default().sysfs_image().exists() {
            bail!("this machine's kernel shows no types; name kernels with `--kernel`");
        }
        add(Place { name: "running".into(), path: "running".into(), modules: Vec::new() });
    }
    Ok(places)
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
                kernels.insert(name.clone(), Place { name, path, modules: Vec::new() });
            }
        }
    }
    for (kernel, mut files) in modules {
        files.sort();
        if let Some(place) = kernels.get_mut(&kernel) {
            place.modules = files;
        }
    }
    Ok(kernels.into_values().collect())
}
