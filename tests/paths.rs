//! What mirrors say of the kernel beside paths from member to member: guards, containers, casts. In rbpf, over images of kernels that are laid out differently, against the
//! evaluator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use support::eval::{self, Input};
use support::image::KernelImage;
use support::pipeline::{CPUS, Script};
use support::state::{Env, State};
use support::vm;

/// Numbers that are numbers, and an owner that nobody says the type of.
const OLD: &str = "
struct sock 128
 0 u16 skc_dport
 4 u32 skc_daddr
 8 u64 skc_cookie
 16 u8 sk_state
 20 u32 sk_kind
 24 *void sk_user_data
 32 =path path
 40 =path other
 48 s32 old_form
 52 u32 sk_base
 56 u32[3] counts
 72 =inode embedded
 96 *void sk_name
struct tcp_sock 256
 0 =sock sock
 128 u32 bytes_sent
struct path 8
 0 *vfsmount mnt
struct vfsmount 8
 0 u32 flags
struct mount 64
 8 =vfsmount mnt
 40 u32 id
struct socket_alloc 512
 8 =sock sk
 300 =inode inode
 340 u32 tag
struct inode 16
 8 u32 i_ino
enum fault 4
 3 FAULT_LOST
event inet_sock_set_state sk oldstate newstate
";

/// The same as enums of other names, elsewhere, and with an owner.
const NEW: &str = "
struct sock 160
 8 u16 skc_dport
 0 u32 skc_daddr
 16 u64 skc_cookie
 24 enum:anything sk_state
 28 enum:sock_kind sk_kind
 32 *inode sk_owner
 40 =path path
 56 =path other
 72 s32 new_form
 76 u32 sk_base
 80 u32[3] counts
 96 =inode embedded
 144 *void sk_name
struct tcp_sock 256
 0 =sock sock
 200 u32 bytes_sent
struct path 16
 8 *vfsmount mnt
struct vfsmount 32
 0 u32 flags
struct mount 128
 32 =vfsmount mnt
 4 u32 id
struct socket_alloc 512
 128 =sock sk
 80 =inode inode
 100 u32 tag
struct inode 32
 24 u32 i_ino
enum fault 4
 9 FAULT_GONE
 8 FAULT_LOST
enum anything 4
 1 ANYTHING
enum sock_kind 4
 1 SOCK_KIND
event inet_sock_set_state sk oldstate newstate
";

const SCRIPT: &str = include_str!("paths.ub");

struct World {
    image: KernelImage,
    sock: u64,
}

fn world(layout: &str) -> World {
    let mut image = KernelImage::new(layout);
    let inode = image.object("inode");
    image.set(inode, "inode", "i_ino", 77);
    let mount = image.object("mount");
    image.set(mount, "mount", "id", 21);
    let name = image.bytes(b"lo\0rubbish");
    let alloc = image.object("socket_alloc");
    let at = |image: &KernelImage, of: &str, member: &str| {
        let step = ubpfc::sema::hir::KStep::Member(member.into());
        u64::from(image.find(of, &[step]).unwrap().bit / 8)
    };
    image.set(alloc, "socket_alloc", "inode.i_ino", 4000);
    image.set(alloc, "socket_alloc", "tag", 8);
    let sock = alloc + at(&image, "socket_alloc", "sk");
    image.set(sock, "tcp_sock", "bytes_sent", 123_456);
    let fault = image.enumerator("fault", "FAULT_GONE").unwrap_or(3).cast_unsigned();
    for (name, value) in [
        ("skc_dport", u64::from(443_u16.to_be())),
        ("skc_daddr", u64::from(0x7f00_0001_u32.to_be())),
        ("skc_cookie", 0x0123_4567_89ab_cdef_u64.to_be()),
        ("sk_state", 7),
        ("sk_kind", 5),
        ("sk_user_data", inode),
        ("sk_owner", inode),
        ("path.mnt", mount + at(&image, "mount", "mnt")),
        ("sk_base", fault - 2),
        ("counts[0]", 10),
        ("counts[1]", 11),
        ("counts[2]", 12),
        ("embedded.i_ino", 55),
        ("sk_name", name),
    ] {
        image.set(sock, "sock", name, value);
    }
    World { image, sock }
}

fn input(world: &World) -> Input<'_> {
    Input {
        image: &world.image,
        event: "inet_sock_set_state",
        args: vec![world.sock, 1, 2],
        env: Env::default(),
        params: BTreeMap::new(),
    }
}

#[test]
fn a_path_gives_the_same_whatever_the_layout() {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let mut seen = Vec::new();
    for layout in [OLD, NEW] {
        let world = world(layout);
        for program in 0..script.hir.programs.len() {
            let mut expected = State::new(&script.hir);
            eval::run(&script.hir, program, &input(&world), &mut expected);
            for cpu in CPUS {
                let code = script.code(cpu).unwrap_or_else(|told| panic!("{told}"));
                let mut state = State::new(&script.hir);
                vm::run(&script.hir, &code, program, &input(&world), &mut state)
                    .unwrap_or_else(|e| panic!("program {program} on {cpu:?}: {e}"));
                assert_eq!(state, expected, "program {program} on {cpu:?}");
                for (form, function) in code.others.iter().filter(|(f, _)| f.program == program) {
                    let mut state = State::new(&script.hir);
                    vm::run_form(
                        &script.hir,
                        &code,
                        function,
                        form.typed,
                        &input(&world),
                        &mut state,
                    )
                    .unwrap_or_else(|e| panic!("{form:?} on {cpu:?}: {e}"));
                    assert_eq!(state, expected, "{form:?} on {cpu:?}");
                }
            }
            seen.push((program, expected));
        }
    }
    let (old, new) = seen.split_at(script.hir.programs.len());
    assert_eq!(old, new, "the two kernels differ");
}

#[test]
fn a_path_gives_what_the_kernel_has() {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let world = world(NEW);
    let mut state = State::new(&script.hir);
    eval::run(&script.hir, 0, &input(&world), &mut state);
    let numbers = script.hir.maps.iter().position(|(_, m)| m.name == "numbers").unwrap();
    let key_size = state.maps[numbers].keys().next().map_or(0, Vec::len);
    for (key, value) in [
        ("port", 443),
        ("address", 0x7f00_0001),
        ("cookie", 0x0123_4567_89ab_cdef),
        ("same", 443),
        ("tcp", 123_456),
        ("sent", 123_456),
        ("owner", 77),
        ("ino", 4000),
        ("alloc", 8),
        ("mount", 21),
        ("other mount", 0),
        ("has tag", 0),
        ("state", 7),
        ("kind", 5),
        ("has kind", 1),
        ("mask", 6),
        ("stated", 5),
        ("guarded", 1),
        ("error", 2),
        ("second", 11),
        ("pages", 12),
        ("inode", 55),
    ] {
        let mut bytes = key.as_bytes().to_vec();
        bytes.resize(key_size, 0);
        let found = state.maps[numbers].get(&bytes).unwrap_or_else(|| panic!("no {key}"));
        assert_eq!(i64::from_le_bytes(found.as_slice().try_into().unwrap()), value, "{key}");
    }
}
