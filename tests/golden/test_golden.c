/* Whole nets against PyTorch in float64: evaluation, gradients, three steps of SGD on three batches,
 * evaluation again. tests/golden/make_golden.py made the files, tests/peer/oracle.py says from which values;
 * both sides draw these from the same formula. */
#include "../../core/file.h"
#include "../../core/rng.h"
#include "../../core/safetensors.h"
#include "../../nets/net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As in oracle.py and make_golden.py. */
enum { SEED_VALUES = 1, SEED_PROJECT = 2, SEED_SAMPLE = 3 };
enum { STEPS = 3, BATCH = 8, CLASSES = 10, PIXELS = 3 * 32 * 32 };
enum { N_SIGNS = 8, N_SAMPLES = 64, N_RECORD = 1 + N_SIGNS + N_SAMPLES };
#define SHIFT 0x1p-10
#define LR    0.01

#define TOLERANCE 5e-5    /* float32 PyTorch is within half of it: make_golden.py */
#define ROUNDING  0x1p-24 /* of one float32 operation, relative */
enum { CASE_TRAIN, CASE_EVAL };

typedef struct run {
    st_file golden;
    uint64_t seed;
    uint32_t batch[STEPS]; /* the number of each step's batch */
    backend *device;
    net *net;
    float *input, *host; /* one batch; the largest parameter */
    int32_t label[BATCH];
    int mismatches;
    double worst; /* error / allowed error */
    char worst_name[128];
} run;

static void must(status st)
{
    if (st != OK) fail_msg("%s", status_message());
}

/* ---- values by formula: oracle.py ---- */

static uint32_t key(const char *name)
{
    return (uint32_t)file_hash(name, strlen(name));
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void initial_value(const net_param *p, float *out)
{
    float bound = (float)sqrt(6 * (double)p->spec.shape[0] / (double)p->count);
    bool around_one = ends_with(p->name, ".weight") || ends_with(p->name, ".running_var");
    for (int64_t i = 0; i < p->count; i++) {
        float u = rng_uniform(SEED_VALUES, RNG_TEST, key(p->name), (uint64_t)i);
        if (p->spec.rank > 1)
            out[i] = (2 * u - 1) * bound;
        else
            out[i] = around_one ? 0.5f + u : (u - 0.5f) * 0.25f;
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

static void set_initial_values(run *r)
{
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        initial_value(&p[i], r->host);
        must(net_param_write(r->net, &p[i], r->host));
    }
}

/* Moves the biases before ReLUs so that this step stays off every kink. */
static void apply_shifts(run *r, int step)
{
    int n;
    char name[128];
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        must(path_format(name, sizeof name, "shift%d %s", step, p[i].name));
        const st_tensor *t = st_find(&r->golden, name);
        if (!t) continue;
        assert_true(t->type == ST_I32 && t->count == p[i].count);
        must(net_param_read(r->net, &p[i], r->host));
        for (int64_t j = 0; j < t->count; j++) {
            int32_t k;
            memcpy(&k, (const char *)t->data + j * (int64_t)sizeof k, sizeof k);
            r->host[j] += (float)(k * SHIFT);
        }
        must(net_param_write(r->net, &p[i], r->host));
    }
}

/* ---- comparison ---- */

static void golden_doubles(const run *r, const char *name, double *out, int count)
{
    const st_tensor *t = st_find(&r->golden, name);
    if (!t) fail_msg("the golden file has no \"%s\"", name);
    assert_true(t->type == ST_F64 && t->count == count);
    memcpy(out, t->data, (size_t)count * sizeof *out);
}

static void expect(run *r, const char *name, const char *what, double error, double allowed)
{
    double ratio = error / allowed;
    if (!(ratio <= r->worst)) {
        r->worst = ratio;
        snprintf(r->worst_name, sizeof r->worst_name, "%s (%s)", name, what);
    }
    if (ratio <= 1) return;
    r->mismatches++;
    print_error("%s: %s is off by %.3g, allowed %.3g\n", name, what, error, allowed);
}

static uint64_t sample_place(const char *parameter, int j, int64_t count)
{
    return (uint64_t)rng_u32(SEED_SAMPLE, RNG_TEST, key(parameter), (uint64_t)j) * (uint64_t)count >> 32;
}

/* |t|, eight projections on random signs, 64 entries. */
static void make_record(const char *key_name, const double *t, int64_t count, double *out)
{
    memset(out, 0, N_RECORD * sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = rng_u32(SEED_PROJECT, RNG_TEST, key(key_name), (uint64_t)i);
        out[0] += t[i] * t[i];
        for (int j = 0; j < N_SIGNS; j++) out[1 + j] += bits >> j & 1 ? t[i] : -t[i];
    }
    out[0] = sqrt(out[0]);
    for (int j = 0; j < N_SAMPLES; j++) out[1 + N_SIGNS + j] = t[sample_place(key_name, j, count)];
}

/* Compares with the golden record. Errors are measured against `scale` (the size of the whole tensor as a
 * Euclidean norm), plus `rounding` for the tensor, spread evenly over its entries. */
static void compare_record(run *r, const char *name, const double *golden, const double *t, int64_t count,
                           double scale, double rounding)
{
    double mine[N_RECORD], projected = 0, entry = 0, greatest = 0, share = 1 / sqrt((double)count);
    make_record(name, t, count, mine); /* keyed by the golden name */
    for (int j = 1; j <= N_SIGNS; j++) projected += pow(mine[j] - golden[j], 2) / N_SIGNS;
    for (int j = 1 + N_SIGNS; j < N_RECORD; j++) {
        entry = fmax(entry, fabs(mine[j] - golden[j]));
        greatest = fmax(greatest, fabs(golden[j]));
        if (isnan(mine[j])) entry = NAN;
    }
    expect(r, name, "norm", fabs(mine[0] - golden[0]), TOLERANCE * scale + rounding);
    expect(r, name, "projection", sqrt(projected), TOLERANCE * scale + rounding);
    expect(r, name, "greatest error of an entry", entry,
           TOLERANCE * fmax(greatest, scale * share) + 8 * rounding * share);
}

static void compare_logits(run *r, const char *name, int which)
{
    float logits[BATCH * CLASSES];
    double golden[BATCH * CLASSES], error = 0, norm = 0;
    golden_doubles(r, name, golden, BATCH * CLASSES);
    must(net_logits(r->net, which, BATCH, logits));
    for (int i = 0; i < BATCH * CLASSES; i++) {
        error += pow((double)logits[i] - golden[i], 2);
        norm += golden[i] * golden[i];
    }
    expect(r, name, "error", sqrt(error), TOLERANCE * sqrt(norm));
}

/* The norm of the golden gradient of the weight whose bias this is. */
static double weight_gradient(const run *r, const net_param *p)
{
    char name[128];
    double golden[N_RECORD];
    int stem = (int)(strrchr(p->name, '.') - p->name);
    must(path_format(name, sizeof name, "grad %.*s.weight", stem, p->name));
    golden_doubles(r, name, golden, N_RECORD);
    return golden[0];
}

/* A bias before BN has gradient 0 in exact arithmetic; what a device computes is rounding, and is compared on
 * the scale of the weight's gradient. */
static double gradient_scale(const run *r, const net_param *p, double norm)
{
    double weight = weight_gradient(r, p);
    return norm < 1e-9 * weight ? weight : norm;
}

static void compare_gradients(run *r)
{
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        char name[128];
        double golden[N_RECORD], *t;
        if (!p[i].grad) continue;
        must(path_format(name, sizeof name, "grad %s", p[i].name));
        golden_doubles(r, name, golden, N_RECORD);
        must(r->device->download(r->device, r->host, p[i].grad, (size_t)p[i].count * sizeof(float)));
        assert_non_null(t = malloc((size_t)p[i].count * sizeof *t));
        for (int64_t j = 0; j < p[i].count; j++) t[j] = (double)r->host[j];
        compare_record(r, name, golden, t, p[i].count, gradient_scale(r, &p[i], golden[0]), 0);
        free(t);
    }
}

/* End minus start, so that an error of the optimiser cannot hide behind the size of the values. Each step
 * rounds every value once. */
static void compare_updates(run *r)
{
    int n;
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) {
        char name[128];
        double golden[N_RECORD], *t, norm = 0, scale;
        float *start;
        must(path_format(name, sizeof name, "update %s", p[i].name));
        golden_doubles(r, name, golden, N_RECORD);
        assert_non_null(t = malloc((size_t)p[i].count * sizeof *t));
        assert_non_null(start = malloc((size_t)p[i].count * sizeof *start));
        initial_value(&p[i], start);
        must(net_param_read(r->net, &p[i], r->host));
        for (int64_t j = 0; j < p[i].count; j++) {
            t[j] = (double)r->host[j] - (double)start[j];
            norm += pow((double)r->host[j], 2);
        }
        scale = golden[0];
        if (p[i].grad) {
            char gradient[128];
            double g[N_RECORD];
            must(path_format(gradient, sizeof gradient, "grad %s", p[i].name));
            golden_doubles(r, gradient, g, N_RECORD);
            scale = fmax(scale, LR * gradient_scale(r, &p[i], g[0]));
        }
        compare_record(r, name, golden, t, p[i].count, scale, STEPS * ROUNDING * sqrt(norm));
        free(start);
        free(t);
    }
}

static void compare_loss(run *r, int step)
{
    double golden[STEPS];
    loss_stats s;
    golden_doubles(r, "loss", golden, STEPS);
    must(net_stats(r->net, &s));
    assert_int_equal(s.rows, BATCH);
    expect(r, "loss", "error", fabs(s.loss / BATCH - golden[step]), TOLERANCE * golden[step]);
    must(net_stats_set(r->net, &(loss_stats){ 0 }));
}

/* ---- the run ---- */

static void open_run(run *r, const char *arch, const char *device)
{
    char path[64];
    const net_case cases[] = { [CASE_TRAIN] = { BATCH, true }, [CASE_EVAL] = { BATCH, false } };
    int n;
    int64_t largest = 0;
    *r = (run){ 0 };
    must(path_format(path, sizeof path, "tests/golden/%s.safetensors", arch));
    must(st_open(path, &r->golden));
    r->seed = strtoull(st_meta(&r->golden, "seed"), NULL, 10);
    const st_tensor *numbers = st_find(&r->golden, "batch");
    assert_true(numbers && numbers->type == ST_I32 && numbers->count == STEPS);
    memcpy(r->batch, numbers->data, sizeof r->batch);
    must(backend_open(device, 0, &r->device, NULL, 0));
    must(net_create(arch, CLASSES, NULL, 0, &r->net));
    must(net_compile(r->net, r->device, F32, cases, 2));
    const net_param *p = net_params(r->net, &n);
    for (int i = 0; i < n; i++) largest = p[i].count > largest ? p[i].count : largest;
    assert_non_null(r->host = malloc((size_t)largest * sizeof *r->host));
    assert_non_null(r->input = malloc((size_t)BATCH * PIXELS * sizeof *r->input));
}

static void close_run(run *r)
{
    free(r->input);
    free(r->host);
    net_free(r->net);
    backend_close(r->device);
    st_close(&r->golden);
}

static void evaluate(run *r, const char *golden_logits)
{
    make_batch(r, 0);
    must(net_input(r->net, CASE_EVAL, r->input, r->label, BATCH));
    must(net_forward(r->net, CASE_EVAL));
    compare_logits(r, golden_logits, CASE_EVAL);
    must(net_stats_set(r->net, &(loss_stats){ 0 }));
}

static step_scalars scalars(const run *r, int step)
{
    return (step_scalars){
        .lr = (float)LR, .momentum = 0.9f, .weight_decay = 0.005f, .seed = r->seed, .step = (uint64_t)step
    };
}

static void prepare_step(run *r, int step)
{
    make_batch(r, step);
    apply_shifts(r, step);
    must(net_input(r->net, CASE_TRAIN, r->input, r->label, BATCH));
}

/* Forward and backward of step 0 without the update, the values put back afterwards. */
static void check_gradients(run *r)
{
    bool replayed;
    const step_scalars s = scalars(r, 0);
    prepare_step(r, 0);
    must(r->device->step_begin(r->device, CASE_TRAIN, &s, &replayed));
    must(net_forward(r->net, CASE_TRAIN));
    compare_logits(r, "logits.train", CASE_TRAIN);
    must(net_backward(r->net, CASE_TRAIN));
    must(r->device->step_end(r->device));
    compare_loss(r, 0);
    compare_gradients(r);
    set_initial_values(r); /* the running statistics had moved */
}

static void check_steps(run *r)
{
    for (int step = 0; step < STEPS; step++) {
        const step_scalars s = scalars(r, step);
        prepare_step(r, step);
        must(net_step(r->net, CASE_TRAIN, &s));
        compare_loss(r, step);
    }
    compare_updates(r);
}

static void check(const char *arch, const char *device)
{
    run r;
    open_run(&r, arch, device);
    set_initial_values(&r);
    evaluate(&r, "logits.eval");
    check_gradients(&r);
    check_steps(&r);
    evaluate(&r, "logits.after");
    print_message("# %s on %s: worst error %.2g of what is allowed, %s\n", arch, device, r.worst,
                  r.worst_name);
    int mismatches = r.mismatches;
    close_run(&r);
    assert_int_equal(mismatches, 0);
}

/* ---- tests ---- */

static void use_convolution(const char *algorithm)
{
    assert_int_equal(setenv("CLEAVE_CONV", algorithm, 1), 0);
}

static void resnet20_on_ref(void **state)
{
    (void)state;
    check("resnet20", "ref");
}

static void resnet20_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("resnet20", "cpu");
}

static void resnet18_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("resnet18", "cpu");
}

static void vgg11_on_cpu(void **state)
{
    (void)state;
    use_convolution("direct");
    check("vgg11_bn", "cpu");
}

static void resnet18_on_cpu_with_winograd(void **state)
{
    (void)state;
    use_convolution("winograd");
    check("resnet18", "cpu");
}

/* The checker is checked: each kind of error that a record has to show. */
enum { N_PROBE = 5000 };

static int mismatches_after(void (*spoil)(double *t))
{
    run r = { 0 };
    double golden[N_RECORD];
    double *t = malloc(N_PROBE * sizeof *t);
    assert_non_null(t);
    for (uint64_t i = 0; i < N_PROBE; i++) t[i] = (double)rng_normal(0, RNG_TEST, 0, i);
    make_record("probe", t, N_PROBE, golden);
    spoil(t);
    compare_record(&r, "probe", golden, t, N_PROBE, golden[0], 0);
    free(t);
    return r.mismatches;
}

static void leave(double *t)
{
    (void)t;
}
static void grow(double *t)
{
    for (int i = 0; i < N_PROBE; i++) t[i] *= 1.0003;
}
static void flip_one_in_a_hundred(double *t)
{
    for (int i = 0; i < N_PROBE; i += 100) t[i] = -t[i];
}
static void flip_all(double *t)
{
    for (int i = 0; i < N_PROBE; i++) t[i] = -t[i];
}
static void swap_two(double *t)
{
    double first = t[0];
    t[0] = t[1];
    t[1] = first;
}
static void lose_one(double *t)
{
    t[17] = NAN;
}

static void the_comparison_can_fail(void **state)
{
    (void)state;
    assert_int_equal(mismatches_after(leave), 0);
    assert_true(mismatches_after(grow) > 0);
    assert_true(mismatches_after(flip_one_in_a_hundred) > 0);
    assert_true(mismatches_after(flip_all) > 0);
    assert_true(mismatches_after(swap_two) > 0);
    assert_true(mismatches_after(lose_one) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_comparison_can_fail),
        cmocka_unit_test(resnet20_on_ref),
        cmocka_unit_test(resnet20_on_cpu),
        cmocka_unit_test(resnet18_on_cpu),
        cmocka_unit_test(vgg11_on_cpu),
        cmocka_unit_test(resnet18_on_cpu_with_winograd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
