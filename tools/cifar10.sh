#!/bin/bash
# tools/cifar10.sh -- downloads CIFAR-10 or CIFAR-100 (binary version), checks and unpacks it.
set -euo pipefail
# shellcheck source=tools/download.bash
. "${BASH_SOURCE%/*}/download.bash"

usage() {
    cat <<'EOF'
usage: tools/cifar10.sh [--mirror URL] [--dir DIR] [--format cifar10|cifar100]

Downloads the official archive (about 162 MiB), checks its MD5 sum and unpacks it into
DIR/cifar-10-batches-bin (DIR/cifar-100-binary). Goes on with a download that broke off,
and does nothing if the data are there.

  --mirror URL   the folder that has the archive; file:///PATH works too
                 (default https://www.cs.toronto.edu/~kriz)
  --dir DIR      where to put it (default datasets)
  --format NAME  cifar10 (default) or cifar100

MIRROR in the environment is another default for --mirror (make cifar10 MIRROR=URL).
CIFAR10_MD5 and CIFAR100_MD5 in the environment replace the expected sums, for a
repacked archive.
EOF
}

mirror=${MIRROR:-https://www.cs.toronto.edu/~kriz}
mirror=${mirror%/}
dir=datasets
format=cifar10
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --mirror | --dir | --format) [ $# -ge 2 ] && [ -n "$2" ] || fail 2 "$1 needs a value; see --help" ;;
    *) fail 2 "unknown argument '$1'; see --help" ;;
    esac
    case $1 in
    --mirror) mirror=${2%/} ;;
    --dir) dir=${2%/} ;;
    --format) format=$2 ;;
    esac
    shift 2
done

case $format in
cifar10)
    archive=cifar-10-binary.tar.gz folder=cifar-10-batches-bin
    md5=${CIFAR10_MD5:-c32a1d4ab5d03f1284b67883e8d87530}
    files=(data_batch_{1..5}.bin test_batch.bin)
    ;;
cifar100)
    archive=cifar-100-binary.tar.gz folder=cifar-100-binary
    md5=${CIFAR100_MD5:-03b5dce01913d631647c71ecec9e9cb8}
    files=(train.bin test.bin)
    ;;
*) fail 2 "unknown format '$format': cifar10 or cifar100" ;;
esac

# all_files FOLDER: true if it holds every file of the data set.
all_files() {
    local f
    for f in "${files[@]}"; do [ -s "$1/$f" ] || return 1; done
}

if all_files "$dir/$folder"; then
    echo "$dir/$folder is there, nothing to do"
    exit 0
fi

mkdir -p "$dir" || fail 1 "cannot make the folder $dir"
fetch_checked "$mirror/$archive" "$dir/$archive" "$md5" "162 MiB"

# Unpacked into a temporary folder and renamed: never half a data set.
work=$(mktemp -d "$dir/.unpack-XXXXXX") || fail 1 "cannot write in $dir"
trap 'rm -rf "$work"' EXIT
tar -xzf "$dir/$archive" -C "$work" || fail 1 "cannot unpack $dir/$archive"
all_files "$work/$folder" || fail 3 "$mirror/$archive does not hold $folder/ with ${files[*]}"
rm -rf "${dir:?}/$folder"
mv "$work/$folder" "$dir/$folder"
rm -f "$dir/$archive"
echo "$dir/$folder is ready"
