/* nets/init.c -- first values of the parameters (docs/nets.md), and access to the values from the host. The random numbers
 * of a parameter depend only on the seed and on its name, so a pruned net draws the same values for what it keeps. */
#include "net_private.h"

#include "../core/base/file.h"
#include "../core/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float draw(const param_spec *s, uint64_t seed, uint32_t key, int64_t i)
{
    switch (s->init) {
    case PARAM_ZERO: return 0;
    case PARAM_ONE: return 1;
    case PARAM_UNIFORM:
        return (2 * rng_uniform(seed, RNG_INIT, key, (uint64_t)i) - 1) / sqrtf((float)s->fan_in);
    case PARAM_NORMAL_IN: return rng_normal(seed, RNG_INIT, key, (uint64_t)i) * sqrtf(2 / (float)s->fan_in);
    case PARAM_NORMAL_OUT: return rng_normal(seed, RNG_INIT, key, (uint64_t)i) * sqrtf(2 / (float)s->fan_out);
    case PARAM_NORMAL_001: return rng_normal(seed, RNG_INIT, key, (uint64_t)i) * 0.01f;
    }
    return 0;
}

status net_init(net *n, uint64_t seed)
{
    status st = OK;
    float *host = NULL;
    TRY_ALLOC(host, calloc((size_t)net_param_largest(n), sizeof *host));
    for (int i = 0; i < n->n_params; i++) {
        const net_param *p = &n->param[i];
        uint32_t key = (uint32_t)file_hash(p->name, strlen(p->name));
        for (int64_t k = 0; k < p->count; k++) host[k] = draw(&p->spec, seed, key, k);
        TRY(net_param_write(n, p, host));
    }
    n->steps = 0;
out:
    free(host);
    return st;
}

static size_t bytes_of(const net_param *p)
{
    return (size_t)p->count * sizeof(float);
}

status net_param_read(const net *n, const net_param *p, float *host)
{
    return n->device->download(n->device, host, p->value, bytes_of(p));
}

status net_param_write(net *n, const net_param *p, const float *host)
{
    n->version++;
    return n->device->upload(n->device, p->value, host, bytes_of(p));
}

static status check_velocity(const net *n, const net_param *p)
{
    status st = OK;
    if (!p->velocity) FAIL(ERR_RUNTIME, "%s: no case trains %s", p->name, n->arch);
out:
    return st;
}

status net_velocity_read(const net *n, const net_param *p, float *host)
{
    status st = OK;
    TRY(check_velocity(n, p));
    TRY(n->device->download(n->device, host, p->velocity, bytes_of(p)));
out:
    return st;
}

status net_velocity_write(net *n, const net_param *p, const float *host)
{
    status st = OK;
    TRY(check_velocity(n, p));
    TRY(n->device->upload(n->device, p->velocity, host, bytes_of(p)));
out:
    return st;
}
