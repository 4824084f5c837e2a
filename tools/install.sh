#!/bin/bash
# tools/install.sh install TOOL ... | uninstall -- called by make (tools/install.mk), which sets the variables.
#
# Every installed file is listed in DATADIR/cleave/installed; uninstall removes exactly these.
set -euo pipefail
: "${DESTDIR?}" "${BINDIR:?}" "${LIBDIR:?}" "${INCLUDEDIR:?}" "${DATADIR:?}" "${PROGRAM_PREFIX?}"
list=$DATADIR/cleave/installed
scripts=$DATADIR/cleave/scripts
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put MODE SOURCE TARGET: installs one file and adds it to the list.
put() {
    install -D -m "$1" "$2" "$DESTDIR$3"
    echo "$3" >>"$work/installed"
}

# say OPTION PROGRAM: prints the output of a program that is called by its installed name.
say() { "$DESTDIR$BINDIR/$2" "$1" >"$work/text"; }

# put_texts PROGRAM: installs its manual page and completions.
put_texts() {
    say --man "$1"
    gzip -9n <"$work/text" >"$work/page"
    put 644 "$work/page" "$DATADIR/man/man1/$1.1.gz"
    say --completion-bash "$1"
    put 644 "$work/text" "$DATADIR/bash-completion/completions/$1"
    say --completion-zsh "$1"
    put 644 "$work/text" "$DATADIR/zsh/site-functions/_$1"
}

put_tool() {
    put 755 "$BIN/$1" "$BINDIR/$PROGRAM_PREFIX$1"
    put_texts "$PROGRAM_PREFIX$1"
}

# A script finds its modules in its own folder, also if it is called through a link.
put_script() {
    local link=$BINDIR/$PROGRAM_PREFIX$1
    chmod 755 "$DESTDIR$scripts/$1.py"
    ln -sf "$(realpath -m --relative-to="$BINDIR" "$scripts/$1.py")" "$DESTDIR$link"
    echo "$link" >>"$work/installed"
    put_texts "$PROGRAM_PREFIX$1"
}

put_pkg_config() {
    cat >"$work/cleave.pc" <<EOF
prefix=$PREFIX
libdir=$LIBDIR
includedir=$INCLUDEDIR

Name: cleave
Description: CNNs trained from scratch, watched layer by layer, pruned where a layer no longer helps
Version: $VERSION
Requires: $PKGS
Cflags: -I\${includedir}/cleave
Libs: -L\${libdir} -lcleave $LINK_LIBS -fopenmp
EOF
    put 644 "$work/cleave.pc" "$LIBDIR/pkgconfig/cleave.pc"
}

install_all() {
    local tool header file
    uninstall_all
    : >"$work/installed"
    for tool in "$@"; do put_tool "$tool"; done
    for file in $PYTHON_FILES; do put 644 "$file" "$scripts/${file##*/}"; done
    for tool in $SCRIPTS; do put_script "$tool"; done
    put 644 "$B/libcleave.a" "$LIBDIR/libcleave.a"
    for header in $PUBLIC_HEADERS; do put 644 "$header" "$INCLUDEDIR/cleave/$header"; done
    put_pkg_config
    # Files that the programs look for: the plugin, and stored tensors for selftest.
    if [ -e "$BIN/libcleave_cuda.so" ]; then put 755 "$BIN/libcleave_cuda.so" "$LIBDIR/cleave/libcleave_cuda.so"; fi
    for file in tests/golden/*.safetensors; do put 644 "$file" "$DATADIR/cleave/golden/${file##*/}"; done
    git ls-files configs docs README.md >"$work/shared" 2>/dev/null ||
        find configs docs README.md -type f >"$work/shared"
    while read -r file; do put 644 "$file" "$DATADIR/doc/cleave/$file"; done <"$work/shared"
    put 644 "$work/installed" "$list"
    echo "install: $(($# + $(wc -w <<<"$SCRIPTS"))) programs, $(wc -l <"$work/installed") files in ${DESTDIR}$PREFIX; make uninstall removes them"
}

# Removes the files, then those folders of Cleave that are empty.
uninstall_all() {
    local file folder
    [ -e "$DESTDIR$list" ] || return 0
    while read -r file; do rm -f "$DESTDIR$file"; done <"$DESTDIR$list"
    rm -rf "$DESTDIR$list" "$DESTDIR$scripts/__pycache__"
    for folder in "$INCLUDEDIR/cleave" "$LIBDIR/cleave" "$DATADIR/cleave" "$DATADIR/doc/cleave"; do
        [ ! -d "$DESTDIR$folder" ] || find "$DESTDIR$folder" -depth -type d -empty -delete
    done
}

case ${1:-} in
install) shift; install_all "$@" ;;
uninstall)
    [ -e "$DESTDIR$list" ] || { echo "uninstall: nothing of Cleave is installed in ${DESTDIR}$PREFIX"; exit 0; }
    uninstall_all
    echo "uninstall: removed from ${DESTDIR}$PREFIX"
    ;;
*) echo "usage: tools/install.sh install TOOL ... | uninstall" >&2; exit 2 ;;
esac
