#!/usr/bin/env bats
# make install into a scratch folder: every tool has its prefix, manual page and completion; another program can link the
# library; make uninstall leaves no file.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} ROOT=$BATS_FILE_TMPDIR/root
    TOOLS=$({ find tools -maxdepth 1 -name '*.c' ! -name 'cli*'; find tools -name main.c -printf '%h\n'; } |
        sed 's|.*/||; s/\.c$//' | sort)
    SCRIPTS=$(grep -l '^from command import' tools/*.py | sed 's|tools/||; s/\.py$//')
    export TOOLS SCRIPTS
    make_quietly install
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# make_quietly TARGET: runs make as a user would, without the settings of the make that runs this test.
make_quietly() { env -u MAKEFLAGS -u MAKELEVEL make "$1" DESTDIR="$ROOT" PREFIX=/usr BIN="$BIN" >"$BATS_FILE_TMPDIR/make" 2>&1; }

man_page() { zcat "$ROOT/usr/share/man/man1/cleave-$1.1.gz"; }

needs() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

@test "every tool is installed with its prefix and calls itself by that name" {
    [ -n "$TOOLS" ]
    for tool in $TOOLS; do
        run --separate-stderr "$ROOT/usr/bin/cleave-$tool" --help
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        [[ $output == "usage: cleave-$tool "* ]]
    done
    [ "$(find "$ROOT/usr/bin" -type f | wc -l)" -eq "$(wc -w <<<"$TOOLS")" ]
}

@test "the Python scripts are installed and work from any folder; manual page and completion have their options" {
    [ "$(echo $SCRIPTS)" = "convert curves ledger tsne" ]
    [ "$(find "$ROOT/usr/bin" -type l | wc -l)" -eq 4 ]
    for script in $SCRIPTS; do
        run --separate-stderr env -C / "$ROOT/usr/bin/cleave-$script" --help
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        [[ $output == "usage: cleave-$script "* ]]
        options=$(sed -n '/^options:/,/^$/s/^  \(--[a-z-]*\).*/\1/p' <<<"$output")
        [ "$(wc -w <<<"$options")" -ge 2 ]
        for word in $options; do
            man_page "$script" | sed 's/\\-/-/g' | grep -qF "\\fB$word\\fR"
            for file in "$ROOT"/usr/share/{bash-completion/completions/,zsh/site-functions/_}cleave-"$script"; do
                grep -qF -- "$word" "$file" || { echo "$file: no $word"; return 1; }
            done
        done
        run --separate-stderr "$ROOT/usr/bin/cleave-$script" --nonsense
        [ "$status" -eq 2 ] && [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
}

@test "an installed script works with the modules beside it" {
    run env -C "$BATS_TEST_TMPDIR" "$ROOT/usr/bin/cleave-ledger" none
    [ "$status" -eq 3 ] && [[ $output == "ledger: none: no such run"* ]]
    run env -C "$BATS_TEST_TMPDIR" "$ROOT/usr/bin/cleave-curves" --epochs .
    [ "$status" -eq 3 ] && [[ $output == *analysis.every* ]]
}

@test "--help, the manual page and the completions name the same options and keys" {
    for tool in $TOOLS; do
        help=$("$BIN/$tool" --help)
        options=$(sed -n '/^options:/,/^$/s/^  \(--[a-z-]*\).*/\1/p' <<<"$help")
        keys=$(sed -n 's/^  \([a-z_]*\(\.[a-z_]*\)\?\)=.*/\1/p' <<<"$help")
        [ "$(wc -w <<<"$options")" -ge 4 ] && [ "$(wc -w <<<"$keys")" -ge 40 ]
        page=$(man_page "$tool" | sed 's/\\-/-/g')
        for word in $options $keys; do
            grep -qF "\\fB$word\\fR" <<<"$page" || { echo "cleave-$tool(1): no $word"; return 1; }
            for file in "$ROOT"/usr/share/{bash-completion/completions/,zsh/site-functions/_}cleave-"$tool"; do
                grep -qF -- "$word" "$file" || { echo "$file: no $word"; return 1; }
            done
        done
    done
}

@test "manual pages render without a warning: groff" {
    needs groff
    for tool in $TOOLS $SCRIPTS; do [ -z "$(man_page "$tool" | groff -man -Tutf8 -ww -z 2>&1)" ]; done
}

@test "manual pages render without a warning: mandoc" {
    needs mandoc
    for tool in $TOOLS $SCRIPTS; do man_page "$tool" | mandoc -T lint -W warning; done
}

@test "a manual page has its sections" {
    needs man
    page=$(man_page train >"$BATS_TEST_TMPDIR/t.1" && MANWIDTH=80 man -l "$BATS_TEST_TMPDIR/t.1")
    for word in NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES SETTINGS "EXIT STATUS" "cleave-train configs/demo.yaml"; do
        [[ $page == *"$word"* ]] || { echo "no $word"; return 1; }
    done
}

# complete WORD ...: prints what bash offers for a command line whose last word is being typed.
complete_words() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); compopt() { :; }
             "_${1//-/_}"; printf "%s\n" "${COMPREPLY[@]}"' - \
        "$ROOT/usr/share/bash-completion/completions/$1" "$@"
}

@test "bash completes options, keys and values; elsewhere files" {
    [ "$(complete_words cleave-train --re)" = $'--resume\n--resume=auto' ]
    [ "$(complete_words cleave-train --resume =)" = auto ]
    [ "$(complete_words cleave-train train.mom)" = train.momentum= ]
    [ "$(complete_words cleave-train train.schedule =)" = $'step\ncosine\nconstant' ]
    [ "$(complete_words cleave-train train.schedule = co)" = $'cosine\nconstant' ]
    [[ "$(complete_words cleave-train net.arch = vgg16)" = vgg16_bn ]]
    [ -z "$(complete_words cleave-train data.path = da)" ]
    [ -z "$(complete_words cleave-train "")" ]
    [ "$(complete_words cleave-curves --ep)" = --epochs ]
    [ "$(complete_words cleave-ledger --format m)" = markdown ]
    [ -z "$(complete_words cleave-curves --epochs --)" ] && [ -z "$(complete_words cleave-convert "")" ]
}

@test "zsh completes options, keys and values" {
    needs zsh
    run zsh -f tests/e2e/zsh_complete.zsh "$ROOT/usr/share/zsh/site-functions" "cleave-train --res"
    [[ $output == *"cleave-train --resume"* ]]
    run zsh -f tests/e2e/zsh_complete.zsh "$ROOT/usr/share/zsh/site-functions" "cleave-train train.mome"
    [[ $output == *"cleave-train train.momentum="* ]]
    run zsh -f tests/e2e/zsh_complete.zsh "$ROOT/usr/share/zsh/site-functions" "cleave-train train.schedule=cos"
    [[ $output == *"cleave-train train.schedule=cosine"* ]]
    run zsh -f tests/e2e/zsh_complete.zsh "$ROOT/usr/share/zsh/site-functions" "cleave-tsne --perp"
    [[ $output == *"cleave-tsne --perplexity"* ]]
}

@test "each public header compiles alone, and a program links with the flags of pkg-config" {
    export PKG_CONFIG_PATH=$ROOT/usr/lib/pkgconfig
    flags=$(pkg-config --define-variable=prefix="$ROOT/usr" --define-variable=libdir="$ROOT/usr/lib" \
        --define-variable=includedir="$ROOT/usr/include" --cflags --libs cleave)
    (cd "$ROOT/usr/include/cleave" && find . -name '*.h') >"$BATS_TEST_TMPDIR/headers"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/headers")" -ge 20 ]
    while read -r header; do
        echo "#include <${header#./}>" >"$BATS_TEST_TMPDIR/one.c"
        # shellcheck disable=SC2086 # flags are several words
        gcc -std=gnu11 -D_GNU_SOURCE -Wall -Werror -fsyntax-only "$BATS_TEST_TMPDIR/one.c" $flags
    done <"$BATS_TEST_TMPDIR/headers"
    cat >"$BATS_TEST_TMPDIR/user.c" <<'EOF'
#include <nets/net.h>
#include <stdio.h>
int main(void)
{
    net *n;
    if (net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &n) != OK) return 1;
    printf("%lld\n", (long long)net_param_count(n));
    net_free(n);
    return 0;
}
EOF
    # shellcheck disable=SC2086
    gcc -std=gnu11 "$BATS_TEST_TMPDIR/user.c" -o "$BATS_TEST_TMPDIR/user" $flags
    [ "$("$BATS_TEST_TMPDIR/user")" -eq 269722 ]
}

@test "installing twice changes nothing; uninstall leaves no file and touches no other" {
    (cd "$ROOT" && find . ! -type d ! -path '*/__pycache__/*' | sort) >"$BATS_TEST_TMPDIR/before"
    make_quietly install
    (cd "$ROOT" && find . ! -type d | sort) | diff "$BATS_TEST_TMPDIR/before" -
    echo mine >"$ROOT/usr/bin/other"
    python3 -m compileall -q "$ROOT/usr/share/cleave/scripts" # as root's first call of a script does
    make_quietly uninstall
    [ "$(find "$ROOT" ! -type d)" = "$ROOT/usr/bin/other" ]
    make_quietly uninstall
    grep -q 'nothing of Cleave' "$BATS_FILE_TMPDIR/make"
}
