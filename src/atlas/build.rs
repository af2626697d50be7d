//! An atlas made of kernels, for objects that say what is asked.

use super::numbers::unsigned;
use super::{Entry, blocks, questions, types};
use crate::bytes::Strings;
use crate::kernel::{Kernel, KernelError};
use crate::object::read::Object;
use crate::relocate::{self, RelocateError};
use rayon::prelude::*;

/// The enums that say what programs, maps, helpers and places to attach to a kernel has (v6.12 include/uapi/linux/bpf.h): an atlas holds them whole.
const ENUMS: [&str; 4] = ["bpf_attach_type", "bpf_func_id", "bpf_map_type", "bpf_prog_type"];

/// A kernel that an atlas is made of.
#[derive(Debug)]
pub struct Given {
    /// What it is to be called: architecture, a dash, release.
    pub name: String,
    /// Its types.
    pub kernel: Kernel,
    /// Whether it shows its types to loaders.
    pub shows_btf: bool,
}

/// Why an atlas cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An object cannot be read.
    #[error("the questions cannot be read: {0}")]
    Object(RelocateError),
    /// The types of a kernel cannot be had.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The types of a kernel cannot be used.
    #[error("{name}: {error}")]
    Types {
        /// The kernel.
        name: String,
        /// Why.
        error: RelocateError,
    },
    /// Two kernels are called the same.
    #[error("two kernels are called {0}")]
    Twice(String),
}

/// The file of an atlas that tells of these kernels whatever the objects ask. The order of the kernels makes no difference.
#[expect(clippy::missing_panics_doc, reason = "minimal types are of the kinds that are packed")]
pub fn build(objects: &[&Object<'_>], kernels: &[Given]) -> Result<Vec<u8>, BuildError> {
    let asked = questions::of(objects).map_err(BuildError::Object)?;
    let mut needs: Vec<(u32, String)> = ENUMS.map(|name| (0, name.to_owned())).into();
    for object in objects {
        needs.extend(relocate::needs(object).map_err(BuildError::Object)?);
    }
    needs.sort();
    needs.dedup();
    let made: Result<Vec<(Entry, Vec<u8>)>, BuildError> =
        kernels.par_iter().map(|given| one(given, objects, &needs)).collect();
    let mut made = made?;
    made.sort_by(|(a, _), (b, _)| a.order(b));
    if let Some([(twice, _), _]) = made.array_windows().find(|[a, b]| a.0.name == b.0.name) {
        return Err(BuildError::Twice(twice.name.clone()));
    }

    let mut index = Vec::new();
    questions::write(&asked, &mut index);
    unsigned(&mut index, made.len() as u64);
    let mut names = Strings::default();
    let mut of_kernels = Vec::new();
    for (entry, btf) in &made {
        entry.write(&mut index);
        let packed = types::pack(btf, entry.endian, &mut names);
        of_kernels.push(packed.expect("minimal types are of the kinds that are packed"));
    }
    // Any would do: the last is a new one of the architecture that most are of.
    let pattern = of_kernels.last().cloned().unwrap_or_default();
    Ok(blocks::write([&index, &names.bytes()], &pattern, &of_kernels))
}

/// What an atlas says of a kernel, and its minimal types.
fn one(
    given: &Given,
    objects: &[&Object<'_>],
    needs: &[(u32, String)],
) -> Result<(Entry, Vec<u8>), BuildError> {
    let loaded = relocate::load(&given.kernel, needs)?;
    let target = loaded.target()?;
    let btf = relocate::minimal_with(objects, &target, given.shows_btf, &ENUMS);
    let btf = btf.map_err(|error| BuildError::Types { name: given.name.clone(), error })?;
    let (arch, rest) = given.name.split_once('-').unwrap_or(("", &given.name));
    let named = rest.starts_with(|c: char| c.is_ascii_digit()).then(|| rest.to_owned());
    let entry = Entry {
        name: given.name.clone(),
        arch: arch.to_owned(),
        release: given.kernel.release.clone().or(named),
        endian: target.image.endian,
        pointer_size: target.image.pointer_size(),
        shows_btf: given.shows_btf,
        identity: given.kernel.identity(),
    };
    Ok((entry, btf))
}
