/* core/device/tuning.h -- algorithms that a device chose by timing, kept with a run. A run that is resumed loads what it
 * used before it plans anything, so that it ends with the same bits. */
#ifndef CLEAVE_TUNING_H
#define CLEAVE_TUNING_H

#include "backend.h"

struct backend_tuning {
    /* Before planning. A file that is missing, or that another device wrote, chooses nothing. */
    status (*load)(backend *, const char *path);
    status (*save)(const backend *, const char *path);
};

#endif
