/* docs/tour/tour.h -- what the small programs of the tour share. */
#ifndef CLEAVE_TOUR_H
#define CLEAVE_TOUR_H

#include "../../nets/device.h"
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"

#include <stdio.h>

/* Prints one plane: h rows of w numbers. */
static inline void print_plane(const char *title, const float *v, int h, int w)
{
    printf("%s\n", title);
    for (int i = 0; i < h; i++) {
        for (int j = 0; j < w; j++) printf(" %6.3g", v[i * w + j] + 0.0); /* + 0: no "-0" */
        printf("\n");
    }
}

/* Prints the message of a failure. Returns the exit code for main(). */
static inline int finish(status st)
{
    if (st != OK) fprintf(stderr, "%s\n", status_message());
    return st;
}

#endif
