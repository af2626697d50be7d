//! Answers compared.
use super::{kernels, libbpf, subject};
use ubpfc::btf::{Btf, Type, TypeId};

/// The structs that tools of tracing read.
pub(crate) const STRUCTS: &[&str] = &[
    "task_struct",
    "cred",
    "nsproxy",
    "ns_common",
    "mnt_namespace",
    "mm_struct",
    "signal_struct",
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
    "sk_buff",
    "net",
    "cfs_rq",
    "rq",
    "irqaction",
    "oom_control",
    "mem_cgroup",
    "cgroup_subsys_state",
    "cgroup",
    "kernfs_node",
    "kmem_cache",
    "module",
    "linux_binprm",
    "iov_iter",
];

fn struct_named(btf: &Btf<'_>, wanted: &str) -> Option<TypeId> {
    btf.ids().find(|id| {
        matches!(btf.get(*id), Ok(Type::Composite { union: false, name, .. }) if name == wanted)
    })
}

#[test]
fn first() {
    let local = kernels::named("x86_64-6.1.0-50-amd64").unwrap();
    let btf = local.btf();
    let mut questions = Vec::new();
    for name in STRUCTS {
        let Some(root) = struct_named(&btf, name) else {
            eprintln!("no {name}");
            continue;
        };
        questions.extend(subject::about_members(&btf, root, 1));
    }
    eprintln!("{} questions", questions.len());
    let object = subject::object(&local.bytes, &questions, |_| true);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write("/tmp/oracle-obj.o", &object).unwrap();
    std::fs::write(file.path(), object).unwrap();
    for target in kernels::all() {
        let start = std::time::Instant::now();
        let answer = libbpf::relocate(file.path(), target.file().path());
        let poison =
            answer.programs.get("asks").map(|p| p.iter().filter(|i| i.imm == 195896080).count());
        eprintln!(
            "{} {} {:?} {:?} {:?}",
            target.name,
            answer.error,
            answer.failed_record(),
            start.elapsed(),
            poison
        );
        if answer.error != 0 {
            eprintln!("{}", answer.log.lines().take(12).collect::<Vec<_>>().join("\n"));
        }
    }
}
