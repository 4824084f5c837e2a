/* tests/cuda/gpu.c -- the cuda backend on a GPU (make test-cuda, make bench-cuda). It is built from the parts of
 * Cleave that need no library, so that a machine that has only a driver, CUDA and cuDNN can run it.
 *
 *   gpu test [layers|kernels]                  against layers/; layers: no nets; kernels: only our own, for
 *                                              compute-sanitizer
 *   gpu bench ARCH PRECISION BATCH [FOLDER]    images/s of training and evaluation; PRECISION: f32, tf32 or bf16;
 *                                              into FOLDER: which kernels ran how long, which engines were chosen */
#include "../../core/base/rng.h"
#include "../../core/device/plugin.h"
#include "../../core/device/tuning.h"
#include "../../nets/run.h"
#include "device_check.h"
#include "kernel_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failed(void)
{
    fprintf(stderr, "gpu: %s\n", status_message());
    return 1;
}

/* --- test --- */

/* For these, ref takes more than half of the time. They go last, so that a host that is too slow leaves out only
 * them. */
static bool is_slow_on_ref(const char *arch)
{
    return strcmp(arch, "resnet101") == 0 || strcmp(arch, "resnet152") == 0;
}

static int choose_nets(checked_net nets[64])
{
    int n_archs, n = 0;
    const char *const *arch = net_archs(&n_archs);
    for (int slow = 0; slow < 2; slow++)
        for (int i = 0; i < n_archs && n < 64; i++) {
            if (is_slow_on_ref(arch[i]) != slow) continue;
            nets[n].arch = arch[i];
            nets[n++].repeated = !strcmp(arch[i], "resnet20") || !strcmp(arch[i], "vgg16_bn") ||
                                 !strcmp(arch[i], "mobilenetv2");
        }
    return n;
}

static int test(const char *what)
{
    const bool layers_only = strcmp(what, "") != 0;
    checked_net nets[64] = { 0 };
    /* As in test_emulated.c; but cuDNN sums in other orders, and may use Winograd's method. */
    device_check d = {
        .nets = nets,
        .batch = 4,
        .kernels_only = strcmp(what, "kernels") == 0,
        .f32_limit = 1e-5,
        .bf16_limit = 8e-3,
        /* Tensor cores truncate a partial sum every 8 or 16 products: an error of about 1e-5 of
                        * the largest of 4098 products. */
        .bf16_sums_limit = 5e-5
    };
    if (!layers_only) d.n_nets = choose_nets(nets);
    if (plugin_open("cuda", 0, 0, &d.cuda) != OK || ref_open(0, &d.ref) != OK) return failed();
    printf("# %s\n", d.cuda->description);
    const int code = device_check_run(&d);
    backend_close(d.cuda);
    backend_close(d.ref);
    return code;
}

/* --- bench --- */

enum { EVAL, TRAIN, WARM_UP = 10, ROUNDS = 4, WAITED = 51, TRACED = 20 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static status random_batch(net *n, int which, int batch)
{
    status st = OK;
    const int64_t count = (int64_t)batch * 3 * 32 * 32;
    float *x = malloc((size_t)count * sizeof *x);
    int32_t *label = malloc((size_t)batch * sizeof *label);
    if (!x || !label) FAIL(ERR_RUNTIME, "out of memory");
    for (int64_t i = 0; i < count; i++) x[i] = rng_normal(1, RNG_TEST, 0, (uint64_t)i);
    for (int i = 0; i < batch; i++) label[i] = i % 10;
    TRY(net_input(n, which, x, label, batch));
out:
    free(x);
    free(label);
    return st;
}

static status run_once(net *n, int which, int64_t step)
{
    const step_scalars s = {
        .lr = 0.01f, .momentum = 0.9f, .weight_decay = 0.005f, .seed = 1, .step = (uint64_t)step
    };
    return which == TRAIN ? net_step(n, TRAIN, &s) : net_forward(n, EVAL);
}

/* The best of a few rounds of at least half a second. We wait for the device only at the end of a round. */
static status rate(net *n, int which, int batch, double *images_per_s)
{
    status st = OK;
    loss_stats stats;
    int64_t step = 0, steps = 10;
    *images_per_s = 0;
    TRY(random_batch(n, which, batch));
    for (int i = 0; i < WARM_UP; i++) TRY(run_once(n, which, step++));
    TRY(net_stats(n, &stats));
    for (int round = 0; round < ROUNDS;) {
        const double start = seconds();
        for (int64_t i = 0; i < steps; i++) TRY(run_once(n, which, step++));
        TRY(net_stats(n, &stats));
        const double took = seconds() - start, now = (double)(steps * batch) / took;
        if (took < 0.5) {
            steps *= 2;
            continue;
        }
        if (now > *images_per_s) *images_per_s = now;
        round++;
    }
out:
    return st;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over steps with a wait after each, as PyTorch is measured. After `rate`. */
static status rate_waiting(net *n, int which, int batch, double *images_per_s)
{
    status st = OK;
    loss_stats stats;
    double took[WAITED];
    for (int i = 0; i < WAITED; i++) {
        const double start = seconds();
        TRY(run_once(n, which, i));
        TRY(net_stats(n, &stats));
        took[i] = seconds() - start;
    }
    qsort(took, WAITED, sizeof *took, ascending);
    *images_per_s = batch / took[WAITED / 2];
out:
    return st;
}

static status open_bench(backend *b, const char *arch, const char *precision, int batch, net **out)
{
    status st = OK;
    const net_case cases[] = { { batch, false, false }, { batch, true, false } };
    TRY(net_create(&(net_spec){ .arch = arch, .classes = 10 }, out));
    TRY(net_compile(*out, b, strcmp(precision, "bf16") == 0 ? BF16 : F32, cases, 2));
    TRY(net_init(*out, 1));
out:
    return st;
}

/* FOLDER/kernels-ARCH-PRECISION-training.txt, -inference.txt: the kernels of a step or pass, the longest first. */
static status write_kernels(const kernel_times *t, const char *path)
{
    status st = OK;
    FILE *f = fopen(path, "w");
    if (!f) FAIL(ERR_RUNTIME, "%s cannot be written", path);
    fprintf(f, "     us  launches  kernel\n");
    for (int i = 0; i < t->n; i++)
        fprintf(f, "%7.1f  %8.1f  %s\n", 1e6 * t->kernel[i].seconds / TRACED,
                (double)t->kernel[i].launches / TRACED, t->kernel[i].name);
    if (fclose(f)) FAIL(ERR_RUNTIME, "%s cannot be written", path);
out:
    return st;
}

/* Seconds inside kernels, for one step or pass. The net was compiled after kernel_time_start, so that its graphs are
 * traced. */
static status kernel_seconds(net *n, int which, int batch, const char *list, double *out)
{
    status st = OK;
    loss_stats stats;
    static kernel_times times;
    TRY(random_batch(n, which, batch));
    for (int i = 0; i < WARM_UP; i++) TRY(run_once(n, which, i));
    TRY(net_stats(n, &stats));
    TRY(kernel_times_read(&times)); /* forgets the warm-up */
    for (int i = 0; i < TRACED; i++) TRY(run_once(n, which, WARM_UP + i));
    TRY(net_stats(n, &stats));
    TRY(kernel_times_read(&times));
    *out = times.seconds / TRACED;
    if (list) TRY(write_kernels(&times, list));
out:
    return st;
}

/* share[which]: time inside kernels as a share of the time on the clock, at the measured rates. folder may be NULL. */
static status kernel_shares(backend *b, const char *arch, const char *precision, int batch,
                            const char *folder, const double *rates, double *share)
{
    status st = OK;
    net *n = NULL;
    char list[4096];
    TRY(kernel_time_start());
    TRY(open_bench(b, arch, precision, batch, &n));
    for (int which = EVAL; which <= TRAIN; which++) {
        snprintf(list, sizeof list, "%s/kernels-%s-%s-%s.txt", folder ? folder : "", arch, precision,
                 which == TRAIN ? "training" : "inference");
        TRY(kernel_seconds(n, which, batch, folder ? list : NULL, &share[which]));
        share[which] *= rates[which] / batch;
    }
out:
    net_free(n);
    return st;
}

/* `gpu test` does not see the engines that win for batches of this size. So look at this loss: it must not be NaN,
 * and it should be nearly the same in all precisions. */
static status print_loss(net *n, const char *precision, int batch)
{
    status st = OK;
    loss_stats stats;
    TRY(random_batch(n, TRAIN, batch));
    for (int i = 0; i < TRACED; i++) TRY(run_once(n, TRAIN, i));
    TRY(net_stats(n, &stats));
    printf("# %s %s: mean loss of the first %d steps, of one batch: %.4f\n", net_arch(n), precision, TRACED,
           stats.loss / (double)stats.rows);
out:
    return st;
}

static status keep_engines(const backend *b, const char *arch, const char *precision, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/engines-%s-%s.txt", folder, arch, precision);
    return b->tuning->save(b, path);
}

static status bench(const char *arch, const char *precision, int batch, const char *folder)
{
    status st = OK;
    backend *b = NULL;
    net *n = NULL;
    double rates[2], waiting[2], share[2];
    TRY(plugin_open("cuda", 0, 0, &b));
    b->tf32 = strcmp(precision, "tf32") == 0;
    const double start = seconds();
    TRY(open_bench(b, arch, precision, batch, &n));
    const double compiled = seconds() - start;
    TRY(print_loss(n, precision, batch));
    for (int which = TRAIN; which >= EVAL; which--) {
        TRY(rate(n, which, batch, &rates[which]));
        TRY(rate_waiting(n, which, batch, &waiting[which]));
    }
    printf("%s %s %s batch %d: train %.1f inference %.1f images/s (each step waited for: %.1f, %.1f; "
           "compiled in "
           "%.1f s)\n",
           arch, b->description, precision, batch, rates[TRAIN], rates[EVAL], waiting[TRAIN], waiting[EVAL],
           compiled);
    fflush(stdout);
    net_free(n);
    n = NULL;
    if (folder) TRY(keep_engines(b, arch, precision, folder));
    if (kernel_shares(b, arch, precision, batch, folder, rates, share) == OK)
        printf("%s %s: inside kernels (CUPTI) %.1f %% of the time of training, %.1f %% of inference\n", arch,
               precision, 100 * share[TRAIN], 100 * share[EVAL]);
    else
        printf("# %s: share inside kernels not measured: %s\n", arch, status_message());
out:
    net_free(n);
    backend_close(b);
    return st;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "test") == 0) return test(argc > 2 ? argv[2] : "");
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "bench") == 0)
        return bench(argv[2], argv[3], atoi(argv[4]), argc > 5 ? argv[5] : NULL) == OK ? 0 : failed();
    fprintf(stderr, "usage: gpu test [layers|kernels] | gpu bench ARCH f32|tf32|bf16 BATCH [FOLDER]\n");
    return 2;
}
