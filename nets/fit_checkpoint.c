/* nets/fit_checkpoint.c -- the checkpoints of a training: what goes into them, and how it goes on from the last. */
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "checkpoint.h"
#include "trainer.h"

#include <stdlib.h>

/* Why the net is what it is: from the caller, else from the checkpoint that was resumed. */
static int lineage(const trainer *t, st_pair *out)
{
    int n = 0;
    for (int i = 0; i < t->job->n_meta; i++) out[n++] = t->job->meta[i];
    if (t->job->n_meta == 0 && t->resumed.parent) out[n++] = (st_pair){ "parent", t->resumed.parent };
    if (t->job->n_meta == 0 && t->resumed.cuts) out[n++] = (st_pair){ "cuts", t->resumed.cuts };
    return n;
}

status trainer_save(trainer *t, const char *file, bool with_state, double accuracy)
{
    status st = OK;
    char path[4096], hash[9], normalisation[256], epoch[16], top1[32], *yaml = NULL;
    const config_data *d = &t->cfg->data;
    st_pair *meta = NULL;
    int n = 0;
    TRY(rundir_file(t->job->run, file, path, sizeof path));
    TRY(config_hash(t->cfg, hash));
    TRY(config_yaml(t->cfg, &yaml));
    TRY(text_format(normalisation, sizeof normalisation,
                    "{\"mean\": [%.9g, %.9g, %.9g], \"std\": [%.9g, %.9g, %.9g]}", (double)d->mean[0],
                    (double)d->mean[1], (double)d->mean[2], (double)d->std[0], (double)d->std[1],
                    (double)d->std[2]));
    TRY(text_format(epoch, sizeof epoch, "%d", t->at.epoch));
    TRY(text_format(top1, sizeof top1, "%.6f", accuracy));
    TRY_ALLOC(meta, calloc((size_t)t->job->n_meta + 7, sizeof *meta));
    meta[n++] = (st_pair){ "normalisation", normalisation };
    meta[n++] = (st_pair){ "epoch", epoch };
    if (accuracy >= 0) meta[n++] = (st_pair){ "accuracy", top1 };
    meta[n++] = (st_pair){ "config_hash", hash };
    meta[n++] = (st_pair){ "config", yaml };
    n += lineage(t, meta + n);
    TRY(checkpoint_save(t->job->net, path, meta, n, with_state ? &t->at : NULL));
out:
    free(meta);
    free(yaml);
    return st;
}

status trainer_resume(trainer *t)
{
    status st = OK;
    st_file f = { 0 };
    checkpoint_info *info = &t->resumed;
    char path[4096];
    TRY(rundir_file(t->job->run, "last.safetensors", path, sizeof path));
    if (!t->job->resume || !file_exists(path)) goto out;
    TRY(st_open(path, &f));
    TRY(checkpoint_info_read(&f, path, info));
    if (!info->has_state) FAIL(ERR_DATA, "%s: no training state in its metadata; it cannot be resumed", path);
    TRY(checkpoint_load(t->job->net, &f, path, true, true));
    if (info->state.step > t->steps)
        FAIL(ERR_DATA, "%s: stopped at step %d of an epoch, which has %d", path, info->state.step, t->steps);
    t->at = info->state;
    t->last_accuracy = info->accuracy;
    log_info("resuming at epoch %d, step %d of %d", t->at.epoch + 1, t->at.step, t->steps);
out:
    st_close(&f);
    return st;
}

const char *trainer_what_is_kept(const trainer *t)
{
    char last[4096];
    if (rundir_file(t->job->run, "last.safetensors", last, sizeof last) == OK && file_exists(last))
        return "the last good checkpoint is kept";
    return "there is no checkpoint yet";
}
