#!/usr/bin/env bats
# Bad input: the exit code gives the kind of mistake, exactly one line on stderr says what is wrong and where, stdout stays
# empty, and no existing file is lost or half-written.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    train "$BATS_FILE_TMPDIR/good"
    GOOD=$(echo "$BATS_FILE_TMPDIR"/good/b-*)
    export GOOD
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

teardown() {
    mountpoint -q "$BATS_TEST_TMPDIR/disk" && umount "$BATS_TEST_TMPDIR/disk"
    true
}

# settings OUT: sets the array `command` to a training of two steps, resnet20 on generated images.
settings() {
    command=("$BIN/train" /dev/null name=b net.arch=resnet20 data.format=synthetic data.train_limit=64
        data.test_limit=32 train.epochs=1 train.batch=32 threads=1 --quiet "out=$1")
}

# train OUT [ARGUMENT ...]
train() {
    local command
    settings "$1"
    "${command[@]}" "${@:2}"
}

# one_line CODE REGEX: the last `run --separate-stderr` ended with CODE and one line on stderr that matches.
one_line() {
    echo "exit code $status (wanted $1), stderr: $stderr"
    [ "$status" -eq "$1" ] && [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "train: "* && $stderr =~ $2 ]]
}

# fails CODE REGEX FUNCTION|TOOL ARGUMENT ...: runs it and checks exit code, one matching line on stderr, an empty stdout.
fails() {
    local tool=$3
    [ "$tool" = train ] && set -- "$1" "$2" train "$BATS_TEST_TMPDIR/out" "${@:4}"
    [ "$tool" = train ] || set -- "$1" "$2" "$BIN/$tool" "${@:4}" --quiet
    run --separate-stderr "${@:3}"
    echo "exit code $status (wanted $1), stdout \"$output\", stderr: $stderr"
    [ "$status" -eq "$1" ]
    [ -z "$output" ]
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == "$tool: "* ]]
    [[ $stderr =~ $2 ]]
    [ ! -e "$BATS_TEST_TMPDIR/out" ] # refused before anything was created
}

# ---- command line and config ----

@test "unknown keys: the nearest known key is suggested; for a file, the line is given" {
    fails 2 'train.epoch=3.*train\.epochs' train train.epoch=3
    printf 'name: x\ntrain:\n  lr: 0.1\n  epoch: 3\n' >"$BATS_TEST_TMPDIR/c.yaml"
    run --separate-stderr "$BIN/train" "$BATS_TEST_TMPDIR/c.yaml"
    one_line 2 'c\.yaml:4: .*train\.epoch.*train\.epochs'
}

@test "wrong types and values" {
    fails 2 'train\.epochs.*number.*many' train train.epochs=many
    fails 2 'train\.batch' train train.batch=0
    fails 2 'train\.lr' train train.lr=-1
    fails 2 'data\.flip' train data.flip=perhaps
    fails 2 'schedule.*cosine' train train.schedule=cosin
    fails 2 'data\.mean' train 'data.mean=[1,2]'
    fails 2 'device' train device=gpu
    fails 2 'tf32.*cuda.*precision=f32' train precision=tf32 device=cpu
    fails 2 'tf32.*cuda.*precision=f32' evaluate "$GOOD" precision=tf32 device=cpu
}

@test "a config that is not YAML, is missing, is a folder" {
    printf 'train: {epochs: 3\n' >"$BATS_TEST_TMPDIR/c.yaml"
    run --separate-stderr "$BIN/train" "$BATS_TEST_TMPDIR/c.yaml"
    one_line 2 'c\.yaml:[0-9]+:'
    run --separate-stderr "$BIN/train" "$BATS_TEST_TMPDIR/none.yaml"
    one_line 2 'none\.yaml'
    run --separate-stderr "$BIN/train" "$BATS_TEST_TMPDIR"
    one_line 2 "$BATS_TEST_TMPDIR"
}

@test "no argument, an unknown option, an argument too many" {
    run --separate-stderr "$BIN/train"
    one_line 2 usage
    fails 2 'bogus' train --bogus
    fails 2 'extra' train extra
}

@test "an unknown net lists the known ones; for units that cannot be removed the reason is given" {
    fails 2 'resnet21.*resnet20' train net.arch=resnet21
    fails 2 'layer2\.0' train 'net.remove=[layer2.0]'
    fails 2 'conv1' train 'net.remove=[conv1]'
    fails 2 'layer9\.0' train 'net.remove=[layer9.0]'
}

# ---- data ----

# cifar DIR BYTES: every file of CIFAR-10 with that many bytes, all zero.
cifar() {
    mkdir -p "$1"
    for file in data_batch_{1..5} test_batch; do head -c "$2" /dev/zero >"$1/$file.bin"; done
}

@test "missing, empty and truncated data files" {
    local d=$BATS_TEST_TMPDIR/cifar
    fails 3 "$d" train data.format=cifar10 "data.path=$d"
    cifar "$d" $((3073 * 40))
    rm "$d/data_batch_3.bin"
    fails 3 'data_batch_3\.bin' train data.format=cifar10 "data.path=$d" data.train_limit=0
    cifar "$d" 3073000
    truncate -s 3000000 "$d/test_batch.bin"
    fails 3 'test_batch\.bin.*3000000' train data.format=cifar10 "data.path=$d"
    cifar "$d" 0
    fails 3 'data_batch_1\.bin' train data.format=cifar10 "data.path=$d"
}

@test "a label outside the classes" {
    local d=$BATS_TEST_TMPDIR/cifar
    cifar "$d" $((3073 * 40))
    printf '\377' | dd of="$d/data_batch_1.bin" bs=1 seek=$((3073 * 7)) conv=notrunc status=none
    fails 3 'data_batch_1\.bin.*255' train data.format=cifar10 "data.path=$d"
}

@test "an image folder: a file that is not a JPEG, no images, classes that do not match" {
    local d=$BATS_TEST_TMPDIR/f
    mkdir -p "$d"/{train,test}/{cat,dog}
    fails 3 "$d" train data.format=folder "data.path=$d" net.classes=2
    for file in "$d"/{train,test}/{cat,dog}/1.jpg; do echo 'this is text' >"$file"; done
    fails 3 '1\.jpg' train data.format=folder "data.path=$d" net.classes=2
    fails 3 'class' train net.classes=7
}

# pictures DIR FILE: an image folder of two classes with this file as the only picture of each.
pictures() {
    mkdir -p "$1"/{train,test}/{cat,dog}
    for part in "$1"/{train,test}/{cat,dog}; do cp "$2" "$part/1.${2##*.}"; done
}

@test "pictures that claim what they are not: height 0, truncated, gigabytes, Huffman tables" {
    local t=$BATS_TEST_TMPDIR d
    # A BMP of 58 bytes: WIDTH and HEIGHT (four bytes each, escaped), 24 bits, one pixel.
    bmp() { printf 'BM:\0\0\0\0\0\0\0\66\0\0\0\50\0\0\0%b%b\1\0\30\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3\0' "$1" "$2"; }
    bmp '\1\0\0\0' '\0\0\0\0' >"$t/zero.bmp"
    bmp '\1\0\0\0' '\2\0\0\0' >"$t/half.bmp"
    bmp '\0\100\0\0' '\0\100\0\0' >"$t/large.bmp"
    # A JPEG whose first table has more codes than there are.
    { printf '\377\330\377\304\2\245\20'; printf '\50%.0s' {1..16}; head -c 658 /dev/zero; printf '\377\331'; } >"$t/codes.jpg"
    ulimit -v 8000000
    for f in 'zero.bmp 1 x 0' 'half.bmp truncated' 'large.bmp max_pixels' 'codes.jpg Huffman'; do
        d=$t/${f%%.*}
        pictures "$d" "$t/${f%% *}"
        fails 3 "$d/train/cat/1\..*${f#* }" train data.format=folder "data.path=$d" net.classes=2
    done
    bmp '\1\0\0\0' '\1\0\0\0' >"$t/good.bmp"
    pictures "$t/good" "$t/good.bmp"
    settings "$t/out"
    "${command[@]}" data.format=folder "data.path=$t/good" net.classes=2
}

@test "an image folder: an empty class, one class, a wrong number of classes, not said to be a folder" {
    local d=$BATS_TEST_TMPDIR/f
    mkdir -p "$d"/{train,test}/{cat,dog}
    echo text >"$d/train/cat/1.png"
    echo text >"$d/train/dog/1.webp"
    fails 3 "$d/train/dog: no images.*\.webp 1" train data.format=folder "data.path=$d" net.classes=2
    fails 3 'net\.classes=2' train data.format=folder "data.path=$d" net.classes=10
    fails 3 'data\.format=folder' train data.format=cifar10 "data.path=$d"
    rm -r "$d/train/dog"
    fails 3 'one class folder only \(cat\)' train data.format=folder "data.path=$d" net.classes=2
}

@test "pipes and devices in place of files: an error at once" {
    local t=$BATS_TEST_TMPDIR
    mkfifo "$t/p.png" "$t/p.yaml" "$t/p.safetensors"
    mkdir -p "$t"/f/{train,test}/{a,b}
    for part in "$t"/f/{train,test}/{a,b}; do ln -s "$t/p.png" "$part/1.png"; done
    fails 3 '1\.png: a pipe' train data.format=folder "data.path=$t/f" net.classes=2
    run --separate-stderr timeout 20 "$BIN/train" "$t/p.yaml"
    one_line 2 'p\.yaml: a pipe'
    run --separate-stderr timeout 20 "$BIN/train" /dev/zero
    one_line 2 '/dev/zero'
    fails 3 'p\.safetensors' evaluate "$t/p.safetensors"
    run --separate-stderr timeout 20 "$BIN/train" <(echo 'train: {lr: -1}')
    one_line 2 'train\.lr'
}

# ---- checkpoints ----

# forge FILE CODE: writes a checkpoint. CODE is Python that sets `header` (bytes) and `body`; it finds those of a good one in
# j (the header as JSON) and body.
forge() {
    python3 - "$GOOD/best.safetensors" "$1" "$2" <<'EOF'
import json, struct, sys
data = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', data[:8])[0]
j, body, header, length = json.loads(data[8:8 + n]), data[8 + n:], None, None
first, second = [k for k in j if k != '__metadata__'][:2]
exec(sys.argv[3])
header = header if header is not None else json.dumps(j).encode()
open(sys.argv[2], 'wb').write(struct.pack('<Q', len(header) if length is None else length) + header + body)
EOF
}

@test "checkpoints: another net, a wrong shape, a missing tensor, an extra tensor, another type" {
    local f=$BATS_TEST_TMPDIR/f.safetensors
    fails 3 'best\.safetensors.*layer1\.3' evaluate "$GOOD" net.arch=resnet32
    forge "$f" 'j["conv1.weight"]["shape"] = [16, 27]'
    fails 3 'f\.safetensors.*conv1\.weight.*16' evaluate "$f"
    forge "$f" 'j["stranger"] = j.pop("bn1.weight")'
    fails 3 'f\.safetensors.*(bn1\.weight|stranger)' evaluate "$f"
    forge "$f" 'j["conv1.weight"]["dtype"] = "I32"'
    fails 3 'conv1\.weight.*I32' evaluate "$f"
    fails 3 'layer1\.3' train net.arch=resnet32 "net.weights=$GOOD/best.safetensors"
    fails 3 'nothing' evaluate "$BATS_TEST_TMPDIR/nothing.safetensors"
}

@test "hostile safetensors headers" {
    local f=$BATS_TEST_TMPDIR/f.safetensors bytes
    for bytes in 0 1 7 8 9 1000; do
        head -c $bytes "$GOOD/best.safetensors" >"$f"
        fails 3 'f\.safetensors' evaluate "$f"
    done
    head -c -1 "$GOOD/best.safetensors" >"$f"
    fails 3 'f\.safetensors' evaluate "$f"
    while read -r code; do
        echo "$code"
        forge "$f" "$code"
        fails 3 'f\.safetensors' evaluate "$f"
    done <<'EOF'
length = 2**64 - 1
length = 2**63
length = 2**40
length = 10**8 + 1
length = 0
header = b''
header = b'[]'
header = b'{' * 100000
header = b'[' * 1000000
header = b'null'
header = json.dumps(j).encode()[:-1]
header = json.dumps(j).encode() + b'x'
header = json.dumps(j).encode().replace(b'"bn1.weight"', b'"bn1.bias"')
header = json.dumps(j).encode().replace(b'F32', b'F\xff2', 1)
j[first]["data_offsets"] = j[second]["data_offsets"]
j[first]["data_offsets"] = [-4, 0]
j[first]["data_offsets"] = [0, 2**63]
j[first]["data_offsets"] = [2**64, 2**64]
j[first]["data_offsets"] = [0.5, 4]
j[first]["data_offsets"] = [8, 4]
j[first]["data_offsets"] = "0, 4"
j[first]["data_offsets"] = []
j[first]["shape"] = [2**32, 2**32]
j[first]["shape"] = [-1]
j[first]["shape"] = [1] * 100
j[first]["shape"] = {}
j[first]["dtype"] = "F33"
j[first]["dtype"] = 7
del j[first]["dtype"]
del j[first]["shape"]
del j[first]
j[first] = None
j["__metadata__"] = 3
j["__metadata__"]["arch"] = 3
j["__metadata__"]["arch"] = "{"
j["__metadata__"]["arch"] = '{"arch": "resnet20", "classes": -1}'
j["__metadata__"]["arch"] = '{"arch": "resnet20", "classes": 10, "removed": 5}'
body = body[:-4]
body = body + b'1234'
EOF
}

@test "a run directory without a checkpoint; a state that cannot be read" {
    mkdir "$BATS_TEST_TMPDIR/run"
    fails 3 'run' evaluate "$BATS_TEST_TMPDIR/run"
    cp -r "$GOOD" "$BATS_TEST_TMPDIR/run/"
    local run=("$BATS_TEST_TMPDIR"/run/b-*)
    python3 - "${run[0]}/last.safetensors" <<'EOF'
import sys
sys.path.insert(0, 'tests/peer')
import stfile
tensors, meta = stfile.read(sys.argv[1])
meta['state'] = '{"epoch": 0, "step": -5}'
stfile.write(sys.argv[1], tensors, meta)
EOF
    run --separate-stderr train "$BATS_TEST_TMPDIR/run" --resume
    one_line 3 'last\.safetensors'
}

@test "a run whose config.yaml is empty or has NUL bytes in it does not fall back to the defaults" {
    cp -r "$GOOD" "$BATS_TEST_TMPDIR/run"
    : >"$BATS_TEST_TMPDIR/run/config.yaml"
    fails 3 'config\.yaml is damaged' evaluate "$BATS_TEST_TMPDIR/run"
    printf 'data: {format: synthetic}\n\0\0\n' >"$BATS_TEST_TMPDIR/run/config.yaml"
    fails 3 'config\.yaml is damaged' evaluate "$BATS_TEST_TMPDIR/run"
}

@test "a state that contradicts itself; a finished run without its best weights" {
    train "$BATS_TEST_TMPDIR/run"
    local run=("$BATS_TEST_TMPDIR"/run/b-*)
    rm "${run[0]}/best.safetensors"
    run --separate-stderr train "$BATS_TEST_TMPDIR/run"
    one_line 3 'best\.safetensors is gone'
    for state in '"step": 2.5' '"step": 900' '"train_rows": -5' '"best_accuracy": 2' '"best_epoch": 1e300'; do
        cp "$GOOD/last.safetensors" "${run[0]}/"
        python3 - "${run[0]}/last.safetensors" "{$state}" <<'EOF'
import json, sys
sys.path.insert(0, 'tests/peer')
import stfile
tensors, meta = stfile.read(sys.argv[1])
meta['state'] = json.dumps({**json.loads(meta['state']), 'epoch': 0, 'best_epoch': 0, **json.loads(sys.argv[2])})
stfile.write(sys.argv[1], tensors, meta)
EOF
        run --separate-stderr train "$BATS_TEST_TMPDIR/run" --resume
        one_line 3 'last\.safetensors'
    done
}

@test "weights that are not numbers: exit code 4" {
    cp "$GOOD/best.safetensors" "$BATS_TEST_TMPDIR/nan.safetensors"
    python3 - "$BATS_TEST_TMPDIR/nan.safetensors" <<'EOF'
import struct, sys
sys.path.insert(0, 'tests/peer')
import stfile
tensors, meta = stfile.read(sys.argv[1])
kind, shape, data = tensors['linear.bias']
tensors['linear.bias'] = (kind, shape, struct.pack('<f', float('nan')) + bytes(data[4:]))
stfile.write(sys.argv[1], tensors, meta)
EOF
    fails 4 'not a number' evaluate "$BATS_TEST_TMPDIR/nan.safetensors"
    fails 4 'linear.bias has values that are not finite' export "$BATS_TEST_TMPDIR/nan.safetensors"
    [ ! -e "$BATS_TEST_TMPDIR/nan.onnx" ]
}

@test "prune: net={...} is refused, since it does not say whether units are to be cut now" {
    fails 2 'net\.remove=' prune "$GOOD" 'net={remove: [layer3.1]}' --dry-run
}

@test "attack does not replace a data set that it did not write" {
    mkdir "$BATS_TEST_TMPDIR/set"
    echo images >"$BATS_TEST_TMPDIR/set/test_batch.bin"
    fails 2 'attack\.json' attack "$GOOD" --into "$BATS_TEST_TMPDIR/set"
    [ "$(cat "$BATS_TEST_TMPDIR/set/test_batch.bin")" = images ]
}

@test "a result that cannot be printed because stdout is closed is an error" {
    run sh -c '"$1" "$2" --json --quiet >&-' sh "$BIN/evaluate" "$GOOD"
    [ "$status" -eq 1 ]
    run sh -c '"$1" "$2" --json --quiet --into "$3" >&-' sh "$BIN/analyze" "$GOOD" "$BATS_TEST_TMPDIR/a"
    [ "$status" -eq 1 ]
}

@test "a folder with line breaks and quotes in its name: gnuplot runs no part of it" {
    local odd=$BATS_TEST_TMPDIR/$'odd\nsystem("touch PWN")\n'"it's"
    "$BIN/analyze" "$GOOD" --quiet --into "$odd"
    [ -s "$odd/curves.png" ] && [ -s "$odd/analysis.json" ]
    [ "$(find . "$BATS_TEST_TMPDIR" -name PWN | wc -l)" -eq 0 ]
}

# ---- failures during a run ----

# whole RUN: every checkpoint in it can be read, no temporary file is left, status.json is JSON.
whole() {
    local file
    for file in "$1"/*.safetensors; do
        [ ! -e "$file" ] || python3 -c 'import sys; sys.path.insert(0, "tests/peer"); import stfile
tensors, _ = stfile.read(sys.argv[1])
for k, (_, shape, data) in tensors.items():
    n = 1
    for d in shape: n *= d
    assert len(data) in (4 * n, 8 * n), k' "$file"
    done
    ! ls "$1"/*.tmp-* 2>/dev/null
    python3 -m json.tool "$1/status.json" >/dev/null
}

@test "divergence: exit code 4, the last good checkpoint is kept" {
    local out=$BATS_TEST_TMPDIR/d
    run --separate-stderr train "$out" train.epochs=3 'train.milestones=[1]' train.gamma=1e12
    one_line 4 'epoch 2'
    whole "$out"/b-*
    grep -q '"diverged"' "$out"/b-*/status.json
    [ "$(wc -l <"$(echo "$out"/b-*/metrics.jsonl)")" -eq 1 ]
    run --separate-stderr "$BIN/evaluate" "$(echo "$out"/b-*)/last.safetensors" --json --quiet
    [ "$status" -eq 0 ]
    python3 -c 'import json, math, sys; assert math.isfinite(json.loads(sys.argv[1])["loss"])' "$output"
}

@test "divergence at once: a huge learning rate" {
    run --separate-stderr train "$BATS_TEST_TMPDIR/d" train.lr=1e6 train.epochs=20
    one_line 4 'epoch 1'
    whole "$BATS_TEST_TMPDIR"/d/b-*
}

@test "a file size limit while saving: an error, not a killed run; existing files stay complete" {
    local out=$BATS_TEST_TMPDIR/d
    limited() { ulimit -f 1500; train "$@"; } # best (1.1 MB) fits, last (2.2 MB) does not
    run --separate-stderr limited "$out"
    one_line 1 'last\.safetensors.*File too large'
    whole "$out"/b-*
    [ -e "$(echo "$out"/b-*/best.safetensors)" ] && [ ! -e "$(echo "$out"/b-*/last.safetensors)" ]
}

@test "a full disk while saving: the previous checkpoint is untouched, and the run can be resumed" {
    local disk=$BATS_TEST_TMPDIR/disk
    mkdir "$disk"
    mount -t tmpfs -o size=8m none "$disk" 2>/dev/null || skip "mounting a small tmpfs is not permitted"
    local run pid command
    settings "$disk"
    "${command[@]}" train.epochs=40 2>/dev/null 3>&- &
    pid=$!
    until [ -e "$(echo "$disk"/b-*/last.safetensors)" ]; do kill -0 $pid && sleep .05; done
    kill -TERM $pid
    wait $pid || [ $? -eq 75 ]
    run=$(echo "$disk"/b-*)
    cp "$run/last.safetensors" "$BATS_TEST_TMPDIR/before"
    head -c 20m /dev/zero >"$disk/filler" 2>/dev/null || true
    run --separate-stderr train "$disk" train.epochs=40 --resume
    one_line 1 'No space left on device'
    cmp "$run/last.safetensors" "$BATS_TEST_TMPDIR/before"
    ! ls "$run"/*.tmp-* 2>/dev/null
    rm "$disk/filler"
    train "$disk" train.epochs=40 --resume
    whole "$run"
    [ "$(wc -l <"$run/metrics.jsonl")" -eq 40 ]
}

@test "a folder that cannot be created, a result that cannot be written" {
    echo file >"$BATS_TEST_TMPDIR/file"
    run --separate-stderr train "$BATS_TEST_TMPDIR/file/runs"
    one_line 1 'file'
    run --separate-stderr sh -c '"$1" "$2" --json --quiet >/dev/full' sh "$BIN/evaluate" "$GOOD"
    echo "$status $stderr"
    [ "$status" -eq 1 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == "evaluate: "* ]]
}
