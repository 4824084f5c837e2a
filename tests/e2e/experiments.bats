#!/usr/bin/env bats
# tools/curves.py, tools/tsne.py, tools/reproduce.sh: pictures from made-up numbers, and a small experiment in full.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    A=$BATS_TEST_TMPDIR
    /usr/bin/python3 - "$A" <<'PY'
import json, os, sys
def write(folder, names, scale):
    os.makedirs(f'{sys.argv[1]}/{folder}')
    layers = [{'name': n, 'yang': {'M': None if i == 1 else scale * i / 9}, 'lu': {'mean': scale * i / 7}}
              for i, n in enumerate(names)]
    json.dump({'arch': 'resnet20', 'layers': layers}, open(f'{sys.argv[1]}/{folder}/analysis.json', 'w'))
blocks = ['conv1', "layer1.0's", 'layer2.0', 'layer3.0']
write('a', blocks, 1), write('b', blocks, .5), write('c', ['conv1', 'layer3.0'], .7)
for epoch in (1, 2, 10): write(f'run/analysis/epoch-{epoch:03d}', blocks, epoch / 10)
PY
}

need_gnuplot() { command -v gnuplot >/dev/null || skip "no gnuplot"; }

@test "curves: analyses of the same layers by name, of others by depth" {
    need_gnuplot
    tools/curves.py --out "$A/same" "it's a=$A/a" "$A/b/analysis.json"
    grep -q "layer2.0" "$A/same.svg"
    grep -q "it's a" "$A/same.svg"
    [ -s "$A/same.png" ]
    tools/curves.py --out "$A/other" "$A/a" "$A/c"
    grep -q "relative depth" "$A/other.svg"
}

@test "curves: what analysis.every recorded, against the epoch" {
    need_gnuplot
    tools/curves.py --epochs "$A/run"
    [ -s "$A/run/analysis/epochs.png" ]
    grep -q "epoch 10" "$A/run/analysis/epochs.svg"
}

@test "curves: failures" {
    run tools/curves.py --out "$A/x"
    [ "$status" -eq 2 ]
    run tools/curves.py --out "$A/x" "$A/none"
    [ "$status" -eq 3 ] && [[ $output == *none* ]]
    run tools/curves.py --epochs "$A"
    [ "$status" -eq 3 ] && [[ $output == *analysis.every* ]]
}

@test "t-SNE: classes that are far apart stay apart" {
    need_gnuplot
    /usr/bin/python3 -c 'import sklearn' 2>/dev/null || skip "no python3-sklearn"
    /usr/bin/python3 - "$A/a" <<'PY'
import json, os, sys
import numpy as np
rng, folder = np.random.default_rng(0), sys.argv[1]
os.makedirs(f'{folder}/features')
label = np.arange(60) % 3
for layer in json.load(open(f'{folder}/analysis.json'))['layers']:
    np.save(f'{folder}/features/{layer["name"]}.npy', (rng.normal(size=(60, 80)) + 9 * np.eye(3, 80)[label]).astype('f4'))
open(f'{folder}/features/labels.csv', 'w').write('image,label,class\n' + ''.join(f'{i},{l},c{l}\n' for i, l in enumerate(label)))
PY
    OMP_NUM_THREADS=1 tools/tsne.py "$A/a" --perplexity 10
    [ -s "$A/a/tsne.png" ] && [ -s "$A/a/tsne.svg" ]
    /usr/bin/python3 - "$A/a/tsne.csv" <<'PY'
import csv, sys
import numpy as np
rows = [r for r in csv.DictReader(open(sys.argv[1])) if r['layer'] == 'conv1']
x, label = np.array([[float(r['x']), float(r['y'])] for r in rows]), np.array([r['label'] for r in rows])
distance = np.linalg.norm(x[:, None] - x[None], axis=2) + np.eye(len(x)) * 1e9
assert len(rows) == 60 and (label[distance.argmin(1)] == label).all()
PY
}

@test "t-SNE names what is missing" {
    run tools/tsne.py "$A/none"
    [ "$status" -eq 3 ]
    /usr/bin/python3 -c 'import sklearn' 2>/dev/null || {
        run tools/tsne.py "$A/a"
        [ "$status" -eq 1 ] && [[ $output == *python3-sklearn* ]]
        return
    }
    run tools/tsne.py "$A/a"
    [ "$status" -eq 3 ] && [[ $output == *analysis.features* ]]
}

@test "reproduce: train, analyze, prune by two metrics; repeated, it does nothing twice; the ledger reads the results" {
    row() {
        BIN=${BIN:-bin} tools/reproduce.sh configs/short/resnet20.yaml --metrics "yang last" data.format=synthetic data.train_limit=64 \
            data.test_limit=60 analysis.samples=60 analysis.edges=200 analysis.lu_batch=30 train.epochs=1 train.batch=32 \
            prune.eps=0.5 out="$A/runs" 2>"$A/log"
    }
    row >"$A/one"
    row >"$A/two"
    cmp "$A/one" "$A/two"
    grep -q "this prune is finished" "$A/log"
    [ "$(wc -l <"$A/one")" -eq 3 ]
    tools/ledger.py --format json "$A/runs" >"$A/ledger.json"
    /usr/bin/python3 -c 'import json, sys; assert sorted(l["way"] for l in json.load(open(sys.argv[1]))["pruning"]) == ["last", "yang"]' \
        "$A/ledger.json"
    run tools/reproduce.sh
    [ "$status" -eq 2 ]
    # a series that uses the same training
    BIN=${BIN:-bin} tools/reproduce.sh configs/short/resnet20.yaml --metrics yang --counts "1 2" data.format=synthetic \
        data.train_limit=64 data.test_limit=60 train.epochs=1 train.batch=32 prune.pick=most out="$A/runs" >"$A/series" 2>"$A/log"
    [ "$(head -n 1 "$A/series")" = "$(head -n 1 "$A/one")" ]
    tools/ledger.py "$A/runs" | grep -q "yang, 2 of most gain"
}
