/* tests/cuda/device_check.c -- see device_check.h. */
#include "device_check.h"
#include "../../core/device/products.h"

#include "../../core/base/rng.h"
#include "../../nets/run.h"
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "checks.h"
#include "convs.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- TAP --- */

static int n_tests, n_wrong;

void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    n_wrong++;
}

bool fine(status st, const char *what)
{
    if (st != OK) wrong("%s: %s (%s)", what, status_message(), status_place());
    return st == OK;
}

static void within(const char *what, const char *which, double error, double limit)
{
    if (getenv("CLEAVE_TEST_VERBOSE")) printf("# %-44s %-12s %.1e\n", what, which, error);
    if (!(error <= limit)) wrong("%s: %s is off by %.2e, allowed %.1e", what, which, error, limit);
}

void close_to(const char *what, const char *which, const float *a, const float *ref, int64_t n, double limit)
{
    if (a || ref) within(what, which, opcheck_error(a, ref, n), limit);
}

/* --- operations --- */

static void compare(const char *what, const op_problem *o, const opcheck_result *a, const opcheck_result *b,
                    double limit)
{
    opcheck_output output[OPCHECK_OUTPUTS];
    const int n = opcheck_compare(a, b, output);
    for (int i = 0; i < n; i++) within(what, output[i].name, output[i].error, limit);
    if (o->op.kind != OP_LOSS) return;
    if (a->stats.rows != b->stats.rows) wrong("%s: %lld rows", what, (long long)a->stats.rows);
    if (a->stats.correct != b->stats.correct) wrong("%s: %lld correct", what, (long long)a->stats.correct);
    if (fabs(a->stats.loss - b->stats.loss) > 1e-9 * fabs(b->stats.loss))
        wrong("%s: loss %.12g", what, a->stats.loss);
}

static void run_both(const device_check *d, const char *problem, const opcheck_options *options, dtype type,
                     double limit)
{
    op_problem o;
    char what[160];
    opcheck_result a = { 0 }, b = { 0 };
    if (!fine(problem_parse(problem, &o), problem)) return;
    opcheck_options opt = *options;
    opt.backward = opt.backward && o.op.training;
    op_problem on_device = o;
    on_device.op.type = on_device.then.type = type;
    snprintf(what, sizeof what, "%s%s seed %d", problem, type == BF16 ? " bf16" : "", (int)opt.seed);
    if (fine(opcheck_run(d->cuda, &on_device, &opt, &a), what) &&
        fine(opcheck_run(d->ref, &o, &opt, &b), what))
        compare(what, &o, &a, &b, limit);
    opcheck_free(&a);
    opcheck_free(&b);
}

/* Overwriting, adding, and with nothing wanted but one thing; both precisions. bf16 data are exact in both,
 * so what differs is the rounding of results: a rounded value must not cross a kink. */
static void check_types(const device_check *d, const char *const *problems, double f32_limit, bool bf16_only)
{
    static const opcheck_options variants[] = {
        { .seed = 1, .backward = true },
        { .seed = 2, .backward = true, .dx_add = true, .dz_add = true, .ignored = 3 },
        { .seed = 3, .backward = true, .no_dx = true },
        { .seed = 4, .backward = true, .no_grad = true, .ties = true },
    };
    for (; *problems; problems++)
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            opcheck_options rounded = variants[v];
            rounded.bf16_data = true;
            rounded.margin = 0.05f;
            if (!bf16_only) run_both(d, *problems, &variants[v], F32, f32_limit);
            run_both(d, *problems, &rounded, BF16, d->bf16_limit);
        }
}

static void check_problems(const device_check *d, const char *const *problems, double f32_limit)
{
    check_types(d, problems, f32_limit, false);
}

static void check_conv(const device_check *d)
{
    check_problems(d, checked_convs, d->f32_limit);
}

static void check_depthwise(const device_check *d)
{
    check_problems(d, checked_depthwise, d->f32_limit);
}

static void check_narrow(const device_check *d)
{
    const opcheck_options once = { .seed = 5, .backward = true, .bf16_data = true, .margin = 0.05f };
    check_types(d, checked_narrow, 0, true);
    run_both(d, "conv n530c8h2w3_o8k3s1p1", &once, BF16, d->bf16_limit); /* more tiles than blocks */
}

static void check_bnact(const device_check *d)
{
    static const char *const problems[] = {
        "bnact n4c16h8w8_relu",           "bnact n4c16h8w8_relu_add",      "bnact n2c17h5w7_none",
        "bnact n3c24h9w9_relu6_add",      "bnact n2c3h6w6_relu_add",       "bnact n5c1h4w4_relu6",
        "bnact n8c24h1w1_relu_add",       "bnact n9c32h1w1_none_add",      "bnact n100c40h3w3_relu",
        "bnact n2c520h3w3_relu",          "bnact n3c1280h2w2_relu",        "bnact n2c8h33w17_none_add",
        "bnact n2c64h1w2_relu",           "bnact n4c17h8w8_relu_add_eval", "bnact n2c3h6w6_relu6_add_eval",
        "bnact n2c32h4w4_none_eval",      "bnact n1c24h1w1_relu_eval",     "bnact n4c16h8w8_relu_add_frozen",
        "bnact n3c24h5w5_relu_frozen",    "bnact n2c17h45w45_none",        "bnact n2c33h64w65_relu_add",
        "bnact n1c264h9w9_relu_add_eval", "bnact n1c2136h17w17_relu_add",  NULL,
    };
    check_problems(d, problems, d->f32_limit);
}

static void check_bnact_pool(const device_check *d)
{
    static const char *const problems[] = {
        "bnact_pool n4c16h8w8_relu_max_k2s2p0",   "bnact_pool n2c64h2w2_relu_max_k2s2p0",
        "bnact_pool n3c24h6w4_relu6_max_k2s2p0",  "bnact_pool n3c17h10w6_none_max_k2s2p0",
        "bnact_pool n2c32h36w40_relu_max_k2s2p0", "bnact_pool n2c24h8w8_relu_frozen_max_k2s2p0",
        "bnact_pool n5c520h4w6_relu_max_k2s2p0",  NULL,
    };
    check_problems(d, problems, d->f32_limit);
}

static void check_rest(const device_check *d)
{
    static const char *const problems[] = {
        "pool n2c16h8w8_max_k2s2p0",   "pool n2c17h7w9_max_k2s2p0", "pool n2c3h6w6_max_k2s2p0",
        "pool n2c24h9w8_max_k3s3p0",   "pool n2c24h9w9_max_k3s2p1", "pool n2c8h8w8_max_k2s2p1",
        "pool n1c1h7w7_max_k3s1p1",    "pool n2c16h9w9_max_k2s3p0", "pool n2c5h8w8_max_k5s4p2",
        "pool n2c16h8w8_avg",          "pool n2c17h5w3_avg",        "pool n2c24h1w1_avg",
        "pool n3c72h9w16_avg",         "pool n1c40h27w27_avg",      "pool n2c24h9w9_max_k3s2p1_eval",
        "dropout n2c24h1w1_p0.5",      "dropout n3c17h5w5_p0.25",   "dropout n2c16h4w4_p0",
        "dropout n3c17h5w5_p0.5_eval", "shortcut n2c16h6w6_o32s2",  "shortcut n2c17h5w7_o24s2",
        "shortcut n2c3h6w6_o8s1",      "shortcut n2c1h4w4_o3s2",    "shortcut n2c16h5w6_o24s2",
        "shortcut n2c16h4w4_o33s1",    "shortcut n2c8h7w5_o8s2",    NULL,
    };
    check_problems(d, problems, d->f32_limit);
}

static const char *const linear_problems[] = {
    "linear n3c24h1w1_o10_relu",
    "linear n5c17h3w3_o7_none",
    "linear n4c16h2w2_o1_relu6",
    "linear n1c1h1w1_o1_none",
    "linear n7c32h1w1_o100_none",
    "linear n5c17h3w3_o7_relu_eval",
    NULL,
};

static void check_linear(const device_check *d)
{
    check_problems(d, linear_problems, d->f32_limit);
}

/* Factors are rounded to 10 bits behind the point, so products are off by 2^-10 at most; no result near a kink. */
static void check_tf32(const device_check *d)
{
    const opcheck_options opt = { .seed = 1, .backward = true, .margin = 0.05f };
    const char *const *const lists[] = { checked_convs, checked_depthwise, linear_problems };
    d->cuda->tf32 = true;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const char *const *p = lists[i]; *p; p++) run_both(d, *p, &opt, F32, 2e-3);
    d->cuda->tf32 = false;
}

/* Logits of a few hundred rows: more than a block has threads. bf16 logits hold the same values in both. */
static void check_loss(const device_check *d)
{
    static const char *const problems[] = { "loss n5c10_s0",      "loss n64c10_s0.1",
                                            "loss n3c2_s0",       "loss n7c100_s0.2",
                                            "loss n4c10_s0_eval", "loss n300c10_s0.1",
                                            "loss n513c3_s0",     NULL };
    check_problems(d, problems, d->f32_limit);
}

/* A mean 1000 times the deviation. */
static void check_large_mean(const device_check *d)
{
    op_problem o;
    opcheck_result a = { 0 }, b = { 0 };
    const opcheck_options opt = { .seed = 9, .backward = true };
    if (!fine(problem_parse("bnact n16c24h16w16_none", &o), "large mean")) return;
    if (fine(opcheck_prepare(&o, &opt, &a), "large mean") &&
        fine(opcheck_prepare(&o, &opt, &b), "large mean")) {
        for (int64_t i = 0; i < a.n_x; i++) a.x[i] = b.x[i] = a.x[i] + 1000;
        if (fine(opcheck_execute(d->cuda, &o, &opt, &a), "large mean") &&
            fine(opcheck_execute(d->ref, &o, &opt, &b), "large mean"))
            compare("large mean", &o, &a, &b, d->f32_limit);
    }
    opcheck_free(&a);
    opcheck_free(&b);
}

/* --- values, products, optimiser --- */

float *random_floats(int64_t n, uint32_t a)
{
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; v && i < n; i++) v[i] = rng_normal(7, RNG_TEST, a, (uint64_t)i);
    return v;
}

static void check_round_trip(const device_check *d)
{
    static const shape4 shapes[] = {
        { 2, 3, 5, 4 }, { 3, 16, 4, 4 }, { 2, 17, 3, 5 }, { 4, 24, 1, 1 }, { 1, 1, 1, 1 }, { 40, 64, 32, 32 }
    }; /* the last: several pieces of pinned memory */
    backend *b = d->cuda;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int type = F32; type <= BF16; type++) {
            const shape4 s = shapes[i];
            const int64_t n = shape_count(s), first = shape_image(s) * (s.n - 1);
            float *in = random_floats(n, 1), *out = calloc((size_t)n, sizeof *out);
            void *value = NULL;
            if (fine(b->alloc(b, b->value_bytes(b, s, type), &value), "alloc") &&
                fine(b->write_value(b, value, s, type, in), "write") &&
                fine(b->read_value(b, value, s, type, s.n, out), "read"))
                close_to("round trip", "value", out, in, n, type == F32 ? 0 : 1.0 / 256);
            memset(out, 0, (size_t)n * sizeof *out);
            fine(b->read_value(b, value, s, type, s.n - 1, out), "read");
            for (int64_t j = first; j < n; j++)
                if (out[j] != 0) wrong("reading %d images touched the next", s.n - 1), j = n;
            b->release(b, value, b->value_bytes(b, s, type));
            free(in);
            free(out);
        }
}

/* Random rows of m, n of k values. */
static void gram_against_ref(const device_check *d, dtype type, int m, int n, int64_t k)
{
    backend *b = d->cuda;
    const int64_t lda = k + 2, ldb = k + 4, ldc = n + 2, counts[3] = { m * lda, n * ldb, m * ldc };
    float *host[3], *got = malloc((size_t)counts[2] * sizeof *got);
    void *dev[3];
    for (int j = 0; j < 3; j++) {
        host[j] = random_floats(counts[j], (uint32_t)j);
        uint16_t *half = (uint16_t *)host[j];
        for (int64_t i = 0; type == BF16 && j < 2 && i < counts[j]; i++) half[i] = bf16_from(host[j][i]);
        fine(b->alloc(b, (size_t)counts[j] * 4, &dev[j]), "alloc");
        fine(b->upload(b, dev[j], host[j], (size_t)counts[j] * 4), "upload");
    }
    if (fine(b->products->product(b, type, m, n, k, dev[0], lda, dev[1], ldb, false, dev[2], ldc), "gram") &&
        fine(b->download(b, got, dev[2], (size_t)counts[2] * 4), "download") &&
        fine(
            d->ref->products->product(d->ref, type, m, n, k, host[0], lda, host[1], ldb, false, host[2], ldc),
            "gram"))
        close_to("similarities", type == F32 ? "f32" : "bf16", got, host[2], counts[2],
                 type == F32 ? d->f32_limit : d->bf16_sums_limit); /* also between the rows */
    for (int j = 0; j < 3; j++) b->release(b, dev[j], (size_t)counts[j] * 4), free(host[j]);
    free(got);
}

static void check_gram(const device_check *d)
{
    static const struct {
        int m, n;
        int64_t k;
    } sizes[] = { { 1, 1, 2 }, { 5, 7, 6 }, { 33, 65, 1000 }, { 100, 64, 4098 }, { 512, 512, 4099 } };
    const size_t n = sizeof sizes / sizeof *sizes - d->emulated; /* the last would take it long */
    for (size_t i = 0; i < n; i++) {
        gram_against_ref(d, F32, sizes[i].m, sizes[i].n, sizes[i].k);
        gram_against_ref(d, BF16, sizes[i].m, sizes[i].n, sizes[i].k);
    }
}

/* Three steps under one key: run, recorded, replayed. Then a fourth that starts from uploaded values. */
static void check_sgd(const device_check *d)
{
    backend *const both[] = { d->cuda, d->ref };
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        const int64_t n = 1003 + nesterov; /* one at a time, and four */
        float *got[2][2];
        for (int i = 0; i < 2; i++) {
            backend *b = both[i];
            void *dev[3];
            step_handle handle = { NULL };
            step_scalars s = { .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.005f, .nesterov = nesterov };
            for (int j = 0; j < 3; j++) {
                float *host = random_floats(n, (uint32_t)j + 11);
                fine(b->alloc(b, (size_t)n * 4, &dev[j]), "alloc");
                fine(b->upload(b, dev[j], host, (size_t)n * 4), "upload");
                free(host);
            }
            for (s.step = 0; s.step < 4; s.step++, s.lr /= 10) {
                bool replayed = false;
                fine(b->step_begin(b, &handle, &s, &replayed), "step_begin");
                if (i == 0 && replayed != (s.step >= 2))
                    wrong("step %d is%s replayed", (int)s.step, replayed ? "" : " not");
                if (!replayed) fine(b->sgd(b, dev[0], dev[1], dev[2], n), "sgd");
                fine(b->step_end(b), "step_end");
            }
            for (int j = 0; j < 2; j++) {
                got[i][j] = malloc((size_t)n * sizeof(float));
                fine(b->download(b, got[i][j], dev[2 * j], (size_t)n * 4), "download");
            }
            backend_forget_step(b, &handle);
            for (int j = 0; j < 3; j++) b->release(b, dev[j], (size_t)n * 4);
        }
        close_to("sgd", "value", got[0][0], got[1][0], n, 1e-6);
        close_to("sgd", "velocity", got[0][1], got[1][1], n, 1e-6);
        for (int i = 0; i < 2; i++) free(got[i][0]), free(got[i][1]);
    }
}

/* --- whole nets --- */

enum { STEPS = 4 };

/* Biases begin at zero, where much that is forgotten does not show, and where half of all values lie near a kink of ReLU:
 * in a deep net, rounding takes some to its other side, and gradients with them (cpu against ref: up to 4 % after four
 * steps). So every other channel is active, three deviations from both kinks of ReLU6; the others are not, by so much
 * that none of their values is: of a few small ones, the next BN would make large ones, rounding included. */
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
    TRY(net_create(which->arch, 10, which->remove, which->n_remove, out));
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

/* What is kept of a parameter between two nets. */
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

/* |a - b| / |b|, of what training changed. */
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

/* Training (run, recorded, replayed), then evaluation the same three ways; against ref. */
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

/* Two runs give the same bits, and so does one that is stopped after two steps and goes on in a new net. bf16
 * must also train: the loss of the batch falls. */
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

/* Parameters written from outside between recorded steps: the copies that the libraries read must follow. */
static status net_follows_uploads(const device_check *d, const checked_net *which, dtype type)
{
    status st = OK;
    net *n = NULL;
    state *first = NULL, *again = NULL, *start = NULL;
    float logits[2][2560];
    TRY(open_net(d, d->cuda, which, type, &n));
    TRY(save(n, &start));
    TRY(train_steps(n, d->batch, 0, STEPS));
    for (int run = 0; run < 4; run++) TRY(net_forward(n, CASE_EVAL));
    TRY(restore(n, start));
    TRY(train_steps(n, d->batch, 0, STEPS));
    TRY(save(n, &first));
    TRY(put_batch(n, CASE_EVAL, d->batch, 60));
    TRY(net_forward(n, CASE_EVAL));
    TRY(net_logits(n, CASE_EVAL, d->batch, logits[0]));
    TRY(restore(n, start));
    TRY(train_steps(n, d->batch, 0, STEPS));
    TRY(save(n, &again));
    TRY(put_batch(n, CASE_EVAL, d->batch, 60));
    TRY(net_forward(n, CASE_EVAL));
    TRY(net_logits(n, CASE_EVAL, d->batch, logits[1]));
    if (!same_bits(n, first, again)) wrong("%s: training again from the same values differs", which->arch);
    if (memcmp(logits[0], logits[1], (size_t)d->batch * 10 * sizeof(float)))
        wrong("%s: evaluation again differs", which->arch);
out:
    free_state(n, start);
    free_state(n, first);
    free_state(n, again);
    net_free(n);
    return st;
}

static void check_nets(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++) fine(net_against_ref(d, &d->nets[i]), d->nets[i].arch);
}

static void check_repeats(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++)
        for (int type = F32; d->nets[i].repeated && type <= BF16; type++)
            fine(net_repeats(d, &d->nets[i], type), d->nets[i].arch);
}

static void check_uploads(const device_check *d)
{
    for (int i = 0; i < d->n_nets; i++)
        for (int type = F32; d->nets[i].repeated && type <= BF16; type++)
            fine(net_follows_uploads(d, &d->nets[i], type), d->nets[i].arch);
}

int device_check_run(const device_check *d)
{
    static const struct {
        const char *name;
        void (*run)(const device_check *);
        bool libraries; /* needs cuDNN or cuBLAS */
        bool engines;   /* times them: the emulated device has none */
    } checks[] = {
        { "values survive a round trip", check_round_trip, false },
        { "convolution", check_conv, true },
        { "depthwise convolution", check_depthwise, false },
        { "convolution of few channels", check_narrow, false },
        { "batch normalisation", check_bnact, false },
        { "batch normalisation of a large mean", check_large_mean, false },
        { "batch normalisation with pooling", check_bnact_pool, false },
        { "pooling, dropout, shortcut", check_rest, false },
        { "linear", check_linear, true },
        { "loss", check_loss, false },
        { "similarities of rows", check_gram, true },
        { "SGD, run, recorded, replayed", check_sgd, false },
        { "images of the device as the loader's", check_images, false },
        { "rows to unit length", check_rows, false },
        { "equal pairs are ties", check_ties, true },
        { "histogram and edges of tiles on the device", check_resident, true },
        { "two runs and a resumed one: the same bits", check_repeats, true },
        { "uploaded parameters reach recorded steps", check_uploads, true },
        { "training on images of the device", check_kept, true },
        { "convolution and linear in tf32", check_tf32, true },
        { "engines are timed once", check_engines, true, true },
        { "nets train and evaluate as on ref", check_nets, true },
    };
    const int n = (int)(sizeof checks / sizeof *checks);
    int failed = 0;
    printf("1..%d\n", n - d->emulated);
    for (int i = 0; i < n; i++) {
        if (d->emulated && checks[i].engines) continue;
        const time_t start = time(NULL);
        n_wrong = 0;
        n_tests++;
        if (d->kernels_only && checks[i].libraries) {
            printf("ok %d %s # skip only our own kernels were asked for\n", n_tests, checks[i].name);
            continue;
        }
        if (d->only && !strstr(checks[i].name, d->only)) {
            printf("ok %d %s # skip not asked for\n", n_tests, checks[i].name);
            continue;
        }
        checks[i].run(d);
        printf("%sok %d %s\n# %lld s\n", n_wrong ? "not " : "", n_tests, checks[i].name,
               (long long)(time(NULL) - start));
        fflush(stdout);
        failed += n_wrong > 0;
    }
    return failed ? 1 : 0;
}
