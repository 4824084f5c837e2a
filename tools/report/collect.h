/* tools/report/collect.h -- everything that a report shows, collected from the run directories into one
 * JSON object. The page (tools/report/page/) draws it, in one HTML file that opens without a network.
 *
 *     {title, made, notes: [..], images: [..], runs: [..]}
 *
 * Arrays of numbers are blobs: {type: "u8" | "u16" | "u32" | "f32", shape: [..], deflate: BASE64},
 * little-endian, in C order, compressed [RFC 1950]. A part that is missing (no analysis, images that have
 * moved) is null, and a note says why. */
#ifndef CLEAVE_REPORT_COLLECT_H
#define CLEAVE_REPORT_COLLECT_H

#include "../../core/base/json.h"
#include "../../core/base/path.h"
#include "../../core/config/config.h"
#include "../../data/dataset.h"

/* Test images, shared by all runs with the same data settings. */
typedef struct report_images {
    const config_data *data; /* of the first run that has them */
    dataset test;
    bool *wanted; /* [test.n] the page shows this image */
} report_images;

/* One analysis of a run: of its best checkpoint, or one that train made (analysis.every). */
typedef struct report_analysis {
    int epoch; /* finished epochs; 0: the best checkpoint */
    file_path dir;
    cJSON *json;     /* analysis.json */
    int n;           /* vertices of its graphs */
    uint32_t *image; /* [n] positions in the test set */
    uint16_t *label; /* [n] */
} report_analysis;

typedef struct report_run {
    const char *path, *checkpoint; /* RUN, RUN/best.safetensors; not owned */
    const config *cfg;             /* not owned */
    const char *name;              /* the last part of path */
    report_analysis *analysis;     /* [n_analyses] by epoch; that of the best checkpoint comes last */
    int n_analyses;
    report_images *images; /* NULL: they cannot be opened */
} report_run;

typedef struct report {
    report_run *run; /* [n_runs] */
    int n_runs;
    report_images *images; /* [n_images], at most n_runs */
    int n_images;
    int picks; /* how many test images to show the activations of */
    /* How many edges of a layer's graph go into the page: of a best checkpoint, of an epoch. Set by
     * report_collect. */
    int64_t max_edges[2];
    cJSON *notes; /* strings: what is missing, and why */
} report;

/* Opens the images and analyses of the runs (path, checkpoint and cfg are set) and collects everything. */
status report_collect(report *, cJSON **out);
void report_close(report *); /* frees what report_collect allocated, but not r->run */

/* Adds a note to the report, and logs it as a warning. */
status report_note(report *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the parts: each function adds to an object or list of the collected JSON ---- */

/* network.c: the net layer by layer with costs and measured times, the filters of its first layer, the
 * decisions of the pruning criterion, the activations of the picked images: {net, filters, decisions,
 * activations}. */
status put_network(cJSON *object, report *, const report_run *);

/* collect.c: what training and pruning left in the run: {config, metrics, status, environment, prune}. */
status put_history(cJSON *object, const report_run *);

/* analyses.c: finds and reads the analyses of a run, but not their edges. */
status analyses_open(report_run *);
/* collect.c: sets max_edges by the analyses of all runs, which are open. */
void share_edges(report *);
void analyses_close(report_run *);
/* The analyses with at most max_edges edges per layer. Marks the images at the ends of these edges as
 * wanted. */
status append_analyses(cJSON *list, report *, const report_run *);

/* encode.c: the wanted images, side by side in one JPEG: {side, columns, classes, position: blob, jpeg: data
 * URL}. */
status put_images(cJSON *object, const report_images *);
status put_blob(cJSON *object, const char *key, const char *type, const void *data, int n_dims,
                const int64_t *dims);
/* data as base64; with a MIME type as a data URL: "data:MIME;base64,...". NULL: without. The caller frees
 * *out. */
status base64_text(const char *mime, const void *data, size_t bytes, char **out);

/* ---- page.c: the HTML file ---- */

/* Was the interactive page bundled when this program was built? */
bool page_is_interactive(void);
/* The interactive page; only if page_is_interactive(). */
status page_write(const char *path, const cJSON *collected);
/* A page of tables, and of the pictures that analyze wrote. */
status page_write_still(const char *path, const report *, const cJSON *collected);

#endif
