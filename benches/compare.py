#!/usr/bin/env python3
"""Compares the compiler with clang on the programs of benches/programs, and prints ratios (ours / clang's).

    cargo build --release && benches/compare.py [--rounds 30]

Instructions: slots of all programs of an object, as llvm-objdump sees its code sections. Time and memory: of whole processes, medians of interleaved runs, so that
what else the machine does meets both alike. Nothing here is a test: figures depend on the machine, ratios much less.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = ROOT / "target/release/ubpfc"
CLANG = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-DDIRECT"]
# Standard output and standard error go nowhere.
SILENT = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]


def include():
    """Where Debian keeps the headers of the machine's architecture."""
    triple = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True).stdout.strip()
    return ["-I/usr/include/" + triple] if triple else []


def ours(script, out):
    return [str(OURS), str(script), "-o", str(out)]


def clang(source, out):
    return CLANG + include() + ["-c", str(source), "-o", str(out)]


def slots(path):
    """The instruction slots in an object's code sections."""
    table = subprocess.run(["llvm-objdump", "-h", str(path)], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in table.splitlines()]
    return sum(int(row[2], 16) for row in rows if row and row[-1] == "TEXT") // 8


def run(command):
    """Seconds of a whole process: by the clock, and of a processor. It is spawned without a copy of this process, which would take longer than ours does."""
    start = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=SILENT)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit("failed: " + " ".join(command))
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def peak(command):
    """Peak resident MB of a whole process. By GNU time, since a process is charged with what its parent, here Python, held when it was started."""
    timed = subprocess.run(["/usr/bin/time", "-f", "%M"] + command, capture_output=True, text=True, check=True)
    return int(timed.stderr.split()[-1]) / 1024


def compare_instructions(tmp):
    print("instructions               ours  clang  ratio")
    fewer = total = 0
    for source in sorted(HERE.glob("programs/*.bpf.c")):
        name = source.name.removesuffix(".bpf.c")
        script = source.with_name(name + ".ub")
        subprocess.run(clang(source, tmp / "c.o"), check=True)
        theirs = slots(tmp / "c.o")
        total += 1
        if not script.exists():
            print(f"  {name:<22}      -  {theirs:>5}      -")
            continue
        made = subprocess.run(ours(script, tmp / "u.o"), capture_output=True, text=True)
        if made.returncode:
            print(f"  {name:<22}      !  {theirs:>5}      !  {made.stderr.splitlines()[0]}")
            continue
        mine = slots(tmp / "u.o")
        fewer += mine <= theirs
        print(f"  {name:<22}  {mine:>5}  {theirs:>5}  {mine / theirs:>5.2f}")
    print(f"  at most clang's: {fewer} of {total}")


def compare_processes(tmp, rounds):
    jobs = {
        "nothing": ["true"],
        "ours": ours(ROOT / "examples/runqlat.ub", tmp / "u.o"),
        "clang": clang(HERE / "programs/02-runqlat.bpf.c", tmp / "c.o"),
    }
    results = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, command in jobs.items():
            results[name].append(run(command))
    medians = {name: [statistics.median(seconds) for seconds in zip(*runs)] for name, runs in results.items()}
    clang_to = {name: [theirs / own for theirs, own in zip(medians["clang"], medians[name])] for name in jobs}
    memory = {name: max(peak(command) for _ in range(5)) for name, command in jobs.items()}
    print("compiling runqlat, the whole process")
    for name, label in [("ours", "ours"), ("nothing", "empty process")]:
        wall, cpu = clang_to[name]
        print(f"  time    {label} / clang  1/{wall:.1f} by the clock, 1/{cpu:.1f} of a processor")
    print(f"  memory  ours / clang  1/{memory['clang'] / memory['ours']:.1f}, ours {memory['ours']:.1f} MB")
    print(f"the compiler itself: {OURS.stat().st_size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each process runs")
    rounds = parser.parse_args().rounds
    if not OURS.exists():
        sys.exit("build it first: cargo build --release")
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        compare_instructions(tmp)
        compare_processes(tmp, rounds)


if __name__ == "__main__":
    main()
