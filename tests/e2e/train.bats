#!/usr/bin/env bats
# train: the run directory, its files, and what goes to stdout and stderr.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    cat >"$BATS_FILE_TMPDIR/c.yaml" <<EOF
name: t
out: $BATS_FILE_TMPDIR/runs
threads: 1
net: {arch: resnet20}
data: {format: synthetic, train_limit: 80, test_limit: 50}
train: {epochs: 7, batch: 32, lr: 0.05, schedule: step, milestones: [2], gamma: 0.1}
EOF
    export CONFIG=$BATS_FILE_TMPDIR/c.yaml
    "$BIN/train" "$CONFIG" train.epochs=3 --json >"$BATS_FILE_TMPDIR/result.json" 2>"$BATS_FILE_TMPDIR/log"
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/t-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# check SCRIPT [ARGUMENT ...]: runs Python with json, the run directory and the modules of tests/peer.
check() {
    python3 -c "import csv, json, math, os, re, sys
sys.path.insert(0, 'tests/peer')
import stfile
run = os.environ['RUN']
rows = [json.loads(line) for line in open(run + '/metrics.jsonl')]
$1" "${@:2}"
}

@test "the directory is OUT/NAME-CONFIGHASH-sSEED and holds what it should" {
    [[ $(basename "$RUN") =~ ^t-[0-9a-f]{8}-s0$ ]]
    for file in config.yaml env.json metrics.{jsonl,csv} {best,last}.safetensors status.json log.txt; do
        [ -s "$RUN/$file" ]
    done
    ! ls "$RUN"/*.tmp-* 2>/dev/null
}

@test "metrics: one line per epoch, the same numbers in both files, the learning rates of the schedule" {
    check 'assert [r["epoch"] for r in rows] == [0, 1, 2], rows
table = list(csv.DictReader(open(run + "/metrics.csv")))
assert [{k: float(v) for k, v in t.items()} for t in table] == rows
keys = "epoch lr train_loss train_accuracy test_loss test_accuracy seconds images_per_s".split()
for r, lr in zip(rows, (.05, .05, .005)):
    assert sorted(r) == sorted(keys) and all(math.isfinite(v) for v in r.values()), r
    assert abs(r["lr"] / lr - 1) < 1e-6 and r["seconds"] > 0 and r["images_per_s"] > 0
    for k, n in (("train_accuracy", 80), ("test_accuracy", 50)):
        assert 0 <= r[k] <= 1 and abs(r[k] * n - round(r[k] * n)) < 1e-5, (k, r[k])'
}

@test "best and last agree with the metrics, with status.json and with the result on stdout" {
    check 'best = max(r["test_accuracy"] for r in rows)
first = [r["test_accuracy"] for r in rows].index(best)
result, status = json.load(open(sys.argv[1])), json.load(open(run + "/status.json"))
assert result["run"] == run and result["arch"] == "resnet20" and result["epochs"] == 3, result
assert abs(result["best_accuracy"] - best) < 1e-9 and result["best_epoch"] == first, result
assert status["state"] == "done" and status["epoch"] == status["epochs"] == 3, status
assert abs(status["best_accuracy"] - best) < 1e-9 and status["best_epoch"] == first, status
for name, epoch, accuracy in (("best", first + 1, best), ("last", 3, rows[-1]["test_accuracy"])):
    tensors, meta = stfile.read(f"{run}/{name}.safetensors")
    assert int(meta["epoch"]) == epoch, (name, meta["epoch"])
    assert abs(float(meta["accuracy"]) - accuracy) < 1e-5, (name, meta["accuracy"])
    assert json.loads(meta["arch"]) == {"arch": "resnet20", "classes": 10, "removed": []}, meta["arch"]
    assert sorted(json.loads(meta["normalisation"])) == ["mean", "std"]
    assert meta["config_hash"] == os.path.basename(run).split("-")[-2]
    names = {k for k in tensors if not k.startswith("optimizer.")}
    assert {"conv1.weight", "bn1.running_var", "layer3.2.conv2.weight", "linear.bias"} <= names, names
    assert ("state" in meta) == (name == "last") == any(k.startswith("optimizer.") for k in tensors)' \
        "$BATS_FILE_TMPDIR/result.json"
}

@test "evaluate gives the accuracies of the metrics" {
    for name in best last; do
        json=$("$BIN/evaluate" "$RUN/$name.safetensors" --json --quiet)
        check 'e, name = json.loads(sys.argv[1]), sys.argv[2]
best = max(r["test_accuracy"] for r in rows)
r = rows[-1] if name == "last" else next(r for r in rows if r["test_accuracy"] == best)
assert e["samples"] == 50 and abs(e["accuracy"] - r["test_accuracy"]) < 1e-9, (e, r)
assert abs(e["loss"] / r["test_loss"] - 1) < 1e-6, (e, r)' "$json" $name
    done
}

@test "config.yaml is the resolved configuration: the same run, overrides included" {
    grep -q 'epochs: 3' "$RUN/config.yaml"
    run --separate-stderr "$BIN/train" "$RUN/config.yaml" --json
    [ "$status" -eq 0 ]
    check 'assert json.loads(sys.argv[1])["run"] == run' "$output"
}

@test "the repeated command does not train again and gives the same result" {
    local before
    before=$(stat -c '%Y %i' "$RUN"/{best,last}.safetensors "$RUN/metrics.csv")
    run --separate-stderr "$BIN/train" "$CONFIG" train.epochs=3 --json
    [ "$status" -eq 0 ]
    [ "$output" = "$(cat "$BATS_FILE_TMPDIR/result.json")" ]
    [[ $stderr == *finished* ]]
    [ "$(stat -c '%Y %i' "$RUN"/{best,last}.safetensors "$RUN/metrics.csv")" = "$before" ]
}

@test "key=value: a key that decides the weights makes another run, others do not" {
    local same other
    out=$BATS_TEST_TMPDIR/o
    directory() {
        "$BIN/train" "$CONFIG" train.epochs=0 "out=$out" "$@" --json --quiet |
            sed -n 's/.*"run":\s*"\(.*\)".*/\1/p'
    }
    same=$(directory)
    [ -n "$same" ] && [ "$(directory device=ref analysis.samples=10 threads=2)" = "$same" ]
    for setting in train.lr=0.1 net.arch=resnet32 data.train_limit=64 train.momentum=0.5; do
        other=$(directory $setting)
        [ -n "$other" ] && [ "$other" != "$same" ]
    done
    [ "$(directory seed=1)" = "${same%-s0}-s1" ]
    [ "$(directory name=u)" = "${same/%\/t-*/}/u-${same##*/t-}" ]
}

@test "stdout has the result only; stderr has a line per epoch; --quiet is silent" {
    [ "$(grep -c '^epoch [123]/3 ' "$BATS_FILE_TMPDIR/log")" -eq 3 ]
    ! grep -q $'\r' "$BATS_FILE_TMPDIR/log" # no progress bar where there is no terminal
    run --separate-stderr "$BIN/train" "$CONFIG" train.epochs=1 "out=$BATS_TEST_TMPDIR" --quiet
    [ "$status" -eq 0 ] && [ -z "$output" ] && [ -z "$stderr" ]
    grep -q '^.*epoch 1/1 ' "$BATS_TEST_TMPDIR"/t-*/log.txt
    run --separate-stderr "$BIN/train" "$CONFIG" train.epochs=1 "out=$BATS_TEST_TMPDIR"
    [ "$status" -eq 0 ] && [ -z "$output" ] && [ -n "$stderr" ]
}

@test "--help explains the tool, its options and every key, and does nothing else" {
    for tool in train evaluate analyze prune; do
        run --separate-stderr "$BIN/$tool" --help
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
        for word in "$tool" --json --quiet key=value net.arch data.format train.lr analysis.k prune.eps; do
            [[ $output == *"$word"* ]] || { echo "$tool --help says nothing of $word"; return 1; }
        done
    done
}

@test "env.json describes the machine and versions of the run" {
    check 'env = json.load(open(run + "/env.json"))
for key in ("commit", "compiler", "backend", "device", "threads", "host", "cpu", "os", "command", "started"):
    assert env[key], key
assert env["command"][1:] == [os.environ["CONFIG"], "train.epochs=3", "--json"], env["command"]'
}

@test "the bar on a terminal: steps per second; loss and accuracy from when they are known" {
    python3 - "$BIN/train" "$CONFIG" train.epochs=1 data.train_limit=600 "out=$BATS_TEST_TMPDIR" <<'EOF2'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execve(sys.argv[1], sys.argv[1:], {**os.environ, 'TERM': 'xterm'})
text = b''
try:
    while piece := os.read(fd, 4096):
        text += piece
except OSError:  # the other side is closed
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
bars = [line for line in text.decode().split('\r\x1b[K') if line.startswith('epoch 1/1 [')]
assert bars and all(' steps/s  ' in b for b in bars), bars
assert not any('loss 0.000' in b for b in bars), bars
assert any('loss' not in b for b in bars) and any('  loss ' in b and '  acc ' in b for b in bars), bars
EOF2
}
