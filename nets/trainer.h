/* nets/trainer.h -- inside fit: a training under way, and what its files have of each other. Private to nets/. */
#ifndef CLEAVE_TRAINER_H
#define CLEAVE_TRAINER_H

#include "../data/loader.h"
#include "fit.h"

typedef struct trainer {
    const fit_job *job;
    const config *cfg;
    loader *loader;
    int kept_train, kept_test; /* net_keep_images */
    train_state at;            /* what the next checkpoint will say */
    int steps;                 /* of an epoch */
    double last_accuracy;
    double train_seconds;
    checkpoint_info resumed; /* its parent and cuts go into further checkpoints */
} trainer;

/* --- fit_checkpoint.c --- */

/* Writes RUN/`file`: the values, where they come from, and `accuracy` (test top-1; below 0: not known); with_state:
 * also what --resume needs. */
status trainer_save(trainer *, const char *file, bool with_state, double accuracy);

/* Goes on from RUN/last.safetensors, if the job wants that and it is there: sets the net's values and velocity, `at`,
 * `last_accuracy` and `resumed`; `steps` must be set. ERR_DATA: this training cannot go on from that file. */
status trainer_resume(trainer *);

/* For the message of a divergence: is there a good checkpoint? */
const char *trainer_what_is_kept(const trainer *);

/* --- fit_evaluate.c --- */

/* The input of a case: the batch's pixels, or, of images that the device keeps, which they are. */
status fit_put_batch(net *, int net_case_index, int kept, const batch *);

#endif
