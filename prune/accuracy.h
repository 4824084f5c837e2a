/* prune/accuracy.h -- how good a checkpoint is on the test images, with or without some of its units. */
#ifndef CLEAVE_ACCURACY_H
#define CLEAVE_ACCURACY_H

#include "../core/config/config.h"
#include "../data/dataset.h"

typedef struct accuracy {
    int64_t samples, correct;
    double top1;                /* correct / samples */
    double loss;                /* mean cross-entropy, label smoothing 0 */
    double images_per_s;        /* loading and augmentation included */
    char device[128], why[256]; /* why: backend_open's line on which device was taken */
} accuracy;

/* Builds cfg->net without cfg->net.remove on cfg->device, lets it inherit from the checkpoint (prune/surgery.h) and
 * evaluates it. logits: [test->n, classes] in the order of the data set, or NULL. */
status accuracy_measure(const config *, const char *checkpoint, const dataset *test, accuracy *out,
                        float *logits);

/* ERR_DIVERGED: the loss is not a number. In a checkpoint that is a fault; right after a cut it may happen, and
 * fine-tuning can still succeed. */
status accuracy_check(const accuracy *, const char *checkpoint);

#endif
