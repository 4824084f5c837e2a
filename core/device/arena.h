/* core/device/arena.h -- memory planned before it is allocated: values that are never alive at the same time
 * share bytes. Times are positions in the step (forward operations, then backward operations). */
#ifndef CLEAVE_ARENA_H
#define CLEAVE_ARENA_H

#include "../base/status.h"
#include <stddef.h>

enum { ARENA_ALIGN = 64 };

typedef struct arena_request {
    size_t bytes;    /* 0 is allowed: offset 0 */
    int first, last; /* alive in [first, last], both included */
    size_t offset;   /* answer: multiple of ARENA_ALIGN */
} arena_request;

/* Gives every request an offset so that no two that are alive together overlap; *total is the size of
 * the arena. Greedy, largest first, lowest fitting offset: within a few per cent of the lower bound
 * (the largest sum of bytes alive at one time) on the nets here. */
status arena_plan(arena_request *requests, int n, size_t *total);

#endif
