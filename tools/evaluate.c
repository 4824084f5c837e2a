/* tools/evaluate.c -- evaluate RUN|CKPT: top-1 accuracy and loss on the test images. */
#include "../core/base/claim.h"
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/log.h"
#include "../core/base/npy.h"
#include "../core/base/stop.h"
#include "../prune/accuracy.h"
#include "cli.h"

#include <stdlib.h>

static const char *logits_path;
static const cli_option options[] = {
    { "--logits", "F.npy", "write the logits, float32 [samples, classes] in data-set order", NULL,
      &logits_path },
};
static const cli_tool tool = {
    .name = "evaluate",
    .synopsis = "RUN|CKPT [key=value ...] [--logits F.npy]",
    .about = "Evaluates the best checkpoint of a run, or any checkpoint, on the test images. A file with\n"
             "weights only, made by PyTorch, needs net.arch= and the normalisation it was trained with.\n"
             "net.remove=[...] leaves units out: the accuracy right after such a cut.",
    .examples = "  evaluate runs/demo-1a2b3c4d-s0\n"
                "  evaluate runs/demo-1a2b3c4d-s0 'net.remove=[layer3.2]' --json\n"
                "  evaluate resnet20.safetensors net.arch=resnet20 --logits logits.npy\n",
    .options = options,
    .n_options = 1,
    .needs_subject = true,
};

static status npy_write(const char *path, const float *values, int64_t rows, int64_t columns)
{
    status st = OK;
    file_writer w = { 0 };
    TRY(npy_begin(&w, path, rows, columns));
    TRY(file_put(&w, values, (size_t)(rows * columns) * sizeof *values));
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}

static status publish(const cli *args, const config *cfg, const accuracy *a)
{
    status st = OK;
    cJSON *j;
    log_info("device %s", a->why);
    log_info("%s on %s: %lld of %lld correct, %.2f %%, loss %.4f, %.0f images/s", cfg->net.arch, a->device,
             (long long)a->correct, (long long)a->samples, 100 * a->top1, a->loss, a->images_per_s);
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "arch", cfg->net.arch));
    TRY(json_put_number(j, "samples", (double)a->samples));
    TRY(json_put_number(j, "correct", (double)a->correct));
    TRY(json_put_number(j, "accuracy", a->top1));
    TRY(json_put_number(j, "loss", a->loss));
    TRY(json_put_text(j, "device", a->device));
    TRY(json_put_number(j, "images_per_s", a->images_per_s));
    TRY(cli_print_json(args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status evaluate(const cli *args)
{
    status st = OK;
    cli_subject subject;
    config *cfg = NULL;
    dataset test = { 0 };
    accuracy a;
    float *logits = NULL;
    stop_install();
    TRY(cli_subject_find(args->subject, &subject));
    TRY(cli_subject_config(args, &subject, &cfg));
    TRY(dataset_open(&cfg->data, cfg->net.classes, NULL, &test));
    if (logits_path) TRY(claim_file(logits_path, "\x93NUMPY", "an array in NumPy's format"));
    if (logits_path) TRY_ALLOC(logits, calloc((size_t)test.n, (size_t)cfg->net.classes * sizeof *logits));
    TRY(accuracy_measure(cfg, subject.checkpoint, &test, &a, logits));
    TRY(accuracy_check(&a, subject.checkpoint));
    if (logits_path) TRY(npy_write(logits_path, logits, test.n, cfg->net.classes));
    TRY(publish(args, cfg, &a));
out:
    free(logits);
    dataset_free(&test);
    config_free(cfg);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, evaluate);
}
