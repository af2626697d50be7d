#!/usr/bin/env python3
"""Compares `ubpfc check` with libbpf, which opens and relocates the same object for the same kernels: whole processes on one core, and ratios (theirs / ours).

    cargo build --release && benches/check.py KERNELS [--rounds 20]

KERNELS is a folder of kernels' types (`NAME.btf` or `NAME.btf.xz`; they are unpacked first). Two things are measured: all kernels as they are, and the few types of each that the object asks about,
sixteen times over, which tells what a kernel costs beside reading it. libbpf runs once for each kernel; `check` once for all. Ratios are medians over rounds of runs next to each other.
"""

import argparse
import lzma
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from compare import OURS, ROOT, run
from relocate import libbpf, read


def unpack(folder, out):
    out.mkdir()
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".xz")
        if name.endswith(".btf") and "--" not in name:
            data = path.read_bytes()
            (out / name).write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
            read(out / name)
    return out


def few(kernels, thing, out, times=16):
    """The types of each kernel that an object asks about, so many times over."""
    out.mkdir()
    for kernel in sorted(kernels.iterdir()):
        small = out / kernel.name
        subprocess.run([str(OURS), "btf", str(kernel), "--for", str(thing), "-o", str(small)], check=True, capture_output=True)
        for number in range(1, times):
            (out / f"{number}-{kernel.name}").write_bytes(small.read_bytes())
    return out


def check(thing, kernels):
    """Seconds by the clock. That some programs do not run somewhere is no failure."""
    command = ["taskset", "-c", "0", str(OURS), "check", str(thing), "-k", str(kernels), "--json"]
    environment = os.environ | {"RAYON_NUM_THREADS": "1"}
    return run(["env", *[f"{k}={v}" for k, v in environment.items() if k == "RAYON_NUM_THREADS"], "sh", "-c", '"$@" > /dev/null 2>&1; true', "sh", *command])[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernels", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    if not OURS.exists():
        sys.exit("build it first: cargo build --release")
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        kernels = unpack(args.kernels, tmp / "kernels")
        loader = libbpf(tmp)
        for script in ("runqlat", "exitsnoop"):
            thing = tmp / f"{script}.o"
            subprocess.run([str(OURS), str(ROOT / f"examples/{script}.ub"), "-o", str(thing)], check=True, capture_output=True)
            files = sorted(kernels.iterdir())
            each = f'for k in "$@"; do taskset -c 0 {loader} {thing} $k > /dev/null 2>&1; done; true'
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(check(thing, kernels))
                theirs.append(run(["sh", "-c", each, "sh", *map(str, files)])[0])
            ratio = statistics.median(b / a for a, b in zip(ours, theirs))
            print(f"{script}: {len(files)} kernels in {min(ours) * 1000:.0f} / {statistics.median(ours) * 1000:.0f} ms: {len(files) / statistics.median(ours):.0f} a second; libbpf takes {ratio:.1f} times as long (load {os.getloadavg()[0]:.1f})")
            small = few(kernels, thing, tmp / f"few-{script}")
            count = len(list(small.iterdir()))
            runs = [check(thing, small) for _ in range(args.rounds)]
            print(f"{script}: {count} times the few types that it asks about in {min(runs) * 1000:.0f} / {statistics.median(runs) * 1000:.0f} ms: {statistics.median(runs) / count * 1e6:.0f} us each", flush=True)


if __name__ == "__main__":
    main()
