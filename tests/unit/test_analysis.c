/* analysis_run on a real net against the definitions, on features that the test takes itself; the same
 * numbers in any memory; the files. graph/analysis.h. */
#include "../../core/base/file.h"
#include "../../core/base/rng.h"
#include "../../core/base/threads.h"
#include "../../graph/analysis.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../../nets/tap.h"
#include "../image32.h"
#include "../scratch.h"

#include <cjson/cJSON.h>
#include <math.h>

enum { BATCH = 64, LAYERS = 10 };

/* Random images, brighter or darker by class; class 3 has none. The caller frees. */
static dataset invent_images(int n)
{
    dataset d = { .n = n,
                  .shape = image32,
                  .classes = 4,
                  .image = malloc((size_t)n * IMAGE_VALUES),
                  .label = malloc((size_t)n * 4),
                  .class_name = calloc(4, sizeof(char *)) };
    assert_non_null(d.image);
    assert_non_null(d.label);
    for (int i = 0; i < n; i++) {
        d.label[i] = (int32_t)rng_below(4, RNG_TEST, 0, (uint64_t)i, 3);
        for (int k = 0; k < IMAGE_VALUES; k++) {
            int wave = (int)(60 * sin((d.label[i] + 1) * 0.1 * (k % 32)));
            uint32_t noise = rng_below(4, RNG_TEST, 1, (uint64_t)i * IMAGE_VALUES + (uint64_t)k, 80);
            d.image[(size_t)i * IMAGE_VALUES + (size_t)k] = (uint8_t)(80 + wave + (int)noise);
        }
    }
    for (int c = 0; c < 4; c++) d.class_name[c] = strdup("class");
    return d;
}

static config *configure(const char *const *settings, int n)
{
    config *cfg;
    char *all[16] = { "net.arch=resnet20", "net.classes=4", "seed=5" };
    for (int k = 0; k < n; k++) all[3 + k] = (char *)settings[k];
    assert_int_equal(config_load(NULL, all, 3 + n, &cfg), OK);
    return cfg;
}

typedef struct analysed_net {
    backend *device;
    net *net;
    analyser *analyser;
} analysed_net;

static analysed_net open_net(const config *cfg)
{
    analysed_net b = { 0 };
    net_case evaluation = { .batch = BATCH };
    assert_int_equal(backend_open("cpu", 2, &b.device, NULL, 0), OK);
    assert_int_equal(net_create(&(net_spec){ .arch = "resnet20", .classes = 4 }, &b.net), OK);
    assert_int_equal(analyser_create(b.net, cfg, &b.analyser), OK);
    assert_int_equal(net_compile(b.net, b.device, F32, &evaluation, 1), OK);
    assert_int_equal(net_init(b.net, 1), OK);
    return b;
}

static void close_net(analysed_net *b)
{
    analyser_free(b->analyser);
    net_free(b->net);
    backend_close(b->device);
}

static analysis analyse(const config *cfg, const dataset *test)
{
    analysis a;
    analysed_net b = open_net(cfg);
    assert_int_equal(analysis_run(b.analyser, 0, BATCH, test, "test", &a), OK);
    close_net(&b);
    return a;
}

/* analysis.precision=bf16: rows of unit length, then rounded. */
static void round_unit_rows(float *x, int rows, int64_t dim)
{
    for (int i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < dim; k++) sum += (double)x[i * dim + k] * x[i * dim + k];
        for (int64_t k = 0; k < dim; k++)
            x[i * dim + k] = bf16_to(bf16_from((float)(x[i * dim + k] / sqrt(sum))));
    }
}

/* analysis.precision=int8: each row is scaled to fill -127 .. 127 and rounded; similarities are the cosines of those.
 * (The limit for long rows of equal values is not reached here.) */
static void round_to_int8(float *x, int rows, int64_t dim)
{
    for (int i = 0; i < rows; i++) {
        float *row = x + i * dim, peak = 0;
        for (int64_t k = 0; k < dim; k++) peak = fabsf(row[k]) > peak ? fabsf(row[k]) : peak;
        const float factor = (float)(127 / (double)peak);
        for (int64_t k = 0; k < dim; k++) row[k] = nearbyintf(row[k] * factor);
    }
}

/* ---- the definitions, in double, on features from the test's own tap ---- */

typedef struct recorder {
    int rows;
    float *x; /* [rows, dim] */
} recorder;

static status record(void *ctx, const tap_view *v)
{
    recorder *r = ctx;
    status st = tap_read(v, r->x + r->rows * shape_image(v->shape));
    r->rows += v->rows;
    return st;
}

static double *similarities(const config *cfg, const dataset *test, const char *layer, int64_t dim)
{
    recorder r = { 0, malloc((size_t)test->n * (size_t)dim * sizeof(float)) };
    double *sim = calloc((size_t)test->n * (size_t)test->n, sizeof *sim);
    static float batch[BATCH * IMAGE_VALUES];
    backend *device;
    net *n;
    net_case evaluation = { .batch = BATCH };
    assert_int_equal(backend_open("cpu", 2, &device, NULL, 0), OK);
    assert_int_equal(net_create(&(net_spec){ .arch = "resnet20", .classes = 4 }, &n), OK);
    assert_int_equal(net_tap(n, layer, record, &r), OK);
    assert_int_equal(net_compile(n, device, F32, &evaluation, 1), OK);
    assert_int_equal(net_init(n, 1), OK);
    for (int i = 0; i < test->n; i += BATCH) {
        int rows = test->n - i < BATCH ? test->n - i : BATCH;
        for (int k = 0; k < rows * IMAGE_VALUES; k++) {
            int channel = k % IMAGE_VALUES / (IMAGE_SIDE * IMAGE_SIDE);
            float pixel = test->image[(size_t)i * IMAGE_VALUES + (size_t)k] / 255.0f;
            batch[k] = (pixel - cfg->data.mean[channel]) / cfg->data.std[channel];
        }
        assert_int_equal(net_input(n, 0, batch, NULL, rows), OK);
        assert_int_equal(net_forward(n, 0), OK);
    }
    assert_int_equal(r.rows, test->n);
    const bool rounded = cfg->analysis.precision == PRECISION_BF16;
    if (rounded) round_unit_rows(r.x, test->n, dim);
    if (cfg->analysis.precision == PRECISION_INT8) round_to_int8(r.x, test->n, dim);
    for (int i = 0; i < test->n; i++) {
        for (int j = 0; j <= i; j++) {
            double dot = 0;
            for (int64_t k = 0; k < dim; k++) dot += (double)r.x[i * dim + k] * r.x[j * dim + k];
            sim[i * test->n + j] = sim[j * test->n + i] = dot;
        }
    }
    for (int i = 0; i < test->n; i++) {
        for (int j = 0; j < test->n; j++) {
            if (i != j && !rounded)
                sim[i * test->n + j] /= sqrt(sim[i * test->n + i]) * sqrt(sim[j * test->n + j]);
        }
    }
    free(r.x);
    net_free(n);
    backend_close(device);
    return sim;
}

static int by_sim(const void *a, const void *b)
{
    float x = ((const edge *)a)->sim, y = ((const edge *)b)->sim;
    return x > y ? -1 : x < y;
}

static void check_histogram(const layer_analysis *l, const double *sim, int n, int limit)
{
    int64_t bin[10] = { 0 }, sum = 0;
    for (int i = 0; i < limit; i++) {
        for (int j = 0; j < i; j++) bin[(int)fmax(0, fmin(9, floor(10 * sim[i * n + j])))]++;
    }
    for (int b = 0; b < 10; b++) {
        sum += l->histogram[b];
        assert_true(llabs(bin[b] - l->histogram[b]) <= 2); /* similarities next to a border */
    }
    assert_int_equal(sum, limit * (limit - 1) / 2);
}

static void check_edges(const analysis *a, const layer_analysis *l, const double *sim, int n)
{
    edge *all = malloc((size_t)a->samples * (size_t)a->samples / 2 * sizeof *all);
    int64_t pairs = 0;
    for (int i = 0; i < a->samples; i++) {
        for (int j = i + 1; j < a->samples; j++)
            all[pairs++] = (edge){ i, j, (float)sim[a->sample[i] * n + a->sample[j]] };
    }
    qsort(all, (size_t)pairs, sizeof *all, by_sim);
    assert_int_equal(l->edges.n, a->edges);
    for (int64_t k = 0; k < a->edges; k++) {
        edge e = l->edges.edge[k];
        assert_true(e.i < e.j);
        assert_float_equal(e.sim, all[k].sim, 2e-6);
        /* Which of two pairs that differ by rounding alone comes first is open: from here on, these pairs. */
        all[k] = (edge){ e.i, e.j, (float)sim[a->sample[e.i] * n + a->sample[e.j]] };
        assert_float_equal(e.sim, all[k].sim, 2e-6);
    }
    yang_result y;
    edge_list top = { a->edges, all };
    assert_int_equal(yang_modularity(&top, a->samples, a->label, 4, NORM_NEWMAN, &y), OK);
    assert_float_equal(l->yang.M, y.M, 1e-5);
    assert_true(l->yang.r == y.r);
    free(y.class_share);
    free(all);
}

/* W = (A + A^T) / 2 as a matrix and the formula of docs/definitions.md as it stands there. */
static double lu_by_matrix(const double *sim, int n, const int32_t *label, int first, int size, int k)
{
    double *W = calloc((size_t)size * (size_t)size, sizeof *W), two_m = 0, Q = 0;
    for (int i = 0; i < size; i++) {
        bool kept[1000] = { false };
        for (int p = 0; p < k; p++) {
            int best = -1;
            for (int j = 0; j < size; j++) {
                double s = i == j ? 0 : sim[(first + i) * n + first + j];
                if (!kept[j] && (best < 0 || s > (best == i ? 0 : sim[(first + i) * n + first + best])))
                    best = j;
            }
            kept[best] = true;
            double s = best == i ? 0 : sim[(first + i) * n + first + best];
            W[i * size + best] += s / 2;
            W[best * size + i] += s / 2;
        }
    }
    for (int i = 0; i < size * size; i++) two_m += W[i];
    for (int c = 0; c < 4; c++) {
        double L = 0, K = 0;
        for (int i = 0; i < size; i++) {
            if (label[first + i] != c) continue;
            for (int j = 0; j < size; j++) {
                K += W[i * size + j];
                if (label[first + j] == c && i < j) L += W[i * size + j];
            }
        }
        Q += L / (two_m / 2) - (K / two_m) * (K / two_m);
    }
    free(W);
    return Q;
}

static void check_against_the_definitions(const char *precision)
{
    const char *settings[] = { "analysis.samples=90",
                               "analysis.edges=300",
                               "analysis.histogram_samples=130",
                               "analysis.lu_batch=50",
                               "analysis.lu_batches=5",
                               "analysis.k=4",
                               precision };
    config *cfg = configure(settings, 7);
    dataset test = invent_images(170);
    analysis a = analyse(cfg, &test);
    assert_string_equal(a.arch, "resnet20");
    assert_int_equal(a.n_layers, LAYERS);
    assert_int_equal(a.samples, 90);
    assert_int_equal(a.edges, 300);
    assert_int_equal(a.histogram_samples, 130);
    for (int i = 0; i < 90; i++) assert_int_equal(a.label[i], test.label[a.sample[i]]);
    const int check[] = { 0, 9 };
    for (int k = 0; k < 2; k++) {
        const layer_analysis *l = &a.layer[check[k]];
        assert_string_equal(l->name, k ? "layer3.2" : "conv1");
        assert_int_equal(l->dim, k ? 4096 : 16384);
        double *sim = similarities(cfg, &test, l->name, l->dim);
        check_histogram(l, sim, test.n, 130);
        check_edges(&a, l, sim, test.n);
        assert_int_equal(l->lu.n, 3); /* whole batches of 50 among 170 images */
        for (int b = 0; b < 3; b++)
            assert_float_equal(l->lu.Q[b], lu_by_matrix(sim, test.n, test.label, 50 * b, 50, 4), 1e-4);
        free(sim);
    }
    analysis_free(&a);
    dataset_free(&test);
    config_free(cfg);
}

static void agrees_with_the_definitions(void **state)
{
    (void)state;
    check_against_the_definitions("analysis.precision=f32");
}

static void agrees_with_the_definitions_in_bf16(void **state)
{
    (void)state;
    check_against_the_definitions("analysis.precision=bf16");
}

static void agrees_with_the_definitions_in_int8(void **state)
{
    (void)state;
    check_against_the_definitions("analysis.precision=int8");
}

/* ---- memory ---- */

static char *text_of(const analysis *a)
{
    cJSON *o = analysis_json(a);
    assert_non_null(o);
    char *text = cJSON_Print(o);
    assert_non_null(text);
    cJSON_Delete(o);
    return text;
}

static int resident_megabytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return (int)(pages * sysconf(_SC_PAGESIZE) / 1000000);
}

static status run_in(analysed_net *b, config *cfg, int megabytes, const dataset *test, analysis *out)
{
    char text[32];
    snprintf(text, sizeof text, "%dM", megabytes);
    free(cfg->analysis.memory);
    cfg->analysis.memory = strdup(text);
    return analysis_run(b->analyser, 0, BATCH, test, "test", out);
}

static void assert_same_features(const char *layer, size_t rows, int64_t dim)
{
    char name[2][128], *file[2];
    size_t bytes[2];
    for (int k = 0; k < 2; k++) {
        snprintf(name[k], sizeof name[k], "%s/%s.npy", k ? "poor" : "rich", layer);
        assert_int_equal(file_read(scratch_path(name[k]), &file[k], &bytes[k]), OK);
        assert_int_equal(bytes[k], 128 + rows * (size_t)dim * sizeof(float));
    }
    assert_memory_equal(file[0], file[1], bytes[0]);
    free(file[0]);
    free(file[1]);
}

/* The least memory that is accepted has room for two tiles of rows, 1024 images, of the largest layers, and so not for
 * all 1100 images. A step of 4 MB is 61 images of these layers. */
static void less_memory_same_bits(void **state)
{
    (void)state;
    const char *settings[] = { "analysis.samples=600", "analysis.edges=5000", "analysis.lu_batch=400",
                               "analysis.cka=700", "analysis.features=1090" };
    dataset test = invent_images(1100);
    config *cfg = configure(settings, 5);
    analysed_net b = open_net(cfg);
    analysis rich, poor;
    analyser_export(b.analyser, scratch_path("rich"));
    assert_int_equal(run_in(&b, cfg, 8000, &test, &rich), OK);
    assert_int_equal(rich.layer[0].lu.n, 2);
    int megabytes = resident_megabytes() + 60;
    status st;
    analyser_export(b.analyser, scratch_path("poor"));
    assert_int_equal(run_in(&b, cfg, megabytes, &test, &poor), ERR_USAGE);
    while ((st = run_in(&b, cfg, megabytes, &test, &poor)) != OK) {
        assert_int_equal(st, ERR_USAGE);
        assert_true(strstr(status_message(), "analysis.memory") != NULL);
        assert_int_equal(poor.n_layers, 0); /* a failure leaves nothing behind */
        megabytes += 4;
    }
    print_message("%d MB are enough for row blocks\n", megabytes);
    char *one = text_of(&rich), *other = text_of(&poor);
    assert_string_equal(one, other);
    assert_true(rich.cka && rich.cka[1] > 0 && rich.cka[1] < 1);
    for (int l = 0; l < LAYERS; l++) {
        assert_memory_equal(rich.layer[l].edges.edge, poor.layer[l].edges.edge, 5000 * sizeof(edge));
        assert_same_features(rich.layer[l].name, 1090, rich.layer[l].dim);
    }
    free(one);
    free(other);
    analysis_free(&rich);
    analysis_free(&poor);
    close_net(&b);
    config_free(cfg);
    dataset_free(&test);
}

/* ---- unusual data ---- */

static void fewer_images_than_asked_for(void **state)
{
    (void)state;
    config *cfg = configure(NULL, 0); /* 4000 vertices, 40000 edges, batches of 500 */
    dataset test = invent_images(3);
    for (int n = 3; n >= 1; n -= 2) {
        test.n = n;
        analysis a = analyse(cfg, &test);
        assert_int_equal(a.samples, n);
        assert_int_equal(a.edges, n * (n - 1) / 2);
        assert_int_equal(a.histogram_samples, n);
        for (int l = 0; l < LAYERS; l++) {
            assert_int_equal(a.layer[l].lu.n, 1);
            assert_true(a.layer[l].yang.class_share[3] == 0); /* nobody is of class 3 */
            assert_int_equal(isnan(a.layer[l].yang.M), n == 1);
            assert_int_equal(isnan(a.layer[l].lu.mean), n == 1);
        }
        char *text = text_of(&a);
        assert_int_equal(strstr(text, "nan") != NULL, 0);
        assert_int_equal(strstr(text, "\"M\":\tnull") != NULL, n == 1);
        free(text);
        assert_int_equal(analysis_write(&a, scratch_path("few"), false), OK);
        analysis_free(&a);
    }
    test.n = 0;
    analysed_net b = open_net(cfg);
    analysis a;
    assert_int_equal(analysis_run(b.analyser, 0, BATCH, &test, "test", &a), ERR_DATA);
    close_net(&b);
    dataset_free(&test);
    config_free(cfg);
}

/* Q if every similarity is 1: of equal ones the lower index wins, so each row keeps the first other images. */
static double lu_of_ties(const int32_t *label, int n, int k)
{
    neighbour *kept = malloc((size_t)(n * k) * sizeof *kept);
    for (int i = 0; i < n; i++) {
        for (int p = 0, j = 0; p < k; j++) {
            if (j != i) kept[i * k + p++] = (neighbour){ j, 1 };
        }
    }
    double Q;
    assert_int_equal(lu_modularity(&(neighbour_list){ k, kept }, n, label, 4, &Q), OK);
    free(kept);
    return Q;
}

/* Equal images, more than two tiles of them: every similarity is 1 up to rounding, and the rounding is the same
 * everywhere in the matrix, so all pairs are equal. */
static void identical_images(void **state)
{
    (void)state;
    enum { IMAGES = 1100, EDGES = 2000 };
    const char *settings[] = { "analysis.samples=1100", "analysis.edges=2000", "analysis.lu_batch=550" };
    config *cfg = configure(settings, 3);
    dataset test = invent_images(IMAGES);
    for (int i = 1; i < IMAGES; i++) memcpy(test.image + (size_t)i * IMAGE_VALUES, test.image, IMAGE_VALUES);
    analysis a = analyse(cfg, &test);
    for (int l = 0; l < LAYERS; l++) {
        const layer_analysis *y = &a.layer[l];
        assert_int_equal(y->histogram[9], IMAGES * (IMAGES - 1) / 2);
        for (int k = 0; k < EDGES; k++) { /* the first pairs in order: (0, 1) .. (0, 1099), (1, 2) .. */
            edge e = y->edges.edge[k];
            assert_float_equal(e.sim, 1, 1e-5);
            assert_int_equal(e.i, k < IMAGES - 1 ? 0 : 1);
            assert_int_equal(e.j, k < IMAGES - 1 ? k + 1 : k - IMAGES + 3);
        }
        assert_int_equal(y->lu.n, 2);
        for (int q = 0; q < 2; q++)
            assert_float_equal(y->lu.Q[q], lu_of_ties(test.label + 550 * q, 550, 3), 1e-6);
    }
    analysis_free(&a);
    dataset_free(&test);
    config_free(cfg);
}

/* With weights 0, all activations behind them are 0, and so is every similarity. */
static void dead_activations(void **state)
{
    (void)state;
    const char *settings[] = { "analysis.samples=40", "analysis.edges=50", "analysis.lu_batch=20" };
    config *cfg = configure(settings, 3);
    dataset test = invent_images(40);
    analysed_net b = open_net(cfg);
    int n_params;
    const net_param *p = net_params(b.net, &n_params);
    float *zero = calloc(1 << 20, sizeof *zero);
    for (int k = 0; k < n_params; k++)
        if (strstr(p[k].name, "conv1.weight") == p[k].name)
            assert_int_equal(net_param_write(b.net, &p[k], zero), OK);
    analysis a;
    assert_int_equal(analysis_run(b.analyser, 0, BATCH, &test, "test", &a), OK);
    assert_int_equal(a.layer[0].histogram[0], 40 * 39 / 2);
    assert_int_equal(a.layer[0].negative, 0);
    assert_true(a.layer[0].yang.min_sim == 0 && isnan(a.layer[0].yang.M) && isnan(a.layer[0].lu.mean));
    analysis_free(&a);
    /* Activations that are not finite are an error that names the layer. */
    for (int k = 0; k < 1 << 20; k++) zero[k] = NAN;
    for (int k = 0; k < n_params; k++)
        if (strcmp(p[k].name, "layer1.0.conv1.weight") == 0)
            assert_int_equal(net_param_write(b.net, &p[k], zero), OK);
    assert_int_equal(analysis_run(b.analyser, 0, BATCH, &test, "test", &a), ERR_DIVERGED);
    assert_true(strstr(status_message(), "layer1.0") != NULL);
    free(zero);
    close_net(&b);
    dataset_free(&test);
    config_free(cfg);
}

/* ---- files ---- */

static void lu2022_of_a_mobilenet_is_an_error(void **state)
{
    (void)state;
    static const char *const archs[] = { "mobilenetv2", "mobilenetv2_tv" };
    const char *const settings[] = { "analysis.hooks=lu2022" };
    config *cfg = configure(settings, 1);
    for (int i = 0; i < 2; i++) {
        net *n;
        analyser *a = NULL;
        assert_int_equal(net_create(&(net_spec){ .arch = archs[i], .classes = 4 }, &n), OK);
        assert_int_equal(analyser_create(n, cfg, &a), ERR_USAGE);
        assert_non_null(strstr(status_message(), archs[i]));
        assert_non_null(strstr(status_message(), "lu2022"));
        assert_null(a);
        net_free(n);
    }
    config_free(cfg);
}

static void files_hold_the_result(void **state)
{
    (void)state;
    const char *settings[] = { "analysis.samples=40", "analysis.edges=50", "analysis.lu_batch=20",
                               "analysis.norm=literal" };
    config *cfg = configure(settings, 4);
    dataset test = invent_images(45);
    analysis a = analyse(cfg, &test);
    char *text;
    size_t bytes;
    assert_int_equal(file_make_dirs(scratch_path("out/analysis/edges")), OK);
    scratch_write("out/analysis/analysis.json", "{\"layers\": []}", 14);
    scratch_write("out/analysis/edges/conv1.raw.bin", "of an earlier analysis", 22);
    scratch_write("out/analysis/ring-conv1.raw.png", "its picture", 11);
    scratch_write("out/analysis/curves.png", "its curves", 10);
    scratch_write("out/analysis/curves.txt", "not of an analysis", 18);
    assert_int_equal(analysis_write(&a, scratch_path("out/analysis"), false), OK);
    assert_false(file_exists(scratch_path("out/analysis/edges/conv1.raw.bin")));
    assert_false(file_exists(scratch_path("out/analysis/ring-conv1.raw.png")));
    assert_false(file_exists(scratch_path("out/analysis/curves.png")));
    assert_true(file_exists(scratch_path("out/analysis/curves.txt")));
    assert_int_equal(file_read(scratch_path("out/analysis/edges/layer3.2.bin"), &text, &bytes), OK);
    assert_int_equal(bytes, 50 * 12);
    for (int k = 0; k < 50; k++) {
        int32_t ij[2];
        float sim;
        memcpy(ij, text + 12 * k, 8);
        memcpy(&sim, text + 12 * k + 8, 4);
        edge e = a.layer[9].edges.edge[k];
        assert_true(ij[0] == e.i && ij[1] == e.j && sim == e.sim);
    }
    free(text);
    assert_int_equal(file_read(scratch_path("out/analysis/analysis.json"), &text, &bytes), OK);
    cJSON *o = cJSON_Parse(text);
    assert_string_equal(cJSON_GetObjectItem(o, "norm")->valuestring, "literal");
    const char *keys[] = { "arch",     "checkpoint", "samples",    "edges",    "histogram_samples",
                           "norm",     "k",          "lu_batches", "lu_batch", "hooks",
                           "balanced", "seed",       "precision",  "images",   "layers" };
    const cJSON *item = o->child;
    for (int k = 0; k < 15; k++, item = item->next) assert_string_equal(item->string, keys[k]);
    assert_null(item);
    const cJSON *layer = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "layers"), 9);
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(layer, "yang"), "M")->valuedouble ==
                a.layer[9].yang.M);
    assert_int_equal(
        cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetObjectItem(layer, "yang"), "class_share")), 4);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetObjectItem(layer, "lu"), "Q")), 2);
    cJSON_Delete(o);
    free(text);
    assert_int_equal(file_read(scratch_path("out/analysis/samples.csv"), &text, &bytes), OK);
    char line[64];
    snprintf(line, sizeof line, "\n39,%d,%d\n", a.sample[39], a.label[39]);
    assert_true(strstr(text, line) != NULL);
    free(text);
    analysis_free(&a);
    dataset_free(&test);
    config_free(cfg);
}

int main(int argc, char **argv)
{
    (void)argc;
    threads_sleep_when_waiting(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definitions),
        cmocka_unit_test(agrees_with_the_definitions_in_bf16),
        cmocka_unit_test(agrees_with_the_definitions_in_int8),
        cmocka_unit_test(less_memory_same_bits),
        cmocka_unit_test(fewer_images_than_asked_for),
        cmocka_unit_test(identical_images),
        cmocka_unit_test(dead_activations),
        cmocka_unit_test(files_hold_the_result),
        cmocka_unit_test(lu2022_of_a_mobilenet_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
