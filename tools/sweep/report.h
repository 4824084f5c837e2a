/* tools/sweep/report.h -- what has come out so far: `sweep status`, `sweep table`. */
#ifndef CLEAVE_SWEEP_REPORT_H
#define CLEAVE_SWEEP_REPORT_H

#include "state.h"

typedef struct sweep_counts {
    int tasks, of[TASK_DONE + 1]; /* by state */
} sweep_counts;

/* A line a case on stderr, then a line for each task that failed, with its reason. queued (NULL: none): tasks
 * that an array of Slurm has. */
status report_status(const sweep_plan *, const bool *queued, sweep_counts *out);
/* The same as JSON: {sweep, dir, counts: {done, ..}, cases: [{settings, stages: {train: {task, state, epoch,
 * epochs, accuracy, seconds_left, host, reason}}}]}. The caller deletes. */
status report_status_json(const sweep_plan *, const bool *queued, cJSON **out);

typedef struct table_options {
    const char *columns; /* "net.arch,accuracy,saving"; NULL: what differs, then what the stages give */
    const char *format;  /* text, md, csv, json; NULL: text */
    const char *preset;  /* table1; NULL: none */
} table_options;

/* Mean and standard deviation over the seeds, a row for each combination of the other settings, on stdout.
 * ERR_USAGE for an unknown column, format or preset. */
status report_table(const sweep_plan *, const table_options *);

/* Columns and their meaning, for --help. */
extern const char table_columns_help[];

#endif
