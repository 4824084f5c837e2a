#!/bin/bash
# tools/reproduce.sh -- one row of [Yang23] Table 1 and what it is compared with: train, analyze, prune, fine-tune.
set -euo pipefail
bin=${BIN:-bin}

usage() {
    cat <<'EOF'
usage: tools/reproduce.sh CONFIG.yaml ... [--metrics "yang lu random last cka"] [--seeds "0 1 2"] [key=value ...]

For every config and seed: trains the net (or goes on with a training that was stopped), analyses it, and for every
metric cuts units and fine-tunes what is left; random, last and cka cut as many units as Criterion I by M.
What is finished is not done again, so the same command goes on where it was stopped. Prints the
run directories, one a line: for tools/ledger.py.

  --metrics LIST   default "yang lu random last cka"
  --seeds LIST     default "0"; the seed of the training, of the sample and of the random choice
  key=value        goes to train, and with it to all that follows: train.epochs=2 device=cuda out=/scratch/runs

BIN in the environment is the folder of the tools (default bin).
EOF
}

configs=() settings=() metrics="yang lu random last cka" seeds=0
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --metrics | --seeds)
        [ $# -ge 2 ] || { echo "reproduce.sh: $1 needs a list" >&2; exit 2; }
        [ "$1" = --metrics ] && metrics=$2 || seeds=$2
        shift ;;
    *.yaml) configs+=("$1") ;;
    *=*) settings+=("$1") ;;
    *) echo "reproduce.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
    esac
    shift
done
[ ${#configs[@]} -gt 0 ] || { usage >&2; exit 2; }

# field NAME: of the JSON on stdin.
field() { sed -n 's/^[[:space:]]*"'"$1"'":[[:space:]]*"\(.*\)",\{0,1\}$/\1/p' | head -n 1; }

# row CONFIG SEED
row() {
    local run out metric
    out=$("$bin/train" "$1" seed="$2" ${settings[@]+"${settings[@]}"} --resume --json)
    run=$(field run <<<"$out")
    echo "$run"
    [ "$run/analysis/analysis.json" -nt "$run/best.safetensors" ] || "$bin/analyze" "$run"
    for metric in $metrics; do
        out=$("$bin/prune" "$run" prune.metric="$metric" prune.seed="$2" --json)
        field run <<<"$out"
    done
}

for config in "${configs[@]}"; do
    for seed in $seeds; do row "$config" "$seed"; done
done
