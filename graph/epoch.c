/* graph/epoch.c -- the taps stay on the net for the whole training; the evaluation case shows them every test image. */
#include "epoch.h"

#include "../core/format/events.h"
#include "../core/base/file.h"
#include "analysis_events.h"
#include "ring.h"

status epoch_analysis_open(epoch_analysis *e, net *n)
{
    return e->cfg->analysis.every ? analyser_create(n, e->cfg, &e->analyser) : OK;
}

void epoch_analysis_close(epoch_analysis *e)
{
    analyser_free(e->analyser);
    e->analyser = NULL;
}

bool epoch_analysis_wanted(const epoch_analysis *e)
{
    return e->analyser != NULL;
}

static status add_events(const epoch_analysis *e, const analysis *a, const char *dir, int epoch)
{
    status st = OK;
    events list = { 0 };
    char path[4096];
    TRY(rundir_file(e->run, EVENTS_TRAINING, path, sizeof path));
    TRY(ring_write_all(a, dir));
    TRY(analysis_events(a, dir, epoch, &list));
    TRY(events_append(&list, path));
out:
    events_free(&list);
    return st;
}

status epoch_analysis_run(void *ctx, net *n, int epoch)
{
    status st = OK;
    const epoch_analysis *e = ctx;
    analysis a = { 0 };
    char name[64], dir[4096];
    (void)n;
    if ((epoch + 1) % e->cfg->analysis.every) goto out;
    TRY(text_format(name, sizeof name, "analysis/epoch-%03d", epoch + 1));
    TRY(rundir_file(e->run, name, dir, sizeof dir));
    TRY(analysis_run(e->analyser, e->eval_case, e->cfg->train.batch, e->test, "last.safetensors", &a));
    TRY(analysis_write(&a, dir, false));
    TRY(add_events(e, &a, dir, epoch));
out:
    analysis_free(&a);
    return st;
}
