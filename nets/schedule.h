/* nets/schedule.h -- the learning rate of a step. */
#ifndef CLEAVE_SCHEDULE_H
#define CLEAVE_SCHEDULE_H

#include "../core/config/config.h"

/* Learning rate of step `step` (0-based) of `steps` in epoch `epoch` (0-based).
 *   step      lr * gamma^(milestones <= epoch)
 *   cosine    lr * (1 + cos(pi t)) / 2, t = share of the steps after the warm-up that are done [Loshchilov17]
 *   constant  lr
 * and during the warm-up, where s < W, times (s + 1) / W: s counts steps over all epochs, W = warmup * steps. */
double schedule_lr(const config_train *, int epoch, int step, int steps);

#endif
