/* nets/schedule.c -- see schedule.h. */
#include "schedule.h"

#include <math.h>

static double step_factor(const config_train *t, int epoch)
{
    double factor = 1;
    for (unsigned i = 0; i < t->milestones_count; i++)
        if (t->milestones[i] <= epoch) factor *= t->gamma;
    return factor;
}

static double cosine_factor(double done, double warmup, double all)
{
    double share = all > warmup ? (done - warmup) / (all - warmup) : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return 0.5 * (1 + cos(M_PI * share));
}

double schedule_lr(const config_train *t, int epoch, int step, int steps)
{
    double done = (double)epoch * steps + step; /* exact: far below 2^53 */
    double warmup = (double)t->warmup * steps, all = (double)t->epochs * steps;
    double lr = t->lr;
    switch (t->schedule) {
    case SCHEDULE_STEP: lr *= step_factor(t, epoch); break;
    case SCHEDULE_COSINE: lr *= cosine_factor(done, warmup, all); break;
    case SCHEDULE_CONSTANT: break;
    }
    if (done < warmup) lr *= (done + 1) / warmup;
    return lr;
}
