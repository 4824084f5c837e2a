/* MNIST's IDX files: read as they are, compressed or not, and refused where they are damaged. */
#include "../../core/base/path.h"
#include "../../data/dataset.h"
#include "../scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { HEIGHT = 5, WIDTH = 7, PIXELS = HEIGHT * WIDTH };

#define FROM(folder, limit)                                                                                  \
    (&(config_data){ .path = (char *)scratch_path(folder),                                                   \
                     .channels = 1,                                                                          \
                     .size = { HEIGHT, WIDTH },                                                              \
                     .train_limit = (limit),                                                                 \
                     .test_limit = (limit) })

static uint8_t pixel_of(int image, int i)
{
    return (uint8_t)(image * 11 + i * 3);
}

/* A file of n entries with these sizes in its header, `cut` bytes too short (or, < 0, too long). */
static void write_idx(const char *path, int dimensions, int n, int height, int width, int cut)
{
    static uint8_t bytes[1 << 14];
    size_t at = 4;
    const int size[3] = { n, height, width };
    memcpy(bytes, (uint8_t[]){ 0, 0, 8, (uint8_t)dimensions }, 4);
    for (int d = 0; d < dimensions; d++, at += 4)
        memcpy(bytes + at, (uint8_t[]){ 0, 0, (uint8_t)(size[d] >> 8), (uint8_t)size[d] }, 4);
    for (int i = 0; i < n; i++) {
        if (dimensions == 1) bytes[at++] = (uint8_t)(i % 4);
        for (int p = 0; dimensions == 3 && p < height * width; p++) bytes[at++] = pixel_of(i, p);
    }
    at = (size_t)((int)at - cut);
    const char *file = scratch_write(path, bytes, at);
    const size_t length = strlen(path);
    if (length < 3 || strcmp(path + length - 3, ".gz")) return;
    gzFile f = gzopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, bytes, (unsigned)at), (int)at);
    assert_int_equal(gzclose(f), Z_OK);
}

/* 8 training and 6 test images of 4 classes; `pattern` has the names' middle and end. */
static void write_set(const char *folder, const char *format)
{
    char path[128], name[4][64];
    static const char *const part[] = { "train-images", "train-labels", "t10k-images", "t10k-labels" };
    for (int i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], format, part[i], i % 2 ? 1 : 3);
        snprintf(path, sizeof path, "%s/%s", folder, name[i]);
        write_idx(path, i % 2 ? 1 : 3, i < 2 ? 8 : 6, HEIGHT, WIDTH, 0);
    }
}

static void check_set(const char *folder)
{
    for (int training = 0; training < 2; training++) {
        dataset d;
        if (idx_open(FROM(folder, 0), 4, training, &d) != OK) fail_msg("%s", status_message());
        assert_int_equal(d.n, training ? 8 : 6);
        assert_int_equal(d.classes, 4);
        assert_string_equal(d.class_name[3], "3");
        for (int i = 0; i < d.n; i++) {
            assert_int_equal(d.label[i], i % 4);
            for (int p = 0; p < PIXELS; p++) assert_int_equal(dataset_image(&d, i)[p], pixel_of(i, p));
        }
        dataset_free(&d);
    }
}

static void reads_every_spelling(void **state)
{
    (void)state;
    write_set("plain", "%s-idx%d-ubyte");
    write_set("packed", "%s-idx%d-ubyte.gz");
    write_set("dots", "%s.idx%d-ubyte");
    write_set("vision/raw", "%s-idx%d-ubyte");
    check_set("plain");
    check_set("packed");
    check_set("dots");
    check_set("vision");
}

static void names_limits_and_colour(void **state)
{
    (void)state;
    dataset d;
    write_set("named", "%s-idx%d-ubyte");
    scratch_write("named/class_names.txt", "T-shirt/top\r\nBag\n", 17);
    config_data *cfg = FROM("named", 3);
    cfg->channels = 3;
    assert_int_equal(idx_open(cfg, 0, true, &d), OK);
    assert_int_equal(d.n, 3);
    assert_string_equal(d.class_name[0], "T-shirt/top");
    assert_string_equal(d.class_name[1], "Bag");
    assert_string_equal(d.class_name[2], "2");
    for (int c = 0; c < 3; c++)
        for (int p = 0; p < PIXELS; p++)
            assert_int_equal(dataset_image(&d, 2)[c * PIXELS + p], pixel_of(2, p));
    dataset_free(&d);
}

static void assert_refused(const char *folder, int expected, const char *file, const char *words)
{
    dataset d;
    assert_int_equal(idx_open(FROM(folder, 0), expected, true, &d), ERR_DATA);
    if (!strstr(status_message(), file) || !strstr(status_message(), words))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", status_message(), file, words);
    assert_null(d.image);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    const char *images = "w/train-images-idx3-ubyte", *labels = "w/train-labels-idx1-ubyte";
    assert_refused("w", 4, "w", "make mnist");
    write_set("w", "%s-idx%d-ubyte");
    assert_refused("w", 10, "w", "4 classes");
    write_idx(images, 3, 8, HEIGHT, WIDTH, 1);
    assert_refused("w", 4, images, "truncated");
    write_idx(images, 3, 8, HEIGHT, WIDTH, -1);
    assert_refused("w", 4, images, "more than its header says");
    write_idx(images, 3, 7, HEIGHT, WIDTH, 0);
    assert_refused("w", 4, images, "7 images");
    write_idx(images, 3, 8, 0, WIDTH, 0);
    assert_refused("w", 4, images, "0 x 7");
    write_idx(images, 1, 8, HEIGHT, WIDTH, 0);
    assert_refused("w", 4, images, "expected 00 00 08 03");
    write_idx(images, 3, 8, HEIGHT, WIDTH, 0);
    write_idx(labels, 1, 8, 0, 0, 2);
    assert_refused("w", 4, labels, "truncated");
    write_idx(labels, 1, 0, 0, 0, 0);
    assert_refused("w", 4, labels, "0 entries");
    assert_int_equal(remove(scratch_path(labels)), 0);
    assert_refused("w", 4, "w", "train-labels-idx1-ubyte");
    write_idx(labels, 1, 3, 0, 0, 0); /* three classes here, four in the test set */
    dataset d;
    assert_int_equal(idx_open(FROM("w", 0), 0, false, &d), ERR_DATA);
    assert_non_null(strstr(status_message(), "label 3"));
}

/* What this process has allocated. */
static size_t data_bytes(void)
{
    char line[256];
    size_t kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "VmData: %zu", &kilobytes) != 1) continue;
    fclose(f);
    return kilobytes << 10;
}

/* A header may claim anything: what it costs depends on what is there. */
static void a_claim_costs_nothing(void **state)
{
    (void)state;
    static const uint8_t claim[] = { 0, 0, 8, 1, 16, 0, 0, 0, 1, 2 };
    struct rlimit limit, less;
    write_set("c", "%s-idx%d-ubyte");
    scratch_write("c/train-labels-idx1-ubyte", claim, sizeof claim);
    assert_int_equal(getrlimit(RLIMIT_DATA, &limit), 0);
    less = limit;
    less.rlim_cur = data_bytes() + (128 << 20); /* 256 MB are claimed */
    assert_int_equal(setrlimit(RLIMIT_DATA, &less), 0);
    assert_refused("c", 4, "train-labels-idx1-ubyte", "truncated");
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
}

/* The end of a gzip file has a checksum. */
static void a_damaged_gzip_file(void **state)
{
    (void)state;
    write_set("z", "%s-idx%d-ubyte.gz");
    const char *path = scratch_path("z/train-images-idx3-ubyte.gz");
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -8, SEEK_END), 0);
    assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
    assert_refused("z", 4, "train-images-idx3-ubyte.gz", "data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_spelling), cmocka_unit_test(names_limits_and_colour),
        cmocka_unit_test(says_what_is_wrong),   cmocka_unit_test(a_claim_costs_nothing),
        cmocka_unit_test(a_damaged_gzip_file),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
