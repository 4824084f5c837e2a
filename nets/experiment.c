/* nets/experiment.c -- see experiment.h. */
#include "experiment.h"

#include "device.h"

static status open_device(experiment *e, bool for_values)
{
    status st = OK;
    e->type = for_values ? F32 : config_type(e->cfg);
    if (for_values)
        TRY(backend_open("ref", 1, &e->device, e->why, sizeof e->why));
    else
        TRY(device_open(e->cfg, &e->device, e->why, sizeof e->why));
out:
    return st;
}

status experiment_open(const config *cfg, unsigned what, experiment *out)
{
    status st = OK;
    *out = (experiment){ .cfg = cfg };
    TRY(net_from_config(cfg, &out->net));
    TRY(dataset_open(&cfg->data, cfg->net.classes, what & OPEN_TRAIN_SET ? &out->train : NULL,
                     what & OPEN_TEST_SET ? &out->test : NULL));
    TRY(open_device(out, what & OPEN_FOR_VALUES));
out:
    if (st != OK) experiment_close(out);
    return st;
}

status experiment_compile(experiment *e, const net_case *cases, int n_cases)
{
    return net_compile(e->net, e->device, e->type, cases, n_cases);
}

void experiment_close(experiment *e)
{
    net_free(e->net);
    dataset_free(&e->train);
    dataset_free(&e->test);
    backend_close(e->device);
    *e = (experiment){ 0 };
}
