#!/usr/bin/env bats
# tools/convert.py: weights from PyTorch and back, complete and pruned nets; the logits agree on both sides.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} TMPDIR=$BATS_FILE_TMPDIR OMP_WAIT_POLICY=passive
    /usr/bin/python3 -c 'import torch, numpy' 2>/dev/null || return 0
    export HAVE_TORCH=1 DATA=$BATS_FILE_TMPDIR/data
    mkdir "$DATA"
    /usr/bin/python3 tests/peer/convert_torch.py write "$DATA"
}

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    [ -n "${HAVE_TORCH:-}" ] || skip "no PyTorch for /usr/bin/python3 (python3-torch, python3-numpy)"
}

torch() { /usr/bin/python3 tests/peer/convert_torch.py "$@"; }

# there CASE ARCH CLASSES UNITS: converts and evaluates a PyTorch checkpoint with weights only
there() {
    local format=cifar10 file="$DATA/$1.safetensors"
    [ "$3" = 10 ] || format=cifar100
    tools/convert.py "$DATA/$1.pth" "$file" >&3 || return 1
    "$BIN/evaluate" "$file" net.arch="$2" net.classes="$3" "net.remove=[$4]" data.format=$format data.path="$DATA" \
        --quiet --logits "$BATS_TEST_TMPDIR/$1.npy"
}

@test "checkpoints from PyTorch: wrappers, module., CIFAR-100 heads, pruned nets" {
    torch list >"$BATS_TEST_TMPDIR/list"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/list")" -ge 8 ]
    while read -r name arch classes units; do
        there "$name" "$arch" "$classes" "$units" 3>>"$BATS_TEST_TMPDIR/said"
    done <"$BATS_TEST_TMPDIR/list"
    torch equal "$DATA" "$BATS_TEST_TMPDIR"
    if grep -q num_batches "$DATA/plain.safetensors"; then return 1; fi
    # without net.remove the file does not fit, because units are missing
    run "$BIN/evaluate" "$DATA/pruned.safetensors" net.arch=mobilenetv2 data.path="$DATA"
    [ "$status" -eq 3 ] && [[ $output == *layers.4.* ]]
}

# back RUN: its best checkpoint loads in PyTorch with strict=True, and then here
back() {
    local best=$1/best.safetensors last=$1/last.safetensors pt=$BATS_TEST_TMPDIR/b.pt
    "$BIN/evaluate" "$best" data.path="$DATA" data.format=cifar10 --quiet --logits "$BATS_TEST_TMPDIR/b.npy"
    run tools/convert.py "$best" "$pt"
    [ "$status" -eq 0 ] && [[ $output == *"$2"* ]] || return 1
    torch load "$best" "$pt" "$BATS_TEST_TMPDIR/b.npy" "$DATA" || return 1
    # and back here: the same bits except for PyTorch's counters; the momenta of last.safetensors are not converted
    tools/convert.py "$pt" "$BATS_TEST_TMPDIR/b.safetensors" || return 1
    tools/convert.py "$last" "$BATS_TEST_TMPDIR/l.pt" || return 1
    python3 - "$best" "$BATS_TEST_TMPDIR/b.safetensors" <<'END'
import sys; sys.path.insert(0, "tools"); import stfile
a, b = (stfile.read(f)[0] for f in sys.argv[1:])
assert {k: v for k, v in a.items() if not k.endswith("num_batches_tracked")} == b and b
END
    if grep -q "optimizer" "$BATS_TEST_TMPDIR/l.pt"; then return 1; fi
}

SMALL="data.format=synthetic data.train_limit=96 data.test_limit=64 train.batch=32 train.epochs=1 analysis.samples=64
    analysis.edges=500 analysis.histogram_samples=64 analysis.lu_batches=1 analysis.lu_batch=64"

@test "a net trained here loads in PyTorch with strict=True, before and after prune" {
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=w net.arch=resnet20 $SMALL out="$BATS_TEST_TMPDIR" --quiet
    run=$(echo "$BATS_TEST_TMPDIR"/w-*)
    back "$run" "resnet20 with 10 classes"
    # shellcheck disable=SC2086
    "$BIN/prune" "$run" 'net.remove=[layer2.1, layer3.2]' $SMALL out="$BATS_TEST_TMPDIR/p" --quiet
    back "$(echo "$BATS_TEST_TMPDIR"/p/w-pruned-*)" "without layer2.1 layer3.2"
}

@test "both MobileNets train here, pruned, and load in PyTorch with strict=True" {
    for net in "mobilenetv2 [layers.5,layers.15]" "mobilenetv2_tv [features.6]"; do
        arch=${net% *}
        # shellcheck disable=SC2086
        "$BIN/train" /dev/null name="$arch" net.arch="$arch" "net.remove=${net#* }" $SMALL out="$BATS_TEST_TMPDIR" --quiet
        back "$(echo "$BATS_TEST_TMPDIR/$arch"-*)" "$arch with 10 classes, without"
    done
}

@test "files and arguments that convert.py rejects: one line, exit codes, no half-written files" {
    torch errors "$BATS_TEST_TMPDIR"
}
