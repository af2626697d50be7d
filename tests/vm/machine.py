"""Debian's kernels, and a virtual machine that boots one of them."""

import glob
import os
import re
import shutil
import subprocess

SUITES = ["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports"]
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Failure(Exception):
    pass


def apt(cache, mirror):
    """The options by which apt looks at the mirror alone, with its own state under the cache: the system's is neither read nor changed."""
    state = os.path.join(cache, "apt")
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(state, folder), exist_ok=True)
    with open(f"{state}/sources.list", "w") as sources:
        sources.writelines(f"deb [arch=amd64 signed-by={KEYS}] {mirror} {suite} main\n" for suite in SUITES)
    return [
        "-qq", "-o", f"Dir::Etc::sourcelist={state}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
        "-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache",
        "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root", "-o", "APT::Architecture=amd64",
    ]


def natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def fetch(kernel, cache, mirror):
    """The package of the newest kernel whose release begins so; one that is in the cache is not looked for again."""
    cache = os.path.abspath(cache)
    # Up to 6.18 the kernel is in linux-image-RELEASE, later in linux-binary-RELEASE.
    release = re.escape(kernel) + r"(?![0-9])[^_]*cloud-amd64"
    have = [deb for deb in glob.glob(f"{cache}/*.deb") if re.match(rf"linux-(image|binary)-{release}_", os.path.basename(deb))]
    if not have:
        options = apt(cache, mirror)
        if not glob.glob(f"{cache}/apt/lists/*Packages*"):
            subprocess.run(["apt-get", *options, "update"], check=True)
        names = subprocess.run(["apt-cache", *options, "pkgnames", "linux-"], check=True, capture_output=True, text=True).stdout.split()
        found = [name for name in names if re.fullmatch(rf"linux-(image|binary)-{release}", name)]
        if not found:
            raise Failure(f"{mirror} has no kernel {kernel}*-cloud-amd64")
        newest = max(found, key=lambda name: (natural(name.split("-", 2)[2]), name.startswith("linux-image")))
        binary = newest.replace("linux-image", "linux-binary")
        subprocess.run(["apt-get", *options, "download", binary if binary in names else newest], check=True, cwd=cache)
        return fetch(kernel, cache, mirror)
    return max(have, key=natural)


def unpack(deb):
    """The kernel's image and its release."""
    folder = deb.removesuffix(".deb")
    if not os.path.isdir(folder):
        shutil.rmtree(f"{folder}.part", ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", deb, f"{folder}.part"], check=True)
        os.rename(f"{folder}.part", folder)
    images = glob.glob(f"{folder}/boot/vmlinuz-*") + glob.glob(f"{folder}/**/modules/*/vmlinuz", recursive=True)
    if not images:
        raise Failure(f"{deb} holds no kernel")
    return images[0], os.path.basename(folder).split("_")[0].split("-", 2)[2]


def boot(image, root, work, timeout, attempts=3):
    """Boots a kernel with a folder as its file system; gives what it writes to the second serial line. A boot that dies is tried again, since
    QEMU's emulation has bugs of its own: the last line is missing then."""
    initrd, disk, out, console = (os.path.join(work, name) for name in ("initrd", "disk", "out", "console"))
    files = subprocess.run(["find", "."], cwd=root, check=True, capture_output=True).stdout
    with open(initrd, "wb") as archive:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=files, stdout=archive, stderr=subprocess.DEVNULL, check=True)
    for _ in range(attempts):
        with open(disk, "wb") as file:
            file.truncate(32 << 20)
        command = [
            "qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "1G", "-smp", "1", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", image, "-initrd", initrd,
            "-append", "console=ttyS0 panic=-1 rdinit=/init.sh quiet",
            "-serial", f"file:{console}", "-serial", f"file:{out}",
            "-drive", f"file={disk},if=none,id=disk,format=raw", "-device", "nvme,drive=disk,serial=vm",
        ]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            pass
        with open(out, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if text.endswith("@ end\n"):
            return text
    with open(console, encoding="utf-8", errors="replace") as file:
        tail = "".join(file.readlines()[-20:])
    raise Failure(f"{image} did not come to the end; its console:\n{tail}")
