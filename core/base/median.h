/* core/base/median.h -- the median, for measured times: one slow run among many does not change it much. */
#ifndef CLEAVE_MEDIAN_H
#define CLEAVE_MEDIAN_H

/* The middle value, or the mean of the two middle ones if n is even. Sorts x[0 .. n-1]; n > 0. */
double median(double *x, int n);

#endif
