//! A script sees the same on kernels that are laid out differently: in rbpf, over images of such kernels, against the evaluator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use support::eval::{self, Input};
use support::image::KernelImage;
use support::pipeline::{CPUS, Script};
use support::state::{Env, State};
use support::vm;
use ubpfc::target::Cpu;

/// As kernels were: a wide signed state, one more argument missing, fields apart, a bitfield low in its word.
const OLD: &str = "
struct task_struct 256
 0 s64 state
 8 s32 pid
 12 s32 prio
 16 u64 real_start_time
 24 *task_struct real_parent
 32 *signal_struct signal
 40.3:1 u32 in_iowait
 41.0:5 s32 nice_bits
 48 s8[16] comm
 64 *mm_struct mm
 72 u16 small
 76 s32 negative
 80 *pid_link thread_pid
 88 u16[4] few
 96 =inner embedded
 112 u32 paint
 116 s32 shrunk
 120 s16 grown
 124 u32 was_unsigned
 128 enum:colour coloured
 132 u32 cut
struct inner 16
 0 u8 tag
 8 u64 deep
struct signal_struct 16
 4 s16 oom_score_adj
struct mm_struct 64
 8 u64 total_vm
 16 =counter[3] rss_stat
struct counter 8
 0 s64 count
struct pid_link 96
 4 u32 level
 16 =upid[4] numbers
struct upid 16
 8 s32 nr
enum colour 4
 4 COLOUR_RED
 7 COLOUR_BLUE
event sched_switch preempt prev next
event sched_process_exit p
";

/// As they became: a narrow state under another name, everything elsewhere, other widths and strides, other enumerators, one argument more. Signed
/// fields that direct loads read have kept their width, since no stock loader patches that.
const NEW: &str = "
struct task_struct 512
 4 u32 __state
 100 s32 pid
 8 s32 prio
 200 u64 start_boottime
 208 *task_struct real_parent
 216 *signal_struct signal
 224.30:1 u32 in_iowait
 228.7:5 s32 nice_bits
 300 u8[16] comm
 320 *mm_struct mm
 328 u64 small
 336 s32 negative
 344 *pid_link thread_pid
 352 u16[8] few
 384 =inner embedded
 420 u32 paint
 424 s16 shrunk
 432 s64 grown
 440 s64 was_unsigned
 448 enum:colour coloured
 456 u64 cut
struct inner 32
 3 u8 tag
 24 u64 deep
struct signal_struct 64
 40 s16 oom_score_adj
struct mm_struct 256
 128 u64 total_vm
 160 =counter[3] rss_stat
struct counter 24
 16 s64 count
struct pid_link 256
 0 u8 level
 32 =upid[4] numbers
struct upid 40
 4 s32 nr
enum colour 4
 11 COLOUR_BLUE
 12 COLOUR_RED
event sched_switch preempt prev next prev_state
event sched_process_exit p group_dead
";

const SCRIPT: &str = include_str!("layouts.ub");

/// One state of the world, put into an image as it is laid out: the thread that leaves and the one that comes.
fn people(image: &mut KernelImage) -> [u64; 2] {
    let parent = image.object("task_struct");
    image.set(parent, "task_struct", "pid", 1);
    image.set_text(parent, "task_struct", "comm", "init");
    let signal = image.object("signal_struct");
    image.set(signal, "signal_struct", "oom_score_adj", (-17_i64).cast_unsigned());
    let mm = image.object("mm_struct");
    image.set(mm, "mm_struct", "total_vm", 1 << 40);
    for (i, count) in [100_i64, -3, 1000].into_iter().enumerate() {
        image.set(mm, "mm_struct", &format!("rss_stat[{i}].count"), count.cast_unsigned());
    }
    let link = image.object("pid_link");
    image.set(link, "pid_link", "level", 2);
    for i in 0..4 {
        image.set(link, "pid_link", &format!("numbers[{i}].nr"), 10 + i);
    }
    let prev = image.object("task_struct");
    for (name, value) in [
        ("pid", 4711),
        ("prio", 120),
        ("state", 0x402),
        ("__state", 0x402),
        ("real_start_time", 123_456_789_012),
        ("start_boottime", 123_456_789_012),
        ("real_parent", parent),
        ("signal", signal),
        ("mm", mm),
        ("in_iowait", 1),
        ("nice_bits", (-5_i64).cast_unsigned()),
        ("small", 40_000),
        ("cut", (1 << 32) + 42),
        ("negative", (-2_i64).cast_unsigned()),
        ("shrunk", (-300_i64).cast_unsigned()),
        ("grown", (-301_i64).cast_unsigned()),
        ("was_unsigned", 302),
        ("thread_pid", link),
        ("embedded.tag", 200),
        ("embedded.deep", 0x0123_4567_89ab_cdef),
    ] {
        image.set(prev, "task_struct", name, value);
    }
    for i in 0..4 {
        image.set(prev, "task_struct", &format!("few[{i}]"), 500 + i);
    }
    let red = image.enumerator("colour", "COLOUR_RED").unwrap().cast_unsigned();
    image.set(prev, "task_struct", "paint", red);
    image.set(prev, "task_struct", "coloured", red);
    image.set_text(prev, "task_struct", "comm", "worker/0:1");
    // The next thread has no mm, no signal struct and no parent: every pointer on the way is null.
    let next = image.object("task_struct");
    image.set(next, "task_struct", "pid", 4712);
    image.set(next, "task_struct", "prio", (-1_i64).cast_unsigned());
    [prev, next]
}

struct World {
    image: KernelImage,
    args: Vec<u64>,
}

fn world(layout: &str) -> World {
    let mut image = KernelImage::new(layout);
    let [prev, next] = people(&mut image);
    let mut args = vec![1, prev, next];
    args.resize(image.events["sched_switch"].len(), 0x402);
    World { image, args }
}

fn input(world: &World) -> Input<'_> {
    let env = Env { task: world.args[1], ..Env::default() };
    Input {
        image: &world.image,
        event: "sched_switch",
        args: world.args.clone(),
        env,
        params: BTreeMap::new(),
    }
}

#[test]
fn a_script_sees_the_same_whatever_the_layout() {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let (mut seen, mut forms) = (Vec::new(), 0);
    for layout in [OLD, NEW] {
        let world = world(layout);
        for program in 0..script.hir.programs.len() {
            let mut expected = State::new(&script.hir);
            eval::run(&script.hir, program, &input(&world), &mut expected);
            for cpu in CPUS {
                let code = script.code(cpu).unwrap_or_else(|told| panic!("{told}"));
                let mut state = State::new(&script.hir);
                let result = vm::run(&script.hir, &code, program, &input(&world), &mut state);
                result.unwrap_or_else(|e| {
                    panic!("{} on {cpu:?}: {e}", script.hir.programs[program].name)
                });
                assert_eq!(state, expected, "{} on {cpu:?}", script.hir.programs[program].name);
                for (form, function) in code.others.iter().filter(|(f, _)| f.program == program) {
                    let mut state = State::new(&script.hir);
                    let input = input(&world);
                    vm::run_form(&script.hir, &code, function, form.typed, &input, &mut state)
                        .unwrap_or_else(|e| panic!("{form:?} on {cpu:?}: {e}"));
                    assert_eq!(state, expected, "{form:?} on {cpu:?}");
                    forms += 1;
                }
            }
            seen.push((program, expected));
        }
    }
    let (old, new) = seen.split_at(script.hir.programs.len());
    assert_eq!(old, new, "the two kernels differ");
    assert!(forms >= 2 * CPUS.len(), "programs have forms that need no types");
}

#[test]
fn values_are_those_of_the_kernel() {
    let script = Script::new(SCRIPT).unwrap_or_else(|told| panic!("{told}"));
    let program = script.program("user_switch");
    let world = world(NEW);
    let code = script.code(Cpu::V3).unwrap_or_else(|told| panic!("{told}"));
    let mut state = State::new(&script.hir);
    vm::run(&script.hir, &code, program, &input(&world), &mut state).unwrap();
    let numbers = script.hir.maps.iter().position(|(_, m)| m.name == "numbers").unwrap();
    let key_size = state.maps[numbers].keys().next().map_or(0, Vec::len);
    let number = |key: &str| {
        let mut bytes = key.as_bytes().to_vec();
        bytes.resize(key_size, 0);
        let value = state.maps[numbers].get(&bytes).unwrap_or_else(|| panic!("no {key}"));
        i64::from_le_bytes(value.as_slice().try_into().unwrap())
    };
    for (key, value) in [
        ("pid", 4711),
        ("prio", 120),
        ("state", 0x402),
        ("start", 123_456_789_012),
        ("parent", 1),
        ("oom", -17),
        ("rss", 1097),
        ("iowait", 1),
        ("nice", -5),
        ("small", 40_000),
        ("negative", -2),
        ("nr", 12),
        ("deep", 0x0123_4567_89ab_cdef),
        ("red", 1),
        ("next", 4712),
        ("next prio", -1),
        ("next oom", 0),
        ("next rss", 0),
        ("absent", 0),
        ("has absent", 0),
        ("has small", 1),
        ("few", 502),
        ("outside", 0),
    ] {
        assert_eq!(number(key), value, "{key}");
    }
}

/// Runs the only program of a script over the new kernel.
fn run_over_new(text: &str) -> Result<State, String> {
    let script = Script::new(text).unwrap_or_else(|told| panic!("{told}"));
    let code = script.code(Cpu::V3).unwrap_or_else(|told| panic!("{told}"));
    let mut state = State::new(&script.hir);
    vm::run(&script.hir, &code, 0, &input(&world(NEW)), &mut state).map(|_| state)
}

const SWITCH: &str = "
kernel tracepoint sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state);
tracepoint user:switch(struct task_struct_user *prev) = tracepoint sched:sched_switch;
";

#[test]
fn a_direct_load_of_another_width_is_refused_and_not_guessed() {
    let script = format!(
        "struct task_struct_user {{ int shrunk; }}; {SWITCH} user:switch {{ @x = args.prev.shrunk; }}"
    );
    let error = run_over_new(&script).unwrap_err();
    assert!(error.contains("0xbad2310"), "{error}");
}

#[test]
fn a_field_that_the_kernel_has_as_an_enum_is_read() {
    let script = format!(
        "struct task_struct_user {{ u32 coloured = (enum colour)coloured; }}; {SWITCH} user:switch {{ @x = args.prev.coloured; }}"
    );
    let state = run_over_new(&script).unwrap();
    assert_eq!(state.maps[0].values().next().map(|v| v[0]), Some(12));
}
