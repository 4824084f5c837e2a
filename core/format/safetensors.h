/* core/format/safetensors.h -- reading and writing .safetensors files,
 * https://github.com/huggingface/safetensors.
 *
 *   u64 little-endian: bytes of the header | JSON header | tensor bytes
 *   header: {"__metadata__": {string: string},
 *            "NAME": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...}
 *
 * The reader survives a hostile header. It checks every length before it uses it, and accepts a file only if the
 * tensors cover the bytes exactly, without holes or overlap, no name occurs twice, and the header has at most 8 MB.
 * A message about another kind of file (a .pth, a Git LFS pointer, a web page) says what it is and what helps. */
#ifndef CLEAVE_SAFETENSORS_H
#define CLEAVE_SAFETENSORS_H

#include "../base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum st_dtype {
    ST_F64,
    ST_F32,
    ST_F16,
    ST_BF16,
    ST_I64,
    ST_I32,
    ST_I16,
    ST_I8,
    ST_U8,
    ST_BOOL,
    ST_DTYPES
} st_dtype;
enum { ST_MAX_RANK = 8 };

typedef struct st_tensor {
    char *name;
    st_dtype type;
    int rank;
    int64_t shape[ST_MAX_RANK];
    int64_t count;    /* values; 1 for rank 0 */
    const void *data; /* count values, little-endian, C order; may be unaligned after reading */
} st_tensor;

typedef struct st_pair {
    char *key, *value;
} st_pair;

typedef struct st_file {
    st_tensor *tensor;
    int n_tensors;
    st_pair *meta;
    int n_meta;
    void *map; /* what was read, owned, from mmap; NULL after st_parse */
    size_t map_bytes;
} st_file;

const char *st_dtype_name(st_dtype); /* "F32" */
size_t st_dtype_bytes(st_dtype);

/* Opens and checks a file. ERR_DATA: the message names the path and what is wrong. The caller closes. */
status st_open(const char *path, st_file *out);
/* The same from memory, which is not copied and must outlive `out`; messages show `label` in place of a path. */
status st_parse(const char *label, const void *data, size_t bytes, st_file *out);
void st_close(st_file *); /* a zeroed st_file is harmless */

const st_tensor *st_find(const st_file *, const char *name); /* NULL if absent */
const char *st_meta(const st_file *, const char *key);       /* NULL if absent */
/* Converts the values of an F32, F16, BF16 or F64 tensor to out[count]. ERR_DATA: another type. */
status st_to_f32(const st_tensor *, float *out);

/* Writes a whole file atomically (core/base/file.h), with the tensors in the given order, which must be by
 * descending size of the type (I64 before F32). ERR_RUNTIME: it cannot be written, or the tensors are not as they
 * must be. */
status st_write(const char *path, const st_tensor *tensors, int n_tensors, const st_pair *meta, int n_meta);

#endif
