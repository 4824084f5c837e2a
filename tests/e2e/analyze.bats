#!/usr/bin/env bats
# analyze: the published ResNet-20 compared with an independent computation, the files it writes, and its failures.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} SHARED=${CLEAVE_SHARED:-../shared}
    SMALL="data.format=synthetic train.batch=64 data.train_limit=256 data.test_limit=150 analysis.samples=120 analysis.edges=400 analysis.lu_batch=50"
    export SMALL
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=a net.arch=resnet20 train.epochs=1 $SMALL out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/a-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

need_shared() { [ -r "$SHARED/weights/akamaster-resnet20.safetensors" ] || skip "no ../shared"; }

published() { # SETTING...: of the net, the images and the sample that the reference has
    "$BIN/analyze" "$SHARED/weights/akamaster-resnet20.safetensors" net.arch=resnet20 \
        data.path="$SHARED/data/cifar10-lossless-subset" 'data.mean=[.485,.456,.406]' \
        'data.std=[.229,.224,.225]' analysis.samples=1000 analysis.edges=2498 out="$BATS_TEST_TMPDIR" \
        --json --quiet --no-pictures "$@" >"$BATS_TEST_TMPDIR/analysis.json"
    tests/peer/compare_analysis.py "$BATS_TEST_TMPDIR/analysis.json" "$SHARED/reference/resnet20-lossless1000.json"
}

@test "every layer of the published ResNet-20 agrees with the float64 reference, norm newman" {
    need_shared
    run published analysis.hooks=conv
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "19 layers, norm newman"* ]]
}

@test "the same, norm literal" {
    need_shared
    run published analysis.hooks=conv analysis.norm=literal
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "19 layers, norm literal"* ]]
}

@test "the hooks of Lu et al., the first one before batch normalisation" {
    need_shared
    run published analysis.hooks=lu2022
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "10 layers"* ]]
    grep -q '"conv1.raw"' "$BATS_TEST_TMPDIR/analysis.json"
}

@test "the comparison fails when a number is wrong" {
    need_shared
    published analysis.hooks=lu2022
    sed 's/"AQ":\t0\./"AQ":\t0.1/' "$BATS_TEST_TMPDIR/analysis.json" >"$BATS_TEST_TMPDIR/wrong.json"
    run tests/peer/compare_analysis.py "$BATS_TEST_TMPDIR/wrong.json" "$SHARED/reference/resnet20-lossless1000.json"
    [ "$status" -eq 1 ]
    [[ $output == *"conv1.raw AQ"* ]]
}

@test "a run: numbers, edges and pictures in RUN/analysis" {
    "$BIN/analyze" "$RUN" --json >"$BATS_TEST_TMPDIR/out.json" 2>"$BATS_TEST_TMPDIR/err"
    cd "$RUN/analysis"
    cmp analysis.json "$BATS_TEST_TMPDIR/out.json"
    for f in modularity.csv histogram.csv samples.csv rings.png rings.svg ring-conv1.png ring-layer3.2.svg; do
        [ -s "$f" ]
    done
    [ "$(stat -c %s edges/layer3.2.bin)" -eq $((400 * 12)) ]
    [ "$(wc -l <modularity.csv)" -eq 11 ]
    [ "$(wc -l <samples.csv)" -eq 121 ]
    if command -v gnuplot; then
        [ -s curves.png ] && [ -s curves.svg ] && [ -s histograms.png ] && [ -s histograms.svg ]
    fi
    grep -q '^layer3.2 .* 4096 ' "$BATS_TEST_TMPDIR/err"
}

@test "a bare checkpoint: OUT/NAME-analysis, the same numbers as for the run, and the same bits when repeated" {
    cp "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/net.safetensors"
    "$BIN/analyze" "$RUN" --no-pictures --quiet
    for _ in 1 2; do
        # shellcheck disable=SC2086
        "$BIN/analyze" "$BATS_TEST_TMPDIR/net.safetensors" $SMALL out="$BATS_TEST_TMPDIR/out" --no-pictures --quiet
        cmp "$BATS_TEST_TMPDIR/out/net-analysis/modularity.csv" "$RUN/analysis/modularity.csv"
        cmp "$BATS_TEST_TMPDIR/out/net-analysis/edges/layer2.0.bin" "$RUN/analysis/edges/layer2.0.bin"
    done
    [ ! -e "$BATS_TEST_TMPDIR/out/net-analysis/rings.png" ]
}

@test "CKA of layers equals what NumPy computes from the exported activations" {
    "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/cka" --json analysis.cka=100 analysis.features=120 \
        >"$BATS_TEST_TMPDIR/a.json" 2>"$BATS_TEST_TMPDIR/err"
    cmp "$BATS_TEST_TMPDIR/cka/analysis.json" "$BATS_TEST_TMPDIR/a.json"
    run tests/peer/compare_cka.py "$BATS_TEST_TMPDIR/cka"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "10 layers, 100 images"* ]]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/cka/cka.csv")" -eq 11 ]
    ! command -v gnuplot || { [ -s "$BATS_TEST_TMPDIR/cka/difference.png" ] && [ -s "$BATS_TEST_TMPDIR/cka/difference.svg" ]; }
    # the comparison can fail
    sed -i 's/"matrix":/"matrix": [[0.5]], "other":/' "$BATS_TEST_TMPDIR/cka/analysis.json"
    run tests/peer/compare_cka.py "$BATS_TEST_TMPDIR/cka"
    [ "$status" -ne 0 ]
}

@test "bf16 and int8 similarities: the exported activations differ by rounding only" {
    for precision in f32 bf16 int8; do
        "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/$precision" --no-pictures --quiet analysis.features=20 \
            analysis.precision=$precision
        grep -qF '"precision":	"'$precision'"' "$BATS_TEST_TMPDIR/$precision/analysis.json"
    done
    /usr/bin/python3 - "$BATS_TEST_TMPDIR" <<'PY'
import glob, os, sys
import numpy as np
files = glob.glob(sys.argv[1] + '/f32/features/*.npy')
assert len(files) == 10, files
for path in files:
    x, half, whole = (np.load(path.replace('/f32/', f'/{p}/')) for p in ('f32', 'bf16', 'int8'))
    peak = abs(x).max(1, keepdims=True)
    assert (abs(half - x) <= 2**-8 * abs(x) + 1e-6 * peak).all(), path
    # Half a step, plus the difference between the lengths of the row and of the rounded row.
    off = (abs(whole - x) / peak).max()
    assert 0.5 / 128 < off < 0.51 / 127 + 2e-3, (path, off)
PY
}

@test "activations of an earlier analysis are removed" {
    local into=$BATS_TEST_TMPDIR/twice
    "$BIN/analyze" "$RUN" --into "$into" --no-pictures --quiet analysis.features=3
    [ "$(ls "$into/features" | wc -l)" -eq 11 ]
    echo mine >"$into/features/notes.txt"
    "$BIN/analyze" "$RUN" --into "$into" --no-pictures --quiet
    [ "$(ls "$into/features")" = notes.txt ]
}

@test "a class name with a comma and quotes is one field of labels.csv" {
    local d=$BATS_TEST_TMPDIR/images name='cats, "big"'
    /usr/bin/python3 - "$d" "$name" <<'PY'
import os, struct, sys
bmp = b'BM' + struct.pack('<IIIIiiHHIIiiII', 3126, 0, 54, 40, 32, 32, 1, 24, 0, 3072, 0, 0, 0, 0)
for split in 'train', 'test':
    for c in [sys.argv[2]] + [f'c{i}' for i in range(9)]:
        os.makedirs(f'{sys.argv[1]}/{split}/{c}')
        for i in range(2):
            open(f'{sys.argv[1]}/{split}/{c}/{i}.bmp', 'wb').write(bmp + bytes([i * 9] * 3072))
PY
    "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/named" --no-pictures --quiet analysis.features=20 \
        data.format=folder "data.path=$d" analysis.samples=20 analysis.k=2
    /usr/bin/python3 - "$BATS_TEST_TMPDIR/named/features/labels.csv" "$name" <<'PY'
import csv, sys
names = [row['class'] for row in csv.DictReader(open(sys.argv[1], newline=''))]
assert names.count(sys.argv[2]) == 2 and names.count('c8') == 2 and len(names) == 20, names
PY
}

@test "analysis.json has the settings that prune compares" {
    "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/s" --no-pictures --quiet analysis.k=4 analysis.lu_batches=9 \
        analysis.hooks=conv analysis.balanced=true seed=3
    for field in '"k":	4' '"lu_batches":	3' '"lu_batch":	50' '"hooks":	"conv"' '"balanced":	true' '"seed":	3'; do
        grep -qF "$field" "$BATS_TEST_TMPDIR/s/analysis.json"
    done
}

@test "failures: usage, memory, a damaged checkpoint, a folder that cannot be created" {
    run "$BIN/analyze"
    [ "$status" -eq 2 ]
    run "$BIN/analyze" "$RUN" analysis.norm=other
    [ "$status" -eq 2 ]
    run "$BIN/analyze" "$RUN" analysis.memory=1M
    [ "$status" -eq 2 ]
    [[ $output == *"analysis.memory"* ]]
    head -c 5000 "$RUN/best.safetensors" >"$BATS_TEST_TMPDIR/short.safetensors"
    run "$BIN/analyze" "$BATS_TEST_TMPDIR/short.safetensors" net.arch=resnet20
    [ "$status" -eq 3 ]
    cp "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/net.safetensors"
    # shellcheck disable=SC2086
    run "$BIN/analyze" "$BATS_TEST_TMPDIR/net.safetensors" $SMALL out=/dev/null
    [ "$status" -eq 1 ]
    [[ $output == *"/dev/null"* ]]
}
