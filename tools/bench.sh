#!/bin/bash
# tools/bench.sh -- the table of `make bench`: a row for each net and precision, with PyTorch for comparison if it is
# installed. NETS="resnet18 vgg11_bn" PRECISIONS="f32" ROUNDS=3 BATCH=256 select what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-bin}
nets=${NETS:-resnet18 vgg11_bn vgg16_bn resnet56 mobilenetv2}
peer=()
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
    peer=(--peer tests/peer/bench_torch.py)
else
    echo "bench: no PyTorch here (tools/deps.sh peer installs it): the table is without it" >&2
fi
lscpu | sed -n 's/^Model name: */machine: /p'
git describe --always --dirty --abbrev=12 2>/dev/null | sed 's/^/commit:  /' || true
echo "images/s; ceiling: the convolutions alone; x: how many times as fast as PyTorch's best mode; MiB: peak of training"
echo "| net         | type |   train | ceiling | share | PyTorch |     x |    eval | PyTorch |     x |   MiB |    x |"
echo "|-------------|------|---------|---------|-------|---------|-------|---------|---------|-------|-------|------|"
failed=0
for net in $nets; do
    for precision in ${PRECISIONS:-f32 bf16}; do
        "$bin/bench" "net.arch=$net" "precision=$precision" "train.batch=${BATCH:-256}" --rounds "${ROUNDS:-3}" \
            --row --quiet "${peer[@]}" || failed=1
    done
done
exit $failed
