#!/usr/bin/env bats
# tests/run itself: in whatever way a program fails, the total and the exit status show it.

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# fake NAME: makes an executable from the shell commands on stdin.
fake() { { echo '#!/bin/sh'; cat; } >"$BATS_TEST_TMPDIR/$1"; chmod +x "$BATS_TEST_TMPDIR/$1"; }

# runner EXPECTED_STATUS EXPECTED_TOTAL NAME...
runner() {
    local status_wanted=$1 total=$2
    shift 2
    run env TEST_TIMEOUT=2 tests/run "${@/#/$BATS_TEST_TMPDIR/}"
    echo "$output"
    [ "$status" -eq "$status_wanted" ] && [ "${lines[-1]}" = "$total" ]
}

@test "passed tests add up over programs" {
    fake a <<<'echo 1..2; echo ok 1 - x; echo ok 2 - y'
    fake b <<<'echo 1..1; echo ok 1 - z'
    runner 0 "3 passed, 0 failed, 0 skipped" a b
}

@test "a failure is shown with its output" {
    fake a <<<'echo 1..2; echo ok 1 - x; echo noise; echo not ok 2 - y; echo "# 1 != 2"; exit 1'
    runner 1 "1 passed, 1 failed, 0 skipped" a
    [[ $output == *noise* && $output == *"1 != 2"* ]]
}

@test "skips as cmocka writes them count as skipped and name their reason" {
    fake a <<<'echo 1..2; echo ok 1 - x; echo "SKIPPED: no data"; echo "not ok 2 # SKIP y"'
    runner 0 "1 passed, 0 failed, 1 skipped" a
    [[ $output == *"y: no data"* ]]
}

@test "only skipped tests are not a success" {
    fake a <<<'echo 1..1; echo "ok 1 x # skip no reason"'
    runner 1 "0 passed, 0 failed, 1 skipped" a
}

@test "a crash, a hang, an early exit, a failing exit and a missing program all count" {
    fake crash <<<'echo 1..2; echo ok 1 - x; kill -SEGV $$'
    fake hang <<<'echo 1..2; echo ok 1 - x; sleep 30'
    fake early <<<'echo 1..2; echo ok 1 - x'
    fake leak <<<'echo 1..1; echo ok 1 - x; exit 23'
    runner 1 "4 passed, 5 failed, 0 skipped" crash hang early leak missing
}

@test "it is a failure if no program is given" {
    runner 1 "0 passed, 0 failed, 0 skipped"
}
