#!/usr/bin/env bash
# Makes the files of this folder from Debian's packages, as INDEX.tsv says, and checks them against it.
#
#   testdata/kernels/make.sh [NAME…]     only those whose file name contains one of the words; all without
#
# Needs apt, dpkg-deb, xz, a network that reaches Debian's archive, and pahole for kernels that ship no BTF (their types are made of the DWARF of the debug package; another version of pahole may number
# them differently: then the checksum differs, and the script says so). Nothing of the system's package state is touched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

. "$here/packages.sh"

cd "$here/../.."
cargo build --quiet --example kernel-btf
failed=0
while IFS=$'\t' read -r -u 3 file _ _ _ _ _ suite arch package path sha256; do
    [ "$file" != file ] && wanted "$file" "$@" || continue
    if ! fetch "$suite" "$arch" "$package"; then
        echo "$file: $package is not in $suite for $arch now; an archive of past packages has it" >&2
        failed=1
        continue
    fi
    case $file in
    *-from-dwarf.btf) pahole --btf_encode_detached="$work/btf" "$package_root/$path" ;;
    *) cargo run --quiet --example kernel-btf "$package_root/$path" "$work/btf" >/dev/null ;;
    esac
    if [ "$(sha256sum <"$work/btf")" != "$sha256  -" ]; then
        echo "$file: the types are others than those in INDEX.tsv" >&2
        failed=1
        continue
    fi
    xz -9e --stdout "$work/btf" >"$here/$file.xz"
    echo "$file"
done 3<"$here/INDEX.tsv"
exit "$failed"
