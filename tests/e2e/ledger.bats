#!/usr/bin/env bats
# tools/ledger.py with made-up runs, some of whose results agree with the papers.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    RUNS=$BATS_TEST_TMPDIR/runs
    /usr/bin/python3 tests/e2e/ledger_runs.py "$RUNS"
}

ledger() { tools/ledger.py --format json "$RUNS" >"$BATS_TEST_TMPDIR/json"; }

check() {
    /usr/bin/python3 -c "import json, sys
j = json.load(open(sys.argv[1])); lines = {(l['arch'], l['way']): l for l in j['pruning']}
def close(a, b): assert abs(a - b) < 1e-6, (a, b)
$1" "$BATS_TEST_TMPDIR/json"
}

@test "a result like the published one agrees, over several seeds" {
    ledger
    check "l = lines['resnet18', 'yang']
assert l['agrees'] == {'change': True, 'saving': True, 'units': True}, l
assert l['published'] == {'before': 94.57, 'after': 95.03, 'saving': 42.25, 'kinds': {'layer4': 1}, 'change': .46}
close(l['before']['mean'], 94.5); close(l['before']['sd'], .1); assert l['before']['n'] == 3
close(l['change']['mean'], .5); close(l['change']['sd'], .2); assert l['differences'] == []"
}

@test "a different change of accuracy, saving or choice of units does not agree" {
    ledger
    check "l = lines['vgg16_bn', 'yang']
assert l['agrees'] == {'change': False, 'saving': False, 'units': False}, l
assert l['kinds'] == [{'256': 1, '512': 1}] and l['before']['sd'] is None
assert 'epochs 20' in l['differences'] and 'format folder' in l['differences']"
}

@test "nothing cut, as expected; results that the papers do not have; series and baselines" {
    ledger
    check "l = lines['vgg11_bn', 'lu']
assert l['agrees'] == {'change': None, 'saving': True, 'units': True} and l['kinds'] == [{}], l
assert lines['resnet18', 'random']['agrees'] is None and lines['resnet18', 'yang, 2 of least gain']['agrees'] is None
assert list(lines)[:3] == [('resnet18', 'yang'), ('resnet18', 'yang, 2 of least gain'), ('resnet18', 'random')]"
}

@test "rank correlation with the published curves" {
    ledger
    # ranks of ours against 1..9: two neighbours swapped, 1 - 6 * 2 / (9 * 80)
    check "a = {c['arch']: c for c in j['curves']}
assert len(j['curves']) == 2
close(a['resnet18']['rank_correlation'], 1 - 6 * 2 / 720); assert a['resnet18']['agrees']
close(a['resnet18']['largest_difference'], .062)
assert not a['vgg16_bn']['agrees'] and a['vgg16_bn']['rank_correlation'] < 0"
}

@test "ties share their rank" {
    run /usr/bin/python3 -c "import sys; sys.path.insert(0, 'tools')
from ledger import rank_correlation, ranks
assert ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]
a = [106, 86, 100, 101, 99, 103, 97, 113, 112, 110]; b = [7, 0, 27, 50, 28, 29, 20, 12, 6, 17]
assert abs(rank_correlation(a, b) + 29 / 165) < 1e-12 and rank_correlation([1, 1], [1, 2]) is None"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "as text and as markdown; missing results are named" {
    run tools/ledger.py "$RUNS"
    [ "$status" -eq 0 ]
    [[ $output == *"resnet18"*"94.50 ± 0.10 (3)"*"change yes, saving yes, units yes"* ]]
    [[ $output == *"not as in the paper: format folder, epochs 20"* ]]
    run tools/ledger.py --format markdown "$RUNS"
    [[ ${lines[0]} == "| net | cut by |"* && ${lines[1]} == "|---|"* ]]
    run tools/ledger.py "$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 3 ] && [[ $output == *none* ]]
    mkdir "$BATS_TEST_TMPDIR/empty"
    run tools/ledger.py "$BATS_TEST_TMPDIR/empty"
    [ "$status" -eq 3 ]
}

@test "the Python tools end quietly if nobody reads their output to its end" {
    for tool in tools/{convert,curves,ledger,tsne}.py; do
        for option in --help --man --completion-zsh; do
            { "$tool" $option 2>"$BATS_TEST_TMPDIR/err"; echo $? >"$BATS_TEST_TMPDIR/code"; } | true
            for _ in {1..100}; do [ -s "$BATS_TEST_TMPDIR/code" ] && break; sleep .1; done
            cat "$BATS_TEST_TMPDIR/err"
            [ "$(cat "$BATS_TEST_TMPDIR/code")" -eq 0 ]
            [ ! -s "$BATS_TEST_TMPDIR/err" ]
            rm "$BATS_TEST_TMPDIR/code"
        done
    done
}
