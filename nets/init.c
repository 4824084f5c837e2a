/* nets/init.c -- first values of the parameters (docs/nets.md), and access to them from the host. The random numbers of a
 * parameter depend on its name alone, so a pruned net draws the same for what it keeps. */
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
    int64_t largest = 0;
    for (int i = 0; i < n->n_params; i++)
        if (n->param[i].count > largest) largest = n->param[i].count;
    TRY_ALLOC(host, calloc((size_t)largest, sizeof *host));
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

status net_velocity_read(const net *n, const net_param *p, float *host)
{
    if (!p->velocity)
        return status_set(ERR_RUNTIME, __FILE__, __LINE__, "%s: no case trains %s", p->name, n->arch);
    return n->device->download(n->device, host, p->velocity, bytes_of(p));
}

status net_velocity_write(net *n, const net_param *p, const float *host)
{
    if (!p->velocity)
        return status_set(ERR_RUNTIME, __FILE__, __LINE__, "%s: no case trains %s", p->name, n->arch);
    return n->device->upload(n->device, p->velocity, host, bytes_of(p));
}
