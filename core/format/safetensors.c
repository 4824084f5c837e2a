/* core/format/safetensors.c -- reading: nothing in the file is believed before it is checked.
 *
 *   0        8                     8 + n                                   end of file
 *   | u64 n  | {"a.weight": ...}   | a.weight | b.weight | ...             |
 *             header, n bytes       data_offsets count from here
 */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors are little-endian, and used as they lie");

enum { HEADER_MAX = 100000000, LENGTH_BYTES = 8 };
static const char METADATA[] = "__metadata__";

static const struct {
    const char *name;
    size_t bytes;
} types[ST_DTYPES] = {
    [ST_F64] = { "F64", 8 }, [ST_F32] = { "F32", 4 },   [ST_F16] = { "F16", 2 }, [ST_BF16] = { "BF16", 2 },
    [ST_I64] = { "I64", 8 }, [ST_I32] = { "I32", 4 },   [ST_I16] = { "I16", 2 }, [ST_I8] = { "I8", 1 },
    [ST_U8] = { "U8", 1 },   [ST_BOOL] = { "BOOL", 1 },
};

const char *st_dtype_name(st_dtype t)
{
    return types[t].name;
}

size_t st_dtype_bytes(st_dtype t)
{
    return types[t].bytes;
}

/* What is needed while a header is read. */
typedef struct reader {
    const char *label;
    const char *bytes; /* the tensors' */
    size_t n_bytes;
    st_file *out;
} reader;

/* JSON numbers are doubles here; up to 2^53 they hold each whole number exactly, and no file is larger. */
static bool whole_number(const cJSON *item, int64_t *out)
{
    if (!cJSON_IsNumber(item)) return false;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= 0x1p53) || v != (double)(int64_t)v) return false;
    *out = (int64_t)v;
    return true;
}

static status read_type(const reader *r, const char *name, const cJSON *item, st_dtype *out)
{
    status st = OK;
    if (!cJSON_IsString(item)) FAIL(ERR_DATA, "%s: %s: no dtype", r->label, name);
    int t = 0;
    while (t < ST_DTYPES && strcmp(types[t].name, item->valuestring) != 0) t++;
    if (t == ST_DTYPES) FAIL(ERR_DATA, "%s: %s: unknown dtype %s", r->label, name, item->valuestring);
    *out = (st_dtype)t;
out:
    return st;
}

static status read_shape(const reader *r, const char *name, const cJSON *item, st_tensor *t)
{
    status st = OK;
    if (!cJSON_IsArray(item)) FAIL(ERR_DATA, "%s: %s: no shape", r->label, name);
    t->count = 1;
    bool zero = false, overflow = false;
    const cJSON *dim;
    cJSON_ArrayForEach(dim, item)
    {
        int64_t n;
        if (t->rank == ST_MAX_RANK)
            FAIL(ERR_DATA, "%s: %s: more than %d dimensions", r->label, name, ST_MAX_RANK);
        if (!whole_number(dim, &n))
            FAIL(ERR_DATA, "%s: %s: dimension %d is not a whole number >= 0", r->label, name, t->rank);
        t->shape[t->rank++] = n;
        if (n == 0)
            zero = true;
        else if (__builtin_mul_overflow(t->count, n, &t->count))
            overflow = true;
    }
    if (overflow) FAIL(ERR_DATA, "%s: %s: too many values", r->label, name);
    if (zero) t->count = 0;
out:
    return st;
}

/* [begin, end) must lie in the file and be exactly as long as the shape says. */
static status read_offsets(const reader *r, const char *name, const cJSON *item, st_tensor *t)
{
    status st = OK;
    int64_t begin, end, bytes;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2 ||
        !whole_number(cJSON_GetArrayItem(item, 0), &begin) ||
        !whole_number(cJSON_GetArrayItem(item, 1), &end))
        FAIL(ERR_DATA, "%s: %s: data_offsets are not two whole numbers", r->label, name);
    if (begin > end || (uint64_t)end > r->n_bytes)
        FAIL(ERR_DATA, "%s: %s: data_offsets %lld, %lld outside the %zu bytes of data: is the file cut off?",
             r->label, name, (long long)begin, (long long)end, r->n_bytes);
    if (__builtin_mul_overflow(t->count, (int64_t)types[t->type].bytes, &bytes) || bytes != end - begin)
        FAIL(ERR_DATA, "%s: %s: %lld bytes of data for %lld values of %s", r->label, name,
             (long long)(end - begin), (long long)t->count, types[t->type].name);
    t->data = r->bytes + begin;
out:
    return st;
}

static status read_tensor(reader *r, const cJSON *item)
{
    status st = OK;
    const char *name = item->string;
    st_tensor *t = &r->out->tensor[r->out->n_tensors];
    if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 3)
        FAIL(ERR_DATA, "%s: %s: expected {dtype, shape, data_offsets}", r->label, name);
    TRY(read_type(r, name, cJSON_GetObjectItemCaseSensitive(item, "dtype"), &t->type));
    TRY(read_shape(r, name, cJSON_GetObjectItemCaseSensitive(item, "shape"), t));
    TRY(read_offsets(r, name, cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), t));
    TRY_ALLOC(t->name, strdup(name));
    r->out->n_tensors++;
out:
    return st;
}

static status read_metadata(reader *r, const cJSON *item)
{
    status st = OK;
    st_file *f = r->out;
    if (!cJSON_IsObject(item)) FAIL(ERR_DATA, "%s: __metadata__ is not an object", r->label);
    TRY_ALLOC(f->meta, calloc((size_t)cJSON_GetArraySize(item) + 1, sizeof *f->meta));
    const cJSON *pair;
    cJSON_ArrayForEach(pair, item)
    {
        if (!cJSON_IsString(pair))
            FAIL(ERR_DATA, "%s: __metadata__: %s is not a string", r->label, pair->string);
        st_pair *p = &f->meta[f->n_meta++];
        TRY_ALLOC(p->key, strdup(pair->string));
        TRY_ALLOC(p->value, strdup(pair->valuestring));
    }
out:
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* No name twice: sorted, equal names are neighbours. A header may hold millions, so no quadratic search. */
static status check_names(const reader *r, const cJSON *object)
{
    status st = OK;
    const cJSON **sorted = NULL, *item;
    size_t n = 0;
    TRY_ALLOC(sorted, malloc(((size_t)cJSON_GetArraySize(object) + 1) * sizeof *sorted));
    cJSON_ArrayForEach(item, object) sorted[n++] = item;
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            FAIL(ERR_DATA, "%s: %s is there twice", r->label, sorted[i]->string);
out:
    free(sorted);
    return st;
}

static size_t tensor_bytes(const st_tensor *t)
{
    return (size_t)t->count * types[t->type].bytes;
}

static int by_place(const void *a, const void *b)
{
    const st_tensor *s = *(const st_tensor *const *)a, *t = *(const st_tensor *const *)b;
    if (s->data != t->data) return (const char *)s->data < (const char *)t->data ? -1 : 1;
    return (tensor_bytes(s) > tensor_bytes(t)) - (tensor_bytes(s) < tensor_bytes(t)); /* empty ones first */
}

/* Each tensor begins where the one before it ends, from the first byte to the last. */
static status check_coverage(const reader *r)
{
    status st = OK;
    const st_file *f = r->out;
    const st_tensor **sorted = NULL;
    TRY_ALLOC(sorted, malloc(((size_t)f->n_tensors + 1) * sizeof *sorted));
    for (int i = 0; i < f->n_tensors; i++) sorted[i] = &f->tensor[i];
    qsort(sorted, (size_t)f->n_tensors, sizeof *sorted, by_place);
    const char *at = r->bytes;
    for (int i = 0; i < f->n_tensors; i++) {
        const char *begin = sorted[i]->data;
        if (begin != at)
            FAIL(ERR_DATA, "%s: %s %s", r->label, sorted[i]->name,
                 begin < at ? "overlaps another tensor" : "begins behind bytes that belong to no tensor");
        at += tensor_bytes(sorted[i]);
    }
    size_t left = r->n_bytes - (size_t)(at - r->bytes);
    if (left > 0) FAIL(ERR_DATA, "%s: %zu bytes at the end belong to no tensor", r->label, left);
out:
    free(sorted);
    return st;
}

/* cJSON takes a NUL byte for white space, and a \u0000 would end a C string early: neither may be there. */
static bool has_nul(const char *text, size_t n)
{
    if (memchr(text, '\0', n)) return true;
    for (size_t i = 0; i + 1 < n; i++) {
        if (text[i] != '\\') continue;
        i++; /* the escaped character, so that \\u0000 is no escape */
        if (n - i >= 5 && memcmp(text + i, "u0000", 5) == 0) return true;
    }
    return false;
}

static status parse_json(const reader *r, const char *text, size_t n, cJSON **out)
{
    status st = OK;
    const char *end = NULL;
    if (text[0] != '{')
        FAIL(ERR_DATA, "%s: not a safetensors file: the header does not begin with {", r->label);
    if (has_nul(text, n)) FAIL(ERR_DATA, "%s: NUL in the header", r->label);
    *out = cJSON_ParseWithLengthOpts(text, n, &end, false);
    if (!*out)
        FAIL(ERR_DATA, "%s: the header is not JSON at byte %td of %zu", r->label, end ? end - text : 0, n);
    for (; end < text + n; end++)
        if (*end != ' ') FAIL(ERR_DATA, "%s: the header goes on after its end", r->label);
out:
    return st;
}

static status check_length(const char *label, const char *bytes, size_t n, uint64_t *header)
{
    status st = OK;
    if (n >= 4 && memcmp(bytes, "PK\3\4", 4) == 0)
        FAIL(ERR_DATA, "%s: a PyTorch or zip archive: convert it with safetensors.torch.save_file", label);
    if (n < LENGTH_BYTES) FAIL(ERR_DATA, "%s: not a safetensors file: only %zu bytes", label, n);
    memcpy(header, bytes, LENGTH_BYTES);
    if (*header < 2 || *header > HEADER_MAX)
        FAIL(ERR_DATA, "%s: not a safetensors file: a header of %llu bytes", label,
             (unsigned long long)*header);
    if (*header > n - LENGTH_BYTES)
        FAIL(ERR_DATA, "%s: cut off: a header of %llu bytes in a file of %zu", label,
             (unsigned long long)*header, n);
out:
    return st;
}

status st_parse(const char *label, const void *data, size_t bytes, st_file *out)
{
    status st = OK;
    cJSON *json = NULL;
    uint64_t header = 0;
    *out = (st_file){ 0 };
    TRY(check_length(label, data, bytes, &header));
    const char *text = (const char *)data + LENGTH_BYTES;
    reader r = {
        .label = label, .bytes = text + header, .n_bytes = bytes - LENGTH_BYTES - header, .out = out
    };
    TRY(parse_json(&r, text, header, &json));
    TRY(check_names(&r, json));
    TRY_ALLOC(out->tensor, calloc((size_t)cJSON_GetArraySize(json) + 1, sizeof *out->tensor));
    const cJSON *item;
    cJSON_ArrayForEach(item, json)
    {
        if (strcmp(item->string, METADATA) == 0) {
            TRY(check_names(&r, item));
            TRY(read_metadata(&r, item));
        } else {
            TRY(read_tensor(&r, item));
        }
    }
    TRY(check_coverage(&r));
out:
    cJSON_Delete(json);
    if (st != OK) st_close(out);
    return st;
}

status st_open(const char *path, st_file *out)
{
    status st = OK;
    struct stat s;
    void *map = MAP_FAILED;
    size_t bytes = 0;
    *out = (st_file){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block */
    if (fd < 0 || fstat(fd, &s) != 0) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode)) FAIL(ERR_DATA, "%s: not a file", path);
    if (s.st_size == 0) FAIL(ERR_DATA, "%s: not a safetensors file: empty", path);
    bytes = (size_t)s.st_size;
    map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
    TRY(st_parse(path, map, bytes, out));
    out->map = map;
    out->map_bytes = bytes;
    map = MAP_FAILED;
out:
    if (map != MAP_FAILED) munmap(map, bytes);
    if (fd >= 0) close(fd);
    return st;
}

void st_close(st_file *f)
{
    for (int i = 0; i < f->n_tensors; i++) free(f->tensor[i].name);
    for (int i = 0; i < f->n_meta; i++) {
        free(f->meta[i].key);
        free(f->meta[i].value);
    }
    free(f->tensor);
    free(f->meta);
    if (f->map) munmap(f->map, f->map_bytes);
    *f = (st_file){ 0 };
}

const st_tensor *st_find(const st_file *f, const char *name)
{
    for (int i = 0; i < f->n_tensors; i++)
        if (strcmp(f->tensor[i].name, name) == 0) return &f->tensor[i];
    return NULL;
}

const char *st_meta(const st_file *f, const char *key)
{
    for (int i = 0; i < f->n_meta; i++)
        if (strcmp(f->meta[i].key, key) == 0) return f->meta[i].value;
    return NULL;
}
