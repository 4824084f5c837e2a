#!/usr/bin/env bats
# Other people's files: a tool fills a folder only if it is new, empty or its own, and replaces only files of its own kind.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    SMALL="data.format=synthetic data.train_limit=64 data.test_limit=40 train.batch=32 train.epochs=1 threads=1 analysis.samples=40 analysis.edges=100 analysis.histogram_samples=40 analysis.lu_batches=1 analysis.lu_batch=20"
    export SMALL
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=f net.arch=resnet20 $SMALL out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/f-*)
    export RUN
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    D=$BATS_TEST_TMPDIR/mine
    mkdir "$D"
}

# refused CODE WORDS COMMAND ...: it ends with this code and one line that has the words, and $D is as it was.
refused() {
    before=$(snapshot)
    run --separate-stderr "${@:3}"
    echo "exit code $status (wanted $1), stderr: $stderr"
    [ "$status" -eq "$1" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"$2"* ]]
    [ "$(snapshot)" = "$before" ]
}

# Names, kinds and contents of everything in $D.
snapshot() {
    (cd "$D" && find . -printf '%p %y %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}

analyze() { "$BIN/analyze" "$RUN" --quiet --no-pictures --into "$D" "$@"; }

@test "analyze --into a folder with a user's files: refused, every file is kept" {
    for name in features/a.npy edges/a.bin curves.png x.tmp-4711 samples.csv analysis.txt; do
        rm -rf "$D" && mkdir -p "$D/$(dirname "$name")"
        echo precious >"$D/$name"
        refused 2 "choose another" analyze analysis.features=3
    done
    rm -rf "$D" && mkdir "$D"
    echo '{"results": "of another program"}' >"$D/analysis.json"
    refused 2 "analysis.json was not written by this program" analyze
}

@test "analyze --into an empty folder, then again: the earlier analysis is replaced, other files are kept" {
    touch "$D/.hidden"
    analyze analysis.features=3
    [ -s "$D/features/conv1.npy" ]
    echo precious >"$D/notes.txt"
    echo precious >"$D/x.tmp-4711"
    analyze
    [ ! -e "$D/features/conv1.npy" ]
    [ ! -e "$D/analysis.json.unfinished" ]
    [ "$(cat "$D/notes.txt" "$D/x.tmp-4711")" = $'precious\nprecious' ]
}

@test "an analysis that was killed leaves its mark: the next one goes on there, and sweeps up" {
    analyze
    rm "$D/analysis.json"
    refused 2 "but no analysis.json" analyze
    touch "$D/analysis.json.unfinished"
    echo half >"$D/edges/conv1.bin.cleave.tmp-99999999"
    analyze
    [ -s "$D/analysis.json" ]
    [ ! -e "$D/analysis.json.unfinished" ]
    [ ! -e "$D/edges/conv1.bin.cleave.tmp-99999999" ]
}

@test "prune writes into no folder that is not an analysis" {
    mkdir "$D/f-analysis"
    echo precious >"$D/f-analysis/samples.csv"
    cp "$RUN/best.safetensors" "$D/f.safetensors"
    # shellcheck disable=SC2086
    refused 2 "samples.csv is there" "$BIN/prune" "$D/f.safetensors" out="$D" $SMALL --quiet
    refused 2 "samples.csv is there" "$BIN/prune" "$D/f.safetensors" out="$D" $SMALL prune.metric=random prune.count=0 --quiet
}

@test "attack --into a folder with a user's files: refused" {
    for name in test_batch.bin batches.meta.txt notes.txt; do
        rm -rf "$D" && mkdir "$D"
        echo precious >"$D/$name"
        refused 2 "$name is there" "$BIN/attack" "$RUN" --quiet --into "$D"
    done
    rm "$D/notes.txt"
    echo '{"kind": "of a heart"}' >"$D/attack.json"
    refused 2 "was not written by this program" "$BIN/attack" "$RUN" --quiet --into "$D"
    rm "$D/attack.json"
    "$BIN/attack" "$RUN" --quiet --into "$D"
    rm "$D/attack.json"
    touch "$D/attack.json.unfinished" # as a kill leaves it
    "$BIN/attack" "$RUN" --quiet --into "$D"
    [ "$(ls "$D" | xargs)" = "attack.json batches.meta.txt test_batch.bin" ]
}

@test "train into a directory with a user's files: refused" {
    command=("$BIN/train" /dev/null name=n net.arch=resnet20 $SMALL out="$D" --quiet)
    "${command[@]}"
    run=$(echo "$D"/n-*)
    rm "$run"/*
    for name in env.json log.txt metrics.jsonl status.json; do
        echo precious >"$run/$name"
        refused 2 "$name is there, but no config.yaml" "${command[@]}"
        rm "$run/$name"
    done
    "${command[@]}"
}

@test "sweep: another program's sweep.json, a user's folder tasks" {
    printf 'out: %s\nstages: [train]\nset: {net.arch: resnet20, data.format: synthetic, data.train_limit: 64, data.test_limit: 40, train.batch: 32, train.epochs: 0}\n' \
        "$D" >"$BATS_TEST_TMPDIR/s.yaml"
    echo '{"sweep": "of the chimney"}' >"$D/sweep.json"
    refused 2 "sweep.json was not written by this program" "$BIN/sweep" "$BATS_TEST_TMPDIR/s.yaml" --quiet
    rm "$D/sweep.json"
    mkdir "$D/tasks"
    echo precious >"$D/tasks/monday"
    refused 2 "tasks is there, but no sweep.json" "$BIN/sweep" "$BATS_TEST_TMPDIR/s.yaml" --quiet
}

@test "export, report, evaluate replace files of their own kind only" {
    echo precious >"$D/x"
    refused 2 "choose another name" "$BIN/export" "$RUN" --output "$D/x" --quiet
    refused 2 "choose another name" "$BIN/evaluate" "$RUN" --logits "$D/x" --quiet
    [ ! -x "$BIN/report" ] || refused 2 "choose another name" "$BIN/report" "$RUN" --out "$D/x" --quiet
    cp "$RUN/best.safetensors" "$D/f.safetensors"
    printf '\x08\x07\x12\x07pytorch' >"$D/f.onnx" # a model that PyTorch has exported
    refused 2 "f.onnx exists and is not an ONNX model of this program" "$BIN/export" "$D/f.safetensors" --quiet
    for _ in 1 2; do
        "$BIN/export" "$RUN" --output "$D/a.onnx" --quiet
        "$BIN/evaluate" "$RUN" --logits "$D/a.npy" --quiet
        [ ! -x "$BIN/report" ] || "$BIN/report" "$RUN" --out "$D/a.html" --quiet
    done
}

@test "lock and temporary file as links: their targets are not touched" {
    echo precious >"$D/target"
    mkdir "$D/into"
    ln -s ../target "$D/into/lock"
    refused 1 "is a symbolic link, not a lock" "$BIN/analyze" "$RUN" --quiet --no-pictures --into "$D/into"
    rm "$D/into/lock"
    echo "ssh keys" >"$D/into/lock"
    refused 1 "is not a lock of this program" "$BIN/analyze" "$RUN" --quiet --no-pictures --into "$D/into"
    rm "$D/into/lock"
    # exec keeps the PID, so the name of the temporary file is known.
    # shellcheck disable=SC2016
    run --separate-stderr bash -c 'ln -s target "$1/e.onnx.cleave.tmp-$$"; exec "$2" "$3" --output "$1/e.onnx" --quiet' \
        - "$D" "$BIN/export" "$RUN"
    [ "$status" -eq 1 ]
    [[ $stderr == *"something is in the way"* ]]
    [ "$(cat "$D/target")" = precious ]
    [ ! -e "$D/e.onnx" ]
}
