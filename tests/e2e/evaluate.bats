#!/usr/bin/env bats
# evaluate: the published ResNet-20 on real images, logits against an independent implementation, failures.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} SHARED=${CLEAVE_SHARED:-../shared}
    SMALL="data.format=synthetic threads=1 train.batch=32 data.train_limit=128 data.test_limit=128"
    export SMALL
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=e net.arch=resnet20 train.epochs=1 $SMALL out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/e-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

need_shared() { [ -r "$SHARED/weights/akamaster-resnet20.safetensors" ] || skip "no ../shared"; }

# check SCRIPT JSON ARGUMENT...: the script sees them as j and a.
check() {
    /usr/bin/python3 -c "import json, sys, numpy as np
j = json.loads(sys.argv[1]); a = sys.argv[2:]
$1" "${@:2}"
}

published() {
    "$BIN/evaluate" "$SHARED/weights/akamaster-resnet20.safetensors" net.arch=resnet20 \
        data.path="$SHARED/data/cifar10-lossless-subset" \
        'data.mean=[.485,.456,.406]' 'data.std=[.229,.224,.225]' "$@"
}

@test "PyTorch's published ResNet-20: 915 of 1000, logits equal the reference" {
    need_shared
    json=$(published --json --quiet --logits "$BATS_TEST_TMPDIR/logits.npy")
    check 'assert j["arch"] == "resnet20" and j["samples"] == 1000 and j["correct"] == 915, j
assert j["accuracy"] == 0.915 and 0 < j["loss"] < 1 and j["images_per_s"] > 0 and j["device"], j
x = np.load(a[0]); assert x.shape == (1000, 10) and x.dtype == np.float32
want = np.array(json.load(open(a[1]))["logits_first4"]); d = abs(x[:4] - want).max(); assert d < 1e-3, d' \
        "$json" "$BATS_TEST_TMPDIR/logits.npy" "$SHARED/reference/resnet20-lossless1000.json"
}

@test "the devices ref and cpu agree" {
    need_shared
    published data.test_limit=50 --quiet --logits "$BATS_TEST_TMPDIR/a.npy"
    published data.test_limit=50 device=ref --quiet --logits "$BATS_TEST_TMPDIR/b.npy"
    check 'x, y = np.load(a[0]), np.load(a[1]); assert x.shape == (50, 10) and abs(x - y).max() < 1e-3' \
        '{}' "$BATS_TEST_TMPDIR/a.npy" "$BATS_TEST_TMPDIR/b.npy"
}

@test "a run: its own data and net, loss and accuracy from the logits" {
    json=$("$BIN/evaluate" "$RUN" --json --quiet --logits "$BATS_TEST_TMPDIR/l.npy")
    same=$("$BIN/evaluate" "$RUN/best.safetensors" --json --quiet)
    check 'k = json.loads(a[1]); x = np.load(a[0]).astype(float)
assert j["samples"] == 128 == len(x) and j["correct"] == k["correct"] and j["loss"] == k["loss"], (j, k)
assert j["accuracy"] == j["correct"] / 128' "$json" "$BATS_TEST_TMPDIR/l.npy" "$same"
}

@test "net.remove= leaves units out" {
    json=$("$BIN/evaluate" "$RUN" net.remove=[layer1.1,layer3.2] --json --quiet)
    full=$("$BIN/evaluate" "$RUN" --json --quiet)
    check 'assert j["loss"] != json.loads(a[0])["loss"]' "$json" "$full"
    run "$BIN/evaluate" "$RUN" net.remove=[layer2.0]
    [ "$status" -eq 2 ] && [[ $output == *layer2.0*shortcut* ]]
}

@test "failures: exit codes, and no half-written file" {
    run "$BIN/evaluate" "$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 3 ] || [ "$status" -eq 2 ]
    [[ $output == *none* ]]
    run "$BIN/evaluate" "$RUN" data.format=cifar10 data.path="$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 3 ]
    run "$BIN/evaluate" "$RUN" --logits "$BATS_TEST_TMPDIR/no/such/folder.npy"
    [ "$status" -ne 0 ] && [[ $output == *folder.npy* ]]
    run "$BIN/evaluate" "$RUN" net.arch=resnet18
    [ "$status" -ne 0 ]
    run "$BIN/evaluate" "$RUN" evaluate.speed=3
    [ "$status" -eq 2 ]
}

@test "stdout is for results only" {
    [ -z "$("$BIN/evaluate" "$RUN" 2>/dev/null)" ]
    [ -z "$("$BIN/evaluate" "$RUN" --json --quiet 2>&1 >/dev/null)" ]
    [[ $("$BIN/evaluate" "$RUN" 2>&1 >/dev/null) == *"of 128 correct"* ]]
}
