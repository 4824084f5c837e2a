/* nets/fit_events.c -- see fit_events.h. */
#include "fit_events.h"

#include "../core/format/events.h"
#include "run.h"

#include <stdlib.h>

static status add_scalars(events *list, const run_epoch *e)
{
    status st = OK;
    TRY(events_scalar(list, "loss/train", e->epoch, e->train_loss));
    TRY(events_scalar(list, "loss/test", e->epoch, e->test_loss));
    TRY(events_scalar(list, "accuracy/train", e->epoch, e->train_accuracy));
    TRY(events_scalar(list, "accuracy/test", e->epoch, e->test_accuracy));
    TRY(events_scalar(list, "lr", e->epoch, e->lr));
    TRY(events_scalar(list, "images_per_s", e->epoch, e->images_per_s));
out:
    return st;
}

static status add_weights(events *list, const net *n, int epoch)
{
    status st = OK;
    int count;
    const net_param *p = net_params(n, &count);
    float *value = NULL;
    int64_t largest = 1;
    for (int i = 0; i < count; i++) largest = p[i].count > largest ? p[i].count : largest;
    TRY_ALLOC(value, malloc((size_t)largest * sizeof *value));
    for (int i = 0; i < count; i++) {
        if (!p[i].spec.trainable) continue;
        TRY(net_param_read(n, &p[i], value));
        TRY(events_histogram(list, p[i].name, epoch, value, p[i].count));
    }
out:
    free(value);
    return st;
}

status fit_events(const rundir *run, const net *n, const run_epoch *e)
{
    status st = OK;
    events list = { 0 };
    char path[4096];
    TRY(rundir_file(run, EVENTS_TRAINING, path, sizeof path));
    TRY(add_scalars(&list, e));
    TRY(add_weights(&list, n, e->epoch));
    TRY(events_append(&list, path));
out:
    events_free(&list);
    return st;
}

status fit_events_truncate(const rundir *run, int epoch)
{
    status st = OK;
    char path[4096];
    TRY(rundir_file(run, EVENTS_TRAINING, path, sizeof path));
    TRY(events_truncate(path, epoch));
out:
    return st;
}
