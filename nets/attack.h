/* nets/attack.h -- adversarial images: changed so little that they look the same, but the net misclassifies them. FGSM
 * [Goodfellow15] and PGD [Madry18], untargeted (they raise the loss of the true label), in the maximum norm.
 *
 *     FGSM   x' = clip(x + eps sign(g)),  g = d loss / d x of the net in evaluation mode
 *     PGD    x_0 = clip(x + u), u uniform in [-eps, eps] (or x);  x_{t+1} = project(x_t + step sign(g(x_t)))
 *            project: back to within eps of x, then to valid pixels
 *
 * eps, step and u are multiples of 1/255. So the results are images of 8 bits like the input, which can be stored, looked
 * at and given to any tool. sign(0) = 0. */
#ifndef CLEAVE_ATTACK_H
#define CLEAVE_ATTACK_H

#include "../data/dataset.h"
#include "net.h"

typedef struct attack_job {
    net *net;        /* compiled, values loaded */
    int frozen_case; /* of the net: training, frozen */
    int batch;       /* of that case */
    const config_data *data;
    const config_attack *attack;
    uint64_t seed; /* of the random start */
} attack_job;

/* in: images and their true labels; out: the attacked images, with the same labels and names. STOPPED after a signal;
 * ERR_DIVERGED: the gradient is not finite. The caller frees *out. */
status attack_run(const attack_job *, const dataset *in, dataset *out);

#endif
