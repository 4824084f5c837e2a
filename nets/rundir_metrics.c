/* nets/rundir_metrics.c -- metrics.jsonl and metrics.csv: the same numbers twice, a line an epoch, whole
 * after a crash or a full disk. */
#include "../core/base/file.h"
#include "rundir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 8, LINE_BYTES = 512 }; /* a column needs less than 40 bytes */
static const char *const column[COLUMNS] = { "epoch",          "lr",          "train_loss",
                                             "train_accuracy", "test_loss",   "test_accuracy",
                                             "seconds",        "images_per_s" };

static void format_header(char *csv)
{
    int n = 0;
    for (int i = 0; i < COLUMNS; i++)
        n += snprintf(csv + n, LINE_BYTES - (size_t)n, "%s%s", i ? "," : "", column[i]);
    snprintf(csv + n, LINE_BYTES - (size_t)n, "\n");
}

/* NaN and Inf have no place in JSON: null there, nothing between the commas of CSV. */
static void format_epoch(const run_epoch *e, char *json, char *csv)
{
    const double value[COLUMNS] = { e->epoch,          e->lr,          e->train_loss,
                                    e->train_accuracy, e->test_loss,   e->test_accuracy,
                                    e->seconds,        e->images_per_s };
    int j = 0, c = 0;
    for (int i = 0; i < COLUMNS; i++) {
        char number[32] = "";
        if (isfinite(value[i])) snprintf(number, sizeof number, "%.9g", value[i]);
        j += snprintf(json + j, LINE_BYTES - (size_t)j, "%s\"%s\": %s", i ? ", " : "{", column[i],
                      *number ? number : "null");
        c += snprintf(csv + c, LINE_BYTES - (size_t)c, "%s%s", i ? "," : "", number);
    }
    snprintf(json + j, LINE_BYTES - (size_t)j, "}\n");
    snprintf(csv + c, LINE_BYTES - (size_t)c, "\n");
}

static status append_line(const rundir *run, const char *name, const char *header, const char *line)
{
    status st = OK;
    char path[4096];
    TRY(rundir_file(run, name, path, sizeof path));
    TRY(file_append(path, header, strlen(header), line, strlen(line)));
out:
    return st;
}

status rundir_metrics(const rundir *run, const run_epoch *e)
{
    status st = OK;
    char json[LINE_BYTES], csv[LINE_BYTES], header[LINE_BYTES];
    format_header(header);
    format_epoch(e, json, csv);
    TRY(append_line(run, "metrics.jsonl", "", json));
    TRY(append_line(run, "metrics.csv", header, csv));
out:
    return st;
}

/* Keeps the header and whole lines of earlier epochs. A crash may have left half a line: it goes. */
static status keep_before(const rundir *run, const char *name, const char *format, const char *header,
                          int epoch)
{
    status st = OK;
    char path[4096], *text = NULL;
    TRY(rundir_file(run, name, path, sizeof path));
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &text, NULL));
    char *to = text;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        size_t bytes = (size_t)(end + 1 - line);
        int e = -1;
        bool is_header = *header && bytes == strlen(header) && memcmp(line, header, bytes) == 0;
        if (!is_header && (sscanf(line, format, &e) != 1 || e < 0 || e >= epoch)) continue;
        memmove(to, line, bytes);
        to += bytes;
    }
    TRY(file_replace(path, text, (size_t)(to - text)));
out:
    free(text);
    return st;
}

status rundir_truncate(const rundir *run, int epoch)
{
    status st = OK;
    char header[LINE_BYTES];
    format_header(header);
    TRY(keep_before(run, "metrics.jsonl", "{\"epoch\": %d,", "", epoch));
    TRY(keep_before(run, "metrics.csv", "%d,", header, epoch));
out:
    return st;
}
