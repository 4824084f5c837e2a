/* tools/check/opcheck.c -- see opcheck.h: allocate, poison, run, read back. opcheck_data.c makes the data. */
#include "opcheck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAN_BYTE = 0xff }; /* a float, bf16 or double of such bytes is NaN */

/* One piece of the backend's memory. */
typedef struct block {
    void *at;
    size_t bytes;
} block;

/* The device's side of one run. */
typedef struct device {
    backend *b;
    shape4 shape_x, shape_y;
    dtype type;
    plan *plan;
    op_needs needs;
    block x, z, y, dy, dx, dz, param[PLAN_MAX_PARAMS], grad[PLAN_MAX_PARAMS];
    block saved, scratch, packed, cached, label, stats;
    op_args args;
} device;

static status poison(device *d, block to)
{
    status st = OK;
    void *nan = NULL;
    if (to.bytes == 0) return OK;
    TRY_ALLOC(nan, malloc(to.bytes));
    memset(nan, NAN_BYTE, to.bytes);
    TRY(d->b->upload(d->b, to.at, nan, to.bytes));
out:
    free(nan);
    return st;
}

/* Values go through the backend's own layout, so that its padding stays as the backend needs it. */
static status poison_value(device *d, block to, shape4 s)
{
    status st = OK;
    float *nan = NULL;
    if (!to.at) return OK;
    TRY_ALLOC(nan, malloc((size_t)shape_count(s) * sizeof *nan));
    memset(nan, NAN_BYTE, (size_t)shape_count(s) * sizeof *nan);
    TRY(d->b->write_value(d->b, to.at, s, d->type, nan));
out:
    free(nan);
    return st;
}

/* Allocates *to and writes the values of `host` there; nothing if host is NULL. */
static status put_value(device *d, block *to, shape4 s, const float *host)
{
    status st = OK;
    if (!host) return OK;
    to->bytes = d->b->value_bytes(d->b, s, d->type);
    TRY(d->b->alloc(d->b, to->bytes, &to->at));
    TRY(d->b->write_value(d->b, to->at, s, d->type, host));
out:
    return st;
}

static status put_bytes(device *d, block *to, const void *host, size_t bytes)
{
    status st = OK;
    if (!host || !bytes) return OK;
    to->bytes = bytes;
    TRY(d->b->alloc(d->b, bytes, &to->at));
    TRY(d->b->upload(d->b, to->at, host, bytes));
out:
    return st;
}

/* Allocates `bytes`, all NaN. */
static status put_nan(device *d, block *to, size_t bytes)
{
    status st = OK;
    if (!bytes) return OK;
    to->bytes = bytes;
    TRY(d->b->alloc(d->b, bytes, &to->at));
    TRY(poison(d, *to));
out:
    return st;
}

/* Reads a value back into *host, which it allocates. */
static status get_value(device *d, block from, shape4 s, float **host)
{
    status st = OK;
    if (!from.at) return OK;
    TRY_ALLOC(*host, malloc((size_t)shape_count(s) * sizeof **host));
    TRY(d->b->read_value(d->b, from.at, s, d->type, s.n, *host));
out:
    return st;
}

static status get_floats(device *d, block from, float **host)
{
    status st = OK;
    if (!from.at) return OK;
    TRY_ALLOC(*host, malloc(from.bytes));
    TRY(d->b->download(d->b, *host, from.at, from.bytes));
out:
    return st;
}

static void release_all(device *d)
{
    block *const all[] = { &d->x,     &d->z,       &d->y,      &d->dy,     &d->dx,    &d->dz,
                           &d->saved, &d->scratch, &d->packed, &d->cached, &d->label, &d->stats };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i]->at) d->b->release(d->b, all[i]->at, all[i]->bytes);
    }
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        if (d->param[i].at) d->b->release(d->b, d->param[i].at, d->param[i].bytes);
        if (d->grad[i].at) d->b->release(d->b, d->grad[i].at, d->grad[i].bytes);
    }
    if (d->plan) d->b->plan_free(d->plan);
}

static status put_inputs(device *d, const opcheck_result *r)
{
    status st = OK;
    const loss_stats before = { 1000, 100, 10 };
    const size_t labels = (size_t)d->shape_x.n * sizeof *r->label;

    TRY(put_value(d, &d->x, d->shape_x, r->x));
    TRY(put_value(d, &d->z, d->shape_y, r->z));
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        TRY(put_bytes(d, &d->param[i], r->param[i], (size_t)r->n_param[i] * sizeof(float)));
    }
    TRY(put_bytes(d, &d->label, r->label, labels));
    if (r->label) TRY(put_bytes(d, &d->stats, &before, sizeof before));
out:
    return st;
}

/* Allocates everything that the run writes: all NaN, or dx0 and dz0 where it adds to them. */
static status put_outputs(device *d, const opcheck_options *opt, const opcheck_result *r)
{
    status st = OK;
    if (r->n_y) {
        d->y.bytes = d->b->value_bytes(d->b, d->shape_y, d->type);
        TRY(d->b->alloc(d->b, d->y.bytes, &d->y.at));
        TRY(poison_value(d, d->y, d->shape_y));
    }
    TRY(put_nan(d, &d->saved, d->needs.saved));
    TRY(put_nan(d, &d->scratch, d->needs.scratch));
    TRY(put_nan(d, &d->packed, d->needs.packed));
    TRY(put_nan(d, &d->cached, d->needs.cached));
    if (!opt->backward) return OK;

    TRY(put_value(d, &d->dy, d->shape_y, r->dy));
    if (!opt->no_dx) {
        TRY(put_value(d, &d->dx, d->shape_x, r->dx0));
        if (!opt->dx_add) TRY(poison_value(d, d->dx, d->shape_x));
        TRY(put_value(d, &d->dz, d->shape_x, r->dz0));
        if (!opt->dz_add) TRY(poison_value(d, d->dz, d->shape_x));
    }
    for (int i = 0; i < r->n_grads && !opt->no_grad; i++) {
        TRY(put_nan(d, &d->grad[i], (size_t)r->n_param[i] * sizeof(float)));
    }
out:
    return st;
}

static void set_args(device *d, const opcheck_options *opt)
{
    d->args = (op_args){
        .x = d->x.at,
        .z = d->z.at,
        .y = d->y.at,
        .version = 1,
        .dy = d->dy.at,
        .dx = d->dx.at,
        .dz = d->dz.at,
        .dx_add = opt->dx_add,
        .dz_add = opt->dz_add,
        .saved = d->saved.at,
        .scratch = d->scratch.at,
        .packed = d->packed.at,
        .cached = d->cached.at,
        .label = d->label.at,
        .stats = d->stats.at,
    };
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        d->args.param[i] = d->param[i].at;
        d->args.grad[i] = d->grad[i].at;
    }
}

/* Runs forward once with parameters that are all zero. A packed copy that is not renewed for the next version then
 * shows in the results. */
static status forward_older_version(device *d, const opcheck_result *r)
{
    status st = OK;
    void *zeros = NULL;
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        if (!r->param[i]) continue;
        free(zeros);
        zeros = NULL;
        TRY_ALLOC(zeros, calloc(1, d->param[i].bytes));
        TRY(d->b->upload(d->b, d->param[i].at, zeros, d->param[i].bytes));
    }
    TRY(d->b->forward(d->plan, &d->args));
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        if (r->param[i]) TRY(d->b->upload(d->b, d->param[i].at, r->param[i], d->param[i].bytes));
    }
    d->args.version++;
    TRY(poison_value(d, d->y, d->shape_y));
    TRY(poison(d, d->saved));
    TRY(poison(d, d->scratch));
out:
    free(zeros);
    return st;
}

/* Recomputes y. If a bit differs, a value of y becomes NaN, so that comparing y fails. */
static status check_recompute(device *d, opcheck_result *r)
{
    status st = OK;
    float *y = NULL;
    if (!d->needs.recompute) return OK;
    TRY(poison(d, d->scratch));
    TRY(poison_value(d, d->y, d->shape_y));
    TRY(d->b->recompute(d->plan, &d->args));
    TRY(get_value(d, d->y, d->shape_y, &y));
    if (memcmp(y, r->y, (size_t)r->n_y * sizeof *y)) r->y[0] = NAN;
out:
    free(y);
    return st;
}

/* Memory that later operations of the step may have overwritten before backward runs. */
static status poison_dead_values(device *d)
{
    status st = OK;
    TRY(poison(d, d->scratch));
    TRY(poison_value(d, d->z, d->shape_y));
    if (!d->needs.backward_x) TRY(poison_value(d, d->x, d->shape_x));
    if (!d->needs.backward_y) TRY(poison_value(d, d->y, d->shape_y));
out:
    return st;
}

static status run_step(device *d, const op_problem *p, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    bool replayed = false;
    step_handle handle = { NULL };
    const step_scalars step = { .lr = 0.1f, .momentum = 0.9f, .seed = opt->seed + 17, .step = 5 };

    TRY(d->b->step_begin(d->b, &handle, &step, &replayed));
    if (d->needs.packed || d->needs.cached) TRY(forward_older_version(d, r));
    TRY(d->b->forward(d->plan, &d->args));
    TRY(get_value(d, d->y, d->shape_y, &r->y));
    if (opt->backward) {
        TRY(check_recompute(d, r));
        TRY(poison_dead_values(d));
        TRY(d->b->backward(d->plan, &d->args));
        TRY(get_value(d, d->dx, d->shape_x, &r->dx));
        TRY(get_value(d, d->dz, d->shape_x, &r->dz));
        for (int i = 0; i < r->n_grads; i++) TRY(get_floats(d, d->grad[i], &r->grad[i]));
    }
    if (p->op.kind == OP_BNACT) {
        TRY(get_floats(d, d->param[2], &r->running_mean));
        TRY(get_floats(d, d->param[3], &r->running_var));
    }
    if (d->stats.at) TRY(d->b->download(d->b, &r->stats, d->stats.at, sizeof r->stats));
    TRY(d->b->step_end(d->b));
out:
    backend_forget_step(d->b, &handle);
    return st;
}

static void free_outputs(opcheck_result *r)
{
    float **const all[] = { &r->y, &r->dx, &r->dz, &r->running_mean, &r->running_var };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(*all[i]);
        *all[i] = NULL;
    }
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        free(r->grad[i]);
        r->grad[i] = NULL;
    }
}

status opcheck_execute(backend *b, const op_problem *p, const opcheck_options *opt, opcheck_result *r)
{
    status st = OK;
    device d = { .b = b, .shape_x = p->op.x, .shape_y = problem_last(p)->y, .type = p->op.type };

    free_outputs(r);
    if (opt->backward && !p->op.training)
        FAIL(ERR_RUNTIME, "opcheck: backward of an operation in evaluation");
    TRY(problem_plan(b, p, &d.plan, &d.needs));
    TRY(put_inputs(&d, r));
    TRY(put_outputs(&d, opt, r));
    set_args(&d, opt);
    TRY(run_step(&d, p, opt, r));
out:
    release_all(&d);
    return st;
}

status opcheck_run(backend *b, const op_problem *p, const opcheck_options *opt, opcheck_result *out)
{
    status st = OK;
    TRY(opcheck_prepare(p, opt, out));
    TRY(opcheck_execute(b, p, opt, out));
out:
    if (st != OK) opcheck_free(out);
    return st;
}

void opcheck_free(opcheck_result *r)
{
    free_outputs(r);
    free(r->x);
    free(r->z);
    free(r->dy);
    free(r->dx0);
    free(r->dz0);
    free(r->label);
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) free(r->param[i]);
    *r = (opcheck_result){ 0 };
}

double opcheck_error(const float *a, const float *ref, int64_t n)
{
    double worst = 0, scale = 1e-30;
    if (n > 0 && (!a || !ref)) return INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(ref[i])) return INFINITY;
        worst = fmax(worst, fabs((double)a[i] - ref[i]));
        scale = fmax(scale, fabs(ref[i]));
    }
    return worst / scale;
}

int opcheck_compare(const opcheck_result *a, const opcheck_result *ref, opcheck_output out[OPCHECK_OUTPUTS])
{
    static const char *const gradient[OP_MAX_PARAMS] = { "grad 0", "grad 1", "grad 2", "grad 3" };
    const struct {
        opcheck_output output;
        const float *a, *ref;
        int64_t n;
    } fixed[] = {
        { { "y", .value = true }, a->y, ref->y, ref->n_y },
        { { "running mean" }, a->running_mean, ref->running_mean, ref->n_param[2] },
        { { "running var" }, a->running_var, ref->running_var, ref->n_param[3] },
        { { "dx", .backward = true, .value = true }, a->dx, ref->dx, ref->n_x },
        { { "dz", .backward = true, .value = true }, a->dz, ref->dz, ref->n_x },
    };
    int count = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (!fixed[i].a && !fixed[i].ref) continue;
        out[count] = fixed[i].output;
        out[count++].error = opcheck_error(fixed[i].a, fixed[i].ref, fixed[i].n);
    }
    for (int i = 0; i < ref->n_grads; i++) {
        if (!a->grad[i] && !ref->grad[i]) continue;
        out[count] = (opcheck_output){ gradient[i], .backward = true };
        out[count++].error = opcheck_error(a->grad[i], ref->grad[i], ref->n_param[i]);
    }
    return count;
}

/* ---- gradients, against differences ---- */

/* L = sum of dy * y for the inputs in r as they are now; for the loss, L is the loss. */
static status scalar(backend *b, const op_problem *p, const opcheck_options *opt, opcheck_result *r,
                     double *out)
{
    status st = OK;
    opcheck_options forward = *opt;
    forward.backward = false;
    TRY(opcheck_execute(b, p, &forward, r));
    *out = r->label ? (r->stats.loss - 1000) / (double)(r->stats.rows - 10) : 0;
    for (int64_t i = 0; i < r->n_y; i++) *out += (double)r->dy[i] * r->y[i];
out:
    return st;
}

/* (L(x + h) - L(x - h)) / 2h for one value x, with 2h as f32 really has it. */
static status difference(backend *b, const op_problem *p, const opcheck_options *opt, opcheck_result *r,
                         float *x, float h, double *out)
{
    status st = OK;
    const float was = *x, high = was + h, low = was - h;
    double above, below;
    *x = high;
    TRY(scalar(b, p, opt, r, &above));
    *x = low;
    TRY(scalar(b, p, opt, r, &below));
    *out = (above - below) / ((double)high - low);
out:
    *x = was;
    return st;
}

/* Raises *worst to the error of gradient[0..n) of the input[0..n) in r. */
static status compare_gradient(backend *b, const op_problem *p, const opcheck_options *opt, opcheck_result *r,
                               float *input, const float *gradient, int64_t n, double *worst)
{
    status st = OK;
    const float h = 1.0f / 128;
    double error = 0, scale = 0, one, two;
    for (int64_t i = 0; i < n; i++) {
        TRY(difference(b, p, opt, r, &input[i], h, &one));
        TRY(difference(b, p, opt, r, &input[i], 2 * h, &two));
        const double numeric = (4 * one - two) / 3;
        error =
            isfinite(numeric) && isfinite(gradient[i]) ? fmax(error, fabs(gradient[i] - numeric)) : INFINITY;
        scale = fmax(scale, fabs(numeric));
    }
    *worst =
        fmax(*worst, scale > 0 ? error / scale : INFINITY); /* an input that does nothing tests nothing */
out:
    return st;
}

status opcheck_gradients(backend *b, const op_problem *p, const opcheck_options *opt,
                         const opcheck_result *gradients, double *error)
{
    status st = OK;
    const opcheck_result *g = gradients;
    opcheck_result r; /* the same inputs, to be moved */
    *error = 0;
    TRY(opcheck_prepare(p, opt, &r));
    TRY(compare_gradient(b, p, opt, &r, r.x, g->dx, r.n_x, error));
    if (r.z) TRY(compare_gradient(b, p, opt, &r, r.z, g->dz, r.n_x, error));
    for (int i = 0; i < r.n_grads; i++)
        TRY(compare_gradient(b, p, opt, &r, r.param[i], g->grad[i], r.n_param[i], error));
out:
    opcheck_free(&r);
    return st;
}
