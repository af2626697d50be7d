//! libbpf as an oracle: what it makes of objects for a target's BTF.
//!
//! In: objects and the BTF of a target, as files. Out: the code of each program as libbpf would hand it to the kernel, and what it said. libbpf runs in a process of its own, since it trusts its input more than
//! a test can; that process is this test binary, told by its environment to run [`child`] alone. Nothing is loaded into the kernel but the object's BTF and maps, which go away with the process.

#![expect(unsafe_code, reason = "libbpf is a C library")]
#![expect(clippy::disallowed_methods, reason = "the child's orders are in its environment")]
#![expect(clippy::print_stderr, reason = "the child's parent reads it")]

use libbpf_sys as sys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::Command;
use ubpfc::isa::code::Insn;
use ubpfc::isa::encode;
use ubpfc::target::Endian;

/// The child's orders: the target, where the answers go, and the objects, each a line.
const ORDERS: &str = "UBPFC_LIBBPF_ORDERS";
/// What the child says between what libbpf says of one object and of the next.
const NEXT: &str = "== the next object ==";

/// What libbpf made of an object.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The slots of each program by name: its own, then those of the functions that it calls. As far as libbpf came.
    pub(crate) programs: BTreeMap<String, Vec<Insn>>,
    /// The error, negative; 0 where all went well.
    pub(crate) error: i32,
    /// What libbpf said, warnings and up.
    pub(crate) log: String,
}

impl Answer {
    /// The record at which relocation ended: its number in its section.
    pub(crate) fn failed_record(&self) -> Option<usize> {
        let told = |line: &&str| {
            line.contains(": failed to relocate: ") || line.contains(": failed to patch insn #")
        };
        let at = self.log.lines().rfind(told).filter(|_| self.refused())?;
        let (_, number) = at.split_once("relo #")?;
        number.split(':').next()?.parse().ok()
    }

    /// Whether relocation itself failed, rather than what follows it.
    pub(crate) fn refused(&self) -> bool {
        self.error != 0 && self.log.contains("failed to perform CO-RE relocations")
    }
}

/// What the child writes down.
#[derive(Serialize, Deserialize)]
struct Written {
    error: i32,
    programs: BTreeMap<String, Vec<[u8; 8]>>,
}

/// Relocates an object for a target.
pub(crate) fn relocate(object: &Path, target: &Path) -> Answer {
    relocate_all(&[object], target).remove(0)
}

/// Relocates objects for a target, all in one process.
pub(crate) fn relocate_all(objects: &[&Path], target: &Path) -> Vec<Answer> {
    let out = tempfile::NamedTempFile::new().unwrap();
    let places = [target, out.path()].into_iter().chain(objects.iter().copied());
    let orders: Vec<&str> = places.map(|path| path.to_str().unwrap()).collect();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["libbpf::child", "--exact", "--ignored", "--nocapture"]);
    let output = child.env(ORDERS, orders.join("\n")).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let written = std::fs::read(out.path()).unwrap();
    let written: Vec<Written> = serde_json::from_slice(&written)
        .unwrap_or_else(|_| panic!("libbpf ended with {}: {log}", output.status));
    assert_eq!(written.len(), objects.len());
    let slots = |slots: Vec<[u8; 8]>| {
        slots.into_iter().map(|slot| Insn::decode(slot, Endian::Little)).collect()
    };
    let answer = |(Written { error, programs }, log): (Written, &str)| {
        let programs = programs.into_iter().map(|(name, code)| (name, slots(code))).collect();
        Answer { programs, error, log: log.to_owned() }
    };
    written.into_iter().zip(log.split(NEXT)).map(answer).collect()
}

#[test]
#[ignore = "the other tests run it in a process of its own, with orders"]
fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let mut orders = orders.split('\n');
    let mut path = || orders.next();
    let (target, out) = (CString::new(path().unwrap()).unwrap(), path().unwrap());
    let answers: Vec<Written> = std::iter::from_fn(path)
        .map(|object| {
            let answer = relocated(&std::fs::read(object).unwrap(), &target);
            eprintln!("{NEXT}");
            answer
        })
        .collect();
    std::fs::write(out, serde_json::to_vec(&answers).unwrap()).unwrap();
}

/// What libbpf makes of an object. Code is in this machine's byte order, whatever that of the object is.
fn relocated(object: &[u8], target: &CStr) -> Written {
    // SAFETY: a structure of numbers and pointers, of which all may be 0.
    let mut options: sys::bpf_object_open_opts = unsafe { std::mem::zeroed() };
    options.sz = size_of_val(&options) as u64;
    options.btf_custom_path = target.as_ptr();
    options.object_name = c"subject".as_ptr();
    let mut written = Written { error: 0, programs: BTreeMap::new() };
    // SAFETY: object and options outlive the call; libbpf copies the path.
    let handle = unsafe {
        sys::bpf_object__open_mem(object.as_ptr().cast(), object.len() as u64, &raw const options)
    };
    if handle.is_null() {
        written.error = -std::io::Error::last_os_error().raw_os_error().unwrap_or(1);
        return written;
    }
    // SAFETY: the handle is libbpf's own.
    written.error = unsafe { sys::bpf_object__prepare(handle) };
    // SAFETY: as above; the programs are the object's.
    written.programs = unsafe { programs(handle) };
    // SAFETY: as above; nothing of it is used any more.
    unsafe { sys::bpf_object__close(handle) };
    written
}

/// The code of each program.
///
/// # Safety
/// The object must be an open one.
unsafe fn programs(object: *mut sys::bpf_object) -> BTreeMap<String, Vec<[u8; 8]>> {
    let mut programs = BTreeMap::new();
    // SAFETY: the object is open; after the last program comes null.
    let mut at = unsafe { sys::bpf_object__next_program(object, std::ptr::null_mut()) };
    while !at.is_null() {
        // SAFETY: name and code belong to the program, which lives as long as the object.
        let (name, code) = unsafe {
            let (first, count) = (sys::bpf_program__insns(at), sys::bpf_program__insn_cnt(at));
            let count = usize::try_from(count).unwrap();
            let code = std::slice::from_raw_parts(first.cast::<[u8; encode::SLOT]>(), count);
            (CStr::from_ptr(sys::bpf_program__name(at)), code.to_vec())
        };
        programs.insert(name.to_str().unwrap().to_owned(), code);
        // SAFETY: as above.
        at = unsafe { sys::bpf_object__next_program(object, at) };
    }
    programs
}
