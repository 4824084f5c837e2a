#!/usr/bin/env bats
# prune: decisions, the new run, repeating, resuming after a kill, failures.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=p net.arch=resnet20 data.format=synthetic data.train_limit=192 \
        data.test_limit=100 train.batch=32 train.epochs=1 threads=1 analysis.samples=100 analysis.edges=1000 \
        analysis.histogram_samples=100 analysis.lu_batches=2 analysis.lu_batch=50 \
        out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/p-*)
    export RUN
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# check SCRIPT JSON ARGUMENT...: the script sees them as j and a.
check() {
    /usr/bin/python3 -c "import json, os, sys
j = json.loads(sys.argv[1]); a = sys.argv[2:]
$1" "${@:2}"
}

absent() { if grep -q "$1" "$2"; then return 1; fi; } # bats does not see a failing "! grep"

@test "a dry run says what would be cut and trains nothing" {
    json=$("$BIN/prune" "$RUN" --dry-run --json out="$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/log")
    check 'u = {x["name"]: x for x in j["units"]}
assert j["arch"] == "resnet20" and j["metric"] == "yang" and len(u) == 10, j
assert j["removed"] == [n for n in u if u[n]["cut"]] and all(u[n]["removable"] for n in j["removed"])
assert not u["conv1"]["removable"] and not u["layer2.0"]["removable"] and all(x["reason"] for x in j["units"])
size = {"1": 4672, "2": 18560, "3": 73984}
assert j["params_before"] == 269722
assert j["params_before"] - j["params_after"] == sum(size[n[5]] for n in j["removed"])
assert abs(j["saving_percent"] - 100 * (1 - j["params_after"] / 269722)) < 1e-9
assert j["latency_ms_before"] > 0 and j["macs_before"] == 40551040 and "accuracy_after" not in j' "$json"
    [ -s "$RUN/analysis/analysis.json" ]
    [ ! -e "$BATS_TEST_TMPDIR/out" ]
    grep -q "layer3.2" "$BATS_TEST_TMPDIR/log"
}

@test "the criterion decides as docs/definitions.md says, for M and for Q" {
    for metric in yang lu; do
        json=$("$BIN/prune" "$RUN" --dry-run --json --quiet prune.metric=$metric prune.eps=0.05 \
            prune.floor=0.2)
        check 'layers = {x["name"]: x for x in json.load(open(a[0] + "/analysis/analysis.json"))["layers"]}
def value(n): return layers[n]["yang"]["M"] if a[1] == "yang" else layers[n]["lu"]["mean"]
u = j["units"]; m = [value(x["name"]) for x in u]
assert [x["value"] for x in u] == m and None not in m
eps = .05 * (max(m) - min(m)); floor = .2 * max(m); p = [t for t in range(len(m)) if m[t] >= max(m) - eps][0]
ref = m[0]; cut = []
for t in range(1, len(m)):
    if u[t]["removable"] and (t > p or ref >= floor and m[t] - ref <= eps): cut.append(u[t]["name"])
    else: ref = m[t]
assert j["removed"] == cut and j["metric"] == a[1], (m, cut, j["removed"])' "$json" "$RUN" $metric
    done
}

@test "an existing analysis is used, but not for newer weights or other settings" {
    used="using .*analysis.json"
    "$BIN/prune" "$RUN" --dry-run 2>"$BATS_TEST_TMPDIR/log"
    grep -q "$used" "$BATS_TEST_TMPDIR/log"
    touch -d '+1 hour' "$RUN/best.safetensors"
    "$BIN/prune" "$RUN" --dry-run 2>"$BATS_TEST_TMPDIR/log"
    absent "$used" "$BATS_TEST_TMPDIR/log"
    touch -d '-1 hour' "$RUN/best.safetensors"
    for setting in analysis.k=4 analysis.norm=literal analysis.balanced=true seed=9 analysis.lu_batch=40; do
        "$BIN/prune" "$RUN" --dry-run $setting 2>"$BATS_TEST_TMPDIR/log"
        absent "$used" "$BATS_TEST_TMPDIR/log"
        "$BIN/prune" "$RUN" --dry-run $setting 2>"$BATS_TEST_TMPDIR/log"
        grep -q "$used" "$BATS_TEST_TMPDIR/log"
    done
}

@test "seeds that are the same as doubles are not the same: 2^53 and 2^53 + 1" {
    local seed log=$BATS_TEST_TMPDIR/log
    cp -r "$RUN" "$BATS_TEST_TMPDIR/run"
    for seed in 9007199254740992 9007199254740993; do
        "$BIN/prune" "$BATS_TEST_TMPDIR/run" --dry-run seed=$seed 2>"$log"
        absent "using" "$log"
        check 'assert j["seed"] == int(a[0]) and j["seed_text"] == a[0], j["seed"]' \
            "$(cat "$BATS_TEST_TMPDIR/run/analysis/analysis.json")" $seed
        "$BIN/prune" "$BATS_TEST_TMPDIR/run" --dry-run seed=$seed 2>"$log"
        grep -q "using" "$log"
    done
    json=$("$BIN/prune" "$RUN" --dry-run --json --quiet prune.metric=random prune.count=1 prune.seed=9007199254740993)
    check 'assert j["prune_seed"] == 9007199254740993' "$json"
}

@test "an analysis of other images is not used, and its pictures are removed" {
    cp -r "$RUN" "$BATS_TEST_TMPDIR/run"
    "$BIN/analyze" "$BATS_TEST_TMPDIR/run" --quiet
    [ -e "$BATS_TEST_TMPDIR/run/analysis/rings.png" ]
    "$BIN/prune" "$BATS_TEST_TMPDIR/run" --dry-run 2>"$BATS_TEST_TMPDIR/log"
    grep -q "using" "$BATS_TEST_TMPDIR/log"
    for images in data.test_limit=90 'data={mean: [0, 0, 0]}'; do
        "$BIN/prune" "$BATS_TEST_TMPDIR/run" --dry-run "$images" 2>"$BATS_TEST_TMPDIR/log"
        absent "using" "$BATS_TEST_TMPDIR/log"
        [ ! -e "$BATS_TEST_TMPDIR/run/analysis/rings.png" ]
    done
}

@test "baselines cut as many units as Criterion I by M; prune.count cuts exactly that number, and series are nested" {
    want=$("$BIN/prune" "$RUN" --dry-run --json --quiet prune.eps=0.2 prune.floor=0)
    for metric in random last cka; do
        json=$("$BIN/prune" "$RUN" --dry-run --json --quiet prune.eps=0.2 prune.floor=0 prune.metric=$metric)
        check 'm = json.loads(a[0]); able = [x["name"] for x in j["units"] if x["removable"]]
assert j["metric"] == a[1] and len(m["removed"]) > 0 and len(j["removed"]) == len(m["removed"]) == j["count"], (j, m)
assert set(j["removed"]) <= set(able)
if a[1] == "last": assert j["removed"] == able[-len(j["removed"]):]
if a[1] == "random": assert j["prune_seed"] == 0
if a[1] == "cka":
    t = json.load(open(a[2] + "/analysis/analysis.json")); names = [x["name"] for x in t["layers"]]
    change = {n: 1 - t["cka"]["matrix"][i - 1][i] for i, n in enumerate(names) if i}
    assert all(abs(x["value"] - change[x["name"]]) < 1e-12 for x in j["units"][1:]) and j["units"][0]["value"] is None
    assert set(j["removed"]) == set(sorted(able, key=lambda n: change[n])[:len(j["removed"])])' \
            "$json" "$want" $metric "$RUN"
    done
    cut='[]'
    for count in 1 2 3; do
        json=$("$BIN/prune" "$RUN" --dry-run --json --quiet prune.count=$count)
        check 'before = json.loads(a[1])
assert len(j["removed"]) == j["count"] == int(a[0]) and j["pick"] == "least" and set(before) <= set(j["removed"])' \
            "$json" $count "$cut"
        cut=$(check 'print(json.dumps(j["removed"]))' "$json")
    done
    run "$BIN/prune" "$RUN" --dry-run prune.count=8
    [ "$status" -eq 2 ] && [[ $output == *"only 7 can"* ]]
}

@test "by hand: a new run with prune.json, linked to its parent; repeated, it gives the same result at once" {
    args=(net.remove=[layer1.1,layer3.2] prune.epochs=1 --json)
    json=$("$BIN/prune" "$RUN" "${args[@]}" 2>/dev/null)
    check 'assert j["metric"] == "hand" and j["removed"] == ["layer1.1", "layer3.2"], j
assert j["params_before"] - j["params_after"] == 4672 + 73984
assert [x["reason"] for x in j["units"] if x["cut"]] == ["chosen by hand"] * 2
assert all(0 <= j["accuracy_" + k] <= 1 for k in ("before", "cut", "after", "last")), j
assert os.path.basename(j["run"]).startswith("p-pruned-hand-")
assert json.load(open(j["run"] + "/prune.json")) == j
s = json.load(open(j["run"] + "/status.json")); assert s["state"] == "done" and s["epochs"] == 1, s
b = open(j["run"] + "/best.safetensors", "rb").read(); n = int.from_bytes(b[:8], "little")
h = json.loads(b[8:8 + n]); m = h["__metadata__"]
assert json.loads(m["arch"])["removed"] == ["layer1.1", "layer3.2"] and m["parent"] == j["parent"]
assert [c["name"] for c in json.loads(m["cuts"])] == ["layer1.1", "layer3.2"]
assert "layer3.1.conv1.weight" in h and not any(k.startswith(("layer3.2", "layer1.1")) for k in h)' "$json"
    again=$("$BIN/prune" "$RUN" "${args[@]}" 2>"$BATS_TEST_TMPDIR/log")
    check 'assert j == json.loads(a[0])' "$again" "$json"
    grep -q finished "$BATS_TEST_TMPDIR/log"
    absent "^epoch" "$BATS_TEST_TMPDIR/log"

    # A pruned run is like any other: evaluate gives the accuracy of prune.json, and it can be pruned further.
    run=$(check 'print(j["run"])' "$json")
    eval=$("$BIN/evaluate" "$run" --json --quiet)
    check 'assert j["accuracy"] == json.loads(a[0])["accuracy_after"], (j, a)' "$eval" "$json"
    more=$("$BIN/prune" "$run" net.remove=[layer2.2] --dry-run --json --quiet)
    check 'p = json.loads(a[0])
assert j["removed"] == ["layer2.2"] and j["params_before"] == p["params_after"], j
assert j["accuracy_before"] == p["accuracy_after"]' "$more" "$json"
}

@test "accuracy right after the cut equals that of evaluate with net.remove=" {
    json=$("$BIN/prune" "$RUN" net.remove=[layer3.1] --dry-run --json --quiet)
    cut=$("$BIN/evaluate" "$RUN" net.remove=[layer3.1] --json --quiet)
    full=$("$BIN/evaluate" "$RUN" --json --quiet)
    check 'assert j["accuracy_cut"] == json.loads(a[0])["accuracy"]
assert j["accuracy_before"] == json.loads(a[1])["accuracy"]' "$json" "$cut" "$full"
}

@test "a killed prune continues when the command is repeated, to the same bits" {
    args=(net.remove=[layer2.1] prune.epochs=6 prune.init=scratch)
    "$BIN/prune" "$RUN" "${args[@]}" --quiet --json out="$BATS_TEST_TMPDIR/whole" >"$BATS_TEST_TMPDIR/a"
    "$BIN/prune" "$RUN" "${args[@]}" --quiet out="$BATS_TEST_TMPDIR/killed" &
    pid=$!
    for _ in $(seq 600); do [ -e "$BATS_TEST_TMPDIR"/killed/*/last.safetensors ] && break; sleep 0.1; done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 75 ]
    [ ! -e "$BATS_TEST_TMPDIR"/killed/*/prune.json ]
    "$BIN/prune" "$RUN" "${args[@]}" --quiet --json out="$BATS_TEST_TMPDIR/killed" >"$BATS_TEST_TMPDIR/b"
    check 'a, b = (json.load(open(f)) for f in a)
assert all(a["accuracy_" + k] == b["accuracy_" + k] for k in ("before", "cut", "after", "last")), (a, b)
def tensors(p): d = open(p + "/best.safetensors", "rb").read(); return d[8 + int.from_bytes(d[:8], "little"):]
assert tensors(a["run"]) == tensors(b["run"])' '{}' "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "it is not a failure if there is nothing to cut" {
    json=$("$BIN/prune" "$RUN" net.remove=[] --json 2>"$BATS_TEST_TMPDIR/log")
    check 'assert j["removed"] == [] and j["saving_percent"] == 0 and j["params_after"] == j["params_before"]
assert 0 < j["accuracy_before"] <= 1 and j["accuracy_cut"] == j["accuracy_before"] and "accuracy_after" not in j
assert json.load(open(a[0] + "/analysis/prune.json")) == j' "$json" "$RUN"
    grep -q "nothing to cut: net.remove names no unit" "$BATS_TEST_TMPDIR/log"
}

@test "what only the floor keeps is said to be kept by the floor, in a dry run too" {
    local dir=$BATS_TEST_TMPDIR/given log=$BATS_TEST_TMPDIR/log
    mkdir "$dir"
    check 'm = dict(zip("conv1 layer1.0 layer1.1 layer1.2 layer2.0 layer2.1 layer2.2 layer3.0 layer3.1 layer3.2".split(),
    (.03, .02, .021, .05, .1, .2, .4, .6, .8, 1)))
json.dump({"arch": "resnet20", "layers": [{"name": n, "yang": {"M": v}} for n, v in m.items()]}, open(a[0], "w"))' \
        '{}' "$dir/analysis.json"
    json=$("$BIN/prune" "$RUN" --dry-run --json --analysis "$dir" 2>"$log")
    grep -q '^nothing to cut: .*only prune.floor keeps 2 (layer1.0, layer1.1)' "$log"
    grep -q '^there is no new run; prune.count=N' "$log"
    grep -q '^layer1.0 .* only prune.floor keeps it: -0.01 over conv1' "$log"
    absent "still helps" "$log"
    check 'rule = {u["name"]: u["rule"] for u in j["units"]}
assert [n for n in rule if rule[n] == "floor"] == ["layer1.0", "layer1.1"] and rule["conv1"] == "first", rule
assert rule["layer2.0"] == rule["layer3.0"] == "fixed" and rule["layer3.2"] == "rises"' "$json"
    json=$("$BIN/prune" "$RUN" --dry-run --json --quiet --analysis "$dir" prune.floor=0)
    check 'assert j["removed"] == ["layer1.0", "layer1.1"]
assert [u["rule"] for u in j["units"] if u["cut"]] == ["decline", "decline"]' "$json"
}

@test "a bare checkpoint: the analysis goes to OUT/NAME-analysis" {
    cp "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/bare.safetensors"
    "$BIN/prune" "$BATS_TEST_TMPDIR/bare.safetensors" --dry-run --quiet out="$BATS_TEST_TMPDIR/out"
    [ -s "$BATS_TEST_TMPDIR/out/bare-analysis/analysis.json" ]
}

@test "a dry run by hand needs no images" {
    json=$("$BIN/prune" "$RUN" net.remove=[layer1.1] data.format=cifar10 data.path=none --dry-run --json \
        2>"$BATS_TEST_TMPDIR/log")
    check 'assert j["removed"] == ["layer1.1"] and "accuracy_cut" not in j' "$json"
    grep -q "no accuracies" "$BATS_TEST_TMPDIR/log"
}

@test "units that cannot be removed, options out of range: exit code 2 with the reason" {
    run "$BIN/prune" "$RUN" net.remove=[layer2.0] --dry-run
    [ "$status" -eq 2 ] && [[ $output == *layer2.0*shortcut* ]]
    run "$BIN/prune" "$RUN" net.remove=[layer7.1] --dry-run
    [ "$status" -eq 2 ] && [[ $output == *layer7.1* ]]
    run "$BIN/prune" "$RUN" prune.smooth=2
    [ "$status" -eq 2 ] && [[ $output == *prune.smooth* ]]
    run "$BIN/prune"
    [ "$status" -eq 2 ]
}
