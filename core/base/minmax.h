/* core/base/minmax.h -- the smaller and the larger of two numbers; rounding up. */
#ifndef CLEAVE_MINMAX_H
#define CLEAVE_MINMAX_H

#include <stddef.h>

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The smallest multiple of `to` that is at least n. */
static inline size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
