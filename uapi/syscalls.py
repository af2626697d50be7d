#!/usr/bin/env python3
"""Writes `syscalls.tsv`: the system calls of seven architectures, with their numbers and arguments.

    uapi/syscalls.py /sys/kernel/tracing/events/syscalls /usr > uapi/syscalls.tsv

Numbers come from the headers of linux-libc-dev and, below the folder named last, of linux-libc-dev-{i386,armhf,ppc64el,riscv64,s390x}-cross, by the
preprocessor; arguments from the events of a running x86_64 kernel, or from an earlier table in the place of that folder. What neither has stands in the tables below.
"""

import pathlib
import re
import subprocess
import sys

# What arm64's <asm/unistd.h> asks the generic table for.
ARM64_WANTS = ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET"]

# Beside x86_64 and arm64, in the order of the columns: where the headers lie, which one has the numbers, what it is to be told, and whether a `long` has 32 bits.
OTHERS = [
    ("i686-linux-gnu", "asm/unistd_32.h", [], True),
    ("arm-linux-gnueabihf", "asm/unistd.h", ["__ARM_EABI__"], True),
    ("powerpc64le-linux-gnu", "asm/unistd_64.h", [], False),
    ("riscv64-linux-gnu", "asm/unistd.h", ["__LP64__", "__riscv_xlen=64"], False),
    ("s390x-linux-gnu", "asm/unistd_64.h", [], False),
]

# Calls that are others under the same name there: all arguments in one struct, or the first two the other way round (CLONE_BACKWARDS2).
DIFFERENT = {"i686-linux-gnu": {"mmap", "select"}, "s390x-linux-gnu": {"mmap", "clone"}, "powerpc64le-linux-gnu": {"select"}}

# Arguments of these types take two registers where a register has 32 bits, or have a sign that is lost there.
WIDE = re.compile(r"\b(?:loff_t|off_t|u64|__u64|s64|__s64|ssize_t|time_t|clock_t)(?= \w+(?:,|$))|(?:^|, )long(?: int)?(?= \w+(?:,|$))")

# Newer than the headers. Since 5.1 a system call has one number everywhere.
NEWER = {
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
    "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469,
}

# Where the kernel's function has another name than the system call.
FUNCTIONS = {
    "stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname", "umount2": "umount",
    "sendfile": "sendfile64",
}

# Arguments that no event tells: the event is missing, or left out by the kernel's configuration.
ARGUMENTS = {
    "arch_prctl": "int option, unsigned long arg2",
    # What follows is (child_tidptr, tls) on x86_64 and (tls, child_tidptr) on arm64.
    "clone": "unsigned long clone_flags, unsigned long newsp, int *parent_tidptr",
    "delete_module": "const char *name_user, unsigned int flags",
    "fadvise64": "int fd, loff_t offset, size_t len, int advice",
    "finit_module": "int fd, const char *uargs, int flags",
    "futex_requeue": "struct futex_waitv *waiters, unsigned int flags, int nr_wake, int nr_requeue",
    "futex_wait": "void *uaddr, unsigned long val, unsigned long mask, unsigned int flags, struct timespec *timeout, clockid_t clockid",
    "futex_wake": "void *uaddr, unsigned long mask, int nr, unsigned int flags",
    "get_thread_area": "struct user_desc *u_info",
    "init_module": "void *umod, unsigned long len, const char *uargs",
    "iopl": "unsigned int level",
    "ioperm": "unsigned long from, unsigned long num, int turn_on",
    "kexec_file_load": "int kernel_fd, int initrd_fd, unsigned long cmdline_len, const char *cmdline, unsigned long flags",
    "kexec_load": "unsigned long entry, unsigned long nr_segments, struct kexec_segment *segments, unsigned long flags",
    "modify_ldt": "int func, void *ptr, unsigned long bytecount",
    "mmap": "unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, unsigned long off",
    "lookup_dcookie": "u64 cookie64, char *buf, size_t len",
    "map_shadow_stack": "unsigned long addr, unsigned long size, unsigned int flags",
    "nfsservctl": "int cmd, void *argp, void *resp",
    "process_madvise": "int pidfd, const struct iovec *vec, size_t vlen, int behavior, unsigned int flags",
    "rt_sigreturn": "",
    "set_thread_area": "struct user_desc *u_info",
    "uselib": "const char *library",
}


def numbers(header, defines=(), folder=None):
    where = ["-nostdinc", f"-I{folder}"] if folder else []
    command = ["cpp", "-P", *where, *[f"-D{d}" for d in defines], "-include", header]
    run = lambda more, text="": subprocess.run(
        [*command, *more, "-"], check=True, capture_output=True, text=True, input=text
    ).stdout
    names = re.findall(r"^#define __NR_(\w+) ", run(["-dM"]), re.MULTILINE)
    values = run([], "\n".join(f'"{name}" __NR_{name}' for name in names))
    found = {}
    for name, value in re.findall(r'^"(\w+)" ([\d+() ]+)$', values, re.MULTILINE):
        found[name] = sum(int(part) for part in re.findall(r"\d+", value))
    for name in ("syscalls", "arch_specific_syscall", "SYSCALL_BASE", "OABI_SYSCALL_BASE", "sync_file_range2" if "arm_sync_file_range" in found else ""):
        found.pop(name, None)
    return {**NEWER, **found}


def arguments(events, name):
    """As C text, from `field:TYPE NAME; offset:…` lines after the number's own."""
    fixed = ARGUMENTS.get(name)
    if events.is_file():
        earlier = dict(row.split("\t")[:: len(row.split("\t")) - 1] for row in events.read_text().splitlines())
        return earlier.get(name)
    path = events / f"sys_enter_{FUNCTIONS.get(name, name)}" / "format"
    if fixed is not None or not path.exists():
        return fixed
    fields = re.findall(r"field:([^;]*);", path.read_text())
    fields = fields[next(i for i, f in enumerate(fields) if "__syscall_nr" in f) + 1 :]
    texts = (re.sub(r"\b__user\b ?", "", re.sub(r"\s+", " ", f)) for f in fields if "__data_loc" not in f)
    return ", ".join(tidy(text) for text in texts)


def tidy(text):
    """`const char * const x` → `const char *x`: what is said of the argument itself is of no use to its reader."""
    text = re.sub(r"\* ?const (?=\w+$)", "*", text)
    if "*" not in text:
        text = text.replace("const ", "")
    return re.sub(r" ?\* ?", " *", text).replace("* *", "**")


def main():
    events, cross = map(pathlib.Path, sys.argv[1:])
    columns = [
        (numbers("asm/unistd_64.h"), set(), False),
        (numbers("asm-generic/unistd.h", [f"__ARCH_WANT_{d}" for d in ARM64_WANTS]), set(), False),
    ]
    for triplet, header, defines, narrow in OTHERS:
        found = numbers(header, defines, cross / triplet / "include")
        columns.append((found, DIFFERENT.get(triplet, set()), narrow))
    for name in sorted(set().union(*(found for found, _, _ in columns))):
        # What no kernel implements any more has no arguments that anyone could tell.
        args = arguments(events, name) or ""
        wide = WIDE.search(args)
        cells = [
            "-" if name in different or narrow and wide else found.get(name, "-")
            for found, different, narrow in columns
        ]
        if any(cell != "-" for cell in cells):
            print(name, *cells, args, sep="\t")


main()
