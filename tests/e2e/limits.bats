#!/usr/bin/env bats
# Too little of something (memory, open files, stack) is exit code 1 and says so; nobody waits at a pipe in place of a file.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    SMALL="net.arch=resnet20 data.format=synthetic data.train_limit=64 data.test_limit=40 train.batch=32 train.epochs=1 threads=1 analysis.samples=40 analysis.edges=100 analysis.histogram_samples=40 analysis.lu_batches=1 analysis.lu_batch=20"
    export SMALL
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=l $SMALL out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/l-*)
    "$BIN/analyze" "$RUN" --quiet --no-pictures
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# limited CODE WORDS LIMIT COMMAND ...: under `ulimit LIMIT`, the command ends with CODE and says WORDS.
limited() {
    # shellcheck disable=SC2016
    run bash -c 'ulimit $0 || exit 99; exec "$@"' "$3" "${@:4}"
    echo "ulimit $3: exit code $status (wanted $1): $output"
    [ "$status" -eq "$1" ]
    [[ $output == *"$2"* ]]
}

@test "little memory: out of memory, exit code 1, whatever was being read" {
    needed=0
    for size in {60..100..4}; do # in MB: from what the libraries need to what a training needs
        run bash -c 'ulimit -v "$0"; exec "$@"' ${size}000 "$BIN/train" /dev/null name=m $SMALL out="$BATS_TEST_TMPDIR" --quiet
        echo "$size MB: exit code $status: $output"
        [ "$status" -ne 0 ] || break
        [ "$status" -ne 127 ] || continue # the loader
        [ "$status" -eq 1 ]
        [[ $output == *"out of memory"* || $output == *"libgomp: Thread creation failed"* ]]
        needed=1
    done
    [ $needed -eq 1 ]
}

@test "few open files: exit code 1 and the reason; all pictures, or an error" {
    for n in 4 5 6 7 8 9 10 12; do
        run bash -c 'ulimit -n "$0"; exec "$@"' $n "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/$n" --quiet
        echo "$n files: exit code $status: $output"
        if [ "$status" -eq 0 ]; then
            for name in rings curves histograms; do
                [ -s "$BATS_TEST_TMPDIR/$n/$name.png" ] || ! command -v gnuplot
            done
        elif [ "$status" -ne 127 ]; then # 127: not even the loader had enough
            [ "$status" -eq 1 ]
            [[ $output == *"oo many open files"* || $output == *"gnuplot failed"* ]]
        fi
    done
}

@test "without gnuplot: a warning, no error; a gnuplot that fails: an error" {
    mkdir "$BATS_TEST_TMPDIR/path"
    run env PATH="$BATS_TEST_TMPDIR/path" "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/a"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"gnuplot is not installed"* ]]
    printf '#!/bin/sh\nexit 127\n' >"$BATS_TEST_TMPDIR/path/gnuplot"
    chmod +x "$BATS_TEST_TMPDIR/path/gnuplot"
    run env PATH="$BATS_TEST_TMPDIR/path" "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/a" --quiet
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"gnuplot failed (exit code 127)"* ]]
}

@test "small stacks: a soft limit is raised, a hard one is an error, so is OMP_STACKSIZE" {
    limited 0 "" "-S -s 64" "$BIN/train" /dev/null name=s $SMALL threads=2 out="$BATS_TEST_TMPDIR" --quiet
    limited 1 "a stack of 128 KB (ulimit -s) is too small" "-s 128" "$BIN/evaluate" "$RUN" --quiet
    run env OMP_STACKSIZE=16k "$BIN/evaluate" "$RUN" --quiet
    [ "$status" -eq 2 ]
    [ "$output" = "evaluate: OMP_STACKSIZE=16k: a stack too small: at least 512k is needed" ]
    OMP_STACKSIZE="1 M" "$BIN/evaluate" "$RUN" --quiet
    run env OMP_NUM_THREADS=100000 "$BIN/analyze" "$RUN" --quiet
    [ "$status" -eq 2 ]
    [[ $output == *"OMP_NUM_THREADS=100000: expected a whole number from 1 to "* ]]
}

# pipe CODE WORDS FILE COMMAND ...: with a pipe in place of FILE, the command ends at once, with CODE and WORDS.
pipe() {
    rm -f "$3"
    mkfifo "$3"
    run timeout 30 "${@:4}"
    echo "$3: exit code $status (wanted $1): $output"
    rm "$3"
    [ "$status" -eq "$1" ]
    [[ $output == *"$2"* ]]
}

@test "a pipe in place of any input is an error at once" {
    run=$BATS_TEST_TMPDIR/run
    cp -r "$RUN" "$run"
    pipe 3 "a pipe" "$run/best.safetensors" "$BIN/evaluate" "$run" --quiet
    cp "$RUN/best.safetensors" "$run/"
    pipe 3 "a pipe" "$run/config.yaml" "$BIN/evaluate" "$run" --quiet
    rm -r "$run" && cp -r "$RUN" "$run"
    pipe 3 "a pipe" "$run/analysis/analysis.json" "$BIN/prune" "$run" --analysis "$run/analysis" --dry-run --quiet
    cp "$RUN/analysis/analysis.json" "$run/analysis/"
    if [ -x "$BIN/report" ]; then
        for file in analysis/samples.csv analysis/edges/conv1.bin metrics.jsonl env.json prune.json; do
            pipe 3 "a pipe" "$run/$file" "$BIN/report" "$run" --quiet
            [ ! -e "$RUN/$file" ] || cp "$RUN/$file" "$run/$file"
        done
    fi
    pipe 1 "cannot lock" "$run/analysis/lock" "$BIN/analyze" "$run" --quiet
    pipe 2 "a pipe that nobody has written to" "$run/s.yaml" "$BIN/sweep" "$run/s.yaml" --quiet
    pipe 3 "a pipe" "$run/sweep.json" "$BIN/sweep" status "$run" --quiet
    pipe 3 "a pipe" "$run/e.json" env SLURM_ARRAY_TASK_ID=0 "$BIN/sweep" element "$run/e.json" --quiet

    data=$BATS_TEST_TMPDIR/data
    mkdir "$data"
    for file in data_batch_{1..5} test_batch; do head -c 3073 /dev/zero >"$data/$file.bin"; done
    for file in batches.meta.txt test_batch.bin; do
        pipe 3 "$file" "$data/$file" "$BIN/evaluate" "$RUN" data.format=cifar10 data.path="$data" --quiet
        head -c 3073 /dev/zero >"$data/test_batch.bin"
    done
}

@test "a pipe in place of a file that a training writes: an error or a warning at once" {
    command=("$BIN/train" /dev/null name=p $SMALL out="$BATS_TEST_TMPDIR" --quiet)
    "${command[@]}"
    run=$(echo "$BATS_TEST_TMPDIR"/p-*)
    for file in metrics.jsonl metrics.csv; do
        rm -f "$run"/*.safetensors "$run"/metrics.* "$run"/events*
        pipe 3 "a pipe" "$run/$file" "${command[@]}"
    done
    rm -f "$run"/metrics.*
    pipe 1 "status.json: nobody reads from it" "$run/status.json" "${command[@]}"
    rm -f "$run"/*.safetensors "$run"/metrics.*
    pipe 0 "this run has no log.txt" "$run/log.txt" "$BIN/train" /dev/null name=p $SMALL out="$BATS_TEST_TMPDIR"
}
