/* core/base/minmax.h -- minimum and maximum of two numbers. */
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

#endif
