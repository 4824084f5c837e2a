/* core/format/events.c -- see events.h. */
#include "events.h"

#include "../base/clock.h"
#include "../base/file.h"
#include "core/format/event.pb-c.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 30, HEAD_BYTES = 12, TAIL_BYTES = 4 };

/* ---- records ---- */

uint32_t crc32c(const void *data, size_t bytes)
{
    const uint32_t polynomial = 0x82f63b78; /* 0x1edc6f41 with its bits reversed */
    uint32_t table[256], crc = ~0u;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
    }
    for (const uint8_t *p = data, *end = p + bytes; p < end; p++) crc = crc >> 8 ^ table[(crc ^ *p) & 0xff];
    return ~crc;
}

/* The CRC of data that contain their own CRC is weak, so records store it rotated, plus a constant. */
static uint32_t masked_crc(const void *data, size_t bytes)
{
    uint32_t crc = crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_number(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_number(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << 8 * i;
    return value;
}

static status reserve(events *e, size_t more)
{
    status st = OK;
    uint8_t *larger;
    if (e->room - e->bytes >= more) goto out;
    size_t room = 2 * e->room + more;
    TRY_ALLOC(larger, realloc(e->data, room));
    e->data = larger;
    e->room = room;
out:
    return st;
}

static status add(events *e, Tensorflow__Event *event)
{
    status st = OK;
    event->wall_time = time_unix();
    size_t bytes = tensorflow__event__get_packed_size(event);
    TRY(reserve(e, HEAD_BYTES + bytes + TAIL_BYTES));
    uint8_t *record = e->data + e->bytes;
    put_number(record, bytes, 8);
    put_number(record + 8, masked_crc(record, 8), 4);
    tensorflow__event__pack(event, record + HEAD_BYTES);
    put_number(record + HEAD_BYTES + bytes, masked_crc(record + HEAD_BYTES, bytes), 4);
    e->bytes += HEAD_BYTES + bytes + TAIL_BYTES;
out:
    return st;
}

void events_free(events *e)
{
    free(e->data);
    *e = (events){ 0 };
}

/* ---- events ---- */

static status add_value(events *e, Tensorflow__Summary__Value *value, const char *tag, int64_t step)
{
    Tensorflow__Summary summary = TENSORFLOW__SUMMARY__INIT;
    Tensorflow__Event event = TENSORFLOW__EVENT__INIT;
    value->tag = (char *)tag; /* protobuf-c only reads it */
    summary.n_value = 1;
    summary.value = &value;
    event.step = step;
    event.what_case = TENSORFLOW__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return add(e, &event);
}

status events_scalar(events *e, const char *tag, int64_t step, double value)
{
    Tensorflow__Summary__Value v = TENSORFLOW__SUMMARY__VALUE__INIT;
    v.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    v.simple_value = (float)value;
    return add_value(e, &v, tag, step);
}

static void measure(const float *value, int64_t n, Tensorflow__HistogramProto *h)
{
    h->min = INFINITY;
    h->max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)value[i];
        if (!isfinite(x)) continue;
        h->min = fmin(h->min, x);
        h->max = fmax(h->max, x);
        h->num += 1;
        h->sum += x;
        h->sum_squares += x * x;
    }
    if (h->num < 1) h->min = h->max = 0;
}

status events_histogram(events *e, const char *tag, int64_t step, const float *value, int64_t n)
{
    double limit[BUCKETS], count[BUCKETS] = { 0 };
    Tensorflow__HistogramProto h = TENSORFLOW__HISTOGRAM_PROTO__INIT;
    Tensorflow__Summary__Value v = TENSORFLOW__SUMMARY__VALUE__INIT;
    measure(value, n, &h);
    double width = (h.max - h.min) / BUCKETS;
    h.n_bucket = h.n_bucket_limit = width > 0 ? BUCKETS : 1; /* one bucket if all values are equal */
    h.bucket = count;
    h.bucket_limit = limit;
    for (size_t b = 0; b < h.n_bucket; b++)
        limit[b] = b + 1 < h.n_bucket ? h.min + width * (double)(b + 1) : h.max;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(value[i])) continue;
        size_t b = width > 0 ? (size_t)(((double)value[i] - h.min) / width) : 0;
        if (b >= h.n_bucket) b = h.n_bucket - 1;
        /* The division rounds, and a value equal to a limit belongs to the bucket below it. */
        while (b > 0 && (double)value[i] <= limit[b - 1]) b--;
        while ((double)value[i] > limit[b]) b++;
        count[b] += 1;
    }
    v.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_HISTO;
    v.histo = &h;
    return add_value(e, &v, tag, step);
}

/* PNG has no sides of 2^31 or more. */
static int32_t big_endian(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* A PNG file (https://www.w3.org/TR/png/) begins with 8 bytes of signature, 4 of length, "IHDR", then width and
 * height in 4 bytes each, most significant byte first. */
status events_image(events *e, const char *tag, int64_t step, const void *png, size_t bytes)
{
    status st = OK;
    const uint8_t *p = png;
    Tensorflow__Summary__Image image = TENSORFLOW__SUMMARY__IMAGE__INIT;
    Tensorflow__Summary__Value v = TENSORFLOW__SUMMARY__VALUE__INIT;
    if (bytes < 24 || memcmp(p, "\x89PNG\r\n\x1a\n", 8) != 0) FAIL(ERR_DATA, "%s: not a PNG picture", tag);
    image.width = big_endian(p + 16);
    image.height = big_endian(p + 20);
    image.colorspace = 3;
    image.encoded_image_string = (ProtobufCBinaryData){ bytes, (uint8_t *)p };
    v.value_case = TENSORFLOW__SUMMARY__VALUE__VALUE_IMAGE;
    v.image = &image;
    TRY(add_value(e, &v, tag, step));
out:
    return st;
}

/* ---- files ---- */

/* The record that every file begins with. */
static status add_version(events *e)
{
    Tensorflow__Event event = TENSORFLOW__EVENT__INIT;
    event.what_case = TENSORFLOW__EVENT__WHAT_FILE_VERSION;
    event.file_version = "brain.Event:2";
    return add(e, &event);
}

status events_append(const events *e, const char *path)
{
    status st = OK;
    events version = { 0 };
    TRY(add_version(&version));
    TRY(file_append(path, version.data, version.bytes, e->data, e->bytes));
out:
    events_free(&version);
    return st;
}

status events_replace(const events *e, const char *path)
{
    status st = OK;
    file_writer w = { 0 };
    events version = { 0 };
    TRY(add_version(&version));
    TRY(file_begin(&w, path));
    TRY(file_put(&w, version.data, version.bytes));
    TRY(file_put(&w, e->data, e->bytes));
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    events_free(&version);
    return st;
}

/* protobuf-c does not tell a message that is wrong from one for which there was no memory. */
static void *allocate(void *no_memory, size_t bytes)
{
    void *p = malloc(bytes);
    if (!p) *(bool *)no_memory = true;
    return p;
}

static void release(void *no_memory, void *p)
{
    (void)no_memory;
    free(p);
}

/* Size in bytes of the record at the start of `data`, and its step; 0 if the record is incomplete or damaged. The
 * version counts as a step before all others. *no_memory becomes true if that was why it could not be read. */
static size_t read_record(const uint8_t *data, size_t bytes, int64_t *step, bool *no_memory)
{
    ProtobufCAllocator memory = { .alloc = allocate, .free = release, .allocator_data = no_memory };
    if (bytes < HEAD_BYTES + TAIL_BYTES || masked_crc(data, 8) != get_number(data + 8, 4)) return 0;
    uint64_t length = get_number(data, 8);
    if (length > bytes - HEAD_BYTES - TAIL_BYTES) return 0;
    if (masked_crc(data + HEAD_BYTES, length) != get_number(data + HEAD_BYTES + length, 4)) return 0;
    Tensorflow__Event *event = tensorflow__event__unpack(&memory, length, data + HEAD_BYTES);
    if (!event) return 0;
    *step = event->what_case == TENSORFLOW__EVENT__WHAT_FILE_VERSION ? INT64_MIN : event->step;
    tensorflow__event__free_unpacked(event, &memory);
    return HEAD_BYTES + (size_t)length + TAIL_BYTES;
}

status events_truncate(const char *path, int64_t step)
{
    status st = OK;
    char *text = NULL;
    size_t bytes = 0, kept = 0, record;
    int64_t at;
    bool no_memory = false;
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &text, &bytes));
    while ((record = read_record((const uint8_t *)text + kept, bytes - kept, &at, &no_memory)) && at < step)
        kept += record;
    if (no_memory) FAIL_OUT_OF_MEMORY(); /* what could not be read must not be cut off */
    if (kept < bytes) TRY(file_replace(path, text, kept));
out:
    free(text);
    return st;
}
