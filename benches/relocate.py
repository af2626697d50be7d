#!/usr/bin/env python3
"""Compares relocation with libbpf, and reading DWARF with pahole and drgn: whole processes, and ratios (theirs / ours).

    cargo build --release && benches/relocate.py BTF [--vmlinux VMLINUX] [--vmlinuz VMLINUZ] [--rounds 30]

BTF is a kernel's `.BTF` section (`.xz` is unpacked first), VMLINUX an ELF file with DWARF, VMLINUZ an image with BTF. libbpf is compiled, with -O2, from the sources that the tests use.
clang, cc and pahole are needed, and GNU time; drgn is compared with where this Python can import it.

What each row is: time by the clock and of processors, the least and the median of interleaved runs; peak memory, mapped files included. Ratios are medians over the rounds, each
from runs next to each other, and in brackets from the least times. Before each run its output is removed, so that nothing is measured of how file systems replace files. Files are read
once before: they are in the page cache. Nothing here is a test: figures depend on the machine, ratios much less.
"""

import argparse
import importlib.util
import json
import lzma
import os
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


def compile_object(name, tmp, times=1):
    """The object of a program; with its function so many times over, since a compiler asks a question twice only where it must."""
    source = (HERE / (name + ".bpf.c")).read_text()
    first, last = source.index("SEC("), source.index("char LICENSE")
    functions = [source[first:last].replace(f"int {name}(", f"int {name}_{number}(") for number in range(times)]
    text = tmp / f"{name}-{times}.bpf.c"
    text.write_text(source[:first] + "".join(functions) + source[last:])
    out = text.with_suffix(".o")
    subprocess.run(CLANG + include() + ["-c", str(text), "-o", str(out)], check=True)
    return out


def without_btf(vmlinux, tmp):
    """The file with its BTF under another name, if it has any, so that DWARF is all that there is."""
    table = subprocess.run(["readelf", "-SW", str(vmlinux)], capture_output=True, text=True, check=True).stdout
    if " .BTF " not in table:
        return vmlinux
    out = tmp / "vmlinux"
    subprocess.run(["objcopy", "--rename-section", ".BTF=.hidden", str(vmlinux), str(out)], check=True)
    return out


def read(path):
    """Brings a file into the page cache."""
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass


def row(what, commands, rounds, out):
    """Runs them in turn, and prints time and memory of each, and what each takes in units of the first. `out` is the file that they write."""
    runs = [[] for _ in commands]
    for _ in range(rounds):
        for series, (_, command) in zip(runs, commands):
            out.unlink(missing_ok=True)
            series.append(run(command))
    peaks = [peak(command) for _, command in commands]
    print(f"{what} (load {os.getloadavg()[0]:.1f})")
    for (name, _), series, mb in zip(commands, runs, peaks):
        text = f"  {name:<28} {mb:>6.1f} MB ({mb / peaks[0]:.1f})"
        for kind, label in enumerate(["clock", "processors"]):
            own = [times[kind] * 1000 for times in series]
            first = [times[kind] * 1000 for times in runs[0]]
            ratio = statistics.median(theirs / ours for theirs, ours in zip(own, first))
            text += f"   {label} {min(own):.1f} / {statistics.median(own):.1f} ms: {ratio:.1f} ({min(own) / min(first):.1f})"
        print(text, flush=True)


def ours(thing, kernel, out):
    return [str(OURS), "relocate", str(thing), "--kernel", str(kernel), "-o", str(out)]


def compare_btf(btf, tmp, rounds):
    """Against libbpf; then how time grows with the number of records."""
    if btf.suffix == ".xz":
        packed, btf = btf, tmp / "target.btf"
        btf.write_bytes(lzma.decompress(packed.read_bytes()))
    read(btf)
    out, loader = tmp / "out.o", libbpf(tmp)
    for times in (1, 20, 100):
        thing = compile_object("twenty", tmp, times)
        commands = [("ubpfc relocate", ours(thing, btf, out)), ("libbpf", [str(loader), str(thing), str(btf)])]
        row(f"{20 * times} records, {btf.stat().st_size / 1e6:.1f} MB of BTF", commands, rounds, out)


def compare_dwarf(vmlinux, tmp, rounds):
    vmlinux = without_btf(vmlinux, tmp)
    read(vmlinux)
    out, minimal = tmp / "out.o", tmp / "out.btf"
    twelve = compile_object("twelve", tmp)
    commands = [("ubpfc relocate", ours(twelve, vmlinux, out))]
    commands.append(("ubpfc btf", [str(OURS), "btf", str(vmlinux), "--for", str(twelve), "-o", str(minimal)]))
    if importlib.util.find_spec("drgn"):
        commands.append(("drgn", [sys.executable, str(HERE / "ask.py"), str(vmlinux)]))
    what = f"22 members of 12 structs, {vmlinux.stat().st_size / 1e6:.0f} MB of vmlinux with DWARF"
    row(what, commands, rounds, out)
    commands = [commands[0], ("pahole --btf_encode_detached", ["pahole", "--btf_encode_detached", str(minimal), str(vmlinux)])]
    row(what, commands, max(3, rounds // 10), out)


def measure_others(vmlinuz, tmp, rounds):
    """What there is nothing to compare with: the running kernel, an image that has to be unpacked."""
    out, twenty = tmp / "out.o", compile_object("twenty", tmp)
    if pathlib.Path("/sys/kernel/btf/vmlinux").exists():
        row("the running kernel", [("ubpfc relocate", ours(twenty, "running", out))], rounds, out)
    if vmlinuz:
        row(f"{vmlinuz.stat().st_size / 1e6:.1f} MB of image", [("ubpfc relocate", ours(twenty, vmlinuz, out))], max(3, rounds // 10), out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("btf", type=pathlib.Path)
    parser.add_argument("--vmlinux", type=pathlib.Path)
    parser.add_argument("--vmlinuz", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    if not OURS.exists():
        sys.exit("build it first: cargo build --release")
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        compare_btf(args.btf, tmp, args.rounds)
        if args.vmlinux:
            compare_dwarf(args.vmlinux, tmp, args.rounds)
        measure_others(args.vmlinuz, tmp, args.rounds)


if __name__ == "__main__":
    main()
