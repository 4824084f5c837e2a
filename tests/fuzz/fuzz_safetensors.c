/* tests/fuzz/fuzz_safetensors.c -- the input is a whole file. It is tried again with the right length of the header,
 * since hardly a change would reach the header otherwise. */
#include "fuzz.h"

#include "../../core/format/safetensors.h"

/* The tensors lie within the file and cover everything after the header; each can be found and converted. */
static void check_tensors(const st_file *f, const uint8_t *data, size_t bytes)
{
    uint64_t header, covered = 0;
    memcpy(&header, data, 8);
    for (int i = 0; i < f->n_tensors; i++) {
        const st_tensor *t = &f->tensor[i];
        size_t size = (size_t)t->count * st_dtype_bytes(t->type);
        const uint8_t *begin = t->data;
        FUZZ_CHECK(begin >= data + 8 + header && begin <= data + bytes &&
                   size <= (size_t)(data + bytes - begin));
        FUZZ_CHECK(st_find(f, t->name) == t);
        covered += size;
        float *values = malloc((size_t)t->count * sizeof *values + 1);
        FUZZ_CHECK(values);
        status st = st_to_f32(t, values); /* reads every byte */
        FUZZ_CHECK(st == (t->type <= ST_BF16 ? OK : ERR_DATA));
        free(values);
    }
    FUZZ_CHECK(covered == bytes - 8 - header);
    for (int i = 0; i < f->n_meta; i++) FUZZ_CHECK(st_meta(f, f->meta[i].key) == f->meta[i].value);
}

static bool try_file(const uint8_t *data, size_t bytes)
{
    st_file f;
    const status st = st_parse("fuzz", data, bytes, &f);
    if (fuzz_accepted(st, ERR_DATA))
        check_tensors(&f, data, bytes);
    else
        FUZZ_CHECK(!f.tensor && !f.meta);
    st_close(&f);
    return st == OK;
}

/* The length of the header so that it ends after the last brace. */
static uint64_t header_length(const uint8_t *data, size_t bytes)
{
    uint64_t length = bytes - 8;
    while (length > 0 && data[8 + length - 1] != '}') length--;
    return length;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    bool accepted = try_file(data, bytes);
    if (bytes >= 8) {
        uint8_t *mended = malloc(bytes);
        FUZZ_CHECK(mended);
        const uint64_t length = header_length(data, bytes);
        memcpy(mended, data, bytes);
        memcpy(mended, &length, 8);
        accepted |= try_file(mended, bytes);
        free(mended);
    }
    return accepted;
}
