/* core/format/events.h -- event files for TensorBoard: scalars, histograms and images, each with a tag and a step.
 * Events are collected in memory and then written together.
 *
 *     events e = { 0 };
 *     TRY(events_scalar(&e, "loss/train", epoch, 1.5));
 *     TRY(events_append(&e, path));
 *     events_free(&e);          also after a failure
 *
 * A file is a sequence of records (TensorFlow's TFRecord, tensorflow/core/lib/io/record_writer.h); all numbers
 * are little-endian:
 *
 *     | u64 length | u32 masked CRC32C of length | data | u32 masked CRC32C of data |
 *
 * where data is an Event of core/format/event.proto. Steps never decrease within a file, so events_truncate can cut
 * off its end. */
#ifndef CLEAVE_EVENTS_H
#define CLEAVE_EVENTS_H

#include "../base/status.h"

#include <stddef.h>
#include <stdint.h>

/* TensorBoard reads every file of a folder whose name contains "tfevents", in the order of the names. */
#define EVENTS_TRAINING "events.out.tfevents.1.training"
#define EVENTS_ANALYSIS "events.out.tfevents.2.analysis"

/* Records in memory; zero it before the first use. */
typedef struct events {
    uint8_t *data;
    size_t bytes, room; /* used, allocated */
} events;
void events_free(events *); /* a zeroed one is harmless */

status events_scalar(events *, const char *tag, int64_t step, double value);

/* Thirty buckets of equal width from the smallest to the largest of n values. NaN and infinite values are left
 * out. */
status events_histogram(events *, const char *tag, int64_t step, const float *value, int64_t n);

/* The contents of a PNG file. ERR_DATA: it is not one. */
status events_image(events *, const char *tag, int64_t step, const void *png, size_t bytes);

/* Appends the events to a file, which is created if it is missing: all of them or, on failure, none. ERR_RUNTIME
 * names the path and the reason. */
status events_append(const events *, const char *path);
/* Replaces the file by one with only these events. */
status events_replace(const events *, const char *path);

/* Removes the events of steps >= `step`, which a resumed run will write again, and everything from a damaged
 * record on, such as one that a crash has cut short. A missing file is no failure. */
status events_truncate(const char *path, int64_t step);

/* Cyclic redundancy check with Castagnoli's polynomial: RFC 3720, appendix B.4. */
uint32_t crc32c(const void *data, size_t bytes);

#endif
