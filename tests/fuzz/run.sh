#!/bin/bash
# tests/fuzz/run.sh SECONDS [NAME ...] -- runs the fuzz targets that `make fuzz` built, each for so many seconds, on copies
# of its seeds and whatever earlier runs found worth keeping (build/fuzz/corpus/NAME); FUZZ_CORPUS=DIR: also on the files
# of DIR. A line for each target. Exit code 1 if an input failed; it is then in build/fuzz/found/.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1 failed=0
shift
export TMPDIR
TMPDIR=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)") || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
mkdir -p "$B/found"

# A stated limit of memory and time for one input: what asks for more is a finding.
options=(-rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=20 -print_final_stats=1 "-max_total_time=$seconds")

for program in "$B"/tests/*/fuzz_*; do
    case $program in *.[od]) continue ;; esac
    name=${program##*/fuzz_} folder=$(basename "$(dirname "$program")")
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    seeds=tests/$folder/corpus/$name
    kept=$B/corpus/$name log=$B/found/$name.log dict=()
    mkdir -p "$kept"
    [ ! -e "$seeds.dict" ] || dict=("-dict=$seeds.dict")
    "$program" "${options[@]}" "${dict[@]}" "-artifact_prefix=$B/found/$name-" "$kept" "$seeds" \
        ${FUZZ_CORPUS:+"$FUZZ_CORPUS"} >"$log" 2>&1
    code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ $code -eq 0 ]; then
        printf '%-12s %12s executions in %s s, no findings\n' "$name" "$runs" "$seconds"
    else
        printf '%-12s %12s executions, FAILED: %s\n' "$name" "${runs:-0}" "$log"
        grep -E 'ERROR|SUMMARY|runtime error|not so:|Test unit written' "$log" | sed 's/^/    /'
        failed=1
    fi
done
exit $failed
