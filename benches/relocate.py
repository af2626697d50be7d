#!/usr/bin/env python3
"""Compares relocation with libbpf, and reading DWARF with pahole and drgn: ratios of whole processes (ours / theirs).

    cargo build --release && benches/relocate.py BTF [--vmlinux VMLINUX] [--rounds 30]

BTF is a kernel's `.BTF` section (`.xz` is unpacked first), VMLINUX an ELF file with DWARF. libbpf is compiled, with -O2, from the sources that the tests use. Figures are medians of interleaved runs. drgn is
compared with where Python can import it. Nothing here is a test: figures depend on the machine, ratios much less.
"""

import argparse
import importlib.util
import json
import lzma
import pathlib
import statistics
import subprocess
import sys
import tempfile

from compare import CLANG, OURS, ROOT, include, peak, run

HERE = pathlib.Path(__file__).resolve().parent / "relocate"


def libbpf(tmp):
    """A program over libbpf that opens and relocates, compiled from the sources of the crate `libbpf-sys`."""
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, capture_output=True, text=True, check=True)
    package = next(p for p in json.loads(metadata.stdout)["packages"] if p["name"] == "libbpf-sys")
    sources = pathlib.Path(package["manifest_path"]).parent / "libbpf"
    headers = tmp / "headers"
    headers.mkdir()
    (headers / "bpf").symlink_to(sources / "src")
    flags = ["-O2", "-w", "-D_GNU_SOURCE", "-D_LARGEFILE64_SOURCE", "-D_FILE_OFFSET_BITS=64"]
    flags += [f"-I{path}" for path in (headers, sources / "src", sources / "include", sources / "include/uapi")]
    program = tmp / "libbpf"
    files = [str(path) for path in sorted((sources / "src").glob("*.c"))]
    subprocess.run(["cc", *flags, str(HERE / "libbpf.c"), *files, "-lelf", "-lz", "-o", str(program)], check=True)
    return program


def compile_object(name, tmp):
    out = tmp / (name + ".o")
    subprocess.run(CLANG + include() + ["-c", str(HERE / (name + ".bpf.c")), "-o", str(out)], check=True)
    return out


def row(what, commands, rounds):
    """Runs them in turn, and prints time and memory of each and the ratio of the first to it."""
    times = [[] for _ in commands]
    for _ in range(rounds):
        for series, (_, command) in zip(times, commands):
            series.append(run(command)[0])
    medians = [statistics.median(series) * 1000 for series in times]
    peaks = [peak(command) for _, command in commands]
    print(what)
    for (name, _), ms, mb in zip(commands, medians, peaks):
        print(f"  {name:<28} {ms:>9.1f} ms {mb:>8.1f} MB   ratio {medians[0] / ms:>6.3f} {peaks[0] / mb:>6.3f}")


def ours(thing, kernel, out):
    return [str(OURS), "relocate", str(thing), "--kernel", str(kernel), "-o", str(out)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("btf", type=pathlib.Path)
    parser.add_argument("--vmlinux", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    if not OURS.exists():
        sys.exit("build first: cargo build --release")
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        btf = args.btf
        if btf.suffix == ".xz":
            btf = tmp / "target.btf"
            btf.write_bytes(lzma.decompress(args.btf.read_bytes()))
        twenty = compile_object("twenty", tmp)
        commands = [("ubpfc relocate", ours(twenty, btf, tmp / "out.o")), ("libbpf", [str(libbpf(tmp)), str(twenty), str(btf)])]
        row(f"20 records, {btf.stat().st_size / 1e6:.1f} MB of BTF", commands, args.rounds)
        if args.vmlinux:
            twelve = compile_object("twelve", tmp)
            commands = [
                ("ubpfc relocate", ours(twelve, args.vmlinux, tmp / "out.o")),
                ("pahole --btf_encode_detached", ["pahole", "--btf_encode_detached", str(tmp / "pahole.btf"), str(args.vmlinux)]),
            ]
            if importlib.util.find_spec("drgn"):
                commands.append(("drgn", [sys.executable, str(HERE / "ask.py"), str(args.vmlinux)]))
            row(f"22 members of 12 structs, {args.vmlinux.stat().st_size / 1e6:.0f} MB of vmlinux with DWARF", commands, max(3, args.rounds // 10))


if __name__ == "__main__":
    main()
