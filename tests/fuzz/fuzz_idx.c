/* tests/fuzz/fuzz_idx.c -- MNIST's files. The first byte of the input says which file of a folder the rest replaces: 'a'
 * the test images, 'b' their labels, 'c' the training labels, 'd' the names of the classes. Files may be compressed. */
#include "fuzz.h"

#include "../../core/config/config.h"
#include "../../data/dataset.h"

static const char images[] = "\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\3abcdefghijkl",
                  labels[] = "\0\0\10\1\0\0\0\2\0\1";
static const fuzz_file files[] = {
    { "mnist/t10k-images-idx3-ubyte", images, sizeof images - 1 },
    { "mnist/t10k-labels-idx1-ubyte", labels, sizeof labels - 1 },
    { "mnist/train-labels-idx1-ubyte", labels, sizeof labels - 1 },
    { "mnist/class_names.txt", "zero\none\n", 0 },
};

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    dataset d;
    fuzz_replace_one(files, 4, data, bytes);
    file_path folder = fuzz_path("mnist");
    const config_data cfg = { .format = DATA_IDX, .path = folder.s, .channels = 1, .size = { 5, 4 } };
    if (!fuzz_accepted(idx_open(&cfg, 0, false, &d), ERR_DATA)) return false;
    FUZZ_CHECK(d.n > 0 && d.classes > 0);
    for (int i = 0; i < d.n; i++) FUZZ_CHECK(d.label[i] >= 0 && d.label[i] < d.classes);
    for (int c = 0; c < d.classes; c++) FUZZ_CHECK(d.class_name[c] && d.class_name[c][0]);
    dataset_free(&d);
    return true;
}
