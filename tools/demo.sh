#!/bin/bash
# tools/demo.sh -- the main job on generated images: train, analyze, prune, fine-tune. Called by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-bin}
field() { sed -n "s/^[[:space:]]*\"$1\":[[:space:]]*\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }
percent() { awk -v x="$1" 'BEGIN { printf "%.2f %%", 100 * x }'; }

echo "== 1. train a small ResNet on generated images (configs/demo.yaml)"
result=$("$bin/train" configs/demo.yaml --resume --json)
run=$(field run <<<"$result")

echo "== 2. analyze: how far have the classes come apart after each block?"
"$bin/analyze" "$run"

echo "== 3. prune what no longer helps, and fine-tune"
pruned=$("$bin/prune" "$run" --json)

echo
echo "== Done"
echo "accuracy before           $(percent "$(field accuracy_before <<<"$pruned")")"
echo "         after the cut    $(percent "$(field accuracy_cut <<<"$pruned")")"
echo "         after fine-tuning $(percent "$(field accuracy_after <<<"$pruned")")"
echo "parameters                $(field params_before <<<"$pruned") -> $(field params_after <<<"$pruned") ($(field saving_percent <<<"$pruned") % saved)"
echo "what was cut, and why"
awk '/"units"/ { on = 1 } on && /"name"/ { split($0, q, "\""); name = q[4] } on && /"cut":[[:space:]]*true/ { cut = 1 }
     on && /"reason"/ { if (cut) { split($0, q, "\""); print "  " name ": " q[4] } cut = 0 } /^\t\]/ { on = 0 }' <<<"$pruned"
echo "pictures: look at these first"
ls "$run"/analysis/curves.png "$run"/analysis/rings.png "$run"/analysis/histograms.png 2>/dev/null | sed 's/^/  /'
