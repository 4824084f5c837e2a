/* docs/tour/tap.c -- tap RUN HOOK: prints statistics of the activations at one hook, for 100 test images. */
#include "tour.h"

#include "../../core/base/path.h"
#include "../../data/loader.h"
#include "../../nets/checkpoint.h"
#include "../../nets/run.h"
#include "../../nets/tap.h"

#include <math.h>
#include <stdlib.h>

/* net_forward calls this as soon as the value is computed. A later layer may overwrite it. */
static status look(void *ctx, const tap_view *v)
{
    status st = OK;
    float *value = NULL;
    const int64_t n = shape_image(v->shape) * v->rows;
    double sum = 0, greatest = 0;
    int64_t zeros = 0;
    (void)ctx;
    TRY_ALLOC(value, malloc((size_t)n * sizeof *value));
    TRY(tap_read(v, value)); /* converts from the backend's layout to NCHW */
    for (int64_t i = 0; i < n; i++) {
        sum += (double)value[i];
        greatest = fmax(greatest, (double)value[i]);
        zeros += value[i] == 0;
    }
    printf("%s: %d images of %d x %d x %d = %lld values each; mean %.3f, greatest %.3f, %.0f %% zero\n",
           v->name, v->rows, v->shape.c, v->shape.h, v->shape.w, (long long)shape_image(v->shape),
           sum / (double)n, greatest, 100 * (double)zeros / (double)n);
out:
    free(value);
    return st;
}

int main(int argc, char **argv)
{
    status st = OK;
    file_path path;
    config *cfg = NULL;
    dataset test = { 0 };
    loader *images = NULL;
    const batch *b;
    net *n = NULL;
    backend *cpu = NULL;
    st_file file = { 0 };
    const net_case evaluation = { .batch = 100 };
    const loader_options options = { .batch = 100 };
    if (argc != 3) FAIL(ERR_USAGE, "usage: tap RUN HOOK, e.g. layer2.0");
    TRY(path_set(&path, "%s/config.yaml", argv[1]));
    TRY(config_load(path.s, NULL, 0, &cfg));
    TRY(dataset_open(&cfg->data, cfg->net.classes, NULL, &test));
    TRY(net_from_config(cfg, &n));
    TRY(net_tap(n, argv[2], look, NULL)); /* before net_compile, which plans the memory */
    TRY(backend_open("cpu", 0, &cpu, NULL, 0));
    TRY(net_compile(n, cpu, F32, &evaluation, 1));
    TRY(path_set(&path, "%s/best.safetensors", argv[1]));
    TRY(st_open(path.s, &file));
    TRY(checkpoint_load(n, &file, path.s, true, false));
    TRY(loader_open(&test, &cfg->data, &options, &images));
    TRY(loader_start(images, 0, 0, NULL, 0));
    TRY(loader_next(images, &b));
    TRY(net_input(n, 0, b->x, b->label, b->n));
    TRY(net_forward(n, 0));
out:
    loader_close(images);
    st_close(&file);
    net_free(n);
    backend_close(cpu);
    dataset_free(&test);
    config_free(cfg);
    return finish(st);
}
