/* prune/accuracy.c -- one evaluation: build, compile, inherit, run over the test images. */
#include "accuracy.h"
#include "../core/base/clock.h"
#include "../nets/experiment.h"
#include "../nets/fit.h"
#include "surgery.h"
#include <math.h>
#include <stdio.h>

status accuracy_measure(const config *cfg, const char *checkpoint, const dataset *test, accuracy *out,
                        float *logits)
{
    status st = OK;
    experiment e = { 0 };
    loss_stats stats = { 0 };
    TRY(experiment_open(cfg, 0, &e));
    TRY(fit_compile(cfg, NULL, e.net, e.device));
    TRY(surgery_inherit(e.net, checkpoint));
    double start = time_now();
    TRY(fit_evaluate(e.net, CASE_EVAL, &cfg->data, test, NET_NOT_KEPT, &stats, logits));
    double seconds = time_now() - start, rows = (double)stats.rows;
    *out = (accuracy){ stats.rows, stats.correct, (double)stats.correct / rows, stats.loss / rows,
                       rows / seconds };
    snprintf(out->device, sizeof out->device, "%s", e.device->description);
    snprintf(out->why, sizeof out->why, "%s", e.why);
out:
    experiment_close(&e);
    return st;
}

status accuracy_check(const accuracy *a, const char *checkpoint)
{
    status st = OK;
    if (!isfinite(a->loss)) FAIL(ERR_DIVERGED, "%s: the loss on the test images is not a number", checkpoint);
out:
    return st;
}
