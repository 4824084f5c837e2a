#!/usr/bin/env bats
# attack: images stay within eps and equal PyTorch's; accuracy falls; the other tools can read the images.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    SMALL="data.format=synthetic train.batch=32 data.train_limit=512 data.test_limit=60 analysis.samples=60 analysis.edges=200 analysis.lu_batch=30"
    export SMALL
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=a net.arch=resnet20 train.epochs=1 $SMALL out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/a-*)
    "$BIN/attack" "$RUN" attack.eps=0 --quiet # the images as they are, in CIFAR's format
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

torch() {
    /usr/bin/python3 -c 'import torch' 2>/dev/null || skip "no PyTorch"
    run tests/peer/compare_attack.py "$RUN/best.safetensors" "$RUN/attack-fgsm-0" "$1"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "FGSM equals PyTorch's" {
    json=$("$BIN/attack" "$RUN" --json --quiet)
    [ "$json" = "$(cat "$RUN/attack-fgsm-8/attack.json")" ]
    [ "$(stat -c %s "$RUN/attack-fgsm-8/test_batch.bin")" -eq $((60 * 3073)) ]
    torch "$RUN/attack-fgsm-8"
}

@test "PGD equals PyTorch's, and stays within eps from a random start" {
    "$BIN/attack" "$RUN" --quiet --into "$BATS_TEST_TMPDIR/p" attack.kind=pgd attack.eps=5 attack.steps=3 attack.random_start=false
    torch "$BATS_TEST_TMPDIR/p"
    "$BIN/attack" "$RUN" --quiet --into "$BATS_TEST_TMPDIR/r" attack.kind=pgd attack.eps=5 attack.steps=3
    /usr/bin/python3 -c 'import sys, numpy as np
c, p, r = (np.fromfile(f + "/test_batch.bin", np.uint8).reshape(60, 3073)[:, 1:].astype(int) for f in sys.argv[1:])
assert abs(r - c).max() <= 5 and (r != p).mean() > .1' "$RUN/attack-fgsm-0" "$BATS_TEST_TMPDIR/p" "$BATS_TEST_TMPDIR/r"
}

@test "the loss rises; evaluate and analyze read the images" {
    at=(data.format=cifar10 data.path="$RUN/attack-fgsm-8")
    "$BIN/attack" "$RUN" --quiet
    clean=$("$BIN/evaluate" "$RUN" --json --quiet)
    same=$("$BIN/evaluate" "$RUN" --json --quiet data.format=cifar10 data.path="$RUN/attack-fgsm-0")
    moved=$("$BIN/evaluate" "$RUN" --json --quiet "${at[@]}")
    /usr/bin/python3 -c 'import json, sys
c, s, m, a = (json.loads(t) for t in sys.argv[1:])
assert c["accuracy"] == s["accuracy"] == a["accuracy_clean"] and c["loss"] == s["loss"]
assert m["accuracy"] == a["accuracy_attacked"] and m["loss"] > c["loss"] + .01, (m, c)' \
        "$clean" "$same" "$moved" "$(cat "$RUN/attack-fgsm-8/attack.json")"
    "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/a" --no-pictures --quiet "${at[@]}"
    [ -s "$BATS_TEST_TMPDIR/a/modularity.csv" ]
}

@test "failures: usage, no such checkpoint" {
    run "$BIN/attack" "$RUN" attack.eps=300
    [ "$status" -eq 2 ]
    run "$BIN/attack" "$RUN" attack.kind=other
    [ "$status" -eq 2 ]
    run "$BIN/attack" "$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 3 ]
}
