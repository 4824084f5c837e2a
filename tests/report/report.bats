#!/usr/bin/env bats
# report: Python compares the file with those of the runs; the page is tested in a real browser.

setup_file() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    export BIN=${BIN:-bin} B=${B:-build}
    SMALL="data.format=synthetic train.batch=64 data.train_limit=512 data.test_limit=320 analysis.samples=300 analysis.edges=40000 analysis.lu_batch=100"
    # shellcheck disable=SC2086
    "$BIN/train" /dev/null name=a net.arch=resnet20 train.epochs=2 $SMALL analysis.every=2 out="$BATS_FILE_TMPDIR/runs" --quiet
    RUN=$(echo "$BATS_FILE_TMPDIR"/runs/a-*)
    "$BIN/analyze" "$RUN" --quiet
    "$BIN/prune" "$RUN" 'net.remove=[layer1.1, layer2.2]' prune.epochs=1 train.epochs=1 --quiet
    PRUNED=$(echo "$BATS_FILE_TMPDIR"/runs/a-pruned-*)
    export RUN PRUNED REPORT="$BATS_FILE_TMPDIR/report.html"
    "$BIN/report" "$RUN" "$PRUNED" --out "$REPORT" --quiet --json >"$BATS_FILE_TMPDIR/report.json"
    browse >"$BATS_FILE_TMPDIR/cases" 2>"$BATS_FILE_TMPDIR/cases.err" || true
}

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

chromium_path() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# Runs all cases in one browser. Each test below looks up its own.
browse() {
    need_page >/dev/null || return 0
    NODE_PATH=$PWD/build/page/node_modules CHROMIUM=$(chromium_path) timeout 600 node tests/report/page.mjs "$REPORT"
}

need_page() {
    command -v node >/dev/null || { echo "no Node.js"; return 1; }
    [ -d build/page/node_modules/playwright-core ] || { echo "no playwright-core: the page was built without npm"; return 1; }
    chromium_path >/dev/null || { echo "no Chromium"; return 1; }
    grep -q '"interactive":.*true' "$BATS_FILE_TMPDIR/report.json" || { echo "built without the page"; return 1; }
}

in_browser() {
    local why
    why=$(need_page) || skip "$why"
    cat "$BATS_FILE_TMPDIR/cases.err"
    grep -F "$1" "$BATS_FILE_TMPDIR/cases"
    grep -Fxq "ok $1" "$BATS_FILE_TMPDIR/cases"
}

@test "edges, curves, costs, filters and images are those of the runs" {
    why=$(need_page) || skip "$why"
    run tests/report/report_check.py "$REPORT" "$RUN" "$PRUNED"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "2 runs, "* ]]
}

@test "opens from disk, offline, without a complaint" { in_browser "opens from disk, offline, without a complaint"; }
@test "the layer slider moves ring, histogram, curve and net" { in_browser "the layer slider moves ring, histogram, curve and net"; }
@test "the whole net at once, and back" { in_browser "the whole net at once, and back"; }
@test "the epoch slider shows other graphs" { in_browser "the epoch slider shows other graphs"; }
@test "pointing at an edge shows its two images" { in_browser "pointing at an edge shows its two images and their similarity"; }
@test "the first edge of the keyboard is the most similar pair" { in_browser "the first edge of the keyboard is the most similar pair"; }
@test "keyboard alone" { in_browser "keyboard alone: slider, j and k, image, choices"; }
@test "correct and wrong edges apart, filtered by class" { in_browser "correct and wrong edges apart, filtered by class"; }
@test "class colours on the rim only where edges have them; whole epochs" { in_browser "class colours on the rim only where edges have them; whole epochs"; }
@test "activations follow the picked image" { in_browser "activations follow the picked image"; }
@test "the criterion says why at every unit" { in_browser "the criterion says why at every unit"; }
@test "runs side by side, and one of them alone" { in_browser "runs side by side, and one of them alone"; }
@test "dark: dark paper, light ink, and a switch" { in_browser "dark: dark paper, light ink, and a switch"; }
@test "1280 and 400 pixels wide: nothing sticks out" { in_browser "1280 and 400 pixels wide: nothing sticks out"; }
@test "long class names end with dots" { in_browser "long class names end with dots, few or many of them"; }
@test "without WebGL a sample of the edges" { in_browser "without WebGL a sample of the edges on a plain canvas"; }
@test "a step through the layers draws all edges in a few calls" { in_browser "a step through the layers draws all edges in a few calls"; }

@test "names that are markup stay names" {
    evil="$BATS_TEST_TMPDIR/<img src=x onerror=alert(1)>"
    cp -r "$PRUNED" "$evil"
    rm "$evil/last.safetensors" # it would decide the state
    sed -i 's|"state":.*|"state": "</script><script>window.evil=1</script>",|' "$evil/status.json"
    "$BIN/report" "$evil" "$RUN" --out "$BATS_TEST_TMPDIR/evil.html" --quiet
    [ "$(grep -c '<img' "$BATS_TEST_TMPDIR/evil.html")" -eq "$(grep -c '<img' "$REPORT")" ]
    [ "$(grep -o '</script' "$BATS_TEST_TMPDIR/evil.html" | wc -l)" -eq "$(grep -o '</script' "$REPORT" | wc -l)" ]
    "$BIN/report" "$evil" --still --out "$BATS_TEST_TMPDIR/still.html" --quiet
    run ! grep -F '<img src=x' "$BATS_TEST_TMPDIR/still.html"
    grep -qF '&lt;img src=x' "$BATS_TEST_TMPDIR/still.html"
}

@test "a run that was killed between its last checkpoint and status.json is done; one that was killed is not running" {
    local run=$BATS_TEST_TMPDIR/a-killed why
    why=$(need_page) || skip "$why"
    state() {
        "$BIN/report" "$run" --quiet --out "$BATS_TEST_TMPDIR/r.html"
        grep -o '"status":{"state":"[a-z]*"' "$BATS_TEST_TMPDIR/r.html"
    }
    cp -r "$RUN" "$run"
    sed -i 's|"state":.*|"state": "running",|' "$run/status.json"
    [ "$(state)" = '"status":{"state":"done"' ]
    rm "$run/last.safetensors"
    [ "$(state)" = '"status":{"state":"stopped"' ]
}

@test "a class name that is not UTF-8: the report is UTF-8 all the same" {
    "$BIN/attack" "$RUN" attack.eps=0 --into "$BATS_TEST_TMPDIR/images" --quiet # the same images, as files
    printf 'caf\xe9 \x1b[31m\n' >"$BATS_TEST_TMPDIR/images/batches.meta.txt"
    cp -r "$RUN" "$BATS_TEST_TMPDIR/run"
    "$BIN/report" "$BATS_TEST_TMPDIR/run" data.format=cifar10 data.path="$BATS_TEST_TMPDIR/images" --out "$BATS_TEST_TMPDIR/r.html" --quiet
    iconv -f UTF-8 -t UTF-8 "$BATS_TEST_TMPDIR/r.html" >/dev/null
    grep -qaF 'caf? \u001b[31m' "$BATS_TEST_TMPDIR/r.html"
    "$BIN/report" "$BATS_TEST_TMPDIR/run" --still --out "$BATS_TEST_TMPDIR/s.html" --quiet
    iconv -f UTF-8 -t UTF-8 "$BATS_TEST_TMPDIR/s.html" >/dev/null
}

@test "names that are markup stay names in the browser" { in_browser "a hostile name is text"; }

@test "--still: the pictures of analyze inlined, and no script" {
    "$BIN/report" "$RUN" "$PRUNED" --still --out "$BATS_TEST_TMPDIR/still.html" --quiet
    [ "$(grep -c 'src="data:image/png;base64,' "$BATS_TEST_TMPDIR/still.html")" -eq 3 ]
    grep -q 'Still pictures only' "$BATS_TEST_TMPDIR/still.html"
    run ! grep -q '<script' "$BATS_TEST_TMPDIR/still.html"
}

@test "images that have moved: a note, and the rest is there" {
    run "$BIN/report" "$RUN" data.format=folder data.path=/nowhere --out "$BATS_TEST_TMPDIR/r.html"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"no images, no activations: /nowhere"* ]]
}

@test "not a run, a damaged edge file, a bad option: one line, the right exit code" {
    run "$BIN/report" "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ]
    [[ $output == *"not a run directory"* ]]
    run "$BIN/report" "$RUN/best.safetensors"
    [ "$status" -eq 3 ]
    run "$BIN/report" "$RUN" --images 0
    [ "$status" -eq 2 ]
    run "$BIN/report"
    [ "$status" -eq 2 ]
    cp -r "$RUN" "$BATS_TEST_TMPDIR/bad"
    printf '\377\377\377\177' | dd of="$BATS_TEST_TMPDIR/bad/analysis/edges/conv1.bin" bs=1 seek=24 conv=notrunc status=none
    run "$BIN/report" "$BATS_TEST_TMPDIR/bad" --out "$BATS_TEST_TMPDIR/r.html" --quiet
    echo "$output"
    [ "$status" -eq 3 ]
    [[ $output == *"conv1.bin: edge 2 joins 2147483647"* ]]
    [ "${#lines[@]}" -eq 1 ]
    [ ! -e "$BATS_TEST_TMPDIR/r.html" ]
}

@test "a pipe called metrics.jsonl is an error at once" {
    cp -r "$RUN" "$BATS_TEST_TMPDIR/bad"
    rm "$BATS_TEST_TMPDIR/bad/metrics.jsonl"
    mkfifo "$BATS_TEST_TMPDIR/bad/metrics.jsonl"
    run timeout 60 "$BIN/report" "$BATS_TEST_TMPDIR/bad" --out "$BATS_TEST_TMPDIR/r.html" --quiet
    echo "$output"
    [ "$status" -eq 3 ]
    [[ $output == *"metrics.jsonl: a pipe, not a regular file" ]]
}
