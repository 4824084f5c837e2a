/* core/base/median.h -- the middle of measured values: one slow run among many does not move it. */
#ifndef CLEAVE_MEDIAN_H
#define CLEAVE_MEDIAN_H

/* The middle value; of an even number of values the mean of the two middle ones. Sorts x[0 .. n-1]; n > 0. */
double median(double *x, int n);

#endif
