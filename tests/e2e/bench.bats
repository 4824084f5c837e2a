#!/usr/bin/env bats
# bench: the fields of its JSON, sums and ratios that must agree, a peer, failures.

bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin}
    export SMALL="net.arch=resnet20 train.batch=8 analysis.samples=100 --rounds 3 --quiet"
    # A peer that always takes a minute to train, a second to infer and 1 GB.
    cat >"$BATS_FILE_TMPDIR/peer" <<'PEER'
#!/bin/bash
echo "fixed $4"
while read -r word; do
    case $word in train) echo 60 ;; eval) echo 1 ;; memory) echo 1e9 ;; esac
done
PEER
    printf '#!/bin/bash\necho ready\nread -r word\necho soon\n' >"$BATS_FILE_TMPDIR/babbler"
    printf '#!/bin/bash\nexit 3\n' >"$BATS_FILE_TMPDIR/mute"
    chmod +x "$BATS_FILE_TMPDIR"/*
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

@test "bench --json: every field, shares of time that add up to one, no step much faster than the ceiling" {
    # shellcheck disable=SC2086
    run --separate-stderr "$BIN/bench" $SMALL device=cpu --json
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    /usr/bin/python3 - "$output" <<'PY'
import json, sys
j = json.loads(sys.argv[1])
assert (j['arch'], j['device'], j['precision'], j['batch']) == ('resnet20', 'cpu', 'f32', 8), j
for key in ('train_images_per_s', 'eval_images_per_s', 'ceiling_images_per_s', 'share_of_ceiling', 'peak_rss_bytes',
            'loader_train_images_per_s', 'loader_eval_images_per_s', 'threads'):
    assert j[key] > 0, key
assert j['eval_images_per_s'] > j['train_images_per_s']
shares = j['time_share']
assert set(shares) == {'conv', 'bn', 'elementwise', 'reorder', 'optimizer', 'data', 'other'}, shares
assert abs(sum(shares.values()) - 1) < 1e-6 and min(shares.values()) > -1e-9, shares
assert shares['conv'] > 0.05 and shares['bn'] > 0 and shares['optimizer'] > 0, shares
assert j['gram']['n'] == 100 and j['gram']['gflops'] > 0 and j['gram']['gemm_gflops'] > 0, j['gram']
assert 'peer' not in j
PY
}

@test "bench --peer: the peer is measured in its better mode" {
    # shellcheck disable=SC2086
    run --separate-stderr "$BIN/bench" $SMALL --peer "$BATS_FILE_TMPDIR/peer" --json
    [ "$status" -eq 0 ]
    /usr/bin/python3 - "$output" <<'PY'
import json, sys
j = json.loads(sys.argv[1])
p = j['peer']
assert p['train_mode'].startswith('fixed') and p['peak_rss_bytes'] == 1e9, p
assert abs(p['train_images_per_s'] - 8 / 60) < 1e-9 and abs(p['eval_images_per_s'] - 8) < 1e-9, p
# With a constant peer the median of ratios equals the ratio of medians.
assert abs(p['times_train'] / (j['train_images_per_s'] * 60 / 8) - 1) < 1e-6, p
PY
}

@test "bench: a row for the table, and text" {
    # shellcheck disable=SC2086
    run --separate-stderr "$BIN/bench" $SMALL --peer "$BATS_FILE_TMPDIR/peer" --row
    [ "$status" -eq 0 ]
    [ "$(tr -cd '|' <<<"$output" | wc -c)" -eq 13 ]
    # shellcheck disable=SC2086
    run --separate-stderr "$BIN/bench" $SMALL
    [ "$status" -eq 0 ]
    [[ "$output" == *"convolutions alone"*"similarity matrix"*"time of training"* ]]
}

@test "bench: failures are one line" {
    local case
    for case in "--rounds 0" "--rounds many" "net.arch=resnet21" "nonsense" "train.batch=8 data.test_limit=7"; do
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/bench" $case
        [ "$status" -eq 2 ]
        [ -z "$output" ]
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
    for case in babbler mute absent; do
        # shellcheck disable=SC2086
        run --separate-stderr "$BIN/bench" $SMALL --peer "$BATS_FILE_TMPDIR/$case"
        [ "$status" -eq 1 ]
        [ "$(wc -l <<<"$stderr")" -eq 1 ]
    done
}
