/* nets/fit_events.h -- what training writes for TensorBoard. */
#ifndef CLEAVE_FIT_EVENTS_H
#define CLEAVE_FIT_EVENTS_H

#include "net.h"
#include "rundir.h"

/* Adds to RUN/EVENTS_TRAINING (core/format/events.h), at step e->epoch: loss/train, loss/test, accuracy/train,
 * accuracy/test, lr, images_per_s, and a histogram of the values of each trainable parameter, tagged with its
 * name. */
status fit_events(const rundir *, const net *, const run_epoch *e);

/* Takes back what was written for epochs >= `epoch`. */
status fit_events_truncate(const rundir *, int epoch);

#endif
