#!/usr/bin/env python3
"""What `ubpfc check` costs: over an atlas beside compiling alone, and over files of kernels' types in kernels a second. Whole processes on one core.

    cargo build --release && benches/check.py [FOLDER…] [--rounds 20]

Kernels are those of testdata/kernels, of $UBPFC_KERNELS, and of the folders given (`NAME.btf` or `NAME.btf.xz`; they are unpacked first), at most 50. An atlas is made of them;
where they are fewer than the embedded one has, that one is taken. Compiling and checking are run next to each other, in turn; what is told of the two is the median of their differences.
"""

import argparse
import lzma
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = ROOT / "target/release/ubpfc"
SCRIPTS = ("runqlat", "switch", "biosnoop", "syscount")
MOST = 50


def unpack(folders, out):
    out.mkdir()
    for folder in folders:
        for path in sorted(folder.iterdir()):
            name = path.name.removesuffix(".xz")
            full = len(list(out.iterdir())) >= MOST
            if full or not name.endswith(".btf") or "--" in name or (out / name).exists():
                continue
            data = path.read_bytes()
            (out / name).write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
    return out


def seconds(*args):
    """Of the processor, user's and system's, so that whatever else runs counts little. That some programs do not run somewhere (1, 3) is no failure."""
    command = ["taskset", "-c", "0", str(OURS), *map(str, args)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"RAYON_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1, 3):
        sys.exit(f"{command}: {done.stderr.decode()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=pathlib.Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    if not OURS.exists():
        sys.exit("build it first: cargo build --release")
    given = [pathlib.Path(os.environ[name]) for name in ("UBPFC_KERNELS",) if name in os.environ]
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        kernels = unpack([ROOT / "testdata/kernels", *given, *args.folders], tmp / "kernels")
        files = len(list(kernels.iterdir()))
        embedded = subprocess.run([str(OURS), "atlas", "show", "--json"], check=True, capture_output=True).stdout
        count, atlas = embedded.count(b'"release"'), []
        if files > count:
            subprocess.run([str(OURS), "atlas", "build", str(kernels), "-o", str(tmp / "atlas")], check=True, capture_output=True)
            count, atlas = files, ["--atlas", tmp / "atlas"]
        for script in SCRIPTS:
            source = ROOT / f"examples/{script}.ub"
            compiled, checked, read = [], [], []
            for _ in range(args.rounds):
                compiled.append(seconds(source, "-o", tmp / f"{script}.o"))
                checked.append(seconds("check", source, *atlas))
                read.append(seconds("check", source, "--no-atlas", "-k", kernels))
            more = statistics.median(b - a for a, b in zip(compiled, checked))
            rate = statistics.median(files / (b - a) for a, b in zip(compiled, read))
            print(
                f"{script}: compiling {statistics.median(compiled) * 1000:.1f} ms; checking {count} kernels of an atlas {more * 1000:.1f} ms more, {more / count * 1e6:.0f} us each; "
                f"{files} files of types: {rate:.0f} kernels a second (load {os.getloadavg()[0]:.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
