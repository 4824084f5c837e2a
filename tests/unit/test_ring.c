/* The pictures: they exist, have plausible sizes, and an edge between classes is on top. graph/pictures.h. */
#include "../../core/base/file.h"
#include "../../core/base/rng.h"
#include "../../graph/pictures.h"
#include "../scratch.h"

#include <cairo.h>
#include <math.h>
#include <sys/stat.h>

/* A net of `layers` layers on n images; the deeper the layer, the more edges are within a class. */
static analysis invent(int n, int classes, int layers, int64_t edges)
{
    analysis a = { .arch = strdup("invented"),
                   .checkpoint = strdup("none"),
                   .samples = n,
                   .edges = edges,
                   .histogram_samples = n,
                   .classes = classes,
                   .n_layers = layers };
    a.sample = calloc((size_t)n, sizeof(int));
    a.label = calloc((size_t)n, sizeof(int32_t));
    a.class_name = calloc((size_t)classes, sizeof(char *));
    a.layer = calloc((size_t)layers, sizeof *a.layer);
    for (int i = 0; i < n; i++)
        a.label[i] = (int32_t)rng_below(1, RNG_TEST, 0, (uint64_t)i, (uint32_t)classes);
    for (int c = 0; c < classes; c++) {
        char name[32];
        snprintf(name, sizeof name, "class %d", c);
        a.class_name[c] = strdup(name);
    }
    for (int l = 0; l < layers; l++) {
        layer_analysis *x = &a.layer[l];
        snprintf(x->name, sizeof x->name, "layer%d.0", l);
        x->edges = (edge_list){ 0, calloc((size_t)edges + 1, sizeof(edge)) };
        for (uint64_t k = 0; x->edges.n < edges; k += 3) {
            int i = (int)rng_below(2, RNG_TEST, (uint32_t)l, k, (uint32_t)n);
            int j = (int)rng_below(2, RNG_TEST, (uint32_t)l, k + 1, (uint32_t)n);
            float keep = rng_uniform(2, RNG_TEST, (uint32_t)l, k + 2);
            if (i >= j || (a.label[i] != a.label[j] && keep > 0.3f / (float)(1 + l * l))) continue;
            x->edges.edge[x->edges.n] = (edge){ i, j, 1 - 0.5f * (float)x->edges.n / (float)edges };
            x->edges.n++;
        }
        assert_int_equal(yang_modularity(&x->edges, n, a.label, classes, NORM_NEWMAN, &x->yang), OK);
        x->lu = (lu_result){ 1, calloc(1, sizeof(double)), 0.8 * x->yang.M, 0.02 };
        for (int b = 0; b < 10; b++) x->histogram[b] = (int64_t)(1000 * exp(-pow(b - 3 - 0.3 * l, 2) / 3));
    }
    return a;
}

static int64_t size_of(const char *name)
{
    struct stat s;
    return stat(scratch_path(name), &s) == 0 ? s.st_size : -1;
}

/* Pixels of a PNG that are far more red than green and blue: no class has such a colour. */
static int count_red(const char *name)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(scratch_path(name));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    const uint8_t *row = cairo_image_surface_get_data(s);
    int n = 0, width = cairo_image_surface_get_width(s), height = cairo_image_surface_get_height(s);
    for (int y = 0; y < height; y++, row += cairo_image_surface_get_stride(s)) {
        for (int x = 0; x < width; x++) { /* native-endian xRGB */
            const uint8_t *p = row + 4 * x;
            n += p[2] - p[1] > 90 && p[2] - p[0] > 90;
        }
    }
    cairo_surface_destroy(s);
    return n;
}

static void a_wrong_edge_is_on_top(void **state)
{
    (void)state;
    /* 2,000 edges within class 0, all over its part of the circle, and one edge between classes that crosses them. */
    analysis a = invent(400, 2, 1, 2000);
    layer_analysis *l = &a.layer[0];
    for (int64_t k = 0; k < l->edges.n; k++) {
        edge *e = &l->edges.edge[k];
        while (a.label[e->i] != 0) e->i = (e->i + 1) % a.samples;
        while (a.label[e->j] != 0) e->j = (e->j + 1) % a.samples;
    }
    assert_int_equal(ring_write(&a, 0, scratch), OK);
    assert_int_equal(count_red("ring-layer0.0.png"), 0);
    int zero = 0, one = 0;
    while (a.label[zero] != 0) zero++;
    while (a.label[one] != 1) one++;
    l->edges.edge[0] = (edge){ zero, one, 1 }; /* the first of the list, so not last by chance */
    assert_int_equal(ring_write(&a, 0, scratch), OK);
    assert_true(count_red("ring-layer0.0.png") > 100);
    analysis_free(&a);
}

static void svg_of_forty_thousand_edges_stays_small(void **state)
{
    (void)state;
    analysis a = invent(4000, 10, 1, 40000);
    assert_int_equal(ring_write(&a, 0, scratch), OK);
    print_message("ring-layer0.0.svg %lld bytes, .png %lld\n", (long long)size_of("ring-layer0.0.svg"),
                  (long long)size_of("ring-layer0.0.png"));
    assert_in_range(size_of("ring-layer0.0.svg"), 1000000, 5000000);
    assert_in_range(size_of("ring-layer0.0.png"), 20000, 5000000);
    analysis_free(&a);
}

static void many_layers_and_classes(void **state)
{
    (void)state;
    analysis a = invent(1000, 100, 60, 2000);
    assert_int_equal(ring_write(&a, 59, scratch), OK);
    assert_int_equal(ring_write_all(&a, scratch), OK);
    assert_int_equal(plots_write(&a, scratch), OK);
    const char *names[] = { "rings.png", "rings.svg", "ring-layer59.0.png", "ring-layer59.0.svg" };
    for (int k = 0; k < 4; k++) assert_in_range(size_of(names[k]), 1000, 5000000);
    if (system("command -v gnuplot >/dev/null") == 0) {
        const char *plots[] = { "curves.png", "curves.svg", "histograms.png", "histograms.svg" };
        for (int k = 0; k < 4; k++) assert_in_range(size_of(plots[k]), 1000, 2000000);
    }
    analysis_free(&a);
}

/* Pixels of a PNG that are not white, in the outermost columns: what was cut off there. */
static int count_cut_off(const char *name)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(scratch_path(name));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    const uint8_t *row = cairo_image_surface_get_data(s);
    int n = 0, width = cairo_image_surface_get_width(s), height = cairo_image_surface_get_height(s);
    for (int y = 0; y < height; y++, row += cairo_image_surface_get_stride(s))
        n += row[0] != 255 || row[4 * (width - 1)] != 255;
    cairo_surface_destroy(s);
    return n;
}

/* Names too long for the page end with dots; they are in both pictures however many classes there are; bytes that are
 * no text do no harm. */
static void long_names_and_many_of_them(void **state)
{
    (void)state;
    const int classes[] = { 10, 37, 120 };
    const char *names[] = { "rings.png", "ring-layer0.0.png" };
    int64_t without[3][2];
    for (int named = 0; named < 2; named++) {
        for (int k = 0; k < 3; k++) {
            analysis a = invent(2 * classes[k], classes[k], 1, 20);
            for (int c = 0; c < classes[k]; c++) {
                free(a.class_name[c]);
                a.class_name[c] = strdup(!named  ? ""
                                         : c % 2 ? "Wide \xff\x1b WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"
                                                 : "short");
            }
            assert_int_equal(ring_write(&a, 0, scratch), OK);
            assert_int_equal(ring_write_all(&a, scratch), OK);
            for (int i = 0; i < 2; i++) {
                assert_int_equal(count_cut_off(names[i]), 0);
                if (!named)
                    without[k][i] = size_of(names[i]);
                else
                    assert_true(size_of(names[i]) > without[k][i] + 500);
            }
            analysis_free(&a);
        }
    }
}

/* No edges, one image, a class without images, modularities that are not numbers. */
static void next_to_nothing(void **state)
{
    (void)state;
    analysis a = invent(1, 3, 2, 0);
    assert_int_equal(analysis_write(&a, scratch_path("one"), true), OK);
    assert_true(size_of("one/rings.png") > 1000);
    assert_int_equal(size_of("one/edges/layer1.0.bin"), 0);
    analysis_free(&a);
}

static void a_folder_that_cannot_be(void **state)
{
    (void)state;
    analysis a = invent(30, 3, 1, 20);
    scratch_write("file", "x", 1);
    assert_int_equal(analysis_write(&a, scratch_path("file/dir"), true), ERR_RUNTIME);
    assert_int_equal(ring_write(&a, 0, scratch_path("missing")), ERR_RUNTIME);
    assert_true(strstr(status_message(), "missing") != NULL);
    analysis_free(&a);
}

/* A missing gnuplot is a warning, a gnuplot that fails is a failure. */
static void gnuplot_is_optional_but_must_not_fail(void **state)
{
    (void)state;
    analysis a = invent(30, 3, 2, 20);
    char path[4096];
    snprintf(path, sizeof path, "%s", getenv("PATH"));
    scratch_write("tools/gnuplot", "#!/bin/sh\nexit 3\n", 17);
    assert_int_equal(chmod(scratch_path("tools/gnuplot"), 0755), 0);
    remove(scratch_path("curves.png"));
    assert_int_equal(setenv("PATH", scratch, 1), 0);
    assert_int_equal(plots_write(&a, scratch), OK);
    assert_int_equal(size_of("curves.png"), -1);
    assert_int_equal(setenv("PATH", scratch_path("tools"), 1), 0);
    assert_int_equal(plots_write(&a, scratch), ERR_RUNTIME);
    assert_true(strstr(status_message(), "3") != NULL);
    assert_int_equal(setenv("PATH", path, 1), 0);
    analysis_free(&a);
}

/* Called by the leak sanitizer: memory that fontconfig keeps until the process ends is no leak of ours. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_edge_is_on_top),
        cmocka_unit_test(svg_of_forty_thousand_edges_stays_small),
        cmocka_unit_test(long_names_and_many_of_them),
        cmocka_unit_test(many_layers_and_classes),
        cmocka_unit_test(next_to_nothing),
        cmocka_unit_test(a_folder_that_cannot_be),
        cmocka_unit_test(gnuplot_is_optional_but_must_not_fail),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
