//! Objects written from hand-made machine code: what stock tools and our own reader find in them.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]
#![expect(clippy::disallowed_methods, reason = "tests write files for the tools they run")]

mod fixture;
mod hostile;
mod local;
mod read;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod tools;

use ubpfc::object::{print_code, print_relocs};
use ubpfc::target::Endian;
use ubpfc::target::Target;

#[test]
fn the_same_script_gives_the_same_bytes() {
    for endian in [Endian::Little, Endian::Big] {
        assert_eq!(fixture::script().write(endian), fixture::script().write(endian));
    }
}

#[test]
fn listings_name_fields_maps_and_lines() {
    let script = fixture::script();
    let asm = print_code(&script.hir, &script.code, &script.sources, Target::default()).unwrap();
    for expected in [
        "sched_switch: section tp_btf/sched_switch, 53 slots, 24 bytes of stack\n",
        "  ; @start[args.next.pid] = nsecs; @ fixture.ub:4\n",
        "    2: r2 = *(u32 *)(r7 +0)              ; task_struct.pid byte_off\n",
        "; task_struct.comm[3] byte_off\n",
        "; map @start\n",
        "; map ubpf_ring\n",
        "; param min_us\n",
        "; function visit\n",
        "; pid_type.PIDTYPE_TGID enumval_value\n",
        "; sched_switch(preempt, prev, next, prev_state) type_exists\n",
        "visit: section .text, 2 slots, 24 bytes of stack\n",
    ] {
        assert!(asm.contains(expected), "{expected:?} is not in\n{asm}");
    }
    let relocs = print_relocs(&script.hir, &script.code, &script.sources).unwrap();
    let row = relocs.lines().find(|row| row.contains("sum_exec_runtime")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells[..5],
        ["sched_switch", "8", "byte_off", "task_struct___user.se.sum_exec_runtime", "0:3:0"]
    );
    assert_eq!(relocs.lines().count(), 1 + script.core_relocs());
}
