#!/usr/bin/env bats
# Images that are not CIFAR's: 37 classes of gray 28 x 28, three classes of photographs at 224 x 224, from training to a
# pruned net, a report and an ONNX model.

bats_require_minimum_version 1.5.0

load ../onnx/runtime.bash

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} D=$BATS_FILE_TMPDIR NODE_PATH
    NODE_PATH=$PWD/${B:-build}/onnx/node_modules
    /usr/bin/python3 - "$D" <<'PY'
import os, random, struct, sys

def bmp(path, width, height, pixel):
    row = bytearray((3 * width + 3) // 4 * 4)
    data = bytearray()
    for y in reversed(range(height)):
        for x in range(width):
            row[3 * x:3 * x + 3] = pixel(x, y)
        data += row
    head = struct.pack('<2sIIIIiiHHIIiiII', b'BM', 54 + len(data), 0, 54, 40, width, height, 1, 24, 0, len(data), 0, 0, 0, 0)
    open(path, 'wb').write(head + data)

random.seed(1)
for split, count in ('train', 6), ('test', 3):
    for c in range(37):
        folder = f'{sys.argv[1]}/letters/{split}/class {c:02}'
        os.makedirs(folder)
        for i in range(count):
            noise = random.randrange(40)
            bmp(f'{folder}/{i}.bmp', 28, 28, lambda x, y: (min(255, (x * (c % 6 + 1) * 7 ^ y * (c // 6 + 1) * 9) % 216 + noise),) * 3)
    for c, colour in enumerate(((200, 30, 30), (30, 200, 30), (30, 30, 200))):
        folder = f'{sys.argv[1]}/photos/{split}/{"red green blue".split()[c]}'
        os.makedirs(folder)
        for i in range(count):
            w, h = random.choice(((240, 300), (300, 240), (224, 224)))
            bmp(f'{folder}/{i}.bmp', w, h, lambda x, y: colour[::-1] if (x // 40 + y // 40 + i) % 2 else (90, 90, 90))
PY
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

LETTERS="net.classes=37 data.format=folder data.channels=1 data.size=28 data.mean=0.5 data.std=0.25 threads=2"
PHOTOS="net.classes=3 data.format=folder data.size=224 data.fit=crop threads=2"

# train NAME [key=value ...]: sets $run
train() {
    run=$("$BIN/train" /dev/null "name=$1" net.arch=resnet20 "out=$D" --quiet --json "${@:2}" |
        sed -n 's/.*"run":\s*"\(.*\)".*/\1/p')
    [ -d "$run" ]
}

@test "37 classes of gray 28 x 28: trained, analysed, pruned, reported, exported" {
    # shellcheck disable=SC2086
    train letters $LETTERS "data.path=$D/letters" train.epochs=2 train.batch=37 train.lr=0.05
    "$BIN/analyze" "$run" --quiet analysis.samples=111 analysis.edges=300 analysis.lu_batches=2 analysis.lu_batch=50
    "$BIN/prune" "$run" --quiet prune.count=2 prune.epochs=1 >"$BATS_TEST_TMPDIR/prune"
    pruned=$(echo "$D"/letters-pruned-*)
    "$BIN/evaluate" "$pruned" --json --quiet >"$BATS_TEST_TMPDIR/e.json"
    grep -q '"samples":\s*111' "$BATS_TEST_TMPDIR/e.json"
    "$BIN/report" "$run" "$pruned" --out "$BATS_TEST_TMPDIR/r.html" --quiet
    grep -q 'class 36' "$BATS_TEST_TMPDIR/r.html"
    # a checkpoint knows its images without the run directory
    cp "$run/best.safetensors" "$BATS_TEST_TMPDIR/alone.safetensors"
    "$BIN/evaluate" "$BATS_TEST_TMPDIR/alone.safetensors" --quiet data.format=folder "data.path=$D/letters"
}

@test "the ONNX model of a gray net computes the same logits" {
    fetch_runtime
    # shellcheck disable=SC2086
    train onnx $LETTERS "data.path=$D/letters" train.epochs=1 train.batch=37
    "$BIN/export" "$run" --output "$D/gray.onnx" --quiet
    "$BIN/evaluate" "$run" --logits "$D/gray.npy" --quiet
    /usr/bin/python3 - "$D" <<'PY'
import sys
import numpy as np
rows = []
for i in range(3):          # image i of every class, then image i + 1 of every class
    for c in range(37):
        data = open(f'{sys.argv[1]}/letters/test/class {c:02}/{i}.bmp', 'rb').read()[54:]
        rows.append(np.frombuffer(data, np.uint8).reshape(28, 28, 3)[::-1, :, 0])
((np.stack(rows)[:, None] / np.float32(255) - np.float32(.5)) / np.float32(.25)).astype('<f4').tofile(sys.argv[1] + '/gray.f32')
PY
    node tests/onnx/infer.js "$D/gray.onnx" "$D/gray.f32" "$D/gray.out" 1 28 28
    /usr/bin/python3 - "$D" <<'PY'
import sys
import numpy as np
ours = np.load(sys.argv[1] + '/gray.npy')
theirs = np.fromfile(sys.argv[1] + '/gray.out', '<f4').reshape(ours.shape)
error = abs(ours - theirs).max() / abs(theirs).max()
assert error < 1e-4, error
PY
}

@test "three classes of photographs at 224 x 224, of several shapes" {
    # shellcheck disable=SC2086
    train photos $PHOTOS "data.path=$D/photos" train.epochs=1 train.batch=6
    "$BIN/evaluate" "$run" 2>&1 | grep 'images resized to 224 x 224 (crop)'
}

@test "a net that needs larger images is refused with the layer and the shapes" {
    run ! "$BIN/train" /dev/null net.arch=vgg11_bn data.format=synthetic data.size=16 "out=$D"
    [[ $output == *"vgg11_bn, after features"*"max pool"*"1x1"* ]]
}

@test "attacked images of another size are a folder of PNG files, which evaluate reads back" {
    # shellcheck disable=SC2086
    train attacked $LETTERS "data.path=$D/letters" train.epochs=1 train.batch=37
    "$BIN/attack" "$run" attack.eps=0 --into "$D/moved" --quiet
    [ -f "$D/moved/test/class 00/00000000.png" ]
    same=$("$BIN/evaluate" "$run" --json --quiet "data.path=$D/moved" | grep '"loss"')
    [ "$("$BIN/evaluate" "$run" --json --quiet | grep '"loss"')" = "$same" ]
}
