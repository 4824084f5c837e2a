/* prune/accuracy.c -- one evaluation: build, compile, inherit, run over the test images. */
#include "accuracy.h"
#include "../nets/device.h"
#include "../core/base/progress.h"
#include "../nets/fit.h"
#include "surgery.h"
#include <math.h>
#include <stdio.h>

status accuracy_measure(const config *cfg, const char *checkpoint, const dataset *test, accuracy *out,
                        float *logits)
{
    status st = OK;
    backend *b = NULL;
    net *n = NULL;
    st_file f = { 0 };
    loss_stats stats = { 0 };
    char why[sizeof out->why] = "";

    TRY(st_open(checkpoint, &f));
    TRY(net_create(cfg->net.arch, cfg->net.classes, cfg->net.remove, cfg->net.remove_count, &n));
    TRY(device_open(cfg, &b, why, sizeof why));
    TRY(fit_compile(cfg, NULL, n, b));
    TRY(surgery_inherit(n, &f, checkpoint));
    double start = time_now();
    TRY(fit_evaluate(n, FIT_CASE_EVAL, &cfg->data, test, NET_NOT_KEPT, &stats, logits));
    double seconds = time_now() - start, rows = (double)stats.rows;
    *out = (accuracy){ stats.rows, stats.correct, (double)stats.correct / rows, stats.loss / rows,
                       rows / seconds };
    snprintf(out->device, sizeof out->device, "%s", b->description);
    snprintf(out->why, sizeof out->why, "%s", why);
out:
    net_free(n);
    backend_close(b);
    st_close(&f);
    return st;
}

status accuracy_check(const accuracy *a, const char *checkpoint)
{
    status st = OK;
    if (!isfinite(a->loss)) FAIL(ERR_DIVERGED, "%s: the loss on the test images is not a number", checkpoint);
out:
    return st;
}
