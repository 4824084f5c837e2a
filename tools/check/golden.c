/* tools/check/golden.c -- see golden.h. */
#include "golden.h"

#include "../../core/base/file.h"
#include "../../core/base/rng.h"
#include "../../core/base/text.h"
#include "../../core/format/safetensors.h"
#include "../../nets/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in oracle.py and make_golden.py. */
enum { SEED_VALUES = 1, SEED_PROJECT = 2, SEED_SAMPLE = 3 };
enum { STEPS = 3, BATCH = 8, CLASSES = 10, PIXELS = 3 * 32 * 32 };
#define SHIFT    0x1p-10
#define LR       0.01
#define ROUNDING 0x1p-24 /* of one float32 operation, relative */

typedef struct run {
    golden_result *out;
    void (*tell)(const char *line);
    const char *path;
    st_file golden;
    int n_record; /* doubles in the record of a tensor */
    uint64_t seed;
    uint32_t batch[STEPS]; /* which batch each step takes */
    backend *device;
    net *net;
    float *input, *host; /* one batch; room for the largest parameter */
    double *wide;        /* room for the largest parameter */
    int32_t label[BATCH];
} run;

/* ---- values, by the formulas of oracle.py ---- */

static uint32_t key(const char *name)
{
    return (uint32_t)file_hash(name, strlen(name));
}

/* Is this the last gamma of a bottleneck or inverted residual whose shortcut is the identity? It is small there: in such
 * deep nets, rounding would otherwise grow from block to block. */
static bool ends_identity_block(const net *n, const char *param)
{
    int count;
    const net_unit *unit = net_units(n, &count);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(unit[i].name);
        if (!unit[i].removable || strncmp(param, unit[i].name, length)) continue;
        if (!strcmp(param + length, ".bn3.weight") || !strcmp(param + length, ".conv.3.weight")) return true;
    }
    return false;
}

static void initial_value(const net *n, const net_param *p, float *out)
{
    float bound = (float)sqrt(6 * (double)p->spec.shape[0] / (double)p->count);
    bool around_one = text_ends_with(p->name, ".weight") || text_ends_with(p->name, ".running_var");
    float gamma = ends_identity_block(n, p->name) ? 0.25f : 1;
    for (int64_t i = 0; i < p->count; i++) {
        float u = rng_uniform(SEED_VALUES, RNG_TEST, key(p->name), (uint64_t)i);
        if (p->spec.rank > 1)
            out[i] = (2 * u - 1) * bound;
        else
            out[i] = around_one ? (0.5f + u) * gamma : (u - 0.5f) * 0.25f;
    }
}

static void make_batch(run *r, int step)
{
    const uint32_t number = r->batch[step];
    uint64_t n = (uint64_t)BATCH * PIXELS;
    for (uint64_t i = 0; i < n; i++) r->input[i] = 4 * rng_uniform(r->seed, RNG_TEST, number, i) - 2;
    for (uint64_t i = 0; i < BATCH; i++)
        r->label[i] = (int32_t)(rng_uniform(r->seed, RNG_TEST, number, n + i) * CLASSES);
}

static status set_initial_values(run *r)
{
    status st = OK;
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        initial_value(r->net, &p[i], r->host);
        TRY(net_param_write(r->net, &p[i], r->host));
    }
out:
    return st;
}

/* Moves the biases in front of ReLUs, so that this step stays away from every kink. */
static status apply_shifts(run *r, int step)
{
    status st = OK;
    int n;
    char name[128];
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        TRY(text_format(name, sizeof name, "shift%d %s", step, p[i].name));
        const st_tensor *t = st_find(&r->golden, name);
        if (!t) continue;
        if (t->type != ST_I8 || t->count != p[i].count)
            FAIL(ERR_DATA, "%s: \"%s\" does not fit the net", r->path, name);
        TRY(net_param_read(r->net, &p[i], r->host));
        for (int64_t j = 0; j < t->count; j++) r->host[j] += (float)(((const int8_t *)t->data)[j] * SHIFT);
        TRY(net_param_write(r->net, &p[i], r->host));
    }
out:
    return st;
}

/* ---- comparison ---- */

static status golden_doubles(const run *r, const char *name, double *out, int count)
{
    status st = OK;
    const st_tensor *t = st_find(&r->golden, name);
    if (!t || t->type != ST_F64 || t->count != count)
        FAIL(ERR_DATA, "%s: no \"%s\" of %d doubles: not a file of make_golden.py for this net", r->path,
             name, count);
    memcpy(out, t->data, (size_t)count * sizeof *out);
out:
    return st;
}

/* NaN counts as an infinite error. */
static void expect(golden_result *out, golden_phase phase, void (*tell)(const char *), const char *name,
                   const char *what, double error, double allowed)
{
    double relative = isnan(error) ? INFINITY : error / allowed * GOLDEN_TOLERANCE, greatest = 0;
    for (int i = 0; i < GOLDEN_PHASES; i++) greatest = fmax(greatest, out->error[i]);
    if (relative >= greatest) snprintf(out->worst, sizeof out->worst, "%s (%s)", name, what);
    out->error[phase] = fmax(out->error[phase], relative);
    if (relative <= GOLDEN_TOLERANCE) return;
    char line[256];
    out->mismatches++;
    snprintf(line, sizeof line, "%s: %s is off by %.3g, allowed %.3g", name, what, error, allowed);
    if (tell) tell(line);
}

static uint64_t sample_place(const char *parameter, int j, int64_t count)
{
    return (uint64_t)rng_u32(SEED_SAMPLE, RNG_TEST, key(parameter), (uint64_t)j) * (uint64_t)count >> 32;
}

void golden_record(const char *name, const double *t, int64_t count, double *out, int n_record)
{
    memset(out, 0, (size_t)n_record * sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = rng_u32(SEED_PROJECT, RNG_TEST, key(name), (uint64_t)i);
        out[0] += t[i] * t[i];
        for (int j = 0; j < GOLDEN_SIGNS; j++) out[1 + j] += bits >> j & 1 ? t[i] : -t[i];
    }
    out[0] = sqrt(out[0]);
    for (int j = 0; j < n_record - 1 - GOLDEN_SIGNS; j++)
        out[1 + GOLDEN_SIGNS + j] = t[sample_place(name, j, count)];
}

void golden_compare(golden_result *out, golden_phase phase, void (*tell)(const char *line), const char *name,
                    const double *golden, int n_record, const double *t, int64_t count, double scale,
                    double rounding)
{
    double mine[GOLDEN_MAX_RECORD], projected = 0, entry = 0, greatest = 0, share = 1 / sqrt((double)count);
    golden_record(name, t, count, mine, n_record);
    for (int j = 1; j <= GOLDEN_SIGNS; j++) projected += pow(mine[j] - golden[j], 2) / GOLDEN_SIGNS;
    for (int j = 1 + GOLDEN_SIGNS; j < n_record; j++) {
        entry = fmax(entry, fabs(mine[j] - golden[j]));
        greatest = fmax(greatest, fabs(golden[j]));
    }
    for (int j = 0; j < n_record; j++)
        if (isnan(mine[j])) entry = NAN; /* fmax ignores NaN */
    expect(out, phase, tell, name, "norm", fabs(mine[0] - golden[0]), GOLDEN_TOLERANCE * scale + rounding);
    expect(out, phase, tell, name, "projection", sqrt(projected), GOLDEN_TOLERANCE * scale + rounding);
    expect(out, phase, tell, name, "greatest error of an entry", entry,
           GOLDEN_TOLERANCE * fmax(greatest, scale * share) + 8 * rounding * share);
}

static status compare_logits(run *r, golden_phase phase, const char *name, int which)
{
    status st = OK;
    float logits[BATCH * CLASSES];
    double golden[BATCH * CLASSES], error = 0, norm = 0;
    TRY(golden_doubles(r, name, golden, BATCH * CLASSES));
    TRY(net_logits(r->net, which, BATCH, logits));
    for (int i = 0; i < BATCH * CLASSES; i++) {
        error += pow((double)logits[i] - golden[i], 2);
        norm += golden[i] * golden[i];
    }
    expect(r->out, phase, r->tell, name, "error", sqrt(error), GOLDEN_TOLERANCE * sqrt(norm));
out:
    return st;
}

/* Errors of a gradient are relative to its norm. In exact arithmetic, a bias in front of BN has gradient 0. A device
 * computes only rounding there, so it is compared on the scale of the gradient of the weight beside that bias. */
static status gradient_scale(const run *r, const net_param *p, double norm, double *out)
{
    status st = OK;
    char name[128];
    double weight[GOLDEN_MAX_RECORD];
    int stem = (int)(strrchr(p->name, '.') - p->name);
    TRY(text_format(name, sizeof name, "grad %.*s.weight", stem, p->name));
    TRY(golden_doubles(r, name, weight, r->n_record));
    *out = norm < 1e-9 * weight[0] ? weight[0] : norm;
out:
    return st;
}

static status compare_gradient(run *r, const net_param *p)
{
    status st = OK;
    char name[128];
    double golden[GOLDEN_MAX_RECORD], scale;
    TRY(text_format(name, sizeof name, "grad %s", p->name));
    TRY(golden_doubles(r, name, golden, r->n_record));
    TRY(gradient_scale(r, p, golden[0], &scale));
    TRY(r->device->download(r->device, r->host, p->grad, (size_t)p->count * sizeof(float)));
    for (int64_t j = 0; j < p->count; j++) r->wide[j] = (double)r->host[j];
    golden_compare(r->out, GOLDEN_BACKWARD, r->tell, name, golden, r->n_record, r->wide, p->count, scale, 0);
out:
    return st;
}

static status compare_gradients(run *r)
{
    status st = OK;
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++)
        if (p[i].grad) TRY(compare_gradient(r, &p[i]));
out:
    return st;
}

/* Compares end minus start, so that an error of the optimiser cannot hide behind the size of the values. Each step rounds
 * every value once. */
static status compare_update(run *r, const net_param *p)
{
    status st = OK;
    char name[128], gradient[128];
    double golden[GOLDEN_MAX_RECORD], g[GOLDEN_MAX_RECORD], norm = 0, scale;
    TRY(text_format(name, sizeof name, "update %s", p->name));
    TRY(golden_doubles(r, name, golden, r->n_record));
    initial_value(r->net, p, r->host);
    for (int64_t j = 0; j < p->count; j++) r->wide[j] = -(double)r->host[j];
    TRY(net_param_read(r->net, p, r->host));
    for (int64_t j = 0; j < p->count; j++) {
        r->wide[j] += (double)r->host[j];
        norm += pow((double)r->host[j], 2);
    }
    scale = golden[0];
    if (p->grad) {
        double of_gradient;
        TRY(text_format(gradient, sizeof gradient, "grad %s", p->name));
        TRY(golden_doubles(r, gradient, g, r->n_record));
        TRY(gradient_scale(r, p, g[0], &of_gradient));
        scale = fmax(scale, LR * of_gradient);
    }
    golden_compare(r->out, GOLDEN_TRAINING, r->tell, name, golden, r->n_record, r->wide, p->count, scale,
                   STEPS * ROUNDING * sqrt(norm));
out:
    return st;
}

static status compare_updates(run *r)
{
    status st = OK;
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) TRY(compare_update(r, &p[i]));
out:
    return st;
}

static status compare_loss(run *r, golden_phase phase, int step)
{
    status st = OK;
    double golden[STEPS];
    loss_stats s;
    TRY(golden_doubles(r, "loss", golden, STEPS));
    TRY(net_stats(r->net, &s));
    if (s.rows != BATCH) FAIL(ERR_RUNTIME, "the loss counted %lld rows of %d", (long long)s.rows, BATCH);
    expect(r->out, phase, r->tell, "loss", "error", fabs(s.loss / BATCH - golden[step]),
           GOLDEN_TOLERANCE * golden[step]);
    TRY(net_stats_set(r->net, &(loss_stats){ 0 }));
out:
    return st;
}

/* ---- the run ---- */

static status read_header(run *r)
{
    status st = OK;
    TRY(st_open(r->path, &r->golden));
    const char *arch = st_meta(&r->golden, "arch"), *seed = st_meta(&r->golden, "seed");
    const char *samples = st_meta(&r->golden, "samples");
    const st_tensor *numbers = st_find(&r->golden, "batch");
    r->n_record = 1 + GOLDEN_SIGNS + (samples ? atoi(samples) : GOLDEN_MAX_SAMPLES);
    if (!arch || !seed || r->n_record < 1 + GOLDEN_SIGNS || r->n_record > GOLDEN_MAX_RECORD || !numbers ||
        numbers->type != ST_I32 || numbers->count != STEPS)
        FAIL(ERR_DATA, "%s: not a file of make_golden.py", r->path);
    memcpy(r->batch, numbers->data, sizeof r->batch);
    r->seed = strtoull(seed, NULL, 10);
    snprintf(r->out->arch, sizeof r->out->arch, "%s", arch);
out:
    return st;
}

static status open_run(run *r)
{
    status st = OK;
    const net_case cases[] = { [CASE_TRAIN] = { BATCH, true }, [CASE_EVAL] = { BATCH, false } };
    int n;
    int64_t largest = 0;
    TRY(read_header(r));
    TRY(net_create(&(net_spec){ .arch = r->out->arch, .classes = CLASSES }, &r->net));
    TRY(net_compile(r->net, r->device, F32, cases, 2));
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) largest = p[i].count > largest ? p[i].count : largest;
    TRY_ALLOC(r->host, malloc((size_t)largest * sizeof *r->host));
    TRY_ALLOC(r->wide, malloc((size_t)largest * sizeof *r->wide));
    TRY_ALLOC(r->input, malloc((size_t)BATCH * PIXELS * sizeof *r->input));
out:
    return st;
}

static void close_run(run *r)
{
    free(r->input);
    free(r->wide);
    free(r->host);
    net_free(r->net);
    st_close(&r->golden);
}

static status evaluate(run *r, golden_phase phase, const char *golden_logits)
{
    status st = OK;
    make_batch(r, 0);
    TRY(net_input(r->net, CASE_EVAL, r->input, r->label, BATCH));
    TRY(net_forward(r->net, CASE_EVAL));
    TRY(compare_logits(r, phase, golden_logits, CASE_EVAL));
    TRY(net_stats_set(r->net, &(loss_stats){ 0 }));
out:
    return st;
}

static step_scalars scalars(const run *r, int step)
{
    return (step_scalars){
        .lr = (float)LR, .momentum = 0.9f, .weight_decay = 0.005f, .seed = r->seed, .step = (uint64_t)step
    };
}

static status prepare_step(run *r, int step)
{
    status st = OK;
    make_batch(r, step);
    TRY(apply_shifts(r, step));
    TRY(net_input(r->net, CASE_TRAIN, r->input, r->label, BATCH));
out:
    return st;
}

/* Forward and backward of step 0, without the update. */
static status check_gradients(run *r)
{
    status st = OK;
    bool replayed;
    step_handle handle = { NULL };
    const step_scalars s = scalars(r, 0);
    TRY(prepare_step(r, 0));
    TRY(r->device->step_begin(r->device, &handle, &s, &replayed));
    TRY(net_forward(r->net, CASE_TRAIN));
    TRY(compare_logits(r, GOLDEN_FORWARD, "logits.train", CASE_TRAIN));
    TRY(net_backward(r->net, CASE_TRAIN));
    TRY(r->device->step_end(r->device));
    TRY(compare_loss(r, GOLDEN_FORWARD, 0));
    TRY(compare_gradients(r));
    TRY(set_initial_values(r)); /* the running statistics had moved */
out:
    backend_forget_step(r->device, &handle);
    return st;
}

static status check_steps(run *r)
{
    status st = OK;
    for (int step = 0; step < STEPS; step++) {
        const step_scalars s = scalars(r, step);
        TRY(prepare_step(r, step));
        TRY(net_step(r->net, CASE_TRAIN, &s));
        TRY(compare_loss(r, GOLDEN_TRAINING, step));
    }
    TRY(compare_updates(r));
out:
    return st;
}

status golden_check(const char *path, backend *device, void (*tell)(const char *line), golden_result *out)
{
    status st = OK;
    run r = { .out = out, .tell = tell, .path = path, .device = device };
    *out = (golden_result){ 0 };
    TRY(open_run(&r));
    TRY(set_initial_values(&r));
    TRY(evaluate(&r, GOLDEN_FORWARD, "logits.eval"));
    TRY(check_gradients(&r));
    TRY(check_steps(&r));
    TRY(evaluate(&r, GOLDEN_TRAINING, "logits.after"));
out:
    close_run(&r);
    return st;
}
