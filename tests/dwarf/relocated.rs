//! A real kernel whose types are read from its DWARF alone: objects that are relocated for it are, byte for byte, those that are relocated from its BTF.
//!
//! As in [`super::vmlinux`], `UBPFC_VMLINUX` names the image, `UBPFC_VMLINUX_BTF` its BTF if the image has none.

use super::support::objects;
use super::vmlinux::{GiveBack, btf, image};
use std::borrow::Cow;
use std::collections::BTreeSet;
use ubpfc::btf::Btf;
use ubpfc::kernel::dwarf::types;
use ubpfc::kernel::{Form, Kernel, KernelError, Source, SourceTypes};
use ubpfc::object::read::Object;
use ubpfc::relocate::{self, Options, Policy};

/// Types that have been made.
#[derive(Debug)]
struct Made {
    btf: Vec<u8>,
    pointer_size: u32,
    form: Form,
}

impl Source for Made {
    fn types(&self, _: &[&str]) -> Result<SourceTypes<'_>, KernelError> {
        let pointer_size = Some(self.pointer_size);
        Ok(SourceTypes { btf: Cow::Borrowed(&self.btf), split: false, base: None, pointer_size })
    }

    fn form(&self) -> Form {
        self.form
    }
}

fn kernel(btf: Vec<u8>, pointer_size: u32, form: Form) -> Kernel {
    let image = Box::new(Made { btf, pointer_size, form });
    Kernel { name: "vmlinux".into(), release: None, image, modules: Vec::new() }
}

#[test]
#[ignore = "takes a kernel image with DWARF, and its BTF"]
fn objects_are_the_same_as_from_the_btf() {
    let Some(map) = image() else { return };
    let Some(theirs) = btf() else { return };
    let endian = Btf::parse(&theirs).unwrap().endian;
    let folder = tempfile::tempdir().unwrap();
    let mut subjects = objects::ours(folder.path(), endian);
    subjects.extend(objects::clangs(folder.path(), endian));
    let mut names = BTreeSet::new();
    for subject in &subjects {
        let bytes = subject.bytes();
        let needs = relocate::needs(&Object::parse(&bytes).unwrap()).unwrap();
        names.extend(needs.into_iter().map(|(_, name)| name));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = types(&map, &GiveBack, &names).unwrap();
    let dwarf = kernel(found.btf, found.pointer_size, Form::Dwarf);
    let btf = kernel(theirs, found.pointer_size, Form::Btf);
    let (mut equal, mut refused, mut wrong) = (0, 0, Vec::new());
    for subject in &subjects {
        let bytes = subject.bytes();
        for policy in [Policy::Strict, Policy::Libbpf] {
            // A kernel without BTF takes other forms: the same ones are compared.
            let options = Options { policy, no_btf: true };
            let [ours, theirs] = [&dwarf, &btf].map(|kernel| {
                relocate::relocate(&bytes, kernel, options).result.map_err(|e| e.to_string())
            });
            match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) if ours == theirs => equal += 1,
                (Err(ours), Err(theirs)) if ours == theirs => refused += 1,
                _ => wrong.push(format!(
                    "{} by {policy:?}: {:?}, {:?}",
                    subject.name,
                    ours.map(|o| o.len()),
                    theirs.map(|o| o.len())
                )),
            }
        }
    }
    println!("{equal} objects are equal, {refused} are refused for the same reason");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal > subjects.len());
}
