/* tests/cuda/similarity_check.c -- parts of the analysis on the device against the host's (graph/): rows to unit
 * length; and histogram and edges of tiles that stay on the device. From the same similarities every count and every
 * edge must be the same, ties included. */
#include "../../core/device/products.h"
#include "checks.h"

#include "../../graph/resident.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- rows --- */

enum { ROWS_BEHIND = 2 }; /* images at the end of the batch that are not normalised */

/* Image 0 is zero, image 1 is large. If `last` is not 0, it is the last value of the last image that is normalised. */
static float *images_of(shape4 s, float last)
{
    const int64_t dim = shape_image(s);
    float *x = random_floats(shape_count(s), 31);
    for (int64_t k = 0; x && k < dim; k++) {
        x[k] = 0;
        x[dim + k] *= 1e18f;
    }
    if (x && last != 0) x[(s.n - ROWS_BEHIND) * dim - 1] = last;
    return x;
}

/* The allowed error. Rounding to bf16 costs half a unit in the last place, of values up to 1. */
static double rows_limit(dtype to)
{
    return to == F32 ? 1e-7 : 1.0 / 256;
}

static void widen(uint16_t *half, int64_t n)
{
    float *out = (float *)half;
    for (int64_t i = n - 1; i >= 0; i--) out[i] = bf16_to(half[i]);
}

static void rows_against_host(backend *b, shape4 s, dtype type, dtype to, float last)
{
    const int n = s.n - ROWS_BEHIND;
    const int64_t dim = shape_image(s);
    float *host = images_of(s, last), *got = calloc((size_t)(n * dim), sizeof *got);
    double norm[128], want[128];
    void *value = NULL, *rows = NULL;
    int bad = -2;
    if (fine(b->alloc(b, b->value_bytes(b, s, type), &value), "alloc") &&
        fine(b->alloc(b, (size_t)(n * dim) * sizeof(float), &rows), "alloc") &&
        fine(b->write_value(b, value, s, type, host), "write") &&
        fine(b->read_value(b, value, s, type, s.n, host), "read") && /* rounded */
        fine(b->products->normalise_rows(b, value, s, type, n, to, rows, norm, &bad), "rows_normalise") &&
        fine(b->download(b, got, rows, (size_t)(n * dim) * dtype_bytes(to)), "download")) {
        const int host_bad = similarity_normalise(host, n, dim, want);
        if (to == BF16) widen((uint16_t *)got, n * dim);
        if (bad != host_bad) wrong("row %d is not finite, on the host row %d", bad, host_bad);
        if (host_bad < 0) close_to("rows", type == F32 ? "f32" : "bf16", got, host, n * dim, rows_limit(to));
        for (int i = 0; host_bad < 0 && i < n; i++)
            if (!(fabs(norm[i] - want[i]) <= 1e-13 * want[i]))
                wrong("norm %.17g, on the host %.17g", norm[i], want[i]);
    }
    b->release(b, value, b->value_bytes(b, s, type));
    b->release(b, rows, (size_t)(n * dim) * sizeof(float));
    free(host);
    free(got);
}

void check_rows(const device_check *d)
{
    static const shape4 shapes[] = { { 5, 3, 4, 4 }, { 7, 17, 1, 1 }, { 4, 16, 9, 9 }, { 66, 24, 5, 5 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 0; k < 4; k++) {
            const dtype type = k % 2 ? BF16 : F32, to = k / 2 ? BF16 : F32;
            rows_against_host(d->cuda, shapes[i], type, to, 0);
            rows_against_host(d->cuda, shapes[i], type, to, INFINITY);
            rows_against_host(d->cuda, shapes[i], type, to, -NAN);
        }
}

/* --- tiles --- */

typedef struct found {
    histogram histogram;
    edge_list edges;
} found;

typedef struct sweep_case {
    int rows, block, limit;
    int64_t want;
} sweep_case;

enum { DIM = 3 };

/* Many rows are equal, so that pairs in several tiles have equal similarities. */
static float *rows_with_ties(int rows)
{
    float *x = random_floats((int64_t)rows * DIM, 32);
    for (int i = 0; x && i < rows; i++)
        if (i % 3 == 2) memcpy(x + (int64_t)i * DIM, x + (int64_t)(i % 90) * DIM, DIM * sizeof *x);
    if (x) similarity_normalise(x, rows, DIM, NULL);
    return x;
}

/* Every fifth image is not in the graph. */
static int members(int rows, int32_t *vertex)
{
    int n = 0;
    for (int i = 0; i < rows; i++) vertex[i] = i % 5 == 1 ? -1 : n++;
    return n;
}

/* All pairs: for each block of rows, its triangle, then its rectangles with all rows after it. */
static status sweep(similarity_sweep *g, const float *x, const sweep_case *c)
{
    status st = OK;
    for (int i = 0; i < c->rows; i += c->block) {
        const int end = c->rows - i < c->block ? c->rows : i + c->block;
        const similarity_rows held = { x + (int64_t)i * DIM, end - i, c->rows - i, i };
        TRY(similarity_triangle(g, held, DIM));
        for (int j = end; j < c->rows; j += SIMILARITY_TILE) {
            const int n = c->rows - j < SIMILARITY_TILE ? c->rows - j : SIMILARITY_TILE;
            TRY(similarity_rectangle(g, held, (similarity_rows){ x + (int64_t)j * DIM, n, c->rows - j, j },
                                     DIM));
        }
    }
out:
    return st;
}

/* If there are few rows, it runs twice, as for two layers, and *out is from the second. */
static status find(backend *b, const float *x, const sweep_case *c, const int32_t *vertex, int vertices,
                   bool there, found *out)
{
    status st = OK;
    similarity_sweep g = { 0 };
    edge_top top = { 0 };
    resident r = { 0 };
    similarity_consumer consumer[2] = { { histogram_take, &out->histogram }, { edge_top_take, &top } };
    TRY(edge_top_open(&top, c->want, vertices, vertex));
    if (there) {
        TRY(resident_open(&r, b, &out->histogram, &top, c->rows));
        if (!r.device) FAIL(ERR_RUNTIME, "the device has no functions for its tiles");
        consumer[0] = (similarity_consumer){ resident_take_histogram, &r, .on_device = true,
                                             .wants = resident_wants_histogram };
        consumer[1] = (similarity_consumer){ resident_take_edges, &r, .on_device = true };
    }
    TRY(similarity_open(&g, b, consumer, 2));
    for (int layer = c->rows > SIMILARITY_TILE; layer < 2; layer++) {
        free(out->edges.edge);
        out->edges = (edge_list){ 0 };
        out->histogram = (histogram){ .limit = c->limit };
        TRY(sweep(&g, x, c));
        TRY(resident_finish(&r));
        TRY(edge_top_finish(&top, &out->edges));
    }
out:
    similarity_close(&g);
    resident_close(&r);
    edge_top_close(&top);
    return st;
}

static void compare_found(const sweep_case *c, const found *host, const found *there)
{
    int64_t pairs = 0;
    for (int b = 0; b < HISTOGRAM_BINS; b++) {
        pairs += host->histogram.bin[b];
        if (host->histogram.bin[b] != there->histogram.bin[b])
            wrong("%d rows: %lld similarities in bin %d, on the host %lld", c->rows,
                  (long long)there->histogram.bin[b], b, (long long)host->histogram.bin[b]);
    }
    if (pairs != (int64_t)c->limit * (c->limit - 1) / 2)
        wrong("the histogram has %lld pairs", (long long)pairs);
    if (host->histogram.negative != there->histogram.negative) wrong("another number is negative");
    if (host->edges.n != there->edges.n ||
        memcmp(host->edges.edge, there->edges.edge, (size_t)host->edges.n * sizeof(edge)))
        wrong("%d rows, %lld edges: they are others than on the host", c->rows, (long long)c->want);
}

void check_resident(const device_check *d)
{
    static const sweep_case cases[] = {
        { 1060, 1060, 1040, 150 }, { 530, 512, 530, 40 }, { 90, 90, 70, 1 << 20 }, { 3, 3, 3, 2 }
    };
    backend *b = d->cuda;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sweep_case *c = &cases[i];
        int32_t vertex[2048];
        const int vertices = members(c->rows, vertex);
        const size_t bytes = (size_t)c->rows * DIM * sizeof(float);
        float *host = rows_with_ties(c->rows);
        void *x = NULL;
        found here = { 0 }, there = { 0 };
        if (fine(b->alloc(b, bytes, &x), "alloc") && fine(b->upload(b, x, host, bytes), "upload") &&
            fine(find(b, x, c, vertex, vertices, false, &here), "on the host") &&
            fine(find(b, x, c, vertex, vertices, true, &there), "on the device"))
            compare_found(c, &here, &there);
        b->release(b, x, bytes);
        free(here.edges.edge);
        free(there.edges.edge);
        free(host);
    }
}

/* --- ties --- */

/* Of n rows, row n - 1 - i repeats row i. Equal pairs must have similarities with equal bits, wherever in the tile
 * they are (one_shape in core/device/products.h). */
static void ties_of(const device_check *d, dtype type, int n, int64_t k)
{
    backend *b = d->cuda;
    const size_t row = (size_t)k * dtype_bytes(type);
    float *x = random_floats((n / 2) * k, 51), *c = malloc((size_t)n * (size_t)n * sizeof *c);
    void *rows = NULL, *tile = NULL;
    int unequal = 0;
    for (int64_t i = 0; type == BF16 && i < n / 2 * k; i++) ((uint16_t *)x)[i] = bf16_from(x[i]);
    bool good = fine(b->alloc(b, (size_t)n * row, &rows), "alloc") &&
                fine(b->alloc(b, (size_t)n * (size_t)n * sizeof *c, &tile), "alloc");
    for (int i = 0; good && i < n; i++)
        good = fine(b->upload(b, (char *)rows + (size_t)i * row,
                              (char *)x + (size_t)(i < n / 2 ? i : n - 1 - i) * row, row),
                    "upload");
    if (good && fine(b->products->product(b, type, n, n, k, rows, k, rows, k, false, tile, n), "gram") &&
        fine(b->download(b, c, tile, (size_t)n * (size_t)n * sizeof *c), "download"))
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                unequal += c[i * n + j] != c[(n - 1 - i) * n + j] || c[i * n + j] != c[j * n + i];
    if (unequal)
        wrong("%s, %lld values: %d similarities differ from those of equal pairs",
              type == F32 ? "f32" : "bf16", (long long)k, unequal);
    if (rows) b->release(b, rows, (size_t)n * row);
    if (tile) b->release(b, tile, (size_t)n * (size_t)n * sizeof *c);
    free(x);
    free(c);
}

void check_ties(const device_check *d)
{
    static const int64_t lengths[] = { 512, 4096, 65536 };    /* libraries split long sums */
    const size_t n = d->emulated ? 1 : d->n_nets < 1 ? 2 : 3; /* without nets: under compute-sanitizer */
    for (size_t i = 0; i < n; i++)
        for (int type = F32; type <= BF16; type++)
            ties_of(d, (dtype)type, d->emulated ? 64 : 512, lengths[i]);
}
