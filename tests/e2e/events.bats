#!/usr/bin/env bats
# TensorBoard's event files, read by an independent reader (tests/peer/eventfile.py: protoc and the published
# schema): the scalars are those of metrics.jsonl, the histograms those of the checkpoint, the pictures those of the
# analysis, and a resumed run has each of them once.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    train "$BATS_FILE_TMPDIR/runs" train.epochs=2
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/e-*)
    export RUN
    "$BIN/analyze" "$RUN" --quiet
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    command -v protoc >/dev/null || skip "protoc is not installed"
}

train() {
    "$BIN/train" /dev/null name=e net.arch=resnet20 data.format=synthetic data.train_limit=96 data.test_limit=60 \
        train.batch=32 analysis.samples=60 analysis.edges=200 threads=1 --quiet "out=$1" "${@:2}"
}

check() {
    /usr/bin/python3 -c "import json, os, struct, sys
import numpy as np
sys.path.insert(0, 'tests/peer')
import eventfile, stfile
run = os.environ['RUN']
training = run + '/events.out.tfevents.1.training'
analysis = run + '/events.out.tfevents.2.analysis'
rows = [json.loads(line) for line in open(run + '/metrics.jsonl')]
$1" "${@:2}"
}

@test "scalars: one of each per epoch, the numbers of metrics.jsonl" {
    check 'got = {}
for step, tag, kind, value in eventfile.read(training):
    if kind == "simple_value":
        assert (step, tag) not in got, (step, tag)
        got[step, tag] = value
want = {(r["epoch"], tag): r[key] for r in rows for tag, key in
        (("loss/train", "train_loss"), ("loss/test", "test_loss"), ("accuracy/train", "train_accuracy"),
         ("accuracy/test", "test_accuracy"), ("lr", "lr"), ("images_per_s", "images_per_s"))}
assert got.keys() == want.keys(), got.keys() ^ want.keys()
for k in want:
    assert abs(got[k] - want[k]) <= 1e-6 * abs(want[k]), (k, got[k], want[k])'
}

@test "histograms: every parameter in each epoch; the last ones equal numpy's of last.safetensors" {
    check 'histograms = {(s, t): v for s, t, k, v in eventfile.read(training) if k == "histo"}
tensors, _ = stfile.read(run + "/last.safetensors")
names = {n for n in tensors if not n.startswith("optimizer.") and "running_" not in n and "num_batches" not in n}
assert len(names) == 59 and {t for _, t in histograms} == names and len(histograms) == 2 * len(names)
for name in names:
    x, h = np.frombuffer(tensors[name][2], "<f4").astype(float), histograms[1, name]
    assert h["num"] == [x.size] and h["min"] == [x.min()] and h["max"] == [x.max()], (name, h)
    assert np.allclose(h["sum_squares"], (x * x).sum(), rtol=1e-5), name
    limit, count = np.array(h["bucket_limit"]), np.array(h["bucket"])
    assert len(limit) == len(count) == 30 and (np.diff(limit) > 0).all() and limit[-1] == x.max(), name
    edge = np.concatenate([[-np.inf], limit])
    assert (count == [((x > a) & (x <= b)).sum() for a, b in zip(edge, edge[1:])]).all(), name'
}

@test "pictures and curves of the analysis: the same PNG files and numbers, at the checkpoint's epoch" {
    check 'events = eventfile.read(analysis)
report = json.load(open(run + "/analysis/analysis.json"))
best = int(stfile.read(run + "/best.safetensors")[1]["epoch"]) - 1
assert {s for s, *_ in events} == {best}
images = {t: v for _, t, k, v in events if k == "image"}
layers = {l["name"]: l for l in report["layers"]}
assert images.keys() == {"rings"} | {f"ring/{n}" for n in layers}, images.keys()
for tag, (width, height, png) in images.items():
    file = "rings" if tag == "rings" else tag.replace("/", "-")
    assert png == open(f"{run}/analysis/{file}.png", "rb").read(), tag
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (width, height), tag
scalars = {t: v for _, t, k, v in events if k == "simple_value"}
want = {f"{q}/{n}": v for n, l in layers.items() for q, v in (("M", l["yang"]["M"]), ("Q", l["lu"]["mean"])) if v is not None}
assert scalars.keys() == want.keys() and all(abs(scalars[t] - want[t]) < 1e-6 for t in want)'
}

@test "analysing again replaces the pictures" {
    before=$(wc -c <"$RUN/events.out.tfevents.2.analysis")
    "$BIN/analyze" "$RUN" --quiet
    [ "$(wc -c <"$RUN/events.out.tfevents.2.analysis")" -eq "$before" ]
}

@test "killed and resumed: each event once, the same values as without interruption" {
    "$BIN/train" /dev/null name=e net.arch=resnet20 data.format=synthetic data.train_limit=96 data.test_limit=60 \
        train.batch=32 analysis.samples=60 analysis.edges=200 threads=1 --quiet train.epochs=2 \
        "out=$BATS_TEST_TMPDIR" 3>&- &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        [ -s "$(echo "$BATS_TEST_TMPDIR"/e-*/metrics.csv)" ] && break
        sleep 0.05
    done
    kill -KILL $pid
    wait $pid || true
    resumed=$(echo "$BATS_TEST_TMPDIR"/e-*)
    # as if it was killed after writing the events of an epoch but not its checkpoint, and in the middle of a record
    cat "$RUN/events.out.tfevents.1.training" >"$resumed/events.out.tfevents.1.training"
    printf 'half' >>"$resumed/events.out.tfevents.1.training"
    train "$BATS_TEST_TMPDIR" train.epochs=2 --resume
    check 'def without_speed(path): return [e for e in eventfile.read(path) if e[1] != "images_per_s"]
a, b = without_speed(training), without_speed(sys.argv[1] + "/events.out.tfevents.1.training")
assert len({(s, t) for s, t, *_ in b}) == len(b)
assert a == b' "$resumed"
}

@test "analysis.every: rings and M of each epoch are among the training's events" {
    train "$BATS_TEST_TMPDIR" train.epochs=1 analysis.every=1
    check 'tags = {(s, t): k for s, t, k, _ in eventfile.read(sys.argv[1])}
assert tags[0, "rings"] == "image" and tags[0, "loss/train"] == tags[0, "M/layer3.2"] == "simple_value", tags' \
        "$(echo "$BATS_TEST_TMPDIR"/e-*)/events.out.tfevents.1.training"
}

@test "the reader can fail: a flipped bit, a missing byte, an unpublished field number" {
    check 'import tempfile
data = open(training, "rb").read()
for broken in (data[:40] + bytes([data[40] ^ 1]) + data[41:], data[:-1], data[:3] + b"\1" + data[4:]):
    with tempfile.NamedTemporaryFile() as f:
        f.write(broken), f.flush()
        try:
            eventfile.records(f.name)
        except (AssertionError, struct.error):
            continue
        raise SystemExit("not noticed")
try:
    eventfile.parse_text(iter(eventfile.protoc_decode(eventfile.PUBLISHED, "published.Event", b"\x78\x01").splitlines()))
except AssertionError:
    sys.exit(0)
sys.exit("not noticed")'
}
