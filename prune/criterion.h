/* prune/criterion.h -- Criterion I [Yang23 sec. 4.4], made deterministic (docs/definitions.md):
 * "when the curve reaches its maximum, or a plateau occurs, or it starts to decline, the layer can be
 * cut". */
#ifndef CLEAVE_CRITERION_H
#define CLEAVE_CRITERION_H

#include "../core/base/status.h"
#include <stdbool.h>

typedef struct criterion_point {
    const char *name;
    double value; /* M or Q after this unit; NaN: unknown; such a point is never cut and never a reference */
    bool removable;
    int stage;
    const char *fixed; /* why it is not removable */
} criterion_point;

typedef struct criterion_options {
    double eps;              /* a gain of at most eps * (max - min) is a plateau; in [0, 1] */
    double floor;            /* below floor * max the curve is left alone; in [0, 1] */
    int smooth;              /* window of a centred moving average, shorter at the ends; 1 = none; odd */
    int max_cut;             /* 0 = no limit; else the first ones to go are those with the smallest gain */
    bool keep_one_per_stage; /* a stage of which nothing would stay keeps its point with the largest gain */
} criterion_options;

/* What decided about a point; the names are those of `rule` in prune.json (docs/files.md). */
typedef enum criterion_rule {
    RULE_FIRST,     /* stays: the curve begins here */
    RULE_FIXED,     /* stays: it cannot be removed */
    RULE_NO_VALUE,  /* stays: nothing is known about it */
    RULE_RISES,     /* stays: it raises the curve by more than eps */
    RULE_FLOOR,     /* stays, although it does not raise the curve: only `floor` keeps it */
    RULE_STAGE,     /* stays, although it does not raise the curve: only `keep_one_per_stage` keeps it */
    RULE_MAX_CUT,   /* stays, although it does not raise the curve: only `max_cut` keeps it */
    RULE_PLATEAU,   /* cut: it raises the curve by at most eps */
    RULE_DECLINE,   /* cut: it lowers the curve */
    RULE_SATURATED, /* cut: an earlier point is within eps of the maximum, which comes later */
    RULE_PEAK,      /* cut: it comes after the maximum */
    RULE_PICKED,    /* cut by a rule that counts (prune/metric.h), or by hand */
    RULE_SPARED,    /* stays, as such a rule or the user did not pick it */
} criterion_rule;
const char *criterion_rule_name(criterion_rule); /* "max_cut" */

typedef struct criterion_decision {
    bool cut;
    criterion_rule rule;
    double smoothed, gain; /* value after smoothing; its difference to the last point kept before it */
    char reason[160]; /* "after the peak at layer4.0 (0.844): +0.005", "rises: +0.13 > 0.008 over conv1" */
} criterion_decision;

/* Decides for n >= 1 points in order of depth. ERR_USAGE: an option is out of range. */
status criterion_cut(const criterion_point *, int n, const criterion_options *, criterion_decision *out);

#endif
