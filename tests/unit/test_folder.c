/* data/folder.c: small images written here, in an order no directory would have by chance. */
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../data/dataset.h"
#include "../image32.h"
#include "../scratch.h"

#include <sys/stat.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

/* A configuration of these data. */
#define FROM(folder, limit)                                                                                  \
    (&(config_data){ CONFIG32, .path = (char *)(folder), .train_limit = (limit), .test_limit = (limit),      \
                     .max_pixels = 1 << 26 })

static uint8_t pixel(int k, int c, int y, int x)
{
    return (uint8_t)(40 * k + 90 * c + 5 * y + 3 * x);
}

static const char *write_image(const char *name, int k, int side, int channels)
{
    static uint8_t bytes[64 * 64 * 4];
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < channels; c++)
                bytes[(y * side + x) * channels + c] =
                    c == 3 ? 255 : pixel(k, c, y * 32 / side, x * 32 / side);
    const char *path = scratch_write(name, "", 0); /* makes the folders */
    const char *dot = strrchr(name, '.');
    int written = 0;
    if (!strcmp(dot, ".png")) written = stbi_write_png(path, side, side, channels, bytes, side * channels);
    if (!strcmp(dot, ".bmp")) written = stbi_write_bmp(path, side, side, channels, bytes);
    assert_int_equal(written, 1);
    return path;
}

/* ---- a JPEG written by hand: gray, 32 x 32, sixteen flat blocks, so that its pixels are known exactly ----
 */

typedef struct bit_writer {
    uint8_t *at;
    uint32_t bits;
    int n;
} bit_writer;

static void put_bits(bit_writer *w, uint32_t value, int n)
{
    w->bits = w->bits << n | value;
    for (w->n += n; w->n >= 8; w->n -= 8) {
        *w->at = (uint8_t)(w->bits >> (w->n - 8));
        if (*w->at++ == 0xff) *w->at++ = 0; /* a marker must not appear in the data */
    }
}

static int flat_level(int block)
{
    return 70 + 8 * ((block * 5) % 16);
}

static void write_jpeg(const char *name)
{
    static const uint8_t frame[] = { 0xff, 0xc0, 0, 11, 8, 0, 32, 0, 32, 1, 1, 0x11, 0 };
    static const uint8_t dc[] = { 0xff, 0xc4, 0, 27, 0x00, 0, 0, 0, 8, 0, 0, 0, 0, 0,
                                  0, /* eight codes of 4 bits */
                                  0,    0,    0, 0,  0,    0, 0, 1, 2, 3, 4, 5, 6, 7 };
    static const uint8_t ac[] = {
        0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    };
    static const uint8_t scan[] = { 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0 };
    uint8_t file[512] = { 0xff, 0xd8, 0xff, 0xdb, 0, 67, 0 };
    memset(file + 7, 8, 64); /* a DC of 1 is then one gray level */
    bit_writer w = { .at = file + 71 };
    w.at = mempcpy(w.at, frame, sizeof frame);
    w.at = mempcpy(w.at, dc, sizeof dc);
    w.at = mempcpy(w.at, ac, sizeof ac);
    w.at = mempcpy(w.at, scan, sizeof scan);
    for (int block = 0, before = 128; block < 16; before = flat_level(block++)) {
        const int step = flat_level(block) - before,
                  size = step ? 32 - __builtin_clz((unsigned)abs(step)) : 0;
        assert_in_range(size, 0, 7);
        put_bits(&w, (uint32_t)size, 4); /* how many bits the step has, the step, end of block */
        put_bits(&w, (uint32_t)(step > 0 ? step : step + (1 << size) - 1), size);
        put_bits(&w, 0, 1);
    }
    put_bits(&w, 0x7f, 7);
    w.at = mempcpy(w.at, "\xff\xd9", 2);
    scratch_write(name, file, (size_t)(w.at - file));
}

/* ---- what the loader should make of them ---- */

static void assert_pixels(const dataset *d, int at, int k, int tolerance)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++) {
                const int error = d->image[(at * 3 + c) * 1024 + y * 32 + x] - pixel(k, c, y, x);
                if (abs(error) > tolerance && abs(error) < 256 - tolerance) /* the ramp wraps */
                    fail_msg("image %d (%d,%d,%d): off by %d", at, c, y, x, error);
            }
}

static void assert_refused(status got, const dataset *d, const char *word, const char *other)
{
    assert_int_equal(got, ERR_DATA);
    if (!strstr(status_message(), word)) fail_msg("no '%s' in '%s'", word, status_message());
    if (!strstr(status_message(), other)) fail_msg("no '%s' in '%s'", other, status_message());
    assert_null(d->image);
    assert_int_equal(d->n, 0);
}

/* ape 3 files, Bee 1, cat 2: strcmp sorts capitals first, and the classes take turns. */
static void interleaves_sorted_classes_and_files(void **state)
{
    (void)state;
    dataset d;
    write_image("set/train/cat/2.png", 5, 32, 3);
    write_image("set/train/ape/b.png", 1, 32, 3);
    write_image("set/train/Bee/x.bmp", 3, 32, 3);
    write_image("set/train/ape/c.png", 2, 32, 3);
    write_image("set/train/cat/10.png", 4, 32, 3); /* before "2" */
    write_image("set/train/ape/a.png", 0, 32, 3);
    scratch_write("set/train/ape/notes.txt", "not an image", 12);
    scratch_write("set/train/ape/.hidden.png", "not an image", 12);
    scratch_write("set/train/README", "not a class", 11);
    assert_int_equal(folder_open(FROM(scratch_path("set"), 0), 0, true, &d), OK);
    assert_int_equal(d.n, 6);
    assert_int_equal(d.classes, 3);
    assert_string_equal(d.class_name[0], "Bee");
    assert_string_equal(d.class_name[1], "ape");
    assert_string_equal(d.class_name[2], "cat");
    const int which[] = { 3, 0, 4, 1, 5, 2 }, label[] = { 0, 1, 2, 1, 2, 1 };
    for (int i = 0; i < 6; i++) {
        assert_int_equal(d.label[i], label[i]);
        assert_pixels(&d, i, which[i], 0);
    }
    dataset_free(&d);

    assert_int_equal(folder_open(FROM(scratch_path("set"), 4), 0, true, &d), OK);
    assert_int_equal(d.n, 4);
    for (int i = 0; i < 4; i++) assert_pixels(&d, i, which[i], 0);
    dataset_free(&d);
}

/* Labels come from the training folder, even where test lacks its first class; val will do for test. */
static void test_uses_the_classes_of_train(void **state)
{
    (void)state;
    dataset d;
    write_image("parts/train/a/1.png", 0, 32, 3);
    write_image("parts/train/b/1.png", 1, 32, 3);
    write_image("parts/val/b/7.png", 2, 32, 3);
    assert_int_equal(folder_open(FROM(scratch_path("parts"), 0), 0, false, &d), OK);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.classes, 2);
    assert_int_equal(d.label[0], 1);
    assert_pixels(&d, 0, 2, 0);
    dataset_free(&d);

    write_image("parts/test/a/7.png", 3, 32, 3); /* test goes before val */
    assert_int_equal(folder_open(FROM(scratch_path("parts"), 0), 0, false, &d), OK);
    assert_int_equal(d.label[0], 0);
    assert_pixels(&d, 0, 3, 0);
    dataset_free(&d);
}

/* All but the neighbourhood of where the ramp wraps. */
static void assert_about(const dataset *d, int at, int k)
{
    int close = 0;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 1024; i++)
            close += abs(d->image[(at * 3 + c) * 1024 + i] - pixel(k, c, i / 32, i % 32)) <= 12;
    assert_true(close > 3 * 900);
}

static void every_kind_becomes_32_rgb(void **state)
{
    (void)state;
    dataset d;
    write_image("kinds/train/a/1.PNG.png", 1, 64, 3); /* halved */
    write_image("kinds/train/a/2.png", 0, 16, 3);     /* doubled */
    write_image("kinds/train/a/3.png", 1, 32, 4);     /* alpha dropped */
    write_image("kinds/train/a/4.png", 1, 32, 1);     /* gray */
    write_jpeg("kinds/train/a/5.JPG");
    write_jpeg("kinds/train/a/6.jpeg");
    assert_int_equal(folder_open(FROM(scratch_path("kinds"), 0), 0, true, &d), OK);
    assert_int_equal(d.n, 6);
    assert_about(&d, 0, 1);
    assert_about(&d, 1, 0);
    assert_pixels(&d, 2, 1, 0);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 1024; i++) {
            assert_int_equal(d.image[(3 * 3 + c) * 1024 + i], pixel(1, 0, i / 32, i % 32));
            const int level = flat_level(i / 256 * 4 + i % 32 / 8);
            assert_int_equal(d.image[(4 * 3 + c) * 1024 + i], level);
            assert_int_equal(d.image[(5 * 3 + c) * 1024 + i], level);
        }
    dataset_free(&d);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    dataset d;
    assert_refused(folder_open(FROM(scratch_path("none"), 0), 0, true, &d), &d, "none", "train/CLASS");
    write_image("bad/train/a/1.png", 0, 32, 3);
    assert_refused(folder_open(FROM(scratch_path("bad"), 0), 0, false, &d), &d, "bad", "test/");

    write_image("bad/test/b/1.png", 0, 32, 3);
    assert_refused(folder_open(FROM(scratch_path("bad"), 0), 0, false, &d), &d, "test/b", "no class");
    assert_int_equal(unlink(scratch_path("bad/test/b/1.png")), 0);
    assert_int_equal(rmdir(scratch_path("bad/test/b")), 0);
    assert_refused(folder_open(FROM(scratch_path("bad"), 0), 0, false, &d), &d, "test", "no images");

    for (int i = 2; i < 200; i++) { /* enough for several threads; the first bad one is named */
        char name[64];
        snprintf(name, sizeof name, "bad/train/a/%d.png", 1000 + i);
        if (i == 120 || i == 190)
            scratch_write(name, "\x89PNG but no more", 15);
        else
            write_image(name, 0, 8, 3);
    }
    assert_refused(folder_open(FROM(scratch_path("bad"), 0), 0, true, &d), &d, "a/1120.png", "cannot read");
    assert_int_equal(folder_open(FROM(scratch_path("bad"), 100), 0, true, &d), OK); /* not read: not judged */
    dataset_free(&d);

    assert_int_equal(mkdir(scratch_path("empty"), 0755), 0);
    assert_refused(folder_open(FROM(scratch_path("empty"), 0), 0, true, &d), &d, "empty/train",
                   "no such folder");
    assert_int_equal(mkdir(scratch_path("empty/train"), 0755), 0);
    assert_refused(folder_open(FROM(scratch_path("empty"), 0), 0, true, &d), &d, "empty/train",
                   "no class folders");
    assert_int_equal(mkdir(scratch_path("empty/train/a"), 0755), 0);
    assert_refused(folder_open(FROM(scratch_path("empty"), 0), 0, true, &d), &d, "empty/train", "no images");
}

/* What a training or test set is opened with says, as in log.txt of a run. */
static char *said(const char *folder, bool training, int classes, status want)
{
    dataset d;
    char *text = NULL;
    const char *log = scratch_path("log.txt");
    assert_int_equal(log_open(log, false), OK);
    const status st = folder_open(FROM(scratch_path(folder), 0), classes, training, &d);
    assert_int_equal(log_open(NULL, false), OK);
    if (st != want) fail_msg("status %d: %s", st, status_message());
    assert_int_equal(file_read(log, &text, NULL), OK);
    dataset_free(&d);
    return text;
}

static void assert_said(const char *folder, bool training, const char *line)
{
    char *text = said(folder, training, 0, OK);
    if (!strstr(text, line)) fail_msg("no '%s' in '%s'", line, text);
    free(text);
}

/* Half of a class in another format, a folder too many, files beside the folders: said, not passed over. */
static void pictures_that_are_not_read_are_counted(void **state)
{
    (void)state;
    write_image("some/train/cat/1.png", 0, 32, 3);
    write_image("some/train/cat/2.png", 0, 32, 3);
    write_image("some/train/dog/1.png", 0, 32, 3);
    write_image("some/test/dog/1.png", 0, 32, 3);
    scratch_write("some/train/cat/notes.txt", "other files do not count", 24);
    scratch_write("some/train/cat/.3.webp", "hidden", 6);
    char *text = said("some", true, 2, OK);
    assert_string_equal(text, "");
    free(text);

    scratch_write("some/train/cat/3.webp", "x", 1);
    scratch_write("some/train/cat/4.WEBP", "x", 1);
    scratch_write("some/train/cat/5.tif", "x", 1);
    assert_said("some", true, "train/cat: 3 of 5 files are no picture this reads: .webp 2, .tif 1\n");
    write_image("some/train/dog/2021/1.png", 0, 32, 3);
    write_image("some/train/dog/2021/05/2.png", 0, 32, 3);
    scratch_write("some/train/dog/2022/3.gif", "x", 1);
    assert_said("some", true, "train/dog: 3 pictures in folders of this folder (2021) are not read\n");
    write_image("some/train/lost.png", 0, 32, 3);
    assert_said("some", true, "train: not read, because no class folder holds them: 1 of the files there\n");
    assert_said("some", false, "test: no images of 1 of 2 classes: cat\n");
}

static void a_class_without_images_is_an_error(void **state)
{
    (void)state;
    dataset d;
    write_image("void/train/cat/1.png", 0, 32, 3);
    write_image("void/test/cat/1.png", 0, 32, 3);
    scratch_write("void/train/dog/readme", "x", 1);
    assert_refused(folder_open(FROM(scratch_path("void"), 0), 0, true, &d), &d, "train/dog",
                   "no images in this class");
    scratch_write("void/train/dog/1.tiff", "x", 1);
    assert_refused(folder_open(FROM(scratch_path("void"), 0), 0, true, &d), &d, "train/dog",
                   "1 of 1 files are no picture this reads: .tiff 1");
    write_image("void/train/dog/deep/1.png", 0, 32, 3);
    assert_refused(folder_open(FROM(scratch_path("void"), 0), 0, true, &d), &d, "train/dog",
                   "(deep) is not read");
    assert_int_equal(folder_open(FROM(scratch_path("void"), 0), 0, false, &d),
                     OK); /* the test set is whole */
    dataset_free(&d);
}

/* Before an image is decoded: these are none. */
static void the_number_of_classes_comes_first(void **state)
{
    (void)state;
    dataset d;
    scratch_write("count/train/a/1.png", "none", 4);
    assert_refused(folder_open(FROM(scratch_path("count"), 0), 10, true, &d), &d, "count/train",
                   "one class folder only (a)");
    scratch_write("count/train/b/1.png", "none", 4);
    assert_refused(folder_open(FROM(scratch_path("count"), 0), 10, true, &d), &d, "has 2 classes",
                   "(net.classes=2)");
    assert_refused(folder_open(FROM(scratch_path("count"), 0), 2, true, &d), &d, "a/1.png", "cannot read");
}

/* The wrong data.format for what is there: the right one is named. */
static void names_the_format_that_would_do(void **state)
{
    (void)state;
    dataset d;
    scratch_write("swap/train/a/1.png", "x", 1);
    assert_refused(cifar10_open(FROM(scratch_path("swap"), 0), 10, true, &d), &d, "swap",
                   "data.format=folder");
    assert_refused(cifar100_open(FROM(scratch_path("swap"), 0), 10, true, &d), &d, "swap",
                   "data.format=folder");
    scratch_write("files10/test_batch.bin", "x", 1);
    assert_refused(folder_open(FROM(scratch_path("files10"), 0), 10, true, &d), &d, "files10",
                   "data.format=cifar10 ");
    assert_refused(cifar100_open(FROM(scratch_path("files10"), 0), 100, true, &d), &d, "files10",
                   "data.format=cifar10 ");
    scratch_write("files100/cifar-100-binary/train.bin", "x", 1);
    assert_refused(folder_open(FROM(scratch_path("files100"), 0), 100, true, &d), &d, "files100",
                   "data.format=cifar100 ");
    assert_refused(cifar10_open(FROM(scratch_path("files100"), 0), 10, true, &d), &d, "files100",
                   "data.format=cifar100 ");
}

static void a_limit_on_pixels(void **state)
{
    (void)state;
    dataset d;
    config_data cfg = *FROM(scratch_path("limited"), 0);
    write_image("limited/train/a/1.png", 0, 32, 3);
    write_image("limited/train/b/1.bmp", 0, 32, 3);
    cfg.max_pixels = 32 * 32;
    assert_int_equal(folder_open(&cfg, 2, true, &d), OK);
    dataset_free(&d);
    cfg.max_pixels--;
    assert_refused(folder_open(&cfg, 2, true, &d), &d, "a/1.png", "data.max_pixels=1023");
}

/* A set of three classes, gray 20 x 28, whose labels are all different from their images' number. */
static void invent(dataset *d, int n, const char *const name[3])
{
    const image_shape s = { 1, 20, 28 };
    assert_int_equal(dataset_alloc(d, s, n, 3), OK);
    for (int i = 0; i < n * image_values(s); i++) d->image[i] = (uint8_t)(i * 7 + i / 200);
    for (int i = 0; i < n; i++) d->label[i] = i % 3;
    for (int c = 0; c < 3; c++) assert_non_null(d->class_name[c] = strdup(name[c]));
}

/* Written and read again, bit for bit; a smaller set leaves nothing of the larger one before it. */
static void writes_what_it_reads(void **state)
{
    (void)state;
    static const char *const sorted[] = { "ape", "bee\n2", "cat/dog" }, *const mixed[] = { "dog", "..",
                                                                                           "ape" };
    const char *folder = scratch_path("written");
    config_data cfg = *FROM(folder, 0);
    cfg.channels = 1;
    cfg.size[0] = 20;
    cfg.size[1] = 28;
    for (int n = 9; n >= 6; n -= 3) {
        dataset d, again;
        invent(&d, n, sorted);
        assert_int_equal(dataset_written_as(3, d.shape), DATA_FOLDER);
        assert_int_equal(dataset_write(&d, folder), OK);
        assert_int_equal(folder_open(&cfg, 3, false, &again), OK);
        assert_int_equal(again.n, n);
        assert_memory_equal(again.image, d.image, (size_t)(n * image_values(d.shape)));
        assert_memory_equal(again.label, d.label, (size_t)n * sizeof *d.label);
        assert_string_equal(again.class_name[0], "ape");
        assert_string_equal(again.class_name[1], "bee\\x0a2");
        assert_string_equal(again.class_name[2], "cat_dog");
        dataset_free(&again);
        dataset_free(&d);
    }
    dataset d, again;
    invent(&d, 6, mixed); /* a number keeps the labels in order */
    cfg.path = (char *)scratch_path("mixed");
    assert_int_equal(dataset_write(&d, cfg.path), OK);
    assert_int_equal(folder_open(&cfg, 3, false, &again), OK);
    assert_memory_equal(again.image, d.image, (size_t)(6 * image_values(d.shape)));
    assert_memory_equal(again.label, d.label, 6 * sizeof *d.label);
    assert_string_equal(again.class_name[0], "000000-dog");
    dataset_free(&again);
    dataset_free(&d);
}

static void a_test_set_alone_is_enough_to_test(void **state)
{
    (void)state;
    dataset d;
    write_image("alone/test/a/1.png", 0, 32, 3);
    write_image("alone/test/b/1.bmp", 0, 32, 3);
    assert_int_equal(folder_open(FROM(scratch_path("alone"), 0), 2, false, &d), OK);
    assert_int_equal(d.classes, 2);
    dataset_free(&d);
    assert_refused(folder_open(FROM(scratch_path("alone"), 0), 2, true, &d), &d, "alone/train",
                   "no such folder");
    assert_refused(folder_open(FROM(scratch_path("alone"), 0), 3, false, &d), &d, "alone/train",
                   "a class each");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(a_test_set_alone_is_enough_to_test),
        cmocka_unit_test(interleaves_sorted_classes_and_files),
        cmocka_unit_test(test_uses_the_classes_of_train),
        cmocka_unit_test(every_kind_becomes_32_rgb),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(pictures_that_are_not_read_are_counted),
        cmocka_unit_test(a_class_without_images_is_an_error),
        cmocka_unit_test(the_number_of_classes_comes_first),
        cmocka_unit_test(names_the_format_that_would_do),
        cmocka_unit_test(a_limit_on_pixels),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
