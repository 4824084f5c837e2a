#!/usr/bin/env bats
# A training that was killed or stopped and then resumed ends with the same bits as an uninterrupted one: weights,
# running statistics, velocities, metrics. The times of the signals are random; RESUME_SEED=N repeats them.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} OMP_WAIT_POLICY=passive
    export RESUME_SEED=${RESUME_SEED:-$RANDOM}
    echo "# RESUME_SEED=$RESUME_SEED" >&3
    local start=$EPOCHREALTIME
    train "$BATS_FILE_TMPDIR/whole"
    TOTAL_MS=$((10#${EPOCHREALTIME/./} / 1000 - 10#${start/./} / 1000))
    export TOTAL_MS
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# settings OUT: sets the array `command` to a training of 3 epochs of 16 batches, the last one partial.
settings() {
    command=("$BIN/train" /dev/null name=r net.arch=resnet20 data.format=synthetic data.train_limit=493
        data.test_limit=96 train.epochs=3 train.batch=32 train.lr=0.05 train.schedule=cosine
        threads=2 --quiet "out=$1")
}

# train OUT [ARGUMENT ...]
train() {
    local command
    settings "$1"
    "${command[@]}" "${@:2}"
}

# pause: sleeps for a random time, at most half as long as the uninterrupted run took, which may have shared the machine.
pause() {
    local ms=$((TOTAL_MS * (5 + RANDOM % 45) / 100))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
}

# interrupt SIGNAL OUT [ARGUMENT ...]: starts a training, sends the signal at a random time, returns its exit code.
interrupt() {
    local code=0 command
    settings "$2"
    "${command[@]}" "${@:3}" 3>&- & # not through the function: $! has to be the program
    local pid=$!
    pause
    kill "-$1" $pid || true
    wait $pid || code=$?
    return $code
}

# same_as_whole OUT: compares all tensors of both checkpoints, the training state, and the metrics without times.
same_as_whole() {
    local file a b
    a=$(echo "$BATS_FILE_TMPDIR"/whole/r-*) b=$(echo "$1"/r-*)
    for file in last best; do
        python3 tests/peer/stfile.py diff "$a/$file.safetensors" "$b/$file.safetensors" || return 1
    done
    python3 - "$a" "$b" <<'EOF' || return 1
import sys
sys.path.insert(0, 'tests/peer')
import stfile
a, b = (stfile.read(run + '/last.safetensors')[1] for run in sys.argv[1:])
assert a['state'] and a['state'] == b['state'], (a['state'], b['state'])
assert a['accuracy'] == b['accuracy'] and a['epoch'] == b['epoch'] == '3'
EOF
    diff <(cut -d, -f1-6 "$a/metrics.csv") <(cut -d, -f1-6 "$b/metrics.csv")
    [ "$(wc -l <"$b/metrics.jsonl")" -eq 3 ]
    ! ls "$b"/*.tmp-* 2>/dev/null
}

@test "the same command gives the same bits" {
    train "$BATS_TEST_TMPDIR/again"
    same_as_whole "$BATS_TEST_TMPDIR/again"
}

@test "other seeds give other bits: the comparison can fail" {
    train "$BATS_TEST_TMPDIR/other" seed=1
    run same_as_whole "$BATS_TEST_TMPDIR/other"
    [ "$status" -ne 0 ]
}

@test "killed at random moments and resumed" {
    RANDOM=$RESUME_SEED
    local hits=0 round out code
    for round in 1 2 3; do
        out=$BATS_TEST_TMPDIR/kill$round
        for _ in 1 2; do
            code=0
            interrupt KILL "$out" --resume=auto || code=$?
            echo "round $round: exit code $code"
            [ $code -eq 137 ] || [ $code -eq 0 ]
            [ $code -ne 137 ] || hits=$((hits + 1))
        done
        train "$out" --resume=auto
        same_as_whole "$out"
    done
    [ $hits -ge 3 ]
}

@test "stopped by SIGTERM, SIGUSR1, SIGUSR2, SIGINT in the middle of an epoch: exit code 75, then resumed" {
    RANDOM=$((RESUME_SEED + 1))
    local signal out code middle=0
    for signal in TERM USR1 USR2 INT; do
        out=$BATS_TEST_TMPDIR/$signal code=0
        interrupt $signal "$out" --resume=auto 2>"$out.err" || code=$?
        cat "$out.err"
        [ $code -eq 75 ]
        [ "$(wc -l <"$out.err")" -eq 1 ]
        grep -q "^train: stopped by SIG$signal" "$out.err"
        grep -q '"stopped"' "$out"/r-*/status.json
        grep -q ', step 0;' "$out.err" || middle=$((middle + 1))
        train "$out" --resume
        same_as_whole "$out"
    done
    [ $middle -ge 1 ]
}

# A terminal that closes sends SIGHUP. (The signals of the test above do not include it, because nohup may run the tests.)
@test "SIGHUP saves the state as SIGTERM does; under nohup it is ignored" {
    local code=0 out=$BATS_TEST_TMPDIR/hup command pid
    settings "$out"
    (trap - HUP; exec env --default-signal=HUP "${command[@]}" train.epochs=40) 2>"$out.err" 3>&- &
    pid=$!
    until grep -qs '"running"' "$out"/r-*/status.json; do kill -0 $pid && sleep .02; done
    kill -HUP $pid
    wait $pid || code=$?
    cat "$out.err"
    [ $code -eq 75 ] && grep -q '^train: stopped by SIGHUP' "$out.err"
    grep -q '"stopped"' "$out"/r-*/status.json

    out=$BATS_TEST_TMPDIR/nohup
    settings "$out"
    nohup "${command[@]}" 3>&- >/dev/null 2>&1 &
    pid=$!
    until grep -qs '"running"' "$out"/r-*/status.json; do kill -0 $pid && sleep .02; done
    kill -HUP $pid
    wait $pid
    grep -q '"done"' "$out"/r-*/status.json
}

@test "a training goes on when the reader of its messages is gone, and without a log.txt" {
    local out=$BATS_TEST_TMPDIR/pipe command dir code
    code=$BATS_TEST_TMPDIR/code
    settings "$out"
    command=("${command[@]/--quiet/--debug}") # so that it writes after the first line
    { exit=0; "${command[@]}" 2>&1 >/dev/null || exit=$?; echo $exit >"$code"; } | head -n 1
    [ "$(cat "$code")" -eq 0 ]
    dir=("$out"/r-*)
    grep -q '"done"' "${dir[0]}/status.json"
    [ "$(grep -c 'epoch ./3 ' "${dir[0]}/log.txt")" -eq 3 ]

    rm -r "${dir[0]}"
    mkdir -p "${dir[0]}/log.txt"
    touch "${dir[0]}/config.yaml" # else it is no run of ours
    run --separate-stderr train "$out" train.save_every=1
    [ "$status" -eq 0 ]
    grep -q '"done"' "${dir[0]}/status.json"
}

@test "a result that nobody reads: exit code 1 and one line; help that nobody reads: nothing" {
    local out=$BATS_TEST_TMPDIR/pipe code=$BATS_TEST_TMPDIR/code command
    settings "$out"
    { sleep .2; exit=0; "${command[@]}" --json 2>"$out.err" || exit=$?; echo $exit >"$code"; } | true
    cat "$out.err"
    [ "$(cat "$code")" -eq 1 ] && [ "$(wc -l <"$out.err")" -eq 1 ]
    grep -q '^train: stdout: write failed: Broken pipe$' "$out.err"
    grep -q '"done"' "$out"/r-*/status.json
    { sleep .2; exit=0; "$BIN/train" --help 2>"$out.err" || exit=$?; echo $exit >"$code"; } | true
    [ "$(cat "$code")" -eq 0 ] && [ ! -s "$out.err" ]
}

@test "a run that began from another's weights is resumed after those are gone, and still names its parent" {
    local out=$BATS_TEST_TMPDIR/child parent=$BATS_TEST_TMPDIR/parent.safetensors command dir code=0
    cp "$BATS_FILE_TMPDIR"/whole/r-*/best.safetensors "$parent"
    settings "$out"
    "${command[@]}" "net.weights=$parent" train.epochs=4 3>&- &
    local pid=$!
    until ls "$out"/r-*/last.safetensors >/dev/null 2>&1; do kill -0 $pid && sleep .02; done
    kill -TERM $pid
    wait $pid || code=$?
    [ $code -eq 75 ]
    rm "$parent"
    train "$out" "net.weights=$parent" train.epochs=4 --resume
    dir=("$out"/r-*)
    grep -q '"done"' "${dir[0]}/status.json"
    grep -q "weights: .*parent.safetensors" "${dir[0]}/config.yaml"
}

@test "a run is continued only with --resume" {
    local code=0 TOTAL_MS=$((TOTAL_MS / 3)) # long before its end, whatever else the machine does
    interrupt TERM "$BATS_TEST_TMPDIR/half" || code=$?
    [ $code -eq 75 ]
    run --separate-stderr train "$BATS_TEST_TMPDIR/half"
    echo "$stderr"
    [ "$status" -eq 2 ] && [[ $stderr == "train: "*"--resume"* ]]
}

# refused PATTERN ARGUMENT ...: train ARGUMENT ... is exit code 2 with one line that matches, and leaves nothing behind.
refused() {
    run --separate-stderr train "$BATS_TEST_TMPDIR/runs" "${@:2}"
    echo "$status $stderr"
    [ "$status" -eq 2 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == $1 ]]
}

@test "--resume of a run that does not exist names the nearest run and what differs; --resume=auto starts it" {
    local out=$BATS_TEST_TMPDIR/runs small=(train.epochs=1 data.train_limit=32) run
    refused "train: --resume: there is no run $out/r-*-s0, nor any other in $out. --resume=auto starts a new run" \
        "${small[@]}" --resume
    [ ! -e "$out" ]
    train "$out" "${small[@]}" --resume=auto
    train "$out" "${small[@]}" train.lr=0.3 train.momentum=0 --resume=auto
    train "$out" "${small[@]}" name=other train.epochs=2 --resume=auto
    run=$(grep -l 'lr: 0.05' "$out"/r-*/config.yaml)
    run=${run%/config.yaml}
    refused "*the nearest, $run, differs in train.epochs (1, not 2). --resume=auto*" "${small[@]}" train.epochs=2 --resume
    refused "*the nearest, $run, differs in net.classes (10, not 9), train.lr (0.05, not 0.2). *" \
        "${small[@]}" train.lr=0.2 net.classes=9 --resume
    refused "*the nearest, $run, differs in seed (0, not 7). *" "${small[@]}" seed=7 --resume
    refused "*the nearest, $run, differs in net.classes (10, not 9), data.flip (true, not false), train.epochs (1, not 2), \
train.batch (32, not 16) and 1 more. *" "${small[@]}" net.classes=9 data.flip=false train.epochs=2 train.batch=16 \
        train.gamma=0.3 --resume
    [ "$(ls "$out" | wc -l)" -eq 3 ]
    refused "train: --resume=yes: expected --resume or --resume=auto" --resume=yes
    # killed before its first checkpoint: the same command begins again
    rm "$run/last.safetensors"
    train "$out" "${small[@]}" --resume
    [ -e "$run/last.safetensors" ]
}

@test "dropout continues with the same masks: VGG resumed" {
    local command=("$BIN/train" /dev/null name=v net.arch=vgg11_bn data.format=synthetic data.train_limit=160
        data.test_limit=16 train.epochs=1 train.batch=16 threads=2 --quiet)
    local whole=$BATS_TEST_TMPDIR/whole part=$BATS_TEST_TMPDIR/part code=0
    "${command[@]}" "out=$whole"
    "${command[@]}" "out=$part" 3>&- &
    local pid=$!
    until ls "$part"/v-*/log.txt >/dev/null 2>&1; do kill -0 $pid && sleep .02; done
    kill -TERM $pid
    wait $pid || code=$?
    [ $code -eq 75 ]
    "${command[@]}" "out=$part" --resume
    python3 tests/peer/stfile.py diff "$whole"/v-*/last.safetensors "$part"/v-*/last.safetensors
}
