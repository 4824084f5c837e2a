#!/bin/bash
# tools/reproduce.sh -- one row of [Yang23] Table 1 and its baselines: train, analyze, prune, fine-tune.
set -euo pipefail
bin=${BIN:-bin}

usage() {
    cat <<'EOF'
usage: tools/reproduce.sh CONFIG.yaml ... [--metrics LIST] [--counts LIST] [--seeds LIST] [key=value ...]

For every config and seed: trains the net (or goes on with a training that was stopped), analyses it, and for every
metric cuts units and fine-tunes what is left; random, last and cka cut as many units as Criterion I by M.
What is finished is not done again, so the same command goes on where it was stopped. An analysis that is
there stays; for one with other settings: analyze RUN --into RUN/analysis-NAME. Prints the run directories,
one a line: for tools/ledger.py.

  --metrics LIST   default "yang lu random last cka"
  --counts LIST    a series: cut exactly so many units, e.g. "1 2 3 4 5 6"; those that gain least, or with
                   prune.pick=most those that gain most
  --seeds LIST     default "0"; the seed of the training, of the sample and of the random choice
  key=value        goes to train, and with it to all that follows: train.epochs=2 device=cuda prune.floor=0

BIN in the environment is the folder of the tools (default bin).
EOF
}

configs=() settings=() later=() metrics="yang lu random last cka" counts=0 seeds=0
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --metrics | --counts | --seeds)
        [ $# -ge 2 ] || { echo "reproduce.sh: $1 needs a list" >&2; exit 2; }
        declare "${1#--}=$2"
        shift ;;
    *.yaml) configs+=("$1") ;;
    *=*)
        settings+=("$1")
        # An existing training keeps its config.yaml, so settings that do not concern the training are given again.
        case $1 in analysis.* | prune.* | device=* | precision=* | threads=* | out=*) later+=("$1") ;; esac ;;
    *) echo "reproduce.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
[ ${#configs[@]} -gt 0 ] || { usage >&2; exit 2; }

# field NAME: prints this field of the JSON on stdin.
field() { sed -n 's/^[[:space:]]*"'"$1"'":[[:space:]]*"\(.*\)",\{0,1\}$/\1/p' | head -n 1; }

# row CONFIG SEED
row() {
    local run out metric count
    out=$("$bin/train" "$1" seed="$2" ${settings[@]+"${settings[@]}"} --resume=auto --json)
    run=$(field run <<<"$out")
    echo "$run"
    [ "$run/analysis/analysis.json" -nt "$run/best.safetensors" ] || "$bin/analyze" "$run" ${later[@]+"${later[@]}"}
    for metric in $metrics; do
        for count in $counts; do
            out=$("$bin/prune" "$run" prune.metric="$metric" prune.count="$count" \
                ${later[@]+"${later[@]}"} --json)
            field run <<<"$out"
        done
    done
}

for config in "${configs[@]}"; do
    for seed in $seeds; do row "$config" "$seed"; done
done
