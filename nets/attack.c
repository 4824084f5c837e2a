/* nets/attack.c -- see attack.h. */
#include "attack.h"

#include "../core/base/progress.h"
#include "../core/base/rng.h"
#include "../core/base/stop.h"
#include "../data/augment.h"
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One batch: its rows [0, rows) are the images of the set from `first` on. */
typedef struct work {
    const attack_job *job;
    const uint8_t *clean; /* [rows, c, h, w] */
    uint8_t *moved;       /* the same, as attacked so far */
    const int32_t *label;
    float *input, *gradient; /* [batch, c, h, w] */
    size_t values;           /* of an image */
    int first, rows;
} work;

static int between(int low, int v, int high)
{
    return v < low ? low : v > high ? high : v;
}

static void begin(const work *w)
{
    const config_attack *a = w->job->attack;
    const uint32_t range = 2 * (uint32_t)a->eps + 1;
    const size_t values = (size_t)w->rows * w->values;
    memcpy(w->moved, w->clean, values);
    if (a->kind != ATTACK_PGD || !a->random_start) return;
    for (size_t k = 0; k < values; k++) {
        uint64_t at = (uint64_t)w->first * w->values + k;
        int by = (int)rng_below(w->job->seed, RNG_ATTACK, 0, at, range) - a->eps;
        w->moved[k] = (uint8_t)between(0, w->clean[k] + by, 255);
    }
}

/* The gradient of the loss with respect to the normalised images as they are now. Normalising divides by a positive number,
 * so the gradient with respect to the pixels has the same signs. */
static status differentiate(const work *w)
{
    status st = OK;
    const attack_job *j = w->job;
    for (int i = 0; i < w->rows; i++)
        augment_apply(w->moved + (size_t)i * w->values, j->data, NULL, w->input + (size_t)i * w->values);
    TRY(net_input(j->net, j->frozen_case, w->input, w->label, w->rows));
    TRY(net_forward(j->net, j->frozen_case));
    TRY(net_backward(j->net, j->frozen_case));
    TRY(net_image_gradient(j->net, j->frozen_case, w->rows, w->gradient));
out:
    return st;
}

static status move(const work *w, int step)
{
    status st = OK;
    const int eps = w->job->attack->eps;
    for (size_t k = 0; k < (size_t)w->rows * w->values; k++) {
        float g = w->gradient[k];
        if (!isfinite(g))
            FAIL(ERR_DIVERGED, "the gradient of image %d is not finite", w->first + (int)(k / w->values));
        int to = w->moved[k] + (g > 0 ? step : g < 0 ? -step : 0), x = w->clean[k];
        w->moved[k] = (uint8_t)between(0, between(x - eps, to, x + eps), 255);
    }
out:
    return st;
}

static status attack_batch(const work *w, progress *bar)
{
    status st = OK;
    const config_attack *a = w->job->attack;
    const bool pgd = a->kind == ATTACK_PGD;
    begin(w);
    for (int t = 0; t < (pgd ? a->steps : 1); t++) {
        if (stop_requested()) FAIL(STOPPED, "%s: the attack was left unfinished", stop_signal());
        TRY(differentiate(w));
        TRY(move(w, pgd ? a->step : a->eps));
        progress_update(bar, bar->done + w->rows, "");
    }
out:
    return st;
}

static status copy_labels(const dataset *in, dataset *out)
{
    status st = OK;
    TRY(dataset_alloc(out, in->shape, in->n, in->classes));
    memcpy(out->label, in->label, (size_t)in->n * sizeof *in->label);
    for (int c = 0; c < in->classes; c++) TRY_ALLOC(out->class_name[c], strdup(in->class_name[c]));
out:
    return st;
}

status attack_run(const attack_job *j, const dataset *in, dataset *out)
{
    status st = OK;
    const int passes = j->attack->kind == ATTACK_PGD ? j->attack->steps : 1;
    progress bar;
    work w = { .job = j, .values = (size_t)image_values(in->shape) };
    const size_t values = (size_t)j->batch * w.values;
    *out = (dataset){ 0 };
    progress_start(&bar, "attack", "images", (int64_t)in->n * passes);
    TRY(copy_labels(in, out));
    TRY_ALLOC(w.input, malloc(values * sizeof *w.input));
    TRY_ALLOC(w.gradient, malloc(values * sizeof *w.gradient));
    for (; w.first < in->n; w.first += j->batch) {
        w.rows = between(0, in->n - w.first, j->batch);
        w.clean = in->image + (size_t)w.first * w.values;
        w.moved = out->image + (size_t)w.first * w.values;
        w.label = in->label + w.first;
        TRY(attack_batch(&w, &bar));
    }
out:
    progress_end(&bar);
    free(w.input);
    free(w.gradient);
    if (st != OK) dataset_free(out);
    return st;
}
