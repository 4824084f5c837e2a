/* tools/report/report.h -- runs as one HTML file that opens without a network: everything a reader may want to look
 * at is collected from the run directories into one JSON object, which the page (tools/report/page/) draws.
 *
 *     {title, made, notes: [..], images: [..], runs: [..]}
 *
 * Binary parts are blobs: {type: "u8" | "u16" | "u32" | "f32", shape: [..], deflate: BASE64}, little-endian,
 * C order, compressed [RFC 1950]. What is missing (no analysis, images that have moved) is null and said in
 * `notes`. */
#ifndef CLEAVE_REPORT_REPORT_H
#define CLEAVE_REPORT_REPORT_H

#include "../../core/config/config.h"
#include "../../data/dataset.h"
#include <cjson/cJSON.h>

/* The test images that runs with the same data settings share. */
typedef struct report_images {
    const config_data *data; /* of the first run that has them */
    dataset test;
    bool *wanted; /* [test.n]: the page shows this image */
} report_images;

/* One analysis of a run: of its best checkpoint, or of analysis.every. */
typedef struct report_graph {
    int epoch; /* finished epochs; 0: the best checkpoint */
    char dir[2200];
    cJSON *analysis;
    int n;           /* vertices */
    uint32_t *image; /* [n] positions in the test set */
    uint16_t *label; /* [n] */
} report_graph;

typedef struct report_run {
    const char *path, *checkpoint; /* RUN, RUN/best.safetensors; not owned */
    const config *cfg;             /* not owned */
    char name[256];                /* last part of the path */
    report_graph *graph;           /* by epoch, the best checkpoint's last */
    int n_graphs;
    report_images *images; /* NULL: they cannot be opened */
} report_run;

typedef struct report {
    report_run *run; /* [n_runs] */
    int n_runs;
    report_images *images; /* [n_images], at most n_runs */
    int n_images;
    int picks;            /* test images whose activations are shown */
    int64_t max_edges[2]; /* of a layer's graph in the page: of a best checkpoint, of an epoch; set by
                             report_collect */
    cJSON *notes;         /* strings: what is missing, and why */
} report;

/* ---- the parts; each returns JSON that the caller owns ---- */

status blob_json(const char *type, const void *data, int n_dims, const int64_t *dims, cJSON **out);

/* base64 of data, "data:MIME;base64,..." with a MIME type; NULL: without. The caller frees *out. */
status base64_text(const char *mime, const void *data, size_t bytes, char **out);

/* What training and pruning left in the run: {config, metrics, status, environment, prune}. */
status history_json(const report_run *, cJSON **out);

/* The net layer by layer with costs and measured times, first-layer filters, activations of the picked
 * images, and what the criterion says: {net, filters, activations, decisions}. */
status network_json(report *, report_run *, cJSON **out);

/* Finds and reads the analyses of a run (not their edges). */
status graphs_open(report_run *);
void graphs_close(report_run *);
/* The graphs with at most so many edges a layer; marks the images that they show. */
status graphs_json(report *, report_run *, cJSON **out);

/* The wanted images as one JPEG: {jpeg: data URL, columns, side, position: blob}. */
status images_json(const report_images *, cJSON **out);

/* "file: message" into the notes and on stderr. */
status report_note(report *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the whole ---- */

/* Opens the images and analyses of the runs named in r->run (path, checkpoint, cfg set), collects everything.
 */
status report_collect(report *r, cJSON **out);
void report_close(report *); /* frees what report_collect allocated, not r->run */

/* Was the page bundled when this program was built? */
bool page_is_interactive(void);
status page_write(const char *path, const cJSON *collected); /* needs page_is_interactive() */
/* The page of still pictures: the ones that analyze wrote, and tables. */
status still_write(const char *path, const report *, const cJSON *collected);

#endif
