#!/usr/bin/env bash
# Fetches the kernel image with debug information of one of Debian's kernels into a folder, for the tests that compare DWARF with BTF:
#
#   testdata/kernels/debug.sh FOLDER [PACKAGE [ARCH [SUITE]]]
#   UBPFC_VMLINUX=FOLDER/vmlinux-… UBPFC_VMLINUX_BTF=….btf.xz cargo test --release --test dwarf -- --ignored
#
# PACKAGE is linux-image-6.1.0-50-cloud-amd64-dbg unless given, ARCH amd64, SUITE bookworm. The package has several hundred megabytes, the image about 600; modules are left in it.
# Needs apt, dpkg-deb, and a network that reaches Debian's archive. Nothing of the system's package state is touched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1 package=${2:-linux-image-6.1.0-50-cloud-amd64-dbg} arch=${3:-amd64} suite=${4:-bookworm}
mkdir -p "$folder"
# On the disk that the image is to be on.
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)
. "$here/packages.sh"
fetch "$suite" "$arch" "$package" './usr/lib/debug/boot/vmlinux-*'
mv "$package_root"/usr/lib/debug/boot/vmlinux-* "$folder"
ls -1 "$folder"/vmlinux-*
