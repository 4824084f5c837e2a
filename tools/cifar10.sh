#!/bin/bash
# tools/cifar10.sh -- downloads CIFAR-10 or CIFAR-100 (binary version), checks and unpacks it.
set -euo pipefail

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

# fail EXIT_CODE MESSAGE: one line; the codes are those of core/base/status.h.
fail() {
    local code=$1
    shift
    echo "cifar10.sh: $*" >&2
    exit "$code"
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

matches() { [ "$(md5sum <"$1" | cut -d' ' -f1)" = "$md5" ]; }

# get URL FILE: downloads the part of FILE that is missing.
get() {
    if command -v curl >/dev/null; then
        local bar=--progress-bar
        [ -t 2 ] || bar=--silent
        curl --fail --location --show-error $bar --retry 3 --continue-at - --output "$2" "$1" && return
        # 33: the server cannot resume; 36: a file:// cannot be resumed because it is smaller now.
        case $? in
        33 | 36) rm -f "$2"; curl --fail --location --show-error $bar --retry 3 --output "$2" "$1" ;;
        *) return 1 ;;
        esac
    elif command -v wget >/dev/null; then
        case $1 in file://*) fail 1 "wget cannot read file:// addresses: install curl (apt-get install curl)" ;; esac
        wget --no-verbose --tries=3 --continue --output-document="$2" "$1"
    else
        fail 1 "needs curl or wget: apt-get install curl"
    fi
}

if all_files "$dir/$folder"; then
    echo "$dir/$folder is there, nothing to do"
    exit 0
fi

mkdir -p "$dir" || fail 1 "cannot make the folder $dir"
part=$dir/$archive.part
[ -s "$part" ] && echo "going on with $part"
if ! { [ -s "$part" ] && matches "$part"; }; then
    echo "downloading $mirror/$archive (about 162 MiB)"
    get "$mirror/$archive" "$part" || fail 1 "cannot download $mirror/$archive; run again to go on where it broke off"
fi
if ! matches "$part"; then
    sum=$(md5sum <"$part" | cut -d' ' -f1)
    rm -f "$part"
    fail 3 "$mirror/$archive: MD5 is $sum, not $md5; the download is deleted, run again or try another --mirror"
fi

# Unpacked into a temporary folder and renamed: never half a data set.
work=$(mktemp -d "$dir/.unpack-XXXXXX") || fail 1 "cannot write in $dir"
trap 'rm -rf "$work"' EXIT
tar -xzf "$part" -C "$work" || fail 1 "cannot unpack $part"
all_files "$work/$folder" || fail 3 "$mirror/$archive does not hold $folder/ with ${files[*]}"
rm -rf "${dir:?}/$folder"
mv "$work/$folder" "$dir/$folder"
rm -f "$part"
echo "$dir/$folder is ready"
