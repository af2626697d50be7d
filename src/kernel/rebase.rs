//! A module's types that bring an excerpt of their base (`.BTF.base`), put on the types of the kernel image.
//!
//! In: a module's BTF, which goes on where its excerpt ends, the excerpt, and the image. Out: the module's BTF, going on where the image ends. The excerpt has names, kinds and sizes alone: enough to
//! find each of its types in whatever image the module is used with (`Documentation/bpf/btf.rst`, "`.BTF.base` section").

use super::section::extent;
use crate::btf::{Btf, BtfError, Type, TypeId, kind};
use crate::bytes::{Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a module does not go with an image.
#[derive(Debug, thiserror::Error)]
pub(super) enum RebaseError {
    /// Its types are broken.
    #[error("its types cannot be read: {0}")]
    Btf(#[from] BtfError),
    /// The image lacks a type.
    #[error("it was built for another kernel: this one has no {0} that fits")]
    Missing(String),
    /// The image has several types of one name.
    #[error("the kernel has several types that could be its {0}")]
    Ambiguous(String),
    /// There are too many to look at.
    #[error("the kernel has more types of its types' names than can be looked at")]
    TooMany,
}

/// How many types of the image are looked at. An excerpt has at most thousands of types, an image few of each name.
const MAX_LOOKS: usize = 1 << 20;

/// What the words of a type's record are, beside the name in the first: in the third, and in each element behind it.
#[derive(Clone, Copy)]
enum Word {
    Name,
    Type,
    Other,
}

use Word::{Name, Other, Type as Id};

/// The third word, how often there are more (the number in `info`, or once), and what they are, by kind.
fn layout(kind: u32) -> Option<(Word, bool, &'static [Word])> {
    Some(match kind {
        kind::INT => (Other, false, &[Other]),
        kind::PTR
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::TYPE_TAG => (Id, false, &[]),
        kind::ARRAY => (Other, false, &[Id, Id, Other]),
        kind::STRUCT | kind::UNION => (Other, true, &[Name, Id, Other]),
        kind::ENUM => (Other, true, &[Name, Other]),
        kind::FWD | kind::FLOAT => (Other, false, &[]),
        kind::FUNC_PROTO => (Id, true, &[Name, Id]),
        kind::VAR | kind::DECL_TAG => (Id, false, &[Other]),
        kind::DATASEC => (Other, true, &[Id, Other, Other]),
        kind::ENUM64 => (Other, true, &[Name, Other, Other]),
        _ => return None,
    })
}

/// The module's BTF on that of the image, whose bytes are `image` and which has been read as `base`.
pub(super) fn rebase(
    module: &[u8],
    excerpt: &[u8],
    image: &[u8],
    base: &Btf<'_>,
) -> Result<Vec<u8>, RebaseError> {
    let excerpt_btf = Arc::new(Btf::parse(excerpt)?);
    let btf = Btf::split(module, Arc::clone(&excerpt_btf))?;
    let ids = counterparts(&excerpt_btf, base)?;
    let strings_of = |bytes| {
        let found = extent(bytes).and_then(|(_, strings)| <[u8]>::get(bytes, strings));
        found.ok_or(BtfError::Truncated("the strings of .BTF"))
    };
    let (own, old, new) = (strings_of(module)?, strings_of(excerpt)?, strings_of(image)?);
    // The strings of the excerpt follow the module's own.
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let name = |offset: u32| match offset.checked_sub(len(old)) {
        None if offset == 0 => 0,
        None => len(new).saturating_add(len(own)).saturating_add(offset),
        Some(own) => len(new).saturating_add(own),
    };
    let id = |id: u32| match ids.get(id as usize) {
        Some(id) => id.0,
        None => base.end().0.saturating_add(id - btf.first().0),
    };
    let cut = || BtfError::Truncated("the types of .BTF");
    let (types, _) = extent(module).ok_or_else(cut)?;
    let mut reader = Reader::new(btf.endian, module.get(types).ok_or_else(cut)?);
    let mut out = Writer::new(btf.endian);
    while !reader.is_empty() {
        let mut word = || reader.u32().ok_or_else(cut);
        let translate = |what, word| match what {
            Name => name(word),
            Id => id(word),
            Other => word,
        };
        let (first, info, third) = (word()?, word()?, word()?);
        let number = info >> 24 & 0x7f;
        let (what, many, rest) = layout(number)
            .ok_or(BtfError::Invalid { what: "the kind of a type", value: number.into() })?;
        out.words(&[name(first), info, translate(what, third)]);
        for _ in 0..if many { info & 0x00ff_ffff } else { 1 } {
            for what in rest {
                out.u32(translate(*what, word()?));
            }
        }
    }
    let types = out.bytes;
    let mut out = Writer::new(btf.endian);
    out.u16(crate::btf::MAGIC);
    out.bytes.extend([1, 0]); // version, flags
    let strings = len(own).saturating_add(len(old));
    out.words(&[crate::btf::HEADER, 0, len(&types), len(&types), strings]);
    out.bytes.extend(types);
    out.bytes.extend(own);
    out.bytes.extend(old);
    Ok(out.bytes)
}

/// For each id of the excerpt, that of the image's type.
fn counterparts(excerpt: &Btf<'_>, base: &Btf<'_>) -> Result<Vec<TypeId>, RebaseError> {
    let types = excerpt.ids().map(|id| excerpt.get(id)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> =
        types.iter().map(Type::name).collect::<BTreeSet<_>>().into_iter().collect();
    let found: BTreeMap<&str, Vec<TypeId>> = names.iter().copied().zip(base.find(&names)).collect();
    let mut ids = vec![TypeId(0)];
    let mut looks = MAX_LOOKS;
    for wanted in &types {
        let candidates = found.get(wanted.name()).map_or(&[][..], Vec::as_slice);
        looks = looks.checked_sub(candidates.len()).ok_or(RebaseError::TooMany)?;
        let read = candidates.iter().filter_map(|id| Some((*id, base.get(*id).ok()?)));
        let mut fitting = read.filter(|(_, ty)| ty.name() == wanted.name() && fits(wanted, ty));
        let (first, _) = fitting.next().ok_or_else(|| RebaseError::Missing(described(wanted)))?;
        // Several definitions do where only the name counts: behind a pointer.
        if !matches!(wanted, Type::Fwd { .. }) && fitting.next().is_some() {
            return Err(RebaseError::Ambiguous(described(wanted)));
        }
        ids.push(first);
    }
    Ok(ids)
}

/// Whether a type of the image is what one of the excerpt stands for: there a struct has no members, and an enum no values.
fn fits(wanted: &Type<&str>, ty: &Type<&str>) -> bool {
    match (wanted, ty) {
        (
            Type::Composite { union, size, .. },
            Type::Composite { union: other, size: other_size, .. },
        ) => union == other && size == other_size,
        (
            Type::Fwd { union, .. },
            Type::Composite { union: other, .. } | Type::Fwd { union: other, .. },
        ) => union == other,
        (Type::Enum { size, .. }, Type::Enum { size: other, .. })
        | (Type::Float { size, .. }, Type::Float { size: other, .. }) => size == other,
        (
            Type::Int { bytes, bits, encoding, .. },
            Type::Int { bytes: other_bytes, bits: other_bits, encoding: other_encoding, .. },
        ) => (bytes, bits, encoding) == (other_bytes, other_bits, other_encoding),
        _ => false,
    }
}

/// `struct sk_buff of 232 bytes`
fn described(ty: &Type<&str>) -> String {
    let name = ty.name();
    match ty {
        Type::Composite { union, size, .. } => {
            format!("{} {name} of {size} bytes", if *union { "union" } else { "struct" })
        }
        Type::Fwd { union, .. } => format!("{} {name}", if *union { "union" } else { "struct" }),
        Type::Enum { .. } => format!("enum {name}"),
        _ => format!("type {name}"),
    }
}
