/* core/format/events.h -- event files, which TensorBoard shows: scalars, histograms, pictures, each with a tag and a
 * step. Events are gathered in memory and go to the disk together.
 *
 *     events e = { 0 };
 *     TRY(events_scalar(&e, "loss/train", epoch, 1.5));
 *     TRY(events_append(&e, path));
 *     events_free(&e);          on every way out
 *
 * A file is a sequence of records (TensorFlow's TFRecord, tensorflow/core/lib/io/record_writer.h), all
 * numbers little-endian:
 *
 *     | u64 length | u32 masked CRC32C of length | data: an Event of core/format/event.proto | u32 masked CRC32C of
 * data |
 *
 * Steps do not decrease within a file, so that the end of it can be taken back.
 */
#ifndef CLEAVE_EVENTS_H
#define CLEAVE_EVENTS_H

#include "../base/status.h"

#include <stddef.h>
#include <stdint.h>

/* TensorBoard reads a folder's files in the order of their names, and every file whose name holds "tfevents".
 */
#define EVENTS_TRAINING "events.out.tfevents.1.training"
#define EVENTS_ANALYSIS "events.out.tfevents.2.analysis"

typedef struct events {
    uint8_t *data;
    size_t bytes, room;
} events;
void events_free(events *);

status events_scalar(events *, const char *tag, int64_t step, double value);

/* Thirty buckets of equal width from the smallest to the greatest of n > 0 values; NaN and infinite ones are
 * left out. */
status events_histogram(events *, const char *tag, int64_t step, const float *value, int64_t n);

/* A PNG file, as it is. ERR_DATA if it is none. */
status events_image(events *, const char *tag, int64_t step, const void *png, size_t bytes);

/* Adds the events to the end of a file, which is made if it is missing: all of them or, on failure, none. */
status events_append(const events *, const char *path);
/* Makes a file of these events alone, in place of what was there. */
status events_replace(const events *, const char *path);

/* Drops the events of steps >= `step`, and a record that a crash has cut short: a resumed run writes them
 * again. A missing file is fine. */
status events_truncate(const char *path, int64_t step);

/* Cyclic redundancy check with Castagnoli's polynomial: RFC 3720, appendix B.4. */
uint32_t crc32c(const void *data, size_t bytes);

#endif
