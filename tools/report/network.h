/* tools/report/network.h -- what the parts that look into a net share: one compiled net a run. Private to tools/report/.
 */
#ifndef CLEAVE_REPORT_NETWORK_H
#define CLEAVE_REPORT_NETWORK_H

#include "../../nets/experiment.h"
#include "report.h"

enum { CASE_TIMING, CASE_PICKS };

typedef struct network {
    experiment experiment;
    backend *device; /* of the experiment */
    net *net;        /* of the experiment */
    int batch;       /* of the timing case */
    int n_picks;
    int *pick; /* [n_picks] positions in the test set */
    struct activation_tap *tap;
    int n_taps;
} network;

/* The images whose activations are shown: of every class the first, then of every class the second, and so
 * on. */
status picks_choose(const report_images *, int want, int **pick, int *n);

/* Taps on the hooks of the run's analysis, before net_compile; freed by activations_close. */
status activations_open(network *, const report_run *);
void activations_close(network *);
/* Runs the picks through the net: {images, layers: [{name, total, channel, low, high, data}], logits}. */
status activations_json(network *, const report_run *, cJSON **out);

/* {batch, device, params, macs, units, layers} with the median time of each layer in microseconds an image.
 */
status layers_json(const network *, const report_run *, cJSON **out);

#endif
