//! System calls on every architecture: told by its numbers, with arguments from its registers, and not taken for those of compat tasks. In rbpf, over images of each
//! architecture's registers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use support::eval::Input;
use support::image::KernelImage;
use support::pipeline::Script;
use support::state::{Env, State};
use support::vm;
use ubpfc::target::Cpu;

/// An architecture as its kernel has it.
struct Arch {
    name: &'static str,
    /// The registers.
    regs: &'static str,
    /// Where the number is after the call.
    number: &'static str,
    /// Where the six arguments are.
    args: [&'static str; 6],
    /// What a native task has, and what a compat task has instead: struct, member, values.
    compat: Option<(&'static str, &'static str, u64, u64)>,
    /// The numbers of `openat` and `pread64`.
    openat: u32,
    pread64: Option<u32>,
}

const ARCHITECTURES: [Arch; 7] = [
    Arch {
        name: "x86_64",
        regs: "struct pt_regs 168\n 0 u64 r15\n 32 u64 bp\n 40 u64 bx\n 56 u64 r10\n 64 u64 r9\n 72 u64 r8\n 88 u64 cx\n 96 u64 dx\n 104 u64 si\n 112 u64 di\n 120 u64 orig_ax\n",
        number: "orig_ax",
        args: ["di", "si", "dx", "r10", "r8", "r9"],
        compat: Some(("task_struct", "thread_info.status", 0, 2)),
        openat: 257,
        pread64: Some(17),
    },
    Arch {
        name: "arm64",
        regs: "struct pt_regs 336\n 0 u64[31] regs\n 264 u64 pstate\n 272 u64 orig_x0\n 280 s32 syscallno\n",
        number: "syscallno",
        args: ["orig_x0", "regs[1]", "regs[2]", "regs[3]", "regs[4]", "regs[5]"],
        compat: Some(("pt_regs", "pstate", 0x8000_0000, 0x10)),
        openat: 56,
        pread64: Some(67),
    },
    Arch {
        name: "i386",
        regs: "struct pt_regs 68\n 0 u32 bx\n 4 u32 cx\n 8 u32 dx\n 12 u32 si\n 16 u32 di\n 20 u32 bp\n 24 u32 ax\n 40 u16 gs\n 44 u32 orig_ax\n",
        number: "orig_ax",
        args: ["bx", "cx", "dx", "si", "di", "bp"],
        compat: None,
        openat: 295,
        pread64: None,
    },
    Arch {
        name: "arm",
        regs: "struct pt_regs 72\n 0 u32[18] uregs\n",
        number: "uregs[7]",
        args: ["uregs[17]", "uregs[1]", "uregs[2]", "uregs[3]", "uregs[4]", "uregs[5]"],
        compat: None,
        openat: 322,
        pread64: None,
    },
    Arch {
        name: "ppc64",
        regs: "struct pt_regs 384\n 0 u64[32] gpr\n 264 u64 msr\n 272 u64 orig_gpr3\n 312 u64 softe\n",
        number: "gpr[0]",
        args: ["orig_gpr3", "gpr[4]", "gpr[5]", "gpr[6]", "gpr[7]", "gpr[8]"],
        compat: Some(("pt_regs", "msr", 0x8000_0000_0000_d033, 0xd033)),
        openat: 286,
        pread64: Some(179),
    },
    Arch {
        name: "riscv64",
        regs: "struct pt_regs 288\n 80 u64 a0\n 88 u64 a1\n 96 u64 a2\n 104 u64 a3\n 112 u64 a4\n 120 u64 a5\n 136 u64 a7\n 256 u64 status\n 280 u64 orig_a0\n",
        number: "a7",
        args: ["orig_a0", "a1", "a2", "a3", "a4", "a5"],
        compat: Some(("pt_regs", "status", 0x2_0000_4020, 0x1_0000_4020)),
        openat: 56,
        pread64: Some(67),
    },
    Arch {
        name: "s390x",
        regs: "struct pt_regs 224\n 8 =psw psw\n 24 u64[16] gprs\n 152 u64 orig_gpr2\n 160 u32 int_code\nstruct psw 16\n 0 u64 mask\n 8 u64 addr\n",
        number: "int_code",
        args: ["orig_gpr2", "gprs[3]", "gprs[4]", "gprs[5]", "gprs[6]", "gprs[7]"],
        compat: Some(("pt_regs", "psw.mask", 0x0705_0001_8000_0000, 0x0705_0000_8000_0000)),
        openat: 288,
        pread64: Some(180),
    },
];

const TASK: &str = "
struct task_struct 64
 0 =thread_info thread_info
struct thread_info 24
 0 u64 flags
 16 u32 status
event sys_enter regs id
event sys_exit regs ret
";

/// What a script's first two programs, at the entry and at the exit, write where a thread makes the call of that number.
fn call(script: &Script, arch: &Arch, number: u32, compat: bool) -> Vec<Vec<u8>> {
    let mut image = KernelImage::new(&format!("{}{TASK}", arch.regs));
    let regs = image.object("pt_regs");
    let task = image.object("task_struct");
    // Beside the number, s390x has the length of the instruction.
    let kept = if arch.name == "s390x" { 2 << 16 | number } else { number };
    image.set(regs, "pt_regs", arch.number, kept.into());
    for (i, register) in (0..).zip(arch.args) {
        image.set(regs, "pt_regs", register, 101 + i);
    }
    if let Some((of, member, native, other)) = arch.compat {
        let object = if of == "pt_regs" { regs } else { task };
        image.set(object, of, member, if compat { other } else { native });
    }
    let code = script.code(Cpu::V3).unwrap_or_else(|told| panic!("{told}"));
    let mut state = State::new(&script.hir);
    for (program, event, second) in [(0, "sys_enter", u64::from(number)), (1, "sys_exit", 7)] {
        let env = Env { task, ..Env::default() };
        let (args, params) = (vec![regs, second], BTreeMap::new());
        let input = Input { image: &image, event, args, env, params };
        vm::run(&script.hir, &code, program, &input, &mut state).unwrap();
    }
    state.records
}

fn probes(name: &str) -> Script {
    let text = format!("syscall:{name}:enter, syscall:{name}:exit {{ emit (args.nr); }}");
    Script::new(&text).unwrap_or_else(|told| panic!("{told}"))
}

#[test]
fn a_call_is_told_by_the_number_of_the_architecture() {
    let [openat, pread64, any] = ["openat", "pread64", "*"].map(probes);
    for arch in &ARCHITECTURES {
        // Its entry and its exit.
        let all = 2;
        for other in &ARCHITECTURES {
            let expected = if arch.openat == other.openat { all } else { 0 };
            let seen = call(&openat, arch, other.openat, false).len();
            assert_eq!(seen, expected, "openat of {} on {}", other.name, arch.name);
        }
        assert_eq!(call(&any, arch, 2, false).len(), all, "any call on {}", arch.name);
        if let Some(number) = arch.pread64 {
            assert_eq!(call(&pread64, arch, number, false).len(), 2, "pread64 on {}", arch.name);
        }
        if arch.compat.is_some() {
            for (script, number) in [(&openat, arch.openat), (&any, 2)] {
                let seen = call(script, arch, number, true).len();
                assert_eq!(seen, 0, "{number} of a compat task on {}", arch.name);
            }
        }
    }
}

#[test]
fn no_call_is_seen_where_arguments_take_two_registers_or_nothing_is_known() {
    let [pread64, any] = ["pread64", "*"].map(probes);
    for arch in ARCHITECTURES.iter().filter(|arch| arch.pread64.is_none()) {
        assert_eq!(call(&pread64, arch, 180, false).len(), 0, "{}", arch.name);
    }
    let unknown = Arch {
        name: "mips",
        regs: "struct pt_regs 304\n 0 u64[8] pad0\n 64 u64 cp0_status\n",
        number: "nowhere",
        args: ["nowhere"; 6],
        compat: None,
        openat: 0,
        pread64: None,
    };
    assert_eq!(call(&any, &unknown, 2, false).len(), 0);
}

#[test]
fn arguments_are_in_the_registers_of_the_architecture() {
    // Six arguments, none of which has a sign.
    let names = "args.pid, args.lvec, args.liovcnt, args.rvec, args.riovcnt, args.flags";
    let read = format!(
        "syscall:process_vm_readv:enter {{ emit ({names}); }} syscall:sync:exit {{ emit (args.ret, 0); }}"
    );
    let script = Script::new(&read).unwrap_or_else(|told| panic!("{told}"));
    let call_number = ubpfc::sema::syscalls::find("process_vm_readv").unwrap();
    for (arch, number) in ARCHITECTURES.iter().zip(call_number.numbers) {
        let records = call(&script, arch, number.unwrap(), false);
        let [record] = records.as_slice() else { panic!("{}: {records:?}", arch.name) };
        let found = |offset: usize, size: usize| {
            let mut bytes = [0; 8];
            bytes[..size].copy_from_slice(&record[offset..offset + size]);
            u64::from_le_bytes(bytes)
        };
        // Behind the record's number: a 32-bit process, then five words.
        let args =
            [found(8, 4), found(16, 8), found(24, 8), found(32, 8), found(40, 8), found(48, 8)];
        assert_eq!(args, [101, 102, 103, 104, 105, 106], "{}", arch.name);
    }
}
