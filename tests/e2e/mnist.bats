#!/usr/bin/env bats
# tools/mnist.sh with small files made here, and a training on what it fetched.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    BIN=${BIN:-bin} mirror=$BATS_TEST_TMPDIR/mirror dir=$BATS_TEST_TMPDIR/datasets
    MNIST_MD5=$(python3 - "$mirror" <<'PY'
import gzip, hashlib, os, random, struct, sys
random.seed(3)
os.makedirs(sys.argv[1])
sums = []
for part, n in ('train', 60), ('t10k', 40):
    labels = bytes(i % 10 for i in range(n))
    images = b''.join(bytes(min(255, random.randrange(60) + 190 * (p % 28 // 3 == l)) for p in range(784)) for l in labels)
    for name, data in (('images-idx3', struct.pack('>IIII', 0x803, n, 28, 28) + images), ('labels-idx1', struct.pack('>II', 0x801, n) + labels)):
        packed = gzip.compress(data, mtime=0)
        open(f'{sys.argv[1]}/{part}-{name}-ubyte.gz', 'wb').write(packed)
        sums.append(hashlib.md5(packed).hexdigest())
print(*sums)
PY
    )
    export MNIST_MD5
}

@test "mnist.sh: fetches, checks, names the classes, and configs/mnist.yaml trains on it" {
    run tools/mnist.sh --dir "$dir" --mirror "file://$mirror"
    [ "$status" -eq 0 ]
    [[ $output == *"data.format=idx data.path=$dir/mnist"* ]]
    [ "$(wc -l <"$dir/mnist/class_names.txt")" -eq 10 ]
    run ! ls "$dir"/mnist/*.part
    "$BIN/train" configs/mnist.yaml "data.path=$dir/mnist" "out=$BATS_TEST_TMPDIR/runs" train.epochs=1 train.batch=20 --quiet
    run tools/mnist.sh --dir "$dir" --mirror file:///nonexistent
    [ "$status" -eq 0 ]
    [[ $output == *"nothing to do"* ]]
    rm "$dir/mnist/t10k-labels-idx1-ubyte.gz" # one that is missing is fetched alone
    run tools/mnist.sh --dir "$dir" --mirror "file://$mirror"
    [ "$status" -eq 0 ] && [ "$(grep -c downloading <<<"$output")" -eq 1 ]
}

@test "mnist.sh: Fashion-MNIST has its own folder and names" {
    tools/mnist.sh --set fashion --dir "$dir" --mirror "file://$mirror"
    grep -qx 'Ankle boot' "$dir/fashion-mnist/class_names.txt"
}

@test "mnist.sh: another checksum than expected: nothing stays" {
    MNIST_MD5= run tools/mnist.sh --dir "$dir" --mirror "file://$mirror"
    [ "$status" -eq 3 ]
    [[ $output == *"MD5 is"*"f68b3c2dcbeaaa9fbdd348bbdeb94873"* ]]
    [ -z "$(ls "$dir/mnist")" ]
}

@test "mnist.sh: a mirror that has nothing, unknown arguments" {
    run tools/mnist.sh --dir "$dir" --mirror "file://$BATS_TEST_TMPDIR"
    [ "$status" -eq 1 ] && [[ $output == *"cannot download"* ]]
    run tools/mnist.sh --set kmnist
    [ "$status" -eq 2 ] && [[ $output == *"mnist or fashion"* ]]
    run tools/mnist.sh --dir
    [ "$status" -eq 2 ]
    tools/mnist.sh --help | grep -q 'usage: tools/mnist.sh'
}
