#!/usr/bin/env bats
# The rooms of docs/architecture.md: which may include which, whose headers stay inside, and names that mean one thing.

bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# ROOM: the rooms that its files may include besides its own. Every arrow points to a line further up.
rooms='
core/base:
core/config: core/base
core/format: core/base
core/device: core/base
core/cpu:    core/base core/device
core/cuda:   core/base core/device
layers:      core/base core/device
data:        core/base core/device core/config
nets:        core/base core/device core/config core/format layers data
graph:       core/base core/device core/config core/format data nets
prune:       core/base core/device core/config core/format data nets graph
tools:       core/base core/device core/config core/format layers data nets graph prune
'

sources() { find core layers data nets graph prune tools -name '*.[ch]' -o -name '*.cu'; }

# The room that a file belongs to: tools/bench/x.c belongs to tools.
room_of() {
    case $1 in
    core/*) echo "$1" | cut -d/ -f1-2 ;;
    *) echo "${1%%/*}" ;;
    esac
}

# FILE INCLUDED, for every include of a file of this tree.
includes() {
    sources | while read -r file; do
        sed -nE 's/^ *# *include "([^"]+)".*/\1/p' "$file" | while read -r name; do
            target=$(realpath -m --relative-to=. "$(dirname "$file")/$name")
            if [ -e "$target" ]; then echo "$file $target"; fi
        done
    done
}

@test "includes point one way" {
    local wrong=0 n=0 file target from to allowed
    while read -r file target; do
        from=$(room_of "$file") to=$(room_of "$target")
        n=$((n + 1))
        [ "$from" != "$to" ] || continue
        allowed=$(sed -n "s|^$from: *||p" <<<"$rooms")
        case " $allowed " in
        *" $to "*) ;;
        *) echo "$file includes $target: $from may include only: $allowed"; wrong=1 ;;
        esac
    done < <(includes)
    [ "$n" -gt 300 ] # the search has found them
    [ "$wrong" -eq 0 ]
}

@test "oneDNN's headers stay in core/cpu, CUDA's in core/cuda" {
    run -1 grep -rnE '# *include <(oneapi/)?dnnl' --include='*.[ch]' layers data nets graph prune tools core/base core/config \
        core/format core/device core/cuda
    run -1 grep -rnE '# *include <(cuda|cudnn|cublas|nccl)' --include='*.[ch]' layers data nets graph prune tools core/base \
        core/config core/format core/device core/cpu
    grep -rqE '# *include <(oneapi/)?dnnl' core/cpu
    grep -rqE '# *include <cudnn' core/cuda
}

# Two files may share a name where they are the same thing: an operation on several devices, or a program beside what it runs.
@test "no two files of one name with different meanings" {
    run bash -c "$(declare -f sources); sources | grep -vE '^(core/(cpu|cuda)|layers)/|^tools/[a-z]+.c|/main.c' | sed 's|.*/||' |
        sort | uniq -d"
    [ "$output" = "" ]
    local name found wrong=0
    for name in $(sources | grep -E '^core/(cpu|cuda)/' | sed -E 's|.*/||; s|\.[a-z]+$||' | sort -u); do
        if [ -e "layers/$name.c" ]; then continue; fi
        found=$(sources | sed -E 's|\.[a-z]+$||' | grep -E "/$name\$" | grep -vE '^core/(cpu|cuda)/' || true)
        if [ "$found" != "" ]; then echo "$name is also $found"; wrong=1; fi
    done
    [ "$wrong" -eq 0 ]
}
