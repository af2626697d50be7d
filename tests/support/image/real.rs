//! Kernels as they are: layouts taken from a kernel's own BTF.
//!
//! In: BTF and the names of what is wanted of it. Out: a [`KernelImage`] with those structs and enums, all that they embed, and the arguments of every event. Members of anonymous
//! structs and unions belong to the struct around them, as they do in C.

use super::{KTy, KernelImage, Member};
use std::collections::{BTreeMap, BTreeSet};
use ubpfc::btf::{Btf, Type, TypeId, encoding};

impl KernelImage {
    /// A kernel laid out as `btf` says, with garbage wherever nothing is written. `wanted` are names of structs and enums.
    pub fn of(btf: &Btf<'_>, wanted: &BTreeSet<&str>) -> KernelImage {
        let mut image = KernelImage::empty(btf.pointer_size(), btf.endian);
        image.garbage = true;
        let names: Vec<&str> = wanted.iter().copied().collect();
        let mut reader = Reader { btf, image: &mut image, names: BTreeMap::new() };
        for (name, ids) in names.iter().zip(btf.find(&names)) {
            for id in ids {
                if btf.name(id).unwrap() == *name {
                    reader.ty(id);
                }
            }
        }
        image.events = events(btf);
        image
    }
}

struct Reader<'r, 'a> {
    btf: &'r Btf<'a>,
    image: &'r mut KernelImage,
    /// What the image calls the structs and enums that have been read.
    names: BTreeMap<TypeId, String>,
}

impl Reader<'_, '_> {
    /// A type as the image has it; none for what is no value of a script.
    fn ty(&mut self, id: TypeId) -> Option<KTy> {
        let id = self.btf.strip(id).unwrap();
        match self.btf.get(id).unwrap() {
            Type::Int { bytes, encoding, .. } => {
                Some(KTy::Int { bytes, signed: encoding & encoding::SIGNED != 0 })
            }
            Type::Ptr(_) => Some(KTy::Ptr),
            Type::Array { elem, len, .. } => Some(KTy::Array(self.ty(elem)?.into(), len)),
            Type::Enum { name, size, values, .. } => {
                let name = self.name(id, name);
                let values = values.iter().map(|(n, v)| ((*n).to_owned(), v.cast_signed()));
                self.image.enums.insert(name.clone(), (size, values.collect()));
                Some(KTy::Enum(name))
            }
            Type::Composite { name, size, .. } => {
                if let Some(known) = self.names.get(&id) {
                    return Some(KTy::Struct(known.clone()));
                }
                let name = self.name(id, name);
                let mut members = Vec::new();
                self.members(id, 0, &mut members);
                self.image.structs.insert(name.clone(), (size, members));
                Some(KTy::Struct(name))
            }
            _ => None,
        }
    }

    /// The name of a struct or enum: its own, unless another has it already.
    fn name(&mut self, id: TypeId, name: &str) -> String {
        let taken = self.names.iter().any(|(other, known)| *other != id && known == name);
        let name = if name.is_empty() || taken { format!("{name}#{}", id.0) } else { name.into() };
        self.names.insert(id, name.clone());
        name
    }

    fn members(&mut self, id: TypeId, start: u32, out: &mut Vec<Member>) {
        let Type::Composite { members, .. } = self.btf.get(id).unwrap() else { return };
        for member in members {
            let bit = start + member.bit_offset;
            if member.name.is_empty() {
                self.members(self.btf.strip(member.ty).unwrap(), bit, out);
            } else if let Some(ty) = self.ty(member.ty) {
                let name = member.name.to_owned();
                out.push(Member { name, bit, width: member.bit_width.into(), ty });
            }
        }
    }
}

/// The arguments of every event, by the functions that call its handlers (v6.12 include/linux/tracepoint.h: `DEFINE_TRACE_FN`).
fn events(btf: &Btf<'_>) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::new();
    for id in btf.ids() {
        let Ok(Type::Func { name, proto, .. }) = btf.get(id) else { continue };
        let Some(event) = name.strip_prefix("__traceiter_") else { continue };
        let Ok(Type::FuncProto { params, .. }) = btf.get(proto) else { continue };
        let args = params.iter().skip(1).map(|(name, _)| (*name).to_owned()).collect();
        events.insert(event.to_owned(), args);
    }
    events
}
