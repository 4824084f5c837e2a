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

/* Overwrites, adds, and leaves out dx or the gradients; in both precisions. bf16 data are exact in both, so only
 * results are rounded differently. No value is so close to a kink that rounding takes it to the other side. */
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

/* Factors are rounded to 10 bits after the binary point, so a product is off by at most 2^-10. No result is near a
 * kink. */
static void check_tf32(const device_check *d)
{
    const opcheck_options opt = { .seed = 1, .backward = true, .margin = 0.05f };
    const char *const *const lists[] = { checked_convs, checked_depthwise, linear_problems };
    d->cuda->tf32 = true;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const char *const *p = lists[i]; *p; p++) run_both(d, *p, &opt, F32, 2e-3);
    d->cuda->tf32 = false;
}

/* Some have more rows than a block has threads. */
static void check_loss(const device_check *d)
{
    static const char *const problems[] = { "loss n5c10_s0",      "loss n64c10_s0.1",
                                            "loss n3c2_s0",       "loss n7c100_s0.2",
                                            "loss n4c10_s0_eval", "loss n300c10_s0.1",
                                            "loss n513c3_s0",     NULL };
    check_problems(d, problems, d->f32_limit);
}

/* The mean is 1000 times the standard deviation. */
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
    }; /* the last one takes several pieces of pinned memory */
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

/* m and n random rows of k values. */
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
        /* also what lies between the rows, which must not change */
        close_to("similarities", type == F32 ? "f32" : "bf16", got, host[2], counts[2],
                 type == F32 ? d->f32_limit : d->bf16_sums_limit);
    for (int j = 0; j < 3; j++) b->release(b, dev[j], (size_t)counts[j] * 4), free(host[j]);
    free(got);
}

static void check_gram(const device_check *d)
{
    static const struct {
        int m, n;
        int64_t k;
    } sizes[] = { { 1, 1, 2 }, { 5, 7, 6 }, { 33, 65, 1000 }, { 100, 64, 4098 }, { 512, 512, 4099 } };
    const size_t n = sizeof sizes / sizeof *sizes - d->emulated; /* there, the last would take too long */
    for (size_t i = 0; i < n; i++) {
        gram_against_ref(d, F32, sizes[i].m, sizes[i].n, sizes[i].k);
        gram_against_ref(d, BF16, sizes[i].m, sizes[i].n, sizes[i].k);
    }
}

/* Steps with one handle: run, recorded, replayed twice. */
static void check_sgd(const device_check *d)
{
    backend *const both[] = { d->cuda, d->ref };
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        const int64_t n = 1003 + nesterov; /* values taken one at a time, and four */
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

/* --- devices with other numbers of multiprocessors --- */

static bool same_floats(const float *a, const float *b, int64_t n)
{
    return a == b || (a && b && memcmp(a, b, (size_t)n * sizeof *a) == 0);
}

static bool same_y_dx(const opcheck_result *a, const opcheck_result *b)
{
    return same_floats(a->y, b->y, a->n_y) && same_floats(a->dx, b->dx, a->n_x);
}

static bool same_results(const opcheck_result *a, const opcheck_result *b)
{
    bool same = same_y_dx(a, b) && same_floats(a->dz, b->dz, a->n_x) &&
                same_floats(a->running_mean, b->running_mean, a->n_param[2]) &&
                same_floats(a->running_var, b->running_var, a->n_param[3]);
    for (int i = 0; i < a->n_grads; i++) same = same && same_floats(a->grad[i], b->grad[i], a->n_param[i]);
    return same;
}

/* d->cuda computes the same bits twice. y and dx of convolutions and products have the bits of `usual`, too. */
static void bits_of_size(const device_check *d, backend *usual, const char *problem, dtype type)
{
    op_problem o;
    opcheck_result here = { 0 }, again = { 0 }, there = { 0 };
    const opcheck_options opt = { .seed = 6, .backward = true, .bf16_data = type == BF16, .margin = 0.05f };
    if (!fine(problem_parse(problem, &o), problem)) return;
    run_both(d, problem, &opt, type, type == F32 ? d->f32_limit : d->bf16_limit);
    o.op.type = o.then.type = type;
    if (fine(opcheck_run(d->cuda, &o, &opt, &here), problem) &&
        fine(opcheck_run(d->cuda, &o, &opt, &again), problem) && !same_results(&here, &again))
        wrong("%s: two runs differ", problem);
    if ((o.op.kind == OP_CONV || o.op.kind == OP_LINEAR) &&
        fine(opcheck_run(usual, &o, &opt, &there), problem) && !same_y_dx(&here, &there))
        wrong("%s: y or dx depends on the number of multiprocessors", problem);
    opcheck_free(&here);
    opcheck_free(&again);
    opcheck_free(&there);
}

/* Fewer than usual; and more, so that a thread does not read all partial sums at once. */
static void check_sizes(const device_check *d)
{
    static const struct {
        const char *problem;
        dtype type;
    } problems[] = { { "bnact n2c33h48w47_relu_add", F32 },
                     { "bnact n3c72h9w8_relu6", BF16 },
                     { "bnact_pool n2c32h36w40_relu_max_k2s2p0", BF16 },
                     { "conv n2c32h17w16_o32k3s1p1b", BF16 },
                     { "conv n3c16h33w20_o16k3s1p1", BF16 },
                     { "conv n2c24h7w7_o24k3s2p1g24b", F32 },
                     { "conv n5c128h15w13_o128k3s1p1g128", BF16 },
                     { "linear n5c17h3w3_o7_none", F32 } };
    static const int sizes[] = { 7, 300 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        device_check other = *d;
        const int before = n_wrong;
        if (!fine(d->open_sized(sizes[i], &other.cuda), "opening")) continue;
        for (size_t j = 0; j < sizeof problems / sizeof *problems; j++)
            bits_of_size(&other, d->cuda, problems[j].problem, problems[j].type);
        other.n_nets = i == 0; /* with few blocks, each packs the weights of several layers */
        check_nets(&other);
        if (n_wrong > before) printf("# with %d multiprocessors\n", sizes[i]);
        backend_close(other.cuda);
    }
}

/* What a check needs besides our own kernels. */
enum { LIBRARIES = 1, TIMED_ENGINES = 2, OTHER_SIZES = 4 };

/* The device has it: TIMED_ENGINES only a GPU, OTHER_SIZES only an emulated device. */
static bool has(const device_check *d, int what)
{
    return !((what & TIMED_ENGINES && d->emulated) || (what & OTHER_SIZES && !d->open_sized));
}

int device_check_run(const device_check *d)
{
    static const struct {
        const char *name;
        void (*run)(const device_check *);
        int needs;
    } checks[] = {
        { "values survive a round trip", check_round_trip, 0 },
        { "convolution", check_conv, LIBRARIES },
        { "depthwise convolution", check_depthwise, 0 },
        { "convolution of few channels", check_narrow, 0 },
        { "batch normalisation", check_bnact, 0 },
        { "batch normalisation of a large mean", check_large_mean, 0 },
        { "batch normalisation with pooling", check_bnact_pool, 0 },
        { "pooling, dropout, shortcut", check_rest, 0 },
        { "linear", check_linear, LIBRARIES },
        { "loss", check_loss, 0 },
        { "similarities of rows", check_gram, LIBRARIES },
        { "SGD, run, recorded, replayed", check_sgd, 0 },
        { "images of the device as the loader's", check_images, 0 },
        { "rows to unit length", check_rows, 0 },
        { "equal pairs are ties", check_ties, LIBRARIES },
        { "histogram and edges of tiles on the device", check_resident, LIBRARIES },
        { "two runs and a resumed one: the same bits", check_repeats, LIBRARIES },
        { "uploaded parameters reach recorded steps", check_uploads, LIBRARIES },
        { "training on images of the device", check_kept, LIBRARIES },
        { "convolution and linear in tf32", check_tf32, LIBRARIES },
        { "engines are timed once", check_engines, LIBRARIES | TIMED_ENGINES },
        { "any number of multiprocessors", check_sizes, OTHER_SIZES },
        { "nets train and evaluate as on ref", check_nets, LIBRARIES },
    };
    const int n = (int)(sizeof checks / sizeof *checks);
    int planned = 0, failed = 0;
    for (int i = 0; i < n; i++) planned += has(d, checks[i].needs);
    printf("1..%d\n", planned);
    for (int i = 0; i < n; i++) {
        if (!has(d, checks[i].needs)) continue;
        const time_t start = time(NULL);
        n_wrong = 0;
        n_tests++;
        if (d->kernels_only && checks[i].needs & LIBRARIES) {
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
