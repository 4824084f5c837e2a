/* tools/report/network.h -- the compiled net of a run, which network.c and activations.c share. */
#ifndef CLEAVE_REPORT_NETWORK_H
#define CLEAVE_REPORT_NETWORK_H

#include "../../nets/experiment.h"
#include "collect.h"

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

/* Picks the images whose activations are shown, at most `want`: the first of every class, then the second
 * of every class, and so on. The caller frees *pick. */
status picks_choose(const report_images *, int want, int **pick, int *n);

/* Taps the layers that the run's analysis looks at. Before net_compile; activations_close frees. */
status activations_open(network *, const report_run *);
void activations_close(network *);
/* Runs the picks through the net and adds {images, logits, layers: [{name, total, low, high, channel,
 * data}]}. */
status put_activations(cJSON *object, network *, const report_run *);

#endif
