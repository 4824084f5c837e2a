#!/usr/bin/env bats
# sweep --launcher slurm, on a cluster of this machine alone that the test starts and stops (tests/sweep/slurm.bash).

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    # shellcheck source=tests/sweep/slurm.bash
    source tests/sweep/slurm.bash
    local missing
    if missing=$(slurm_missing); then
        export SKIP="Slurm is not installed here: no$missing"
        return
    fi
    export BIN=${BIN:-bin} OMP_WAIT_POLICY=passive
    CLUSTER=$(mktemp -d /tmp/cleave-slurm-XXXXXX)
    export CLUSTER
    slurm_start "$CLUSTER" >&2
}

teardown_file() {
    [ -n "${CLUSTER:-}" ] || return 0
    source tests/sweep/slurm.bash
    slurm_stop "$CLUSTER"
    rm -rf "$CLUSTER"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -z "${SKIP:-}" ] || skip "$SKIP"
    DIR=$BATS_FILE_TMPDIR/sweep
}

# until_true COMMAND ...: waits at most a minute for the command to succeed.
until_true() {
    for _ in $(seq 300); do "$@" && return; sleep 0.2; done
    squeue >&2
    tail -n 5 "$DIR"/slurm/*.log "$DIR"/tasks/*/log.txt >&2
    tail -n 20 "$CLUSTER/slurmctld.log" >&2
    return 1
}

has_begun() { grep -qsE '"epoch":\s*[1-9]' "$DIR"/resnet20-*-s0/status.json; }

queue_is_empty() { [ -z "$(squeue --noheader --states=PENDING,RUNNING,COMPLETING)" ]; }
some_state() { "$BIN/sweep" status "$DIR" --json --quiet 2>/dev/null | grep -q "\"state\":.*\"$1\""; }

# job_state ELEMENT: of the first array
job_state() {
    scontrol --oneliner show job "$(cat "$BATS_FILE_TMPDIR/job")_$1" | tr ' ' '\n' |
        sed -n 's/^JobState=//p; s/^ExitCode=//p' | xargs
}

# A long case, one that diverges, a short one. Each takes one core, and at most two run at a time.
write_sweep() {
    cat >"$BATS_FILE_TMPDIR/s.yaml" <<YAML
out: $DIR
stages: [train]
set:
  net.arch: resnet20
  data: {format: synthetic, train_limit: 96, test_limit: 32}
  train: {batch: 32, epochs: 1}
cases:
  - train.epochs: 15
  - train.lr: 1.0e+30
  - seed: 7
launcher: slurm
slurm: {limit: 2, grace: 30, sbatch: [--partition=low, --ntasks=1, --cpus-per-task=1]}
YAML
}

@test "an array of three: one is preempted, requeued and continues, one fails, the others are not affected" {
    write_sweep
    "$BIN/sweep" "$BATS_FILE_TMPDIR/s.yaml" 2>"$BATS_TEST_TMPDIR/submit"
    cat "$BATS_TEST_TMPDIR/submit"
    job=$(sed -n 's/^job \([0-9]*\): an array of 3;.*/\1/p' "$BATS_TEST_TMPDIR/submit")
    [ -n "$job" ]
    echo "$job" >"$BATS_FILE_TMPDIR/job"
    scontrol show job "${job}_0" | grep -q "ArrayTaskThrottle=2"

    # The same command again submits nothing: every task waits or runs.
    run "$BIN/sweep" "$BATS_FILE_TMPDIR/s.yaml"
    [ "$status" -eq 0 ] && [[ $output == *"nothing to submit"* ]]
    some_state queued || some_state running

    # A job that wants both cores preempts it: Slurm sends SIGUSR1, the run saves its state and ends with code 75, and the
    # element has Slurm queue it again.
    until_true has_begun
    sbatch --partition=high --ntasks=1 --cpus-per-task=2 --output=/dev/null --wrap true
    log=$DIR/slurm/${job}_0.log
    until_true grep -q "back into the queue as ${job}_0" "$log"
    grep -q "stopped by SIGTERM at epoch" "$DIR"/tasks/*/log.txt

    until_true queue_is_empty
    cat "$log"
    grep -q "element 0 of .* for the first time" "$log"
    grep -q "element 0 of .* not for the first time" "$log"
    grep -q "resuming at epoch" "$DIR"/tasks/*/log.txt
    [ "$(job_state 0)" = "COMPLETED 0:0" ]
    [ "$(job_state 1)" = "FAILED 1:0" ]
    [ "$(job_state 2)" = "COMPLETED 0:0" ]
}

@test "status shows what failed and why, and exits with 1" {
    run "$BIN/sweep" status "$DIR"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"failed resnet20-"*": train: the "*"loss is not a number"* ]]
    [[ $output == *"3 tasks: 2 done, 1 failed"* ]]
    json=$("$BIN/sweep" status "$DIR" --json --quiet 2>/dev/null) || true
    /usr/bin/python3 - "$json" <<'PY'
import json, socket, sys
j = json.loads(sys.argv[1])
stage = [c['stages']['train'] for c in j['cases']]
assert [s['state'] for s in stage] == ['done', 'failed', 'done'], stage
assert (stage[0]['epoch'], stage[0]['epochs']) == (15, 15) and 0 <= stage[0]['accuracy'] <= 1, stage
assert all(s['host'].split('.')[0] == socket.gethostname().split('.')[0] for s in stage), stage
PY
}

@test "the run that was preempted ends with the bits of one that was not" {
    config=$(grep -l "epochs: 15" "$DIR"/tasks/*/config.yaml)
    "$BIN/train" "$config" out="$BATS_TEST_TMPDIR" threads=1 --quiet
    /usr/bin/python3 tests/peer/stfile.py diff "$DIR/$(basename "$(dirname "$config")")/last.safetensors" \
        "$BATS_TEST_TMPDIR"/resnet20-*/last.safetensors
}

@test "the same command again submits only what failed" {
    "$BIN/sweep" "$BATS_FILE_TMPDIR/s.yaml" 2>"$BATS_TEST_TMPDIR/submit"
    grep "an array of 1;" "$BATS_TEST_TMPDIR/submit"
    until_true queue_is_empty
    run "$BIN/sweep" status "$DIR"
    [[ $output == *"3 tasks: 2 done, 1 failed"* ]]
}

@test "an error of sbatch is one line, and leaves no files" {
    sed -e 's/partition=low/partition=nowhere/' -e "s|^out:.*|out: $BATS_TEST_TMPDIR/bad|" "$BATS_FILE_TMPDIR/s.yaml" \
        >"$BATS_TEST_TMPDIR/bad.yaml"
    run "$BIN/sweep" "$BATS_TEST_TMPDIR/bad.yaml"
    echo "$output"
    [ "$status" -eq 1 ] && [[ $output == "sweep: sbatch: error: "* ]] && [ "${#lines[@]}" -eq 1 ]
    run compgen -G "$BATS_TEST_TMPDIR/bad/slurm/*"
    [ "$status" -eq 1 ]
}

@test "scancel stops an element for good: it does not queue itself again" {
    cat >"$BATS_TEST_TMPDIR/c.yaml" <<YAML
out: $BATS_TEST_TMPDIR/cancel
stages: [train]
set: {net.arch: resnet20, data: {format: synthetic, train_limit: 96, test_limit: 32}, train: {batch: 32, epochs: 1000}}
launcher: slurm
YAML
    "$BIN/sweep" "$BATS_TEST_TMPDIR/c.yaml" 2>"$BATS_TEST_TMPDIR/submit"
    job=$(sed -n 's/^job \([0-9]*\):.*/\1/p' "$BATS_TEST_TMPDIR/submit")
    DIR=$BATS_TEST_TMPDIR/cancel
    until_true has_begun
    scancel "$job"
    until_true queue_is_empty
    grep -q '"stopped"' "$DIR"/resnet20-*/status.json
    sleep 3
    queue_is_empty
    scontrol --oneliner show job "${job}_0" | grep -q JobState=CANCELLED
}
