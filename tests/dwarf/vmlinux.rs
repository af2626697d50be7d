//! A real kernel: what its DWARF says is what its BTF says.
//!
//! `UBPFC_VMLINUX` names a kernel image with DWARF, as `testdata/kernels/debug.sh` fetches it, `UBPFC_VMLINUX_BTF` the BTF that was made of it, if that is not in the image. Without them these tests do nothing, and say so.

#![allow(
    unsafe_code,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement maps a file, gives its pages back, and says how it went"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::time::Instant;
use ubpfc::btf::{Btf, Member, Type, TypeId, essential};
use ubpfc::kernel::dwarf::{Companions, types};
use ubpfc::kernel::{Form, Kernel};

/// Gives pages of a mapped file back.
#[derive(Debug)]
pub(crate) struct GiveBack;

impl Companions for GiveBack {
    fn done_with(&self, part: &[u8]) {
        let page = 4096;
        let start = (part.as_ptr() as usize).next_multiple_of(page);
        let end = (part.as_ptr() as usize + part.len()) / page * page;
        if start < end {
            // SAFETY: the pages are those of a file that is mapped to be read: they come back when they are read again.
            unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
        }
    }
}

const NAMES: &[&str] = &[
    "task_struct",
    "mm_struct",
    "inode",
    "file",
    "dentry",
    "sock",
    "sk_buff",
    "net_device",
    "super_block",
    "cred",
    "request",
    "bio",
];

/// What tracing tools read: every member of these must be where the BTF has it.
const READ: &[&str] = &[
    "task_struct",
    "cred",
    "nsproxy",
    "pid",
    "upid",
    "pid_namespace",
    "mm_struct",
    "signal_struct",
    "sched_entity",
    "thread_info",
    "css_set",
    "cgroup",
    "kernfs_node",
    "mem_cgroup",
    "fs_struct",
    "path",
    "dentry",
    "qstr",
    "mount",
    "vfsmount",
    "inode",
    "super_block",
    "file",
    "kiocb",
    "request",
    "request_queue",
    "gendisk",
    "block_device",
    "bio",
    "sock",
    "sock_common",
    "inet_sock",
    "tcp_sock",
    "inet_connection_sock",
    "sk_buff",
    "net",
    "net_device",
    "cfs_rq",
    "rq",
    "irqaction",
    "oom_control",
    "kmem_cache",
    "module",
    "linux_binprm",
    "iov_iter",
    "pt_regs",
    "vm_area_struct",
];

/// The kernel image, mapped.
pub(crate) fn image() -> Option<memmap2::Mmap> {
    let Ok(path) = std::env::var("UBPFC_VMLINUX") else {
        println!("skipped: UBPFC_VMLINUX does not name a kernel image with DWARF");
        return None;
    };
    let file = File::open(path).unwrap();
    // SAFETY: nobody writes to the file.
    Some(unsafe { memmap2::Mmap::map(&file) }.unwrap())
}

/// The kernel's own BTF: of the file that the environment names, or in the image.
pub(crate) fn btf() -> Option<Vec<u8>> {
    let path = std::env::var("UBPFC_VMLINUX_BTF").or_else(|_| std::env::var("UBPFC_VMLINUX"));
    let kernel = Kernel::open(Path::new(&path.ok()?), &[]).unwrap();
    if kernel.image.form() != Form::Btf {
        println!("skipped: the image has no BTF, and UBPFC_VMLINUX_BTF does not name it");
        return None;
    }
    Some(kernel.image.types(&[]).unwrap().btf.into_owned())
}

#[test]
#[ignore = "takes a kernel image with DWARF"]
fn time_and_memory_for_twelve_structs() {
    let Some(map) = image() else { return };
    for _ in 0..3 {
        let start = Instant::now();
        let found = types(&map, &GiveBack, NAMES).unwrap();
        println!("{:?}, {} bytes of BTF", start.elapsed(), found.btf.len());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

/// The structs and unions of each name: of each its size and its members, down to what is no struct or union.
fn layouts(btf: &Btf<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    for id in btf.ids() {
        if let Type::Composite { union, name, size, members } = btf.get(id).unwrap()
            && !name.is_empty()
            && (size == 0 || !members.is_empty())
        {
            let mut text = format!("union {union}, {size} bytes\n");
            describe(btf, id, "", 0, &mut text);
            all.entry(name.to_owned()).or_default().insert(text);
        }
    }
    all
}

fn describe(btf: &Btf<'_>, id: TypeId, path: &str, start: u64, out: &mut String) {
    let id = btf.strip(id).unwrap();
    match btf.get(id).unwrap() {
        Type::Composite { members, .. } => {
            for Member { name, ty, bit_offset, bit_width } in members {
                let at = start + u64::from(bit_offset);
                let path = format!("{path}.{name}");
                writeln!(out, "{path} at {at}:{bit_width}").unwrap();
                describe(btf, ty, &path, at, out);
            }
        }
        // A kernel's BTF has one dimension of as many elements.
        Type::Array { .. } => {
            let (mut at, mut count) = (id, 1);
            while let Type::Array { elem, len, .. } = btf.get(at).unwrap() {
                count *= len;
                at = btf.strip(elem).unwrap();
            }
            writeln!(out, "{path} has {count}").unwrap();
            describe(btf, at, &format!("{path}[]"), start, out);
        }
        Type::Int { name, bytes, encoding, .. } => {
            writeln!(out, "{path} is {name}, {bytes} bytes, {encoding}").unwrap();
        }
        // pahole writes them as integers unless it is told that the kernel knows floats.
        Type::Float { name, size } => writeln!(out, "{path} is {name}, {size} bytes, 0").unwrap(),
        Type::Enum { size, values, .. } => writeln!(out, "{path} is {size}: {values:?}").unwrap(),
        Type::Ptr(_) => writeln!(out, "{path} is a pointer").unwrap(),
        other => writeln!(out, "{path} is {other:?}").unwrap(),
    }
}

#[test]
#[ignore = "takes a kernel image with DWARF, and its BTF"]
fn every_struct_is_as_in_the_btf() {
    let Some(map) = image() else { return };
    let Some(bytes) = btf() else { return };
    let kernel = Btf::parse(&bytes).unwrap();
    let theirs = layouts(&kernel);
    let names: BTreeSet<&str> = theirs.keys().map(|name| essential(name)).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let found = types(&map, &GiveBack, &names).unwrap();
    let ours = layouts(&Btf::parse(&found.btf).unwrap());
    let (mut equal, mut more, mut other) = (0, Vec::new(), Vec::new());
    for (name, theirs) in &theirs {
        match ours.get(name) {
            Some(ours) if ours == theirs => equal += 1,
            Some(ours) if ours.is_superset(theirs) => more.push(name),
            ours => other.push((name, theirs.len(), ours.map(BTreeSet::len))),
        }
    }
    println!("{equal} of {} equal; {} with more layouts: {more:?}", theirs.len(), more.len());
    println!("{} others: {other:?}", other.len());
    if let Ok(name) = std::env::var("UBPFC_SHOW") {
        println!("{:?}\n{:?}", theirs.get(&name), ours.get(&name));
    }
    assert!(equal > theirs.len() * 99 / 100);
    // Types that are local to functions: pahole has them too.
    assert!(other.iter().all(|(.., ours)| ours.is_none()), "what is there is laid out alike");
    let differ = other.iter().map(|(name, ..)| name.as_str()).filter(|name| READ.contains(name));
    assert_eq!(differ.collect::<Vec<_>>(), [""; 0], "what tools read is the same");
    let there = READ.iter().filter(|name| theirs.contains_key(**name)).count();
    assert!(there > READ.len() * 3 / 4, "{there} of what tools read");
}
