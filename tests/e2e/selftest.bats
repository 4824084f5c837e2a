#!/usr/bin/env bats
# selftest: everything passes, a wrong stored tensor is noticed, and checks that are left out are named.

bats_require_minimum_version 1.5.0

setup_file() { cd "$BATS_TEST_DIRNAME/../.." || return 1; export BIN=${BIN:-bin}; }
setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# only NET: a folder with only the stored tensors of this net
only() { mkdir -p "$BATS_TEST_TMPDIR/golden" && cp "tests/golden/$1.safetensors" "$BATS_TEST_TMPDIR/golden"; }

@test "layers on cpu against ref, nets against PyTorch: all pass, exit 0" {
    run --separate-stderr "$BIN/selftest" --json
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
r = json.loads(sys.argv[1])
kinds = {l["problem"].split()[0] for l in r["layers"] if l["device"] == "cpu"}
assert kinds == {"conv", "bnact", "conv_bnact", "bnact_pool", "pool", "linear", "dropout", "shortcut", "loss"}, kinds
for l in r["layers"]:
    both = [l["forward"]] + [l["backward"]] * (not l["problem"].endswith("_eval"))
    assert l["passed"] and all(e["worst"] and 0 <= e["error"] <= e["allowed"] for e in both), l
stored = {(n["net"], n["device"]) for n in r["nets"]}
assert {("resnet20", "ref"), ("resnet20", "cpu"), ("resnet18", "cpu"), ("vgg11_bn", "cpu")} <= stored, stored
assert all(n["passed"] and 0 < n[k] <= n["allowed"] for n in r["nets"] for k in ("forward", "backward", "training"))
assert r["failed"] == 0 and r["passed"] == len(r["layers"]) + len(r["nets"]) > 28
devices = {d["device"]: d for d in r["devices"]}
assert devices["cpu"]["available"] and (devices["cuda"]["available"] or "not available: " in devices["cuda"]["why"])
assert all(s["why"] for s in r["skipped"])' "$output"
    [[ $stderr == *" passed, 0 failed, "*" skipped"* ]]
}

@test "a changed stored tensor: the net fails, exit code 1, one line gives the number of failures" {
    only resnet20
    python3 -c 'import struct, sys
sys.path.insert(0, "tests/peer")
import stfile
tensors, meta = stfile.read(sys.argv[1])
kind, shape, data = tensors["grad layer2.1.conv1.weight"]
values = list(struct.unpack("<73d", data))
values[20] = -values[20]  # one entry of a gradient
tensors["grad layer2.1.conv1.weight"] = kind, shape, struct.pack("<73d", *values)
stfile.write(sys.argv[1], tensors, meta)' "$BATS_TEST_TMPDIR/golden/resnet20.safetensors"
    run --separate-stderr "$BIN/selftest" device=cpu --golden "$BATS_TEST_TMPDIR/golden" --json
    [ "$status" -eq 1 ]
    [[ $stderr == *"grad layer2.1.conv1.weight: greatest error of an entry is off by"* ]]
    [[ $stderr == *"selftest: 1 of "*" checks failed" ]]
    python3 -c 'import json, sys
r = json.loads(sys.argv[1])
(n,) = r["nets"]
assert r["failed"] == 1 and not n["passed"] and n["backward"] > n["allowed"] > n["forward"], n
assert "layer2.1.conv1" in n["worst"]' "$output"
}

@test "precision=bf16: every layer within bf16's rounding, the nets skipped by name" {
    run --separate-stderr "$BIN/selftest" device=cpu precision=bf16 --json
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
r = json.loads(sys.argv[1])
assert len(r["layers"]) > 20 and all(l["passed"] and l["problem"].endswith("_bf16") for l in r["layers"])
assert any(l["forward"]["error"] > 1e-4 for l in r["layers"]), "not bf16"
assert [s["what"] for s in r["skipped"]] == ["nets"]' "$output"
}

@test "a program copied elsewhere has no stored tensors: it skips the nets, but not the layers" {
    cp "$BIN/selftest" "$BATS_TEST_TMPDIR/selftest"
    run --separate-stderr "$BATS_TEST_TMPDIR/selftest" device=cpu
    [ "$status" -eq 0 ]
    [[ $stderr == *"skipped: nets: no stored tensors"* && $stderr == *" passed, 0 failed, 1 skipped"* ]]
}

@test "an installed program finds its stored tensors" {
    mkdir -p "$BATS_TEST_TMPDIR"/{bin,share/cleave}
    cp "$BIN/selftest" "$BATS_TEST_TMPDIR/bin/cleave-selftest"
    only resnet20 && mv "$BATS_TEST_TMPDIR/golden" "$BATS_TEST_TMPDIR/share/cleave/golden"
    run --separate-stderr "$BATS_TEST_TMPDIR/bin/cleave-selftest" device=cpu
    [ "$status" -eq 0 ]
    [[ $stderr == *"resnet20"*" 0 skipped"* ]]
}

@test "arguments that are not possible: one line and an exit code" {
    run --separate-stderr "$BIN/selftest" device=cpu --golden /nowhere --quiet
    [ "$status" -eq 3 ] && [ -z "$output" ] && [[ $stderr == *"/nowhere"* ]]
    run --separate-stderr "$BIN/selftest" device=abacus --quiet
    [ "$status" -eq 2 ] && [ "$(wc -l <<<"$stderr")" -eq 1 ]
    if ! "$BIN/selftest" device=cuda --quiet --golden tests/golden 2>/dev/null; then
        run --separate-stderr "$BIN/selftest" device=cuda --quiet
        [ "$status" -eq 1 ] && [ -z "$output" ] && [[ $stderr == *cuda* ]]
    fi
}
