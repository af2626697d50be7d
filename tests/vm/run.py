#!/usr/bin/env python3
"""Loads every example on other kernels, in virtual machines, and compares what it sees with what is so.

    tests/vm/run.py --cache FOLDER [KERNEL...]

Each KERNEL is the beginning of a Debian release, such as 6.1; the newest such package for machines in clouds is fetched into FOLDER, unless
one is there. The examples and values.ub are compiled once, and tried on each kernel in three modes:

    stock      the object as it was compiled, where the kernel takes the forms that stock loaders see
    relocated  what `ubpfc relocate` makes of it for that kernel
    no-btf     the same with --no-btf: raw tracepoints and kprobes, by the forms that are set aside

Each is loaded and attached by libbpf; then workload.sh makes events, and what the tools saw of them is compared with expected.py. What
`ubpfc check` says of the kernel must be so: what runs loads, and what does not run cannot be relocated. Exit status 1 if anything differs.

Needs qemu-system-x86_64, a static busybox, apt and dpkg, gcc with static libbpf, libelf and libz. No root, and no KVM.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from decode import Seen, section
from expected import EXPECTED, NOTHING, problems
from machine import Failure, boot, fetch, unpack

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
KERNELS = ["5.10", "6.1", "6.12", "6.18", "7.3"]
MODES = ["stock", "relocated", "no-btf"]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def must(*command):
    result = run(*command)
    if result.returncode:
        raise Failure(f"{' '.join(command)}:\n{result.stderr}")
    return result.stdout


def compile_all(ubpfc, work):
    """The objects of all scripts, by name."""
    scripts = [os.path.join(REPOSITORY, "examples", name) for name in sorted(os.listdir(f"{REPOSITORY}/examples")) if name.endswith(".ub")]
    objects = {}
    for script in [*scripts, f"{HERE}/values.ub"]:
        name = os.path.basename(script).removesuffix(".ub")
        objects[name] = f"{work}/{name}.o"
        must(ubpfc, script, "-o", objects[name])
    return objects


def fate(ubpfc, objects, image, *options):
    """What `check` says of each object on this kernel: whether it runs, and the sections of its programs there."""
    result = run(ubpfc, "check", "--json", "--no-atlas", "--kernel", image, *options, *objects.values())
    if result.returncode not in (0, 3):
        raise Failure(f"check: {result.stderr}")
    document = json.loads(result.stdout)
    fates = {name: (True, {}) for name in objects}
    for row in document["results"]:
        name = list(objects)[row["file"]]
        runs, sections = fates[name]
        program = document["files"][row["file"]]["programs"][row["program"]]
        if row["taken"]:
            sections[program["name"]] = row["taken"]["section"]
        fates[name] = (runs and row["status"] in ("runs", "left_out"), sections)
    return fates


def sections_of(path):
    """The section of each program that stock loaders see."""
    programs = json.loads(section(path, ".ubpf"))["programs"]
    return {program["name"]: program["section"] for program in programs}


def prepare(ubpfc, objects, image, root):
    """Puts into `root/objects/MODE` what is to load there; gives what cannot be made, as lines, and the rest by mode."""
    fates, wrong, tried = fate(ubpfc, objects, image), [], {mode: {} for mode in MODES}
    for mode in MODES:
        os.makedirs(f"{root}/objects/{mode}")
    for name, object in objects.items():
        runs, taken = fates[name]
        seen = sections_of(object)
        if runs and all(seen.get(program, part) == part for program, part in taken.items()):
            tried["stock"][name] = shutil.copy(object, f"{root}/objects/stock/{name}.o")
        for mode, options in (("relocated", []), ("no-btf", ["--no-btf"])):
            out = f"{root}/objects/{mode}/{name}.o"
            made = run(ubpfc, "relocate", object, "--kernel", image, "-o", out, *options)
            if made.returncode == 0:
                tried[mode][name] = out
            if mode == "relocated" and (made.returncode == 0) != runs:
                wrong.append(f"{name}: check says {'it runs' if runs else 'it does not run'}, relocate ends with {made.returncode}")
            elif made.returncode not in (0, 3) or mode == "no-btf" and runs and made.returncode:
                wrong.append(f"{name} {mode}: cannot be relocated:\n{made.stderr.strip()}")
    return wrong, tried


def parse(text):
    """What the machine wrote: of each mode the facts, and of each object the status, its loader's lines, and its complaints."""
    modes, facts, lines = {}, None, None
    for line in text.splitlines():
        if line.startswith("@ mode "):
            facts, objects = {}, {}
            modes[line.split()[2]] = (facts, objects)
        elif line.startswith("@ object "):
            _, _, name, status = line.split()
            lines = ([], [])
            objects[name] = (int(status), *lines)
        elif line.startswith("fact "):
            _, name, value = (line + " ").split(" ", 2)
            facts[name] = value.strip()
        elif line.startswith("! "):
            lines[1].append(line[2:])
        elif line.startswith("{"):
            lines[0].append(line)
    return modes


def judge(tried, modes):
    """A letter for each mode of each object, and what is wrong."""
    letters, wrong = {}, []
    for mode in MODES:
        facts, objects = modes.get(mode, ({}, {}))
        for name, path in tried[mode].items():
            if name not in objects:
                letters[name, mode], found = "!", ["the machine does not tell of it"]
            elif objects[name][0]:
                letters[name, mode], found = "!", ["libbpf refuses it:\n" + "\n".join(objects[name][2])]
            else:
                found = problems(name, Seen(path, objects[name][1]), facts)
                letters[name, mode] = "x" if found else "V" if name in EXPECTED else "a" if name in NOTHING else "e"
            wrong += [f"{name} {mode}: {problem}" for problem in found]
    return letters, wrong


def try_kernel(options, objects, loader, kernel):
    begun = time.monotonic()
    image, release = unpack(fetch(kernel, options.cache, options.mirror))
    with tempfile.TemporaryDirectory() as work:
        root = f"{work}/root"
        for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "mnt", "disk", "objects"):
            os.makedirs(f"{root}/{folder}")
        shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
        shutil.copy(loader, f"{root}/loader")
        for script in ("init.sh", "workload.sh"):
            shutil.copy(f"{HERE}/{script}", f"{root}/{script}")
            os.chmod(f"{root}/{script}", 0o755)
        wrong, tried = prepare(options.ubpfc, objects, image, root)
        made = time.monotonic()
        text = boot(image, root, work, options.timeout)
        if options.keep:
            with open(os.path.join(options.keep, f"{release}.txt"), "w", encoding="utf-8") as file:
                file.write(text)
        letters, more = judge(tried, parse(text))
    print(f"{release}: {made - begun:.0f} s to make the objects, {time.monotonic() - made:.0f} s in the machine", file=sys.stderr)
    return release, letters, wrong + more


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", nargs="*", default=KERNELS, metavar="KERNEL", help=f"the beginning of a release (default: {' '.join(KERNELS)})")
    parser.add_argument("--cache", required=True, metavar="FOLDER", help="where kernels are kept")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", metavar="URL")
    parser.add_argument("--ubpfc", default=f"{REPOSITORY}/target/release/ubpfc", metavar="PROGRAM")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="for one kernel")
    parser.add_argument("--keep", metavar="FOLDER", help="keep what the machines write")
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        loader = f"{work}/loader"
        must("gcc", "-O2", "-static", "-o", loader, f"{REPOSITORY}/tests/loader/loader.c", "-lbpf", "-lelf", "-lz")
        objects = compile_all(options.ubpfc, work)
        columns = [try_kernel(options, objects, loader, kernel) for kernel in options.kernels]
    print(" " * 14 + "  ".join(f"{kernel.split('-')[0]:>8.8}" for kernel, _, _ in columns))
    for name in objects:
        cells = ["".join(letters.get((name, mode), "-") for mode in MODES) for _, letters, _ in columns]
        print(f"{name:14}" + "  ".join(f"{cell:>8}" for cell in cells))
    print("\nstock, relocated, no-btf: V values as expected, e saw events, a attached, - not to be tried; x other values, ! does not load or attach")
    for kernel, _, wrong in columns:
        for problem in wrong:
            print(f"\n{kernel}: {problem}")
    return 1 if any(wrong for _, _, wrong in columns) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"run.py: {failure}")
