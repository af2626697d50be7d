//! A prototype with a pointer to a function is told from others by libbpf, too: CO-RE compares what such functions take and give.

use super::support::{require, run};
use super::{kernels, libbpf};
use std::process::Command;
use ubpfc::btf::Type;
use ubpfc::isa::opcode::{ALU64, K, MOV};
use ubpfc::target::Endian;

/// An event that has got an argument (5.8): a pointer to a function. Which prototype is asked for is a matter of their order.
const SCRIPT: &str = "
struct work_struct_user { u64 data = (ulong)entry.next; };
kernel tracepoint workqueue_execute_end(struct work_struct *work, void (*function)(struct work_struct *work));
kernel tracepoint workqueue_execute_end(struct work_struct *work);
tracepoint user:end(struct work_struct_user *work, void *function?) = tracepoint workqueue:workqueue_execute_end;
user:end { emit ((u64)args.function); }
";

#[test]
fn a_prototype_with_a_function_is_known_by_libbpf() {
    if !require("root") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (script, object) = (folder.path().join("end.ub"), folder.path().join("end.o"));
    std::fs::write(&script, SCRIPT).unwrap();
    run(Command::new(env!("CARGO_BIN_EXE_ubpfc")).arg(&script).arg("-o").arg(&object));
    let mut seen = [0, 0];
    for kernel in kernels::all().filter(|kernel| kernel.endian() == Endian::Little) {
        let btf = kernel.btf();
        let [typedef] = btf.find(&["btf_trace_workqueue_execute_end"]).try_into().unwrap();
        let Some(&typedef) = typedef.first() else { continue };
        let Type::Ptr(proto) = btf.get(btf.strip(typedef).unwrap()).unwrap() else { panic!() };
        let Type::FuncProto { params, .. } = btf.get(proto).unwrap() else { panic!() };
        let answer = libbpf::relocate(&object, kernel.file().path());
        // The question is the first constant of the program that is not stored at once.
        let answered: Vec<i32> = answer.programs["user_end"]
            .iter()
            .filter(|insn| insn.code == ALU64 | MOV | K && insn.dst == 3)
            .map(|insn| insn.imm)
            .collect();
        let has = usize::from(answered.first() == Some(&1));
        // With the tracepoint's own `void *`.
        let expected = usize::from(params.len() == 3);
        assert_eq!(has, expected, "{}: {answered:?}\n{}", kernel.name, answer.log);
        seen[has] += 1;
    }
    assert!(seen[1] > 0, "{seen:?}");
}
