/* nets/experiment.h -- what most programs open, in this order: a net, data sets and a device. Then the net is compiled
 * and receives its values.
 *
 *     experiment e = { 0 };
 *     TRY(experiment_open(cfg, OPEN_TEST_SET, &e));
 *     TRY(net_tap(e.net, "layer3.2", fn, ctx));          what has to come before compiling
 *     TRY(experiment_compile(&e, cases, n_cases));
 *     TRY(checkpoint_read(e.net, path));                 or fit_start_values, surgery_inherit, net_init
 *     ...
 *     experiment_close(&e); */
#ifndef CLEAVE_EXPERIMENT_H
#define CLEAVE_EXPERIMENT_H

#include "../data/dataset.h"
#include "run.h"

typedef struct experiment {
    const config *cfg;   /* borrowed */
    dataset train, test; /* empty unless they were asked for */
    net *net;            /* cfg->net without the units of cfg->net.remove */
    backend *device;
    char why[256]; /* one line: which device was taken, and why */
    dtype type;    /* how the device stores activations */
} experiment;

enum {
    OPEN_TRAIN_SET = 1,
    OPEN_TEST_SET = 2,
    OPEN_FOR_VALUES = 4, /* the net will only hold values: on device ref, in f32, whatever `cfg` says */
};

/* `what`: a sum of the constants above. `cfg` must outlive the experiment. On failure *out is closed. */
status experiment_open(const config *cfg, unsigned what, experiment *out);
/* net_compile for the experiment's device and type. */
status experiment_compile(experiment *, const net_case *cases, int n_cases);
void experiment_close(experiment *); /* a zeroed one is harmless */

#endif
