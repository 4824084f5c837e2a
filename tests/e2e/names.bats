#!/usr/bin/env bats
# Names are data: of classes and files, whatever they contain.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} DATA="$BATS_FILE_TMPDIR/images"
    python3 - "$DATA" <<'PY'
import os, struct, sys
bmp = b'BM' + struct.pack('<IIIIiiHHIIiiII', 3126, 0, 54, 40, 32, 32, 1, 24, 0, 3072, 0, 0, 0, 0)
names = [b'=1+1', b'+cmd', b'-2', b'@sum', b'two\nlines', b'\x1b[31mred', b'caf\xe9', 'naïve'.encode(), b'w' * 200, b'a, "b"', b'k', b'l']
for split in b'train', b'test':
    for c, name in enumerate(names):
        folder = b'/'.join((sys.argv[1].encode(), split, name))
        os.makedirs(folder)
        for i in range(2):
            open(folder + b'/%d.bmp' % i, 'wb').write(bmp + bytes([c * 20 + i * 7] * 3072))
PY
    "$BIN/train" /dev/null name=n net.arch=resnet20 net.classes=12 data.format=folder data.path="$DATA" train.epochs=1 \
        train.batch=12 threads=1 out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/n-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

@test "a message spells out what a terminal would obey" {
    run --separate-stderr "$BIN/train" $'no\e[31m\nfile.yaml'
    [ "$status" -eq 2 ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == 'train: no'*'[31m'*'file.yaml: '* && $stderr != *$'\e'* ]]
    run --separate-stderr "$BIN/train" $'no\u202efile.yaml'
    [[ $stderr == 'train: no\u202efile.yaml: '* ]]
}

@test "labels.csv: no cell is a formula, every name is one field" {
    "$BIN/analyze" "$RUN" --into "$BATS_TEST_TMPDIR/a" --quiet analysis.features=24 analysis.samples=24 analysis.k=2 analysis.lu_batch=24 \
        analysis.lu_batches=1
    python3 - "$BATS_TEST_TMPDIR/a/features/labels.csv" <<'PY'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline='', errors='surrogateescape')))
assert len(rows) == 24
names = {row['class'] for row in rows}
assert {"'=1+1", "'+cmd", "'-2", "'@sum", 'two\nlines', 'a, "b"', 'k'} <= names, names
PY
    [ -s "$BATS_TEST_TMPDIR/a/rings.png" ]
}

@test "attack: images of 12 classes, which the other tools read" {
    "$BIN/attack" "$RUN" attack.eps=0 --quiet --into "$BATS_TEST_TMPDIR/moved"
    clean=$("$BIN/evaluate" "$RUN" --json --quiet)
    same=$("$BIN/evaluate" "$RUN" --json --quiet data.format=folder data.path="$BATS_TEST_TMPDIR/moved")
    python3 -c 'import json, sys
a, b = (json.loads(t) for t in sys.argv[1:])
assert a["samples"] == b["samples"] == 24 and a["loss"] == b["loss"]' "$clean" "$same"
    [ -d "$BATS_TEST_TMPDIR/moved/test/two\\x0alines" ] || [ -d "$BATS_TEST_TMPDIR"/moved/test/000*-'two\x0alines' ]
    grep -q '"format":\s*"folder"' "$BATS_TEST_TMPDIR/moved/attack.json"
    run "$BIN/evaluate" "$RUN" net.classes=10 data.format=folder data.path="$BATS_TEST_TMPDIR/moved"
    [ "$status" -eq 3 ]
}
