/* tests/cuda/engine_check.c -- on a GPU: engines that were chosen by timing are not timed again if the cache is
 * there, nor if only the run's file is there; and they give the same bits. */
#include "../../core/base/file.h"
#include "../../core/device/plugin.h"
#include "../../core/device/tuning.h"
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHED, FROM_CACHE, FROM_FILE, TRAININGS };

typedef struct training {
    backend *device;
    net *net;
    state *end;
} training;

/* Opens a device and trains on it. `file`, the run's choices, is read before and written after. */
static status train(const device_check *d, const char *file, training *t)
{
    status st = OK;
    const checked_net small = { .arch = "resnet20" };
    TRY(plugin_open("cuda", 0, 0, &t->device));
    TRY(t->device->tuning->load(t->device, file));
    TRY(open_net(d, t->device, &small, BF16, &t->net));
    TRY(train_steps(t->net, d->batch, 0, 2));
    TRY(save(t->net, &t->end));
    TRY(t->device->tuning->save(t->device, file));
out:
    return st;
}

static void close_training(training *t)
{
    free_state(t->net, t->end);
    net_free(t->net);
    backend_close(t->device);
}

/* Runs a shell command with the folder in it; true if it succeeds. */
static bool holds(const char *command, const char *folder)
{
    char line[512];
    snprintf(line, sizeof line, command, folder);
    return system(line) == 0;
}

static void trainings(const device_check *d, const char *folder, training t[TRAININGS])
{
    char file[300], cache[300];
    snprintf(file, sizeof file, "%s/algorithms.txt", folder);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    setenv("CLEAVE_CACHE", cache, 1);
    if (!fine(train(d, file, &t[CACHED]), "with no cache")) return;
    if (!holds("test -n \"$(ls %s/cache/cudnn-*/*.json)\"", folder)) wrong("nothing was kept");
    if (!holds("touch %1$s/before && rm %1$s/algorithms.txt", folder)) wrong("no file of the run");
    if (!fine(train(d, file, &t[FROM_CACHE]), "with the cache")) return;
    if (!holds("test -z \"$(find %1$s/cache -newer %1$s/before)\"", folder))
        wrong("timed again in spite of the cache");
    if (!holds("rm -r %s/cache", folder) || !fine(train(d, file, &t[FROM_FILE]), "with the run's file"))
        return;
    if (!holds("test ! -e %s/cache", folder)) wrong("timed again in spite of the run's file");
    for (int i = FROM_CACHE; i < TRAININGS; i++)
        if (!same_bits(t[i].net, t[CACHED].end, t[i].end)) wrong("training %d has other bits", i);
}

void check_engines(const device_check *d)
{
    char folder[] = "/tmp/cleave-test-XXXXXX";
    training t[TRAININGS] = { 0 };
    /* Under compute-sanitizer this would take too long: it trains, and times hundreds of plans. */
    if (d->n_nets < 1) return;
    const char *const kept[] = { getenv("CLEAVE_TUNE"), getenv("CLEAVE_CACHE") };
    if (!mkdtemp(folder)) {
        wrong("no folder in /tmp");
        return;
    }
    unsetenv("CLEAVE_TUNE");
    trainings(d, folder, t);
    for (int i = 0; i < TRAININGS; i++) close_training(&t[i]);
    if (kept[0]) setenv("CLEAVE_TUNE", kept[0], 1);
    if (kept[1]) setenv("CLEAVE_CACHE", kept[1], 1);
    if (!holds("rm -r %s", folder)) wrong("%s stays", folder);
}
