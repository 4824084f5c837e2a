#!/bin/bash
# tools/cuda_run.sh test|bench -- does the work of make test-cuda and make bench-cuda, each within ten minutes on a GPU.
# Output also goes to $RESULTS (default build/gpu); for the benchmark also which kernels ran how long and which engines were
# chosen. Variables: NETS, BATCH, PEER (a PyTorch script, run as PEER NET BATCH SECONDS), PEER_SECONDS (for each net).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
B=${B:-build} BIN=${BIN:-bin} RESULTS=${RESULTS:-build/gpu}
export CLEAVE_PLUGINS=$PWD/$BIN CLEAVE_CACHE=${CLEAVE_CACHE:-$PWD/$B/gpu/cache} OMP_WAIT_POLICY=passive
mkdir -p "$RESULTS"
gpu=$B/gpu/gpu
nvcc=$(sed -n 's/^NVCC := //p' "$B/cuda.mk" 2>/dev/null)
[ -z "$nvcc" ] || PATH=$PATH:$(dirname "$nvcc") # compute-sanitizer is in the same folder

describe() {
    echo "# commit $(git describe --always --dirty 2>/dev/null || echo unknown), $(date -u +%F)"
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | sed 's/^/# /'
}

# within SECONDS COMMAND...: stops it after SECONDS and says so
within() {
    local seconds=$1 answer=0
    shift
    timeout -k 5 "$seconds" "$@" || answer=$?
    case $answer in 124 | 137) echo "# not finished in $seconds s: $*" ;; esac
    return $answer
}

run_test() {
    local code=0 tool what answer
    describe
    # Takes the first guess of each engine, since timing hundreds of small shapes would take most of the time.
    CLEAVE_TUNE=0 within 310 "$gpu" test || code=1
    if [ -x "$BIN/selftest" ]; then
        CLEAVE_TUNE=0 within 60 "$BIN/selftest" device=cuda || code=1
    else
        echo "# $BIN/selftest is not built (make; it needs Cleave's packages): skipped"
    fi
    if command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck; do
            what=layers
            [ $tool = memcheck ] || what=kernels # checking the libraries' own kernels would take too long
            echo "# compute-sanitizer $tool, $what"
            # The libraries ask the driver for features that it may not have; our own calls are all checked.
            answer=0
            CLEAVE_TUNE=0 within 100 compute-sanitizer --tool $tool --report-api-errors no --error-exitcode 9 \
                "$gpu" test $what >"$RESULTS/$tool.log" 2>&1 || answer=$?
            case $answer in
            0) echo "# $tool: clean" ;;
            124 | 137) echo "# $tool: not finished in 100 s" ;;
            *) echo "# $tool: FAILED"; grep -a '=====' "$RESULTS/$tool.log" | head -n 20; code=1 ;;
            esac
        done
    else
        echo "# compute-sanitizer is not installed: skipped"
    fi
    return $code
}

# The first call times engines (a minute or more for mobilenetv2) and keeps its choices; later calls use them.
run_bench() {
    local net precision code=0 limit=150 nets=${NETS:-resnet18 resnet20 vgg16_bn resnet56 mobilenetv2} batch=${BATCH:-256}
    local peer=${PEER:-tests/peer/bench_torch_cuda.py} peer_limit left
    describe
    for net in $nets; do
        for precision in bf16 tf32; do within "$limit" "$gpu" bench "$net" $precision "$batch" "$RESULTS" || code=1; done
    done
    left=$(wc -w <<<"$nets") # nets; the peer divides the rest of nine minutes among them
    if [ -e "$peer" ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
        for net in $nets; do
            peer_limit=${PEER_SECONDS:-$((SECONDS < 510 ? (540 - SECONDS) / left : 30))}
            within "$peer_limit" python3 "$peer" "$net" "$batch" $((peer_limit / 2)) || echo "# $peer $net: not all figures"
            left=$((left - 1))
        done
    else
        echo "# no peer: python3 has no PyTorch that sees the GPU, or $peer is missing"
    fi
    return $code
}

case ${1:-} in
test | bench) "run_$1" 2>&1 | tee "$RESULTS/$1-cuda.log" ;;
*) echo "usage: tools/cuda_run.sh test|bench" >&2; exit 2 ;;
esac
