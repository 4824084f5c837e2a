#!/bin/bash
# tools/deps.sh build|install|test|fuzz|sweep|page|peer|experiments ... -- installs the missing Debian packages, and says which.
#   build  what the tools need        test  what `make test` needs besides
#   fuzz   what `make fuzz` needs besides: libFuzzer
#   sweep  what `make test-sweep` needs besides: a Slurm cluster that is only this machine
#   install  what `make install` needs besides: Python, for the tools that are scripts
#   page   Node.js to bundle the page of `report` (without it: still pictures), Chromium to test the page
#   peer   PyTorch (and a fast BLAS for it), networkx: independent references; without them some tests are skipped
#   experiments   scikit-learn for t-SNE (tools/tsne.py)
set -euo pipefail

declare -A packages=(
    [build]="gcc libc6-dev pkg-config libdnnl-dev libcyaml-dev libyaml-dev libcjson-dev libprotobuf-c-dev protobuf-c-compiler libstb-dev libcairo2-dev zlib1g-dev gnuplot-nox fonts-dejavu-core"
    [install]="python3"
    [test]="libcmocka-dev bats python3 python3-numpy curl wget man-db mandoc zsh protobuf-compiler"
    [fuzz]="clang libclang-rt-dev libomp-dev"
    [sweep]="slurm-wlm munge"
    [page]="nodejs npm chromium"
    [peer]="python3-torch libopenblas0-pthread python3-networkx python3-onnx"
    [experiments]="python3-numpy python3-sklearn gnuplot-nox"
)

[ $# -gt 0 ] || { echo "usage: tools/deps.sh build|install|test|fuzz|sweep|page|peer|experiments ..." >&2; exit 2; }
wanted=""
for set_name in "$@"; do
    [ -n "${packages[$set_name]:-}" ] || { echo "deps: no package set \"$set_name\"; known: ${!packages[*]}" >&2; exit 2; }
    wanted+=" ${packages[$set_name]}"
done

# Node.js often comes from elsewhere and includes npm, so look for the programs, not for the packages.
have() {
    case $1 in
    nodejs) command -v node >/dev/null ;;
    npm | chromium) command -v "$1" >/dev/null ;;
    *) dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed ;;
    esac
}
missing=""
for p in $wanted; do
    have "$p" || missing+=" $p"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "deps: these Debian packages, or your system's equivalents, are needed:$missing" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
echo "deps: installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() { echo "deps: $*"; "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; echo "deps: failed: $*" >&2; exit 1; }; }
run $as_root apt-get update
run $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
