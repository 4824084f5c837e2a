#!/bin/bash
# tools/demo.sh -- the main job on generated images: train, analyze, prune, fine-tune. Called by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-bin}

echo "== 1. train a small ResNet on generated images (configs/demo.yaml)"
result=$("$bin/train" configs/demo.yaml --resume=auto --json)
run=$(sed -n 's/^[[:space:]]*"run":[[:space:]]*"\(.*\)",$/\1/p' <<<"$result")

echo "== 2. analyze: how far have the classes come apart after each block?"
"$bin/analyze" "$run"

echo "== 3. prune what no longer helps, and fine-tune"
"$bin/prune" "$run"

echo "== Look at these pictures"
ls "$run"/analysis/{rings,curves,histograms}.png
