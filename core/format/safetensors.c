/* core/format/safetensors.c -- see safetensors.h. Reading trusts nothing in the file before it is checked.
 *
 *   0        8                     8 + n                                   end of file
 *   | u64 n  | {"a.weight": ...}   | a.weight | b.weight | ...             |
 *             header, n bytes       data_offsets count from here
 */
#include "safetensors.h"

#include "../base/file.h"
#include "../base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors in a file are little-endian, and are used without conversion");

/* A header costs about 40 times its size in memory, and a net's is below 1 MB; the format allows 100 MB. */
enum { HEADER_MAX = 8 << 20, FORMAT_MAX = 100000000, LENGTH_BYTES = 8, FIRST_BYTES = 4096 };
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

/* ---- reading ---- */

typedef struct reader {
    const char *label;
    const char *bytes; /* those of all tensors: what follows the header */
    size_t n_bytes;
    st_file *out;
} reader;

/* cJSON stores numbers as double, which is exact for whole numbers up to 2^53. No file is larger. */
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

/* [begin, end) must lie within the file and have exactly the length that type and shape give. */
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

/* Each name may occur once. Sorting makes equal names neighbours; a header may hold millions of names, so comparing
 * every pair would take too long. */
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

/* In the order of their bytes, each tensor must begin where the one before it ends, from the first byte to the
 * last. */
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

/* A header must hold no NUL byte, which cJSON takes for white space, and no \u0000, which would end a C string
 * early. */
static bool has_nul(const char *text, size_t n)
{
    if (memchr(text, '\0', n)) return true;
    for (size_t i = 0; i + 1 < n; i++) {
        if (text[i] != '\\') continue;
        i++; /* skip the escaped character: in \\u0000 it is a backslash, so no NUL follows */
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
    TRY(json_parse(text, n, &end, out));
    if (!*out)
        FAIL(ERR_DATA, "%s: the header is not JSON at byte %td of %zu", r->label, end ? end - text : 0, n);
    for (; end < text + n; end++)
        if (*end != ' ') FAIL(ERR_DATA, "%s: the header goes on after its end", r->label);
out:
    return st;
}

/* What people have in place of a safetensors file, by its first bytes. None of these is a valid length of a header. */
static const struct {
    size_t at;
    const char *bytes, *what;
} others[] = {
#define CONVERT "tools/convert.py (installed: cleave-convert) makes a .safetensors file of it"
    { 0, "PK\3\4", "a zip archive, as torch.save writes it: " CONVERT },
    { 0, "\x80\2", "a pickle, as torch.save wrote it before PyTorch 1.6: " CONVERT },
    { 0, "\x80\3", "a pickle: " CONVERT " if torch.load can read it" },
    { 0, "\x80\4", "a pickle: " CONVERT " if torch.load can read it" },
    { 0, "\x80\5", "a pickle: " CONVERT " if torch.load can read it" },
    { 257, "ustar", "a tar archive: unpack it; if torch.save wrote it, " CONVERT },
    { 0, "version https://git-lfs", "a Git LFS pointer, not the file itself: git lfs pull fetches it" },
    { 0, "\x1f\x8b", "compressed by gzip: gunzip it first" },
    { 0, "\x89HDF\r\n", "an HDF5 file (Keras?), which cannot be converted" },
    { 0, "\x93NUMPY", "an array of NumPy, not a net" },
    { 0, "GGUF", "a GGUF file, which cannot be converted" },
    { 0, "\x08\x07", "an ONNX file, as export writes it: weights are read from .safetensors only" },
    { 0, "\x08\x08", "an ONNX file: weights are read from .safetensors only" },
};

/* NULL: nothing known. */
static const char *what_it_is(const char *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const size_t length = strlen(others[i].bytes);
        if (n >= others[i].at + length && memcmp(bytes + others[i].at, others[i].bytes, length) == 0)
            return others[i].what;
    }
    size_t start = 0, most = n < FIRST_BYTES ? n : FIRST_BYTES;
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) start = 3; /* a mark of UTF-8 */
    while (start < most && strchr(" \t\r\n", bytes[start]) && bytes[start]) start++;
    if (start == most) return NULL;
    if (bytes[start] == '<')
        return "a web page or XML (HTML), perhaps an error page: download the file again";
    if (bytes[start] != '{' && bytes[start] != '[') return NULL;
    if (memmem(bytes, most, "weight_map", 10) || memmem(bytes, most, "total_size", 10))
        return "an index (JSON) of a net in several files: save it as one file, with safetensors or "
               "tools/convert.py";
    return "JSON, not tensors";
}

static status check_length(const char *label, const char *bytes, size_t n, uint64_t *header)
{
    status st = OK;
    *header = 0;
    if (n >= LENGTH_BYTES) memcpy(header, bytes, LENGTH_BYTES);
    const char *other = *header < 2 || *header > HEADER_MAX ? what_it_is(bytes, n) : NULL;
    if (other) FAIL(ERR_DATA, "%s: not a safetensors file but %s", label, other);
    if (n < LENGTH_BYTES) FAIL(ERR_DATA, "%s: not a safetensors file: only %zu bytes", label, n);
    if (*header > HEADER_MAX && *header <= FORMAT_MAX && *header <= n - LENGTH_BYTES)
        FAIL(ERR_DATA, "%s: a header of %llu bytes: Cleave reads headers up to %d (a net's is below 1 MB)",
             label, (unsigned long long)*header, HEADER_MAX);
    if (*header < 2 || *header > HEADER_MAX)
        FAIL(ERR_DATA, "%s: not a safetensors file: its first 8 bytes are not the length of a header", label);
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

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes `from` to `to` of the file, to the same place in `memory`. */
static status read_range(const char *path, int fd, char *memory, size_t from, size_t to)
{
    status st = OK;
    while (from < to) {
        const ssize_t n = pread(fd, memory + from, to - from, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) FAIL(status_of_errno(errno, ERR_DATA), "%s: %s", path, strerror(errno));
        if (n == 0) FAIL(ERR_DATA, "%s: cut off while it was read: %zu of %zu bytes", path, from, to);
        from += (size_t)n;
    }
out:
    return st;
}

/* The file is read, not mapped: where a mapped file is truncated by another process, the next access ends this one. The
 * header comes first, so nothing is read on behalf of a length that is not that of the tensors. */
status st_open(const char *path, st_file *out)
{
    status st = OK;
    struct stat s;
    char *map = MAP_FAILED;
    size_t bytes = 0;
    uint64_t length = 0;
    *out = (st_file){ 0 };
    int fd = -1;
    TRY(file_open(path, &fd));
    if (fstat(fd, &s) != 0) FAIL(ERR_DATA, "%s: %s", path, strerror(errno));
    if (s.st_size == 0) FAIL(ERR_DATA, "%s: not a safetensors file: empty", path);
    bytes = (size_t)s.st_size;
    map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) FAIL(ERR_RUNTIME, "%s: out of memory: its %zu bytes do not fit", path, bytes);
    size_t head = smaller(bytes, FIRST_BYTES);
    TRY(read_range(path, fd, map, 0, head));
    memcpy(&length, map, smaller(head, sizeof length));
    if (length <= HEADER_MAX && LENGTH_BYTES + length > head) {
        const size_t all = smaller(bytes, LENGTH_BYTES + length);
        TRY(read_range(path, fd, map, head, all));
        head = all;
    }
    TRY(st_parse(path, map, bytes, out)); /* which looks at the header only */
    TRY(read_range(path, fd, map, head, bytes));
    out->map = map;
    out->map_bytes = bytes;
    map = MAP_FAILED;
out:
    if (st != OK) st_close(out);
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

/* ---- writing: the header is padded with spaces to a multiple of 8, and tensors come in descending order of the
 * size of their type, so that in a file read as a whole each is aligned ---- */

/* Finds mistakes of the caller, not of a user. */
static status check_tensor(const st_tensor *t, const st_tensor *before)
{
    status st = OK;
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= t->shape[i];
    if (count != t->count) FAIL(ERR_RUNTIME, "%s: count and shape differ", t->name);
    if (before && st_dtype_bytes(t->type) > st_dtype_bytes(before->type))
        FAIL(ERR_RUNTIME, "%s: must come before %s, its type is larger", t->name, before->name);
out:
    return st;
}

static status put_metadata(cJSON *header, const st_pair *meta, int n)
{
    status st = OK;
    cJSON *object;
    if (n == 0) goto out;
    TRY(json_put_object(header, METADATA, &object));
    for (int i = 0; i < n; i++) TRY(json_put_text(object, meta[i].key, meta[i].value));
out:
    return st;
}

static status put_tensor(cJSON *header, const st_tensor *t, int64_t begin, int64_t end)
{
    status st = OK;
    cJSON *object, *shape, *offsets;
    TRY(json_put_object(header, t->name, &object));
    TRY(json_put_text(object, "dtype", st_dtype_name(t->type)));
    TRY(json_put_list(object, "shape", &shape));
    for (int i = 0; i < t->rank; i++) TRY(json_append(shape, cJSON_CreateNumber((double)t->shape[i])));
    TRY(json_put_list(object, "data_offsets", &offsets));
    TRY(json_append(offsets, cJSON_CreateNumber((double)begin)));
    TRY(json_append(offsets, cJSON_CreateNumber((double)end)));
out:
    return st;
}

static status make_header(const st_tensor *tensors, int n_tensors, const st_pair *meta, int n_meta,
                          char **out)
{
    status st = OK;
    cJSON *header = NULL;
    int64_t at = 0;
    TRY_ALLOC(header, cJSON_CreateObject());
    TRY(put_metadata(header, meta, n_meta));
    for (int i = 0; i < n_tensors; i++) {
        const st_tensor *t = &tensors[i];
        TRY(check_tensor(t, i ? t - 1 : NULL));
        const int64_t end = at + (int64_t)tensor_bytes(t);
        TRY(put_tensor(header, t, at, end));
        at = end;
    }
    TRY_ALLOC(*out, cJSON_PrintUnformatted(header));
out:
    cJSON_Delete(header);
    return st;
}

status st_write(const char *path, const st_tensor *tensors, int n_tensors, const st_pair *meta, int n_meta)
{
    status st = OK;
    char *header = NULL;
    file_writer w = { 0 };
    TRY(make_header(tensors, n_tensors, meta, n_meta, &header));
    size_t length = strlen(header);
    uint64_t padded = (length + 7) / 8 * 8;
    if (padded > HEADER_MAX) FAIL(ERR_RUNTIME, "%s: a header of %zu bytes, more than is read", path, length);
    TRY(file_begin(&w, path));
    TRY(file_put(&w, &padded, sizeof padded));
    TRY(file_put(&w, header, length));
    TRY(file_put(&w, "       ", padded - length));
    for (int i = 0; i < n_tensors; i++) TRY(file_put(&w, tensors[i].data, tensor_bytes(&tensors[i])));
    TRY(file_commit(&w));
out:
    if (st != OK) file_abandon(&w);
    cJSON_free(header);
    return st;
}

/* ---- converting: tensors in a file may be unaligned, hence memcpy ---- */

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16:  s eeeee mmmmmmmmmm,  (-1)^s 2^(e-15) 1.m;  e = 0: 2^-14 0.m;  e = 31: Inf, NaN */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * (float)fraction;
    return from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

/* bfloat16 is the upper half of a float. */
static float from_bf16(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

status st_to_f32(const st_tensor *t, float *out)
{
    status st = OK;
    const char *p = t->data;
    switch (t->type) {
    case ST_F32:
        if (t->count > 0) memcpy(out, p, (size_t)t->count * sizeof *out);
        break;
    case ST_F16:
    case ST_BF16:
        for (int64_t i = 0; i < t->count; i++) {
            uint16_t h;
            memcpy(&h, p + 2 * i, sizeof h);
            out[i] = t->type == ST_F16 ? from_f16(h) : from_bf16(h);
        }
        break;
    case ST_F64:
        for (int64_t i = 0; i < t->count; i++) {
            double d;
            memcpy(&d, p + 8 * i, sizeof d);
            out[i] = (float)d;
        }
        break;
    default: FAIL(ERR_DATA, "%s: type %s is not a floating-point type", t->name, st_dtype_name(t->type));
    }
out:
    return st;
}
