#!/usr/bin/env bats
# sweep on this machine: shared stages, repeated commands, failures, stops and kills, tables, cleaning.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} OMP_WAIT_POLICY=passive
    SWEEP=$BATS_FILE_TMPDIR/s.yaml DIR=$BATS_FILE_TMPDIR/sweep
    export SWEEP DIR
    cat >"$SWEEP" <<YAML
out: $DIR
set:
$(small)
  prune: {floor: 0, epochs: 1, max_cut: 1}
  finetune.train.lr: 0.001
grid:
  seed: [0, 1]
  prune.metric: [yang, lu]
YAML
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

small() {
    cat <<YAML
  net.arch: resnet20
  data: {format: synthetic, train_limit: 64, test_limit: 40}
  train: {epochs: 1, batch: 32}
  analysis: {samples: 40, edges: 200, histogram_samples: 40, lu_batches: 2, lu_batch: 20}
YAML
}

# long_sweep DIR: two trainings that do not end by themselves
long_sweep() {
    cat >"$1.yaml" <<YAML
out: $1
stages: [train]
set:
$(small)
  train.save_every: 1
grid: {seed: [0, 1]}
YAML
    sed -i 's/epochs: 1,/epochs: 1000,/' "$1.yaml"
}

# until_true COMMAND ...: waits at most a minute for the command to succeed.
until_true() {
    for _ in $(seq 300); do "$@" && return; sleep 0.2; done
    return 1
}

# begun DIR N: N runs have finished an epoch.
begun() { [ "$(grep -lE '"epoch":\s*[1-9]' "$1"/*-s?/status.json 2>/dev/null | wc -l)" -ge "$2" ]; }

# children PID: the tools that the sweep runs
children() { pgrep -P "$1" || true; }
gone() { ! kill -0 "$@" 2>/dev/null; }

check() {
    /usr/bin/python3 -c "import json, os, sys
j = json.loads(sys.argv[1]); a = sys.argv[2:]
$1" "${@:2}"
}

@test "a dry run lists the cases and writes nothing" {
    run "$BIN/sweep" "$SWEEP" --dry-run
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"4 cases, 8 tasks, 0 of them done; nothing was started"* ]]
    [ ! -e "$DIR" ]
}

@test "all stages of all cases; a stage that cases share is done once" {
    "$BIN/sweep" "$SWEEP" --jobs 2 --json 2>"$BATS_TEST_TMPDIR/log" >"$BATS_TEST_TMPDIR/json"
    cat "$BATS_TEST_TMPDIR/log"
    [ "$(grep -c '^start   train' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
    [ "$(grep -c '^start   analyze' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
    [ "$(grep -c '^start   prune' "$BATS_TEST_TMPDIR/log")" -eq 4 ]
    grep -q '(1 thread)$' "$BATS_TEST_TMPDIR/log" || [ "$(nproc)" -ne 2 ]
    check 'assert j["counts"]["done"] == 8 and len(j["cases"]) == 4, j
for c in j["cases"]:
    assert all(s["state"] == "done" for s in c["stages"].values())
    run = a[0] + "/" + c["stages"]["train"]["task"]
    assert c["settings"]["seed"] in run[-3:] and os.path.exists(run + "/best.safetensors")
    assert os.path.exists(run + "/analysis/analysis.json"), run
    p = json.load(open(a[0] + "/tasks/" + c["stages"]["prune"]["task"] + "/result.json"))
    assert p["metric"] == c["settings"]["prune.metric"]
    if p["removed"]: assert "lr: 0.001" in open(p["run"] + "/config.yaml").read()' \
        "$(cat "$BATS_TEST_TMPDIR/json")" "$DIR"
    run find "$DIR" -name lock
    [ -z "$output" ]
}

@test "the same command again does nothing; a run directory is the one that train itself would use" {
    "$BIN/sweep" "$SWEEP" 2>"$BATS_TEST_TMPDIR/log"
    [ "$(cat "$BATS_TEST_TMPDIR/log")" = "all 8 tasks of 4 cases are done: sweep table $DIR" ]
    config=$(compgen -G "$DIR/tasks/resnet20-*-s0/config.yaml")
    run "$BIN/train" "$config"
    [[ $output == *"this training is finished"* ]]
}

@test "a kill between the last checkpoint and status.json: train, sweep, status and table agree that the run is done" {
    local run=("$DIR"/resnet20-[0-9a-f]*-s0)
    cp "${run[0]}/status.json" "$BATS_TEST_TMPDIR/"
    sed -i 's/"state":.*/"state": "running",/; s/"epoch":.*/"epoch": 0,/; s/"best_accuracy":.*/"best_accuracy": 0,/' \
        "${run[0]}/status.json"
    before=$("$BIN/sweep" table "$DIR" --columns seed,accuracy,last_accuracy,n --format csv)
    "$BIN/sweep" "$SWEEP" 2>"$BATS_TEST_TMPDIR/log"
    [ "$(cat "$BATS_TEST_TMPDIR/log")" = "all 8 tasks of 4 cases are done: sweep table $DIR" ]
    check 'assert j["counts"]["done"] == 8, j["counts"]
t = [c["stages"]["train"] for c in j["cases"] if c["settings"]["seed"] == "0"][0]
assert t["epoch"] == 1 and t["accuracy"] == json.load(open(a[0]))["best_accuracy"] > 0, t' \
        "$("$BIN/sweep" status "$DIR" --json --quiet)" "$BATS_TEST_TMPDIR/status.json"
    "$BIN/train" "$DIR"/tasks/"$(basename "${run[0]}")"/config.yaml --resume --quiet # puts the file right
    for key in state epoch best_accuracy best_epoch; do
        diff <(grep "\"$key\"" "${run[0]}/status.json") <(grep "\"$key\"" "$BATS_TEST_TMPDIR/status.json")
    done
    after=$("$BIN/sweep" table "$DIR" --columns seed,accuracy,last_accuracy,n --format csv)
    [ "$before" = "$after" ]

    mv "${run[0]}/last.safetensors" "$BATS_TEST_TMPDIR/" # without it, status.json alone does not make a run done
    check 'assert j["counts"]["done"] < 8, j' "$("$BIN/sweep" status "$DIR" --json --quiet)"
    mv "$BATS_TEST_TMPDIR/last.safetensors" "${run[0]}/"
}

@test "only what is missing is done" {
    rm -r "$DIR"/resnet20-*-s1/analysis # then the prunings of seed 1 are out of date too
    "$BIN/sweep" "$SWEEP" 2>"$BATS_TEST_TMPDIR/log"
    cat "$BATS_TEST_TMPDIR/log"
    [ "$(grep -c '^start' "$BATS_TEST_TMPDIR/log")" -eq 3 ]
    run ! grep -q '^start .*s0' "$BATS_TEST_TMPDIR/log"
    run ! grep -q 'start   train' "$BATS_TEST_TMPDIR/log"
}

@test "a table: mean and standard deviation over the seeds, in four formats, any key as a column" {
    columns=net.arch,prune.metric,train.lr,accuracy,M,saving_percent,accuracy_after,n
    json=$("$BIN/sweep" table "$DIR" --columns $columns --format json)
    check 'import csv, glob, statistics
def load(pattern): return [json.load(open(f)) for f in sorted(glob.glob(a[0] + pattern))]
best = [x["best_accuracy"] for x in load("/resnet20-[0-9a-f]*-s?/status.json")]
m = [x["layers"][-1]["yang"]["M"] for x in load("/resnet20-*-s?/analysis/analysis.json")]
assert len(best) == 2 and len(m) == 2
for r, metric in zip(j["rows"], ["yang", "lu"]):
    assert (r["net.arch"], r["prune.metric"], r["train.lr"], r["n"]) == ("resnet20", metric, "0.01", 2), r
    assert abs(r["accuracy"]["mean"] - statistics.mean(best)) < 1e-12
    assert abs(r["accuracy"]["sd"] - statistics.stdev(best)) < 1e-12
    assert abs(r["M"]["mean"] - statistics.mean(m)) < 1e-9 and abs(r["M"]["sd"] - statistics.stdev(m)) < 1e-9
    p = [x["saving_percent"] for x in load("/tasks/*prune*/result.json") if x["metric"] == metric]
    assert len(p) == 2 and abs(r["saving_percent"]["mean"] - statistics.mean(p)) < 1e-9
rows = list(csv.DictReader(open(a[1])))
assert [float(r["accuracy"]) for r in rows] == [float("%.9g" % r["accuracy"]["mean"]) for r in j["rows"]], rows
assert rows[1]["prune.metric"] == "lu" and "accuracy_sd" in rows[0] and rows[0]["n"] == "2"
' "$json" "$DIR" <("$BIN/sweep" table "$DIR" --format csv)
    run "$BIN/sweep" table "$DIR" --format md --columns seed,accuracy
    [ "${lines[0]:0:2}" = "| " ] && [ "${lines[1]}" = "|---|---:|" ] && [ "${#lines[@]}" -eq 6 ]
    check 'import glob
runs = {f[-1]: f for f in glob.glob(a[0] + "/resnet20-[0-9a-f]*-s?")}
best = {s: json.load(open(f + "/status.json"))["best_accuracy"] for s, f in runs.items()}
m = {s: json.load(open(f + "/analysis/analysis.json"))["layers"][-1]["yang"]["M"] for s, f in runs.items()}
assert [(r["prune.metric"], r["seed"]) for r in j["rows"]] == [(m, s) for s in "01" for m in ("yang", "lu")], j
for r in j["rows"]:
    assert r["accuracy"]["mean"] == best[r["seed"]] and r["accuracy"]["n"] == r["n"] == 1, (r, best)
    assert r["M"]["mean"] == m[r["seed"]], (r, m)
assert m["0"] != m["1"]' \
        "$("$BIN/sweep" table "$DIR" --columns seed,prune.metric,accuracy,M,n --format json)" "$DIR"
    run "$BIN/sweep" table "$DIR"
    [[ ${lines[0]} == "prune.metric "*accuracy*M*Q*n ]] && [[ ${lines[1]} == yang* ]] && [ "${#lines[@]}" -eq 3 ]
    run "$BIN/sweep" table "$DIR" --columns net.arc
    [ "$status" -eq 2 ] && [[ $output == *"no column net.arc"* ]]
}

@test "the layout of Table 1" {
    run "$BIN/sweep" table "$DIR" --preset table1 --format md
    echo "$output"
    [ "${#lines[@]}" -eq 3 ]
    [[ ${lines[0]} =~ ^"| model "*"| "*"accuracy | Yang: accuracy | "*"saving % | Lu: accuracy | "*"saving % |"$ ]]
    [[ ${lines[2]} == "| resnet20 | "*"±"* ]]
    json=$("$BIN/sweep" table "$DIR" --preset table1 --format json)
    check 'r, = j["rows"]
assert [r[k]["n"] for k in ("accuracy", "yang_saving_percent", "lu_saving_percent")] == [2, 2, 2], r' "$json"
}

@test "status and table spell out what a terminal or a spreadsheet would obey" {
    cat >"$BATS_TEST_TMPDIR/s.yaml" <<END
out: $BATS_TEST_TMPDIR/out
stages: [train]
set: {net.arch: resnet20, data.format: synthetic, data.train_limit: 8, data.test_limit: 8, train.epochs: 1, train.batch: 8, threads: 1}
grid: {data.path: ["a\\e[31mred", "=1|2"]}
END
    "$BIN/sweep" "$BATS_TEST_TMPDIR/s.yaml" --quiet
    run "$BIN/sweep" status "$BATS_TEST_TMPDIR/out"
    [[ $output == *'a\x1b[31mred'* && $output != *$'\e'* ]]
    run "$BIN/sweep" table "$BATS_TEST_TMPDIR/out"
    [[ $output == *'a\x1b[31mred'* && $output != *$'\e'* ]]
    run "$BIN/sweep" table "$BATS_TEST_TMPDIR/out" --format md
    [[ $output == *'=1\|2 '* && $output != *$'\e'* ]]
    run "$BIN/sweep" table "$BATS_TEST_TMPDIR/out" --format csv
    [[ $output == *$'\n'"'=1|2,"* ]]
}

@test "a failed run: the others continue, exit code 1, status shows the reason; the same command tries only that run" {
    dir=$BATS_TEST_TMPDIR/fail
    cat >"$dir.yaml" <<YAML
out: $dir
stages: [analyze]
set:
$(small)
grid: {train.lr: [1.0e+30, 0.01]}
YAML
    run "$BIN/sweep" "$dir.yaml"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"FAILED  train "*"loss is not a number"* ]]
    [[ $output == *"1 task failed, 1 not begun for it"* ]]
    run "$BIN/sweep" status "$dir"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(grep -c '^failed .*: train: the loss is not a number' <<<"$output")" -eq 1 ]
    [[ $output == *"4 tasks: 2 done, 1 failed, 1 blocked"* ]]
    run "$BIN/sweep" "$dir.yaml"
    [ "$status" -eq 1 ] && [ "$(grep -c ^start <<<"$output")" -eq 1 ]

    # clean removes what failed, and what is not in the file any more.
    run "$BIN/sweep" clean "$dir" --failed --dry-run
    [[ $output == *"would remove $dir/tasks/resnet20-"* ]]
    "$BIN/sweep" clean "$dir" --failed
    run "$BIN/sweep" status "$dir"
    [ "$status" -eq 0 ] && [[ $output == *"2 done, 2 waiting"* ]]
    sed -i 's/grid: .*/grid: {train.lr: [0.01]}/' "$dir.yaml"
    touch "$dir/notes.txt"
    "$BIN/sweep" "$dir.yaml" --quiet
    "$BIN/sweep" clean "$dir"
    [ "$(find "$dir" -mindepth 1 -maxdepth 1 -name 'resnet20-*' | wc -l)" -eq 1 ] && [ -e "$dir/notes.txt" ]
    "$BIN/sweep" clean "$dir" --all
    [ "$(ls "$dir")" = notes.txt ]
}

@test "a mistake in one case is found before anything starts" {
    cat >"$BATS_TEST_TMPDIR/bad.yaml" <<YAML
out: $BATS_TEST_TMPDIR/bad
set:
$(small)
cases: [{seed: 0}, {net.arch: resnet21}]
YAML
    run "$BIN/sweep" "$BATS_TEST_TMPDIR/bad.yaml"
    echo "$output"
    [ "$status" -eq 2 ] && [[ $output == "sweep: $BATS_TEST_TMPDIR/bad.yaml:7: case net.arch=resnet21: "*resnet20* ]]
    [ ! -e "$BATS_TEST_TMPDIR/bad" ]
    run "$BIN/sweep" "$SWEEP" data.format=folder data.path=nowhere
    [ "$status" -eq 3 ] && [[ $output == *nowhere* ]]
    run "$BIN/sweep" status "$SWEEP" seed=1
    [ "$status" -eq 2 ] && [[ $output == *"key=value is not for sweep status"* ]]
    run "$BIN/sweep" status "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ] && [[ $output == *"not the folder of a sweep"* ]]
}

@test "Ctrl-C: the runs save their state and end, code 75; status shows it; the same command continues" {
    dir=$BATS_TEST_TMPDIR/int
    long_sweep "$dir"
    # As from a terminal: processes in the background of a script ignore SIGINT.
    /usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' "$BIN/sweep" "$dir.yaml" --jobs 2 \
        2>"$BATS_TEST_TMPDIR/log" 3>&- &
    pid=$!
    until_true begun "$dir" 2
    run "$BIN/sweep" status "$dir"
    echo "$output"
    [[ $output == *"2 tasks: 2 running"* ]]
    [[ ${lines[1]} =~ running\ +[0-9]+/1000\ .*[0-9]+:[0-9][0-9]:[0-9][0-9]\ +"$(hostname)" ]]
    # No other sweep starts in this folder or removes its runs.
    run "$BIN/sweep" "$dir.yaml"
    [ "$status" -eq 1 ] && [[ $output == *"process $pid on $(hostname) works here since"* ]]
    run "$BIN/sweep" clean "$dir" --all
    [ "$status" -eq 1 ] && [[ $output == *"process $pid"* ]]
    kill -INT $pid
    code=0
    wait $pid || code=$?
    cat "$BATS_TEST_TMPDIR/log"
    [ $code -eq 75 ]
    [ "$(grep -c '^stopped train .*stopped by SIGTERM at epoch' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
    run "$BIN/sweep" status "$dir"
    [ "$status" -eq 0 ] && [[ $output == *"2 tasks: 2 stopped"* ]]

    "$BIN/sweep" "$dir.yaml" --jobs 2 2>"$BATS_TEST_TMPDIR/log" 3>&- &
    pid=$!
    resumed() { [ "$(cat "$dir"/tasks/*/log.txt | grep -c 'resuming at epoch')" -ge 2 ]; }
    until_true resumed
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 75 ]
}

@test "SIGKILL of the sweep: no run outlives it; the same command continues them" {
    dir=$BATS_TEST_TMPDIR/kill
    long_sweep "$dir"
    "$BIN/sweep" "$dir.yaml" --jobs 2 --quiet 3>&- &
    pid=$!
    until_true begun "$dir" 2
    mapfile -t runs < <(children $pid)
    [ "${#runs[@]}" -eq 2 ]
    kill -KILL $pid
    wait $pid || true
    for run in "${runs[@]}"; do until_true gone "$run"; done
    [ "$(grep -l '"stopped"' "$dir"/*-s?/status.json | wc -l)" -eq 2 ] # they got SIGTERM and saved their state
    run "$BIN/sweep" status "$dir"
    [[ $output == *"2 tasks: 2 stopped"* ]]
    sed -i 's/epochs: 1000/epochs: 1/' "$dir.yaml"
    "$BIN/sweep" "$dir.yaml" --quiet # another configuration, so other runs; locks of the killed sweep do not matter
    run "$BIN/sweep" status "$dir"
    [[ $output == *"2 tasks: 2 done"* ]]
}

@test "SIGKILL of a run: it failed, the other continues; the same command continues it, to the same bits" {
    dir=$BATS_TEST_TMPDIR/run
    long_sweep "$dir"
    sed -i 's/epochs: 1000/epochs: 6/' "$dir.yaml"
    "$BIN/sweep" "$dir.yaml" --jobs 2 2>"$BATS_TEST_TMPDIR/log" 3>&- &
    pid=$!
    until_true begun "$dir" 1
    victim=$(children $pid | head -1)
    seed=$(tr '\0' ' ' <"/proc/$victim/cmdline" | grep -o 's[01]/config.yaml')
    kill -KILL "$victim"
    code=0
    wait $pid || code=$?
    cat "$BATS_TEST_TMPDIR/log"
    [ $code -eq 1 ]
    grep -q "^FAILED  train .*killed by signal 9" "$BATS_TEST_TMPDIR/log"
    grep -q "^done    train " "$BATS_TEST_TMPDIR/log"
    "$BIN/sweep" "$dir.yaml" --jobs 2 2>"$BATS_TEST_TMPDIR/log"
    [ "$(grep -c ^start "$BATS_TEST_TMPDIR/log")" -eq 1 ]
    config=$(compgen -G "$dir/tasks/*-$seed")
    "$BIN/train" "$config" out="$BATS_TEST_TMPDIR/whole" threads=1 --quiet
    /usr/bin/python3 tests/peer/stfile.py diff "$BATS_TEST_TMPDIR"/whole/*/last.safetensors \
        "$dir/$(basename "$(dirname "$config")")/last.safetensors"
}

@test "GPUs are divided between the processes" {
    dir=$BATS_TEST_TMPDIR/gpu
    long_sweep "$dir"
    run "$BIN/sweep" "$dir.yaml" --gpus 2
    echo "$output"
    grep -q "s0  (cuda:0, " <<<"$output"
    grep -q "s1  (cuda:1, " <<<"$output"
    grep -q ' device=cuda:1 ' "$dir"/tasks/*-s1/log.txt
}
