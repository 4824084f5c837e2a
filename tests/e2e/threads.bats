#!/usr/bin/env bats
# How OpenMP's variables and the number of threads go together: nothing waits for ever, nothing crashes.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    BIN=${BIN:-bin}
    SMALL=(/dev/null name=t device=cpu net.arch=resnet20 data.format=synthetic data.train_limit=20 data.test_limit=20
           train.epochs=1 train.batch=20 out="$BATS_TEST_TMPDIR/runs")
}

# trains VARIABLE=VALUE ... -- KEY=VALUE ...: a training that ends within a minute; how many threads it had is printed.
trains() {
    local environment=()
    while [ "$1" != -- ]; do environment+=("$1"); shift; done
    shift
    env "${environment[@]}" timeout 60 "$BIN/train" "${SMALL[@]}" "$@"
    python3 -c 'import json, sys; print("threads:", json.load(open(sys.argv[1]))["threads"])' "$BATS_TEST_TMPDIR"/runs/t-*/env.json
}

@test "a limit of OpenMP below threads: fewer threads and a warning that names the variable" {
    run trains OMP_THREAD_LIMIT=1 -- threads=2
    [ "$status" -eq 0 ]
    [[ $output == *"threads=2, but OMP_THREAD_LIMIT allows only 1"* ]]
    [[ $output == *"threads: 1"* ]]
    rm -r "$BATS_TEST_TMPDIR/runs"
    run trains OMP_MAX_ACTIVE_LEVELS=0 -- threads=2
    [ "$status" -eq 0 ]
    [[ $output == *"threads=2, but OMP_MAX_ACTIVE_LEVELS=0 allows only 1"* ]]
    [[ $output == *"threads: 1"* ]]
    run env OMP_THREAD_LIMIT=1 timeout 60 "$BIN/analyze" "$BATS_TEST_TMPDIR"/runs/t-* threads=2 analysis.samples=20 \
        analysis.edges=50 analysis.histogram_samples=20 analysis.lu_batch=10 analysis.lu_batches=1 --no-pictures
    [ "$status" -eq 0 ]
}

@test "OMP_DYNAMIC: the number of threads stays what was asked for" {
    run trains OMP_DYNAMIC=true -- threads=2
    [ "$status" -eq 0 ]
    [[ $output == *"OMP_DYNAMIC is ignored"* ]]
    [[ $output == *"threads: 2"* ]]
}

@test "threads=0 listens to OMP_NUM_THREADS; a number in threads goes before it" {
    run trains OMP_NUM_THREADS=1 -- threads=0
    [[ $output == *"threads: 1"* ]]
    rm -r "$BATS_TEST_TMPDIR/runs"
    run trains OMP_NUM_THREADS=1 -- threads=2
    [[ $output == *"threads: 2"* ]]
}

@test "an OMP_NUM_THREADS that is no number of threads is refused with a line" {
    for bad in 100000 two 0 -4; do
        for tool in train analyze evaluate; do
            run env OMP_NUM_THREADS=$bad "$BIN/$tool" "${SMALL[@]}"
            [ "$status" -eq 2 ]
            [[ $output == *"$tool: OMP_NUM_THREADS=$bad: expected a whole number from 1 to 4096"* ]]
        done
    done
    OMP_NUM_THREADS=100000 "$BIN/train" --help >/dev/null
}
