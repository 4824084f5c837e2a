#!/usr/bin/env bats
# export: the ONNX model computes in an independent runtime (onnxruntime from npm) what evaluate computes, pruned nets
# included; protoc reads it with the published field numbers; ONNX's own checker accepts it.

bats_require_minimum_version 1.5.0

load ../onnx/runtime.bash

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} D=$BATS_FILE_TMPDIR NODE_PATH
    NODE_PATH=$PWD/${B:-build}/onnx/node_modules
    # CIFAR files of random pixels, so that other programs can read the same images
    python3 - "$D" <<'EOF'
import os, random, sys
random.seed(1)
for name, n in [(f'data_batch_{i}', 8) for i in range(1, 6)] + [('test_batch', 24)]:
    with open(f'{sys.argv[1]}/{name}.bin', 'wb') as f:
        for _ in range(n):
            f.write(bytes([random.randrange(10)]) + bytes(random.choices(range(256), k=3072)))
EOF
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# train ARCH [key=value ...]: trains for one epoch and sets $run
train() {
    run=$("$BIN/train" /dev/null "name=$1" "net.arch=$1" data.format=cifar10 "data.path=$D" "out=$D" train.epochs=1 \
        train.batch=20 threads=2 --quiet --json "${@:2}" | sed -n 's/.*"run":\s*"\(.*\)".*/\1/p')
    [ -d "$run" ]
}

# same NAME SUBJECT [key=value ...]: the logits of evaluate and of onnxruntime agree
same() {
    local name=$1
    shift
    "$BIN/export" "$@" --output "$D/$name.onnx" --quiet
    "$BIN/evaluate" "$@" --logits "$D/$name.npy" --quiet
    /usr/bin/python3 - "$D" "$D/$name.onnx" <<'EOF'
import json, sys
import numpy as np
sys.path.insert(0, 'tests/peer')
import onnxfile
meta = onnxfile.metadata(onnxfile.read(sys.argv[2]))
mean, std = (np.array(json.loads(meta[k]), np.float32).reshape(3, 1, 1) for k in ('mean', 'std'))
raw = np.fromfile(sys.argv[1] + '/test_batch.bin', np.uint8).reshape(24, 3073)[:, 1:].reshape(24, 3, 32, 32)
((raw / np.float32(255) - mean) / std).astype('<f4').tofile(sys.argv[1] + '/images.f32')
EOF
    node tests/onnx/infer.js "$D/$name.onnx" "$D/images.f32" "$D/$name.f32"
    /usr/bin/python3 - "$D/$name" <<'EOF'
import sys
import numpy as np
ours = np.load(sys.argv[1] + '.npy')
theirs = np.fromfile(sys.argv[1] + '.f32', '<f4').reshape(ours.shape)
error = abs(ours - theirs).max() / abs(ours).max()
print(f'# {sys.argv[1]}: error {error:.2g} of the greatest logit')
assert np.ptp(ours, axis=0).max() > 1e-3 * abs(ours).max(), 'the images make no difference'
assert error < 2e-5, error
EOF
}

# removed_is NAME TEXT: the model lists these units as cut
removed_is() {
    /usr/bin/python3 - "$D/$1.onnx" "$2" <<'EOF'
import sys
sys.path.insert(0, 'tests/peer')
import onnxfile
assert onnxfile.metadata(onnxfile.read(sys.argv[1]))['removed'] == sys.argv[2]
EOF
}

@test "onnxruntime computes what evaluate computes: every family of nets" {
    fetch_runtime
    for arch in resnet20 resnet18 resnet50 vgg11_bn; do
        train $arch
        same $arch "$run"
    done
    # deep, and linear between its blocks: outputs differ between images only after the running statistics have settled
    for arch in mobilenetv2 mobilenetv2_tv; do
        train $arch train.epochs=20 train.batch=10 train.lr=0.05
        same $arch "$run/last.safetensors"
    done
}

@test "pruned nets: units left out, and a run that prune made" {
    fetch_runtime
    train resnet20
    same cut "$run" 'net.remove=[layer2.1, layer3.2]'
    removed_is cut 'layer2.1 layer3.2'
    pruned=$("$BIN/prune" "$run" 'net.remove=[layer3.1]' prune.epochs=1 analysis.samples=24 analysis.edges=60 --quiet --json |
        sed -n 's/.*"run":\s*"\(.*\)".*/\1/p')
    same pruned "$pruned"
    [ "$(grep -c layer3.1 "$D/pruned.onnx" || true)" -le 1 ] # in the metadata only
    same parent "$run"
    removed_is parent ''
    [ "$(wc -c <"$D/pruned.onnx")" -lt "$(wc -c <"$D/parent.onnx")" ]
}

@test "the published schema: opset 13, every weight under its name, bit for bit" {
    command -v protoc >/dev/null || skip "protoc is not installed"
    train resnet20
    "$BIN/export" "$run" --json --quiet >"$D/json"
    python3 - "$run" "$D/json" <<'EOF'
import json, sys
sys.path.insert(0, 'tests/peer')
import onnxfile, stfile
run = sys.argv[1]
result = json.load(open(sys.argv[2]))
assert result == {'arch': 'resnet20', 'onnx': run + '/best.onnx', 'opset': 13, 'params': 269722}, result
model = onnxfile.read(result['onnx'])
assert model['ir_version'] == ['7'] and model['opset_import'] == [{'version': ['13']}]
(graph,) = model['graph']
tensors, meta = stfile.read(run + '/best.safetensors')
weights = {t['name'][0].decode(): t for t in graph['initializer'] if t['data_type'] == ['1']}
assert weights.keys() == {k for k in tensors if 'num_batches' not in k}
for name, t in weights.items():
    assert [int(d) for d in t['dims']] == tensors[name][1] and t['raw_data'][0] == tensors[name][2], name
known = {b'image'} | {t['name'][0] for t in graph['initializer']}
for node in graph['node']:  # in an order in which they can be computed
    assert set(node['input']) <= known, node
    known |= set(node['output'])
assert graph['output'][0]['name'] == [b'logits'] and b'logits' in known
normalisation = json.loads(meta['normalisation'])
for key in ('mean', 'std'):
    assert json.loads(onnxfile.metadata(model)[key]) == normalisation[key]
EOF
}

@test "ONNX's checker and shape inference accept the models" {
    /usr/bin/python3 -c 'import onnx' 2>/dev/null || skip "python3-onnx is not installed"
    for arch in resnet20 vgg11_bn mobilenetv2_tv; do
        train $arch
        "$BIN/export" "$run" --output "$D/checked.onnx" --quiet
        /usr/bin/python3 -c 'import onnx, sys
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info}
assert len(shapes) >= len(model.graph.node) - 1' "$D/checked.onnx"
    done
}

@test "failures: a folder that does not exist, no architecture" {
    train resnet20
    run --separate-stderr "$BIN/export" "$run" --output "$D/no/where.onnx"
    [ "$status" -eq 1 ] && [[ $stderr == *"no/where.onnx"* ]]
    run --separate-stderr "$BIN/export" tests/golden/resnet20.safetensors --output "$D/x.onnx"
    [ "$status" -ne 0 ] && [ ! -e "$D/x.onnx" ]
}
