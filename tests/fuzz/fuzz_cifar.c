/* tests/fuzz/fuzz_cifar.c -- CIFAR's binary files. The first byte of the input says which file of a folder the rest
 * replaces: 'a' the records of CIFAR-10, 'b' its names, 'c' and 'd' those of CIFAR-100; 'e' and 'g' are records again,
 * cut off after the last whole one. */
#include "fuzz.h"

#include "../../core/config/config.h"
#include "../../data/dataset.h"
#include "../image32.h"

static uint8_t record[2 + IMAGE_VALUES] = { 1, 1 };
static const fuzz_file files[] = {
    { "ten/test_batch.bin", (const char *)record, 1 + IMAGE_VALUES },
    { "ten/batches.meta.txt", "plane\ncar\nbird\n", 0 },
    { "hundred/test.bin", (const char *)record, 2 + IMAGE_VALUES },
    { "hundred/fine_label_names.txt", "apple\r\nfish\r\n", 0 },
};

static void check_images(const dataset *d)
{
    FUZZ_CHECK(d->n > 0);
    for (int i = 0; i < d->n; i++) FUZZ_CHECK(d->label[i] < d->classes);
    for (int c = 0; c < d->classes; c++) FUZZ_CHECK(d->class_name[c] && d->class_name[c][0]);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    dataset d;
    uint8_t *whole = malloc(bytes + 1);
    FUZZ_CHECK(whole);
    memcpy(whole, data, bytes);
    if (bytes && (data[0] == 'e' || data[0] == 'g')) {
        whole[0] = (uint8_t)(data[0] - 4);
        bytes -= (bytes - 1) % ((data[0] == 'e' ? 1 : 2) + IMAGE_VALUES);
    }
    const int replaced = fuzz_replace_one(files, 4, whole, bytes);
    const bool ten = replaced < 2;
    free(whole);
    file_path folder = fuzz_path(ten ? "ten" : "hundred");
    const config_data cfg = { CONFIG32, .format = ten ? DATA_CIFAR10 : DATA_CIFAR100, .path = folder.s };
    const status st = ten ? cifar10_open(&cfg, 10, false, &d) : cifar100_open(&cfg, 100, false, &d);
    if (!fuzz_accepted(st, ERR_DATA)) return false;
    check_images(&d);
    dataset_free(&d);
    return true;
}
