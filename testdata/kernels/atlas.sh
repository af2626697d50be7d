#!/usr/bin/env bash
# Fetches the kernels that the embedded atlas knows beside those of this folder, as ATLAS.tsv lists them, and makes the atlas anew:
#
#   testdata/kernels/atlas.sh FOLDER [NAME…]     only those whose name contains one of the words; all without
#   cargo run -- atlas build testdata/kernels FOLDER -o uapi/kernels.atlas
#
# FOLDER gets the BTF of each kernel, `NAME.btf.xz`, five megabytes in all for each; what is there already is not fetched again. Only what the atlas needs of them is kept in the repository, not the types.
# Needs apt, dpkg-deb, xz, a network that reaches Debian's archive, and pahole for names that end in `-from-dwarf` (see README.md). What a suite no longer has, snapshot.debian.org has under the same version.
# A row whose checksum is `-` is new: the script prints it with the checksum of what it found.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
. "$here/packages.sh"

sum() { sha256sum | cut -d ' ' -f 1; }

cd "$here/../.."
cargo build --quiet --example kernel-btf
extract=${CARGO_TARGET_DIR:-target}/debug/examples/kernel-btf
failed=0
while IFS=$'\t' read -r -u 3 file suite arch package version url sha256; do
    [ "$file" != file ] && wanted "$file" "$@" || continue
    made=$folder/$file.btf.xz
    [ -f "$made" ] && [ "$(xz -dc "$made" | sum)" = "$sha256" ] && continue
    if ! fetch "$suite" "$arch" "$package" './*/vmlinu*'; then
        echo "$file: $package $version is not in $suite for $arch now; it was $url" >&2
        failed=1
        continue
    fi
    image=$(find "$package_root" -name 'vmlinu*' -type f | head -n 1)
    case $file in
    *-from-dwarf) pahole --btf_encode_detached="$work/btf" "$image" ;;
    *) "$extract" "$image" "$work/btf" >/dev/null || { failed=1; continue; } ;;
    esac
    rm -rf "$package_root"
    found=$(sum <"$work/btf")
    if [ "$sha256" = - ]; then
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$file" "$suite" "$arch" "$package" "$version" "$url" "$found"
    elif [ "$found" != "$sha256" ]; then
        echo "$file: the types are others than those in ATLAS.tsv" >&2
        failed=1
        continue
    fi
    xz -6 --stdout "$work/btf" >"$made.new"
    mv "$made.new" "$made"
done 3<"$here/ATLAS.tsv"
exit "$failed"
