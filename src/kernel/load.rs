//! From sources to types that can be looked at.
//!
//! In: a kernel and the names that are wanted. Out: bytes ([`Loaded`]) and, read, a [`Target`]. Modules are asked only for what the image has no candidate for, as loaders do.

use super::rebase::{RebaseError, rebase};
use super::{Kernel, KernelError, Loaded, Source, SourceTypes, Target};
use crate::btf::{self, Btf, BtfError, kind};
use std::borrow::Cow;
use std::sync::Arc;

/// A type that is wanted: its kind, one of [`kind`] (enums of either width count as one), and its name without a flavor. Of kind 0, for its sake alone no module is looked into.
pub type Wanted<'n> = (u32, &'n str);

impl Kernel {
    /// The types of those names, and all that they are made of. Modules that cannot be read are passed over with a warning.
    pub fn load(&self, wanted: &[Wanted]) -> Result<Loaded<'_>, KernelError> {
        let names: Vec<&str> = wanted.iter().map(|(_, name)| *name).collect();
        let image = self.image.types(&names)?;
        let mut loaded =
            Loaded { name: &self.name, image, modules: Vec::new(), warnings: Vec::new() };
        if self.modules.is_empty() {
            return Ok(loaded);
        }
        let mut modules = Vec::new();
        let mut warnings = Vec::new();
        {
            let base = Arc::new(loaded.image()?);
            let missing = without_candidate(&base, wanted);
            if missing.is_empty() {
                return Ok(loaded);
            }
            let if_there = wanted.iter().filter(|(kind, _)| *kind == 0);
            let names: Vec<&str> = missing.iter().chain(if_there).map(|(_, name)| *name).collect();
            for (name, source) in &self.modules {
                let types = on_image(source.as_ref(), &names, &loaded.image.btf, &base);
                let lacks = types.and_then(|types| {
                    let lacks = without_candidate(&read(&types, &base)?, &missing).len();
                    Ok((types, lacks))
                });
                match lacks {
                    Ok((_, lacks)) if lacks == missing.len() => {}
                    Ok((types, _)) => modules.push((name.as_str(), types)),
                    Err(why) => warnings.push(format!("module {name} is passed over: {why}")),
                }
            }
        }
        loaded.modules = modules;
        loaded.warnings = warnings;
        Ok(loaded)
    }
}

impl Loaded<'_> {
    /// The types, read.
    pub fn target(&self) -> Result<Target<'_>, KernelError> {
        let image = Arc::new(self.image()?);
        let modules = self.modules.iter().map(|(name, types)| Ok((*name, read(types, &image)?)));
        let modules = modules.collect::<Result<_, _>>().map_err(|error| self.broken(error))?;
        Ok(Target { image, modules })
    }

    /// The image's types, read.
    fn image(&self) -> Result<Btf<'_>, KernelError> {
        if self.image.split || self.image.base.is_some() {
            let why = "the types of a module, which go on from those of a kernel; give that kernel, and this file with --module";
            return Err(KernelError::NoTypes { path: self.name.to_owned(), why: why.to_owned() });
        }
        let mut image = Btf::parse(&self.image.btf).map_err(|error| self.broken(error))?;
        if let Some(bytes) = self.image.pointer_size {
            image.set_pointer_size(bytes);
        }
        Ok(image)
    }

    fn broken(&self, error: BtfError) -> KernelError {
        KernelError::Btf { path: self.name.to_owned(), error }
    }
}

/// Why a module is passed over.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Rebase(#[from] RebaseError),
    #[error("its types cannot be read: {0}")]
    Btf(#[from] BtfError),
}

/// A module's types, going on where those of the image end if they do not stand for themselves.
fn on_image<'s>(
    module: &'s dyn Source,
    names: &[&str],
    image: &[u8],
    base: &Btf<'_>,
) -> Result<SourceTypes<'s>, Unusable> {
    let mut types = module.types(names)?;
    if let Some(excerpt) = types.base.take() {
        types.btf = Cow::Owned(rebase(&types.btf, excerpt, image, base)?);
        types.split = true;
    }
    Ok(types)
}

/// A module's types on those of the image.
fn read<'a>(types: &'a SourceTypes<'_>, base: &Arc<Btf<'a>>) -> Result<Btf<'a>, BtfError> {
    let mut btf = if types.split {
        Btf::split(&types.btf, Arc::clone(base))?
    } else {
        Btf::parse(&types.btf)?
    };
    btf.set_pointer_size(types.pointer_size.unwrap_or(base.pointer_size()));
    Ok(btf)
}

/// Those that it has no type of that kind for.
fn without_candidate<'n>(btf: &Btf<'_>, wanted: &[Wanted<'n>]) -> Vec<Wanted<'n>> {
    let names: Vec<&str> = wanted.iter().map(|(_, name)| *name).collect();
    let found = btf.find(&names);
    let lacks = |(wanted, ids): (&Wanted<'n>, Vec<btf::TypeId>)| {
        let fits =
            ids.iter().any(|id| btf.kind(*id).is_ok_and(|kind| class(kind) == class(wanted.0)));
        (!fits && wanted.0 != 0).then_some(*wanted)
    };
    wanted.iter().zip(found).filter_map(lacks).collect()
}

/// Enums of either width are one kind of candidate.
fn class(kind: u32) -> u32 {
    if kind == kind::ENUM64 { kind::ENUM } else { kind }
}
