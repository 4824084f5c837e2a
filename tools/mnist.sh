#!/bin/bash
# tools/mnist.sh -- downloads MNIST or Fashion-MNIST (IDX files) and checks them.
set -euo pipefail
# shellcheck source=tools/download.bash
. "${BASH_SOURCE%/*}/download.bash"

usage() {
    cat <<'EOF'
usage: tools/mnist.sh [--mirror URL] [--dir DIR] [--set mnist|fashion]

Downloads the four files of the data set (about 11 MiB; Fashion-MNIST: 30 MiB), checks their MD5
sums and puts them into DIR/mnist (DIR/fashion-mnist), where data.format=idx reads them. Goes on
with a download that broke off, and does nothing if the files are there.

  --mirror URL   the folder that has the files; file:///PATH works too
  --dir DIR      where to put it (default datasets)
  --set NAME     mnist (default) or fashion

MIRROR in the environment is another default for --mirror (make mnist MIRROR=URL).
MNIST_MD5 in the environment, four sums with spaces between, replaces the expected ones, for
files that were packed again.
EOF
}

mirror=${MIRROR:-}
dir=datasets
set=mnist
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --mirror | --dir | --set) [ $# -ge 2 ] && [ -n "$2" ] || fail 2 "$1 needs a value; see --help" ;;
    *) fail 2 "unknown argument '$1'; see --help" ;;
    esac
    case $1 in
    --mirror) mirror=$2 ;;
    --dir) dir=${2%/} ;;
    --set) set=$2 ;;
    esac
    shift 2
done

files=(train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz)
case $set in
mnist)
    folder=$dir/mnist mirror=${mirror:-https://ossci-datasets.s3.amazonaws.com/mnist} size='11 MiB in all'
    sums=(f68b3c2dcbeaaa9fbdd348bbdeb94873 d53e105ee54ea40749a09fcbcd1e9432
        9fb629c4189551a2d022fa330f9573f3 ec29112dd5afa0611ce80d1b7f02629c)
    names=(0 1 2 3 4 5 6 7 8 9)
    ;;
fashion)
    folder=$dir/fashion-mnist size='30 MiB in all'
    mirror=${mirror:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com}
    sums=(8d4fb7e6c68d591d4c3dfef9ec88bf0d 25c81989df183df01b3e8a0aad5dffbe
        bef4ecab320f06d8554ea6380940ec79 bb300cfdad3c16e7a12a480ee83cd310)
    names=('T-shirt/top' Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag 'Ankle boot')
    ;;
*) fail 2 "unknown set '$set': mnist or fashion" ;;
esac
[ -z "${MNIST_MD5:-}" ] || read -ra sums <<<"$MNIST_MD5"
mirror=${mirror%/}

missing=0
for f in "${files[@]}"; do [ -s "$folder/$f" ] || missing=1; done
if [ $missing = 0 ]; then
    echo "$folder is there, nothing to do"
    exit 0
fi

mkdir -p "$folder" || fail 1 "cannot make the folder $folder"
for i in "${!files[@]}"; do
    [ -s "$folder/${files[i]}" ] || fetch_checked "$mirror/${files[i]}" "$folder/${files[i]}" "${sums[i]}" "$size"
done
printf '%s\n' "${names[@]}" >"$folder/class_names.txt"
echo "$folder is ready: data.format=idx data.path=$folder data.channels=1 data.size=28"
