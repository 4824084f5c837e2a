/* tests/fuzz/fuzz_safetensors.c -- the input is a whole file. */
#include "fuzz.h"

#include "../../core/format/safetensors.h"

#include <string.h>

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

bool fuzz_safetensors(const uint8_t *data, size_t bytes)
{
    st_file f;
    status st = st_parse("fuzz", data, bytes, &f);
    if (st == OK) {
        check_tensors(&f, data, bytes);
    } else {
        FUZZ_CHECK(st == ERR_DATA && !f.tensor && !f.meta);
        FUZZ_CHECK(status_message()[0] && !strchr(status_message(), '\n'));
    }
    st_close(&f);
    return st == OK;
}

FUZZ_TARGET(fuzz_safetensors)
