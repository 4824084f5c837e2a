/* data/cifar.c: files written byte by byte here, and every way in which they can be wrong. */
#include "../../data/dataset.h"
#include "../image32.h"
#include "../scratch.h"

/* A configuration of these data. */
#define FROM(folder, limit)                                                                                  \
    (&(config_data){ CONFIG32, .path = (char *)(folder), .train_limit = (limit), .test_limit = (limit),      \
                     .max_pixels = 1 << 26 })

enum { RECORD = 3073, RECORD_100 = 3074 };

/* Pixel i of channel c of image k; no two channels, and no two neighbours, agree. */
static uint8_t pixel(int k, int c, int i)
{
    return (uint8_t)(17 * k + 85 * c + 3 * i);
}

static void write_records(const char *name, int first, int n, int label_bytes, int label)
{
    uint8_t *bytes = malloc((size_t)n * RECORD_100 + 1), *p = bytes;
    for (int k = first; k < first + n; k++) {
        if (label_bytes == 2) *p++ = 19; /* coarse: must not be used */
        *p++ = (uint8_t)(label >= 0 ? label : k % 10);
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < 1024; i++) *p++ = pixel(k, c, i);
    }
    scratch_write(name, bytes, (size_t)(p - bytes));
    free(bytes);
}

/* Five training files of 1, 2, 3, 4, 5 records and a test file of 7. */
static void write_cifar10(const char *folder)
{
    char name[256];
    for (int f = 1, k = 0; f <= 5; k += f++) {
        snprintf(name, sizeof name, "%s/data_batch_%d.bin", folder, f);
        write_records(name, k, f, 1, -1);
    }
    snprintf(name, sizeof name, "%s/test_batch.bin", folder);
    write_records(name, 100, 7, 1, -1);
}

static void assert_images(const dataset *d, int first)
{
    for (int k = 0; k < d->n; k++) {
        assert_int_equal(d->label[k], (first + k) % 10);
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < 1024; i++)
                if (d->image[(k * 3 + c) * 1024 + i] != pixel(first + k, c, i))
                    fail_msg("image %d channel %d pixel %d", k, c, i);
    }
}

static void assert_refused(status got, const dataset *d, const char *const *words)
{
    assert_int_equal(got, ERR_DATA);
    for (; *words; words++)
        if (!strstr(status_message(), *words)) fail_msg("no '%s' in '%s'", *words, status_message());
    assert_null(d->image);
    assert_null(d->class_name);
    assert_int_equal(d->n, 0);
}
#define WORDS(...)                                                                                           \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void reads_all_files_in_order(void **state)
{
    (void)state;
    dataset d;
    write_cifar10("plain");
    assert_int_equal(cifar10_open(FROM(scratch_path("plain"), 0), 0, true, &d), OK);
    assert_int_equal(d.n, 15);
    assert_int_equal(d.classes, 10);
    assert_images(&d, 0);
    for (int c = 0; c < 10; c++) assert_string_equal(d.class_name[c], ((char[]){ (char)('0' + c), 0 }));
    dataset_free(&d);

    assert_int_equal(cifar10_open(FROM(scratch_path("plain"), 0), 0, false, &d), OK);
    assert_int_equal(d.n, 7);
    assert_images(&d, 100);
    dataset_free(&d);
}

static void finds_the_official_folder_inside(void **state)
{
    (void)state;
    dataset d;
    write_cifar10("above/cifar-10-batches-bin");
    assert_int_equal(cifar10_open(FROM(scratch_path("above"), 0), 0, true, &d), OK);
    assert_int_equal(d.n, 15);
    dataset_free(&d);
}

static void limit_takes_the_first(void **state)
{
    (void)state;
    dataset d;
    write_cifar10("limit");
    for (int limit = 1; limit <= 17; limit += 4) { /* inside a file, at its end, beyond all */
        assert_int_equal(cifar10_open(FROM(scratch_path("limit"), limit), 0, true, &d), OK);
        assert_int_equal(d.n, limit < 15 ? limit : 15);
        assert_images(&d, 0);
        dataset_free(&d);
    }
}

static void reads_class_names(void **state)
{
    (void)state;
    dataset d;
    write_cifar10("names");
    static const char text[] = "airplane\r\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\n\n";
    scratch_write("names/batches.meta.txt", text, sizeof text - 1);
    assert_int_equal(cifar10_open(FROM(scratch_path("names"), 0), 0, true, &d), OK);
    assert_string_equal(d.class_name[0], "airplane");
    assert_string_equal(d.class_name[8], "ship");
    assert_string_equal(d.class_name[9], "9"); /* its line is empty */
    dataset_free(&d);
    scratch_write("names/batches.meta.txt", "airplane\0\nbird\n", 15);
    assert_int_equal(cifar10_open(FROM(scratch_path("names"), 0), 0, true, &d), ERR_DATA);
    assert_non_null(strstr(status_message(), "batches.meta.txt: not text"));
}

static void cifar100_takes_the_fine_label(void **state)
{
    (void)state;
    dataset d;
    write_records("hundred/cifar-100-binary/train.bin", 0, 3, 2, 99);
    write_records("hundred/cifar-100-binary/test.bin", 0, 2, 2, 42);
    scratch_write("hundred/cifar-100-binary/fine_label_names.txt", "apple\nfish\n", 11);
    assert_int_equal(cifar100_open(FROM(scratch_path("hundred"), 0), 0, true, &d), OK);
    assert_int_equal(d.n, 3);
    assert_int_equal(d.classes, 100);
    assert_int_equal(d.label[2], 99);
    assert_int_equal(d.image[2 * IMAGE_VALUES + 1024 + 5], pixel(2, 1, 5));
    assert_string_equal(d.class_name[1], "fish");
    assert_string_equal(d.class_name[99], "99");
    dataset_free(&d);
    assert_int_equal(cifar100_open(FROM(scratch_path("hundred"), 0), 0, false, &d), OK);
    assert_int_equal(d.label[1], 42);
    dataset_free(&d);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    dataset d;
    assert_refused(cifar10_open(FROM(scratch_path("nowhere"), 0), 0, true, &d), &d,
                   WORDS("nowhere", "make cifar10"));
    assert_refused(cifar100_open(FROM(scratch_path("nowhere"), 0), 0, true, &d), &d,
                   WORDS("nowhere", "cifar100"));

    write_cifar10("bad");
    assert_int_equal(unlink(scratch_path("bad/data_batch_3.bin")), 0);
    assert_refused(cifar10_open(FROM(scratch_path("bad"), 1), 0, true, &d), &d,
                   WORDS("data_batch_3.bin", "No such file", "make cifar10"));

    scratch_write("bad/data_batch_3.bin", "", 0);
    assert_refused(cifar10_open(FROM(scratch_path("bad"), 0), 0, true, &d), &d,
                   WORDS("data_batch_3.bin", "empty"));

    uint8_t bytes[2 * RECORD - 1] = { 0 };
    scratch_write("bad/data_batch_3.bin", bytes, sizeof bytes);
    assert_refused(cifar10_open(FROM(scratch_path("bad"), 0), 0, true, &d), &d,
                   WORDS("data_batch_3.bin", "truncated", "6145", "3073"));

    write_cifar10("label");
    FILE *f = fopen(scratch_path("label/data_batch_4.bin"), "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 2 * RECORD, SEEK_SET), 0);
    assert_int_equal(fputc(10, f), 10);
    assert_int_equal(fclose(f), 0);
    assert_refused(cifar10_open(FROM(scratch_path("label"), 0), 0, true, &d), &d,
                   WORDS("data_batch_4.bin", "record 2", "label 10", "0 to 9"));
    assert_int_equal(cifar10_open(FROM(scratch_path("label"), 6), 0, true, &d),
                     OK); /* not read: not judged */
    dataset_free(&d);
}

/* The real images: sizes, names, and pixels where they belong. */
static void reads_real_images(void **state)
{
    (void)state;
    const char *path = shared_path("data/cifar10-lossless-subset");
    if (!path) skip();
    dataset d;
    assert_int_equal(cifar10_open(FROM(path, 0), 0, true, &d), OK);
    assert_int_equal(d.n, 5000);
    assert_string_equal(d.class_name[0], "airplane");
    assert_string_equal(d.class_name[9], "truck");
    double neighbour = 0, far = 0; /* natural images are smooth along a row, in this layout only */
    for (int64_t k = 0; k < 5000; k++)
        for (int i = 0; i < IMAGE_VALUES - 512; i++) {
            neighbour += abs(d.image[k * IMAGE_VALUES + i] - d.image[k * IMAGE_VALUES + i + 1]);
            far += abs(d.image[k * IMAGE_VALUES + i] - d.image[k * IMAGE_VALUES + i + 512]);
        }
    assert_true(neighbour * 3 < far);
    dataset_free(&d);
    assert_int_equal(cifar10_open(FROM(path, 0), 0, false, &d), OK);
    assert_int_equal(d.n, 1000);
    dataset_free(&d);
}

/* Written and read again: the same images, labels and names, for either number of classes. A line break in a name does not
 * move the names after it. */
static void writes_what_it_reads(void **state)
{
    (void)state;
    const int classes[] = { 10, 100 };
    for (int k = 0; k < 2; k++) {
        dataset d, again;
        assert_int_equal(dataset_alloc(&d, image32, 5, classes[k]), OK);
        for (int i = 0; i < 5 * IMAGE_VALUES; i++) d.image[i] = (uint8_t)(i * 7 + i / 256);
        for (int i = 0; i < 5; i++) d.label[i] = (i * 3 + classes[k] - 4) % classes[k];
        for (int c = 0; c < classes[k]; c++) {
            char name[24];
            snprintf(name, sizeof name, c == 1 ? "class\n%d" : "class %d", c);
            assert_non_null(d.class_name[c] = strdup(name));
        }
        const char *folder = scratch_path(k == 0 ? "new/ten" : "new/hundred");
        assert_int_equal(dataset_written_as(classes[k], image32), k == 0 ? DATA_CIFAR10 : DATA_CIFAR100);
        assert_int_equal(dataset_write(&d, folder), OK);
        assert_int_equal((k == 0 ? cifar10_open : cifar100_open)(FROM(folder, 0), 0, false, &again), OK);
        assert_int_equal(again.n, 5);
        assert_memory_equal(again.image, d.image, 5 * IMAGE_VALUES);
        assert_memory_equal(again.label, d.label, 5 * sizeof *d.label);
        assert_string_equal(again.class_name[1], "class\\x0a1");
        assert_string_equal(again.class_name[classes[k] - 1], d.class_name[classes[k] - 1]);
        dataset_free(&again);
        dataset_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_files_in_order),
        cmocka_unit_test(finds_the_official_folder_inside),
        cmocka_unit_test(limit_takes_the_first),
        cmocka_unit_test(reads_class_names),
        cmocka_unit_test(cifar100_takes_the_fine_label),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(reads_real_images),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
