//! The same code in rbpf, and in the kernel, where the verifier has its say first.

#![allow(unsafe_code, reason = "the bpf system call takes addresses")]

use super::support;
use std::sync::OnceLock;
use ubpfc::isa::code::Insn;
use ubpfc::isa::opcode as op;

fn bytes(insns: &[Insn]) -> Vec<u8> {
    let one = |i: &Insn| {
        let mut out = vec![i.code, i.dst | i.src << 4];
        out.extend(i.off.to_le_bytes());
        out.extend(i.imm.to_le_bytes());
        out
    };
    insns.iter().flat_map(one).collect()
}

/// Runs a program in rbpf, unless it has what rbpf 0.4 has not, or has wrong: unsigned jumps take a negative immediate as a 32-bit number, and negation
/// overflows.
pub(crate) fn run_in_rbpf(insns: &[Insn]) -> Option<u64> {
    let is_unknown = |insn: &Insn| {
        let (class, what) = (insn.code & op::CLASS_MASK, insn.code & op::OP_MASK);
        let signed_jump = matches!(what, op::JSGT | op::JSGE | op::JSLT | op::JSLE);
        match class {
            op::JMP => insn.code & op::SRC_MASK == op::K && insn.imm < 0 && !signed_jump,
            op::ALU64 => what == op::NEG || what == op::END || insn.off != 0,
            op::LDX => insn.code & op::MODE_MASK == op::MEMSX,
            op::STX => insn.code & op::MODE_MASK == op::ATOMIC,
            op::JMP32 => what == op::JA,
            _ => false,
        }
    };
    if insns.iter().any(is_unknown) {
        return None;
    }
    let program = bytes(insns);
    let vm = rbpf::EbpfVmNoData::new(Some(&program)).expect("rbpf takes it");
    Some(vm.execute_program().expect("rbpf runs it"))
}

/// The fields of `union bpf_attr` for `BPF_PROG_LOAD`, as far as they are used here (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// Likewise for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const SOCKET_FILTER: u32 = 1;

fn bpf<T>(command: libc::c_long, attr: &mut T) -> std::io::Result<i32> {
    let size = size_of::<T>();
    // SAFETY: the attribute is as long as is said, and all that it points to is alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Loads a program; the error is the verifier's log.
fn load(insns: &[Insn]) -> Result<i32, String> {
    let program = bytes(insns);
    let license = c"GPL";
    let mut log = vec![0u8; 1 << 20];
    let mut attr = Load {
        prog_type: SOCKET_FILTER,
        insn_cnt: insns.len() as u32,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log_buf: log.as_mut_ptr() as u64,
        ..Load::default()
    };
    bpf(PROG_LOAD, &mut attr).map_err(|error| {
        let end = log.iter().position(|b| *b == 0).unwrap_or(0);
        format!("{error}: {}", String::from_utf8_lossy(&log[end.saturating_sub(3000)..end]))
    })
}

/// Whether programs may be loaded here; asked once.
fn may_load() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| support::require("root"))
}

fn close(fd: i32) {
    // SAFETY: the descriptor is ours and is not used any more.
    unsafe { libc::close(fd) };
}

/// Runs a program in the kernel, where that may be done. The result is cut to 32 bits there.
pub(crate) fn run_in_kernel(insns: &[Insn]) -> Option<Result<u32, String>> {
    may_load().then(|| {
        let fd = load(insns)?;
        let packet = [0u8; 64];
        let mut attr = TestRun {
            prog_fd: fd as u32,
            data_size_in: packet.len() as u32,
            data_in: packet.as_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        let ran = bpf(PROG_TEST_RUN, &mut attr).map_err(|e| e.to_string());
        close(fd);
        ran.map(|_| attr.retval)
    })
}
