/* tests/cuda/net_check.c -- whole nets on a device: against ref, twice, resumed, with parameters written in between. */
#include "checks.h"

#include "../../core/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 4 };

/* Initial biases are zero. That hides errors, and it puts half of all values near a kink of ReLU: in a deep net,
 * rounding takes some of them to its other side, and their gradients change (cpu against ref: up to 4 % after four
 * steps). So here every second channel is active, three standard deviations away from both kinks of ReLU6. The others
 * are so negative that none of their values is active: if a few small ones were, the next BN would make them, and
 * their rounding, large. */
static status set_biases(net *n)
{
    status st = OK;
    int count;
    float *v = NULL;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++) {
        if (p[i].spec.init != PARAM_ZERO) continue;
        v = random_floats(p[i].count, 200 + (uint32_t)i);
        for (int64_t k = 0; v && k < p[i].count; k++) v[k] = 0.1f * v[k] + (k % 2 ? 3 : -8);
        TRY_ALLOC(v, v);
        TRY(net_param_write(n, &p[i], v));
        free(v);
        v = NULL;
    }
out:
    free(v);
    return st;
}

status open_net(const device_check *d, backend *b, const checked_net *which, dtype type, net **out)
{
    status st = OK;
    const net_case cases[] = { { d->batch, false, false }, { d->batch, true, false } };
    TRY(net_create(
        &(net_spec){
            .arch = which->arch, .classes = 10, .remove = which->remove, .n_remove = which->n_remove },
        out));
    TRY(net_compile(*out, b, type, cases, 2));
    TRY(net_init(*out, 1));
    TRY(set_biases(*out));
out:
    return st;
}

static status put_batch(net *n, int which, int batch, uint32_t number)
{
    status st = OK;
    const int64_t count = (int64_t)batch * 3 * 32 * 32;
    int32_t label[256];
    float *x;
    TRY_ALLOC(x, random_floats(count, 100 + number));
    for (int i = 0; i < batch; i++) label[i] = (int32_t)rng_below(3, RNG_TEST, number, (uint64_t)i, 10);
    st = net_input(n, which, x, label, batch);
    free(x);
out:
    return st;
}

status train_steps(net *n, int batch, int from, int to)
{
    status st = OK;
    for (int i = from; i < to; i++) {
        const step_scalars s = { .lr = 0.01f / (float)(i + 1),
                                 .momentum = 0.9f,
                                 .weight_decay = 0.005f,
                                 .seed = 5,
                                 .step = (uint64_t)i };
        TRY(put_batch(n, CASE_TRAIN, batch, (uint32_t)i));
        TRY(net_step(n, CASE_TRAIN, &s));
    }
out:
    return st;
}

/* One parameter, copied to the host. */
struct state {
    float *value, *velocity;
};

status save(net *n, state **out)
{
    status st = OK;
    int count;
    const net_param *p = net_params(n, &count);
    TRY_ALLOC(*out, calloc((size_t)count, sizeof **out));
    for (int i = 0; i < count; i++) {
        TRY_ALLOC((*out)[i].value, malloc((size_t)p[i].count * sizeof(float)));
        TRY(net_param_read(n, &p[i], (*out)[i].value));
        if (!p[i].velocity) continue;
        TRY_ALLOC((*out)[i].velocity, malloc((size_t)p[i].count * sizeof(float)));
        TRY(net_velocity_read(n, &p[i], (*out)[i].velocity));
    }
out:
    return st;
}

static status restore(net *n, const state *s)
{
    status st = OK;
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++) {
        TRY(net_param_write(n, &p[i], s[i].value));
        if (p[i].velocity) TRY(net_velocity_write(n, &p[i], s[i].velocity));
    }
out:
    return st;
}

void free_state(const net *n, state *s)
{
    int count = 0;
    if (n) net_params(n, &count);
    for (int i = 0; s && i < count; i++) free(s[i].value), free(s[i].velocity);
    free(s);
}

/* |a - b| / |b - start|: relative to what training changed. */
static double state_distance(const net *n, const state *a, const state *b, const state *start)
{
    int count;
    double difference = 0, change = 1e-30;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < p[i].count; j++) {
            difference += pow((double)a[i].value[j] - b[i].value[j], 2);
            change += pow((double)b[i].value[j] - start[i].value[j], 2);
        }
    return sqrt(difference / change);
}

bool same_bits(const net *n, const state *a, const state *b)
{
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++) {
        if (memcmp(a[i].value, b[i].value, (size_t)p[i].count * sizeof(float))) return false;
        if (p[i].velocity && memcmp(a[i].velocity, b[i].velocity, (size_t)p[i].count * sizeof(float)))
            return false;
    }
    return true;
}

/* Trains (run, recorded, replayed), then evaluates in the same three ways, and compares with ref. */
static status net_against_ref(const device_check *d, const checked_net *which)
{
    status st = OK;
    backend *const both[] = { d->cuda, d->ref };
    net *n[2] = { NULL, NULL };
    state *start = NULL, *end[2] = { NULL, NULL };
    float logits[2][2560];
    loss_stats stats[2];
    for (int i = 0; i < 2; i++) {
        TRY(open_net(d, both[i], which, F32, &n[i]));
        if (i == 0) TRY(save(n[0], &start));
        TRY(train_steps(n[i], d->batch, 0, STEPS));
        for (int run = 0; run < (i == 0 ? 4 : 1); run++) {
            TRY(net_stats_set(n[i], &(loss_stats){ 0 }));
            TRY(put_batch(n[i], CASE_EVAL, d->batch - 1, 50));
            TRY(net_forward(n[i], CASE_EVAL));
        }
        TRY(net_logits(n[i], CASE_EVAL, d->batch - 1, logits[i]));
        TRY(net_stats(n[i], &stats[i]));
        TRY(save(n[i], &end[i]));
    }
    const double distance = state_distance(n[0], end[0], end[1], start);
    if (!(distance < 1e-4))
        wrong("%s: after %d steps parameters are off by %.1e of their change", which->arch, STEPS, distance);
    close_to(which->arch, "logits", logits[0], logits[1], (d->batch - 1) * 10, 1e-4);
    if (stats[0].rows != d->batch - 1) wrong("%s: %lld rows", which->arch, (long long)stats[0].rows);
    if (!(fabs(stats[0].loss - stats[1].loss) < 1e-4 * stats[1].loss))
        wrong("%s: loss %g, ref %g", which->arch, stats[0].loss, stats[1].loss);
out:
    free_state(n[0], start);
    for (int i = 0; i < 2; i++) {
        free_state(n[i], end[i]);
        net_free(n[i]);
    }
    return st;
}

/* Two runs give the same bits, and so does one that stops after two steps and goes on in a new net. */
static status net_repeats(const device_check *d, const checked_net *which, dtype type)
{
    status st = OK;
    net *n[3] = { NULL, NULL, NULL };
    state *end[3] = { NULL, NULL, NULL }, *middle = NULL;
    for (int i = 0; i < 3; i++) {
        TRY(open_net(d, d->cuda, which, type, &n[i]));
        if (i == 2) TRY(restore(n[i], middle));
        TRY(train_steps(n[i], d->batch, i == 2 ? 2 : 0, i == 1 ? 2 : STEPS));
        if (i == 1) {
            TRY(save(n[i], &middle));
            TRY(train_steps(n[i], d->batch, 2, STEPS));
        }
        TRY(save(n[i], &end[i]));
    }
    if (!same_bits(n[0], end[0], end[1])) wrong("%s: two runs differ", which->arch);
    if (!same_bits(n[0], end[0], end[2])) wrong("%s: a resumed run differs", which->arch);
out:
    free_state(n[1], middle);
    for (int i = 0; i < 3; i++) {
        free_state(n[i], end[i]);
        net_free(n[i]);
    }
    return st;
}

/* Parameters that are written from outside between recorded steps must reach the copies that the libraries read. */
static status net_follows_uploads(const device_check *d, const checked_net *which, dtype type)
{
    status st = OK;
    net *n = NULL;
    state *start = NULL, *end[2] = { NULL, NULL };
    float logits[2][2560];
    TRY(open_net(d, d->cuda, which, type, &n));
    TRY(save(n, &start));
    TRY(train_steps(n, d->batch, 0, STEPS));
    for (int run = 0; run < 4; run++) TRY(net_forward(n, CASE_EVAL));
    for (int i = 0; i < 2; i++) {
        TRY(restore(n, start));
        TRY(train_steps(n, d->batch, 0, STEPS));
        TRY(save(n, &end[i]));
        TRY(put_batch(n, CASE_EVAL, d->batch, 60));
        TRY(net_forward(n, CASE_EVAL));
        TRY(net_logits(n, CASE_EVAL, d->batch, logits[i]));
    }
    if (!same_bits(n, end[0], end[1])) wrong("%s: training again from the same values differs", which->arch);
    if (memcmp(logits[0], logits[1], (size_t)d->batch * 10 * sizeof(float)))
        wrong("%s: evaluation again differs", which->arch);
out:
    free_state(n, start);
    for (int i = 0; i < 2; i++) free_state(n, end[i]);
    net_free(n);
    return st;
}

void check_nets(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++) fine(net_against_ref(d, &d->nets[i]), d->nets[i].arch);
}

void check_repeats(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++)
        for (int type = F32; d->nets[i].repeated && type <= BF16; type++)
            fine(net_repeats(d, &d->nets[i], type), d->nets[i].arch);
}

void check_uploads(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++)
        for (int type = F32; d->nets[i].repeated && type <= BF16; type++)
            fine(net_follows_uploads(d, &d->nets[i], type), d->nets[i].arch);
}
