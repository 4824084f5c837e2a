#!/usr/bin/env bats
# One writer per folder: the second process says who the first is, or waits; several analyses side by side.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} OMP_WAIT_POLICY=passive
    "$BIN/train" /dev/null name=l $(settings) train.epochs=1 out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/l-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

settings() {
    echo net.arch=resnet20 data.format=synthetic data.train_limit=192 data.test_limit=100 train.batch=32 threads=1 \
        analysis.samples=100 analysis.edges=1000 analysis.histogram_samples=100 analysis.lu_batches=2 analysis.lu_batch=50
}

# until_true COMMAND ...: repeats it until it succeeds, for at most a minute.
until_true() {
    for _ in $(seq 600); do "$@" && return; sleep 0.1; done
    return 1
}

@test "two trainings of one run: the second names the first, or waits and finds it finished; a kill releases the lock" {
    command=("$BIN/train" /dev/null name=two $(settings) train.epochs=1000 out="$BATS_TEST_TMPDIR" --quiet)
    "${command[@]}" 3>&- &
    pid=$!
    until_true compgen -G "$BATS_TEST_TMPDIR/two-*/last.safetensors"
    run "${command[@]}" --resume
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"$BATS_TEST_TMPDIR/two-"*"process $pid on $(hostname) works here since "* ]]
    kill -KILL $pid
    wait $pid || true
    [ -e "$BATS_TEST_TMPDIR"/two-*/lock ]
    "${command[@]}" --resume 3>&- &
    pid=$!
    until_true grep -qs "^$pid " "$BATS_TEST_TMPDIR"/two-*/lock
    "${command[@]}" --resume --wait 3>&- &
    second=$!
    sleep 0.5
    kill -0 $second
    kill -TERM $second
    code=0
    wait $second || code=$?
    [ $code -eq 75 ]
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 75 ]
    [ ! -e "$BATS_TEST_TMPDIR"/two-*/lock ]
}

@test "a training that cannot start leaves no folder" {
    run "$BIN/train" /dev/null net.arch=resnet21 data.format=synthetic out="$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 2 ]
    [ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "several analyses of a run; prune uses the one it is given" {
    "$BIN/analyze" "$RUN" analysis.k=5 --no-pictures --quiet --into "$RUN/analysis-k5"
    "$BIN/analyze" "$RUN" --no-pictures --quiet
    [ -s "$RUN/analysis-k5/analysis.json" ] && [ -s "$RUN/analysis/analysis.json" ]
    run ! cmp -s "$RUN/analysis-k5/analysis.json" "$RUN/analysis/analysis.json"
    for a in analysis analysis-k5; do
        "$BIN/prune" "$RUN" prune.metric=lu --dry-run --json --quiet --analysis "$RUN/$a" >"$BATS_TEST_TMPDIR/$a"
        /usr/bin/python3 - "$RUN/$a/analysis.json" "$BATS_TEST_TMPDIR/$a" <<'PY'
import json, sys
layers, prune = (json.load(open(f)) for f in sys.argv[1:])
q = {x['name']: x['lu']['mean'] for x in layers['layers']}
assert all(u['value'] == q[u['name']] for u in prune['units']), (q, prune)
PY
    done
    run "$BIN/prune" "$RUN" --dry-run --analysis "$BATS_TEST_TMPDIR/nowhere"
    [ "$status" -eq 3 ] && [[ $output == *nowhere/analysis.json* ]]
    sed 's/layer3.2/layer3.9/' "$RUN/analysis/analysis.json" >"$BATS_TEST_TMPDIR/analysis.json"
    run "$BIN/prune" "$RUN" --dry-run --analysis "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ] && [[ $output == *"units are missing"* ]]
}
