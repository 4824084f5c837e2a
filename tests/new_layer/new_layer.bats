#!/usr/bin/env bats
# tests/new_layer/new_layer.bats -- what a new layer takes, on a copy of the tree: its file, its description in op.h, and its
# lines in the table. Nothing else changes; problem strings, checks and ref find it there.

@test "a layer is a file, a description and two lines in a table" {
    root=$PWD
    cd "$BATS_TEST_TMPDIR"
    cp -r "$root/core" "$root/layers" .
    mkdir -p tools tests && cp -r "$root/tools/check" tools/ && cp -r "$root/tests/new_layer" tests/

    cp tests/new_layer/scale.c layers/
    sed -i -e 's/^    OP_LOSS,$/&\n    OP_SCALE,/' \
        -e 's/^typedef enum dx_use/typedef struct scale_desc {\n    bool each;\n} scale_desc;\n\n&/' \
        -e 's/^        loss_desc loss;$/&\n        scale_desc scale;/' core/device/op.h
    sed -i -e 's/^extern const layer_type layer_loss;$/extern const layer_type layer_loss, layer_scale;/' \
        -e 's/\[OP_LOSS\] = &layer_loss,/&\n    [OP_SCALE] = \&layer_scale,/' layers/layer.c

    sources=$(ls layers/*.c core/cpu/*.c tools/check/{problem,opcheck,opcheck_data}.c tests/new_layer/check_scale.c)
    xargs -P 2 -I{} sh -c 'gcc -std=gnu11 -D_GNU_SOURCE -march=native -fopenmp -c {} -o $(echo {} | tr / -).o' <<<"$sources"
    gcc -fopenmp ./*.o "$root/${B:-build}/libcore-base.a" -o check -ldnnl -lcjson -lm
    run ./check
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'there is no such operation on cpu' <<<"$output")" -eq 2 ]
}
