"""The members of twelve.bpf.c, asked of a vmlinux with DWARF by drgn: ask.py VMLINUX."""

import sys

import drgn

WANTED = {
    "task_struct": ["pid", "tgid", "mm", "signal", "comm"],
    "mm_struct": ["total_vm"],
    "signal_struct": ["oom_score_adj"],
    "dentry": ["d_name", "d_parent", "d_inode"],
    "super_block": ["s_dev"],
    "inode": ["i_ino", "i_size", "i_sb"],
    "file": ["f_inode", "f_flags"],
    "sk_buff": ["len", "protocol"],
    "request": ["__data_len"],
    "nsproxy": ["mnt_ns"],
    "kernfs_node": ["name"],
    "irqaction": ["name"],
}

program = drgn.Program()
if hasattr(program, "extra_module"):
    # Since 0.1 files are looked at for modules of the program, which has none.
    program.extra_module("vmlinux", create=True).try_file(sys.argv[1], force=True)
else:
    program.load_debug_info([sys.argv[1]])
for struct, members in WANTED.items():
    kernel_type = program.type("struct " + struct)
    for member in members:
        found = kernel_type.member(member)
        print(struct, member, found.offset, found.bit_field_size)
