/* core/format/safetensors.c: what was written is read back, a PyTorch file is read, and every lie in a header is
 * found. */
#include "../../core/base/file.h"
#include "../../core/format/safetensors.h"
#include "../scratch.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

static const char *path; /* of the file that most tests write */

static int setup(void **state)
{
    if (scratch_setup(state)) return -1;
    static char buffer[512];
    snprintf(buffer, sizeof buffer, "%s", scratch_path("a.safetensors"));
    path = buffer;
    return 0;
}

static const float weight[6] = { 1, -2, 3.5f, 1e-40f, INFINITY, 0 };
static const int64_t steps = 1234567890123;

static st_tensor sample[] = {
    { .name = "bn.num_batches_tracked", .type = ST_I64, .rank = 0, .count = 1, .data = &steps },
    { .name = "conv.weight", .type = ST_F32, .rank = 3, .shape = { 1, 2, 3 }, .count = 6, .data = weight },
    { .name = "empty", .type = ST_F32, .rank = 2, .shape = { 0, 5 }, .count = 0, .data = NULL },
    { .name = "quote\" \\ \n \xc3\xa9", .type = ST_U8, .rank = 1, .shape = { 3 }, .count = 3, .data = "abc" },
};
static const st_pair meta[] = { { "arch", "{\"arch\": \"resnet20\"}" }, { "cuts", "" } };

static void round_trip(void **state)
{
    (void)state;
    assert_int_equal(st_write(path, sample, 4, meta, 2), OK);
    st_file f;
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(f.n_tensors, 4);
    assert_int_equal(f.n_meta, 2);
    for (int i = 0; i < 4; i++) {
        const st_tensor *t = st_find(&f, sample[i].name);
        assert_non_null(t);
        assert_true(t->type == sample[i].type && t->rank == sample[i].rank && t->count == sample[i].count);
        assert_memory_equal(t->shape, sample[i].shape, sizeof t->shape);
        if (t->count)
            assert_memory_equal(t->data, sample[i].data, (size_t)t->count * st_dtype_bytes(t->type));
    }
    /* Aligned for mapping: the data begins at a multiple of 8. */
    assert_int_equal(((const char *)st_find(&f, sample[0].name)->data - (const char *)f.map) % 8, 0);
    assert_null(st_find(&f, "conv"));
    assert_string_equal(st_meta(&f, "arch"), meta[0].value);
    assert_string_equal(st_meta(&f, "cuts"), "");
    assert_null(st_meta(&f, "Arch"));
    st_close(&f);
    st_close(&f); /* harmless */

    assert_int_equal(st_write(path, NULL, 0, NULL, 0), OK); /* no tensors */
    assert_int_equal(st_open(path, &f), OK);
    assert_true(f.n_tensors == 0 && f.n_meta == 0);
    st_close(&f);
}

static void writer_checks(void **state)
{
    (void)state;
    st_tensor unordered[] = { sample[1], sample[0] }, lying = sample[1];
    lying.count = 7;
    assert_int_equal(st_write(path, unordered, 2, NULL, 0), ERR_RUNTIME);
    assert_int_equal(st_write(path, &lying, 1, NULL, 0), ERR_RUNTIME);
    assert_int_equal(st_write("/nonexistent/x", sample, 1, NULL, 0), ERR_RUNTIME);
    assert_string_equal(status_message(), "cannot write /nonexistent/x: No such file or directory");
}

static void conversions(void **state)
{
    (void)state;
    static const uint16_t half[] = { 0x3c00, 0xc000, 0x7bff, 0x0001, 0x8001, 0x03ff,
                                     0x0400, 0x7c00, 0xfc00, 0x8000, 0x3555 };
    static const float half_want[] = {
        1,        -2,       65504,     0x1p-24f, -0x1p-24f,      1023 * 0x1p-24f,
        0x1p-14f, INFINITY, -INFINITY, -0.0f,    0.333251953125f
    };
    float got[16];
    st_tensor t = { .name = "x", .type = ST_F16, .rank = 1, .shape = { 11 }, .count = 11, .data = half };
    assert_int_equal(st_to_f32(&t, got), OK);
    assert_memory_equal(got, half_want, sizeof half_want);
    static const uint16_t nan16 = 0x7e00;
    t = (st_tensor){ .type = ST_F16, .count = 1, .data = &nan16 };
    assert_int_equal(st_to_f32(&t, got), OK);
    assert_true(isnan(got[0]));

    static const uint16_t brain[] = { 0x3f80, 0xc000, 0x7f80, 0x0001 };
    static const float brain_want[] = { 1, -2, INFINITY, 0x1p-133f };
    t = (st_tensor){ .type = ST_BF16, .count = 4, .data = brain };
    assert_int_equal(st_to_f32(&t, got), OK);
    assert_memory_equal(got, brain_want, sizeof brain_want);

    char bytes[1 + 2 * sizeof(double)]; /* not aligned */
    const double d[] = { 1.0 / 3, -1e300 };
    memcpy(bytes + 1, d, sizeof d);
    t = (st_tensor){ .type = ST_F64, .count = 2, .data = bytes + 1 };
    assert_int_equal(st_to_f32(&t, got), OK);
    assert_true(got[0] == 1.0f / 3 && got[1] == -INFINITY);

    t = (st_tensor){ .name = "n", .type = ST_I64, .count = 1, .data = bytes + 1 };
    assert_int_equal(st_to_f32(&t, got), ERR_DATA);
    assert_string_equal(status_message(), "n: type I64 is not a floating-point type");
}

/* Parses a file in memory: length, header, `data` zero bytes. The block has exactly the file's size, so that ASan
 * sees a read beyond it. */
static status parse(const char *header, size_t header_bytes, size_t data, st_file *out, void **owned)
{
    uint64_t length = header_bytes;
    char *file = malloc(8 + header_bytes + data);
    assert_non_null(file);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, header_bytes);
    memset(file + 8 + header_bytes, 0, data);
    *owned = file;
    return st_parse("f", file, 8 + header_bytes + data, out);
}

#define ONE(dtype, shape, offsets)                                                                           \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(a, b)                                                                                            \
    "{\"v\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a                                             \
    "},\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

static void valid_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        int tensors;
    } good[] = {
        { "{}", 0, 0 },
        { "{}       ", 0, 0 },
        { "{\"__metadata__\":{}}", 0, 0 },
        { ONE("\"F32\"", "[1]", "[0,4]"), 4, 1 },
        { ONE("\"F32\"", "[]", "[0,4]"), 4, 1 },
        { ONE("\"F32\"", "[0]", "[0,0]"), 0, 1 },
        { ONE("\"F32\"", "[0, 9007199254740992]", "[0,0]"), 0, 1 },
        { ONE("\"U8\"", "[1,1,1,1,1,1,1,2]", "[0,2]"), 2, 1 },
        { TWO("[4,8]", "[0,4]"), 8, 2 }, /* any order */
        { "{\"\":{\"data_offsets\":[0,1],\"shape\":[1],\"dtype\":\"BOOL\"}}", 1, 1 },
        { "{\"__metadata__\":{\"a\":\"\\\\u0000\"}}", 0, 0 }, /* a backslash and then u0000: no NUL */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        st_file f;
        void *owned;
        assert_int_equal(parse(good[i].header, strlen(good[i].header), good[i].data, &f, &owned), OK);
        assert_int_equal(f.n_tensors, good[i].tensors);
        st_close(&f);
        free(owned);
    }
}

static void hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } bad[] = {
        { "[]", 0, "f: not a safetensors file: the header does not begin with {" },
        { " {}", 0, "f: not a safetensors file: the header does not begin with {" },
        { "{} x", 0, "f: the header goes on after its end" },
        { "{}\n", 0, "f: the header goes on after its end" },
        { "{\"a\":x}", 0, "f: the header is not JSON at byte 5 of 7" },
        { "{\"w\":1}", 0, "f: w: expected {dtype, shape, data_offsets}" },
        { "{\"w\":{}}", 0, "f: w: expected {dtype, shape, data_offsets}" },
        { "{\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[]}}", 0,
          "f: w: data_offsets are not two whole numbers" },
        { "{\"w\":{\"DTYPE\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "f: w: no dtype" },
        { "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":0}}", 1,
          "f: w: expected {dtype, shape, data_offsets}" },
        { ONE("8", "[1]", "[0,4]"), 4, "f: w: no dtype" },
        { ONE("\"F8\"", "[1]", "[0,4]"), 4, "f: w: unknown dtype F8" },
        { ONE("\"f32\"", "[1]", "[0,4]"), 4, "f: w: unknown dtype f32" },
        { ONE("\"F32\"", "1", "[0,4]"), 4, "f: w: no shape" },
        { ONE("\"F32\"", "[-1]", "[0,4]"), 4, "f: w: dimension 0 is not a whole number >= 0" },
        { ONE("\"F32\"", "[1,0.5]", "[0,4]"), 4, "f: w: dimension 1 is not a whole number >= 0" },
        { ONE("\"F32\"", "[1e300]", "[0,4]"), 4, "f: w: dimension 0 is not a whole number >= 0" },
        { ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "f: w: dimension 0 is not a whole number >= 0" },
        { ONE("\"F32\"", "[null]", "[0,4]"), 4, "f: w: dimension 0 is not a whole number >= 0" },
        { ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "f: w: more than 8 dimensions" },
        { ONE("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4, "f: w: too many values" },
        { ONE("\"F32\"", "[9007199254740992,1024]", "[0,4]"), 4, "f: w: too many values" },
        { ONE("\"F64\"", "[4294967296,536870912]", "[0,0]"), 0,
          "f: w: 0 bytes of data for 2305843009213693952 values of F64" },
        { ONE("\"F32\"", "[1]", "[0,4,8]"), 4, "f: w: data_offsets are not two whole numbers" },
        { ONE("\"F32\"", "[1]", "[0]"), 4, "f: w: data_offsets are not two whole numbers" },
        { ONE("\"F32\"", "[1]", "{\"a\":0,\"b\":4}"), 4, "f: w: data_offsets are not two whole numbers" },
        { ONE("\"F32\"", "[1]", "[-4,0]"), 4, "f: w: data_offsets are not two whole numbers" },
        { ONE("\"F32\"", "[1]", "[0,4.5]"), 4, "f: w: data_offsets are not two whole numbers" },
        { ONE("\"F32\"", "[1]", "[4,0]"), 4,
          "f: w: data_offsets 4, 0 outside the 4 bytes of data: is the file cut off?" },
        { ONE("\"F32\"", "[1]", "[0,4]"), 3,
          "f: w: data_offsets 0, 4 outside the 3 bytes of data: is the file cut off?" },
        { ONE("\"F32\"", "[1]", "[0,3]"), 4, "f: w: 3 bytes of data for 1 values of F32" },
        { ONE("\"F32\"", "[2]", "[0,4]"), 4, "f: w: 4 bytes of data for 2 values of F32" },
        { ONE("\"F32\"", "[1]", "[0,4]"), 5, "f: 1 bytes at the end belong to no tensor" },
        { ONE("\"F32\"", "[1]", "[1,5]"), 5, "f: w begins behind bytes that belong to no tensor" },
        { ONE("\"F32\"", "[0]", "[4,4]"), 4, "f: w begins behind bytes that belong to no tensor" },
        { TWO("[0,4]", "[2,6]"), 6, "f: w overlaps another tensor" },
        { TWO("[0,4]", "[0,4]"), 4, "f: v overlaps another tensor" },
        { TWO("[0,4]", "[5,9]"), 9, "f: w begins behind bytes that belong to no tensor" },
        { "{\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
          "\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
          0, "f: w is there twice" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "f: __metadata__ is there twice" },
        { "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "f: a is there twice" },
        { "{\"__metadata__\":[]}", 0, "f: __metadata__ is not an object" },
        { "{\"__metadata__\":{\"a\":1}}", 0, "f: __metadata__: a is not a string" },
        { "{\"__metadata__\":{\"a\":\"x\\u0000y\"}}", 0, "f: NUL in the header" },
        { "{\"a\033[31m\":1}", 0, "f: a?[31m: expected {dtype, shape, data_offsets}" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        st_file f;
        void *owned;
        assert_int_equal(parse(bad[i].header, strlen(bad[i].header), bad[i].data, &f, &owned), ERR_DATA);
        if (strstr(bad[i].message, "overlaps")) { /* either of the two may be named */
            assert_non_null(strstr(status_message(), "overlaps another tensor"));
        } else {
            assert_string_equal(status_message(), bad[i].message);
        }
        assert_true(!f.tensor && !f.meta && !f.n_tensors && !f.n_meta);
        free(owned);
    }
    st_file f;
    void *owned;
    assert_int_equal(parse("{\0}", 3, 0, &f, &owned), ERR_DATA);
    assert_string_equal(status_message(), "f: NUL in the header");
    free(owned);
    assert_int_equal(parse("{}\0", 3, 0, &f, &owned), ERR_DATA);
    free(owned);

    char deep[20001]; /* far deeper than recursion could go */
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', sizeof deep - 5);
    assert_int_equal(parse(deep, sizeof deep, 0, &f, &owned), ERR_DATA);
    free(owned);
}

static void lengths(void **state)
{
    (void)state;
    static const uint64_t bad[] = { 0, 1, 3, 100000001, 1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7 };
    st_file f;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char file[10];
        memcpy(file, &bad[i], 8);
        memcpy(file + 8, "{}", 2);
        assert_int_equal(st_parse("f", file, sizeof file, &f), ERR_DATA);
    }
    for (size_t n = 0; n < 8; n++) assert_int_equal(st_parse("f", "\2\0\0\0\0\0\0\0{}", n, &f), ERR_DATA);
    assert_int_equal(st_parse("f", "\2\0\0\0\0\0\0\0{}", 9, &f), ERR_DATA);
    assert_string_equal(status_message(), "f: cut off: a header of 2 bytes in a file of 9");
    assert_int_equal(st_parse("f", "\2\0\0\0\0\0\0\0{}", 10, &f), OK);
    st_close(&f);

    /* The format's limit is 100 MB; more than 8 MB is refused before it is parsed. */
    const uint64_t large = (8 << 20) + 1;
    char *file = calloc(1, large + 8);
    assert_non_null(file);
    memcpy(file, &large, 8);
    memcpy(file + 8, "{}", 2);
    memset(file + 10, ' ', large - 2);
    assert_int_equal(st_parse("f", file, large + 8, &f), ERR_DATA);
    assert_string_equal(status_message(), "f: a header of 8388609 bytes: Cleave reads headers up to 8388608 "
                                          "(a net's is below 1 MB)");
    free(file);
}

/* What people have in place of a safetensors file is named, with the tool that helps. */
static void other_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *part;
    } other[] = {
        { "PK\3\4\x14..............", "a zip archive, as torch.save writes it: tools/convert.py" },
        { "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", "before PyTorch 1.6: tools/convert.py" },
        { "\x80\4\x95.........", "a pickle: tools/convert.py" },
        { "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull" },
        { "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {}}",
          "an index (JSON) of a net in several files" },
        { "[1, 2, 3, 4]", "JSON, not tensors" },
        { "\xef\xbb\xbf\n <!DOCTYPE html><html>", "a web page" },
        { "<html>", "a web page" }, /* shorter than the length of a header */
        { "\x1f\x8b\x08.........", "gunzip" },
        { "\x89HDF\r\n\x1a\n", "an HDF5 file" },
        { "\x93NUMPY\1.....", "an array of NumPy" },
        { "\x08\7\x12\6cleave..", "an ONNX file" },
        { "something else", "its first 8 bytes are not the length of a header" },
    };
    st_file f;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        assert_int_equal(st_parse("f", other[i].bytes, strlen(other[i].bytes), &f), ERR_DATA);
        if (!strstr(status_message(), other[i].part)) fail_msg("%s: %s", other[i].part, status_message());
        assert_non_null(strstr(status_message(), "f: not a safetensors file"));
    }
    char zip[30] = "PK\3\4"; /* what Python's zipfile writes: as a length, 67 MB */
    assert_int_equal(st_parse("f", zip, sizeof zip, &f), ERR_DATA);
    assert_non_null(strstr(status_message(), "a zip archive"));
    char tar[512] = "pickle";
    memcpy(tar + 257, "ustar", 5);
    assert_int_equal(st_parse("f", tar, sizeof tar, &f), ERR_DATA);
    assert_non_null(strstr(status_message(), "a tar archive"));
}

/* Another process cuts the file off after it was opened: what was read stays. */
static void cut_off_while_open(void **state)
{
    (void)state;
    assert_int_equal(st_write(path, sample, 4, meta, 2), OK);
    st_file f;
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < 4; i++) {
        const st_tensor *t = st_find(&f, sample[i].name);
        assert_non_null(t);
        if (t->count)
            assert_memory_equal(t->data, sample[i].data, (size_t)t->count * st_dtype_bytes(t->type));
    }
    st_close(&f);

    /* A header that does not belong to a huge file: refused, and the file is not read. */
    assert_int_equal(st_write(path, sample, 4, meta, 2), OK);
    if (truncate(path, (off_t)1 << 40) == 0) {
        assert_int_equal(st_open(path, &f), ERR_DATA);
        assert_non_null(strstr(status_message(), "bytes at the end belong to no tensor"));
    }
    assert_int_equal(truncate(path, 0), 0);
}

static void missing_files(void **state)
{
    (void)state;
    st_file f;
    assert_int_equal(st_open("/nonexistent.safetensors", &f), ERR_DATA);
    assert_string_equal(status_message(), "/nonexistent.safetensors: No such file or directory");
    assert_int_equal(st_open(scratch, &f), ERR_DATA);
    assert_non_null(strstr(status_message(), "Is a directory"));
    assert_int_equal(file_replace(path, "", 0), OK);
    assert_int_equal(st_open(path, &f), ERR_DATA);
    assert_non_null(strstr(status_message(), "empty"));
    const char *fifo = scratch_path("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(st_open(fifo, &f), ERR_DATA); /* without waiting for a writer */
}

/* No prefix of a good file is accepted. */
static void truncated(void **state)
{
    (void)state;
    assert_int_equal(st_write(path, sample, 4, meta, 2), OK);
    char *whole = NULL;
    size_t bytes = 0;
    assert_int_equal(file_read(path, &whole, &bytes), OK);
    for (size_t n = 0; n < bytes; n++) {
        char *part = malloc(n + 1);
        assert_non_null(part);
        memcpy(part, whole, n);
        st_file f;
        assert_int_equal(st_parse("f", part, n, &f), ERR_DATA);
        free(part);
    }
    free(whole);
}

/* If a checkpoint does not fit on the disk, the message is one line, the old file stays, and nothing else is left. */
static void full_disk(void **state)
{
    (void)state;
    assert_int_equal(st_write(path, sample, 4, meta, 2), OK);
    enum { N = 100000 };
    float *values = calloc(N, sizeof *values);
    assert_non_null(values);
    st_tensor large = {
        .name = "large", .type = ST_F32, .rank = 1, .shape = { N }, .count = N, .data = values
    };

    disk_is_full(N);
    const status st = st_write(path, &large, 1, NULL, 0);
    disk_has_room();
    free(values);

    char expected[600];
    snprintf(expected, sizeof expected, "cannot write %s: File too large", path);
    assert_int_equal(st, ERR_RUNTIME);
    assert_string_equal(status_message(), expected);
    st_file f;
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(f.n_tensors, 4);
    st_close(&f);
    DIR *d = opendir(scratch);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) assert_null(strstr(e->d_name, ".tmp-"));
    closedir(d);
}

/* A file made with PyTorch. */
static void pytorch_file(void **state)
{
    (void)state;
    const char *file = shared_path("weights/akamaster-resnet20.safetensors");
    if (!file) skip();
    st_file f;
    assert_int_equal(st_open(file, &f), OK);
    int64_t parameters = 0;
    for (int i = 0; i < f.n_tensors; i++) {
        const char *name = f.tensor[i].name;
        if (f.tensor[i].type == ST_F32 && !strstr(name, "running_")) parameters += f.tensor[i].count;
    }
    assert_int_equal(parameters, 269722); /* of resnet20 with 10 classes */
    const st_tensor *t = st_find(&f, "conv1.weight");
    if (!t) t = st_find(&f, "module.conv1.weight");
    assert_non_null(t);
    assert_true(t->rank == 4 && t->shape[0] == 16 && t->shape[1] == 3 && t->shape[2] == 3 &&
                t->shape[3] == 3);
    float values[16 * 27];
    assert_int_equal(st_to_f32(t, values), OK);
    for (int i = 0; i < 16 * 27; i++) assert_true(fabsf(values[i]) < 10);
    st_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),      cmocka_unit_test(writer_checks),
        cmocka_unit_test(conversions),     cmocka_unit_test(valid_headers),
        cmocka_unit_test(hostile_headers), cmocka_unit_test(lengths),
        cmocka_unit_test(other_files),     cmocka_unit_test(cut_off_while_open),
        cmocka_unit_test(missing_files),   cmocka_unit_test(truncated),
        cmocka_unit_test(full_disk),       cmocka_unit_test(pytorch_file),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
